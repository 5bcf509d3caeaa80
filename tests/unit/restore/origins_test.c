/* Backups that refer to others: verify and restore read what lies there, refuse what is not what
 * the references say, by name, and name what is lost with an origin. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/backup_origins.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

/* Backups 1 and 2 are full, with the files "a" (100 bytes, in one chunk with the others), "b" (two
 * pieces) and "c" (one piece alone in its chunk). Backup 3 has "a" and "c" of 1, "b" of 2, and
 * "own".
 */
#define OWN_ID 40u
#define SHIFT 20u /* ids of backup 3 are others than those of its origins */

static struct pst_object objects[8];
static struct made_data own[4];
static struct made_reference references[4];
static struct made_backup made;
static struct made_place place;

static const struct pst_object full_objects[] = {
    {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.id = 2, .type = PST_OBJECT_FILE, .path = "a", .size = 100},
    {.id = 3, .type = PST_OBJECT_FILE, .path = "b", .size = 90},
    {.id = 4, .type = PST_OBJECT_FILE, .path = "c", .size = PST_CHUNK_BYTES_MIN},
};
#define FULL_OBJECTS (sizeof(full_objects) / sizeof(full_objects[0]))

static const struct made_data full_data[] = {
    {0, 2, 0, 100}, {0, 3, 0, 60}, {1, 3, 60, 30}, {0, 4, 0, PST_CHUNK_BYTES_MIN}};

static void make_full(const char *to, uint32_t number)
{
    const struct made_backup full = {.number = number,
                                     .parts = 2,
                                     .sources = 1,
                                     .objects = full_objects,
                                     .objects_count = FULL_OBJECTS,
                                     .data = full_data,
                                     .data_count = 4};
    make_backup(to, &full);
}

static void begin(void)
{
    place = make_place();
    make_full(place.path, 1);
    make_full(place.path, 2);
    memcpy(objects, full_objects, sizeof(full_objects));
    for (size_t i = 1; i < FULL_OBJECTS; i++)
        objects[i].id += SHIFT;
    objects[FULL_OBJECTS] =
        (struct pst_object){.id = OWN_ID, .type = PST_OBJECT_FILE, .path = "own", .size = 10};
    own[0] = (struct made_data){0, OWN_ID, 0, 10};
    references[0] = (struct made_reference){0, 2 + SHIFT, 0, 100, 1, 2, false};
    references[1] = (struct made_reference){1, 3 + SHIFT, 0, 90, 2, 3, false};
    references[2] = (struct made_reference){0, 4 + SHIFT, 0, PST_CHUNK_BYTES_MIN, 1, 4, true};
    made = (struct made_backup){.number = 3,
                                .parts = 2,
                                .sources = 1,
                                .objects = objects,
                                .objects_count = FULL_OBJECTS + 1,
                                .data = own,
                                .data_count = 1,
                                .references = references,
                                .references_count = 3};
}

/* ---- what comes of it ---- */

struct told {
    char all[4096]; /* texts of damages */
    char objects[256];
    uint32_t unverified;
};

static void note(void *context, const struct pst_finding *finding)
{
    struct told *told = context;
    char text[PST_MESSAGE_BYTES];
    size_t used = strlen(told->all);
    if (!finding->warning)
        snprintf(told->all + used, sizeof(told->all) - used, "%s\n",
                 pst_finding_text(finding, text));
    told->unverified += finding->unverified;
    used = strlen(told->objects);
    if (finding->object)
        snprintf(told->objects + used, sizeof(told->objects) - used, " %s", finding->object);
}

static const struct pst_backup *find(const char *const *directories, uint32_t count,
                                     struct pst_backup_list *list)
{
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(directories, count, list, message), 0);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(list, "3", PST_PICK_DECIDED, &backup, message), 0);
    return backup;
}

static int verify_in(const char *const *directories, uint32_t count, struct told *told)
{
    struct pst_backup_list list;
    struct pst_verify_result result;
    const struct pst_verify_options options = {
        .crew = {.workers = 2}, .found = note, .context = told};
    memset(told, 0, sizeof(*told));
    int error = pst_verify(find(directories, count, &list), &options, &result);
    pst_backup_list_release(&list);
    return error;
}

