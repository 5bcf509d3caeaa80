/* Whole command lines: exit code, standard output, standard error. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"

#define CAPTURED_BYTES 8192

static enum cli_exit run_greet(const struct cli_arguments *arguments)
{
    const char *name = cli_argument_text(arguments, "name");
    if (strcmp(name, "nobody") == 0)
        return cli_fail(arguments, CLI_EXIT_NO_BACKUP, "%s is not here; name somebody", name);
    printf("hello %s\n", name);
    return CLI_EXIT_DONE;
}

static const struct cli_option greet_options[] = {
    {.name = "name",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME",
     .fallback = "world",
     .help = "whom to greet"},
    CLI_OPTION_JSON,
    {0},
};

static const struct cli_command greet = {
    .name = "greet", .summary = "say hello", .options = greet_options, .run = run_greet};

static const struct cli_command *const commands[] = {&greet, &cli_command_topology,
                                                     &cli_command_backup, NULL};

static char out_text[CAPTURED_BYTES], err_text[CAPTURED_BYTES];

/* Sends a standard stream into a temporary file; returns the stream's old descriptor. */
static int divert(int fd, FILE *file)
{
    int saved = dup(fd);
    CU_ASSERT_FATAL(saved >= 0 && dup2(fileno(file), fd) == fd);
    return saved;
}

static void restore(int fd, int saved, FILE *file, char *text)
{
    CU_ASSERT_EQUAL_FATAL(dup2(saved, fd), fd);
    close(saved);
    rewind(file);
    text[fread(text, 1, CAPTURED_BYTES - 1, file)] = '\0';
    fclose(file);
}

static void take_err_text(void)
{
    char *log = end_log_capture();
    snprintf(err_text, sizeof(err_text), "%s", log);
    free(log);
}

/* Runs penstock with these words; the last is NULL. */
static enum cli_exit run(const char *word, ...)
{
    char *argv[16] = {(char *)"penstock"};
    int argc = 1;
    va_list list;
    va_start(list, word);
    for (; word; word = va_arg(list, const char *))
        argv[argc++] = (char *)word;
    va_end(list);
    fflush(stdout);
    FILE *out = tmpfile();
    CU_ASSERT_FATAL(out != NULL);
    int saved_out = divert(STDOUT_FILENO, out);
    begin_log_capture();
    enum cli_exit code = cli_commands_run(commands, argc, argv);
    fflush(stdout);
    restore(STDOUT_FILENO, saved_out, out, out_text);
    take_err_text();
    return code;
}

static void test_a_command_runs(void)
{
    CU_ASSERT_EQUAL(run("greet", "--name", "Ada", NULL), CLI_EXIT_DONE);
    CU_ASSERT_STRING_EQUAL(out_text, "hello Ada\n");
    CU_ASSERT_STRING_EQUAL(err_text, "");
}

static void test_failure_goes_to_stderr(void)
{
    CU_ASSERT_EQUAL(run("greet", "--name", "nobody", NULL), CLI_EXIT_NO_BACKUP);
    CU_ASSERT_STRING_EQUAL(out_text, "");
    CU_ASSERT_STRING_EQUAL(err_text, "penstock: error: nobody is not here; name somebody\n");
}

static void test_failure_with_json_is_a_record_too(void)
{
    CU_ASSERT_EQUAL(run("greet", "--name", "nobody", "--json", NULL), CLI_EXIT_NO_BACKUP);
    CU_ASSERT_STRING_EQUAL(out_text, "{\"message_type\":\"exit_error\",\"code\":10,\"message\":"
                                     "\"nobody is not here; name somebody\"}\n");
    CU_ASSERT_STRING_EQUAL(err_text, "penstock: error: nobody is not here; name somebody\n");
}

static void check_usage(enum cli_exit code, const char *message)
{
    char expected[512];
    snprintf(expected, sizeof(expected), "penstock: error: %s\n", message);
    CU_ASSERT_EQUAL(code, CLI_EXIT_USAGE);
    CU_ASSERT_STRING_EQUAL(out_text, "");
    CU_ASSERT_STRING_EQUAL(err_text, expected);
    if (strcmp(err_text, expected) != 0)
        printf("\n  %s", err_text);
}

/* A section that no command has is a slip of the pen, not another program's. */
static void test_sections_are_commands(void)
{
    char path[] = "/tmp/penstock-config-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_TRUE(dprintf(fd, "[topology]\nldms=2\n[greet]\nname=you\n") > 0);
    CU_ASSERT_EQUAL(run("greet", "--config", path, NULL), CLI_EXIT_DONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "you"));
    CU_ASSERT_TRUE(dprintf(fd, "[topologie]\na=b\n") > 0);
    char message[200];
    snprintf(message, sizeof(message),
             "%s:5: unknown section \"topologie\"; did you mean topology?", path);
    check_usage(run("greet", "--config", path, NULL), message);
    CU_ASSERT_TRUE(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    CU_ASSERT_TRUE(dprintf(fd, "name=you\n") > 0);
    snprintf(message, sizeof(message), "%s: a key before the first [section]", path);
    check_usage(run("greet", "--config", path, NULL), message);
    close(fd);
    unlink(path);
}

