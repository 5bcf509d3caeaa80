/* The table of objects: each is found by node and id, whatever gaps there are, and no other. */
#include <stdio.h>
#include <string.h>

#include "engine/restore/objects.h"
#include "tests/suite.h"

#define NODES 3u
#define DENSE 40000u
#define SPARSE 5000u

static struct objects objects;

static int add(uint32_t node, uint64_t id, uint32_t flags)
{
    uint64_t entry[64] = {0};
    char path[32];
    size_t bytes = 0;
    snprintf(path, sizeof(path), "%llu", (unsigned long long)id);
    const struct pst_object object = {
        .id = id, .type = PST_OBJECT_FILE, .flags = flags, .path = path, .size = id % 1000 + node};
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, entry, sizeof(entry), &bytes), 0);
    return objects_add(&objects, node, entry, bytes, &object);
}

/* In no order of any kind: 7919 has no divisor in common with either count. */
static uint64_t dense_id(uint32_t i)
{
    return 1 + (uint64_t)i * 7919 % DENSE;
}

static uint64_t sparse_id(uint32_t i)
{
    return (UINT64_C(5) << PST_OBJECT_SOURCE_SHIFT) + 1 + ((uint64_t)i * 7919 % SPARSE << 30);
}

static bool is_found(uint32_t node, uint64_t id)
{
    const struct object_record *record = objects_find(&objects, node, id);
    return record && object_id(record) == id && record->node == node &&
           object_size(record) == id % 1000 + node;
}

static void each_is_found(void)
{
    const struct object_record *clash;
    uint32_t wrong = 0;
    CU_ASSERT_EQUAL_FATAL(objects_init(&objects), 0);
    for (uint32_t node = 0; node < NODES; node += 2) {
        for (uint32_t i = 0; i < DENSE; i++)
            wrong += add(node, dense_id(i), 0) != 0;
        for (uint32_t i = 0; i < SPARSE; i++)
            wrong += add(node, sparse_id(i), 0) != 0;
    }
    CU_ASSERT_EQUAL(add(2, 17, PST_OBJECT_CHANGED), 0); /* only the flags are new */
    CU_ASSERT_EQUAL(objects.count, 2 * (DENSE + SPARSE));
    CU_ASSERT_EQUAL(objects_sort(&objects, &clash), 0);
    for (uint32_t node = 0; node < NODES; node += 2) {
        for (uint32_t i = 0; i < DENSE; i++)
            wrong += !is_found(node, dense_id(i));
        for (uint32_t i = 0; i < SPARSE; i++)
            wrong +=
                !is_found(node, sparse_id(i)) || objects_find(&objects, node, sparse_id(i) + 1);
    }
    for (size_t i = 1; i < objects.count; i++)
        wrong += objects.sorted[i - 1]->node > objects.sorted[i]->node;
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(objects_find(&objects, 2, 17)->flags, PST_OBJECT_CHANGED);
    CU_ASSERT_PTR_NULL(objects_find(&objects, 0, 0));
    CU_ASSERT_PTR_NULL(objects_find(&objects, 0, DENSE + 1));
    CU_ASSERT_PTR_NULL(objects_find(&objects, 1, 1));
    objects_release(&objects);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each is found", each_is_found},
        CU_TEST_INFO_NULL,
    };
    return suite_run("objects", tests);
}
