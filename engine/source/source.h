/*
 * The runtime's side of a source (penstock/source.h): takes any one through its life. The thread of
 * each call is that of the method it calls. registry/registry.h opens those that Penstock brings.
 */
#ifndef PST_ENGINE_SOURCE_SOURCE_H
#define PST_ENGINE_SOURCE_SOURCE_H

#include <stdatomic.h>

#include "penstock/source.h"

/* Beside enum pst_source_flags, of Penstock's own sources alone: what it makes are rows, as many as
 * it counts, for it looks itself. */
#define PST_SOURCE_CHECKS_ROWS (UINT32_C(1) << 31)

/* Likewise: what it lists fits together. */
#define PST_SOURCE_CHECKS_LISTING (UINT32_C(1) << 30)

/* Which tables a logical backup is to have. Names are as pst_table_name_escape writes them. */
struct pst_table_filter {
    const char *const *wanted; /* these alone; NULL with wanted_count 0: all */
    const char *const *unwanted;
    uint32_t wanted_count;
    uint32_t unwanted_count;
    atomic_bool *found; /* wanted_count of them: some source has that table. Any source sets it;
                           check fails with -PST_E_NO_TABLE where one is not set */
};

/* What sources of files leave out. Patterns are as in gitignore(5), from the root of the source on,
 * and the last one that fits decides. */
struct pst_file_filter {
    const char *const *patterns;
    const char *const *tags; /* names: of a directory with such a one in it, nothing else is kept */
    uint32_t patterns_count;
    uint32_t tags_count;
    bool no_caches; /* likewise of one that says so by a CACHEDIR.TAG */
    bool crosses_file_systems;
};

/* Commands of the user's for sources of files: one makes a snapshot of the source, or holds up its
 * writers, and prints where the snapshot is to be read; the other undoes it. */
struct pst_freeze_commands {
    const char *freeze;
    const char *thaw;
    bool thaws_at_cut; /* else when the source has been read */
    bool is_off;       /* neither runs: nothing is backed up */
};

/* How long the second one may take, beside what it has to wait for. */
#define PST_THAW_NS UINT64_C(60000000000)

/* Releases if need be, and frees. NULL is allowed. */
void pst_source_close(struct pst_source *source);

/* These check the phase (-PST_E_WRONG_STATE), call the method if there is one, and go to the next
 * phase if it succeeded. After a failed snapshot the source is still frozen. */
PST_MUST_USE int pst_source_prepare(struct pst_source *source);
PST_MUST_USE int pst_source_freeze(struct pst_source *source, uint64_t deadline_ns);
PST_MUST_USE int pst_source_snapshot(struct pst_source *source, uint64_t gci);
PST_MUST_USE int pst_source_thaw(struct pst_source *source);
PST_MUST_USE int pst_source_list(struct pst_source *source, struct pst_fragment_sink *sink,
                                 struct pst_source_listing *listing);
PST_MUST_USE int pst_source_check(struct pst_source *source, uint64_t deadline_ns);
void pst_source_release(struct pst_source *source);

/* What the last of these calls left of an error_text, of error_bytes at most; "": nothing. */
const char *pst_source_error_text(const struct pst_source *source, int *error_bytes);

/* After check, or the end of a node: whether it says that what its freeze did could not be undone.
 */
bool pst_source_is_left_frozen(const struct pst_source *source);

/* Whether it has a method prepare. Any thread. */
bool pst_source_prepares(const struct pst_source *source);

/* An LDM's call, hot: no phase is checked. See produce above. done: what it made so far of this
 * fragment. -EINVAL, which is logged: more than there is room for, or less than was listed. */
PST_MUST_USE int pst_source_produce(struct pst_source *source,
                                    const struct pst_fragment_descriptor *fragment, uint64_t done,
                                    struct pst_row_cursor *cursor, void *buffer,
                                    size_t capacity_bytes, size_t *produced_bytes);

/* Whether path, which need not exist yet (then: where it would come to lie), is inside the source,
 * so that a backup written there would contain itself: as pst_source.contains. */
PST_MUST_USE int pst_source_contains(struct pst_source *source, const char *path);

#endif
