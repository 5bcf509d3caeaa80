/*
 * The objects of a backup in a hash table while catalogues are read, then in the order of their
 * paths. Any thread of the crew adds; the thread of the verify or restore sorts.
 */
#include "engine/restore/objects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (1u << 20)
#define SLOTS_MIN 1024u

/* Where flags and path lie in an entry: docs/format.md. */
#define ENTRY_TYPE_OFFSET 4u
#define ENTRY_FLAGS_OFFSET 6u
#define ENTRY_FLAGS_BYTES 2u
#define ENTRY_SIZE_OFFSET 16u

/* Ids are counters, and pieces and checksums come much in their order: neighbours share a page,
 * which is then in the cache. */
#define PAGE_SHIFT 4u
#define PAGE_OBJECTS (1u << PAGE_SHIFT)

struct object_page {
    struct object_page *next;
    uint64_t number; /* id >> PAGE_SHIFT, of all of them */
    uint32_t node;
    struct object_record *records[PAGE_OBJECTS]; /* NULL: no such object */
};

struct object_block {
    struct object_block *next;
    size_t used;
    uint8_t bytes[BLOCK_BYTES] __attribute__((aligned(8)));
};

_Static_assert(sizeof(struct object_record) == 88, "entries are aligned to 8");
_Static_assert(sizeof(struct object_record) + PST_OBJECT_BYTES_MAX <= BLOCK_BYTES,
               "every object fits a block");

int objects_init(struct objects *objects)
{
    *objects = (struct objects){.slots_count = SLOTS_MIN};
    objects->slots = calloc(SLOTS_MIN, sizeof(*objects->slots));
    if (!objects->slots)
        return -ENOMEM;
    pthread_mutex_init(&objects->mutex, NULL);
    return 0;
}

void objects_release(struct objects *objects)
{
    while (objects->blocks) {
        struct object_block *block = objects->blocks;
        objects->blocks = block->next;
        free(block);
    }
    free(objects->slots);
    free(objects->sorted);
    pthread_mutex_destroy(&objects->mutex);
}

bool objects_want(const struct objects *objects, uint32_t node, uint64_t id)
{
    uint32_t instance = pst_object_source(id);
    return !objects->only ||
           (instance < PST_SOURCES_MAX && (objects->only[node] >> instance & 1) != 0);
}

uint64_t object_id(const struct object_record *record)
{
    uint64_t id;
    memcpy(&id, record->entry + 8, sizeof(id));
    return id;
}

const char *object_path(const struct object_record *record)
{
    return (const char *)record->entry + PST_OBJECT_FIXED_BYTES;
}

enum pst_object_type object_type(const struct object_record *record)
{
    return (enum pst_object_type)record->entry[ENTRY_TYPE_OFFSET];
}

uint64_t object_size(const struct object_record *record)
{
    uint64_t size;
    memcpy(&size, record->entry + ENTRY_SIZE_OFFSET, sizeof(size));
    return size;
}

struct pst_object object_of(const struct object_record *record)
{
    struct pst_object object = pst_object_of_legal(record->entry);
    object.flags = record->flags;
    return object;
}

