/*
 * Functions of an outside library that few runs need and that takes long to load
 * (docs/adr/0041-what-is-loaded.md).
 *
 *     #define LIBX_FUNCTIONS(X) X(x_open) X(x_close)
 *     struct libx { LIBX_FUNCTIONS(PST_LATE_MEMBER) } libx;
 *     static const char *const names[] = {LIBX_FUNCTIONS(PST_LATE_NAME)};
 *     pst_late_load("libx.so.1", "to draw", names, sizeof(names) / sizeof(names[0]), &libx)
 */
#ifndef PST_ENGINE_BASE_LATE_H
#define PST_ENGINE_BASE_LATE_H

#include <stddef.h>

#include "penstock/error.h"

#define PST_LATE_MEMBER(name) __typeof__(&name) name;
#define PST_LATE_NAME(name) #name,

/* Loads the library by its soname, as the linker would find it, and fills functions, a struct of
 * count pointers, with what the names stand for. It is never unloaded. One thread for one library.
 * 0, or -ELIBACC, with a line in the log that says what it is for: it is not there, or lacks one.
 * Source: dlopen(3). */
PST_MUST_USE int pst_late_load(const char *soname, const char *purpose, const char *const *names,
                               size_t count, void *functions);

#endif
