/*
 * How nodes of a host meet: each connects to the lower ids that it finds and accepts the higher
 * ones. The hub's thread: from ticks (shm_fabric.c) and from what the sockets report
 * (shm_socket.c).
 */
#include "net/shm/shm_join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/printable.h"
#include "net/shm/shm_link.h"

/* How long a handshake may take, and how long to wait after one that failed, at most. */
#define HANDSHAKE_NS UINT64_C(2000000000)
#define BACKOFF_NS_MAX UINT64_C(2000000000)

/* A node that is told to come later mostly gets in soon: nothing is logged before it has waited so
 * long. */
#define LATER_LOG_NS UINT64_C(1000000000)

/* At most one line is logged in this time about connections that were turned away. */
#define LOG_NS UINT64_C(1000000000)

static int watch(struct shm_fabric *fabric, int operation, int socket, enum shm_fd_kind kind,
                 uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | number};
    return epoll_ctl(fabric->base.fd, operation, socket, &event) < 0 ? -errno : 0;
}

int shm_join_open_doors(struct shm_fabric *fabric)
{
    return watch(fabric, EPOLL_CTL_ADD, fabric->place.listen_fd, SHM_FD_LISTEN, 0);
}

static void drop_pending(struct shm_pending *pending)
{
    if (pending->socket >= 0)
        close(pending->socket);
    pending->socket = -1;
}

void shm_join_close_doors(struct shm_fabric *fabric)
{
    for (uint32_t i = 0; i < SHM_PENDING_MAX; i++)
        drop_pending(&fabric->pending[i]);
    if (fabric->base.fd >= 0) /* an error means that it is not watched */
        (void)epoll_ctl(fabric->base.fd, EPOLL_CTL_DEL, fabric->place.listen_fd, NULL);
}

