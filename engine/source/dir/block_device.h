/* A block device as a source: all that is on it. On the source's thread. */
#ifndef PST_ENGINE_SOURCE_DIR_BLOCK_DEVICE_H
#define PST_ENGINE_SOURCE_DIR_BLOCK_DEVICE_H

#include <sys/stat.h>

#include "engine/source/source.h"
#include "penstock/packer.h"

/* Adds the device of this name in the source's directory, with status of it, as the source's only
 * object, which is called path: an image, restored as a file. It is read as it is then: where it is
 * in use, that is logged. A part that cannot be read fails the backup. 0, what ends the listing, or
 * -errno. */
PST_MUST_USE int block_device_add(const struct pst_source *source, struct pst_packer *packer,
                                  const char *name, const char *path, const struct stat *status);

#endif
