/* The source dir where files are moved while it is listed, from a directory that its walk has not
 * read to one that it has: its second look finds them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/source/dir/dir.h"
#include "engine/source/dir/walked.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

static struct pst_source *source;
static struct collected collected;

/* ---- calls of the walk ---- */

typedef void (*move_function)(void);

static _Atomic(move_function) on_looks[2]; /* at the first look at "mover", and at "mover2" */
static bool hides_birth;
static bool fails_unseen;     /* each look at a name that begins with "unseen" */
static int64_t clock_step_ns; /* that each look at the clock takes */

static void move_at(const char *name)
{
    if (strncmp(name, "mover", 5) != 0)
        return;
    move_function move = atomic_exchange(&on_looks[strcmp(name, "mover2") == 0], NULL);
    if (move)
        move();
}

static bool fails_at(const char *name)
{
    errno = EIO;
    return fails_unseen && strncmp(name, "unseen", 6) == 0;
}

int __real_fstatat(int directory, const char *name, struct stat *status, int flags);
int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags);

int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags)
{
    return fails_at(name) ? -1 : __real_fstatat(directory, name, status, flags);
}

int __real_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);

int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status)
{
    move_at(name);
    if (fails_at(name))
        return -1;
    int result = __real_statx(directory, name, flags, mask, status);
    if (hides_birth)
        status->stx_mask &= ~(unsigned)STATX_BTIME;
    return result;
}

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    static int64_t ahead_ns;
    int result = __real_clock_gettime(clock, time);
    if (clock == CLOCK_MONOTONIC) {
        ahead_ns += clock_step_ns;
        time->tv_sec += ahead_ns / 1000000000;
    }
    return result;
}

/* ---- directories in the order that they are read in ---- */

#define READ 0     /* before the files move */
#define READ_TOO 1 /* likewise, and after that one */
#define NOW 2      /* then */
#define UNREAD 3   /* after that */

static char order[4][2];

static void find_order(void)
{
    int count = 0;
    DIR *directory = opendir(".");
    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            order[count++][0] = entry->d_name[0];
    closedir(directory);
    CU_ASSERT_EQUAL_FATAL(count, 4);
}

/* A path below one of them; of those of some calls, all are valid. */
static const char *at(int place, const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", order[place], name);
    return path;
}

static void set_up(void)
{
    make_directory();
    for (char name = 'a'; name <= 'd'; name++) {
        const char path[2] = {name, '\0'};
        REQUIRE(mkdir(path, 0755) == 0);
    }
    find_order();
    write_file(at(READ, "known"), "known", 5);
    write_file(at(NOW, "mover"), "mover", 5);
    write_file(at(UNREAD, "victim"), "victim", 6);
}

static void tear_down(void)
{
    fails_unseen = false;
    remove_directory();
    on_looks[0] = NULL;
    on_looks[1] = NULL;
    hides_birth = false;
    clock_step_ns = 0;
}

static void move(const char *from, const char *to)
{
    REQUIRE(rename(from, to) == 0);
}

/* ---- listings ---- */

/* So long that what is made after it is younger than what was made before. */
static void wait_a_tick(void)
{
    const struct timespec tick = {.tv_nsec = 30000000};
    nanosleep(&tick, NULL);
}

static void begin(move_function on_look)
{
    wait_a_tick();
    on_looks[0] = on_look;
    source = open_source("here=dir:.");
    collected_init(&collected);
    ASSERT_OK(pst_source_freeze(source, 0));
    ASSERT_OK(pst_source_snapshot(source, 1));
}

static void list(void)
{
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    check_listing(&collected);
    CU_ASSERT_PTR_NULL(on_looks[0]);
}

static void list_with(move_function on_look)
{
    begin(on_look);
    list();
}

static void end(void)
{
    pst_source_close(source);
    collected_free(&collected);
}

/* So many unreadable ones, and so many objects more than were there before the listing. */
static void expect(uint64_t unreadable, uint64_t more)
{
    CU_ASSERT_EQUAL(collected.listing.unreadable, unreadable);
    CU_ASSERT_EQUAL(collected.listing.objects, 8 + more);
}

