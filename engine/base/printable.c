/*
 * Makes text from outside fit for a terminal or a log, in place. Called by log.c for each line and
 * by engine/cli/print.c for all that the commands print; any thread.
 */
#include "engine/base/printable.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character that begins so, and the least code point that needs that many. */
static size_t length_of(unsigned char first, uint32_t *least)
{
    static const uint32_t leasts[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = first < 0x80           ? 1
                    : (first >> 5) == 0x06 ? 2
                    : (first >> 4) == 0x0e ? 3
                    : (first >> 3) == 0x1e ? 4
                                           : 0;
    *least = leasts[length];
    return length;
}

/* The character at text, and its bytes; 0: it is not UTF-8. */
static size_t decode(const unsigned char *text, size_t bytes, uint32_t *point)
{
    uint32_t least;
    size_t length = length_of(text[0], &least);
    if (length == 0 || length > bytes)
        return 0;
    *point = length == 1 ? text[0] : text[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (text[i] & 0x3f);
    }
    bool is_surrogate = *point >= 0xd800 && *point <= 0xdfff;
    return *point < least || is_surrogate || *point > 0x10ffff ? 0 : length;
}

static bool is_within(uint32_t point, uint32_t first, uint32_t last)
{
    return point >= first && point <= last;
}

static bool is_printable(uint32_t point)
{
    if (point < ' ' || is_within(point, 0x7f, 0x9f))
        return false;
    /* Zero width and direction marks, line and paragraph ends, embeddings, overrides, isolates. */
    return !is_within(point, 0x200b, 0x200f) && !is_within(point, 0x2028, 0x202e) &&
           !is_within(point, 0x2060, 0x206f) && point != 0xfeff && point != 0x061c;
}

void pst_make_printable(char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        uint32_t point = 0;
        size_t length = decode((const unsigned char *)text + at, bytes - at, &point);
        bool stays = length > 0 && is_printable(point);
        for (size_t end = at + (length > 0 ? length : 1); at < end; at++) {
            if (!stays)
                text[at] = '?';
        }
    }
}
