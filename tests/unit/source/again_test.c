/* The source dir where files are moved while it is listed, from a directory that its walk has not
 * read to one that it has: its second look finds them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/source/dir/dir.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

static struct pst_source *source;
static struct collected collected;

/* ---- calls of the walk ---- */

static void (*on_looks[2])(void); /* at the first look at "mover", and at "mover2" */
static bool hides_birth;
static int64_t clock_step_ns; /* that each look at the clock takes */

static void move_at(const char *name)
{
    size_t which = strcmp(name, "mover2") == 0;
    void (*move)(void) = on_looks[which];
    if (!move || strncmp(name, "mover", 5) != 0)
        return;
    on_looks[which] = NULL;
    move();
}

int __real_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);

int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status)
{
    move_at(name);
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
    remove_directory();
    on_looks[0] = on_looks[1] = NULL;
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

static void begin(void (*on_look)(void))
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

static void list_with(void (*on_look)(void))
{
    begin(on_look);
    list();
}

static void end(void)
{
    pst_source_close(source);
    collected_free(&collected);
}

/* How often a path is in the listing. */
static uint32_t times_listed(const char *path)
{
    uint32_t times = 0;
    for (uint64_t i = 0; i < collected.count; i++) {
        const struct pst_fragment_descriptor *fragment = collected.fragments[i];
        struct pst_object object;
        size_t offset = 0;
        for (uint32_t j = 0; j < fragment->entries_count; j++) {
            ASSERT_OK(pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object));
            times += strcmp(object.path, path) == 0;
        }
    }
    return times;
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "victim")), 1);
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
    CU_ASSERT_TRUE(times_listed(at(READ, "victim")) + times_listed(at(UNREAD, "victim")) > 0);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "sub")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "sub/deep")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "sub/deep/file")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "sub/link")), 1);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "new")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "new/victim")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "new/file")), 0);
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
    CU_ASSERT_EQUAL(times_listed(named), 1);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "second")), 1);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "victim")), 1);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "victim")), 1);
    end();
}

/* ---- what is not ---- */

static void move_known(void)
{
    move(at(READ, "known"), at(READ_TOO, "known"));
    move(at(READ, "sub"), at(READ_TOO, "sub"));
}

static void what_was_listed_under_another_name_is_not_listed_again(void)
{
    REQUIRE(mkdir(at(READ, "sub"), 0700) == 0);
    write_file(at(READ, "sub/file"), "sub", 3);
    list_with(move_known);
    expect(0, 2);
    CU_ASSERT_EQUAL(times_listed(at(READ, "known")), 1);
    CU_ASSERT_EQUAL(times_listed(at(READ, "sub/file")), 1);
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
    CU_ASSERT_EQUAL(times_listed(at(READ, "new")), 0);
    end();
}

static void what_is_excluded_stays_so(void)
{
    static const char *const patterns[] = {"vic*"};
    const struct pst_file_filter filter = {.patterns = patterns, .patterns_count = 1};
    begin(move_victim);
    pst_dir_filter(source, &filter);
    list();
    expect(0, UINT64_MAX);
    end();
}

static void a_snapshot_has_no_second_look(void)
{
    begin(move_victim);
    ((struct dir_source *)source)->is_still = true;
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

static CU_TestInfo tests[] = {
    {"a file that was moved is listed", a_file_that_was_moved_is_listed},
    {"one is listed where threads read ahead", one_is_listed_where_threads_read_ahead},
    {"a subtree that was moved is listed whole", a_subtree_that_was_moved_is_listed_whole},
    {"a file that was moved to a new directory is listed",
     a_file_that_was_moved_to_a_new_directory_is_listed},
    {"a file that was moved over another is named", a_file_that_was_moved_over_another_is_named},
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
    {"a snapshot has no second look", a_snapshot_has_no_second_look},
    {"a second look that takes too long is told", a_second_look_that_takes_too_long_is_told},
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
