/* The participant: every state with every event, and what masterRef and senderRef are for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/rig.h"

#define STATES (PST_PARTICIPANT_CLEANING + 1)

struct rig {
    struct pst_participant machine;
    struct pst_actions actions;
    struct rig_ledger ledger;
    uint64_t now_ns;
    uint32_t sequence;
};

/* As in the proxy's table: '>' served; 'X' cleanup begins; 'A' aborted; 'K' CONF; '-' ignored;
 * REF: u UNKNOWN_BACKUP, w WRONG_STATE, b BUSY, c CLEANING. */
static const uint16_t orders[] = {
    PST_DEFINE_BACKUP_REQ, PST_START_BACKUP_REQ,   PST_BACKUP_FRAGMENT_REQ, PST_STOP_BACKUP_REQ,
    PST_COMMIT_BACKUP_REQ, PST_CLEANUP_BACKUP_REQ, PST_ABORT_BACKUP_ORD,
};
#define ORDERS (sizeof(orders) / sizeof(orders[0]))
static const char *const reactions[STATES] = {
    [PST_PARTICIPANT_IDLE] = ">uuuuK-",       [PST_PARTICIPANT_DEFINING] = "bwwwwXA",
    [PST_PARTICIPANT_DEFINED] = "b>wwwXA",    [PST_PARTICIPANT_STARTING] = "bwwwwXA",
    [PST_PARTICIPANT_STARTED] = "bw>>wXA",    [PST_PARTICIPANT_SCANNING] = "bw>wwXA",
    [PST_PARTICIPANT_STOPPING] = "bwwwwXA",   [PST_PARTICIPANT_PREPARED] = "bwww>XA",
    [PST_PARTICIPANT_COMMITTING] = "bwwwww-", [PST_PARTICIPANT_ABORTED] = "cwwwwX-",
    [PST_PARTICIPANT_CLEANING] = "cwwwwc-",
};

static uint32_t error_of(char reaction)
{
    switch (reaction) {
    case 'u':
        return PST_E_UNKNOWN_BACKUP;
    case 'w':
        return PST_E_WRONG_STATE;
    case 'b':
        return PST_E_BUSY;
    case 'c':
        return PST_E_CLEANING;
    default:
        return 0;
    }
}

static void step(struct rig *rig, struct pst_event *event)
{
    event->now_ns = rig->now_ns;
    rig->actions.sends_count = rig->actions.works_count = 0;
    participant_step(&rig->machine, event, &rig->actions);
    rig_ledger_check(&rig->ledger, &rig->actions);
}

static void send(struct rig *rig, const struct pst_signal *signal)
{
    rig_ledger_ask(&rig->ledger, signal);
    struct pst_event event = {.type = PST_EVENT_SIGNAL};
    event.signal = signal;
    step(rig, &event);
}

static struct pst_signal order(struct rig *rig, uint32_t gsn)
{
    struct pst_signal signal = rig_signal(gsn, PROXY_REF, LDM_REF(3), ++rig->sequence);
    if (gsn == PST_BACKUP_FRAGMENT_REQ)
        signal.payload.fragment.fragment = rig->sequence;
    return signal;
}

static void send_order(struct rig *rig, uint32_t gsn)
{
    struct pst_signal signal = order(rig, gsn);
    send(rig, &signal);
}

static void end_work(struct rig *rig, enum pst_work_type type, int error)
{
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = type;
    event.work.error = -error;
    event.work.backup = UID_LOW;
    if (type == PST_WORK_SCAN)
        event.work.fragment = rig->machine.scans[rig->machine.scans[0].sequence == 0].fragment;
    event.work.sums.source_bytes = UINT64_C(1) << 40;
    event.work.file_bytes = 4096;
    memset(event.work.digest, 0xd1, sizeof(event.work.digest));
    step(rig, &event);
}

static void fail_node(struct rig *rig, uint32_t node)
{
    struct pst_event event = {.type = PST_EVENT_NODE_FAILED, .node = node};
    step(rig, &event);
}

static void have_trouble(struct rig *rig)
{
    struct pst_event event = {.type = PST_EVENT_TROUBLE, .trouble = -ENOSPC};
    step(rig, &event);
}

