/* Loads libcrypto, once. Called by aes_gcm.c, on an LDM's thread, or on that of a reader. */
#include "engine/transform/aes_gcm/libcrypto.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include <openssl/opensslv.h>

#include "engine/base/log.h"

#define TEXT_OF(number) TEXT(number)
#define TEXT(token) #token
#define LIBCRYPTO_FILE "libcrypto.so." TEXT_OF(OPENSSL_SHLIB_VERSION)

struct libcrypto libcrypto;
static int load_error;

static void load(void)
{
    void *library = dlopen(LIBCRYPTO_FILE, RTLD_NOW | RTLD_LOCAL);
#define X(name)                                                                                    \
    if (library && !load_error && !(libcrypto.name = (__typeof__(&name))dlsym(library, #name)))    \
        load_error = -ELIBACC;
    LIBCRYPTO_FUNCTIONS(X)
#undef X
    if (!library || load_error) {
        load_error = -ELIBACC;
        pst_log(PST_LOG_ERROR, "the library for sealed backups cannot be loaded: %s", dlerror());
    }
}

int libcrypto_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, load);
    return load_error;
}
