/*
 * By what a file is known again, and whether the base of the backup has it as it is: then it is
 * neither opened nor read. Private to engine/source/dir/; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_IDENTITY_H
#define PST_ENGINE_SOURCE_DIR_IDENTITY_H

#include <sys/stat.h>

#include "engine/format/object.h"
#include "engine/source/dir/attributes.h"
#include "penstock/packer.h"

/* The file system of the file before. */
struct identity_system {
    dev_t device;
    bool is_known, is_sure;
};

/* Whether a file whose times are as they were is as it was: not on a file system in memory, where
 * nothing is written back and so no change through a mapping shows. */
bool identity_is_sure(struct identity_system *system, int directory, const char *name,
                      const struct stat *status);

/* Adds a file's identity, on that device, to its attributes, where backups have bases. true: it is
 * in the base, how many of its bytes are data is added too, and *file is what a fragment is to have
 * in place of its extents. */
bool identity_find(struct pst_fragment_sink *sink, dev_t device, const struct stat *status,
                   const struct pst_object *object, struct attributes *attributes,
                   struct pst_fragment_file *file);

#endif
