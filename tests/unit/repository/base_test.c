/* Bases: which backup is one, which of its files can be referred to, and that prune leaves it
 * alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/repository/base.h"
#include "engine/repository/base_age.h"
#include "engine/repository/prune.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define SECOND UINT64_C(1000000000)
#define STARTED (UINT64_C(1700000000) * SECOND)
#define FILES 4u

static struct made_place place;
static struct pst_base *base;

/* ---- the table ---- */

static struct base_files files;

static void add(uint64_t id, uint64_t data_bytes, bool is_usable)
{
    uint8_t attribute[PST_OBJECT_DATA_ATTRIBUTE_BYTES];
    struct pst_object object = {.id = id, .type = PST_OBJECT_FILE, .path = "f", .size = 10000};
    const struct pst_digest key = {{(uint8_t)id}};
    object.attributes = attribute;
    object.attributes_bytes = data_bytes ? pst_object_data_encode(data_bytes, attribute) : 0;
    CU_ASSERT_EQUAL_FATAL(base_files_add(&files, &key, &object, is_usable), 0);
}

static const struct base_file *found(uint64_t id)
{
    const struct pst_digest key = {{(uint8_t)id}};
    return base_files_find(&files, &key);
}

static void refer(uint64_t id, uint64_t bytes, uint16_t origin, uint8_t hash_kind)
{
    const struct pst_reference reference = {.object = id,
                                            .bytes = bytes,
                                            .origin_object = id + 100,
                                            .hash_kind = hash_kind,
                                            .hash = {7}};
    base_files_add_reference(&files, &reference, origin);
}

static void only_what_is_whole_is_referred_to(void)
{
    files = (struct base_files){.seed = 1};
    for (uint64_t id = 12; id > 0; id--)
        add(id, id == 12 ? 0 : 1000, id != 2);
    add(3, 1000, false); /* once more, in another part, where it is marked */
    base_files_sort(&files);
    CU_ASSERT_EQUAL(files.count, 12);
    for (uint64_t id = 1; id <= 4; id++) /* in two parts */
        for (uint64_t half = 0; half < 2; half++)
            base_files_add_sum(&files, &(struct pst_object_sum){id, 500, {id, 10}});
    base_files_add_sum(&files, &(struct pst_object_sum){5, 999, {1, 1}}); /* not all */
    refer(6, 1000, 3, PST_HASH_OBJECT);
    refer(7, 1000, UINT16_MAX, PST_HASH_OBJECT); /* an origin that is gone */
    refer(8, 1000, 3, PST_HASH_SHA_256);         /* a run of it */
    refer(9, 999, 3, PST_HASH_OBJECT);
    refer(10, 1000, 3, PST_HASH_OBJECT);
    base_files_add_sum(&files, &(struct pst_object_sum){10, 1000, {1, 1}}); /* twice */
    base_files_add_sum(&files, &(struct pst_object_sum){12, 900, {1, 1}});  /* holes: not known */
    base_files_add_sum(&files, &(struct pst_object_sum){77, 1, {1, 1}});    /* no file */
    base_files_settle(&files, NULL);
    CU_ASSERT_EQUAL(files.count, 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found(1));
    CU_ASSERT_EQUAL(found(1)->sum[0], 2);
    CU_ASSERT_EQUAL(found(1)->sum[1], 20);
    CU_ASSERT_EQUAL(found(1)->bytes, 1000);
    CU_ASSERT_EQUAL(found(1)->origin_object, 1);
    CU_ASSERT_EQUAL(found(1)->origin, 0);
    CU_ASSERT_PTR_NOT_NULL(found(4));
    CU_ASSERT_PTR_NOT_NULL_FATAL(found(6));
    CU_ASSERT_EQUAL(found(6)->origin, 3);
    CU_ASSERT_EQUAL(found(6)->origin_object, 106);
    CU_ASSERT_EQUAL(((const uint8_t *)found(6)->sum)[0], 7);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found(12));
    CU_ASSERT_EQUAL(found(12)->bytes, 900);
    base_files_free(&files);
}

static struct pst_digest key_of(struct pst_object *object, struct pst_object_identity *identity,
                                const char *source)
{
    return base_files_key(&files, source, object, identity);
}

