/* A manifest whose second line is made right: the first is then what is fuzzed. */
#ifndef PST_TESTS_FUZZ_MANIFEST_FUZZ_H
#define PST_TESTS_FUZZ_MANIFEST_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/manifest.h"
#include "tests/fuzz/fuzz.h"

/* The first line of data (or all of it) and its checksum line; malloc'd. */
static inline char *with_checksum(const uint8_t *data, size_t size, size_t *text_bytes)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t line_bytes = end ? (size_t)(end - data) : size;
    char *text = malloc(line_bytes + 128), digest_text[PST_DIGEST_TEXT_BYTES];
    if (!text)
        abort();
    memcpy(text, data, line_bytes);
    text[line_bytes] = '\n';
    const struct pst_digest digest = pst_digest_of(text, line_bytes + 1, 0);
    *text_bytes = line_bytes + 1 +
                  (size_t)sprintf(text + line_bytes + 1, "{\"checksum\":\"%s\"}\n",
                                  pst_digest_text(&digest, digest_text));
    return text;
}

#endif
