#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/arguments.h"
#include "tests/suite.h"

static enum cli_exit run_nothing(const struct cli_arguments *arguments)
{
    (void)arguments;
    return CLI_EXIT_DONE;
}

static const struct cli_option options[] = {
    {.name = "to",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "the backup directory"},
    {.name = "source",
     .kind = CLI_OPTION_TEXT,
     .argument = "SPEC",
     .repeatable = true,
     .help = "what to back up"},
    {.name = "ldms",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 256,
     .help = "LDMs"},
    {.name = "chunk-size",
     .kind = CLI_OPTION_SIZE,
     .argument = "SIZE",
     .fallback = "1M",
     .min = 65536,
     .max = 16 << 20,
     .help = "payload of a chunk"},
    {.name = "wait",
     .kind = CLI_OPTION_DURATION,
     .argument = "TIME",
     .min = 1000000,
     .help = "limit"},
    {.name = "force", .kind = CLI_OPTION_SWITCH, .help = "overwrite"},
    CLI_OPTION_JSON,
    {0},
};

static const struct cli_command command = {.name = "backup",
                                           .summary = "back up",
                                           .positional = "FIRST [SECOND]",
                                           .positional_min = 1,
                                           .positional_max = 2,
                                           .options = options,
                                           .run = run_nothing};

static struct cli_arguments arguments;

/* Parses "backup" and the words; the last is NULL. */
static int parse(const char *word, ...)
{
    static char *argv[CLI_OPTION_VALUES_MAX * 2 + 16];
    int argc = 0;
    argv[argc++] = (char *)"backup";
    va_list list;
    va_start(list, word);
    for (; word; word = va_arg(list, const char *))
        argv[argc++] = (char *)word;
    va_end(list);
    argv[argc] = NULL;
    cli_arguments_release(&arguments);
    return cli_arguments_parse(&command, argc, argv, &arguments);
}

static void check_error(int rc, const char *text)
{
    CU_ASSERT_EQUAL(rc, -EINVAL);
    CU_ASSERT_STRING_EQUAL(arguments.error, text);
    if (strcmp(arguments.error, text) != 0)
        printf("\n  %s\n", arguments.error);
}

static void test_every_kind_of_value(void)
{
    CU_ASSERT_EQUAL_FATAL(parse("--to", "/srv", "one", "--source=dir:/a", "--source", "dir:/b",
                                "--ldms=4", "--chunk-size", "64KiB", "--wait", "2s", "--force",
                                "two", "-v", NULL),
                          0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/srv");
    const char *sources[CLI_OPTION_VALUES_MAX];
    CU_ASSERT_EQUAL_FATAL(cli_argument_texts(&arguments, "source", sources), 2);
    CU_ASSERT_STRING_EQUAL(sources[0], "dir:/a");
    CU_ASSERT_STRING_EQUAL(sources[1], "dir:/b");
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 4);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "chunk-size"), 65536);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "wait"), 2000000000);
    CU_ASSERT_TRUE(cli_argument_switch(&arguments, "force"));
    CU_ASSERT_FALSE(cli_argument_json(&arguments));
    CU_ASSERT_TRUE(arguments.verbose);
    CU_ASSERT_EQUAL_FATAL(arguments.positional_count, 2);
    CU_ASSERT_STRING_EQUAL(arguments.positionals[0], "one");
    CU_ASSERT_STRING_EQUAL(arguments.positionals[1], "two");
}

static void test_what_is_not_given(void)
{
    CU_ASSERT_EQUAL_FATAL(parse("--to", "/srv", "one", NULL), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "chunk-size"), 1 << 20);
    CU_ASSERT_FALSE(cli_argument_given(&arguments, "chunk-size"));
    CU_ASSERT_TRUE(cli_argument_given(&arguments, "to"));
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 0);
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), 0);
    CU_ASSERT_PTR_NULL(cli_argument_text(&arguments, "source"));
    CU_ASSERT_FALSE(cli_argument_switch(&arguments, "force"));
    CU_ASSERT_FALSE(arguments.verbose);
}

