/*
 * The scans of an LDM as they lie in memory. Private to fragment_scan.c and fragment_scan_check.c.
 */
#ifndef PST_ENGINE_PIPELINE_SCANS_H
#define PST_ENGINE_PIPELINE_SCANS_H

#include "engine/pipeline/fragment_scan.h"
#include "engine/pipeline/reference_chunks.h"
#include "engine/pipeline/row_check.h"
#include "engine/pipeline/scan_file.h"

enum scan_phase {
    SCAN_FREE,
    SCAN_ENTRIES,    /* catalogue entries are being copied */
    SCAN_REFERENCES, /* what lies in earlier backups is being entered */
    SCAN_EXTENTS,    /* its bytes are being assigned to chunks */
    SCAN_LAST_ENTRY, /* the rows are all there, and with them the size in the catalogue entry */
    SCAN_READING,    /* all is assigned; reads are in flight */
    SCAN_MARKING,    /* objects that turned out unreadable are being marked in the catalogue */
    SCAN_ENDED,      /* its result is to be fetched */
};

struct scan {
    enum scan_phase phase;
    struct fragment_scans *scans;
    const struct pst_fragment_descriptor *fragment;
    struct pst_source *source;
    uint64_t order; /* of the requests; the lower is scanned first */
    uint32_t source_instance;
    uint64_t fragment_id;
    uint32_t extent;                   /* being assigned */
    uint64_t extent_done;              /* bytes of it that are assigned */
    size_t entries_done;               /* bytes of entries that are copied */
    struct references_done referenced; /* in SCAN_REFERENCES */
    uint32_t marked;                   /* files looked at in SCAN_MARKING */
    size_t marking;                    /* bytes of entries looked at for the next one */
    uint32_t reads;                    /* not done */
    uint32_t files;                    /* not closed */
    int error;                         /* negative */
    struct pst_row_cursor cursor;
    struct row_check rows;
    bool entry_is_last;     /* rows of unknown length */
    uint64_t run_object;    /* whose runs are compared; 0: none yet */
    uint64_t base_object;   /* its id in the base; 0: none */
    struct scan_file *file; /* of the extent being assigned; NULL: none */
    uint32_t file_index;    /* its index in the fragment */
    bool in_blocks;         /* it is read in whole blocks */
    uint32_t next_file;     /* the first that was not opened yet */
    struct pst_sums sums;
    uint8_t bad[PST_FRAGMENT_FILES_MAX]; /* enum pst_object_flags, by file */
    uint64_t
        ends[PST_FRAGMENT_FILES_MAX]; /* where a file that shrank ended; else its listed size */
};

/* A run of bytes on its way from a file into a chunk. */
struct piece {
    struct scan_read read;
    struct scan *scan;
    const struct pst_fragment_file *listed;
    struct chunk *chunk;
    uint32_t index; /* in the chunk's table */
};

struct fragment_scans {
    struct fragment_scans_config config;
    struct scan_files *files;
    struct piece *pieces; /* PST_CHUNK_PIECES_MAX for each chunk of the pool */
    struct scan scans[PST_FRAGMENTS_AHEAD];
    uint64_t order; /* of the last request */
    struct pst_sums sums;
};

#endif
