/*
 * Reads the members of a cluster, ID=ADDRESS[:PORT], its key, and the port of this node. Called by
 * daemon.c, on the thread that runs the node; network_open_fabric by engine/node, on the hub's.
 */
#include "engine/service/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/service/cluster_key.h"
#include "engine/service/net_load.h"

#define ADDRESS_BYTES 24u /* "255.255.255.255:65535" */

static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    *number = strtoul(text, NULL, 10);
    return *number >= 1 && *number <= max;
}

/* ADDRESS[:PORT]; changes text. */
static bool parse_address(char *text, struct sockaddr_in *address)
{
    unsigned long port = PST_QUIC_PORT;
    char *colon = strchr(text, ':');
    if (colon)
        *colon++ = '\0';
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    if (inet_pton(AF_INET, text, &address->sin_addr) != 1 || address->sin_addr.s_addr == 0 ||
        (colon && !parse_number(colon, UINT16_MAX, &port)))
        return false;
    address->sin_port = htons((uint16_t)port);
    return true;
}

/* Not what stands for this host (0/8), for a group, for all or for nobody (224/4, 240/4). */
static bool is_of_one_host(struct in_addr address)
{
    uint32_t first = ntohl(address.s_addr) >> 24;
    return first != 0 && first < 224;
}

/* ID[=ADDRESS[:PORT]], bytes long. Why not, or NULL. */
static const char *add_member(struct pst_quic_network *network, const char *text, size_t bytes)
{
    char copy[4 + ADDRESS_BYTES];
    unsigned long node;
    struct sockaddr_in address;
    if (bytes >= sizeof(copy))
        return "it is too long";
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    char *equals = strchr(copy, '=');
    if (equals)
        *equals++ = '\0';
    if (!parse_number(copy, PST_NODES_MAX, &node))
        return "give ID=ADDRESS or ID=ADDRESS:PORT, such as 1=10.20.0.11; a node has a number from "
               "1 to 255";
    if (equals && !parse_address(equals, &address))
        return "an address is four numbers, such as 10.20.0.11, and a port if it is not 7420";
    if (equals && !is_of_one_host(address.sin_addr))
        return "one host cannot have this address";
    if (network->members[node].sin_family != 0 || pst_set_has(&network->near, (uint32_t)node - 1))
        return "the node is given twice";
    if (!equals) {
        pst_set_add(&network->near, (uint32_t)node - 1);
        return NULL;
    }
    for (uint32_t other = 1; other <= PST_NODES_MAX; other++) {
        if (network->members[other].sin_port == address.sin_port &&
            network->members[other].sin_addr.s_addr == address.sin_addr.s_addr)
            return "another node has the same address";
    }
    network->members[node] = address;
    return NULL;
}

static int add_members(struct pst_quic_network *network, const char *list, const char *place,
                       char *message)
{
    for (;;) {
        size_t bytes = strcspn(list, ",");
        const char *fault = add_member(network, list, bytes);
        if (fault) {
            (void)snprintf(message, PST_MESSAGE_BYTES, "%s: %.*s: %s", place, (int)bytes, list,
                           fault);
            return -EINVAL;
        }
        if (list[bytes] == '\0')
            return 0;
        list += bytes + 1;
    }
}

/* A member without an address is on this host, and so is one with this node's. */
static int find_near(uint32_t own, struct pst_quic_network *network, char *message)
{
    const struct sockaddr_in *here = &network->members[own];
    if (here->sin_family == 0) {
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "--member: this node, %u, is not among them, with the address that it is to "
                       "use",
                       own);
        return -EINVAL;
    }
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct sockaddr_in *there = &network->members[node];
        if (node != own && there->sin_addr.s_addr == here->sin_addr.s_addr)
            pst_set_add(&network->near, node - 1);
    }
    return 0;
}

static bool are_in_one_network(const struct pst_quic_network *network, struct in_addr one,
                               struct in_addr other)
{
    uint32_t mask = htonl(UINT32_MAX << (32 - network->prefix_bits));
    return ((one.s_addr ^ other.s_addr) & mask) == 0;
}

