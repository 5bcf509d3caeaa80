#include "tests/fuzz/manifest_fuzz.h"

static struct pst_cluster_manifest manifest;

static void check(const void *bytes, size_t size)
{
    struct pst_damage damage;
    struct pst_manifest_text text;
    if (pst_manifest_decode_cluster(bytes, size, &manifest, NULL, &damage) != 0)
        return;
    if (pst_manifest_encode_cluster(&manifest, &text) != 0)
        abort();
    free(text.text);
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
