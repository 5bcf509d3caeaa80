/* A catalogue payload: what decodes is safe, and encodes to something that decodes. */
#include <stdlib.h>
#include <string.h>

#include "engine/format/file_attributes.h"
#include "engine/format/object.h"
#include "tests/fuzz/fuzz.h"

/* What restore reads lies inside the entry, and has a name that restore may set. */
static void check_attributes(const struct pst_object *object)
{
    if (object->attributes_bytes == 0)
        return;
    const uint8_t *end = (const uint8_t *)object->attributes + object->attributes_bytes;
    struct pst_xattr xattr;
    for (uint32_t at = 0; pst_xattr_next(object, &at, &xattr);) {
        if (!pst_xattr_is_kept(xattr.name) || strlen(xattr.name) >= PST_XATTR_NAME_BYTES_MAX ||
            (const uint8_t *)xattr.value + xattr.value_bytes > end)
            abort();
    }
    (void)pst_object_inode_flags(object);
    (void)pst_object_project(object);
}

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
    check_attributes(object);
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
