/* Pins the calling thread. */
#include "numa/place.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

int pst_place_pin(uint32_t cpu)
{
    if (cpu >= PST_CPUS_MAX)
        return -EINVAL;
    cpu_set_t *set = CPU_ALLOC(PST_CPUS_MAX);
    if (!set)
        return -ENOMEM;
    size_t bytes = CPU_ALLOC_SIZE(PST_CPUS_MAX);
    CPU_ZERO_S(bytes, set);
    CPU_SET_S(cpu, bytes, set);
    int error = pthread_setaffinity_np(pthread_self(), bytes, set);
    CPU_FREE(set);
    return -error;
}
