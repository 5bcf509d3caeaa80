/*
 * Backups that come to nothing: aborted at any moment, refused, out of room, out of time. Each must
 * say why, and leave nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/repository/layout.h"
#include "tests/support/child.h"
#include "tests/support/decoded.h"
#include "tests/support/node_rig.h"
#include "tests/support/pause.h"

static char scratch[SCRATCH_PATH_BYTES];
static char memory[SCRATCH_PATH_BYTES];
static char tree[SCRATCH_PATH_BYTES];
static char tree_spec[2 * SCRATCH_PATH_BYTES];

static int start(void)
{
    make_scratch(scratch, ".");
    make_scratch(memory, "/dev/shm");
    make_scratch(tree, "/dev/shm");
    make_sample_tree(tree);
    snprintf(tree_spec, sizeof(tree_spec), "dir:%s", tree);
    return 0;
}

static int stop(void)
{
    remove_tree(scratch);
    remove_tree(memory);
    remove_tree(tree);
    return 0;
}

/* ---- abort ---- */

/* Readable after so long; 1 ns is at once. */
static int fd_that_expires(uint64_t after_ns)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(after_ns / 1000000000),
                                           .tv_nsec = (long)(after_ns % 1000000000)}};
    CU_ASSERT_FATAL(fd >= 0 && timerfd_settime(fd, 0, &when, NULL) == 0);
    return fd;
}

/* Complete, or nothing at all: not even the directory, which it made itself. true: aborted. */
static bool abort_after(struct rig *rig, uint64_t after_ns)
{
    const char *to = rig->options.node.directory;
    rig->options.cancel_fd = fd_that_expires(after_ns);
    unsigned fds = count_open_fds();
    char *log;
    begin_log_capture();
    int error = rig_run(rig);
    log = end_log_capture();
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    close(rig->options.cancel_fd);
    if (!error) {
        struct decoded decoded;
        CU_ASSERT_TRUE(decoded_open(&decoded, to, rig->report->number));
        decoded_close(&decoded);
        remove_tree(to);
    } else {
        CU_ASSERT_EQUAL(error, -PST_E_CLIENT_ABORT);
        CU_ASSERT_EQUAL(rig->report->error, PST_E_CLIENT_ABORT);
        CU_ASSERT_EQUAL(pst_ref_block(rig->report->where), PST_BLOCK_CLIENT);
        CU_ASSERT_STRING_EQUAL(log, "");
        CU_ASSERT_FALSE(path_exists(to));
    }
    free(log);
    return error;
}

/* How many were aborted: where threads wait for their turn even one at once may come too late. */
static uint32_t abort_at_random(const char *base, uint32_t ldms, bool single_threaded,
                                const char *const *specs, uint32_t count)
{
    struct rig rig;
    char to[SCRATCH_PATH_BYTES * 2];
    uint32_t aborted = 0;
    snprintf(to, sizeof(to), "%s/to", base);
    rig_open(&rig, to, ldms, specs, count);
    rig.options.single_threaded = single_threaded;
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), 0);
    uint64_t whole_ns = rig.report->elapsed_ns;
    remove_tree(to);
    aborted += abort_after(&rig, 1);
    for (uint32_t i = 0; i < 25; i += RIG_STRIDE)
        aborted += abort_after(&rig, 1 + (uint64_t)rand() % (whole_ns * 5 / 4));
    printf("%u aborted; ", aborted);
    rig_close(&rig);
    return aborted;
}

static void test_abort_at_random(void)
{
    const char *const specs[] = {"a=synthetic:rows=1000,row-bytes=20000", tree_spec};
    const char *const tiny[] = {"synthetic:rows=10"};
    uint32_t aborted = 0;
    srand(20261122);
    aborted += abort_at_random(scratch, 1, false, specs, 2);
    aborted += abort_at_random(scratch, 2, false, specs, 2);
    aborted += abort_at_random(memory, 4, false, specs, 2);
    aborted += abort_at_random(scratch, 3, true, specs, 2);
    aborted += abort_at_random(scratch, 2, false, tiny, 1);
    aborted += abort_at_random(memory, 2, false, tiny, 1);
    CU_ASSERT_TRUE(aborted > 0);
}

/* A directory that was there stays; so does a backup that was complete. */
static void test_abort_keeps_others(void)
{
    const char *const specs[] = {"synthetic:rows=3000,row-bytes=20000"};
    const char *const endless[] = {"synthetic:rows=100000000,row-bytes=20000"};
    struct rig rig;
    struct decoded decoded;
    rig_open(&rig, scratch, 2, specs, 1);
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    rig_close(&rig);
    rig_open(&rig, scratch, 2, endless, 1); /* however late its client looks */
    rig.options.cancel_fd = fd_that_expires(1);
    CU_ASSERT_EQUAL(rig_run(&rig), -PST_E_CLIENT_ABORT);
    close(rig.options.cancel_fd);
    CU_ASSERT_FALSE(path_exists(join(scratch, "BACKUP-2")));
    CU_ASSERT_TRUE(decoded_open(&decoded, scratch, 1));
    decoded_close(&decoded);
    remove_tree(join(scratch, "BACKUP-1"));
    rig_close(&rig);
}

