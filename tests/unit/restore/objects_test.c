/* The tables of objects: each is found by node and id, whatever gaps there are, and no other, and
 * by its path; and sorted, they are in the order of their paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/object_order.h"
#include "engine/restore/object_paths.h"
#include "tests/suite.h"

#define NODES 3u
#define DENSE 40000u
#define SPARSE 5000u

static struct objects objects;

static int add_object(uint32_t node, const struct pst_object *object)
{
    uint64_t entry[PST_OBJECT_BYTES_MAX / 8] = {0};
    size_t bytes = 0, end;
    uint32_t count = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(object, entry, sizeof(entry), &bytes), 0);
    int error = objects_add(&objects, node, entry, bytes, &end, &count);
    CU_ASSERT_EQUAL(end, error ? 0 : bytes);
    CU_ASSERT_EQUAL(count, error ? 0 : 1);
    return error;
}

static int add(uint32_t node, uint64_t id, uint32_t flags)
{
    char path[32];
    snprintf(path, sizeof(path), "%llu", (unsigned long long)id);
    const struct pst_object object = {
        .id = id, .type = PST_OBJECT_FILE, .flags = flags, .path = path, .size = id % 1000 + node};
    return add_object(node, &object);
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
    CU_ASSERT_EQUAL_FATAL(objects_gather(&objects), 0);
    CU_ASSERT_EQUAL(objects_sort(&objects, &clash), 0);
    for (uint32_t node = 0; node < NODES; node += 2) {
        for (uint32_t i = 0; i < DENSE; i++)
            wrong += !is_found(node, dense_id(i));
        for (uint32_t i = 0; i < SPARSE; i++)
            wrong +=
                !is_found(node, sparse_id(i)) || objects_find(&objects, node, sparse_id(i) + 1);
    }
    for (size_t i = 1; i < objects.count; i++)
        wrong += objects.listed[i - 1]->node > objects.listed[i]->node;
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(objects_find(&objects, 2, 17)->flags, PST_OBJECT_CHANGED);
    CU_ASSERT_PTR_NULL(objects_find(&objects, 0, 0));
    CU_ASSERT_PTR_NULL(objects_find(&objects, 0, DENSE + 1));
    CU_ASSERT_PTR_NULL(objects_find(&objects, 1, 1));
    objects_release(&objects);
}

/* Of letters that sort before and after a slash, with long beginnings that are alike. */
static const char *some_path(char path[128])
{
    static const char letters[] = "-/0a";
    size_t length = (size_t)rand() % 6 * 8 + (size_t)rand() % 3;
    memset(path, 'x', length);
    path[length++] = 'a';
    for (int i = rand() % 12; i > 0; i--) {
        char letter = letters[rand() % 4];
        path[length] = letter == '/' && path[length - 1] == '/' ? 'b' : letter;
        length++;
    }
    path[length - (path[length - 1] == '/')] = '\0';
    return path;
}

static int compare(const struct object_record *left, const struct object_record *right)
{
    uint64_t left_place = (uint64_t)left->node << 32 | pst_object_source(object_id(left));
    uint64_t right_place = (uint64_t)right->node << 32 | pst_object_source(object_id(right));
    if (left_place != right_place)
        return left_place < right_place ? -1 : 1;
    return strcmp(object_path(left), object_path(right));
}

static uint32_t add_of_some_path(uint64_t counter)
{
    char path[128];
    const struct pst_object object = {.id = (uint64_t)(rand() % 3) << PST_OBJECT_SOURCE_SHIFT |
                                            counter,
                                      .type = PST_OBJECT_SYMLINK,
                                      .path = some_path(path),
                                      .link = "where it leads"};
    return add_object((uint32_t)rand() % NODES, &object) != 0;
}

/* Returns how many are wrong. */
static uint32_t enter_paths(bool *has_clash)
{
    const struct pst_crew options = {.workers = 2};
    struct crew *crew;
    CU_ASSERT_EQUAL_FATAL(crew_open(&options, &crew), 0);
    CU_ASSERT_EQUAL_FATAL(objects_gather(&objects), 0);
    int error = objects_enter_paths(&objects, crew, has_clash);
    crew_close(crew);
    return error != 0;
}

