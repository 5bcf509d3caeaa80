/*
 * Decodes UTF-8. Called by whatever takes texts from outside; any thread.
 */
#include "engine/base/utf8.h"

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

size_t pst_utf8_decode(const void *data, size_t bytes, uint32_t *point)
{
    const unsigned char *text = data;
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

bool pst_utf8_is_valid(const void *text, size_t bytes)
{
    uint32_t point;
    size_t length = 1;
    for (size_t at = 0; at < bytes && length > 0; at += length)
        length = pst_utf8_decode((const char *)text + at, bytes - at, &point);
    return length > 0;
}