void shm_join_expel(struct shm_fabric *fabric, uint32_t by, enum pst_fabric_failure failure,
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

static void try_later(struct shm_fabric *fabric, uint32_t node)
{
    struct shm_peer *peer = &fabric->peers[node];
    peer->backoff_ns = peer->backoff_ns == 0 ? fabric->tick_ns : 2 * peer->backoff_ns;
    if (peer->backoff_ns > BACKOFF_NS_MAX)
        peer->backoff_ns = BACKOFF_NS_MAX;
    peer->next_try_ns = fabric->now_ns + peer->backoff_ns;
}

static int make_ring(struct shm_fabric *fabric, struct shm_link *link)
{
    enum pst_shm_memory kind = fabric->memory;
    int error = shm_memory_make(&link->out_memory, &kind,
                                shared_ring_bytes(fabric->hello.ring_signals), fabric->eal);
    if (error)
        return error;
    if (kind != fabric->memory) {
        pst_log(PST_LOG_INFO, "rings between nodes lie in normal pages: no 2 MiB hugepage is free");
        fabric->memory = kind;
    }
    return shared_ring_make(&link->out, link->out_memory.bytes, fabric->hello.ring_signals,
                            fabric->hello.node.incarnation);
}

/* Takes the socket, on an error too. */
static int new_link(struct shm_fabric *fabric, uint32_t node, int socket, struct shm_link **made)
{
    struct shm_link *link = calloc(1, sizeof(*link));
    if (!link) {
        close(socket);
        return -ENOMEM;
    }
    link->node = node;
    link->socket = socket;
    link->out_memory.fd = link->in_memory.fd = -1;
    link->deadline_ns = fabric->now_ns + HANDSHAKE_NS;
    fabric->peers[node].link = link;
    pst_set_add(&fabric->linked, node - 1);
    int error = make_ring(fabric, link);
    if (error)
        shm_link_free(fabric, link);
    *made = link;
    return error;
}

static int send_hello(struct shm_fabric *fabric, struct shm_link *link)
{
    struct shm_hello hello = fabric->hello;
    hello.ring_offset = link->out_memory.offset;
    hello.ring_bytes = link->out_memory.size;
    int error = shm_send(link->socket, &hello, sizeof(hello), link->out_memory.fd);
    shm_memory_close_fd(&link->out_memory);
    return error;
}

static bool is_dead(const struct shm_fabric *fabric, const struct pst_fabric_hello *hello)
{
    const struct shm_peer *peer = &fabric->peers[hello->node];
    return peer->has_died && peer->dead_incarnation == hello->incarnation;
}

/* Takes fd. */
static enum shm_refusal attach(struct shm_fabric *fabric, struct shm_link *link,
                               const struct shm_hello *hello, int fd)
{
    int error = shm_memory_attach(&link->in_memory, fabric->memory, fd, hello->ring_offset,
                                  hello->ring_bytes);
    if (!error)
        error = shared_ring_attach(&link->in, link->in_memory.bytes, hello->ring_signals,
                                   hello->node.incarnation);
    link->hello = hello->node;
    return error ? SHM_REFUSE_MEMORY : SHM_REFUSE_NONE;
}

/* Why a node does not join, if that is news; cleared when it has joined. */
static void log_once(struct shm_fabric *fabric, uint32_t node, const char *who, const char *why)
{
    char *logged = fabric->peers[node].logged;
    if (strcmp(logged, why) == 0)
        return;
    (void)snprintf(logged, SHM_REASON_BYTES, "%s", why);
    pst_log(PST_LOG_WARNING, "node %u %s node %u: %s", fabric->hello.node.node, who, node, why);
}

/* theirs: NULL: no HELLO was read. */
static void send_refusal(struct shm_fabric *fabric, int socket, enum shm_refusal refusal,
                         const struct shm_hello *theirs)
{
    char words[SHM_REASON_BYTES];
    shm_send_notice(socket, SHM_REFUSE, refusal,
                    shm_refusal_words(refusal, &fabric->hello, theirs, words));
    if (refusal == SHM_REFUSE_BUSY || refusal == SHM_REFUSE_LATER)
        return;
    fabric->base.counters[0].refusals++;
    if (theirs && theirs->node.node >= 1 && theirs->node.node <= PST_NODES_MAX) {
        log_once(fabric, theirs->node.node, "turned away", words);
    } else if (fabric->now_ns >= fabric->next_log_ns) {
        fabric->next_log_ns = fabric->now_ns + LOG_NS;
        pst_log(PST_LOG_WARNING, "node %u turned a connection away: %s", fabric->hello.node.node,
                words);
    }
}

/* ---- the side that connects: the higher id ---- */

static void connect_to(struct shm_fabric *fabric, uint32_t node)
{
    struct shm_link *link;
    try_later(fabric, node);
    int socket = shm_place_connect(&fabric->place, node);
    if (socket < 0)
        return; /* ECONNREFUSED: a dead process left it; EAGAIN: its backlog is full */
    if (!shm_is_ours(socket)) {
        close(socket);
        return;
    }
    int error = new_link(fabric, node, socket, &link);
    if (error) {
        pst_log(PST_LOG_WARNING, "no ring to node %u could be made: %s", node,
                pst_error_text(error));
        return;
    }
    link->state = SHM_LINK_HELLO_SENT;
    if (watch(fabric, EPOLL_CTL_ADD, socket, SHM_FD_LINK, node) < 0 || send_hello(fabric, link) < 0)
        shm_link_free(fabric, link);
}

int shm_join_discover(struct shm_fabric *fabric)
{
    struct pst_set nodes;
    int error = shm_place_lower_nodes(&fabric->place, &nodes);
    for (uint32_t node = 1; !error && node < fabric->hello.node.node; node++) {
        struct shm_peer *peer = &fabric->peers[node];
        if (pst_set_has(&nodes, node - 1) && !peer->link &&
            !pst_set_has(&fabric->base.kept_out, node - 1) && fabric->now_ns >= peer->next_try_ns)
            connect_to(fabric, node);
    }
    return error;
}

void shm_join_answered(struct shm_fabric *fabric, struct shm_link *link, union shm_message *message,
                       int fd)
{
    const struct shm_hello *hello = &message->hello;
    enum shm_refusal refusal = shm_check_hello(&fabric->hello, hello);
    if (refusal == SHM_REFUSE_NONE && hello->node.node != link->node)
        refusal = SHM_REFUSE_NODE;
    if (refusal == SHM_REFUSE_NONE && is_dead(fabric, &hello->node))
        refusal = SHM_REFUSE_DEAD;
    if (refusal == SHM_REFUSE_NONE)
        refusal = attach(fabric, link, hello, fd);
    else if (fd >= 0)
        close(fd);
    if (refusal == SHM_REFUSE_NONE) {
        shm_send_bare(link->socket, SHM_READY);
        shm_link_up(fabric, link);
        return;
    }
    send_refusal(fabric, link->socket, refusal, hello);
    shm_link_free(fabric, link);
}

void shm_join_refused(struct shm_fabric *fabric, struct shm_link *link,
                      const struct shm_notice *notice)
{
    uint32_t node = link->node;
    char words[SHM_REASON_BYTES];
    struct shm_peer *peer = &fabric->peers[node];
    enum shm_refusal refusal = notice->code < SHM_REFUSALS ? notice->code : SHM_REFUSE_MALFORMED;
    shm_link_free(fabric, link);
    if (refusal == SHM_REFUSE_DEAD) {
        shm_join_expel(fabric, node, PST_FABRIC_SUSPECTED, shm_refusal_text(refusal));
        return;
    }
    bool is_short = refusal == SHM_REFUSE_LATER && peer->backoff_ns < LATER_LOG_NS;
    if (is_short || refusal == SHM_REFUSE_BUSY)
        return;
    (void)snprintf(words, sizeof(words), "%s", notice->reason);
    pst_make_printable(words, strlen(words));
    log_once(fabric, node, "is not let in by", words);
}

/* ---- the side that accepts: the lower id ---- */

static enum shm_refusal check_candidate(struct shm_fabric *fabric, const struct shm_hello *hello)
{
    enum shm_refusal refusal = shm_check_hello(&fabric->hello, hello);
    if (refusal != SHM_REFUSE_NONE)
        return refusal;
    if (hello->node.node < fabric->hello.node.node)
        return SHM_REFUSE_NODE;
    if (is_dead(fabric, &hello->node))
        return SHM_REFUSE_DEAD;
    if (pst_set_has(&fabric->base.kept_out, hello->node.node - 1))
        return SHM_REFUSE_LATER;
    struct shm_link *link = fabric->peers[hello->node.node].link;
    if (!link)
        return SHM_REFUSE_NONE;
    /* Only one process can hold the lock of a node id: so the earlier one is gone. */
    if (link->state == SHM_LINK_UP && link->hello.incarnation != hello->node.incarnation)
        shm_link_end(fabric, link, PST_FABRIC_DIED, "it has come again under a new incarnation");
    return SHM_REFUSE_BUSY;
}

/* Takes socket and fd. */
static enum shm_refusal answer(struct shm_fabric *fabric, const struct shm_hello *hello, int socket,
                               int fd)
{
    struct shm_link *link;
    uint32_t node = hello->node.node;
    if (new_link(fabric, node, socket, &link) < 0) {
        if (fd >= 0)
            close(fd);
        return SHM_REFUSE_MEMORY;
    }
    link->state = SHM_LINK_HELLO_SEEN;
    enum shm_refusal refusal = attach(fabric, link, hello, fd);
    if (refusal == SHM_REFUSE_NONE &&
        watch(fabric, EPOLL_CTL_MOD, socket, SHM_FD_LINK, node) == 0 &&
        send_hello(fabric, link) == 0)
        return SHM_REFUSE_NONE;
    if (refusal != SHM_REFUSE_NONE)
        send_refusal(fabric, socket, refusal, hello);
    shm_link_free(fabric, link);
    return refusal;
}

void shm_join_pending(struct shm_fabric *fabric, struct shm_pending *pending)
{
    union shm_message message;
    int fd;
    if (pending->socket < 0)
        return;
    int bytes = shm_receive(pending->socket, &message, &fd);
    if (bytes == -EAGAIN || bytes == -EINTR)
        return;
    enum shm_refusal refusal = SHM_REFUSE_MALFORMED;
    if (bytes > 0)
        refusal = shm_check(&message, (uint32_t)bytes);
    bool is_hello = bytes > 0 && shm_is_hello(&message, (uint32_t)bytes);
    if (refusal == SHM_REFUSE_NONE)
        refusal = is_hello ? check_candidate(fabric, &message.hello) : SHM_REFUSE_MALFORMED;
    if (refusal == SHM_REFUSE_NONE) {
        (void)answer(fabric, &message.hello, pending->socket, fd);
        pending->socket = -1;
        return;
    }
    if (bytes > 0)
        send_refusal(fabric, pending->socket, refusal, is_hello ? &message.hello : NULL);
    if (fd >= 0)
        close(fd);
    drop_pending(pending);
}

static struct shm_pending *free_or_oldest(struct shm_fabric *fabric)
{
    struct shm_pending *oldest = &fabric->pending[0];
    for (uint32_t i = 0; i < SHM_PENDING_MAX; i++) {
        struct shm_pending *pending = &fabric->pending[i];
        if (pending->socket < 0)
            return pending;
        if (pending->deadline_ns < oldest->deadline_ns)
            oldest = pending;
    }
    drop_pending(oldest);
    fabric->base.counters[0].refusals++;
    return oldest;
}

static void admit(struct shm_fabric *fabric, int socket)
{
    if (!shm_is_ours(socket)) {
        send_refusal(fabric, socket, SHM_REFUSE_STRANGER, NULL);
        close(socket);
        return;
    }
    struct shm_pending *pending = free_or_oldest(fabric);
    *pending = (struct shm_pending){socket, fabric->now_ns + HANDSHAKE_NS};
    if (watch(fabric, EPOLL_CTL_ADD, socket, SHM_FD_PENDING,
              (uint32_t)(pending - fabric->pending)) < 0)
        drop_pending(pending);
    else
        shm_join_pending(fabric, pending); /* mostly its HELLO is there already */
}

void shm_join_accept(struct shm_fabric *fabric)
{
    for (uint32_t i = 0; i < SHM_PENDING_MAX; i++) {
        int socket = shm_place_accept(&fabric->place);
        if (socket < 0)
            return; /* none is there, or we are out of descriptors: then they wait in the backlog */
        admit(fabric, socket);
    }
}

void shm_join_expire(struct shm_fabric *fabric)
{
    for (uint32_t i = 0; i < SHM_PENDING_MAX; i++) {
        if (fabric->pending[i].socket >= 0 && fabric->now_ns >= fabric->pending[i].deadline_ns) {
            fabric->base.counters[0].refusals++;
            drop_pending(&fabric->pending[i]);
        }
    }
}
