/* The budget that threads share, and whose turn it is to decide about it. Called by LDMs, by the
 * threads of a verify or restore, and by whoever sets or shows the pace. */
#include "engine/pace/pace.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

#define NS_PER_S UINT64_C(1000000000)
#define BURST_NS (NS_PER_S / 10)
#define STEP_NS (NS_PER_S / 10)
#define QUIET_NS (NS_PER_S / 20)
#define QUIET_FIRST_NS (NS_PER_S / 100) /* before it begins; three of these are shorter */
#define OPEN_NS (NS_PER_S / 50)
#define SLEEP_NS_MAX (NS_PER_S / 10) /* of who cannot be woken */
#define PAUSE_NS NS_PER_S            /* without a step: nothing was read meanwhile */

/* A piece takes 1/16 s at the rate, so that all threads soon have their turn, and a backup is seen
 * to go on. */
#define PIECES_PER_S 16u
#define PIECE_BYTES_MIN (64u << 10)
#define PIECE_BYTES_MAX (1u << 20)

#define RELAXED memory_order_relaxed

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, RELAXED);
}

static uint32_t get_small(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, RELAXED);
}

static void put(_Atomic uint64_t *value, uint64_t now)
{
    atomic_store_explicit(value, now, RELAXED);
}

static void put_small(_Atomic uint32_t *value, uint32_t now)
{
    atomic_store_explicit(value, now, RELAXED);
}

/* ---- the setting ---- */

static void publish(struct pst_pace *pace, uint64_t bytes_per_s, uint32_t depth,
                    enum pst_io_priority priority, enum pst_pace_reason reason)
{
    uint64_t lowest = get(&pace->lowest_bytes_per_s);
    if (bytes_per_s > 0 && (lowest == 0 || bytes_per_s < lowest))
        put(&pace->lowest_bytes_per_s, bytes_per_s);
    put(&pace->bytes_per_s, bytes_per_s);
    put_small(&pace->depth, depth);
    put_small(&pace->priority, priority);
    put_small(&pace->reason, reason);
}

static void apply(struct pst_pace *pace, const struct pst_pace_setting *setting)
{
    bool is_rate = setting->mode == PST_PACE_RATE;
    put_small(&pace->mode, setting->mode);
    put_small(&pace->is_gentle, is_rate);
    put(&pace->wanted, setting->bytes_per_s);
    put(&pace->min_rate, setting->min_rate);
    publish(pace, is_rate ? setting->bytes_per_s : 0, UINT32_MAX,
            setting->mode == PST_PACE_MAX ? PST_IO_PRIORITY_USUAL : PST_IO_PRIORITY_LOW,
            is_rate ? PST_PACE_SET : PST_PACE_FREE);
    put(&pace->step_at_ns, 0);
    atomic_fetch_add_explicit(&pace->version, 1, memory_order_release);
    atomic_store_explicit(&pace->line_ns, pst_monotonic_ns(), memory_order_release);
}

/* ---- what its threads note ---- */

static struct pace_tally of_all; /* of paces for which there was no memory */

static void tallies_open(struct pst_pace *pace)
{
    size_t bytes = PACE_TALLIES * sizeof(*pace->tallies);
    pace->tallies = aligned_alloc(_Alignof(struct pace_tally), bytes);
    pace->tallies_count = pace->tallies ? PACE_TALLIES : 1;
    if (pace->tallies)
        memset(pace->tallies, 0, bytes);
    else
        pace->tallies = &of_all;
}

static void tallies_close(struct pst_pace *pace)
{
    if (pace->tallies != &of_all)
        free(pace->tallies);
}

static struct pace_tally *tally_of_next(struct pst_pace *pace)
{
    uint32_t number = atomic_fetch_add_explicit(&pace->shares, 1, RELAXED);
    return &pace->tallies[number % pace->tallies_count];
}

static struct pace_sums sums_of(const struct pst_pace *pace)
{
    struct pace_sums sums = {0};
    uint32_t shares = get_small(&pace->shares);
    for (uint32_t i = 0; i < shares && i < pace->tallies_count; i++) {
        const struct pace_tally *tally = &pace->tallies[i];
        sums.bytes += get(&tally->bytes);
        sums.wait_ns += get(&tally->wait_ns);
        sums.transfers += get(&tally->transfers);
        sums.transfer_ns += get(&tally->transfer_ns);
        sums.steps += get(&tally->steps);
    }
    return sums;
}

