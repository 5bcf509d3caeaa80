/* Extended attributes, inode flags and project ids in catalogue entries: written by the source dir,
 * read by restore, checked with the entry they are in. Any thread. */
#include "engine/format/file_attributes.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "engine/format/attribute.h"

#define ATTRIBUTE_XATTR 0x0020u
#define ATTRIBUTE_INODE_FLAGS 0x0021u
#define ATTRIBUTE_PROJECT 0x0022u

#define ACL_PREFIX "system.posix_acl_"

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0 && name[strlen(prefix)] != '\0';
}

static bool is_acl(const char *name)
{
    return strcmp(name, ACL_PREFIX "access") == 0 || strcmp(name, ACL_PREFIX "default") == 0;
}

bool pst_xattr_is_privileged(const char *name)
{
    return begins_with(name, "trusted.") || begins_with(name, "security.");
}

bool pst_xattr_is_kept(const char *name)
{
    return begins_with(name, "user.") || pst_xattr_is_privileged(name) || is_acl(name);
}

int pst_xattr_append(const struct pst_xattr *xattr, void *attributes, uint32_t bytes_max,
                     uint32_t *bytes)
{
    size_t name_bytes = strlen(xattr->name) + 1;
    uint8_t *value = format_attribute_append(ATTRIBUTE_XATTR, name_bytes + xattr->value_bytes,
                                             attributes, bytes_max, bytes);
    if (!value)
        return -ENOSPC;
    memcpy(value, xattr->name, name_bytes);
    if (xattr->value_bytes)
        memcpy(value + name_bytes, xattr->value, xattr->value_bytes);
    return 0;
}

/* In the order of lsattr(1). */
static const struct {
    uint32_t flag, inode_flag;
    char letter;
} inode_flags[] = {
    {PST_OBJECT_SYNC, FS_SYNC_FL, 'S'},
    {PST_OBJECT_DIRECTORY_SYNC, FS_DIRSYNC_FL, 'D'},
    {PST_OBJECT_IMMUTABLE, FS_IMMUTABLE_FL, 'i'},
    {PST_OBJECT_APPEND_ONLY, FS_APPEND_FL, 'a'},
    {PST_OBJECT_NO_DUMP, FS_NODUMP_FL, 'd'},
    {PST_OBJECT_NO_ATIME, FS_NOATIME_FL, 'A'},
    {PST_OBJECT_COMPRESS, FS_COMPR_FL, 'c'},
    {PST_OBJECT_JOURNAL_DATA, FS_JOURNAL_DATA_FL, 'j'},
    {PST_OBJECT_NO_TAIL, FS_NOTAIL_FL, 't'},
    {PST_OBJECT_TOP_DIRECTORY, FS_TOPDIR_FL, 'T'},
    {PST_OBJECT_NO_COW, FS_NOCOW_FL, 'C'},
    {PST_OBJECT_DAX, FS_DAX_FL, 'x'},
    {PST_OBJECT_PROJECT_INHERIT, FS_PROJINHERIT_FL, 'P'},
    {PST_OBJECT_NO_COMPRESS, FS_NOCOMP_FL, 'm'},
};
#define INODE_FLAGS (sizeof(inode_flags) / sizeof(inode_flags[0]))
_Static_assert(INODE_FLAGS < PST_OBJECT_FLAGS_TEXT_BYTES, "a letter for each");

uint32_t pst_object_flags_from_inode(uint32_t of_inode)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < INODE_FLAGS; i++)
        flags |= of_inode & inode_flags[i].inode_flag ? inode_flags[i].flag : 0;
    return flags;
}

uint32_t pst_object_flags_to_inode(uint32_t flags)
{
    uint32_t of_inode = 0;
    for (size_t i = 0; i < INODE_FLAGS; i++)
        of_inode |= flags & inode_flags[i].flag ? inode_flags[i].inode_flag : 0;
    return of_inode;
}

const char *pst_object_flags_text(uint32_t flags, char text[PST_OBJECT_FLAGS_TEXT_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < INODE_FLAGS; i++) {
        if (flags & inode_flags[i].flag)
            text[used++] = inode_flags[i].letter;
    }
    text[used] = '\0';
    return text;
}

