/*
 * Who owns an environment: the guard takes that identity before liblmdb opens anything, so that
 * what the owner put into the directory can lead it nowhere that the owner could not go alone.
 * Private to the lmdb: source.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_IDENTITY_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "penstock/error.h"

#define LMDB_GROUPS_MAX 64

struct lmdb_identity {
    bool is_taken; /* false: the process keeps its own */
    uid_t uid;
    gid_t gid;
    gid_t groups[LMDB_GROUPS_MAX];
    int groups_count;
};

/* The identity that the guard of an environment whose data file has this owner is to take: the
 * owner's, with the groups that the system lists, where the process is root and the owner is not.
 * Before the fork, since it asks libc's databases. */
struct lmdb_identity lmdb_identity_of(uid_t owner);

/* In the guard's process, for good: real, effective and saved ids. -EPERM: CAP_SETUID or CAP_SETGID
 * is missing. */
PST_MUST_USE int lmdb_identity_take(const struct lmdb_identity *identity);

#endif
