/*
 * Who a signal goes to, when it arrives, and what becomes of it on its way.
 *
 * The fabric: from one node to another signals keep their order, and none is lost while both
 * processes live and neither was declared dead. A partition holds them; a crash loses the last of
 * them. Each time that two nodes meet again their link has a new session: what was sent in an
 * earlier one is never heard. Inside a node, two threads' signals keep their order.
 */
#include <assert.h>
#include <string.h>

#include "tests/sim/count.h"
#include "tests/sim/sim.h"

#define FORGED_SEQUENCE UINT32_C(0x70000000) /* above all that machines choose */
#define OUTAGE_NS (4 * SIM_S)                /* after so long a link may have another session */

uint32_t sim_thread_of(pst_ref ref)
{
    uint32_t instance = pst_ref_instance(ref);
    uint32_t node = (pst_ref_node(ref) - 1) * SIM_NODE_THREADS;
    assert(pst_ref_node(ref) >= 1 && pst_ref_node(ref) <= SIM_NODES_MAX);
    switch (pst_ref_block(ref)) {
    case PST_BLOCK_CLIENT:
        return node + SIM_CLIENT;
    case PST_BLOCK_OUTCOME:
        return node + SIM_HUB;
    case PST_BLOCK_PROXY:
        return node + (instance == 1 ? SIM_LDM : SIM_HUB);
    case PST_BLOCK_ARCHIVE:
        return node + SIM_ARCHIVE;
    case PST_BLOCK_SOURCE:
        assert(instance < SIM_SOURCES_MAX);
        return node + SIM_SOURCE + instance;
    case PST_BLOCK_BACKUP:
        assert(instance >= 1 && instance <= SIM_LDMS_MAX);
        return node + SIM_LDM + instance - 1;
    }
    assert(!"a ref that names nobody");
    return node;
}

struct pst_signal sim_answer(const struct pst_signal *request, uint32_t error)
{
    uint16_t gsn = error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn);
    struct pst_signal answer;
    pst_signal_init_answer(&answer, gsn, request);
    if (error) {
        answer.payload.ref.error = error;
        answer.payload.ref.where = request->receiver_ref;
    }
    return answer;
}

uint64_t sim_delay_ns(struct sim *sim)
{
    uint64_t kind = sim_random_next(&sim->random) % 100;
    uint64_t most_ns = kind < 85 ? 200 * SIM_US : kind < 98 ? 5 * SIM_MS : 40 * SIM_MS;
    return sim_random_between(&sim->random, SIM_US, most_ns);
}

/* After what was sent before between these threads of a node. */
static uint64_t in_order_ns(struct sim_node *node, uint32_t from, uint32_t to, uint64_t time_ns)
{
    uint64_t *last_ns = &node->pair_ns[from % SIM_NODE_THREADS][to % SIM_NODE_THREADS];
    if (time_ns < *last_ns)
        time_ns = *last_ns;
    *last_ns = time_ns;
    return time_ns;
}

/* After what was sent before from this node to that. */
static uint64_t crosses_ns(struct sim *sim, uint32_t from, uint32_t to, uint64_t held_ns)
{
    struct sim_link *link = &sim->links[from][to];
    uint64_t time_ns = sim->now_ns + sim_delay_ns(sim) + held_ns;
    if (sim_fault(sim, SIM_FAULT_LINK_SLOW))
        time_ns += sim_slow_ns(sim);
    if (time_ns < link->last_ns)
        time_ns = link->last_ns;
    link->last_ns = time_ns;
    return time_ns;
}

static struct sim_event *add_hop(struct sim *sim, enum sim_hop hop, uint32_t thread,
                                 uint64_t time_ns, const struct pst_signal *signal)
{
    struct sim_event *event = sim_later(sim, SIM_SIGNAL, thread, time_ns);
    event->hop = hop;
    event->signal = *signal;
    return event;
}

