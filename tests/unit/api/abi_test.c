/* Structs of older and newer programs at the library's boundary. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/api/abi.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"
#include "tests/unit/api/memory.h"

static char scratch[SCRATCH_PATH_BYTES];
static struct memory memory;
static struct pst_source *source;
static struct pst_backup_job job;
static struct pst_backup_outcome outcome;

static void ignore(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    (void)level;
    (void)message;
}

static void set_up(void)
{
    make_scratch(scratch, NULL);
    memory_open(&memory, "memory", 1);
    source = &memory.source;
    job_for(&job, &source, scratch);
    pst_backup_outcome_init(&outcome);
    pst_log_set_hook(ignore, NULL);
}

static void tear_down(void)
{
    pst_log_set_hook(NULL, NULL);
    memory_close(&memory);
    remove_tree(scratch);
}

struct first {
    uint32_t struct_bytes;
    uint32_t a;
};

struct second {
    struct first first;
    uint64_t b;
};

static void what_an_older_struct_lacks_takes_its_default(void)
{
    const struct first given = {.struct_bytes = sizeof(given), .a = 5};
    struct second own = {.first = {.a = 1}, .b = 7};
    CU_ASSERT_EQUAL(pst_abi_take(&own, sizeof(own), &given, sizeof(given)), 0);
    CU_ASSERT_EQUAL(own.first.a, 5);
    CU_ASSERT_EQUAL(own.b, 7);
}

static void what_a_newer_struct_has_more_must_be_zero(void)
{
    struct second given = {.first = {.struct_bytes = sizeof(given), .a = 5}};
    struct first own = {.a = 1};
    CU_ASSERT_EQUAL(pst_abi_take(&own, sizeof(own), &given, sizeof(own)), 0);
    CU_ASSERT_EQUAL(own.a, 5);
    given.b = UINT64_C(1) << 63;
    own.a = 1;
    CU_ASSERT_EQUAL(pst_abi_take(&own, sizeof(own), &given, sizeof(own)), -E2BIG);
    CU_ASSERT_EQUAL(own.a, 1);
}

static void what_is_told_fits_what_the_caller_has(void)
{
    struct second given = {.first = {.struct_bytes = sizeof(struct first)}, .b = 3};
    const struct second own = {.first = {.struct_bytes = sizeof(own), .a = 9}, .b = 4};
    pst_abi_give(&given, &own, sizeof(own));
    CU_ASSERT_EQUAL(given.first.struct_bytes, sizeof(struct first));
    CU_ASSERT_EQUAL(given.first.a, 9);
    CU_ASSERT_EQUAL(given.b, 3);
}

static void a_struct_that_was_not_initialised_is_refused(void)
{
    struct pst_backup_outcome untouched = {.number = 77};
    CU_ASSERT_EQUAL(pst_run_backup(&job, &untouched), -EINVAL);
    CU_ASSERT_EQUAL(untouched.number, 77);
    struct pst_backup_job nothing = {0};
    CU_ASSERT_EQUAL(pst_run_backup(&nothing, &outcome), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "_init"));
}

static void a_newer_job_is_refused_only_for_what_it_asks(void)
{
    struct {
        struct pst_backup_job job;
        uint64_t new_option;
    } newer = {.job = job};
    newer.job.struct_bytes = sizeof(newer);
    CU_ASSERT_EQUAL(pst_run_backup(&newer.job, &outcome), 0);
    newer.new_option = 1;
    CU_ASSERT_EQUAL(pst_run_backup(&newer.job, &outcome), -E2BIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "newer libpenstock"));
}

static void an_older_source_is_not_asked_what_it_does_not_know(void)
{
    memory.check_error = -EIO; /* lies where its program's struct has ended */
    memory.checks = 0;
    memory.source.struct_bytes = (uint32_t)PST_SOURCE_BYTES_MIN;
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), 0);
    CU_ASSERT_EQUAL(memory.checks, 0);
    memory.source.struct_bytes = sizeof(struct pst_source);
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -EIO);
    CU_ASSERT_EQUAL(memory.checks, 1);
}

