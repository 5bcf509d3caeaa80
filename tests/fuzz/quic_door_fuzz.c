/* What anybody may send to a node of a cluster that spans hosts: datagrams from members' addresses,
 * a stranger's, and the node's own, as they are or with headers that lead further in; and frames in
 * Initial packets, sealed as anybody can seal them, behind a token that the node has given out. No
 * member may ever look as if it had joined. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quic_nodes.h"
#include "tests/support/packet_pipe.h"
#include "tests/support/quic_seal.h"

#define STRANGER 4u

enum shape { AS_IT_IS, LONG_HEADER, OF_THIS_LIFE, SEALED, SHAPES };

/* A sender's latest connection. */
struct attempt {
    uint8_t token[256];
    struct quic_seal seal;
};

static struct attempt attempts[STRANGER + 1];
static struct {
    uint8_t bytes[PACKET_PIPE_BYTES];
    size_t size_bytes;
} answer; /* the node's last one */

static bool keep_answer(const struct sockaddr_in *from, const struct sockaddr_in *to,
                        uint8_t *bytes, size_t size_bytes)
{
    (void)from, (void)to;
    answer.size_bytes = size_bytes;
    memcpy(answer.bytes, bytes, size_bytes);
    return false;
}

static void deliver(uint32_t sender, const uint8_t *bytes, size_t size)
{
    packet_pipe_put(fuzz_address(sender), fuzz_address(1), bytes, size);
    fuzz_nodes_round(FUZZ_ROUND_NS);
}

static void get_token(uint32_t sender, struct attempt *attempt)
{
    uint8_t packet[QUIC_SEAL_BYTES], chosen[QUIC_SEAL_CID_BYTES];
    size_t token_bytes;
    attempt->seal = (struct quic_seal){.to = "first...", .from = "attacker"};
    answer.size_bytes = 0;
    deliver(sender, packet, quic_seal_initial(&attempt->seal, NULL, 0, packet));
    const uint8_t *token = quic_seal_retry(answer.bytes, answer.size_bytes, &token_bytes, chosen);
    if (!token || token_bytes > sizeof(attempt->token))
        return;
    memcpy(attempt->token, token, token_bytes);
    memcpy(attempt->seal.to, chosen, sizeof(chosen));
    attempt->seal.token = attempt->token;
    attempt->seal.token_bytes = token_bytes;
}

static void deliver_sealed(uint32_t sender, const uint8_t *frames, size_t size)
{
    struct attempt *attempt = &attempts[sender];
    uint8_t packet[QUIC_SEAL_BYTES];
    const struct quic_link *link = fuzz_fabric(1)->peers[sender].link;
    if (!link || !link->conn)
        get_token(sender, attempt);
    deliver(sender, packet, quic_seal_initial(&attempt->seal, frames, size, packet));
    attempt->seal.number++;
}

static void deliver_behind(uint32_t sender, bool is_long, const uint8_t *bytes, size_t size)
{
    uint8_t packet[PACKET_PIPE_BYTES] = {0x40}; /* with a short header */
    size_t at = 1;
    if (is_long) {
        memcpy(packet, (uint8_t[]){0xc0, 0, 0, 0, 1, 8}, 6);
        at = 6;
    }
    memcpy(packet + at, &fuzz_fabric(1)->mark, sizeof(uint32_t));
    at += QUIC_CID_BYTES;
    size_t room = 1472 - at, count = size < room ? size : room;
    memcpy(packet + at, bytes, count);
    if (is_long && count > 0)
        packet[0] = (uint8_t)(0xc0 | bytes[count - 1]); /* of any type */
    size_t size_bytes = at + count;
    deliver(sender, packet, is_long && size_bytes < 1200 ? 1200 : size_bytes);
}

/* kind: the sender in two bits, the shape in two, and whether a tick passes. */
static void play(uint8_t kind, const uint8_t *bytes, size_t size)
{
    static const uint32_t senders[] = {2, 3, STRANGER, 1};
    uint32_t sender = senders[kind & 3];
    switch ((enum shape)(kind >> 2 & 3)) {
    case SEALED:
        deliver_sealed(sender, bytes, size);
        break;
    case LONG_HEADER:
    case OF_THIS_LIFE:
        deliver_behind(sender, (kind >> 2 & 3) == LONG_HEADER, bytes, size);
        break;
    default:
        deliver(sender, bytes, size < 1472 ? size : 1472);
    }
    fuzz_nodes_round(kind & 16 ? 100 * FUZZ_ROUND_NS : 0);
}

static void expect_nobody(void)
{
    const struct quic_fabric *fabric = fuzz_fabric(1);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct quic_link *link = fabric->peers[node].link;
        if (link && (node < 2 || node > 3 || link->state == QUIC_LINK_UP ||
                     link->state == QUIC_LINK_ENDING))
            abort();
    }
    if (fuzz_nodes[0].joins + fuzz_nodes[0].failures + fuzz_nodes[0].received > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_nodes_begin();
    packet_pipe_filter = keep_answer;
    fuzz_node_open(1);
    memset(attempts, 0, sizeof(attempts));
    while (size >= 3) {
        size_t bytes = (size_t)data[1] | (size_t)data[2] << 8;
        bytes = bytes < size - 3 ? bytes : size - 3;
        uint8_t *copy = fuzz_copy(data + 3, bytes);
        play(data[0], copy, bytes);
        free(copy);
        data += 3 + bytes;
        size -= 3 + bytes;
        expect_nobody();
    }
    fuzz_nodes_close();
    packet_pipe_filter = NULL;
    return 0;
}
