/*
 * Takes any source through its phases. The thread of each call is that of the method that it makes:
 * the source's own thread, for produce any LDM.
 */
#include "engine/source/source.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/format/object.h"

#define ERROR_MAX 9999 /* no errno and no PST_E_… is larger */

/* What a method returns that a program has written. */
static int claimed(const struct pst_source *source, const char *method, int error)
{
    if (error <= 0 && error >= -ERROR_MAX)
        return error;
    pst_log(PST_LOG_ERROR, "source %s: its %s returned %d, which is no error of -errno or -PST_E_…",
            source->name, method, error);
    return -EINVAL;
}

void pst_source_close(struct pst_source *source)
{
    if (!source)
        return;
    pst_source_release(source);
    source->close(source);
}

/* A method that the source's program may not know of. */
#define HAS(source, method)                                                                        \
    ((source)->struct_bytes >= offsetof(struct pst_source, method) + sizeof((source)->method) &&   \
     (source)->method)

const char *pst_source_error_text(const struct pst_source *source, int *error_bytes)
{
    *error_bytes = 0;
    if (!HAS(source, error_text))
        return "";
    *error_bytes = (int)strnlen(source->error_text, sizeof(source->error_text));
    return source->error_text;
}

bool pst_source_is_left_frozen(const struct pst_source *source)
{
    return HAS(source, is_left_frozen);
}

static void forget_error(struct pst_source *source)
{
    if (HAS(source, error_text))
        source->error_text[0] = '\0';
}

bool pst_source_prepares(const struct pst_source *source)
{
    return HAS(source, prepare);
}

int pst_source_prepare(struct pst_source *source)
{
    forget_error(source);
    if (source->phase != PST_SOURCE_IDLE)
        return -PST_E_WRONG_STATE;
    return pst_source_prepares(source) ? claimed(source, "prepare", source->prepare(source)) : 0;
}

int pst_source_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    forget_error(source);
    if (source->phase != PST_SOURCE_IDLE)
        return -PST_E_WRONG_STATE;
    int error = source->freeze ? claimed(source, "freeze", source->freeze(source, deadline_ns)) : 0;
    if (error)
        return error;
    source->phase = PST_SOURCE_FROZEN;
    return 0;
}

int pst_source_snapshot(struct pst_source *source, uint64_t gci)
{
    forget_error(source);
    if (source->phase != PST_SOURCE_FROZEN)
        return -PST_E_WRONG_STATE;
    int error = source->snapshot ? claimed(source, "snapshot", source->snapshot(source, gci)) : 0;
    if (error)
        return error;
    source->phase = PST_SOURCE_SNAPSHOT;
    return 0;
}

int pst_source_thaw(struct pst_source *source)
{
    if (source->phase != PST_SOURCE_FROZEN && source->phase != PST_SOURCE_SNAPSHOT)
        return -PST_E_WRONG_STATE;
    if (source->thaw)
        source->thaw(source);
    source->phase = source->phase == PST_SOURCE_SNAPSHOT ? PST_SOURCE_THAWED : PST_SOURCE_IDLE;
    return 0;
}

int pst_source_list(struct pst_source *source, struct pst_fragment_sink *sink,
                    struct pst_source_listing *listing)
{
    forget_error(source);
    memset(listing, 0, sizeof(*listing));
    if (source->phase != PST_SOURCE_SNAPSHOT && source->phase != PST_SOURCE_THAWED)
        return -PST_E_WRONG_STATE;
    return claimed(source, "list", source->list(source, sink, listing));
}

int pst_source_check(struct pst_source *source, uint64_t deadline_ns)
{
    forget_error(source);
    if (source->phase != PST_SOURCE_SNAPSHOT && source->phase != PST_SOURCE_THAWED)
        return -PST_E_WRONG_STATE;
    return HAS(source, check) ? claimed(source, "check", source->check(source, deadline_ns)) : 0;
}

