/* How old a change must be to be seen, by what the kernel is set to. Called by base.c on the
 * archive's thread. */
#include "engine/repository/base_age.h"

#include <inttypes.h>
#include <stdio.h>

#include "penstock/run.h"

#define NS_PER_CENTISECOND UINT64_C(10000000)

static uint64_t read_sysctl(const char *directory, const char *name, uint32_t fallback)
{
    char path[256];
    uint32_t value = fallback;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return fallback;
    if (fscanf(file, "%" SCNu32, &value) != 1)
        value = fallback;
    fclose(file);
    return value;
}

uint64_t base_trust_after_ns(const char *sysctls)
{
    uint64_t interval = read_sysctl(sysctls, "dirty_writeback_centisecs", 500);
    uint64_t expires = read_sysctl(sysctls, "dirty_expire_centisecs", 3000);
    if (interval == 0)
        return UINT64_MAX;
    uint64_t ns = 2 * (expires + interval) * NS_PER_CENTISECOND;
    return ns < PST_TRUST_AFTER_NS_MIN ? PST_TRUST_AFTER_NS_MIN : ns;
}
