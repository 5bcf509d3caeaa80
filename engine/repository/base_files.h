/*
 * The files of a base: what a listing compares its own with. 64 bytes for each, in one table that
 * is filled from catalogues, then from checksums of objects and references, and then sorted.
 *
 * A file is found by one hash of its source's name, its path and all that it was when it was
 * listed: a file that has it is the same file, and has not changed. The hash has a random seed, so
 * that nobody can make two files of one hash.
 *
 * Private to engine/repository/. One thread until it is settled, then any that only read it.
 */
#ifndef PST_ENGINE_REPOSITORY_BASE_FILES_H
#define PST_ENGINE_REPOSITORY_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/format/object.h"
#include "engine/format/references.h"
#include "engine/format/sums.h"
#include "engine/repository/base_runs.h"

struct base_file {
    struct pst_digest key;
    uint64_t object;        /* id in the base */
    uint64_t origin_object; /* id in the origin; own: bytes in pieces so far, until it is settled */
    uint64_t bytes;         /* in pieces of the origin */
    uint64_t sum[2];        /* of their digests */
    uint16_t origin;        /* index; 0: the base */
    uint8_t state;          /* base_files.c's */
    uint8_t reserved[5];
};

_Static_assert(sizeof(struct base_file) == 64, "what dir.h says a listing takes");

struct base_files {
    uint64_t seed;
    struct base_file *files;
    size_t count;
    size_t room;
};

/* The hash of a file of a source. */
struct pst_digest base_files_key(const struct base_files *files, const char *source,
                                 const struct pst_object *object,
                                 const struct pst_object_identity *identity);

/* Adds a file of the catalogue; an object may be added several times. is_usable false: it is not to
 * be taken for unchanged, whatever else is said of it. -ENOMEM. */
PST_MUST_USE int base_files_add(struct base_files *files, const struct pst_digest *key,
                                const struct pst_object *object, bool is_usable);

/* All are added: what follows says of them where their bytes are. */
void base_files_sort(struct base_files *files);
void base_files_add_sum(struct base_files *files, const struct pst_object_sum *sum);
/* origin: index, not 0; UINT16_MAX: it is not there. */
void base_files_add_reference(struct base_files *files, const struct pst_reference *reference,
                              uint16_t origin);

/* Leaves those that can be referred to, and makes them ready to be found. runs: of the base,
 * settled; NULL: it has none. */
void base_files_settle(struct base_files *files, const struct base_runs *runs);

/* Adds to a table of the same seed what another, settled, has, which is empty then. layer, own: as
 * of base_runs_join. -ENOMEM. */
PST_MUST_USE int base_files_join(struct base_files *files, struct base_files *more, uint64_t layer,
                                 uint16_t own);

/* Whether its bytes are those of the runs of the object in the base, each of which is referred to.
 */
bool base_file_has_runs(const struct base_file *file);

/* NULL: there is none. */
const struct base_file *base_files_find(const struct base_files *files,
                                        const struct pst_digest *key);

void base_files_free(struct base_files *files);

#endif
