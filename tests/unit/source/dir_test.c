/* The source dir on real trees. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/source/dir/dir.h"
#include "engine/source/dir/tree.h"
#include "engine/source/registry/registry.h"
#include "tests/support/child.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

#define NOBODY 65534

static struct pst_source *source;
static struct collected collected;

static void set_up(void)
{
    make_directory();
    umask(0);
}

static void tear_down(void)
{
    remove_directory();
}

static void list_here(void)
{
    source = open_source("here=dir:.");
    collect(source, &collected);
    check_listing(&collected);
}

static void forget(void)
{
    pst_source_close(source);
    collected_free(&collected);
}

static struct pst_object object_at(const char *path)
{
    struct pst_object object = {0};
    bool found = find_object(&collected, path, &object);
    if (!found)
        fprintf(stderr, "not listed: %s\n", path);
    CU_ASSERT_TRUE_FATAL(found);
    return object;
}

static void metadata_is_exact(void)
{
    write_file("file", "content", 7);
    ASSERT_OK(chmod("file", 04751));
    ASSERT_OK(mkdir("directory", 01777));
    ASSERT_OK(chmod("directory", 01777));
    ASSERT_OK(symlink("no/such/target", "symlink"));
    if (geteuid() == 0)
        ASSERT_OK(chown("file", 1234, 5678));
    const struct timespec old[2] = {{0}, {.tv_sec = -86400, .tv_nsec = 123456789}};
    ASSERT_OK(utimensat(AT_FDCWD, "file", old, 0));
    const struct timespec new[2] = {{0}, {.tv_sec = 4000000000, .tv_nsec = 999999999}};
    ASSERT_OK(utimensat(AT_FDCWD, "symlink", new, AT_SYMLINK_NOFOLLOW));
    struct stat status;
    ASSERT_OK(stat("file", &status));
    list_here();

    struct pst_object file = object_at("file");
    CU_ASSERT_EQUAL(file.type, PST_OBJECT_FILE);
    CU_ASSERT_EQUAL(file.size, 7);
    CU_ASSERT_EQUAL(file.mode, status.st_mode & 07777);
    CU_ASSERT_EQUAL(file.uid, status.st_uid);
    CU_ASSERT_EQUAL(file.gid, status.st_gid);
    CU_ASSERT_EQUAL(file.mtime_sec, -86400);
    CU_ASSERT_EQUAL(file.mtime_nsec, 123456789);
    struct pst_object directory = object_at("directory");
    CU_ASSERT_EQUAL(directory.type, PST_OBJECT_DIRECTORY);
    CU_ASSERT_EQUAL(directory.mode, 01777);
    CU_ASSERT_EQUAL(object_at("").type, PST_OBJECT_DIRECTORY);
    struct pst_object link = object_at("symlink");
    CU_ASSERT_EQUAL(link.type, PST_OBJECT_SYMLINK);
    CU_ASSERT_STRING_EQUAL(link.link, "no/such/target");
    CU_ASSERT_EQUAL(link.mtime_sec, 4000000000);
    CU_ASSERT_EQUAL(link.mtime_nsec, 999999999);
    CU_ASSERT_EQUAL(collected.listing.objects, 4);
    forget();
}

static void files_carry_their_identity(void)
{
    write_file("file", "content", 7);
    struct stat status;
    ASSERT_OK(stat("file", &status));
    list_here();
    const struct pst_fragment_file *file = &collected.fragments[0]->files[0];
    CU_ASSERT_STRING_EQUAL(file->path, "file");
    CU_ASSERT_EQUAL(file->device, status.st_dev);
    CU_ASSERT_EQUAL(file->inode, status.st_ino);
    CU_ASSERT_EQUAL(file->size_bytes, 7);
    CU_ASSERT_EQUAL(file->mtime_ns, status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    forget();
}

static void empty_files_have_no_extents(void)
{
    write_file("empty", "", 0);
    list_here();
    CU_ASSERT_EQUAL(object_at("empty").size, 0);
    CU_ASSERT_EQUAL(collected.listing.bytes, 0);
    CU_ASSERT_EQUAL(collected.fragments[0]->files_count, 0);
    forget();
}

static bool has_file(const struct collected *all, uint64_t object)
{
    bool found = false;
    for (uint64_t i = 0; i < all->count; i++)
        for (uint32_t j = 0; j < all->fragments[i]->files_count; j++)
            found = found || all->fragments[i]->files[j].object == object;
    return found;
}

/* Data at 1 MiB, and at 100 MiB up to an odd end; a hole behind it. */
static void sparse_files_have_extents_of_data_only(void)
{
    write_file("sparse", "", 0);
    write_file("hole", "", 0);
    char data[10000];
    memset(data, 'd', sizeof(data));
    int fd = open("sparse", O_RDWR | O_CLOEXEC);
    CU_ASSERT_EQUAL(pwrite(fd, data, sizeof(data), 1 << 20), (ssize_t)sizeof(data));
    CU_ASSERT_EQUAL(pwrite(fd, data, sizeof(data), 100 << 20), (ssize_t)sizeof(data));
    ASSERT_OK(ftruncate(fd, (120 << 20) + 1));
    bool holes_are_told = lseek(fd, 0, SEEK_DATA) > 0;
    close(fd);
    ASSERT_OK(truncate("hole", 1 << 30));
    list_here();
    struct pst_object sparse = object_at("sparse");
    CU_ASSERT_EQUAL(sparse.size, (120 << 20) + 1);
    uint8_t *bytes = read_object(source, &collected, &sparse);
    CU_ASSERT_EQUAL(memcmp(bytes + (1 << 20), data, sizeof(data)), 0);
    CU_ASSERT_EQUAL(memcmp(bytes + (100 << 20), data, sizeof(data)), 0);
    free(bytes);
    if (holes_are_told) {
        CU_ASSERT_TRUE(extent_bytes(&collected, sparse.id) >= 2 * sizeof(data));
        CU_ASSERT_TRUE(extent_bytes(&collected, sparse.id) <= 2 * sizeof(data) + (128 << 10));
        CU_ASSERT_EQUAL(extent_bytes(&collected, object_at("hole").id), 0);
        CU_ASSERT_TRUE(has_file(&collected, object_at("hole").id)); /* it may be cut yet */
    } else {
        CU_ASSERT_EQUAL(extent_bytes(&collected, sparse.id), sparse.size);
    }
    forget();
}

