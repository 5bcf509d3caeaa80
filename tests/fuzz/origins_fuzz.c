/*
 * The same of a backup whose bytes lie in another one: backup_fuzz.c, whose edits reach its
 * references too.
 */
#define WITH_ORIGIN
#include "tests/fuzz/backup_fuzz.c"
