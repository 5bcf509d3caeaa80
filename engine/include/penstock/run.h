/*
 * Running Penstock: what the commands backup, verify, restore and list do, as functions.
 *
 * All of them block until they are done, on the caller's thread, and start threads of their own
 * that are gone when they return. Those threads take no signals of the process; the LDMs among them
 * are pinned, the caller's thread never is. Handlers, signal masks, the locale, the umask, the
 * limits and the descriptors of the process stay as they are, but for standard streams that are
 * closed: they get /dev/null, for good, or log lines would go into files. Nothing calls exit().
 * Several may run at the same time in one process, but only one backup into a directory. A backup
 * shares out among its LDMs the descriptors that RLIMIT_NOFILE leaves when it starts, at most 64
 * each; where the process takes more of them meanwhile it waits, and fails after 10 s.
 *
 * A dir: source with a freeze_command forks a child from the freeze to the thaw, which runs the
 * commands. An lmdb: source forks a child for its time (the page tables of a large process are
 * copied), whose end the library awaits itself; the process sees a SIGCHLD. A child that the
 * process itself forks meanwhile, and that does not exec, may keep the snapshot and the locks held
 * if the process is killed. Do not back up as dir: a directory with an LMDB environment that this
 * very process has open: closing its lock file drops the process's POSIX lock on it.
 *
 * Relative paths begin at the working directory: the program stays there until the call returns, or
 * the node is ready.
 *
 * Errors are 0 or negative, -errno or -PST_E_… (penstock/error.h); outcome.message says what
 * failed, on which file, what to do. More goes to the log (penstock/log.h).
 *
 * Structs that may grow begin with their size: pst_…_init() sets it, and everything else to its
 * default. A library that is older than the program's header takes a longer struct as long as what
 * it does not know is 0, else it refuses: -E2BIG.
 */
#ifndef PENSTOCK_RUN_H
#define PENSTOCK_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "penstock/error.h"
#include "penstock/limits.h"
#include "penstock/source.h"
#include "penstock/table_sink.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far it is. */
struct pst_status {
    uint32_t struct_bytes; /* of the library's struct */
    uint32_t reserved;
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known yet; may grow until a listing is through */
    uint64_t objects_done;
};

/* What is common to all that starts workers. */
struct pst_run {
    uint32_t ldms;        /* threads; 0: one for each physical core but one */
    const char *ldm_cpus; /* "2-5,8": the CPU of each; NULL: chosen, near the disk */
    const char *hub_cpu;  /* of a backup: the hub's; NULL: chosen */
    int cancel_fd;        /* readable: stop in order, and leave nothing; -1: none; one that is not
                             open is refused */
    uint32_t reserved;
    /* On the caller's thread, some times a second, and never again after the call. May be NULL. */
    void (*on_status)(void *context, const struct pst_status *status);
    void *context;
};

/* Keys by which backups are sealed, or opened again: files that `penstock keygen` makes. */
struct pst_keys {
    uint32_t struct_bytes;
    uint32_t files_count;
    /* Files of 32 random bytes, or the secret halves of pairs. They belong to the caller or to
     * root, and are closed to others. */
    const char *const *files;
    /* Public halves of pairs, or files that hold one: they seal, and open nothing. */
    const char *const *recipients;
    uint32_t recipients_count;
    /* A passphrase, which seals and opens: the first line of a file, as closed as a key's, or a
     * pipe; or what a command of the shell prints; or what is typed at the terminal, asked for
     * once, or, with 2, twice. NULL and 0: none; one of the three at most. */
    uint32_t passphrase_asks;
    const char *passphrase_file;
    const char *passphrase_command;
};

static inline void pst_keys_init(struct pst_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    keys->struct_bytes = (uint32_t)sizeof(*keys);
}

/* ---- backup ---- */