static int verify(struct told *told)
{
    const char *directory = place.path;
    return verify_in(&directory, 1, told);
}

static void note_trouble(void *context, const struct pst_restore_trouble *trouble)
{
    struct told *told = context;
    size_t used = strlen(told->objects);
    snprintf(told->objects + used, sizeof(told->objects) - used, " %s:%s", trouble->path,
             pst_error_name(trouble->error));
}

static int restore_in(const char *const *directories, uint32_t count, bool keep_going,
                      const char *only, struct pst_restore_result *result, struct told *told)
{
    struct pst_backup_list list;
    const struct made_place target = place_below(&place, "target");
    const struct pst_restore_options options = {.crew = {.workers = 2},
                                                .keep_going = keep_going,
                                                .only = &only,
                                                .only_count = only != NULL,
                                                .trouble = note_trouble,
                                                .context = told};
    memset(told, 0, sizeof(*told));
    remove_tree(target.path);
    int error = pst_restore(find(directories, count, &list), target.path, &options, result);
    pst_backup_list_release(&list);
    return error;
}

static int restore(bool keep_going, struct pst_restore_result *result, struct told *told)
{
    const char *directory = place.path;
    return restore_in(&directory, 1, keep_going, NULL, result, told);
}

/* Whether a file of the target has the bytes of an object. */
static bool has_bytes(const char *name, uint64_t object, uint32_t bytes)
{
    static uint8_t found[PST_CHUNK_BYTES_MIN + 1];
    const struct made_place target = place_below(&place, "target");
    int fd = open(place_below(&target, name).path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, found, sizeof(found));
    if (fd >= 0)
        close(fd);
    for (uint32_t i = 0; got == bytes && i < bytes; i++) {
        if (found[i] != made_byte(object, i))
            return false;
    }
    return got == bytes;
}

static bool is_in_target(const char *name)
{
    const struct made_place target = place_below(&place, "target");
    return path_exists(place_below(&target, name).path);
}

static void expect_restored(void)
{
    CU_ASSERT_TRUE(has_bytes("a", 2, 100));
    CU_ASSERT_TRUE(has_bytes("b", 3, 90));
    CU_ASSERT_TRUE(has_bytes("c", 4, PST_CHUNK_BYTES_MIN));
    CU_ASSERT_TRUE(has_bytes("own", OWN_ID, 10));
}

static void expect_good(void)
{
    struct told told;
    struct pst_restore_result result;
    CU_ASSERT_EQUAL(verify(&told), 0);
    CU_ASSERT_STRING_EQUAL(told.all, "");
    CU_ASSERT_EQUAL(restore(false, &result, &told), 0);
    CU_ASSERT_STRING_EQUAL(result.message, "");
    CU_ASSERT_EQUAL(result.failed, 0);
    expect_restored();
}

/* Verify and restore say so; verify names the objects. */
static void expect_refused(const char *what, const char *named)
{
    struct told told;
    struct pst_restore_result result;
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    if (!strstr(told.all, what))
        printf("\n    verify: wanted \"%s\", not \"%s\"\n", what, told.all);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, what));
    CU_ASSERT_STRING_EQUAL(told.objects, named);
    CU_ASSERT(restore(false, &result, &told) <= -PST_E_BAD_REQUEST);
    if (!strstr(result.message, what))
        printf("\n    restore: wanted \"%s\", not \"%s\"\n", what, result.message);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, what));
    CU_ASSERT_FALSE(is_in_target(""));
    CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
    CU_ASSERT_TRUE(has_bytes("own", OWN_ID, 10));
    remove_place(&place);
}

/* ---- tests ---- */

static void references_are_followed(void)
{
    begin();
    make_backup(place.path, &made);
    expect_good();
    remove_place(&place);
}

static void nothing_of_its_own_is_needed(void)
{
    begin();
    made.data_count = 0;
    objects[FULL_OBJECTS].size = 0;
    make_backup(place.path, &made);
    struct told told;
    struct pst_restore_result result;
    CU_ASSERT_EQUAL(verify(&told), 0);
    CU_ASSERT_EQUAL(restore(false, &result, &told), 0);
    CU_ASSERT_TRUE(has_bytes("a", 2, 100));
    remove_place(&place);
}

