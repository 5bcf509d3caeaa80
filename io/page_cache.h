/*
 * What the page cache has of a file. Private to io/; any thread.
 */
#ifndef PST_IO_PAGE_CACHE_H
#define PST_IO_PAGE_CACHE_H

#include "io/operation.h"

/* Whether less than half of these bytes is there, or seven eighths at least. Both are false where
 * the kernel does not answer: cachestat(2) came with Linux 6.5, and later ones answer only who may
 * write the file or owns it. */
bool page_cache_lacks(int fd, const struct pst_io_range *range);
bool page_cache_has(int fd, const struct pst_io_range *range);

#endif
