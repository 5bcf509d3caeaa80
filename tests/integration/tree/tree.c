/*
 * Trees to compare. `tree make SEED DIR` makes DIR with files of every kind that its user may make,
 * the same for each SEED; `tree show DIR [flags]` prints a line for each file with all that a copy
 * has to keep, flags only if asked for. `tree clear DIR` takes away the flags by which it could not
 * be removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/format/digest.h"

#define NAMES_MAX 64
#define CONTENT_MAX 300000

static uint64_t state;
static bool is_root;
static char made[NAMES_MAX][4096]; /* everything but directories */
static char directories[NAMES_MAX][4096];
static int made_count, directories_count;

static void die(const char *what, const char *path)
{
    fprintf(stderr, "tree: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static uint64_t below(uint64_t limit)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % limit;
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ---- make ---- */

/* Mostly plain, sometimes any bytes; unlike all others by its end. */
static void name_below(const char *directory, char path[4096])
{
    static int counter;
    char name[64];
    size_t length = 1 + below(20);
    bool is_odd = one_in(4);
    for (size_t i = 0; i < length; i++) {
        name[i] = (char)(is_odd ? 1 + below(255) : 'a' + below(26));
        if (name[i] == '/')
            name[i] = '\n';
    }
    snprintf(name + length, sizeof(name) - length, "%d", counter++);
    if (snprintf(path, 4096, "%s/%s", directory, name) >= 4096)
        exit(1);
}

static void fill(char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)below(256);
}

static void make_file(const char *path)
{
    static char bytes[4096];
    static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 20000, 131072, CONTENT_MAX};
    size_t size = sizes[below(sizeof(sizes) / sizeof(sizes[0]))];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        die("make", path);
    for (size_t at = 0; at < size; at += sizeof(bytes)) {
        size_t count = size - at < sizeof(bytes) ? size - at : sizeof(bytes);
        if (one_in(3)) /* a hole */
            continue;
        fill(bytes, count);
        if (pwrite(fd, bytes, count, (off_t)at) != (ssize_t)count)
            die("write", path);
    }
    close(fd);
}

static void make_node(const char *path)
{
    static const mode_t kinds[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
    mode_t kind = kinds[below(is_root ? 4 : 2)];
    dev_t device = kind == S_IFCHR || kind == S_IFBLK
                       ? makedev(1 + (unsigned)below(4000), (unsigned)below(70000))
                       : 0;
    if (mknod(path, kind | 0600, device) < 0)
        die("make", path);
}

static void make_other(const char *path)
{
    char target[64];
    uint64_t kind = below(8);
    if (kind == 0 && made_count > 0) {
        if (link(made[below((uint64_t)made_count)], path) < 0)
            die("link", path);
    } else if (kind == 1) {
        size_t length = 1 + below(40);
        for (size_t i = 0; i < length; i++)
            target[i] = (char)(1 + below(255));
        target[length] = '\0';
        if (symlink(target, path) < 0)
            die("symlink", path);
    } else if (kind == 2) {
        make_node(path);
    } else {
        make_file(path);
    }
}

static void set_xattr(const char *path, const char *name, const void *value, size_t bytes)
{
    if (lsetxattr(path, name, value, bytes, 0) < 0 && errno != ENOSPC && errno != EOPNOTSUPP)
        die(name, path);
}

/* As the kernel takes it: version 2, then tag, permissions, id for each entry, in order. */
static void set_acl(const char *path, const char *name)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[6];
    } acl = {2,
             {{1, 7, UINT32_MAX}, /* its owner makes copies of it */
              {2, (uint16_t)below(8), (uint32_t)below(1000)},
              {2, (uint16_t)below(8), (uint32_t)(1000 + below(1000))},
              {4, (uint16_t)below(8), UINT32_MAX},
              {16, (uint16_t)below(8), UINT32_MAX},
              {32, (uint16_t)below(8), UINT32_MAX}}};
    set_xattr(path, name, &acl, sizeof(acl));
}

