/* Backups whose every checksum is right, but which are not what they say: verify names what is
 * wrong, and restore refuses them and leaves nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/restore/restore.h"
#include "engine/restore/target.h"
#include "engine/restore/verify.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define OBJECTS_MAX 8u
#define DATA_MAX 8u

static struct pst_object objects[OBJECTS_MAX];
static struct made_data data[DATA_MAX];
static uint8_t attribute[PST_OBJECT_DATA_ATTRIBUTE_BYTES];
static struct made_backup made;
static struct made_place place;

/* ---- a good one: a directory with a file in two pieces, one in one piece, and a sparse one ----
 */

static void begin(void)
{
    static const struct pst_object good_objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
        {.id = 2, .type = PST_OBJECT_DIRECTORY, .path = "d", .mode = 0755},
        {.id = 3, .type = PST_OBJECT_FILE, .path = "d/two pieces", .size = 100},
        {.id = 4, .type = PST_OBJECT_FILE, .path = "d/one piece", .size = 50},
        {.id = 5, .type = PST_OBJECT_FILE, .path = "sparse", .size = 100000},
        {.id = 6, .type = PST_OBJECT_HARD_LINK, .path = "link", .linked_object = 3},
    };
    static const struct made_data good_data[] = {
        {0, 3, 0, 60}, {1, 3, 60, 40}, {0, 4, 0, 50}, {2, 5, 70000, 10}};
    memcpy(objects, good_objects, sizeof(good_objects));
    memcpy(data, good_data, sizeof(good_data));
    made = (struct made_backup){
        .number = 1,
        .parts = 3,
        .sources = 1,
        .objects = objects,
        .objects_count = sizeof(good_objects) / sizeof(good_objects[0]),
        .data = data,
        .data_count = sizeof(good_data) / sizeof(good_data[0]),
    };
}

/* The object says how many bytes of it are data. */
static void say_data(uint32_t object, uint64_t bytes)
{
    objects[object - 1].attributes = attribute;
    objects[object - 1].attributes_bytes = pst_object_data_encode(bytes, attribute);
}

/* ---- what comes of it ---- */

struct told {
    uint32_t damages, warnings;
    char first[PST_MESSAGE_BYTES];
    char objects[256]; /* names, each behind a space */
};

static void note(void *context, const struct pst_finding *finding)
{
    struct told *told = context;
    char text[PST_MESSAGE_BYTES];
    pst_finding_text(finding, text);
    if (!finding->warning && told->damages == 0)
        snprintf(told->first, sizeof(told->first), "%s", text);
    told->warnings += finding->warning;
    told->damages += !finding->warning;
    if (finding->object) {
        size_t used = strlen(told->objects);
        snprintf(told->objects + used, sizeof(told->objects) - used, " %s", finding->object);
    }
}

static int verify(struct told *told, struct pst_verify_result *result)
{
    const struct pst_verify_options options = {
        .crew = {.workers = 2}, .found = note, .context = told};
    memset(told, 0, sizeof(*told));
    return verify_backup(place.path, &options, result);
}

static int restore_with(const struct pst_restore_options *options,
                        struct pst_restore_result *result)
{
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    const struct made_place target = place_below(&place, "target");
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, target.path, options, result);
    CU_ASSERT_EQUAL(access(target.path, F_OK), error ? -1 : 0);
    pst_backup_list_release(&list);
    return error;
}

static int restore(struct pst_restore_result *result)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}};
    return restore_with(&options, result);
}

static void expect_good(uint32_t warnings)
{
    struct told told;
    struct pst_verify_result verified;
    struct pst_restore_result restored;
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(&told, &verified), 0);
    CU_ASSERT_EQUAL(told.damages, 0);
    CU_ASSERT_EQUAL(told.warnings, warnings);
    CU_ASSERT_STRING_EQUAL(warnings ? "" : told.first, "");
    CU_ASSERT_EQUAL(restore(&restored), 0);
    CU_ASSERT_STRING_EQUAL(restored.message, "");
    remove_place(&place);
}