static void tick(struct rig *rig, uint64_t passed_ns)
{
    rig->now_ns += passed_ns;
    struct pst_event event = {.type = PST_EVENT_TIMER};
    step(rig, &event);
}

static void init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->now_ns = 1000000;
    participant_init(&rig->machine, LDM_REF(3), &rig_timeouts);
}

/* Legally into the state. */
static void drive(struct rig *rig, enum pst_participant_state state)
{
    static const struct {
        enum pst_participant_state busy;
        uint16_t gsn;
        enum pst_work_type work;
    } path[] = {
        {PST_PARTICIPANT_DEFINING, PST_DEFINE_BACKUP_REQ, PST_WORK_OPEN},
        {PST_PARTICIPANT_STARTING, PST_START_BACKUP_REQ, PST_WORK_START},
        {PST_PARTICIPANT_SCANNING, PST_BACKUP_FRAGMENT_REQ, PST_WORK_SCAN},
        {PST_PARTICIPANT_STOPPING, PST_STOP_BACKUP_REQ, PST_WORK_STOP},
        {PST_PARTICIPANT_COMMITTING, PST_COMMIT_BACKUP_REQ, PST_WORK_RELEASE},
    };
    init(rig);
    if (state == PST_PARTICIPANT_ABORTED || state == PST_PARTICIPANT_CLEANING) {
        drive(rig, PST_PARTICIPANT_STARTED);
        send_order(rig, state == PST_PARTICIPANT_ABORTED ? PST_ABORT_BACKUP_ORD
                                                         : PST_CLEANUP_BACKUP_REQ);
    }
    for (uint32_t i = 0; rig->machine.state != state; i++) {
        CU_ASSERT_FATAL(i < sizeof(path) / sizeof(path[0]));
        send_order(rig, path[i].gsn);
        CU_ASSERT_EQUAL_FATAL(rig->machine.state, path[i].busy);
        if (rig->machine.state == state)
            break;
        end_work(rig, path[i].work, 0);
    }
    CU_ASSERT_EQUAL_FATAL(rig->machine.state, state);
}

/* Home from wherever it is; then every request was answered once. */
static void go_home(struct rig *rig)
{
    if (rig->machine.state == PST_PARTICIPANT_COMMITTING)
        end_work(rig, PST_WORK_RELEASE, 0);
    else if (rig->machine.state != PST_PARTICIPANT_IDLE &&
             rig->machine.state != PST_PARTICIPANT_CLEANING)
        send_order(rig, PST_CLEANUP_BACKUP_REQ);
    if (rig->machine.state == PST_PARTICIPANT_CLEANING)
        end_work(rig, PST_WORK_DISCARD, 0);
    CU_ASSERT_EQUAL(rig->machine.state, PST_PARTICIPANT_IDLE);
    CU_ASSERT_EQUAL(participant_deadline_ns(&rig->machine), PST_DEADLINE_NONE);
    rig_ledger_close(&rig->ledger);
}

static char reaction_to(enum pst_participant_state state, uint32_t gsn)
{
    for (uint32_t i = 0; i < ORDERS; i++) {
        if (orders[i] == gsn)
            return reactions[state][i];
    }
    return '-';
}

static enum pst_participant_state busy_state(uint32_t gsn)
{
    for (uint32_t i = 0; i < participant_transitions_count; i++) {
        if (participant_transitions[i].gsn == gsn)
            return participant_transitions[i].busy;
    }
    return PST_PARTICIPANT_IDLE;
}

