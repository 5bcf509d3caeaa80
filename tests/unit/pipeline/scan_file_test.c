/* The files that a scan reads: what is read, and what is reported, in every order of events. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/pipeline/scan_file.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/unit/pipeline/rig.h"

#define BYTES 10000u

/* A file and its user. */
struct user {
    struct pst_fragment_file listed;
    struct pst_io_range blocks;
    struct scan_file *file;
    uint32_t bad; /* reports */
    uint8_t flags;
    int error; /* of the last one */
    uint32_t closed;
    uint64_t size_bytes; /* of a file that shrank */
};

struct test_read {
    struct scan_read read; /* first */
    uint32_t done;
    int result;
    uint8_t memory[BYTES];
};

static struct rig rig;
static struct scan_files *files;
static struct user user;

static void on_bad(void *context, const struct pst_fragment_file *listed, uint8_t flag, int error)
{
    struct user *of = context;
    CU_ASSERT_PTR_EQUAL(listed, &of->listed);
    CU_ASSERT_EQUAL(of->closed, 0);
    of->bad++;
    of->flags |= flag;
    of->error = error;
}

static void on_shrunk(void *context, const struct pst_fragment_file *listed, uint64_t size_bytes)
{
    struct user *of = context;
    CU_ASSERT_PTR_EQUAL(listed, &of->listed);
    CU_ASSERT_TRUE(size_bytes < listed->size_bytes);
    of->size_bytes = size_bytes;
}

static void on_closed(void *context)
{
    struct user *of = context;
    of->closed++;
}

static void on_done(struct scan_read *read, int result)
{
    struct test_read *test = (struct test_read *)read;
    test->done++;
    test->result = result;
}

static void begin(void)
{
    static const struct scan_file_reports reports = {
        .bad = on_bad, .shrunk = on_shrunk, .closed = on_closed};
    rig_open(&rig, PST_BLOCK_BYTES);
    CU_ASSERT_EQUAL_FATAL(scan_files_create(rig.ring, &reports, NULL, &files), 0);
    user = (struct user){0};
    rig_write_file(&rig, "file", BYTES, 5, &user.listed);
}

static void end(void)
{
    CU_ASSERT_EQUAL(scan_files_in_use(files), 0);
    scan_files_check(files, 0);
    scan_files_destroy(files);
    rig_close(&rig);
}

static void take(struct user *of)
{
    of->file = scan_file_take(files, rig.dirfd, &of->listed, of->blocks, of);
    CU_ASSERT_PTR_NOT_NULL_FATAL(of->file);
}

static void start_read(struct test_read *test, uint64_t offset, uint32_t bytes)
{
    memset(test, 0, sizeof(*test));
    test->read = (struct scan_read){.memory = test->memory,
                                    .bytes = bytes,
                                    .offset = offset,
                                    .buffer_index = -1,
                                    .done = on_done};
    scan_file_read(user.file, &test->read);
}

static bool has_bytes(const struct test_read *test, uint64_t offset, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        if (test->memory[i] != rig_byte(5, offset + i))
            return false;
    }
    return test->done == 1 && test->result == (int)bytes;
}

static void reads_wait_for_the_open(void)
{
    static struct test_read first, second;
    begin();
    take(&user);
    start_read(&first, 0, 100);
    start_read(&second, 5000, 1000);
    CU_ASSERT_EQUAL(first.done, 0);
    scan_files_check(files, 2);
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(has_bytes(&first, 0, 100));
    CU_ASSERT_TRUE(has_bytes(&second, 5000, 1000));
    start_read(&first, BYTES - 10, 100); /* beyond the end */
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(has_bytes(&first, BYTES - 10, 10));
    CU_ASSERT_EQUAL(user.closed, 0);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.closed, 1);
    CU_ASSERT_EQUAL(user.bad, 0);
    end();
}

static void a_file_let_go_of_closes_after_its_last_read(void)
{
    static struct test_read read;
    begin();
    take(&user);
    start_read(&read, 0, 100);
    scan_file_let_go(user.file); /* not even open yet */
    scan_files_check(files, 1);
    CU_ASSERT_EQUAL(scan_files_in_use(files), 1);
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(has_bytes(&read, 0, 100));
    CU_ASSERT_EQUAL(user.closed, 1);
    end();
}

