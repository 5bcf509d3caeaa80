/* Rings of signals: order, bounds, and that nothing lost, stale or damaged is ever delivered. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/signal_ring.h"
#include "tests/suite.h"
#include "tests/support/child.h"

#define INCARNATION UINT64_C(0x1122334455667788)
#define SLOTS 8u

struct box {
    void *memory;
    struct pst_signal_ring *ring;
};

static struct box box_make(uint32_t slots, uint64_t incarnation)
{
    size_t bytes = pst_spsc_bytes(slots);
    struct box box = {.memory = aligned_alloc(PST_SIGNAL_RING_ALIGNMENT, bytes)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(box.memory);
    memset(box.memory, 0xa5, bytes);
    box.ring = pst_spsc_init(box.memory, slots, incarnation);
    return box;
}

static struct pst_signal signal_make(uint64_t number)
{
    struct pst_signal signal = {
        .gsn = PST_BACKUP_FRAGMENT_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_fragment),
        .sender_ref = pst_ref_make(1, PST_BLOCK_PROXY, 0),
        .receiver_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 3),
        .backup = UINT64_C(0xfeedfacecafebeef),
        .sequence = (uint32_t)number,
    };
    signal.payload.fragment.fragment = number;
    signal.payload.fragment.bytes = ~number;
    return signal;
}

static void put(struct pst_signal_ring *ring, uint64_t number)
{
    struct pst_signal signal = signal_make(number);
    CU_ASSERT_EQUAL_FATAL(pst_spsc_put(ring, &signal), 0);
}

static uint64_t get(struct pst_signal_ring *ring)
{
    struct pst_signal signal;
    CU_ASSERT_EQUAL_FATAL(pst_spsc_get_burst(ring, &signal, 1), 1);
    return signal.payload.fragment.fragment;
}

/* Where the ring keeps the signal of this number, found by its contents. */
static struct pst_signal *slot_of(const struct box *box, uint32_t slots, uint64_t number)
{
    uint64_t pattern[2] = {number, ~number};
    size_t offset = offsetof(struct pst_signal, payload.fragment.fragment);
    unsigned char *found = memmem(box->memory, pst_spsc_bytes(slots), pattern, 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    return (struct pst_signal *)(void *)(found - offset);
}

/* CRC-32C bit by bit, as docs/protocol.md has it: an implementation to hold the other to. */
static uint32_t crc32c(const unsigned char *bytes, size_t size, uint32_t crc)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static uint64_t expected_checksum(const struct pst_signal *signal)
{
    const unsigned char *bytes = (const unsigned char *)signal;
    uint32_t low = crc32c(bytes, 40, UINT32_MAX);
    return (uint64_t)crc32c(bytes + 48, 80, low) << 32 | low;
}

static void keeps_order_and_contents(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    struct pst_signal sent = signal_make(7), got;
    CU_ASSERT_TRUE(pst_spsc_is_empty(box.ring));
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, &got, 1), 0);
    CU_ASSERT_EQUAL(pst_spsc_put(box.ring, &sent), 0);
    CU_ASSERT_FALSE(pst_spsc_is_empty(box.ring));
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, &got, 1), 1);
    CU_ASSERT_EQUAL(got.link_sequence, 0);
    CU_ASSERT_EQUAL(got.incarnation, INCARNATION);
    CU_ASSERT_EQUAL(got.checksum, expected_checksum(&got));
    sent.incarnation = got.incarnation;
    sent.checksum = got.checksum;
    CU_ASSERT_EQUAL(memcmp(&sent, &got, sizeof(sent)), 0);
    for (uint64_t i = 0; i < 5; i++)
        put(box.ring, i);
    for (uint64_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(get(box.ring), i);
    CU_ASSERT_TRUE(pst_spsc_is_empty(box.ring));
    free(box.memory);
}

static void full_ring_refuses_and_counts(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    CU_ASSERT_EQUAL(pst_spsc_room(box.ring), SLOTS - 1);
    for (uint64_t i = 0; i < SLOTS - 1; i++)
        put(box.ring, i);
    CU_ASSERT_EQUAL(pst_spsc_room(box.ring), 0);
    struct pst_signal signal = signal_make(99);
    CU_ASSERT_EQUAL(spsc_refused(box.ring), 0);
    CU_ASSERT_EQUAL(pst_spsc_put(box.ring, &signal), -EAGAIN);
    CU_ASSERT_EQUAL(pst_spsc_put(box.ring, &signal), -EAGAIN);
    CU_ASSERT_EQUAL(spsc_refused(box.ring), 2);
    CU_ASSERT_EQUAL(get(box.ring), 0);
    put(box.ring, SLOTS - 1);
    for (uint64_t i = 1; i < SLOTS; i++)
        CU_ASSERT_EQUAL(get(box.ring), i);
    CU_ASSERT_EQUAL(pst_spsc_ring_fault(box.ring), PST_SIGNAL_FAULT_NONE);
    free(box.memory);
}

