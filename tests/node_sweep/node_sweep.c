/*
 * The fault sweep of a whole backup: run N fails the N-th I/O of LDM 1, or of the archive. Each run
 * ends in a whole backup, where the fault is one that can be lived with (a source's file that
 * cannot be read is marked), or in an error that names its step with nothing left; and the next
 * backup into the same directory completes. The sweep ends when a backup makes fewer I/Os than N.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine/repository/layout.h"
#include "io/fault.h"
#include "tests/support/decoded.h"
#include "tests/support/file_systems.h"
#include "tests/support/node_rig.h"

#define RUNS_MAX 400u
#define ABORTED_RUNS (12u / RIG_STRIDE)

struct fault_case {
    const char *name;
    enum pst_io_fault_kind kind;
    int error;
    uint32_t short_bytes;
};

static const struct fault_case fault_cases[] = {
    {"EIO", PST_IO_FAULT_ERROR, EIO, 0},         {"ENOSPC", PST_IO_FAULT_ERROR, ENOSPC, 0},
    {"EINTR", PST_IO_FAULT_ERROR, EINTR, 0},     {"short, aligned", PST_IO_FAULT_SHORT, 0, 4096},
    {"short, odd", PST_IO_FAULT_SHORT, 0, 1001},
};

/* A real disk syncs slowly: there, one kind of error and one of shortness. */
static bool on_disk;
static char tree[SCRATCH_PATH_BYTES];
static char tree_spec[2 * SCRATCH_PATH_BYTES];
static char to[SCRATCH_PATH_BYTES];

static int start_in(const char *base)
{
    make_scratch(to, base);
    on_disk = strcmp(base, ".") == 0;
    make_scratch(tree, "/dev/shm");
    make_directory(tree, "directory");
    make_file(tree, "directory/a", 100, 1);
    make_file(tree, "directory/b", 5000, 2);
    make_file(tree, "c", 150 * KIB, 3);
    make_file(tree, "d", 70 * KIB, 4);
    snprintf(tree_spec, sizeof(tree_spec), "dir:%s", tree);
    return 0;
}

static int stop(void)
{
    remove_tree(to);
    remove_tree(tree);
    return 0;
}

static bool is_named(const struct decoded *decoded, const char *path)
{
    char name[SCRATCH_PATH_BYTES];
    for (uint32_t i = 0; i < decoded->node->unreadable_names_count; i++) {
        snprintf(name, sizeof(name), "%s/%s", decoded->node->sources[0].name, path);
        if (strcmp(decoded->node->unreadable_names[i], name) == 0)
            return true;
    }
    return false;
}

/* Whole, or with each object that is not marked and named. */
static void check_backup(const struct rig *rig)
{
    struct decoded decoded;
    uint64_t marked = 0;
    bool opened = decoded_open(&decoded, to, rig->report->number);
    CU_ASSERT_TRUE(opened);
    for (size_t i = 0; opened && i < decoded.objects_count; i++) {
        if (!(decoded.objects[i].object.flags & PST_OBJECT_UNREADABLE))
            continue;
        marked++;
        CU_ASSERT_TRUE(is_named(&decoded, decoded.objects[i].object.path));
    }
    CU_ASSERT_EQUAL(rig->report->sums.unreadable, marked);
    if (opened && marked == 0) {
        CU_ASSERT_TRUE(decoded_is_tree(&decoded, 0, tree));
    }
    decoded_close(&decoded);
    remove_tree(join(to, layout_backup(rig->report->number).text));
}

static void set_fault(struct rig *rig, struct pst_io_fault *ldm, struct pst_io_fault *archive)
{
    rig->options.node.ldm_fault = ldm;
    rig->options.node.archive_fault = archive;
}