/* More runs of data than a fragment has extents: its entry is repeated in the next. */
static void many_holes_take_many_fragments(void)
{
    write_file("comb", "", 0);
    int fd = open("comb", O_RDWR | O_CLOEXEC);
    off_t teeth = 3 * PST_FRAGMENT_EXTENTS_MAX;
    for (off_t i = 0; i < teeth; i++)
        CU_ASSERT_EQUAL(pwrite(fd, &i, sizeof(i), (2 * i + 1) * (64 << 10)), sizeof(i));
    bool holes_are_told = lseek(fd, 0, SEEK_DATA) > 0;
    close(fd);
    list_here();
    struct pst_object comb = object_at("comb");
    uint8_t *bytes = read_object(source, &collected, &comb);
    for (off_t i = 0; i < teeth; i++)
        CU_ASSERT_EQUAL(memcmp(bytes + (2 * i + 1) * (64 << 10), &i, sizeof(i)), 0);
    free(bytes);
    if (holes_are_told)
        CU_ASSERT_TRUE(collected.count >= 3);
    CU_ASSERT_EQUAL(collected.listing.objects, 2);
    forget();
}

static void hard_links_name_the_first(void)
{
    ASSERT_OK(mkdir("a", 0755));
    ASSERT_OK(mkdir("b", 0755));
    write_file("a/one", "shared", 6);
    ASSERT_OK(link("a/one", "a/two"));
    ASSERT_OK(link("a/one", "b/three"));
    char path[2][32];
    for (int i = 0; i < 5000; i++) { /* past every growth of the table */
        snprintf(path[0], sizeof(path[0]), "a/file%d", i);
        snprintf(path[1], sizeof(path[1]), "b/link%d", i);
        write_file(path[0], "x", 1);
        ASSERT_OK(link(path[0], path[1]));
    }
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, 3 + 3 + 10000);
    CU_ASSERT_EQUAL(collected.listing.bytes, 6 + 5000);
    const char *const names[] = {"a/one", "a/two", "b/three"};
    uint64_t file = 0;
    uint64_t linked[3];
    unsigned links = 0;
    for (int i = 0; i < 3; i++) {
        struct pst_object object = object_at(names[i]);
        if (object.type == PST_OBJECT_FILE)
            file = object.id;
        else
            linked[links++] = object.linked_object;
    }
    CU_ASSERT_EQUAL_FATAL(links, 2);
    CU_ASSERT_NOT_EQUAL(file, 0);
    CU_ASSERT_EQUAL(linked[0], file);
    CU_ASSERT_EQUAL(linked[1], file);
    forget();
}

