#include "tests/unit/protocol/proxy_rig.h"

#include <string.h>

struct proxy_rig rig;

static void keep_pending(const struct pst_send *send)
{
    struct pst_signal signal = send->signal;
    if (!rig_is_request(signal.gsn))
        return;
    for (uint32_t member = 0; member < 256; member++) {
        if (send->route != PST_ROUTE_ONE && !pst_set_has(&send->targets, member))
            continue;
        if (send->route != PST_ROUTE_ONE)
            signal.receiver_ref = pst_ref_make(2, pst_ref_block(send->signal.receiver_ref),
                                               member + (send->route == PST_ROUTE_LDMS));
        CU_ASSERT_FATAL(rig.pending_count < PENDING_MAX);
        rig.pending[rig.pending_count++] = signal;
        if (send->route == PST_ROUTE_ONE)
            return;
    }
}

static void step(struct pst_event *event)
{
    event->now_ns = rig.now_ns;
    rig.actions.sends_count = rig.actions.works_count = 0;
    pst_proxy_step(&rig.machine, event, &rig.actions);
    CU_ASSERT_EQUAL(rig.actions.works_count, 0);
    rig_ledger_check(&rig.ledger, &rig.actions);
    for (uint32_t i = 0; i < rig.actions.sends_count; i++)
        keep_pending(&rig.actions.sends[i]);
}

void deliver(const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL};
    event.signal = signal;
    step(&event);
}

struct pst_signal order(uint32_t gsn)
{
    struct pst_signal signal = rig_signal(gsn, MASTER_REF, PROXY_REF, ++rig.sequence);
    if (gsn == PST_STOP_BACKUP_REQ || gsn == PST_GCP_COMMIT_REQ)
        signal.payload.gci.start_gci = 77;
    return signal;
}

void send_order(uint32_t gsn)
{
    struct pst_signal signal = order(gsn);
    rig_ledger_ask(&rig.ledger, &signal);
    deliver(&signal);
}

struct pst_signal take_pending(void)
{
    CU_ASSERT_FATAL(rig.pending_count > 0);
    struct pst_signal request = rig.pending[0];
    rig.pending_count--;
    memmove(rig.pending, rig.pending + 1, rig.pending_count * sizeof(rig.pending[0]));
    return request;
}

void answer_one(uint32_t error)
{
    struct pst_signal request = take_pending();
    struct pst_signal answer = rig_answer(&request, error);
    deliver(&answer);
}

void answer_all(void)
{
    while (rig.pending_count > 0)
        answer_one(0);
}

void tick(uint64_t passed_ns)
{
    rig.now_ns += passed_ns;
    struct pst_event event = {.type = PST_EVENT_TIMER};
    step(&event);
}

void fail_node(uint32_t node)
{
    struct pst_event event = {.type = PST_EVENT_NODE_FAILED, .node = node};
    step(&event);
}

void init(uint32_t ldms, uint32_t sources)
{
    memset(&rig, 0, sizeof(rig));
    rig.now_ns = 1000000;
    pst_proxy_init(&rig.machine, PROXY_REF, PROXY_REF, ldms, sources, &rig_timeouts);
}

void go_on(enum pst_proxy_state state)
{
    for (uint32_t i = 0; rig.machine.state != state; i++) {
        CU_ASSERT_FATAL(i < proxy_transitions_count);
        const struct proxy_transition *transition = &proxy_transitions[i];
        if (transition->from != rig.machine.state)
            continue;
        send_order(transition->gsn);
        CU_ASSERT_EQUAL_FATAL(rig.machine.state, transition->busy);
        if (rig.machine.state == state)
            return;
        answer_all();
        CU_ASSERT_EQUAL_FATAL(rig.machine.state, transition->done);
    }
}

void drive(enum pst_proxy_state state)
{
    init(LDMS, SOURCES);
    if (state == PST_PROXY_ABORTED || state == PST_PROXY_CLEANING) {
        go_on(PST_PROXY_STARTED);
        send_order(state == PST_PROXY_ABORTED ? PST_ABORT_BACKUP_ORD : PST_CLEANUP_BACKUP_REQ);
        CU_ASSERT_EQUAL_FATAL(rig.machine.state, state);
        return;
    }
    go_on(state);
}

void go_home(void)
{
    answer_all();
    if (rig.machine.state != PST_PROXY_IDLE)
        send_order(PST_CLEANUP_BACKUP_REQ);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_IDLE);
    CU_ASSERT_EQUAL(pst_proxy_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
    rig_ledger_close(&rig.ledger);
    go_on(PST_PROXY_COMMITTING);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_IDLE);
    CU_ASSERT_EQUAL(senders_in_use(&rig.machine.senders), 0);
    rig_ledger_close(&rig.ledger);
}

const struct pst_signal *told(uint32_t gsn)
{
    const struct pst_send *send = rig_find(&rig.actions, (uint16_t)gsn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(send);
    return &send->signal;
}
