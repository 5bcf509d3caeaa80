/* The source dir where threads read ahead of its walk: what it lists is what the walk alone lists.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/source/dir/ahead_threads.h"
#include "engine/source/dir/tree.h"
#include "tests/unit/source/source_test.h"

#define LDMS 4u

static struct pst_source *source;
static struct collected collected;

static void set_up(void)
{
    make_directory();
}

static void tear_down(void)
{
    remove_directory();
}

/* ---- calls of the threads ---- */

enum call {
    CALL_NONE,
    CALL_LOOK, /* statx */
    CALL_READ, /* getdents64 */
};

static pthread_t walk;
static atomic_int failing; /* enum call: it fails, for others than the walk */
static atomic_int holding; /* enum call: the next one of others than the walk is held */
static atomic_bool is_held;
static char held_name[64];
static const char *hold_at; /* only at this name; NULL: any */

static bool is_thread(void)
{
    return !pthread_equal(pthread_self(), walk);
}

static void wait_until(const atomic_bool *flag)
{
    while (!atomic_load(flag))
        (void)sched_yield();
}

static atomic_bool is_released;

static bool must_fail(enum call call, const char *name)
{
    int expected = (int)call;
    if (!is_thread())
        return false;
    if ((!hold_at || strcmp(name, hold_at) == 0) &&
        atomic_compare_exchange_strong(&holding, &expected, CALL_NONE)) {
        snprintf(held_name, sizeof(held_name), "%s", name);
        atomic_store(&is_held, true);
        wait_until(&is_released);
    }
    return atomic_load(&failing) == (int)call;
}

int __real_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);

/* Called around a look at a file; where neither is set, nothing is. */
static void (*before_look)(const char *name);
static void (*after_look)(const char *name);

int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status)
{
    if (must_fail(CALL_LOOK, name)) {
        errno = EMFILE;
        return -1;
    }
    bool is_file = strncmp(name, "file", 4) == 0;
    if (is_file && before_look)
        before_look(name);
    int result = __real_statx(directory, name, flags, mask, status);
    if (is_file && after_look)
        after_look(name);
    return result;
}

ssize_t __real_getdents64(int fd, void *buffer, size_t bytes);
ssize_t __wrap_getdents64(int fd, void *buffer, size_t bytes);

static const char *hidden; /* a name that is missing in so many readings */
static int hidings;
static int silent;          /* so many of these, the last ones, see no change */
static int readings;        /* that have ended */
static const char *doubled; /* one that is there twice */
static bool is_restless;    /* at the end of each reading there is a further file */
static int restful;         /* but not of so many, the first ones */
static const char *resting; /* changes in each rest; rests take no time then */
static int64_t rests_ns;    /* of those */
static pthread_mutex_t changes = PTHREAD_MUTEX_INITIALIZER;
static struct timespec now; /* where set */
static bool now_follows;    /* it is when the directory was last seen to change */

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock != CLOCK_REALTIME || now.tv_sec == 0)
        return __real_clock_gettime(clock, time);
    *time = now;
    return 0;
}

/* Where the name's record is in what was read; -1: nowhere. */
static ssize_t find_record(const char *buffer, ssize_t bytes, const char *name)
{
    for (ssize_t at = 0; name && at < bytes;) {
        const struct dirent64 *record = (const void *)(buffer + at);
        if (strcmp(record->d_name, name) == 0)
            return at;
        at += record->d_reclen;
    }
    return -1;
}

static void make_file_in(int fd, const char *name)
{
    CU_ASSERT_EQUAL(close(openat(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600)), 0);
}

static ssize_t hide(int fd, char *buffer, ssize_t bytes)
{
    ssize_t at = hidings > 0 ? find_record(buffer, bytes, hidden) : -1;
    if (at < 0)
        return bytes;
    const struct dirent64 *record = (const void *)(buffer + at);
    ssize_t length = record->d_reclen;
    memmove(buffer + at, buffer + at + length, (size_t)(bytes - at - length));
    hidings--;
    if (hidings >= silent) {
        make_file_in(fd, "passing");
        CU_ASSERT_EQUAL(unlinkat(fd, "passing", 0), 0);
        struct stat status;
        REQUIRE(fstat(fd, &status) == 0);
        now = now_follows ? status.st_ctim : now;
    }
    return bytes - length;
}

