/* Goes through the attributes of entries that were found legal, and makes them. Called by
 * file_attributes.c, on any thread. */
#include "engine/format/attribute.h"

#include <string.h>

/* In front of each value, which is zero-padded to 8. */
struct head {
    uint16_t type;
    uint16_t reserved;
    uint32_t value_bytes;
};

_Static_assert(sizeof(struct head) == 8, "docs/format.md");

static size_t round_up_8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

void *format_attribute_append(uint16_t type, size_t value_bytes, void *attributes,
                              uint32_t bytes_max, uint32_t *bytes)
{
    size_t whole = sizeof(struct head) + round_up_8(value_bytes);
    if (value_bytes > bytes_max || whole > bytes_max - *bytes)
        return NULL;
    uint8_t *out = (uint8_t *)attributes + *bytes;
    const struct head head = {.type = type, .value_bytes = (uint32_t)value_bytes};
    memset(out, 0, whole);
    memcpy(out, &head, sizeof(head));
    *bytes += (uint32_t)whole;
    return out + sizeof(head);
}

bool format_attribute_next(const struct pst_object *object, uint32_t *at,
                           struct format_attribute *attribute)
{
    struct head head;
    if (*at >= object->attributes_bytes)
        return false;
    const uint8_t *in = (const uint8_t *)object->attributes + *at;
    memcpy(&head, in, sizeof(head));
    *attribute = (struct format_attribute){
        .type = head.type, .value_bytes = head.value_bytes, .value = in + sizeof(head)};
    *at += (uint32_t)(sizeof(head) + round_up_8(head.value_bytes));
    return true;
}