/* From the hub of its sender's node. */
void sim_leave(struct sim *sim, uint32_t from, const struct pst_signal *signal, uint64_t held_ns)
{
    uint32_t to = sim_thread_of(signal->receiver_ref) / SIM_NODE_THREADS;
    sim_count(sim, from, to, signal);
    struct sim_event *event = add_hop(sim, SIM_ARRIVES, to * SIM_NODE_THREADS + SIM_HUB,
                                      crosses_ns(sim, from, to, held_ns), signal);
    event->session = sim_session(sim, from, to);
    event->token = from;
}

/* Between threads of a node. What goes to the client passes the hub's routing, which learns from it
 * that a backup has ended. */
static struct sim_event *add_inside(struct sim *sim, uint32_t from, uint32_t to,
                                    const struct pst_signal *signal, uint64_t time_ns)
{
    bool passes = to % SIM_NODE_THREADS == SIM_CLIENT && from % SIM_NODE_THREADS != SIM_HUB;
    return add_hop(sim, passes ? SIM_LEAVES : SIM_HEARD, passes ? to - SIM_CLIENT + SIM_HUB : to,
                   time_ns, signal);
}

/* Held back by held_ns, and all behind it. */
static void deliver_in_order(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                             uint64_t held_ns)
{
    uint32_t to = sim_thread_of(signal->receiver_ref);
    struct sim_node *node = sim_node_of(sim, from);
    uint64_t time_ns = sim->now_ns + sim_delay_ns(sim);
    if (sim_node_of(sim, to) == node && from % SIM_NODE_THREADS != SIM_CLIENT)
        add_inside(sim, from, to, signal, in_order_ns(node, from, to, time_ns + held_ns));
    else if (from % SIM_NODE_THREADS == SIM_HUB)
        sim_leave(sim, from / SIM_NODE_THREADS, signal, held_ns);
    else
        add_hop(sim, SIM_LEAVES, sim_thread(sim, node, SIM_HUB),
                in_order_ns(node, from, SIM_HUB, time_ns), signal)
            ->held_ns = held_ns;
}

/* Out of order: a copy that comes late. */
static struct sim_event *deliver_at(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                                    uint64_t later_ns)
{
    uint32_t to = sim_thread_of(signal->receiver_ref);
    uint64_t time_ns = sim->now_ns + sim_delay_ns(sim) + later_ns;
    if (from % SIM_NODE_THREADS == SIM_CLIENT)
        return add_hop(sim, SIM_LEAVES, from - SIM_CLIENT + SIM_HUB, time_ns, signal);
    if (sim_node_of(sim, from) == sim_node_of(sim, to))
        return add_inside(sim, from, to, signal, time_ns);
    from /= SIM_NODE_THREADS;
    to /= SIM_NODE_THREADS;
    struct sim_event *event =
        add_hop(sim, SIM_ARRIVES, to * SIM_NODE_THREADS + SIM_HUB, time_ns, signal);
    event->session = sim_session(sim, from, to);
    event->token = from;
    return event;
}

/* Whether a signal that has come to a node's hub may be heard there; puts off what a partition
 * holds. */
static bool admit(struct sim *sim, const struct sim_event *event)
{
    uint32_t from = (uint32_t)event->token;
    uint32_t to = event->thread / SIM_NODE_THREADS;
    struct sim_link *link = &sim->links[from][to];
    bool is_over = event->session != sim_session(sim, from, to);
    if (event->is_stale && !is_over)
        return false; /* the fabric does not do that */
    if (event->is_stale)
        sim_count_fault(sim, SIM_FAULT_STALE_SENDER);
    if (is_over || !link->is_up || event->time_ns > link->lost_after_ns) {
        sim_tell_signal(sim, &event->signal, "lost with its link");
        return false;
    }
    if (link->blocked_ns > sim->now_ns) {
        sim_queue_put_back(&sim->queue, event, link->blocked_ns);
        return false;
    }
    return true;
}

void sim_pass_on(struct sim *sim, struct sim_node *node, const struct pst_signal *signal)
{
    uint32_t to = sim_thread_of(signal->receiver_ref);
    uint64_t time_ns = sim->now_ns + (sim->script ? 0 : sim_delay_ns(sim));
    add_hop(sim, SIM_HEARD, to, in_order_ns(node, sim_thread(sim, node, SIM_HUB), to, time_ns),
            signal);
}

