/* The BACKUP block of an LDM: what goes to which half, and a whole single-threaded backup in it. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/rig.h"

#define FIRST_REF pst_ref_make(1, PST_BLOCK_BACKUP, 1)
#define OWN_PROXY_REF pst_ref_make(1, PST_BLOCK_PROXY, 1)

static struct pst_proxy proxy;
static struct pst_master master;
static struct pst_ldm_block block;
static struct pst_actions actions;

static void init(uint32_t instance, bool multithreaded)
{
    struct pst_ldm_config config = {.node = 1, .instance = instance, .sources = 1};
    config.nodes = pst_set_first(1);
    config.multithreaded = pst_set_first(multithreaded);
    config.timeouts = rig_timeouts;
    pst_ldm_block_init(&block, &config, instance == 1 ? &proxy : NULL,
                       instance == 1 ? &master : NULL);
}

static void step(struct pst_event *event)
{
    event->now_ns = 1000;
    actions.sends_count = actions.works_count = 0;
    pst_ldm_block_step(&block, event, &actions);
}

static void deliver(const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL};
    event.signal = signal;
    step(&event);
}

static void multithreaded_orders_are_the_participants(void)
{
    for (uint32_t instance = 1; instance <= 2; instance++) {
        init(instance, true);
        pst_ref self_ref = pst_ref_make(1, PST_BLOCK_BACKUP, instance);
        struct pst_signal define =
            rig_signal(PST_DEFINE_BACKUP_REQ, pst_ref_make(1, PST_BLOCK_PROXY, 0), self_ref, 7);
        deliver(&define);
        CU_ASSERT_EQUAL(block.participant.state, PST_PARTICIPANT_DEFINING);
        CU_ASSERT_EQUAL(block.participant.master_ref, MASTER_REF);
        CU_ASSERT_EQUAL(actions.sends_count, 0);
        CU_ASSERT_PTR_NOT_NULL(rig_find_work(&actions, PST_WORK_OPEN));
    }
}

static void what_is_the_masters_goes_to_the_master_only(void)
{
    init(2, true); /* no master here */
    struct pst_signal request = rig_signal(PST_BACKUP_REQ, CLIENT_REF, LDM_REF(2), 1);
    request.backup = UID_LOW;
    deliver(&request);
    CU_ASSERT_EQUAL(actions.sends_count, 0);
    init(1, true);
    request.receiver_ref = FIRST_REF;
    memcpy(request.payload.backup_req.uid, &request.backup, sizeof(request.backup));
    deliver(&request);
    CU_ASSERT_EQUAL(master.state, PST_MASTER_NUMBERING);
    CU_ASSERT_EQUAL(block.participant.state, PST_PARTICIPANT_IDLE);
}

/* One work at most is asked for and ended; all else that leaves is answered from outside. */
static bool end_work(void)
{
    if (actions.works_count == 0)
        return false;
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = actions.works[0].type;
    event.work.backup = actions.works[0].backup;
    event.work.source = actions.works[0].source;
    event.work.fragment = actions.works[0].fragment;
    event.work.sums.source_bytes = UINT64_C(1) << 33;
    step(&event);
    return true;
}

struct seen {
    uint32_t orders;     /* by the master, to LDM 1 itself */
    uint32_t from_inner; /* signals between own proxy and own participant that got out */
    uint32_t fragments;
    struct pst_signal end;
};

