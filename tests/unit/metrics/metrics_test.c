/* The text of metrics: both formats, and what becomes of a status that lacks fields. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/metrics/node_metrics.h"
#include "engine/metrics/run_metrics.h"
#include "tests/suite.h"

static bool is_memory_out;
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes)
{
    return is_memory_out ? NULL : __real_realloc(memory, bytes);
}

static const struct pst_metric size = {"a_size_bytes", "bytes", false, "A size."};
static const struct pst_metric waits = {"a_wait_seconds", "seconds", true, "Waits."};

/* Two families, with and without labels. */
static char *example(enum pst_exposition_format format, const struct pst_label *common)
{
    static const struct pst_label odd[] = {{"name", "\xc3\xa4\"b\\c\nd\xff"}, {0}};
    struct pst_exposition exposition;
    char *text;
    size_t bytes;
    exposition_begin(&exposition, format, common);
    exposition_family(&exposition, &size);
    exposition_number(&exposition, odd, UINT64_MAX);
    exposition_family(&exposition, &waits);
    exposition_ns(&exposition, NULL, UINT64_C(12000000034));
    CU_ASSERT_EQUAL_FATAL(exposition_end(&exposition, &text, &bytes), 0);
    CU_ASSERT_EQUAL(bytes, strlen(text));
    return text;
}

static void expect_text(char *text, const char *wanted)
{
    CU_ASSERT_STRING_EQUAL(text, wanted);
    free(text);
}

static void the_formats_differ_in_counters_units_and_end(void)
{
    expect_text(example(PST_EXPOSITION_OPENMETRICS, NULL),
                "# HELP a_size_bytes A size.\n"
                "# TYPE a_size_bytes gauge\n"
                "# UNIT a_size_bytes bytes\n"
                "a_size_bytes{name=\"\xc3\xa4\\\"b\\\\c\\nd?\"} 18446744073709551615\n"
                "# HELP a_wait_seconds Waits.\n"
                "# TYPE a_wait_seconds counter\n"
                "# UNIT a_wait_seconds seconds\n"
                "a_wait_seconds_total 12.000000034\n"
                "# EOF\n");
    const struct pst_label common[] = {{"node", "7"}, {0}};
    expect_text(example(PST_EXPOSITION_PROMETHEUS, common),
                "# HELP a_size_bytes A size.\n"
                "# TYPE a_size_bytes gauge\n"
                "a_size_bytes{node=\"7\",name=\"\xc3\xa4\\\"b\\\\c\\nd?\"} 18446744073709551615\n"
                "# HELP a_wait_seconds_total Waits.\n"
                "# TYPE a_wait_seconds_total counter\n"
                "a_wait_seconds_total{node=\"7\"} 12.000000034\n");
}

static char *metrics_of(json_t *status)
{
    char *text;
    size_t bytes;
    CU_ASSERT_EQUAL_FATAL(pst_metrics_of_node(status, PST_EXPOSITION_OPENMETRICS, &text, &bytes),
                          0);
    json_decref(status);
    return text;
}

static void a_status_becomes_samples(void)
{
    char *text = metrics_of(json_pack(
        "{s:s, s:i, s:i, s:[{s:i, s:s}, {s:i, s:s, s:i}], s:{s:s, s:I}, s:n, s:[{s:s, s:I}], "
        "s:[s, s]}",
        "cluster", "c", "node", 2, "master", 1, "nodes", "node", 1, "state", "kept out", "node", 2,
        "state", "live", "source_bytes", 77, "last_success", "ended",
        "2026-01-31T12:34:56.123456789Z", "elapsed_ns", (json_int_t)1500000000, "last_failure",
        "stalls", "thread", "LDM 1", "elapsed_ns", (json_int_t)6000000000, "left_frozen", "a",
        "b"));
    static const char *const samples[] = {
        "\npenstock_node_master{cluster=\"c\",node=\"2\"} 0\n",
        "\npenstock_peer_state{cluster=\"c\",node=\"2\",peer=\"1\",state=\"kept_out\"} 1\n",
        "\npenstock_peer_state{cluster=\"c\",node=\"2\",peer=\"1\",state=\"live\"} 0\n",
        "\npenstock_peer_state{cluster=\"c\",node=\"2\",peer=\"2\",state=\"live\"} 1\n",
        "\npenstock_backup_running{cluster=\"c\",node=\"2\"} 1\n",
        "\npenstock_backup_running_source_bytes{cluster=\"c\",node=\"2\"} 77\n",
        "\npenstock_backup_last_success_timestamp_seconds{cluster=\"c\",node=\"2\"} "
        "1769862896.123456789\n",
        "\npenstock_backup_last_success_duration_seconds{cluster=\"c\",node=\"2\"} 1.500000000\n",
        "\npenstock_sources_left_frozen{cluster=\"c\",node=\"2\"} 2\n",
        "\npenstock_stalled_threads{cluster=\"c\",node=\"2\"} 1\n",
        "\npenstock_stalled_thread_seconds{cluster=\"c\",node=\"2\",thread=\"LDM 1\"} "
        "6.000000000\n"};
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text, samples[i]));
    /* nothing has failed yet: no time at all, rather than 1970 */
    CU_ASSERT_PTR_NULL(strstr(text, "last_failure"));
    free(text);
}