struct pst_backup_job {
    uint32_t struct_bytes;
    uint32_t number;       /* of the backup, 4000000000 at most; 0: the next one */
    const char *directory; /* of the backups; made if its parent exists */
    /* What to back up, all cut at the same instant: specs as of `penstock backup --source`, opened
     * and closed by the call, and sources of the caller's own, each idle, with its name set, used
     * by one job at a time; they are the caller's again when the call returns. */
    const char *const *specs;
    struct pst_source *const *sources;
    uint32_t specs_count;
    uint32_t sources_count;
    struct pst_run run;
    uint32_t chunk_bytes;      /* payload of one write, a multiple of 4096 */
    uint32_t depth;            /* chunks that each LDM has in flight */
    const char *direct;        /* write with O_DIRECT: "auto", "on" or "off" */
    uint64_t freeze_wait_ns;   /* for the writers of one source; then they are let go, and it is
                                  tried again, twice */
    uint64_t freeze_hold_ns;   /* no try holds up writers longer */
    uint32_t headroom_percent; /* of an LMDB map, below which a backup is given up */
    bool single_threaded;      /* LDM 1 alone does all the work */
    bool verify;               /* read what was written back from the disk, before it counts */
    bool is_logical;           /* rows, not files, of the sources that can */
    bool check_pages;          /* of lmdb: sources, whether LMDB can read all that is in them */
    /* With is_logical: these tables alone, of whichever source has them (0: all), and not those.
     * Bytes of a name other than letters, digits, '.', '_' and '-' may be written %HH. */
    const char *const *tables;
    const char *const *unwanted_tables;
    uint32_t tables_count;
    uint32_t unwanted_tables_count;
    /* Limits in time; each has its default. */
    uint64_t stall_warning_ns; /* a thread that is in one call so long is logged, with the file */
    uint64_t stall_limit_ns;   /* a scan that moves nothing at all so long is given up */
    uint64_t request_limit_ns; /* a request to the backup directory or an LDM is given up */
    uint64_t hang_limit_ns;    /* what hangs is left behind so long after a backup was given up */
    uint64_t start_limit_ns;   /* for the start of each thread */
    const char *label;         /* the user's word for the backup: 1 to PST_LABEL_BYTES_MAX bytes of
                                  printable UTF-8; NULL: none */
    const char *compress;      /* chunks: "none", "lz4", "zstd", or "zstd:1" to "zstd:9", which
                                  shrinks most; "auto": as much as costs no time; NULL:
                                  PST_COMPRESS_DEFAULT */
    /* Seals the backup: contents, names and sources are encrypted, and any of these keys opens it;
     * -EINVAL if there is none in it. NULL: it is not sealed. */
    const struct pst_keys *keys;
    /* What has not changed since an earlier backup in the directory, the base, is not stored again,
     * but referred to: "auto": the newest that will do; or one by its number or uid; "none", NULL:
     * all is stored. */
    const char *base;
    uint32_t full_every; /* "auto": of so many backups one has no base; 0: there is no limit */
    bool rehash;         /* read files even if size, times and inode are as they were */
    /* How fast the LDMs read, all together: "max", "auto" (as fast as the host's other work
     * allows), or bytes a second, such as "50M"; NULL: "auto". min_rate: auto never goes below;
     * 0: half of what is read without a limit. */
    const char *pace;
    uint64_t min_rate;
    /* What dir: sources leave out, by the rules of gitignore(5): patterns of files, then these. And
     * what is beside a file of one of these names in a directory. */
    const char *const *exclude;
    const char *const *exclude_files;
    const char *const *exclude_tags;
    uint32_t exclude_count;
    uint32_t exclude_files_count;
    uint32_t exclude_tags_count;
    bool exclude_caches;         /* what is beside a CACHEDIR.TAG */
    const char *one_file_system; /* "no": what is mounted in them is backed up too; NULL: "yes" */
    /* Commands for the shell, run for each dir: source before it is read, within freeze_wait_ns,
     * and after (thaw_at "end", or NULL) or as soon as the cut is made ("cut"). The first prints
     * the path of a snapshot to be read in the source's place, or nothing. The second runs however
     * the backup ends, in a child process if this one dies. NULL: none. */
    const char *freeze_command;
    const char *thaw_command;
    const char *thaw_at;
    /* With a base: a file that had changed less than so long before that began is read, for it may
     * have changed since, and its times not. PST_TRUST_AFTER_NS_MIN or more; 0: twice as long as
     * this host's kernel may take to write back what is changed through a mapping. */
    uint64_t trust_after_ns;
    /* Where CPU time is to spare, to be measured first: a thread of the kernel for each LDM takes
     * its requests; and the LDM looks for the end of those with O_DIRECT without a pause. */
    bool sqpoll;
    bool iopoll;
};

