/*
 * Pins: a backup that is pinned is never pruned, neither by name nor by a rule, until its pin is
 * taken out. A pin is a file with the backup's uid in each of its directories; one of them will do.
 * Whoever holds the list. Blocking, one thread.
 */
#ifndef PST_ENGINE_REPOSITORY_PIN_H
#define PST_ENGINE_REPOSITORY_PIN_H

#include "engine/repository/backup.h"

/* Pins a backup, durably; one that is pinned stays so. After an error it may be pinned in some of
 * its directories, which counts. -PST_E_INCOMPLETE: nothing shows which backup it is;
 * -PST_E_CHANGED: it is being pruned, or was; -errno: of the directory that message
 * (PST_MESSAGE_BYTES) names. */
int pst_pin(const struct pst_backup *backup, char *message) PST_MUST_USE;

/* Takes the pins out; one that is not pinned stays so. -PST_E_MISPLACED: a file of that name is not
 * the pin of this backup, and stays. */
int pst_unpin(const struct pst_backup *backup, char *message) PST_MUST_USE;

#endif
