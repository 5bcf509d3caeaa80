/* Reads what this process may use of the machine. Any thread; called by topology.c. */
#include "numa/allowed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/sysfs.h"

/* The cgroup of this process in one hierarchy, and where that hierarchy may be mounted. */
struct cgroup {
    char path[PATH_MAX]; /* "/" or "/a/b", below the mount */
};

static const char *const v2_mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};
static const char *const v1_cpuset_mounts[] = {"/sys/fs/cgroup/cpuset", NULL};
static const char *const v1_cpu_mounts[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
                                            NULL};
static const char *const v1_memory_mounts[] = {"/sys/fs/cgroup/memory", NULL};

/* Whether a comma list of v1 controllers names this one; v2 has the empty list. */
static bool list_names(const char *list, size_t length, const char *controller)
{
    if (*controller == '\0')
        return length == 0;
    size_t wanted = strlen(controller);
    const char *end = list + length;
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        size_t here = (size_t)((comma ? comma : end) - list);
        if (here == wanted && memcmp(list, controller, wanted) == 0)
            return true;
        list += here + 1;
    }
    return false;
}

/* Takes the path of a line "hierarchy:controllers:path\n" if it is about this controller. */
static bool take_line(char *line, const char *controller, struct cgroup *cgroup)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path || !list_names(controllers + 1, (size_t)(path - controllers - 1), controller))
        return false;
    path++;
    /* Seen from another cgroup namespace a path may climb out of the mount: take the mount. */
    bool usable = path[0] == '/' && !strstr(path, "/..") && strlen(path) < sizeof(cgroup->path);
    strcpy(cgroup->path, usable ? path : "/");
    return true;
}

static bool find_cgroup(const char *root, const char *controller, struct cgroup *cgroup)
{
    char path[PATH_MAX];
    if (sysfs_path(path, root, "/proc/self/cgroup") != 0)
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool found = false;
    char *line = NULL;
    size_t capacity = 0;
    while (!found && getline(&line, &capacity, file) > 0)
        found = take_line(line, controller, cgroup);
    free(line);
    (void)fclose(file);
    return found;
}

/* Shortens "/a/b" to "/a", "/a" to ""; false once nothing is left. */
static bool to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

/* Reads one file of one cgroup below whichever mount has it. */
static int read_cgroup_file(const char *root, const char *const *mounts, const char *cgroup,
                            const char *name, char *text, size_t bytes)
{
    for (; *mounts; mounts++) {
        char path[PATH_MAX];
        if (sysfs_path(path, root, "%s%s/%s", *mounts, cgroup, name) == 0 &&
            sysfs_read(path, text, bytes) == 0)
            return 0;
    }
    return -ENOENT;
}

/* The nearest cgroup, from ours upwards, that has the file: it holds for all below. */
static int read_nearest(const char *root, const char *const *mounts, struct cgroup cgroup,
                        const char *name, char *text, size_t bytes)
{
    do {
        if (read_cgroup_file(root, mounts, cgroup.path, name, text, bytes) == 0)
            return 0;
    } while (to_parent(cgroup.path));
    return -ENOENT;
}

static int read_cpuset(const char *root, char *text, size_t bytes)
{
    struct cgroup cgroup;
    if (find_cgroup(root, "", &cgroup) &&
        read_nearest(root, v2_mounts, cgroup, "cpuset.cpus.effective", text, bytes) == 0)
        return 0;
    if (!find_cgroup(root, "cpuset", &cgroup))
        return -ENOENT;
    if (read_nearest(root, v1_cpuset_mounts, cgroup, "cpuset.effective_cpus", text, bytes) == 0)
        return 0;
    return read_nearest(root, v1_cpuset_mounts, cgroup, "cpuset.cpus", text, bytes);
}

/* CPUs per period in thousandths, rounded up so that a tiny quota is not taken for none. */
static uint32_t millicpus(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0 || quota_us > INT64_MAX / 1000)
        return 0;
    long long value = (quota_us * 1000 + period_us - 1) / period_us;
    return value > UINT32_MAX ? 0 : (uint32_t)value;
}

