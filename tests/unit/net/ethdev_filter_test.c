/*
 * What is not for the node takes no room in the driver's ring, nor time of its hub: a port of
 * af_packet on a veth pair, in a network namespace of the test's own, beside more frames for others
 * than the ring has slots. As root.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/eal/eal_start.h"
#include "net/packet/frame.h"
#include "net/packet/packet_ethdev.h"
#include "tests/suite.h"

#define OTHERS 2000u /* the ring has 512 slots */
#define TEXT "for the node"

static const uint8_t own[FRAME_MAC_BYTES] = {2, 0, 0, 0, 0, 1};
static struct packet_port *port;
static struct frame_end other = {.mac = {2, 0, 0, 0, 0, 2}};
static int kernel; /* a packet socket on the other end */

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7420)};
    int read = inet_pton(AF_INET, text, &address.sin_addr);
    assert(read == 1);
    return address;
}

static bool has_veth_of_its_own(void)
{
    return unshare(CLONE_NEWNET) == 0 &&
           system("ip link add pst0 address 02:00:00:00:00:01 type veth peer name pst1 2>&1 && ip "
                  "link set pst0 up && "
                  "ip link set pst1 up") == 0;
}

static void open_kernel(void)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = (int)if_nametoindex("pst1")};
    kernel = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    int error = bind(kernel, (const struct sockaddr *)&address, sizeof(address));
    assert(!error);
}

static void send_datagram(const char *to)
{
    uint8_t frame[256] = {0};
    struct sockaddr_in address = address_of(to);
    memcpy(frame + frame_header_bytes(&other), TEXT, sizeof(TEXT));
    size_t bytes = frame_write_datagram(&other, frame, own, &address, sizeof(TEXT));
    CU_ASSERT_EQUAL(send(kernel, frame, bytes, 0), (ssize_t)bytes);
}

/* What is sent on a veth pair has arrived when send(2) returns, or a moment later. */
static int receive(struct packet *packets)
{
    for (uint32_t tries = 0; tries < 5000; tries++) {
        int count = port->ops->receive(port, packets);
        if (count != 0)
            return count;
        (void)usleep(1000);
    }
    return 0;
}

static void frames_for_others_take_no_room(void)
{
    struct packet packets[PACKET_BURST];
    for (uint32_t i = 0; i < OTHERS; i++)
        send_datagram("10.77.0.9");
    send_datagram("10.77.0.1");
    CU_ASSERT_EQUAL_FATAL(receive(packets), 1);
    CU_ASSERT_EQUAL(packets[0].size_bytes, sizeof(TEXT));
    CU_ASSERT_EQUAL(memcmp(packets[0].bytes, TEXT, sizeof(TEXT)), 0);
}

static int run(void)
{
    const struct packet_ethdev_config config = {.device = "af_packet:pst0",
                                                .address = address_of("10.77.0.1"),
                                                .prefix_bits = 24,
                                                .mtu_bytes = 1500};
    CU_TestInfo tests[] = {
        {"frames for others take no room", frames_for_others_take_no_room},
        CU_TEST_INFO_NULL,
    };
    char message[256];
    if (pst_packet_ethdev_open(&config, &port, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "%s\n", message);
        return 1;
    }
    other.address = address_of("10.77.0.2");
    open_kernel();
    int failed = suite_run("net ethdev filter", tests);
    close(kernel);
    port->ops->close(port);
    return failed;
}

int main(void)
{
    static const struct pst_eal_config eal = {.has_hugepages = false};
    char message[256];
    if (!has_veth_of_its_own()) {
        printf("skipped: needs root, network namespaces and ip (package iproute2)\n");
        return 77;
    }
    if (pst_eal_ops.open(&eal, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "%s\n", message);
        return 1;
    }
    int failed = run();
    pst_eal_ops.close();
    return failed;
}