/* By its own path, and not by the beginning of it, or by one that no object has. */
static uint32_t look_for(const struct object_record *record)
{
    const char *own = object_path(record);
    const struct object_record *found = objects_at(&objects, record, own, strlen(own));
    uint32_t wrong = !found || compare(found, record) != 0;
    found = objects_at(&objects, record, own, strlen(own) - 1);
    wrong += found && strlen(object_path(found)) != strlen(own) - 1;
    return wrong + (objects_at(&objects, record, "no such path", 12) != NULL);
}

static void they_are_in_the_order_of_paths(void)
{
    const struct object_record *clash;
    uint32_t wrong = 0, same = 0;
    bool has_clash = false;
    srand(1);
    CU_ASSERT_EQUAL_FATAL(objects_init(&objects), 0);
    for (uint64_t i = 1; i <= 20000; i++)
        wrong += add_of_some_path(i);
    wrong += enter_paths(&has_clash);
    CU_ASSERT_TRUE(has_clash);
    CU_ASSERT_EQUAL(objects_sort(&objects, &clash), -PST_E_CORRUPT);
    for (size_t i = 1; i < objects.count; i++) {
        int order = compare(objects.listed[i - 1], objects.listed[i]);
        wrong += order > 0;
        same += order == 0;
        if (order == 0 && same == 1)
            CU_ASSERT_EQUAL(compare(clash, objects.listed[i]), 0);
    }
    CU_ASSERT_TRUE(same > 0 && same < objects.count / 2);
    for (size_t i = 0; i < objects.count; i++)
        wrong += look_for(objects.listed[i]);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(objects_sort(&objects, &clash), 0); /* they are */
    CU_ASSERT_PTR_NULL(clash);
    objects_release(&objects);
}

/* The same path in other nodes and other sources is another object's. */
static void one_path_in_two_trees_is_no_clash(void)
{
    bool has_clash = true;
    uint32_t wrong = 0;
    CU_ASSERT_EQUAL_FATAL(objects_init(&objects), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        char path[32];
        snprintf(path, sizeof(path), "%u", i / 2);
        const struct pst_object object = {.id = (uint64_t)(i % 2) << PST_OBJECT_SOURCE_SHIFT |
                                                (i + 1),
                                          .type = PST_OBJECT_FILE,
                                          .path = path};
        for (uint32_t node = 0; node < NODES; node++)
            wrong += add_object(node, &object) != 0;
    }
    wrong += enter_paths(&has_clash);
    CU_ASSERT_FALSE(has_clash);
    for (size_t i = 0; i < objects.count; i++) {
        const char *own = object_path(objects.listed[i]);
        wrong += objects_at(&objects, objects.listed[i], own, strlen(own)) != objects.listed[i];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    objects_release(&objects);
}

static void what_is_not_legal_ends_a_catalogue(void)
{
    uint64_t entries[512] = {0};
    size_t bytes = 0, first, end;
    uint32_t count = 0;
    struct pst_object object = {.id = 1, .type = PST_OBJECT_FILE, .path = "a", .size = 5};
    CU_ASSERT_EQUAL_FATAL(objects_init(&objects), 0);
    CU_ASSERT_EQUAL(pst_object_encode(&object, entries, sizeof(entries), &bytes), 0);
    first = bytes;
    object.id = 2;
    CU_ASSERT_EQUAL(pst_object_encode(&object, entries, sizeof(entries), &bytes), 0);
    ((uint8_t *)entries)[first] ^= 1; /* its length */
    CU_ASSERT_EQUAL(objects_add(&objects, 0, entries, bytes, &end, &count), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(end, first);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(objects.count, 1);
    object.id = 1;
    object.size = 6; /* is another than that of the first entry */
    CU_ASSERT_EQUAL(add_object(0, &object), -PST_E_CORRUPT);
    objects_release(&objects);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each is found", each_is_found},
        {"they are in the order of paths", they_are_in_the_order_of_paths},
        {"one path in two trees is no clash", one_path_in_two_trees_is_no_clash},
        {"what is not legal ends a catalogue", what_is_not_legal_ends_a_catalogue},
        CU_TEST_INFO_NULL,
    };
    return suite_run("objects", tests);
}
