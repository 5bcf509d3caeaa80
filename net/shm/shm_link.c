/*
 * The link to a peer: its states, and what must hold in each. The hub's thread; called by the
 * handshake (shm_join.c), by what comes over sockets (shm_socket.c) and by rounds (shm_fabric.c).
 */
#include "net/shm/shm_link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
    assert(link->state == SHM_LINK_HELLO_SENT || link->state == SHM_LINK_HELLO_SEEN);
    link->state = SHM_LINK_UP;
    link->is_new = true;
    link->beats = shared_ring_beats(link->in);
    peer->backoff_ns = 0;
    peer->logged[0] = '\0';
    counters->joins++;
    counters->joined_since = fabric->now_ns;
    counters->ring_bytes = link->in_memory.size + link->out_memory.size;
}

static void send_bye(const struct shm_link *link, enum pst_fabric_failure failure,
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
    send_bye(link, failure, reason);
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

static void check_state(const struct shm_fabric *fabric, const struct shm_link *link)
{
    switch (link->state) {
    case SHM_LINK_HELLO_SENT:
        assert(link->node < fabric->base.node && link->socket >= 0 && !link->in && !link->is_new);
        return;
    case SHM_LINK_HELLO_SEEN:
        assert(link->node > fabric->base.node && link->socket >= 0 && link->in && !link->is_new);
        return;
    case SHM_LINK_UP:
        assert(link->socket >= 0 && link->in && link->failure == 0);
        assert(link->hello.node == link->node);
        assert(link->silent_ticks < fabric->silent_ticks_max);
        return;
    case SHM_LINK_ENDING:
        assert(link->socket < 0 && link->in && link->failure != 0);
        assert(link->drain_left == 0 || pst_fabric_failure_is_certain(link->failure));
        assert(fabric->base.counters[link->node].joined_since == 0);
        return;
    }
    assert(!"a state that exists");
}

void shm_link_check(const struct shm_fabric *fabric, uint32_t node)
{
    const struct shm_link *link = fabric->peers[node].link;
    assert(!link == !pst_set_has(&fabric->linked, node - 1));
    if (!link)
        return;
    assert(link->node == node && node != fabric->base.node && link->out);
    assert(!pst_set_has(&fabric->base.kept_out, node - 1));
    assert(fabric->membership == SHM_MEMBER ||
           (fabric->membership == SHM_EXPELLED && link->state == SHM_LINK_ENDING));
    check_state(fabric, link);
}
