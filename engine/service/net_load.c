/*
 * Finds the module from the place of the program, and takes none but that of the same build. Called
 * by daemon.c, on the main thread.
 */
#include "engine/service/net_load.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct pst_net_module *loaded;

static int find(char path[static PATH_MAX])
{
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX);
    if (bytes < 0)
        return -errno;
    const char *slash = memrchr(path, '/', (size_t)bytes);
    assert(slash);
    size_t folder = (size_t)(slash - path) + 1;
    if (folder + sizeof(PST_NET_MODULE) > PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(path + folder, PST_NET_MODULE);
    return 0;
}

int net_load(char *message)
{
    char path[PATH_MAX];
    if (loaded)
        return 0;
    int error = find(path);
    if (error) {
        (void)snprintf(message, PST_MESSAGE_BYTES, "/proc/self/exe: %s", pst_error_text(error));
        return error;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct pst_net_module *found = module ? dlsym(module, "pst_net_module") : NULL;
    if (!found) {
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "the part of penstock for networks between hosts and DPDK cannot be loaded: "
                       "%s",
                       dlerror());
        return -ELIBACC;
    }
    if (strcmp(found->build, pst_net_build) != 0) {
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "%.400s is of another build than this program: install both from one", path);
        return -ELIBBAD;
    }
    loaded = found;
    return 0;
}

const struct pst_net_module *net_loaded(void)
{
    assert(loaded);
    return loaded;
}
