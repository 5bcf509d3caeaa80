/* penstock-bench small-files: what each feature of io_uring costs or gains for files of one
 * reading: all below a directory are opened, looked at, read and closed in several ways, in turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"

#define BATCH 64u
#define FILE_BYTES_MAX 65536u

struct file {
    char *path; /* below the root */
    uint32_t bytes;
};

/* All that a way is made of. */
struct way {
    const char *name;
    bool looks_first;   /* statx(2) before the reading */
    bool seeks_first;   /* lseek(2) in its place */
    bool looks_last;    /* statx(2) after it */
    bool looks_in_ring; /* both by IORING_OP_STATX */
    bool is_direct;     /* open into the ring's table, linked with read and close */
    bool looks_by_name; /* statx(2) by the name, after all that */
    bool by_directory;  /* opened beneath the file's own directory, which is opened for a batch */
    bool by_kernel_thread; /* SQPOLL */
    bool pins_workers;     /* io-wq on the thread's own CPU */
};

static const struct way ways[] = {
    {.name = "look, read, look", .looks_first = true, .looks_last = true},
    {.name = "seek, read, look", .seeks_first = true, .looks_last = true},
    {.name = "the same, by directory",
     .seeks_first = true,
     .looks_last = true,
     .by_directory = true},
    {.name = "read, look", .looks_last = true},
    {.name = "read", .looks_last = false},
    {.name = "read, STATX in ring", .looks_last = true, .looks_in_ring = true},
    {.name = "the same, io-wq pinned",
     .looks_last = true,
     .looks_in_ring = true,
     .pins_workers = true},
    {.name = "linked, direct", .is_direct = true},
    {.name = "the same, look by name", .is_direct = true, .looks_by_name = true},
    {.name = "look, read, look; SQPOLL",
     .looks_first = true,
     .looks_last = true,
     .by_kernel_thread = true},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static struct {
    const char *root;
    int root_fd;
    struct file *files;
    size_t count, room;
    char *buffers;  /* BATCH of FILE_BYTES_MAX */
    uint64_t bytes; /* read in the current round */
} data;

static void fail(const char *what, int error)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(abs(error)));
    exit(1);
}

static int note_file(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F || !S_ISREG(status->st_mode) || status->st_size == 0 ||
        status->st_size > (off_t)FILE_BYTES_MAX)
        return 0;
    if (data.count == data.room) {
        data.room = data.room ? 2 * data.room : 1024;
        data.files = realloc(data.files, data.room * sizeof(*data.files));
    }
    if (!data.files)
        return -1;
    data.files[data.count++] =
        (struct file){strdup(path + strlen(data.root) + 1), (uint32_t)status->st_size};
    return 0;
}

/* ---- a batch ---- */

struct slot {
    const struct file *file;
    const char *name; /* beneath directory */
    int directory;
    bool is_own; /* it closes directory */
    int fd;
    struct statx status;
};

static struct io_uring_sqe *entry_of(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    if (!sqe)
        fail("submission queue", ENOSPC);
    return sqe;
}

/* Submits, and waits for so many; the result of each goes to result. */
static void await(struct io_uring *ring, uint32_t count,
                  void (*result)(struct slot *slots, uint64_t data, int result), struct slot *slots)
{
    int submitted = io_uring_submit_and_wait(ring, count);
    if (submitted < 0)
        fail("io_uring_enter", submitted);
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_cqe *cqe;
        int error = io_uring_wait_cqe(ring, &cqe);
        if (error)
            fail("io_uring_wait_cqe", error);
        result(slots, cqe->user_data, cqe->res);
        io_uring_cqe_seen(ring, cqe);
    }
}

static void opened(struct slot *slots, uint64_t number, int result)
{
    if (result < 0)
        fail(slots[number].file->path, result);
    slots[number].fd = result;
}

static void was_read(struct slot *slots, uint64_t number, int result)
{
    if (result != (int)slots[number].file->bytes)
        fail(slots[number].file->path, result < 0 ? result : EIO);
    data.bytes += (uint32_t)result;
}

static void done(struct slot *slots, uint64_t number, int result)
{
    if (result < 0)
        fail(slots[number].file->path, result);
}

static void linked_done(struct slot *slots, uint64_t number, int result)
{
    if (number % 3 == 1)
        was_read(slots, number / 3, result);
    else
        done(slots, number / 3, result);
}

