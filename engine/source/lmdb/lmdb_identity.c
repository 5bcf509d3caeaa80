/*
 * The identity of an environment's owner. Looked up by lmdb_source.c before the guard is forked,
 * taken by lmdb_environment.c in the guard's process.
 */
#include "engine/source/lmdb/lmdb_identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define NOBODY ((gid_t)65534)
#define RECORD_BYTES 16384

struct lmdb_identity lmdb_identity_of(uid_t owner)
{
    struct lmdb_identity identity = {.uid = owner, .gid = NOBODY};
    struct passwd record, *found = NULL;
    char bytes[RECORD_BYTES];
    identity.is_taken = geteuid() == 0 && owner != 0;
    if (!identity.is_taken || getpwuid_r(owner, &record, bytes, sizeof(bytes), &found) != 0 ||
        !found)
        return identity; /* a number without a name has no groups */
    identity.gid = record.pw_gid;
    identity.groups_count = LMDB_GROUPS_MAX;
    if (getgrouplist(record.pw_name, record.pw_gid, identity.groups, &identity.groups_count) < 0)
        identity.groups_count = LMDB_GROUPS_MAX; /* of more groups, the first */
    return identity;
}

int lmdb_identity_take(const struct lmdb_identity *identity)
{
    if (!identity->is_taken)
        return 0;
    if (setgroups((size_t)identity->groups_count, identity->groups) < 0 ||
        setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return -errno;
    return 0;
}
