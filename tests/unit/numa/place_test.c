/* On the machine that runs the test: pinning, arenas, and a kernel that forbids both. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numa/place.h"
#include "tests/suite.h"
#include "tests/support/child.h"

#define ARENA_BYTES (3u << 20)

static struct pst_topology *topology;

/* Where a test pins, it runs in a child, so that the pinning does not reach the next test. */
static int pin_everywhere(void)
{
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        uint32_t id = topology->cpus[i].id;
        if (topology->cpus[i].allowed && (pst_place_pin(id) != 0 || sched_getcpu() != (int)id))
            return 1;
    }
    return 0;
}

static void test_every_allowed_cpu_can_be_pinned_to(void)
{
    CU_ASSERT_EQUAL(child_run(pin_everywhere), 0);
}

static void test_pinning_to_no_cpu_fails(void)
{
    CU_ASSERT_EQUAL(pst_place_pin(PST_CPUS_MAX - 1), -EINVAL);
    CU_ASSERT_EQUAL(pst_place_pin(PST_CPUS_MAX), -EINVAL);
    CU_ASSERT_EQUAL(pst_place_pin(UINT32_MAX), -EINVAL);
}

static bool is_zero(const struct pst_arena *arena)
{
    const unsigned char *bytes = arena->base;
    for (size_t i = 0; i < arena->bytes; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Whether the kernel has taken note: the flag "hg" of the mapping in smaps (proc(5)). */
static bool has_advice(const struct pst_arena *arena)
{
    char line[512], begin[32];
    bool is_here = false, has = false;
    snprintf(begin, sizeof(begin), "%lx-", (unsigned long)(uintptr_t)arena->base);
    FILE *file = fopen("/proc/self/smaps", "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, begin, strlen(begin)) == 0)
            is_here = true;
        else if (is_here && strncmp(line, "VmFlags:", 8) == 0) {
            has = strstr(line, " hg") != NULL;
            break;
        }
    }
    fclose(file);
    return has;
}

static void check_transparent(const struct pst_arena *arena)
{
    bool has_kernel = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
    CU_ASSERT_EQUAL(arena->transparent, has_kernel && !arena->hugepages);
    CU_ASSERT_EQUAL(arena->transparent, has_advice(arena));
    CU_ASSERT_EQUAL((uintptr_t)arena->base % (2u << 20), 0);
}

static void check_arena(int32_t node)
{
    struct pst_arena arena;
    struct pst_arena_census census;
    CU_ASSERT_EQUAL_FATAL(pst_arena_create(topology, ARENA_BYTES + 1, node, &arena), 0);
    CU_ASSERT_TRUE(arena.bytes > ARENA_BYTES);
    CU_ASSERT_EQUAL(arena.bytes % arena.page_bytes, 0);
    CU_ASSERT_EQUAL((uintptr_t)arena.base % arena.page_bytes, 0);
    check_transparent(&arena);
    if (pst_arena_check(&arena, &census) == 0 && strstr(arena.note, "not bound") == NULL)
        CU_ASSERT_EQUAL(census.absent, arena.hugepages ? 0 : census.pages);
    CU_ASSERT_TRUE(is_zero(&arena));
    memset(arena.base, 0xa5, arena.bytes);
    CU_ASSERT_EQUAL(arena.hugepages, strstr(arena.note, "reserved hugepages") == NULL);
    CU_ASSERT_EQUAL(arena.bound,
                    node != PST_NUMA_NODE_UNKNOWN && strstr(arena.note, "not bound") == NULL);
    int error = pst_arena_check(&arena, &census);
    if (!error) {
        CU_ASSERT_EQUAL(census.pages, arena.bytes / arena.page_bytes);
        CU_ASSERT_EQUAL(census.absent, 0);
        if (arena.bound)
            CU_ASSERT_EQUAL(census.misplaced, 0);
    } else {
        CU_ASSERT_TRUE(error == -ENOSYS || error == -EPERM);
        printf("\n  the kernel does not tell where pages lie: %s\n", pst_error_name(error));
    }
    pst_arena_destroy(&arena);
    CU_ASSERT_PTR_NULL(arena.base);
    pst_arena_destroy(&arena);
}

static void test_an_arena_lies_on_every_node_with_memory(void)
{
    check_arena(PST_NUMA_NODE_UNKNOWN);
    for (uint32_t i = 0; i < topology->node_count; i++)
        if (topology->nodes[i].memory_bytes > 0 && topology->nodes[i].memory_allowed)
            check_arena(topology->nodes[i].id);
}

static void test_what_is_reserved_comes_when_it_is_touched(void)
{
    struct pst_arena arena;
    struct pst_arena_census census;
    CU_ASSERT_EQUAL_FATAL(pst_arena_reserve(ARENA_BYTES, true, &arena), 0);
    check_transparent(&arena);
    bool is_told = pst_arena_check(&arena, &census) == 0;
    CU_ASSERT_TRUE(!is_told || census.absent == census.pages);
    CU_ASSERT_TRUE(is_zero(&arena));
    memset(arena.base, 0xa5, arena.bytes);
    CU_ASSERT_TRUE(!is_told || (pst_arena_check(&arena, &census) == 0 && census.absent == 0));
    pst_arena_destroy(&arena);
    CU_ASSERT_EQUAL(pst_arena_reserve(SIZE_MAX, true, &arena), -ENOMEM);
    CU_ASSERT_EQUAL_FATAL(pst_arena_reserve(ARENA_BYTES, false, &arena), 0);
    CU_ASSERT_FALSE(arena.transparent);
    pst_arena_destroy(&arena);
}

static struct pst_arena inherited;

/* By system calls: where nothing is mapped they fail. In a child something else may be there. */
static int has_inherited(void)
{
    unsigned char byte = 0;
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    bool is_mapped = write(ends[1], inherited.base, 1) == 1 && read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return is_mapped && byte == 0xa5;
}

static void test_a_child_has_none_of_it(void)
{
    CU_ASSERT_EQUAL_FATAL(
        pst_arena_create(topology, ARENA_BYTES, PST_NUMA_NODE_UNKNOWN, &inherited), 0);
    memset(inherited.base, 0xa5, inherited.bytes);
    CU_ASSERT_TRUE(has_inherited());
    CU_ASSERT_EQUAL(child_run(has_inherited), 0);
    pst_arena_destroy(&inherited);
}

/* A topology that promises any number of hugepages on every node, as one read long ago may. */
static struct pst_topology *promise_hugepages(void)
{
    struct pst_topology *lying = malloc(sizeof(*lying));
    CU_ASSERT_PTR_NOT_NULL_FATAL(lying);
    *lying = *topology;
    for (uint32_t i = 0; i < lying->node_count; i++) {
        lying->nodes[i].hugepage_sizes = 1;
        lying->nodes[i].hugepages[0] = (struct pst_topology_hugepages){
            .page_bytes = 2u << 20, .total_pages = 1u << 30, .free_pages = 1u << 30};
    }
    return lying;
}

static void test_missing_hugepages_fall_back(void)
{
    struct pst_topology *lying = promise_hugepages();
    struct pst_arena arena;
    size_t more_than_free = 64u << 20;
    for (uint32_t i = 0; i < topology->node_count; i++)
        for (uint32_t size = 0; size < topology->nodes[i].hugepage_sizes; size++)
            if (topology->nodes[i].hugepages[size].page_bytes == 2u << 20)
                more_than_free += topology->nodes[i].hugepages[size].free_pages << 21;
    CU_ASSERT_EQUAL_FATAL(pst_arena_create(lying, more_than_free, 0, &arena), 0);
    CU_ASSERT_FALSE(arena.hugepages);
    CU_ASSERT_PTR_NOT_NULL(strstr(arena.note, "reserved hugepages failed with "));
    pst_arena_destroy(&arena);
    free(lying);
}

/* The pool is the host's, the binding a node's: a page that lies on another node must end in normal
 * pages, not in SIGBUS. */
static void test_hugepages_of_another_node_fall_back(void)
{
    struct pst_topology *lying = promise_hugepages();
    for (uint32_t i = 0; i < topology->node_count; i++) {
        const struct pst_topology_node *node = &topology->nodes[i];
        if (node->memory_bytes == 0 || !node->memory_allowed)
            continue;
        struct pst_arena arena;
        struct pst_arena_census census;
        CU_ASSERT_EQUAL_FATAL(pst_arena_create(lying, 2u << 20, node->id, &arena), 0);
        CU_ASSERT_EQUAL(arena.hugepages, strstr(arena.note, "reserved hugepages") == NULL);
        memset(arena.base, 1, arena.bytes);
        if (arena.bound && pst_arena_check(&arena, &census) == 0)
            CU_ASSERT_EQUAL(census.misplaced + census.absent, 0);
        pst_arena_destroy(&arena);
    }
    free(lying);
}

static void test_a_node_that_is_not_there_is_said(void)
{
    struct pst_arena arena;
    struct pst_arena_census census;
    int32_t missing = 77;
    CU_ASSERT_EQUAL_FATAL(pst_arena_create(topology, ARENA_BYTES, missing, &arena), 0);
    CU_ASSERT_FALSE(arena.bound);
    CU_ASSERT_PTR_NOT_NULL(strstr(arena.note, "memory is not bound to node 77 ("));
    if (pst_arena_check(&arena, &census) == 0)
        CU_ASSERT_EQUAL(census.misplaced, census.pages);
    pst_arena_destroy(&arena);
}

/* Memory that is no arena, such as a ring: from the page of its first byte to that of its last. */
static void test_any_memory_can_be_looked_for(void)
{
    enum { PAGE = 4096 };
    struct pst_arena_census census = {.pages = 5, .misplaced = 1};
    int32_t node = topology->nodes[0].id, missing = 77;
    char *memory = aligned_alloc(PAGE, 4 * PAGE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    memset(memory, 1, 4 * PAGE);
    int error = pst_place_check(memory + 100, PAGE, missing, &census);
    if (!error) {
        CU_ASSERT_EQUAL(census.pages, 5 + 2);
        CU_ASSERT_EQUAL(census.misplaced, 1 + 2);
    }
    if (!error && topology->node_count == 1) {
        CU_ASSERT_EQUAL(pst_place_check(memory, 4 * PAGE, node, &census), 0);
        CU_ASSERT_EQUAL(census.pages, 5 + 2 + 4);
        CU_ASSERT_EQUAL(census.misplaced + census.absent, 1 + 2);
    }
    free(memory);
}

static void test_bad_sizes_and_nodes_are_refused(void)
{
    struct pst_arena arena;
    CU_ASSERT_EQUAL(pst_arena_create(topology, 0, 0, &arena), -EINVAL);
    CU_ASSERT_EQUAL(pst_arena_create(topology, 4096, -2, &arena), -EINVAL);
    CU_ASSERT_EQUAL(pst_arena_create(topology, 4096, PST_CPUS_MAX, &arena), -EINVAL);
    CU_ASSERT_EQUAL(pst_arena_create(topology, SIZE_MAX, 0, &arena), -ENOMEM);
    CU_ASSERT_PTR_NULL(arena.base);
    pst_arena_destroy(&arena);
}

#define REFUSE(call, error)                                                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),                                             \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* As containers do: mbind and move_pages are refused. */
static int forbid_numa_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_mbind, EPERM),
        REFUSE(SYS_move_pages, ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

static int live_without_numa_calls(void)
{
    if (forbid_numa_calls() != 0)
        return 77;
    struct pst_arena arena;
    struct pst_arena_census census;
    if (pst_arena_create(topology, ARENA_BYTES, 0, &arena) != 0)
        return 1;
    if (arena.bound || !strstr(arena.note, "memory is not bound to node 0 (EPERM)"))
        return 2;
    if (pst_arena_check(&arena, &census) != -ENOSYS)
        return 3;
    memset(arena.base, 1, arena.bytes);
    pst_arena_destroy(&arena);
    return 0;
}

static void test_a_kernel_that_forbids_binding(void)
{
    int status = child_run(live_without_numa_calls);
    if (status == 77)
        printf("\n  skipped: this kernel lets nobody set a seccomp filter\n");
    else
        CU_ASSERT_EQUAL(status, 0);
}

int main(void)
{
    topology = malloc(sizeof(*topology));
    if (!topology || pst_topology_read("", topology) != 0) {
        fprintf(stderr, "no topology: is /sys mounted?\n");
        return 77;
    }
    CU_TestInfo tests[] = {
        {"every allowed cpu can be pinned to", test_every_allowed_cpu_can_be_pinned_to},
        {"pinning to no cpu fails", test_pinning_to_no_cpu_fails},
        {"any memory can be looked for", test_any_memory_can_be_looked_for},
        {"an arena lies on every node with memory", test_an_arena_lies_on_every_node_with_memory},
        {"what is reserved comes when it is touched",
         test_what_is_reserved_comes_when_it_is_touched},
        {"a child has none of it", test_a_child_has_none_of_it},
        {"missing hugepages fall back", test_missing_hugepages_fall_back},
        {"hugepages of another node fall back", test_hugepages_of_another_node_fall_back},
        {"a node that is not there is said", test_a_node_that_is_not_there_is_said},
        {"bad sizes and nodes are refused", test_bad_sizes_and_nodes_are_refused},
        {"a kernel that forbids binding", test_a_kernel_that_forbids_binding},
        CU_TEST_INFO_NULL,
    };
    int status = suite_run("numa/place", tests);
    free(topology);
    return status;
}
