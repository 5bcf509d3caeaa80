/*
 * Sources that change under the scan: files that vanish, shrink, grow, are rewritten or become
 * something else between the listing and the reading. The backup completes, and says so of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "tests/support/child.h"
#include "tests/support/decoded.h"
#include "tests/support/node_rig.h"

static char scratch[SCRATCH_PATH_BYTES];

static int start(void)
{
    make_scratch(scratch, ".");
    return 0;
}

static int stop(void)
{
    remove_tree(scratch);
    return 0;
}

/* A source in front of a dir source: changes each file just before its fragment is handed over. */
struct meddler {
    struct pst_source source; /* first */
    struct pst_source *dir;
    struct pst_fragment_sink sink;
    struct pst_fragment_sink *real;
    const char *root;
    void (*change)(const char *path);
    uint64_t changed;
    uint64_t last_object;
};

static struct meddler *of_sink(struct pst_fragment_sink *sink)
{
    return (struct meddler *)((char *)sink - offsetof(struct meddler, sink));
}

static int meddle_acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    struct pst_fragment_sink *real = of_sink(sink)->real;
    return real->acquire(real, slot);
}

static int meddle_emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    struct meddler *meddler = of_sink(sink);
    for (uint32_t i = 0; i < slot->files_count; i++) {
        if (!slot->files[i].path || slot->files[i].object == meddler->last_object)
            continue;
        meddler->change(join(meddler->root, slot->files[i].path));
        meddler->last_object = slot->files[i].object;
        meddler->changed++;
    }
    return meddler->real->emit(meddler->real, slot);
}

static int meddle_list(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    struct meddler *meddler = (struct meddler *)source;
    meddler->real = sink;
    meddler->sink = (struct pst_fragment_sink){.acquire = meddle_acquire, .emit = meddle_emit};
    return meddler->dir->list(meddler->dir, &meddler->sink, listing);
}

static int meddle_snapshot(struct pst_source *source, uint64_t gci)
{
    struct pst_source *dir = ((struct meddler *)source)->dir;
    int error = dir->snapshot(dir, gci);
    source->root_fd = dir->root_fd;
    return error;
}

static void meddle_thaw(struct pst_source *source)
{
    struct pst_source *dir = ((struct meddler *)source)->dir;
    dir->thaw(dir);
}

static int meddle_check(struct pst_source *source, uint64_t deadline_ns)
{
    struct pst_source *dir = ((struct meddler *)source)->dir;
    return dir->check(dir, deadline_ns);
}

static void meddle_release(struct pst_source *source)
{
    struct pst_source *dir = ((struct meddler *)source)->dir;
    dir->release(dir);
}

static int meddle_contains(struct pst_source *source, const char *path)
{
    struct pst_source *dir = ((struct meddler *)source)->dir;
    return dir->contains(dir, path);
}

static void meddle_close(struct pst_source *source)
{
    pst_source_close(((struct meddler *)source)->dir);
}

static void put_in_front(struct meddler *meddler, struct rig *rig, const char *root,
                         void (*change)(const char *path))
{
    memset(meddler, 0, sizeof(*meddler));
    meddler->source = *rig->sources[0];
    meddler->dir = rig->sources[0];
    meddler->source.snapshot = meddle_snapshot;
    meddler->source.list = meddle_list;
    meddler->source.thaw = meddle_thaw;
    meddler->source.check = meddle_check;
    meddler->source.release = meddle_release;
    meddler->source.contains = meddle_contains;
    meddler->source.close = meddle_close;
    meddler->root = root;
    meddler->change = change;
    rig->sources[0] = &meddler->source;
}

static void make_files(const char *source)
{
    char name[64];
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "file %u", i);
        make_file(source, name, 10 + i * 9000, i);
    }
    make_file(source, "huge", 150 * MIB, 77);
}

static bool names_all(const struct decoded *decoded)
{
    uint32_t named = 0;
    for (size_t i = 0; i < decoded->objects_count; i++) {
        const struct pst_object *object = &decoded->objects[i].object;
        char name[2 * SCRATCH_PATH_BYTES];
        snprintf(name, sizeof(name), "x/%s", object->path);
        for (uint32_t j = 0; j < decoded->node->unreadable_names_count; j++)
            named += strcmp(decoded->node->unreadable_names[j], name) == 0;
    }
    return named == decoded->node->unreadable_names_count;
}