static void a_newer_source_is_refused_only_for_what_it_asks(void)
{
    struct {
        struct memory memory;
        char padding[64];
    } newer = {.memory = memory};
    /* What follows the struct in the program's own is not the library's; here it is the newer
     * struct's end. */
    memset((char *)&newer.memory.source + sizeof(struct pst_source), 0, sizeof(void *));
    newer.memory.bytes = NULL;
    newer.memory.source.struct_bytes = sizeof(struct pst_source) + sizeof(void *);
    struct pst_source *newer_source = &newer.memory.source;
    job.sources = &newer_source;
    newer.memory.source.list = NULL; /* found after the size */
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "list is NULL"));
    memset((char *)&newer.memory.source + sizeof(struct pst_source), 1, 1);
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "newer libpenstock"));
}

static void expect_refused(const char *why)
{
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -EINVAL);
    if (!strstr(outcome.message, why))
        printf("%s: %s\n", why, outcome.message);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, why));
}

static void a_source_that_cannot_be_run_is_refused(void)
{
    const struct pst_source good = memory.source;
    memory.source.abi_version++;
    expect_refused("abi_version");
    memory.source = good;
    memory.source.struct_bytes = 8;
    expect_refused("struct_bytes");
    memory.source.struct_bytes = UINT32_MAX;
    expect_refused("struct_bytes");
    memory.source = good;
    strcpy(memory.source.name, "a/b");
    expect_refused("name must be");
    memset(memory.source.name, 'a', sizeof(memory.source.name));
    expect_refused("name must be");
    memory.source = good;
    memory.source.type = NULL;
    expect_refused("type must be");
    memory.source = good;
    memory.source.phase = PST_SOURCE_THAWED;
    expect_refused("in use");
    memory.source = good;
    source = NULL;
    expect_refused("NULL");
    source = &memory.source;
    struct pst_source *const twice[] = {source, source};
    job.sources = twice;
    job.sources_count = 2;
    expect_refused("called \"memory\"");
}

/* Beside a job that has it, and has not begun to freeze it: a node's is idle for hours. */
static int back_up_elsewhere(struct pst_source *one)
{
    struct pst_backup_job other;
    struct pst_backup_outcome end;
    char to[2 * SCRATCH_PATH_BYTES];
    snprintf(to, sizeof(to), "%s/elsewhere", scratch);
    job_for(&other, &one, to);
    pst_backup_outcome_init(&end);
    CU_ASSERT_EQUAL(pst_run_backup(&other, &end), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(end.message, "in use"));
    return 0;
}

static void a_source_is_of_one_job_at_a_time(void)
{
    memory.source.prepare = back_up_elsewhere;
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), 0);
}

static void a_job_that_cannot_be_run_is_refused(void)
{
    const struct pst_backup_job good = job;
    job.directory = NULL;
    expect_refused("no directory");
    job = good;
    job.sources_count = 0;
    expect_refused("0 sources");
    job = good;
    job.specs_count = PST_SOURCES_MAX;
    expect_refused("65 sources");
    job = good;
    job.chunk_bytes = 65;
    expect_refused("chunks of 65");
    job = good;
    job.depth = 0;
    expect_refused("depth 0");
    job = good;
    job.direct = "perhaps";
    expect_refused("direct perhaps");
    job = good;
    job.freeze_wait_ns = PST_FREEZE_NS_MAX + 1;
    expect_refused("freeze");
    job = good;
    job.is_logical = true;
    expect_refused("no source has tables");
    job = good;
    static const char *const table[] = {"table"};
    job.tables = table;
    job.tables_count = 1;
    expect_refused("logical");
    job = good;
    job.run.ldms = PST_LDMS_MAX + 1;
    expect_refused("257");
    job = good;
    job.number = UINT32_MAX; /* would leave none for the backups after it */
    expect_refused("number 4294967295");
    job = good;
    job.full_every = PST_FULL_EVERY_MAX + 1;
    job.base = "auto";
    expect_refused("full-every 1001");
}