static void names_are_bytes(void)
{
    static const char *const names[] = {
        "new\nline", "\xff\xfe invalid", "-rf", "quote'\"\\", "\xc3\xa4\xe2\x82\xac", " ", "..."};
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    write_file(longest, "l", 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        write_file(names[i], names[i], strlen(names[i]));
    list_here();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct pst_object object = object_at(names[i]);
        uint8_t *bytes = read_object(source, &collected, &object);
        CU_ASSERT_EQUAL(memcmp(bytes, names[i], strlen(names[i])), 0);
        free(bytes);
    }
    CU_ASSERT_EQUAL(object_at(longest).size, 1);
    forget();
}

/* Directories one in another, deeper than descriptors are kept open, each with two files, so
 * that some are read before and some after the way down. */
static void deep_trees_are_walked_whole(void)
{
    enum { DEPTH = 3 * TREE_OPEN };
    char path[PST_PATH_BYTES_MAX] = ".";
    size_t used = 1;
    char file[PST_PATH_BYTES_MAX + 16];
    for (int i = 0; i < DEPTH; i++) {
        for (int j = 0; j < 40; j++) {
            snprintf(file, sizeof(file), "%s/file%d", path, j);
            write_file(file, "x", 1);
        }
        used += (size_t)snprintf(path + used, sizeof(path) - used, "/directory");
        ASSERT_OK(mkdir(path, 0755));
    }
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, 1 + 41 * DEPTH);
    CU_ASSERT_EQUAL(collected.listing.vanished + collected.listing.unreadable, 0);
    forget();
}

/* Names of 255 bytes: sixteen directories make a path of 4095. */
static void too_long_paths_are_said_to_be_left_out(void)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 17; i++) {
        ASSERT_OK(mkdirat(fd, name, 0755));
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
        if (i == 14) { /* 15 * 256 bytes in here: 255 are the most that fit */
            close(openat(fd, "s", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        } else if (i == 15) {
            close(openat(fd, "s", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        }
    }
    close(fd);
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, 1 + 16 + 1);
    CU_ASSERT_EQUAL(collected.listing.unreadable, 2);
    forget();
    ASSERT_OK(system("chmod -R u+rwx . && rm -rf n*"));
}

static void special_files_are_listed(void)
{
    ASSERT_OK(mkfifo("fifo", 0644));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    ASSERT_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    close(fd);
    if (geteuid() == 0)
        ASSERT_OK(mknod("device", S_IFCHR | 0600, makedev(300, 70000)));
    list_here();
    CU_ASSERT_EQUAL(collected.listing.skipped, 0);
    CU_ASSERT_EQUAL(object_at("fifo").type, PST_OBJECT_FIFO);
    CU_ASSERT_EQUAL(object_at("fifo").mode, 0644);
    CU_ASSERT_EQUAL(object_at("socket").type, PST_OBJECT_SOCKET);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(object_at("device").type, PST_OBJECT_CHARACTER_DEVICE);
        CU_ASSERT_EQUAL(object_at("device").rdev, UINT64_C(300) << 32 | 70000);
    }
    CU_ASSERT_EQUAL(collected.fragments[0]->files_count, 0);
    forget();
}

/* Whichever is met first is the object. */
static void names_of_what_is_no_file_are_links_too(void)
{
    ASSERT_OK(symlink("nowhere", "symlink"));
    ASSERT_OK(link("symlink", "symlink again"));
    ASSERT_OK(mkfifo("fifo", 0644));
    ASSERT_OK(link("fifo", "fifo again"));
    list_here();
    static const char *const pairs[][2] = {{"symlink", "symlink again"}, {"fifo", "fifo again"}};
    for (int i = 0; i < 2; i++) {
        struct pst_object one = object_at(pairs[i][0]), other = object_at(pairs[i][1]);
        CU_ASSERT_EQUAL((one.type == PST_OBJECT_HARD_LINK) + (other.type == PST_OBJECT_HARD_LINK),
                        1);
        CU_ASSERT_TRUE(pst_object_is_name_of(&one, other.id) ||
                       pst_object_is_name_of(&other, one.id));
    }
    CU_ASSERT_EQUAL(collected.listing.objects, 5);
    forget();
}

static void one_file_is_a_source_too(void)
{
    write_file("file", "content", 7);
    write_file("other", "x", 1);
    ASSERT_OK(symlink("file", "to-file"));
    source = open_source("dir:to-file");
    CU_ASSERT_STRING_EQUAL(source->name, "to-file");
    collect(source, &collected);
    check_listing(&collected);
    CU_ASSERT_EQUAL(collected.listing.objects, 1);
    struct pst_object object = object_at("file");
    uint8_t *bytes = read_object(source, &collected, &object);
    CU_ASSERT_EQUAL(memcmp(bytes, "content", 7), 0);
    free(bytes);
    pst_source_release(source);
    collected_free(&collected);
    ASSERT_OK(pst_source_freeze(source, 0));
    ASSERT_OK(pst_source_snapshot(source, 1));
    ASSERT_OK(unlink("file"));
    collected_init(&collected);
    CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing), -ENOENT);
    pst_source_release(source);
    ASSERT_OK(pst_source_freeze(source, 0));
    CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -ENOENT);
    forget();
}