static void test_usage_errors(void)
{
    check_usage(run(NULL), "no command is given; `penstock --help` lists the commands");
    check_usage(run("gret", NULL), "unknown command \"gret\"; did you mean greet?");
    check_usage(run("", NULL), "unknown command \"\"; see `penstock --help`");
    check_usage(run("frob", NULL), "unknown command \"frob\"; see `penstock --help`");
    check_usage(run("--frob", NULL), "unknown option \"--frob\"; see `penstock --help`");
    check_usage(run("greet", "x", NULL),
                "\"x\" is one argument too many; write penstock greet without it");
    check_usage(run("greet", "--nam", "x", NULL), "unknown option --nam; did you mean --name?");
    check_usage(run("--version", "x", NULL), "--version takes no argument but --json");
    check_usage(run("topology", "--ldms", "0", NULL),
                "--ldms: 0 is out of range; give a whole number from 1 to 256");
    check_usage(run("topology", "--ldm-cpus", "x", NULL),
                "--ldm-cpus: \"x\" is not a list of CPUs; write it like 2-5,8, each CPU once");
}

static void check_not_through_node(const char *flag, const char *value)
{
    char message[300];
    snprintf(
        message, sizeof(message),
        "%s does not apply to a backup through a node (--node /nowhere): each node follows its "
        "own configuration; leave it out",
        flag);
    check_usage(run("backup", "--node", "/nowhere", flag, value, NULL), message);
}

static void test_what_does_not_count_with_node(void)
{
    static const char *const flags[][2] = {{"--source", "dir:/a"},  {"--to", "/b"},
                                           {"--ldms", "2"},         {"--ldm-cpus", "0"},
                                           {"--hub-cpu", "0"},      {"--chunk", "1M"},
                                           {"--sqpoll", NULL},      {"--iopoll", NULL},
                                           {"--depth", "8"},        {"--direct", "off"},
                                           {"--freeze-wait", "1s"}, {"--freeze-hold", "1s"},
                                           {"--logical", NULL},     {"--source-headroom", "5"},
                                           {"--tables", "a"},       {"--exclude-tables", "a"}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        check_not_through_node(flags[i][0], flags[i][1]);
}

/* What says what the backup is to be does not count, wherever it is set, and must not be passed
 * over. */
static void test_contents_are_refused_from_every_origin(void)
{
    static const struct {
        const char *option, *variable, *value, *why;
    } set[] = {
        {"label", "PENSTOCK_LABEL", "nightly", ""},
        {"logical", "PENSTOCK_LOGICAL", "1", ": each node follows its own configuration"},
        {"tables", "PENSTOCK_TABLES", "a", ": each node follows its own configuration"},
        {"exclude-tables", "PENSTOCK_EXCLUDE_TABLES", "a",
         ": each node follows its own configuration"},
    };
    for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
        char message[400], path[] = "/tmp/penstock-config-XXXXXX";
        int fd = mkstemp(path);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_TRUE(dprintf(fd, "[backup]\n%s=%s\n", set[i].option, set[i].value) > 0);
        close(fd);
        snprintf(message, sizeof(message),
                 "%s does not apply to a backup through a node (--node /nowhere)%s; it is set in "
                 "the environment (%s) or the configuration file: leave it out there",
                 set[i].option, set[i].why, set[i].variable);
        check_usage(run("backup", "--node", "/nowhere", "--config", path, NULL), message);
        unlink(path);
        setenv(set[i].variable, set[i].value, 1);
        check_usage(run("backup", "--node", "/nowhere", NULL), message);
        unsetenv(set[i].variable);
    }
}

/* There is no node, so what gets past the check of the options fails to connect. */
static void check_through_node(enum cli_exit code)
{
    CU_ASSERT_EQUAL(code, CLI_EXIT_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err_text, "/nowhere: no node answers there"));
}

