/* Parses `--pace`. Called by engine/api and engine/service. */
#include "engine/pace/pace_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* "", "K", "KiB" …: 1, 1024 …; 0: no unit. */
static uint64_t factor_of(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0')
        return 1;
    const char *letter = strchr(letters, toupper((unsigned char)*unit));
    if (!letter || (unit[1] != '\0' && strcasecmp(unit + 1, "iB") != 0))
        return 0;
    return UINT64_C(1024) << (10 * (letter - letters));
}

static int parse_rate(const char *text, uint64_t *bytes_per_s)
{
    uint64_t number = 0;
    bool fits = isdigit((unsigned char)*text);
    for (; isdigit((unsigned char)*text); text++)
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number);
    fits = fits && !__builtin_mul_overflow(number, factor_of(text), &number);
    if (!fits || number < PST_PACE_MIN || number > PST_PACE_MOST)
        return -EINVAL;
    *bytes_per_s = number;
    return 0;
}

int pst_pace_parse(const char *text, struct pst_pace_setting *setting)
{
    if (strcmp(text, "max") == 0) {
        setting->mode = PST_PACE_MAX;
        return 0;
    }
    if (strcmp(text, "auto") == 0) {
        setting->mode = PST_PACE_AUTO;
        return 0;
    }
    int error = parse_rate(text, &setting->bytes_per_s);
    if (!error)
        setting->mode = PST_PACE_RATE;
    return error;
}

const char *pst_pace_mode_text(enum pst_pace_mode mode)
{
    static const char *const texts[] = {
        [PST_PACE_MAX] = "max", [PST_PACE_RATE] = "rate", [PST_PACE_AUTO] = "auto"};
    return texts[mode];
}
