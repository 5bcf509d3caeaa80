/* Reads pressure stall information. Called by pace.c, by whichever thread decides next. */
#include "engine/pace/pressure.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 256

static int open_either(const char *host, const char *container)
{
    int fd = open(host, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : open(container, O_RDONLY | O_CLOEXEC);
}

/* The host's first: a cgroup's own says what this process waits for, not what others wait for. */
void pressure_open(struct pressure *pressure)
{
    pressure->io_fd = open_either("/proc/pressure/io", "/sys/fs/cgroup/io.pressure");
    pressure->cpu_fd = open_either("/proc/pressure/cpu", "/sys/fs/cgroup/cpu.pressure");
}

void pressure_close(struct pressure *pressure)
{
    if (pressure->io_fd >= 0)
        close(pressure->io_fd);
    if (pressure->cpu_fd >= 0)
        close(pressure->cpu_fd);
    *pressure = (struct pressure){.io_fd = -1, .cpu_fd = -1};
}

bool pressure_parse(const char *text, uint64_t *total_ns, uint32_t *per_mille)
{
    unsigned whole, hundredths;
    unsigned long long total_us;
    const char *total = strstr(text, "total=");
    if (sscanf(text, "some avg10=%u.%2u", &whole, &hundredths) != 2 || !total ||
        sscanf(total, "total=%llu", &total_us) != 1)
        return false;
    *per_mille = whole * 10 + hundredths / 10;
    *total_ns = total_us * 1000;
    return true;
}

static bool read_one(int fd, uint64_t *total_ns, uint32_t *per_mille)
{
    char text[TEXT_BYTES];
    ssize_t bytes = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
    if (bytes <= 0)
        return false;
    text[bytes] = '\0';
    return pressure_parse(text, total_ns, per_mille);
}

void pressure_read(const struct pressure *pressure, struct pressure_sample *sample)
{
    *sample = (struct pressure_sample){0};
    sample->is_known = read_one(pressure->io_fd, &sample->io_ns, &sample->io_per_mille) &&
                       read_one(pressure->cpu_fd, &sample->cpu_ns, &sample->cpu_per_mille);
}

int pressure_open_thread(void)
{
    return open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

void pressure_close_thread(int fd)
{
    if (fd >= 0)
        close(fd);
}

uint64_t pressure_waited_ns(int fd)
{
    char text[TEXT_BYTES];
    unsigned long long ran_ns, waited_ns;
    ssize_t bytes = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
    if (bytes <= 0)
        return 0;
    text[bytes] = '\0';
    return sscanf(text, "%llu %llu", &ran_ns, &waited_ns) == 2 ? waited_ns : 0;
}
