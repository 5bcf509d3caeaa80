/*
 * The pace that a user asks for, as text: `--pace`, the control socket, the public jobs. Pure.
 */
#ifndef PST_ENGINE_PACE_PACE_TEXT_H
#define PST_ENGINE_PACE_PACE_TEXT_H

#include <stdint.h>

#include "penstock/error.h"

enum pst_pace_mode {
    PST_PACE_MAX,  /* as fast as it goes */
    PST_PACE_RATE, /* at most so many bytes a second */
    PST_PACE_AUTO, /* as fast as the host's other work allows */
};

struct pst_pace_setting {
    enum pst_pace_mode mode;
    uint64_t bytes_per_s; /* RATE: PST_PACE_MIN … PST_PACE_MOST */
    uint64_t min_rate;    /* AUTO: likewise, or 0: half of what it could read, and 16 MiB at the
                             least. Never less than that */
};

#define PST_PACE_MIN (UINT64_C(1) << 20)
#define PST_PACE_MOST (UINT64_C(1) << 40)

/* "max", "auto", or bytes a second: "50M", "1GiB", powers of 1024. Sets mode and bytes_per_s, and
 * leaves min_rate. -EINVAL: something else, or a rate out of range; *setting is as it was. */
PST_MUST_USE int pst_pace_parse(const char *text, struct pst_pace_setting *setting);

/* "max", "auto". Static; of PST_PACE_RATE "rate". */
const char *pst_pace_mode_text(enum pst_pace_mode mode);

#endif
