#include "tests/fuzz/quic_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "net/quic/quic_fabric.h"
#include "net/signal_check.h"

struct fuzz_node fuzz_nodes[2];

static struct pst_quic_network network;
static uint64_t clock_ns;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

void fuzz_nodes_begin(void)
{
    pst_log_set_hook(ignore, NULL);
    clock_ns = UINT64_C(1000000000);
    network.mtu_bytes = PST_QUIC_MTU;
    network.keys_count = 1;
    memset(network.keys[0], 7, sizeof(network.keys[0]));
    for (uint32_t node = 1; node <= 3; node++)
        network.members[node] = *fuzz_address(node);
}

const struct sockaddr_in *fuzz_address(uint32_t node)
{
    static struct sockaddr_in addresses[8];
    struct sockaddr_in *address = &addresses[node % 8];
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PST_QUIC_PORT)};
    address->sin_addr.s_addr = htonl(0x0a000000u | node);
    return address;
}

struct quic_fabric *fuzz_fabric(uint32_t node)
{
    return (struct quic_fabric *)fuzz_nodes[node - 1].fabric;
}

void fuzz_node_open(uint32_t node)
{
    char message[256];
    const struct pst_quic_config config = {
        .network = &network,
        .hello = {.cluster = "fuzz", .cluster_id = 1, .node = node, .incarnation = 100 + node},
        .ring_signals = 32,
    };
    fuzz_nodes[node - 1] = (struct fuzz_node){0};
    if (pst_quic_fabric_open(&config, &fuzz_nodes[node - 1].fabric, message, sizeof(message)) < 0)
        abort();
}

static void keep(struct fuzz_node *node, const struct pst_fabric_event *event)
{
    for (uint32_t i = 0; i < event->signals_count; i++) {
        if (pst_spsc_content_fault(&event->signals[i]) != PST_SIGNAL_FAULT_NONE)
            abort();
    }
    node->received += event->signals_count;
    node->joins += event->type == PST_FABRIC_JOINED;
    if (event->type != PST_FABRIC_FAILED)
        return;
    node->failures++;
    if (strlen(event->reason) >= QUIC_REASON_BYTES)
        abort();
    pst_fabric_readmit(node->fabric, event->node);
}

static void poll_one(struct fuzz_node *node)
{
    struct pst_fabric_event event;
    int status;
    while ((status = pst_fabric_poll(node->fabric, clock_ns, &event)) > 0)
        keep(node, &event);
    if (status < 0)
        abort();
}

void fuzz_nodes_round(uint64_t passing_ns)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (fuzz_nodes[i].fabric)
            poll_one(&fuzz_nodes[i]);
    }
    clock_ns += passing_ns;
}

void fuzz_nodes_close(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        pst_fabric_close(fuzz_nodes[i].fabric);
        fuzz_nodes[i].fabric = NULL;
    }
}
