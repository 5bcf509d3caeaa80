/*
 * Writes and checks the records of the quic fabric that are no signals. Pure; from quic_link.c.
 */
#include "net/quic/quic_wire.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/printable.h"

#define ADDRESS_BYTES 24u /* "255.255.255.255:65535" */
#define VALUE_BYTES 80u

_Static_assert(offsetof(struct quic_hello, incarnation) == 24, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, cluster) == 32, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, options) == 96, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, failure_ns) == 160, "docs/protocol.md");
_Static_assert(offsetof(struct quic_hello, members) == 256, "docs/protocol.md");
_Static_assert(sizeof(struct quic_member) == 8, "docs/protocol.md");

void quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                      const struct pst_quic_network *network, uint64_t failure_ns)
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
    hello->failure_ns = failure_ns;
    hello->mtu_bytes = network->mtu_bytes;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct sockaddr_in *member = &network->members[node];
        if (member->sin_family == AF_INET || pst_set_has(&network->near, node - 1))
            hello->members[hello->members_count++] =
                (struct quic_member){.address = member->sin_addr.s_addr,
                                     .port = member->sin_port,
                                     .node = (uint8_t)node};
    }
}

uint32_t quic_hello_records(const struct quic_hello *hello)
{
    uint32_t count = hello->members_count <= PST_NODES_MAX ? hello->members_count : 0;
    uint32_t bytes = count * (uint32_t)sizeof(struct quic_member);
    return QUIC_HELLO_RECORDS_MIN + (bytes + PST_SIGNAL_BYTES - 1) / PST_SIGNAL_BYTES;
}

/* ---- what must agree ---- */

/* Two HELLOs, and where to say in what they differ. */
struct comparison {
    const struct quic_hello *own, *theirs;
    char *text; /* QUIC_REASON_BYTES */
};

/* The same words for both ends. Always true. */
static bool differ(const struct comparison *pair, const char *what, const char *own,
                   const char *theirs)
{
    (void)snprintf(pair->text, QUIC_REASON_BYTES, "%s differs: %s at node %u, %s at node %u", what,
                   own, pair->own->node, theirs, pair->theirs->node);
    pst_make_printable(pair->text, strlen(pair->text));
    return true;
}

/* Of numbers that are printed in a unit. */
static bool numbers_differ(const struct comparison *pair, const char *what, uint64_t own,
                           uint64_t theirs, uint64_t unit, const char *unit_name)
{
    char own_text[VALUE_BYTES], their_text[VALUE_BYTES];
    if (own == theirs)
        return false;
    (void)snprintf(own_text, sizeof(own_text), "%g%s", (double)own / (double)unit, unit_name);
    (void)snprintf(their_text, sizeof(their_text), "%g%s", (double)theirs / (double)unit,
                   unit_name);
    return differ(pair, what, own_text, their_text);
}

static bool ids_differ(const struct comparison *pair)
{
    char own[VALUE_BYTES], theirs[VALUE_BYTES];
    (void)snprintf(own, sizeof(own), "%08x", pair->own->cluster_id);
    (void)snprintf(theirs, sizeof(theirs), "%08x", pair->theirs->cluster_id);
    return pair->own->cluster_id != pair->theirs->cluster_id &&
           differ(pair, "--cluster-id", own, theirs);
}

static bool names_differ(const struct comparison *pair)
{
    char theirs[PST_CLUSTER_NAME_MAX];
    memcpy(theirs, pair->theirs->cluster, sizeof(theirs));
    theirs[sizeof(theirs) - 1] = '\0';
    return strncmp(pair->theirs->cluster, pair->own->cluster, PST_CLUSTER_NAME_MAX) != 0 &&
           differ(pair, "--cluster", pair->own->cluster, theirs);
}

/* NULL: it is no member. */
static const struct quic_member *find_member(const struct quic_hello *hello, uint32_t node)
{
    for (uint32_t i = 0; i < hello->members_count && i < PST_NODES_MAX; i++) {
        if (hello->members[i].node == node)
            return &hello->members[i];
    }
    return NULL;
}

static void member_text(const struct quic_member *member, char *text)
{
    char address[INET_ADDRSTRLEN] = "";
    (void)snprintf(text, ADDRESS_BYTES, member ? "on its host" : "none");
    if (member && member->address != 0 &&
        inet_ntop(AF_INET, &member->address, address, sizeof(address)))
        (void)snprintf(text, ADDRESS_BYTES, "%s:%u", address, ntohs(member->port));
}

/* Of a node on its own host a node need not know the address. */
static bool is_same_member(const struct quic_member *one, const struct quic_member *other)
{
    if (!one || !other)
        return !one && !other;
    return one->address == 0 || other->address == 0 ||
           (one->address == other->address && one->port == other->port);
}

static bool members_differ(const struct comparison *pair)
{
    char own[ADDRESS_BYTES], theirs[ADDRESS_BYTES], what[16];
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct quic_member *ours = find_member(pair->own, node);
        const struct quic_member *other = find_member(pair->theirs, node);
        if (is_same_member(ours, other))
            continue;
        (void)snprintf(what, sizeof(what), "--member %u", node);
        member_text(ours, own);
        member_text(other, theirs);
        return differ(pair, what, own, theirs);
    }
    return false;
}

/* The versions first: what stands behind them may be of another form. */
bool quic_hello_differs(const struct quic_hello *hello, const struct quic_hello *own, uint32_t node,
                        char *text)
{
    const struct comparison pair = {own, hello, text};
    if (memcmp(hello->magic, QUIC_HELLO_MAGIC, sizeof(hello->magic)) != 0) {
        (void)snprintf(text, QUIC_REASON_BYTES, "its first record is no HELLO");
        return true;
    }
    if (numbers_differ(&pair, "the version of the fabric", own->version, hello->version, 1, "") ||
        numbers_differ(&pair, "the version of the protocol", own->signal_version,
                       hello->signal_version, 1, "") ||
        ids_differ(&pair) || names_differ(&pair))
        return true;
    if (hello->node != node) {
        (void)snprintf(text, QUIC_REASON_BYTES,
                       "its --id is %u, and the address is that of node %u by --member of node %u",
                       hello->node, node, own->node);
        return true;
    }
    return numbers_differ(&pair, "--net-mtu", own->mtu_bytes, hello->mtu_bytes, 1, "") ||
           numbers_differ(&pair, "--failure", own->failure_ns, hello->failure_ns, 1000000, "ms") ||
           members_differ(&pair);
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
