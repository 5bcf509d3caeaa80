/*
 * Compares the objects of two backups, and their contents. Called by whoever looks into both, on
 * that thread; chunks are read on the looks' crews.
 */
#include "engine/restore/look_diff.h"

#include <errno.h>
#include <string.h>

#include "engine/format/file_attributes.h"
#include "engine/restore/look_state.h"

/* One side: the objects of a source, in the order of their paths. */
struct side {
    struct pst_look *look;
    const struct look_source *source; /* NULL: there is none there */
    size_t first;
    size_t at;
    size_t end;
};

struct look_diff {
    struct pst_look *looks[2];
    bool is_choosing; /* only which contents are to be compared is found out */
    int (*each)(void *context, const struct pst_look_change *change);
    void *context;
};

static struct side side_of(struct pst_look *look, const struct look_source *source)
{
    struct side side = {.look = look, .source = source};
    struct object_record **listed = look->objects.listed;
    size_t count = source ? look->objects.count : 0;
    while (side.at < count && (listed[side.at]->node != source->node_index ||
                               pst_object_source(object_id(listed[side.at])) != source->instance))
        side.at++;
    side.first = side.end = side.at;
    while (side.end < count && listed[side.end]->node == source->node_index &&
           pst_object_source(object_id(listed[side.end])) == source->instance)
        side.end++;
    return side;
}

static struct object_record *record_of(const struct side *side)
{
    return side->at < side->end ? side->look->objects.listed[side->at] : NULL;
}

/* ---- one object ---- */

/* The file that a hard link is another name of; else the object itself. */
static struct object_record *file_of(const struct side *side, struct object_record *record)
{
    struct object_record *first = NULL;
    if (object_type(record) == PST_OBJECT_HARD_LINK)
        first = objects_find(&side->look->objects, record->node, object_of(record).linked_object);
    return first ? first : record;
}

/* Whether a name is one of the file's, or is not there. */
static bool may_be_name_of(const struct side *side, const char *path,
                           const struct object_record *file)
{
    size_t first = side->first, end = side->end;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        struct object_record *record = side->look->objects.listed[middle];
        int order = strcmp(path, object_path(record));
        if (order == 0)
            return file_of(side, record) == file;
        if (order < 0)
            end = middle;
        else
            first = middle + 1;
    }
    return true;
}

/* Which of a file's names is its object, and which are links to it, may change by itself. */
static bool links_differ(const struct side sides[2], struct object_record *const records[2],
                         struct object_record *const files[2], const struct pst_object objects[2])
{
    if (records[0] != files[0] || records[1] != files[1])
        return !may_be_name_of(&sides[0], object_path(files[1]), files[0]) ||
               !may_be_name_of(&sides[1], object_path(files[0]), files[1]);
    if (objects[0].type == PST_OBJECT_SYMLINK)
        return strcmp(objects[0].link, objects[1].link) != 0;
    return objects[0].rdev != objects[1].rdev;
}

static bool contents_differ(struct object_record *const records[2])
{
    return atomic_load(&records[0]->sum[0]) != atomic_load(&records[1]->sum[0]) ||
           atomic_load(&records[0]->sum[1]) != atomic_load(&records[1]->sum[1]);
}

static bool xattrs_are_one(const struct pst_xattr *one, const struct pst_xattr *other)
{
    return strcmp(one->name, other->name) == 0 && one->value_bytes == other->value_bytes &&
           memcmp(one->value, other->value, one->value_bytes) == 0;
}

/* Both have their names in the same order. */
static bool attributes_differ(const struct pst_object objects[2])
{
    struct pst_xattr xattrs[2];
    uint32_t at[2] = {0, 0};
    for (;;) {
        bool is_there = pst_xattr_next(&objects[0], &at[0], &xattrs[0]);
        if (is_there != pst_xattr_next(&objects[1], &at[1], &xattrs[1]))
            return true;
        if (!is_there)
            return pst_object_inode_flags(&objects[0]) != pst_object_inode_flags(&objects[1]) ||
                   pst_object_project(&objects[0]) != pst_object_project(&objects[1]);
        if (!xattrs_are_one(&xattrs[0], &xattrs[1]))
            return true;
    }
}

/* A hard link is what it is a name of. */
static uint32_t differences_of(const struct side sides[2], struct object_record *const records[2])
{
    struct object_record *const files[2] = {file_of(&sides[0], records[0]),
                                            file_of(&sides[1], records[1])};
    const struct pst_object objects[2] = {object_of(files[0]), object_of(files[1])};
    const struct pst_object *a = &objects[0], *b = &objects[1];
    uint32_t bits = 0;
    if (a->type != b->type)
        return PST_DIFFERS_TYPE;
    bits |= a->size != b->size ? PST_DIFFERS_SIZE : 0u;
    bits |= contents_differ(files) ? PST_DIFFERS_CONTENTS : 0u;
    bits |= a->mode != b->mode ? PST_DIFFERS_MODE : 0u;
    bits |= a->uid != b->uid || a->gid != b->gid ? PST_DIFFERS_OWNER : 0u;
    bits |= links_differ(sides, records, files, objects) ? PST_DIFFERS_LINK : 0u;
    bits |= attributes_differ(objects) ? PST_DIFFERS_ATTRIBUTES : 0u;
    if (a->mtime_sec != b->mtime_sec || a->mtime_nsec != b->mtime_nsec)
        bits |= PST_DIFFERS_TIME;
    return bits;
}

