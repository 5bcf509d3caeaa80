#include "tests/unit/net/memif_switch.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net/packet/packet_ethdev.h"

#define BURST 32u
#define DESCRIPTORS 256u
#define BUFFERS 4095u
#define MAC_BYTES 6u

struct place {
    uint16_t port; /* the switch's */
    char device[256];
    struct packet_port *node; /* NULL: nobody is connected */
};

static struct place places[MEMIF_SWITCH_PORTS];
static struct rte_mempool *pool;
static const struct packet_port_ops *driver; /* what the nodes' ports do by themselves */
static struct packet_port_ops switched;

int __real_pst_packet_ethdev_open(const struct packet_ethdev_config *config,
                                  struct packet_port **opened, char *message,
                                  uint32_t message_bytes);
int __wrap_pst_packet_ethdev_open(const struct packet_ethdev_config *config,
                                  struct packet_port **opened, char *message,
                                  uint32_t message_bytes);

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "memif switch: %s\n", what);
    abort();
}

/* ---- frames ---- */

/* The last byte of a node's MAC is its id; one that is for all is copied. */
static bool is_for(const struct rte_mbuf *frame, uint32_t node)
{
    const uint8_t *mac = rte_pktmbuf_mtod(frame, const uint8_t *);
    return mac[0] & 1 || mac[MAC_BYTES - 1] == node;
}

static void forward(struct rte_mbuf *frame, uint32_t from)
{
    for (uint32_t i = 0; i < MEMIF_SWITCH_PORTS; i++) {
        if (i == from || !places[i].node || !is_for(frame, i + 1))
            continue;
        struct rte_mbuf *copy = rte_pktmbuf_copy(frame, pool, 0, UINT32_MAX);
        must(copy, "no buffers");
        if (rte_eth_tx_burst(places[i].port, 0, &copy, 1) == 0) /* it has not looked yet */
            rte_pktmbuf_free(copy);
    }
    rte_pktmbuf_free(frame);
}

static void carry(void)
{
    struct rte_mbuf *frames[BURST];
    for (uint32_t from = 0; from < MEMIF_SWITCH_PORTS; from++) {
        uint16_t count = BURST;
        while (places[from].node && count > 0) {
            count = rte_eth_rx_burst(places[from].port, 0, frames, BURST);
            for (uint16_t i = 0; i < count; i++)
                forward(frames[i], from);
        }
    }
}

/* ---- nodes come and go ---- */

static void await_link(uint16_t port, bool is_up)
{
    struct rte_eth_link link;
    do {
        sched_yield();
        must(rte_eth_link_get_nowait(port, &link) == 0, "no link");
    } while (link.link_status != is_up);
}

static void pass(void *has_passed)
{
    atomic_store((atomic_bool *)has_passed, true);
}

/* Until the driver's thread has done what it was about to do. */
static void await_driver(void)
{
    static atomic_bool has_passed;
    atomic_store(&has_passed, false);
    must(rte_eal_alarm_set(1, pass, &has_passed) == 0, "no alarm");
    while (!atomic_load(&has_passed))
        sched_yield();
}

static struct place *place_of(const struct packet_port *node)
{
    for (uint32_t i = 0; i < MEMIF_SWITCH_PORTS; i++) {
        if (places[i].node == node)
            return &places[i];
    }
    abort();
}

static int switched_receive(struct packet_port *node, struct packet *packets)
{
    carry();
    return driver->receive(node, packets);
}

static void switched_flush(struct packet_port *node)
{
    driver->flush(node);
    carry();
}

static bool switched_is_quiet(struct packet_port *node)
{
    carry();
    return driver->is_quiet(node);
}

static void switched_close(struct packet_port *node)
{
    struct place *place = place_of(node);
    switched_flush(node);
    place->node = NULL;
    driver->close(node);
    await_link(place->port, false);
    await_driver();
}

int __wrap_pst_packet_ethdev_open(const struct packet_ethdev_config *config,
                                  struct packet_port **opened, char *message,
                                  uint32_t message_bytes)
{
    int error = __real_pst_packet_ethdev_open(config, opened, message, message_bytes);
    uint32_t node = ntohl(config->address.sin_addr.s_addr) & 0xff;
    if (error || node < 1 || node > MEMIF_SWITCH_PORTS ||
        strcmp(config->device, places[node - 1].device) != 0)
        return error;
    await_link(places[node - 1].port, true);
    await_driver();
    driver = (*opened)->ops;
    switched = *driver;
    switched.receive = switched_receive;
    switched.flush = switched_flush;
    switched.is_quiet = switched_is_quiet;
    switched.close = switched_close;
    (*opened)->ops = &switched;
    places[node - 1].node = *opened;
    return 0;
}

/* ---- opening and closing ---- */

static void open_port(struct place *place, uint32_t number, const char *directory)
{
    static const struct rte_eth_conf config;
    char name[32], arguments[256];
    (void)snprintf(name, sizeof(name), "net_memif-switch%u", number);
    (void)snprintf(arguments, sizeof(arguments),
                   "role=server,id=%u,socket=%s/switch,socket-abstract=no", number, directory);
    (void)snprintf(place->device, sizeof(place->device),
                   "memif:role=client,id=%u,socket=%s/switch,socket-abstract=no,"
                   "mac=02:00:00:00:00:%02x",
                   number, directory, number + 1);
    must(rte_eal_hotplug_add("vdev", name, arguments) == 0 &&
             rte_eth_dev_get_port_by_name(name, &place->port) == 0,
         "no port: is librte-net-memif23 there?");
    must(rte_eth_dev_configure(place->port, 1, 1, &config) == 0 &&
             rte_eth_rx_queue_setup(place->port, 0, DESCRIPTORS, 0, NULL, pool) == 0 &&
             rte_eth_tx_queue_setup(place->port, 0, DESCRIPTORS, 0, NULL) == 0 &&
             rte_eth_dev_start(place->port) == 0,
         "no queues");
}

void memif_switch_open(const char *directory)
{
    pool = rte_pktmbuf_pool_create("memif-switch", BUFFERS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    must(pool, "no buffers");
    for (uint32_t i = 0; i < MEMIF_SWITCH_PORTS; i++)
        open_port(&places[i], i, directory);
}

void memif_switch_close(void)
{
    for (uint32_t i = 0; i < MEMIF_SWITCH_PORTS; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "net_memif-switch%u", i);
        must(rte_eth_dev_stop(places[i].port) == 0 && rte_eal_hotplug_remove("vdev", name) == 0,
             "a port stays");
        places[i] = (struct place){0};
    }
    await_driver();
    rte_mempool_free(pool);
}

const char *memif_switch_device(uint32_t node)
{
    return places[node - 1].device;
}