/* Every fill at every position, so that bursts straddle the end of the slots in every way. */
static void bursts_wrap_around(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    struct pst_signal got[SLOTS];
    uint64_t put_next = 0, got_next = 0;
    for (uint32_t fill = 1; fill < SLOTS; fill++) {
        for (uint32_t round = 0; round < 3 * SLOTS; round++) {
            for (uint32_t i = 0; i < fill; i++)
                put(box.ring, put_next++);
            CU_ASSERT_EQUAL_FATAL(pst_spsc_get_burst(box.ring, got, SLOTS), (int)fill);
            for (uint32_t i = 0; i < fill; i++)
                CU_ASSERT_EQUAL(got[i].payload.fragment.fragment, got_next++);
        }
    }
    for (uint64_t i = 0; i < 5; i++)
        put(box.ring, put_next++);
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, got, 2), 2);
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, got, SLOTS), 3);
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, got, 0), 0);
    free(box.memory);
}

static void expect_fault(struct pst_signal_ring *ring, enum pst_spsc_fault fault)
{
    struct pst_signal got;
    CU_ASSERT_EQUAL(pst_spsc_get_burst(ring, &got, 1), -PST_E_LINK);
    CU_ASSERT_EQUAL(pst_spsc_ring_fault(ring), fault);
    CU_ASSERT_FALSE(pst_spsc_is_empty(ring));
    CU_ASSERT_EQUAL(pst_spsc_get_burst(ring, &got, 1), -PST_E_LINK);
}

static void every_damaged_bit_is_found(void)
{
    struct pst_signal got;
    for (size_t byte = 0; byte < PST_SIGNAL_BYTES; byte++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct box box = box_make(2, INCARNATION);
            put(box.ring, 42);
            unsigned char *bytes = (unsigned char *)slot_of(&box, 2, 42);
            bytes[byte] = (unsigned char)(bytes[byte] ^ 1u << bit);
            CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, &got, 1), -PST_E_LINK);
            CU_ASSERT_EQUAL(pst_spsc_ring_fault(box.ring), PST_SIGNAL_FAULT_CHECKSUM);
            free(box.memory);
        }
    }
}

/* One signal's head with another's payload: each half is whole by itself. */
static void mixed_halves_are_found(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    put(box.ring, 1);
    put(box.ring, 2);
    struct pst_signal *first = slot_of(&box, SLOTS, 1), *second = slot_of(&box, SLOTS, 2);
    first->payload = second->payload;
    first->checksum = (second->checksum & ~(uint64_t)UINT32_MAX) | (uint32_t)first->checksum;
    expect_fault(box.ring, PST_SIGNAL_FAULT_CHECKSUM);
    free(box.memory);
}

static void signals_before_a_bad_one_are_delivered(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    for (uint64_t i = 100; i < 105; i++)
        put(box.ring, i);
    slot_of(&box, SLOTS, 102)->backup ^= 1;
    struct pst_signal got[SLOTS];
    CU_ASSERT_EQUAL(pst_spsc_get_burst(box.ring, got, SLOTS), 2);
    CU_ASSERT_EQUAL(got[1].payload.fragment.fragment, 101);
    expect_fault(box.ring, PST_SIGNAL_FAULT_CHECKSUM);
    free(box.memory);
}

static void stale_incarnation_is_found(void)
{
    struct box old = box_make(SLOTS, INCARNATION - 1);
    struct box box = box_make(SLOTS, INCARNATION);
    put(old.ring, 5);
    put(box.ring, 6);
    *slot_of(&box, SLOTS, 6) = *slot_of(&old, SLOTS, 5);
    expect_fault(box.ring, PST_SIGNAL_FAULT_INCARNATION);
    free(box.memory);
    free(old.memory);
}

static void gap_and_repetition_are_found(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    put(box.ring, 5);
    put(box.ring, 6);
    *slot_of(&box, SLOTS, 5) = *slot_of(&box, SLOTS, 6);
    expect_fault(box.ring, PST_SIGNAL_FAULT_SEQUENCE);
    free(box.memory);

    box = box_make(SLOTS, INCARNATION);
    put(box.ring, 5);
    put(box.ring, 6);
    *slot_of(&box, SLOTS, 6) = *slot_of(&box, SLOTS, 5);
    CU_ASSERT_EQUAL(get(box.ring), 5);
    expect_fault(box.ring, PST_SIGNAL_FAULT_SEQUENCE);
    free(box.memory);
}

static void unknown_contents_are_found(void)
{
    for (int fault = PST_SIGNAL_FAULT_VERSION; fault <= PST_SIGNAL_FAULT_RESERVED; fault++) {
        struct box box = box_make(SLOTS, INCARNATION);
        put(box.ring, 5);
        struct pst_signal *slot = slot_of(&box, SLOTS, 5);
        if (fault == PST_SIGNAL_FAULT_VERSION)
            slot->version++;
        if (fault == PST_SIGNAL_FAULT_GSN)
            slot->gsn = PST_GSN_MAX + 1;
        if (fault == PST_SIGNAL_FAULT_LENGTH)
            slot->length++;
        if (fault == PST_SIGNAL_FAULT_RESERVED)
            slot->flags = 1;
        slot->checksum = expected_checksum(slot);
        expect_fault(box.ring, (enum pst_spsc_fault)fault);
        free(box.memory);
    }
}

