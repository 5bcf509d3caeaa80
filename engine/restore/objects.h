/*
 * The objects of a backup: gathered from the catalogues of all parts, each once, in the order of
 * their paths. Private to engine/restore/.
 *
 * Memory: for each object its encoded entry (72 bytes and the path), 88 bytes, and 19 in tables;
 * more, but 200 at most, where the ids have gaps; 32 more while they are sorted.
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
    /* contents.c: two of its pieces have a byte in common; one of them lies in a damaged chunk; how
     * much they are, and their checksum; the same as the parts' checksums of objects have it. */
    bool overlaps;
    atomic_bool is_doubtful;
    atomic_uint_least64_t bytes;
    atomic_uint_least64_t cut; /* bytes of its size, at least, that it lacked when it was read */
    atomic_uint_least64_t sum[2];
    atomic_uint_least64_t summed_bytes;
    atomic_uint_least64_t summed[2];
    uint8_t entry[]; /* as in the catalogue; legal */
};

struct object_block;
struct object_page;

struct objects {
    /* By node index: a bit for each source whose objects are wanted; NULL: all are. The caller's,
     * set after objects_init. */
    const uint64_t *only;
    pthread_mutex_t mutex;
    struct object_block *entry_blocks;
    struct object_block *page_blocks;
    struct object_page *pages; /* the newest first */
    size_t pages_count;
    struct object_page **slots; /* by hash of node and ids; NULL: free */
    size_t slots_count;         /* a power of two */
    struct object_record **sorted;
    size_t count;
    uint64_t counts[PST_NODES_MAX]; /* of each node, by its index */
    uint32_t types;                 /* bits 1 << enum pst_object_type, of those that there are */
};

PST_MUST_USE int objects_init(struct objects *objects);
void objects_release(struct objects *objects);

/* Takes the entries in the payload of a catalogue chunk. Any thread. An object that is there
 * already only gets the flags. *count grows by the entries that were taken, and *offset is where
 * they end: at payload_bytes, or at the entry of an error, which pst_object_decode gives, or
 * -PST_E_CORRUPT: it differs in more than flags from the object that is there. -ENOMEM. */
PST_MUST_USE int objects_add(struct objects *objects, uint32_t node, const void *payload,
                             size_t payload_bytes, size_t *offset, uint32_t *count);

/* Lists them in objects->sorted, in no order yet: for objects_sort() (object_order.h). */
PST_MUST_USE int objects_gather(struct objects *objects);

/* NULL: no such object. Any thread, once sorted. */
struct object_record *objects_find(const struct objects *objects, uint32_t node, uint64_t id);

/* The object at the first path_bytes of path in the source that `of` is in; NULL: there is none.
 * Once sorted. */
const struct object_record *objects_at(const struct objects *objects,
                                       const struct object_record *of, const char *path,
                                       size_t path_bytes);

/* Whether the object belongs to a source that is wanted. */
bool objects_want(const struct objects *objects, uint32_t node, uint64_t id);

/* One of its fields, without decoding the rest. */
uint64_t object_id(const struct object_record *record);
enum pst_object_type object_type(const struct object_record *record);
uint64_t object_size(const struct object_record *record);
const char *object_path(const struct object_record *record);

/* The decoded form; strings live as long as the record. */
struct pst_object object_of(const struct object_record *record);

#endif
