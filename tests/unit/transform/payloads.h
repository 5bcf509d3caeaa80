/*
 * Payloads of different kinds, the same each time.
 */
#ifndef PST_TESTS_UNIT_TRANSFORM_PAYLOADS_H
#define PST_TESTS_UNIT_TRANSFORM_PAYLOADS_H

#include <stdint.h>

#define PAYLOAD_BYTES_MAX (1u << 20)

enum payload {
    PAYLOAD_TEXT,   /* words: shrinks by any codec */
    PAYLOAD_DIGITS, /* random ones: shrinks by its distribution alone */
    PAYLOAD_ZEROS,
    PAYLOAD_NOISE, /* does not shrink */
    PAYLOADS
};

void payload_fill(uint8_t *payload, uint32_t bytes, enum payload kind);

#endif
