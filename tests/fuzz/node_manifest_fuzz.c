#include "tests/fuzz/manifest_fuzz.h"

static struct pst_node_manifest manifest;

static void check(const void *bytes, size_t size)
{
    struct pst_damage damage;
    struct pst_manifest_text text;
    if (pst_manifest_decode_node(bytes, size, &manifest, NULL, &damage) != 0)
        return;
    /* what was read can be written, but for names that grow when they are escaped once more */
    if (pst_manifest_encode_node(&manifest, &text) == 0)
        free(text.text);
    pst_manifest_release_node(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    check(copy, size);
    size_t text_bytes;
    char *text = with_checksum(copy, size, &text_bytes);
    check(text, text_bytes);
    free(text);
    free(copy);
    return 0;
}