/* Two objects may have the same bytes, in one piece, in several, or by their hash. */
static void several_objects_may_have_the_same_bytes(void)
{
    begin();
    objects[2].size = objects[FULL_OBJECTS].size = 100;
    references[1] = (struct made_reference){1, 3 + SHIFT, 0, 100, 1, 2, false};
    references[3] = (struct made_reference){1, OWN_ID, 0, 100, 1, 2, false};
    made.data_count = 0;
    made.references_count = 4;
    make_backup(place.path, &made);
    struct told told;
    struct pst_restore_result result;
    CU_ASSERT_EQUAL(verify(&told), 0);
    CU_ASSERT_STRING_EQUAL(told.all, "");
    CU_ASSERT_EQUAL(restore(false, &result, &told), 0);
    CU_ASSERT_TRUE(has_bytes("a", 2, 100));
    CU_ASSERT_TRUE(has_bytes("b", 2, 100));
    CU_ASSERT_TRUE(has_bytes("own", 2, 100));
    remove_place(&place);
}

static void an_object_may_lie_here_and_there(void)
{
    begin(); /* the end of "c" is its own */
    objects[3].size += 10;
    own[1] = (struct made_data){1, 4 + SHIFT, PST_CHUNK_BYTES_MIN, 10};
    made.data_count = 2;
    make_backup(place.path, &made);
    struct told told;
    struct pst_restore_result result;
    CU_ASSERT_EQUAL(verify(&told), 0);
    CU_ASSERT_STRING_EQUAL(told.all, "");
    CU_ASSERT_EQUAL(restore(false, &result, &told), 0);
    CU_ASSERT_EQUAL(result.failed, 0);
    remove_place(&place);
}

static void origins_are_found_in_other_directories(void)
{
    struct told told;
    struct pst_restore_result result;
    begin();
    make_backup(place.path, &made);
    const struct made_place other = make_place();
    CU_ASSERT_EQUAL_FATAL(mkdir(place_below(&other, "o").path, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(
        rename(place_below(&place, "BACKUP-2").path, place_below(&other, "o/BACKUP-2").path), 0);
    const struct made_place second = place_below(&other, "o");
    const char *directories[] = {place.path, second.path};
    CU_ASSERT_EQUAL(verify_in(directories, 2, &told), 0);
    CU_ASSERT_EQUAL(restore_in(directories, 2, false, NULL, &result, &told), 0);
    expect_restored();
    remove_place(&other);
    remove_place(&place);
}

/* ---- origins that are not there ---- */

static void a_missing_origin_is_named(void)
{
    struct told told;
    struct pst_restore_result result;
    struct pst_backup_list list;
    const char *directory = place.path;
    begin();
    make_backup(place.path, &made);
    remove_tree(place_below(&place, "BACKUP-2").path);
    const struct pst_backup *backup = find(&directory, 1, &list);
    CU_ASSERT_EQUAL(backup->state, PST_BACKUP_SPLIT);
    CU_ASSERT_EQUAL(backup->error, -PST_E_BASE_MISSING);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(backup->reason, "backup 2, uid b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"));
    pst_backup_list_release(&list);

    CU_ASSERT_EQUAL(verify(&told), -PST_E_BASE_MISSING);
    CU_ASSERT_EQUAL(told.unverified, 1);
    CU_ASSERT_STRING_EQUAL(told.objects, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, "backup 2, uid b2b2"));

    CU_ASSERT_EQUAL(restore(false, &result, &told), -PST_E_BASE_MISSING);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "backup 2, uid b2b2"));
    CU_ASSERT_FALSE(is_in_target(""));

    CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
    CU_ASSERT_STRING_EQUAL(told.objects, " b:PST_E_BASE_MISSING");
    CU_ASSERT_EQUAL(result.failed, 1);
    CU_ASSERT_TRUE(has_bytes("a", 2, 100));
    CU_ASSERT_TRUE(has_bytes("c", 4, PST_CHUNK_BYTES_MIN));
    CU_ASSERT_FALSE(is_in_target("b"));
    remove_place(&place);
}