static ssize_t change(int fd, char *buffer, size_t room, ssize_t bytes)
{
    static int number;
    char name[32];
    bytes = hide(fd, buffer, bytes);
    readings += bytes == 0;
    ssize_t at = find_record(buffer, bytes, doubled);
    if (at >= 0) {
        const struct dirent64 *record = (const void *)(buffer + at);
        size_t length = record->d_reclen;
        CU_ASSERT_TRUE_FATAL((size_t)bytes + length <= room);
        memcpy(buffer + bytes, record, length);
        bytes += (ssize_t)length;
    }
    if (is_restless && bytes == 0 && readings > restful) {
        snprintf(name, sizeof(name), "further-%d", number++);
        make_file_in(fd, name);
    }
    return bytes;
}

int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (!resting)
        return __real_nanosleep(time, left);
    rests_ns += time->tv_sec * 1000000000 + time->tv_nsec;
    make_file_in(AT_FDCWD, resting);
    REQUIRE(unlink(resting) == 0);
    return 0;
}

ssize_t __wrap_getdents64(int fd, void *buffer, size_t bytes)
{
    if (must_fail(CALL_READ, "")) {
        errno = EIO;
        return -1;
    }
    ssize_t read = __real_getdents64(fd, buffer, bytes);
    pthread_mutex_lock(&changes);
    if (read >= 0)
        read = change(fd, buffer, bytes, read);
    pthread_mutex_unlock(&changes);
    return read;
}

/* ---- listings ---- */

static void begin(uint32_t ldms)
{
    source = open_source("here=dir:.");
    source->policy.ldms = ldms;
    collected_init(&collected);
    ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
    ASSERT_OK(pst_source_snapshot(source, 1));
    ASSERT_OK(pst_source_thaw(source));
}

static void end(void)
{
    pst_source_close(source);
    collected_free(&collected);
}

static void compare_files(const struct pst_fragment_descriptor *one,
                          const struct pst_fragment_descriptor *other)
{
    for (uint32_t i = 0; i < one->files_count; i++) {
        struct pst_fragment_file file = one->files[i];
        CU_ASSERT_STRING_EQUAL(file.path, other->files[i].path);
        file.path = other->files[i].path;
        CU_ASSERT_EQUAL(memcmp(&file, &other->files[i], sizeof(file)), 0);
    }
    CU_ASSERT_EQUAL(
        memcmp(one->extents, other->extents, one->extents_count * sizeof(one->extents[0])), 0);
}

/* Every object with its id, and every fragment with what is in it. */
static void compare(const struct collected *one, const struct collected *other)
{
    CU_ASSERT_EQUAL(memcmp(&one->listing, &other->listing, sizeof(one->listing)), 0);
    CU_ASSERT_EQUAL_FATAL(one->count, other->count);
    for (uint64_t i = 0; i < one->count; i++) {
        const struct pst_fragment_descriptor *here = one->fragments[i],
                                             *there = other->fragments[i];
        CU_ASSERT_EQUAL_FATAL(here->entries_bytes, there->entries_bytes);
        CU_ASSERT_EQUAL(memcmp(here->data, there->data, here->entries_bytes), 0);
        CU_ASSERT_EQUAL_FATAL(here->files_count, there->files_count);
        CU_ASSERT_EQUAL_FATAL(here->extents_count, there->extents_count);
        compare_files(here, there);
    }
}

static void compare_with_the_walk_alone(uint32_t ldms, uint32_t times)
{
    struct collected alone;
    begin(0);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    check_listing(&collected);
    alone = collected;
    collected_init(&collected);
    end();
    for (uint32_t i = 0; i < times; i++) {
        begin(ldms);
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        compare(&alone, &collected);
        end();
    }
    collected_free(&alone);
}

static void make_files(const char *directory, int count)
{
    char path[PST_PATH_BYTES_MAX];
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/file%d", directory, i);
        write_file(path, "content", (size_t)(i % 8));
    }
}

/* Wide, deep, empty, and with links from one end to the other. */
static void make_tree(void)
{
    char path[PST_PATH_BYTES_MAX], other[2 * PST_PATH_BYTES_MAX];
    for (int i = 0; i < 120; i++) {
        snprintf(path, sizeof(path), "d%d", i);
        ASSERT_OK(mkdir(path, 0755));
        make_files(path, i % 7);
        for (int j = 0; j < i % 4; j++) {
            snprintf(other, sizeof(other), "%s/e%d", path, j);
            ASSERT_OK(mkdir(other, 0700));
            make_files(other, j);
        }
        snprintf(other, sizeof(other), "%s/symlink", path);
        ASSERT_OK(symlink("d0", other));
    }
    ASSERT_OK(mkdir("wide", 0755));
    make_files("wide", 700);
    write_file("linked", "content", 7);
    size_t used = (size_t)snprintf(path, sizeof(path), "deep");
    for (int i = 0; i < 2 * (int)TREE_OPEN; i++) {
        ASSERT_OK(mkdir(path, 0755));
        make_files(path, 3);
        snprintf(other, sizeof(other), "%s/link", path);
        ASSERT_OK(link("linked", other));
        snprintf(other, sizeof(other), "%s/side", path);
        ASSERT_OK(mkdir(other, 0755));
        make_files(other, 2);
        used += (size_t)snprintf(path + used, sizeof(path) - used, "/deeper");
    }
}

