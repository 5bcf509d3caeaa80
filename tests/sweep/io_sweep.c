/*
 * The fault sweep of io/: a whole operation is run again and again, and in run N its N-th I/O
 * fails. Each run must end in success with the right contents, or in an error that names its step
 * with nothing left: no file, no descriptor, no operation without its completion. The sweep ends
 * when N is larger than the number of I/Os that the operation makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/durable.h"
#include "io/fault.h"
#include "io/part_file.h"
#include "tests/support/child.h"
#include "tests/support/file_systems.h"
#include "tests/support/io_rig.h"

#define CHUNK (64u << 10)
#define CHUNKS 6u
#define DEPTH 3u
#define MIB (1ull << 20)
#define RUNS_MAX 200u
#define TEXT_BYTES 10000u

struct fault_case {
    const char *name;
    enum pst_io_fault_kind kind;
    int error;
    uint32_t short_bytes;
};

static const struct fault_case fault_cases[] = {
    {"EIO", PST_IO_FAULT_ERROR, EIO, 0},
    {"ENOSPC", PST_IO_FAULT_ERROR, ENOSPC, 0},
    {"EINTR", PST_IO_FAULT_ERROR, EINTR, 0},
    {"EINVAL", PST_IO_FAULT_ERROR, EINVAL, 0},
    {"short, aligned", PST_IO_FAULT_SHORT, 0, 4096},
    {"short, odd", PST_IO_FAULT_SHORT, 0, 1001},
};

#define FAULT_CASES (sizeof(fault_cases) / sizeof(fault_cases[0]))

static struct scratch scratch;
static struct pst_ring_polling polling;
static char *data;

static int start_in(const char *base)
{
    scratch_open(&scratch, base);
    data = aligned_buffer((size_t)CHUNK * CHUNKS);
    fill_pattern(data, (size_t)CHUNK * CHUNKS, 0);
    return 0;
}

static int stop(void)
{
    free(data);
    scratch_close(&scratch);
    return 0;
}

/* ---- a whole part: create, preallocate, write, finish ---- */

struct part_run {
    struct pst_ring *ring;
    struct pst_part_file part;
    struct chunk {
        struct pst_io_op op;
        struct part_run *run;
        unsigned starts;
        unsigned ends;
    } chunks[CHUNKS];
    enum pst_direct direct;
    uint64_t far_offset; /* of the last chunk: behind the first step of preallocation */
    unsigned next;
    unsigned writing;
    bool is_held; /* the last chunk, until the first step is done */
    int result;
    const char *failed_step;
    bool ended;
};

static uint64_t chunk_offset(const struct part_run *run, unsigned chunk)
{
    return chunk + 1 < CHUNKS ? (uint64_t)chunk * CHUNK : run->far_offset;
}

static void end_run(struct part_run *run, int result, const char *failed_step)
{
    if (run->result == 0) {
        run->result = result;
        run->failed_step = failed_step;
    }
    run->ended = true;
}

static void abandoned(struct pst_part_file *part, int result)
{
    end_run(PST_IO_OP_OF(part, struct part_run, part), result, part->failed_step);
}

static void fail_and_abandon(struct part_run *run, int result, const char *failed_step)
{
    run->result = result;
    run->failed_step = failed_step;
    pst_io_part_abandon(&run->part, abandoned);
}

static void finished(struct pst_part_file *part, int result)
{
    struct part_run *run = PST_IO_OP_OF(part, struct part_run, part);
    if (result) {
        fail_and_abandon(run, result, part->failed_step);
        return;
    }
    end_run(run, 0, NULL);
}

static void write_next(struct part_run *run);

static void written(struct pst_io_op *op, int result)
{
    struct chunk *chunk = PST_IO_OP_OF(op, struct chunk, op);
    struct part_run *run = chunk->run;
    chunk->ends++;
    run->writing--;
    if (result != (int)CHUNK && run->result == 0) {
        run->result = result;
        run->failed_step = "write";
    }
    write_next(run);
}

static void write_next(struct part_run *run)
{
    run->is_held = false;
    while (run->result == 0 && run->writing < DEPTH && run->next < CHUNKS) {
        struct chunk *chunk = &run->chunks[run->next];
        bool is_last = run->next + 1 == CHUNKS;
        if (is_last && run->part.preallocating) {
            run->is_held = true;
            return;
        }
        if (is_last)
            run->far_offset = run->part.allocated_bytes + 4 * MIB;
        chunk->op.done = written;
        chunk->run = run;
        chunk->starts++;
        run->writing++;
        pst_io_part_write(&run->part, &chunk->op, data + (size_t)run->next * CHUNK, CHUNK,
                          chunk_offset(run, run->next), 0);
        run->next++;
    }
    if (run->writing > 0)
        return;
    if (run->result)
        fail_and_abandon(run, run->result, run->failed_step);
    else
        pst_io_part_finish(&run->part, finished);
}