void pst_source_release(struct pst_source *source)
{
    if (source->phase == PST_SOURCE_FROZEN || source->phase == PST_SOURCE_SNAPSHOT) {
        int error = pst_source_thaw(source);
        assert(!error);
    }
    if (source->phase == PST_SOURCE_THAWED && source->release)
        source->release(source);
    source->phase = PST_SOURCE_IDLE;
}

/* Rows of a known length end there, whether or not the method is asked for the end. */
static size_t room_of(const struct pst_fragment_extent *extent, uint64_t done, size_t capacity)
{
    uint64_t left = extent->length > 0 ? extent->length - done : UINT64_MAX;
    return left < capacity ? (size_t)left : capacity;
}

/* On the LDM's thread: an error has no text of the source's. */
static int fail_produce(const struct pst_source *source,
                        const struct pst_fragment_descriptor *fragment, int error)
{
    struct pst_object object;
    size_t offset = 0;
    if (pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object))
        object.path = "";
    pst_log(PST_LOG_ERROR, "source %s: %s: its produce failed: %s", source->name, object.path,
            pst_error_text(error));
    return error;
}

int pst_source_produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                       uint64_t done, struct pst_row_cursor *cursor, void *buffer,
                       size_t capacity_bytes, size_t *produced_bytes)
{
    const struct pst_fragment_extent *extent = &fragment->extents[0];
    size_t room = room_of(extent, done, capacity_bytes);
    assert(source->produce && fragment->kind == PST_FRAGMENT_ROWS && capacity_bytes > 0);
    *produced_bytes = 0;
    if (room == 0)
        return 0;
    int error = claimed(source, "produce",
                        source->produce(source, fragment, cursor, buffer, room, produced_bytes));
    if (error && error != -EAGAIN)
        return fail_produce(source, fragment, error);
    if (error || (*produced_bytes <= room && (*produced_bytes > 0 || extent->length == 0)))
        return error;
    pst_log(PST_LOG_ERROR, "source %s: its produce made %zu bytes where %zu were asked for",
            source->name, *produced_bytes, room);
    return -EINVAL;
}

/* The real path of the longest prefix of path that exists; malloced, or NULL with errno set. */
static char *existing_part(const char *path, const char **rest)
{
    char prefix[PATH_MAX];
    size_t bytes = strnlen(path, sizeof(prefix));
    *rest = path + bytes;
    if (bytes == 0 || bytes == sizeof(prefix)) {
        errno = bytes ? ENAMETOOLONG : ENOENT;
        return NULL;
    }
    memcpy(prefix, path, bytes + 1);
    for (;;) {
        char *real = realpath(prefix, NULL);
        if (real || errno != ENOENT)
            return real;
        char *slash = strrchr(prefix, '/');
        if (!slash)
            return realpath(".", NULL);
        *rest = path + (slash - prefix) + 1;
        slash[slash == prefix ? 1 : 0] = '\0';
    }
}

/* What does not exist yet, but for names that lead to where it would not be. */
static bool is_plain(const char *rest)
{
    while (*rest) {
        size_t bytes = strcspn(rest, "/");
        if (bytes == 2 && memcmp(rest, "..", 2) == 0)
            return false;
        rest += bytes + strspn(rest + bytes, "/");
    }
    return true;
}

int pst_source_contains(struct pst_source *source, const char *path)
{
    if (!source->contains)
        return 0;
    const char *rest;
    char *whole = NULL, *real = existing_part(path, &rest);
    if (!real)
        return -errno;
    bool has_rest = *rest && is_plain(rest);
    if (has_rest && asprintf(&whole, "%s/%s", real, rest) < 0)
        whole = NULL;
    int result = has_rest && !whole ? -ENOMEM : source->contains(source, whole ? whole : real);
    if (result < 0 || result > PST_SOURCE_LEAVES_OUT)
        result = claimed(source, "contains", result);
    free(whole);
    free(real);
    return result;
}

uint64_t pst_source_object_id(const struct pst_source *source, uint64_t counter)
{
    assert(counter > 0 && counter <= PST_OBJECT_COUNTER_MAX);
    return (uint64_t)source->instance << PST_OBJECT_SOURCE_SHIFT | counter;
}
