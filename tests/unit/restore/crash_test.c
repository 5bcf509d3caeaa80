/*
 * A crash at any step of a restore, with any part of what was not synced: a target that looks
 * restored is what the backup has, whole, with owners, modes and times; one that is not either is
 * as it was before or has the marker that says so; what was reported as restored stays; and the
 * same restore, run again, makes it whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"
#include "tests/unit/restore/crash_disk.h"
#include "tests/unit/restore/made_tree.h"

#define CHOICES_MAX 256u /* of what a crash leaves; where there are more, as many by chance */
#define TARGET "target"

static struct made_place place, around, target;
static struct crash_state before, after; /* the restore */
static size_t steps, step;
static uint64_t states;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static int restore_into(const char *path, bool force)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}, .force = force};
    static struct pst_restore_result result;
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, path, &options, &result);
    CU_ASSERT_EQUAL(result.failed + result.unset, 0);
    pst_backup_list_release(&list);
    return error;
}

/* ---- what is in the target before ---- */

static const char *inside(const char *name)
{
    return join(target.path, name);
}

static void make_empty(void)
{
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
}

/* Other sorts of files in the way, files of the same name, files of another. */
static void make_full(void)
{
    CU_ASSERT_EQUAL(mkdir(target.path, 0705), 0);
    write_file(inside("d"), "no directory", 12);
    write_file(inside("large"), "older", 5);
    write_file(inside("mine"), "of nobody's backup", 18);
    CU_ASSERT_EQUAL(mkdir(inside("hole"), 0755), 0);
    write_file(inside("hole/in it"), "older", 5);
    CU_ASSERT_EQUAL(symlink("mine", inside("rows")), 0);
}

static void make_environment(void)
{
    CU_ASSERT_EQUAL(mkdir(target.path, 0755), 0);
    write_file(inside("data.mdb"), "an older environment", 20);
    write_file(inside("lock.mdb"), "and its readers", 15);
}

static void name_leftover(char name[NAME_MAX + 1])
{
    uint8_t uid[PST_UID_BYTES];
    char text[2 * PST_UID_BYTES + 1];
    memset(uid, 0xB1, sizeof(uid));
    pst_hex_encode(uid, sizeof(uid), text);
    snprintf(name, NAME_MAX + 1, ".%s.penstock-%.16s", TARGET, text);
}

/* Of a killed restore. */
static void make_leftover(void)
{
    char name[NAME_MAX + 1];
    name_leftover(name);
    const struct made_place left = place_below(&around, name);
    CU_ASSERT_EQUAL(mkdir(left.path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(join(left.path, "d"), 0500), 0);
    write_file(join(left.path, "large"), "half", 4);
}

static struct made_backup made_environment(void)
{
    static const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0750, .mtime_sec = 1},
        {.id = 2, .type = PST_OBJECT_ENVIRONMENT, .path = "data.mdb", .size = 65536, .mode = 0640},
        {.id = 3, .type = PST_OBJECT_FILE, .path = "f", .size = 70000, .mode = 0600},
    };
    static const struct made_data data[] = {
        {0, 2, 0, 4096}, {0, 2, 4096, 61440}, {0, 3, 0, 65536}, {0, 3, 65536, 4464}};
    return (struct made_backup){.number = 1,
                                .parts = 1,
                                .sources = 1,
                                .objects = objects,
                                .objects_count = 3,
                                .data = data,
                                .data_count = 4};
}

static struct made_backup made_small_tree(void)
{
    return made_tree(100001);
}

static void expect_tree_at(const char *path)
{
    const struct made_backup made = made_small_tree();
    expect_made_tree(&made, path);
}

static void expect_environment_at(const char *path)
{
    const struct made_backup made = made_environment();
    struct stat status;
    expect_made_contents(&made, path, "data.mdb", 2);
    expect_made_contents(&made, path, "f", 3);
    CU_ASSERT_FALSE(path_exists(join(path, "lock.mdb")));
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_TRUE((status.st_mode & 07777) == 0750 && status.st_mtim.tv_sec == 1);
}