static void the_order_is_that_of_the_walk_alone(void)
{
    make_tree();
    compare_with_the_walk_alone(2, 5);
    compare_with_the_walk_alone(LDMS, 10);
    compare_with_the_walk_alone(64, 5);
}

static void what_fails_for_a_thread_is_tried_by_the_walk(void)
{
    make_tree();
    atomic_store(&failing, CALL_LOOK);
    compare_with_the_walk_alone(LDMS, 2);
    atomic_store(&failing, CALL_READ);
    compare_with_the_walk_alone(LDMS, 2);
    atomic_store(&failing, CALL_NONE);
}

/* ---- a walk that waits ---- */

static struct pst_activity activity;
static struct pst_fragment_sink real_sink;
static const struct {
    enum call call;
    bool is_cancelled; /* meanwhile */
    const char *what;
} hangs[] = {
    {CALL_LOOK, false, "look at"},
    {CALL_READ, false, "read the directory"},
    {CALL_LOOK, true, "look at"},
    {CALL_READ, true, "read the directory"},
};
static size_t hang;

/* Lets the threads come to where the call is held, before the walk goes on. */
static int emit_when_held(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    if (collected.count == 1 && hang < sizeof(hangs) / sizeof(hangs[0])) {
        wait_until(&is_held);
        collected.cancel_at = hangs[hang].is_cancelled ? 2 : 0;
    }
    return real_sink.emit(sink, slot);
}

/* Another thread sees what the walk waits for, and only then lets it go on. */
static void *release_when_named(void *argument)
{
    struct pst_activity_view view;
    (void)argument;
    wait_until(&is_held);
    do {
        (void)sched_yield();
        pst_activity_view(&activity, &view);
    } while (!view.what || strcmp(view.what, hangs[hang].what) != 0 ||
             strcmp(view.name, held_name) != 0);
    atomic_store(&is_released, true);
    return NULL;
}

static void what_a_thread_hangs_at_is_named(void)
{
    make_files(".", 2000); /* more than the walk reads before the second fragment */
    pst_activity_bind(&activity);
    for (hang = 0; hang < sizeof(hangs) / sizeof(hangs[0]); hang++) {
        pthread_t releaser;
        atomic_store(&is_held, false);
        atomic_store(&is_released, false);
        atomic_store(&holding, (int)hangs[hang].call);
        begin(LDMS);
        real_sink = collected.sink;
        collected.sink.emit = emit_when_held;
        ASSERT_OK(pthread_create(&releaser, NULL, release_when_named, NULL));
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing),
                        hangs[hang].is_cancelled ? -ECANCELED : 0);
        ASSERT_OK(pthread_join(releaser, NULL));
        end();
    }
    pst_activity_bind(NULL);
}

/* ---- as many blocks as there can be ---- */

#define LONG_NAMES 240 /* of 200 bytes: 12 blocks */

static struct ahead *ahead;