/* The first and the last address of a network are the network's own and that of all its hosts. */
static bool is_of_whole_network(const struct pst_quic_network *network, struct in_addr own,
                                struct in_addr address)
{
    if (network->prefix_bits > 30 || !are_in_one_network(network, address, own))
        return false;
    uint32_t hosts = UINT32_MAX >> network->prefix_bits, host = ntohl(address.s_addr) & hosts;
    return host == 0 || host == hosts;
}

/* ADDRESS/PREFIX; the address is the one that members give the node. Why not, or NULL. */
static const char *read_net_address(struct pst_quic_network *network, struct in_addr own,
                                    const char *text)
{
    char copy[ADDRESS_BYTES];
    struct in_addr address;
    unsigned long bits;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash++ = '\0';
    if (!slash || inet_pton(AF_INET, copy, &address) != 1 || !parse_number(slash, 32, &bits))
        return "give the node's address and the bits of its network, such as 10.20.0.11/24";
    if (address.s_addr != own.s_addr)
        return "this is not the node's address in --member";
    network->prefix_bits = (uint32_t)bits;
    return NULL;
}

/* Likewise. */
static const char *read_gateway(struct pst_quic_network *network, struct in_addr own,
                                const char *text)
{
    if (inet_pton(AF_INET, text, &network->gateway) != 1 || network->gateway.s_addr == 0)
        return "give an address, such as 10.20.0.1";
    if (network->gateway.s_addr == own.s_addr ||
        !are_in_one_network(network, network->gateway, own))
        return "a gateway has another address of the node's own network";
    if (is_of_whole_network(network, own, network->gateway))
        return "this is the address of a whole network";
    return NULL;
}

static int check_reach(const struct pst_quic_network *network, uint32_t node_own, char *message)
{
    struct in_addr own = network->members[node_own].sin_addr;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct sockaddr_in *member = &network->members[node];
        if (node != node_own && member->sin_addr.s_addr == own.s_addr) {
            (void)snprintf(message, PST_MESSAGE_BYTES,
                           "--member: node %u has this node's address, which on a --net-device of "
                           "DPDK is the node's alone",
                           node);
            return -EINVAL;
        }
        if (member->sin_family != 0 && is_of_whole_network(network, own, member->sin_addr)) {
            (void)snprintf(message, PST_MESSAGE_BYTES,
                           "--member: node %u has the address of a whole network, by --net-address",
                           node);
            return -EINVAL;
        }
        if (member->sin_family == 0 || network->gateway.s_addr != 0 ||
            are_in_one_network(network, member->sin_addr, own))
            continue;
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "--member: node %u is in another network than this one: give --net-gateway",
                       node);
        return -EINVAL;
    }
    return 0;
}

/* Of a port that DPDK drives. */
static int fill_port(const struct pst_daemon_job *job, struct pst_quic_network *network,
                     struct pst_eal_config *eal, char *message)
{
    struct in_addr own = network->members[job->node.node].sin_addr;
    const char *option = "--net-address", *text = job->net_address;
    network->device = job->net_device;
    network->vlan = (uint16_t)job->net_vlan;
    const char *fault = read_net_address(network, own, text);
    if (!fault && job->net_gateway) {
        option = "--net-gateway";
        text = job->net_gateway;
        fault = read_gateway(network, own, text);
    }
    if (fault) {
        (void)snprintf(message, PST_MESSAGE_BYTES, "%s %s: %s", option, text, fault);
        return -EINVAL;
    }
    int error = check_reach(network, job->node.node, message);
    if (error)
        return error;
    const struct packet_ethdev_config port = pst_quic_port(network, job->node.node);
    char reason[PST_MESSAGE_BYTES - sizeof("--net-device ")];
    error = net_loaded()->ethdev_check(&port, eal, reason, sizeof(reason));
    if (error)
        (void)snprintf(message, PST_MESSAGE_BYTES, "--net-device %s", reason);
    return error;
}

