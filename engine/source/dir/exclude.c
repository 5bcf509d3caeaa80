/* gitignore's patterns, and tags of directories. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/exclude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/source/dir/glob.h"

/* https://bford.info/cachedir/ */
#define CACHE_TAG "CACHEDIR.TAG"
#define CACHE_SIGNATURE "Signature: 8a477f597d28d172789f06886806bc55"

/* "\!" and "\#" stand for what they look like: the glob takes the backslash away. */
static struct exclude_pattern take_apart(const char *text)
{
    struct exclude_pattern pattern = {.is_negated = *text == '!'};
    text += pattern.is_negated;
    size_t bytes = strlen(text);
    pattern.is_directory = bytes > 0 && text[bytes - 1] == '/';
    bytes -= pattern.is_directory;
    pattern.is_path = memchr(text, '/', bytes) != NULL;
    if (*text == '/' && bytes > 0) {
        text++;
        bytes--;
    }
    pattern.text = text;
    pattern.bytes = bytes;
    return pattern;
}

int excludes_open(struct excludes *excludes, const struct pst_file_filter *filter)
{
    static const struct pst_file_filter nothing;
    excludes->filter = filter ? filter : &nothing;
    excludes->patterns =
        calloc(excludes->filter->patterns_count + (size_t)1, sizeof(*excludes->patterns));
    if (!excludes->patterns)
        return -ENOMEM;
    for (uint32_t i = 0; i < excludes->filter->patterns_count; i++)
        excludes->patterns[i] = take_apart(filter->patterns[i]);
    return 0;
}

void excludes_close(struct excludes *excludes)
{
    free(excludes->patterns);
    excludes->patterns = NULL;
}

bool excludes_match(const struct excludes *excludes, const char *path, bool is_directory)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (uint32_t i = excludes->filter->patterns_count; i > 0; i--) {
        const struct exclude_pattern *pattern = &excludes->patterns[i - 1];
        if (pattern->is_directory && !is_directory)
            continue;
        if (pattern->is_path ? glob_fits_path(pattern->text, pattern->bytes, path)
                             : glob_fits_name(pattern->text, pattern->bytes, name))
            return !pattern->is_negated;
    }
    return false;
}

static bool is_cache(int directory)
{
    char bytes[sizeof(CACHE_SIGNATURE) - 1];
    struct stat status;
    int fd =
        openat(directory, CACHE_TAG, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_tag = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                  pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
                  memcmp(bytes, CACHE_SIGNATURE, sizeof(bytes)) == 0;
    close(fd);
    return is_tag;
}

const char *excludes_tag(const struct excludes *excludes, int directory)
{
    struct stat status;
    for (uint32_t i = 0; i < excludes->filter->tags_count; i++) {
        const char *tag = excludes->filter->tags[i];
        if (fstatat(directory, tag, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0)
            return tag;
    }
    return excludes->filter->no_caches && is_cache(directory) ? CACHE_TAG : NULL;
}
