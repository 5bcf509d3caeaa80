/* The decisions of --pace auto. Called by pace.c, by whichever thread's turn it is. */
#include "engine/pace/pace_control.h"

#include "engine/base/limits.h"

#define NS_PER_S UINT64_C(1000000000)
#define MIB (UINT64_C(1) << 20)
#define FLOOR_LEAST (16 * MIB)
#define FLOOR_SIXTEENTHS 9u /* of the peak: half, and what listening takes */
#define LAG_MOST 5u         /* one part in so many of a second's worth at the floor */
#define LAG_LEAST 50u       /* likewise, from which on it is behind */
#define LOOK_SOON_STEPS 3u  /* of being held, to the next look at what could be read */
#define LOOK_LATE_STEPS 48u
#define SEEN_NS (NS_PER_S / 100) /* in less nothing is measured */

#define BASELINE_STEPS 300u /* the lowest latency is that of the last 30 to 60 s */
#define SLACK_NS 500000u    /* what a latency may be above it, whatever it is */
#define SLOW_STEPS 3u       /* one slow write is no pressure */
#define CALM_STEPS 5u
#define HOLD_STEPS 2u       /* what a step down does is seen only after that */
#define QUIET_NEXT_STEPS 2u /* where the last ones differ */
#define QUIET_SOON_STEPS 20u
#define QUIET_LATE_STEPS 100u
#define NEIGHBOUR 20u    /* per mille of waiting without us, from which on somebody uses the disk */
#define HARM_IO 100u     /* per mille of waiting beyond that */
#define HARM_CPU 350u    /* likewise; our own other threads are among those that wait */
#define SATURATED 800u   /* per mille of our time that we wait for the disk */
#define DEPTH_BESIDE 4u  /* of who has a neighbour on the disk */
#define SEEN_PARTS 5u    /* one part in so many of the time at least shows what others do */
#define TRANSFERS_MIN 4u /* that make a mean */

void pace_control_init(struct pace_control *control, uint32_t depth_max, uint64_t min_rate,
                       uint32_t io, uint32_t cpu)
{
    bool was_used = io >= NEIGHBOUR && depth_max > DEPTH_BESIDE;
    *control = (struct pace_control){
        .depth_max = depth_max,
        .min_rate = min_rate,
        .depth = was_used ? DEPTH_BESIDE : depth_max,
        .reason = was_used ? PST_PACE_IO : PST_PACE_FREE,
        .is_for_neighbour = was_used,
        .is_gentle = was_used,
        .wants_quiet = was_used,
        .opens = was_used && min_rate == 0,
        .looks = was_used && min_rate == 0,
        .look_after = LOOK_SOON_STEPS,
        .quiet_first = was_used ? PACE_HEARD : 0,
        .lowest_ns = UINT64_MAX,
        .lowest_before_ns = UINT64_MAX,
        .until_quiet = io < NEIGHBOUR ? QUIET_SOON_STEPS : QUIET_NEXT_STEPS,
        .heard_io = io,
        .heard_cpu = cpu,
    };
    for (int i = 0; i < PACE_HEARD; i++) {
        control->last_io[i] = io;
        control->last_cpu[i] = cpu;
    }
}

static bool is_slower(const struct pace_control *control)
{
    return control->is_gentle || control->bytes_per_s > 0;
}