/* The lists of a backup's job; the list and its count lie side by side in none. */
static void a_list_that_is_shorter_than_it_counts_is_refused(void)
{
    static const char *const half[] = {"text", NULL};
    const struct {
        const char *name;
        const char *const **list;
        uint32_t *count;
    } lists[] = {
        {"specs", &job.specs, &job.specs_count},
        {"tables", &job.tables, &job.tables_count},
        {"unwanted tables", &job.unwanted_tables, &job.unwanted_tables_count},
        {"exclude", &job.exclude, &job.exclude_count},
        {"exclude files", &job.exclude_files, &job.exclude_files_count},
        {"exclude tags", &job.exclude_tags, &job.exclude_tags_count},
    };
    const struct pst_backup_job good = job;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        *lists[i].count = 2;
        expect_refused(lists[i].name);
        *lists[i].list = half;
        expect_refused(lists[i].name);
        job = good;
    }
    job.sources = NULL;
    expect_refused("sources");
    job = good;
    CU_ASSERT_EQUAL(pst_run_backup(NULL, &outcome), -EINVAL);
    CU_ASSERT_EQUAL(pst_run_backup(&job, NULL), -EINVAL);
}

/* It would be the name of a file in a message, and nobody would see it. */
static void a_text_that_is_empty_is_refused_by_what_it_is(void)
{
    static const char *const empty[] = {""};
    struct pst_keys keys;
    const struct pst_backup_job good = job;
    job.directory = "";
    expect_refused("no directory for the backups is given");
    job = good;
    job.base = "";
    expect_refused("base: the text is empty");
    job = good;
    job.freeze_command = ""; /* a shell would run it, freeze nothing, and succeed */
    expect_refused("freeze command: the text is empty");
    job.freeze_command = "true";
    job.thaw_command = "";
    expect_refused("thaw command: the text is empty");
    job = good;
    job.exclude_files = empty;
    job.exclude_files_count = 1;
    expect_refused("exclude files: one of the texts is empty");
    job = good;
    job.keys = &keys;
    pst_keys_init(&keys);
    keys.passphrase_file = "";
    expect_refused("passphrase file: the text is empty");
    pst_keys_init(&keys);
    keys.passphrase_command = "";
    expect_refused("passphrase command: the text is empty");
    pst_keys_init(&keys);
    keys.files = keys.recipients = empty;
    keys.files_count = 1;
    expect_refused("files of keys: one of the texts is empty");
    keys.files_count = 0;
    keys.recipients_count = 1;
    expect_refused("recipients: one of the texts is empty");
    CU_ASSERT_EQUAL(pst_list_backups(empty, 1, NULL, NULL), -EINVAL);
}

static void an_empty_text_restores_nothing(void)
{
    static const char *const empty[] = {""};
    struct pst_restore_outcome made;
    struct pst_restore_job restore;
    pst_restore_outcome_init(&made);
    pst_restore_job_init(&restore);
    restore.directory = scratch;
    restore.target = "";
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    CU_ASSERT_STRING_EQUAL(made.message, "target: the text is empty");
    restore.target = scratch;
    restore.id = "";
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    CU_ASSERT_STRING_EQUAL(made.message, "id: the text is empty");
    restore.id = NULL;
    restore.paths = empty; /* it would fit everything */
    restore.paths_count = 1;
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(made.message, "paths: one of the texts is empty"));
}

static void keys_that_are_none_seal_nothing_and_are_refused(void)
{
    struct pst_keys keys;
    pst_keys_init(&keys);
    job.keys = &keys;
    expect_refused("there is none in it");
    keys.files_count = 1;
    expect_refused("files of keys");
    keys.files_count = 0;
    keys.recipients_count = 1;
    expect_refused("recipients");
}

