/*
 * Keeps a node that failed out until every thread of this node has answered that it knows. The
 * hub's thread alone.
 */
#include "engine/node/unheard.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/protocol/step.h"

/* A thread that runs hears at once; one that waits for a disk may take its time. */
#define SAY_AFTER_NS UINT64_C(1000000000)

void pst_unheard_init(struct pst_unheard *unheard)
{
    memset(unheard, 0, sizeof(*unheard));
    unheard->say_at_ns = PST_DEADLINE_NONE;
    pst_thread_bind(&unheard->owner);
}

/* Its place, or a free one. */
static uint32_t place_of(const struct pst_unheard *unheard, pst_ref listener)
{
    uint32_t place = 0;
    while (unheard->listeners[place].ref != listener && unheard->listeners[place].ref != 0) {
        place++;
        assert(place < PST_LISTENERS_MAX);
    }
    return place;
}

void pst_unheard_add(struct pst_unheard *unheard, pst_ref listener, uint32_t node, uint64_t now_ns)
{
    uint32_t place = place_of(unheard, listener);
    PST_CHECK_THREAD(&unheard->owner);
    assert(!pst_set_has(&unheard->listeners[place].nodes, node - 1));
    unheard->listeners[place].ref = listener;
    pst_set_add(&unheard->listeners[place].nodes, node - 1);
    pst_set_add(&unheard->nodes, node - 1);
    if (unheard->say_at_ns == PST_DEADLINE_NONE)
        unheard->say_at_ns = now_ns + SAY_AFTER_NS;
}

/* A thread that has not heard of a node's failure; 0: all have. */
static pst_ref first_without(const struct pst_unheard *unheard, uint32_t node)
{
    for (uint32_t i = 0; i < PST_LISTENERS_MAX; i++) {
        if (pst_set_has(&unheard->listeners[i].nodes, node - 1))
            return unheard->listeners[i].ref;
    }
    return 0;
}

bool pst_unheard_remove(struct pst_unheard *unheard, pst_ref listener, uint32_t node)
{
    uint32_t place = place_of(unheard, listener);
    PST_CHECK_THREAD(&unheard->owner);
    assert(pst_set_has(&unheard->listeners[place].nodes, node - 1));
    pst_set_remove(&unheard->listeners[place].nodes, node - 1);
    if (first_without(unheard, node) != 0)
        return false;
    if (pst_set_has(&unheard->said, node - 1))
        pst_log(PST_LOG_INFO, "node %u: may join again: all threads have heard that it failed",
                node);
    pst_set_remove(&unheard->nodes, node - 1);
    pst_set_remove(&unheard->said, node - 1);
    if (pst_set_is_empty(&unheard->nodes))
        unheard->say_at_ns = PST_DEADLINE_NONE;
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

void pst_unheard_say(struct pst_unheard *unheard, uint64_t now_ns)
{
    PST_CHECK_THREAD(&unheard->owner);
    if (now_ns < unheard->say_at_ns)
        return;
    unheard->say_at_ns = PST_DEADLINE_NONE;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        char thread[24];
        if (!pst_set_has(&unheard->nodes, node - 1) || pst_set_has(&unheard->said, node - 1))
            continue;
        pst_set_add(&unheard->said, node - 1);
        name_thread(first_without(unheard, node), thread, sizeof(thread));
        pst_log(PST_LOG_WARNING,
                "node %u: kept out until %s, which hangs, on a slow disk perhaps, has heard that "
                "it failed",
                node, thread);
    }
}