/* What is lost here is named beside it. */
static void damage_beside_a_missing_origin_is_named(void)
{
    struct told told;
    struct pst_restore_result result;
    begin();
    make_backup(place.path, &made);
    remove_tree(place_below(&place, "BACKUP-2").path);
    flip_bit(place_below(&place, "BACKUP-3/BACKUP-3-PART-1-OF-2/BACKUP-3.1.data").path,
             PST_BLOCK_BYTES + 100);
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    CU_ASSERT_STRING_EQUAL(told.objects, " one/own");
    CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.objects, " b:PST_E_BASE_MISSING"));
    CU_ASSERT_PTR_NOT_NULL(strstr(told.objects, " own:PST_E_CORRUPT"));
    CU_ASSERT_EQUAL(result.failed, 2);
    CU_ASSERT_TRUE(has_bytes("a", 2, 100));
    CU_ASSERT_FALSE(is_in_target("own"));
    remove_place(&place);
}

/* What is chosen needs nothing of it: it is restored all the same. */
static void what_is_chosen_decides_which_origins_are_needed(void)
{
    struct told told;
    struct pst_restore_result result;
    const char *directory = place.path;
    begin();
    made.sources = 2;
    objects[FULL_OBJECTS + 1] = (struct pst_object){
        .id = 1 + (UINT64_C(1) << 48), .type = PST_OBJECT_FILE, .path = "two", .size = 20};
    own[1] = (struct made_data){1, 1 + (UINT64_C(1) << 48), 0, 20};
    made.objects_count++;
    made.data_count++;
    make_backup(place.path, &made);
    remove_tree(place_below(&place, "BACKUP-1").path);
    remove_tree(place_below(&place, "BACKUP-2").path);
    CU_ASSERT_EQUAL(restore_in(&directory, 1, false, "1/two", &result, &told), 0);
    CU_ASSERT_TRUE(has_bytes("two", 1 + (UINT64_C(1) << 48), 20));
    CU_ASSERT_EQUAL(restore_in(&directory, 1, false, "1/one", &result, &told), -PST_E_BASE_MISSING);
    remove_place(&place);
}

static void an_origin_that_is_no_whole_backup_is_named(void)
{
    struct told told;
    struct pst_restore_result result;
    begin();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL_FATAL(unlink(place_below(&place, "BACKUP-2/BACKUP-2.cluster.manifest").path),
                          0);
    CU_ASSERT_EQUAL(restore(false, &result, &told), -PST_E_BASE_MISSING);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "backup 2, uid b2b2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "is incomplete"));
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, "backup 2, uid b2b2"));
    CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
    CU_ASSERT_STRING_EQUAL(told.objects, " b:PST_E_BASE_MISSING");
    remove_place(&place);
}

/* ---- origins that are damaged ---- */

/* Of the first chunk of the first part: "a" and the first half of "b". */
static void damage_in_an_origin_costs_what_lies_there(void)
{
    struct told told;
    struct pst_restore_result result;
    begin();
    make_backup(place.path, &made);
    flip_bit(place_below(&place, "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data").path,
             PST_BLOCK_BYTES + PST_CHUNK_HEADER_BYTES + 5);
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, "BACKUP-1-PART-1-OF-2"));
    CU_ASSERT_STRING_EQUAL(told.objects, " one/a");
    CU_ASSERT_EQUAL(restore(false, &result, &told), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
    CU_ASSERT_STRING_EQUAL(told.objects, " a:PST_E_CORRUPT");
    CU_ASSERT_TRUE(has_bytes("b", 3, 90));
    CU_ASSERT_TRUE(has_bytes("c", 4, PST_CHUNK_BYTES_MIN));
    CU_ASSERT_FALSE(is_in_target("a"));
    remove_place(&place);

    begin(); /* of bytes that nothing refers to: this backup is whole */
    make_backup(place.path, &made);
    flip_bit(place_below(&place, "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data").path,
             PST_BLOCK_BYTES + PST_CHUNK_HEADER_BYTES + 105);
    expect_good();
    remove_place(&place);
}

/* Its header, so that only the index tells what lay there; its index too, so that nothing does; the
 * index alone, without which chunks are found all the same. */