static void set_xattrs(const char *path, mode_t kind)
{
    char value[1500], name[64];
    for (uint64_t i = below(4); i > 0; i--) {
        bool is_trusted = is_root && one_in(3);
        size_t bytes = one_in(4) ? 0 : below(one_in(8) ? sizeof(value) : 40);
        if (!is_trusted && !S_ISREG(kind) && !S_ISDIR(kind))
            continue;
        fill(value, bytes);
        snprintf(name, sizeof(name), "%s.name%d", is_trusted ? "trusted" : "user",
                 (int)below(1000));
        set_xattr(path, name, value, bytes);
    }
    if (!S_ISLNK(kind) && one_in(4))
        set_acl(path, "system.posix_acl_access");
    if (S_ISDIR(kind) && one_in(4))
        set_acl(path, "system.posix_acl_default");
    if (is_root && S_ISREG(kind) && one_in(6)) {
        uint32_t capability[5] = {0x02000001, (uint32_t)below(1 << 20), 0, 0, 0};
        set_xattr(path, "security.capability", capability, sizeof(capability));
    }
}

static void change_flags(const char *path, unsigned removed, unsigned added)
{
    unsigned flags = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        die("flags", path);
    flags = (flags & ~removed) | added;
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
        die("flags", path);
    close(fd);
}

static void set_metadata(const char *path)
{
    struct stat status;
    static const int64_t seconds[] = {-1, 0, 1, 1000000000, 1700000000, INT64_C(4000000000)};
    if (lstat(path, &status) < 0)
        die("stat", path);
    mode_t mode = (mode_t)below(0200) | 0600u | (mode_t)(one_in(5) ? below(8) << 9 : 0);
    if (S_ISDIR(status.st_mode))
        mode |= 0100;
    if (is_root && one_in(2) && lchown(path, (uid_t)below(70000), (gid_t)below(70000)) < 0)
        die("chown", path);
    set_xattrs(path, status.st_mode);
    if (!S_ISLNK(status.st_mode) && one_in(2) && chmod(path, mode) < 0)
        die("chmod", path);
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds[below(6)], .tv_nsec = (long)below(1000000000)}};
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        die("utimensat", path);
}

/* Deepest first, for making an entry changes the time of what it is in. */
static void make(uint64_t seed, const char *root)
{
    state = seed;
    is_root = geteuid() == 0;
    umask(022);
    if (mkdir(root, 0755) < 0)
        die("make", root);
    snprintf(directories[directories_count++], 4096, "%s", root);
    for (uint64_t i = below(10); i > 0; i--) {
        char *path = directories[directories_count];
        name_below(directories[below((uint64_t)directories_count)], path);
        if (mkdir(path, 0755) < 0)
            die("make", path);
        directories_count++;
    }
    for (uint64_t i = below(NAMES_MAX); i > 0; i--) {
        name_below(directories[below((uint64_t)directories_count)], made[made_count]);
        make_other(made[made_count]);
        made_count++;
    }
    for (int i = 0; i < made_count; i++)
        set_metadata(made[i]);
    for (int i = directories_count; i > 0; i--)
        set_metadata(directories[i - 1]);
    for (int i = 0; is_root && i < directories_count + made_count; i++) {
        const char *path = i < made_count ? made[i] : directories[i - made_count];
        struct stat status;
        if (lstat(path, &status) < 0)
            die("stat", path);
        if (one_in(20) && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
            change_flags(path, 0, one_in(2) ? FS_IMMUTABLE_FL : FS_APPEND_FL);
    }
}

/* ---- show ---- */

static void print_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf(bytes[i] > ' ' && bytes[i] < 127 && bytes[i] != '\\' ? "%c" : "\\%02x",
               (unsigned char)bytes[i]);
}

static int by_name(const FTSENT **one, const FTSENT **other)
{
    return strcmp((*one)->fts_name, (*other)->fts_name);
}