struct scenario {
    const char *name;
    struct made_backup (*made)(void);
    void (*set_up)(void); /* NULL: nothing is there */
    bool in_place;
    bool on_disk; /* where it is written past the page cache */
    void (*expect)(const char *path);
};

static const struct scenario scenarios[] = {
    {"into what does not exist", made_small_tree, NULL, false, false, expect_tree_at},
    {"into an empty directory", made_small_tree, make_empty, false, false, expect_tree_at},
    {"after one that was killed", made_small_tree, make_leftover, false, false, expect_tree_at},
    {"over other files", made_small_tree, make_full, true, false, expect_tree_at},
    {"over an environment", made_environment, make_environment, true, true, expect_environment_at},
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static const struct scenario *scenario;

/* ---- what a crash may leave ---- */

/* The time of the directory that the marker was taken from is set last. */
static bool is_same_inode(const struct crash_state *a, const struct crash_state *b, size_t inode,
                          bool but_time)
{
    const struct crash_inode *left = &a->inodes[inode], *right = &b->inodes[inode];
    return left->written == right->written && !left->is_torn && left->mode == right->mode &&
           left->uid == right->uid && left->gid == right->gid &&
           (but_time || (left->mtime.tv_sec == right->mtime.tv_sec &&
                         left->mtime.tv_nsec == right->mtime.tv_nsec));
}

static bool is_of_marker(const char *name)
{
    return strcmp(name, PST_RESTORE_MARKER) == 0 ||
           strcmp(name, "." PST_RESTORE_MARKER ".tmp") == 0;
}

static bool has_all(const struct crash_state *a, const struct crash_state *b, size_t directory)
{
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct crash_entry *entry = &b->entries[i];
        if (entry->directory != directory || is_of_marker(entry->name))
            continue;
        if (crash_find(a, directory, entry->name) != entry->inode ||
            !is_same_inode(a, b, entry->inode, false))
            return false;
        if (S_ISDIR(b->inodes[entry->inode].mode) && !has_all(a, b, entry->inode))
            return false;
    }
    return true;
}

/* Everything in the one is in the other, and the other way round. */
static bool is_same(const struct crash_state *a, const struct crash_state *b, size_t directory,
                    bool but_time)
{
    return is_same_inode(a, b, directory, but_time) && has_all(a, b, directory) &&
           has_all(b, a, directory);
}

static void fail(const char *what)
{
    printf("\n  %s: %s, after step %zu of %zu", scenario->name, what, step, steps);
    CU_FAIL("a crash");
}

static bool is_done(void)
{
    return step == steps;
}

static void expect_renamed(const struct crash_state *state)
{
    size_t root = crash_find(state, 0, TARGET), was = crash_find(&before, 0, TARGET);
    size_t is = crash_find(&after, 0, TARGET);
    if (root == is ? !is_same(state, &after, root, false) : root != was)
        fail("not whole under its name");
    if (is_done() && root != is)
        fail("lost after it was reported");
    if (root != is && was != SIZE_MAX && !is_same(state, &before, was, false))
        fail("what was there has changed");
}

static void expect_marked(const struct crash_state *state)
{
    size_t root = crash_find(state, 0, TARGET);
    size_t marker = crash_find(state, root, PST_RESTORE_MARKER);
    if (is_done() && (marker != SIZE_MAX || !is_same(state, &after, root, false)))
        fail("lost after it was reported");
    if (marker != SIZE_MAX && !crash_is_whole(state, marker))
        fail("a marker that is not whole");
    if (marker == SIZE_MAX && !is_same(state, &after, root, true) &&
        !is_same(state, &before, root, true))
        fail("half restored, and no marker");
}

static void expect_state(const struct crash_state *state)
{
    states++;
    if (scenario->in_place)
        expect_marked(state);
    else
        expect_renamed(state);
}

/* ---- run again ---- */

