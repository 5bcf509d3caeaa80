/*
 * Two hosts as network namespaces, made by ip(8). Called on the main thread of forward.c.
 */
#include "bench/apart.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/program.h"

#define NETWORK UINT32_C(0x0a4e0000) /* 10.78.0.0 */

static int other_fd = -1; /* the second */

static void command(const char *format, uint32_t value)
{
    char text[128];
    (void)snprintf(text, sizeof(text), format, value);
    bench_must(system(text) == 0, text);
}

static void step(int fd)
{
    char byte = 0;
    bench_must(send(fd, &byte, 1, MSG_NOSIGNAL) == 1, "the other host");
}

static void await_step(int fd)
{
    char byte;
    bench_must(recv(fd, &byte, 1, 0) == 1, "the other host");
}

/* What no address of the kernel's is for, it drops as soon as packet sockets have it, as
 * docs/deploy.md says. */
static void drop_others(uint32_t end)
{
    command("nft add table netdev bench%u", end);
    command("nft \"add chain netdev bench%1$u in { type filter hook ingress device bench%1$u "
            "priority 0; }\"",
            end);
    command("nft \"add rule netdev bench%u in ip daddr 10.78.0.100-10.78.0.255 drop\"", end);
}

static void hold(int fd, uint32_t nodes)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_must(unshare(CLONE_NEWNET) == 0, "a network namespace");
    step(fd);
    await_step(fd);
    for (uint32_t node = 2; node <= nodes; node++)
        command("ip addr add 10.78.0.%u/16 dev bench2", node);
    command("ip link set bench%u up", 2);
    drop_others(2);
    step(fd);
    (void)pause();
    _exit(0);
}

uint32_t apart_open(uint32_t nodes)
{
    char path[64];
    int fds[2];
    bench_must(unshare(CLONE_NEWNET) == 0, "a network namespace");
    bench_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0, "sockets");
    pid_t holder = fork();
    bench_must(holder >= 0, "fork");
    if (holder == 0)
        hold(fds[1], nodes);
    await_step(fds[0]);
    command("ip link add bench1 type veth peer name bench2 netns %u", (uint32_t)holder);
    command("ip addr add 10.78.0.%u/16 dev bench1", 1);
    command("ip link set bench%u up", 1);
    drop_others(1);
    step(fds[0]);
    await_step(fds[0]);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)holder);
    other_fd = open(path, O_RDONLY | O_CLOEXEC);
    bench_must(other_fd >= 0, path);
    return NETWORK;
}

void apart_cross(void)
{
    bench_must(setns(other_fd, CLONE_NEWNET) == 0, "the other network namespace");
}
