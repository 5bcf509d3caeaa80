/* A part written through a transform that changes lengths: it verifies, and it is restored to the
 * bytes that it was made from, files and rows alike. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/format/manifest.h"
#include "engine/format/rows.h"
#include "engine/restore/restore.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"
#include "tests/support/run_length.h"
#include "tests/unit/pipeline/works.h"

#define FILE_BYTES (9 * RIG_CHUNK_BYTES + 777)
#define ROWS 20000u
#define ROW_BYTES 48u
#define NOISE_BYTES (2 * RIG_CHUNK_BYTES)

static struct works works;

/* ---- a backup ---- */

static void put_text(struct pst_manifest_text *text, const char *name)
{
    int fd = openat(works.rig.dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert(fd >= 0);
    ssize_t wrote = write(fd, text->text, text->bytes);
    assert(wrote == (ssize_t)text->bytes);
    close(fd);
    free(text->text);
}

/* What makes a part a backup. */
static void write_manifests(const struct pst_work_result *stopped)
{
    static struct pst_node_manifest node;
    static struct pst_cluster_manifest cluster;
    struct pst_manifest_text text;
    node = (struct pst_node_manifest){
        .common = {.uid = {0xAB}, .number = 1, .start_gci = 5, .stop_gci = 5},
        .node = 1,
        .chunk_bytes = RIG_CHUNK_BYTES,
        .master_node = 1,
        .participants_count = 1,
        .participants = {1},
        .sources_count = 1,
        .sources = {{.name = "test", .spec = "dir:/nowhere"}},
        .parts_count = 1,
        .parts = {{.part = 1, .ldm = 1, .file_bytes = stopped->file_bytes}},
    };
    struct pst_part_sums sums = {.source_bytes = stopped->sums.source_bytes,
                                 .stored_bytes = stopped->sums.stored_bytes,
                                 .objects = stopped->sums.objects,
                                 .chunks = stopped->sums.chunks};
    node.common.sums = sums;
    node.parts[0].sums = sums;
    memcpy(node.parts[0].digest.bytes, stopped->digest, sizeof(stopped->digest));
    int error = pst_manifest_encode_node(&node, &text);
    assert(!error);
    cluster = (struct pst_cluster_manifest){
        .common = node.common,
        .master_node = 1,
        .nodes_count = 1,
        .nodes = {{.node = 1, .file_bytes = text.bytes, .digest = text.digest, .sums = sums}},
    };
    put_text(&text, "BACKUP-1/BACKUP-1.1.manifest");
    error = pst_manifest_encode_cluster(&cluster, &text);
    assert(!error);
    put_text(&text, "BACKUP-1/BACKUP-1.cluster.manifest");
}

static void back_up(void)
{
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), 0);
    works_start(&works, PST_WORK_STOP);
    const struct pst_work_result stopped = works_wait(&works);
    CU_ASSERT_EQUAL_FATAL(stopped.error, 0);
    write_manifests(&stopped);
}

static int verify(void)
{
    const struct pst_verify_options options = {.crew = {.workers = 2, .depth = 2}};
    struct pst_verify_result result;
    return verify_backup(works.rig.directory, &options, &result);
}

static int restore(const char *target, pst_table_sink_open *open_sink)
{
    const struct pst_restore_options options = {.crew = {.workers = 2, .depth = 2},
                                                .open_sink = open_sink};
    struct pst_restore_result result;
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(works.rig.directory, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, target, &options, &result);
    if (error)
        printf("    %s\n", result.message);
    pst_backup_list_release(&list);
    return error;
}

/* ---- files ---- */

/* What no run-length coding makes shorter. */
static void add_noise(const char *name, uint64_t id)
{
    static uint8_t noise[NOISE_BYTES];
    for (uint32_t i = 0; i < NOISE_BYTES; i++)
        noise[i] = (uint8_t)(i * 167 + i / 256);
    const struct pst_object object = {
        .id = id, .type = PST_OBJECT_FILE, .path = name, .size = NOISE_BYTES, .mode = 0600};
    const struct pst_fragment_file made = {.object = id};
    works_add_entry(&works, &object);
    CU_ASSERT_EQUAL(pst_fragment_add_file(works.fragment, &made), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_extent(works.fragment, 0, NOISE_BYTES, noise), 0);
}

