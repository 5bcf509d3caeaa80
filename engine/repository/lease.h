/*
 * A node's right to write into a backup directory, for as long as it runs: no other process writes
 * and sweeps under the same number there. Blocking; the thread that starts and stops the node, and
 * the archive's between backups.
 */
#ifndef PST_ENGINE_REPOSITORY_LEASE_H
#define PST_ENGINE_REPOSITORY_LEASE_H

#include "engine/repository/repository.h"

struct pst_io_fault;

/* Owned by the caller. */
struct pst_repository_lease {
    struct pst_repository repository;
    uint32_t node;
    int number_lock;     /* a handle; -1: a node alone, which has the whole directory */
    bool directory_made; /* by this lease */
    char *absolute;      /* the path, wherever the program goes later; NULL: not known */
};

/*
 * Opens the directory `path`, which is made if its parent exists, and locks it: for a node alone
 * (is_shared false) the directory, for one of a cluster its number in it. path is borrowed until
 * the release. fault (io/fault.h): of the archive's durable steps; NULL outside tests. -PST_E_BUSY:
 * another process backs up into it. Errors are logged, and nothing is left then.
 */
PST_MUST_USE int pst_repository_lease_take(struct pst_repository_lease *lease, const char *path,
                                           uint32_t node, bool is_shared,
                                           struct pst_io_fault *fault);

/* Whether the directory could be taken, as far as that is known without making or locking anything.
 * -errno with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_repository_lease_probe(const char *path, char *message);

/*
 * Between backups: whether the path still leads to the directory that is open. If it leads to
 * another, that one is opened and locked in its place, which is logged; but if must_stay,
 * -PST_E_CLEANING. Other errors as take; the lease stays as it was then.
 */
PST_MUST_USE int pst_repository_lease_renew(struct pst_repository_lease *lease, bool must_stay);

/* At the end of a backup: whether the path still leads to the directory that it is in; if not, the
 * error is logged. -ESTALE: to another one. */
PST_MUST_USE int pst_repository_lease_stays(const struct pst_repository_lease *lease);

/* A directory that was made and is still empty goes too: it was for a backup that came to nothing.
 */
void pst_repository_lease_release(struct pst_repository_lease *lease);

/* The lock alone, of a repository of any kind that is open; lease->repository is set. For
 * engine/repository, and tests over other storages. */
PST_MUST_USE int lease_lock(struct pst_repository_lease *lease, uint32_t node, bool is_shared);
void lease_unlock(struct pst_repository_lease *lease);

#endif