/* ---- what is missing ---- */

static void move_victim(void)
{
    move(at(UNREAD, "victim"), at(READ, "victim"));
}

static void a_file_that_was_moved_is_listed(void)
{
    struct pst_object object;
    list_with(move_victim);
    expect(0, 0);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "victim")), 1);
    CU_ASSERT_EQUAL_FATAL(find_object(&collected, at(READ, "victim"), &object), true);
    CU_ASSERT_EQUAL(extent_bytes(&collected, object.id), 6);
    end();
}

/* Threads may have looked at it where it was before. */
static void one_is_listed_where_threads_read_ahead(void)
{
    begin(move_victim);
    source->policy.ldms = 4;
    list();
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    CU_ASSERT_TRUE(times_listed(&collected, at(READ, "victim")) +
                       times_listed(&collected, at(UNREAD, "victim")) >
                   0);
    end();
}

static void move_subtree(void)
{
    move(at(UNREAD, "sub"), at(READ, "sub"));
}

static void a_subtree_that_was_moved_is_listed_whole(void)
{
    REQUIRE(mkdir(at(UNREAD, "sub"), 0700) == 0);
    REQUIRE(mkdir(at(UNREAD, "sub/deep"), 0700) == 0);
    write_file(at(UNREAD, "sub/deep/file"), "deep", 4);
    REQUIRE(symlink("deep", at(UNREAD, "sub/link")) == 0);
    list_with(move_subtree);
    expect(0, 4);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/deep")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/deep/file")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/link")), 1);
    end();
}

/* That one was read, and so has a second look of its own. */
static void a_subtree_that_was_moved_over_an_empty_directory_is_listed(void)
{
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    REQUIRE(mkdir(at(UNREAD, "sub"), 0700) == 0);
    write_file(at(UNREAD, "sub/file"), "sub", 3);
    list_with(move_subtree);
    expect(0, 2);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/file")), 1);
    end();
}

static void both_names_in_a_subtree_that_was_moved_are_listed(void)
{
    REQUIRE(mkdir(at(UNREAD, "sub"), 0700) == 0);
    write_file(at(UNREAD, "sub/one"), "both", 4);
    REQUIRE(link(at(UNREAD, "sub/one"), at(UNREAD, "sub/other")) == 0);
    list_with(move_subtree);
    expect(0, 3);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/one")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/other")), 1);
    end();
}

static void move_into_a_new_one(void)
{
    REQUIRE(mkdir(at(READ, "new"), 0700) == 0);
    write_file(at(READ, "new/file"), "new", 3);
    move(at(UNREAD, "victim"), at(READ, "new/victim"));
}

static void a_file_that_was_moved_to_a_new_directory_is_listed(void)
{
    list_with(move_into_a_new_one);
    expect(0, 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "new")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "new/victim")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "new/file")), 0);
    end();
}

static void move_into_known(void)
{
    move(at(UNREAD, "victim"), at(READ, "sub/deep/victim"));
    move(at(READ, "sub"), at(READ_TOO, "new"));
}

static void a_file_in_a_directory_that_was_read_and_moved_is_listed(void)
{
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    REQUIRE(mkdir(at(READ, "sub/deep"), 0700) == 0);
    list_with(move_into_known);
    expect(0, 4);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ_TOO, "new/deep")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ_TOO, "new/deep/victim")), 1);
    end();
}

static void move_over_known(void)
{
    move(at(UNREAD, "victim"), at(READ, "known"));
}

static char named[64];

static void note_named(struct pst_fragment_sink *sink, const char *path)
{
    (void)sink;
    snprintf(named, sizeof(named), "%s", path);
}

/* The backup has another file under that name. */
static void a_file_that_was_moved_over_another_is_named(void)
{
    begin(move_over_known);
    collected.sink.unreadable = note_named;
    list();
    expect(1, UINT64_MAX);
    CU_ASSERT_STRING_EQUAL(named, at(READ, "known"));
    CU_ASSERT_EQUAL(times_listed(&collected, named), 1);
    end();
}

