#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/cli/progress.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"

#define S 1000000000ull
#define MIB (1ull << 20)

static char *text;
static size_t text_bytes;
static FILE *out;
static struct cli_progress *progress;

static void start(enum cli_progress_style style)
{
    out = open_memstream(&text, &text_bytes);
    progress = cli_progress_start(out, style, "backup", 100 * S);
    CU_ASSERT_FATAL(out && progress);
}

static void finish(void)
{
    cli_progress_finish(progress);
    fclose(out);
}

static void update(uint64_t after_ms, uint64_t done, uint64_t total, uint64_t objects)
{
    cli_progress_update(progress,
                        &(struct cli_progress_sample){.now_ns = 100 * S + after_ms * 1000000,
                                                      .bytes_done = done,
                                                      .bytes_total = total,
                                                      .objects_done = objects});
}

static void check_text(const char *expected)
{
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("\n%s", text);
    free(text);
}

static void test_lines_at_their_interval(void)
{
    start(CLI_PROGRESS_LINE);
    update(0, 0, 0, 0);
    update(9999, 99 * MIB, 400 * MIB, 3);
    update(10000, 100 * MIB, 400 * MIB, 3);
    update(15000, 150 * MIB, 400 * MIB, 4);
    update(20000, 200 * MIB, 400 * MIB, 1);
    finish();
    check_text("backup: 100.0 MiB of 400.0 MiB, 25 %, 10.0 MiB/s, 3 objects, 0:10, ETA 0:30\n"
               "backup: 200.0 MiB of 400.0 MiB, 50 %, 10.0 MiB/s, 1 object, 0:20, ETA 0:20\n");
}

static void test_an_unknown_total_has_no_eta(void)
{
    start(CLI_PROGRESS_LINE);
    update(10000, 100 * MIB, 0, 7);
    finish();
    check_text("backup: 100.0 MiB, 10.0 MiB/s, 7 objects, 0:10\n");
}

static void test_no_rate_no_eta_and_no_division_by_zero(void)
{
    start(CLI_PROGRESS_LINE);
    update(10000, 0, 100 * MIB, 0);
    finish();
    check_text("backup: 0 B of 100.0 MiB, 0 %, 0 B/s, 0 objects, 0:10\n");
}

/* A source that grows while it is read, and a count that goes back. */
static void test_more_than_everything_is_everything(void)
{
    start(CLI_PROGRESS_LINE);
    update(10000, 200 * MIB, 100 * MIB, 2);
    update(20000, 100 * MIB, 100 * MIB, 2);
    finish();
    check_text("backup: 200.0 MiB of 100.0 MiB, 100 %, 20.0 MiB/s, 2 objects, 0:10, ETA 0:00\n"
               "backup: 100.0 MiB of 100.0 MiB, 100 %, 20.0 MiB/s, 2 objects, 0:20, ETA 0:00\n");
}

static void test_the_rate_follows_slowly(void)
{
    start(CLI_PROGRESS_LINE);
    update(10000, 100 * MIB, 0, 0); /* 10 MiB/s */
    update(20000, 100 * MIB, 0, 0); /* nothing for 10 s: two thirds of it are forgotten */
    finish();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "100.0 MiB, 3.3 MiB/s, 0 objects, 0:20\n"));
    free(text);
}

static void test_the_bar_is_drawn_over_and_removed(void)
{
    start(CLI_PROGRESS_BAR);
    update(100, MIB, 4 * MIB, 1);
    update(1000, MIB, 4 * MIB, 1);
    update(1100, 2 * MIB, 4 * MIB, 1);
    finish();
    check_text("\rbackup [##------] 1.0 MiB of 4.0 MiB, 25 %, 1.0 MiB/s, 1 object, 0:01, ETA 0:03"
               "\033[K\r\033[K");
}

