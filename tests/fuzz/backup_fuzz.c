/*
 * A whole backup with fields made wrong, and every checksum made right again, as a bug of the
 * writer or an attacker would: verify and restore neither crash nor leave their directories, what
 * verify calls whole restores, and always to the same.
 *
 * The input is a list of edits of 8 bytes: take() says what each byte chooses.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/format/index.h"
#include "engine/repository/layout.h"
#include "engine/restore/restore.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/make_backup.h"

#define PARTS 2u
#define CHUNKS_MAX 16u
#define EDITS_MAX 8u

static const struct pst_object objects[] = {
    {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.id = 2, .type = PST_OBJECT_DIRECTORY, .path = "d", .mode = 0700, .mtime_sec = 2},
    {.id = 3, .type = PST_OBJECT_FILE, .path = "d/two", .size = 9000, .mode = 0600},
    {.id = 4, .type = PST_OBJECT_FILE, .path = "whole", .size = 300, .mode = 0644},
    {.id = 5, .type = PST_OBJECT_FILE, .path = "empty", .mode = 0600},
    {.id = 6, .type = PST_OBJECT_SYMLINK, .path = "d/link", .link = "../whole", .mode = 0777},
    {.id = 7, .type = PST_OBJECT_HARD_LINK, .path = "hard", .linked_object = 4},
    {.id = 8, .type = PST_OBJECT_FIFO, .path = "d/fifo", .mode = 0600},
};
static const struct made_data data_of[] = {{0, 3, 0, 5000}, {1, 3, 5000, 4000}, {1, 4, 0, 300}};

#ifdef WITH_ORIGIN /* origins_fuzz.c */
/* Backup 2 is the same, but that "whole" is alone in its chunk; 1 has "d/two" in it, and "whole" by
 * a hash. */
static const struct made_data origin_data[] = {{0, 3, 0, 5000}, {0, 3, 5000, 4000}, {1, 4, 0, 300}};
static const struct made_reference references[] = {{0, 3, 0, 9000, 2, 3, false},
                                                   {1, 4, 0, 300, 2, 4, true}};

static void make_refer(const char *to, struct made_backup *made)
{
    struct made_backup origin = *made;
    origin.number = 2;
    origin.data = origin_data;
    origin.data_count = sizeof(origin_data) / sizeof(origin_data[0]);
    make_backup(to, &origin);
    made->data_count = 0;
    made->references = references;
    made->references_count = sizeof(references) / sizeof(references[0]);
}
#else
static void make_refer(const char *to, struct made_backup *made)
{
    (void)to, (void)made;
}
#endif

/* A part as it was made, and where its chunks lie; the last one is the index. */
struct part {
    char path[PATH_MAX + 2 * LAYOUT_NAME_BYTES];
    uint8_t *made, *edited;
    size_t size;
    size_t chunks[CHUNKS_MAX];
    uint32_t chunks_count;
};

static struct made_place place;
static struct part parts[PARTS];
static struct pst_node_manifest node;
static struct pst_cluster_manifest cluster;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) != 0)
        abort();
    *size = (size_t)status.st_size;
    uint8_t *bytes =
        aligned_alloc(PST_BLOCK_BYTES, *size / PST_BLOCK_BYTES * PST_BLOCK_BYTES + PST_BLOCK_BYTES);
    if (!bytes || read(fd, bytes, *size) != (ssize_t)*size)
        abort();
    close(fd);
    return bytes;
}

static void load_part(uint32_t number)
{
    struct part *part = &parts[number];
    snprintf(part->path, sizeof(part->path), "%s/%s/%s", place.path, layout_backup(1).text,
             layout_part(1, 1, number + 1, PARTS).text);
    part->made = read_file(part->path, &part->size);
    part->edited = aligned_alloc(PST_BLOCK_BYTES, part->size);
    for (size_t at = PST_BLOCK_BYTES; at + PST_BLOCK_BYTES < part->size;) {
        assert(part->chunks_count < CHUNKS_MAX);
        part->chunks[part->chunks_count++] = at;
        at += pst_chunk_file_bytes(pst_chunk_header_of(part->made + at)->stored_bytes);
    }
}

static const char *manifest_path(struct layout_name name)
{
    static char path[PATH_MAX + 2 * LAYOUT_NAME_BYTES];
    snprintf(path, sizeof(path), "%s/%s/%s", place.path, layout_backup(1).text, name.text);
    return path;
}

static void leave(void)
{
    remove_place(&place);
}