/* Whatever of a file differs, it is another. */
static void everything_counts(void)
{
    struct pst_object object = {.path = "a/b", .size = 5, .mtime_sec = -1, .mtime_nsec = 9};
    struct pst_object_identity identity = {1, 2, 3, 4, {0}};
    files = (struct base_files){.seed = 1};
    const struct pst_digest first = key_of(&object, &identity, "data");
    struct pst_digest keys[10] = {first};
    uint32_t count = 1;
    struct pst_digest again = key_of(&object, &identity, "data");
    CU_ASSERT_TRUE(pst_digest_equal(&again, &first));
    keys[count++] = key_of(&object, &identity, "dat");
    object.path = "a/c";
    keys[count++] = key_of(&object, &identity, "data");
    object = (struct pst_object){.path = "a/b", .size = 6, .mtime_sec = -1, .mtime_nsec = 9};
    keys[count++] = key_of(&object, &identity, "data");
    object.size = 5;
    object.mtime_sec++;
    keys[count++] = key_of(&object, &identity, "data");
    object.mtime_sec--;
    object.mtime_nsec++;
    keys[count++] = key_of(&object, &identity, "data");
    object.mtime_nsec--;
    identity.device++;
    keys[count++] = key_of(&object, &identity, "data");
    identity = (struct pst_object_identity){1, 3, 3, 4, {0}};
    keys[count++] = key_of(&object, &identity, "data");
    identity = (struct pst_object_identity){1, 2, 4, 4, {0}};
    keys[count++] = key_of(&object, &identity, "data");
    identity = (struct pst_object_identity){1, 2, 3, 5, {0}};
    keys[count++] = key_of(&object, &identity, "data");
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            CU_ASSERT_FALSE(pst_digest_equal(&keys[i], &keys[j]));
    identity.ctime_nsec = 4;
    files.seed = 2; /* which nobody can foresee */
    const struct pst_digest other = key_of(&object, &identity, "data");
    CU_ASSERT_FALSE(pst_digest_equal(&other, &first));
}

/* ---- backups ---- */

static void date(struct pst_node_manifest *node, struct pst_cluster_manifest *cluster)
{
    node->host = "h";
    node->common.started_unix_ns = cluster->common.started_unix_ns = STARTED;
}

static struct pst_object objects[FILES];
static uint8_t attributes[FILES][PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES];
static struct pst_object_identity identities[FILES];

/* Files whose ctimes lie 3 s, 2 s and less before the backup began; the last is marked. */
static void make(uint32_t number)
{
    static const uint64_t before_ns[FILES] = {3 * SECOND, 2 * SECOND, 2 * SECOND - 1, 3 * SECOND};
    static const char *const paths[FILES] = {"a", "b", "c", "d"};
    static struct made_data data[FILES];
    for (uint32_t i = 0; i < FILES; i++) {
        uint64_t ctime_ns = STARTED - before_ns[i];
        identities[i] = (struct pst_object_identity){
            1, i, (int64_t)(ctime_ns / SECOND), (uint32_t)(ctime_ns % SECOND), {0}};
        objects[i] = (struct pst_object){.id = i + 1,
                                         .type = PST_OBJECT_FILE,
                                         .path = paths[i],
                                         .size = 100,
                                         .flags = i == 3 ? PST_OBJECT_CHANGED : 0,
                                         .attributes = attributes[i]};
        objects[i].attributes_bytes = pst_object_identity_encode(&identities[i], attributes[i]);
        data[i] = (struct made_data){i % 2, i + 1, 0, 100};
    }
    const struct made_backup made = {.number = number,
                                     .parts = 2,
                                     .sources = 1,
                                     .objects = objects,
                                     .objects_count = FILES,
                                     .data = data,
                                     .data_count = FILES,
                                     .spoil_manifests = date};
    make_backup(place.path, &made);
}

static struct pst_node_manifest wanted;
static uint64_t trust_after_ns;

static int look(enum pst_base_mode mode, const char *id, uint64_t now_ns)
{
    const struct pst_base_policy policy = {
        .mode = mode, .id = id, .trust_after_ns = trust_after_ns};
    wanted.node = 1;
    wanted.host = wanted.host ? wanted.host : "h";
    wanted.sources_count = 1;
    wanted.sources[0].name = wanted.sources[0].name ? wanted.sources[0].name : "one";
    wanted.sources[0].spec = "dir:/somewhere";
    const struct pst_base_seeker seeker = {
        .policy = &policy, .directory = place.path, .manifest = &wanted, .now_unix_ns = now_ns};
    pst_base_close(base);
    return base_open(&seeker, &base);
}

static void begin(void)
{
    place = make_place();
    memset(&wanted, 0, sizeof(wanted));
    trust_after_ns = 2 * SECOND;
    make(1);
}

static void end(void)
{
    pst_base_close(base);
    base = NULL;
    remove_place(&place);
}

static bool knows(uint32_t i, uint64_t *at)
{
    uint64_t bytes = 0;
    bool is_known = pst_base_find(base, "one", &objects[i], &identities[i], at, &bytes);
    CU_ASSERT_EQUAL(bytes, is_known ? 100 : 0);
    return is_known;
}

