/*
 * By what a file is known again, and whether the base of the backup has it as it is: then it is
 * neither opened nor read. Private to engine/source/dir/; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_IDENTITY_H
#define PST_ENGINE_SOURCE_DIR_IDENTITY_H

#include <sys/stat.h>

#include "engine/source/packer.h"

/* Of the two attributes that these functions give an object. */
#define IDENTITY_ATTRIBUTES_BYTES                                                                  \
    (PST_OBJECT_DATA_ATTRIBUTE_BYTES + PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES)

/* Gives a file its identity, where backups have bases. true: it is in the base, and *file is what a
 * fragment is to have in place of its extents. */
bool identity_find(struct pst_fragment_sink *sink, const struct stat *status,
                   struct pst_object *object, uint8_t attributes[IDENTITY_ATTRIBUTES_BYTES],
                   struct pst_fragment_file *file);

/* Enters how many bytes of an object are data. */
void identity_add_data(struct pst_object *object, uint8_t attributes[IDENTITY_ATTRIBUTES_BYTES],
                       uint64_t data_bytes);

#endif