static void make_once(void)
{
    struct made_backup made = {.number = 1,
                               .parts = PARTS,
                               .sources = 1,
                               .objects = objects,
                               .objects_count = sizeof(objects) / sizeof(objects[0]),
                               .data = data_of,
                               .data_count = sizeof(data_of) / sizeof(data_of[0])};
    struct pst_damage damage;
    size_t size;
    if (place.path[0])
        return;
    pst_log_set_hook(ignore, NULL);
    place = make_fast_place();
    atexit(leave);
    make_refer(place.path, &made);
    make_backup(place.path, &made);
    for (uint32_t i = 0; i < PARTS; i++)
        load_part(i);
    uint8_t *text = read_file(manifest_path(layout_node_manifest(1, 1)), &size);
    if (pst_manifest_decode_node(text, size, &node, NULL, &damage) != 0)
        abort();
    free(text);
    text = read_file(manifest_path(layout_cluster_manifest(1)), &size);
    if (pst_manifest_decode_cluster(text, size, &cluster, NULL, &damage) != 0)
        abort();
    free(text);
}

/* ---- edits ---- */

/* Bytes [from, from + bytes) of a part that an edit may be in. */
struct region {
    size_t from, bytes;
};

/* Of a chunk, by `which`: fields of its header, its table of pieces, its payload; or fields of the
 * part's header or trailer. Checksums are made right whatever is done to them. */
static struct region region_of(const struct part *part, uint8_t chunk, uint8_t which)
{
    size_t at = part->chunks[chunk % part->chunks_count];
    const struct pst_chunk_header *header = pst_chunk_header_of(part->made + at);
    size_t trailer = part->size - PST_BLOCK_BYTES;
    switch (which % 8) {
    case 0:
        return (struct region){at + 80, 48};
    case 1:
        return (struct region){0, 104};
    case 2:
        return (struct region){trailer, 216};
    case 3:
    case 4:
        if (header->pieces_count)
            return (struct region){at + offsetof(struct pst_chunk_header, pieces),
                                   header->pieces_count * sizeof(header->pieces[0])};
        /* fall through */
    default:
        return (struct region){at + PST_CHUNK_HEADER_BYTES, header->stored_bytes};
    }
}

/* Which part, which chunk, which region, where in it, what is done with which value. */
static void edit_part(const uint8_t *edit)
{
    const struct part *part = &parts[edit[0] % PARTS];
    struct region region = region_of(part, edit[1], edit[2]);
    size_t at = region.from + (size_t)(edit[3] | edit[4] << 8) % region.bytes;
    size_t other = region.from + (size_t)(edit[6] | edit[7] << 8) % region.bytes;
    size_t end = region.from + region.bytes;
    switch (edit[5] % 4) {
    case 0:
        part->edited[at] = edit[6];
        break;
    case 1:
        part->edited[at] = (uint8_t)(part->edited[at] + (edit[6] % 2 ? 1 : -1));
        break;
    case 2: /* one field or entry over another */
        for (size_t i = 0; i < 8 && at + i < end && other + i < end; i++)
            part->edited[at + i] = part->edited[other + i];
        break;
    default:
        memset(part->edited + at, edit[6], end - at < 8 ? end - at : 8);
    }
}

/* Numbers of the manifests. */
static void edit_manifest(const uint8_t *edit, struct pst_node_manifest *edited)
{
    struct pst_manifest_part *part = &edited->parts[edit[1] % PARTS];
    uint64_t value = edit[6] | (uint64_t)edit[7] << 8;
    uint64_t *const numbers[] = {&part->file_bytes,        &part->sums.source_bytes,
                                 &part->sums.objects,      &part->sums.chunks,
                                 &part->sums.unreadable,   &edited->common.sums.objects,
                                 &edited->common.start_gci};
    uint64_t *number = numbers[edit[2] % 7];
    *number = edit[5] % 2 ? value : *number + value - 128;
}

static struct pst_chunk_header *header_at(const struct part *part, uint32_t chunk)
{
    return (struct pst_chunk_header *)(part->edited + part->chunks[chunk]);
}

/* From the chunks up to the trailer; returns the digest that the manifest has of the part. */
static struct pst_digest make_checksums_right(const struct part *part)
{
    uint32_t index = part->chunks_count - 1;
    struct pst_index_entry *entries =
        (struct pst_index_entry *)(part->edited + part->chunks[index] + PST_CHUNK_HEADER_BYTES +
                                   sizeof(struct pst_index_head));
    size_t trailer_at = part->size - PST_BLOCK_BYTES;
    struct pst_part_trailer *trailer = (struct pst_part_trailer *)(part->edited + trailer_at);
    fuzz_fix_block(part->edited, PST_BLOCK_BYTES);
    for (uint32_t i = 0; i < index; i++) {
        fuzz_fix_block(part->edited + part->chunks[i], trailer_at - part->chunks[i]);
        entries[i].checksum = header_at(part, i)->head.checksum;
    }
    fuzz_fix_block(part->edited + part->chunks[index], trailer_at - part->chunks[index]);
    trailer->last_index.checksum = header_at(part, index)->head.checksum;
    trailer->header_checksum = ((struct pst_part_header *)part->edited)->head.checksum;
    fuzz_fix_block(part->edited + trailer_at, PST_BLOCK_BYTES);
    return pst_part_digest(trailer);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}

