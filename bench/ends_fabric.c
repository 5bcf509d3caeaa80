/*
 * The product's fabrics as ends of forward.c. Called on the main thread of each process.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ends.h"
#include "bench/program.h"
#include "engine/base/clock.h"
#include "net/eal/eal_start.h"
#include "net/quic/quic_fabric.h"
#include "net/shm/shm_fabric.h"

#define NEVER_NS UINT64_C(3600000000000)
#define AF_PACKET_NODES 100u /* its nodes' addresses follow */

struct fabric_end {
    struct pst_fabric *fabric;
    uint32_t joined; /* of those that it talks to */
    bool is_master;
    struct pst_quic_network network; /* quic */
};

static struct pst_fabric_hello hello_of(uint32_t node)
{
    return (struct pst_fabric_hello){
        .cluster = "bench", .cluster_id = 1, .node = node, .incarnation = node};
}

static uint32_t fabric_take(void *argument, struct pst_signal *signals)
{
    struct fabric_end *end = argument;
    struct pst_fabric_event event;
    int status = pst_fabric_poll(end->fabric, pst_monotonic_ns(), &event);
    bench_must(status >= 0, "fabric");
    if (status == 0)
        return 0;
    bool has_left = event.type == PST_FABRIC_FAILED && event.failure == PST_FABRIC_LEFT;
    bench_must(has_left || event.type <= PST_FABRIC_JOINED, "fabric"); /* it has answered all */
    if (event.type == PST_FABRIC_JOINED && (end->is_master || event.node == 1))
        end->joined++;
    if (event.type != PST_FABRIC_SIGNALS)
        return 0;
    memcpy(signals, event.signals, event.signals_count * sizeof(*signals));
    return event.signals_count;
}

static uint32_t fabric_put(void *argument, uint32_t node, const struct pst_signal *signals,
                           uint32_t count)
{
    struct fabric_end *end = argument;
    for (uint32_t i = 0; i < count; i++) {
        int error = pst_fabric_send(end->fabric, node, &signals[i]);
        if (error == -EAGAIN)
            return i;
        bench_must(!error, "fabric");
    }
    return count;
}

static void fabric_sleep(void *argument)
{
    struct fabric_end *end = argument;
    struct pollfd readable = {.fd = pst_fabric_fd(end->fabric), .events = POLLIN};
    pst_fabric_announce(end->fabric);
    uint64_t now_ns = pst_monotonic_ns(), until_ns = pst_fabric_deadline_ns(end->fabric);
    if (pst_fabric_is_quiet(end->fabric) && now_ns < until_ns)
        (void)poll(&readable, 1, (int)((until_ns - now_ns) / 1000000 + 1));
    pst_fabric_cancel(end->fabric);
}

static void fabric_close(void *argument)
{
    struct fabric_end *end = argument;
    pst_fabric_close(end->fabric);
    free(end);
}

static void await_joins(struct fabric_end *end, const struct ends_place *place)
{
    struct pst_signal signals[ENDS_BURST];
    while (end->joined < (end->is_master ? place->nodes - 1 : 1))
        bench_must(fabric_take(end, signals) == 0, "nothing before it joined");
}

static struct fabric_end *make(uint32_t node)
{
    struct fabric_end *end = calloc(1, sizeof(*end));
    bench_must(end, "memory");
    end->is_master = node == 1;
    return end;
}

static void opened(int error, const char *message)
{
    if (!error)
        return;
    (void)fprintf(stderr, "penstock-bench: %s\n", message);
    exit(1);
}

static void *shm_open_end(const struct ends_place *place, uint32_t node)
{
    char message[256];
    struct fabric_end *end = make(node);
    const struct pst_shm_config config = {
        .directory = place->directory, .failure_ns = NEVER_NS, .hello = hello_of(node)};
    opened(pst_shm_fabric_open(&config, &end->fabric, message, sizeof(message)), message);
    await_joins(end, place);
    return end;
}

static void open_quic(struct fabric_end *end, const struct ends_place *place, uint32_t node)
{
    char message[256];
    struct pst_quic_network *network = &end->network;
    network->mtu_bytes = PST_QUIC_MTU;
    network->keys_count = 1;
    const struct pst_quic_config config = {
        .network = network, .failure_ns = NEVER_NS, .hello = hello_of(node)};
    opened(pst_quic_fabric_open(&config, &end->fabric, message, sizeof(message)), message);
    await_joins(end, place);
}

static void *quic_udp_open(const struct ends_place *place, uint32_t node)
{
    struct fabric_end *end = make(node);
    for (uint32_t member = 1; member <= place->nodes; member++)
        end->network.members[member] = ends_address(place, member, PST_QUIC_PORT);
    open_quic(end, place, node);
    return end;
}

/* By DPDK, on the interface that the kernel has, with addresses that it does not have. */
static void *quic_af_packet_open(const struct ends_place *place, uint32_t node)
{
    static const struct pst_eal_config eal = {.has_hugepages = false};
    static char device[64];
    char message[256];
    struct fabric_end *end = make(node);
    bench_must(place->nodes == 2, "quic-af_packet is for one hub: a node has an interface");
    opened(pst_eal_ops.open(&eal, message, sizeof(message)), message);
    (void)snprintf(device, sizeof(device), "af_packet:%s", place->interfaces[node != 1]);
    for (uint32_t member = 1; member <= place->nodes; member++)
        end->network.members[member] = ends_address(place, AF_PACKET_NODES + member, PST_QUIC_PORT);
    end->network.device = device;
    end->network.prefix_bits = 16;
    open_quic(end, place, node);
    return end;
}

const struct end_kind end_shm = {"shm",      shm_open_end, fabric_take,
                                 fabric_put, fabric_sleep, fabric_close};
const struct end_kind end_quic_udp = {"quic-udp", quic_udp_open, fabric_take,
                                      fabric_put, fabric_sleep,  fabric_close};
const struct end_kind end_quic_af_packet = {"quic-af_packet", quic_af_packet_open, fabric_take,
                                            fabric_put,       fabric_sleep,        fabric_close};