/* What came of signal in this state is what the table says. */
static void check_reaction(struct rig *rig, enum pst_participant_state state, uint32_t gsn,
                           char reaction)
{
    const char *name = pst_participant_state_name(state);
    enum pst_participant_state after = rig->machine.state;
    const struct pst_send *first = &rig->actions.sends[0];
    uint32_t error = error_of(reaction);
    if (error) {
        RIG_CHECK(after == state && rig->actions.sends_count == 1 && rig->actions.works_count == 0,
                  "%s in %s: not just refused", pst_gsn_name(gsn), name);
        RIG_CHECK(first->signal.gsn == gsn + 2 && first->signal.payload.ref.error == error,
                  "%s in %s: refused with %u", pst_gsn_name(gsn), name,
                  first->signal.payload.ref.error);
    } else if (reaction == '>') {
        RIG_CHECK(after == busy_state(gsn) && rig->actions.sends_count == 0 &&
                      rig->actions.works_count == 1,
                  "%s in %s: not served", pst_gsn_name(gsn), name);
    } else if (reaction == 'K') {
        RIG_CHECK(after == state && rig->actions.sends_count == 1 &&
                      first->signal.gsn == PST_CONF_OF(gsn),
                  "%s in %s: not confirmed", pst_gsn_name(gsn), name);
    } else if (reaction == 'X') {
        RIG_CHECK(after == PST_PARTICIPANT_CLEANING &&
                      rig_find_work(&rig->actions, PST_WORK_DISCARD),
                  "%s in %s: does not clean", pst_gsn_name(gsn), name);
    } else if (reaction == 'A') {
        RIG_CHECK(after == PST_PARTICIPANT_ABORTED && rig->actions.sends_count == 0,
                  "%s in %s: not aborted", pst_gsn_name(gsn), name);
    } else {
        RIG_CHECK(after == state && rig->actions.sends_count + rig->actions.works_count == 0,
                  "%s in %s: not ignored", pst_gsn_name(gsn), name);
        RIG_CHECK(rig->machine.stray_events == 1, "%s in %s: not counted", pst_gsn_name(gsn), name);
    }
}

/* Which signals are no REQ that a participant could answer. */
static void ask_nothing(struct rig *rig, const struct pst_signal *signal, char reaction)
{
    if (reaction == '-') {
        struct pst_event event = {.type = PST_EVENT_SIGNAL};
        event.signal = signal;
        step(rig, &event);
    } else {
        send(rig, signal);
    }
}

static void every_state_with_every_signal(void)
{
    for (int state = 0; state < STATES; state++) {
        for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
            struct rig rig;
            drive(&rig, (enum pst_participant_state)state);
            struct pst_signal signal = order(&rig, gsn);
            char reaction = reaction_to((enum pst_participant_state)state, gsn);
            ask_nothing(&rig, &signal, reaction);
            check_reaction(&rig, (enum pst_participant_state)state, gsn, reaction);
            go_home(&rig);
        }
    }
}

/* Orders of another backup, and from another than the master, in every state. */
static void strange_orders(bool other_backup)
{
    for (int state = 0; state < STATES; state++) {
        for (uint32_t i = 1; i < ORDERS; i++) {
            struct rig rig;
            drive(&rig, (enum pst_participant_state)state);
            struct pst_signal signal = order(&rig, orders[i]);
            if (other_backup)
                signal.backup = OTHER_UID;
            else
                signal.payload.order.master_ref = OTHER_MASTER_REF;
            bool unknown = other_backup || state == PST_PARTICIPANT_IDLE;
            send(&rig, &signal);
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_participant_state)state);
            CU_ASSERT_EQUAL(rig.actions.works_count, 0);
            const struct pst_signal *answer = &rig.actions.sends[0].signal;
            if (orders[i] == PST_ABORT_BACKUP_ORD) {
                CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
            } else if (orders[i] == PST_CLEANUP_BACKUP_REQ && unknown) {
                CU_ASSERT_EQUAL(answer->gsn, PST_CLEANUP_BACKUP_CONF);
                CU_ASSERT_EQUAL(answer->backup, signal.backup);
            } else {
                CU_ASSERT_EQUAL(answer->gsn, PST_REF_OF(orders[i]));
                CU_ASSERT_EQUAL(answer->payload.ref.error,
                                unknown ? PST_E_UNKNOWN_BACKUP : PST_E_WRONG_MASTER);
            }
            go_home(&rig);
        }
    }
}

static void every_state_with_another_backups_orders(void)
{
    strange_orders(true);
}

static void only_the_master_may_order(void)
{
    strange_orders(false);
}