static int open_directory(int directory, const char *name)
{
    return openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static struct ahead_dir *begin_directory(int fd)
{
    struct stat status;
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    ASSERT_OK(fstat(fd, &status));
    return ahead_begin(ahead, fd, &status, false);
}

static struct ahead_dir *enter_directory(struct ahead_dir *dir)
{
    struct stat status;
    ASSERT_OK(ahead_look(ahead, dir, ahead_name(dir), &status));
    struct ahead_dir *entered = ahead_enter(ahead, dir);
    return entered ? entered : begin_directory(open_directory(dir->fd, ahead_name(dir)));
}

/* The name that is read first of those that begin with a letter. */
static char first_in(const char *path, char letter, char last)
{
    char found = 0;
    DIR *directory = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    const struct dirent *entry;
    while (!found && (entry = readdir(directory)) != NULL)
        found = entry->d_name[0] >= letter && entry->d_name[0] <= last ? entry->d_name[0] : 0;
    closedir(directory);
    return found;
}

/* One directory, near the beginning of where it is. Returns the new path's bytes. */
static size_t make_near_directory(char *path, size_t used)
{
    for (char name = 'a'; name <= 'z'; name++) {
        snprintf(path + used, 3, "/%c", name);
        ASSERT_OK(mkdir(path, 0755));
    }
    path[used] = '\0';
    char first = first_in(path, 'a', 'z');
    for (char name = 'a'; name <= 'z'; name++) {
        snprintf(path + used, 3, "/%c", name);
        if (name != first)
            ASSERT_OK(rmdir(path));
    }
    snprintf(path + used, 3, "/%c", first);
    return used + 2;
}

/* Two directories in the order that they are read in: the first has a file, the second one levels,
 * each of several blocks. */
static void make_levels(void)
{
    char path[PST_PATH_BYTES_MAX], other[2 * PST_PATH_BYTES_MAX];
    ASSERT_OK(mkdir("x", 0755));
    ASSERT_OK(mkdir("y", 0755));
    bool is_x = first_in(".", 'x', 'y') == 'x';
    write_file(is_x ? "x/held" : "y/held", "content", 7);
    size_t used = (size_t)snprintf(path, sizeof(path), "%s", is_x ? "y" : "x");
    for (uint32_t level = 0; level < AHEAD_OPEN; level++) {
        for (int i = 0; i < LONG_NAMES; i++) {
            snprintf(other, sizeof(other), "%s/%0200d", path, i);
            write_file(other, "", 0);
        }
        used = make_near_directory(path, used);
    }
}

/* Whether the threads have read what they are woken for. */
static bool is_far_ahead(const struct ahead_dir *dir)
{
    pthread_mutex_lock(&ahead->lock);
    bool is = ahead->queued == AHEAD_BLOCKS_MAX || dir->state == AHEAD_ENDED ||
              2 * dir->queued > ahead->reach;
    pthread_mutex_unlock(&ahead->lock);
    return is;
}

static void *release_soon(void *argument)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    (void)argument;
    nanosleep(&pause, NULL);
    atomic_store(&is_released, true);
    return NULL;
}

/* The walk leaves the outermost directory for the sake of one that is deeper, and waits for a
 * thread in a block of it, which is neither queued nor current then. */
static void there_is_a_block_more_than_are_in_use(void)
{
    struct ahead_dir *levels[AHEAD_OPEN + 1];
    pthread_t releaser;
    make_levels();
    hold_at = "held";
    atomic_store(&is_held, false);
    atomic_store(&is_released, false);
    atomic_store(&holding, CALL_LOOK);
    ASSERT_OK(ahead_open(AHEAD_THREADS_MAX + 1, 1, &ahead));
    levels[0] = begin_directory(open_directory(AT_FDCWD, "."));
    CU_ASSERT_EQUAL(ahead_next(ahead, levels[0], ""), 1);
    CU_ASSERT_EQUAL(ahead_next(ahead, levels[0], ""), 1);
    for (uint32_t i = 1; i < AHEAD_OPEN; i++) {
        levels[i] = enter_directory(levels[i - 1]);
        do {
            CU_ASSERT_EQUAL_FATAL(ahead_next(ahead, levels[i], ""), 1);
        } while (*ahead_name(levels[i]) < 'a');
        wait_until(&is_held);
        while (!is_far_ahead(levels[i]))
            (void)sched_yield();
    }
    CU_ASSERT_EQUAL(ahead->queued, AHEAD_BLOCKS_MAX);
    levels[AHEAD_OPEN] = enter_directory(levels[AHEAD_OPEN - 1]);
    ASSERT_OK(pthread_create(&releaser, NULL, release_soon, NULL));
    for (uint32_t i = 0; i <= AHEAD_OPEN; i++)
        ahead_end(ahead, levels[i], "", 0);
    ASSERT_OK(pthread_join(releaser, NULL));
    ahead_close(ahead);
    hold_at = NULL;
}

/* ---- a directory that the walk has not come to ---- */

#define FILES 40 /* of 200 bytes: 3 blocks */

static void make_long_directories(void)
{
    char path[512];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%d", i);
        ASSERT_OK(mkdir(path, 0755));
        for (int j = 0; j < FILES; j++) {
            snprintf(path, sizeof(path), "%d/%0200d", i, j);
            write_file(path, "", 0);
        }
    }
}

static uint32_t count_whole_ones(const struct ahead_dir *dir)
{
    uint32_t count = 0;
    pthread_mutex_lock(&ahead->lock);
    for (const struct ahead_dir *child = dir->children; child; child = child->sibling)
        count += child->state == AHEAD_ENDED && child->queued == 3;
    pthread_mutex_unlock(&ahead->lock);
    return count;
}

static void wait_for_whole_ones(const struct ahead_dir *dir, uint32_t count)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 10000 && count_whole_ones(dir) < count; i++)
        nanosleep(&pause, NULL);
    CU_ASSERT_TRUE_FATAL(count_whole_ones(dir) >= count);
}

