/* The transforms that Penstock knows. Alone in its file: a test that has one more defines the table
 * itself, and then nothing of this file is linked. */
#include "engine/format/transform.h"

#include <stddef.h>

const struct pst_transform *const pst_transform_table[] = {&pst_transform_identity, NULL};
