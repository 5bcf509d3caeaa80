/*
 * What a unit of work costs by the number of LDMs and nodes, for callgrind to count: a signal to an
 * LDM and its answer, a chunk that an LDM seals, and a whole backup as the real proxy of N LDMs and
 * the real master of N nodes see it, up to the protocol's limits. per_ldm_test.sh runs it under
 * valgrind, which collects from one toggle to the next. One thread; no clock, no system call.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/format/part.h"
#include "engine/node/channel.h"
#include "engine/protocol/master.h"
#include "engine/protocol/proxy.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#define SLOTS 16u /* of each ring: after so many passes all of it has been touched */
#define CHUNK_BYTES (1u << 20)
#define PAYLOAD_BYTES (64u << 10)

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(PST_BLOCK_BYTES,
                                 (bytes + PST_BLOCK_BYTES - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES);
    assert(memory);
    memset(memory, 0, bytes);
    return memory;
}

/* units: LDMs or nodes, times how often; signals: in all, where they are of a backup. */
static void dump(const char *path, uint32_t size, uint32_t units, uint32_t signals)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %u %u %u", path, size, units, signals);
    CALLGRIND_DUMP_STATS_AT(name);
}

/* ---- a signal ---- */

static struct pst_doorbell hub_bell;
static struct pst_channel channels[PST_LDMS_MAX];

static void deliver(void *context, const struct pst_signal *signal)
{
    (void)context;
    pst_channel_to_peer(&channels[pst_ref_instance(signal->receiver_ref) - 1], signal);
}

/* One signal to each of N LDMs, and the answer of each. */
static void fan_out(uint32_t ldms)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    struct pst_send send = {.route = PST_ROUTE_LDMS, .targets = pst_set_first(ldms)};
    send.signal = (struct pst_signal){.gsn = PST_START_BACKUP_REQ,
                                      .version = PST_SIGNAL_VERSION,
                                      .length = pst_gsn_payload_bytes(PST_START_BACKUP_REQ)};
    CALLGRIND_TOGGLE_COLLECT;
    pst_send_each(&send, deliver, NULL);
    for (uint32_t i = 0; i < ldms; i++) {
        uint32_t count = pst_channel_from_hub(&channels[i], signals);
        assert(count == 1);
        pst_channel_to_hub(&channels[i], &signals[0]);
    }
    for (uint32_t i = 0; i < ldms; i++) {
        uint32_t count = pst_channel_from_peer(&channels[i], signals);
        assert(count == 1);
    }
    CALLGRIND_TOGGLE_COLLECT;
}

static void count_signals(uint32_t ldms)
{
    for (uint32_t pass = 0; pass < SLOTS; pass++)
        fan_out(ldms);
    CALLGRIND_ZERO_STATS;
    for (uint32_t pass = 0; pass < SLOTS; pass++)
        fan_out(ldms);
    dump("signal", ldms, SLOTS * ldms, 0);
}

/* ---- a chunk ---- */

#define CHUNK_LDMS_MAX 8u
#define CHUNK_PASSES 4u

static struct ldm {
    struct pst_part part;
    void *chunk;
} ldms_of_chunks[CHUNK_LDMS_MAX];

static void open_chunks(void)
{
    const struct pst_part_identity identity = {
        .uid = "gate", .number = 1, .node = 1, .part = 1, .parts = CHUNK_LDMS_MAX};
    for (uint32_t i = 0; i < CHUNK_LDMS_MAX; i++) {
        struct pst_part *part = &ldms_of_chunks[i].part;
        ldms_of_chunks[i].chunk = allocate(PST_BLOCK_BYTES + CHUNK_BYTES);
        pst_part_begin(part, &identity, CHUNK_BYTES, i + 1, 1, allocate(PST_BLOCK_BYTES));
        pst_part_attach_index(part, allocate(PST_BLOCK_BYTES + CHUNK_BYTES));
        pst_part_attach_sums(part, allocate(PST_BLOCK_BYTES + CHUNK_BYTES), CHUNK_BYTES);
    }
}

/* Each LDM fills in and seals a chunk, in turn. */
static void seal(uint32_t ldms)
{
    const struct pst_chunk_piece piece = {.object = 1, .bytes = PAYLOAD_BYTES};
    CALLGRIND_TOGGLE_COLLECT;
    for (uint32_t i = 0; i < ldms; i++) {
        pst_chunk_begin(ldms_of_chunks[i].chunk, PST_CHUNK_DATA);
        int error = pst_chunk_add_piece(ldms_of_chunks[i].chunk, &piece);
        assert(!error);
        (void)pst_part_seal_chunk(&ldms_of_chunks[i].part, ldms_of_chunks[i].chunk, PAYLOAD_BYTES);
    }
    CALLGRIND_TOGGLE_COLLECT;
}

static void count_chunks(uint32_t ldms)
{
    seal(ldms);
    CALLGRIND_ZERO_STATS;
    for (uint32_t pass = 0; pass < CHUNK_PASSES; pass++)
        seal(ldms);
    dump("chunk", ldms, CHUNK_PASSES * ldms, 0);
}

/* ---- a backup, as a machine sees it ---- */

#define PENDING_MAX 4096u

static const struct pst_timeouts timeouts = {.ldm_ns = 1000,
                                             .proxy_ns = 2000,
                                             .master_ns = 3000,
                                             .stall_ns = 5000,
                                             .progress_ns = 100,
                                             .thawed_ns = 10,
                                             .ask_ns = 500};

static struct pst_proxy proxy;
static struct pst_master master;
static struct pst_actions actions;
static struct pst_signal pending[PENDING_MAX];
static uint32_t pending_count, pending_taken, signals_count;

static bool is_request(uint16_t gsn)
{
    return pst_gsn_answered((uint32_t)gsn + 1) == gsn;
}