static void test_two_dashes_end_the_options(void)
{
    CU_ASSERT_EQUAL_FATAL(parse("--to", "/srv", "--", "--force", NULL), 0);
    CU_ASSERT_STRING_EQUAL(arguments.positionals[0], "--force");
    CU_ASSERT_FALSE(cli_argument_switch(&arguments, "force"));
    CU_ASSERT_EQUAL_FATAL(parse("--to", "--force", "one", NULL), 0); /* a value, however it looks */
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "--force");
}

static void test_help_stops_the_checks(void)
{
    CU_ASSERT_EQUAL(parse("--help", NULL), 0);
    CU_ASSERT_TRUE(arguments.help);
    CU_ASSERT_EQUAL(parse("-h", NULL), 0);
    CU_ASSERT_TRUE(arguments.help);
}

static void test_flag_before_environment_before_default(void)
{
    setenv("PENSTOCK_CHUNK_SIZE", "128K", 1);
    setenv("PENSTOCK_TO", "/env", 1);
    setenv("PENSTOCK_FORCE", "1", 1);
    setenv("PENSTOCK_SOURCE", "dir:/env", 1);
    setenv("PENSTOCK_LDMS", "", 1); /* as good as not set */
    CU_ASSERT_EQUAL_FATAL(parse("one", NULL), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "chunk-size"), 128 << 10);
    CU_ASSERT_TRUE(cli_argument_given(&arguments, "chunk-size"));
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/env");
    CU_ASSERT_TRUE(cli_argument_switch(&arguments, "force"));
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 0);
    CU_ASSERT_EQUAL_FATAL(parse("one", "--chunk-size=1M", "--source=dir:/flag", NULL), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "chunk-size"), 1 << 20);
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), 1);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "source"), "dir:/flag");
    setenv("PENSTOCK_FORCE", "0", 1);
    CU_ASSERT_EQUAL_FATAL(parse("one", NULL), 0);
    CU_ASSERT_FALSE(cli_argument_switch(&arguments, "force"));
    setenv("PENSTOCK_FORCE", "yes", 1);
    check_error(parse("one", NULL),
                "PENSTOCK_FORCE: \"yes\" is neither 1 nor 0; set it to 1 for yes, 0 for no");
    CU_ASSERT_EQUAL(parse("one", "--force", NULL), 0);
    setenv("PENSTOCK_LDMS", "many", 1);
    unsetenv("PENSTOCK_FORCE");
    check_error(parse("one", NULL),
                "PENSTOCK_LDMS: \"many\" is not a whole number; give one from 1 to 256");
    unsetenv("PENSTOCK_LDMS");
    unsetenv("PENSTOCK_SOURCE");
    unsetenv("PENSTOCK_TO");
    unsetenv("PENSTOCK_CHUNK_SIZE");
}

/* ---- the configuration file ---- */

static char config_path[] = "/tmp/penstock-config-XXXXXX";

/* Parses "backup" with this text as its configuration, and the words. */
static int parse_configured(const char *text, const char *first, const char *second)
{
    FILE *file = fopen(config_path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fputs(text, file) >= 0);
    CU_ASSERT_EQUAL(fclose(file), 0);
    return parse("one", "--config", config_path, first, second, NULL);
}

static void check_configured(const char *text, const char *message)
{
    char whole[300];
    snprintf(whole, sizeof(whole), "%s%s", config_path, message);
    check_error(parse_configured(text, NULL, NULL), whole);
}

static void test_environment_before_configuration_before_default(void)
{
    static const char text[] = "# nightly\n[backup]\nto =  /con fig \nsource=a=dir:/a;b\n"
                               "source = dir:/b\nldms=3\nforce = 1\n[verify]\nnothing = of ours\n";
    CU_ASSERT_EQUAL_FATAL(parse_configured(text, NULL, NULL), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/con fig");
    const char *sources[CLI_OPTION_VALUES_MAX];
    CU_ASSERT_EQUAL_FATAL(cli_argument_texts(&arguments, "source", sources), 2);
    CU_ASSERT_STRING_EQUAL(sources[0], "a=dir:/a;b");
    CU_ASSERT_STRING_EQUAL(sources[1], "dir:/b");
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 3);
    CU_ASSERT_TRUE(cli_argument_switch(&arguments, "force"));
    CU_ASSERT_TRUE(cli_argument_given(&arguments, "ldms"));
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "chunk-size"), 1 << 20);
    setenv("PENSTOCK_LDMS", "4", 1);
    CU_ASSERT_EQUAL_FATAL(parse_configured(text, "--source=dir:/flag", NULL), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 4);
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), 1);
    CU_ASSERT_EQUAL_FATAL(parse_configured(text, "--ldms", "5"), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "ldms"), 5);
    unsetenv("PENSTOCK_LDMS");
    setenv("PENSTOCK_CONFIG", config_path, 1);
    CU_ASSERT_EQUAL(parse("one", NULL), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/con fig");
    unsetenv("PENSTOCK_CONFIG");
}

