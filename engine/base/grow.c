/* Called by whoever gathers what it cannot count beforehand, on any thread. */
#include "engine/base/grow.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 64u

int pst_grow(void **elements, size_t count, size_t *room, size_t element_bytes)
{
    if (count < *room)
        return 0;
    size_t larger = *room ? 2 * *room : FIRST_ROOM;
    void *memory = realloc(*elements, larger * element_bytes);
    if (!memory)
        return -ENOMEM;
    *elements = memory;
    *room = larger;
    return 0;
}