static void every_state_with_every_work_result(void)
{
    static const enum pst_work_type awaited[STATES] = {
        [PST_PARTICIPANT_IDLE] = PST_WORK_HALT,
        [PST_PARTICIPANT_DEFINING] = PST_WORK_OPEN,
        [PST_PARTICIPANT_DEFINED] = PST_WORK_HALT,
        [PST_PARTICIPANT_STARTING] = PST_WORK_START,
        [PST_PARTICIPANT_STARTED] = PST_WORK_HALT,
        [PST_PARTICIPANT_SCANNING] = PST_WORK_SCAN,
        [PST_PARTICIPANT_STOPPING] = PST_WORK_STOP,
        [PST_PARTICIPANT_PREPARED] = PST_WORK_HALT,
        [PST_PARTICIPANT_COMMITTING] = PST_WORK_RELEASE,
        [PST_PARTICIPANT_ABORTED] = PST_WORK_HALT,
        [PST_PARTICIPANT_CLEANING] = PST_WORK_DISCARD,
    };
    for (int state = 0; state < STATES; state++) {
        for (int type = PST_WORK_OPEN; type <= PST_WORK_DISCARD; type++) {
            for (int error = 0; error <= EIO; error += EIO) {
                struct rig rig;
                drive(&rig, (enum pst_participant_state)state);
                end_work(&rig, (enum pst_work_type)type, error);
                bool acts = type != PST_WORK_HALT && awaited[state] == (enum pst_work_type)type;
                RIG_CHECK((rig.actions.sends_count == 1) == acts && rig.actions.works_count == 0,
                          "work %d in %s", type, pst_participant_state_name(rig.machine.state));
                RIG_CHECK(acts || rig.machine.state == (enum pst_participant_state)state,
                          "work %d in state %d: not ignored", type, state);
                const struct pst_signal *answer = &rig.actions.sends[0].signal;
                if (acts && error)
                    CU_ASSERT_EQUAL(answer->payload.ref.error, EIO);
                go_home(&rig);
            }
        }
    }
}

static void a_late_result_of_another_backup_is_stray(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_DEFINING);
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = PST_WORK_OPEN;
    event.work.backup = OTHER_UID;
    step(&rig, &event);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_DEFINING);
    CU_ASSERT_EQUAL(rig.machine.stray_events, 1);
    go_home(&rig);
}

static void every_state_with_time_passing(void)
{
    for (int state = 0; state < STATES; state++) {
        struct rig rig;
        drive(&rig, (enum pst_participant_state)state);
        bool busy = rig.machine.request != 0;
        tick(&rig, rig_timeouts.ldm_ns - 1);
        CU_ASSERT_EQUAL(rig.actions.sends_count + rig.actions.works_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_participant_state)state);
        tick(&rig, 1);
        RIG_CHECK((rig.actions.sends_count == 1) == busy, "time in state %d", state);
        if (busy) {
            CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.ref.error, PST_E_TIMEOUT);
            bool stays = state == PST_PARTICIPANT_COMMITTING || state == PST_PARTICIPANT_CLEANING;
            CU_ASSERT_EQUAL(rig.machine.state,
                            stays ? (enum pst_participant_state)state : PST_PARTICIPANT_ABORTED);
        }
        tick(&rig, 1000 * rig_timeouts.master_ns); /* and no second answer */
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        go_home(&rig);
    }
}

static void every_state_with_a_dead_node(void)
{
    for (int state = 0; state < STATES; state++) {
        struct rig rig;
        drive(&rig, (enum pst_participant_state)state);
        fail_node(&rig, 3); /* not the master's: ignored */
        CU_ASSERT_EQUAL(rig.actions.sends_count + rig.actions.works_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_participant_state)state);
        fail_node(&rig, 1);
        bool waits = state == PST_PARTICIPANT_IDLE || state == PST_PARTICIPANT_PREPARED ||
                     state == PST_PARTICIPANT_COMMITTING || state == PST_PARTICIPANT_CLEANING;
        RIG_CHECK((rig_find_work(&rig.actions, PST_WORK_DISCARD) != NULL) == !waits,
                  "master's death in state %d", state);
        CU_ASSERT_EQUAL(rig.machine.state,
                        waits ? (enum pst_participant_state)state : PST_PARTICIPANT_CLEANING);
        go_home(&rig);
    }
}