static void part_created(struct pst_part_file *part, int result)
{
    struct part_run *run = PST_IO_OP_OF(part, struct part_run, part);
    if (result) {
        end_run(run, result, part->failed_step);
        return;
    }
    write_next(run);
}

static void write_part(struct part_run *run, struct pst_io_fault *fault)
{
    struct pst_ring_options options = {
        .entries = 2, .files_max = 2, .polling = polling, .fault = fault};
    struct iovec buffer = {.iov_base = data, .iov_len = (size_t)CHUNK * CHUNKS};
    if (pst_ring_open(&run->ring, &options) != 0) {
        printf("no ring\n");
        exit(1);
    }
    pst_ring_register_buffers(run->ring, &buffer, 1);
    pst_io_part_create(&run->part, run->ring, scratch.dirfd, "part", run->direct, part_created);
    while (pst_ring_in_flight(run->ring) > 0) {
        (void)pst_ring_wait(run->ring, -1);
        if (run->is_held)
            write_next(run);
    }
    pst_ring_close(run->ring);
}

static bool whole_part_is_right(const struct part_run *run)
{
    int fd = openat(scratch.dirfd, "part", O_RDONLY);
    char *content = aligned_buffer(CHUNK);
    struct stat attributes = {0};
    bool right =
        fstat(fd, &attributes) == 0 && attributes.st_size == (off_t)(run->far_offset + CHUNK);
    for (unsigned i = 0; i < CHUNKS; i++) {
        right = right && pread(fd, content, CHUNK, (off_t)chunk_offset(run, i)) == (ssize_t)CHUNK &&
                has_pattern(content, CHUNK, (uint64_t)i * CHUNK);
    }
    if (fd >= 0)
        (void)close(fd);
    free(content);
    return right;
}

static bool no_write_is_lost(const struct part_run *run)
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        if (run->chunks[i].starts != run->chunks[i].ends || run->chunks[i].starts > 1)
            return false;
    }
    return true;
}

static bool part_run_is_right(const struct part_run *run)
{
    const char *list = scratch_list(&scratch);
    if (!run->ended || run->writing > 0 || !no_write_is_lost(run))
        return false;
    if (run->result == 0)
        return strcmp(list, "part\n") == 0 && whole_part_is_right(run);
    return strcmp(list, "") == 0 && run->failed_step != NULL;
}

/* An interruption and a short transfer are no errors. */
static bool must_succeed(const struct fault_case *fault_case)
{
    return fault_case->kind == PST_IO_FAULT_SHORT || fault_case->error == EINTR;
}

static struct pst_io_fault fault_at(const struct fault_case *fault_case, uint64_t at)
{
    return (struct pst_io_fault){.kind = fault_case->kind,
                                 .at = at,
                                 .error = fault_case->error,
                                 .short_bytes = fault_case->short_bytes};
}

static void report(const char *what, const struct fault_case *fault_case, unsigned at, int result,
                   const char *step)
{
    printf("\n    %s, %s at I/O %u: result %d, step %s, left: %s", what, fault_case->name, at,
           result, step ? step : "none", scratch_list(&scratch));
}

static void sweep_part(const struct fault_case *fault_case, enum pst_direct direct)
{
    unsigned at = 0;
    unsigned failures = 0;
    bool preallocates;
    struct pst_io_fault fault;
    do {
        struct part_run run = {.direct = direct};
        unsigned fds = count_open_fds();
        fault = fault_at(fault_case, ++at);
        write_part(&run, &fault);
        bool right = part_run_is_right(&run) && count_open_fds() == fds;
        if (must_succeed(fault_case))
            right = right && run.result == 0;
        if (run.result)
            right = right && run.result == -fault_case->error;
        CU_ASSERT_TRUE(right);
        if (!right)
            report("part", fault_case, at, run.result, run.failed_step);
        failures += run.result != 0;
        preallocates = run.part.preallocates;
        scratch_empty(&scratch);
    } while (fault.seen >= at && at < RUNS_MAX);
    CU_ASSERT_TRUE(at < RUNS_MAX);
    CU_ASSERT_TRUE(must_succeed(fault_case) || failures > 0);
    /* create, the chunks, truncate, fdatasync, close; and on disk two steps of preallocation */
    CU_ASSERT_TRUE(at - 1 >= CHUNKS + 4 + (preallocates ? 2 : 0));
}

static void sweep_parts(enum pst_direct direct)
{
    for (size_t i = 0; i < FAULT_CASES; i++)
        sweep_part(&fault_cases[i], direct);
}

static void test_part_direct(void)
{
    sweep_parts(PST_DIRECT_AUTO);
}

static void test_part_buffered(void)
{
    sweep_parts(PST_DIRECT_OFF);
}

/* ---- durable writes ---- */

enum durable_kind {
    DURABLE_NEW,
    DURABLE_KEEP,
    DURABLE_REPLACE,
    DURABLE_MKDIR,
};

static const char *const durable_names[] = {"durable write", "durable write, no replacing",
                                            "durable write, replacing", "mkdir"};