static void make_inode(const struct crash_state *state, size_t inode, const char *name,
                       const char *path)
{
    const struct crash_inode *made = &state->inodes[inode];
    char marker[2 * PST_UID_BYTES + 2];
    uint8_t uid[PST_UID_BYTES];
    memset(uid, 0xB1, sizeof(uid));
    pst_hex_encode(uid, sizeof(uid), marker);
    strcat(marker, "\n");
    bool is_marker = strcmp(name, PST_RESTORE_MARKER) == 0;
    if (S_ISDIR(made->mode))
        CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    if (S_ISREG(made->mode))
        write_file(path, is_marker ? marker : "half", is_marker ? strlen(marker) : 4);
    if (S_ISLNK(made->mode))
        CU_ASSERT_EQUAL(symlink("somewhere", path), 0);
    if (S_ISFIFO(made->mode))
        CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
}

/* Names, sorts and modes of a state; contents are those of none. */
static void make_tree(const struct crash_state *state, size_t directory, const char *path)
{
    for (size_t i = 0; i < state->entries_count; i++) {
        const struct crash_entry *entry = &state->entries[i];
        char below[PATH_MAX];
        if (entry->directory != directory)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->name);
        make_inode(state, entry->inode, entry->name, below);
        if (S_ISDIR(state->inodes[entry->inode].mode)) {
            make_tree(state, entry->inode, below);
            CU_ASSERT_EQUAL(chmod(below, state->inodes[entry->inode].mode & 07777), 0);
        }
    }
}

static struct crash_state kept; /* one of the states after a step */

static void keep(const struct crash_state *state)
{
    kept = *state;
}

/* Others may have been in it since it got its mode: it is left for the user to remove. */
static void remove_open_leftover(const char *path)
{
    char name[NAME_MAX + 1];
    name_leftover(name);
    size_t left = crash_find(&kept, 0, name);
    if (left != SIZE_MAX && (kept.inodes[left].mode & 077))
        remove_tree(join(path, name));
}

/* A target without the marker is one that the user has to force. */
static void run_again(void)
{
    const struct made_place again = make_fast_place();
    const struct made_place whole = place_below(&again, TARGET);
    make_tree(&kept, 0, again.path);
    remove_open_leftover(again.path);
    size_t root = crash_find(&kept, 0, TARGET);
    bool is_marked = crash_find(&kept, root, PST_RESTORE_MARKER) != SIZE_MAX;
    bool is_there = root != SIZE_MAX && root != crash_find(&before, 0, TARGET);
    CU_ASSERT_EQUAL(restore_into(whole.path, !is_marked && (scenario->in_place || is_there)), 0);
    scenario->expect(whole.path);
    if (scenario->in_place && scenario->set_up == make_full)
        CU_ASSERT_TRUE(path_exists(join(whole.path, "mine")));
    remove_place(&again);
}

static void crash(size_t number)
{
    scenario = &scenarios[number];
    const struct made_backup made = scenario->made();
    place = scenario->on_disk ? make_place() : make_fast_place();
    around = place_below(&place, "around");
    target = place_below(&around, TARGET);
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL_FATAL(mkdir(around.path, 0755), 0);
    if (scenario->set_up)
        scenario->set_up();
    crash_record(around.path);
    CU_ASSERT_EQUAL(restore_into(target.path, scenario->in_place), 0);
    crash_record_end();
    scenario->expect(target.path);
    steps = crash_steps();
    crash_state_at(0, &before);
    crash_state_at(steps, &after);
    states = 0;
    for (step = 0; step <= steps; step++) {
        crash_each(step, CHOICES_MAX, expect_state);
        if (step % 7 != 0 && step + 20 < steps)
            continue;
        crash_each(step, 1, keep);
        run_again();
    }
    CU_ASSERT_TRUE(steps > 20 && states > 50 * steps);
    remove_place(&place);
}

static void under_a_temporary_name(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (!scenarios[i].in_place)
            crash(i);
    }
}

static void in_place(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (scenarios[i].in_place)
            crash(i);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a crash of a restore under a temporary name", under_a_temporary_name},
        {"a crash of a restore in place", in_place},
        CU_TEST_INFO_NULL,
    };
    pst_log_set_hook(ignore, NULL);
    return suite_run("restore: crashes", tests);
}