/* Backs the source up once more; the log's lines, which the caller frees. */
static char *list_again(void)
{
    pst_source_release(source);
    collected_free(&collected);
    begin_log_capture();
    collect(source, &collected);
    check_listing(&collected);
    return end_log_capture();
}

/* What the path leads to at each backup, not what it led to when the source was opened. */
static void the_path_is_looked_up_anew(void)
{
    ASSERT_OK(mkdir("one", 0755));
    ASSERT_OK(mkdir("two", 0755));
    write_file("one/old", "o", 1);
    write_file("two/new", "n", 1);
    ASSERT_OK(symlink("one", "current"));
    source = open_source("dir:current");
    collect(source, &collected);
    object_at("old");
    char *log = list_again();
    CU_ASSERT_STRING_EQUAL(log, ""); /* it is the same */
    free(log);
    ASSERT_OK(unlink("current"));
    ASSERT_OK(symlink("two", "current"));
    log = list_again();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "/current is another directory than before"));
    object_at("new");
    free(log);
    ASSERT_OK(rename("two", "two.old"));
    ASSERT_OK(mkdir("two", 0755));
    log = list_again();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "is another directory than before"));
    CU_ASSERT_EQUAL(collected.listing.objects, 1);
    free(log);
    forget();
}

static void a_path_that_is_gone_fails_until_it_is_back(void)
{
    ASSERT_OK(mkdir("here", 0755));
    write_file("here/file", "x", 1);
    source = open_source("dir:here");
    ASSERT_OK(rename("here", "away"));
    ASSERT_OK(pst_source_freeze(source, 0));
    begin_log_capture();
    CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -ENOENT);
    char *log = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "/here: No such file or directory"));
    free(log);
    pst_source_release(source);
    ASSERT_OK(rename("away", "here"));
    collected_init(&collected);
    log = list_again();
    CU_ASSERT_STRING_EQUAL(log, "");
    object_at("file");
    free(log);
    forget();
}

static void symlinks_are_not_followed(void)
{
    ASSERT_OK(mkdir("directory", 0755));
    write_file("directory/file", "x", 1);
    ASSERT_OK(symlink("..", "directory/loop"));
    ASSERT_OK(symlink("directory", "alias"));
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, 5);
    CU_ASSERT_EQUAL(object_at("alias").type, PST_OBJECT_SYMLINK);
    forget();
}

/* Names are what counts, so they share two inodes: far cheaper to make. */
static void a_wide_directory_is_listed_whole(void)
{
    enum { NAMES = 30000 };
    char path[32];
    write_file("first", "x", 1);
    write_file("second", "x", 1);
    for (int i = 2; i < NAMES; i++) {
        snprintf(path, sizeof(path), "%d", i);
        CU_ASSERT_EQUAL_FATAL(link(i % 2 ? "first" : "second", path), 0);
    }
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, NAMES + 1);
    CU_ASSERT_EQUAL(collected.listing.bytes, 2);
    CU_ASSERT_TRUE(collected.count > 10);
    forget();
}

/* ---- trees that change, and what may not be read ---- */

static atomic_bool stop;

static void *churn(void *argument)
{
    (void)argument;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        char path[2][64];
        snprintf(path[0], sizeof(path[0]), "moving/%u/d", i % 50);
        snprintf(path[1], sizeof(path[1]), "moving/%u/d/file", i % 50);
        (void)!mkdir(path[0], 0755);
        close(open(path[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        (void)unlink(path[1]);
        (void)rmdir(path[0]);
        (void)!symlink("/", path[0]); /* a trap where a directory was */
        (void)unlink(path[0]);
    }
    return NULL;
}

static void a_changing_tree_does_no_harm(void)
{
    char path[64];
    ASSERT_OK(mkdir("moving", 0755));
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "moving/%d", i);
        ASSERT_OK(mkdir(path, 0755));
        snprintf(path, sizeof(path), "moving/%d/stays", i);
        write_file(path, "stays", 5);
    }
    pthread_t thread;
    atomic_store(&stop, false);
    ASSERT_OK(pthread_create(&thread, NULL, churn, NULL));
    for (int round = 0; round < 20; round++) {
        list_here();
        for (int i = 0; i < 50; i++) {
            snprintf(path, sizeof(path), "moving/%d/stays", i);
            CU_ASSERT_EQUAL(object_at(path).size, 5);
        }
        CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
        CU_ASSERT_TRUE(collected.listing.objects <= 2 + 50 + 50 + 50 * 2);
        forget();
    }
    atomic_store(&stop, true);
    ASSERT_OK(pthread_join(thread, NULL));
}