static void keep(void *context, const struct pst_signal *signal)
{
    (void)context;
    signals_count++;
    if (!is_request(signal->gsn))
        return;
    assert(pending_count < PENDING_MAX);
    pending[pending_count++] = *signal;
}

static void take(bool by_master, const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL, .now_ns = 1, .signal = signal};
    actions.sends_count = actions.works_count = 0;
    signals_count++;
    CALLGRIND_TOGGLE_COLLECT;
    if (by_master)
        master_step(&master, &event, &actions);
    else
        pst_proxy_step(&proxy, &event, &actions);
    CALLGRIND_TOGGLE_COLLECT;
    for (uint32_t i = 0; i < actions.sends_count; i++)
        pst_send_each(&actions.sends[i], keep, NULL);
}

static struct pst_signal signal_of(uint16_t gsn, pst_ref sender_ref, pst_ref receiver_ref)
{
    struct pst_signal signal = {.gsn = gsn,
                                .version = PST_SIGNAL_VERSION,
                                .length = pst_gsn_payload_bytes(gsn),
                                .sender_ref = sender_ref,
                                .receiver_ref = receiver_ref,
                                .backup = 1,
                                .sequence = 1};
    if (gsn != PST_BACKUP_REQ)
        signal.payload.order.master_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1);
    return signal;
}

/* What a source lists, as far ahead as it may. */
static void list(const struct pst_signal *request)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_LISTED_PER_LDM * proxy.ldms; i++) {
        struct pst_signal listed =
            signal_of(PST_SOURCE_FRAGMENT_REP, request->receiver_ref, request->sender_ref);
        listed.payload.fragment.fragment = i;
        listed.payload.fragment.bytes = 1;
        take(false, &listed);
    }
}

/* A report of each LDM. */
static void report_progress(pst_ref proxy_ref)
{
    for (uint32_t i = 0; i < proxy.ldms; i++) {
        pst_ref ldm_ref = pst_ref_make(2, PST_BLOCK_BACKUP, i + 1);
        struct pst_signal report = signal_of(PST_BACKUP_PROGRESS_REP, ldm_ref, proxy_ref);
        report.payload.progress.sums.source_bytes = i + 1;
        take(false, &report);
    }
    assert(proxy.progress.source_bytes == (uint64_t)proxy.ldms * (proxy.ldms + 1) / 2);
}

/* Answers all that the machine asks, and what it asks then. */
static void answer_all(bool of_master)
{
    while (pending_taken < pending_count) {
        struct pst_signal request = pending[pending_taken++], answer;
        pst_signal_init_answer(&answer, PST_CONF_OF(request.gsn), &request);
        answer.length = pst_gsn_payload_bytes(answer.gsn);
        answer.payload.order.master_ref = request.payload.order.master_ref;
        if (request.gsn == PST_SOURCE_LIST_REQ) {
            list(&request);
            report_progress(request.sender_ref);
        }
        if (request.gsn == PST_ARCHIVE_NUMBER_REQ)
            answer.payload.archive_number.number = 1;
        take(of_master, &answer);
    }
    pending_count = pending_taken = 0;
}

static void count_proxy(uint32_t ldms)
{
    static const uint16_t orders[] = {
        PST_DEFINE_BACKUP_REQ,   PST_START_BACKUP_REQ, PST_GCP_PREPARE_REQ,  PST_GCP_COMMIT_REQ,
        PST_BACKUP_FRAGMENT_REQ, PST_STOP_BACKUP_REQ,  PST_COMMIT_BACKUP_REQ};
    pst_ref self_ref = pst_ref_make(2, PST_BLOCK_PROXY, 0);
    pst_proxy_init(&proxy, self_ref, self_ref, ldms, 1, &timeouts);
    signals_count = 0;
    CALLGRIND_ZERO_STATS;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct pst_signal order =
            signal_of(orders[i], pst_ref_make(1, PST_BLOCK_BACKUP, 1), self_ref);
        order.sequence = (uint32_t)i + 1;
        order.payload.gci.start_gci = 77;
        take(false, &order);
        answer_all(false);
    }
    assert(proxy.state == PST_PROXY_IDLE && proxy.senders.stray_answers == 0);
    dump("proxy", ldms, ldms, signals_count);
}

static void count_master(uint32_t nodes)
{
    pst_ref self_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1);
    struct pst_set all = pst_set_first(nodes);
    master_init(&master, self_ref, &all, &all, &timeouts);
    struct pst_signal request =
        signal_of(PST_BACKUP_REQ, pst_ref_make(1, PST_BLOCK_CLIENT, 0), self_ref);
    memcpy(request.payload.backup_req.uid, &request.backup, sizeof(request.backup));
    signals_count = 0;
    CALLGRIND_ZERO_STATS;
    take(true, &request);
    answer_all(true);
    assert(master.state == PST_MASTER_IDLE && master.completed == 1);
    dump("master", nodes, nodes, signals_count);
}

int main(void)
{
    static const uint32_t ldms[] = {1, 2, 8, 64, PST_LDMS_MAX};
    static const uint32_t nodes[] = {2, 8, 64, PST_NODES_MAX};
    int error = pst_doorbell_open(&hub_bell);
    for (uint32_t i = 0; i < PST_LDMS_MAX && !error; i++)
        error = pst_channel_open(&channels[i], &hub_bell, SLOTS, 1);
    assert(!error);
    open_chunks();
    for (size_t i = 0; i < sizeof(ldms) / sizeof(ldms[0]); i++) {
        count_signals(ldms[i]);
        if (ldms[i] <= CHUNK_LDMS_MAX)
            count_chunks(ldms[i]);
        count_proxy(ldms[i]);
    }
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        count_master(nodes[i]);
    return 0;
}