static void print_contents(const char *path, uint64_t size)
{
    static char bytes[CONTENT_MAX];
    char text[PST_DIGEST_TEXT_BYTES];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || size > sizeof(bytes) || read(fd, bytes, sizeof(bytes)) != (ssize_t)size)
        die("read", path);
    close(fd);
    struct pst_digest digest = pst_digest_of(bytes, size, 0);
    printf(" %llu %s", (unsigned long long)size, pst_digest_text(&digest, text));
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void print_xattrs(const char *path)
{
    static char list[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
    char *names[256];
    size_t count = 0;
    ssize_t bytes = llistxattr(path, list, sizeof(list));
    if (bytes < 0 && errno != EOPNOTSUPP)
        die("list", path);
    for (ssize_t at = 0; at < bytes && count < 256; at += (ssize_t)strlen(list + at) + 1)
        names[count++] = list + at;
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++) {
        ssize_t got = lgetxattr(path, names[i], value, sizeof(value));
        if (got < 0)
            die(names[i], path);
        printf(" %s=", names[i]);
        print_bytes(value, (size_t)got);
    }
}

static void print_flags(const char *path)
{
    struct statx status;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &status) < 0)
        die("statx", path);
    printf(" %s%s", status.stx_attributes & STATX_ATTR_IMMUTABLE ? "immutable" : "",
           status.stx_attributes & STATX_ATTR_APPEND ? "append" : "");
}

/* The first path of the same inode, if it has been printed. */
static const char *first_name(const struct stat *status, const char *path)
{
    static struct {
        ino_t inode;
        char *path;
    } known[2 * NAMES_MAX];
    static int count;
    for (int i = 0; i < count; i++) {
        if (known[i].inode == status->st_ino)
            return known[i].path;
    }
    if (count < 2 * NAMES_MAX)
        known[count].path = strdup(path);
    known[count++].inode = status->st_ino;
    return NULL;
}

static void print_file(const FTSENT *entry, size_t root_bytes, bool with_flags)
{
    const struct stat *status = entry->fts_statp;
    const char *path = entry->fts_path + root_bytes;
    char target[4096];
    print_bytes(path, strlen(path));
    const char *first =
        status->st_nlink > 1 && !S_ISDIR(status->st_mode) ? first_name(status, path) : NULL;
    if (first) {
        printf(" = ");
        print_bytes(first, strlen(first));
    }
    printf(" %o %u:%u %lld.%09ld", status->st_mode, status->st_uid, status->st_gid,
           (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec);
    if (S_ISREG(status->st_mode))
        print_contents(entry->fts_accpath, (uint64_t)status->st_size);
    if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode))
        printf(" %u,%u", major(status->st_rdev), minor(status->st_rdev));
    if (S_ISLNK(status->st_mode)) {
        ssize_t bytes = readlink(entry->fts_accpath, target, sizeof(target));
        printf(" -> ");
        print_bytes(target, bytes < 0 ? 0 : (size_t)bytes);
    }
    print_xattrs(entry->fts_accpath);
    if (with_flags)
        print_flags(entry->fts_accpath);
    printf("\n");
}

/* So that it can be removed. */
static void clear(char *root)
{
    char *roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!walk)
        die("open", root);
    for (const FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_D || entry->fts_info == FTS_F)
            change_flags(entry->fts_accpath, FS_IMMUTABLE_FL | FS_APPEND_FL, 0);
    }
    fts_close(walk);
}

static void show(char *root, bool with_flags)
{
    char *roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!walk)
        die("open", root);
    for (const FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_DP)
            continue;
        errno = entry->fts_errno;
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            die("walk", entry->fts_path);
        print_file(entry, strlen(root), with_flags);
    }
    fts_close(walk);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "make") == 0)
        make(strtoull(argv[2], NULL, 10), argv[3]);
    else if (argc >= 3 && strcmp(argv[1], "show") == 0)
        show(argv[2], argc > 3);
    else if (argc == 3 && strcmp(argv[1], "clear") == 0)
        clear(argv[2]);
    else
        return fprintf(stderr, "usage: tree make SEED DIR | show DIR [flags] | clear DIR\n"), 2;
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