/* The moment between looking at a directory and entering it, made long. */
static void a_directory_turned_symlink_is_not_entered(void)
{
    ASSERT_OK(mkdir("directory", 0755));
    int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct tree *tree = malloc(sizeof(*tree));
    CU_ASSERT_PTR_NOT_NULL_FATAL(tree);
    ASSERT_OK(tree_open(tree, root, 0, false));
    CU_ASSERT_EQUAL_FATAL(tree_next(tree), 1);
    CU_ASSERT_STRING_EQUAL(tree->path, "directory");
    ASSERT_OK(rmdir("directory"));
    ASSERT_OK(symlink("/", "directory"));
    int error = tree_enter(tree);
    CU_ASSERT_TRUE(error == -ELOOP || error == -ENOTDIR);
    tree_close(tree);
    free(tree);
    close(root);
}

/* Removes what is still to come once the first fragment is out. */
static int emit_and_remove(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    if (collected.count == 0)
        REQUIRE(system("rm -rf z*") == 0);
    (void)sink;
    collected.has_slot = false;
    slot->number = ++collected.count;
    return 0;
}

/* The wide directory's names come in buffers of some hundreds: those that are read but not yet
 * looked at are gone when their turn comes. */
static void list_what_vanishes(const struct pst_freeze_commands *commands)
{
    char path[64];
    for (int i = 0; i < 4000; i++) {
        snprintf(path, sizeof(path), "z%d", i);
        write_file(path, "x", 1);
    }
    source = open_source("dir:.");
    if (commands)
        pst_dir_freeze_by(source, commands);
    collected_init(&collected);
    collected.sink.emit = emit_and_remove;
    ASSERT_OK(pst_source_freeze(source, pst_monotonic_ns() + 10000000000));
    ASSERT_OK(pst_source_snapshot(source, 1));
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT_TRUE(collected.listing.objects < 4001);
}

static void vanished_files_are_counted(void)
{
    list_what_vanishes(NULL);
    CU_ASSERT_TRUE(collected.listing.vanished > 0);
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    forget();
}

/* It was removed too early. */
static void what_vanishes_from_a_snapshot_is_told(void)
{
    const struct pst_freeze_commands commands = {.freeze = "pwd"};
    list_what_vanishes(&commands);
    CU_ASSERT_EQUAL(collected.listing.vanished, 0);
    CU_ASSERT_TRUE(collected.listing.unreadable > 0);
    forget();
}

/* Exit code: bits of what was wrong. */
static int list_without_privilege(void)
{
    if (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
        return 255;
    struct pst_source *refused;
    char text[PST_SOURCE_ERROR_BYTES] = "";
    int wrong = 0;
    if (registry_open("dir:closed", 0, &refused, text, sizeof(text)) != -EACCES || refused)
        wrong |= 1;
    if (!strstr(text, "dir:closed") || !strstr(text, "ermission"))
        wrong |= 2;
    if (registry_open("dir:secret", 0, &refused, text, sizeof(text)) != -EACCES)
        wrong |= 4;
    list_here();
    if (collected.listing.unreadable != 1)
        wrong |= 8;
    if (collected.listing.objects != 4) /* root, closed, secret, open */
        wrong |= 16;
    if (object_at("closed").flags != PST_OBJECT_UNREADABLE || object_at("open").flags != 0)
        wrong |= 32;
    forget();
    return wrong;
}

static void unreadable_files_are_counted(void)
{
    ASSERT_OK(chmod(".", 0755));
    ASSERT_OK(mkdir("closed", 0700));
    write_file("closed/inside", "x", 1);
    ASSERT_OK(chmod("closed", 0));
    write_file("secret", "x", 1);
    ASSERT_OK(chmod("secret", 0));
    write_file("open", "x", 1);
    CU_ASSERT_EQUAL(child_run(list_without_privilege), 0);
    ASSERT_OK(chmod("closed", 0700));
}

/* ---- open ---- */

static void bad_roots_are_refused(void)
{
    ASSERT_OK(mkfifo("fifo", 0644));
    const struct {
        const char *spec;
        int error;
        const char *word;
    } cases[] = {
        {"dir:", -EINVAL, "dir:/path"},
        {"dir:no/such", -ENOENT, "no/such"},
        {"dir:fifo", -EINVAL, "want a directory, a regular file or a block device"},
        {"dir:fifo/x", -ENOTDIR, "fifo/x"},
        {"dir:/proc", -EINVAL, "file system of the kernel's own"},
        {"dir:/proc/self/task", -EINVAL, "file system of the kernel's own"},
        {"dir:/proc/version", -EINVAL, "file system of the kernel's own"},
        {"dir:/sys", -EINVAL, "file system of the kernel's own"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pst_source *opened = (struct pst_source *)cases;
        char text[PST_SOURCE_ERROR_BYTES] = "";
        int error = registry_open(cases[i].spec, 0, &opened, text, sizeof(text));
        CU_ASSERT_EQUAL(error, cases[i].error);
        CU_ASSERT_PTR_NULL(opened);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].word));
    }
}

