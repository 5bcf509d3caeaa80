/*
 * Restore: writes the objects of a backup below a target directory, with as many threads as asked
 * for. One source of one node goes straight into the target, several into TARGET/NAME, those of
 * several nodes into TARGET/NODE/NAME.
 *
 * A target that does not exist, or is empty and no mount point, is made beside itself under a
 * temporary name (".NAME.penstock-<uid>") and renamed when it is whole and on disk. Else (force, or
 * a mount point) a marker file comes first and goes last; what it finds there is overwritten, other
 * files are left alone; after a failure the marker stays, and the same restore may be run again.
 * Once it is gone, all is whole and on disk; after a crash right then, only the time of the
 * target's own directory may be another. But flags, such as immutable, and project ids are set
 * last, when nothing is removed or renamed any more. Nothing is ever written outside the target:
 * openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS.
 *
 * What the target cannot take, or a right is missing for, is reported, and all else restored. A
 * file that is not whole is renamed to "NAME.damaged", or removed if nothing of it is there. The
 * restore ends with an error where all that follows would fail too: no space, no memory, an I/O
 * error.
 *
 * In place, what is there of another kind is replaced, a directory with all that is in it; before
 * anything is touched it is refused where a directory that would go has something of another owner
 * in it, or a mount point, and where a process has an LMDB environment open that would be replaced.
 *
 * Blocking; call it from any thread. Memory: (depth + 1) × (chunk size + 4 KiB) for each worker,
 * up to twice as much where chunks are encoded, and for each object the length of its path and
 * about 140 bytes.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_H
#define PST_ENGINE_RESTORE_RESTORE_H

#include "engine/repository/catalog.h"
#include "engine/restore/crew.h"
#include "penstock/table_sink.h"

/* An export instead of a restore: tables of one source go straight into the target. */
struct pst_export {
    const char *source;        /* NAME or NODE/NAME; NULL: the only one */
    const char *const *tables; /* as pst_table_name_escape writes them; count 0: all */
    uint32_t tables_count;
};

struct pst_restore_options {
    struct pst_crew crew;
    bool force;      /* into a target that is not empty */
    bool keep_going; /* past damage: what is whole is restored, all else reported */
    bool no_devices; /* devices are left out, and counted */
    /* root: what is restored belongs to the caller, without set-ID bits, and without extended
     * attributes and flags that only root can set */
    bool no_owner;
    bool no_set_id; /* no set-user-ID and set-group-ID bits, no file capabilities */
    /* "NODE" or "NODE/NAME": these sources alone, as if the backup had no others; the files of
     * other nodes may then be missing. count 0: all. */
    const char *const *only;
    uint32_t only_count;
    /* Patterns of names below the target (look.h): what matches, what lies below that, and the
     * directories above it; and tables of logical backups, as pst_table_name_escape writes them.
     * Both counts 0: everything. Of a file that is chosen by another of its names alone, that is
     * its name. */
    const char *const *paths;
    const char *const *tables;
    uint32_t paths_count;
    uint32_t tables_count;
    uint32_t strip; /* components that the paths in their sources lose at the front */
    /* Opens the sink that takes the rows of a logical backup, on a thread of the crew; NULL: such a
     * backup is refused. */
    pst_table_sink_open *open_sink;
    void *sink_context;
    const struct pst_export *export; /* NULL: restore everything */
    /* Called for what is not restored as it was, on any thread, one at a time; may be NULL. */
    void (*trouble)(void *context, const struct pst_restore_trouble *trouble);
    /* As in pst_verify_options. */
    void (*progress)(void *context, const struct pst_crew_progress *progress);
    void *context;
};

struct pst_restore_result {
    uint64_t objects;    /* made */
    uint64_t bytes;      /* written into files */
    uint64_t unreadable; /* objects that the backup does not have, or not all of; each is logged */
    uint64_t failed;     /* objects that could not be made or written, or not wholly */
    uint64_t unset;      /* owners, modes, times, attributes and links that could not be set */
    uint64_t left_out;   /* devices, by no_devices */
    uint64_t damages;    /* of the backup that were met */
    bool owners_skipped; /* not root: files belong to the caller; logged once */
    char message[PST_MESSAGE_BYTES]; /* after a failure: what failed, on which file, where */
};

/* Restores a complete backup of a list; where target is NULL, only its rows, into what open_sink
 * makes without a directory. After a failure nothing is left, but where the target could not be
 * renamed (see above).
 *
 *   -ENOTEMPTY       the target is not empty, and there is no force
 *   -EBUSY           an environment in the target is open, or a mount point is in the way
 *   -ENOKEY          only, paths, tables: the backup has no such source, object or table, or strip
 *                    leaves nothing of a name, or two objects the same; export: it has no such
 * source, or it has several and none is named -ENOTSUP         the backup has rows and there is no
 * open_sink; export: the source has none -PST_E_NO_TABLE  export: the source has no such table
 *   -PST_E_…         the backup is incomplete, damaged (unless keep_going), newer or hostile; the
 *                    message names file and offset
 *   -ECANCELED       crew.cancel was set
 *   -errno           the target */
PST_MUST_USE int pst_restore(const struct pst_backup *backup, const char *target,
                             const struct pst_restore_options *options,
                             struct pst_restore_result *result);

/* One table of a logical backup. */
struct pst_table_entry {
    uint32_t node;
    const char *source;
    const char *name; /* as pst_table_name_escape writes it */
    uint32_t flags;
    uint32_t shares;
    uint64_t rows;
    uint64_t bytes; /* of the rows' records: keys, values, and 8 for each row */
};

/* Calls each for every table of a complete backup, for the call's time; reads the catalogues. 0,
 * the first value other than 0 that each returned, or as pst_restore, with the message
 * (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_tables_list(const struct pst_backup *backup,
                                 int (*each)(void *context, const struct pst_table_entry *table),
                                 void *context, char *message);

#endif