static void move_unseen(void)
{
    move(at(UNREAD, "unseen"), at(READ, "unseen"));
    move_victim();
}

/* Once, like one that could not be looked at before, though there is a third look. */
static void what_cannot_be_looked_at_is_named(void)
{
    write_file(at(READ, "unseen-before"), "before", 6);
    write_file(at(UNREAD, "unseen"), "unseen", 6);
    fails_unseen = true;
    begin(move_unseen);
    collected.sink.unreadable = note_named;
    list();
    expect(2, 0);
    CU_ASSERT_STRING_EQUAL(named, at(READ, "unseen"));
    end();
}

static void move_second(void)
{
    move(at(READ_TOO, "second"), at(READ, "second"));
}

static void move_two(void)
{
    move(at(UNREAD, "mover2"), at(READ, "mover2"));
    move(at(UNREAD, "second"), at(READ_TOO, "second"));
    on_looks[1] = move_second; /* when the second look is at the first one */
}

static void what_is_moved_in_the_second_look_is_found_in_a_third(void)
{
    write_file(at(UNREAD, "mover2"), "2", 1);
    write_file(at(UNREAD, "second"), "2", 1);
    list_with(move_two);
    CU_ASSERT_PTR_NULL(on_looks[1]);
    expect(0, 2);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "second")), 1);
    end();
}

static void move_both_names(void)
{
    move_victim();
    move(at(UNREAD, "other"), at(READ_TOO, "other"));
}

/* Its contents are in the backup then. */
static void one_of_two_names_is_listed(void)
{
    REQUIRE(link(at(UNREAD, "victim"), at(UNREAD, "other")) == 0);
    list_with(move_both_names);
    expect(0, 0);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "victim")), 1);
    end();
}

static void write_and_move_victim(void)
{
    write_file(at(UNREAD, "young"), "young", 5);
    move(at(UNREAD, "young"), at(READ, "young"));
    move_victim();
}

/* By its mtime, a file that has come since is known as such. */
static void without_times_of_birth_what_was_not_written_to_is_listed(void)
{
    hides_birth = true;
    list_with(write_and_move_victim);
    expect(0, 0);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "victim")), 1);
    end();
}

/* ---- what is not ---- */

static void move_known(void)
{
    move(at(READ, "known"), at(READ_TOO, "known"));
    move(at(READ, "sub"), at(READ_TOO, "sub"));
}

/* But for a directory, which may have got something before it was moved. */
static void what_was_listed_under_another_name_is_not_listed_again(void)
{
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    write_file(at(READ, "sub/file"), "sub", 3);
    REQUIRE(link(at(READ, "sub/file"), at(READ, "sub/other")) == 0);
    list_with(move_known);
    expect(0, 4);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "known")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "sub/file")), 1);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ_TOO, "sub")), 1);
    end();
}

static void write_new_ones(void)
{
    write_file(at(READ, "new"), "new", 3);
    write_file(at(READ, "other"), "other", 5);
    move(at(READ, "other"), at(READ, "known"));
    REQUIRE(unlink(at(READ, "sub/file")) == 0 && rmdir(at(READ, "sub")) == 0);
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    write_file(at(READ, "sub/file"), "again", 5);
}

/* As in a spool, or where a program is built. */
static void what_has_come_since_is_neither_listed_nor_named(void)
{
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    write_file(at(READ, "sub/file"), "sub", 3);
    list_with(write_new_ones);
    expect(0, 2);
    CU_ASSERT_EQUAL(times_listed(&collected, at(READ, "new")), 0);
    end();
}

static void what_is_excluded_stays_so(void)
{
    static const char *const patterns[] = {"vic*"};
    const struct pst_file_filter filter = {.patterns = patterns, .patterns_count = 1};
    REQUIRE(mkdir(at(READ, "victims"), 0700) == 0);
    begin(move_victim);
    pst_dir_filter(source, &filter);
    begin_log_capture();
    list();
    char *log = end_log_capture();
    expect(0, UINT64_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "2 files and directories were left out"));
    free(log);
    end();
}

