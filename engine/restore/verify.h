/*
 * Verify: reads every byte of every file of a backup, with as many threads as asked for.
 *
 * Blocking; call it from any thread. Everything passed is borrowed for the call.
 */
#ifndef PST_ENGINE_RESTORE_VERIFY_H
#define PST_ENGINE_RESTORE_VERIFY_H

#include "engine/restore/crew.h"
#include "penstock/run.h"

struct pst_verify_options {
    struct pst_crew crew;
    /* "NODE" or "NODE/NAME": these sources alone; count 0: all. */
    const char *const *only;
    uint32_t only_count;
    /* Of the chunks, only those in this one of so many windows of each part; what all of them
     * together say is not checked then. windows 0: all. */
    uint32_t windows;
    uint32_t window;
    /* Called for each finding, from any thread, one at a time. May be NULL. */
    void (*found)(void *context, const struct pst_finding *finding);
    /* Called on the caller's thread, some ten times a second and at the end. May be NULL. */
    void (*progress)(void *context, const struct pst_crew_progress *progress);
    void *context;
};

struct pst_verify_result {
    uint64_t files;
    uint64_t bytes;           /* of the files, read and checked */
    uint64_t chunks;          /* checked and whole */
    uint64_t objects;         /* in catalogues; one that lies in several parts counts in each */
    uint64_t objects_damaged; /* of which some is missing or damaged; each once */
    uint64_t damages;
    uint64_t unverified; /* findings of what could not be read, and may be whole: no damages */
    uint64_t warnings;
    char message[PST_MESSAGE_BYTES]; /* of -ENOKEY and of what else options ask for; or "" */
};

struct pst_backup;

/* Verifies a backup of a list (catalog.h), all copies of its files. 0: whole; -PST_E_CORRUPT:
 * damaged, every damage was passed to found(); -PST_E_INCOMPLETE: no cluster manifest;
 * -PST_E_NO_BACKUP; -ENOKEY: it has no source that options->only names; -PST_E_NEWER: all that is
 * wrong with it is that it is newer; -ECANCELED; or why it, or some of it, could not be verified,
 * where no damage was found (own_error.h). *result is set in every case. */
PST_MUST_USE int pst_verify(const struct pst_backup *backup,
                            const struct pst_verify_options *options,
                            struct pst_verify_result *result);

#endif
