/* What a node logs and remembers of the backups that it takes part in, from its proxy's states. */
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/node/history.h"
#include "engine/node/threads.h"
#include "tests/suite.h"

static struct pst_cluster_config cluster;
static const struct pst_plan plan = {.ldms = 3};
static struct pst_ldm_thread ldms[3];
static struct pst_node node;
static struct pst_proxy proxy;
static struct history history;
static char said[1024];

static void hear(void *context, enum pst_log_level level, const char *message)
{
    size_t used = strlen(said);
    (void)context;
    snprintf(said + used, sizeof(said) - used, "%d %s\n", (int)level, message);
}

static void begin(void)
{
    memset(&node, 0, sizeof(node));
    memset(&proxy, 0, sizeof(proxy));
    memset(&history, 0, sizeof(history));
    memset(ldms, 0, sizeof(ldms));
    node.ldms = ldms;
    node.config.plan = &plan;
    said[0] = '\0';
    pthread_mutex_init(&node.status_lock, NULL);
    node.config.cluster = &cluster;
    pst_log_set_hook(hear, NULL);
}

static void end(void)
{
    pst_log_set_hook(NULL, NULL);
    pthread_mutex_destroy(&node.status_lock);
}

static void go(enum pst_proxy_state state)
{
    proxy.state = state;
    history_follow(&history, &node, &proxy);
}

static void define(uint32_t number)
{
    proxy.master_ref = pst_ref_make(3, PST_BLOCK_BACKUP, 1);
    proxy.request.payload.define.number = number;
    memset(proxy.request.payload.define.uid, 0xab, 16);
    go(PST_PROXY_DEFINING);
    memset(&proxy.request, 0, sizeof(proxy.request));
}

#define NAME_7 "backup 7 (uid abababababababababababababababab)"

static void a_backup_that_completes(void)
{
    begin();
    define(7);
    CU_ASSERT_STRING_EQUAL(said, "");
    go(PST_PROXY_DEFINED);
    CU_ASSERT_STRING_EQUAL(said, "2 " NAME_7 ": started by node 3\n");
    go(PST_PROXY_DEFINED);
    proxy.error = -PST_E_FREEZE; /* of a try */
    go(PST_PROXY_FREEZING);
    proxy.error = 0;
    go(PST_PROXY_SCANNING);
    proxy.sums.source_bytes = 5000;
    for (uint32_t i = 0; i < 3; i++) { /* LDM 3 has had no part of this one */
        ldms[i].report.backup = i < 2 ? pst_uid_low(history.uid) : 1;
        ldms[i].report.codec_chunks[PST_CODEC_ZSTD] = 10 + i;
    }
    go(PST_PROXY_COMMITTING);
    said[0] = '\0';
    go(PST_PROXY_IDLE);
    CU_ASSERT_PTR_EQUAL(strstr(said, "2 " NAME_7 ": complete: 5000 bytes read"), said);
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_COMPLETE);
    CU_ASSERT_EQUAL(node.status.last.number, 7);
    CU_ASSERT_EQUAL(node.status.last.error, 0);
    CU_ASSERT_EQUAL(node.status.last.sums.source_bytes, 5000);
    CU_ASSERT_EQUAL(node.status.last.codec_chunks[PST_CODEC_ZSTD], 21);
    CU_ASSERT_EQUAL(node.status.last.codec_chunks[PST_CODEC_LZ4], 0);
    said[0] = '\0';
    go(PST_PROXY_IDLE);
    CU_ASSERT_STRING_EQUAL(said, "");
    end();
}

static void a_backup_that_is_aborted(void)
{
    begin();
    define(7);
    go(PST_PROXY_DEFINED);
    ldms[0].source_bytes = 700;
    ldms[2].source_bytes = 41;
    go(PST_PROXY_SCANNING);
    proxy.error = -PST_E_SCAN;
    proxy.where = pst_ref_make(2, PST_BLOCK_BACKUP, 4);
    go(PST_PROXY_ABORTED);
    proxy.error = 0; /* of the cleanup */
    proxy.where = 0;
    go(PST_PROXY_CLEANING);
    said[0] = '\0';
    go(PST_PROXY_IDLE);
    CU_ASSERT_PTR_EQUAL(strstr(said, "1 " NAME_7 ": aborted after "), said);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "LDM 4 of node 2: a source could not be read\n"));
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_ABORTED);
    CU_ASSERT_EQUAL(node.status.last.error, PST_E_SCAN);
    CU_ASSERT_EQUAL(node.status.last.sums.source_bytes, 741);
    CU_ASSERT_EQUAL(node.status.totals.source_bytes, 0);
    define(8); /* its LDMs have still to begin: those bytes are of the one before */
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_ABORTED);
    go(PST_PROXY_IDLE);
    CU_ASSERT_EQUAL(node.status.last.number, 8);
    CU_ASSERT_EQUAL(node.status.last.sums.source_bytes, 0);
    end();
}

/* Nodes that the cluster was to have did not take part. */
static const char *phase(enum pst_proxy_state state)
{
    struct pst_running_status running;
    go(state);
    history_show(&node, &running);
    return running.phase ? running.phase : "";
}

