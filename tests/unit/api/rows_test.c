/* Rows of a program's own source, and sinks of a program's own: sound ones, and all others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/suite.h"
#include "tests/support/scratch.h"
#include "tests/unit/api/memory.h"

static char scratch[SCRATCH_PATH_BYTES], to[SCRATCH_PATH_BYTES + 8], target[SCRATCH_PATH_BYTES + 8];
static struct memory memory;

/* A sink that counts, and its calls. */
struct counting {
    struct pst_table_sink sink; /* first */
    uint64_t newer;             /* where a newer struct would go on */
    uint32_t begins, rows, wrong, ends, finishes, closes;
    int directory_fd;
    int row_error;
    int finish_error;
    int open_error;
};

static int count_begin(struct pst_table_sink *sink, const struct pst_table *table)
{
    struct counting *counting = (struct counting *)sink;
    counting->begins++;
    counting->wrong += table->rows != MEMORY_ROWS || table->name_bytes != 5 ||
                       memcmp(table->name, "table", 5) != 0;
    return 0;
}

static int count_row(struct pst_table_sink *sink, const void *key, uint32_t key_bytes,
                     const void *value, uint32_t value_bytes)
{
    struct counting *counting = (struct counting *)sink;
    uint32_t read_key, read_value;
    memcpy(&read_key, key, sizeof(read_key));
    memcpy(&read_value, value, sizeof(read_value));
    counting->wrong += key_bytes != 4 || value_bytes != 4 || read_key != counting->rows ||
                       read_value != counting->rows + 7;
    counting->rows++;
    if (counting->row_error)
        snprintf(sink->error_text, sizeof(sink->error_text), "row %u is not wanted", read_key);
    return counting->row_error;
}

static int count_end(struct pst_table_sink *sink)
{
    ((struct counting *)sink)->ends++;
    return 0;
}

static int count_finish(struct pst_table_sink *sink)
{
    ((struct counting *)sink)->finishes++;
    return ((struct counting *)sink)->finish_error;
}

static void count_close(struct pst_table_sink *sink)
{
    ((struct counting *)sink)->closes++;
}

static int open_counting(void *context, const struct pst_database *database, int directory_fd,
                         struct pst_table_sink **sink, char *error_text)
{
    struct counting *counting = context;
    counting->directory_fd = directory_fd;
    counting->wrong += strcmp(database->kind, "memory") != 0 || database->tables != 1;
    if (counting->open_error)
        snprintf(error_text, PST_TABLE_SINK_TEXT_BYTES, "this bank is closed");
    else
        *sink = &counting->sink;
    return counting->open_error;
}

static struct counting new_counting(void)
{
    return (struct counting){.sink = {.struct_bytes = sizeof(struct pst_table_sink),
                                      .abi_version = PST_TABLE_SINK_ABI_VERSION,
                                      .begin = count_begin,
                                      .row = count_row,
                                      .end = count_end,
                                      .finish = count_finish,
                                      .close = count_close}};
}

static void set_up(void)
{
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    make_scratch(scratch, NULL);
    snprintf(to, sizeof(to), "%s/to", scratch);
    snprintf(target, sizeof(target), "%s/out", scratch);
    memory_open_rows(&memory, "memory");
    job_for(&job, &source, to);
    pst_backup_outcome_init(&outcome);
    pst_log_set_level(PST_LOG_WARNING);
    CU_ASSERT_EQUAL_FATAL(pst_run_backup(&job, &outcome), 0);
}

static void tear_down(void)
{
    memory_close(&memory);
    remove_tree(scratch);
}

static int restore(struct counting *counting, const char *into, char *message)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = to;
    job.target = into;
    if (counting) {
        job.open_sink = open_counting;
        job.sink_context = counting;
    }
    int error = pst_run_restore(&job, &outcome);
    snprintf(message, PST_MESSAGE_BYTES, "%s", outcome.message);
    return error;
}

static void rows_come_back_without_a_target(void)
{
    char message[PST_MESSAGE_BYTES];
    struct counting counting = new_counting();
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), 0);
    CU_ASSERT_EQUAL(counting.begins, 1);
    CU_ASSERT_EQUAL(counting.rows, MEMORY_ROWS);
    CU_ASSERT_EQUAL(counting.wrong, 0);
    CU_ASSERT_EQUAL(counting.ends, 1);
    CU_ASSERT_EQUAL(counting.finishes, 1);
    CU_ASSERT_EQUAL(counting.closes, 1);
    CU_ASSERT_EQUAL(counting.directory_fd, -1);
}

static void a_sink_need_not_make_a_file(void)
{
    char message[PST_MESSAGE_BYTES], path[2 * SCRATCH_PATH_BYTES];
    struct stat status;
    struct counting counting = new_counting();
    CU_ASSERT_EQUAL(restore(&counting, target, message), 0);
    CU_ASSERT_EQUAL(counting.rows, MEMORY_ROWS);
    CU_ASSERT_TRUE(counting.directory_fd >= 0);
    CU_ASSERT_EQUAL(stat(target, &status), 0);
    snprintf(path, sizeof(path), "%s/database", target);
    CU_ASSERT_EQUAL(stat(path, &status), -1);
}