static void note(_Atomic uint64_t *sum, uint64_t more)
{
    atomic_fetch_add_explicit(sum, more, RELAXED);
}

void pst_pace_init(struct pst_pace *pace, const struct pst_pace_setting *setting, uint32_t depth)
{
    *pace = (struct pst_pace){.depth_max = depth};
    tallies_open(pace);
    pressure_open(&pace->pressure);
    pace->host = host_page_open();
    apply(pace, setting);
}

void pst_pace_release(struct pst_pace *pace)
{
    pressure_close(&pace->pressure);
    host_page_close(pace->host);
    tallies_close(pace);
}

static bool take_turn(struct pst_pace *pace)
{
    return !atomic_exchange_explicit(&pace->is_stepping, true, memory_order_acquire);
}

static void end_turn(struct pst_pace *pace)
{
    atomic_store_explicit(&pace->is_stepping, false, memory_order_release);
}

/* It waits for a step that is being made; nobody waits for it. */
void pst_pace_set(struct pst_pace *pace, const struct pst_pace_setting *setting)
{
    while (!take_turn(pace))
        sched_yield();
    apply(pace, setting);
    end_turn(pace);
}

void pst_pace_status(struct pst_pace *pace, struct pst_pace_status *status)
{
    *status = (struct pst_pace_status){
        .setting = {.mode = (enum pst_pace_mode)get_small(&pace->mode),
                    .bytes_per_s = get(&pace->wanted),
                    .min_rate = get(&pace->min_rate)},
        .bytes_per_s = get(&pace->bytes_per_s),
        .depth =
            get_small(&pace->depth) < pace->depth_max ? get_small(&pace->depth) : pace->depth_max,
        .reason = (enum pst_pace_reason)get_small(&pace->reason),
        .lowest_bytes_per_s = get(&pace->lowest_bytes_per_s),
    };
    for (uint32_t i = 0; i < PST_PACE_REASONS; i++)
        status->held_ns[i] = get(&pace->held_ns[i]);
}

const char *pst_pace_reason_text(enum pst_pace_reason reason)
{
    static const char *const texts[] = {
        [PST_PACE_FREE] = "none", [PST_PACE_SET] = "set", [PST_PACE_LATENCY] = "latency",
        [PST_PACE_IO] = "io",     [PST_PACE_CPU] = "cpu", [PST_PACE_EASING] = "easing",
    };
    return texts[reason];
}

/* ---- the budget ---- */

void pst_pace_share_open(struct pst_pace_share *share, struct pst_pace *pace)
{
    *share = (struct pst_pace_share){.pace = pace, .schedstat_fd = -1};
    if (!pace)
        return;
    share->tally = tally_of_next(pace);
    share->host = host_page_sums(pace->host);
    share->schedstat_fd = pressure_open_thread();
    share->cpu_waited_ns = pressure_waited_ns(share->schedstat_fd);
    share->version = get_small(&pace->version);
}

void pst_pace_share_close(struct pst_pace_share *share)
{
    pressure_close_thread(share->schedstat_fd);
    *share = (struct pst_pace_share){.schedstat_fd = -1};
}

static bool is_auto(const struct pst_pace_share *share)
{
    return share->pace && get_small(&share->pace->mode) == PST_PACE_AUTO;
}

/* Of the rate; with none, which may come at any time, the least. */
static uint32_t piece_of(uint64_t bytes_per_s)
{
    uint64_t bytes = bytes_per_s / PIECES_PER_S;
    if (bytes < PIECE_BYTES_MIN)
        return PIECE_BYTES_MIN;
    return bytes < PIECE_BYTES_MAX ? (uint32_t)bytes : PIECE_BYTES_MAX;
}

/* How long they take at the rate, rounded up: it is never exceeded. */
static uint64_t length_ns(uint64_t bytes, uint64_t bytes_per_s)
{
    return (bytes * NS_PER_S + bytes_per_s - 1) / bytes_per_s;
}