static void a_running_backup_has_a_phase(void)
{
    struct pst_running_status running;
    begin();
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_IDLE), "");
    define(7);
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_STARTED), "preparing");
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_FREEZING), "freezing");
    proxy.sender = proxy.senders.slots; /* it lists */
    proxy.dealer.listed_bytes = 300;
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_SCANNING), "reading");
    history_show(&node, &running);
    CU_ASSERT_EQUAL(running.number, 7);
    CU_ASSERT_EQUAL(running.listed_bytes, 300);
    CU_ASSERT_FALSE(running.is_listed);
    proxy.sender = NULL;
    go(PST_PROXY_SCANNING);
    history_show(&node, &running);
    CU_ASSERT_TRUE(running.reads && running.is_listed);
    /* the other proxy of the node does nothing, and has no say */
    struct history other = {0};
    struct pst_proxy idle = {0};
    history_follow(&other, &node, &idle);
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_PREPARED), "prepared");
    history_follow(&other, &node, &idle);
    history_show(&node, &running);
    CU_ASSERT_STRING_EQUAL(running.phase, "prepared");
    CU_ASSERT_STRING_EQUAL(phase(PST_PROXY_IDLE), "");
    end();
}

static void totals_add_up(void)
{
    begin();
    for (uint32_t number = 1; number <= 3; number++) {
        define(number);
        go(PST_PROXY_DEFINED);
        proxy.sums.source_bytes = 100 * number;
        go(number == 2 ? PST_PROXY_ABORTED : PST_PROXY_COMMITTING);
        go(PST_PROXY_IDLE);
    }
    CU_ASSERT_EQUAL(node.status.totals.complete, 2);
    CU_ASSERT_EQUAL(node.status.totals.aborted, 1);
    CU_ASSERT_EQUAL(node.status.totals.source_bytes, 400);
    CU_ASSERT_EQUAL(node.status.last_success.number, 3);
    CU_ASSERT_EQUAL(node.status.last_failure.number, 2);
    end();
}

static void a_backup_that_is_partial(void)
{
    begin();
    pst_set_add(&cluster.expected, 0);
    pst_set_add(&cluster.expected, 4);
    pst_set_add(&proxy.request.payload.define.nodes, 0);
    define(7);
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_COMMITTING);
    said[0] = '\0';
    go(PST_PROXY_IDLE);
    CU_ASSERT_PTR_EQUAL(strstr(said, "2 " NAME_7 ": partial, without 1 node: "), said);
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_COMPLETE);
    CU_ASSERT_EQUAL(pst_set_count(&node.status.last.missing), 1);
    CU_ASSERT_TRUE(pst_set_has(&node.status.last.missing, 4));
    /* the next one, of all, is whole again */
    pst_set_add(&proxy.request.payload.define.nodes, 0);
    pst_set_add(&proxy.request.payload.define.nodes, 4);
    define(8);
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_COMMITTING);
    go(PST_PROXY_IDLE);
    CU_ASSERT_TRUE(pst_set_is_empty(&node.status.last.missing));
    cluster.expected = (struct pst_set){{0}};
    end();
}

/* Its master died: the proxy has its LDMs let go of it. */
static void a_backup_that_is_left_in_doubt(void)
{
    begin();
    define(7);
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_PREPARED);
    said[0] = '\0';
    proxy.in_doubt++;
    go(PST_PROXY_COMMITTING);
    go(PST_PROXY_IDLE);
    CU_ASSERT_PTR_EQUAL(strstr(said, "1 " NAME_7 ": in doubt"), said);
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_IN_DOUBT);
    end();
}

/* The decision could not be stored here. */
static void a_commit_that_fails(void)
{
    begin();
    define(7);
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_COMMITTING);
    proxy.error = -PST_E_FILE;
    go(PST_PROXY_IDLE);
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_IN_DOUBT);
    end();
}

/* A number that is taken, say: another one follows, and the client hears of the last. */
static void a_definition_that_is_refused(void)
{
    begin();
    define(7);
    proxy.error = -PST_E_NUMBER_EXISTS;
    go(PST_PROXY_ABORTED);
    go(PST_PROXY_CLEANING);
    go(PST_PROXY_IDLE);
    CU_ASSERT_STRING_EQUAL(said, "");
    CU_ASSERT_EQUAL(node.status.last.end, PST_END_NONE);
    end();
}

static void a_node_alone(void)
{
    begin();
    node.config.cluster = NULL;
    define(7);
    go(PST_PROXY_DEFINED);
    go(PST_PROXY_COMMITTING);
    go(PST_PROXY_IDLE);
    CU_ASSERT_STRING_EQUAL(said, "");
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a backup that completes", a_backup_that_completes},
        {"a backup that is aborted", a_backup_that_is_aborted},
        {"a backup that is partial", a_backup_that_is_partial},
        {"a backup that is left in doubt", a_backup_that_is_left_in_doubt},
        {"a commit that fails", a_commit_that_fails},
        {"a definition that is refused", a_definition_that_is_refused},
        {"a node alone", a_node_alone},
        {"a running backup has a phase", a_running_backup_has_a_phase},
        {"totals add up", totals_add_up},
        CU_TEST_INFO_NULL,
    };
    return suite_run("history", tests);
}
