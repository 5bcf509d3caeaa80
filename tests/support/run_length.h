/*
 * A transform for tests that changes lengths: runs of equal bytes, behind the chunk's number, which
 * binds them to their place. It declines what would not become shorter. Linking run_length.c puts a
 * table of transforms that has it in the place of the product's.
 */
#ifndef PST_TESTS_SUPPORT_RUN_LENGTH_H
#define PST_TESTS_SUPPORT_RUN_LENGTH_H

#include "engine/transform/transform.h"

#define RUN_LENGTH_CODEC 250u

extern const struct pst_transform run_length;

#endif
