/*
 * What verifying a backup came to, kept beside it for who lists it: a note, which decides nothing
 * and is never durable by force. Whoever holds the list; blocking, one thread.
 */
#ifndef PST_ENGINE_REPOSITORY_VERIFIED_H
#define PST_ENGINE_REPOSITORY_VERIFIED_H

#include "engine/repository/repository.h"

struct pst_backup;
struct pst_backup_hold;

/* A backup is looked at in so many windows, one after the other; a verify of all of it is one. */
struct pst_verified {
    bool is_known;    /* it was verified, and this is what came of it */
    bool is_damaged;  /* damage was found, and not every window found whole since */
    uint64_t unix_ns; /* when the last of them was looked at */
    uint32_t windows; /* 1…PST_VERIFIED_WINDOWS_MAX */
    uint32_t next;    /* window, from 0 */
    uint32_t covered; /* that were found whole, one after the other, up to windows */
};

#define PST_VERIFIED_WINDOWS_MAX 100u

/* Which of so many windows is to be looked at now. */
uint32_t pst_verified_window(const struct pst_verified *verified, uint32_t windows);

/* What is known once that window was looked at. */
struct pst_verified pst_verified_after(const struct pst_verified *verified, uint32_t windows,
                                       bool is_damaged, uint64_t unix_ns);

/* What is known once some of it was looked at, and damage found. */
struct pst_verified pst_verified_damaged(const struct pst_verified *verified, uint64_t unix_ns);

/* Writes the note into each directory of a backup that is kept (hold). The first error. */
PST_MUST_USE int pst_verified_note(const struct pst_backup *backup,
                                   const struct pst_backup_hold *hold,
                                   const struct pst_verified *verified);

/* Sets here_since_ns of a backup to when it came to its i-th directory, which is open, if that was
 * later than to another. */
void verified_look_since(struct pst_backup *backup, uint32_t i, int directory);

/* Reads it from a directory of a backup with this uid in hex. What cannot be read, or is of another
 * backup, is no note. The later one stays in *verified; of one that calls whole what the directory
 * is a copy of, only unix_ns, and it counts against those of other directories that are as old. */
void verified_read(struct pst_repository *repository, int directory, uint32_t number,
                   const uint8_t *uid, struct pst_verified *verified);

#endif
