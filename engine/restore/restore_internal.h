/*
 * One restore under way. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_INTERNAL_H
#define PST_ENGINE_RESTORE_RESTORE_INTERNAL_H

#include "engine/restore/objects.h"
#include "engine/restore/restore.h"
#include "engine/restore/row_map.h"
#include "engine/restore/scan.h"
#include "engine/restore/target.h"
#include "io/beneath.h"

/* Files that a worker keeps open while pieces of them come in. */
#define PST_RESTORE_FILES 8u

struct pst_restore_file {
    const struct pst_object_record *record; /* NULL: free */
    int fd;
    bool is_direct; /* open with O_DIRECT */
};

struct pst_restore_worker {
    struct pst_restore_file files[PST_RESTORE_FILES];
    uint32_t next_file; /* to be replaced */
    struct pst_parent parent;
};

struct pst_restore_run {
    const struct pst_backup *backup;
    const struct pst_restore_options *options;
    struct pst_restore_result *result;
    /* Instead of a restore: tells the tables. */
    int (*each_table)(void *context, const struct pst_table_entry *table);
    void *each_context;
    uint64_t
        only[PST_NODES_MAX]; /* by node index: bits of the sources' instances; restored alone */
    struct pst_part_set set;
    struct pst_findings findings;
    struct pst_scan scan;
    struct pst_objects objects;
    struct pst_target target;
    bool is_root;
    mode_t mode_mask;
    bool has_target; /* else rows alone */
    int *source_fds; /* by node index × PST_SOURCES_MAX + instance; -1: none */
    struct pst_restore_worker *workers;
    uint64_t looked_bytes;            /* read while the parts were looked through */
    uint64_t scanned_bytes;           /* by scans that have ended */
    atomic_uint_least64_t rows_bytes; /* read for rows, in their order */
    struct pst_row_map *row_map;      /* being filled */
    atomic_uint_least64_t bytes;
    atomic_uint_least64_t made;
    atomic_size_t next_object; /* of the metadata pass */
    pthread_mutex_t mutex;     /* of result->message and result->unreadable */
};

/* restore_only.c: sets run->only by options->only, having checked that all it needs of the backup
 * is there; and leaves out of the set the parts of other nodes. */
int pst_restore_choose(struct pst_restore_run *run) PST_MUST_USE;
void pst_restore_drop_parts(struct pst_restore_run *run);

/* Whether the source of an object is restored. */
bool pst_restore_is_chosen(const struct pst_restore_run *run, uint32_t node_index, uint64_t object);

/* How many nodes, and sources of a node, are restored. */
uint32_t pst_restore_nodes(const struct pst_restore_run *run);
uint32_t pst_restore_sources(const struct pst_restore_run *run, uint32_t node_index);

/* Keeps the message of the first failure and returns error. */
int pst_restore_fail(struct pst_restore_run *run, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, naming an object: "<what> <source>/<path>: <error text>". */
int pst_restore_fail_object(struct pst_restore_run *run, int error,
                            const struct pst_object_record *record, const char *what);

/* Paths come from the backup, and a terminal must not obey them: control characters become '?'. */
void pst_restore_make_printable(char *text);

/* The directory that the objects of a source go into; -1: the manifest knows no such source. */
int pst_restore_source_fd(const struct pst_restore_run *run,
                          const struct pst_object_record *record);

/* Whether this object is a file with contents. */
bool pst_restore_is_file(const struct pst_object *object);

/* Opens the file of an object for writing, creating it; a descriptor or -errno. */
int pst_restore_open(struct pst_restore_run *run, struct pst_parent *parent,
                     const struct pst_object_record *record, const char *path) PST_MUST_USE;

/* Ends an open file whose contents are whole: owner, mode, times; counts it. 0 or -errno. */
int pst_restore_finish_open(struct pst_restore_run *run, int fd,
                            const struct pst_object *object) PST_MUST_USE;

/* restore_tree.c, in this order: directories (sources' first), and room for all else; after the
 * data: contents' ends and metadata of files; links and nodes; metadata of directories. */
int pst_restore_make_directories(struct pst_restore_run *run) PST_MUST_USE;
int pst_restore_finish_files(struct pst_restore_run *run) PST_MUST_USE;
int pst_restore_make_links(struct pst_restore_run *run) PST_MUST_USE;
int pst_restore_finish_directories(struct pst_restore_run *run) PST_MUST_USE;
void pst_restore_close_sources(struct pst_restore_run *run);

/* restore_data.c: the pieces of all DATA chunks. */
int pst_restore_write_data(struct pst_restore_run *run) PST_MUST_USE;

/* restore_rows.c: all tables, into sinks; those that options->export names, into one. */
int pst_restore_write_rows(struct pst_restore_run *run) PST_MUST_USE;
int pst_restore_export(struct pst_restore_run *run) PST_MUST_USE;

/* Calls run->each_table. */
int pst_restore_tell_tables(struct pst_restore_run *run) PST_MUST_USE;

/* The name of the source that an object belongs to. */
const char *pst_restore_source_name(const struct pst_restore_run *run,
                                    const struct pst_object_record *record, uint64_t id);

/* Tells the progress; context is the run. */
void pst_restore_tell_progress(void *context);

/* Runs a scan over chunks of one type, or over their headers alone; progress is told. */
int pst_restore_scan(struct pst_restore_run *run, enum pst_chunk_type type, bool headers_only,
                     int (*chunk)(void *context, uint32_t worker, const struct pst_part_map *part,
                                  const void *buffer)) PST_MUST_USE;

#endif
