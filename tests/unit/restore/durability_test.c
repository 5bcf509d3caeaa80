/*
 * A restored tree is on disk before it gets its name, or before the marker goes that says it is not
 * whole; and an error of any sync or rename on the way is an error of the restore, which then looks
 * like none. The system calls of the program are recorded by the linker's --wrap.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

enum call { CALL_CHANGE, CALL_MODE, CALL_SYNC_ALL, CALL_SYNC, CALL_RENAME, CALL_REMOVE_MARKER };

#define CALLS_MAX 4096u

static struct {
    pthread_mutex_t lock;
    bool is_on;
    enum call calls[CALLS_MAX];
    size_t count;
    unsigned fail_at; /* counts down syncs and renames; 0: none fails */
} recorded = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Whether the call is to fail. */
static bool record(enum call call)
{
    bool fails = false;
    pthread_mutex_lock(&recorded.lock);
    if (recorded.is_on) {
        if (recorded.count < CALLS_MAX)
            recorded.calls[recorded.count] = call;
        recorded.count++;
        fails = call > CALL_MODE && recorded.fail_at > 0 && --recorded.fail_at == 0;
    }
    pthread_mutex_unlock(&recorded.lock);
    if (fails)
        errno = EIO;
    return fails;
}

/* The linker's names for the calls of the program. */
#define WRAP(call, name, parameters, arguments)                                                    \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return record(call) ? -1 : __real_##name arguments;                                        \
    }

WRAP(CALL_SYNC_ALL, syncfs, (int fd), (fd))
WRAP(CALL_SYNC, fsync, (int fd), (fd))
WRAP(CALL_RENAME, renameat, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
WRAP(CALL_RENAME, renameat2,
     (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags))
WRAP(strcmp(name, PST_RESTORE_MARKER) == 0 ? CALL_REMOVE_MARKER : CALL_CHANGE, unlinkat,
     (int fd, const char *name, int flags), (fd, name, flags))
WRAP(CALL_CHANGE, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
WRAP(CALL_CHANGE, symlinkat, (const char *to, int fd, const char *name), (to, fd, name))
WRAP(CALL_CHANGE, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(CALL_CHANGE, mknodat, (int fd, const char *name, mode_t mode, dev_t device),
     (fd, name, mode, device))
WRAP(CALL_CHANGE, ftruncate, (int fd, off_t bytes), (fd, bytes))
WRAP(CALL_MODE, fchmod, (int fd, mode_t mode), (fd, mode))

ssize_t __real_pwrite(int fd, const void *data, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t offset);

static useconds_t write_us; /* that each takes */

ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    record(CALL_CHANGE);
    if (write_us > 0)
        usleep(write_us);
    return __real_pwrite(fd, data, bytes, offset);
}

static struct made_place place, target;
static struct pst_restore_result result;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static void begin(void)
{
    struct made_backup made = made_tree(300001);
    pst_log_set_hook(ignore, NULL);
    place = make_fast_place();
    target = place_below(&place, "target");
    make_backup(place.path, &made);
}

static int restore_recorded(bool force, unsigned fail_at)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}, .force = force};
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    recorded.count = 0;
    recorded.fail_at = fail_at;
    recorded.is_on = true;
    int error = pst_restore(backup, target.path, &options, &result);
    recorded.is_on = false;
    CU_ASSERT_TRUE(recorded.count < CALLS_MAX);
    pst_backup_list_release(&list);
    return error;
}

/* The first, or the last, call of a kind from one on; SIZE_MAX: there is none. */
static size_t first(size_t from, enum call call)
{
    while (from < recorded.count && recorded.calls[from] != call)
        from++;
    return from < recorded.count ? from : SIZE_MAX;
}

static size_t last(enum call call)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < recorded.count; i++)
        found = recorded.calls[i] == call ? i : found;
    return found;
}

static bool has(const char *name)
{
    return access(place_below(&target, name).path, F_OK) == 0;
}

