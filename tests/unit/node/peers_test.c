/*
 * A node and a peer that does what no node does, or does not do what every node does: it is not
 * heard, or cut off; nothing is lost, and the node's own threads notice nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/node/blob.h"
#include "engine/repository/layout.h"
#include "tests/unit/node/peer.h"

#define LDM_1 pst_ref_make(1, PST_BLOCK_BACKUP, 1)
#define ARCHIVE pst_ref_make(1, PST_BLOCK_ARCHIVE, 0)

/* More than a ring takes, less than ring and outbox do. */
#define MANY (PST_RING_SIGNALS + PST_OUTBOX_SIGNALS / 2)

/* Of questions and answers that belong to no test's count. */
#define LAST 1000000u

static struct host host;
static struct peer peer;

static void begin(void)
{
    host_open(&host, 2, 0, NULL);
    peer_open(&peer, &host, 1);
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.joined, 1));
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &host.joined, 1));
}

static void end(void)
{
    peer_close(&peer);
    host_close(&host);
}

/* Sends, and serves the client meanwhile. false: the ring stays full. */
static bool send_patiently(const struct pst_signal *signal)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    int error;
    while ((error = pst_fabric_send(peer.fabric, 1, signal)) == -EAGAIN &&
           pst_monotonic_ns() < until_ns && host.failed == 0)
        peer_round(&peer);
    pst_fabric_publish(peer.fabric);
    return !error;
}

static bool ask_patiently(uint32_t sequence)
{
    struct pst_signal question = peer_question(LDM_1, sequence);
    return send_patiently(&question);
}

/* As fast as LDM 1 answers: it never has more than it may be asked. */
static bool ask_in_step(uint32_t sequence)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    while (sequence > signals_taken() + 256 && pst_monotonic_ns() < until_ns)
        peer_round(&peer);
    return ask_patiently(sequence);
}

/* Both get on as if nothing had been. */
static void expect_well(uint32_t sequence)
{
    CU_ASSERT_TRUE(ask_patiently(sequence));
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, sequence));
}

static void rejoin_after_expulsion(const char *reason)
{
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.expelled, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(peer.reason, reason));
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &host.failed, 1));
    host.failed = 0;
    peer.received = peer.joined = 0;
    CU_ASSERT_EQUAL(pst_fabric_rejoin(peer.fabric, 2), 0);
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.joined, 1));
    expect_well(LAST);
    CU_ASSERT_EQUAL(peer.received, 1); /* nothing that its earlier life was sent */
}

/* ---- what no node sends ---- */

static void send_wild(uint16_t gsn, pst_ref sender, pst_ref receiver)
{
    struct pst_signal signal = {
        .gsn = gsn,
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(gsn),
        .sender_ref = sender,
        .receiver_ref = receiver,
        .backup = 77,
        .sequence = 7,
    };
    signal.payload.node_change.node = PEER_NODE;
    CU_ASSERT_TRUE(send_patiently(&signal));
}

static void wild_signals_are_not_heard(void)
{
    pst_ref own = pst_ref_make(PEER_NODE, PST_BLOCK_BACKUP, 1);
    pst_ref own_archive = pst_ref_make(PEER_NODE, PST_BLOCK_ARCHIVE, 0);
    begin();
    /* In another's name, its host's too. */
    send_wild(PST_START_BACKUP_REQ, pst_ref_make(3, PST_BLOCK_BACKUP, 1), LDM_1);
    send_wild(PST_START_BACKUP_REQ, pst_ref_make(1, PST_BLOCK_PROXY, 0), LDM_1);
    send_wild(PST_NODE_FAILED_REP, LDM_1, pst_ref_make(1, PST_BLOCK_PROXY, 0));
    /* To nobody here. */
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(7, PST_BLOCK_BACKUP, 1));
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(PEER_NODE, PST_BLOCK_BACKUP, 1));
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(1, 0, 0));
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(1, 99, 0));
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(1, PST_BLOCK_BACKUP, 200));
    /* What passes inside a node. */
    send_wild(PST_START_BACKUP_REQ, own, pst_ref_make(1, PST_BLOCK_BACKUP, 2));
    send_wild(PST_NODE_FAILED_ORD, own, LDM_1);
    send_wild(PST_SOURCE_FREEZE_REQ, own, pst_ref_make(1, PST_BLOCK_SOURCE, 0));
    send_wild(PST_ARCHIVE_CLEANUP_REQ, own_archive, ARCHIVE);
    send_wild(PST_BLOB_REQ, own, ARCHIVE);
    send_wild(PST_RESOLVE_REQ, own, pst_ref_make(1, PST_BLOCK_OUTCOME, 0));
    expect_well(LAST);
    CU_ASSERT_EQUAL(host_fresh_status(&host, &peer).signals_refused, 14);
    CU_ASSERT_EQUAL(peer.received, 1);
    CU_ASSERT_EQUAL(host.failed + peer.failed, 0);
    end();
}

