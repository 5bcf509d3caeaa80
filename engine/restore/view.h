/*
 * A backup as a tree of directories and files that anyone walks through and reads from at any
 * place, such as a file system does. What is asked for is read when it is asked for, and checked by
 * the checksums of its chunks.
 *
 * Names are those of look.h: sources, and nodes if there are several, are directories. Environments
 * of LMDB and images of block devices are files; tables and their rows are left out.
 *
 * Blocking; one thread. Memory: that of the chunk cache; 4 KiB for each CATALOGUE chunk; 24 bytes
 * for each further name of a file; a node for each object that the caller holds, its entry and 80
 * bytes; VIEW_LISTINGS directories, or more that are held, 250 bytes for each name; 184 bytes for
 * each chunk of a file that is open.
 */
#ifndef PST_ENGINE_RESTORE_VIEW_H
#define PST_ENGINE_RESTORE_VIEW_H

#include "engine/restore/look.h"

struct pst_view;

/* An object that the caller holds. Hard links are one node. */
struct pst_view_node {
    uint64_t ino;             /* unique in the view, the same in each view of the backup */
    struct pst_object object; /* no hard link; its strings last as long as the node */
    uint32_t links;           /* names that it has */

    /* The view's own. */
    struct pst_view_node *next;
    uint64_t holds;
    uint32_t source; /* index; of a directory above the sources: their count or more */
};

#define PST_VIEW_ROOT 1u /* ino of the top */

/* look: borrowed for as long as the view, which is the only one to use it. Reads all catalogues.
 * keep_going: damaged ones are logged, count in pst_look_damages, and what they name is not there.
 * Errors as of pst_look_open, with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_view_open(struct pst_look *look, bool keep_going, struct pst_view **view,
                               char *message);
void pst_view_close(struct pst_view *view);

/* Whether the backup has tables, which the view has not. */
bool pst_view_lacks_tables(const struct pst_view *view);

/* Bytes that were read for it. */
uint64_t pst_view_read_bytes(const struct pst_view *view);

/* The node of this ino, which the caller holds, or PST_VIEW_ROOT, which always is there; NULL. */
struct pst_view_node *pst_view_node(const struct pst_view *view, uint64_t ino);

/* The name of a node in the backup, in buffer. */
#define PST_VIEW_NAME_BYTES (PST_PATH_BYTES_MAX + 96u)
const char *pst_view_name(const struct pst_view *view, const struct pst_view_node *node,
                          char *buffer);

/* Lets so many holds of a node go; without any, it is gone. */
void pst_view_forget(struct pst_view *view, uint64_t ino, uint64_t holds);

/* The node of a name in a directory, held. -ENOENT, -ENOTDIR; other errors as below. */
PST_MUST_USE int pst_view_find(struct pst_view *view, const struct pst_view_node *directory,
                               const char *name, struct pst_view_node **node, char *message);

/* What a directory has, in the order of the names. Errors that name the file of the backup, in
 * message (PST_MESSAGE_BYTES): -PST_E_CORRUPT and the like; -errno. */
struct pst_view_listing;
PST_MUST_USE int pst_view_list(struct pst_view *view, const struct pst_view_node *directory,
                               struct pst_view_listing **listing, char *message);
void pst_view_unlist(struct pst_view *view, struct pst_view_listing *listing);

size_t pst_view_count(const struct pst_view_listing *listing);
const char *pst_view_name_at(const struct pst_view_listing *listing, size_t i);
uint64_t pst_view_ino_at(const struct pst_view_listing *listing, size_t i);
/* Held; errors as above. */
PST_MUST_USE int pst_view_node_at(struct pst_view *view, const struct pst_view_listing *listing,
                                  size_t i, struct pst_view_node **node, char *message);

/* Whether a node has contents: FILE, ENVIRONMENT, BLOCK_IMAGE. */
bool pst_view_has_contents(const struct pst_object *object);

/* Finds where the contents of a node lie, which is held until the file is closed. Errors as above;
 * -PST_E_SCAN: the backup could not read it. */
struct pst_view_file;
PST_MUST_USE int pst_view_open_file(struct pst_view *view, const struct pst_view_node *node,
                                    struct pst_view_file **file, char *message);
void pst_view_close_file(struct pst_view_file *file);

/* Reads so many bytes, all of which lie in the file, at an offset; holes are zeros. Errors as
 * above, where any of them cannot be had as it was: nothing of what data holds is to be used. */
PST_MUST_USE int pst_view_read(struct pst_view *view, const struct pst_view_file *file,
                               uint64_t offset, size_t bytes, void *data, char *message);

#endif
