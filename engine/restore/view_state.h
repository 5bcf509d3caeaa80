/*
 * A view of a backup: what view.c, view_objects.c, view_listing.c and view_file.c share. Private to
 * them; one thread, but for the catalogues and links, which the crew adds to.
 */
#ifndef PST_ENGINE_RESTORE_VIEW_STATE_H
#define PST_ENGINE_RESTORE_VIEW_STATE_H

#include "engine/format/references.h"
#include "engine/restore/chunk_cache.h"
#include "engine/restore/look_state.h"
#include "engine/restore/view.h"

#define VIEW_LISTINGS 16u

/* A CATALOGUE chunk. */
struct view_catalogue {
    const struct pst_part_map *part;
    struct pst_index_entry entry; /* with the ids of its objects */
    struct pst_chunk_header *header;
};

/* A further name of an object. */
struct view_link {
    uint32_t node;
    uint64_t target;
    uint64_t id; /* the name's own */
};

/* Parts of a node of an earlier backup. */
struct view_origin {
    struct view_origin *next;
    struct pst_origin origin;
    struct pst_part_set set;
};

struct pst_view {
    struct pst_look *look;
    bool keeps_going; /* past damaged catalogues */
    struct chunk_cache cache;
    pthread_mutex_t mutex; /* while the catalogues are read: of all up to types */
    struct view_catalogue *catalogues;
    size_t catalogues_count;
    size_t catalogues_room;
    struct view_link *links; /* sorted, each once */
    size_t links_count;
    size_t links_room;
    uint32_t types; /* bits 1 << enum pst_object_type of the objects */
    struct view_origin *origins;
    struct pst_view_node **nodes; /* by ino */
    size_t nodes_count;
    size_t nodes_room;                                /* a power of two */
    struct pst_view_listing *listings[VIEW_LISTINGS]; /* the one that was used last first */
};

/* Ino of the object of a source, by its index, or of a source's root. */
uint64_t view_ino(uint32_t source, uint64_t id);
uint64_t view_root_ino(const struct pst_view *view, uint32_t source);
uint64_t view_node_ino(uint32_t node_index);

/* Whether the top has nodes, instead of sources. */
bool view_has_nodes(const struct pst_view *view);

/* The node of this ino, held: of the object of a record, or of its target if it is a hard link;
 * NULL: a directory that has no object. */
PST_MUST_USE int view_hold(struct pst_view *view, uint32_t source, uint64_t ino,
                           const struct object_record *record, struct pst_view_node **node,
                           char *message);

/* The node of the top, which is never let go. */
PST_MUST_USE int view_hold_top(struct pst_view *view, char *message);

/* Lists the objects that are wanted in objects, which are initialised. */
struct view_wanted {
    uint32_t source;  /* index */
    const char *path; /* of a directory: it, and what lies directly in it; NULL: */
    uint64_t id;      /* the object of this id */
};
PST_MUST_USE int view_gather(struct pst_view *view, const struct view_wanted *wanted,
                             struct objects *objects, char *message);

/* Writes what the first of findings is, or else the error, into message; returns the error, or -EIO
 * where a file of the backup is not found: that says nothing of the names in the backup. */
int view_fail(struct pst_findings *findings, int error, char *message);

/* For qsort(3) of links. */
int view_compare_links(const void *a, const void *b);

void view_release_listing(struct pst_view_listing *listing);

#endif
