/*
 * The objects of a backup: gathered from the catalogues of all parts, each once, in the order of
 * their paths. Private to engine/restore/.
 *
 * Memory: for each object its encoded entry (72 bytes and the path), 16 bytes, and 24 to 40 in
 * tables.
 */
#ifndef PST_ENGINE_RESTORE_OBJECTS_H
#define PST_ENGINE_RESTORE_OBJECTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/format/object.h"

struct pst_object_record {
    uint32_t node; /* index in the cluster manifest */
    uint32_t entry_bytes;
    uint16_t flags;       /* of all its entries together */
    atomic_bool finished; /* the restore's: its file is whole, with its metadata */
    uint8_t reserved[5];
    uint8_t entry[]; /* as in the catalogue; legal */
};

struct pst_object_block;

struct pst_objects {
    pthread_mutex_t mutex;
    struct pst_object_block *blocks;
    struct pst_object_record **slots; /* by hash of node and id; NULL: free */
    size_t slots_count;               /* a power of two */
    struct pst_object_record **sorted;
    size_t count;
};

int pst_objects_init(struct pst_objects *objects) PST_MUST_USE;
void pst_objects_release(struct pst_objects *objects);

/* Takes a legal entry, of which object is the decoded form. Any thread. An object that is there
 * already only gets the flags; -PST_E_CORRUPT: the two differ in more than them. -ENOMEM. */
int pst_objects_add(struct pst_objects *objects, uint32_t node, const void *entry,
                    size_t entry_bytes, const struct pst_object *object) PST_MUST_USE;

/* By node, source and path: a directory before what is in it. -PST_E_CORRUPT: two objects of one
 * path; *clash is one of them. After it, no more is added. */
int pst_objects_sort(struct pst_objects *objects,
                     const struct pst_object_record **clash) PST_MUST_USE;

/* NULL: no such object. Any thread, once sorted. */
struct pst_object_record *pst_objects_find(const struct pst_objects *objects, uint32_t node,
                                           uint64_t id);

/* The decoded form; strings live as long as the record. */
struct pst_object pst_object_of(const struct pst_object_record *record);

#endif