/* That the kernel has the node's address; not its port, which the running node may have. */
static int check_address(const struct sockaddr_in *own, char *message)
{
    struct sockaddr_in any_port = *own;
    any_port.sin_port = 0;
    const char *what = "bind";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any_port, sizeof(any_port)) < 0)
        error = -errno;
    else if (connect(fd, (const struct sockaddr *)own, sizeof(*own)) < 0) {
        error = -errno; /* bind(2) takes the address of all hosts of a network, too */
        what = "be one host at";
    }
    if (fd >= 0)
        close(fd);
    if (error) {
        char text[INET_ADDRSTRLEN];
        (void)inet_ntop(AF_INET, &own->sin_addr, text, sizeof(text));
        (void)snprintf(message, PST_MESSAGE_BYTES, "cannot %s %s:%u: %s", what, text,
                       ntohs(own->sin_port), pst_error_text(error));
    }
    return error;
}

/* What the kernel's way to a member carries; 0: it has none, or does not say. */
static uint32_t way_mtu(const struct sockaddr_in *own, const struct sockaddr_in *member)
{
    int mtu = 0, whole = IP_PMTUDISC_PROBE;
    socklen_t bytes = sizeof(mtu);
    struct sockaddr_in from = *own;
    from.sin_port = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole)) < 0 ||
        bind(fd, (const struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(fd, (const struct sockaddr *)member, sizeof(*member)) < 0 ||
        getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &bytes) < 0)
        mtu = 0;
    close(fd);
    return (uint32_t)mtu;
}

int network_check_mtu(const struct pst_quic_network *network, uint32_t node, char *message)
{
    for (uint32_t other = 1; other <= PST_NODES_MAX; other++) {
        const struct sockaddr_in *member = &network->members[other];
        if (other == node || member->sin_family == 0 || pst_set_has(&network->near, other - 1))
            continue;
        uint32_t mtu = way_mtu(&network->members[node], member);
        if (mtu == 0 || mtu >= network->mtu_bytes)
            continue;
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "--net-mtu %u: the way to node %u carries packets of %u bytes at most, so "
                       "the two cannot join: lower --net-mtu on all nodes, or raise the MTU of the "
                       "interface or the route",
                       network->mtu_bytes, other, mtu);
        return -EMSGSIZE;
    }
    return 0;
}

/* By what a refusal calls them. */
static void log_keys(const char *path, const struct pst_quic_network *network)
{
    char first[PST_KEY_MARK_BYTES], second[PST_KEY_MARK_BYTES];
    net_loaded()->quic_key_mark(network->keys[0], first);
    if (network->keys_count == 1)
        pst_log(PST_LOG_INFO, "cluster key %s: %s", path, first);
    else
        pst_log(PST_LOG_INFO, "cluster key %s: %s is offered, %s is accepted too", path, first,
                net_loaded()->quic_key_mark(network->keys[1], second));
}

static int fill(const struct pst_daemon_job *job, struct pst_quic_network *network,
                struct pst_eal_config *eal, char *message)
{
    const struct pst_node_job *node = &job->node;
    network->mtu_bytes = node->mtu_bytes;
    for (uint32_t i = 0; i < node->members_count; i++) {
        const char *place = job->member_places ? job->member_places[i] : "--member";
        int error = add_members(network, node->members[i], place, message);
        if (error)
            return error;
    }
    int error = find_near(node->node, network, message);
    if (!error)
        error = job->net_device ? fill_port(job, network, eal, message)
                                : check_address(&network->members[node->node], message);
    if (!error)
        error = cluster_key_read(node->cluster_key, network, message);
    if (!error)
        log_keys(node->cluster_key, network);
    return error;
}

int network_open(const struct pst_daemon_job *job, struct pst_quic_network **opened,
                 struct pst_eal_config *eal, char *message)
{
    struct pst_quic_network *network = calloc(1, sizeof(*network));
    if (!network) {
        (void)snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    int error = fill(job, network, eal, message);
    if (error) {
        network_close(network);
        return error;
    }
    *opened = network;
    return 0;
}

int network_open_fabric(const struct pst_cluster_config *cluster,
                        const struct pst_fabric_hello *hello, struct pst_fabric **fabric,
                        char *message)
{
    const struct pst_quic_config config = {
        .network = cluster->network, .hello = *hello, .failure_ns = cluster->failure_ns};
    return net_loaded()->quic_open(&config, fabric, message, PST_MESSAGE_BYTES);
}

void network_close(struct pst_quic_network *network)
{
    if (!network)
        return;
    explicit_bzero(network->keys, sizeof(network->keys));
    free(network);
}