static void lost_chunks_of_an_origin_cost_what_lies_there(void)
{
    struct told told;
    struct pst_restore_result result;
    static const off_t header = PST_BLOCK_BYTES + 100;
    for (size_t i = 0; i < 3; i++) {
        struct stat status;
        begin();
        make_backup(place.path, &made);
        const struct made_place file =
            place_below(&place, "BACKUP-2/BACKUP-2-PART-1-OF-2/BACKUP-2.1.data");
        CU_ASSERT_EQUAL_FATAL(stat(file.path, &status), 0);
        if (i < 2)
            flip_bit(file.path, header);
        if (i > 0)
            flip_bit(file.path, status.st_size - (off_t)PST_BLOCK_BYTES - 10);
        CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
        CU_ASSERT_STRING_EQUAL(told.objects, " one/b");
        CU_ASSERT_EQUAL(restore(true, &result, &told), 0);
        CU_ASSERT_STRING_EQUAL(told.objects, i < 2 ? " b:PST_E_CORRUPT" : "");
        CU_ASSERT_TRUE(has_bytes("a", 2, 100));
        CU_ASSERT_EQUAL(is_in_target("b"), i == 2);
        CU_ASSERT_EQUAL(is_in_target("b.damaged"), i < 2);
        remove_place(&place);
    }
}

/* ---- references that are not what they say ---- */

static struct pst_reference *first_record(void *payload)
{
    return (struct pst_reference *)(uintptr_t)pst_references_records(payload);
}

static struct pst_origin *first_origin(void *payload)
{
    return (struct pst_origin *)((struct pst_references_head *)payload + 1);
}

/* Only of part 1, whose references are "a" and "c": the first record is of "a". */
static bool is_part_1(void *payload)
{
    return first_record(payload)->object == 2 + SHIFT;
}

#define SPOIL(name, change)                                                                        \
    static void name(void *payload)                                                                \
    {                                                                                              \
        struct pst_reference *record = first_record(payload);                                      \
        struct pst_origin *origin = first_origin(payload);                                         \
        (void)record, (void)origin;                                                                \
        if (is_part_1(payload))                                                                    \
            change;                                                                                \
    }
SPOIL(to_itself, memset(origin->uid, 0xB3, sizeof(origin->uid)))
SPOIL(to_unnamed, origin->uid[3] ^= 1)
SPOIL(to_other_number, origin->number = 2)
SPOIL(to_other_cluster, origin->cluster_id = 77)
SPOIL(to_no_node, origin->node = 9)
SPOIL(to_bad_origin, record->origin = 2)
SPOIL(of_no_object, record->object = 19)
SPOIL(of_a_directory, record->object = 1)
SPOIL(of_too_much, record->bytes = 101)
SPOIL(of_less, record->bytes = 99)
SPOIL(of_another_object, record->origin_object = 3)
SPOIL(of_a_longer_object, record->origin_object = 4)
SPOIL(of_nothing_there, record->origin_object = 77)
SPOIL(with_another_hash, record->hash[0] ^= 1)
SPOIL(with_another_run, record[1].hash[0] ^= 1)
SPOIL(with_a_shifted_run, (record[1].object_offset = 1, record[1].bytes--))
SPOIL(with_no_hash, record->hash_kind = 0)

/* A writer puts the whole table of its base into each chunk. */
SPOIL(with_another_table, (record->origin = 1, origin->uid[3] ^= 1))

static void origins_that_no_record_names_do_not_matter(void)
{
    begin();
    made.spoil_references = with_another_table;
    make_backup(place.path, &made);
    expect_good();
    remove_place(&place);
}

/* As where the master has not all manifests of nodes in its directory. */
static void leave_to_the_nodes(struct pst_node_manifest *node, struct pst_cluster_manifest *cluster)
{
    (void)node;
    cluster->origins_count = 1;
    cluster->origins[0].bytes = 1;
}

