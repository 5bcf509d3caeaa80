/*
 * Arrays that grow by one element at a time.
 */
#ifndef PST_ENGINE_BASE_GROW_H
#define PST_ENGINE_BASE_GROW_H

#include <stddef.h>

#include "penstock/error.h"

/* Makes room for one more element in an array of malloc'd memory, *elements (NULL: none yet), that
 * has count and room for *room; it doubles. -ENOMEM: it is as it was. One thread for one array. */
PST_MUST_USE int pst_grow(void **elements, size_t count, size_t *room, size_t element_bytes);

#endif