/* Longer than any line buffer. */
static void test_a_long_value_is_whole(void)
{
    char text[9000], path[8000];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    snprintf(text, sizeof(text), "[backup]\nto=%s\n", path);
    CU_ASSERT_EQUAL_FATAL(parse_configured(text, NULL, NULL), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), path);
}

static void test_bad_configurations(void)
{
    check_configured("[backup]\nldmz=3\n", ":2: unknown key \"ldmz\"; did you mean ldms?");
    check_configured("[backup]\nto=a\n\nldms=300\n",
                     ":4: ldms: 300 is out of range; give a whole number from 1 to 256");
    check_configured("[backup]\nto=a\nto=b\n", ":3: to is given twice; give it once");
    check_configured("[backup]\nto=a\nforce=1\nforce=0\n",
                     ":4: force is given twice; give it once");
    check_configured("[backup]\nto=\n", ":2: to needs a value: DIR");
    check_configured("[backup]\nto=a\nforce=yes\n",
                     ":3: force: \"yes\" is neither 1 nor 0; set it to 1 for yes, 0 for no");
    check_configured("[backup]\nto\n", ": Error (5) on line 2: Equal sign is missing.");
    check_configured("[backup\nto=a\n", ": Error (2) on line 1: No closing bracket.");
    check_error(parse("--config", NULL), "--config needs a value: FILE");
    check_error(parse("--config=", NULL), "--config needs a value: FILE");
    check_error(parse("--config=a", "--config=b", NULL), "--config is given twice; give it once");
    check_error(parse("--config=/no/such", NULL), "/no/such: No such file or directory");
}

static void test_too_many_configured_sources(void)
{
    char text[CLI_OPTION_VALUES_MAX * 16 + 64] = "[backup]\nto=a\n";
    for (uint32_t i = 0; i < CLI_OPTION_VALUES_MAX; i++)
        strcat(text, "source=dir:/a\n");
    CU_ASSERT_EQUAL(parse_configured(text, NULL, NULL), 0);
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), CLI_OPTION_VALUES_MAX);
    strcat(text, "source=dir:/a\n");
    check_configured(text, ":67: source is given more than 64 times");
}

static void test_unknown_options(void)
{
    check_error(parse("--too", "x", NULL), "unknown option --too; did you mean --to?");
    check_error(parse("--chunksize=1", NULL),
                "unknown option --chunksize; did you mean --chunk-size?");
    check_error(parse("--hlep", NULL), "unknown option --hlep; did you mean --help?");
    check_error(parse("--frobnicate", NULL),
                "unknown option --frobnicate; `penstock backup --help` lists the options");
    check_error(parse("-x", NULL), "unknown option -x; `penstock backup --help` lists the options");
    check_error(parse("-vx", NULL),
                "unknown option -x; `penstock backup --help` lists the options");
}

/* getopt_long would take them. */
static void test_abbreviations_are_unknown(void)
{
    check_error(parse("--chunk", "64K", NULL),
                "unknown option --chunk; `penstock backup --help` lists the options");
    check_error(parse("--chunk-siz=64K", NULL),
                "unknown option --chunk-siz; did you mean --chunk-size?");
    check_error(parse("one", "--ldm", "3", NULL), "unknown option --ldm; did you mean --ldms?");
    check_error(parse("--forc", NULL), "unknown option --forc; did you mean --force?");
    check_error(parse("--hel", NULL), "unknown option --hel; did you mean --help?");
    check_error(parse("--verbos", NULL), "unknown option --verbos; did you mean --verbose?");
    check_error(parse("--forc=1", NULL), "unknown option --forc; did you mean --force?");
    check_error(parse("--chunk-siz", NULL),
                "unknown option --chunk-siz; did you mean --chunk-size?");
}