static void what_cannot_be_opened_fails_its_reads(void)
{
    static struct test_read early, late;
    begin();
    unlinkat(rig.dirfd, "file", 0);
    take(&user);
    start_read(&early, 0, 100);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(early.result, -ENOENT);
    CU_ASSERT_EQUAL(user.bad, 1);
    CU_ASSERT_EQUAL(user.flags, PST_OBJECT_UNREADABLE);
    CU_ASSERT_EQUAL(user.error, -ENOENT);
    start_read(&late, 0, 100);
    CU_ASSERT_EQUAL(late.done, 1);
    CU_ASSERT_EQUAL(late.result, -ENOENT);
    scan_file_let_go(user.file);
    CU_ASSERT_EQUAL(user.closed, 1);
    end();
}

static void a_fifo_is_no_file(void)
{
    begin();
    unlinkat(rig.dirfd, "file", 0);
    CU_ASSERT_EQUAL(mkfifoat(rig.dirfd, "file", 0600), 0);
    take(&user);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.error, -PST_E_CHANGED);
    CU_ASSERT_TRUE(user.flags & PST_OBJECT_UNREADABLE);
    CU_ASSERT_EQUAL(user.closed, 1);
    end();
}

/* But for a small file, of which one look when it closes tells all. */
static void a_change_is_seen_when_it_opens(void)
{
    begin();
    rig_write_file(&rig, "file", 70000, 5, &user.listed);
    user.listed.size_bytes--;
    take(&user);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.flags, PST_OBJECT_CHANGED);
    CU_ASSERT_EQUAL(user.error, -PST_E_CHANGED);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    end();
}

static void a_change_is_seen_when_it_closes(void)
{
    struct pst_fragment_file ignored;
    begin();
    take(&user);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, 0);
    rig_write_file(&rig, "file", BYTES / 2, 5, &ignored);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.flags, PST_OBJECT_CHANGED);
    CU_ASSERT_EQUAL(user.size_bytes, BYTES / 2);
    end();
}

/* Of the same size, and other bytes: its time says so, and so does another file under its name. */
static void a_change_of_the_same_size_is_seen(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        begin();
        if (i == 0)
            user.listed.mtime_ns--;
        else
            user.listed.inode++;
        take(&user);
        pst_ring_drain(rig.ring);
        scan_file_let_go(user.file);
        pst_ring_drain(rig.ring);
        CU_ASSERT_EQUAL(user.flags, PST_OBJECT_CHANGED);
        end();
    }
}

/* Of the same size and mtime: it may be written to, and its mtime set back. But for a small file,
 * and a pinned one. */
static void a_change_while_it_is_open_is_seen(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        begin();
        rig_write_file(&rig, "file", i == 1 ? 100 : 70000, 5, &user.listed);
        user.listed.flags = i == 2 ? PST_FRAGMENT_FILE_PINNED : 0;
        take(&user);
        pst_ring_drain(rig.ring);
        usleep(30000); /* more than a tick of the kernel's clock */
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                    {.tv_sec = user.listed.mtime_ns / 1000000000,
                                     .tv_nsec = user.listed.mtime_ns % 1000000000}};
        CU_ASSERT_EQUAL(utimensat(rig.dirfd, "file", times, 0), 0);
        scan_file_let_go(user.file);
        pst_ring_drain(rig.ring);
        CU_ASSERT_EQUAL(user.flags, i == 0 ? PST_OBJECT_CHANGED : 0);
        end();
    }
}

static void remove_it(void)
{
    CU_ASSERT_EQUAL(unlinkat(rig.dirfd, "file", 0), 0);
}

static void rename_it(void)
{
    CU_ASSERT_EQUAL(renameat(rig.dirfd, "file", rig.dirfd, "other"), 0);
}

static void replace_it(void)
{
    struct pst_fragment_file other;
    rename_it();
    rig_write_file(&rig, "file", 70000, 6, &other);
}

static void link_it(void)
{
    CU_ASSERT_EQUAL(linkat(rig.dirfd, "file", rig.dirfd, "link", 0), 0);
}

static void change_its_mode(void)
{
    CU_ASSERT_EQUAL(fchmodat(rig.dirfd, "file", 0640, 0), 0);
}

static void change_its_owner(void)
{
    CU_ASSERT_TRUE(geteuid() != 0 || fchownat(rig.dirfd, "file", (uid_t)-1, 1, 0) == 0);
}

