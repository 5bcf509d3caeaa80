/* Loads libfuse. Called by fuse_server.c, on the main thread. */
#include "engine/fuse/libfuse.h"

/* The soname of all releases from 3.0 to 3.16. */
#define LIBFUSE_FILE "libfuse3.so.3"

struct libfuse libfuse;

int libfuse_load(void)
{
    static const char *const names[] = {LIBFUSE_FUNCTIONS(PST_LATE_NAME)};
    return pst_late_load(LIBFUSE_FILE, "to mount a backup", names, sizeof(names) / sizeof(names[0]),
                         &libfuse);
}
