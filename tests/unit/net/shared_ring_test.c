/* Rings between processes that do not trust each other: what the memory may say, and what comes of
 * it when it is overwritten. Order and contents as such: signal_ring_test.c,
 * fabric_contract_test.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/doorbell.h"
#include "net/shm/shared_ring.h"
#include "tests/suite.h"

#define SLOTS 16u
#define INCARNATION UINT64_C(0x1234567812345678)

struct pair {
    unsigned char *memory;
    struct shared_ring_end *out;
    struct shared_ring_end *in;
};

static struct pair pair_make(void)
{
    struct pair pair;
    size_t bytes = (shared_ring_bytes(SLOTS) + 4095) / 4096 * 4096;
    pair.memory = aligned_alloc(4096, bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair.memory);
    CU_ASSERT_EQUAL_FATAL(shared_ring_make(&pair.out, pair.memory, SLOTS, INCARNATION), 0);
    CU_ASSERT_EQUAL_FATAL(shared_ring_attach(&pair.in, pair.memory, SLOTS, INCARNATION), 0);
    return pair;
}

static void pair_free(struct pair *pair)
{
    shared_ring_free(pair->in);
    shared_ring_free(pair->out);
    free(pair->memory);
}

static struct pst_signal signal_make(uint64_t number)
{
    struct pst_signal signal = {
        .gsn = PST_BACKUP_FRAGMENT_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_fragment),
    };
    signal.payload.fragment.fragment = number;
    return signal;
}

static void put(struct pair *pair, uint64_t number)
{
    struct pst_signal signal = signal_make(number);
    CU_ASSERT_EQUAL_FATAL(shared_ring_put(pair->out, &signal), 0);
    CU_ASSERT_TRUE_FATAL(shared_ring_publish(pair->out));
}

/* Where the memory differs between two states of a ring: how the test finds an index. */
static size_t first_difference(const unsigned char *before, const unsigned char *after, size_t from)
{
    size_t at = from;
    while (before[at] == after[at])
        at++;
    return at;
}

static void nothing_is_seen_before_it_is_published(void)
{
    struct pair pair = pair_make();
    struct pst_signal got[SLOTS], signal = signal_make(0);
    CU_ASSERT_FALSE(shared_ring_publish(pair.out));
    CU_ASSERT_EQUAL(shared_ring_put(pair.out, &signal), 0);
    signal = signal_make(1);
    CU_ASSERT_EQUAL(shared_ring_put(pair.out, &signal), 0);
    CU_ASSERT_EQUAL(shared_ring_room(pair.out), SLOTS - 3);
    CU_ASSERT_TRUE(shared_ring_is_empty(pair.in));
    CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, SLOTS), 0);
    CU_ASSERT_EQUAL(shared_ring_check(pair.out), 0);
    CU_ASSERT_TRUE(shared_ring_publish(pair.out));
    CU_ASSERT_FALSE(shared_ring_publish(pair.out));
    CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, SLOTS), 2);
    CU_ASSERT_EQUAL(got[1].payload.fragment.fragment, 1);
    pair_free(&pair);
}

static void full_and_empty(void)
{
    struct pair pair = pair_make();
    struct pst_signal got[SLOTS], signal = signal_make(99);
    for (uint64_t round = 0; round < 5; round++) {
        CU_ASSERT_TRUE(shared_ring_is_empty(pair.in));
        CU_ASSERT_EQUAL(shared_ring_room(pair.out), SLOTS - 1);
        for (uint64_t i = 0; i < SLOTS - 1; i++)
            put(&pair, i);
        CU_ASSERT_FALSE(pst_sleep_ends(shared_ring_producer_sleep(pair.in)));
        CU_ASSERT_EQUAL(shared_ring_put(pair.out, &signal), -EAGAIN);
        CU_ASSERT_EQUAL(shared_ring_room(pair.out), 0);
        CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, SLOTS), SLOTS - 1);
        CU_ASSERT_TRUE(pst_sleep_ends(shared_ring_producer_sleep(pair.in)));
        for (uint64_t i = 0; i < SLOTS - 1; i++)
            CU_ASSERT_EQUAL(got[i].payload.fragment.fragment, i);
    }
    pair_free(&pair);
}

static void attach_wants_the_ring_it_was_told_of(void)
{
    struct pair pair = pair_make();
    struct shared_ring_end *in;
    CU_ASSERT_EQUAL(shared_ring_attach(&in, pair.memory, SLOTS * 2, INCARNATION), -PST_E_LINK);
    CU_ASSERT_EQUAL(shared_ring_attach(&in, pair.memory, SLOTS / 2, INCARNATION), -PST_E_LINK);
    CU_ASSERT_EQUAL(shared_ring_attach(&in, pair.memory, SLOTS, INCARNATION), 0);
    shared_ring_free(in);
    pair_free(&pair);
}

static void another_incarnation_is_not_heard(void)
{
    struct pair pair = pair_make();
    struct shared_ring_end *in;
    struct pst_signal got;
    CU_ASSERT_EQUAL(shared_ring_attach(&in, pair.memory, SLOTS, INCARNATION + 1), 0);
    put(&pair, 1);
    CU_ASSERT_EQUAL(shared_ring_get_burst(in, &got, 1), -PST_E_LINK);
    CU_ASSERT_EQUAL(shared_ring_fault(in), PST_SIGNAL_FAULT_INCARNATION);
    shared_ring_free(in);
    pair_free(&pair);
}