/* Each is a change of the ctime. */
static void what_leaves_the_contents_alone_is_no_change(void)
{
    void (*const changes[])(void) = {remove_it, rename_it,       replace_it,
                                     link_it,   change_its_mode, change_its_owner};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        begin();
        rig_write_file(&rig, "file", 70000, 5, &user.listed);
        take(&user);
        pst_ring_drain(rig.ring);
        usleep(30000); /* more than a tick of the kernel's clock */
        changes[i]();
        scan_file_let_go(user.file);
        pst_ring_drain(rig.ring);
        CU_ASSERT_EQUAL(user.bad, 0);
        end();
    }
}

static void of_a_pinned_file_only_the_inode_counts(void)
{
    begin();
    user.listed.flags = PST_FRAGMENT_FILE_PINNED;
    user.listed.size_bytes++;
    take(&user);
    pst_ring_drain(rig.ring);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, 0);
    user.closed = 0;
    user.listed.inode++;
    take(&user);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, 1);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    end();
}

static void so_many_and_no_more_are_open(void)
{
    static struct user users[SCAN_FILES_MAX];
    begin();
    for (uint32_t i = 0; i < SCAN_FILES_MAX; i++) {
        users[i] = (struct user){.listed = user.listed};
        take(&users[i]);
    }
    CU_ASSERT_EQUAL(scan_files_in_use(files), SCAN_FILES_MAX);
    CU_ASSERT_PTR_NULL(scan_file_take(files, rig.dirfd, &user.listed, user.blocks, &user));
    scan_files_check(files, 0);
    scan_file_let_go(users[40].file);
    pst_ring_drain(rig.ring);
    take(&users[40]);
    for (uint32_t i = 0; i < SCAN_FILES_MAX; i++)
        scan_file_let_go(users[i].file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(users[40].closed, 2);
    end();
}

/* Three names of a file: the first is gone, or another file's; the last is there, or not. */
static void read_by_another_name(bool is_replaced, bool is_there)
{
    static struct test_read read;
    struct pst_fragment_file other;
    begin();
    user.listed.path = "file\0gone\0another";
    user.listed.names = 2;
    if (is_there)
        CU_ASSERT_EQUAL(linkat(rig.dirfd, "file", rig.dirfd, "another", 0), 0);
    unlinkat(rig.dirfd, "file", 0);
    if (is_replaced)
        rig_write_file(&rig, "file", 20, 6, &other);
    take(&user);
    start_read(&read, 0, 100);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(read.done, 1);
    CU_ASSERT_EQUAL(has_bytes(&read, 0, 100), is_there);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, is_there ? 0 : 1);
    CU_ASSERT_EQUAL(user.error, is_there ? 0 : -ENOENT);
    CU_ASSERT_EQUAL(user.closed, 1);
    unlinkat(rig.dirfd, "another", 0);
    end();
}

static void any_of_its_names_will_do(void)
{
    read_by_another_name(false, false);
    read_by_another_name(false, true);
    read_by_another_name(true, true);
}

/* Makes the at-th I/O fail so, from now on counted. */
static void run_short(uint64_t at, int error)
{
    rig.fault = (struct pst_io_fault){.at = at, .error = error};
}

static void retry(void)
{
    CU_ASSERT_NOT_EQUAL(scan_files_retry_ns(files), SCAN_DEADLINE_NONE);
    while (!scan_files_retry(files, false))
        continue; /* for 2 ms */
    pst_ring_drain(rig.ring);
}

/* The process ran short: that says nothing about the file. */
static void a_shortage_is_waited_out(void)
{
    static const int errors[] = {EMFILE, ENFILE, ENOMEM};
    static struct test_read read;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        for (uint64_t at = 1; at <= 2; at++) { /* the open, or the read */
            begin();
            CU_ASSERT_FALSE(scan_files_retry(files, false));
            run_short(at, errors[i]);
            take(&user);
            start_read(&read, 0, 100);
            pst_ring_drain(rig.ring);
            CU_ASSERT_EQUAL(rig.fault.hits, 1);
            CU_ASSERT_EQUAL(read.done, 0);
            scan_files_check(files, 1);
            CU_ASSERT_PTR_NULL(scan_file_take(files, rig.dirfd, &user.listed, user.blocks, &user));
            retry();
            CU_ASSERT_TRUE(has_bytes(&read, 0, 100));
            scan_file_let_go(user.file);
            pst_ring_drain(rig.ring);
            CU_ASSERT_EQUAL(user.bad, 0);
            CU_ASSERT_EQUAL(scan_files_retry_ns(files), SCAN_DEADLINE_NONE);
            end();
        }
    }
}

