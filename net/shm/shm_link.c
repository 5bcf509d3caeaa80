#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/shm/shm_internal.h"

/* EAL wipes what it is given back, and may give it out again: not while the peer may look into it.
 * A peer that is gone does not; from any other such a ring is kept until this process ends. */
static bool may_look(const struct shm_link *link)
{
    return link->state == SHM_LINK_UP ||
           (link->state == SHM_LINK_ENDING && !pst_fabric_failure_is_certain(link->failure));
}

void shm_link_free(struct shm_fabric *fabric, struct shm_link *link)
{
    if (may_look(link))
        link->out_memory.owner = NULL;
    fabric->peers[link->node].link = NULL;
    pst_set_remove(&fabric->linked, link->node - 1);
    if (link->socket >= 0)
        close(link->socket);
    shared_ring_free(link->out);
    shared_ring_free(link->in);
    shm_memory_free(&link->out_memory);
    shm_memory_free(&link->in_memory);
    free(link);
}

void shm_link_up(struct shm_fabric *fabric, struct shm_link *link)
{
    struct shm_peer *peer = &fabric->peers[link->node];
    struct pst_fabric_counters *counters = &fabric->base.counters[link->node];
    link->state = SHM_LINK_UP;
    link->tell_joined = true;
    link->beats = shared_ring_beats(link->in);
    peer->backoff_ns = 0;
    peer->refused_us = SHM_REFUSE_NONE;
    counters->joins++;
    counters->joined_since = fabric->now_ns;
    counters->ring_bytes = link->in_memory.size + link->out_memory.size;
}

static void say_goodbye(const struct shm_link *link, enum pst_fabric_failure failure,
                        const char *reason)
{
    if (failure == PST_FABRIC_LOST)
        shm_send_notice(link->socket, SHM_BYE, PST_FABRIC_LEFT, reason);
    else if (!pst_fabric_failure_is_certain(failure))
        shm_send_notice(link->socket, SHM_BYE, failure, reason);
}

void shm_link_end(struct shm_fabric *fabric, struct shm_link *link, enum pst_fabric_failure failure,
                  const char *reason)
{
    struct shm_peer *peer = &fabric->peers[link->node];
    struct pst_fabric_counters *counters = &fabric->base.counters[link->node];
    if (link->state == SHM_LINK_ENDING)
        return;
    if (link->state != SHM_LINK_UP) {
        shm_link_free(fabric, link);
        return;
    }
    say_goodbye(link, failure, reason);
    close(link->socket);
    link->socket = -1;
    link->state = SHM_LINK_ENDING;
    link->failure = failure;
    /* What it sent before it went is whole; a ring full at most. */
    link->drain_left = pst_fabric_failure_is_certain(failure) ? SHARED_RING_SIGNALS_MAX : 0;
    (void)snprintf(link->reason, sizeof(link->reason), "%s", reason);
    if (failure != PST_FABRIC_LOST) {
        peer->has_died = true;
        peer->dead_incarnation = link->hello.incarnation;
    }
    counters->failures++;
    counters->joined_since = 0;
    counters->ring_bytes = 0;
}

void shm_expel(struct shm_fabric *fabric, uint32_t by, enum pst_fabric_failure failure,
               const char *reason)
{
    fabric->membership = SHM_EXPELLED;
    shm_join_close_doors(fabric);
    fabric->expelled_by = by;
    fabric->expelled_for = failure;
    (void)snprintf(fabric->reason, sizeof(fabric->reason), "%s", reason);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (fabric->peers[node].link)
            shm_link_end(fabric, fabric->peers[node].link, PST_FABRIC_LOST,
                         "this node was declared dead by another");
    }
}

static void goodbye(struct shm_fabric *fabric, struct shm_link *link,
                    const struct shm_notice *notice)
{
    if (notice->code == PST_FABRIC_SUSPECTED || notice->code == PST_FABRIC_DAMAGED ||
        notice->code == PST_FABRIC_CUT_OFF)
        shm_expel(fabric, link->node, (enum pst_fabric_failure)notice->code, notice->reason);
    else
        shm_link_end(fabric, link, PST_FABRIC_LEFT, notice->reason);
}

static void damaged(struct shm_fabric *fabric, struct shm_link *link, enum shm_refusal refusal)
{
    if (link->state == SHM_LINK_HELLO_SENT || link->state == SHM_LINK_HELLO_SEEN)
        shm_send_notice(link->socket, SHM_REFUSE, refusal, shm_refusal_text(refusal));
    shm_link_end(fabric, link, PST_FABRIC_DAMAGED, "it sent a message that makes no sense");
}

/* What may come in which state; anything else is damage. */
static void message(struct shm_fabric *fabric, struct shm_link *link, union shm_message *message,
                    int *fd)
{
    bool is_up = link->state == SHM_LINK_UP;
    switch (message->header.type) {
    case SHM_HELLO:
        if (link->state != SHM_LINK_HELLO_SENT)
            break;
        shm_join_answered(fabric, link, message, *fd);
        *fd = -1;
        return;
    case SHM_READY:
        if (link->state != SHM_LINK_HELLO_SEEN)
            break;
        shm_link_up(fabric, link);
        return;
    case SHM_REFUSE:
        if (is_up)
            break;
        shm_join_refused(fabric, link, &message->notice);
        return;
    case SHM_BYE:
        goodbye(fabric, link, &message->notice);
        return;
    case SHM_WAKE:
        if (is_up)
            return;
        break;
    }
    damaged(fabric, link, SHM_REFUSE_MALFORMED);
}

bool shm_link_readable(struct shm_fabric *fabric, struct shm_link *link)
{
    union shm_message received;
    int fd;
    int bytes = shm_receive(link->socket, &received, &fd);
    if (bytes == -EAGAIN || bytes == -EINTR)
        return false;
    enum shm_refusal refusal = bytes > 0 ? shm_check(&received, (uint32_t)bytes) : 0;
    if (bytes <= 0)
        shm_link_end(fabric, link, PST_FABRIC_DIED, "its process has ended");
    else if (refusal != SHM_REFUSE_NONE)
        damaged(fabric, link, refusal);
    else
        message(fabric, link, &received, &fd);
    if (fd >= 0)
        close(fd);
    return bytes > 0;
}