static void faults_have_texts(void)
{
    for (int a = PST_SIGNAL_FAULT_NONE; a <= PST_SIGNAL_FAULT_RESERVED; a++) {
        const char *text = pst_spsc_fault_text((enum pst_spsc_fault)a);
        CU_ASSERT_STRING_NOT_EQUAL(text, pst_spsc_fault_text((enum pst_spsc_fault)1000));
        for (int b = PST_SIGNAL_FAULT_NONE; b < a; b++)
            CU_ASSERT_STRING_NOT_EQUAL(text, pst_spsc_fault_text((enum pst_spsc_fault)b));
    }
}

static void put_one(void *signal)
{
    struct box box = box_make(SLOTS, INCARNATION);
    (void)!pst_spsc_put(box.ring, signal);
}

/* Whether put refuses the signal by an assertion, seen from a child process. */
static bool put_asserts(struct pst_signal *signal)
{
    return child_aborts(put_one, signal);
}

static void put_asserts_legal_contents(void)
{
    struct pst_signal signal = signal_make(1);
    CU_ASSERT_FALSE(put_asserts(&signal));
    signal.gsn = 0;
    CU_ASSERT_TRUE(put_asserts(&signal));
    signal = signal_make(1);
    signal.version = 0;
    CU_ASSERT_TRUE(put_asserts(&signal));
    signal = signal_make(1);
    signal.length = 0;
    CU_ASSERT_TRUE(put_asserts(&signal));
    signal = signal_make(1);
    signal.reserved = 1;
    CU_ASSERT_TRUE(put_asserts(&signal));
}

/* A ring has no pointers: what one mapping put, another at a different address gets. */
static void ring_works_at_another_address(void)
{
    struct box box = box_make(SLOTS, INCARNATION);
    size_t bytes = pst_spsc_bytes(SLOTS);
    put(box.ring, 11);
    void *moved = aligned_alloc(PST_SIGNAL_RING_ALIGNMENT, bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(moved);
    memcpy(moved, box.memory, bytes);
    memset(box.memory, 0, bytes);
    CU_ASSERT_EQUAL(get((struct pst_signal_ring *)moved), 11);
    put((struct pst_signal_ring *)moved, 12);
    CU_ASSERT_EQUAL(get((struct pst_signal_ring *)moved), 12);
    free(moved);
    free(box.memory);
}

#define STRESS_SIGNALS 1000000u

static void *produce(void *argument)
{
    struct pst_signal_ring *ring = argument;
    for (uint64_t i = 0; i < STRESS_SIGNALS; i++) {
        struct pst_signal signal = signal_make(i);
        while (pst_spsc_put(ring, &signal) != 0)
            sched_yield();
    }
    return NULL;
}

static void two_threads_keep_order(void)
{
    struct box box = box_make(64, INCARNATION);
    pthread_t producer;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&producer, NULL, produce, box.ring), 0);
    struct pst_signal got[16];
    uint64_t next = 0, misplaced = 0;
    int status = 0;
    while (next < STRESS_SIGNALS && status >= 0) {
        status = pst_spsc_get_burst(box.ring, got, 16);
        for (int i = 0; i < status; i++)
            misplaced += got[i].payload.fragment.fragment != next++;
        if (status == 0)
            sched_yield();
    }
    CU_ASSERT_TRUE_FATAL(status >= 0); /* else the producer would wait for ever */
    CU_ASSERT_EQUAL(pthread_join(producer, NULL), 0);
    CU_ASSERT_EQUAL(misplaced, 0);
    CU_ASSERT_TRUE(pst_spsc_is_empty(box.ring));
    free(box.memory);
}

static CU_TestInfo tests[] = {
    {"keeps order and contents", keeps_order_and_contents},
    {"a full ring refuses and counts", full_ring_refuses_and_counts},
    {"bursts wrap around", bursts_wrap_around},
    {"every damaged bit is found", every_damaged_bit_is_found},
    {"mixed halves are found", mixed_halves_are_found},
    {"signals before a bad one are delivered", signals_before_a_bad_one_are_delivered},
    {"a stale incarnation is found", stale_incarnation_is_found},
    {"a gap and a repetition are found", gap_and_repetition_are_found},
    {"unknown contents are found", unknown_contents_are_found},
    {"faults have texts", faults_have_texts},
    {"put asserts legal contents", put_asserts_legal_contents},
    {"a ring works at another address", ring_works_at_another_address},
    {"two threads keep order", two_threads_keep_order},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"net signal_ring", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