#define PST_FULL_EVERY_MAX 1000u
/* A file can change twice in one tick of the clock of its file system. */
#define PST_TRUST_AFTER_NS_MIN UINT64_C(2000000000)
#define PST_TRUST_AFTER_NS_MAX UINT64_C(86400000000000)
#define PST_COMPRESS_DEFAULT "auto"
#define PST_STALL_WARNING_NS_DEFAULT UINT64_C(5000000000)
#define PST_STALL_LIMIT_NS_DEFAULT UINT64_C(60000000000)
#define PST_REQUEST_LIMIT_NS_DEFAULT UINT64_C(120000000000)
#define PST_HANG_LIMIT_NS_DEFAULT UINT64_C(10000000000)
#define PST_START_LIMIT_NS_DEFAULT UINT64_C(30000000000)
#define PST_LIMIT_NS_MIN UINT64_C(100000000)      /* of any of them */
#define PST_LIMIT_NS_MAX UINT64_C(86400000000000) /* likewise */

#define PST_FREEZE_WAIT_NS_DEFAULT UINT64_C(10000000000)
#define PST_FREEZE_HOLD_NS_DEFAULT UINT64_C(2000000000)
#define PST_FREEZE_NS_MAX UINT64_C(60000000000) /* of either */
#define PST_HEADROOM_PERCENT_DEFAULT 10u

static inline void pst_backup_job_init(struct pst_backup_job *job)
{
    memset(job, 0, sizeof(*job));
    job->struct_bytes = (uint32_t)sizeof(*job);
    job->run.cancel_fd = -1;
    job->chunk_bytes = PST_CHUNK_BYTES_DEFAULT;
    job->depth = PST_DEPTH_DEFAULT;
    job->direct = "auto";
    job->freeze_wait_ns = PST_FREEZE_WAIT_NS_DEFAULT;
    job->freeze_hold_ns = PST_FREEZE_HOLD_NS_DEFAULT;
    job->headroom_percent = PST_HEADROOM_PERCENT_DEFAULT;
    job->stall_warning_ns = PST_STALL_WARNING_NS_DEFAULT;
    job->stall_limit_ns = PST_STALL_LIMIT_NS_DEFAULT;
    job->request_limit_ns = PST_REQUEST_LIMIT_NS_DEFAULT;
    job->hang_limit_ns = PST_HANG_LIMIT_NS_DEFAULT;
    job->start_limit_ns = PST_START_LIMIT_NS_DEFAULT;
}

struct pst_backup_outcome {
    uint32_t struct_bytes;
    uint32_t number; /* 0: none was chosen */
    uint8_t uid[16];
    uint64_t start_gci; /* of the cut: nanoseconds since 1970 where a source has none of its own */
    uint64_t source_bytes;
    uint64_t stored_bytes;
    uint64_t objects;
    uint64_t unreadable; /* objects that could not be read, or changed during the backup */
    uint64_t elapsed_ns;
    char message[PST_MESSAGE_BYTES]; /* after an error */
};

static inline void pst_backup_outcome_init(struct pst_backup_outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->struct_bytes = (uint32_t)sizeof(*outcome);
}

/* 0: there is a complete backup, of all but outcome->unreadable objects. Else there is none:
 *   -EINVAL                what is asked for is impossible
 *   -PST_E_BUSY            another backup is being written into the directory
 *   -PST_E_CLIENT_ABORT    cancel_fd
 *   -PST_E_HUNG            a source or a disk hangs; the log says which. A thread is left behind;
 *                          what *job points to must stay for good. Until the process ends it makes
 *                          no other backup into the directory (-PST_E_BUSY); what is left of this
 *                          one goes with the next
 * or what made it fail. *job is borrowed for the call. */
PST_MUST_USE int pst_run_backup(const struct pst_backup_job *job,
                                struct pst_backup_outcome *outcome);

/* ---- verify ---- */

/* Damage found. file: relative to the directory of backups ("BACKUP-1/BACKUP-1.1.manifest"), valid
 * for the call. It lies in [offset, offset + bytes) of the file. */
struct pst_finding {
    const char *file;
    uint64_t offset;
    uint64_t bytes;
    int error;        /* -PST_E_CORRUPT, …, or -errno where the file could not be read */
    const char *what; /* which part of the file, or what is wrong with it */
    bool warning;     /* no damage itself: a strange file, or what damage kept from being checked */
    const char *directory; /* where there are several: which one the file is in; NULL: in none */
    /* "SOURCE/PATH" or "NODE/SOURCE/PATH": an object that is not whole; file is then the backup,
     * and offset and bytes are 0. NULL: it is about the file. */
    const char *object;
    bool unverified; /* no damage that is known of: what is there could not be read; error says why
                      */
};

/* "FILE: offset 4096: damaged: … (payload)" in text, PST_MESSAGE_BYTES long; returns it. */
const char *pst_finding_text(const struct pst_finding *finding, char *text);

