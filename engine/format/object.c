/* Catalogue entries: encoded by sources, decoded by the pipeline and by readers of backups, checked
 * against every way in which they can be wrong. Called on any thread. */
#include "engine/format/object.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/format/file_attributes.h"
#include "engine/format/rows.h"

/* A catalogue entry as it lies on disk; then path, link and attributes, zero-padded to 8. */
struct entry {
    uint32_t entry_bytes;
    uint8_t type;
    uint8_t reserved;
    uint16_t flags;
    uint64_t id;
    uint64_t size;
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t rdev;
    uint64_t linked_object;
    uint16_t path_bytes; /* with terminator, at least 1 */
    uint16_t link_bytes; /* with terminator, or 0 */
    uint32_t attributes_bytes;
};

_Static_assert(sizeof(struct entry) == PST_OBJECT_FIXED_BYTES, "docs/format.md");
_Static_assert(offsetof(struct entry, type) == 4, "docs/format.md");
_Static_assert(offsetof(struct entry, flags) == 6, "docs/format.md");
_Static_assert(offsetof(struct entry, id) == 8, "docs/format.md");
_Static_assert(offsetof(struct entry, size) == 16, "docs/format.md");
_Static_assert(offsetof(struct entry, mtime_sec) == 24, "docs/format.md");
_Static_assert(offsetof(struct entry, mtime_nsec) == 32, "docs/format.md");
_Static_assert(offsetof(struct entry, mode) == 36, "docs/format.md");
_Static_assert(offsetof(struct entry, uid) == 40, "docs/format.md");
_Static_assert(offsetof(struct entry, gid) == 44, "docs/format.md");
_Static_assert(offsetof(struct entry, rdev) == 48, "docs/format.md");
_Static_assert(offsetof(struct entry, linked_object) == 56, "docs/format.md");
_Static_assert(offsetof(struct entry, path_bytes) == 64, "docs/format.md");
_Static_assert(offsetof(struct entry, link_bytes) == 66, "docs/format.md");
_Static_assert(offsetof(struct entry, attributes_bytes) == 68, "docs/format.md");
_Static_assert(PST_OBJECT_TYPE_MAX <= UINT8_MAX, "the field holds it");
_Static_assert(PST_PATH_BYTES_MAX <= UINT16_MAX, "the field holds it");

/* One attribute: this, then its value, zero-padded to 8. */
struct attribute {
    uint16_t type; /* with ATTRIBUTE_REQUIRED: who does not know it must not go on */
    uint16_t reserved;
    uint32_t value_bytes;
};

#define ATTRIBUTE_REQUIRED 0x8000u
#define ATTRIBUTE_DATA 0x0010u
#define ATTRIBUTE_IDENTITY 0x0011u

_Static_assert(sizeof(struct attribute) + sizeof(uint64_t) == PST_OBJECT_DATA_ATTRIBUTE_BYTES,
               "docs/format.md");
_Static_assert(sizeof(struct attribute) + sizeof(struct pst_object_identity) ==
                   PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES,
               "docs/format.md");

static size_t round_up_8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

uint32_t pst_object_source(uint64_t id)
{
    return (uint32_t)(id >> PST_OBJECT_SOURCE_SHIFT);
}