static void impossible_indexes_are_found(void)
{
    static const int32_t shifts[] = {-1, -2, SLOTS, SLOTS + 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
        for (int by_consumer = 0; by_consumer < 2; by_consumer++) {
            struct pair pair = pair_make();
            struct pst_signal got[SLOTS];
            size_t bytes = shared_ring_bytes(SLOTS);
            unsigned char *before = malloc(bytes);
            CU_ASSERT_PTR_NOT_NULL_FATAL(before);
            put(&pair, 1);
            put(&pair, 2);
            CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, 2), 2);
            CU_ASSERT_EQUAL(shared_ring_room(pair.out), SLOTS - 1);
            memcpy(before, pair.memory, bytes);
            uint32_t index;
            if (by_consumer) {
                put(&pair, 3);
                CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, 2), 1);
                size_t prod = first_difference(before, pair.memory, 0);
                size_t cons = first_difference(before, pair.memory, prod + 1);
                memcpy(&index, pair.memory + cons, sizeof(index));
                index += (uint32_t)shifts[i] + (shifts[i] < 0 ? 0u : 1u) - 1u;
                memcpy(pair.memory + cons, &index, sizeof(index));
                CU_ASSERT_EQUAL(shared_ring_check(pair.out), -PST_E_LINK);
                CU_ASSERT_EQUAL(shared_ring_fault(pair.out), PST_SIGNAL_FAULT_INDEX);
                CU_ASSERT_EQUAL(shared_ring_room(pair.out), 0);
            } else {
                put(&pair, 3);
                size_t prod = first_difference(before, pair.memory, 0);
                memcpy(&index, pair.memory + prod, sizeof(index));
                index += (uint32_t)shifts[i] - (shifts[i] < 0 ? 1u : 0u);
                memcpy(pair.memory + prod, &index, sizeof(index));
                CU_ASSERT_FALSE(shared_ring_is_empty(pair.in));
                CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, got, SLOTS), -PST_E_LINK);
                CU_ASSERT_EQUAL(shared_ring_fault(pair.in), PST_SIGNAL_FAULT_INDEX);
            }
            free(before);
            pair_free(&pair);
        }
    }
}

/* The ring's own name lies in front of its size and mask. */
static void overwritten_geometry_is_found(void)
{
    size_t bytes = shared_ring_bytes(SLOTS);
    for (size_t offset = 0; offset < 60; offset++) {
        struct pair pair = pair_make();
        struct pst_signal got;
        unsigned char *name = memmem(pair.memory, bytes, "signals", 7);
        CU_ASSERT_PTR_NOT_NULL_FATAL(name);
        put(&pair, 1);
        name[offset] ^= 0x11;
        CU_ASSERT_EQUAL(shared_ring_get_burst(pair.in, &got, 1), -PST_E_LINK);
        CU_ASSERT_EQUAL(shared_ring_fault(pair.in), PST_SIGNAL_FAULT_GEOMETRY);
        CU_ASSERT_EQUAL(shared_ring_check(pair.out), -PST_E_LINK);
        CU_ASSERT_EQUAL(shared_ring_fault(pair.out), PST_SIGNAL_FAULT_GEOMETRY);
        pair_free(&pair);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Any bytes, anywhere, at any time: what is delivered is what was put, in order, until the end
 * that sees the damage breaks; and no access leaves the memory (AddressSanitizer, the allocator).
 * Returns whether an end broke. */
static bool scribble_on_a_ring(uint64_t *random)
{
    struct pair pair = pair_make();
    size_t bytes = shared_ring_bytes(SLOTS);
    uint64_t put_next = 0, got_next = 0, calm = next_random(random) % 100;
    bool broke = false;
    for (uint64_t step = 0; step < 400 && !broke; step++) {
        struct pst_signal got[SLOTS], signal = signal_make(put_next);
        int status = shared_ring_put(pair.out, &signal);
        put_next += status == 0;
        if (step % 3 == 0)
            (void)shared_ring_publish(pair.out);
        broke |= status == -PST_E_LINK;
        if (step > calm) {
            uint64_t at = next_random(random) % bytes, length = next_random(random) % 64;
            for (uint64_t i = at; i < at + length && i < bytes; i++)
                pair.memory[i] = (unsigned char)next_random(random);
        }
        (void)shared_ring_room(pair.out);
        (void)shared_ring_is_empty(pair.in);
        status = shared_ring_get_burst(pair.in, got, (uint32_t)(next_random(random) % SLOTS));
        broke |= status < 0;
        for (int i = 0; i < status; i++)
            CU_ASSERT_EQUAL(got[i].payload.fragment.fragment, got_next++);
    }
    CU_ASSERT_TRUE(got_next <= put_next);
    pair_free(&pair);
    return broke;
}

static void scribbled_memory_breaks_nothing_but_the_ring(void)
{
    uint64_t random = 4711, broke = 0;
    for (int round = 0; round < 1000; round++)
        broke += scribble_on_a_ring(&random);
    CU_ASSERT_TRUE(broke > 900);
}

static CU_TestInfo tests[] = {
    {"nothing is seen before it is published", nothing_is_seen_before_it_is_published},
    {"full and empty", full_and_empty},
    {"attach wants the ring it was told of", attach_wants_the_ring_it_was_told_of},
    {"another incarnation is not heard", another_incarnation_is_not_heard},
    {"impossible indexes are found", impossible_indexes_are_found},
    {"overwritten geometry is found", overwritten_geometry_is_found},
    {"scribbled memory breaks nothing but the ring", scribbled_memory_breaks_nothing_but_the_ring},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net shared_ring", tests);
}
