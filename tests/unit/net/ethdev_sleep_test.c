/*
 * Sleeping on the interrupts of a driver of DPDK: net_tap has them, as the drivers of network cards
 * do. In a network namespace of the test's own; the kernel's end of the interface sends. As root.
 * And naps, which need no driver. How a node sleeps over af_packet: fabric_contract_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net/eal/eal_start.h"
#include "net/packet/ethdev_sleep.h"
#include "tests/suite.h"

#define INTERFACE "pst0"

static uint16_t port;
static int kernel; /* a packet socket on the kernel's end */

/* Nobody but the test sends. */
static bool is_in_own_namespace(void)
{
    if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
        return false;
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) < 0)
        (void)fprintf(stderr, "IPv6 stays: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
    return true;
}

static int start_port(void)
{
    const struct rte_eth_conf config = {.intr_conf.rxq = 1};
    struct rte_mempool *pool = rte_pktmbuf_pool_create("tap", 1023, 0, 0, 2176, SOCKET_ID_ANY);
    if (!pool || rte_eal_hotplug_add("vdev", "net_tap0", "iface=" INTERFACE) != 0 ||
        rte_eth_dev_get_port_by_name("net_tap0", &port) != 0)
        return -ENODEV;
    int error = rte_eth_dev_configure(port, 1, 1, &config);
    if (!error)
        error = rte_eth_rx_queue_setup(port, 0, 64, 0, NULL, pool);
    if (!error)
        error = rte_eth_tx_queue_setup(port, 0, 64, 0, NULL);
    return error ? error : rte_eth_dev_start(port);
}

static int open_kernel(void)
{
    struct ifreq request = {.ifr_name = INTERFACE, .ifr_flags = IFF_UP};
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = (int)if_nametoindex(INTERFACE)};
    kernel = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (kernel < 0 || ioctl(kernel, SIOCSIFFLAGS, &request) < 0)
        return -errno;
    return bind(kernel, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static void send_frame(void)
{
    const uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8};
    CU_ASSERT_EQUAL(send(kernel, frame, sizeof(frame), 0), sizeof(frame));
}

static bool is_woken(const struct ethdev_sleep *sleep, int patience_ms)
{
    struct pollfd readable = {.fd = sleep->fd, .events = POLLIN};
    return poll(&readable, 1, patience_ms) == 1;
}

static uint32_t receive(void)
{
    struct rte_mbuf *buffers[32];
    uint16_t count = rte_eth_rx_burst(port, 0, buffers, 32);
    rte_pktmbuf_free_bulk(buffers, count);
    return count;
}

static void an_interrupt_wakes(void)
{
    struct ethdev_sleep sleep;
    CU_ASSERT_EQUAL_FATAL(ethdev_sleep_open(&sleep, port, true), 0);
    CU_ASSERT_EQUAL_FATAL(sleep.way, ETHDEV_INTERRUPT);
    while (receive() > 0)
        continue;
    for (uint32_t i = 0; i < 3; i++) {
        ethdev_sleep_announce(&sleep);
        CU_ASSERT_EQUAL(receive(), 0);
        ethdev_sleep_cancel(&sleep); /* what may have come before is forgotten */
        ethdev_sleep_announce(&sleep);
        CU_ASSERT_FALSE(is_woken(&sleep, 0));
        send_frame();
        CU_ASSERT_TRUE(is_woken(&sleep, 20000));
        ethdev_sleep_cancel(&sleep);
        CU_ASSERT_FALSE(is_woken(&sleep, 0));
        CU_ASSERT_EQUAL(receive(), 1);
    }
    ethdev_sleep_close(&sleep);
}

static void a_nap_ends(void)
{
    struct ethdev_sleep sleep;
    CU_ASSERT_EQUAL_FATAL(ethdev_sleep_open(&sleep, port, false), 0);
    CU_ASSERT_EQUAL_FATAL(sleep.way, ETHDEV_NAP);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_FALSE(is_woken(&sleep, 0));
        ethdev_sleep_announce(&sleep);
        CU_ASSERT_TRUE(is_woken(&sleep, 20000));
        ethdev_sleep_cancel(&sleep);
    }
    ethdev_sleep_close(&sleep);
}

int main(void)
{
    static const struct pst_eal_config eal = {.has_hugepages = false};
    CU_TestInfo tests[] = {
        {"an interrupt wakes", an_interrupt_wakes}, {"a nap ends", a_nap_ends}, CU_TEST_INFO_NULL};
    char message[256];
    if (!is_in_own_namespace()) {
        printf("skipped: needs root, network namespaces and /dev/net/tun\n");
        return 77;
    }
    if (pst_eal_ops.open(&eal, message, sizeof(message)) < 0 || start_port() < 0 ||
        open_kernel() < 0) {
        (void)fprintf(stderr, "the port cannot be set up\n");
        return 1;
    }
    int failed = suite_run("net ethdev sleep", tests);
    (void)rte_eth_dev_stop(port);
    (void)rte_eal_hotplug_remove("vdev", "net_tap0");
    pst_eal_ops.close();
    return failed;
}