struct pst_verify_job {
    uint32_t struct_bytes;
    uint32_t reserved;
    const char *directory; /* of the backups */
    const char *id;        /* a number, or 4 or more digits of a uid; NULL: the newest complete one,
                              or, where there is none, the newest however damaged */
    struct pst_run run;
    /* Called for each finding, from any thread, one at a time. May be NULL. */
    void (*on_finding)(void *context, const struct pst_finding *finding);
    /* Of nodes that wrote the same backups into directories of their own: one backup is what all
     * of them hold under one uid. */
    const char *const *more_directories;
    uint32_t more_directories_count;
    /* Opens a backup that is sealed. NULL: only the checksums of what is stored are checked. */
    const struct pst_keys *keys;
    /* "NODE" or "NODE/NAME": these sources alone; count 0: everything. */
    const char *const *only;
    uint32_t only_count;
    uint32_t sample_percent; /* so much of the chunks, another share at each call until all had
                                their turn, by the note beside the backup; 0, 100: all */
    bool keeps_result;       /* what verifying came to is noted beside the backup, of only,
                                that it is damaged */
    uint8_t reserved_2[7];
    const char *pace; /* as for a backup */
    uint64_t min_rate;
};

static inline void pst_verify_job_init(struct pst_verify_job *job)
{
    memset(job, 0, sizeof(*job));
    job->struct_bytes = (uint32_t)sizeof(*job);
    job->run.cancel_fd = -1;
}

struct pst_verify_outcome {
    uint32_t struct_bytes;
    uint32_t number;
    uint64_t files;
    uint64_t bytes;   /* of the files, read and checked */
    uint64_t chunks;  /* checked and whole */
    uint64_t objects; /* in catalogues; one that lies in several parts counts in each */
    uint64_t damages;
    uint64_t warnings;
    char message[PST_MESSAGE_BYTES];
    uint64_t objects_damaged; /* of which some is missing or damaged */
    uint64_t unverified;      /* findings of what could not be read, and may be whole */
    uint64_t passed_over;     /* newer backups, where id is NULL, that are not complete: logged */
    uint32_t windows;         /* with sample_percent: in so many calls all chunks have their turn */
    uint32_t covered;         /* of them, found whole one after the other up to this one */
    bool was_damaged; /* this sample is whole, but damage was found by an earlier one, and not all
                         of them were found whole since */
    uint8_t reserved[7];
};

static inline void pst_verify_outcome_init(struct pst_verify_outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->struct_bytes = (uint32_t)sizeof(*outcome);
}

/* Reads every byte of a backup. 0: it is whole; -PST_E_CORRUPT: damaged, and on_finding was called
 * for each damage; -PST_E_INCOMPLETE; -PST_E_NO_BACKUP; -PST_E_NEWER: its only fault is that it is
 * newer; -PST_E_NO_KEY; -ECANCELED; -EINVAL; else it could not be verified, or not all of it, and
 * no damage was found: -EACCES, -PST_E_NO_RING, …. */
PST_MUST_USE int pst_run_verify(const struct pst_verify_job *job,
                                struct pst_verify_outcome *outcome);

/* ---- restore ---- */

/* What is not restored as it was. Its texts are valid for the call. */
struct pst_restore_trouble {
    const char *source; /* its name */
    const char *path;   /* in the source; NULL: it is not known */
    const char *what;   /* "could not set the owner of" */
    uint32_t node;
    int error;
    bool is_whole; /* the object is there, with all its contents: something else could not be set */
};

struct pst_restore_job {
    uint32_t struct_bytes;
    bool force;            /* into a target that is not empty */
    const char *directory; /* of the backups */
    const char *id;        /* as for verify; NULL: the newest complete one */
    /* One source goes straight into it, several into TARGET/NAME, those of several nodes into
     * TARGET/NODE/NAME. NULL: nothing is written to disk,
     * and what is not rows is left out. */
    const char *target;
    struct pst_run run;
    /* Makes what the rows of a logical backup go into, on a thread of the library's. -ENOTSUP: not
     * for this database; then, and where it is NULL, rows of lmdb: sources go into new
     * environments, if there is a target. */
    pst_table_sink_open *open_sink;
    void *sink_context;
    uint64_t lmdb_map_bytes; /* of new environments; 0: as it was. It grows where it must */
    const char *const *more_directories; /* as for verify */
    uint32_t more_directories_count;
    uint32_t only_count; /* 0: everything */
    /* "NODE" or "NODE/NAME": these sources alone, as if the backup had no others. With an id, even
     * where files of other nodes are missing. */
    const char *const *only;
    /* Called for what is not restored as it was, from any thread, one at a time. May be NULL. */
    void (*on_trouble)(void *context, const struct pst_restore_trouble *trouble);
    bool keep_going; /* past damage: what is whole is restored */
    bool no_devices; /* leaves devices out */
    /* root: what is restored belongs to the caller, without set-ID bits, and without extended
     * attributes and flags that only root can set */
    bool no_owner;
    bool no_set_id;    /* no set-user-ID and set-group-ID bits, no file capabilities */
    bool notes_damage; /* damage that is met is noted beside the backup, as verify notes it */
    uint8_t reserved[3];
    const struct pst_keys *keys; /* opens a backup that is sealed; NULL: none is given */
    /* Patterns of names below the target, as of `penstock restore --path`, and tables of logical
     * backups: these alone, with the directories they lie in. Both counts 0: everything. */
    const char *const *paths;
    const char *const *tables;
    uint32_t paths_count;
    uint32_t tables_count;
    uint32_t strip; /* components that the paths in their sources lose at the front */
    uint32_t reserved_2;
    const char *pace; /* as for a backup */
    uint64_t min_rate;
};

