/*
 * One restore under way, and what each of its passes uses. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_RUN_H
#define PST_ENGINE_RESTORE_RESTORE_RUN_H

#include "engine/restore/chunk_reader.h"
#include "engine/restore/contents.h"
#include "engine/restore/objects.h"
#include "engine/restore/restore.h"
#include "engine/restore/row_map.h"
#include "engine/restore/target.h"
#include "io/beneath.h"

struct restore_worker;
struct restore_flush;
struct restore_ids;
struct lost_range;
struct selecting;

/* What was made for an object that has flags or a project id. */
struct restore_flagged {
    struct restore_flagged *next;
    const struct object_record *record;
    dev_t device;
    ino_t inode;
};

struct restore_run {
    /* The caller's, unchanged while it runs. */
    const struct pst_backup *backup;
    const struct pst_restore_options *options;
    struct pst_restore_result *result;
    struct crew *crew;
    /* Set: the tables are listed, and nothing is restored. */
    int (*each_table)(void *context, const struct pst_table_entry *table);
    void *each_context;

    uint64_t only[PST_NODES_MAX];   /* by node index: a bit for each source that is restored */
    uint64_t filled[PST_NODES_MAX]; /* likewise, of which something is; else it gets no directory */
    struct pst_part_set set;
    struct pst_findings findings;
    struct chunk_reading reading;
    struct selecting *selecting; /* restore_select.c; NULL: no objects are being chosen */
    struct restore_ids *ids;     /* likewise: of those that are; NULL: all chunks are read */
    bool (*wants)(void *context, const struct pst_part_map *part,
                  const struct pst_index_entry *entry); /* as chunk_reading.wants */
    struct objects objects;
    struct origins origins;
    struct contents contents;
    bool contents_are_checked;
    bool has_all_parents; /* each object lies in a directory that there is */
    /* Those of depth i are from levels[i] on, up to levels[i + 1]. */
    struct object_record **directories;
    size_t *levels;
    struct target target;
    bool is_root;
    bool set_owners;
    /* By node index: whether its directory, and a bit for each source whose directory was made;
     * they get their modes last. */
    bool made_nodes[PST_NODES_MAX];
    uint64_t made_sources[PST_NODES_MAX];
    const struct object_record *root; /* of the target's own directory; NULL: none */
    /* Of a restore that goes on past damage (restore_lost.c): */
    chunk_loser *lost;
    bool lost_catalogue; /* some objects may have no entry */
    bool lost_anything;  /* there was no memory for a range: each object may be hit */
    struct lost_range *ranges;
    size_t ranges_count;
    mode_t mode_mask;
    bool has_target; /* else only rows are restored */
    bool swaps;      /* in place, past damage: what is there stays until the new one is whole */
    struct restore_placed *placed;   /* in place: directories, and what took its name; else NULL */
    int *source_fds;                 /* by node index × PST_SOURCES_MAX + instance; -1: none */
    struct restore_worker *workers;  /* restore_data.c: one for each worker of the crew */
    struct row_map *row_map;         /* restore_rows.c: being filled */
    struct restore_flagged *flagged; /* under objects.mutex */

    uint64_t looked_bytes;              /* read while the parts were looked through */
    uint64_t read_bytes;                /* by readings that have ended */
    atomic_uint_least64_t rows_bytes;   /* read for rows, in their order */
    atomic_uint_least64_t bytes;        /* written */
    atomic_uint_least64_t cached_bytes; /* of these, through the page cache */
    void (*watch)(void *context, const struct pst_io_op *op); /* as chunk_reading.watch */
    struct restore_flush *flush;    /* restore_flush.c; NULL: none is under way */
    atomic_uint_least64_t made;     /* objects */
    atomic_uint_least64_t left_out; /* devices */
    uint64_t allocate_bytes;        /* that may still be allocated in advance */
    pthread_mutex_t files;          /* of allocate_bytes, and of opening files of several pieces */
    pthread_mutex_t mutex;          /* of result, but for what is atomic above */
};

/* Keeps the message of the first failure and returns error. Any thread. */
int restore_fail(struct restore_run *run, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, naming an object: "<what> <source>/<path>: <error text>". */
int restore_fail_object(struct restore_run *run, int error, const struct object_record *record,
                        const char *what);

/* The object is not there, or not whole: reports it, once for each, and returns 0, for the restore
 * goes on; but where all that follows would fail too, keeps the message and returns error. */
PST_MUST_USE int restore_miss(struct restore_run *run, int error, struct object_record *record,
                              const char *what);

/* The object is there, but something about it could not be set; likewise. */
PST_MUST_USE int restore_miss_part(struct restore_run *run, int error,
                                   const struct object_record *record, const char *what);

/* The same, where nothing follows that could fail. */
void restore_report_part(struct restore_run *run, int error, const struct object_record *record,
                         const char *what);

/* So many objects that have no name. */
void restore_miss_unnamed(struct restore_run *run, uint64_t count,
                          const struct pst_restore_trouble *trouble);

/* The name of the source that an object belongs to; "?" if the manifest does not know it. */
const char *restore_source_name(const struct restore_run *run, const struct object_record *record,
                                uint64_t id);

/* Whether options->paths or options->tables choose objects. */
static inline bool restore_selects(const struct restore_run *run)
{
    return run->options->paths_count + run->options->tables_count > 0;
}

/* An entry at offset of a chunk's payload is not legal: it goes to findings. 0 where the restore
 * goes on past that, else error, as -ENOMEM always. */
PST_MUST_USE int restore_bad_entry(struct restore_run *run, const struct pst_part_map *part,
                                   const void *chunk, size_t offset, int error);

/* Whether the source of an object is restored. */
bool restore_is_chosen(const struct restore_run *run, uint32_t node_index, uint64_t object);

/* Calls step for each of the records on all threads, in no order, until one fails: 0, that error,
 * or -ECANCELED. parents: two of the thread's own. Few are done on the caller's thread. */
typedef int restore_step(struct restore_run *run, struct pst_parent parents[2],
                         struct object_record *record);
PST_MUST_USE int restore_each(struct restore_run *run, struct object_record **records, size_t count,
                              restore_step *step);

/* Calls options->progress; context is the run. On the caller's thread. */
void restore_report_progress(void *context);

/* Fails with the first of the findings, if there are any. */
PST_MUST_USE int restore_check_findings(struct restore_run *run);

/* The pieces of a DATA chunk, as contents_add() takes them, or contents_add_damaged(); what is
 * wrong with them goes to findings. Once all were added, whether they are the contents of the
 * objects. */
PST_MUST_USE int restore_add_pieces(struct restore_run *run, const struct pst_part_map *part,
                                    const void *chunk, bool is_damaged);
PST_MUST_USE int restore_check_contents(struct restore_run *run);

/* Reads so much of all chunks of one type (or CHUNK_SUMS), and reports the progress. take_proven
 * and salvage may be NULL; the latter is used in a restore that goes on past damage. */
PST_MUST_USE int restore_read_chunks(struct restore_run *run, uint32_t type,
                                     enum chunk_extent extent, chunk_taker *take,
                                     chunk_taker *take_proven, chunk_taker *salvage);

/* The same of the DATA chunks of origins that the backup refers to. */
PST_MUST_USE int restore_read_origins(struct restore_run *run, chunk_taker *take,
                                      chunk_taker *take_proven, chunk_taker *salvage);

#endif
