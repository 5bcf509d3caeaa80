/*
 * The objects of a backup in a hash table by their ids. Any thread of the crew adds while
 * catalogues are read; then the thread of the verify or restore lists them, and any finds them.
 */
#include "engine/restore/objects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/place.h"

/* Memory comes in regions. Where there are many objects they lie in hugepages: to bring in what
 * they take page by page, and to give it back, would cost as much as all else that is done with
 * them. */
#define REGION_BYTES ((size_t)8 << 20)
#define SMALL_REGION_BYTES ((size_t)128 << 10)
#define MANY_BYTES ((size_t)256 << 10) /* taken at once */

#define SLOTS_MIN 1024u

/* Where flags and path lie in an entry: docs/format.md. */
#define ENTRY_BYTES_OFFSET 0u
#define ENTRY_TYPE_OFFSET 4u
#define ENTRY_FLAGS_OFFSET 6u
#define ENTRY_FLAGS_BYTES 2u
#define ENTRY_ID_OFFSET 8u
#define ENTRY_SIZE_OFFSET 16u
#define ENTRY_PATH_BYTES_OFFSET 64u
#define ENTRY_ATTRIBUTES_BYTES_OFFSET 68u

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

struct object_region {
    struct object_region *next;
    struct pst_arena arena; /* in which this lies */
    size_t used;
};

_Static_assert(sizeof(struct object_record) == 88, "entries are aligned to 8");

int objects_init(struct objects *objects)
{
    *objects = (struct objects){.slots_count = SLOTS_MIN};
    objects->slots = calloc(SLOTS_MIN, sizeof(*objects->slots));
    if (!objects->slots)
        return -ENOMEM;
    objects->pages_end = &objects->pages;
    pthread_mutex_init(&objects->mutex, NULL);
    return 0;
}

void objects_release(struct objects *objects)
{
    while (objects->regions) {
        struct pst_arena arena = objects->regions->arena;
        objects->regions = objects->regions->next;
        pst_arena_destroy(&arena);
    }
    free(objects->slots);
    pthread_mutex_destroy(&objects->mutex);
}

/* With room for so many bytes beside itself. */
static struct object_region *new_region(size_t bytes)
{
    bool is_large = bytes >= MANY_BYTES;
    size_t least = is_large ? REGION_BYTES : SMALL_REGION_BYTES;
    struct pst_arena arena;
    if (bytes > SIZE_MAX - REGION_BYTES)
        return NULL;
    bytes += sizeof(struct object_region);
    if (pst_arena_reserve(bytes > least ? bytes : least, is_large, &arena) != 0)
        return NULL;
    struct object_region *region = arena.base;
    *region = (struct object_region){.arena = arena, .used = sizeof(*region)};
    return region;
}

void *objects_take_memory(struct objects *objects, size_t bytes)
{
    struct object_region *region = objects->regions;
    bytes = (bytes + 7) & ~(size_t)7;
    if (!region || bytes > region->arena.bytes - region->used) {
        region = new_region(bytes);
        if (!region)
            return NULL;
        region->next = objects->regions;
        objects->regions = region;
    }
    void *taken = (uint8_t *)region->arena.base + region->used;
    region->used += bytes;
    return taken;
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
    memcpy(&id, record->entry + ENTRY_ID_OFFSET, sizeof(id));
    return id;
}

const char *object_path(const struct object_record *record)
{
    return (const char *)record->entry + PST_OBJECT_FIXED_BYTES;
}

