/*
 * Keeps a node that failed out until every thread of this node has answered that it knows. The
 * hub's thread alone.
 */
#include "engine/node/keep_out.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/protocol/step.h"

/* A thread that runs takes note at once; one that waits for a disk may take its time. */
#define LOG_AFTER_NS UINT64_C(1000000000)

void keep_out_init(struct keep_out *kept_out)
{
    memset(kept_out, 0, sizeof(*kept_out));
    kept_out->log_at_ns = PST_DEADLINE_NONE;
    pst_thread_bind(&kept_out->owner);
}

/* Its place, or a free one. */
static uint32_t place_of(const struct keep_out *kept_out, pst_ref thread)
{
    uint32_t place = 0;
    while (kept_out->threads[place].ref != thread && kept_out->threads[place].ref != 0) {
        place++;
        assert(place < KEEP_OUT_THREADS_MAX);
    }
    return place;
}

void keep_out_add(struct keep_out *kept_out, pst_ref thread, uint32_t node, uint64_t now_ns)
{
    uint32_t place = place_of(kept_out, thread);
    PST_CHECK_THREAD(&kept_out->owner);
    assert(!pst_set_has(&kept_out->threads[place].nodes, node - 1));
    kept_out->threads[place].ref = thread;
    pst_set_add(&kept_out->threads[place].nodes, node - 1);
    pst_set_add(&kept_out->nodes, node - 1);
    if (kept_out->log_at_ns == PST_DEADLINE_NONE)
        kept_out->log_at_ns = now_ns + LOG_AFTER_NS;
}

/* A thread that has not taken note of a node's failure; 0: all have. */
static pst_ref first_without(const struct keep_out *kept_out, uint32_t node)
{
    for (uint32_t i = 0; i < KEEP_OUT_THREADS_MAX; i++) {
        if (pst_set_has(&kept_out->threads[i].nodes, node - 1))
            return kept_out->threads[i].ref;
    }
    return 0;
}

bool keep_out_remove(struct keep_out *kept_out, pst_ref thread, uint32_t node)
{
    uint32_t place = place_of(kept_out, thread);
    PST_CHECK_THREAD(&kept_out->owner);
    assert(pst_set_has(&kept_out->threads[place].nodes, node - 1));
    pst_set_remove(&kept_out->threads[place].nodes, node - 1);
    if (first_without(kept_out, node) != 0)
        return false;
    if (pst_set_has(&kept_out->logged, node - 1))
        pst_log(PST_LOG_INFO, "node %u: may join again: all threads have noted its failure", node);
    pst_set_remove(&kept_out->nodes, node - 1);
    pst_set_remove(&kept_out->logged, node - 1);
    if (pst_set_is_empty(&kept_out->nodes))
        kept_out->log_at_ns = PST_DEADLINE_NONE;
    return true;
}

static void name_thread(pst_ref ref, char *text, size_t bytes)
{
    if (pst_ref_block(ref) == PST_BLOCK_BACKUP)
        snprintf(text, bytes, "LDM %u", pst_ref_instance(ref));
    else
        snprintf(text, bytes, "the %s",
                 pst_ref_block(ref) == PST_BLOCK_ARCHIVE ? "archive" : "main thread");
}

void keep_out_log(struct keep_out *kept_out, uint64_t now_ns)
{
    PST_CHECK_THREAD(&kept_out->owner);
    if (now_ns < kept_out->log_at_ns)
        return;
    kept_out->log_at_ns = PST_DEADLINE_NONE;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        char thread[24];
        if (!pst_set_has(&kept_out->nodes, node - 1) || pst_set_has(&kept_out->logged, node - 1))
            continue;
        pst_set_add(&kept_out->logged, node - 1);
        pst_ref without = first_without(kept_out, node);
        if (pst_ref_block(without) == PST_BLOCK_PROXY) { /* by the hub itself */
            pst_log(PST_LOG_WARNING, "node %u: kept out until this node is hung no more", node);
            continue;
        }
        name_thread(without, thread, sizeof(thread));
        pst_log(
            PST_LOG_WARNING,
            "node %u: kept out until %s has noted its failure; it hangs, perhaps on a slow disk",
            node, thread);
    }
}
