/*
 * One configuration file for all nodes of a cluster: which section each key belongs in, and which
 * of them count for a node.
 */
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
    {.name = "cluster",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME",
     .required = true,
     .is_shared = true,
     .help = "name"},
    {.name = "member",
     .kind = CLI_OPTION_TEXT,
     .argument = "MEMBER",
     .repeatable = true,
     .is_shared = true,
     .help = "member"},
    {.name = "id",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .required = true,
     .min = 1,
     .max = 255,
     .help = "number"},
    {.name = "to",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "directory"},
    {.name = "source",
     .kind = CLI_OPTION_TEXT,
     .argument = "SPEC",
     .repeatable = true,
     .help = "source"},
    {.name = "depth", .kind = CLI_OPTION_COUNT, .argument = "N", .fallback = "8", .help = "depth"},
    {0},
};

static const struct cli_command command = {.name = "node",
                                           .summary = "run a node",
                                           .options = options,
                                           .run = run_nothing,
                                           .shared_section = "cluster",
                                           .picks_section = "id"};

static char path[] = "/tmp/penstock-sections-XXXXXX";
static struct cli_arguments arguments;

/* Parses "node" with this text as its configuration, and one flag or none. */
static int parse(const char *text, const char *flag)
{
    const char *words[] = {"node", "--config", path, flag};
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fputs(text, file) >= 0);
    CU_ASSERT_EQUAL(fclose(file), 0);
    cli_arguments_release(&arguments);
    return cli_arguments_parse(&command, flag ? 4 : 3, (char **)(uintptr_t)words, &arguments);
}

static void check_fault(const char *text, const char *flag, const char *message)
{
    char whole[300];
    snprintf(whole, sizeof(whole), "%s%s", path, message);
    CU_ASSERT_TRUE(parse(text, flag) < 0);
    CU_ASSERT_STRING_EQUAL(arguments.error, whole);
}

static void check_place(const char *name, uint32_t index, const char *place)
{
    char text[300], whole[300];
    snprintf(whole, sizeof(whole), "%s%s", place[0] == ':' ? path : "", place);
    CU_ASSERT_STRING_EQUAL(cli_argument_place(&arguments, name, index, text, sizeof(text)), whole);
}

static void one_section_serves_one_node(void)
{
    CU_ASSERT_EQUAL_FATAL(
        parse("[node]\ncluster = c\nid = 3\nmember = 3=a\nmember = 4=b\nto = /x\n", NULL), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "cluster"), "c");
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "id"), 3);
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "member"), 2);
}

static void one_file_serves_all_nodes(void)
{
    static const char text[] = "[cluster]\ncluster = c\nmember = 1=a\nmember = 2=b\n"
                               "[node]\ndepth = 4\n"
                               "[node 1]\nto = /1\nsource = s\nsource = t\n"
                               "[node 2]\nto = /2\n";
    CU_ASSERT_EQUAL_FATAL(parse(text, "--id=1"), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/1");
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), 2);
    check_place("id", 0, "--id");
    check_place("member", 1, ":4");
    check_place("source", 1, ":10");
    CU_ASSERT_EQUAL_FATAL(parse(text, "--id=2"), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/2");
    CU_ASSERT_EQUAL(cli_argument_count(&arguments, "source"), 0);
    CU_ASSERT_EQUAL(cli_argument_number(&arguments, "depth"), 4);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "cluster"), "c");
    setenv("PENSTOCK_ID", "1", 1);
    CU_ASSERT_EQUAL_FATAL(parse(text, NULL), 0);
    check_place("id", 0, "PENSTOCK_ID");
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/1");
    unsetenv("PENSTOCK_ID");
    CU_ASSERT_TRUE(parse(text, NULL) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(arguments.error, "--id N is missing"));
}

/* Hosts that differ in nothing but their number need no sections of their own. */
static void nodes_may_be_alike(void)
{
    static const char text[] = "[cluster]\ncluster = c\n[node]\nto = /x\n";
    CU_ASSERT_EQUAL_FATAL(parse(text, "--id=200"), 0);
    CU_ASSERT_STRING_EQUAL(cli_argument_text(&arguments, "to"), "/x");
    check_place("depth", 0, "default");
}

static void every_key_has_its_place(void)
{
    check_fault("[cluster]\ncluster = c\nto = /x\n[node]\nid = 1\n", NULL,
                ":3: to belongs in [node], not in [cluster]");
    check_fault("[cluster]\ncluster = c\nid = 1\n", NULL,
                ":3: id belongs in [node], not in [cluster]");
    check_fault("[node]\nid = 1\nto = /x\nmember = 1=a\n[cluster]\ncluster = c\n", NULL,
                ":4: member belongs in [cluster], not in [node]");
    check_fault("[node]\nmember = 1=a\n[node 1]\nto = /x\n", "--id=1",
                ":2: member belongs in [cluster], not in [node]");
    check_fault("[node 1]\nto = /x\ncluster = c\n", "--id=1",
                ":3: cluster belongs in [cluster], not in [node 1]");
    check_fault("[cluster]\ncluster = c\n[node]\nto = /x\n[node 1]\n\nto = /y\n", "--id=1",
                ":7: to is in [node] too, in line 4; leave one of them out");
    check_fault("[cluster]\ncluster = c\n[node 1]\nid = 1\nto = /y\n", "--id=1",
                ":4: id is in the names of the sections [node N], of which --id picks one");
    check_fault("[cluster]\ncluster = c\n[node]\nid = 1\n[node 1]\nto = /y\n", NULL,
                ":4: id is in the names of the sections [node N], of which --id picks one");
    check_fault("[cluster]\ncluster = c\n[node 1]\nto = /y\n", "--id=2",
                ": has no section [node 2]");
}

/* The sections of other nodes are looked at too. */
static void unknown_keys_are_refused_wherever_they_are(void)
{
    check_fault("[cluster]\nclusters = c\n", "--id=1",
                ":2: unknown key \"clusters\"; did you mean cluster?");
    check_fault("[cluster]\ncluster = c\n[node 1]\nto = /x\n[node 2]\ntoo = /y\n", "--id=1",
                ":6: unknown key \"too\"; did you mean to?");
    check_fault("[cluster]\ncluster = c\n[node 1]\nto = /x\n[node 2]\nto = /y\nto = /z\n", "--id=1",
                ":7: to is given twice; give it once");
    check_fault("[cluster]\ncluster = c\ncluster = d\n[node]\nto = /x\n", "--id=1",
                ":3: cluster is given twice; give it once");
}

static CU_TestInfo tests[] = {
    {"one section serves one node", one_section_serves_one_node},
    {"one file serves all nodes", one_file_serves_all_nodes},
    {"nodes may be alike", nodes_may_be_alike},
    {"every key has its place", every_key_has_its_place},
    {"unknown keys are refused wherever they are", unknown_keys_are_refused_wherever_they_are},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int status = suite_run("cli sections", tests);
    cli_arguments_release(&arguments);
    unlink(path);
    return status;
}