size_t object_path_bytes(const struct object_record *record)
{
    uint16_t bytes;
    memcpy(&bytes, record->entry + ENTRY_PATH_BYTES_OFFSET, sizeof(bytes));
    return bytes - (size_t)1;
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

static struct object_page *new_page(struct objects *objects, uint32_t node, uint64_t number)
{
    if (2 * objects->pages_count >= objects->slots_count && grow(objects) != 0)
        return NULL;
    struct object_page *page = objects_take_memory(objects, sizeof(*page));
    if (!page)
        return NULL;
    *page = (struct object_page){.number = number, .node = node};
    *objects->pages_end = page;
    objects->pages_end = &page->next;
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

/* The page that the record belongs in; NULL: there is no memory for one. *page: that of the record
 * before, or NULL; neighbours share one. With the mutex. */
static bool find_page(struct objects *objects, const struct object_record *record,
                      struct object_page **page)
{
    uint64_t number = object_id(record) >> PAGE_SHIFT;
    if (*page && (*page)->number == number && (*page)->node == record->node)
        return true;
    *page = *slot_of(objects, record->node, number);
    if (!*page)
        *page = new_page(objects, record->node, number);
    return *page != NULL;
}

/* With the mutex. */
static int enter(struct objects *objects, struct object_record *record, struct object_page **page)
{
    if (!find_page(objects, record, page))
        return -ENOMEM;
    struct object_record **slot = &(*page)->records[object_id(record) % PAGE_OBJECTS];
    if (*slot) {
        if ((*slot)->entry_bytes != record->entry_bytes ||
            !same_but_for_flags((*slot)->entry, record->entry, record->entry_bytes))
            return -PST_E_CORRUPT;
        (*slot)->flags |= record->flags;
        return 0;
    }
    *slot = record;
    objects->count++;
    objects->counts[record->node]++;
    objects->types |= 1u << object_type(record);
    return 0;
}

static uint32_t entry_bytes_at(const uint8_t *entry)
{
    uint32_t bytes;
    memcpy(&bytes, entry + ENTRY_BYTES_OFFSET, sizeof(bytes));
    return bytes;
}

static uint64_t id_at(const uint8_t *entry)
{
    uint64_t id;
    memcpy(&id, entry + ENTRY_ID_OFFSET, sizeof(id));
    return id;
}

static uint16_t flags_at(const uint8_t *entry)
{
    uint16_t flags;
    memcpy(&flags, entry + ENTRY_FLAGS_OFFSET, sizeof(flags));
    return flags;
}

/* Most entries have no attributes, and are not decoded for it. */
static bool has_holes_at(const uint8_t *entry)
{
    uint32_t attributes_bytes;
    uint64_t data_bytes;
    memcpy(&attributes_bytes, entry + ENTRY_ATTRIBUTES_BYTES_OFFSET, sizeof(attributes_bytes));
    if (attributes_bytes == 0)
        return false;
    struct pst_object object = pst_object_of_legal(entry);
    return pst_object_data_bytes(&object, &data_bytes) && data_bytes < object.size;
}

/* Returns where the record ends. */
static uint8_t *copy_entry(uint8_t *to, uint32_t node, const uint8_t *entry)
{
    struct object_record *record = (struct object_record *)to;
    uint32_t bytes = entry_bytes_at(entry);
    *record = (struct object_record){
        .node = node,
        .flags = flags_at(entry),
        .entry_bytes = bytes,
        .has_holes = has_holes_at(entry),
    };
    memcpy(record->entry, entry, bytes);
    return record->entry + bytes;
}

/* Decodes the entries; *offset: where the legal ones end. *bytes: of records of those wanted. */
static int look_at_entries(const struct objects *objects, uint32_t node, const uint8_t *payload,
                           size_t payload_bytes, size_t *offset, size_t *bytes)
{
    int error = 0;
    *offset = *bytes = 0;
    while (!error && *offset < payload_bytes) {
        struct pst_object object;
        const uint8_t *entry = payload + *offset;
        error = pst_object_decode(payload, payload_bytes, offset, &object);
        if (!error && objects_want(objects, node, object.id))
            *bytes += sizeof(struct object_record) + entry_bytes_at(entry);
    }
    return error;
}

/* Copies those of legal entries up to `end` that are wanted. No thread waits for another meanwhile.
 */
static void copy_entries(const struct objects *objects, uint32_t node, const uint8_t *payload,
                         size_t end, uint8_t *records)
{
    for (size_t offset = 0; offset < end; offset += entry_bytes_at(payload + offset)) {
        if (objects_want(objects, node, id_at(payload + offset)))
            records = copy_entry(records, node, payload + offset);
    }
}

/* Enters the records that were copied from the payload up to *offset. */
static int enter_all(struct objects *objects, uint32_t node, const uint8_t *payload, size_t *offset,
                     uint32_t *count, uint8_t *records)
{
    struct object_page *page = NULL;
    size_t end = *offset;
    int error = 0;
    *offset = 0;
    while (*offset < end) {
        const uint8_t *entry = payload + *offset;
        if (objects_want(objects, node, id_at(entry))) {
            struct object_record *record = (struct object_record *)records;
            error = enter(objects, record, &page);
            records += sizeof(*record) + record->entry_bytes;
        }
        if (error)
            break;
        *offset += entry_bytes_at(entry);
        ++*count;
    }
    return error;
}

int objects_add(struct objects *objects, uint32_t node, const void *payload, size_t payload_bytes,
                size_t *offset, uint32_t *count)
{
    size_t bytes;
    int decoded = look_at_entries(objects, node, payload, payload_bytes, offset, &bytes);
    pthread_mutex_lock(&objects->mutex);
    assert(!objects->listed);
    uint8_t *records = objects_take_memory(objects, bytes);
    pthread_mutex_unlock(&objects->mutex);
    if (!records)
        return -ENOMEM;
    copy_entries(objects, node, payload, *offset, records);
    pthread_mutex_lock(&objects->mutex);
    int error = enter_all(objects, node, payload, offset, count, records);
    pthread_mutex_unlock(&objects->mutex);
    return error ? error : decoded;
}

struct object_record *objects_find_near(const struct objects *objects, uint32_t node, uint64_t id,
                                        const struct object_page **near)
{
    assert(objects->listed);
    const struct object_page *page = *near;
    if (!page || page->number != id >> PAGE_SHIFT || page->node != node)
        page = *near = *slot_of(objects, node, id >> PAGE_SHIFT);
    return page ? page->records[id % PAGE_OBJECTS] : NULL;
}

struct object_record *objects_find(const struct objects *objects, uint32_t node, uint64_t id)
{
    const struct object_page *none = NULL;
    return objects_find_near(objects, node, id, &none);
}

int objects_gather(struct objects *objects)
{
    assert(!objects->listed);
    objects->listed = objects_take_memory(objects, objects->count * sizeof(*objects->listed));
    if (!objects->listed)
        return -ENOMEM;
    size_t count = 0;
    for (const struct object_page *page = objects->pages; page; page = page->next) {
        for (uint32_t i = 0; i < PAGE_OBJECTS; i++)
            if (page->records[i])
                objects->listed[count++] = page->records[i];
    }
    assert(count == objects->count);
    return 0;
}
