/* Bytes as hexadecimal digits and back. Pure: any thread, called by every folder. */
#include "engine/base/hex.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

char *pst_hex_encode(const uint8_t *data, size_t bytes, char *text)
{
    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = hex_digits[data[i] >> 4];
        text[2 * i + 1] = hex_digits[data[i] & 15];
    }
    text[2 * bytes] = '\0';
    return text;
}

static int hex_value(char digit)
{
    const char *found = digit ? strchr(hex_digits, digit) : NULL;
    return found ? (int)(found - hex_digits) : -1;
}

bool pst_hex_decode(const char *text, size_t text_bytes, uint8_t *data, size_t bytes)
{
    if (text_bytes != 2 * bytes)
        return false;
    for (size_t i = 0; i < text_bytes; i++) {
        if (hex_value(text[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    return true;
}
