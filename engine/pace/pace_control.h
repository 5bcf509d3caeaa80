/*
 * How far `--pace auto` holds itself back: a pure function of what was measured since the last
 * step. docs/adr/0031-pacing.md says why it is so. Private to engine/pace.
 */
#ifndef PST_ENGINE_PACE_PACE_CONTROL_H
#define PST_ENGINE_PACE_PACE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_HEARD 3

/* Why a node is slower than it could be. */
enum pst_pace_reason {
    PST_PACE_FREE,    /* it is not */
    PST_PACE_SET,     /* a rate is set */
    PST_PACE_LATENCY, /* its reads and writes take longer than they did */
    PST_PACE_IO,      /* other threads of the host wait for a disk */
    PST_PACE_CPU,     /* other threads of the host wait for a CPU */
    PST_PACE_EASING,  /* the pressure is gone: it goes up again */
    PST_PACE_REASONS
};

/* What was measured since the last step. */
struct pace_window {
    uint64_t elapsed_ns;
    uint64_t bytes;       /* that were let through */
    uint32_t threads;     /* of ours that took part */
    uint64_t wait_ns;     /* in sum: they had nothing to do but wait for a disk */
    uint64_t own_io_ns;   /* in sum: reads or writes of theirs were in flight */
    uint64_t own_cpu_ns;  /* in sum: they were ready, and did not run */
    uint32_t transfers;   /* that ended */
    uint64_t transfer_ns; /* that these took, in sum */
    bool has_pressure;    /* the next two are known */
    uint64_t io_stall_ns; /* some thread of the host, ours too, waited for a disk */
    uint64_t cpu_stall_ns;
    bool is_quiet; /* nothing was let through, to hear what the others do by themselves */
};

struct pace_control {
    uint32_t depth_max;
    uint64_t min_rate; /* 0: by the peak */

    uint32_t depth; /* chunks that each thread may have in flight: PST_DEPTH_MIN … depth_max */
    uint64_t bytes_per_s; /* that are let through; 0: no limit */
    enum pst_pace_reason reason;
    bool is_gentle;   /* requests are small, for others use the disk */
    bool wants_quiet; /* the next window is to be quiet */
    bool opens; /* the next one that is not is short, and as if nothing held it back: to see what
                   could be read, or to catch up with the floor */

    /* From here on its own. */
    uint64_t measured;                    /* bytes a second, of late */
    uint64_t peak;                        /* likewise, where nothing holds it back */
    uint64_t seen_ns, seen_bytes;         /* since these were measured */
    uint64_t lag;                         /* bytes that are missing to the floor */
    bool was_open;                        /* nothing held it back in the last window */
    bool looks;                           /* what could be read is not known yet */
    uint32_t held_steps, look_after;      /* so many of them */
    uint64_t lowest_ns, lowest_before_ns; /* mean latency: of this window of many steps, and the
                                             one before; UINT64_MAX: none yet */
    uint32_t steps;                       /* of this one */
    uint32_t slow;                        /* steps in a row with a high latency */
    bool is_for_neighbour;                /* that it went down: who used the disk was heard */
    uint32_t calm;                        /* steps in a row without pressure */
    uint32_t hold;                        /* steps until it may go down again */
    uint32_t until_quiet;
    uint32_t quiet_first;         /* windows left before anything is let through */
    uint32_t io, cpu;             /* per mille of the time that others wait, of late */
    uint32_t heard_io, heard_cpu; /* the same without us: the medians of */
    uint32_t last_io[PACE_HEARD], last_cpu[PACE_HEARD]; /* quiet windows */
    uint32_t heard;                                     /* their number */
};

/* io, cpu: per mille of the time before we began. depth_max: PST_DEPTH_MIN at least. */
void pace_control_init(struct pace_control *control, uint32_t depth_max, uint64_t min_rate,
                       uint32_t io, uint32_t cpu);
/* Whether the next window is slower than it could be. */
bool pace_control_is_held(const struct pace_control *control);
void pace_control_step(struct pace_control *control, const struct pace_window *window);

#endif