static void contains_sees_through_links(void)
{
    ASSERT_OK(mkdir("inside", 0755));
    ASSERT_OK(mkdir("inside/deep", 0755));
    ASSERT_OK(mkdir("inside-not", 0755));
    ASSERT_OK(symlink("inside/deep", "shortcut"));
    write_file("inside/file", "x", 1);
    source = open_source("dir:inside");
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside"), 1);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside/"), 1);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside/deep/not/yet/there"),
                    PST_SOURCE_LEAVES_OUT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "shortcut/new"), PST_SOURCE_LEAVES_OUT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside-not/../inside/new"), PST_SOURCE_LEAVES_OUT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside-not"), 0);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside/../new"), 0);
    CU_ASSERT_EQUAL(pst_source_contains(source, "new"), 0);
    CU_ASSERT_EQUAL(pst_source_contains(source, "/"), 0);
    CU_ASSERT_EQUAL(pst_source_contains(source, ""), -ENOENT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside/deep"), PST_SOURCE_LEAVES_OUT);
    pst_source_close(source);
    source = open_source("dir:/");
    CU_ASSERT_EQUAL(pst_source_contains(source, "new"), PST_SOURCE_LEAVES_OUT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "/"), 1);
    pst_source_close(source);
    source = open_source("dir:inside/file");
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside"), 0);
    pst_source_close(source);
    source = open_source("synthetic:rows=1");
    CU_ASSERT_EQUAL(pst_source_contains(source, "inside"), 0);
    pst_source_close(source);
}

/* The error of fstatat and statx for names that begin with "bad"; 0: none. */
static int bad_error;
/* All files have inode 7 and two names. */
static bool inodes_collide;
/* Called once, for the next file that either is asked for. */
static void (*on_file)(void);
/* How far the clock is ahead. */
static time_t clock_ahead_s;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = __real_clock_gettime(clock, time);
    time->tv_sec += clock_ahead_s;
    return result;
}

int __real_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status);
int __real_fstatat(int directory, const char *name, struct stat *status, int flags);
int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);

static int changed(int result, struct stat *status)
{
    if (result == 0 && inodes_collide && S_ISREG(status->st_mode)) {
        status->st_ino = 7;
        status->st_nlink = 2;
    }
    return result;
}

int __wrap_fstat(int fd, struct stat *status)
{
    return changed(__real_fstat(fd, status), status);
}

static bool fails(const char *name)
{
    errno = bad_error;
    return bad_error && strncmp(name, "bad", 3) == 0;
}

static void note_file(int result, mode_t mode)
{
    void (*call)(void) = on_file;
    if (result == 0 && S_ISREG(mode) && call) {
        on_file = NULL;
        call();
    }
}

int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags)
{
    if (fails(name))
        return -1;
    int result = __real_fstatat(directory, name, status, flags);
    note_file(result, status->st_mode);
    return changed(result, status);
}

int __wrap_statx(int directory, const char *name, int flags, unsigned mask, struct statx *status)
{
    if (fails(name))
        return -1;
    int result = __real_statx(directory, name, flags, mask, status);
    note_file(result, status->stx_mode);
    struct stat seen = {
        .st_mode = status->stx_mode, .st_ino = status->stx_ino, .st_nlink = status->stx_nlink};
    result = changed(result, &seen);
    status->stx_ino = seen.st_ino;
    status->stx_nlink = (uint32_t)seen.st_nlink;
    return result;
}

/* As under mergerfs and some FUSE file systems. */
static void colliding_inode_numbers_merge_nothing(void)
{
    static const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        const struct timespec times[2] = {{.tv_sec = i}, {.tv_sec = i}};
        write_file(names[i], "12345", 5);
        ASSERT_OK(utimensat(AT_FDCWD, names[i], times, 0));
    }
    inodes_collide = true;
    list_here();
    inodes_collide = false;
    CU_ASSERT_EQUAL(collected.listing.objects, 4);
    for (int i = 0; i < 3; i++) {
        struct pst_object object = object_at(names[i]);
        CU_ASSERT_EQUAL(object.type, PST_OBJECT_FILE);
        CU_ASSERT_EQUAL(extent_bytes(&collected, object.id), 5);
    }
    forget();
}