/* The walk itself has read that it is there, before there were threads. */
static void one_further_on_is_read_to_its_end(void)
{
    make_long_directories();
    ASSERT_OK(ahead_open(LDMS, 1, &ahead));
    struct ahead_dir *root = begin_directory(open_directory(AT_FDCWD, "."));
    CU_ASSERT_EQUAL_FATAL(ahead_next(ahead, root, ""), 1);
    struct ahead_dir *first = enter_directory(root);
    CU_ASSERT_EQUAL_FATAL(ahead_next(ahead, first, ""), 1);
    wait_for_whole_ones(root, 1);
    ahead_end(ahead, first, "", 0);
    ahead_end(ahead, root, "", 0);
    ahead_close(ahead);
}

/* The walk waits for a thread before it reads on, and what it does then has its name again. */
static void what_follows_a_wait_is_named(void)
{
    struct pst_activity_view view;
    pthread_t releaser;
    make_files(".", 500);
    pst_activity_bind(&activity);
    hang = 0;
    atomic_store(&is_held, false);
    atomic_store(&is_released, false);
    atomic_store(&holding, CALL_LOOK);
    ASSERT_OK(ahead_open(2, 1, &ahead));
    struct ahead_dir *dir = begin_directory(open_directory(AT_FDCWD, "."));
    do {
        CU_ASSERT_EQUAL_FATAL(ahead_next(ahead, dir, ""), 1);
    } while (ahead->taken < AHEAD_STARTING_BLOCKS);
    wait_until(&is_held); /* in the block that the walk is at */
    ASSERT_OK(pthread_create(&releaser, NULL, release_when_named, NULL));
    pst_activity_begin("read the directory", "it");
    while (ahead_has_next(dir))
        CU_ASSERT_EQUAL(ahead_next(ahead, dir, ""), 1);
    CU_ASSERT_EQUAL(ahead_next(ahead, dir, ""), 1);
    pst_activity_view(&activity, &view);
    CU_ASSERT_TRUE(view.what && strcmp(view.what, "read the directory") == 0);
    CU_ASSERT_STRING_EQUAL(view.name, "it");
    pst_activity_end();
    ASSERT_OK(pthread_join(releaser, NULL));
    ahead_end(ahead, dir, "", 0);
    ahead_close(ahead);
    pst_activity_bind(NULL);
}

static void enter_next(struct tree *tree)
{
    struct stat status;
    CU_ASSERT_EQUAL_FATAL(tree_next(tree), 1);
    ASSERT_OK(tree_look(tree, &status));
    ASSERT_OK(tree_enter(tree));
}

/* A change within the tick in which a thread has opened it shows no more when the walk comes. */
static void one_that_had_just_changed_when_it_was_opened_is_read_twice(void)
{
    static struct tree tree;
    struct stat status;
    make_long_directories();
    ASSERT_OK(stat("0", &status));
    now = status.st_ctim; /* the others are no older */
    ASSERT_OK(tree_open(&tree, AT_FDCWD, LDMS, false));
    ahead = tree.ahead;
    enter_next(&tree);
    CU_ASSERT_EQUAL_FATAL(tree_next(&tree), 1);
    wait_for_whole_ones(tree.levels[0].dir, 2); /* no thread opens anything any more */
    now.tv_sec += 3600;
    tree_leave(&tree);
    enter_next(&tree);
    CU_ASSERT_TRUE(tree.levels[1].rest_ns > 0);
    now.tv_sec = 0;
    tree_close(&tree);
}

/* ---- a tree that changes ---- */

static atomic_bool must_end;