bool pst_object_name_is_safe(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* Empty, "." or "..". */
static bool component_is_odd(const char *component, size_t bytes)
{
    return bytes == 0 ||
           (component[0] == '.' && (bytes == 1 || (bytes == 2 && component[1] == '.')));
}

/* bytes: without the terminator, the first zero. */
static bool path_is_safe(const char *path, size_t bytes)
{
    if (bytes == 0 || bytes >= PST_PATH_BYTES_MAX)
        return false;
    for (const char *component = path, *end = path + bytes;;) {
        const char *slash = memchr(component, '/', (size_t)(end - component));
        if (component_is_odd(component, (size_t)((slash ? slash : end) - component)))
            return false;
        if (!slash)
            return true;
        component = slash + 1;
    }
}

bool pst_object_path_is_safe(const char *path)
{
    return path_is_safe(path, strnlen(path, PST_PATH_BYTES_MAX));
}

static bool type_needs_attribute(enum pst_object_type type)
{
    return type == PST_OBJECT_ROWS || type == PST_OBJECT_DATABASE;
}

static bool data_attribute_is_legal(const struct pst_object *object, const void *value,
                                    uint32_t value_bytes)
{
    uint64_t data_bytes;
    if (value_bytes != sizeof(data_bytes))
        return false;
    memcpy(&data_bytes, value, sizeof(data_bytes));
    return data_bytes <= object->size;
}

static bool identity_attribute_is_legal(const void *value, uint32_t value_bytes)
{
    struct pst_object_identity identity;
    if (value_bytes != sizeof(identity))
        return false;
    memcpy(&identity, value, sizeof(identity));
    return identity.ctime_nsec < 1000000000u;
}

/* *required: there is one that must be understood, and is not. */
static bool attributes_are_legal(const struct pst_object *object, bool *required)
{
    const uint8_t *attributes = object->attributes;
    size_t bytes = object->attributes_bytes;
    uint32_t needed = type_needs_attribute(object->type) ? 1 : 0;
    struct format_file_attributes seen = {0};
    bool has_data = false, has_identity = false;
    *required = false;
    for (size_t offset = 0; offset < bytes;) {
        struct attribute attribute;
        if (bytes - offset < sizeof(attribute))
            return false;
        memcpy(&attribute, attributes + offset, sizeof(attribute));
        offset += sizeof(attribute);
        if (attribute.value_bytes > bytes - offset ||
            round_up_8(attribute.value_bytes) > bytes - offset)
            return false;
        bool known = attribute.type == ATTRIBUTE_DATA;
        if (known) {
            if (has_data ||
                !data_attribute_is_legal(object, attributes + offset, attribute.value_bytes))
                return false;
            has_data = true;
        } else if (attribute.type == ATTRIBUTE_IDENTITY) {
            if (has_identity ||
                !identity_attribute_is_legal(attributes + offset, attribute.value_bytes))
                return false;
            has_identity = known = true;
        } else if (!format_file_attribute_is_legal(&seen, object->type, attribute.type,
                                                   attributes + offset, attribute.value_bytes,
                                                   &known)) {
            return false;
        } else if (!known && (!format_rows_attribute_is_legal(object->type, attribute.type,
                                                              attributes + offset,
                                                              attribute.value_bytes, &known) ||
                              (known && needed-- == 0))) {
            return false;
        }
        offset += round_up_8(attribute.value_bytes);
        *required = *required || (!known && (attribute.type & ATTRIBUTE_REQUIRED) != 0);
    }
    return needed == 0;
}

static bool type_has_contents(enum pst_object_type type)
{
    return type == PST_OBJECT_FILE || type == PST_OBJECT_TABLE || type == PST_OBJECT_ENVIRONMENT ||
           type == PST_OBJECT_BLOCK_IMAGE || type == PST_OBJECT_ROWS;
}

static bool type_is_device(enum pst_object_type type)
{
    return type == PST_OBJECT_BLOCK_DEVICE || type == PST_OBJECT_CHARACTER_DEVICE;
}

static bool link_is_legal(const struct pst_object *object)
{
    if ((object->type == PST_OBJECT_SYMLINK) != (object->link != NULL))
        return false;
    return !object->link || (object->link[0] != '\0' &&
                             strnlen(object->link, PST_PATH_BYTES_MAX) < PST_PATH_BYTES_MAX);
}

static bool linked_object_is_legal(const struct pst_object *object)
{
    if (object->type != PST_OBJECT_HARD_LINK)
        return object->linked_object == 0;
    return (object->linked_object & PST_OBJECT_COUNTER_MAX) != 0 &&
           object->linked_object != object->id &&
           pst_object_source(object->linked_object) == pst_object_source(object->id);
}

/* All but the path's safety and the attributes. */
static bool fields_are_legal(const struct pst_object *object)
{
    return (object->id & PST_OBJECT_COUNTER_MAX) != 0 &&
           pst_object_source(object->id) < PST_SOURCES_MAX && object->type >= 1 &&
           (unsigned)object->type <= PST_OBJECT_TYPE_MAX && object->flags <= UINT16_MAX &&
           object->mtime_nsec < 1000000000u && object->mode <= 07777 && object->size <= INT64_MAX &&
           (object->size == 0 || type_has_contents(object->type)) &&
           (object->rdev == 0 || type_is_device(object->type)) && link_is_legal(object) &&
           linked_object_is_legal(object);
}

/* path_bytes: without the terminator. */
static bool path_is_legal(const struct pst_object *object, size_t path_bytes)
{
    return (object->type == PST_OBJECT_DIRECTORY && path_bytes == 0) ||
           path_is_safe(object->path, path_bytes);
}

static bool object_is_legal(const struct pst_object *object)
{
    bool required;
    if (!object->path || !fields_are_legal(object) ||
        !path_is_legal(object, strnlen(object->path, PST_PATH_BYTES_MAX)) ||
        object->attributes_bytes > PST_OBJECT_ATTRIBUTES_BYTES_MAX ||
        (!object->attributes) != (object->attributes_bytes == 0))
        return false;
    return attributes_are_legal(object, &required);
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t strings_bytes(size_t path_bytes, size_t link_bytes)
{
    return round_up_8(path_bytes + link_bytes);
}

size_t pst_object_bytes(const struct pst_object *object)
{
    return sizeof(struct entry) +
           strings_bytes(text_bytes(object->path), text_bytes(object->link)) +
           round_up_8(object->attributes_bytes);
}

static void copy_strings(const struct pst_object *object, const struct entry *entry, uint8_t *out)
{
    size_t strings = strings_bytes(entry->path_bytes, entry->link_bytes);
    memset(out, 0, strings);
    memcpy(out, object->path, entry->path_bytes);
    if (object->link)
        memcpy(out + entry->path_bytes, object->link, entry->link_bytes);
    if (object->attributes_bytes)
        memcpy(out + strings, object->attributes, object->attributes_bytes);
}

int pst_object_encode(const struct pst_object *object, void *payload, size_t payload_bytes,
                      size_t *offset)
{
    assert(*offset <= payload_bytes && *offset % 8 == 0);
    if (!object_is_legal(object))
        return -EINVAL;
    size_t bytes = pst_object_bytes(object);
    if (bytes > payload_bytes - *offset)
        return -ENOSPC;

    const struct entry entry = {
        .entry_bytes = (uint32_t)bytes,
        .type = (uint8_t)object->type,
        .flags = (uint16_t)object->flags,
        .id = object->id,
        .size = object->size,
        .mtime_sec = object->mtime_sec,
        .mtime_nsec = object->mtime_nsec,
        .mode = object->mode,
        .uid = object->uid,
        .gid = object->gid,
        .rdev = object->rdev,
        .linked_object = object->linked_object,
        .path_bytes = (uint16_t)text_bytes(object->path),
        .link_bytes = (uint16_t)text_bytes(object->link),
        .attributes_bytes = object->attributes_bytes,
    };
    uint8_t *out = (uint8_t *)payload + *offset;
    memcpy(out, &entry, sizeof(entry));
    copy_strings(object, &entry, out + sizeof(entry));
    *offset += bytes;
    return 0;
}

/* Lengths only: whether everything that the entry says it has lies inside it. */
static bool lengths_are_legal(const struct entry *entry, size_t room)
{
    if (entry->entry_bytes > room || entry->entry_bytes > PST_OBJECT_BYTES_MAX ||
        entry->path_bytes == 0 || entry->path_bytes > PST_PATH_BYTES_MAX ||
        entry->link_bytes > PST_PATH_BYTES_MAX || entry->attributes_bytes % 8 != 0 ||
        entry->attributes_bytes > PST_OBJECT_ATTRIBUTES_BYTES_MAX)
        return false;
    return entry->entry_bytes == sizeof(*entry) +
                                     strings_bytes(entry->path_bytes, entry->link_bytes) +
                                     entry->attributes_bytes;
}

static bool string_is_whole(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) == text + bytes - 1;
}

static void fill_object(const struct entry *entry, const uint8_t *strings,
                        struct pst_object *object)
{
    *object = (struct pst_object){
        .id = entry->id,
        .type = (enum pst_object_type)entry->type,
        .flags = entry->flags,
        .path = (const char *)strings,
        .link = entry->link_bytes ? (const char *)strings + entry->path_bytes : NULL,
        .size = entry->size,
        .linked_object = entry->linked_object,
        .rdev = entry->rdev,
        .mtime_sec = entry->mtime_sec,
        .mtime_nsec = entry->mtime_nsec,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .attributes_bytes = entry->attributes_bytes,
    };
    if (entry->attributes_bytes)
        object->attributes = strings + strings_bytes(entry->path_bytes, entry->link_bytes);
}

bool pst_object_is_name_of(const struct pst_object *object, uint64_t id)
{
    return object->id == id ||
           (object->type == PST_OBJECT_HARD_LINK && object->linked_object == id);
}

int pst_object_decode(const void *payload, size_t payload_bytes, size_t *offset,
                      struct pst_object *object)
{
    assert(*offset <= payload_bytes);
    const uint8_t *in = (const uint8_t *)payload + *offset;
    size_t room = payload_bytes - *offset;
    struct entry entry;
    if (room < sizeof(entry))
        return -PST_E_CORRUPT;
    memcpy(&entry, in, sizeof(entry));
    if (!lengths_are_legal(&entry, room))
        return -PST_E_CORRUPT;
    if (entry.type > PST_OBJECT_TYPE_MAX)
        return -PST_E_NEWER;

    fill_object(&entry, in + sizeof(entry), object);
    if (!string_is_whole(object->path, entry.path_bytes) ||
        (object->link && !string_is_whole(object->link, entry.link_bytes)) ||
        !fields_are_legal(object))
        return -PST_E_CORRUPT;
    bool required;
    if (!attributes_are_legal(object, &required))
        return -PST_E_CORRUPT;
    if (required)
        return -PST_E_NEWER;
    if (!path_is_legal(object, entry.path_bytes - (size_t)1))
        return -PST_E_UNSAFE_PATH;
    *offset += entry.entry_bytes;
    return 0;
}

static uint32_t encode_attribute(uint16_t type, const void *value, uint32_t value_bytes, void *out)
{
    const struct attribute attribute = {.type = type, .value_bytes = value_bytes};
    assert(value_bytes % 8 == 0);
    memcpy(out, &attribute, sizeof(attribute));
    memcpy((uint8_t *)out + sizeof(attribute), value, value_bytes);
    return (uint32_t)sizeof(attribute) + value_bytes;
}

/* Of a legal object, whose value is so long. */
static bool find_attribute(const struct pst_object *object, uint16_t type, void *value,
                           uint32_t value_bytes)
{
    const uint8_t *at = object->attributes;
    for (uint32_t offset = 0; offset < object->attributes_bytes;) {
        struct attribute attribute;
        memcpy(&attribute, at + offset, sizeof(attribute));
        offset += (uint32_t)sizeof(attribute);
        if (attribute.type == type) {
            memcpy(value, at + offset, value_bytes);
            return true;
        }
        offset += (uint32_t)round_up_8(attribute.value_bytes);
    }
    return false;
}

uint32_t pst_object_data_encode(uint64_t data_bytes, void *out)
{
    return encode_attribute(ATTRIBUTE_DATA, &data_bytes, sizeof(data_bytes), out);
}

bool pst_object_data_bytes(const struct pst_object *object, uint64_t *data_bytes)
{
    return find_attribute(object, ATTRIBUTE_DATA, data_bytes, sizeof(*data_bytes));
}

uint32_t pst_object_identity_encode(const struct pst_object_identity *identity, void *out)
{
    return encode_attribute(ATTRIBUTE_IDENTITY, identity, sizeof(*identity), out);
}

bool pst_object_identity(const struct pst_object *object, struct pst_object_identity *identity)
{
    return find_attribute(object, ATTRIBUTE_IDENTITY, identity, sizeof(*identity));
}

struct pst_object pst_object_of_legal(const void *entry)
{
    struct pst_object object;
    struct entry head;
    memcpy(&head, entry, sizeof(head));
    fill_object(&head, (const uint8_t *)entry + sizeof(head), &object);
    return object;
}

struct pst_object_range format_object_range_of(const void *payload, size_t payload_bytes)
{
    struct pst_object_range range = {0};
    for (size_t offset = 0; offset < payload_bytes; range.objects++) {
        struct entry entry;
        assert(payload_bytes - offset >= sizeof(entry));
        memcpy(&entry, (const uint8_t *)payload + offset, sizeof(entry));
        assert(entry.entry_bytes >= sizeof(entry) && entry.entry_bytes % 8 == 0);
        if (range.objects == 0 || entry.id < range.first)
            range.first = entry.id;
        if (entry.id > range.last)
            range.last = entry.id;
        offset += entry.entry_bytes;
    }
    return range;
}