static char elsewhere[] = "/dev/shm/penstock-again-XXXXXX"; /* in another file system */
static bool is_mounted;

static void mount_elsewhere(void)
{
    is_mounted = mount(elsewhere, at(READ, "sub"), NULL, MS_BIND, NULL) == 0;
}

/* Root alone can mount. */
static void what_is_mounted_since_is_not_looked_at(void)
{
    char path[64];
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0 && mkdtemp(elsewhere));
    wait_a_tick(); /* else both have one ctime */
    snprintf(path, sizeof(path), "%s/file", elsewhere);
    write_file(path, "other", 5);
    list_with(mount_elsewhere);
    expect(0, 1);
    end();
    if (is_mounted)
        REQUIRE(umount(at(READ, "sub")) == 0);
    REQUIRE(unlink(path) == 0 && rmdir(elsewhere) == 0);
}

/* The freeze command may have stopped one program of several. */
static void what_is_taken_to_be_frozen_has_a_second_look(void)
{
    begin(move_victim);
    ((struct dir_source *)source)->is_still = true;
    list();
    expect(0, 0);
    end();
}

static void a_snapshot_has_no_second_look(void)
{
    begin(move_victim);
    ((struct dir_source *)source)->shown.path = strdup(".");
    list();
    expect(0, UINT64_MAX);
    end();
}

static void a_second_look_that_takes_too_long_is_told(void)
{
    clock_step_ns = INT64_C(30000000000);
    begin_log_capture();
    list_with(move_victim);
    char *log = end_log_capture();
    expect(0, UINT64_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "source here: 5 directories had no second look"));
    free(log);
    end();
}

/* ---- what is kept ---- */

#define MANY 100000u

/* Of numbers that are no neighbours, each of which takes a place of its own. */
static struct stat scattered(uint64_t number)
{
    return (struct stat){.st_dev = number % 3, .st_ino = number * 64 + number % 64};
}

static void inodes_are_known_as_far_as_there_is_room(void)
{
    struct walked walked = {0};
    uint64_t kept = 0, known = 0, others = 0;
    while (!walked.is_full) {
        const struct stat status = scattered(++kept);
        walked_keep(&walked, &status);
    }
    CU_ASSERT_EQUAL(kept, WALKED_INODES_MAX / 4 * 3 + 1);
    for (uint64_t i = 1; i < kept + MANY; i++) {
        const struct stat status = scattered(i);
        struct stat neighbour = status;
        neighbour.st_ino ^= 1;
        known += walked_has(&walked, &status);
        others += walked_has(&walked, &neighbour);
    }
    CU_ASSERT_EQUAL(known, kept - 1);
    CU_ASSERT_EQUAL(others, 0);
    walked_free(&walked);
}

/* A few others are taken for known. */
static void paths_are_known(void)
{
    struct walked walked = {0};
    char path[32];
    uint32_t others = 0;
    CU_ASSERT_TRUE(walked_has_path(&walked, "any")); /* where there is no memory, it may be */
    for (uint32_t i = 0; i < 2 * MANY; i += 2) {
        snprintf(path, sizeof(path), "path/%u", i);
        walked_keep_path(&walked, path);
        CU_ASSERT_TRUE(walked_has_path(&walked, path));
    }
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        snprintf(path, sizeof(path), "path/%u", i);
        bool has_path = walked_has_path(&walked, path);
        CU_ASSERT_TRUE(has_path || i % 2 == 1);
        others += has_path && i % 2 == 1;
    }
    CU_ASSERT_TRUE(others < MANY / 1000);
    walked_free(&walked);
}