/* SplitMix64's finaliser: the numbers of pages are counters too, and must not cluster. */
static uint64_t hash(uint32_t node, uint64_t number)
{
    uint64_t h = number ^ (uint64_t)node << 40;
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

/* The slot of the page, or the free one where it belongs. */
static struct object_page **slot_of(const struct objects *objects, uint32_t node, uint64_t number)
{
    size_t i = (size_t)hash(node, number) & (objects->slots_count - 1);
    while (objects->slots[i] &&
           (objects->slots[i]->number != number || objects->slots[i]->node != node))
        i = (i + 1) & (objects->slots_count - 1);
    return &objects->slots[i];
}

static int grow(struct objects *objects)
{
    struct objects larger = *objects;
    larger.slots_count *= 2;
    larger.slots = calloc(larger.slots_count, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (struct object_page *page = objects->pages; page; page = page->next)
        *slot_of(&larger, page->node, page->number) = page;
    free(objects->slots);
    objects->slots = larger.slots;
    objects->slots_count = larger.slots_count;
    return 0;
}

/* Zeros, that live as long as the objects. */
static void *new_bytes(struct objects *objects, size_t bytes)
{
    assert(bytes % 8 == 0 && bytes <= BLOCK_BYTES);
    if (!objects->blocks || bytes > BLOCK_BYTES - objects->blocks->used) {
        struct object_block *block = malloc(sizeof(*block));
        if (!block)
            return NULL;
        block->next = objects->blocks;
        block->used = 0;
        objects->blocks = block;
    }
    void *made = objects->blocks->bytes + objects->blocks->used;
    objects->blocks->used += bytes;
    return memset(made, 0, bytes);
}

static struct object_page *new_page(struct objects *objects, uint32_t node, uint64_t number)
{
    if (2 * objects->pages_count >= objects->slots_count && grow(objects) != 0)
        return NULL;
    struct object_page *page = new_bytes(objects, sizeof(*page));
    if (!page)
        return NULL;
    page->node = node;
    page->number = number;
    page->next = objects->pages;
    objects->pages = page;
    objects->pages_count++;
    *slot_of(objects, node, number) = page;
    return page;
}

static bool same_but_for_flags(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    size_t after = ENTRY_FLAGS_OFFSET + ENTRY_FLAGS_BYTES;
    return memcmp(a, b, ENTRY_FLAGS_OFFSET) == 0 &&
           memcmp(a + after, b + after, bytes - after) == 0;
}

static int add(struct objects *objects, uint32_t node, const void *entry, size_t entry_bytes,
               const struct pst_object *object)
{
    uint64_t number = object->id >> PAGE_SHIFT;
    struct object_page *page = *slot_of(objects, node, number);
    if (!page)
        page = new_page(objects, node, number);
    if (!page)
        return -ENOMEM;
    struct object_record **slot = &page->records[object->id % PAGE_OBJECTS];
    if (*slot) {
        if ((*slot)->entry_bytes != entry_bytes ||
            !same_but_for_flags((*slot)->entry, entry, entry_bytes))
            return -PST_E_CORRUPT;
        (*slot)->flags |= (uint16_t)object->flags;
        return 0;
    }
    struct object_record *record = new_bytes(objects, sizeof(*record) + entry_bytes);
    if (!record)
        return -ENOMEM;
    record->node = node;
    record->flags = (uint16_t)object->flags;
    record->entry_bytes = (uint32_t)entry_bytes;
    memcpy(record->entry, entry, entry_bytes);
    *slot = record;
    objects->count++;
    return 0;
}

int objects_add(struct objects *objects, uint32_t node, const void *entry, size_t entry_bytes,
                const struct pst_object *object)
{
    pthread_mutex_lock(&objects->mutex);
    assert(!objects->sorted);
    int error = add(objects, node, entry, entry_bytes, object);
    pthread_mutex_unlock(&objects->mutex);
    return error;
}

struct object_record *objects_find(const struct objects *objects, uint32_t node, uint64_t id)
{
    assert(objects->sorted);
    const struct object_page *page = *slot_of(objects, node, id >> PAGE_SHIFT);
    return page ? page->records[id % PAGE_OBJECTS] : NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct object_record *left = *(struct object_record *const *)a;
    const struct object_record *right = *(struct object_record *const *)b;
    uint32_t left_source = pst_object_source(object_id(left));
    uint32_t right_source = pst_object_source(object_id(right));
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    if (left_source != right_source)
        return left_source < right_source ? -1 : 1;
    return strcmp(object_path(left), object_path(right));
}

int objects_sort(struct objects *objects, const struct object_record **clash)
{
    assert(!objects->sorted);
    objects->sorted = calloc(objects->count + 1, sizeof(*objects->sorted));
    if (!objects->sorted)
        return -ENOMEM;
    size_t count = 0;
    for (const struct object_page *page = objects->pages; page; page = page->next) {
        for (uint32_t i = 0; i < PAGE_OBJECTS; i++)
            if (page->records[i])
                objects->sorted[count++] = page->records[i];
    }
    assert(count == objects->count);
    qsort(objects->sorted, count, sizeof(*objects->sorted), by_place);
    for (size_t i = 1; i < count; i++) {
        if (by_place(&objects->sorted[i - 1], &objects->sorted[i]) == 0) {
            *clash = objects->sorted[i];
            return -PST_E_CORRUPT;
        }
    }
    return 0;
}

/* As by_place: what is sought lies before the record (< 0), after it, or is it. */
static int compare_place(const struct object_record *of, const char *path, size_t path_bytes,
                         const struct object_record *record)
{
    uint32_t source = pst_object_source(object_id(of)),
             other = pst_object_source(object_id(record));
    if (of->node != record->node)
        return of->node < record->node ? -1 : 1;
    if (source != other)
        return source < other ? -1 : 1;
    int order = strncmp(path, object_path(record), path_bytes);
    return order != 0 ? order : -(object_path(record)[path_bytes] != '\0');
}

const struct object_record *objects_at(const struct objects *objects,
                                       const struct object_record *of, const char *path,
                                       size_t path_bytes)
{
    size_t low = 0, high = objects->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_place(of, path, path_bytes, objects->sorted[middle]);
        if (order == 0)
            return objects->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
