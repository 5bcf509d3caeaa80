/*
 * Compares what lies in different fragments of a listing: ids, names, the directories and files
 * that they refer to, and the bytes. Called by source_thread.c, on the source's thread.
 */
#include "engine/source/listing_check.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/grow.h"
#include "engine/format/digest.h"
#include "engine/format/object.h"

#define NO_MEMORY "more than there is memory to compare"
#define ROOM_MIN 64u

/* ---- sets ---- */

/* Where it is, or would be. */
static uint64_t *slot_of(const struct pst_number_set *set, uint64_t number)
{
    size_t i = (size_t)(number * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (set->room - 1);
    while (set->slots[i] != 0 && set->slots[i] != number)
        i = (i + 1) & (set->room - 1);
    return &set->slots[i];
}

static bool has(const struct pst_number_set *set, uint64_t number)
{
    return set->count > 0 && *slot_of(set, number) != 0;
}

static bool grow(struct pst_number_set *set)
{
    const struct pst_number_set old = *set;
    size_t room = old.room ? 2 * old.room : ROOM_MIN;
    uint64_t *slots = calloc(room, sizeof(*slots));
    if (!slots)
        return false;
    set->slots = slots;
    set->room = room;
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i] != 0)
            *slot_of(set, old.slots[i]) = old.slots[i];
    free(old.slots);
    return true;
}

/* false: it was there. */
static bool add(struct pst_listing_check *check, struct pst_number_set *set, uint64_t number)
{
    if (has(set, number))
        return false;
    if (2 * set->count >= set->room && !grow(set)) {
        check->lacks_memory = true;
        return true;
    }
    *slot_of(set, number) = number;
    set->count++;
    return true;
}

static bool has_all(const struct pst_number_set *set, const struct pst_number_set *wanted)
{
    for (size_t i = 0; i < wanted->room; i++)
        if (wanted->slots[i] != 0 && !has(set, wanted->slots[i]))
            return false;
    return true;
}

static bool has_any(const struct pst_number_set *set, const struct pst_number_set *unwanted)
{
    for (size_t i = 0; i < unwanted->room; i++)
        if (unwanted->slots[i] != 0 && has(set, unwanted->slots[i]))
            return true;
    return false;
}

static uint64_t number_of(const void *of, size_t bytes, uint64_t seed)
{
    const struct pst_digest digest = pst_digest_of(of, bytes, seed);
    uint64_t number;
    memcpy(&number, digest.bytes, sizeof(number));
    return number ? number : 1;
}

/* ---- entries ---- */

static void add_new(struct pst_listing_check *check, const struct pst_object *object, uint64_t name)
{
    const char *slash = strrchr(object->path, '/');
    if (slash && object->type != PST_OBJECT_ROWS) /* these lie in no directory */
        (void)add(check, &check->parents,
                  number_of(object->path, (size_t)(slash - object->path), 0));
    if (object->type == PST_OBJECT_DIRECTORY)
        (void)add(check, &check->directories, name);
    if (object->type == PST_OBJECT_DIRECTORY || object->type == PST_OBJECT_HARD_LINK ||
        object->type == PST_OBJECT_ROWS || object->type == PST_OBJECT_DATABASE)
        (void)add(check, &check->no_files, object->id);
    if (object->type == PST_OBJECT_HARD_LINK)
        (void)add(check, &check->links, object->linked_object);
}

static const char *entry_fault(struct pst_listing_check *check, const struct pst_object *object,
                               uint64_t entry, uint32_t *new_objects)
{
    uint64_t name = number_of(object->path, strlen(object->path), 0);
    bool is_other = add(check, &check->entries, entry);
    bool is_new = add(check, &check->ids, object->id);
    bool has_new_name = add(check, &check->names, name);
    if (!is_new)
        return has_new_name ? "two objects of one id"
               : is_other   ? "an object whose entries differ"
                            : NULL;
    if (!has_new_name)
        return "two objects of one name";
    ++*new_objects;
    add_new(check, object, name);
    return NULL;
}

static const char *entries_fault(struct pst_listing_check *check,
                                 const struct pst_fragment_descriptor *fragment)
{
    const char *fault = NULL;
    uint32_t new_objects = 0;
    struct pst_object object;
    for (size_t offset = 0, from = 0;
         !fault && !check->lacks_memory && offset < fragment->entries_bytes &&
         !pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object);
         from = offset) /* its flags, bytes 6 and 7, may differ */
        fault = entry_fault(check, &object,
                            number_of(fragment->data + from + 8, offset - from - 8, object.type),
                            &new_objects);
    if (check->lacks_memory)
        return NO_MEMORY;
    return fault || new_objects == fragment->objects_count
               ? fault
               : "another number of objects than it counts";
}

/* ---- bytes ---- */

/* Rows of no known length are all that their object has. */
static bool keep(struct pst_listing_check *check, const struct pst_fragment_descriptor *fragment,
                 const struct pst_fragment_extent *extent)
{
    const struct pst_listed_extent added = {fragment->files[extent->file].object, extent->offset,
                                            extent->length ? extent->length : INT64_MAX};
    struct pst_listed_extent *last =
        check->extents_count ? &check->extents[check->extents_count - 1] : NULL;
    if (last && last->object == added.object && last->offset + last->length == added.offset) {
        last->length += added.length;
        return true;
    }
    void *extents = check->extents;
    int error =
        pst_grow(&extents, check->extents_count, &check->extents_room, sizeof(*check->extents));
    check->extents = extents;
    if (!error)
        check->extents[check->extents_count++] = added;
    return !error;
}

static int by_place(const void *a, const void *b)
{
    const struct pst_listed_extent *one = a, *other = b;
    if (one->object != other->object)
        return one->object < other->object ? -1 : 1;
    return one->offset < other->offset ? -1 : one->offset > other->offset;
}

static bool overlap(struct pst_listing_check *check)
{
    const struct pst_listed_extent *extents = check->extents;
    if (check->extents_count > 1)
        qsort(check->extents, check->extents_count, sizeof(*extents), by_place);
    for (size_t i = 1; i < check->extents_count; i++)
        if (extents[i].object == extents[i - 1].object &&
            extents[i].offset < extents[i - 1].offset + extents[i - 1].length)
            return true;
    return false;
}

/* ---- all of it ---- */

const char *pst_listing_fault(struct pst_listing_check *check,
                              const struct pst_fragment_descriptor *fragment)
{
    const char *fault = entries_fault(check, fragment);
    for (uint32_t i = 0; !fault && i < fragment->extents_count; i++)
        fault = keep(check, fragment, &fragment->extents[i]) ? NULL : NO_MEMORY;
    return fault;
}

const char *pst_listing_end_fault(struct pst_listing_check *check)
{
    if (!has_all(&check->directories, &check->parents))
        return "an object in a directory that it did not list";
    if (!has_all(&check->ids, &check->links))
        return "a hard link to what it did not list";
    if (has_any(&check->no_files, &check->links))
        return "a hard link to what is no file";
    return overlap(check) ? "bytes of an object twice" : NULL;
}

void pst_listing_forget(struct pst_listing_check *check)
{
    struct pst_number_set *sets[] = {&check->ids,         &check->names,    &check->entries,
                                     &check->directories, &check->no_files, &check->parents,
                                     &check->links};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        free(sets[i]->slots);
    free(check->extents);
    *check = (struct pst_listing_check){0};
}