/* To a thread that hangs: the ring to it keeps room for what its own node has to say. */
static void who_sends_too_much_is_cut_off(void)
{
    begin();
    stall(&host.node->ldms[0].worker.channel);
    uint32_t sequence = 1;
    while (sequence < 3 * PST_RING_SIGNALS && ask_patiently(sequence))
        sequence++;
    CU_ASSERT_TRUE(sequence < 3 * PST_RING_SIGNALS || peer_until(&peer, &host.failed, 1));
    resume();
    rejoin_after_expulsion("it sends more than can be asked for");
    end();
}

static void reports_are_no_reason(void)
{
    pst_ref proxy = pst_ref_make(PEER_NODE, PST_BLOCK_PROXY, 0);
    begin();
    stall(&host.node->ldms[0].worker.channel);
    for (uint32_t i = 0; i < 3 * PST_RING_SIGNALS; i++)
        send_wild(PST_BACKUP_PROGRESS_REP, proxy, LDM_1);
    struct pst_signal question = peer_question(ARCHIVE, 5);
    CU_ASSERT_TRUE(send_patiently(&question));
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, 5)); /* the hub has read them all */
    uint64_t taken = signals_taken(), until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    resume();
    while (signals_taken() < taken + PST_RING_RESERVE && pst_monotonic_ns() < until_ns)
        peer_round(&peer); /* until there is room for a question */
    expect_well(LAST);
    CU_ASSERT_EQUAL(host.failed + peer.failed, 0);
    end();
}

/* ---- what no node leaves unread ---- */

static bool until_full(void)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    while (host_fresh_status(&host, &peer).fabric.full == 0) {
        if (pst_monotonic_ns() > until_ns)
            return false;
    }
    return true;
}

static void who_reads_late_loses_nothing(void)
{
    begin();
    peer.is_blind = true;
    for (uint32_t i = 1; i <= MANY; i++)
        CU_ASSERT_TRUE_FATAL(ask_in_step(i));
    CU_ASSERT_TRUE(until_full()); /* a ring of answers, the rest in the outbox */
    CU_ASSERT_EQUAL(host.failed, 0);
    peer.is_blind = false;
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, MANY));
    CU_ASSERT_EQUAL(peer.received, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(peer.signals[i].sequence, i + 1);
    expect_well(LAST);
    CU_ASSERT_EQUAL(host.failed + peer.failed, 0);
    end();
}

static void who_reads_nothing_is_cut_off(void)
{
    begin();
    peer.is_blind = true;
    for (uint32_t i = 1; host.failed == 0 && i < 3 * (PST_RING_SIGNALS + PST_OUTBOX_SIGNALS); i++) {
        if (!ask_in_step(i))
            break;
    }
    CU_ASSERT_TRUE(peer_until(&peer, &host.failed, 1)); /* while it still reads nothing */
    peer.is_blind = false;
    rejoin_after_expulsion("it reads too little");
    end();
}

/* ---- a peer that is stopped ---- */

static int to_child[2];

/* Exit code: what was wrong. It asks more than a ring has room for, reads nothing, and is stopped;
 * what it hears in a later life is for that one. */
static void child_run(const struct host *at)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    uint64_t life = 1;
    host = *at;
    host.is_deaf = true;
    peer_open(&peer, &host, life);
    while (peer.joined == 0)
        peer_round(&peer);
    peer.is_blind = true;
    for (uint32_t i = 1; i <= MANY; i++) {
        if (!ask_in_step(i))
            _exit(1);
    }
    raise(SIGSTOP);
    peer.is_blind = false;
    bool is_asked = true;
    while (life == 1 || peer.received == 0) {
        if (peer.expelled > 0) {
            peer.expelled = peer.joined = peer.received = 0;
            is_asked = false;
            if (pst_fabric_rejoin(peer.fabric, ++life) < 0)
                _exit(2);
        }
        if (peer.joined > 0 && !is_asked)
            is_asked = ask_patiently(LAST);
        peer_round(&peer);
        if (pst_monotonic_ns() > until_ns)
            _exit(3);
    }
    _exit(peer.signals[0].sequence == LAST ? 0 : 4);
}

static pid_t child;

/* Before there are threads. */
static void fork_child(const struct host *at)
{
    char byte;
    CU_ASSERT_EQUAL_FATAL(pipe(to_child), 0);
    child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0 && read(to_child[0], &byte, 1) == 1)
        child_run(at);
}

static bool child_is(int options, int *status)
{
    uint64_t until_ns = pst_monotonic_ns() + 2 * PEER_PATIENCE_NS;
    pid_t pid;
    while ((pid = waitpid(child, status, options | WNOHANG)) == 0 && pst_monotonic_ns() < until_ns)
        peer_round(&peer); /* the client alone */
    return pid == child;
}

/* Longer than the child may be kept from its CPU before it is stopped. */
#define STOPPED_NS UINT64_C(1500000000)

