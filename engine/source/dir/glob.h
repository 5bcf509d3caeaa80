/*
 * Patterns of names and paths, as in gitignore(5): '*' is any bytes but '/', '?' one of them, "[…]"
 * one of a class ("[!…]" and "[^…]" one that is not, "[:alpha:]" and the like in the C locale), '\'
 * takes the next byte as it is, and "**" alone between slashes is any directories, at the end all
 * that is in one. A pattern that is malformed fits nothing. Pure; the time is at most the product
 * of the lengths.
 */
#ifndef PST_ENGINE_SOURCE_DIR_GLOB_H
#define PST_ENGINE_SOURCE_DIR_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* pattern: of so many bytes, no slash in front. */
bool glob_fits_path(const char *pattern, size_t bytes, const char *path);

/* The same for one name: "**" is "*". */
bool glob_fits_name(const char *pattern, size_t bytes, const char *name);

#endif
