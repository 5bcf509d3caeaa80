/*
 * Opens sources: those that Penstock brings with it, by their specs, and those of a program.
 */
#ifndef PST_ENGINE_SOURCE_REGISTRY_REGISTRY_H
#define PST_ENGINE_SOURCE_REGISTRY_REGISTRY_H

#include "engine/source/source.h"

#define PST_SOURCE_ERROR_BYTES 512u /* room for any message of registry_open */

/*
 * Opens the source that a spec names: "[NAME=]dir:/path", "[NAME=]lmdb:/path" or
 * "[NAME=]synthetic:rows=N[,row-bytes=N][,compressibility=PERCENT][,seed=N]".
 * NAME: 1 … PST_SOURCE_NAME_MAX - 1 of [A-Za-z0-9._-], not "." or ".."; if none, the last component
 * of the path, with other bytes replaced by '_', or the type. instance: 0 … PST_SOURCES_MAX - 1.
 * On error *source is NULL and error_text (error_bytes long, may be cut) explains what is wrong and
 * what to do: -EINVAL for a malformed spec, else the system's error. Closed by pst_source_close.
 */
PST_MUST_USE int registry_open(const char *spec, uint32_t instance, struct pst_source **source,
                               char *error_text, size_t error_bytes);

/* registry_open for each of count specs (1 … PST_SOURCES_MAX), instances 0 … count - 1, names
 * unique. All or nothing. */
PST_MUST_USE int pst_sources_open(const char *const *specs, uint32_t count,
                                  struct pst_source **sources, char *error_text,
                                  size_t error_bytes);

/* What those of files among them, opened by specs, leave out; borrowed while they are open. */
void pst_sources_filter(struct pst_source *const *sources, uint32_t count,
                        const struct pst_file_filter *filter);

/* How those of files among them, opened by specs, are frozen; borrowed while they are open. How
 * many these are. */
uint32_t pst_sources_freeze_by(struct pst_source *const *sources, uint32_t count,
                               const struct pst_freeze_commands *commands);

/* After a backup: what the freeze of so many sources did could not be undone. */
uint32_t pst_sources_left_frozen(struct pst_source *const *sources, uint32_t count);

/* The path in the spec of a source, now absolute, for people: malloc'd. NULL: its kind has none. */
PST_MUST_USE int pst_sources_path(const char *spec, char **path);

/* Takes a program's own source as sources[count], instance `count`; the ones before it are
 * there already. -EINVAL: it is not one that can be run, or of another ABI version, or another job
 * has it; error_text says why. */
PST_MUST_USE int pst_sources_adopt(struct pst_source *source, uint32_t count,
                                   struct pst_source **sources, char *error_text,
                                   size_t error_bytes);

/* Releases one that was adopted: it is the program's again. */
void pst_sources_give_back(struct pst_source *source);

#endif
