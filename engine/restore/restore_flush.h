/*
 * What is restored through the page cache goes to the disk while more is being restored: the kernel
 * itself would begin when a tenth of the memory waits for it, or with the sync in the end. Private
 * to engine/restore/; the restore's thread.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_FLUSH_H
#define PST_ENGINE_RESTORE_RESTORE_FLUSH_H

#include "engine/restore/restore_run.h"

/* Starts a thread that syncs the target's file system whenever enough is there, if so much is to
 * come. 0 or -errno. */
PST_MUST_USE int restore_flush_begin(struct restore_run *run);

/* Ends it. An error of one of its syncs, which no later sync would give again; the message is kept.
 */
PST_MUST_USE int restore_flush_end(struct restore_run *run);

/* A file, or a piece of one, is in the page cache. Any thread. */
void restore_flush_add(struct restore_run *run, uint64_t bytes);

#endif
