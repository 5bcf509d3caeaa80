/*
 * Makes text from outside fit for a terminal or a log, in place. Called by log.c for each line and
 * by engine/cli/print.c for all that the commands print; any thread.
 */
#include "engine/base/printable.h"

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/utf8.h"

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
        size_t length = pst_utf8_decode(text + at, bytes - at, &point);
        bool stays = length > 0 && is_printable(point);
        for (size_t end = at + (length > 0 ? length : 1); at < end; at++) {
            if (!stays)
                text[at] = '?';
        }
    }
}