static void fill_target(void)
{
    CU_ASSERT_EQUAL_FATAL(mkdir(target.path, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(place_below(&target, "old").path, 0755), 0);
}

static void a_tree_is_on_disk_before_it_has_its_name(void)
{
    begin();
    CU_ASSERT_EQUAL(restore_recorded(false, 0), 0);
    size_t synced = first(0, CALL_SYNC_ALL);
    size_t renamed = first(0, CALL_RENAME);
    CU_ASSERT_TRUE(last(CALL_CHANGE) > 20 && last(CALL_CHANGE) < synced);
    CU_ASSERT_TRUE(synced < renamed);
    /* the target's own directory is opened to others last, and synced by itself */
    CU_ASSERT_TRUE(last(CALL_MODE) < first(synced, CALL_SYNC));
    CU_ASSERT_TRUE(first(synced, CALL_SYNC) < renamed);
    CU_ASSERT_NOT_EQUAL(first(renamed, CALL_SYNC), SIZE_MAX);
    remove_place(&place);
}

static void a_marker_is_there_before_all_and_until_all_is_on_disk(void)
{
    begin();
    fill_target();
    CU_ASSERT_EQUAL(restore_recorded(true, 0), 0);
    size_t named = first(first(0, CALL_SYNC), CALL_RENAME);
    size_t marked = first(named, CALL_SYNC);
    CU_ASSERT_NOT_EQUAL_FATAL(marked, SIZE_MAX);
    size_t written = 0; /* the marker's own contents, and what may be left of an older one */
    for (size_t i = 0; i < marked; i++)
        written += recorded.calls[i] == CALL_CHANGE;
    CU_ASSERT_TRUE(written <= 2);
    size_t synced = first(marked, CALL_SYNC_ALL);
    CU_ASSERT_TRUE(last(CALL_CHANGE) > marked + 20 && last(CALL_CHANGE) < synced);
    size_t removed = first(synced, CALL_REMOVE_MARKER);
    CU_ASSERT_EQUAL(removed, first(marked, CALL_REMOVE_MARKER));
    CU_ASSERT_NOT_EQUAL(first(removed, CALL_SYNC), SIZE_MAX);
    CU_ASSERT_TRUE(last(CALL_MODE) < last(CALL_SYNC));
    CU_ASSERT_TRUE(has("d/small") && has("old") && !has(PST_RESTORE_MARKER));
    remove_place(&place);
}

/* Until none is met any more; the last syncs only say that the name, or its end, lasts. */
static void expect_errors(bool in_place)
{
    unsigned n = 0;
    for (int error = -EIO; error;) {
        begin();
        if (in_place)
            fill_target();
        error = restore_recorded(in_place, ++n);
        bool was_due = recorded.fail_at == 0;
        CU_ASSERT_EQUAL(error, was_due ? -EIO : 0);
        CU_ASSERT_TRUE(!error || result.message[0] != '\0');
        if (error && !in_place && first(0, CALL_RENAME) == SIZE_MAX)
            CU_ASSERT_FALSE(path_exists(target.path));
        if (error && in_place && first(0, CALL_REMOVE_MARKER) == SIZE_MAX)
            CU_ASSERT_TRUE(has(PST_RESTORE_MARKER) || !has("d"));
        remove_place(&place);
    }
    CU_ASSERT_TRUE(n > 3);
}

static void an_error_of_any_sync_fails_the_restore(void)
{
    expect_errors(false);
    expect_errors(true);
}

/* Much is synced before all of it is there; that the last sync is all right says nothing of it. */
static void an_error_of_an_early_sync_fails_the_restore(void)
{
    static struct made_data data[1600];
    const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0700},
        {.id = 2, .type = PST_OBJECT_FILE, .path = "f", .size = 1600ull << 16, .mode = 0600},
    };
    for (uint32_t i = 0; i < 1600; i++)
        data[i] = (struct made_data){0, 2, (uint64_t)i << 16, 1 << 16};
    const struct made_backup made = {.number = 1,
                                     .parts = 1,
                                     .sources = 1,
                                     .objects = objects,
                                     .objects_count = 2,
                                     .data = data,
                                     .data_count = 1600,
                                     .chunks_per_index = 500};
    pst_log_set_hook(ignore, NULL);
    place = make_fast_place();
    target = place_below(&place, "target");
    make_backup(place.path, &made);
    write_us = 500;
    CU_ASSERT_EQUAL(restore_recorded(false, 1), -EIO);
    CU_ASSERT_FALSE(path_exists(target.path));
    CU_ASSERT_EQUAL(restore_recorded(false, 0), 0);
    CU_ASSERT_TRUE(last(CALL_SYNC_ALL) > last(CALL_CHANGE));
    write_us = 0;
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a tree is on disk before it has its name", a_tree_is_on_disk_before_it_has_its_name},
        {"a marker is there before all, and until all is on disk",
         a_marker_is_there_before_all_and_until_all_is_on_disk},
        {"an error of any sync fails the restore", an_error_of_any_sync_fails_the_restore},
        {"an error of an early sync fails the restore",
         an_error_of_an_early_sync_fails_the_restore},
        CU_TEST_INFO_NULL,
    };
    return suite_run("restore: durability", tests);
}