static void every_state_with_trouble(void)
{
    for (int state = 0; state < STATES; state++) {
        struct rig rig;
        drive(&rig, (enum pst_participant_state)state);
        have_trouble(&rig);
        bool open = state >= PST_PARTICIPANT_DEFINED && state <= PST_PARTICIPANT_STOPPING;
        RIG_CHECK((rig.actions.sends_count == 1) == open, "trouble in state %d", state);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_participant_state)state);
        if (open) {
            const struct pst_signal *told = &rig.actions.sends[0].signal;
            CU_ASSERT_EQUAL(told->gsn, PST_ABORT_BACKUP_ORD);
            CU_ASSERT_EQUAL(told->receiver_ref, MASTER_REF); /* past the proxy */
            CU_ASSERT_EQUAL(told->payload.abort.request, PST_ABORT_FILE_OR_SCAN);
            CU_ASSERT_EQUAL(told->payload.abort.error, ENOSPC);
            CU_ASSERT_EQUAL(told->payload.abort.where, LDM_REF(3));
        }
        have_trouble(&rig); /* told once */
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        go_home(&rig);
    }
}

static void every_state_with_progress(void)
{
    for (int state = 0; state < STATES; state++) {
        struct rig rig;
        drive(&rig, (enum pst_participant_state)state);
        rig.now_ns++;
        struct pst_event event = {.type = PST_EVENT_PROGRESS};
        event.progress.source_bytes = UINT64_C(5) << 40;
        step(&rig, &event);
        bool stops = state == PST_PARTICIPANT_STOPPING; /* the part is being read back */
        CU_ASSERT_EQUAL(rig.actions.sends_count, stops || state == PST_PARTICIPANT_SCANNING);
        if (stops)
            CU_ASSERT_EQUAL(participant_deadline_ns(&rig.machine),
                            event.now_ns + rig_timeouts.ldm_ns);
        if (rig.actions.sends_count > 0) {
            CU_ASSERT_EQUAL(rig.actions.sends[0].signal.receiver_ref, PROXY_REF);
            CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.progress.sums.source_bytes,
                            UINT64_C(5) << 40);
        }
        go_home(&rig);
    }
}

/* A masterRef that names another breaks each of its three uses. */
static void a_wrong_master_ref_breaks_its_uses(void)
{
    struct rig rig;
    init(&rig);
    struct pst_signal define = order(&rig, PST_DEFINE_BACKUP_REQ);
    define.payload.define.master_ref = OTHER_MASTER_REF;
    send(&rig, &define);
    end_work(&rig, PST_WORK_OPEN, 0);
    CU_ASSERT_EQUAL(rig.machine.master_ref, OTHER_MASTER_REF);
    have_trouble(&rig); /* 1: trouble is told to the wrong one */
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.receiver_ref, OTHER_MASTER_REF);
    send_order(&rig, PST_START_BACKUP_REQ); /* 2: the true master may not order */
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.ref.error, PST_E_WRONG_MASTER);
    send_order(&rig, PST_ABORT_BACKUP_ORD);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_DEFINED);
    fail_node(&rig, 1); /* 3: its death goes unnoticed … */
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_DEFINED);
    fail_node(&rig, 3); /* … and another's does not */
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_CLEANING);
    go_home(&rig);
}

/* The last REQ's sender gets the answer, whoever sent those before. */
static void answers_go_to_sender_ref(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_DEFINED);
    struct pst_signal start = order(&rig, PST_START_BACKUP_REQ);
    start.sender_ref = pst_ref_make(2, PST_BLOCK_PROXY, 1);
    send(&rig, &start);
    end_work(&rig, PST_WORK_START, 0);
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.receiver_ref, start.sender_ref);
    struct pst_signal illegal = order(&rig, PST_COMMIT_BACKUP_REQ);
    illegal.sender_ref = MASTER_REF;
    send(&rig, &illegal);
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.receiver_ref, MASTER_REF);
    go_home(&rig);
}

static void scans_end_in_any_order(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_SCANNING);
    uint64_t first = rig.machine.scans[0].fragment;
    send_order(&rig, PST_BACKUP_FRAGMENT_REQ);
    uint32_t second = rig.sequence;
    send_order(&rig, PST_BACKUP_FRAGMENT_REQ); /* one too many */
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.ref.error, PST_E_NO_RESOURCES);
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = PST_WORK_SCAN;
    event.work.backup = UID_LOW;
    event.work.fragment = second;
    step(&rig, &event);
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.sequence, second);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_SCANNING);
    step(&rig, &event); /* again: stray */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    event.work.fragment = first;
    step(&rig, &event);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_STARTED);
    go_home(&rig);
}