static void origins_are_gathered_from_all_manifests(void)
{
    struct pst_backup_list list;
    const char *directory = place.path;
    begin();
    made.spoil_manifests = leave_to_the_nodes;
    make_backup(place.path, &made);
    const struct pst_backup *backup = find(&directory, 1, &list);
    CU_ASSERT_EQUAL(backup->cluster.origins_count, 2);
    CU_ASSERT_EQUAL(pst_backup_shared_bytes(backup), 190 + PST_CHUNK_BYTES_MIN);
    CU_ASSERT_TRUE(pst_backup_refers_to(backup, list.backups[0]));
    CU_ASSERT_TRUE(pst_backup_refers_to(backup, list.backups[1]));
    CU_ASSERT_FALSE(pst_backup_refers_to(backup, backup));
    pst_backup_list_release(&list);
    expect_good();
    remove_place(&place);
}

/* The manifests say more of an origin than the parts. */
static void count_more(struct pst_node_manifest *node, struct pst_cluster_manifest *cluster)
{
    (void)cluster;
    node->origins[1].bytes++;
}

static void wrong_counts_are_found(void)
{
    struct told told;
    begin();
    made.spoil_manifests = count_more;
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, "it counts other references than there are"));
    CU_ASSERT_STRING_EQUAL(told.objects, "");
    remove_place(&place);
}

static void count_another_reference(struct pst_part *part)
{
    part->references += part->references > 0;
}

static void wrong_counts_of_parts_are_found(void)
{
    struct told told;
    begin();
    made.spoil_part = count_another_reference;
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(&told), -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.all, "the trailer counts other references than there are"));
    remove_place(&place);
}

static void hostile_references_are_refused(void)
{
    static const struct {
        void (*spoil)(void *payload);
        const char *what, *named;
    } cases[] = {
        {to_itself, "a reference of the backup to itself", ""},
        {to_unnamed, "a reference to a backup that the manifest does not name", ""},
        {to_other_number, "a reference to a backup that the manifest does not name", ""},
        {to_other_cluster, "a reference to a backup of another cluster", ""},
        {to_no_node, "it has no such node", " one/a"},
        {to_bad_origin, "reference out of its range", ""},
        {of_no_object, "reference of an object that no catalogue has", ""},
        {of_a_directory, "reference for bytes that its object does not have", ""},
        {of_too_much, "reference for bytes that its object does not have", ""},
        {of_less, "its contents and their checksum differ", " one/a"},
        {of_another_object, "pieces of its contents are missing", " one/a"},
        {of_a_longer_object, "piece of an object that has no such bytes", " one/a"},
        {of_nothing_there, "pieces of its contents are missing", " one/a"},
        {with_another_hash, "its contents and their checksum differ", " one/a"},
        {with_another_run, "piece of an object that has no such bytes", " one/c"},
        {with_a_shifted_run, "pieces of its contents are missing", " one/c"},
        {with_no_hash, "reference out of its range", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        made.spoil_references = cases[i].spoil;
        expect_refused(cases[i].what, cases[i].named);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"references are followed", references_are_followed},
        {"nothing of its own is needed", nothing_of_its_own_is_needed},
        {"several objects may have the same bytes", several_objects_may_have_the_same_bytes},
        {"an object may lie here and there", an_object_may_lie_here_and_there},
        {"origins are found in other directories", origins_are_found_in_other_directories},
        {"a missing origin is named", a_missing_origin_is_named},
        {"damage beside a missing origin is named", damage_beside_a_missing_origin_is_named},
        {"what is chosen decides which origins are needed",
         what_is_chosen_decides_which_origins_are_needed},
        {"an origin that is no whole backup is named", an_origin_that_is_no_whole_backup_is_named},
        {"damage in an origin costs what lies there", damage_in_an_origin_costs_what_lies_there},
        {"lost chunks of an origin cost what lies there",
         lost_chunks_of_an_origin_cost_what_lies_there},
        {"origins that no record names do not matter", origins_that_no_record_names_do_not_matter},
        {"origins are gathered from all manifests", origins_are_gathered_from_all_manifests},
        {"wrong counts are found", wrong_counts_are_found},
        {"wrong counts of parts are found", wrong_counts_of_parts_are_found},
        {"hostile references are refused", hostile_references_are_refused},
        CU_TEST_INFO_NULL};
    return suite_run("origins", tests);
}
