/*
 * Reads what a network device is called, and looks whether this process could open it. Called by
 * ethdev_device.c on the hub's thread, and by packet_check.c on the main thread.
 */
#include "net/packet/ethdev_name.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct ethdev_name kinds[] = {
    {ETHDEV_AF_PACKET, "af_packet:", "af_packet", "librte-net-af-packet23"},
    {ETHDEV_AF_XDP, "af_xdp:", "af_xdp", "librte-net-af-xdp23"},
    {ETHDEV_MEMIF, "memif:", "memif", "librte-net-memif23"},
};

/* DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal digits. */
static bool is_pci(const char *text)
{
    static const char shape[] = "xxxx:xx:xx.x";
    size_t i = 0;
    for (; shape[i] != '\0' && text[i] != '\0'; i++) {
        bool fits =
            shape[i] == 'x' ? strchr("0123456789abcdef", text[i]) != NULL : shape[i] == text[i];
        if (!fits)
            return false;
    }
    return shape[i] == '\0' && text[i] == '\0';
}

int ethdev_name_read(const char *text, struct ethdev_name *name, char *message,
                     uint32_t message_bytes)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t bytes = strlen(kinds[i].rest);
        if (strncmp(text, kinds[i].rest, bytes) != 0 || text[bytes] == '\0')
            continue;
        *name = kinds[i];
        name->rest = text + bytes;
        return 0;
    }
    *name = (struct ethdev_name){ETHDEV_PCI, text, "", "librte-meta-net"};
    if (is_pci(text))
        return 0;
    (void)snprintf(message, message_bytes,
                   "%s: give udp, af_packet:INTERFACE, af_xdp:INTERFACE, or a PCI function such as "
                   "0000:3b:02.0",
                   text);
    return -EINVAL;
}

static bool has_capabilities(uint32_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & wanted) == wanted;
}

/* false: there is no such interface. A comma would end a driver's argument. */
static bool ask_interface(const char *interface, int *flags, uint32_t *mtu_bytes)
{
    struct ifreq request = {0};
    if (strlen(interface) >= sizeof(request.ifr_name) || strchr(interface, ','))
        return false;
    strcpy(request.ifr_name, interface);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_there = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    *flags = (uint16_t)request.ifr_flags;
    is_there = is_there && ioctl(fd, SIOCGIFMTU, &request) == 0;
    *mtu_bytes = (uint32_t)request.ifr_mtu;
    if (fd >= 0)
        close(fd);
    return is_there;
}

static int check_interface(const struct ethdev_name *name, uint32_t mtu_bytes, char *message,
                           uint32_t message_bytes)
{
    const char *fault = NULL;
    char size[64];
    int error = 0, flags;
    uint32_t most_bytes;
    if (!ask_interface(name->rest, &flags, &most_bytes)) {
        error = -ENODEV;
        fault = "there is no such interface";
    } else if (!(flags & IFF_UP)) {
        error = -ENETDOWN;
        fault = "the interface is down: ip link set it up";
    } else if (most_bytes < mtu_bytes) {
        error = -EMSGSIZE;
        fault = size;
        (void)snprintf(size, sizeof(size), "its MTU is %u, and --net-mtu %u", most_bytes,
                       mtu_bytes);
    } else if (!has_capabilities(1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN)) {
        error = -EPERM;
        fault = "it needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN";
    }
    if (error)
        (void)snprintf(message, message_bytes, "%s:%s: %s", name->driver, name->rest, fault);
    return error;
}

/* The kernel's own driver would have to let it go; Mellanox's shares it. */
static int check_function(const struct ethdev_name *name, char *message, uint32_t message_bytes)
{
    static const char *const drivers[] = {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core",
                                          "mlx5_core"};
    char path[64], target[PATH_MAX];
    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", name->rest);
    if (access(path, F_OK) < 0) {
        (void)snprintf(message, message_bytes, "%s: there is no such PCI function", name->rest);
        return -ENODEV;
    }
    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", name->rest);
    ssize_t bytes = readlink(path, target, sizeof(target) - 1);
    target[bytes > 0 ? bytes : 0] = '\0';
    const char *driver = strrchr(target, '/') ? strrchr(target, '/') + 1 : "no driver";
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strcmp(driver, drivers[i]) == 0)
            return 0;
    }
    (void)snprintf(message, message_bytes, "%s: it is bound to %s: bind it to vfio-pci", name->rest,
                   driver);
    return -EBUSY;
}

int ethdev_name_check(const struct ethdev_name *name, uint32_t mtu_bytes, char *message,
                      uint32_t message_bytes)
{
    switch (name->kind) {
    case ETHDEV_AF_PACKET:
    case ETHDEV_AF_XDP:
        return check_interface(name, mtu_bytes, message, message_bytes);
    case ETHDEV_PCI:
        return check_function(name, message, message_bytes);
    case ETHDEV_MEMIF:
        break;
    }
    return 0;
}
