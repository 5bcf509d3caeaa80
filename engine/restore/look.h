/*
 * Looks into a backup without restoring it: which objects it holds, and the contents of one. Reads
 * the indexes of the parts, of the catalogues and of the data only what is asked for.
 *
 * Names are those that a restore would give, below its target: PATH of a backup of one source,
 * SOURCE/PATH of several, NODE/SOURCE/PATH of several nodes.
 *
 * Blocking; one thread for each look, which may be any. What is passed is borrowed for the call.
 * Memory: for each object that is found as in objects.h, and 40 bytes for each of its pieces.
 */
#ifndef PST_ENGINE_RESTORE_LOOK_H
#define PST_ENGINE_RESTORE_LOOK_H

#include "engine/repository/backup.h"
#include "engine/restore/crew.h"
#include "penstock/object.h"

struct pst_look;

/* An object; all of it lasts until the next call for this look. */
struct pst_look_object {
    uint32_t node;
    const char *source; /* its name */
    const char *name;
    const struct pst_object *object; /* its path is the one in its source */
    char flags[16];                  /* their letters, as lsattr(1) has them */
    uint32_t project;
};

/* 0: go on; any other value ends the list. */
typedef int pst_look_each(void *context, const struct pst_look_object *found);

struct pst_look_query {
    const char *name; /* an object of this name, and what lies in it; NULL or "": in the top */
    bool is_deep;     /* and all below that too */
    /* Of these, only those whose name matches: *, ? and […] for the bytes between slashes, and **
     * for any number of components. Where it has no slash, the last component is to match. NULL:
     * all. */
    const char *pattern;
};

/* Whether objects of that name, or below it, may be of a node that no key opens. */
bool pst_look_needs_keys(const struct pst_backup *backup, const char *name);

/* Opens a usable backup of a list, but for nodes that no key opens, that stays while the look does.
 * crew: borrowed likewise. Damaged indexes and catalogues are logged, and so is what is wrong with
 * them; what is whole is looked at all the same. After an error message (PST_MESSAGE_BYTES) says
 * what is wrong: -PST_E_…: the backup is newer or incomplete; -errno. */
PST_MUST_USE int pst_look_open(const struct pst_backup *backup, const struct pst_crew *crew,
                               struct pst_look **look, char *message);
void pst_look_close(struct pst_look *look);

/* How many damages were met by then, and passed over: what lies there is not found. */
uint64_t pst_look_damages(const struct pst_look *look);

/* Whether any was, passed over or not. */
bool pst_look_met_damage(const struct pst_look *look);

/* Calls each for every object of the query, in the order of their nodes, sources and paths; the
 * object of the name is the first. Sources that lie below the name are directories. 0; the value
 * that ended the list; or an error with message: -ENOKEY: the backup has nothing of that name. */
PST_MUST_USE int pst_look_list(struct pst_look *look, const struct pst_look_query *query,
                               pst_look_each *each, void *context, char *message);

/* The object of this name, which may be "". A hard link is what it is another name of. -ENOKEY:
 * there is none. */
PST_MUST_USE int pst_look_find(struct pst_look *look, const char *name,
                               struct pst_look_object *found, char *message);

/* Hands the contents of the object that was found last to take, from their beginning to their end,
 * holes as zeros; each chunk is checked before. 0; what take returned; or an error with message:
 * -EISDIR, -ENOTSUP: it is no file; -PST_E_SCAN: the backup has no contents of it, or less than all
 * (then they were handed on); -PST_E_CORRUPT. */
PST_MUST_USE int pst_look_contents(struct pst_look *look,
                                   int (*take)(void *context, const void *data, size_t bytes),
                                   void *context, char *message);

/* Bytes of the files of the backup, manifests aside: all, and what has been read of them. */
struct pst_look_bytes {
    uint64_t total;
    uint64_t read;
};
struct pst_look_bytes pst_look_bytes(const struct pst_look *look);

#endif