static bool file_is_right(const char *directory, const char *name, uint32_t bytes,
                          uint8_t (*byte)(uint64_t offset))
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    uint32_t i = 0;
    for (int got; file && (got = getc(file)) != EOF; i++) {
        if (i >= bytes || got != byte(i))
            break;
    }
    if (file)
        (void)fclose(file);
    return i == bytes;
}

static uint8_t file_byte(uint64_t offset)
{
    return rig_byte(1, offset);
}

static uint8_t noise_byte(uint64_t offset)
{
    return (uint8_t)(offset * 167 + offset / 256);
}

static void files_come_back(void)
{
    struct rig_part part;
    char target[PATH_MAX];
    works_open(&works, PST_FRAGMENT_EXTENTS, &run_length);
    works_add_file(&works, "runs", 1, FILE_BYTES);
    add_noise("noise", 2);
    back_up();
    CU_ASSERT_TRUE(rig_read_part(&works.rig, WORKS_PART, &part));
    CU_ASSERT_EQUAL(part.header.codec, RUN_LENGTH_CODEC);
    CU_ASSERT_TRUE(part.encoded >= FILE_BYTES / RIG_CHUNK_BYTES);
    CU_ASSERT_TRUE(part.encoded < part.chunks_count); /* it declined the noise */
    CU_ASSERT_TRUE(part.trailer.sums.stored_bytes < FILE_BYTES / 2 + NOISE_BYTES);
    CU_ASSERT_EQUAL(part.trailer.sums.source_bytes, FILE_BYTES + NOISE_BYTES);
    CU_ASSERT_TRUE(rig_part_has(&part, 1, FILE_BYTES, 1));
    rig_release_part(&part);
    CU_ASSERT_EQUAL(verify(), 0);
    (void)snprintf(target, sizeof(target), "%s/target", works.rig.directory);
    CU_ASSERT_EQUAL(restore(target, NULL), 0);
    CU_ASSERT_TRUE(file_is_right(target, "runs", FILE_BYTES, file_byte));
    CU_ASSERT_TRUE(file_is_right(target, "noise", NOISE_BYTES, noise_byte));
    works_close(&works);
}

/* ---- rows ---- */

static struct pst_row row_of(uint64_t i, char key[ROW_BYTES])
{
    (void)snprintf(key, ROW_BYTES, "%08u", (unsigned)i);
    memset(key + 8, (int)('a' + i % 26), ROW_BYTES - 8);
    return (struct pst_row){.key = key, .value = key, .key_bytes = 8, .value_bytes = ROW_BYTES};
}

static int produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                   struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                   size_t *produced_bytes)
{
    uint64_t *row = &cursor->words[0], *in_row = &cursor->words[1], *all = &cursor->words[2];
    size_t bytes = 0;
    char key[ROW_BYTES];
    (void)source, (void)fragment;
    while (*row < ROWS && bytes < capacity_bytes) {
        const struct pst_row made = row_of(*row, key);
        size_t copied =
            pst_row_copy(&made, *in_row, (uint8_t *)buffer + bytes, capacity_bytes - bytes);
        bytes += copied;
        *in_row += copied;
        *all += copied;
        if (*in_row == pst_row_bytes(&made)) {
            *in_row = 0;
            ++*row;
        }
    }
    if (*row == ROWS) {
        size_t copied = pst_rows_end_copy(ROWS, *all, (uint32_t)*in_row, (uint8_t *)buffer + bytes,
                                          capacity_bytes - bytes);
        *in_row += copied;
        bytes += copied;
    }
    *produced_bytes = bytes;
    return 0;
}

static uint64_t rows_taken;