static void *churn(void *argument)
{
    char path[4][64];
    (void)argument;
    for (unsigned i = 0; !atomic_load(&must_end); i++) {
        snprintf(path[0], sizeof(path[0]), "moving/%u/d", i % 50);
        snprintf(path[1], sizeof(path[1]), "moving/%u/d/file", i % 50);
        snprintf(path[2], sizeof(path[2]), "moving/%u/e", i % 50);
        snprintf(path[3], sizeof(path[3]), "moving/%u/e/file", i % 50);
        (void)!mkdir(path[0], 0755);
        close(open(path[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        (void)!rename(path[0], path[2]);
        (void)unlink(path[3]);
        (void)rmdir(path[2]);
        (void)!symlink("/", path[0]); /* a trap where a directory was */
        (void)unlink(path[0]);
    }
    return NULL;
}

/* What is a directory when it is looked at, and a link when it is opened, is named; and one that
 * changes whenever it is read; but no other. */
static void expect_moving(struct pst_fragment_sink *sink, const char *path)
{
    unsigned number;
    int bytes = 0;
    (void)sink;
    CU_ASSERT_EQUAL(sscanf(path, "moving/%u%n", &number, &bytes), 1);
    CU_ASSERT_TRUE(path[bytes] == '\0' || strcmp(path + bytes, "/d") == 0);
}

static void a_changing_tree_does_no_harm(void)
{
    char path[64];
    pthread_t thread;
    ASSERT_OK(mkdir("moving", 0755));
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "moving/%d", i);
        ASSERT_OK(mkdir(path, 0755));
        make_files(path, 3);
    }
    atomic_store(&must_end, false);
    ASSERT_OK(pthread_create(&thread, NULL, churn, NULL));
    for (int round = 0; round < 20; round++) {
        struct pst_object object;
        begin(LDMS);
        collected.sink.unreadable = expect_moving;
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        check_listing(&collected);
        CU_ASSERT_TRUE(find_object(&collected, "moving/0/file0", &object));
        CU_ASSERT_TRUE(find_object(&collected, "moving/49/file2", &object));
        CU_ASSERT_TRUE(collected.listing.objects >= 2 + 50 * 4);
        end();
    }
    atomic_store(&must_end, true);
    ASSERT_OK(pthread_join(thread, NULL));
}

static void list_what_changes(uint32_t ldms)
{
    begin(ldms);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    check_listing(&collected);
}

/* A file that is replaced by a rename, as most programs write files, is on some file systems in
 * no reading of the directory that has begun, and on others in one twice. */
static void what_a_change_hides_or_doubles_is_listed_once(void)
{
    REQUIRE(mkdir("many", 0755) == 0);
    make_files("many", 500);
    make_files(".", 10);
    for (uint32_t ldms = 1; ldms <= LDMS; ldms += LDMS - 1) {
        for (hidings = 1; hidings <= 3; hidings += 2) {
            int before = hidings;
            hidden = "file7";
            doubled = "file8";
            list_what_changes(ldms);
            CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
            CU_ASSERT_EQUAL(hidings, 0);
            CU_ASSERT_EQUAL(times_listed(&collected, "many/file7"), 1);
            CU_ASSERT_EQUAL(times_listed(&collected, "many/file8"), 1);
            CU_ASSERT_EQUAL(times_listed(&collected, "file7"), 1);
            CU_ASSERT_EQUAL(times_listed(&collected, "file8"), 1);
            end();
            hidden = doubled = NULL;
            hidings = before;
        }
    }
    hidings = 0;
}

/* Of two changes within a tick of the clock the second one does not show. */
static void a_directory_that_has_just_changed_is_read_twice(void)
{
    struct stat status;
    silent = 1;
    make_files(".", 10);
    REQUIRE(stat(".", &status) == 0);
    for (int64_t ms = 10; ms <= 30; ms += 20) {
        now = status.st_ctim;
        now.tv_nsec += ms * 1000000;
        now.tv_sec += now.tv_nsec / 1000000000;
        now.tv_nsec %= 1000000000;
        hidden = "file7";
        hidings = 1;
        list_what_changes(1);
        CU_ASSERT_EQUAL(hidings, 0);
        CU_ASSERT_EQUAL(times_listed(&collected, "file7"), ms == 10);
        end();
    }
    now.tv_sec = 0;
    silent = 0;
}

/* The reading that follows a change begins within a tick of it, and may miss another one. */
static void one_that_changed_while_it_was_read_is_read_until_a_change_would_show(void)
{
    make_files(".", 10);
    hidden = "file7";
    hidings = 2;
    silent = 1;
    now_follows = true;
    list_what_changes(1);
    now_follows = false;
    now.tv_sec = 0;
    CU_ASSERT_EQUAL(hidings, 0);
    CU_ASSERT_EQUAL(times_listed(&collected, "file7"), 1);
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    end();
    silent = 0;
}

/* By a clock that is behind, a change is waited for once; and not at all for one that is further
 * ahead than clocks of other hosts are. */
static void a_change_in_the_future_is_waited_for_once(void)
{
    struct stat status;
    make_files(".", 10);
    REQUIRE(stat(".", &status) == 0);
    for (int wanted = 2; wanted >= 1; wanted--) {
        now = status.st_ctim;
        now.tv_sec -= wanted == 2 ? 30 : 90;
        readings = 0;
        list_what_changes(1);
        CU_ASSERT_EQUAL(readings, wanted);
        CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
        end();
    }
    now.tv_sec = 0;
}

/* What was there all the time is listed, and that others may be missing is told. */
static void a_directory_that_never_rests_is_told(void)
{
    make_files(".", 10);
    is_restless = true;
    list_what_changes(1);
    is_restless = false;
    CU_ASSERT_EQUAL(collected.listing.unreadable, 1);
    CU_ASSERT_EQUAL(times_listed(&collected, "file7"), 1);
    end();
}

/* By a clock that is behind, each has just changed. */
static void list_resting(int count)
{
    struct stat status;
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%d", i);
        REQUIRE(mkdir(name, 0755) == 0);
    }
    make_files("0", 10);
    REQUIRE(stat("0", &status) == 0);
    now = status.st_ctim;
    now.tv_sec -= 30;
    resting = "0/passing";
    rests_ns = 0;
    readings = 0;
    list_what_changes(1);
    resting = NULL;
    now.tv_sec = 0;
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    CU_ASSERT_EQUAL(times_listed(&collected, "0/file7"), 1);
}

