/* A catalogue payload: what decodes is safe, and encodes to something that decodes. */
#include <stdlib.h>

#include "engine/format/object.h"
#include "tests/fuzz/fuzz.h"

static void check_object(const struct pst_object *object)
{
    if (object->path[0] != '\0' && !pst_object_path_is_safe(object->path))
        abort();
    uint8_t *again = malloc(pst_object_bytes(object));
    size_t offset = 0;
    if (!again || pst_object_encode(object, again, pst_object_bytes(object), &offset) != 0)
        abort();
    struct pst_object decoded;
    offset = 0;
    if (pst_object_decode(again, pst_object_bytes(object), &offset, &decoded) != 0)
        abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct pst_object object;
    for (size_t offset = 0; offset < size;) {
        if (pst_object_decode(copy, size, &offset, &object) != 0)
            break;
        check_object(&object);
    }
    free(copy);
    return 0;
}
