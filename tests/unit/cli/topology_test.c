#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/cli/topology_view.h"
#include "tests/suite.h"
#include "tests/support/topology_fixture.h"

static struct pst_plan plan;

/* A fixture, its disk and NICs, and the plan for them. */
struct scene {
    struct pst_topology *topology;
    struct pst_topology_device disk;
    struct pst_topology_device nics[8];
    struct cli_topology_view view;
};

static void make_plan(const struct scene *scene, uint32_t ldms)
{
    struct pst_plan_request request = {.ldms = ldms, .disk_node = scene->disk.node};
    CU_ASSERT_EQUAL_FATAL(pst_plan_make(scene->topology, &request, &plan), 0);
}

static void set_scene(struct scene *scene, const char *fixture, unsigned major, unsigned minor,
                      uint32_t ldms)
{
    char *root = fixture_unpack(fixture);
    scene->topology = malloc(sizeof(*scene->topology));
    CU_ASSERT_EQUAL_FATAL(pst_topology_read(root, scene->topology), 0);
    topology_block_device(root, major, minor, &scene->disk);
    scene->view = (struct cli_topology_view){.topology = scene->topology,
                                             .plan = &plan,
                                             .path = "/srv/backups",
                                             .disk = &scene->disk,
                                             .nics = scene->nics,
                                             .nic_count = pst_topology_nics(root, scene->nics, 8)};
    fixture_remove(root);
    make_plan(scene, ldms);
}

/* The drawing, the caller's to free. */
static char *draw(const struct scene *scene)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    cli_topology_draw(out, &scene->view);
    fclose(out);
    return text;
}

/* tests/fixtures/topology/<fixture>.drawing, the caller's to free. */
static char *read_drawing(const char *fixture)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/fixtures/topology/%s.drawing", PST_TESTS_DIR, fixture);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char *text = NULL;
    size_t bytes = 0;
    CU_ASSERT_FATAL(getdelim(&text, &bytes, '\0', file) > 0);
    fclose(file);
    return text;
}

static void check_drawing(const char *fixture, unsigned major, unsigned minor, uint32_t ldms)
{
    struct scene scene;
    set_scene(&scene, fixture, major, minor, ldms);
    char *text = draw(&scene), *expected = read_drawing(fixture);
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("\n%s", text);
    free(text);
    free(expected);
    free(scene.topology);
}

static void test_a_disk_on_the_second_socket(void)
{
    check_drawing("xeon-2s-smt", 259, 2, 9);
}

static void test_memory_without_cpus(void)
{
    check_drawing("cxl-memory-only", 259, 0, 2);
}

static void test_more_ldms_than_cores(void)
{
    check_drawing("container-2-cpus", 254, 0, 8);
}

static void test_offline_cpus_and_no_disk(void)
{
    check_drawing("offline-cpus", 0, 99, 4);
}

static void test_cpus_that_are_not_ours(void)
{
    check_drawing("cgroup-odd-cpus", 8, 3, 3);
}

static void test_a_kernel_without_numa(void)
{
    check_drawing("no-numa-kernel", 179, 2, 1);
}

/* Nothing but sentences wider than a terminal, every online CPU once, every note. */
static void check_general(const struct scene *scene)
{
    char *text = draw(scene);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        CU_ASSERT_TRUE(strcspn(line, "\n") <= 80 || strncmp(line, "  - ", 4) == 0 ||
                       strncmp(line, "plan: ", 6) == 0);
    for (uint32_t i = 0; i < scene->topology->cpu_count; i++) {
        char cell[16];
        snprintf(cell, sizeof(cell), "| %3u ", scene->topology->cpus[i].id);
        const char *found = strstr(text, cell);
        CU_ASSERT_EQUAL(found != NULL, scene->topology->cpus[i].online);
        CU_ASSERT_TRUE(!found || !strstr(found + 1, cell));
    }
    for (uint32_t i = 0; i < plan.note_count; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text, plan.notes[i]));
    free(text);
}

static void check_json(const struct scene *scene)
{
    json_t *value = cli_topology_json(&scene->view);
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    json_t *plan_value = json_object_get(value, "plan");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(value, "numa_nodes")),
                    scene->topology->node_count);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(value, "cpus")), scene->topology->cpu_count);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(plan_value, "ldms")), plan.ldms);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(plan_value, "given_up")), plan.note_count);
    for (uint32_t i = 0; i < plan.ldms; i++) {
        json_t *ldm = json_array_get(json_object_get(plan_value, "ldms"), i);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(ldm, "ldm")), i + 1);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(ldm, "cpu")), plan.ldm[i].cpu);
    }
    json_decref(value);
}

static void test_every_fixture_can_be_shown(void)
{
    static const uint32_t ldms[] = {0, 1, 3, 40, 256};
    for (const char *const *name = fixture_names; *name; name++) {
        struct scene scene;
        set_scene(&scene, *name, 259, 0, 0);
        for (size_t i = 0; i < sizeof(ldms) / sizeof(ldms[0]); i++) {
            make_plan(&scene, ldms[i]);
            check_general(&scene);
            check_json(&scene);
        }
        free(scene.topology);
    }
}

static void test_json_says_what_is_unknown(void)
{
    struct scene scene;
    set_scene(&scene, "offline-cpus", 0, 99, 1);
    json_t *value = cli_topology_json(&scene.view);
    json_t *cpu = json_array_get(json_object_get(value, "cpus"), 4);
    CU_ASSERT_TRUE(json_is_null(json_object_get(cpu, "numa_node")));
    CU_ASSERT_TRUE(json_is_false(json_object_get(cpu, "online")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_object_get(value, "disk"), "numa_node")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(value, "cpu_quota")));
    json_decref(value);
    free(scene.topology);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a disk on the second socket", test_a_disk_on_the_second_socket},
        {"memory without cpus", test_memory_without_cpus},
        {"more ldms than cores", test_more_ldms_than_cores},
        {"offline cpus and no disk", test_offline_cpus_and_no_disk},
        {"cpus that are not ours", test_cpus_that_are_not_ours},
        {"a kernel without numa", test_a_kernel_without_numa},
        {"every fixture can be shown", test_every_fixture_can_be_shown},
        {"json says what is unknown", test_json_says_what_is_unknown},
        CU_TEST_INFO_NULL,
    };
    return suite_run("cli/topology", tests);
}