bool sim_hop(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = sim_node_of(sim, event->thread);
    if (event->hop == SIM_LEAVES) {
        struct pst_signal signal = event->signal;
        node->passing = &signal;
        sim->held_ns = event->held_ns;
        routing_take(&node->routing, &signal);
        sim->held_ns = 0;
        node->passing = NULL;
        return false;
    }
    if (event->hop == SIM_HEARD)
        return true;
    if (!admit(sim, event))
        return false;
    sim_mischief_heard(sim);
    if (sim_thread_of(event->signal.receiver_ref) == event->thread)
        return true;
    sim_fabric_arrive(node, (uint32_t)event->token, &event->signal);
    return false;
}

static bool is_from_ldm_to_hub(const struct pst_signal *signal)
{
    return pst_gsn_answered(signal->gsn) != 0 &&
           sim_thread_of(signal->sender_ref) % SIM_NODE_THREADS >= SIM_LDM &&
           sim_thread_of(signal->receiver_ref) % SIM_NODE_THREADS == SIM_HUB;
}

/* The bugs that are planted in the runtime's routing. false: the signal goes nowhere. */
static bool spoil(struct sim *sim, uint32_t from, struct pst_signal *signal)
{
    bool is_from_hub = from % SIM_NODE_THREADS == SIM_HUB;
    bool is_from_proxy = pst_gsn_answered(signal->gsn) != 0 && is_from_hub &&
                         pst_ref_block(signal->sender_ref) == PST_BLOCK_PROXY;
    if (is_from_proxy && sim_planted(sim, SIM_PLANT_NO_REWRITE))
        signal->sender_ref = pst_ref_make(pst_ref_node(signal->sender_ref), PST_BLOCK_BACKUP, 2);
    if (is_from_proxy && sim_planted(sim, SIM_PLANT_NO_ANSWER))
        return false;
    if (is_from_ldm_to_hub(signal)) {
        if (sim_planted(sim, SIM_PLANT_ANSWER_TO_MASTER))
            signal->receiver_ref = signal->payload.order.master_ref;
        if (sim_planted(sim, SIM_PLANT_WRONG_SEQUENCE))
            signal->sequence++;
        if (sim_planted(sim, SIM_PLANT_ANSWERS_TWICE)) {
            sim_check_sent(sim, signal);
            deliver_at(sim, from, signal, 0);
        }
    }
    if (signal->gsn == PST_ABORT_BACKUP_ORD &&
        signal->payload.abort.request == PST_ABORT_FILE_OR_SCAN &&
        sim_planted(sim, SIM_PLANT_TROUBLE_TO_SENDER))
        signal->receiver_ref = pst_ref_make(pst_ref_node(signal->sender_ref), PST_BLOCK_PROXY, 0);
    if (signal->gsn == PST_START_BACKUP_REQ && sim_planted(sim, SIM_PLANT_OTHER_MASTER))
        signal->payload.order.master_ref ^= 1u << 24;
    if (signal->gsn == PST_STOP_BACKUP_REQ && sim_planted(sim, SIM_PLANT_REUSES_SEQUENCE))
        signal->sequence = 2;
    bool is_end = signal->gsn == PST_BACKUP_COMPLETE_REP || signal->gsn == PST_BACKUP_ABORT_REP;
    if (is_end && sim_planted(sim, SIM_PLANT_ENDS_TWICE))
        deliver_at(sim, from, signal, 0);
    return !(is_from_hub && signal->gsn == PST_CLEANUP_BACKUP_REQ &&
             sim_planted(sim, SIM_PLANT_NO_CLEANUP));
}

/* Between the threads of a node only: the fabric loses nothing. The archive tells its decision. */
static bool may_be_lost(const struct pst_signal *signal)
{
    uint16_t request = pst_gsn_answered(signal->gsn);
    enum pst_block receiver = pst_ref_block(signal->receiver_ref);
    return request != 0 && request != PST_ARCHIVE_DECIDE_REQ && receiver != PST_BLOCK_CLIENT &&
           receiver != PST_BLOCK_OUTCOME &&
           pst_ref_node(signal->sender_ref) == pst_ref_node(signal->receiver_ref);
}