/* ---- refusals ---- */

static unsigned refusals_not_told;

static int run_to(const char *to, uint32_t number)
{
    const char *const specs[] = {"synthetic:rows=10"};
    struct rig rig;
    rig_open(&rig, to, 2, specs, 1);
    rig.options.number = number;
    begin_log_capture();
    unsigned fds = count_open_fds();
    int error = rig_run(&rig);
    unsigned fds_after = count_open_fds();
    char *log = end_log_capture();
    bool is_told = !error || strstr(log, to) != NULL; /* the message names the file */
    if (fds_after != fds || rig.report->error != -error || !is_told) {
        printf("%u fds of %u, error %d, %s", fds_after, fds, error, log);
        refusals_not_told++;
    }
    free(log);
    rig_close(&rig);
    return error;
}

static void test_number_exists(void)
{
    struct decoded decoded;
    CU_ASSERT_EQUAL(run_to(scratch, 7), 0);
    CU_ASSERT_EQUAL(run_to(scratch, 7), -PST_E_NUMBER_EXISTS);
    CU_ASSERT_TRUE(decoded_open(&decoded, scratch, 7));
    decoded_close(&decoded);
    remove_tree(join(scratch, "BACKUP-7"));
    CU_ASSERT_EQUAL(run_to(scratch, PST_BACKUP_NUMBER_MAX), 0);
    CU_ASSERT_EQUAL(run_to(scratch, 0), -PST_E_NUMBER);
    remove_tree(join(scratch, "BACKUP-4294967295"));
    CU_ASSERT_TRUE(is_empty_directory(scratch));
}

static void test_busy(void)
{
    int fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL(flock(fd, LOCK_EX), 0);
    CU_ASSERT_EQUAL(run_to(scratch, 0), -PST_E_BUSY);
    close(fd);
    CU_ASSERT_EQUAL(run_to(scratch, 0), 0);
    remove_tree(join(scratch, "BACKUP-1"));
}

static void test_bad_directories(void)
{
    make_file(scratch, "file", 10, 1);
    CU_ASSERT_EQUAL(run_to(join(scratch, "no/such"), 0), -ENOENT);
    CU_ASSERT_EQUAL(run_to(join(scratch, "file"), 0), -ENOTDIR);
    CU_ASSERT_EQUAL(run_to(join(scratch, "file/below"), 0), -ENOTDIR);
    CU_ASSERT_EQUAL(unlink(join(scratch, "file")), 0);
    CU_ASSERT_TRUE(is_empty_directory(scratch));
    CU_ASSERT_EQUAL(refusals_not_told, 0);
}

/* ---- a client and a disk that are slow ---- */

static void sleep_long(void *context, const struct pst_backup_progress *status)
{
    (void)status;
    uint32_t *calls = context;
    if ((*calls)++ == 0)
        pause_ns(700000000);
}

/* A terminal that is stopped must not stop the backup: more statuses than a ring holds. */
static void test_slow_client(void)
{
    const char *const specs[] = {"synthetic:rows=60000,row-bytes=20000"};
    struct rig rig;
    struct decoded decoded;
    uint32_t calls = 0;
    rig_open(&rig, scratch, 2, specs, 1);
    rig.options.node.timeouts.progress_ns = 1000000;
    rig.options.node.chunk_bytes = MIB;
    rig.options.on_status = sleep_long;
    rig.options.context = &calls;
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    CU_ASSERT_TRUE(calls > 1);
    CU_ASSERT_TRUE(decoded_open(&decoded, scratch, rig.report->number));
    decoded_close(&decoded);
    remove_tree(join(scratch, "BACKUP-1"));
    rig_close(&rig);
}

#ifdef __SANITIZE_THREAD__
/* Called by ThreadSanitizer at the start. An LDM that has not ended when the limit of its proxy
 * runs out, here after microseconds, may still read of a source that is released, for a backup that
 * was given up. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^close_root$\n";
}
#endif

/* Limits that real work cannot meet: whatever runs out first, the node ends in order, and what it
 * could not remove in time the next backup does. */