/* Else a listing of some hundred that change all the time would take minutes, or hours where times
 * are whole seconds. */
static void directories_are_waited_for_no_longer_than_seconds(void)
{
    list_resting(300);
    CU_ASSERT_TRUE(rests_ns >= INT64_C(5000000000) && rests_ns < INT64_C(5500000000));
    CU_ASSERT_EQUAL(collected.listing.objects, 311);
    end();
}

/* Nor files, of which each has changed since the last rest. */
static void files_are_waited_for_no_longer_than_seconds(void)
{
    struct ticks ticks = {0};
    struct stat status = {0};
    resting = "passing";
    rests_ns = 0;
    for (int i = 0; i < 3000; i++) {
        REQUIRE(clock_gettime(CLOCK_REALTIME, &status.st_ctim) == 0);
        tick_await(&ticks, &status);
    }
    resting = NULL;
    CU_ASSERT_TRUE(rests_ns >= INT64_C(20000000000) && rests_ns < INT64_C(20100000000));
}

/* It changed in every rest, and in the last reading. */
static void one_that_was_read_whole_is_not_told(void)
{
    restful = 7;
    is_restless = true;
    list_resting(1);
    is_restless = false;
    restful = 0;
    end();
}

/* ---- names that lead elsewhere ---- */

static char moved[64]; /* the name of the first file that was looked at */
static uint32_t looks;

/* The first one looked at has another name then, and its own again at the second look. */
static void move_away_and_back(const char *name)
{
    if (looks++ == 0)
        REQUIRE(rename(strcpy(moved, name), "away") == 0);
    else if (looks == 2)
        REQUIRE(rename("away", moved) == 0);
}

static void what_is_away_for_a_moment_is_listed(void)
{
    make_files(".", 10);
    looks = 0;
    before_look = move_away_and_back;
    list_what_changes(1);
    before_look = NULL;
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    CU_ASSERT_EQUAL(collected.listing.objects, 11);
    CU_ASSERT_EQUAL(times_listed(&collected, moved), 1);
    end();
}

/* The first file that is looked at is written anew then, and this is its first moment. */
static void empty_it(const char *name)
{
    if (looks++ == 0)
        REQUIRE(truncate(strcpy(moved, name), 0) == 0);
}

static void fill_it_again(const char *name)
{
    if (strcmp(name, moved) == 0)
        write_file(name, "content", 7);
}

static void what_is_empty_for_a_moment_is_listed_with_its_contents(void)
{
    struct pst_object object = {0};
    make_files(".", 10);
    looks = 0;
    before_look = empty_it;
    after_look = fill_it_again;
    list_what_changes(1);
    before_look = after_look = NULL;
    CU_ASSERT_TRUE_FATAL(find_object(&collected, moved, &object));
    CU_ASSERT_EQUAL(object.size, 7);
    end();
}

static void a_directory_that_is_away_when_it_is_opened_is_met_again(void)
{
    static struct tree tree;
    struct stat status;
    REQUIRE(mkdir("one", 0755) == 0);
    ASSERT_OK(tree_open(&tree, AT_FDCWD, 1, false));
    CU_ASSERT_EQUAL_FATAL(tree_next(&tree), 1);
    ASSERT_OK(tree_look(&tree, &status));
    REQUIRE(rename("one", "two") == 0);
    CU_ASSERT_EQUAL(tree_enter(&tree), -ENOENT);
    REQUIRE(rename("two", "one") == 0);
    enter_next(&tree);
    tree_close(&tree);
}

static void exchange_directories(void)
{
    REQUIRE(renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE) == 0);
}

