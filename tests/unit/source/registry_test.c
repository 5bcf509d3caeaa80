/* Specs and names of sources. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/source/registry/registry.h"
#include "tests/support/child.h"
#include "tests/unit/source/source_test.h"

static void set_up(void)
{
    make_directory();
    REQUIRE(mkdir("data", 0755) == 0);
    REQUIRE(mkdir("a=b:c d", 0755) == 0);
}

static void tear_down(void)
{
    remove_directory();
}

static void names_come_from_the_spec_or_the_path(void)
{
    static const char *const cases[][2] = {
        {"dir:data", "data"},
        {"dir:./data//", "data"},
        {"dir:/", "dir"},
        {"dir:.", "dir"},
        {"dir:data/..", "dir"},
        {"dir:a=b:c d", "a_b_c_d"},
        {"x.Y_z-9=dir:data", "x.Y_z-9"},
        {"synthetic:rows=1", "synthetic"},
        {"t=synthetic:rows=1", "t"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pst_source *source = open_source("%s", cases[i][0]);
        CU_ASSERT_STRING_EQUAL(source->name, cases[i][1]);
        pst_source_close(source);
    }
}

static void long_names_are_cut_to_fit(void)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    REQUIRE(mkdir(name, 0755) == 0);
    struct pst_source *source = open_source("dir:%s", name);
    CU_ASSERT_EQUAL(strlen(source->name), PST_SOURCE_NAME_MAX - 1);
    pst_source_close(source);
}

static void bad_specs_are_refused(void)
{
    static const char *const bad[][2] = {
        {"", "dir:PATH"},
        {"/srv/data", "dir:PATH"},
        {"name=/srv/data", "known types"},
        {"mysql:x", "unknown type \"mysql\""},
        {"mysql:x", "synthetic:rows"},
        {"di:data", "unknown type"},
        {"dirs:data", "unknown type"},
        {":data", "unknown type \"\""},
        {"=dir:data", "a name has"},
        {".=dir:data", "a name has"},
        {"..=dir:data", "a name has"},
        {"a/b=dir:data", "a name has"},
        {"a b=dir:data", "a name has"},
        {"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=dir:data", "1 to 63"},
        {"t=synthetic:rows=x", "rows=x"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pst_source *source;
        char text[PST_SOURCE_ERROR_BYTES] = "";
        CU_ASSERT_EQUAL(registry_open(bad[i][0], 0, &source, text, sizeof(text)), -EINVAL);
        CU_ASSERT_PTR_NULL(source);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, bad[i][1]));
    }
}

static void messages_are_cut_to_fit(void)
{
    struct pst_source *source;
    char text[8] = "";
    CU_ASSERT_EQUAL(registry_open("mysql:x", 0, &source, text, sizeof(text)), -EINVAL);
    CU_ASSERT_EQUAL(strlen(text), sizeof(text) - 1);
}

static void several_are_opened_or_none(void)
{
    struct pst_source *sources[PST_SOURCES_MAX + 1];
    char text[PST_SOURCE_ERROR_BYTES] = "";
    const char *good[] = {"dir:data", "other=dir:data", "synthetic:rows=1"};
    ASSERT_OK(pst_sources_open(good, 3, sources, text, sizeof(text)));
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(sources[i]->instance, i);
        pst_source_close(sources[i]);
    }
    const char *twice[] = {"dir:data", "synthetic:rows=1", "dir:./data"};
    CU_ASSERT_EQUAL(pst_sources_open(twice, 3, sources, text, sizeof(text)), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "two sources are called \"data\""));
    const char *missing[] = {"dir:data", "dir:no/such"};
    CU_ASSERT_EQUAL(pst_sources_open(missing, 2, sources, text, sizeof(text)), -ENOENT);
    CU_ASSERT_EQUAL(pst_sources_open(good, 0, sources, text, sizeof(text)), -EINVAL);
    CU_ASSERT_EQUAL(pst_sources_open(good, PST_SOURCES_MAX + 1, sources, text, sizeof(text)),
                    -EINVAL);
}

static int list_nothing(struct pst_source *source, struct pst_fragment_sink *sink,
                        struct pst_source_listing *listing)
{
    (void)source, (void)sink, (void)listing;
    return 0;
}

static struct pst_source own;

static int adopt(void)
{
    struct pst_source *sources[1];
    char text[256];
    return pst_sources_adopt(&own, 0, sources, text, sizeof(text));
}

/* Nor has a child the jobs of its parent. */
static void a_programs_source_is_of_one_job_at_a_time(void)
{
    pst_source_init(&own, "own");
    own.list = list_nothing;
    CU_ASSERT_EQUAL(adopt(), 0);
    CU_ASSERT_EQUAL(adopt(), -EINVAL);
    CU_ASSERT_EQUAL(child_run(adopt), 0);
    pst_sources_give_back(&own);
    CU_ASSERT_EQUAL(adopt(), 0);
    pst_sources_give_back(&own);
}

static CU_TestInfo tests[] = {
    {"a program's source is of one job at a time", a_programs_source_is_of_one_job_at_a_time},
    {"names come from the spec or the path", names_come_from_the_spec_or_the_path},
    {"long names are cut to fit", long_names_are_cut_to_fit},
    {"bad specs are refused", bad_specs_are_refused},
    {"messages are cut to fit", messages_are_cut_to_fit},
    {"several are opened or none", several_are_opened_or_none},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source registry", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
