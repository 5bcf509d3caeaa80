/*
 * Interrupts, a packet socket, or naps, for a node that sleeps. Called by packet_ethdev.c, on the
 * hub's thread.
 */
#include "net/packet/ethdev_sleep.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_interrupts.h>

#include "net/packet/ethdev_filter.h"

/* The socket keeps no frames: a byte of one is enough to wake. */
#define SOCKET_BYTES 4096

/* An interface that goes down is an error, once. */
static void drain_socket(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno == ENETDOWN)
        continue;
}

int ethdev_sleep_open_socket(struct ethdev_sleep *sleep, const char *interface, struct in_addr own)
{
    int bytes = SOCKET_BYTES, yes = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(interface)};
    *sleep = (struct ethdev_sleep){.way = ETHDEV_SOCKET, .own = ntohl(own.s_addr)};
    sleep->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sleep->fd < 0)
        return -errno;
    ethdev_filter_nothing(sleep->fd); /* while the node is awake */
    (void)setsockopt(sleep->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(sleep->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes));
    return bind(sleep->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* A driver may have interrupts that cannot be turned off: they wake once too often. */
static int arm(uint16_t port)
{
    int error = rte_eth_dev_rx_intr_enable(port, 0);
    return error == -ENOTSUP ? 0 : error;
}

static int open_interrupt(struct ethdev_sleep *sleep, uint16_t port)
{
    *sleep = (struct ethdev_sleep){.way = ETHDEV_INTERRUPT, .port = port};
    sleep->fd = epoll_create1(EPOLL_CLOEXEC);
    if (sleep->fd < 0)
        return -errno;
    int error = rte_eth_dev_rx_intr_ctl_q(port, 0, sleep->fd, RTE_INTR_EVENT_ADD, NULL);
    if (error) {
        close(sleep->fd);
        return error;
    }
    error = arm(port);
    if (error)
        ethdev_sleep_close(sleep);
    else
        ethdev_sleep_cancel(sleep);
    return error;
}

int ethdev_sleep_open(struct ethdev_sleep *sleep, uint16_t port, bool has_interrupts)
{
    if (has_interrupts && !open_interrupt(sleep, port))
        return 0;
    sleep->way = ETHDEV_NAP;
    sleep->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return sleep->fd < 0 ? -errno : 0;
}

/* 0: it is not to end. */
static void set_timer(int fd, long nap_ns)
{
    const struct itimerspec once = {.it_value.tv_nsec = nap_ns};
    (void)timerfd_settime(fd, 0, &once, NULL);
}

void ethdev_sleep_announce(const struct ethdev_sleep *sleep)
{
    switch (sleep->way) {
    case ETHDEV_INTERRUPT:
        (void)arm(sleep->port);
        break;
    case ETHDEV_SOCKET:
        ethdev_filter_wake(sleep->fd, sleep->own);
        break;
    case ETHDEV_NAP:
        set_timer(sleep->fd, ETHDEV_NAP_NS);
        break;
    }
}

void ethdev_sleep_cancel(const struct ethdev_sleep *sleep)
{
    struct rte_epoll_event event;
    switch (sleep->way) {
    case ETHDEV_INTERRUPT:
        (void)rte_eth_dev_rx_intr_disable(sleep->port, 0);
        (void)rte_epoll_wait(sleep->fd, &event, 1, 0);
        break;
    case ETHDEV_SOCKET:
        ethdev_filter_nothing(sleep->fd);
        drain_socket(sleep->fd);
        break;
    case ETHDEV_NAP:
        set_timer(sleep->fd, 0);
        break;
    }
}

void ethdev_sleep_close(struct ethdev_sleep *sleep)
{
    if (sleep->fd >= 0 && sleep->way == ETHDEV_INTERRUPT)
        (void)rte_eth_dev_rx_intr_ctl_q(sleep->port, 0, sleep->fd, RTE_INTR_EVENT_DEL, NULL);
    if (sleep->fd >= 0)
        close(sleep->fd);
    sleep->fd = -1;
}
