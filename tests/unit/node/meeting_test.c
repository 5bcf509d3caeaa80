/*
 * Two nodes meet again only when all threads have heard of the failure: what a thread that hangs
 * sent, or is about to answer, is for the incarnation that failed, and must not reach the next one.
 * And what another cluster left is not settled with those that one meets here, nor is anybody
 * urgent for writers of nodes that are gone.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/keep_out.h"
#include "tests/unit/node/peer.h"

/* How long a node that must not join is given to do so. It shows the fault; it cannot find one
 * where there is none. */
#define WATCHED_NS UINT64_C(300000000)

#define LDM_1 pst_ref_make(1, PST_BLOCK_BACKUP, 1)
#define ARCHIVE pst_ref_make(1, PST_BLOCK_ARCHIVE, 0)

static struct host host;
static struct peer peer;

static int begin(void)
{
    host_open(&host, 2, 0, NULL);
    peer_open(&peer, &host, 1);
    return peer_until(&peer, &peer.joined, 1) && peer_until(&peer, &host.joined, 1) ? 0 : -1;
}

static int end(void)
{
    peer_close(&peer);
    host_close(&host);
    return 0;
}

static bool hub_knows_failure(void)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    while (host_status(&host).nodes_failed == 0 && pst_monotonic_ns() < until_ns)
        peer_round(&peer);
    return host_status(&host).nodes_failed == 1;
}

static void watch_outside(void)
{
    uint64_t until_ns = pst_monotonic_ns() + WATCHED_NS;
    while (pst_monotonic_ns() < until_ns)
        peer_round(&peer);
    struct pst_node_status status = host_status(&host);
    CU_ASSERT_EQUAL(peer.joined, 0);
    CU_ASSERT_TRUE(pst_set_has(&status.kept_out, PEER_NODE - 1));
}

/* The new life is heard, and hears nothing of the old one's. */
static void meet_again(void)
{
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.joined, 1));
    peer_ask(&peer, LDM_1, 2);
    peer_ask(&peer, ARCHIVE, 3);
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, 2));
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, 3));
    CU_ASSERT_EQUAL(peer.received, 2);
    CU_ASSERT_EQUAL(peer_count(&peer, 1), 0);
}

/* The old life asks a thread that hangs, and dies; the answer comes when it goes on. */
static void hanging(struct pst_channel *channel, pst_ref asked)
{
    stall(channel);
    peer_ask(&peer, asked, 1);
    peer_close(&peer);
    CU_ASSERT_TRUE(hub_knows_failure());
    peer_open(&peer, &host, 2);
    watch_outside();
    resume();
    meet_again();
    end();
}

static void ldm_1_hangs(void)
{
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    hanging(&host.node->ldms[0].worker.channel, LDM_1);
}

static void ldm_2_hangs(void)
{
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    hanging(&host.node->ldms[1].worker.channel, LDM_1);
}

static void archive_hangs(void)
{
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    hanging(&host.node->archive.channel, ARCHIVE);
}

/* It has not heard, and asks who it takes for the master. */
static void client_hangs(void)
{
    struct pst_client_request request = {.master_node = PEER_NODE, .uid = {1}};
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    host.is_deaf = true;
    peer_close(&peer);
    CU_ASSERT_TRUE(hub_knows_failure());
    peer_open(&peer, &host, 2);
    watch_outside();
    pst_client_request_backup(host.node, &request);
    host.is_deaf = false;
    meet_again();
    end();
}

static void leave_two(const struct host *at)
{
    leave_in_doubt(at, 8, HOST_CLUSTER_ID, NULL);
    leave_in_doubt(at, 9, HOST_CLUSTER_ID + 1, NULL);
}

