/*
 * What a file has beside what stat(2) tells, as attributes of its catalogue entry (docs/format.md):
 * extended attributes, which POSIX ACLs and file capabilities are too, inode flags, and a project
 * id.
 *
 * Pure, no allocation, any thread.
 */
#ifndef PST_ENGINE_FORMAT_FILE_ATTRIBUTES_H
#define PST_ENGINE_FORMAT_FILE_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "penstock/object.h"

#define PST_XATTR_NAME_BYTES_MAX 256u /* terminator included */

struct pst_xattr {
    const char *name;
    const void *value; /* of any bytes */
    uint32_t value_bytes;
};

/* Those of chattr(1) that are backed up. */
enum pst_object_inode_flags {
    PST_OBJECT_IMMUTABLE = 1,
    PST_OBJECT_APPEND_ONLY = 2,
    PST_OBJECT_NO_DUMP = 1 << 2,
    PST_OBJECT_NO_ATIME = 1 << 3,
    PST_OBJECT_SYNC = 1 << 4,
    PST_OBJECT_DIRECTORY_SYNC = 1 << 5,
    PST_OBJECT_NO_COW = 1 << 6,
    PST_OBJECT_COMPRESS = 1 << 7,
    PST_OBJECT_NO_COMPRESS = 1 << 8,
    PST_OBJECT_JOURNAL_DATA = 1 << 9,
    PST_OBJECT_NO_TAIL = 1 << 10,
    PST_OBJECT_TOP_DIRECTORY = 1 << 11,
    PST_OBJECT_PROJECT_INHERIT = 1 << 12,
    PST_OBJECT_DAX = 1 << 13,
};

/* Those that a file is to have before it has contents: later some are refused, or change nothing.
 */
#define PST_OBJECT_FLAGS_AT_FIRST (PST_OBJECT_NO_COW | PST_OBJECT_COMPRESS | PST_OBJECT_NO_COMPRESS)

/* From and to FS_…_FL of FS_IOC_GETFLAGS; what has no counterpart is left out. */
uint32_t pst_object_flags_from_inode(uint32_t inode_flags);
uint32_t pst_object_flags_to_inode(uint32_t flags);

/* Their letters, as lsattr(1) has them. Returns text. */
#define PST_OBJECT_FLAGS_TEXT_BYTES 16u
const char *pst_object_flags_text(uint32_t flags, char text[PST_OBJECT_FLAGS_TEXT_BYTES]);

/* Whether an extended attribute of that name is backed up: user., trusted., security., and POSIX
 * ACLs. No entry has another. */
bool pst_xattr_is_kept(const char *name);

/* Whether only privileged users can write it. */
bool pst_xattr_is_privileged(const char *name);

/* Append to attributes, of which *bytes are used, and move *bytes past it. Names ascend by strcmp.
 * 0, or -ENOSPC: an entry holds no more (bytes_max: PST_OBJECT_ATTRIBUTES_BYTES_MAX or less). */
PST_MUST_USE int pst_xattr_append(const struct pst_xattr *xattr, void *attributes,
                                  uint32_t bytes_max, uint32_t *bytes);
PST_MUST_USE int pst_object_append_inode_flags(uint32_t flags, void *attributes, uint32_t bytes_max,
                                               uint32_t *bytes);
PST_MUST_USE int pst_object_append_project(uint32_t project, void *attributes, uint32_t bytes_max,
                                           uint32_t *bytes);

/* The next one of a legal object, in the order of their names; *at: 0 for the first. False: there
 * is none. Its name and value live as long as the object's attributes. */
bool pst_xattr_next(const struct pst_object *object, uint32_t *at, struct pst_xattr *xattr);

/* enum pst_object_inode_flags of a legal object; 0 where nothing is said. */
uint32_t pst_object_inode_flags(const struct pst_object *object);

/* The project id, likewise. */
uint32_t pst_object_project(const struct pst_object *object);

/* While the attributes of one object are checked; all zeros at first. */
struct format_file_attributes {
    const char *name; /* of the last extended attribute */
    bool has_flags;
    bool has_project;
};

/* Whether the value of such an attribute is legal. *known: it is such a one. For object.c. */
bool format_file_attribute_is_legal(struct format_file_attributes *seen, enum pst_object_type type,
                                    uint16_t attribute, const void *value, uint32_t value_bytes,
                                    bool *known);

#endif
