/* A node set up from specs, and trees for it to back up; any test's main thread calls it. */
#include "tests/support/node_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/source/registry/registry.h"
#include "tests/suite.h"

#define NS_PER_S UINT64_C(1000000000)

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    exit(1);
}

static void *must_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory)
        die("no memory");
    return memory;
}

void rig_open(struct rig *rig, const char *to, uint32_t ldms, const char *const *specs,
              uint32_t count)
{
    char text[PST_SOURCE_ERROR_BYTES];
    memset(rig, 0, sizeof(*rig));
    for (uint32_t i = 0; i < count; i++)
        rig->specs[i] = specs[i];
    if (pst_sources_open(specs, count, rig->sources, text, sizeof(text)) < 0)
        die("%s", text);
    rig->topology = must_alloc(sizeof(*rig->topology));
    rig->plan = must_alloc(sizeof(*rig->plan));
    rig->report = must_alloc(sizeof(*rig->report));
    struct pst_plan_request request = {.ldms = ldms, .disk_node = PST_NUMA_NODE_UNKNOWN};
    if (pst_topology_read("", rig->topology) < 0 ||
        pst_plan_make(rig->topology, &request, rig->plan) < 0)
        die("no plan: %s", rig->plan->error);
    rig->options = (struct pst_node_backup){.node = {.node = 1,
                                                     .directory = to,
                                                     .sources = rig->sources,
                                                     .specs = rig->specs,
                                                     .sources_count = count,
                                                     .topology = rig->topology,
                                                     .plan = rig->plan,
                                                     .chunk_bytes = PST_CHUNK_BYTES_MIN,
                                                     .depth = 4,
                                                     .direct = PST_DIRECT_AUTO,
                                                     .freeze_wait_ns = NS_PER_S,
                                                     .timeouts = {.ldm_ns = 60 * NS_PER_S,
                                                                  .proxy_ns = 70 * NS_PER_S,
                                                                  .master_ns = 80 * NS_PER_S,
                                                                  .stall_ns = 60 * NS_PER_S,
                                                                  .progress_ns = NS_PER_S / 50,
                                                                  .thawed_ns = NS_PER_S / 100,
                                                                  .ask_ns = NS_PER_S}},
                                            .cancel_fd = -1};
}

int rig_run(struct rig *rig)
{
    return pst_node_run_backup(&rig->options, rig->report);
}

void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->options.node.sources_count; i++)
        pst_source_close(rig->sources[i]);
    free(rig->topology);
    free(rig->plan);
    free(rig->report);
}

static void fill(uint64_t *words, size_t count, uint64_t seed, uint64_t first)
{
    for (size_t i = 0; i < count; i++)
        words[i] = (seed << 40 ^ (first + i)) * UINT64_C(0x9e3779b97f4a7c15);
}

static void write_at(const char *path, uint64_t offset, uint64_t bytes, uint64_t seed)
{
    static uint64_t words[8192];
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    for (uint64_t done = 0; done < bytes; done += sizeof(words)) {
        uint64_t left = bytes - done < sizeof(words) ? bytes - done : sizeof(words);
        fill(words, sizeof(words) / 8, seed, (offset + done) / 8);
        if (pwrite(fd, words, left, (off_t)(offset + done)) != (ssize_t)left)
            die("%s: %s", path, strerror(errno));
    }
    close(fd);
}

void make_file(const char *directory, const char *name, uint64_t bytes, uint64_t seed)
{
    write_at(join(directory, name), 0, bytes, seed);
}

void make_directory(const char *directory, const char *name)
{
    if (mkdir(join(directory, name), 0750) < 0)
        die("%s/%s: %s", directory, name, strerror(errno));
}

static void make_sparse(const char *directory, const char *name)
{
    const char *path = join(directory, name);
    write_at(path, 3 * MIB, 100 * KIB, 7);
    write_at(path, 40 * MIB, 5000, 8);
    if (truncate(path, 50 * MIB) < 0)
        die("%s: %s", path, strerror(errno));
}

void make_sample_tree(const char *directory)
{
    char name[64];
    make_directory(directory, "empty directory");
    make_directory(directory, "many");
    make_file(directory, "empty", 0, 1);
    make_file(directory, "one byte", 1, 2);
    make_file(directory, "block", 4096, 3);
    make_file(directory, "odd", 123457, 4);
    make_file(directory, "large", 9 * MIB + 17, 5);
    make_sparse(directory, "sparse");
    for (uint32_t i = 0; i < 700; i++) {
        snprintf(name, sizeof(name), "many/%03u", i);
        make_file(directory, name, i % 50, 100 + i);
    }
    if (symlink("../elsewhere", join(directory, "symlink")) < 0 ||
        link(join(directory, "odd"), join(directory, "many/hard link")) < 0)
        die("%s: links: %s", directory, strerror(errno));
}

int run_suites(CU_SuiteInfo *suites)
{
    pst_log_set_level(PST_LOG_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return suites_run(suites);
}
