/*
 * Writes and checks the records of the quic fabric that are no signals. Pure; from quic_link.c.
 */
#include "net/quic/quic_wire.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(offsetof(struct quic_hello, incarnation) == 24, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, cluster) == 32, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, options) == 96, "docs/protocol.md");

void quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from)
{
    memset(hello, 0, sizeof(*hello));
    memcpy(hello->magic, QUIC_HELLO_MAGIC, sizeof(hello->magic));
    hello->version = QUIC_VERSION;
    hello->signal_version = PST_SIGNAL_VERSION;
    hello->cluster_id = from->cluster_id;
    hello->node = from->node;
    hello->incarnation = from->incarnation;
    (void)snprintf(hello->cluster, sizeof(hello->cluster), "%s", from->cluster);
    memcpy(hello->options, from->options, sizeof(hello->options));
}

const char *quic_hello_fault(const struct quic_hello *hello, const struct pst_fabric_hello *own,
                             uint32_t node)
{
    if (memcmp(hello->magic, QUIC_HELLO_MAGIC, sizeof(hello->magic)) != 0)
        return "its first record is no HELLO";
    if (hello->version != QUIC_VERSION)
        return "it speaks another version of the fabric";
    if (hello->signal_version != PST_SIGNAL_VERSION)
        return "it speaks another version of the protocol";
    if (hello->cluster_id != own->cluster_id)
        return "it is of a cluster with another id";
    if (strncmp(hello->cluster, own->cluster, sizeof(hello->cluster)) != 0)
        return "it is of a cluster of another name";
    if (hello->node != node)
        return "the node with this address has another id";
    return NULL;
}

void quic_notice_write(struct pst_signal *record, enum quic_notice notice)
{
    memset(record, 0, sizeof(*record));
    record->sequence = notice;
}

uint32_t quic_notice_of(const struct pst_signal *record)
{
    return record->gsn == 0 && record->sequence <= QUIC_BEAT ? record->sequence : 0;
}