static void files_that_may_have_changed_are_not_known(void)
{
    uint64_t at;
    begin();
    CU_ASSERT_EQUAL_FATAL(look(PST_BASE_AUTO, NULL, STARTED + SECOND), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(base);
    CU_ASSERT_EQUAL(base->named.number, 1);
    CU_ASSERT_FALSE(knows(2, &at));
    CU_ASSERT_FALSE(knows(3, &at));
    CU_ASSERT_TRUE(knows(0, &at));
    CU_ASSERT_TRUE_FATAL(knows(1, &at));
    struct pst_reference reference;
    uint64_t next = 0;
    CU_ASSERT_TRUE(pst_base_next_reference(base, at, 77, &next, &reference));
    CU_ASSERT_FALSE(pst_base_next_reference(base, at, 77, &next, &(struct pst_reference){0}));
    CU_ASSERT_EQUAL(reference.object, 77);
    CU_ASSERT_EQUAL(reference.origin_object, 2);
    CU_ASSERT_EQUAL(reference.hash_kind, PST_HASH_OBJECT);
    struct pst_manifest_version version = {0};
    struct pst_manifest_origin origins[PST_ORIGINS_MAX];
    CU_ASSERT_EQUAL(base_uses(base, origins, &version), 0);
    pst_base_note_use(base, &reference);
    pst_base_note_use(base, &reference);
    CU_ASSERT_EQUAL(base_uses(base, origins, &version), 1);
    CU_ASSERT_EQUAL(version.incompatible, 0);
    CU_ASSERT_EQUAL(origins[0].number, 1);
    CU_ASSERT_EQUAL(origins[0].bytes, 200);
    CU_ASSERT_EQUAL(origins[0].objects, 2);
    end();
}

/* A base of which each file may have changed since is one: what it has of large ones is compared.
 */
static void a_file_is_known_when_it_is_old_enough(void)
{
    uint64_t at;
    begin();
    trust_after_ns = 3 * SECOND;
    CU_ASSERT_EQUAL_FATAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_TRUE(knows(0, &at));
    CU_ASSERT_FALSE(knows(1, &at));
    CU_ASSERT_EQUAL(base->young, 2);
    const uint64_t longer_ns[] = {3 * SECOND + 1, STARTED + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(longer_ns) / sizeof(longer_ns[0]); i++) {
        trust_after_ns = longer_ns[i];
        CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED), 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(base);
        CU_ASSERT_EQUAL(base->young, 3);
        CU_ASSERT_FALSE(knows(0, &at));
    }
    trust_after_ns = 0;
    CU_ASSERT_EQUAL_FATAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_EQUAL(base->trust_after_ns, base_trust_after_ns(BASE_AGE_SYSCTLS));
    end();
}

static void set_sysctl(const char *name, const char *text)
{
    char path[sizeof(place.path) + 32];
    snprintf(path, sizeof(path), "%s/%s", place.path, name);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fputs(text, file) >= 0);
    fclose(file);
}

static void the_kernel_says_how_long_a_page_stays_dirty(void)
{
    static const struct {
        const char *expires, *interval;
        uint64_t ns;
    } rows[] = {
        {"3000\n", "500\n", 70 * SECOND},
        {"100\n", "1\n", 2 * SECOND + SECOND / 50},
        {"60000\n", "1500\n", 1230 * SECOND},
        {"1\n", "1\n", 2 * SECOND},
        {"0\n", "500\n", 10 * SECOND},
        {"3000\n", "0\n", UINT64_MAX},
        {"", "?", 70 * SECOND},
        {"4294967295\n", "1\n", UINT64_C(85899345920000000)},
    };
    place = make_place();
    CU_ASSERT_EQUAL(base_trust_after_ns(place.path), 70 * SECOND);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_sysctl("dirty_expire_centisecs", rows[i].expires);
        set_sysctl("dirty_writeback_centisecs", rows[i].interval);
        CU_ASSERT_EQUAL(base_trust_after_ns(place.path), rows[i].ns);
    }
    remove_place(&place);
}

/* The clock was set back: what a ctime says of before and after is worth nothing. */
static void a_backup_of_the_future_is_no_base(void)
{
    begin();
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED - 1), 0);
    CU_ASSERT_PTR_NULL(base);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED - 1), -PST_E_NO_BACKUP);
    CU_ASSERT_PTR_NULL(base);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED), 0);
    CU_ASSERT_PTR_NOT_NULL(base);
    end();
}

