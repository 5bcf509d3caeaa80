/*
 * Extended attributes of restored files. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_ATTRIBUTES_H
#define PST_ENGINE_RESTORE_RESTORE_ATTRIBUTES_H

#include <sys/stat.h>

#include "engine/restore/restore_run.h"

/* Sets the extended attributes of what fd (O_PATH too) stands for, whose owner is set, and takes
 * away ACLs that it has from the directory it was made in. What cannot be set is reported. *status:
 * of fd, and as it is then; *withheld: bits that its mode is not to have, because its ACL is
 * missing. 0, or what ends the restore. Any thread of the crew. */
PST_MUST_USE int restore_set_xattrs(struct restore_run *run, int fd,
                                    const struct object_record *record,
                                    const struct pst_object *object, struct stat *status,
                                    mode_t *withheld);

#endif
