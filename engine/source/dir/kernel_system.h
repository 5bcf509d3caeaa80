/*
 * File systems of the kernel's own, such as proc, which hold no data. Any thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_KERNEL_SYSTEM_H
#define PST_ENGINE_SOURCE_DIR_KERNEL_SYSTEM_H

#include "penstock/error.h"

/* Whether such a one holds what fd (O_PATH too) is open at: 1, 0 or -errno. */
PST_MUST_USE int kernel_system_holds(int fd);

#endif
