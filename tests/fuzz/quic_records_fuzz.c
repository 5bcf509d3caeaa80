/* What a node may send that has the cluster's key and is no sound one: HELLO and records of any
 * content, in a real connection of two nodes, of which the input plays one. The sound one must
 * live, deliver only legal signals that were stamped as its peer's next, and end the link
 * otherwise. */
#include <stdlib.h>
#include <string.h>

#include "net/quic/quic_stream.h"
#include "net/signal_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quic_nodes.h"

/* Of a HELLO, what an input may change: all but members beyond the sixteenth. */
#define HELLO_BYTES (3u * PST_SIGNAL_BYTES)

static struct {
    uint32_t node; /* the one that the input plays */
    const uint8_t *hello;
    size_t hello_bytes; /* changed in its HELLO */
    uint64_t legal;     /* signals that it has sent as a sound node does */
} hostile;

void __real_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns);
void __wrap_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns);

void __wrap_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns)
{
    __real_quic_hello_write(hello, from, network, failure_ns);
    for (size_t i = 0; from->node == hostile.node && i < hostile.hello_bytes; i++)
        ((uint8_t *)hello)[i] ^= hostile.hello[i];
}

enum kind { AS_IT_IS, NOTICE, STAMPED, SUMMED, KINDS };

static void put(struct quic_link *link, const struct pst_signal *record)
{
    if (quic_stream_room(link) == 0)
        return;
    link->out[link->put++ % link->fabric->slots] = *record;
    link->wants_write = true;
    if (pst_spsc_fault(record, link->fabric->hello.incarnation, link->out_sequence) !=
        PST_SIGNAL_FAULT_NONE)
        return;
    link->out_sequence++;
    hostile.legal++;
}

static struct pst_signal make(const struct quic_link *link, uint8_t kind, const uint8_t *bytes,
                              size_t size)
{
    struct pst_signal record = {0};
    memcpy(&record, bytes, size < sizeof(record) ? size : sizeof(record));
    if (kind % KINDS == NOTICE)
        quic_notice_write(&record, (enum quic_notice)(kind / KINDS % 5));
    if (kind % KINDS == SUMMED)
        pst_spsc_stamp(&record, record.incarnation, record.link_sequence);
    if (kind % KINDS != STAMPED)
        return record;
    record.version = PST_SIGNAL_VERSION;
    record.length = pst_gsn_payload_bytes(record.gsn);
    record.flags = 0;
    record.reserved = 0;
    pst_spsc_stamp(&record, link->fabric->hello.incarnation, link->out_sequence);
    return record;
}

static struct quic_link *link_of_hostile(void)
{
    struct quic_link *link = fuzz_fabric(hostile.node)->peers[3 - hostile.node].link;
    return link && link->conn && link->stream >= 0 ? link : NULL;
}

/* Until the link is up, or is not going to be. */
static void meet(void)
{
    for (uint32_t i = 0; i < 40 && fuzz_nodes[2 - hostile.node].joins == 0; i++)
        fuzz_nodes_round(10 * FUZZ_ROUND_NS);
}

#define RECORDS_MAX 64u /* more than the ring has, several times */

/* kind: the record's in two bits, then a notice's number. Each is sent at once. */
static void play(const uint8_t *data, size_t size)
{
    for (uint32_t i = 0; i < RECORDS_MAX && size > 0; i++) {
        size_t bytes = size - 1 < sizeof(struct pst_signal) ? size - 1 : sizeof(struct pst_signal);
        struct quic_link *link = link_of_hostile();
        if (!link)
            return;
        struct pst_signal record = make(link, data[0], data + 1, bytes);
        put(link, &record);
        fuzz_nodes_round(FUZZ_ROUND_NS);
        data += 1 + bytes;
        size -= 1 + bytes;
    }
}

/* setting: whose part it is, whether the HELLO is changed, whether records come before the link is
 * up. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *copy = fuzz_copy(data + 1, size - 1);
    size_t hello_bytes = data[0] & 2 ? HELLO_BYTES : 0;
    hello_bytes = hello_bytes < size - 1 ? hello_bytes : size - 1;
    hostile.node = data[0] & 1 ? 2 : 1;
    hostile.hello = copy;
    hostile.hello_bytes = hello_bytes;
    hostile.legal = 0;
    fuzz_nodes_begin();
    fuzz_node_open(1);
    fuzz_node_open(2);
    for (uint32_t i = 0; i < 40 && data[0] & 4 && !link_of_hostile(); i++)
        fuzz_nodes_round(FUZZ_ROUND_NS);
    if (!(data[0] & 4))
        meet();
    play(copy + hello_bytes, size - 1 - hello_bytes);
    fuzz_nodes_round(100 * FUZZ_ROUND_NS);
    fuzz_nodes_round(100 * FUZZ_ROUND_NS);
    if (fuzz_nodes[2 - hostile.node].received > hostile.legal)
        abort();
    fuzz_nodes_close();
    free(copy);
    return 0;
}
