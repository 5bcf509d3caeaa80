/*
 * Reads a part back from its disk after it was synced and closed, and compares it with what was
 * written: every block by its checksum, number and place, the whole by its size and digest. What
 * was encoded is decoded, and compared by a digest with what it was before. A file system without
 * O_DIRECT is asked to drop the file from the page cache first.
 *
 * One buffer, one read in flight; what it holds is checked in slices.
 * Private to engine/pipeline/; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_READ_BACK_H
#define PST_ENGINE_PIPELINE_READ_BACK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/format/decoding.h"
#include "engine/format/part.h"
#include "engine/pace/pace.h"
#include "engine/pipeline/chunk_encoder.h"
#include "io/file.h"

/* The caller's, untouched until done, with what it points to. */
struct read_back {
    struct pst_ring *ring;
    int directory_fd;
    const char *name; /* of the part, in the directory */
    const struct pst_part_identity *identity;
    struct pst_digest digest; /* of the part, as written; likewise its size */
    uint64_t file_bytes;
    uint32_t chunk_bytes;
    void *buffer;     /* a block and chunk_bytes, aligned to PST_BLOCK_BYTES */
    int buffer_index; /* of the registered buffer; -1: none */
    /* By which chunks were encoded, with the part's key set, and another such buffer. NULL: they
     * are as they were. */
    const struct pst_chunk_encoder *encoder;
    void *decoded;
    struct pst_digest raw_digest; /* of what was encoded */
    struct pst_pace_share *pace;  /* how fast it may read; NULL: as fast as it goes */
    /* error: 0, -errno of the open or a read, -ECANCELED, or -PST_E_READ_BACK: it is not what was
     * written. what and offset: of the damage, or of the failed read. The file is closed. */
    void (*done)(struct read_back *back, int error);
    const char *what; /* static text */
    uint64_t offset;  /* in the part; until done: of the next block to be checked */
    bool must_stop;   /* set by the caller: it ends with -ECANCELED as soon as it can */

    /* From here on its own. */
    struct pst_io_op op;
    struct pst_file file;
    uint64_t chunk; /* number of the next one */
    struct pst_digest header_checksum;
    struct pst_digest raw_found;
    struct pst_chunk_decoding decoding; /* of the chunk at `at` */
    uint32_t held;                      /* bytes in the buffer */
    uint32_t at;                        /* of these: the next block */
    int error;
    bool waits;   /* for its pace */
    bool checks;  /* what the buffer holds, slice by slice */
    bool decodes; /* a chunk of it */
};

void read_back_start(struct read_back *back);

/* A slice, well below a millisecond: checks a block, or decodes some of it, or reads on where its
 * pace had no room before and has now, or it must stop. false: there was nothing that could be done
 * now. It may be done afterwards. */
bool read_back_slice(struct read_back *back);

#endif
