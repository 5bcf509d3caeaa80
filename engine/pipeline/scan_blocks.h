/*
 * Large files are read in whole blocks, so that it may be done past the page cache
 * (docs/adr/0049): each piece begins on a block of its file and of its chunk. Private to
 * fragment_scan.c; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_SCAN_BLOCKS_H
#define PST_ENGINE_PIPELINE_SCAN_BLOCKS_H

#include "engine/pipeline/scans.h"

/* What is read of a file of the fragment, if it is one run, large, and in whole blocks but for the
 * end of the file; else without bytes. Asked when the file is opened, for the extent at hand. */
struct pst_io_range scan_blocks_of(const struct scan *scan, uint32_t file);

/* The chunk for the next bytes of the extent, on a block if it is read in blocks, and how many
 * there is room for; NULL: no buffer is free. */
struct chunk *scan_fill_some(struct scan *scan, const struct pst_fragment_extent *extent,
                             uint32_t *bytes);

#endif
