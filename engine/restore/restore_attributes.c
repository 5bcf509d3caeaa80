/* Extended attributes, with POSIX ACLs and file capabilities, of one object after the other. Called
 * by restore_object.c on the crew's threads. */
#include "engine/restore/restore_attributes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/printable.h"
#include "engine/format/file_attributes.h"
#include "io/inode.h"

/* Whether the caller wants it: like the set-ID bits, capabilities are only for a program that
 * belongs to whom they were given by. */
static bool is_wanted(const struct restore_run *run, const char *name,
                      const struct pst_object *object, const struct stat *status)
{
    const struct pst_restore_options *options = run->options;
    if (options->no_owner && pst_xattr_is_privileged(name))
        return false;
    if (strcmp(name, "security.capability") != 0)
        return true;
    bool is_same_owner = status->st_uid == object->uid && status->st_gid == object->gid;
    return !options->no_set_id && (is_same_owner || !run->set_owners);
}

/* linux/posix_acl_xattr.h. */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_GROUP_OBJ 4u
struct acl_entry {
    uint16_t tag, mode;
    uint32_t id;
};

/* A mode shows the mask of an ACL where the group's bits are. Without the ACL these would be given
 * to the owning group: of them only what it has by the ACL is left. */
static mode_t withheld_without(const struct pst_xattr *acl)
{
    struct acl_entry entry;
    mode_t withheld = S_IRWXG;
    for (uint32_t at = sizeof(uint32_t); at + sizeof(entry) <= acl->value_bytes;
         at += (uint32_t)sizeof(entry)) {
        memcpy(&entry, (const uint8_t *)acl->value + at, sizeof(entry));
        if (entry.tag == ACL_GROUP_OBJ)
            withheld &= ~((mode_t)(entry.mode & 7u) << 3);
    }
    return withheld;
}

/* ENOSPC is said of a file system that has no room for so many attributes of one file: ext4 has a
 * block for each. */
static int set_one(struct restore_run *run, int fd, const struct object_record *record,
                   const struct pst_xattr *xattr, mode_t *withheld)
{
    char what[PST_XATTR_NAME_BYTES_MAX + 64];
    int error = pst_inode_set_xattr(fd, xattr->name, xattr->value, xattr->value_bytes);
    if (!error)
        return 0;
    if (strcmp(xattr->name, ACL_ACCESS) == 0)
        *withheld |= withheld_without(xattr);
    int length = snprintf(what, sizeof(what), "could not set the attribute %s of", xattr->name);
    pst_make_printable(what, (size_t)length);
    return restore_miss_part(run, error == -ENOSPC ? -EOVERFLOW : error, record, what);
}

/* In place, files are made in directories that may hand down ACLs, and such a directory is kept. */
static int drop_acls(struct restore_run *run, int fd, const struct object_record *record,
                     const struct pst_object *object)
{
    if (!run->target.in_place || object->type == PST_OBJECT_SYMLINK)
        return 0;
    int error = pst_inode_drop_acls(fd);
    return error ? restore_miss_part(run, error, record, "could not remove the ACL of") : 0;
}

int restore_set_xattrs(struct restore_run *run, int fd, const struct object_record *record,
                       const struct pst_object *object, struct stat *status, mode_t *withheld)
{
    struct pst_xattr xattr;
    bool is_set = false;
    *withheld = 0;
    int error = drop_acls(run, fd, record, object);
    for (uint32_t at = 0; !error && pst_xattr_next(object, &at, &xattr);) {
        if (!is_wanted(run, xattr.name, object, status))
            continue;
        error = set_one(run, fd, record, &xattr, withheld);
        is_set = true;
    }
    if (!error && (is_set || run->target.in_place) && fstat(fd, status) < 0)
        error = -errno;
    return error;
}
