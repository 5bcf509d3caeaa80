/*
 * Reads the sockets of the shm fabric and hands what came to where it belongs: new connections and
 * the handshake to shm_join.c, the end of a link to shm_link.c. The hub's thread, from poll.
 */
#include "net/shm/shm_socket.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/shm/shm_join.h"
#include "net/shm/shm_link.h"

/* How often an awake hub looks at the sockets: it sees a peer's end that late at most. */
#define LOOK_NS 1000000u

#define EPOLL_EVENTS 64

/* Messages taken from one socket at a look. */
#define MESSAGES_MAX 64u

static void on_bye(struct shm_fabric *fabric, struct shm_link *link,
                   const struct shm_notice *notice)
{
    if (notice->code == PST_FABRIC_SUSPECTED || notice->code == PST_FABRIC_DAMAGED ||
        notice->code == PST_FABRIC_CUT_OFF)
        shm_join_expel(fabric, link->node, (enum pst_fabric_failure)notice->code, notice->reason);
    else
        shm_link_end(fabric, link, PST_FABRIC_LEFT, notice->reason);
}

static void on_damage(struct shm_fabric *fabric, struct shm_link *link, enum shm_refusal refusal)
{
    if (link->state == SHM_LINK_HELLO_SENT || link->state == SHM_LINK_HELLO_SEEN)
        shm_send_notice(link->socket, SHM_REFUSE, refusal, shm_refusal_text(refusal));
    shm_link_end(fabric, link, PST_FABRIC_DAMAGED, "it sent a malformed message");
}

/* Which message may come in which state; any other is damage. */
static void on_message(struct shm_fabric *fabric, struct shm_link *link, union shm_message *message,
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
        on_bye(fabric, link, &message->notice);
        return;
    case SHM_WAKE:
        if (is_up)
            return;
        break;
    }
    on_damage(fabric, link, SHM_REFUSE_MALFORMED);
}

/* Takes one message from a link's socket, or its end. Whether there may be more; the link may be
 * freed. */
static bool read_message(struct shm_fabric *fabric, struct shm_link *link)
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
        on_damage(fabric, link, refusal);
    else
        on_message(fabric, link, &received, &fd);
    if (fd >= 0)
        close(fd);
    return bytes > 0;
}

/* Takes all that are there, so that a peer's last message finds room; the rest of what one sends
 * that floods us waits. */
static void read_messages(struct shm_fabric *fabric, uint32_t node)
{
    for (uint32_t i = 0; i < MESSAGES_MAX; i++) {
        struct shm_link *link = fabric->peers[node].link;
        if (!link || link->socket < 0 || !read_message(fabric, link))
            return;
    }
}

int shm_socket_look(struct shm_fabric *fabric)
{
    struct epoll_event events[EPOLL_EVENTS];
    fabric->next_look_ns = fabric->now_ns + LOOK_NS;
    int count = epoll_wait(fabric->base.fd, events, EPOLL_EVENTS, 0);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count && fabric->membership == SHM_MEMBER; i++) {
        uint32_t number = (uint32_t)events[i].data.u64;
        switch ((enum shm_fd_kind)(events[i].data.u64 >> 32)) {
        case SHM_FD_LISTEN:
            shm_join_accept(fabric);
            break;
        case SHM_FD_PENDING:
            shm_join_pending(fabric, &fabric->pending[number]);
            break;
        case SHM_FD_LINK:
            read_messages(fabric, number);
            break;
        }
    }
    return 0;
}
