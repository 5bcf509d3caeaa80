/*
 * file_getattr(2) and file_setattr(2) of Linux 6.17, which headers of older systems lack: struct
 * file_attr of linux/fs.h, and the numbers, which are the same everywhere.
 */
#ifndef PST_ENGINE_BASE_FILE_ATTR_H
#define PST_ENGINE_BASE_FILE_ATTR_H

#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif

struct pst_file_attr {
    uint64_t xflags; /* FS_XFLAG_… */
    uint32_t extsize, nextents, project, cowextsize;
};

#endif
