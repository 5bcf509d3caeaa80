/*
 * Filters of packet sockets. Called by ethdev_sleep.c, and by packet_ethdev.c when the driver has
 * opened its own, on the hub's thread.
 */
#include "net/packet/ethdev_filter.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define WHOLE_FRAME UINT32_MAX

static void attach(int fd, struct sock_filter *filter, unsigned short count)
{
    const struct sock_fprog program = {count, filter};
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void ethdev_filter_nothing(int fd)
{
    static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    attach(fd, nothing, 1);
}

/* The kernel has taken a tag off by then. */
static void attach_ours(int fd, uint32_t own, bool has_all_arp, uint32_t bytes)
{
    struct sock_filter ours[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, has_all_arp ? 5 : 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETH_HLEN + 24), /* whom it is for */
        BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETH_HLEN + 16), /* likewise */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, bytes),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    attach(fd, ours, sizeof(ours) / sizeof(ours[0]));
}

void ethdev_filter_wake(int fd, uint32_t own)
{
    attach_ours(fd, own, false, 1);
}

static bool is_of_driver(int fd, int interface)
{
    struct sockaddr_ll address = {.sll_family = AF_UNSPEC};
    int version = 0;
    socklen_t address_bytes = sizeof(address), version_bytes = sizeof(version), filter_count = 0;
    return getsockname(fd, (struct sockaddr *)&address, &address_bytes) == 0 &&
           address.sll_family == AF_PACKET && address.sll_ifindex == interface &&
           getsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, &version_bytes) == 0 &&
           version == TPACKET_V2 &&
           getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &filter_count) == 0 && filter_count == 0;
}

void ethdev_filter_driver(const char *interface, struct in_addr own)
{
    DIR *open = opendir("/proc/self/fd");
    const struct dirent *entry;
    int index = (int)if_nametoindex(interface);
    while (open && (entry = readdir(open))) {
        int fd = atoi(entry->d_name);
        if (is_of_driver(fd, index))
            attach_ours(fd, ntohl(own.s_addr), true, WHOLE_FRAME);
    }
    if (open)
        closedir(open);
}