/* What nobody sent, or sent once: machines must not be misled by it. */
static void add_hostile(struct sim *sim, uint32_t from, const struct pst_signal *signal)
{
    uint16_t request = pst_gsn_answered(signal->gsn);
    bool crosses = pst_ref_node(signal->sender_ref) != pst_ref_node(signal->receiver_ref);
    if (crosses && !sim->calm && sim->options.enabled[SIM_FAULT_STALE_SENDER])
        deliver_at(sim, from, signal, OUTAGE_NS)->is_stale = true;
    if (request == 0 || request == PST_BACKUP_REQ)
        return;
    if (sim_fault(sim, SIM_FAULT_ANSWER_TWICE))
        deliver_at(sim, from, signal,
                   sim_random_hits(&sim->random, 500) ? sim_slow_ns(sim) : 20 * sim_delay_ns(sim));
    if (sim_fault(sim, SIM_FAULT_ANSWER_FORGED)) {
        struct pst_signal forged = *signal;
        uint32_t how = (uint32_t)(sim_random_next(&sim->random) % 3);
        if (how == 2) { /* nobody asked for that one; whoever believes it believes what is wrong */
            forged.backup ^= 2;
            for (uint32_t i = 8; i < forged.length; i++)
                ((uint8_t *)&forged.payload)[i] ^= 1;
        } else
            forged.sender_ref ^= how == 1 ? 32 : 64;
        deliver_at(sim, from, &forged, 0);
    }
}

static bool may_be_forged(const struct pst_signal *signal)
{
    enum pst_block receiver = pst_ref_block(signal->receiver_ref);
    switch (signal->gsn) {
    case PST_ABORT_BACKUP_ORD:
        return signal->payload.abort.request != PST_ABORT_CLIENT;
    case PST_START_BACKUP_REQ:
    case PST_GCP_PREPARE_REQ:
    case PST_GCP_COMMIT_REQ:
    case PST_BACKUP_FRAGMENT_REQ:
    case PST_STOP_BACKUP_REQ:
    case PST_COMMIT_BACKUP_REQ:
    case PST_CLEANUP_BACKUP_REQ:
        return receiver == PST_BLOCK_PROXY || receiver == PST_BLOCK_BACKUP;
    default:
        return false;
    }
}

/* The same order, or another that may come at any time; or an LDM's trouble with a backup of
 * another master's. */
static void choose_forged(struct sim *sim, struct pst_signal *forged)
{
    uint64_t kind = sim_random_next(&sim->random) % 4;
    pst_ref master_ref = forged->payload.order.master_ref;
    uint32_t node = pst_ref_node(forged->receiver_ref);
    if (kind == 1)
        pst_signal_init(forged, PST_CLEANUP_BACKUP_REQ, forged->sender_ref, forged->receiver_ref,
                        forged->backup, 0);
    if (kind == 2)
        pst_signal_init(forged, PST_ABORT_BACKUP_ORD, forged->sender_ref, forged->receiver_ref,
                        forged->backup, 0);
    if (kind == 3)
        pst_signal_init(forged, PST_ABORT_BACKUP_ORD, pst_ref_make(node, PST_BLOCK_BACKUP, 1),
                        master_ref, forged->backup, 0);
    if (kind == 2 || kind == 3)
        forged->payload.abort.request =
            kind == 2 ? PST_ABORT_BACKUP_FAILURE : PST_ABORT_FILE_OR_SCAN;
}