static void test_what_counts_with_node(void)
{
    char path[] = "/tmp/penstock-config-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_TRUE(dprintf(fd, "[backup]\nsource=dir:/a\nto=/b\nchunk=2M\n") > 0);
    close(fd);
    check_through_node(run("backup", "--node", "/nowhere", "--number", "7", "--single-threaded",
                           "--allow-missing", "--wait", "started", NULL));
    check_through_node(run("backup", "--node", "/nowhere", "--config", path, NULL));
    setenv("PENSTOCK_LOGICAL", "0", 1);
    setenv("PENSTOCK_CHUNK", "2M", 1);
    check_through_node(run("backup", "--node", "/nowhere", NULL));
    unsetenv("PENSTOCK_CHUNK");
    unsetenv("PENSTOCK_LOGICAL");
    setenv("PENSTOCK_NODE", "/nowhere", 1);
    check_through_node(run("backup", NULL));
    CU_ASSERT_EQUAL(run("backup", "--to", "/b", NULL), CLI_EXIT_USAGE);
    unsetenv("PENSTOCK_NODE");
    unlink(path);
}

/* The last complaint is about --to's parent: what runs is a backup in this process. */
static void check_alone(enum cli_exit code)
{
    CU_ASSERT_EQUAL(code, CLI_EXIT_FAILED);
    CU_ASSERT_PTR_NULL(strstr(err_text, "no node answers"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err_text, "/nowhere/b"));
}

static void test_a_flag_outranks_a_node_of_the_environment(void)
{
    char path[] = "/tmp/penstock-config-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_TRUE(dprintf(fd, "[backup]\nnode=/nowhere\nto=/nowhere/b\n") > 0);
    close(fd);
    setenv("PENSTOCK_NODE", "/nowhere", 1);
    check_alone(run("backup", "--source", "synthetic:rows=1", "--to", "/nowhere/b/c", NULL));
    setenv("PENSTOCK_TO", "/nowhere/b/c", 1);
    check_alone(run("backup", "--source", "synthetic:rows=1", NULL));
    check_through_node(run("backup", NULL)); /* both from the environment */
    unsetenv("PENSTOCK_NODE");
    unsetenv("PENSTOCK_TO");
    check_through_node(run("backup", "--config", path, NULL));
    check_alone(run("backup", "--config", path, "--source", "synthetic:rows=1", "--to",
                    "/nowhere/b/c", NULL));
    setenv("PENSTOCK_SOURCE", "synthetic:rows=1", 1);
    setenv("PENSTOCK_TO", "/nowhere/b/c", 1);
    check_alone(run("backup", "--config", path, NULL));
    check_through_node(run("backup", "--node", "/nowhere", NULL));
    unsetenv("PENSTOCK_SOURCE");
    unsetenv("PENSTOCK_TO");
    unlink(path);
}

static void test_what_counts_only_with_node(void)
{
    check_usage(run("backup", "--source", "synthetic:rows=1", "--to", "/nowhere/b", "--wait",
                    "completed", NULL),
                "--wait applies only to a backup through a node: give --node SOCKET, or leave it "
                "out");
    check_usage(run("backup", "--source", "synthetic:rows=1", "--to", "/nowhere/b",
                    "--allow-missing", NULL),
                "--allow-missing applies only to a backup through a node: give --node SOCKET, or "
                "leave it out");
}

static void test_usage_errors_with_json(void)
{
    CU_ASSERT_EQUAL(run("greet", "--json", "--nam", NULL), CLI_EXIT_USAGE);
    CU_ASSERT_STRING_EQUAL(out_text, "{\"message_type\":\"exit_error\",\"code\":2,\"message\":"
                                     "\"unknown option --nam; did you mean --name?\"}\n");
    CU_ASSERT_EQUAL(run("gret", "--json", NULL), CLI_EXIT_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "\"code\":2"));
}

static void test_help_comes_from_the_tables(void)
{
    CU_ASSERT_EQUAL(run("--help", NULL), CLI_EXIT_DONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "  greet       say hello\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "   12  the backup is sealed"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "  130  interrupted\n"));
    CU_ASSERT_EQUAL(run("greet", "--help", NULL), CLI_EXIT_DONE);
    CU_ASSERT_STRING_EQUAL(
        out_text,
        "Usage: penstock greet [option]...\n\nSay hello.\n\nOptions:\n"
        "  --name NAME                 whom to greet\n"
        "                              (default world; PENSTOCK_NAME)\n"
        "  --json                      print data as JSON on standard output\n"
        "                              (PENSTOCK_JSON)\n"
        "  --config FILE               take what flags and environment leave unset "
        "from section\n"
        "                              [greet] of this INI file "
        "(PENSTOCK_CONFIG)\n"
        "  --verbose                   log more (also -v)\n"
        "  --quiet                     print warnings, errors and data alone: no progress, "
        "and no report of\n"
        "                              work that is done (also -q)\n"
        "  --help                      print this (also -h)\n"
        "\nA flag overrides the environment variable named beside it, which "
        "overrides the configuration file.\n");
    CU_ASSERT_STRING_EQUAL(err_text, "");
}

static void test_version(void)
{
    CU_ASSERT_EQUAL(run("--version", NULL), CLI_EXIT_DONE);
    CU_ASSERT_EQUAL(strncmp(out_text, "penstock ", 9), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "\ncommit: "));
    CU_ASSERT_EQUAL(run("--version", "--json", NULL), CLI_EXIT_DONE);
    json_t *value = json_loads(out_text, 0, NULL);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(value, "name")), "penstock");
    static const char *const facts[] = {"version", "commit", "compiler", "flags", "libraries"};
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        CU_ASSERT_TRUE(json_string_length(json_object_get(value, facts[i])) > 0);
    json_decref(value);
}