/* Both say the pattern; the object, if one is named, is the only one. */
static void expect_refused(const char *what, const char *object)
{
    struct told told;
    struct pst_verify_result verified;
    struct pst_restore_result restored;
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(&told, &verified), -PST_E_CORRUPT);
    CU_ASSERT(verified.damages > 0);
    if (!strstr(told.first, what))
        printf("\n    verify: wanted \"%s\", not \"%s\"\n", what, told.first);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.first, what));
    CU_ASSERT_STRING_EQUAL(told.objects, object);
    CU_ASSERT_EQUAL(verified.objects_damaged, *object ? 1 : 0);
    CU_ASSERT_EQUAL(restore(&restored), -PST_E_CORRUPT);
    if (!strstr(restored.message, what))
        printf("\n    restore: wanted \"%s\", not \"%s\"\n", what, restored.message);
    CU_ASSERT_PTR_NOT_NULL(strstr(restored.message, what));
    remove_place(&place);
}

static void a_good_one_passes(void)
{
    begin();
    expect_good(0);
    say_data(5, 10);
    expect_good(0);
    objects[4].flags = PST_OBJECT_CHANGED; /* it shrank while it was read */
    say_data(5, 1000);
    expect_good(0);
    begin();
    made.no_object_sums = true;
    expect_good(1); /* said once, though two parts lack them */
}

static void missing_pieces_are_found(void)
{
    begin();
    made.no_object_sums = true;
    say_data(3, 100);
    data[1] = data[--made.data_count];
    expect_refused("pieces of its contents are missing", " one/d/two pieces");

    begin(); /* all of them */
    made.no_object_sums = true;
    say_data(4, 50);
    data[2] = data[--made.data_count];
    expect_refused("pieces of its contents are missing", " one/d/one piece");

    begin(); /* more than there were */
    say_data(5, 9);
    expect_refused("more contents than were listed", " one/sparse");
}

static void drop_piece(void *chunk)
{
    struct pst_chunk_header *header = chunk;
    if (header->pieces[header->pieces_count - 1].object == 5)
        memset(&header->pieces[--header->pieces_count], 0, sizeof(header->pieces[0]));
}

static void shorten_piece(void *chunk)
{
    struct pst_chunk_header *header = chunk;
    for (uint32_t i = 0; i < header->pieces_count; i++)
        header->pieces[i].bytes -= header->pieces[i].object == 5;
}

static void move_piece(void *chunk)
{
    struct pst_chunk_header *header = chunk;
    for (uint32_t i = 0; i < header->pieces_count; i++)
        header->pieces[i].object_offset += header->pieces[i].object == 5;
}

static void change_contents(void *chunk)
{
    const struct pst_chunk_header *header = chunk;
    uint8_t *payload = (uint8_t *)chunk + PST_CHUNK_HEADER_BYTES;
    for (uint32_t i = 0; i < header->pieces_count; i++)
        payload[header->pieces[i].payload_offset] ^= header->pieces[i].object == 5;
}

/* What is in the chunks is not what was written into them. */
static void other_contents_than_were_written_are_found(void)
{
    struct {
        void (*spoil)(void *chunk);
        const char *what;
    } cases[] = {
        {drop_piece, "pieces of its contents are missing"},
        {shorten_piece, "pieces of its contents are missing"},
        {move_piece, "its contents and their checksum differ"},
        {change_contents, "its contents and their checksum differ"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        made.spoil_chunk = cases[i].spoil;
        expect_refused(cases[i].what, " one/sparse");
    }
}

static void overlapping_pieces_are_found(void)
{
    begin(); /* two extents */
    made.no_object_sums = true;
    data[made.data_count++] = (struct made_data){0, 5, 70005, 10};
    expect_refused("pieces of its contents overlap", " one/sparse");

    begin(); /* the same, and all checksums of objects are theirs */
    data[made.data_count++] = (struct made_data){1, 5, 69995, 6};
    expect_refused("pieces of its contents overlap", " one/sparse");

    begin(); /* a whole file, and some of it again */
    made.no_object_sums = true;
    data[made.data_count++] = (struct made_data){1, 4, 10, 1};
    expect_refused("pieces of its contents overlap", " one/d/one piece");

    begin(); /* a whole file twice */
    data[made.data_count++] = (struct made_data){1, 4, 0, 50};
    expect_refused("pieces of its contents overlap", " one/d/one piece");
}

static void pieces_of_nothing_are_found(void)
{
    begin(); /* behind the end */
    data[1].bytes++;
    expect_refused("no such bytes", " one/d/two pieces");
    begin(); /* of no object */
    data[3].object = 99;
    expect_refused("of an object that", ""); /* its piece, or its checksum */
    begin();
    made.no_object_sums = true;
    data[3].object = 99;
    expect_refused("no such bytes", "");
    begin(); /* of a directory */
    data[3].object = 2;
    expect_refused("no such bytes", " one/d");
}

/* A part of the same identity, with a whole trailer that is not the one of the manifest. */
static void another_part_is_found(void)
{
    struct pst_part_trailer trailer;
    struct told told;
    struct pst_verify_result verified;
    struct pst_restore_result restored;
    begin();
    place = make_place();
    make_backup(place.path, &made);
    const struct made_place path =
        place_below(&place, "BACKUP-1/BACKUP-1-PART-1-OF-3/BACKUP-1.1.data");
    FILE *file = fopen(path.path, "r+");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fseek(file, -(long)sizeof(trailer), SEEK_END);
    CU_ASSERT_EQUAL(fread(&trailer, sizeof(trailer), 1, file), 1);
    trailer.finished_unix_ns++;
    const struct pst_part_identity identity = trailer.head.identity;
    format_part_trailer_seal(&trailer, &identity);
    fseek(file, -(long)sizeof(trailer), SEEK_END);
    CU_ASSERT_EQUAL(fwrite(&trailer, sizeof(trailer), 1, file), 1);
    fclose(file);
    CU_ASSERT_EQUAL(verify(&told, &verified), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.first, "not the part that the manifest names"));
    CU_ASSERT_EQUAL(restore(&restored), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(restored.message, "not the part that the manifest names"));
    remove_place(&place);
}