/* false: no manifest can say so. */
static bool write_manifests(struct pst_node_manifest *edited)
{
    struct pst_manifest_text text;
    if (pst_manifest_encode_node(edited, &text) != 0)
        return false;
    struct pst_cluster_manifest decided = cluster;
    decided.nodes[0].file_bytes = text.bytes;
    decided.nodes[0].digest = text.digest;
    decided.nodes[0].sums = decided.common.sums = edited->common.sums;
    decided.common.start_gci = edited->common.start_gci;
    write_bytes(manifest_path(layout_node_manifest(1, 1)), text.text, text.bytes);
    free(text.text);
    if (pst_manifest_encode_cluster(&decided, &text) != 0)
        return false;
    write_bytes(manifest_path(layout_cluster_manifest(1)), text.text, text.bytes);
    free(text.text);
    return true;
}

static bool take(const uint8_t *data, size_t size)
{
    static struct pst_node_manifest edited;
    edited = node;
    for (uint32_t i = 0; i < PARTS; i++)
        memcpy(parts[i].edited, parts[i].made, parts[i].size);
    for (size_t at = 0; at + 8 <= size && at < EDITS_MAX * 8; at += 8) {
        if (data[at] & 0x80)
            edit_manifest(data + at, &edited);
        else
            edit_part(data + at);
    }
    for (uint32_t i = 0; i < PARTS; i++) {
        edited.parts[i].digest = make_checksums_right(&parts[i]);
        write_bytes(parts[i].path, parts[i].edited, parts[i].size);
    }
    return write_manifests(&edited);
}

/* ---- what comes of it ---- */

/* An error of the target, not of the backup: an illegal owner, a size that no file can have. */
static bool is_of_target(int error)
{
    return error == -EFBIG || error == -EINVAL || error == -EPERM || error == -ENOSPC ||
           error == -ENOTSUP || error == -EOVERFLOW || error == -ENAMETOOLONG;
}

static int restore(const char *name, uint32_t workers)
{
    const struct pst_restore_options options = {.crew = {.workers = workers}};
    const struct pst_backup *backup;
    struct pst_restore_result result;
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    int error = pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message);
    if (!error)
        error = pst_restore(backup, place_below(&place, name).path, &options, &result);
    pst_backup_list_release(&list);
    return error;
}

static uint64_t tree_hash;
static size_t tree_root_bytes;

static uint64_t hash_of(const void *bytes, size_t size, uint64_t seed)
{
    uint64_t hash;
    const struct pst_digest digest = pst_digest_of(bytes, size, seed);
    memcpy(&hash, digest.bytes, sizeof(hash));
    return hash;
}

/* Data alone: a file may claim any size. */
static uint64_t hash_contents(const char *path, uint64_t hash)
{
    static uint8_t block[1 << 16];
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    for (off_t at = 0; fd >= 0 && (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
        ssize_t got = pread(fd, block, sizeof(block), at);
        if (got <= 0)
            break;
        hash = hash_of(block, (size_t)got, hash ^ (uint64_t)at);
        at += got;
    }
    if (fd >= 0)
        close(fd);
    return hash;
}

static int add_to_hash(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)type, (void)walk;
    const char *name = path + tree_root_bytes;
    uint64_t hash = hash_of(name, strlen(name), status->st_mode);
    if (!S_ISDIR(status->st_mode))
        hash ^= (uint64_t)status->st_size + status->st_nlink;
    if (S_ISREG(status->st_mode))
        hash = hash_contents(path, hash);
    tree_hash += hash_of(&status->st_mtim.tv_sec, sizeof(status->st_mtim.tv_sec), hash);
    return 0;
}

static uint64_t hash_tree(const char *name)
{
    const struct made_place root = place_below(&place, name);
    tree_hash = 0;
    tree_root_bytes = strlen(root.path);
    nftw(root.path, add_to_hash, 16, FTW_PHYS);
    return tree_hash;
}

/* Beside the backup and what was restored there is nothing. */
static void expect_nothing_else(void)
{
    DIR *directory = opendir(place.path);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "BACKUP-1") != 0 &&
            strcmp(name, "BACKUP-2") != 0 && strcmp(name, "one") != 0 && strcmp(name, "two") != 0)
            abort();
    }
    closedir(directory);
}

static void check(void)
{
    const struct pst_verify_options options = {.crew = {.workers = 1}};
    struct pst_verify_result result;
    int verified = verify_backup(place.path, &options, &result);
    int one = restore("one", 1), two = restore("two", 3);
    if (verified == 0 && one && !is_of_target(one)) {
        fprintf(stderr, "verified, and not restored: error %d\n", one);
        abort();
    }
    if (verified == 0 && !one && (two || hash_tree("one") != hash_tree("two"))) {
        fprintf(stderr, "verified, and not restored to the same\n");
        abort();
    }
    expect_nothing_else();
    remove_tree(place_below(&place, "one").path);
    remove_tree(place_below(&place, "two").path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_once();
    uint8_t *copy = fuzz_copy(data, size);
    if (take(copy, size))
        check();
    free(copy);
    return 0;
}