/* Takes the next stretch of the line, for what is owed and for a piece, which may be read once that
 * is paid. Budget that nobody took is kept for a moment only. Who sets another rate moves the line,
 * so no stretch of the old rate is taken from it then. */
static void reserve(struct pst_pace_share *share, uint64_t now_ns)
{
    struct pst_pace *pace = share->pace;
    uint64_t line_ns = atomic_load_explicit(&pace->line_ns, memory_order_acquire);
    uint64_t owed = (uint64_t)-share->credit_bytes;
    uint64_t bytes_per_s, begin_ns, end_ns;
    do {
        bytes_per_s = get(&pace->bytes_per_s);
        if (bytes_per_s == 0)
            return;
        begin_ns = line_ns + BURST_NS > now_ns ? line_ns : now_ns - BURST_NS;
        begin_ns += length_ns(owed, bytes_per_s);
        end_ns = begin_ns + length_ns(piece_of(bytes_per_s), bytes_per_s);
    } while (!atomic_compare_exchange_weak_explicit(&pace->line_ns, &line_ns, end_ns,
                                                    memory_order_acq_rel, memory_order_acquire));
    share->credit_bytes = piece_of(bytes_per_s);
    share->due_ns = begin_ns;
}

/* What was reserved at another pace is void. */
static void follow(struct pst_pace_share *share)
{
    uint32_t version = atomic_load_explicit(&share->pace->version, memory_order_acquire);
    if (version == share->version)
        return;
    share->version = version;
    share->credit_bytes = 0;
    share->due_ns = 0;
}

/* For how long all who keep `auto` here are silent yet. What is too long, nobody of them wrote. */
static uint64_t silence_ns(const struct pst_pace *pace, uint64_t now_ns)
{
    uint64_t until_ns = get(&pace->host->quiet_until_ns);
    return until_ns > now_ns && until_ns - now_ns <= QUIET_NS ? until_ns - now_ns : 0;
}

static uint32_t room_at(struct pst_pace_share *share, uint64_t now_ns)
{
    const struct pst_pace *pace = share->pace;
    bool is_auto = get_small(&pace->mode) == PST_PACE_AUTO;
    uint64_t quiet_until_ns = now_ns + (is_auto ? silence_ns(pace, now_ns) : 0);
    if (share->credit_bytes <= 0)
        reserve(share, now_ns);
    uint64_t bytes_per_s = get(&pace->bytes_per_s);
    uint64_t due_ns = bytes_per_s > 0 ? share->due_ns : 0;
    due_ns = quiet_until_ns > due_ns ? quiet_until_ns : due_ns;
    if (due_ns > now_ns) {
        share->wait_ns = due_ns;
        return 0;
    }
    share->due_ns = 0;
    if (bytes_per_s > 0)
        return piece_of(bytes_per_s);
    share->credit_bytes = 0;
    return UINT32_MAX;
}

static uint32_t room_of(struct pst_pace_share *share)
{
    struct pst_pace *pace = share->pace;
    bool may_be_quiet = get_small(&pace->mode) == PST_PACE_AUTO;
    follow(share);
    if (get(&pace->bytes_per_s) == 0 && !may_be_quiet) {
        share->credit_bytes = 0;
        share->due_ns = 0;
        return UINT32_MAX;
    }
    if (share->credit_bytes > 0 && share->due_ns == 0 && !may_be_quiet)
        return piece_of(get(&pace->bytes_per_s));
    return room_at(share, pst_monotonic_ns());
}

uint32_t pst_pace_room(struct pst_pace_share *share, uint32_t wanted)
{
    uint32_t room = share && share->pace ? room_of(share) : UINT32_MAX;
    return wanted < room ? wanted : room;
}

/* Whoever reads first in a step is counted. */
static void take_part(struct pst_pace_share *share)
{
    uint32_t step = get_small(&share->pace->step);
    if (share->step == step + 1)
        return;
    share->step = step + 1;
    note(&share->tally->steps, 1);
}