/* Two below each, to a great depth; and then the text is full. */
static void directories_have_their_paths(void)
{
    static char name[1000], path[PST_PATH_BYTES_MAX];
    struct walked walked = {0};
    uint64_t number = 1;
    walked_enter(&walked, 0, 0, "", 1);
    for (; number < 4000; number += 2) {
        uint64_t parent = number > 1 ? number - 1 : 0;
        walked_enter(&walked, number, parent, "l", 1);
        walked_end(&walked, number, 1);
        walked_leave(&walked, number, 0);
        walked_enter(&walked, number + 1, parent, "r", 2);
    }
    CU_ASSERT_EQUAL(walked_path(&walked, 0, path), 0);
    CU_ASSERT_STRING_EQUAL(path, "");
    CU_ASSERT_EQUAL(walked_path(&walked, 5, path), 5);
    CU_ASSERT_STRING_EQUAL(path, "r/r/l");
    CU_ASSERT_EQUAL(walked_path(&walked, 3999, path), 3999);
    CU_ASSERT_TRUE(walked_is_on(&walked, 4, 2) && !walked_is_on(&walked, 4, 1));
    for (uint32_t at = 4000; at > 0; at -= 2)
        walked_leave(&walked, at, 0);
    walked_leave(&walked, 0, 0);
    CU_ASSERT_TRUE(walked_has_child(&walked, 2, "l"));
    CU_ASSERT_FALSE(walked_has_child(&walked, 2, "r")); /* which was not read to its end */
    memset(name, 'n', sizeof(name) - 1);
    for (number = walked.count; number == walked.count; number++)
        walked_enter(&walked, number, 0, name, 1);
    CU_ASSERT_TRUE(walked.text_bytes <= WALKED_TEXT_MAX);
    CU_ASSERT_TRUE(walked.text_bytes + sizeof(name) > WALKED_TEXT_MAX);
    walked_enter(&walked, number, 0, "", 1);
    CU_ASSERT_EQUAL(walked.count, number - 1);
    walked_end(&walked, number, 1);
    CU_ASSERT_FALSE(walked_has_child(&walked, number, name));
    walked_free(&walked);
}

static CU_TestInfo tests[] = {
    {"a file that was moved is listed", a_file_that_was_moved_is_listed},
    {"one is listed where threads read ahead", one_is_listed_where_threads_read_ahead},
    {"a subtree that was moved is listed whole", a_subtree_that_was_moved_is_listed_whole},
    {"a subtree that was moved over an empty directory is listed",
     a_subtree_that_was_moved_over_an_empty_directory_is_listed},
    {"both names in a subtree that was moved are listed",
     both_names_in_a_subtree_that_was_moved_are_listed},
    {"a file that was moved to a new directory is listed",
     a_file_that_was_moved_to_a_new_directory_is_listed},
    {"a file in a directory that was read and moved is listed",
     a_file_in_a_directory_that_was_read_and_moved_is_listed},
    {"a file that was moved over another is named", a_file_that_was_moved_over_another_is_named},
    {"what cannot be looked at is named", what_cannot_be_looked_at_is_named},
    {"what is moved in the second look is found in a third",
     what_is_moved_in_the_second_look_is_found_in_a_third},
    {"one of two names is listed", one_of_two_names_is_listed},
    {"without times of birth, what was not written to is listed",
     without_times_of_birth_what_was_not_written_to_is_listed},
    {"what was listed under another name is not listed again",
     what_was_listed_under_another_name_is_not_listed_again},
    {"what has come since is neither listed nor named",
     what_has_come_since_is_neither_listed_nor_named},
    {"what is excluded stays so", what_is_excluded_stays_so},
    {"what is mounted since is not looked at", what_is_mounted_since_is_not_looked_at},
    {"what is taken to be frozen has a second look", what_is_taken_to_be_frozen_has_a_second_look},
    {"a snapshot has no second look", a_snapshot_has_no_second_look},
    {"a second look that takes too long is told", a_second_look_that_takes_too_long_is_told},
    {"inodes are known as far as there is room", inodes_are_known_as_far_as_there_is_room},
    {"paths are known", paths_are_known},
    {"directories have their paths", directories_have_their_paths},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source dir, second look", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
