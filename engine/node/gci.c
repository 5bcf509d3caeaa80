/*
 * Numbers the checkpoints of sources that have no numbers of their own, by the time. A clock may be
 * set back: a GCI never goes back on a node. Source threads and the archive thread call it.
 */
#include "engine/node/threads.h"

/* A manifest may hold any number; one beyond the year 2262 would leave no room for later ones. */
#define GCI_MAX ((uint64_t)INT64_MAX)

void node_note_gci(struct pst_node *node, uint64_t gci)
{
    uint64_t known = atomic_load(&node->gci);
    while (gci <= GCI_MAX && gci > known)
        if (atomic_compare_exchange_weak(&node->gci, &known, gci))
            break;
}

uint64_t node_next_gci(struct pst_node *node, uint64_t now_unix_ns)
{
    uint64_t known = atomic_load(&node->gci);
    uint64_t next;
    do
        next = now_unix_ns > known ? now_unix_ns : known + 1;
    while (!atomic_compare_exchange_weak(&node->gci, &known, next));
    return next;
}