static int append_number(uint16_t type, uint32_t number, void *attributes, uint32_t bytes_max,
                         uint32_t *bytes)
{
    void *value = format_attribute_append(type, sizeof(number), attributes, bytes_max, bytes);
    if (!value)
        return -ENOSPC;
    memcpy(value, &number, sizeof(number));
    return 0;
}

int pst_object_append_inode_flags(uint32_t flags, void *attributes, uint32_t bytes_max,
                                  uint32_t *bytes)
{
    return append_number(ATTRIBUTE_INODE_FLAGS, flags, attributes, bytes_max, bytes);
}

int pst_object_append_project(uint32_t project, void *attributes, uint32_t bytes_max,
                              uint32_t *bytes)
{
    return append_number(ATTRIBUTE_PROJECT, project, attributes, bytes_max, bytes);
}

bool pst_xattr_next(const struct pst_object *object, uint32_t *at, struct pst_xattr *xattr)
{
    struct format_attribute attribute;
    while (format_attribute_next(object, at, &attribute)) {
        if (attribute.type != ATTRIBUTE_XATTR)
            continue;
        size_t name_bytes = strlen(attribute.value) + 1;
        *xattr = (struct pst_xattr){
            .name = attribute.value,
            .value = (const char *)attribute.value + name_bytes,
            .value_bytes = attribute.value_bytes - (uint32_t)name_bytes,
        };
        return true;
    }
    return false;
}

static uint32_t number_of(const struct pst_object *object, uint16_t type)
{
    struct format_attribute attribute;
    uint32_t number = 0;
    for (uint32_t at = 0; format_attribute_next(object, &at, &attribute);) {
        if (attribute.type == type)
            memcpy(&number, attribute.value, sizeof(number));
    }
    return number;
}

uint32_t pst_object_inode_flags(const struct pst_object *object)
{
    return number_of(object, ATTRIBUTE_INODE_FLAGS);
}

uint32_t pst_object_project(const struct pst_object *object)
{
    return number_of(object, ATTRIBUTE_PROJECT);
}

/* Those of a file system but for other names of them: a share of a table has no inode. */
static bool type_has_inode(enum pst_object_type type)
{
    return type == PST_OBJECT_FILE || type == PST_OBJECT_DIRECTORY || type == PST_OBJECT_SYMLINK ||
           (type >= PST_OBJECT_BLOCK_DEVICE && type <= PST_OBJECT_SOCKET);
}

/* The order lets a reader find a name that is there twice without looking at all others. */
static bool xattr_is_legal(struct format_file_attributes *seen, const char *name, uint32_t bytes)
{
    size_t name_bytes = strnlen(name, bytes) + 1;
    if (name_bytes > bytes || name_bytes > PST_XATTR_NAME_BYTES_MAX || !pst_xattr_is_kept(name) ||
        (seen->name && strcmp(seen->name, name) >= 0))
        return false;
    seen->name = name;
    return true;
}

static bool number_is_legal(bool *has_one, uint32_t value_bytes)
{
    bool is_first = !*has_one;
    *has_one = true;
    return is_first && value_bytes == sizeof(uint32_t);
}

bool format_file_attribute_is_legal(struct format_file_attributes *seen, enum pst_object_type type,
                                    uint16_t attribute, const void *value, uint32_t value_bytes,
                                    bool *known)
{
    *known = true;
    switch (attribute) {
    case ATTRIBUTE_XATTR:
        return type_has_inode(type) && xattr_is_legal(seen, value, value_bytes);
    case ATTRIBUTE_INODE_FLAGS:
        return (type == PST_OBJECT_FILE || type == PST_OBJECT_DIRECTORY) &&
               number_is_legal(&seen->has_flags, value_bytes);
    case ATTRIBUTE_PROJECT:
        return type_has_inode(type) && number_is_legal(&seen->has_project, value_bytes);
    default:
        *known = false;
        return true;
    }
}
