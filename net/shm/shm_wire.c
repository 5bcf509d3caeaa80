/*
 * Messages between two nodes of a host: sent, received and checked. Does not wait, and keeps no
 * state. The hub's thread, from shm_join.c, shm_link.c and shm_socket.c.
 */
#include "net/shm/shm_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/printable.h"
#include "net/shm/shared_ring.h"

union descriptor {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

int shm_send(int socket, const void *message, uint32_t bytes, int fd)
{
    struct iovec vector = {.iov_base = (void *)message, .iov_len = bytes};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    union descriptor control = {{0}};
    if (fd >= 0) {
        header.msg_control = &control;
        header.msg_controllen = sizeof(control);
        struct cmsghdr *item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(item), &fd, sizeof(int));
    }
    return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The space is for one descriptor: the kernel closes what does not fit. */
static int descriptor_of(struct msghdr *header)
{
    struct cmsghdr *item = CMSG_FIRSTHDR(header);
    int fd = -1;
    if (item && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS &&
        item->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(item), sizeof(int));
    return fd;
}

int shm_receive(int socket, union shm_message *message, int *fd)
{
    struct iovec vector = {.iov_base = message, .iov_len = sizeof(*message)};
    union descriptor control;
    struct msghdr header = {.msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    *fd = -1;
    ssize_t bytes = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
    /* The other side closed and left messages of ours unread; what it wrote before is still there.
     */
    if (bytes < 0 && errno == ECONNRESET)
        bytes = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
    if (bytes < 0)
        return errno == ECONNRESET ? 0 : -errno;
    *fd = descriptor_of(&header);
    return bytes <= INT32_MAX ? (int)bytes : INT32_MAX;
}

void shm_send_bare(int socket, enum shm_message_type type)
{
    struct shm_header header = {SHM_MAGIC, SHM_VERSION, (uint16_t)type};
    int error = shm_send(socket, &header, sizeof(header), -1);
    (void)error; /* it is gone, which we shall see; or its socket is full, which wakes it too */
}

void shm_send_notice(int socket, enum shm_message_type type, uint32_t code, const char *reason)
{
    struct shm_notice notice = {.header = {SHM_MAGIC, SHM_VERSION, (uint16_t)type}, .code = code};
    (void)snprintf(notice.reason, sizeof(notice.reason), "%s", reason);
    int error = shm_send(socket, &notice, sizeof(notice), -1);
    (void)error; /* then the end of the connection must suffice */
}

static enum shm_refusal check_notice(struct shm_notice *notice, uint32_t bytes)
{
    if (bytes != sizeof(*notice))
        return SHM_REFUSE_MALFORMED;
    notice->reason[sizeof(notice->reason) - 1] = '\0';
    return SHM_REFUSE_NONE;
}

enum shm_refusal shm_check(union shm_message *message, uint32_t bytes)
{
    const struct shm_header *header = &message->header;
    if (bytes < sizeof(*header) || header->magic != SHM_MAGIC)
        return SHM_REFUSE_MALFORMED;
    if (header->version != SHM_VERSION && header->type != SHM_REFUSE)
        return SHM_REFUSE_VERSION;
    switch (header->type) {
    case SHM_HELLO:
        return bytes == sizeof(message->hello) ? SHM_REFUSE_NONE : SHM_REFUSE_MALFORMED;
    case SHM_REFUSE:
    case SHM_BYE:
        return check_notice(&message->notice, bytes);
    case SHM_READY:
    case SHM_WAKE:
        return bytes == sizeof(*header) ? SHM_REFUSE_NONE : SHM_REFUSE_MALFORMED;
    default:
        return SHM_REFUSE_MALFORMED;
    }
}

bool shm_is_hello(const union shm_message *message, uint32_t bytes)
{
    return bytes >= SHM_HELLO_FIXED_BYTES && message->header.magic == SHM_MAGIC &&
           message->header.type == SHM_HELLO;
}

static bool ring_is_sound(const struct shm_hello *hello)
{
    uint32_t slots = hello->ring_signals;
    return slots >= 2 && slots <= SHARED_RING_SIGNALS_MAX && (slots & (slots - 1)) == 0 &&
           hello->ring_bytes >= shared_ring_bytes(slots) && hello->ring_bytes <= UINT32_MAX;
}

enum shm_refusal shm_check_hello(const struct shm_hello *ours, const struct shm_hello *theirs)
{
    const struct pst_fabric_hello *us = &ours->node, *them = &theirs->node;
    if (theirs->signal_version != ours->signal_version)
        return SHM_REFUSE_VERSION;
    if (memcmp(us->cluster, them->cluster, sizeof(us->cluster)) != 0 ||
        us->cluster_id != them->cluster_id)
        return SHM_REFUSE_CLUSTER;
    if (them->node < 1 || them->node > PST_NODES_MAX || them->node == us->node)
        return SHM_REFUSE_NODE;
    if (theirs->memory != ours->memory || !ring_is_sound(theirs))
        return SHM_REFUSE_MEMORY;
    return theirs->failure_us != ours->failure_us ? SHM_REFUSE_FAILURE : SHM_REFUSE_NONE;
}

const char *shm_refusal_text(enum shm_refusal refusal)
{
    static const char *const texts[SHM_REFUSALS] = {
        [SHM_REFUSE_NONE] = "nothing is wrong",
        [SHM_REFUSE_MALFORMED] = "the message is malformed",
        [SHM_REFUSE_STRANGER] = "it belongs to another user",
        [SHM_REFUSE_VERSION] = "it is another version of Penstock",
        [SHM_REFUSE_CLUSTER] = "it is a node of another cluster: --cluster or --cluster-id differ",
        [SHM_REFUSE_NODE] = "its node id is not one that belongs here",
        [SHM_REFUSE_MEMORY] = "its ring is malformed, or only one of the two nodes uses --eal",
        [SHM_REFUSE_FAILURE] = "its --failure is another",
        [SHM_REFUSE_BUSY] = "its earlier connection has not ended yet",
        [SHM_REFUSE_DEAD] = "it was declared dead and must join under a new incarnation",
        [SHM_REFUSE_LATER] =
            "not all threads there have acknowledged its failure yet; it may try again",
    };
    return refusal < SHM_REFUSALS && texts[refusal] ? texts[refusal] : "unknown reason";
}

/* What differs of the two versions, in the words of net/quic/quic_wire.c. */
static void version_words(const struct shm_hello *ours, const struct shm_hello *theirs, char *text)
{
    bool is_fabric = theirs->header.version != ours->header.version;
    (void)snprintf(text, SHM_REASON_BYTES,
                   "the version of the %s differs: %u at node %u, %u at node %u",
                   is_fabric ? "fabric" : "protocol",
                   is_fabric ? ours->header.version : ours->signal_version, ours->node.node,
                   is_fabric ? theirs->header.version : theirs->signal_version, theirs->node.node);
}

char *shm_refusal_words(enum shm_refusal refusal, const struct shm_hello *ours,
                        const struct shm_hello *theirs, char *text)
{
    if (theirs && refusal == SHM_REFUSE_VERSION)
        version_words(ours, theirs, text);
    else if (theirs && refusal == SHM_REFUSE_CLUSTER)
        (void)snprintf(text, SHM_REASON_BYTES,
                       "--cluster or --cluster-id differ: %.20s (%08x) at node %u, %.20s (%08x) at "
                       "node %u",
                       ours->node.cluster, ours->node.cluster_id, ours->node.node,
                       theirs->node.cluster, theirs->node.cluster_id, theirs->node.node);
    else if (theirs && refusal == SHM_REFUSE_FAILURE)
        (void)snprintf(
            text, SHM_REASON_BYTES, "--failure differs: %gms at node %u, %gms at node %u",
            ours->failure_us / 1e3, ours->node.node, theirs->failure_us / 1e3, theirs->node.node);
    else
        (void)snprintf(text, SHM_REASON_BYTES, "%s", shm_refusal_text(refusal));
    pst_make_printable(text, strlen(text));
    return text;
}
