/*
 * synthetic: rows that are made, not read, for benchmarks and tests. Each byte is a function of
 * (seed, row, place in the row), so that what comes back from a backup can be compared with what
 * synthetic_fill makes.
 */
#ifndef PST_ENGINE_SOURCE_SYNTHETIC_SYNTHETIC_H
#define PST_ENGINE_SOURCE_SYNTHETIC_SYNTHETIC_H

#include "engine/source/source.h"

#define SYNTHETIC_ROW_BYTES_MAX (16u << 20)
#define SYNTHETIC_BYTES_MAX (UINT64_C(1) << 62) /* rows × row bytes */
#define SYNTHETIC_PATH "rows"                   /* path of the one object */

struct synthetic {
    uint64_t rows;            /* may be 0 */
    uint64_t row_bytes;       /* 1 … SYNTHETIC_ROW_BYTES_MAX; 1024 by default */
    uint64_t compressibility; /* percent of each 256 bytes that is padding; 50 by default */
    uint64_t seed;            /* 1 by default */
};

/* Parses "rows=N[,row-bytes=N][,compressibility=PERCENT][,seed=N]", in any order, each at most
 * once. 0 or -EINVAL with error_text. */
PST_MUST_USE int synthetic_parse(const char *argument, struct synthetic *synthetic,
                                 char *error_text, size_t error_bytes);

/* Makes bytes offset … offset + bytes - 1 of the rows laid end to end. Any thread. */
void synthetic_fill(const struct synthetic *synthetic, uint64_t offset, void *buffer, size_t bytes);

/* For the registry: as registry_open, but for the name. */
PST_MUST_USE int pst_synthetic_open(const char *argument, struct pst_source **source,
                                    char *error_text, size_t error_bytes);

#endif
