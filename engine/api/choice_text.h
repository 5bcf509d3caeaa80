/*
 * What a job backs up of a source, as a text for the manifest: the options that chose it. Prune
 * takes no backup for one of the same that was chosen otherwise. Private to engine/api/.
 */
#ifndef PST_ENGINE_API_CHOICE_TEXT_H
#define PST_ENGINE_API_CHOICE_TEXT_H

#include "engine/source/registry/registry.h"
#include "penstock/run.h"

/* *text: malloc'd, ASCII, PST_SOURCE_CHOICE_BYTES_MAX bytes at most; "": all of it. Two are equal
 * if, and only if, the options are; a long one ends with a digest of all. files: the filter of the
 * job's own dir: sources; NULL: the source is a program's. 0 or -ENOMEM. */
PST_MUST_USE int choice_text(const struct pst_source *source, const struct pst_backup_job *job,
                             const struct pst_file_filter *files, char **text);

#endif
