/* Finds the NUMA node of disks and network interfaces in sysfs. Any thread. */
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "numa/sysfs.h"
#include "numa/topology.h"

/* Device mapper over md over partitions, and something to spare; a loop in a broken tree ends. */
#define STACK_DEPTH_MAX 8u

static int32_t read_numa_node(const char *folder)
{
    char path[PATH_MAX];
    int64_t node;
    if (sysfs_path(path, folder, "/numa_node") != 0 || sysfs_number(path, &node) != 0 || node < 0 ||
        node >= PST_CPUS_MAX)
        return PST_NUMA_NODE_UNKNOWN;
    return (int32_t)node;
}

/* The nearest folder, from the device's own upwards to /sys, that knows its node. */
static int32_t walk_up(const char *device)
{
    char folder[PATH_MAX];
    strcpy(folder, device);
    for (;;) {
        int32_t node = read_numa_node(folder);
        char *slash = strrchr(folder, '/');
        if (node != PST_NUMA_NODE_UNKNOWN || !slash || strcmp(slash, "/sys") == 0)
            return node;
        *slash = '\0';
    }
}

/* What the links of one folder have in common. */
struct joined {
    uint32_t links;
    int32_t node; /* of all; unknown where they differ */
};

/* Resolves every link of a folder whose name is wanted, and joins the nodes of what they name. */
static struct joined join_links(const char *folder, bool (*wanted)(const char *name),
                                int32_t (*node_of)(const char *device, uint32_t depth),
                                uint32_t depth)
{
    struct joined joined = {.node = PST_NUMA_NODE_UNKNOWN};
    char path[PATH_MAX], device[PATH_MAX];
    DIR *dir = opendir(folder);
    if (!dir)
        return joined;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (!wanted(entry->d_name) || sysfs_path(path, folder, "/%s", entry->d_name) != 0 ||
            !realpath(path, device))
            continue;
        int32_t node = node_of(device, depth + 1);
        if (joined.links++ == 0)
            joined.node = node;
        else if (joined.node != node)
            joined.node = PST_NUMA_NODE_UNKNOWN;
    }
    (void)closedir(dir);
    return joined;
}

/* "nvme3" is a controller; "nvme3n1" and "nvme3c3n1" are not. */
static bool is_nvme_controller(const char *name)
{
    if (strncmp(name, "nvme", 4) != 0 || !isdigit((unsigned char)name[4]))
        return false;
    name += 4;
    return name[strspn(name, "0123456789")] == '\0';
}

static bool is_visible(const char *name)
{
    return name[0] != '.';
}

static bool is_lower(const char *name)
{
    return strncmp(name, "lower_", 6) == 0;
}

static int32_t plain_node(const char *device, uint32_t depth)
{
    (void)depth;
    return walk_up(device);
}

/*
 * With NVMe multipath a disk hangs below its subsystem, which is virtual; the controllers lie
 * beside it as links: virtual/nvme-subsystem/nvme-subsys0/{nvme0 -> …, nvme0n1}.
 */
static int32_t nvme_subsystem_node(const char *device)
{
    static const char marker[] = "/virtual/nvme-subsystem/";
    const char *found = strstr(device, marker);
    if (!found)
        return PST_NUMA_NODE_UNKNOWN;
    char folder[PATH_MAX];
    size_t prefix = (size_t)(found - device) + sizeof(marker) - 1;
    size_t length = prefix + strcspn(device + prefix, "/");
    memcpy(folder, device, length);
    folder[length] = '\0';
    return join_links(folder, is_nvme_controller, plain_node, 0).node;
}

/* A stacked device (device mapper, md) lists what it lies on under slaves/. */
static int32_t block_node(const char *device, uint32_t depth)
{
    char folder[PATH_MAX];
    if (depth == STACK_DEPTH_MAX || sysfs_path(folder, device, "/slaves") != 0)
        return PST_NUMA_NODE_UNKNOWN;
    struct joined slaves = join_links(folder, is_visible, block_node, depth);
    if (slaves.links > 0)
        return slaves.node;
    int32_t node = nvme_subsystem_node(device);
    return node != PST_NUMA_NODE_UNKNOWN ? node : walk_up(device);
}

/* A bond, bridge port or VLAN links the interfaces below it as lower_<name>. */
static int32_t nic_node(const char *device, uint32_t depth)
{
    if (depth == STACK_DEPTH_MAX)
        return PST_NUMA_NODE_UNKNOWN;
    struct joined lower = join_links(device, is_lower, nic_node, depth);
    return lower.links > 0 ? lower.node : walk_up(device);
}

/* Fills in a block device from its folder, given as a link below /sys; false if there is none. */
static bool describe_block(const char *link, struct pst_topology_device *disk)
{
    char device[PATH_MAX];
    if (!realpath(link, device))
        return false;
    const char *name = strrchr(device, '/') + 1;
    snprintf(disk->name, sizeof(disk->name), "%.*s", (int)sizeof(disk->name) - 1, name);
    disk->node = block_node(device, 0);
    return true;
}