static void what_a_sink_refuses_is_told(void)
{
    char message[PST_MESSAGE_BYTES];
    struct counting counting = new_counting();
    counting.row_error = -EDOM;
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), -EDOM);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "row 0 is not wanted"));
    CU_ASSERT_EQUAL(counting.rows, 1);
    CU_ASSERT_EQUAL(counting.finishes, 0);
    CU_ASSERT_EQUAL(counting.closes, 1);
    counting = new_counting();
    counting.open_error = -EDOM;
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), -EDOM);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "this bank is closed"));
}

/* A program that looks for errors below 0 would take the restore for done. */
static void what_is_neither_0_nor_an_error_fails(void)
{
    char message[PST_MESSAGE_BYTES];
    for (int i = 0; i < 3; i++) {
        struct counting counting = new_counting();
        *(int *[]){&counting.row_error, &counting.finish_error, &counting.open_error}[i] = 7;
        CU_ASSERT_EQUAL(restore(&counting, NULL, message), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, "returned 7"));
    }
}

static int open_and_fill_text(void *context, const struct pst_database *database, int directory_fd,
                              struct pst_table_sink **sink, char *error_text)
{
    (void)database;
    (void)directory_fd;
    (void)sink;
    memset(error_text, 'x', PST_TABLE_SINK_TEXT_BYTES);
    error_text[1] = '\n';
    *(bool *)context = true;
    return -EDOM;
}

static void a_text_without_an_end_is_cut(void)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    bool was_called = false;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = to;
    job.open_sink = open_and_fill_text;
    job.sink_context = &was_called;
    CU_ASSERT_EQUAL(pst_run_restore(&job, &outcome), -EDOM);
    CU_ASSERT_TRUE(was_called);
    const char *text = strstr(outcome.message, ": x?x"); /* on one line */
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(strlen(text + 2), PST_TABLE_SINK_TEXT_BYTES);
}

static void rows_that_nobody_takes_are_refused(void)
{
    char message[PST_MESSAGE_BYTES];
    struct counting counting = new_counting();
    counting.open_error = -ENOTSUP;
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), -ENOTSUP);
    CU_ASSERT_EQUAL(restore(&counting, target, message), -ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "kind \"memory\""));
    CU_ASSERT_EQUAL(restore(NULL, target, message), -ENOTSUP);
    CU_ASSERT_EQUAL(restore(NULL, NULL, message), -EINVAL);
}

static void expect_refused(struct counting *counting, const char *why)
{
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL(restore(counting, NULL, message), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, why));
    CU_ASSERT_EQUAL(counting->begins, 0);
}

static void a_sink_of_another_version_is_refused(void)
{
    char message[PST_MESSAGE_BYTES];
    struct counting counting = new_counting();
    counting.sink.abi_version++;
    expect_refused(&counting, "abi_version");
    counting = new_counting();
    counting.sink.struct_bytes = PST_TABLE_SINK_BYTES_MIN - 1;
    expect_refused(&counting, "struct_bytes");
    counting = new_counting();
    counting.sink.struct_bytes = PST_TABLE_SINK_BYTES_MIN; /* of the first version */
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), 0);
    counting = new_counting();
    counting.sink.end = NULL;
    expect_refused(&counting, "a method is NULL");
    counting = new_counting();
    counting.sink.struct_bytes += (uint32_t)sizeof(counting.newer);
    CU_ASSERT_EQUAL(restore(&counting, NULL, message), 0);
    counting = new_counting();
    counting.sink.struct_bytes += (uint32_t)sizeof(counting.newer);
    counting.newer = 1;
    expect_refused(&counting, "newer libpenstock");
}

static void a_source_that_lists_nonsense_fails(void)
{
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    pst_backup_outcome_init(&outcome);
    job_for(&job, &source, to);
    memory.source.produce = NULL;
    pst_log_set_level(PST_LOG_ERROR);
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "no backup was made"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rows come back without a target", rows_come_back_without_a_target},
        {"a sink need not make a file", a_sink_need_not_make_a_file},
        {"what a sink refuses is told", what_a_sink_refuses_is_told},
        {"what is neither 0 nor an error fails", what_is_neither_0_nor_an_error_fails},
        {"a text without an end is cut", a_text_without_an_end_is_cut},
        {"rows that nobody takes are refused", rows_that_nobody_takes_are_refused},
        {"a sink of another version is refused", a_sink_of_another_version_is_refused},
        {"a source that lists nonsense fails", a_source_that_lists_nonsense_fails},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"rows", NULL, NULL, set_up, tear_down, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