/* Marks the records whose contents are to be read. */
static void choose(const struct side sides[2], struct object_record *const records[2])
{
    struct object_record *const files[2] = {file_of(&sides[0], records[0]),
                                            file_of(&sides[1], records[1])};
    const struct pst_object objects[2] = {object_of(files[0]), object_of(files[1])};
    bool is_wanted = objects[0].type == objects[1].type && objects[0].size == objects[1].size &&
                     objects[0].size > 0 && (LOOK_CONTENTS_TYPES & 1u << objects[0].type) != 0;
    for (uint32_t i = 0; is_wanted && i < 2; i++)
        atomic_store(&files[i]->made, true);
}

/* which: bits of the sides that have it. */
static int compare(const struct look_diff *diff, const struct side sides[2], uint32_t which)
{
    struct object_record *records[2];
    struct pst_object objects[2];
    for (uint32_t i = 0; i < 2; i++) {
        records[i] = record_of(&sides[i]);
        if (which >> i & 1)
            objects[i] = object_of(records[i]);
    }
    if (diff->is_choosing) {
        if (which == 3)
            choose(sides, records);
        return 0;
    }
    struct pst_look_change change = {.before = which & 1 ? &objects[0] : NULL,
                                     .after = which & 2 ? &objects[1] : NULL};
    if (which == 3)
        change.differences = differences_of(sides, records);
    if (which == 3 && change.differences == 0)
        return 0;
    const struct side *side = &sides[which == 1 ? 0 : 1];
    struct pst_look *look = side->look;
    change.name = look_name(look, side->source, &objects[which == 1 ? 0 : 1], look->name).name;
    return diff->each(diff->context, &change);
}

/* ---- all of them ---- */

static int merge(const struct look_diff *diff, struct side sides[2])
{
    int result = 0;
    while (!result && (record_of(&sides[0]) || record_of(&sides[1]))) {
        const struct object_record *a = record_of(&sides[0]), *b = record_of(&sides[1]);
        int order = !a ? 1 : !b ? -1 : strcmp(object_path(a), object_path(b));
        uint32_t which = order < 0 ? 1 : order > 0 ? 2 : 3;
        result = compare(diff, sides, which);
        for (uint32_t i = 0; i < 2; i++)
            sides[i].at += which >> i & 1;
    }
    return result;
}

static const struct look_source *same_source(const struct pst_look *of,
                                             const struct look_source *source,
                                             const struct pst_look *look)
{
    uint32_t node = of->backup->nodes[source->node_index].node;
    for (uint32_t i = 0; i < look->sources_count; i++) {
        const struct look_source *other = &look->sources[i];
        if (look->backup->nodes[other->node_index].node == node &&
            strcmp(other->name, source->name) == 0)
            return other;
    }
    return NULL;
}

static int merge_all(const struct look_diff *diff)
{
    struct pst_look *before = diff->looks[0], *after = diff->looks[1];
    int result = 0;
    for (uint32_t i = 0; !result && i < before->sources_count; i++) {
        const struct look_source *source = &before->sources[i];
        struct side sides[2] = {side_of(before, source),
                                side_of(after, same_source(before, source, after))};
        result = merge(diff, sides);
    }
    for (uint32_t i = 0; !result && i < after->sources_count; i++) {
        const struct look_source *source = &after->sources[i];
        struct side sides[2] = {side_of(before, NULL), side_of(after, source)};
        if (!same_source(after, source, before))
            result = merge(diff, sides);
    }
    return result;
}

int pst_look_diff(struct pst_look *before, struct pst_look *after, bool by_contents,
                  int (*each)(void *context, const struct pst_look_change *change), void *context,
                  char *message)
{
    struct look_diff diff = {.looks = {before, after}, .each = each, .context = context};
    int error = 0;
    for (uint32_t i = 0; !error && i < 2; i++)
        error = look_gather_all(diff.looks[i], message);
    if (!error && by_contents) {
        diff.is_choosing = true;
        error = merge_all(&diff);
        diff.is_choosing = false;
    }
    for (uint32_t i = 0; !error && by_contents && i < 2; i++)
        error = look_sum_contents(diff.looks[i], message);
    return error ? error : merge_all(&diff);
}
