/* The decisions of --pace auto. Called by pace.c, by whichever thread's turn it is. */
#include "engine/pace/pace_control.h"

#include "engine/base/limits.h"

#define NS_PER_S UINT64_C(1000000000)
#define MIB (UINT64_C(1) << 20)
#define FLOOR_LEAST (16 * MIB)

#define BASELINE_STEPS 300u /* the lowest latency is that of the last 30 to 60 s */
#define SLACK_NS 500000u    /* what a latency may be above it, whatever it is */
#define SLOW_STEPS 3u       /* one slow write is no pressure */
#define CALM_STEPS 5u
#define HOLD_STEPS 2u /* what a step down does is seen only after that */
#define QUIET_SOON_STEPS 20u
#define QUIET_LATE_STEPS 100u
#define NEIGHBOUR 20u    /* per mille of waiting without us, from which on somebody uses the disk */
#define HARM_IO 100u     /* per mille of waiting beyond that */
#define HARM_CPU 350u    /* likewise; our own other threads are among those that wait */
#define SATURATED 800u   /* per mille of our time that we wait for the disk */
#define SEEN_PARTS 5u    /* one part in so many of the time at least shows what others do */
#define TRANSFERS_MIN 4u /* that make a mean */

void pace_control_init(struct pace_control *control, uint32_t depth_max, uint64_t min_rate,
                       uint32_t io, uint32_t cpu)
{
    *control = (struct pace_control){
        .depth_max = depth_max,
        .min_rate = min_rate,
        .depth = depth_max,
        .lowest_ns = UINT64_MAX,
        .lowest_before_ns = UINT64_MAX,
        .until_quiet = QUIET_SOON_STEPS,
        .io = io,
        .cpu = cpu,
        .heard_io = io,
        .heard_cpu = cpu,
    };
}

static uint32_t per_mille(uint64_t part_ns, uint64_t elapsed_ns)
{
    uint64_t share = elapsed_ns > 0 ? part_ns * 1000 / elapsed_ns : 0;
    return share > 1000 ? 1000 : (uint32_t)share;
}

static uint32_t smooth(uint32_t old, uint32_t now)
{
    return (3 * old + now) / 4;
}

/* Adds what the others waited to how much that was of late: as far as we did not wait ourselves,
 * which hides it. */
static void add_others(uint32_t *others, uint64_t stall_ns, uint64_t own_ns, uint64_t elapsed_ns)
{
    uint64_t seen_ns = own_ns < elapsed_ns ? elapsed_ns - own_ns : 0;
    if (seen_ns * SEEN_PARTS < elapsed_ns)
        return;
    *others = smooth(*others, per_mille(stall_ns > own_ns ? stall_ns - own_ns : 0, seen_ns));
}

static void hear(struct pace_control *control, const struct pace_window *window)
{
    for (int i = 0; i < 2; i++) { /* there are few such windows */
        add_others(&control->heard_io, window->io_stall_ns, window->own_io_ns, window->elapsed_ns);
        add_others(&control->heard_cpu, window->cpu_stall_ns, window->own_cpu_ns,
                   window->elapsed_ns);
    }
    control->wants_quiet = false;
}

static void listen(struct pace_control *control, const struct pace_window *window)
{
    if (!window->has_pressure)
        return;
    add_others(&control->io, window->io_stall_ns, window->own_io_ns, window->elapsed_ns);
    add_others(&control->cpu, window->cpu_stall_ns, window->own_cpu_ns, window->elapsed_ns);
    if (control->until_quiet-- > 0)
        return;
    bool is_alone = control->heard_io < NEIGHBOUR && control->reason == PST_PACE_FREE;
    control->until_quiet = is_alone ? QUIET_LATE_STEPS : QUIET_SOON_STEPS;
    control->wants_quiet = true;
}

/* The peak follows what is read where no limit counts: from the page cache now, then from a disk.
 */
static void measure(struct pace_control *control, const struct pace_window *window)
{
    uint64_t rate = window->elapsed_ns > 0 ? window->bytes * NS_PER_S / window->elapsed_ns : 0;
    control->measured = control->measured == 0 ? rate : (3 * control->measured + rate) / 4;
    if (rate > control->peak)
        control->peak = rate;
    else if (!window->is_paced)
        control->peak = (control->peak + rate) / 2;
}

