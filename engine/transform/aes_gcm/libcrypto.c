/* Loads libcrypto, once. Called by aes_gcm.c, on an LDM's thread, or on that of a reader. */
#include "engine/transform/aes_gcm/libcrypto.h"

#include <pthread.h>

#include <openssl/opensslv.h>

#define TEXT_OF(number) TEXT(number)
#define TEXT(token) #token
#define LIBCRYPTO_FILE "libcrypto.so." TEXT_OF(OPENSSL_SHLIB_VERSION)

struct libcrypto libcrypto;
static int load_error;

static void load(void)
{
    static const char *const names[] = {LIBCRYPTO_FUNCTIONS(PST_LATE_NAME)};
    load_error = pst_late_load(LIBCRYPTO_FILE, "for sealed backups and for SHA-256", names,
                               sizeof(names) / sizeof(names[0]), &libcrypto);
}

int libcrypto_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, load);
    return load_error;
}