static int sink_begin(struct pst_table_sink *sink, const struct pst_table *table)
{
    (void)sink;
    CU_ASSERT_EQUAL(table->rows, ROWS);
    return 0;
}

static int sink_row(struct pst_table_sink *sink, const void *key, uint32_t key_bytes,
                    const void *value, uint32_t value_bytes)
{
    char text[ROW_BYTES];
    const struct pst_row wanted = row_of(rows_taken++, text);
    (void)sink;
    return key_bytes == wanted.key_bytes && value_bytes == wanted.value_bytes &&
                   memcmp(key, wanted.key, key_bytes) == 0 &&
                   memcmp(value, wanted.value, value_bytes) == 0
               ? 0
               : -PST_E_CORRUPT;
}

static int sink_end(struct pst_table_sink *sink)
{
    (void)sink;
    return 0;
}

static void sink_close(struct pst_table_sink *sink)
{
    (void)sink;
}

static int sink_open(void *context, const struct pst_database *database, int directory_fd,
                     struct pst_table_sink **sink, char *error_text)
{
    static struct pst_table_sink table_sink = {.struct_bytes = sizeof(struct pst_table_sink),
                                               .abi_version = PST_TABLE_SINK_ABI_VERSION,
                                               .begin = sink_begin,
                                               .row = sink_row,
                                               .end = sink_end,
                                               .finish = sink_end,
                                               .close = sink_close};
    (void)context, (void)database, (void)directory_fd, (void)error_text;
    *sink = &table_sink;
    return 0;
}

static void add_database(uint8_t *attributes)
{
    const struct pst_database_entry entry = {.kind = "test"};
    struct pst_object object = {
        .id = 1, .type = PST_OBJECT_DATABASE, .path = "db", .mode = 0640, .attributes = attributes};
    object.attributes_bytes = pst_database_encode(&entry, attributes);
    works_add_entry(&works, &object);
}

static void add_table(uint8_t *attributes)
{
    char path[PST_PATH_BYTES_MAX], key[ROW_BYTES];
    const struct pst_share share = {.name = "t", .name_bytes = 1, .shares = 1, .rows = ROWS};
    const struct pst_fragment_file made = {.object = 2};
    const struct pst_row row = row_of(0, key);
    uint64_t bytes = ROWS * pst_row_bytes(&row);
    uint8_t end[64];
    struct pst_object object = {.id = 2,
                                .type = PST_OBJECT_ROWS,
                                .path = pst_share_path(&share, path),
                                .size = bytes + pst_rows_end_copy(ROWS, bytes, 0, end, sizeof(end)),
                                .attributes = attributes};
    object.attributes_bytes = pst_share_encode(&share, attributes);
    works_add_entry(&works, &object);
    CU_ASSERT_EQUAL(pst_fragment_add_file(works.fragment, &made), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_extent(works.fragment, 0, object.size, NULL), 0);
}

static void rows_come_back(void)
{
    uint8_t attributes[PST_ROWS_ATTRIBUTE_BYTES_MAX];
    struct rig_part part;
    char target[PATH_MAX];
    works_open(&works, PST_FRAGMENT_ROWS, &run_length);
    works.source.produce = produce;
    add_database(attributes);
    add_table(attributes);
    back_up();
    CU_ASSERT_TRUE(rig_read_part(&works.rig, WORKS_PART, &part));
    CU_ASSERT_TRUE(part.encoded > 5);
    rig_release_part(&part);
    CU_ASSERT_EQUAL(verify(), 0);
    rows_taken = 0;
    (void)snprintf(target, sizeof(target), "%s/target", works.rig.directory);
    CU_ASSERT_EQUAL(restore(target, sink_open), 0);
    CU_ASSERT_EQUAL(rows_taken, ROWS);
    works_close(&works);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"files come back", files_come_back},
        {"rows come back", rows_come_back},
        CU_TEST_INFO_NULL,
    };
    return suite_run("transform", tests);
}