static int run_durable(enum durable_kind kind, struct pst_durable_context *context)
{
    if (kind == DURABLE_MKDIR)
        return pst_step_mkdir(scratch.dirfd, "name", 0700, context);
    return pst_durable_write(scratch.dirfd, "name", data, TEXT_BYTES, kind != DURABLE_KEEP,
                             context);
}

static bool has_content(char first)
{
    char *content = aligned_buffer(TEXT_BYTES + 1);
    int fd = openat(scratch.dirfd, "name", O_RDONLY);
    ssize_t got = read(fd, content, TEXT_BYTES + 1);
    bool right = first == 'o' ? got == 3 && memcmp(content, "old", 3) == 0
                              : got == (ssize_t)TEXT_BYTES && has_pattern(content, TEXT_BYTES, 0);
    if (fd >= 0)
        (void)close(fd);
    free(content);
    return right;
}

static void write_old(void)
{
    int fd = openat(scratch.dirfd, "name", O_CREAT | O_WRONLY, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, "old", 3), 3);
    (void)close(fd);
}

/* After an error nothing is left; only a replacement that failed at the last fsync cannot be taken
 * back. */
static bool durable_failure_is_right(enum durable_kind kind, const char *failed_step)
{
    bool renamed_before = strcmp(failed_step, "fsync of the directory") == 0;
    bool kept = kind == DURABLE_REPLACE || (kind == DURABLE_NEW && renamed_before);
    if (strcmp(scratch_list(&scratch), kept ? "name\n" : "") != 0)
        return false;
    return !kept || has_content(renamed_before ? 'n' : 'o');
}

static bool durable_run_is_right(enum durable_kind kind, int result, const char *failed_step)
{
    if (result != 0)
        return failed_step && durable_failure_is_right(kind, failed_step);
    return strcmp(scratch_list(&scratch), "name\n") == 0 &&
           (kind == DURABLE_MKDIR || has_content('n'));
}

static void check_durable_run(enum durable_kind kind, const struct fault_case *fault_case,
                              unsigned at, struct pst_io_fault *fault)
{
    struct pst_durable_context context = {.fault = fault};
    unsigned fds = count_open_fds();
    if (kind == DURABLE_REPLACE)
        write_old();
    *fault = fault_at(fault_case, at);
    int result = run_durable(kind, &context);
    bool right = durable_run_is_right(kind, result, context.failed_step);
    right = right && count_open_fds() == fds;
    right = right && (result == 0 || result == -fault_case->error);
    if (must_succeed(fault_case))
        right = right && result == 0;
    CU_ASSERT_TRUE(right);
    if (!right)
        report(durable_names[kind], fault_case, at, result, context.failed_step);
    scratch_empty(&scratch);
}

static void sweep_durable(enum durable_kind kind, const struct fault_case *fault_case)
{
    unsigned at = 0;
    uint64_t hits = 0;
    struct pst_io_fault fault;
    do {
        check_durable_run(kind, fault_case, ++at, &fault);
        hits += fault.hits;
    } while (fault.seen >= at && at < RUNS_MAX);
    CU_ASSERT_TRUE(at < RUNS_MAX);
    CU_ASSERT_TRUE(hits > 0 || kind == DURABLE_MKDIR);
}

static void test_durable(void)
{
    for (enum durable_kind kind = DURABLE_NEW; kind <= DURABLE_MKDIR; kind++) {
        for (size_t i = 0; i < FAULT_CASES; i++)
            sweep_durable(kind, &fault_cases[i]);
    }
}

/* ---- a disk that is really full ---- */

/* In a child: a tmpfs of 256 KiB, into which more than that is written. */
static int fill_small_disk(void)
{
    struct part_run run = {.direct = PST_DIRECT_AUTO};
    struct pst_durable_context context = {0};
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", scratch.path, "tmpfs", 0, "size=256k") != 0)
        return 77;
    scratch.dirfd = open(scratch.path, O_RDONLY | O_DIRECTORY);
    write_part(&run, NULL);
    if (run.result != -ENOSPC || !part_run_is_right(&run) || strcmp(run.failed_step, "write") != 0)
        return 2;
    if (pst_durable_write(scratch.dirfd, "name", data, (size_t)CHUNK * CHUNKS, true, &context) !=
            -ENOSPC ||
        strcmp(context.failed_step, "write") != 0 || strcmp(scratch_list(&scratch), "") != 0)
        return 3;
    return 0;
}

/* Needs root, to mount; exits 77 without. */
static int run_full_disk(void)
{
    (void)start_in(".");
    int code = child_report("full disk", "mounting a tmpfs needs root", fill_small_disk);
    (void)stop();
    return code;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"part, O_DIRECT where it can be", test_part_direct},
        {"part, buffered", test_part_buffered},
        {"durable writes", test_durable},
        CU_TEST_INFO_NULL,
    };
    if (argc == 2 && strcmp(argv[1], "full-disk") == 0)
        return run_full_disk();
    polling = polling_of(argc, argv);
    return run_on_disk_and_tmpfs("io sweep", start_in, stop, tests);
}