/* They are exchanged while the walk enters the first one, and maybe once more when it has. */
static int walk_exchanged(bool twice)
{
    static struct tree tree;
    struct stat status;
    int more, result = 0, looked = 0;
    ASSERT_OK(tree_open(&tree, AT_FDCWD, 1, false));
    while ((more = tree_next(&tree)) > 0) {
        int look = tree_look(&tree, &status);
        result = look < 0 ? look : result;
        if (look != 0)
            continue;
        if (++looked == 1)
            exchange_directories();
        ASSERT_OK(tree_enter(&tree));
        if (looked == 1 && twice)
            exchange_directories();
    }
    CU_ASSERT_EQUAL(more, 0);
    CU_ASSERT_EQUAL(looked, 2);
    tree_close(&tree);
    return result;
}

/* Where both were entered, each under the other's name, nothing is missing. */
static void what_was_entered_counts(void)
{
    REQUIRE(mkdir("one", 0755) == 0);
    REQUIRE(mkdir("two", 0755) == 0);
    CU_ASSERT_EQUAL(walk_exchanged(false), 0);
    CU_ASSERT_EQUAL(walk_exchanged(true), -PST_E_CHANGED);
}

/* What has the first name, which was looked at, gets another one, and is met there once more. */
static void exchange_with_another(const char *name)
{
    if (looks++ > 0)
        return;
    const char *other = strcmp(name, "file0") == 0 ? "file1" : "file0";
    REQUIRE(renameat2(AT_FDCWD, strcpy(moved, name), AT_FDCWD, other, RENAME_EXCHANGE) == 0);
}

static void replace_by_a_new_one(const char *name)
{
    const struct timespec tick = {.tv_nsec = 30000000};
    if (looks++ > 0)
        return;
    nanosleep(&tick, NULL);
    make_file_in(AT_FDCWD, "new");
    REQUIRE(rename("new", strcpy(moved, name)) == 0);
}

/* A file that was there all the time, and that the walk has met under no name, is told; one that
 * has come since is not. */
static void what_gets_a_name_that_was_met_is_told(void)
{
    void (*const moves[])(const char *name) = {exchange_with_another, replace_by_a_new_one};
    for (uint32_t i = 0; i < 2; i++) {
        make_files(".", 10);
        looks = 0;
        after_look = moves[i];
        list_what_changes(1);
        after_look = NULL;
        CU_ASSERT_EQUAL(collected.listing.unreadable, i == 0);
        CU_ASSERT_EQUAL(collected.listing.objects, 11);
        CU_ASSERT_EQUAL(times_listed(&collected, moved), 1);
        end();
        remove_directory();
        make_directory();
    }
}

static CU_TestInfo tests[] = {
    {"the order is that of the walk alone", the_order_is_that_of_the_walk_alone},
    {"what fails for a thread is tried by the walk", what_fails_for_a_thread_is_tried_by_the_walk},
    {"what a thread hangs at is named", what_a_thread_hangs_at_is_named},
    {"what follows a wait is named", what_follows_a_wait_is_named},
    {"there is a block more than are in use", there_is_a_block_more_than_are_in_use},
    {"one further on is read to its end", one_further_on_is_read_to_its_end},
    {"one that had just changed when it was opened is read twice",
     one_that_had_just_changed_when_it_was_opened_is_read_twice},
    {"a changing tree does no harm", a_changing_tree_does_no_harm},
    {"what a change hides or doubles is listed once",
     what_a_change_hides_or_doubles_is_listed_once},
    {"a directory that has just changed is read twice",
     a_directory_that_has_just_changed_is_read_twice},
    {"one that changed while it was read is read until a change would show",
     one_that_changed_while_it_was_read_is_read_until_a_change_would_show},
    {"a change in the future is waited for once", a_change_in_the_future_is_waited_for_once},
    {"a directory that never rests is told", a_directory_that_never_rests_is_told},
    {"directories are waited for no longer than seconds",
     directories_are_waited_for_no_longer_than_seconds},
    {"files are waited for no longer than seconds", files_are_waited_for_no_longer_than_seconds},
    {"one that was read whole is not told", one_that_was_read_whole_is_not_told},
    {"what is away for a moment is listed", what_is_away_for_a_moment_is_listed},
    {"what is empty for a moment is listed with its contents",
     what_is_empty_for_a_moment_is_listed_with_its_contents},
    {"a directory that is away when it is opened is met again",
     a_directory_that_is_away_when_it_is_opened_is_met_again},
    {"what was entered counts", what_was_entered_counts},
    {"what gets a name that was met is told", what_gets_a_name_that_was_met_is_told},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source dir, read ahead", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    walk = pthread_self();
    return suites_run(suites);
}