uint64_t pace_control_floor(const struct pace_control *control)
{
    if (control->min_rate > 0)
        return control->min_rate;
    return control->peak / 2 > FLOOR_LEAST ? control->peak / 2 : FLOOR_LEAST;
}

/* Whether reads and writes take long by now: beside the lowest of late, in several steps. */
static bool is_slow(struct pace_control *control, const struct pace_window *window)
{
    if (++control->steps > BASELINE_STEPS) {
        control->lowest_before_ns = control->lowest_ns;
        control->lowest_ns = UINT64_MAX;
        control->steps = 0;
    }
    if (window->transfers < TRANSFERS_MIN)
        return control->slow >= SLOW_STEPS;
    uint64_t mean_ns = window->transfer_ns / window->transfers;
    if (mean_ns < control->lowest_ns)
        control->lowest_ns = mean_ns;
    uint64_t lowest_ns = control->lowest_ns < control->lowest_before_ns ? control->lowest_ns
                                                                        : control->lowest_before_ns;
    uint64_t factor = window->has_pressure ? 2 : 4; /* with nothing else to go by */
    control->slow = mean_ns > factor * lowest_ns + SLACK_NS ? control->slow + 1 : 0;
    return control->slow >= SLOW_STEPS;
}

/* Slow transfers alone prove nothing: a file that is not cached is slow to read, too. */
static enum pst_pace_reason pressure_of(struct pace_control *control,
                                        const struct pace_window *window)
{
    bool slow = is_slow(control, window);
    bool has_neighbour = control->heard_io >= NEIGHBOUR;
    uint64_t time_ns = window->elapsed_ns * window->threads;
    if (slow && (has_neighbour || !window->has_pressure))
        return PST_PACE_LATENCY;
    if (has_neighbour && per_mille(window->wait_ns, time_ns) > SATURATED)
        return PST_PACE_IO;
    if (control->io > control->heard_io + HARM_IO)
        return PST_PACE_IO;
    return control->cpu > control->heard_cpu + HARM_CPU ? PST_PACE_CPU : PST_PACE_FREE;
}

/* The depth first, then the rate, by a quarter at a time. */
static void go_down(struct pace_control *control)
{
    control->calm = 0;
    if (control->hold > 0)
        return;
    control->hold = HOLD_STEPS;
    if (control->depth > PST_DEPTH_MIN) {
        uint32_t half = control->depth / 2;
        control->depth = half > PST_DEPTH_MIN ? half : PST_DEPTH_MIN;
        return;
    }
    uint64_t rate = control->bytes_per_s ? control->bytes_per_s : control->measured;
    rate -= rate / 4;
    uint64_t floor = pace_control_floor(control);
    control->bytes_per_s = rate > floor ? rate : floor;
}

/* The rate first, until it is none, by a part of the most that was seen; then the depth, where
 * nobody else uses the disk. */
static void go_up(struct pace_control *control)
{
    bool is_slower = control->bytes_per_s > 0 || control->depth < control->depth_max;
    control->reason = is_slower ? PST_PACE_EASING : PST_PACE_FREE;
    if (!is_slower || control->calm < CALM_STEPS)
        return;
    uint64_t more = control->peak / 32 > MIB ? control->peak / 32 : MIB;
    if (control->bytes_per_s > 0) {
        control->bytes_per_s += more;
        if (control->bytes_per_s > control->peak + control->peak / 4)
            control->bytes_per_s = 0;
    } else if (control->heard_io < NEIGHBOUR) {
        control->depth++;
    }
}

void pace_control_step(struct pace_control *control, const struct pace_window *window)
{
    if (window->is_quiet) {
        hear(control, window);
        return;
    }
    measure(control, window);
    listen(control, window);
    if (control->hold > 0)
        control->hold--;
    enum pst_pace_reason reason = pressure_of(control, window);
    if (reason == PST_PACE_FREE) {
        control->calm++;
        go_up(control);
        return;
    }
    control->reason = reason;
    go_down(control);
}