void pst_pace_spend(struct pst_pace_share *share, uint64_t bytes)
{
    struct pst_pace *pace = share ? share->pace : NULL;
    if (!pace || get_small(&pace->mode) == PST_PACE_MAX)
        return;
    uint64_t counted = bytes > PST_BLOCK_BYTES ? bytes : PST_BLOCK_BYTES;
    if (get(&pace->bytes_per_s) > 0)
        share->credit_bytes -= (int64_t)counted;
    if (get_small(&pace->mode) != PST_PACE_AUTO)
        return;
    note(&share->tally->bytes, counted);
    take_part(share);
}

uint32_t pst_pace_take(struct pst_pace_share *share, uint32_t wanted)
{
    uint32_t bytes = pst_pace_room(share, wanted);
    if (bytes > 0)
        pst_pace_spend(share, bytes);
    return bytes;
}

/* A silence is several windows, and each is to end in time. */
int64_t pst_pace_sleep_ns(const struct pst_pace_share *share, uint64_t now_ns)
{
    uint64_t step_ns = get(&share->pace->step_at_ns), until_ns = share->wait_ns;
    if (is_auto(share) && step_ns > now_ns && step_ns < until_ns)
        until_ns = step_ns;
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    return (int64_t)(left_ns < SLEEP_NS_MAX ? left_ns : SLEEP_NS_MAX);
}

uint32_t pst_pace_depth(const struct pst_pace_share *share)
{
    return share && share->pace ? get_small(&share->pace->depth) : UINT32_MAX;
}

enum pst_io_priority pace_priority(const struct pst_pace_share *share)
{
    return share->pace ? (enum pst_io_priority)get_small(&share->pace->priority)
                       : PST_IO_PRIORITY_USUAL;
}

bool pace_is_gentle(const struct pst_pace_share *share)
{
    return share->pace && get_small(&share->pace->is_gentle);
}

/* ---- what auto goes by ---- */

void pst_pace_note_wait(struct pst_pace_share *share, uint64_t wait_ns)
{
    if (is_auto(share))
        note(&share->tally->wait_ns, wait_ns);
}

void pace_note_transfers(struct pst_pace_share *share, uint64_t count, uint64_t ns)
{
    if (count == 0 || !is_auto(share))
        return;
    note(&share->tally->transfers, count);
    note(&share->tally->transfer_ns, ns);
}

void pst_pace_note_io(struct pst_pace_share *share, uint64_t busy_ns)
{
    if (busy_ns > 0 && is_auto(share))
        note(&share->host->io_ns, busy_ns);
}

static uint64_t grown(uint64_t now, uint64_t *before)
{
    uint64_t more = now - *before;
    *before = now;
    return more;
}

static void fill(struct pst_pace *pace, const struct pressure_sample *now, uint64_t now_ns,
                 struct pace_window *window)
{
    const struct pace_sums sums = sums_of(pace), before = pace->before_sums;
    uint64_t io_ns, cpu_ns;
    host_page_total(pace->host, &io_ns, &cpu_ns);
    pace->before_sums = sums;
    *window = (struct pace_window){
        .elapsed_ns = now_ns - pace->before_ns,
        .bytes = sums.bytes - before.bytes,
        .threads = (uint32_t)(sums.steps - before.steps),
        .wait_ns = sums.wait_ns - before.wait_ns,
        .own_io_ns = grown(io_ns, &pace->host_io_ns),
        .own_cpu_ns = grown(cpu_ns, &pace->host_cpu_ns),
        .transfers = (uint32_t)(sums.transfers - before.transfers),
        .transfer_ns = sums.transfer_ns - before.transfer_ns,
        .has_pressure = now->is_known && pace->before.is_known,
        .is_quiet = pace->was_quiet,
    };
    if (window->has_pressure) {
        window->io_stall_ns = now->io_ns - pace->before.io_ns;
        window->cpu_stall_ns = now->cpu_ns - pace->before.cpu_ns;
    }
    atomic_fetch_add_explicit(&pace->step, 1, RELAXED);
}