static void test_missing_and_superfluous_values(void)
{
    check_error(parse("one", "--to", NULL), "--to needs a value: DIR");
    check_error(parse("one", "--to=", NULL), "--to needs a value: DIR");
    check_error(parse("one", "--to", "", NULL), "--to needs a value: DIR");
    check_error(parse("one", "--force=1", NULL), "--force takes no value");
    check_error(parse("one", "--help=1", NULL), "--help takes no value");
    check_error(parse("one", "--to=a", "--to=b", NULL), "--to is given twice; give it once");
    check_error(parse("one", "--to=a", "--ldms=3", "--ldms", "3", NULL),
                "--ldms is given twice; give it once");
    check_error(parse("one", NULL), "--to DIR is missing: the backup directory");
}

static void test_bad_numbers(void)
{
    check_error(parse("--ldms", "x", NULL),
                "--ldms: \"x\" is not a whole number; give one from 1 to 256");
    check_error(parse("--ldms", "-3", NULL),
                "--ldms: \"-3\" is not a whole number; give one from 1 to 256");
    check_error(parse("--ldms", "3.5", NULL),
                "--ldms: \"3.5\" is not a whole number; give one from 1 to 256");
    check_error(parse("--ldms", "0", NULL),
                "--ldms: 0 is out of range; give a whole number from 1 to 256");
    check_error(parse("--ldms", "257", NULL),
                "--ldms: 257 is out of range; give a whole number from 1 to 256");
    check_error(parse("--ldms", "99999999999999999999", NULL),
                "--ldms: 99999999999999999999 is out of range; give a whole number from 1 to 256");
    check_error(
        parse("--chunk-size", "1MB", NULL),
        "--chunk-size: \"1MB\" is not a size such as 64K, 1MiB or 2G; give one from 64K to 16M");
    check_error(
        parse("--chunk-size", "1K", NULL),
        "--chunk-size: 1K is out of range; give a size such as 64K, 1MiB or 2G from 64K to 16M");
    check_error(
        parse("--wait", "2", NULL),
        "--wait: \"2\" is not a duration with its unit, such as 500ms, 2s or 5m; give one of "
        "at least 1ms");
    check_error(
        parse("--wait", "1us", NULL),
        "--wait: 1us is out of range; give a duration with its unit, such as 500ms, 2s or 5m "
        "of at least 1ms");
}

static void test_positionals_are_counted(void)
{
    check_error(parse("--to=a", NULL),
                "an argument is missing; write penstock backup FIRST [SECOND]");
    check_error(parse("--to=a", "1", "2", "3", NULL),
                "\"3\" is one argument too many; write penstock backup FIRST [SECOND]");
    check_error(parse("--to=a", "", NULL),
                "an argument is empty; write penstock backup FIRST [SECOND]");
}

static void test_repeatable_options_are_bounded(void)
{
    char *argv[CLI_OPTION_VALUES_MAX + 4];
    int argc = 0;
    argv[argc++] = (char *)"backup";
    argv[argc++] = (char *)"--to=a";
    argv[argc++] = (char *)"one";
    for (uint32_t i = 0; i < CLI_OPTION_VALUES_MAX; i++)
        argv[argc++] = (char *)"--source=dir:/a";
    char *copy[CLI_OPTION_VALUES_MAX + 5];
    memcpy(copy, argv, sizeof(argv));
    CU_ASSERT_EQUAL(cli_arguments_parse(&command, argc - 1, argv, &arguments), 0);
    copy[argc++] = (char *)"--source=dir:/a";
    check_error(cli_arguments_parse(&command, argc, copy, &arguments),
                "--source is given more than 64 times");
}

static void test_long_nonsense_is_cut(void)
{
    char text[4000];
    memset(text, 'z', sizeof(text));
    memcpy(text, "--", 2);
    text[sizeof(text) - 1] = '\0';
    CU_ASSERT_EQUAL(parse(text, NULL), -EINVAL);
    CU_ASSERT_EQUAL(parse("--ldms", text + 2, NULL), -EINVAL);
    CU_ASSERT_TRUE(strlen(arguments.error) < 200);
    CU_ASSERT_EQUAL(parse("--to=a", "1", "2", text + 2, NULL), -EINVAL);
}