/* What runs is answered when it ends, with the reason of the abort; scans are halted. */
static void an_abort_gives_its_reason_to_what_runs(void)
{
    static const enum pst_participant_state busy[] = {
        PST_PARTICIPANT_DEFINING, PST_PARTICIPANT_STARTING, PST_PARTICIPANT_SCANNING,
        PST_PARTICIPANT_STOPPING};
    static const enum pst_work_type works[] = {PST_WORK_OPEN, PST_WORK_START, PST_WORK_SCAN,
                                               PST_WORK_STOP};
    for (int i = 0; i < 4; i++) {
        struct rig rig;
        drive(&rig, busy[i]);
        send_order(&rig, PST_ABORT_BACKUP_ORD);
        CU_ASSERT_EQUAL(rig_find_work(&rig.actions, PST_WORK_HALT) != NULL,
                        busy[i] == PST_PARTICIPANT_SCANNING);
        end_work(&rig, works[i], 0);
        CU_ASSERT_EQUAL_FATAL(rig.actions.sends_count, 1);
        CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.ref.error, PST_E_CLIENT_ABORT);
        CU_ASSERT_EQUAL(rig.actions.sends[0].signal.payload.ref.where, CLIENT_REF);
        CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_ABORTED);
        go_home(&rig);
    }
}

/* What the manifest will say of the part. */
static void a_stop_is_confirmed_with_what_the_part_is(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_STOPPING);
    end_work(&rig, PST_WORK_STOP, 0);
    const struct pst_send *conf = rig_find(&rig.actions, PST_STOP_BACKUP_CONF);
    CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
    const struct pst_stop_backup_conf *part = &conf->signal.payload.stop_conf;
    CU_ASSERT_EQUAL(part->sums.source_bytes, UINT64_C(1) << 40);
    CU_ASSERT_EQUAL(part->file_bytes, 4096);
    for (size_t i = 0; i < sizeof(part->digest); i++)
        CU_ASSERT_EQUAL(part->digest[i], 0xd1);
    go_home(&rig);
}

static void a_failed_release_frees_the_ldm(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_COMMITTING);
    end_work(&rig, PST_WORK_RELEASE, EIO);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_IDLE);
    CU_ASSERT_EQUAL(rig.actions.sends[0].signal.gsn, PST_COMMIT_BACKUP_REF);
    send_order(&rig, PST_DEFINE_BACKUP_REQ);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_DEFINING);
    go_home(&rig);
}

static void a_late_release_frees_the_ldm(void)
{
    struct rig rig;
    drive(&rig, PST_PARTICIPANT_COMMITTING);
    tick(&rig, rig_timeouts.ldm_ns);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_COMMITTING);
    end_work(&rig, PST_WORK_RELEASE, 0);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PARTICIPANT_IDLE);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
}

static CU_TestInfo tests[] = {
    {"every state with every signal", every_state_with_every_signal},
    {"every state with another backup's orders", every_state_with_another_backups_orders},
    {"only the master may order", only_the_master_may_order},
    {"every state with every work result", every_state_with_every_work_result},
    {"a late result of another backup is stray", a_late_result_of_another_backup_is_stray},
    {"every state with time passing", every_state_with_time_passing},
    {"every state with a dead node", every_state_with_a_dead_node},
    {"every state with trouble", every_state_with_trouble},
    {"every state with progress", every_state_with_progress},
    {"a wrong masterRef breaks its uses", a_wrong_master_ref_breaks_its_uses},
    {"answers go to senderRef", answers_go_to_sender_ref},
    {"scans end in any order", scans_end_in_any_order},
    {"an abort gives its reason to what runs", an_abort_gives_its_reason_to_what_runs},
    {"a stop is confirmed with what the part is", a_stop_is_confirmed_with_what_the_part_is},
    {"a failed release frees the LDM", a_failed_release_frees_the_ldm},
    {"a late release frees the LDM", a_late_release_frees_the_ldm},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol participant", tests);
}