static uint64_t *spoilt;
static struct pst_part spoilt_part; /* that spoilt points into */

static void spoil_part(struct pst_part *part)
{
    uint64_t *number = (uint64_t *)((char *)part + ((char *)spoilt - (char *)&spoilt_part));
    ++*number;
}

static struct pst_node_manifest spoilt_node;
static struct pst_cluster_manifest spoilt_cluster;

static void spoil_manifests(struct pst_node_manifest *node, struct pst_cluster_manifest *cluster)
{
    const char *at = (const char *)spoilt;
    bool is_node = at >= (char *)&spoilt_node && at < (char *)(&spoilt_node + 1);
    uint64_t *number = is_node ? (uint64_t *)((char *)node + (at - (char *)&spoilt_node))
                               : (uint64_t *)((char *)cluster + (at - (char *)&spoilt_cluster));
    ++*number;
}

/* The parts' trailers count otherwise, and the manifests agree with them. */
static void wrong_sums_of_parts_are_found(void)
{
    struct {
        uint64_t *number;
        const char *what;
    } cases[] = {
        {&spoilt_part.sums.source_bytes, "other bytes of objects"},
        {&spoilt_part.sums.stored_bytes, "other chunks"},
        {&spoilt_part.sums.objects, "other objects"},
        {&spoilt_part.object_sums.sealed, "other checksums of objects"},
        {&spoilt_part.index.index_chunks, "other chunks"},
        {&spoilt_part.codec_chunks[PST_CODEC_LZ4], "other chunks"},
        {&spoilt_part.codec_chunks[PST_CODEC_ZSTD], "other chunks"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        made.spoil_part = spoil_part;
        spoilt = cases[i].number;
        expect_refused(cases[i].what, "");
    }
}

static void wrong_sums_of_manifests_are_found(void)
{
    struct {
        uint64_t *number;
        const char *what;
    } cases[] = {
        {&spoilt_node.parts[1].sums.source_bytes, "sums are not"},
        {&spoilt_node.parts[0].sums.chunks, "sums are not"},
        {&spoilt_node.common.sums.objects, "sums are not"},
        {&spoilt_node.common.sums.source_bytes, "sums are not"},
        {&spoilt_node.common.sums.unreadable, "sums are not"},
        {&spoilt_cluster.nodes[0].sums.stored_bytes, "sums are not"},
        {&spoilt_cluster.nodes[0].sums.unreadable, "sums are not"},
        {&spoilt_cluster.common.sums.chunks, "sums are not"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        made.spoil_manifests = spoil_manifests;
        spoilt = cases[i].number;
        expect_refused(cases[i].what, "");
    }
}

static void catalogues_that_are_no_tree_are_found(void)
{
    begin();
    objects[1] = (struct pst_object){.id = 2, .type = PST_OBJECT_FILE, .path = "other"};
    objects[2].path = "two";
    expect_refused("the directory that it is in is not in the backup", " one/d/one piece");

    begin(); /* a file in a file */
    objects[4].path = "d/one piece/x";
    expect_refused("the directory that it is in is not in the backup", " one/d/one piece/x");

    begin(); /* a name like the directory's, but longer */
    objects[4].path = "dd/x";
    expect_refused("the directory that it is in is not in the backup", " one/dd/x");

    begin();
    objects[4].path = "d/one piece";
    expect_refused("two objects of this name", " one/d/one piece");

    begin(); /* of no source */
    objects[4].id |= UINT64_C(9) << PST_OBJECT_SOURCE_SHIFT;
    data[3].object = objects[4].id;
    expect_refused("does not name its source", " ?/sparse");
}

#define MANY 5000u

/* More than one thread checks alone; the fault is in the share of any. */
static void begin_many(void)
{
    static struct pst_object many[MANY];
    static char paths[MANY][8];
    begin();
    memcpy(many, objects, made.objects_count * sizeof(many[0]));
    for (uint32_t i = made.objects_count; i < MANY; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%u", i);
        many[i] = (struct pst_object){
            .id = i + 1, .type = PST_OBJECT_FILE, .path = paths[i], .mode = 0600};
    }
    made.objects = many;
    made.objects_count = MANY;
}

static void faults_among_many_are_found(void)
{
    begin_many();
    expect_good(0);
    begin_many();
    struct pst_object *one = (struct pst_object *)(uintptr_t)&made.objects[MANY - 2000];
    one->path = "gone/x";
    expect_refused("the directory that it is in is not in the backup", " one/gone/x");
    begin_many();
    one->path = "x";
    one->size = 10;
    one->attributes = attribute;
    one->attributes_bytes = pst_object_data_encode(10, attribute);
    expect_refused("pieces of its contents are missing", " one/x");
}

static void links_to_nothing_are_found(void)
{
    static const uint64_t linked[] = {77, 2, 7};
    for (size_t i = 0; i < sizeof(linked) / sizeof(linked[0]); i++) {
        begin();
        objects[made.objects_count++] = (struct pst_object){
            .id = 7, .type = PST_OBJECT_HARD_LINK, .path = "second", .linked_object = 3};
        objects[5].linked_object = linked[i];
        expect_refused("a hard link to what is no file", " one/link");
    }
}

/* ---- what could not be read ---- */

static void note_missed(void *context, const struct pst_restore_trouble *trouble)
{
    struct told *told = context;
    size_t used = strlen(told->objects);
    CU_ASSERT_FALSE(trouble->is_whole);
    snprintf(told->objects + used, sizeof(told->objects) - used, " %s", trouble->path);
}

static int64_t size_in_target(const char *name)
{
    struct stat status;
    const struct made_place target = place_below(&place, "target");
    return lstat(place_below(&target, name).path, &status) < 0 ? -1 : status.st_size;
}

static void put_in_target(const char *name)
{
    const struct made_place target = place_below(&place, "target");
    int fd = open(place_below(&target, name).path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, "older", 5), 5);
    close(fd);
}

/* Of a file in two pieces there is one; of three others there is nothing: with contents, with
 * another name, and of size 0. */
static void begin_unreadable(void)
{
    begin();
    data[1] = data[3]; /* of "sparse" */
    made.data_count = 2;
    objects[2].flags = objects[3].flags = PST_OBJECT_UNREADABLE;
    objects[5].linked_object = 4;
    objects[6] = (struct pst_object){
        .id = 7, .type = PST_OBJECT_FILE, .path = "empty", .flags = PST_OBJECT_UNREADABLE};
    objects[7] = (struct pst_object){.id = 8, .type = PST_OBJECT_HARD_LINK, .path = "other"};
    objects[7].linked_object = 3;
    made.objects_count = 8;
}

static void restore_unreadable(struct pst_restore_options options)
{
    struct told missed = {0};
    struct pst_restore_result result;
    options.crew.workers = 2;
    options.trouble = note_missed;
    options.context = &missed;
    CU_ASSERT_EQUAL(restore_with(&options, &result), 0);
    CU_ASSERT_EQUAL(result.failed, 3);
    CU_ASSERT_EQUAL(result.unreadable, 3);
    CU_ASSERT_EQUAL(result.objects, made.objects_count - result.failed);
    CU_ASSERT_PTR_NOT_NULL(strstr(missed.objects, " d/one piece"));
    CU_ASSERT_PTR_NOT_NULL(strstr(missed.objects, " link"));
    CU_ASSERT_PTR_NOT_NULL(strstr(missed.objects, " empty"));
    CU_ASSERT_EQUAL(size_in_target("d/two pieces"), 100);
    CU_ASSERT_EQUAL(size_in_target("other"), 100);
    CU_ASSERT_EQUAL(size_in_target("sparse"), 100000);
    CU_ASSERT_EQUAL(size_in_target(PST_RESTORE_MARKER), -1);
}

static void what_has_no_contents_is_not_made(void)
{
    for (int with_sums = 0; with_sums < 2; with_sums++) {
        begin_unreadable();
        made.no_object_sums = !with_sums;
        place = make_place();
        make_backup(place.path, &made);
        restore_unreadable((struct pst_restore_options){0});
        CU_ASSERT_EQUAL(size_in_target("d/one piece"), -1);
        CU_ASSERT_EQUAL(size_in_target("link"), -1);
        CU_ASSERT_EQUAL(size_in_target("empty"), -1);
        remove_place(&place);
    }
}

/* A sparse file of which the listing found no data is no exception. */
static void an_unreadable_hole_is_not_made(void)
{
    struct pst_restore_result result;
    begin();
    made.data_count = 3;
    objects[4].flags = PST_OBJECT_UNREADABLE;
    say_data(5, 0);
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(restore(&result), 0);
    CU_ASSERT_EQUAL(result.failed, 1);
    CU_ASSERT_EQUAL(size_in_target("sparse"), -1);
    remove_place(&place);
}

static void nothing_makes_room_for_what_is_not_made(void)
{
    begin_unreadable();
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(mkdir(place_below(&place, "target").path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(place_below(&place, "target/d").path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(place_below(&place, "target/empty").path, 0700), 0);
    put_in_target("d/one piece");
    put_in_target("d/two pieces");
    put_in_target("link");
    put_in_target("other");
    put_in_target("empty/in");
    for (int times = 0; times < 2; times++) {
        restore_unreadable((struct pst_restore_options){.force = true});
        CU_ASSERT_EQUAL(size_in_target("d/one piece"), 5);
        CU_ASSERT_EQUAL(size_in_target("link"), 5);
        CU_ASSERT_EQUAL(size_in_target("empty/in"), 5);
    }
    remove_place(&place);
}

/* The file has one piece of data, from 70000 to 70010 of 100000 bytes; it ended where the piece of
 * no bytes says. Whether data is missing is known only where the entry says how much there was. */
static void expect_size_of_cut(uint64_t data_bytes, uint64_t end, off_t size)
{
    struct pst_restore_result result;
    begin();
    objects[4].flags = PST_OBJECT_CHANGED;
    if (data_bytes)
        say_data(5, data_bytes);
    data[made.data_count++] = (struct made_data){2, 5, end, 0};
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(restore(&result), 0);
    CU_ASSERT_EQUAL(size_in_target("sparse"), size);
    remove_place(&place);
}

static void a_cut_file_ends_where_it_was_cut(void)
{
    expect_size_of_cut(10, 80000, 80000); /* inside of a hole */
    expect_size_of_cut(0, 80000, 80000);
    expect_size_of_cut(0, 70005, 70010); /* cut again, when this had been read */
    expect_size_of_cut(20, 90000, 70010);
}

static void a_hole_ends_where_it_was_cut(void)
{
    struct pst_restore_result result;
    begin();
    objects[4].flags = PST_OBJECT_CHANGED;
    say_data(5, 0);
    data[3] = (struct made_data){0, 5, 5000, 0};
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(restore(&result), 0);
    CU_ASSERT_EQUAL(size_in_target("sparse"), 5000);
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a good one passes", a_good_one_passes},
        {"missing pieces are found", missing_pieces_are_found},
        {"other contents than were written are found", other_contents_than_were_written_are_found},
        {"overlapping pieces are found", overlapping_pieces_are_found},
        {"pieces of nothing are found", pieces_of_nothing_are_found},
        {"another part is found", another_part_is_found},
        {"wrong sums of parts are found", wrong_sums_of_parts_are_found},
        {"wrong sums of manifests are found", wrong_sums_of_manifests_are_found},
        {"catalogues that are no tree are found", catalogues_that_are_no_tree_are_found},
        {"faults among many are found", faults_among_many_are_found},
        {"links to nothing are found", links_to_nothing_are_found},
        {"what has no contents is not made", what_has_no_contents_is_not_made},
        {"an unreadable hole is not made", an_unreadable_hole_is_not_made},
        {"a cut file ends where it was cut", a_cut_file_ends_where_it_was_cut},
        {"a hole ends where it was cut", a_hole_ends_where_it_was_cut},
        {"nothing makes room for what is not made", nothing_makes_room_for_what_is_not_made},
        CU_TEST_INFO_NULL,
    };
    return suite_run("crafted", tests);
}
