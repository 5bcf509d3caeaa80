/*
 * Packs objects and their extents into fragments: many small objects into one, a large one into
 * many, its catalogue entry repeated. For list() of a source whose fragments are
 * PST_FRAGMENT_EXTENTS, on the source's thread:
 *
 *     pst_packer_init
 *     (pst_packer_object, pst_packer_extent or pst_packer_literal …) for each object
 *     pst_packer_finish
 *
 * It is some 8 KiB, and holds nothing that must be freed. A fragment is emitted when it holds
 * PST_PACKER_TARGET_BYTES, when its slot is full, or when the next object's data would take it past
 * the target; the first few also when they hold PST_PACKER_FIRST_ENTRIES, doubled each time. So a
 * large object starts a fragment of its own and its fragments are cut PST_FRAGMENT_BYTES_MAX apart.
 *
 * Every function returns 0, -ECANCELED (the sink: list() returns it at once), or -EINVAL: the
 * object cannot be encoded, its file's names are too long, or there is none, and no bytes can be
 * added until another object begins.
 */
#ifndef PENSTOCK_PACKER_H
#define PENSTOCK_PACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"
#include "penstock/fragment.h"
#include "penstock/object.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_PACKER_TARGET_BYTES (16u << 20)

/* Entries in the first fragment, and how often the number doubles before it no longer counts. */
#define PST_PACKER_FIRST_ENTRIES 64u
#define PST_PACKER_DOUBLINGS 4u

/* The packer's own. */
struct pst_packer {
    struct pst_fragment_sink *sink;
    struct pst_source_listing *listing;   /* objects, fragments and bytes are counted here */
    struct pst_fragment_descriptor *slot; /* NULL: none taken */
    struct pst_fragment_file file;        /* of the current object */
    bool file_added;                      /* to slot */
    size_t entry_bytes;
    uint8_t entry[PST_OBJECT_BYTES_MAX]; /* of the current object */
};

/* Neither sink nor listing is owned; both must outlive the packer. */
void pst_packer_init(struct pst_packer *packer, struct pst_fragment_sink *sink,
                     struct pst_source_listing *listing);

/* Begins an object. file, if its data are to be read, is copied but for its path, which must stay
 * until the next object begins; its object id is object->id. */
PST_MUST_USE int pst_packer_object(struct pst_packer *packer, const struct pst_object *object,
                                   const struct pst_fragment_file *file);

/* Adds bytes of the object that was begun last; offsets ascend. length may be anything. */
PST_MUST_USE int pst_packer_extent(struct pst_packer *packer, uint64_t offset, uint64_t length);

/* The same of bytes in memory, which must stay as they are until release. -EINVAL: bytes is NULL.
 */
PST_MUST_USE int pst_packer_literal(struct pst_packer *packer, uint64_t offset, uint64_t length,
                                    const void *bytes);

/* Has the file of the object that was begun last, which is nothing but a hole, opened all the same:
 * it may not be any more what was listed. */
PST_MUST_USE int pst_packer_look(struct pst_packer *packer);

/* Adds another name of the object that was begun last, all of whose bytes are there: an object of
 * its own, without data, if there is room in the same fragment. It has become the current one. */
PST_MUST_USE int pst_packer_link(struct pst_packer *packer, const struct pst_object *object);

/* Emits what is left, as before sink->wait_read. The next object may follow. */
PST_MUST_USE int pst_packer_finish(struct pst_packer *packer);

#ifdef __cplusplus
}
#endif

#endif