static void set_free(struct pace_control *control)
{
    control->bytes_per_s = 0;
    control->depth = control->depth_max;
    control->is_gentle = false;
    control->opens = control->looks = false;
    control->lag = 0;
    control->look_after = LOOK_SOON_STEPS;
    control->held_steps = 0;
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

/* What the others waited, per mille, as far as we did not wait ourselves, which hides it. Whether
 * that is enough of the time to go by. */
static bool see_others(uint32_t *others, uint64_t stall_ns, uint64_t own_ns, uint64_t elapsed_ns)
{
    uint64_t seen_ns = own_ns < elapsed_ns ? elapsed_ns - own_ns : 0;
    if (seen_ns * SEEN_PARTS < elapsed_ns)
        return false;
    *others = per_mille(stall_ns > own_ns ? stall_ns - own_ns : 0, seen_ns);
    return true;
}

static uint32_t median(const uint32_t of[PACE_HEARD])
{
    uint32_t low = of[0] < of[1] ? of[0] : of[1], high = of[0] < of[1] ? of[1] : of[0];
    return of[2] < low ? low : of[2] > high ? high : of[2];
}

/* Whether all of the last quiet windows had somebody who used the disk, or none had. */
static bool agree(const struct pace_control *control)
{
    int with = 0;
    for (int i = 0; i < PACE_HEARD; i++)
        with += control->last_io[i] >= NEIGHBOUR;
    return with == 0 || with == PACE_HEARD;
}

/* The median: a commit of the file system's journal, every few seconds, is no neighbour. */
static void hear(struct pace_control *control, const struct pace_window *window)
{
    uint32_t slot = control->heard % PACE_HEARD;
    if (!see_others(&control->last_io[slot], window->io_stall_ns, window->own_io_ns,
                    window->elapsed_ns))
        return;
    (void)see_others(&control->last_cpu[slot], window->cpu_stall_ns, window->own_cpu_ns,
                     window->elapsed_ns);
    control->heard++;
    control->heard_io = median(control->last_io);
    control->heard_cpu = median(control->last_cpu);
}

static uint32_t steps_until_quiet(const struct pace_control *control)
{
    bool is_old = control->heard_io >= NEIGHBOUR && control->heard < PACE_HEARD - 1;
    if (is_old || !agree(control))
        return QUIET_NEXT_STEPS;
    bool is_alone = control->heard_io < NEIGHBOUR && control->reason == PST_PACE_FREE;
    return is_alone ? QUIET_LATE_STEPS : QUIET_SOON_STEPS;
}

/* Where others used the disk of late, the first windows come before all else: whoever begins at
 * full depth beside them does the harm in its first second. */
static void end_quiet(struct pace_control *control)
{
    control->wants_quiet = control->quiet_first > 1;
    control->until_quiet = steps_until_quiet(control);
    if (control->quiet_first == 0 || --control->quiet_first > 0)
        return;
    if (control->heard < PACE_HEARD || control->heard_io >= NEIGHBOUR || !agree(control))
        return;
    set_free(control);
    control->is_for_neighbour = false;
    control->reason = PST_PACE_FREE;
}

static void listen(struct pace_control *control, const struct pace_window *window)
{
    uint32_t now;
    if (!window->has_pressure)
        return;
    bool sees = see_others(&now, window->io_stall_ns, window->own_io_ns, window->elapsed_ns);
    control->io = sees ? smooth(control->io, now) : control->heard_io;
    sees = see_others(&now, window->cpu_stall_ns, window->own_cpu_ns, window->elapsed_ns);
    control->cpu = sees ? smooth(control->cpu, now) : control->heard_cpu;
    control->wants_quiet = control->until_quiet-- == 0;
}

bool pace_control_is_held(const struct pace_control *control)
{
    return !control->opens && is_slower(control);
}

/* The peak is what is read where nothing holds it back, and never less than what is read at all.
 * What is let through first is not read yet: it fills the requests in flight. Time in which nothing
 * came counts with what is read next, for much may come at once; and a moment is no measure. */
static void measure(struct pace_control *control, const struct pace_window *window)
{
    bool is_open = !pace_control_is_held(control);
    control->was_open &= is_open;
    control->seen_ns += window->elapsed_ns;
    control->seen_bytes += window->bytes;
    if (control->seen_bytes == 0 || control->seen_ns < SEEN_NS)
        return;
    uint64_t rate = control->seen_bytes * NS_PER_S / control->seen_ns;
    control->measured = control->measured == 0 ? rate : (3 * control->measured + rate) / 4;
    control->seen_ns = control->seen_bytes = 0;
    bool fills = control->looks && is_open && !control->was_open;
    control->was_open = is_open;
    if (fills)
        return;
    control->looks = false;
    if (rate > control->peak)
        control->peak = rate;
    else if (is_open)
        control->peak = (3 * control->peak + rate) / 4;
}

/* Bytes a second below which it does not go: min_rate, or, where that is 0, half of the peak, and
 * some more. */
static uint64_t floor_of(const struct pace_control *control)
{
    if (control->min_rate > 0)
        return control->min_rate;
    uint64_t floor = control->peak / 16 * FLOOR_SIXTEENTHS;
    return floor > FLOOR_LEAST ? floor : FLOOR_LEAST;
}

/* The next look is later each time. */
static void begin_look(struct pace_control *control, bool is_due)
{
    control->looks = true;
    control->held_steps = 0;
    if (is_due && control->look_after < LOOK_LATE_STEPS)
        control->look_after *= 2;
}

/* The floor holds for what is read, whatever kept it from being read: who is behind reads as fast
 * as it goes until it is not. */
static void keep_up(struct pace_control *control, const struct pace_window *window)
{
    uint64_t floor = floor_of(control), most = floor / LAG_MOST;
    uint64_t owed = control->lag + floor / 1000 * (window->elapsed_ns / 1000) / 1000;
    owed = owed > window->bytes ? owed - window->bytes : 0;
    control->lag = owed < most ? owed : most;
    bool is_behind = control->lag > floor / LAG_LEAST;
    bool is_due = ++control->held_steps > control->look_after && control->min_rate == 0;
    if (!control->opens && (is_behind || is_due))
        begin_look(control, is_due);
    control->opens = control->looks || is_behind;
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

/* What was before us may be over: it counts once it was heard beside us. */
static bool hears_neighbour(const struct pace_control *control)
{
    return control->heard_io >= NEIGHBOUR && control->heard >= PACE_HEARD - 1;
}

/* Slow transfers alone prove nothing: a file that is not cached is slow to read, too. */
static enum pst_pace_reason pressure_of(struct pace_control *control,
                                        const struct pace_window *window)
{
    bool slow = is_slow(control, window);
    bool has_neighbour = hears_neighbour(control);
    uint64_t time_ns = window->elapsed_ns * window->threads;
    if (slow && (has_neighbour || !window->has_pressure))
        return PST_PACE_LATENCY;
    if (has_neighbour && !control->is_gentle)
        return PST_PACE_IO; /* costs hardly any of the rate */
    if (has_neighbour && per_mille(window->wait_ns, time_ns) > SATURATED)
        return PST_PACE_IO;
    if (control->io > control->heard_io + HARM_IO)
        return PST_PACE_IO;
    return control->cpu > control->heard_cpu + HARM_CPU ? PST_PACE_CPU : PST_PACE_FREE;
}

/* The depth first, at once, then the rate, by a quarter at a time. Who waits for a CPU gains
 * nothing by small requests, which take more of it. */
static void go_down(struct pace_control *control, enum pst_pace_reason reason)
{
    control->calm = 0;
    if (control->hold > 0)
        return;
    control->hold = HOLD_STEPS;
    if (reason != PST_PACE_CPU && !control->is_gentle) {
        control->is_gentle = true;
        control->depth = control->depth < DEPTH_BESIDE ? control->depth : DEPTH_BESIDE;
        return;
    }
    uint64_t rate = control->bytes_per_s ? control->bytes_per_s : control->measured;
    rate -= rate / 4;
    uint64_t floor = floor_of(control);
    control->bytes_per_s = rate > floor ? rate : floor;
}

/* The rate first, until it is none, by a part of the most that was seen; then the depth, where
 * nobody else uses the disk. Who was held back for a neighbour who is gone is free at once. */
static void go_up(struct pace_control *control)
{
    if (control->is_for_neighbour && control->heard_io < NEIGHBOUR && agree(control))
        set_free(control);
    control->reason = is_slower(control) ? PST_PACE_EASING : PST_PACE_FREE;
    if (!is_slower(control) || control->calm < CALM_STEPS)
        return;
    uint64_t more = control->peak / 32 > MIB ? control->peak / 32 : MIB;
    if (control->bytes_per_s > 0) {
        control->bytes_per_s += more;
        if (control->bytes_per_s > control->peak + control->peak / 4)
            control->bytes_per_s = 0;
    } else if (control->heard_io < NEIGHBOUR) {
        set_free(control);
    }
}

/* What others do beside us, and what follows from it. */
static void judge(struct pace_control *control, const struct pace_window *window)
{
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
    control->is_for_neighbour = reason != PST_PACE_CPU && hears_neighbour(control);
    go_down(control, reason);
}

void pace_control_step(struct pace_control *control, const struct pace_window *window)
{
    if (window->is_quiet) {
        hear(control, window);
        end_quiet(control);
    } else {
        measure(control, window);
        if (!control->opens)
            judge(control, window);
        if (is_slower(control))
            keep_up(control, window);
    }
}