static void remove_name(void)
{
    ASSERT_OK(unlink("name1"));
}

static void replace_name(void)
{
    write_file("new", "another", 7);
    ASSERT_OK(rename("new", "name1"));
}

/* One of three names goes, or becomes another file's, while they are listed. */
static void what_is_left_of_the_names_counts(void)
{
    write_file("name1", "content", 7);
    ASSERT_OK(link("name1", "name2"));
    ASSERT_OK(link("name1", "name3"));
    on_file = remove_name;
    list_here();
    CU_ASSERT_EQUAL(collected.listing.objects, 3);
    CU_ASSERT_TRUE(collected.listing.vanished <= 1); /* it may not have been met yet */
    struct pst_object two = object_at("name2"), three = object_at("name3");
    CU_ASSERT_EQUAL((two.type == PST_OBJECT_FILE) + (three.type == PST_OBJECT_FILE), 1);
    CU_ASSERT_EQUAL(two.linked_object + three.linked_object,
                    two.type == PST_OBJECT_FILE ? two.id : three.id);
    forget();
    ASSERT_OK(link("name2", "name1"));
    on_file = replace_name;
    list_here();
    struct pst_object one = object_at("name1");
    CU_ASSERT_EQUAL(one.type, PST_OBJECT_FILE);
    uint8_t *bytes = read_object(source, &collected, &one);
    CU_ASSERT_EQUAL(memcmp(bytes, "another", 7), 0);
    free(bytes);
    forget();
}

/* Names outside the source are waited for in vain, and a file has names that are listed twice over.
 */
static void names_outside_are_not_waited_for(void)
{
    ASSERT_OK(mkdir("in", 0755));
    ASSERT_OK(mkdir("out", 0755));
    write_file("out/file", "content", 7);
    ASSERT_OK(link("out/file", "in/one"));
    source = open_source("dir:in");
    collect(source, &collected);
    check_listing(&collected);
    CU_ASSERT_EQUAL(collected.listing.objects, 2);
    CU_ASSERT_EQUAL(object_at("one").type, PST_OBJECT_FILE);
    forget();
    source = open_source("dir:in/one");
    collect(source, &collected);
    CU_ASSERT_EQUAL(object_at("one").type, PST_OBJECT_FILE);
    forget();
}

static void append_byte(void)
{
    FILE *file = fopen("name1", "ae");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputc('x', file);
    fclose(file);
}

static void wait_too_long(void)
{
    clock_ahead_s = 20;
    on_file = append_byte;
}

/* The file becomes an object when only one of its three names is known; the second comes while it
 * is as it was, the third when it has changed. */
static void names_that_come_late_are_links_or_are_told(void)
{
    static const char *const names[] = {"name1", "name2", "name3"};
    uint64_t files[3] = {0}, links = 0;
    uint32_t count = 0;
    write_file("name1", "content", 7);
    ASSERT_OK(link("name1", "name2"));
    ASSERT_OK(link("name1", "name3"));
    on_file = wait_too_long;
    begin_log_capture();
    list_here();
    char *log = end_log_capture();
    clock_ahead_s = 0;
    for (int i = 0; i < 3; i++) {
        struct pst_object object = object_at(names[i]);
        if (object.type == PST_OBJECT_FILE)
            files[count++] = object.id;
        else
            links += object.linked_object;
    }
    CU_ASSERT_EQUAL_FATAL(count, 2);
    CU_ASSERT_TRUE(links == files[0] || links == files[1]);
    CU_ASSERT_EQUAL(extent_bytes(&collected, files[0]) + extent_bytes(&collected, files[1]), 15);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "is no hard link in the backup: \"name"));
    free(log);
    forget();
}

static void move_top(void)
{
    ASSERT_OK(rename("top", "moved"));
}

static void replace_top(void)
{
    ASSERT_OK(rename("top", "moved"));
    ASSERT_OK(mkdir("top", 0755));
}

/* A directory of more entries than one reading takes; a few of them lead to a file so deep that
 * only this directory and the one above it are shut. */
static void make_deep_trees(void)
{
    char path[256];
    ASSERT_OK(mkdir("top", 0755));
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof(path), "top/directory-of-a-long-name-%d", i);
        ASSERT_OK(mkdir(path, 0755));
        for (uint32_t depth = 0; i % 100 == 0 && depth < TREE_OPEN - 1; depth++)
            ASSERT_OK(mkdir(strcat(path, "/1"), 0755));
        if (i % 100 == 0)
            write_file(strcat(path, "/file"), "x", 1);
    }
}

