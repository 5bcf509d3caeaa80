/*
 * Reads what a file has beside what stat(2) tells into the attributes of its catalogue entry:
 * extended attributes, with POSIX ACLs and file capabilities, flags, and the project id. The file
 * is named by a directory and a name, is not opened, and no symlink is followed.
 *
 * trusted. attributes are listed to privileged users only, and so kept by these only. On the
 * source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_ATTRIBUTES_H
#define PST_ENGINE_SOURCE_DIR_ATTRIBUTES_H

#include <linux/limits.h>
#include <sys/stat.h>

#include "engine/format/file_attributes.h"
#include "engine/source/dir/inode_flags.h"

/* Of the entry that is being made; room is left for what else an entry has. */
#define ATTRIBUTES_BYTES_MAX (PST_OBJECT_ATTRIBUTES_BYTES_MAX - 1024u)

/* Large: part of a listing. */
struct attributes {
    uint32_t bytes; /* of encoded */
    uint8_t encoded[PST_OBJECT_ATTRIBUTES_BYTES_MAX];
    struct inode_flags flags; /* that inode_flags_find() has found; else 0 */
    const char *lost;         /* the first that could not be kept; NULL: all were */
    char names[XATTR_LIST_MAX];
    uint8_t value[XATTR_SIZE_MAX];
};

/* What there is to be read of a file, bits. */
enum attributes_hints {
    ATTRIBUTES_KNOWN = 1, /* else the rest says nothing */
    ATTRIBUTES_SOME = 2,  /* it has extended attributes */
    ATTRIBUTES_IMMUTABLE = 4,
    ATTRIBUTES_APPEND_ONLY = 8,
    ATTRIBUTES_NO_DUMP = 16,
    ATTRIBUTES_COMPRESSED = 32,
};

/* Looks at the file name ("": the directory itself) in an open directory (O_PATH too), as
 * fstatat(2), and which attributes it has; *hints 0: they cannot be listed, and errno says why. 0
 * or -errno. Any thread. */
PST_MUST_USE int attributes_look(int directory, const char *name, struct stat *status,
                                 uint8_t *hints);

/* Fills attributes->encoded anew for such a file, of which hints are known, or 0, and
 * attributes->flags are found. 0; -ENOENT: it is
 * gone; -PST_E_CHANGED: another than status is of has its name, whose attributes are not read; else
 * why attributes->lost, or all of them, are missing, the others being there. */
PST_MUST_USE int attributes_read(struct attributes *attributes, int directory, const char *name,
                                 const struct stat *status, uint8_t hints);

#endif