/* ---- options that exclude each other ---- */

static const struct cli_option rivals[] = {
    {.name = "commit",
     .kind = CLI_OPTION_TEXT,
     .argument = "FILE",
     .yields_to = "abort,aborted",
     .help = "commit"},
    {.name = "abort", .kind = CLI_OPTION_SWITCH, .yields_to = "commit", .help = "abort"},
    {.name = "keep",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .yields_to_positionals = true,
     .help = "keep"},
    {0},
};

static const struct cli_command rivalry = {.name = "resolve",
                                           .summary = "decide",
                                           .positional_max = 1,
                                           .options = rivals,
                                           .run = run_nothing};

static void decide(const char *flag, const char *value)
{
    char *argv[] = {(char *)"resolve", (char *)flag, (char *)value, NULL};
    cli_arguments_release(&arguments);
    CU_ASSERT_EQUAL_FATAL(cli_arguments_parse(&rivalry,
                                              value  ? 3
                                              : flag ? 2
                                                     : 1,
                                              argv, &arguments),
                          0);
}

static void check_decision(const char *commit, bool abort)
{
    const char *text = cli_argument_text(&arguments, "commit");
    CU_ASSERT_TRUE(commit ? text && strcmp(text, commit) == 0 : !text);
    CU_ASSERT_EQUAL(cli_argument_switch(&arguments, "abort"), abort);
}

static void test_of_rivals_the_higher_counts(void)
{
    setenv("PENSTOCK_ABORT", "1", 1);
    decide("--commit", "m");
    check_decision("m", false);
    CU_ASSERT_FALSE(cli_argument_given(&arguments, "abort"));
    decide(NULL, NULL);
    check_decision(NULL, true);
    setenv("PENSTOCK_COMMIT", "m", 1);
    decide("--abort", NULL);
    check_decision(NULL, true);
    decide(NULL, NULL); /* at one place: the command refuses both */
    check_decision("m", true);
    setenv("PENSTOCK_ABORT", "0", 1);
    decide(NULL, NULL);
    check_decision("m", false);
    unsetenv("PENSTOCK_ABORT");
    unsetenv("PENSTOCK_COMMIT");
}

static void test_a_positional_outranks_the_environment(void)
{
    setenv("PENSTOCK_KEEP", "3", 1);
    decide("7", NULL);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "keep"), 0);
    decide(NULL, NULL);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "keep"), 3);
    unsetenv("PENSTOCK_KEEP");
    decide("--keep", "4");
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "keep"), 4);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every kind of value", test_every_kind_of_value},
        {"what is not given", test_what_is_not_given},
        {"two dashes end the options", test_two_dashes_end_the_options},
        {"help stops the checks", test_help_stops_the_checks},
        {"flag before environment before default", test_flag_before_environment_before_default},
        {"environment before configuration before default",
         test_environment_before_configuration_before_default},
        {"a long value is whole", test_a_long_value_is_whole},
        {"bad configurations", test_bad_configurations},
        {"too many configured sources", test_too_many_configured_sources},
        {"unknown options", test_unknown_options},
        {"abbreviations are unknown", test_abbreviations_are_unknown},
        {"missing and superfluous values", test_missing_and_superfluous_values},
        {"bad numbers", test_bad_numbers},
        {"positionals are counted", test_positionals_are_counted},
        {"repeatable options are bounded", test_repeatable_options_are_bounded},
        {"long nonsense is cut", test_long_nonsense_is_cut},
        {"of options that exclude each other the higher counts", test_of_rivals_the_higher_counts},
        {"a positional outranks the environment", test_a_positional_outranks_the_environment},
        CU_TEST_INFO_NULL,
    };
    int fd = mkstemp(config_path);
    if (fd < 0 || close(fd) < 0) {
        perror(config_path);
        return 1;
    }
    int status = suite_run("cli/arguments", tests);
    cli_arguments_release(&arguments);
    unlink(config_path);
    return status;
}
