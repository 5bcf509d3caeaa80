/* The directories that tests work in; any test's thread calls it. */
#include "tests/support/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/beneath.h"

static void must(bool is_well, const char *path)
{
    if (is_well)
        return;
    printf("%s: %s\n", path, strerror(errno));
    exit(1);
}

/* Makes "BASE/penstock-XXXXXX". */
static void make_below(char *path, size_t bytes, const char *base)
{
    const char *temporary = getenv("TMPDIR");
    if (!base)
        base = temporary ? temporary : "/tmp";
    snprintf(path, bytes, "%s/penstock-test-XXXXXX", base);
    if (!mkdtemp(path)) {
        printf("cannot run here: no scratch directory in %s: %s\n", base, strerror(errno));
        exit(77);
    }
}

void make_scratch(char *path, const char *base)
{
    make_below(path, SCRATCH_PATH_BYTES, base);
}

/* Not nftw(3): without root's rights, directories that may not be written are in its way. What a
 * test gave to others is removed as well. */
void remove_tree(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct made_place above = {"."};
    if (slash)
        snprintf(above.path, sizeof(above.path), "%.*s", (int)(slash - path), path);
    int dirfd = open(above.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dirfd >= 0, above.path);
    must((lchown(path, geteuid(), getegid()) == 0 && chmod(path, 0700) == 0) || errno == ENOENT,
         path);
    errno = -pst_beneath_remove(dirfd, slash ? slash + 1 : path, PST_BENEATH_PRIVATE);
    must(errno == 0, path);
    (void)close(dirfd);
}

/* ---- by value ---- */

struct made_place make_place(void)
{
    struct made_place place;
    make_below(place.path, sizeof(place.path), NULL);
    return place;
}

struct made_place make_fast_place(void)
{
    struct made_place place;
    make_below(place.path, sizeof(place.path), access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL);
    return place;
}

void remove_place(const struct made_place *place)
{
    remove_tree(place->path);
}

struct made_place place_below(const struct made_place *place, const char *name)
{
    struct made_place below;
    int length = snprintf(below.path, sizeof(below.path), "%s/%s", place->path, name);
    errno = ENAMETOOLONG;
    must(length > 0 && (size_t)length < sizeof(below.path), name);
    return below;
}

/* ---- open ---- */

void scratch_open(struct scratch *scratch, const char *base)
{
    make_scratch(scratch->path, base);
    scratch->dirfd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(scratch->dirfd >= 0, scratch->path);
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* The entries of a directory in order; free_names() releases them. */
static int list_names(int dirfd, const char *path, struct dirent ***entries)
{
    int count = scandirat(dirfd, path, entries, is_entry, alphasort);
    must(count >= 0, path);
    return count;
}

static void free_names(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

void scratch_empty(const struct scratch *scratch)
{
    struct dirent **entries;
    int count = list_names(scratch->dirfd, ".", &entries);
    for (int i = 0; i < count; i++) {
        if (unlinkat(scratch->dirfd, entries[i]->d_name, 0) != 0)
            (void)unlinkat(scratch->dirfd, entries[i]->d_name, AT_REMOVEDIR);
    }
    free_names(entries, count);
}

void scratch_close(struct scratch *scratch)
{
    scratch_empty(scratch);
    (void)close(scratch->dirfd);
    (void)rmdir(scratch->path);
}

const char *scratch_list(const struct scratch *scratch)
{
    static char text[4096];
    struct dirent **entries;
    int count = list_names(scratch->dirfd, ".", &entries);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", entries[i]->d_name);
    free_names(entries, count);
    return text;
}

/* ---- paths and files ---- */

const char *join(const char *directory, const char *name)
{
    static char texts[8][2 * SCRATCH_PATH_BYTES];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof(texts[0]), "%s/%s", directory, name);
    return text;
}

bool path_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static unsigned count_entries(const char *path)
{
    struct dirent **entries;
    int count = list_names(AT_FDCWD, path, &entries);
    free_names(entries, count);
    return (unsigned)count;
}

bool is_empty_directory(const char *path)
{
    return count_entries(path) == 0;
}

unsigned count_open_fds(void)
{
    return count_entries("/proc/self/fd");
}

void write_file(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && close(fd) == 0, path);
}

void flip_bit(const char *path, off_t offset)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && pread(fd, &byte, 1, offset) == 1, path);
    byte ^= 4;
    must(pwrite(fd, &byte, 1, offset) == 1 && close(fd) == 0, path);
}
