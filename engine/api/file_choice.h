/*
 * What the sources of files of a job leave out: its options, and patterns read from files. Private
 * to engine/api/. One thread.
 */
#ifndef PST_ENGINE_API_FILE_CHOICE_H
#define PST_ENGINE_API_FILE_CHOICE_H

#include "engine/source/registry/registry.h"
#include "penstock/run.h"

struct file_choice {
    struct pst_file_filter filter;
    const char **patterns;
    char **lines; /* those that were read */
    uint32_t lines_count;
};

/* The job's texts are borrowed until file_choice_release, which may be called after a failure too,
 * and of all zeros. 0; -ENOMEM; -EINVAL: an empty pattern or an unsafe name; or why a file cannot
 * be read. message (PST_MESSAGE_BYTES) then says what is wrong. */
PST_MUST_USE int file_choice_make(const struct pst_backup_job *job, struct file_choice *choice,
                                  char *message);
void file_choice_release(struct file_choice *choice);

#endif
