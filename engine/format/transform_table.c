/* The transforms that Penstock knows beside the identity: none so far. Alone in its file, so that
 * nothing of it is linked where a test defines the table. Read by transform.c. */
#include "engine/format/transform_table.h"

#include <stddef.h>

const struct pst_transform *const pst_transform_table[] = {NULL};
