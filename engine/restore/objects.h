/*
 * The objects of a backup: gathered from the catalogues of all parts, each once, found by their ids
 * and by their paths, and put in the order of these. Private to engine/restore/.
 *
 * Memory: for each object its encoded entry (72 bytes and the path), 88 bytes, and 51 in tables;
 * more, but 230 at most, where the ids have gaps; 32 more while they are sorted.
 */
#ifndef PST_ENGINE_RESTORE_OBJECTS_H
#define PST_ENGINE_RESTORE_OBJECTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/limits.h"
#include "engine/format/object.h"

struct object_record {
    uint32_t node; /* index in the cluster manifest */
    uint32_t entry_bytes;
    uint16_t flags; /* of all its entries together */
    /* The restore's own: */
    atomic_bool finished;           /* its file is whole, with its metadata */
    atomic_bool failed;             /* it is not there, or not whole, and that was reported */
    atomic_bool refused;            /* its file could not be written: nothing more goes there */
    atomic_bool is_hit;             /* the backup has lost some of its contents */
    atomic_bool made;               /* its file was created */
    bool allocated;                 /* its blocks are; under restore_run.files */
    atomic_uint_least64_t received; /* bytes of its contents that were written */
    /* contents.c: two of its pieces have a byte in common; one of them lies in a damaged chunk; one
     * is all of it, as its checksum has it; how much the others are, and their checksum; the same
     * as the parts' checksums of objects have it. */
    bool overlaps;
    atomic_bool is_doubtful;
    atomic_bool is_proven;
    bool lacks_origin; /* some of its contents lie in a backup that cannot be read: origins.c */
    bool has_holes;    /* some of its size is no data, as its entry says */
    atomic_uint_least64_t bytes;
    atomic_uint_least64_t cut; /* bytes of its size, at least, that it lacked when it was read */
    atomic_uint_least64_t sum[2];
    atomic_uint_least64_t summed_bytes;
    atomic_uint_least64_t summed[2];
    uint8_t entry[]; /* as in the catalogue; legal */
};

struct object_page;
struct object_region;
struct object_place;

struct objects {
    /* By node index: a bit for each source whose objects are wanted; NULL: all are. The caller's,
     * set after objects_init. */
    const uint64_t *only;
    bool is_partial; /* some of what the catalogues have is left out, and their pieces are too */
    pthread_mutex_t mutex;
    struct object_region *regions; /* of memory, the newest first */
    struct object_page *pages;     /* the oldest first: much as their objects lie in memory */
    struct object_page **pages_end;
    size_t pages_count;
    struct object_page **slots;    /* by hash of node and ids; NULL: free */
    size_t slots_count;            /* a power of two */
    struct object_record **listed; /* in no order until objects_sort() */
    bool is_sorted;
    struct object_place *places; /* by hash of the path: object_paths.h */
    size_t places_count;         /* a power of two */
    uint64_t seed;               /* of that hash: nobody can choose paths that collide */
    size_t count;
    uint64_t counts[PST_NODES_MAX]; /* of each node, by its index */
    uint32_t types;                 /* bits 1 << enum pst_object_type, of those that there are */
};

PST_MUST_USE int objects_init(struct objects *objects);
void objects_release(struct objects *objects);

/* Zeroed memory that lasts until objects_release(), aligned to 8. With the mutex, or while no other
 * thread adds. NULL: there is none. */
void *objects_take_memory(struct objects *objects, size_t bytes);

/* Takes the entries in the payload of a catalogue chunk. Any thread. An object that is there
 * already only gets the flags. *count grows by the entries that were taken, and *offset is where
 * they end: at payload_bytes, or at the entry of an error, which pst_object_decode gives, or
 * -PST_E_CORRUPT: it differs in more than flags from the object that is there. -ENOMEM. */
PST_MUST_USE int objects_add(struct objects *objects, uint32_t node, const void *payload,
                             size_t payload_bytes, size_t *offset, uint32_t *count);

/* Lists them in objects->listed, in no order yet. After it, no more is added. -ENOMEM. */
PST_MUST_USE int objects_gather(struct objects *objects);

/* NULL: no such object. Any thread, once gathered. */
struct object_record *objects_find(const struct objects *objects, uint32_t node, uint64_t id);

/* The same, for many ids of which neighbours are mostly near each other. *near: NULL at first, and
 * the caller's, who looks at nothing in it. */
struct object_record *objects_find_near(const struct objects *objects, uint32_t node, uint64_t id,
                                        const struct object_page **near);

/* Whether the object belongs to a source that is wanted. */
bool objects_want(const struct objects *objects, uint32_t node, uint64_t id);

/* One of its fields, without decoding the rest. */
uint64_t object_id(const struct object_record *record);
enum pst_object_type object_type(const struct object_record *record);
uint64_t object_size(const struct object_record *record);
const char *object_path(const struct object_record *record);
size_t object_path_bytes(const struct object_record *record); /* without the terminator */

/* The decoded form; strings live as long as the record. */
struct pst_object object_of(const struct object_record *record);

#endif