/* Runs what is sent to its end; the LDM's own works end at once. */
static void run(struct seen *seen)
{
    struct pst_signal queue[64];
    uint32_t count = 0;
    for (uint32_t turn = 0; turn < 200; turn++) {
        for (uint32_t i = 0; i < actions.sends_count && count < 64; i++) {
            queue[count] = actions.sends[i].signal;
            queue[count].receiver_ref += actions.sends[i].route == PST_ROUTE_NODES ? 1u << 24 : 0;
            count++;
        }
        if (end_work())
            continue;
        actions.sends_count = 0;
        if (count == 0)
            return;
        struct pst_signal signal = queue[0];
        memmove(queue, queue + 1, --count * sizeof(queue[0]));
        bool inner = signal.sender_ref == OWN_PROXY_REF && signal.receiver_ref == FIRST_REF;
        seen->from_inner += inner || signal.receiver_ref == OWN_PROXY_REF;
        seen->orders += signal.sender_ref == FIRST_REF && signal.receiver_ref == FIRST_REF &&
                        rig_is_request(signal.gsn);
        if (pst_ref_block(signal.receiver_ref) == PST_BLOCK_CLIENT) {
            seen->end = signal;
            continue;
        }
        if (pst_ref_block(signal.receiver_ref) == PST_BLOCK_BACKUP) {
            deliver(&signal);
            continue;
        }
        if (!rig_is_request(signal.gsn))
            continue;
        if (signal.gsn == PST_SOURCE_LIST_REQ) {
            struct pst_signal listed = rig_signal(
                PST_SOURCE_FRAGMENT_REP, pst_ref_make(1, PST_BLOCK_SOURCE, 0), OWN_PROXY_REF, 0);
            listed.backup = signal.backup;
            deliver(&listed);
            seen->fragments++;
            CU_ASSERT_PTR_NOT_NULL(rig_find_work(&actions, PST_WORK_SCAN));
            for (uint32_t i = 0; i < actions.sends_count; i++)
                queue[count++] = actions.sends[i].signal;
            struct pst_work work = actions.works[0];
            struct pst_signal answer = rig_answer(&signal, 0);
            deliver(&answer);
            actions.works[0] = work;
            actions.works_count = 1;
            continue;
        }
        struct pst_signal answer = rig_answer(&signal, 0);
        deliver(&answer);
    }
    CU_FAIL("it does not end");
}

/* senderRef = masterRef: the master's orders go to LDM 1's own proxy, and its own participant
 * hears them from that, without leaving the thread. */
static void a_single_threaded_backup_runs_in_one_thread(void)
{
    init(1, true);
    struct pst_signal request = rig_signal(PST_BACKUP_REQ, CLIENT_REF, FIRST_REF, 1);
    memcpy(request.payload.backup_req.uid, &request.backup, sizeof(request.backup));
    request.payload.backup_req.flags = PST_BACKUP_SINGLE_THREADED;
    struct seen seen = {0};
    deliver(&request);
    run(&seen);
    CU_ASSERT_EQUAL(seen.end.gsn, PST_BACKUP_COMPLETE_REP);
    CU_ASSERT_EQUAL(seen.end.payload.complete.sums.source_bytes, UINT64_C(1) << 33);
    CU_ASSERT_EQUAL(seen.orders, 7);
    CU_ASSERT_EQUAL(seen.fragments, 1);
    CU_ASSERT_EQUAL(seen.from_inner, 0);
    CU_ASSERT_EQUAL(master.state, PST_MASTER_IDLE);
    CU_ASSERT_EQUAL(proxy.state, PST_PROXY_IDLE);
    CU_ASSERT_EQUAL(block.participant.state, PST_PARTICIPANT_IDLE);
    CU_ASSERT_EQUAL(pst_ldm_block_deadline_ns(&block), PST_DEADLINE_NONE);
}

static void the_deadline_is_the_nearest(void)
{
    init(1, true);
    struct pst_signal request = rig_signal(PST_BACKUP_REQ, CLIENT_REF, FIRST_REF, 1);
    memcpy(request.payload.backup_req.uid, &request.backup, sizeof(request.backup));
    deliver(&request);
    CU_ASSERT_EQUAL(pst_ldm_block_deadline_ns(&block), 1000 + rig_timeouts.master_ns);
    struct pst_signal define =
        rig_signal(PST_DEFINE_BACKUP_REQ, pst_ref_make(1, PST_BLOCK_PROXY, 0), FIRST_REF, 7);
    deliver(&define);
    CU_ASSERT_EQUAL(pst_ldm_block_deadline_ns(&block), 1000 + rig_timeouts.ldm_ns);
}

static CU_TestInfo tests[] = {
    {"multithreaded, orders are the participant's", multithreaded_orders_are_the_participants},
    {"what is the master's goes to the master only", what_is_the_masters_goes_to_the_master_only},
    {"a single-threaded backup runs in one thread", a_single_threaded_backup_runs_in_one_thread},
    {"the deadline is the nearest", the_deadline_is_the_nearest},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol ldm", tests);
}
