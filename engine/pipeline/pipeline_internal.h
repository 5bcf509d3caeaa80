/*
 * Private to the pipeline: its buffers, scans and part, and what its files call of each other.
 *
 *   pipeline.c       works, results, the life of a part
 *   chunk_pool.c     buffers: taken, filled, sealed in order, written, given back
 *   fragment_scan.c  fragments: entries, extents, rows into chunks
 *   scan_file.c      the files that extents are read from
 */
#ifndef PST_ENGINE_PIPELINE_PIPELINE_INTERNAL_H
#define PST_ENGINE_PIPELINE_PIPELINE_INTERNAL_H

#include "engine/format/part.h"
#include "engine/pipeline/pipeline.h"
#include "io/part_file.h"
#include "io/ring.h"

/* Buffers beside the depth chunks: the index, its spare while the last one is being written, and
 * the catalogue. */
#define EXTRA_BUFFERS 3u
#define WRITES_IN_MEMORY_MAX 1u
#define OPEN_FILES_MAX 64u
#define RESULTS_MAX 8u
#define SLICE_PIECES_MAX 64u
#define SLICE_READ_BYTES (1u << 20)
#define SLICE_ROWS_BYTES (512u << 10)

struct scan_file;

/* A run of bytes on its way from a file into a chunk. */
struct piece {
    struct pst_io_op op;
    struct chunk *chunk;
    struct scan_file *file;
    struct piece *next; /* waiting for the file to be open */
    uint32_t index;     /* in the chunk's table */
    uint32_t bytes;
    uint64_t offset;
};

struct chunk {
    struct pst_io_op op; /* its write */
    struct pst_pipeline *pipeline;
    struct chunk *next;
    struct piece *pieces; /* PST_CHUNK_PIECES_MAX */
    void *memory;         /* header, then payload */
    int buffer_index;
    uint32_t payload_bytes;
    uint32_t reads; /* in flight */
    bool is_closed; /* no more is added */
    bool is_index;
};

enum scan_phase {
    SCAN_FREE,
    SCAN_ENTRIES,    /* catalogue entries are being copied */
    SCAN_EXTENTS,    /* its bytes are being assigned to chunks */
    SCAN_LAST_ENTRY, /* rows are all there, and with them what the catalogue entry says */
    SCAN_READING,    /* all assigned; reads are in flight */
    SCAN_MARKING,    /* objects that turned out unreadable are being marked in the catalogue */
};

struct scan {
    enum scan_phase phase;
    const struct pst_fragment_descriptor *fragment;
    struct pst_source *source;
    uint64_t order; /* of the requests; the lower is scanned first */
    uint32_t source_instance;
    uint64_t fragment_id;
    uint32_t extent;      /* being assigned */
    uint64_t extent_done; /* bytes of it that are */
    size_t entries_done;  /* bytes of entries that are copied */
    uint32_t marked;      /* files looked at in SCAN_MARKING */
    uint32_t users;       /* pieces and files that still use it */
    int error;
    struct pst_row_cursor cursor;
    bool entry_is_last;     /* rows of unknown length */
    struct scan_file *file; /* of the extent being assigned */
    struct pst_sums sums;
    uint8_t bad[PST_FRAGMENT_FILES_MAX]; /* enum pst_object_flags, by file */
};

struct scan_file {
    struct pst_file file;
    struct pst_io_op op;
    struct pst_pipeline *pipeline;
    struct scan *scan;
    struct scan_file *next; /* free */
    struct piece *waiting;  /* for the open */
    uint32_t index;         /* in the fragment */
    uint32_t users;         /* pieces, and the assignment */
    bool is_open;
    int error; /* of the open, negative */
};

/* How far a part is closed. */
enum stop_step {
    STOP_CHUNKS,  /* chunks are being written */
    STOP_TRAILER, /* index and trailer are */
    STOP_FINISH,  /* fdatasync and close */
};

struct pst_pipeline {
    struct pst_pipeline_config config;
    uint32_t buffers;
    struct chunk *chunks; /* one for each buffer */
    struct piece *pieces;
    struct chunk *free_chunks;
    struct chunk *spare_index;
    struct chunk *index;     /* gathers entries of the part's index */
    struct chunk *catalogue; /* being filled; NULL: none */
    struct chunk *data;      /* being filled; NULL: none */
    struct chunk *ready;     /* complete, to be sealed and written, oldest first */
    struct chunk *ready_last;
    uint32_t writes; /* in flight */
    struct scan_file files[OPEN_FILES_MAX];
    struct scan_file *free_files;
    uint32_t files_open;
    struct scan scans[PST_FRAGMENTS_AHEAD];
    uint64_t scan_order;

    struct pst_part part;
    struct pst_part_file part_file;
    char part_name[512];
    struct pst_sums sums;
    uint64_t backup;
    bool file_exists; /* the part file was created and is neither finished nor abandoned */
    bool is_finished; /* the part is closed, and complete */
    bool halted;
    int error; /* the first that spoils the part, positive */
    bool trouble_is_new;
    bool moved;           /* something happened that may let STOP or DISCARD go on */
    bool busy;            /* with the work below */
    struct pst_work work; /* OPEN, START, STOP */
    bool discarding;
    bool abandoning;
    enum stop_step stop_step;
    struct pst_io_op block_op; /* header and trailer */
    void *block;               /* PST_BLOCK_BYTES for them */
    struct pst_digest digest;
    uint64_t file_bytes;

    struct pst_work_result results[RESULTS_MAX];
    uint32_t results_first;
    uint32_t results_count;
};

/* pipeline.c */
void pipeline_fail(struct pst_pipeline *pipeline, int error, const char *step);
void pipeline_result(struct pst_pipeline *pipeline, const struct pst_work_result *result);
void pipeline_moved(struct pst_pipeline *pipeline);

/* chunk.c */
struct chunk *chunk_take(struct pst_pipeline *pipeline, enum pst_chunk_type type);
uint32_t chunk_room(const struct chunk *chunk);
void *chunk_payload(const struct chunk *chunk);
void chunk_close(struct chunk *chunk);
void chunk_read_done(struct chunk *chunk);
void chunk_put_back(struct chunk *chunk);
void chunk_write_ready(struct pst_pipeline *pipeline);
void chunk_write_index(struct pst_pipeline *pipeline);

/* scan.c */
void scan_start(struct pst_pipeline *pipeline, const struct pst_work *work);
bool scan_slice(struct pst_pipeline *pipeline);
void scan_let_go(struct pst_pipeline *pipeline, struct scan *scan);
void scan_piece_done(struct piece *piece, int result);

/* scan_file.c */
struct scan_file *scan_file_take(struct pst_pipeline *pipeline, struct scan *scan, uint32_t index);
void scan_file_read(struct scan_file *file, struct piece *piece);
void scan_file_let_go(struct scan_file *file);
bool scan_file_is_pinned(const struct scan_file *file);
void scan_file_mark(struct scan_file *file, uint8_t flag, int error);

#endif
