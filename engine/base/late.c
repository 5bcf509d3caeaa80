/* Loads libraries when they are needed first. Called by the file that stands for each, on any
 * thread. */
#include "engine/base/late.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "engine/base/log.h"

static int fail(const char *purpose)
{
    pst_log(PST_LOG_ERROR, "the library %s cannot be loaded: %s", purpose, dlerror());
    return -ELIBACC;
}

int pst_late_load(const char *soname, const char *purpose, const char *const *names, size_t count,
                  void *functions)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(purpose);
    for (size_t i = 0; i < count; i++) {
        void *function = dlsym(library, names[i]);
        if (!function)
            return fail(purpose);
        memcpy((char *)functions + i * sizeof(function), &function, sizeof(function));
    }
    return 0;
}
