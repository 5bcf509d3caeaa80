/*
 * The attributes of a catalogue entry one after the other, whatever they say: for those who know
 * some (docs/format.md). Any thread.
 */
#ifndef PST_ENGINE_FORMAT_ATTRIBUTE_H
#define PST_ENGINE_FORMAT_ATTRIBUTE_H

#include <stdbool.h>

#include "penstock/object.h"

struct format_attribute {
    uint16_t type;
    uint32_t value_bytes;
    const void *value;
};

/* The next one of a legal object; *at: 0 for the first. False: there are no more. */
bool format_attribute_next(const struct pst_object *object, uint32_t *at,
                           struct format_attribute *attribute);

/* Appends one to attributes, of which *bytes are used and bytes_max there: the place of its value,
 * zeroed, with *bytes moved past it; NULL: no room. */
void *format_attribute_append(uint16_t type, size_t value_bytes, void *attributes,
                              uint32_t bytes_max, uint32_t *bytes);

#endif
