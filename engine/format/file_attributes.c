/* Extended attributes and inode flags in catalogue entries: written by the source dir, read by
 * restore, checked with the entry they are in. Any thread. */
#include "engine/format/file_attributes.h"

#include <errno.h>
#include <string.h>

#include "engine/format/attribute.h"

#define ATTRIBUTE_XATTR 0x0020u
#define ATTRIBUTE_INODE_FLAGS 0x0021u

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

int pst_object_append_inode_flags(uint32_t flags, void *attributes, uint32_t bytes_max,
                                  uint32_t *bytes)
{
    void *value =
        format_attribute_append(ATTRIBUTE_INODE_FLAGS, sizeof(flags), attributes, bytes_max, bytes);
    if (!value)
        return -ENOSPC;
    memcpy(value, &flags, sizeof(flags));
    return 0;
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

uint32_t pst_object_inode_flags(const struct pst_object *object)
{
    struct format_attribute attribute;
    uint32_t flags = 0;
    for (uint32_t at = 0; format_attribute_next(object, &at, &attribute);) {
        if (attribute.type == ATTRIBUTE_INODE_FLAGS)
            memcpy(&flags, attribute.value, sizeof(flags));
    }
    return flags;
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

static bool flags_are_legal(struct format_file_attributes *seen, enum pst_object_type type,
                            uint32_t value_bytes)
{
    bool is_first = !seen->has_flags;
    seen->has_flags = true;
    return is_first && value_bytes == sizeof(uint32_t) &&
           (type == PST_OBJECT_FILE || type == PST_OBJECT_DIRECTORY);
}

bool format_file_attribute_is_legal(struct format_file_attributes *seen, enum pst_object_type type,
                                    uint16_t attribute, const void *value, uint32_t value_bytes,
                                    bool *known)
{
    *known = attribute == ATTRIBUTE_XATTR || attribute == ATTRIBUTE_INODE_FLAGS;
    if (attribute == ATTRIBUTE_XATTR)
        return type_has_inode(type) && xattr_is_legal(seen, value, value_bytes);
    return !*known || flags_are_legal(seen, type, value_bytes);
}