static void jobs_that_read_are_refused_likewise(void)
{
    struct pst_verify_outcome seen;
    struct pst_restore_outcome made;
    struct pst_verify_job verify;
    struct pst_restore_job restore;
    pst_verify_job_init(&verify);
    pst_restore_job_init(&restore);
    pst_verify_outcome_init(&seen);
    pst_restore_outcome_init(&made);
    restore.target = scratch;
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    verify.directory = restore.directory = scratch;
    verify.only_count = restore.only_count = 1;
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    verify.only_count = restore.only_count = 0;
    verify.more_directories_count = restore.more_directories_count = 1;
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    restore.more_directories_count = 0;
    restore.paths_count = 1;
    CU_ASSERT_EQUAL(pst_run_restore(&restore, &made), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(made.message, "paths"));
    CU_ASSERT_EQUAL(pst_list_backups(NULL, 1, NULL, NULL), -EINVAL);
    verify.more_directories_count = 0;
    verify.sample_percent = 101;
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.message, "101 percent"));
    verify.sample_percent = 0;
    verify.directory = "";
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.message, "no directory"));
}

/* It would count as readable: the job would be cancelled. */
static void a_descriptor_that_is_closed_is_refused(void)
{
    struct pst_verify_job verify;
    struct pst_verify_outcome seen;
    pst_verify_job_init(&verify);
    pst_verify_outcome_init(&seen);
    verify.directory = scratch;
    job.run.cancel_fd = verify.run.cancel_fd = 12345;
    expect_refused("descriptor 12345 is not open");
    struct pst_keys keys; /* a passphrase would be waited for until it is readable */
    pst_keys_init(&keys);
    keys.passphrase_command = "echo phrase";
    job.keys = &keys;
    expect_refused("descriptor 12345 is not open");
    CU_ASSERT_EQUAL(pst_run_verify(&verify, &seen), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.message, "descriptor 12345 is not open"));
}

static void a_message_is_one_line(void)
{
    static const char *const spec[] = {"a\nb=dir:/"};
    job.specs = spec;
    job.specs_count = 1;
    expect_refused("a?b=dir:/");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what an older struct lacks takes its default",
         what_an_older_struct_lacks_takes_its_default},
        {"what a newer struct has more must be 0", what_a_newer_struct_has_more_must_be_zero},
        {"what is told fits what the caller has", what_is_told_fits_what_the_caller_has},
        {"a struct that was not initialised is refused",
         a_struct_that_was_not_initialised_is_refused},
        {"a newer job is refused only for what it asks",
         a_newer_job_is_refused_only_for_what_it_asks},
        {"an older source is not asked what it does not know",
         an_older_source_is_not_asked_what_it_does_not_know},
        {"a newer source is refused only for what it asks",
         a_newer_source_is_refused_only_for_what_it_asks},
        {"a source that cannot be run is refused", a_source_that_cannot_be_run_is_refused},
        {"a source is of one job at a time", a_source_is_of_one_job_at_a_time},
        {"a job that cannot be run is refused", a_job_that_cannot_be_run_is_refused},
        {"a list that is shorter than it counts is refused",
         a_list_that_is_shorter_than_it_counts_is_refused},
        {"a text that is empty is refused by what it is",
         a_text_that_is_empty_is_refused_by_what_it_is},
        {"an empty text restores nothing", an_empty_text_restores_nothing},
        {"keys that are none seal nothing, and are refused",
         keys_that_are_none_seal_nothing_and_are_refused},
        {"jobs that read are refused likewise", jobs_that_read_are_refused_likewise},
        {"a descriptor that is closed is refused", a_descriptor_that_is_closed_is_refused},
        {"a message is one line", a_message_is_one_line},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"ABI", NULL, NULL, set_up, tear_down, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