static void a_status_of_an_older_node_lacks_families(void)
{
    char *text = metrics_of(json_pack("{s:s, s:i}", "cluster", "c", "node", 1));
    CU_ASSERT_PTR_NULL(strstr(text, "penstock_backups_total"));
    CU_ASSERT_PTR_NULL(strstr(text, "penstock_signals"));
    CU_ASSERT_STRING_EQUAL(text + strlen(text) - 6, "# EOF\n");
    free(text);
}

static void missing_memory_is_an_error(void)
{
    json_t *status = json_pack("{s:s}", "cluster", "c");
    char *text = NULL;
    size_t bytes;
    is_memory_out = true;
    int error = pst_metrics_of_node(status, PST_EXPOSITION_OPENMETRICS, &text, &bytes);
    is_memory_out = false;
    CU_ASSERT_EQUAL(error, -ENOMEM);
    CU_ASSERT_PTR_NULL(text);
    json_decref(status);
}

static struct pst_metrics_run make_run(bool has_succeeded, const struct pst_label *labels)
{
    static const struct pst_metric made = PST_METRICS_RESULT("things", NULL, "Things.");
    struct pst_metrics_run run = {
        .labels = labels, .ended_unix_ns = 2000000000, .exit_code = has_succeeded ? 0 : 1};
    run.has_succeeded = has_succeeded;
    run.results_count = has_succeeded;
    run.results[0] = (struct pst_metrics_result){&made, 42};
    return run;
}

static char *text_of_run(const struct pst_metrics_run *run, const char *before)
{
    char *text;
    size_t bytes;
    CU_ASSERT_EQUAL_FATAL(metrics_of_run(run, before, &text, &bytes), 0);
    return text;
}

static void a_failed_run_keeps_the_success_of_its_job(void)
{
    const struct pst_label own[] = {{"directory", "/a"}, {0}},
                           other[] = {{"directory", "/ab"}, {0}};
    struct pst_metrics_run good = make_run(true, own), bad = make_run(false, own);
    struct pst_metrics_run others = make_run(false, other);
    bad.ended_unix_ns *= 2;
    char *first = text_of_run(&good, ""), *second = text_of_run(&bad, first);
    char *third = text_of_run(&bad, second), *strange = text_of_run(&others, first);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(first, "\npenstock_run_last_success_things{directory=\"/a\"} 42\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(second, "penstock_run_last_timestamp_seconds{directory=\"/a\"} 4.000000000\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        second, "penstock_run_last_success_timestamp_seconds{directory=\"/a\"} 2.000000000\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(second, "# TYPE penstock_run_last_success_things gauge\n"));
    CU_ASSERT_STRING_EQUAL(second, third);
    CU_ASSERT_PTR_NULL(strstr(strange, "success"));
    free(first);
    free(second);
    free(third);
    free(strange);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"the formats differ in counters, units and end",
         the_formats_differ_in_counters_units_and_end},
        {"a status becomes samples", a_status_becomes_samples},
        {"a status of an older node lacks families", a_status_of_an_older_node_lacks_families},
        {"a failed run keeps the success of its job", a_failed_run_keeps_the_success_of_its_job},
        {"missing memory is an error", missing_memory_is_an_error},
        CU_TEST_INFO_NULL,
    };
    return suite_run("metrics", tests);
}