/* While the walk is at the first of those files, so that it has to open top again. */
static void what_is_moved_deep_above_the_walk_is_told(void)
{
    static void (*const changes[])(void) = {move_top, replace_top};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        make_deep_trees();
        on_file = changes[i];
        begin_log_capture();
        list_here();
        char *log = end_log_capture();
        CU_ASSERT_TRUE(collected.listing.unreadable > 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(log, "cannot read the directory to its end"));
        free(log);
        forget();
        remove_directory();
        make_directory();
    }
}

static void only_enoent_is_vanished(void)
{
    static const int errors[] = {ENOENT, ESTALE, ENOTDIR, ELOOP, EIO};
    write_file("good", "g", 1);
    write_file("bad1", "b", 1);
    write_file("bad2", "b", 1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        bad_error = errors[i];
        list_here();
        bad_error = 0;
        CU_ASSERT_EQUAL(collected.listing.vanished, i == 0 ? 2 : 0);
        CU_ASSERT_EQUAL(collected.listing.unreadable, i == 0 ? 0 : 2);
        object_at("good");
        forget();
    }
}

/* A lack of memory or descriptors would hit the next file too: it ends the listing. */
static void a_shortage_marks_no_file(void)
{
    static const int errors[] = {ENOMEM, EMFILE, ENFILE};
    write_file("bad", "b", 1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        source = open_source("here=dir:.");
        collected_init(&collected);
        ASSERT_OK(pst_source_freeze(source, 0));
        ASSERT_OK(pst_source_snapshot(source, 1));
        bad_error = errors[i];
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing), -errors[i]);
        bad_error = 0;
        CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
        forget();
    }
}

/* Of two changes within a tick of the clock the second one does not show, so the first is older
 * than that before the file is read. */
static void what_is_read_has_not_just_changed(void)
{
    struct stat status;
    write_file("file", "content", 7);
    tick_rest(TICK_NS); /* its directory has not either */
    write_file("file", "CONTENT", 7);
    list_here();
    uint64_t now_ns = pst_unix_ns();
    CU_ASSERT_EQUAL_FATAL(stat("file", &status), 0);
    CU_ASSERT_TRUE((int64_t)now_ns - tick_ns_of(&status.st_ctim) >= TICK_NS);
    forget();
}

static CU_TestInfo tests[] = {
    {"what is read has not just changed", what_is_read_has_not_just_changed},
    {"metadata is exact", metadata_is_exact},
    {"files carry their identity", files_carry_their_identity},
    {"empty files have no extents", empty_files_have_no_extents},
    {"sparse files have extents of data only", sparse_files_have_extents_of_data_only},
    {"many holes take many fragments", many_holes_take_many_fragments},
    {"hard links name the first", hard_links_name_the_first},
    {"names are bytes", names_are_bytes},
    {"deep trees are walked whole", deep_trees_are_walked_whole},
    {"too long paths are said to be left out", too_long_paths_are_said_to_be_left_out},
    {"special files are listed", special_files_are_listed},
    {"names of what is no file are links too", names_of_what_is_no_file_are_links_too},
    {"one file is a source too", one_file_is_a_source_too},
    {"the path is looked up anew", the_path_is_looked_up_anew},
    {"a path that is gone fails until it is back", a_path_that_is_gone_fails_until_it_is_back},
    {"symlinks are not followed", symlinks_are_not_followed},
    {"a wide directory is listed whole", a_wide_directory_is_listed_whole},
    {"a changing tree does no harm", a_changing_tree_does_no_harm},
    {"a directory turned symlink is not entered", a_directory_turned_symlink_is_not_entered},
    {"vanished files are counted", vanished_files_are_counted},
    {"what vanishes from a snapshot is told", what_vanishes_from_a_snapshot_is_told},
    {"only ENOENT is vanished", only_enoent_is_vanished},
    {"a shortage marks no file", a_shortage_marks_no_file},
    {"colliding inode numbers merge nothing", colliding_inode_numbers_merge_nothing},
    {"what is left of the names counts", what_is_left_of_the_names_counts},
    {"names outside are not waited for", names_outside_are_not_waited_for},
    {"names that come late are links or are told", names_that_come_late_are_links_or_are_told},
    {"what is moved deep above the walk is told", what_is_moved_deep_above_the_walk_is_told},
    {"unreadable files are counted", unreadable_files_are_counted},
    {"bad roots are refused", bad_roots_are_refused},
    {"contains sees through links", contains_sees_through_links},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source dir", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