static void lower_quota(uint32_t *quota, uint32_t other)
{
    if (other != 0 && (*quota == 0 || other < *quota))
        *quota = other;
}

/* Every cgroup on the way up may have a quota; the lowest holds. */
static void read_quota_v2(const char *root, uint32_t *quota)
{
    struct cgroup cgroup;
    if (!find_cgroup(root, "", &cgroup))
        return;
    do {
        char text[64];
        long long quota_us, period_us;
        if (read_cgroup_file(root, v2_mounts, cgroup.path, "cpu.max", text, sizeof(text)) == 0 &&
            sscanf(text, "%lld %lld", &quota_us, &period_us) == 2)
            lower_quota(quota, millicpus(quota_us, period_us));
    } while (to_parent(cgroup.path));
}

static void read_quota_v1(const char *root, uint32_t *quota)
{
    struct cgroup cgroup;
    if (!find_cgroup(root, "cpu", &cgroup))
        return;
    do {
        char quota_us[32], period_us[32];
        if (read_cgroup_file(root, v1_cpu_mounts, cgroup.path, "cpu.cfs_quota_us", quota_us,
                             sizeof(quota_us)) == 0 &&
            read_cgroup_file(root, v1_cpu_mounts, cgroup.path, "cpu.cfs_period_us", period_us,
                             sizeof(period_us)) == 0)
            lower_quota(quota,
                        millicpus(strtoll(quota_us, NULL, 10), strtoll(period_us, NULL, 10)));
    } while (to_parent(cgroup.path));
}

/* Likewise of memory. "max" is no number: it limits nothing. */
static void read_memory(const char *root, const char *controller, const char *const *mounts,
                        const char *name, uint64_t *memory_bytes)
{
    struct cgroup cgroup;
    if (!find_cgroup(root, controller, &cgroup))
        return;
    do {
        char text[64];
        unsigned long long bytes;
        if (read_cgroup_file(root, mounts, cgroup.path, name, text, sizeof(text)) == 0 &&
            sscanf(text, "%llu", &bytes) == 1 && bytes < *memory_bytes)
            *memory_bytes = bytes;
    } while (to_parent(cgroup.path));
}

/* Keeps of a what b has too. */
static void intersect(struct pst_cpu_list *a, const struct pst_cpu_list *b)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < a->count; i++)
        if (pst_cpu_list_has(b, a->cpu[i]))
            a->cpu[kept++] = a->cpu[i];
    a->count = kept;
}

static int limit_cpus(struct allowed *allowed, const char *text)
{
    struct pst_cpu_list list;
    int error = cpu_list_parse(text, &list);
    if (error)
        return error;
    if (allowed->cpus_limited)
        intersect(&allowed->cpus, &list);
    else
        allowed->cpus = list;
    allowed->cpus_limited = true;
    return 0;
}

int allowed_read(const char *root, struct allowed *allowed)
{
    *allowed = (struct allowed){.memory_bytes = UINT64_MAX};
    char status[PATH_MAX];
    char text[PST_CPUS_MAX / 2 * 5 + 2];
    int error = sysfs_path(status, root, "/proc/self/status");
    if (error)
        return error;
    /* The same mask as sched_getaffinity gives, and a fixture can have it. */
    if (sysfs_field(status, "Cpus_allowed_list", text, sizeof(text)) == 0)
        error = limit_cpus(allowed, text);
    /* An empty cpuset.cpus (v1 before anybody configured it) limits nothing. */
    if (!error && read_cpuset(root, text, sizeof(text)) == 0 && text[strspn(text, "\n")] != '\0')
        error = limit_cpus(allowed, text);
    if (error)
        return error;
    if (sysfs_field(status, "Mems_allowed_list", text, sizeof(text)) == 0) {
        error = cpu_list_parse(text, &allowed->nodes);
        allowed->nodes_limited = true;
    }
    read_quota_v2(root, &allowed->quota_millicpus);
    read_quota_v1(root, &allowed->quota_millicpus);
    read_memory(root, "", v2_mounts, "memory.max", &allowed->memory_bytes);
    read_memory(root, "memory", v1_memory_mounts, "memory.limit_in_bytes", &allowed->memory_bytes);
    return error;
}