/* Whoever wants to hear others makes all silent, and all listen then. */
static void begin_window(struct pst_pace *pace, uint64_t now_ns)
{
    uint32_t first = pace->control.quiet_first;
    uint64_t quiet_ns = first > 0 ? QUIET_FIRST_NS : QUIET_NS, left_ns = silence_ns(pace, now_ns);
    if (pace->control.wants_quiet && left_ns == 0 && !pace->is_beginning) {
        left_ns = first > 0 ? first * QUIET_FIRST_NS : QUIET_NS;
        put(&pace->host->quiet_until_ns, now_ns + left_ns);
    }
    pace->was_quiet = left_ns > 0;
    uint64_t step_ns = pace->is_beginning    ? QUIET_FIRST_NS
                       : pace->control.opens ? OPEN_NS
                                             : STEP_NS;
    uint64_t window_ns = !pace->was_quiet ? step_ns : left_ns < quiet_ns ? left_ns : quiet_ns;
    put(&pace->step_at_ns, now_ns + window_ns);
}

/* Who is to listen first reads for a moment before that, by small requests: a job that is over by
 * then has listened for nothing. */
static void begin(struct pst_pace *pace, const struct pressure_sample *now, uint64_t now_ns)
{
    pace->was_quiet = false;
    pace->control_version = get_small(&pace->version);
    pace_control_init(&pace->control, pace->depth_max, get(&pace->min_rate), now->io_per_mille,
                      now->cpu_per_mille);
    pace->is_beginning = pace->control.wants_quiet && silence_ns(pace, now_ns) == 0;
}

static void step(struct pst_pace *pace, const struct pace_window *window)
{
    bool was_held = pace_control_is_held(&pace->control);
    enum pst_pace_reason reason = was_held ? pace->control.reason : PST_PACE_FREE;
    atomic_fetch_add_explicit(&pace->held_ns[reason], window->elapsed_ns, RELAXED);
    pace_control_step(&pace->control, window);
}

/* Whose turn it is. */
static void decide(struct pst_pace *pace, uint64_t now_ns)
{
    struct pressure_sample now;
    struct pace_window window;
    pressure_read(&pace->pressure, &now);
    fill(pace, &now, now_ns, &window);
    bool begins = pace->before_ns == 0 || window.elapsed_ns > PAUSE_NS ||
                  pace->control_version != get_small(&pace->version);
    pace->before = now;
    pace->before_ns = now_ns;
    if (begins)
        begin(pace, &now, now_ns);
    else if (pace->is_beginning)
        pace->is_beginning = false;
    else
        step(pace, &window);
    bool is_held = pace->is_beginning || pace_control_is_held(&pace->control);
    publish(pace, is_held ? pace->control.bytes_per_s : 0,
            is_held ? pace->control.depth : pace->depth_max, PST_IO_PRIORITY_LOW,
            pace->control.reason);
    put_small(&pace->is_gentle, is_held && pace->control.is_gentle);
    begin_window(pace, now_ns);
}

/* Once in a step. */
static void note_cpu(struct pst_pace_share *share)
{
    uint32_t step = get_small(&share->pace->step);
    if (share->noted_step == step + 1)
        return;
    share->noted_step = step + 1;
    uint64_t waited_ns = pressure_waited_ns(share->schedstat_fd);
    if (waited_ns > share->cpu_waited_ns)
        note(&share->host->cpu_ns, waited_ns - share->cpu_waited_ns);
    share->cpu_waited_ns = waited_ns;
}

/* Another has called for silence: what was read until then is a window of its own. */
static bool is_joining(struct pst_pace *pace, uint64_t now_ns)
{
    return silence_ns(pace, now_ns) > 0 && !pace->was_quiet;
}

uint64_t pace_tick(struct pst_pace_share *share, uint64_t now_ns)
{
    struct pst_pace *pace = share->pace;
    if (!is_auto(share))
        return UINT64_MAX;
    note_cpu(share);
    if (now_ns < get(&pace->step_at_ns) && !is_joining(pace, now_ns))
        return get(&pace->step_at_ns);
    if (!take_turn(pace))
        return now_ns + STEP_NS;
    if (is_auto(share) && (now_ns >= get(&pace->step_at_ns) || is_joining(pace, now_ns)))
        decide(pace, now_ns);
    end_turn(pace);
    return get(&pace->step_at_ns);
}