/* Undoes the octal escapes ("\040") of mountinfo, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        unsigned code;
        if (sscanf(from, "\\%3o", &code) == 1) {
            *to = (char)code;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/*
 * Takes the source of a mountinfo line "id parent maj:min root point options [tags] - type source
 * options" if it is about this device and a disk under /dev.
 */
static bool mount_source(char *line, unsigned major, unsigned minor, char *source, size_t bytes)
{
    unsigned here_major, here_minor;
    const char *separator = strstr(line, " - ");
    if (!separator || sscanf(line, "%*u %*u %u:%u", &here_major, &here_minor) != 2 ||
        here_major != major || here_minor != minor)
        return false;
    char found[PATH_MAX];
    if (sscanf(separator, " - %*s %4095s", found) != 1 || strncmp(found, "/dev/", 5) != 0)
        return false;
    unescape(found);
    return (size_t)snprintf(source, bytes, "%s", strrchr(found, '/') + 1) < bytes;
}

/* btrfs gives its mounts a number that is no disk's; the mount table names one of its disks. */
static bool find_mount_source(const char *root, unsigned major, unsigned minor, char *source,
                              size_t bytes)
{
    char path[PATH_MAX];
    FILE *file = sysfs_path(path, root, "/proc/self/mountinfo") == 0 ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool found = false;
    char *line = NULL;
    size_t capacity = 0;
    while (!found && getline(&line, &capacity, file) > 0)
        found = mount_source(line, major, minor, source, bytes);
    free(line);
    (void)fclose(file);
    return found;
}

void topology_block_device(const char *root, unsigned major, unsigned minor,
                           struct pst_topology_device *disk)
{
    assert(root && disk);
    *disk = (struct pst_topology_device){.node = PST_NUMA_NODE_UNKNOWN};
    char link[PATH_MAX], source[PST_DEVICE_NAME_BYTES];
    if (sysfs_path(link, root, "/sys/dev/block/%u:%u", major, minor) == 0 &&
        describe_block(link, disk))
        return;
    if (find_mount_source(root, major, minor, source, sizeof(source)) &&
        sysfs_path(link, root, "/sys/class/block/%s", source) == 0)
        (void)describe_block(link, disk); /* not found: stays unknown */
}

/* Shortens a path to its parent, "." for a bare name; false when there is none left. */
static bool to_parent(char *path)
{
    if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
        return false;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        strcpy(path, ".");
    else
        slash[slash == path ? 1 : 0] = '\0';
    return true;
}

int pst_topology_disk(const char *root, const char *path, struct pst_topology_device *disk)
{
    assert(root && path && disk);
    char existing[PATH_MAX];
    if (*path == '\0' || strlen(path) >= sizeof(existing))
        return *path == '\0' ? -ENOENT : -ENAMETOOLONG;
    strcpy(existing, path);
    struct stat status;
    while (stat(existing, &status) != 0)
        if (errno != ENOENT || !to_parent(existing))
            return -errno;
    dev_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
    topology_block_device(root, major(device), minor(device), disk);
    return 0;
}

int topology_nic(const char *root, const char *interface, struct pst_topology_device *nic)
{
    assert(root && interface && nic);
    *nic = (struct pst_topology_device){.node = PST_NUMA_NODE_UNKNOWN};
    char link[PATH_MAX], device[PATH_MAX];
    if (*interface == '\0' || *interface == '.' || strchr(interface, '/') ||
        strlen(interface) >= sizeof(nic->name))
        return -EINVAL;
    int error = sysfs_path(link, root, "/sys/class/net/%s", interface);
    if (error)
        return error;
    if (!realpath(link, device))
        return errno == ENOENT ? -ENODEV : -errno;
    strcpy(nic->name, interface);
    nic->node = nic_node(device, 0);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct pst_topology_device *left = a, *right = b;
    return strcmp(left->name, right->name);
}

uint32_t pst_topology_nics(const char *root, struct pst_topology_device *nics, uint32_t capacity)
{
    char folder[PATH_MAX], path[PATH_MAX];
    uint32_t count = 0;
    DIR *dir = sysfs_path(folder, root, "/sys/class/net") == 0 ? opendir(folder) : NULL;
    if (!dir)
        return 0;
    const struct dirent *entry;
    while (count < capacity && (entry = readdir(dir)))
        if (sysfs_path(path, folder, "/%s/device", entry->d_name) == 0 && access(path, F_OK) == 0 &&
            topology_nic(root, entry->d_name, &nics[count]) == 0)
            count++;
    (void)closedir(dir);
    qsort(nics, count, sizeof(*nics), compare_names);
    return count;
}
