/*
 * Finds the module from the place of the program, or of libpenstock.so, and takes none but that of
 * the same build. Called by daemon.c, on the thread that runs the node.
 */
#include "engine/service/net_load.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"

/* From the folder of the program, and of the shared library. */
#define OF_PROGRAM PST_NET_MODULE
#define OF_LIBRARY "penstock/net.so"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the load */
static const struct pst_net_module *loaded;

/* The shared library that this code is in; NULL: it is in the program. */
static const char *library_path(void)
{
    Dl_info unused;
    struct link_map *map = NULL;
    bool is_found = dladdr1(&lock, &unused, (void **)&map, RTLD_DL_LINKMAP) != 0;
    return is_found && map->l_name[0] != '\0' ? map->l_name : NULL;
}

static int find(char path[static PATH_MAX])
{
    const char *library = library_path(), *module = library ? OF_LIBRARY : OF_PROGRAM;
    ssize_t bytes = -1;
    if (!library)
        bytes = readlink("/proc/self/exe", path, PATH_MAX);
    else if (realpath(library, path))
        bytes = (ssize_t)strlen(path);
    if (bytes < 0)
        return -errno;
    const char *slash = memrchr(path, '/', (size_t)bytes);
    assert(slash);
    size_t folder = (size_t)(slash - path) + 1;
    if (folder + strlen(module) >= PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(path + folder, module);
    return 0;
}

static void pass_on(void *context, enum pst_log_level level, const char *line)
{
    (void)context;
    pst_log(level, "%s", line);
}

static int load(char *message)
{
    char path[PATH_MAX];
    int error = find(path);
    if (error) {
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "the part of penstock for networks between hosts and DPDK cannot be found: "
                       "%s",
                       pst_error_text(error));
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
    found->log_to(pass_on);
    loaded = found;
    return 0;
}

int net_load(char *message)
{
    pthread_mutex_lock(&lock);
    int error = loaded ? 0 : load(message);
    pthread_mutex_unlock(&lock);
    return error;
}

const struct pst_net_module *net_loaded(void)
{
    assert(loaded);
    return loaded;
}