static void test_out_of_time(void)
{
    const char *const specs[] = {"a=synthetic:rows=1000,row-bytes=20000", tree_spec};
    char to[SCRATCH_PATH_BYTES * 2];
    uint32_t failed = 0;
    snprintf(to, sizeof(to), "%s/to", scratch);
    for (uint32_t i = 0; i < 60; i += RIG_STRIDE) {
        struct rig rig;
        rig_open(&rig, to, 1 + i % 3, specs, 2);
        rig.options.single_threaded = i % 4 == 3;
        struct pst_timeouts *timeouts = &rig.options.node.timeouts;
        timeouts->ldm_ns = (uint64_t)1 << (10 + i % 15);
        timeouts->proxy_ns = timeouts->ldm_ns * 5 / 4;
        timeouts->master_ns = timeouts->ldm_ns * 3 / 2;
        timeouts->stall_ns = timeouts->ldm_ns;
        timeouts->progress_ns = timeouts->ldm_ns / 4;
        timeouts->thawed_ns = timeouts->ldm_ns / 8;
        begin_log_capture();
        int error = rig_run(&rig);
        free(end_log_capture());
        failed += error != 0;
        CU_ASSERT_TRUE(!error || error == -PST_E_TIMEOUT || error == -PST_E_STALLED);
        rig_close(&rig);
        rig_open(&rig, to, 2, specs, 2);
        CU_ASSERT_EQUAL(rig_run(&rig), 0);
        struct decoded decoded;
        CU_ASSERT_TRUE(decoded_open(&decoded, to, rig.report->number));
        decoded_close(&decoded);
        remove_tree(join(to, layout_backup(rig.report->number).text));
        if (!error)
            remove_tree(join(to, "BACKUP-1"));
        CU_ASSERT_TRUE(is_empty_directory(to));
        rig_close(&rig);
    }
    printf("%u failed; ", failed);
    CU_ASSERT_TRUE(failed > 0);
}

/* ---- what needs a process of its own ---- */

/* 0: as expected, 77: cannot run, else failed. */
static int run_in_full_tmpfs(void)
{
    int failures = 0;
    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    for (uint32_t kib = 64; kib <= 8192; kib *= 2) {
        char size[64];
        snprintf(size, sizeof(size), "size=%uk", kib);
        if (mount("tmpfs", scratch, "tmpfs", 0, size) < 0)
            return 77;
        const char *const specs[] = {"synthetic:rows=5000,row-bytes=20000"};
        struct rig rig;
        rig_open(&rig, scratch, 3, specs, 1);
        begin_log_capture();
        int error = rig_run(&rig);
        char *log = end_log_capture();
        if (error != -ENOSPC || !strstr(log, "No space left") || !is_empty_directory(scratch)) {
            printf("%u KiB: %s, %s", kib, pst_error_text(error), log);
            failures++;
        }
        free(log);
        rig_close(&rig);
        if (umount(scratch) < 0)
            return 1;
    }
    return failures != 0;
}

/* A disk with room for what is backed up and little more: LDMs that reserve space ahead must not
 * take it from each other. */
static int run_on_small_disk(void)
{
    char command[4 * SCRATCH_PATH_BYTES];
    const char *image = join(tree, "image");
    snprintf(command, sizeof(command),
             "truncate -s 40M %s && mkfs.ext4 -q %s && mount -o loop %s %s", image, image, image,
             scratch);
    if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        system(command) != 0)
        return 77;
    const char *const specs[] = {"synthetic:rows=900,row-bytes=20000"};
    struct rig rig;
    int error = 0;
    char to[SCRATCH_PATH_BYTES * 2];
    snprintf(to, sizeof(to), "%s/to", scratch);
    rig_open(&rig, to, 4, specs, 1);
    for (uint32_t i = 0; i < 10 && !error; i++) {
        error = rig_run(&rig);
        remove_tree(to);
    }
    rig_close(&rig);
    if (umount(scratch) < 0)
        return 1;
    return error;
}

static char roots[SCRATCH_PATH_BYTES];

/* -EACCES, and again where the directory is there but another's. */
static int run_as_nobody(void)
{
    if (chmod(roots, 0755) < 0 || mkdir(join(roots, "his"), 0755) < 0 || setgid(65534) < 0 ||
        setuid(65534) < 0)
        return 77;
    int failures = run_to(join(roots, "new"), 0) != -EACCES;
    failures += run_to(join(roots, "his"), 0) != -EACCES;
    return failures + (int)refusals_not_told != 0;
}

static int in_child(const char *name, const char *needs, int (*run)(void))
{
    pst_log_set_level(PST_LOG_ERROR);
    (void)start();
    int code = child_report(name, needs, run);
    (void)stop();
    return code;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"abort at a random moment", test_abort_at_random},
        {"abort keeps other backups", test_abort_keeps_others},
        {"a number that exists", test_number_exists},
        {"a directory in use", test_busy},
        {"bad directories", test_bad_directories},
        {"a slow client", test_slow_client},
        {"out of time", test_out_of_time},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "abort", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    if (argc == 2 && strcmp(argv[1], "full-disk") == 0)
        return in_child("a full disk", "a full disk needs root", run_in_full_tmpfs);
    if (argc == 2 && strcmp(argv[1], "small-disk") == 0)
        return in_child("mounting a small ext4", "mounting a small ext4 needs root",
                        run_on_small_disk);
    if (argc == 2 && strcmp(argv[1], "nobody") == 0) {
        make_scratch(roots, "/dev/shm");
        int code = in_child("a directory of another user", "a directory of another user needs root",
                            run_as_nobody);
        remove_tree(roots);
        return code;
    }
    return run_suites(suites);
}
