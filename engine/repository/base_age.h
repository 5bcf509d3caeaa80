/*
 * How long a file must have been as it is when a backup began, that a later one takes it as
 * unchanged where its times say so (docs/adr/0054). Called by base.c on the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_BASE_AGE_H
#define PST_ENGINE_REPOSITORY_BASE_AGE_H

#include <stdint.h>

#define BASE_AGE_SYSCTLS "/proc/sys/vm"

/* Twice as long as a page that is written through a mapping stays dirty, by the kernel's settings
 * in that directory, or else its defaults: until it is written back only its first change shows in
 * the file's times. Never less than PST_TRUST_AFTER_NS_MIN; UINT64_MAX: pages stay dirty for ever.
 */
uint64_t base_trust_after_ns(const char *sysctls);

#endif