/* A line of the log stands alone, whatever the bar shows; with no bar it is as ever. */
static void test_a_log_line_replaces_the_bar(void)
{
    begin_log_capture();
    start(CLI_PROGRESS_BAR);
    update(1000, MIB, 4 * MIB, 1);
    pst_log(PST_LOG_WARNING, "first");
    pst_log(PST_LOG_WARNING, "second");
    update(2000, 2 * MIB, 4 * MIB, 1);
    finish();
    pst_log(PST_LOG_WARNING, "third");
    char *log = end_log_capture();
    CU_ASSERT_STRING_EQUAL(log, "\r\033[Kpenstock: warning: first\npenstock: warning: second\n"
                                "penstock: warning: third\n");
    free(log);
    free(text);
}

static void test_the_bar_fits_the_terminal(void)
{
    start(CLI_PROGRESS_BAR);
    for (uint64_t done = 0; done <= 40; done++)
        update(1000 + 1000 * done, done * 100 * MIB, 4000 * MIB, done * 1000000);
    finish();
    for (char *line = strtok(text, "\r"); line; line = strtok(NULL, "\r"))
        CU_ASSERT_TRUE(strcspn(line, "\033") < 80);
    free(text);
}

static void test_json_records(void)
{
    start(CLI_PROGRESS_JSON);
    update(500, MIB, 4 * MIB, 1);
    update(2000, 2 * MIB, 4 * MIB, 1);
    update(4000, 4 * MIB, 0, 2);
    finish();
    char *second = strchr(text, '\n') + 1;
    json_t *first_record = json_loadb(text, (size_t)(second - text), 0, NULL);
    json_t *second_record = json_loads(second, 0, NULL);
    CU_ASSERT_FATAL(first_record && second_record);
    CU_ASSERT_EQUAL(strncmp(text, "{\"message_type\":\"status\"", 24), 0);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(first_record, "percent_done")), 0.5);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first_record, "source_bytes")), 2 * MIB);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first_record, "source_bytes_total")),
                    4 * MIB);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first_record, "elapsed_ns")), 2000000000);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first_record, "remaining_ns")), 2000000000);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first_record, "bytes_per_second")), MIB);
    CU_ASSERT_PTR_NULL(json_object_get(second_record, "percent_done"));
    CU_ASSERT_PTR_NULL(json_object_get(second_record, "source_bytes_total"));
    CU_ASSERT_PTR_NULL(json_object_get(second_record, "remaining_ns"));
    json_decref(first_record);
    json_decref(second_record);
    free(text);
}

static void test_sigusr1_prints_at_once(void)
{
    start(CLI_PROGRESS_LINE);
    update(1000, MIB, 0, 1);
    raise(SIGUSR1);
    update(2000, 2 * MIB, 0, 1);
    update(3000, 3 * MIB, 0, 1);
    finish();
    check_text("backup: 2.0 MiB, 1.0 MiB/s, 1 object, 0:02\n");
}

static void test_nothing_printed_nothing_left(void)
{
    start(CLI_PROGRESS_BAR);
    update(100, MIB, 4 * MIB, 1);
    finish();
    check_text("");
    cli_progress_finish(NULL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lines at their interval", test_lines_at_their_interval},
        {"an unknown total has no eta", test_an_unknown_total_has_no_eta},
        {"no rate no eta and no division by zero", test_no_rate_no_eta_and_no_division_by_zero},
        {"more than everything is everything", test_more_than_everything_is_everything},
        {"the rate follows slowly", test_the_rate_follows_slowly},
        {"the bar is drawn over and removed", test_the_bar_is_drawn_over_and_removed},
        {"a log line replaces the bar", test_a_log_line_replaces_the_bar},
        {"the bar fits the terminal", test_the_bar_fits_the_terminal},
        {"json records", test_json_records},
        {"sigusr1 prints at once", test_sigusr1_prints_at_once},
        {"nothing printed nothing left", test_nothing_printed_nothing_left},
        CU_TEST_INFO_NULL,
    };
    return suite_run("cli/progress", tests);
}
