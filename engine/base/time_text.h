/* Points in time as text: RFC 3339, always in UTC. Any thread. */
#ifndef PST_ENGINE_BASE_TIME_TEXT_H
#define PST_ENGINE_BASE_TIME_TEXT_H

#include <stdint.h>

#define PST_TIME_TEXT_BYTES 40u

/* "2026-01-31T12:34:56Z" with this many digits of a second's fraction (0…9). text has
 * PST_TIME_TEXT_BYTES and is returned. unix_ns: CLOCK_REALTIME. */
char *pst_time_text(uint64_t unix_ns, unsigned digits, char *text);

#endif