static void look(struct io_uring *ring, bool in_ring, struct slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct slot *slot = &slots[i];
        if (in_ring) {
            struct io_uring_sqe *sqe = entry_of(ring);
            io_uring_prep_statx(sqe, slot->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &slot->status);
            io_uring_sqe_set_data64(sqe, i);
        } else if (statx(slot->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &slot->status)) {
            fail(slot->file->path, errno);
        }
    }
    if (in_ring)
        await(ring, count, done, slots);
}

static const struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                                    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                               RESOLVE_NO_MAGICLINKS};
static const struct open_how direct_how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                                      RESOLVE_NO_MAGICLINKS};

static void enter(const struct way *way, struct slot *slots, uint32_t count)
{
    size_t entered = 0; /* bytes of the path of the directory of the slot before */
    for (uint32_t i = 0; i < count; i++) {
        const char *path = slots[i].file->path, *slash = strrchr(path, '/');
        size_t bytes = slash ? (size_t)(slash - path) : 0;
        slots[i].directory = data.root_fd;
        slots[i].name = path;
        slots[i].is_own = false;
        if (!way->by_directory || bytes == 0)
            continue;
        slots[i].name = slash + 1;
        slots[i].is_own =
            i == 0 || bytes != entered || strncmp(path, slots[i - 1].file->path, bytes) != 0;
        entered = bytes;
        if (!slots[i].is_own) {
            slots[i].directory = slots[i - 1].directory;
            continue;
        }
        char directory[PATH_MAX];
        struct open_how path_how = how;
        path_how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
        (void)snprintf(directory, sizeof(directory), "%.*s", (int)bytes, path);
        slots[i].directory =
            (int)syscall(SYS_openat2, data.root_fd, directory, &path_how, sizeof(path_how));
        if (slots[i].directory < 0)
            fail(directory, errno);
    }
}

static void run_step_by_step(struct io_uring *ring, const struct way *way, struct slot *slots,
                             uint32_t count)
{
    enter(way, slots, count);
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = entry_of(ring);
        io_uring_prep_openat2(sqe, slots[i].directory, slots[i].name,
                              (struct open_how *)(uintptr_t)&how);
        io_uring_sqe_set_data64(sqe, i);
    }
    await(ring, count, opened, slots);
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i].is_own)
            (void)close(slots[i].directory);
    }
    if (way->looks_first)
        look(ring, way->looks_in_ring, slots, count);
    for (uint32_t i = 0; way->seeks_first && i < count; i++) {
        if (lseek(slots[i].fd, 0, SEEK_CUR) < 0)
            fail(slots[i].file->path, errno);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = entry_of(ring);
        io_uring_prep_read_fixed(sqe, slots[i].fd, data.buffers + (size_t)i * FILE_BYTES_MAX,
                                 slots[i].file->bytes, 0, 0);
        io_uring_sqe_set_data64(sqe, i);
    }
    await(ring, count, was_read, slots);
    if (way->looks_last)
        look(ring, way->looks_in_ring, slots, count);
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = entry_of(ring);
        io_uring_prep_close(sqe, slots[i].fd);
        io_uring_sqe_set_data64(sqe, i);
    }
    await(ring, count, done, slots);
}

static void run_linked(struct io_uring *ring, const struct way *way, struct slot *slots,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = entry_of(ring);
        io_uring_prep_openat2_direct(sqe, data.root_fd, slots[i].file->path,
                                     (struct open_how *)(uintptr_t)&direct_how, i);
        sqe->flags |= IOSQE_IO_LINK;
        io_uring_sqe_set_data64(sqe, 3 * i);
        sqe = entry_of(ring);
        io_uring_prep_read_fixed(sqe, (int)i, data.buffers + (size_t)i * FILE_BYTES_MAX,
                                 slots[i].file->bytes, 0, 0);
        sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, 3 * i + 1);
        sqe = entry_of(ring);
        io_uring_prep_close_direct(sqe, i);
        io_uring_sqe_set_data64(sqe, 3 * i + 2);
    }
    await(ring, 3 * count, linked_done, slots);
    for (uint32_t i = 0; way->looks_by_name && i < count; i++) {
        if (statx(data.root_fd, slots[i].file->path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
                  &slots[i].status))
            fail(slots[i].file->path, errno);
    }
}