static void test_topology_of_this_machine(void)
{
    CU_ASSERT_EQUAL(run("topology", NULL), CLI_EXIT_DONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "\nplan: hub on CPU "));
    CU_ASSERT_EQUAL(run("topology", "--json", "--path", "/", NULL), CLI_EXIT_DONE);
    json_t *value = json_loads(out_text, 0, NULL);
    CU_ASSERT_TRUE(json_array_size(json_object_get(value, "numa_nodes")) >= 1);
    json_decref(value);
    CU_ASSERT_EQUAL(run("topology", "--path", "/dev/null/x", NULL), CLI_EXIT_FAILED);
    CU_ASSERT_STRING_EQUAL(err_text,
                           "penstock: error: cannot examine /dev/null/x: Not a directory\n");
}

/* What cannot be printed is no success. */
static void test_a_full_standard_output_is_a_failure(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(full >= 0);
    fflush(NULL);
    int saved = dup(STDOUT_FILENO);
    CU_ASSERT_FATAL(saved >= 0 && dup2(full, STDOUT_FILENO) >= 0);
    begin_log_capture();
    char *argv[] = {(char *)"penstock", (char *)"greet", NULL};
    enum cli_exit code = cli_commands_run(commands, 2, argv);
    clearerr(stdout);
    dup2(saved, STDOUT_FILENO);
    take_err_text();
    close(saved);
    close(full);
    CU_ASSERT_EQUAL(code, CLI_EXIT_FAILED);
    CU_ASSERT_STRING_EQUAL(err_text, "penstock: error: cannot write to standard output\n");
}

static void check_record(json_t *fields, int rc, const char *expected)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CU_ASSERT_EQUAL(cli_json_record(out, "summary", fields), rc);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
}

static void test_json_records(void)
{
    check_record(json_pack("{s:i, s:s}", "z", 1, "a", "x\ny"), 0,
                 "{\"message_type\":\"summary\",\"z\":1,\"a\":\"x\\ny\"}\n");
    check_record(NULL, -ENOMEM, "");
    /* What a double rounds is a string, however deep. */
    check_record(json_pack("{s:I, s:[I, {s:I}]}", "a", (json_int_t)9007199254740991, "b",
                           (json_int_t)9007199254740993, "c", (json_int_t)-9007199254740992),
                 0,
                 "{\"message_type\":\"summary\",\"a\":9007199254740991,\"b\":[\"9007199254740993\","
                 "{\"c\":\"-9007199254740992\"}]}\n");
}

static void test_texts_that_are_not_utf8(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {{"plain", "plain"},
                 {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
                 {"bad\xff\xc3", "bad\\xff\\xc3"},
                 {"", ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *value = cli_json_text(cases[i].text);
        CU_ASSERT_STRING_EQUAL(json_string_value(value), cases[i].expected);
        json_decref(value);
    }
    CU_ASSERT_EQUAL(run("greet", "--json", "\xff", NULL), CLI_EXIT_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(out_text, "\\\\xff"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a command runs", test_a_command_runs},
        {"failure goes to stderr", test_failure_goes_to_stderr},
        {"failure with json is a record too", test_failure_with_json_is_a_record_too},
        {"usage errors", test_usage_errors},
        {"what does not count with --node", test_what_does_not_count_with_node},
        {"contents are refused from every origin", test_contents_are_refused_from_every_origin},
        {"what counts with --node", test_what_counts_with_node},
        {"what counts only with --node", test_what_counts_only_with_node},
        {"a flag outranks a node of the environment",
         test_a_flag_outranks_a_node_of_the_environment},
        {"usage errors with json", test_usage_errors_with_json},
        {"sections are commands", test_sections_are_commands},
        {"help comes from the tables", test_help_comes_from_the_tables},
        {"version", test_version},
        {"topology of this machine", test_topology_of_this_machine},
        {"a full standard output is a failure", test_a_full_standard_output_is_a_failure},
        {"json records", test_json_records},
        {"texts that are not utf8", test_texts_that_are_not_utf8},
        CU_TEST_INFO_NULL,
    };
    return suite_run("cli/command", tests);
}