/* A file that its owner has a lease of is bad, and nothing waits for it. */
static void a_leased_file_holds_up_nobody(void)
{
    begin();
    signal(SIGIO, SIG_IGN); /* the kernel asks for the lease by it */
    int fd = openat(rig.dirfd, "file", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
    take(&user);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, 1);
    CU_ASSERT_EQUAL(scan_files_retry_ns(files), SCAN_DEADLINE_NONE);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    close(fd);
    end();
}

/* Of a scan that is to stop: at once, and the file is no worse for it. */
static void what_waits_can_be_stopped(void)
{
    static struct test_read read;
    for (uint64_t at = 1; at <= 2; at++) {
        begin();
        run_short(at, EMFILE);
        take(&user);
        start_read(&read, 0, 100);
        pst_ring_drain(rig.ring);
        scan_file_let_go(user.file);
        CU_ASSERT_TRUE(scan_files_retry(files, true));
        pst_ring_drain(rig.ring);
        CU_ASSERT_EQUAL(read.done, 1);
        CU_ASSERT_EQUAL(read.result, -ECANCELED);
        CU_ASSERT_EQUAL(user.bad, at == 1 ? 1 : 0);
        CU_ASSERT_TRUE(user.bad == 0 || user.error == -ECANCELED);
        CU_ASSERT_EQUAL(user.closed, 1);
        end();
    }
}

/* The share of a node that has few descriptors. */
static void fewer_may_be_open(void)
{
    static const struct scan_file_reports reports = {
        .bad = on_bad, .shrunk = on_shrunk, .closed = on_closed};
    _Atomic uint32_t max = 1;
    begin();
    scan_files_destroy(files);
    CU_ASSERT_EQUAL_FATAL(scan_files_create(rig.ring, &reports, &max, &files), 0);
    take(&user);
    CU_ASSERT_PTR_NULL(scan_file_take(files, rig.dirfd, &user.listed, user.blocks, &user));
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    take(&user);
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(user.bad, 0);
    end();
}

static void let_go_twice(void *context)
{
    struct user *of = context;
    scan_file_let_go(of->file);
    scan_file_let_go(of->file);
}

static void lose_a_read(void *context)
{
    (void)context;
    scan_files_check(files, 1);
}

static void leave_one_open(void *context)
{
    (void)context;
    scan_files_destroy(files);
}

static void misuse_aborts(void)
{
    begin();
    take(&user);
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(child_aborts(let_go_twice, &user));
    CU_ASSERT_TRUE(child_aborts(lose_a_read, NULL));
    CU_ASSERT_TRUE(child_aborts(leave_one_open, NULL));
    scan_file_let_go(user.file);
    pst_ring_drain(rig.ring);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"reads wait for the open", reads_wait_for_the_open},
        {"a file let go of closes after its last read",
         a_file_let_go_of_closes_after_its_last_read},
        {"what cannot be opened fails its reads", what_cannot_be_opened_fails_its_reads},
        {"a FIFO is no file", a_fifo_is_no_file},
        {"a change is seen when it opens", a_change_is_seen_when_it_opens},
        {"a change is seen when it closes", a_change_is_seen_when_it_closes},
        {"a change while it is open is seen", a_change_while_it_is_open_is_seen},
        {"what leaves the contents alone is no change",
         what_leaves_the_contents_alone_is_no_change},
        {"a change of the same size is seen", a_change_of_the_same_size_is_seen},
        {"of a pinned file only the inode counts", of_a_pinned_file_only_the_inode_counts},
        {"so many and no more are open", so_many_and_no_more_are_open},
        {"any of its names will do", any_of_its_names_will_do},
        {"a shortage is waited out", a_shortage_is_waited_out},
        {"a leased file holds up nobody", a_leased_file_holds_up_nobody},
        {"what waits can be stopped", what_waits_can_be_stopped},
        {"fewer may be open", fewer_may_be_open},
        {"misuse aborts", misuse_aborts},
        CU_TEST_INFO_NULL,
    };
    return suite_run("scan_file", tests);
}