static void another_clusters_doubt_is_left_alone(void)
{
    host_open(&host, 2, 0, leave_two);
    peer_open(&peer, &host, 1);
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.joined, 1));
    peer_ask(&peer, ARCHIVE, 99); /* answered after the sweep with which a node begins */
    CU_ASSERT_PTR_NOT_NULL(peer_until_answer(&peer, 99));
    CU_ASSERT_EQUAL(host_fresh_status(&host, &peer).in_doubt, 1);
    for (uint32_t i = 0; i < peer.received; i++) {
        const struct pst_signal *signal = &peer.signals[i];
        CU_ASSERT_TRUE(signal->gsn != PST_OUTCOME_REQ || signal->payload.outcome.number == 8);
    }
    CU_ASSERT_TRUE(path_exists(join(host.to, "BACKUP-9/BACKUP-9.1.manifest")));
    end();
}

static void be_node_3(const struct host *at)
{
    CU_ASSERT_PTR_EQUAL(at, &host);
    host.rig.options.node.node = 3;
}

/* The peer, node 2, lives: it would coordinate. */
static void a_higher_id_coordinates_nothing(void)
{
    struct pst_signal request;
    host_open(&host, 2, 0, be_node_3);
    peer_open(&peer, &host, 1);
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &peer.joined, 1));
    CU_ASSERT_TRUE_FATAL(peer_until(&peer, &host.joined, 1));
    pst_signal_init(&request, PST_BACKUP_REQ, pst_ref_make(PEER_NODE, PST_BLOCK_CLIENT, 0),
                    pst_ref_make(3, PST_BLOCK_BACKUP, 1), 1, 7);
    request.payload.backup_req.uid[0] = 1;
    CU_ASSERT_EQUAL_FATAL(pst_fabric_send(peer.fabric, 3, &request), 0);
    const struct pst_signal *answer = peer_until_answer(&peer, 7);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    CU_ASSERT_EQUAL(answer->gsn, PST_BACKUP_REF);
    CU_ASSERT_EQUAL(answer->payload.ref.error, PST_E_NOT_MASTER);
    CU_ASSERT_EQUAL(pst_ref_node(answer->payload.ref.where), PEER_NODE);
    end();
}

/* Of the peer's sources the node is told nothing, as by an older version: they may hold some up. */
static void writers_count_while_their_node_is_here(void)
{
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    CU_ASSERT_TRUE(host.node->holds_writers);
    peer_close(&peer);
    CU_ASSERT_TRUE(peer_until(&peer, &host.failed, 1));
    CU_ASSERT_FALSE(host.node->holds_writers);
    host_close(&host);
}

/* Times are given: nothing waits here. */
static void log_says_who_hangs(void)
{
    struct keep_out kept_out;
    keep_out_init(&kept_out);
    pst_log_set_level(PST_LOG_INFO);
    begin_log_capture();
    keep_out_add(&kept_out, LDM_1, 7, 0);
    keep_out_add(&kept_out, ARCHIVE, 7, 0);
    keep_out_add(&kept_out, LDM_1, 8, 0);
    keep_out_log(&kept_out, kept_out.log_at_ns - 1);
    CU_ASSERT_FALSE(keep_out_remove(&kept_out, LDM_1, 7));
    CU_ASSERT_TRUE(keep_out_remove(&kept_out, LDM_1, 8));
    keep_out_log(&kept_out, kept_out.log_at_ns);
    CU_ASSERT_EQUAL(kept_out.log_at_ns, PST_DEADLINE_NONE);
    CU_ASSERT_TRUE(keep_out_remove(&kept_out, ARCHIVE, 7));
    char *text = end_log_capture();
    pst_log_set_level(PST_LOG_ERROR);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "node 7: kept out until the archive"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "node 7: may join again"));
    CU_ASSERT_PTR_NULL(strstr(text, "node 8"));
    free(text);
}

static CU_TestInfo tests[] = {
    {"LDM 1 hangs", ldm_1_hangs},
    {"LDM 2 hangs", ldm_2_hangs},
    {"the archive hangs", archive_hangs},
    {"the client hangs", client_hangs},
    {"another cluster's doubt is left alone", another_clusters_doubt_is_left_alone},
    {"a higher id coordinates nothing", a_higher_id_coordinates_nothing},
    {"writers count while their node is here", writers_count_while_their_node_is_here},
    {"the log says who hangs", log_says_who_hangs},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    CU_SuiteInfo suites[] = {{"nodes meet again", NULL, NULL, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    return run_suites(suites);
}
