/* A source in memory, as a program that uses the library would write one; and a job for it. */
#ifndef PST_TESTS_UNIT_API_MEMORY_H
#define PST_TESTS_UNIT_API_MEMORY_H

#include "penstock/penstock.h"

#define MEMORY_BYTES (3u << 20)

struct memory {
    struct pst_source source; /* first */
    uint8_t *bytes;           /* MEMORY_BYTES, seeded */
    uint32_t freezes, snapshots, thaws, releases, checks;
    int check_error;
};

/* Its one object is the file "bytes" of table kind. */
void memory_open(struct memory *memory, const char *name, uint8_t seed);
void memory_close(struct memory *memory);

/* Likewise, but of rows: the table "table", keys 0 … MEMORY_ROWS - 1, values the key + 7. */
void memory_open_rows(struct memory *memory, const char *name);

#define MEMORY_ROWS 5000u

/* Whether the file has what the memory has. */
bool memory_is_in(const struct memory *memory, const char *path);

/* A job for one source, by 2 LDMs, into directory. */
void job_for(struct pst_backup_job *job, struct pst_source *const *source, const char *directory);

/* What a verify of the newest backup in directory returns. */
int verify_in(const char *directory);

#endif