static inline void pst_restore_job_init(struct pst_restore_job *job)
{
    memset(job, 0, sizeof(*job));
    job->struct_bytes = (uint32_t)sizeof(*job);
    job->run.cancel_fd = -1;
}

struct pst_restore_outcome {
    uint32_t struct_bytes;
    uint32_t number;
    uint64_t objects;    /* made */
    uint64_t bytes;      /* written */
    uint64_t unreadable; /* objects that the backup does not have, or not completely */
    char message[PST_MESSAGE_BYTES];
    uint64_t failed;      /* objects that could not be restored, or not wholly */
    uint64_t unset;       /* owners, modes, times, attributes and links that could not be set */
    uint64_t left_out;    /* devices, by no_devices */
    uint64_t passed_over; /* as for verify */
};

static inline void pst_restore_outcome_init(struct pst_restore_outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->struct_bytes = (uint32_t)sizeof(*outcome);
}

/* 0: it is on disk, and whole but for what on_trouble was called for. -ENOTEMPTY: the target is not
 * empty, and no force; -ECANCELED; -EINVAL; -PST_E_…: the backup is missing, damaged, newer, sealed
 * (-PST_E_NO_KEY); else the target could not be written. After an error nothing is left, but in a
 * target that was there before (see --help). */
PST_MUST_USE int pst_run_restore(const struct pst_restore_job *job,
                                 struct pst_restore_outcome *outcome);

/* ---- list ---- */

enum pst_backup_state {
    PST_BACKUP_COMPLETE,
    PST_BACKUP_INCOMPLETE, /* no cluster manifest: it does not exist yet, or never will */
    PST_BACKUP_DAMAGED,    /* a manifest is damaged, or a file is missing or of another size */
    PST_BACKUP_NEWER,      /* of an incompatible version */
    PST_BACKUP_IN_DOUBT,   /* prepared here; only its other nodes know whether it exists */
    PST_BACKUP_PARTIAL,    /* complete, but made without nodes that belong to its cluster */
    PST_BACKUP_MISNAMED,   /* complete, but its directory has the name of another number */
    PST_BACKUP_SPLIT, /* complete, but other nodes' files, or a backup that holds some of its bytes,
                         are in none of the directories given */
    PST_BACKUP_CUT_OFF, /* never completed; what was written of it is kept for the next backups */
};

/* One backup of a list. The fields behind uid are zeros where its cluster manifest cannot be read.
 */
struct pst_backup_entry {
    uint32_t struct_bytes; /* of the library's */
    uint32_t number;
    enum pst_backup_state state;
    int error;          /* 0 if complete, else -PST_E_… or -errno */
    const char *reason; /* why it is not complete, or a warning, or ""; for the call */
    uint8_t uid[16];    /* zeros where it is not known */
    uint64_t start_gci;
    uint64_t started_unix_ns; /* since 1970 */
    uint64_t finished_unix_ns;
    uint64_t source_bytes;
    uint64_t stored_bytes;
    uint64_t objects;
    uint64_t unreadable;
};

/* Calls each() for every backup in the directories taken together, ascending by number. 0, -errno
 * where one cannot be read, or the first value other than 0 that each() returned. */
PST_MUST_USE int pst_list_backups(const char *const *directories, uint32_t directories_count,
                                  int (*each)(void *context, const struct pst_backup_entry *entry),
                                  void *context);

#ifdef __cplusplus
}
#endif

#endif
