/*
 * Writes a point in time as RFC 3339 in UTC. Called for reports, JSON and log lines; any thread.
 */
#include "engine/base/time_text.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

char *pst_time_text(uint64_t unix_ns, unsigned digits, char *text)
{
    assert(digits <= 9);
    time_t seconds = (time_t)(unix_ns / NS_PER_S); /* before the year 2555: four digits */
    struct tm utc;
    char fraction[16];
    snprintf(fraction, sizeof(fraction), ".%09u", (unsigned)(unix_ns % NS_PER_S));
    size_t used =
        strftime(text, PST_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    snprintf(text + used, PST_TIME_TEXT_BYTES - used, "%.*sZ", digits > 0 ? (int)digits + 1 : 0,
             fraction);
    return text;
}
