/* The sealed bytes in a manifest: as the last field of its line 1, in hexadecimal digits. Called by
 * engine/repository, which seals and opens them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/hex.h"
#include "engine/format/manifest.h"
#include "engine/format/manifest_internal.h"

/* No string of JSON has these bytes in it: its quotes are escaped. */
#define FIELD ",\"sealed\":\""

int pst_manifest_attach(struct pst_manifest_text *text, const uint8_t *sealed, size_t sealed_bytes)
{
    size_t open_bytes = text->bytes - PST_MANIFEST_LINE2_BYTES - sizeof("}\n") + 1;
    char *line = malloc(open_bytes + sizeof(FIELD) - 1 + 2 * sealed_bytes + sizeof("\"}"));
    if (line) {
        char *at = line;
        memcpy(at, text->text, open_bytes);
        at += open_bytes;
        memcpy(at, FIELD, sizeof(FIELD) - 1);
        at += sizeof(FIELD) - 1;
        pst_hex_encode(sealed, sealed_bytes, at);
        memcpy(at + 2 * sealed_bytes, "\"}", sizeof("\"}"));
    }
    free(text->text);
    text->text = NULL;
    return line ? format_manifest_finish(line, text) : -ENOMEM;
}

int pst_manifest_detach(const void *bytes, uint64_t size, uint8_t **sealed, size_t *sealed_bytes)
{
    const char *line = bytes;
    const char *end = line + size - PST_MANIFEST_LINE2_BYTES;
    const char *found = memmem(line, (size_t)(end - line), FIELD, sizeof(FIELD) - 1);
    if (!found)
        return -PST_E_CORRUPT;
    found += sizeof(FIELD) - 1;
    const char *quote = memchr(found, '"', (size_t)(end - found));
    size_t digits = quote ? (size_t)(quote - found) : 0;
    if (digits == 0 || digits % 2 != 0)
        return -PST_E_CORRUPT;
    *sealed = malloc(digits / 2);
    if (!*sealed)
        return -ENOMEM;
    *sealed_bytes = digits / 2;
    if (pst_hex_decode(found, digits, *sealed, *sealed_bytes))
        return 0;
    free(*sealed);
    *sealed = NULL;
    return -PST_E_CORRUPT;
}
