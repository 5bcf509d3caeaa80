/* UTF-8 as Unicode 15 has it (table 3-7): no longer form than needed, no surrogates. Any thread. */
#ifndef PST_ENGINE_BASE_UTF8_H
#define PST_ENGINE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes, 1 to 4, of the character at data, of which there are `bytes`, at least 1; *point: the
 * character. 0: it is not UTF-8. */
size_t pst_utf8_decode(const void *data, size_t bytes, uint32_t *point);

bool pst_utf8_is_valid(const void *text, size_t bytes);

#endif