static void others_are_no_bases(void)
{
    begin();
    wanted.host = "another";
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    wanted.host = "h";
    wanted.sources[0].name = "two";
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    wanted.sources[0].name = "one";
    wanted.common.cluster_id = 5;
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    wanted.common.cluster_id = 0;
    CU_ASSERT_EQUAL(look(PST_BASE_NONE, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NOT_NULL(base);
    end();
}

/* Until the decision of the new backup, which then says what it refers to. */
static void prune_leaves_a_base_alone(void)
{
    struct pst_backup_list list;
    const char *path;
    uint64_t idle;
    char message[PST_MESSAGE_BYTES];
    begin();
    path = place.path;
    CU_ASSERT_EQUAL_FATAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(&path, 1, &list, message), 0);
    CU_ASSERT_EQUAL_FATAL(pst_prune_lock(&list, &idle, message), 0);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_BUSY);
    pst_base_let_go(base);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    pst_backup_list_release(&list);
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    end();
}

/* Backup number, which has the first file of backup 1. */
static void make_holder(uint32_t number)
{
    const struct pst_object object = {.id = 1, .type = PST_OBJECT_FILE, .path = "a", .size = 100};
    const struct made_reference reference = {
        .object = 1, .bytes = 100, .origin = 1, .origin_object = 1};
    const struct made_backup made = {.number = number,
                                     .parts = 1,
                                     .sources = 1,
                                     .objects = &object,
                                     .objects_count = 1,
                                     .references = &reference,
                                     .references_count = 1,
                                     .spoil_manifests = date};
    make_backup(place.path, &made);
}

/* It was in work when the list was read, and is decided by the time that its base is to go. */
static void prune_sees_what_was_made_meanwhile(void)
{
    struct pst_backup_list list;
    uint64_t idle;
    char message[PST_MESSAGE_BYTES];
    begin();
    const char *path = place.path;
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(&path, 1, &list, message), 0);
    make_holder(2);
    CU_ASSERT_EQUAL_FATAL(pst_prune_lock(&list, &idle, message), 0);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, true, message), -PST_E_REFERRED);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_REFERRED);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "of backup 2"));
    pst_backup_list_release(&list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(&path, 1, &list, message), 0);
    CU_ASSERT_EQUAL_FATAL(list.count, 2);
    CU_ASSERT_EQUAL_FATAL(pst_prune_lock(&list, &idle, message), 0);
    CU_ASSERT_EQUAL(pst_prune(list.backups[1], idle, true, message), 0);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, true, message), 0);
    pst_backup_list_release(&list);
    end();
}

static void note(const struct pst_backup *backup, bool is_damaged)
{
    struct pst_backup_hold hold;
    const struct pst_verified verified = {
        .is_known = true, .is_damaged = is_damaged, .unix_ns = STARTED, .windows = 1};
    CU_ASSERT_EQUAL_FATAL(pst_backup_keep(backup, &hold), 0);
    CU_ASSERT_EQUAL(pst_verified_note(backup, &hold, &verified), 0);
    pst_backup_let_go(&hold);
}

/* The new backup would be damaged from its first day. */
static void what_verify_found_damaged_is_no_base(void)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    begin();
    make_holder(2);
    const char *path = place.path;
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(&path, 1, &list, message), 0);
    CU_ASSERT_EQUAL_FATAL(list.count, 2);
    note(list.backups[1], true); /* of which the damage may lie in 1 */
    CU_ASSERT_EQUAL(look(PST_BASE_AUTO, NULL, STARTED), 0);
    CU_ASSERT_PTR_NULL(base);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "2", STARTED), -PST_E_NO_BACKUP);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED), 0);
    note(list.backups[0], true);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED), -PST_E_NO_BACKUP);
    note(list.backups[0], false);
    note(list.backups[1], false);
    CU_ASSERT_EQUAL(look(PST_BASE_ID, "1", STARTED), 0);
    pst_backup_list_release(&list);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"only what is whole is referred to", only_what_is_whole_is_referred_to},
        {"everything counts", everything_counts},
        {"files that may have changed are not known", files_that_may_have_changed_are_not_known},
        {"a file is known when it is old enough", a_file_is_known_when_it_is_old_enough},
        {"the kernel says how long a page stays dirty",
         the_kernel_says_how_long_a_page_stays_dirty},
        {"a backup of the future is no base", a_backup_of_the_future_is_no_base},
        {"others are no bases", others_are_no_bases},
        {"prune leaves a base alone", prune_leaves_a_base_alone},
        {"prune sees what was made meanwhile", prune_sees_what_was_made_meanwhile},
        {"what verify found damaged is no base", what_verify_found_damaged_is_no_base},
        CU_TEST_INFO_NULL,
    };
    return suite_run("bases", tests);
}