/* One backup with a fault, and one without; false once the fault came too late. */
static bool run_with(struct rig *rig, struct pst_io_fault *fault, bool of_archive)
{
    unsigned fds = count_open_fds();
    set_fault(rig, of_archive ? NULL : fault, of_archive ? fault : NULL);
    begin_log_capture();
    int error = rig_run(rig);
    char *log = end_log_capture();
    set_fault(rig, NULL, NULL);
    if (!error) {
        check_backup(rig);
    } else if (rig->options.cancel_fd >= 0) {
        CU_ASSERT_TRUE(error == -PST_E_CLIENT_ABORT || error == -fault->error);
    } else {
        CU_ASSERT_EQUAL(error, -fault->error);
        CU_ASSERT_EQUAL(fault->kind, PST_IO_FAULT_ERROR);
        CU_ASSERT_PTR_NOT_NULL(strstr(log, "error: "));
        CU_ASSERT_PTR_NOT_NULL(strstr(log, "BACKUP-1"));
        CU_ASSERT_TRUE(is_empty_directory(to));
    }
    if (error && rig->options.cancel_fd < 0 && !is_empty_directory(to))
        printf("I/O %llu: %s", (unsigned long long)fault->at, log);
    free(log);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    int cancel_fd = rig->options.cancel_fd;
    rig->options.cancel_fd = -1;
    CU_ASSERT_EQUAL(rig_run(rig), 0);
    check_backup(rig);
    CU_ASSERT_TRUE(is_empty_directory(to)); /* what an abort could not remove, the sweep did */
    rig->options.cancel_fd = cancel_fd;
    return fault->seen >= fault->at;
}

static void sweep(uint32_t ldms, bool of_archive, bool cancels)
{
    const char *const specs[] = {tree_spec, "synthetic:rows=30,row-bytes=20000"};
    struct rig rig;
    rig_open(&rig, to, ldms, specs, 2);
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    check_backup(&rig);
    uint64_t whole_ns = rig.report->elapsed_ns;
    if (cancels)
        rig.options.cancel_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    for (size_t i = 0; i < sizeof(fault_cases) / sizeof(fault_cases[0]); i++) {
        const struct fault_case *fault_case = &fault_cases[i];
        if (on_disk && fault_case->error != EIO && fault_case->short_bytes != 4096)
            continue;
        uint64_t runs = 0, hits = 0;
        bool goes_on = true;
        while (cancels ? runs < ABORTED_RUNS : goes_on && runs < RUNS_MAX) {
            struct pst_io_fault fault = {.kind = fault_case->kind,
                                         .at = 1 + RIG_STRIDE * runs++,
                                         .error = fault_case->error,
                                         .short_bytes = fault_case->short_bytes};
            struct itimerspec when = {
                .it_value = {.tv_nsec = 1 + (long)((uint64_t)rand() % whole_ns) % 900000000}};
            if (cancels)
                timerfd_settime(rig.options.cancel_fd, 0, &when, NULL);
            goes_on = run_with(&rig, &fault, of_archive);
            hits += fault.hits;
        }
        CU_ASSERT_TRUE(cancels || !goes_on);
        CU_ASSERT_TRUE(cancels || hits > 0 || fault_case->kind == PST_IO_FAULT_SHORT);
        printf("%s: %llu; ", fault_case->name, (unsigned long long)hits);
    }
    if (cancels)
        close(rig.options.cancel_fd);
    rig_close(&rig);
}

static void test_one_ldm(void)
{
    sweep(1, false, false);
}

static void test_two_ldms(void)
{
    sweep(2, false, false);
}

static void test_archive(void)
{
    sweep(2, true, false);
}

static void test_aborted(void)
{
    sweep(2, false, true);
    sweep(2, true, true);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"one LDM", test_one_ldm}, {"LDM 1 of two", test_two_ldms},
        {"archive", test_archive}, {"aborted by the client", test_aborted},
        CU_TEST_INFO_NULL,
    };
    return run_on_disk_and_tmpfs("backup sweep", start_in, stop, tests);
}