static void who_is_stopped_hears_nothing_stale(void)
{
    int status;
    peer = (struct peer){.host = &host};
    host_open(&host, 2, STOPPED_NS, fork_child);
    CU_ASSERT_EQUAL(write(to_child[1], "x", 1), 1);
    CU_ASSERT_TRUE(child_is(WUNTRACED, &status) && WIFSTOPPED(status));
    CU_ASSERT_TRUE(peer_until(&peer, &host.failed, 1));
    CU_ASSERT_EQUAL(kill(child, SIGCONT), 0);
    CU_ASSERT_TRUE(child_is(0, &status) && WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
    close(to_child[0]);
    close(to_child[1]);
    host_close(&host);
}

/* ---- a cluster manifest that is larger than a ring ---- */

#define NUMBER 8u

static struct pst_manifest_text manifest;

static void leave_one(const struct host *at)
{
    leave_in_doubt(at, NUMBER, HOST_CLUSTER_ID, &manifest);
}

static void send_piece(void *context, const struct pst_signal *signal)
{
    (void)context;
    CU_ASSERT_TRUE(send_patiently(signal));
}

/* As the node of one that took part, and has the cluster manifest. */
static void answer_as_node_2(const struct pst_signal *question)
{
    struct pst_signal answer = *question;
    answer.gsn = PST_OUTCOME_CONF;
    answer.sender_ref = question->receiver_ref;
    answer.receiver_ref = question->sender_ref;
    answer.payload.outcome.state = PST_OUTCOME_COMMITTED;
    answer.payload.outcome.file_bytes = manifest.bytes;
    memcpy(answer.payload.outcome.digest, manifest.digest.bytes, sizeof(manifest.digest.bytes));
    if (question->gsn == PST_OUTCOME_REQ)
        CU_ASSERT_TRUE(send_patiently(&answer));
    if (question->gsn == PST_BLOB_REQ)
        CU_ASSERT_EQUAL(pst_blob_serve(question, question->receiver_ref, manifest.text,
                                       manifest.bytes, send_piece, NULL),
                        0);
}

static void give_manifest(void)
{
    char path[2 * SCRATCH_PATH_BYTES];
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    snprintf(path, sizeof(path), "%s/%s/%s", host.to, layout_backup(NUMBER).text,
             layout_cluster_manifest(NUMBER).text);
    for (uint32_t seen = 0; !path_exists(path) && pst_monotonic_ns() < until_ns;) {
        peer_round(&peer);
        while (seen < peer.received)
            answer_as_node_2(&peer.signals[seen++ % PEER_KEPT]);
    }
    CU_ASSERT_TRUE(path_exists(path));
}

static void ask_for_piece(struct pst_blob_fetch *fetch)
{
    fetch->question.sequence++;
    CU_ASSERT_TRUE(send_patiently(&fetch->question));
}

/* All pieces come before the first is looked at: more than one ring's worth would not fit. */
static void take_manifest(void)
{
    struct pst_signal request = {.gsn = PST_ARCHIVE_SETTLE_REQ,
                                 .receiver_ref = pst_ref_make(PEER_NODE, PST_BLOCK_ARCHIVE, 0)};
    struct pst_blob_fetch fetch = {0};
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    uint32_t seen = peer.received;
    int taken =
        blob_fetch_begin(&fetch, &request, 1, NUMBER, manifest.bytes, manifest.digest.bytes);
    CU_ASSERT_EQUAL_FATAL(taken, 0);
    for (ask_for_piece(&fetch); taken == 0 && pst_monotonic_ns() < until_ns;) {
        peer_round(&peer);
        for (; seen < peer.received && taken == 0; seen++) {
            const struct pst_signal *signal = &peer.signals[seen % PEER_KEPT];
            if (blob_fetch_expects(&fetch, signal))
                taken = blob_fetch_take(&fetch, signal);
            if (taken == 1) {
                ask_for_piece(&fetch);
                taken = 0;
            }
        }
    }
    CU_ASSERT_EQUAL(taken, 2);
    CU_ASSERT_EQUAL(memcmp(fetch.bytes, manifest.text, manifest.bytes), 0);
    blob_fetch_end(&fetch);
}

static void a_large_manifest_goes_both_ways(void)
{
    host_open(&host, 2, 0, leave_one);
    CU_ASSERT_TRUE(manifest.bytes > (uint64_t)PST_RING_SIGNALS * PST_BLOB_DATA_BYTES);
    peer_open(&peer, &host, 1);
    give_manifest();
    take_manifest();
    CU_ASSERT_EQUAL(host.failed + peer.failed, 0);
    free(manifest.text);
    end();
}

static CU_TestInfo tests[] = {
    {"wild signals are not heard", wild_signals_are_not_heard},
    {"who sends too much is cut off", who_sends_too_much_is_cut_off},
    {"reports are no reason", reports_are_no_reason},
    {"who reads late loses nothing", who_reads_late_loses_nothing},
    {"who reads nothing is cut off", who_reads_nothing_is_cut_off},
    {"who is stopped hears nothing stale", who_is_stopped_hears_nothing_stale},
    {"a large manifest goes both ways", a_large_manifest_goes_both_ways},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    CU_SuiteInfo suites[] = {{"peers", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return run_suites(suites);
}