/* Another node takes itself for the master, or a node another for it. */
static void add_forged_order(struct sim *sim, uint32_t from, const struct pst_signal *signal)
{
    uint32_t other = (uint32_t)sim_random_between(&sim->random, 1, sim->options.nodes);
    pst_ref master_ref = signal->payload.order.master_ref;
    if (!may_be_forged(signal) || other == pst_ref_node(master_ref) ||
        !sim_fault(sim, SIM_FAULT_ORDER_FORGED))
        return;
    struct pst_signal forged = *signal;
    choose_forged(sim, &forged);
    forged.sequence = pst_gsn_answered(PST_CONF_OF(forged.gsn)) == forged.gsn
                          ? FORGED_SEQUENCE + sim->forged++
                          : 0;
    forged.payload.order.master_ref = pst_ref_make(other, PST_BLOCK_BACKUP, 1);
    if (forged.sender_ref == master_ref)
        forged.sender_ref = forged.payload.order.master_ref;
    if (pst_ref_node(forged.sender_ref) != from / SIM_NODE_THREADS + 1)
        from = sim_thread_of(forged.sender_ref);
    sim_check_sent(sim, &forged);
    deliver_at(sim, from, &forged, 0);
}

void sim_send_again(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                    uint64_t later_ns)
{
    deliver_at(sim, from, signal, later_ns);
}

void sim_send(struct sim *sim, uint32_t from, const struct pst_signal *signal)
{
    uint64_t later_ns;
    struct pst_signal copy = *signal;
    if (!spoil(sim, from, &copy))
        return;
    sim_check_sent(sim, &copy);
    sim_check_removed(sim, &copy);
    sim_check_master_sent(sim, &copy);
    if (may_be_lost(&copy) && sim_fault(sim, SIM_FAULT_ANSWER_LOST)) {
        sim_tell_signal(sim, &copy, "lost");
        return;
    }
    if (!sim_script_sent(sim, from, &copy, &later_ns))
        return;
    add_hostile(sim, from, &copy);
    add_forged_order(sim, from, &copy);
    deliver_in_order(sim, from, &copy, later_ns);
}

static void send_fan_out(struct sim *sim, uint32_t thread, const struct pst_send *send)
{
    struct pst_signal signal = send->signal;
    pst_ref to = signal.receiver_ref;
    for (uint32_t member = pst_set_next(&send->targets, 0); member < PST_SET_MEMBERS;
         member = pst_set_next(&send->targets, member + 1)) {
        uint32_t node = send->route == PST_ROUTE_NODES ? member + 1 : pst_ref_node(to);
        uint32_t instance = send->route == PST_ROUTE_NODES  ? pst_ref_instance(to)
                            : send->route == PST_ROUTE_LDMS ? member + 1
                                                            : member;
        signal.receiver_ref = pst_ref_make(node, pst_ref_block(to), instance);
        sim_send(sim, thread, &signal);
    }
}

void sim_look_at_send(struct sim *sim, const struct sim_node *node, struct pst_send *send)
{
    if (send->signal.gsn == PST_ABORT_BACKUP_ORD && send->route == PST_ROUTE_LDMS &&
        sim_planted(sim, SIM_PLANT_ABORT_MISSES_LDM))
        pst_set_remove(&send->targets, 0);
    sim_check_fan_out(sim, node, send);
}

void sim_perform(struct sim *sim, uint32_t thread, const struct pst_actions *actions)
{
    for (uint32_t i = 0; i < actions->sends_count; i++) {
        struct pst_send send = actions->sends[i];
        sim_look_at_send(sim, sim_node_of(sim, thread), &send);
        if (send.route == PST_ROUTE_ONE)
            sim_send(sim, thread, &send.signal);
        else
            send_fan_out(sim, thread, &send);
    }
    for (uint32_t i = 0; i < actions->works_count; i++)
        sim_ldm_work(sim, sim_node_of(sim, thread), thread % SIM_NODE_THREADS - SIM_LDM,
                     &actions->works[i]);
}

/* After what that thread sent before, to the failed node perhaps. */
void sim_heard_failure(struct sim *sim, struct sim_node *node, uint32_t thread,
                       const struct pst_signal *order)
{
    struct pst_signal report;
    pst_signal_init_answer(&report, PST_NODE_FAILED_REP, order);
    report.payload = order->payload;
    sim_send(sim, sim_thread(sim, node, thread), &report);
}