/* All of the tree's 21 files are changed so; all but unflagged must carry one of the flags. */
static void run_changed(void (*change)(const char *path), uint32_t flags, uint64_t unflagged)
{
    char source[SCRATCH_PATH_BYTES], spec[2 * SCRATCH_PATH_BYTES];
    struct rig rig;
    struct meddler meddler;
    struct decoded decoded;
    make_scratch(source, "/dev/shm");
    make_files(source);
    snprintf(spec, sizeof(spec), "x=dir:%s", source);
    const char *const specs[] = {spec};
    rig_open(&rig, scratch, 2, specs, 1);
    put_in_front(&meddler, &rig, source, change);
    begin_log_capture();
    unsigned fds = count_open_fds();
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), 0);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    free(end_log_capture());
    CU_ASSERT_EQUAL(meddler.changed, 21);
    bool opened = decoded_open(&decoded, scratch, rig.report->number);
    CU_ASSERT_TRUE(opened);
    uint64_t flagged = 0;
    for (size_t i = 0; opened && i < decoded.objects_count; i++)
        flagged += (decoded.objects[i].object.flags & flags) != 0;
    CU_ASSERT_EQUAL(flagged, 21 - unflagged);
    CU_ASSERT_EQUAL(rig.report->sums.unreadable, flagged);
    CU_ASSERT_EQUAL(decoded.cluster->common.sums.unreadable, flagged);
    CU_ASSERT_EQUAL(decoded.node->unreadable_names_count, flagged);
    CU_ASSERT_TRUE(names_all(&decoded));
    decoded_close(&decoded);
    remove_tree(join(scratch, "BACKUP-1"));
    rig_close(&rig);
    remove_tree(source);
}

static void vanish(const char *path)
{
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void shrink(const char *path)
{
    CU_ASSERT_EQUAL(truncate(path, 5), 0);
}

static void shrink_to_nothing(const char *path)
{
    CU_ASSERT_EQUAL(truncate(path, 0), 0);
}

static void grow(const char *path)
{
    CU_ASSERT_EQUAL(truncate(path, 300 * MIB), 0);
}

static void replace(const char *path)
{
    struct stat status;
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(rename(path, join(scratch, "away")) == 0 || unlink(path) == 0, 1);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(ftruncate(fd, status.st_size), 0);
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    CU_ASSERT_EQUAL(futimens(fd, times), 0);
    close(fd);
}

static void become_fifo(const char *path)
{
    CU_ASSERT_TRUE(unlink(path) == 0 && mkfifo(path, 0600) == 0);
}

static void become_symlink(const char *path)
{
    CU_ASSERT_TRUE(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
}

static void become_directory(const char *path)
{
    CU_ASSERT_TRUE(unlink(path) == 0 && mkdir(path, 0700) == 0);
}

static void stay(const char *path)
{
    CU_ASSERT_TRUE(path_exists(path));
}

static void test_changes(void)
{
    uint32_t unreadable = PST_OBJECT_UNREADABLE, changed = PST_OBJECT_CHANGED;
    run_changed(stay, unreadable | changed, 21);
    run_changed(vanish, unreadable, 0);
    run_changed(shrink, changed, 0);
    run_changed(shrink_to_nothing, changed, 0);
    run_changed(grow, changed, 0);
    run_changed(replace, changed, 0);
    run_changed(become_fifo, unreadable, 0);
    run_changed(become_symlink, unreadable, 0);
    run_changed(become_directory, unreadable, 0);
}

static char roots[SCRATCH_PATH_BYTES], his[SCRATCH_PATH_BYTES];

/* What the listing could not read is told and counted: a process of its own, for it is not root. */
static int run_unreadable_as_nobody(void)
{
    const char *source = roots, *to = his;
    char spec[2 * SCRATCH_PATH_BYTES];
    struct rig rig;
    struct decoded decoded;
    make_file(source, "closed", 100, 1);
    make_file(source, "open", 100, 2);
    make_directory(source, "private");
    make_file(source, "private/hidden", 100, 3);
    if (chmod(source, 0755) < 0 || chmod(to, 0777) < 0 || chmod(join(source, "open"), 0644) < 0 ||
        chmod(join(source, "closed"), 0) < 0 || chmod(join(source, "private"), 0) < 0 ||
        setgid(65534) < 0 || setuid(65534) < 0)
        return 77;
    snprintf(spec, sizeof(spec), "x=dir:%s", source);
    const char *const specs[] = {spec};
    rig_open(&rig, to, 2, specs, 1);
    begin_log_capture();
    int error = rig_run(&rig);
    char *log = end_log_capture();
    bool right = !error && rig.report->sums.unreadable == 2 && strstr(log, "closed") &&
                 strstr(log, "private") && decoded_open(&decoded, to, 1);
    if (right) {
        const struct decoded_object *closed = decoded_find(&decoded, 0, "closed");
        right = closed && (closed->object.flags & PST_OBJECT_UNREADABLE) &&
                decoded.cluster->common.sums.unreadable == 2 &&
                decoded.node->common.sums.unreadable == 2 &&
                decoded.node->unreadable_names_count == 2;
        decoded_close(&decoded);
    }
    if (!right)
        printf("%s, %llu unreadable, %s", pst_error_text(error),
               (unsigned long long)rig.report->sums.unreadable, log);
    remove_tree(join(to, "BACKUP-1"));
    free(log);
    rig_close(&rig);
    return !right;
}

static int in_child(void)
{
    make_scratch(roots, "/dev/shm");
    make_scratch(his, "/dev/shm");
    int code = child_report("unreadable files", "becoming another user needs root",
                            run_unreadable_as_nobody);
    remove_tree(roots);
    remove_tree(his);
    return code;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"files that change under the scan", test_changes},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "trouble", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    if (argc == 2 && strcmp(argv[1], "nobody") == 0)
        return in_child();
    return run_suites(suites);
}