/* ---- rounds ---- */

static void open_ring(struct io_uring *ring, const struct way *way)
{
    struct io_uring_params params = {
        .flags = way->by_kernel_thread ? IORING_SETUP_SQPOLL
                                       : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    const struct iovec buffers = {data.buffers, (size_t)BATCH * FILE_BYTES_MAX};
    cpu_set_t own;
    params.sq_thread_idle = 1000;
    int error = io_uring_queue_init_params(4 * BATCH, ring, &params);
    if (!error)
        error = io_uring_register_buffers(ring, &buffers, 1);
    if (!error)
        error = io_uring_register_files_sparse(ring, BATCH);
    if (!error && way->pins_workers) {
        CPU_ZERO(&own);
        CPU_SET((size_t)sched_getcpu(), &own);
        error = io_uring_register_iowq_aff(ring, sizeof(own), &own);
    }
    if (error)
        fail(way->name, error);
}

static uint64_t cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* CPU time has that of the kernel's threads for the ring, which are the process's. */
static struct program_cost run_round(const struct way *way)
{
    struct io_uring ring;
    struct slot slots[BATCH];
    open_ring(&ring, way);
    data.bytes = 0;
    uint64_t began_ns = pst_monotonic_ns(), cpu_began_ns = cpu_ns();
    for (size_t at = 0; at < data.count; at += BATCH) {
        uint32_t count = data.count - at < BATCH ? (uint32_t)(data.count - at) : BATCH;
        for (uint32_t i = 0; i < count; i++)
            slots[i].file = &data.files[at + i];
        (way->is_direct ? run_linked : run_step_by_step)(&ring, way, slots, count);
    }
    uint64_t ended_ns = pst_monotonic_ns();
    io_uring_queue_exit(&ring);
    return (struct program_cost){
        .seconds = (double)(ended_ns - began_ns) / 1e9 / (double)data.count,
        .cpu_s = (double)(cpu_ns() - cpu_began_ns) / 1e9 / (double)data.count};
}

static void print(bool json, const struct way *way, struct result *result)
{
    if (!json) {
        result_print_us(way->name, result);
        return;
    }
    (void)snprintf(result->key, sizeof(result->key), "small-files, a file: %s", way->name);
    result_print_json(result);
    result_end_json();
}

static void run(const struct common_choices *common)
{
    static struct result results[WAYS];
    struct rounds rounds = rounds_of(common, WAYS);
    while (rounds_next(&rounds)) {
        for (size_t i = 0; i < WAYS; i++) {
            const struct program_cost cost = run_round(&ways[rounds.order[i]]);
            if (rounds.counts)
                result_add(&results[rounds.order[i]], &cost);
        }
    }
    if (!common->json)
        printf("%zu files, %llu bytes, %u rounds in turns; us a file, median [95 %%]\n%-26s  "
               "%-25s %s\n",
               data.count, (unsigned long long)data.bytes, rounds.counted, "way", "clock",
               "CPU time");
    for (size_t i = 0; i < WAYS; i++)
        print(common->json, &ways[i], &results[i]);
}

int bench_small_files(int argc, char **argv)
{
    static struct common_choices common = COMMON_CHOICES_DEFAULT(10);
    const struct choice choices[] = {
        MEASURING_CHOICES(&common, RESULT_ROUNDS_MAX,
                          "rounds through all files of DIR of up to 64 KiB, in each way"),
        {0}};
    int status = choices_begin_operand(argc, argv, choices, "DIR", &data.root, &common);
    if (status >= 0)
        return status;
    data.root_fd = open(data.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    data.buffers = aligned_alloc(4096, (size_t)BATCH * FILE_BYTES_MAX);
    if (data.root_fd < 0 || !data.buffers)
        fail(data.root, errno);
    memset(data.buffers, 0, (size_t)BATCH * FILE_BYTES_MAX);
    if (nftw(data.root, note_file, 64, FTW_PHYS) != 0 || data.count == 0)
        fail(data.root, errno ? errno : ENOENT);
    const char *const places[] = {data.root, NULL};
    if (common.json)
        facts_print(true, argv, places);
    bench_pin(0);
    run(&common);
    return 0;
}
