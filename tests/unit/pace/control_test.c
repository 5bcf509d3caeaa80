/* --pace auto against a model of a disk that others use too: what is held back, when, and how far.
 */
#include "engine/base/limits.h"
#include "engine/pace/pace_control.h"
#include "tests/suite.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)
#define DEPTH 8u
#define BESIDE 4u   /* the depth beside others */
#define OPEN_MS 20u /* a window in which nothing holds it back, while it is held back */
#define FLOOR (16 * MIB)
#define DISK (400 * MIB) /* bytes a second */

static struct pace_control control;

/* Who else there is, and how the disk does. */
static struct world {
    uint32_t io, cpu;       /* per mille that others wait without us */
    uint32_t harm_per_disk; /* per mille that they wait longer when we take all of the disk */
    uint32_t harm_cpu;      /* likewise, of a CPU, at our full rate */
    uint32_t gentle;        /* per mille of the disk that small requests at a small depth get */
    uint64_t latency_ns;    /* of our reads and writes */
    uint64_t ns, bytes;     /* so far: that have gone by, and that we read */
    uint64_t open_ns;       /* of these */
    uint64_t gust, pending; /* bytes that are read at once; those that are not yet */
    bool is_stuck, is_cached;
    bool has_pressure;
    uint32_t quiet; /* windows so far */
} world;

static void begin_above(uint64_t min_rate, uint32_t io, uint32_t cpu)
{
    world = (struct world){
        .io = io, .cpu = cpu, .gentle = 1000, .latency_ns = 2 * MS, .has_pressure = true};
    pace_control_init(&control, DEPTH, min_rate, io, cpu);
}

static void begin(uint32_t io, uint32_t cpu)
{
    begin_above(FLOOR, io, cpu);
}

static uint64_t rate_now(void)
{
    if (world.is_stuck)
        return 0;
    uint64_t most = world.is_cached ? 10 * DISK : DISK;
    if (control.opens)
        return most;
    if (control.is_gentle)
        most = most / 1000 * world.gentle;
    return control.bytes_per_s > 0 && control.bytes_per_s < most ? control.bytes_per_s : most;
}

static void fill_pressure(struct pace_window *window, uint64_t rate)
{
    uint64_t io = world.io + world.harm_per_disk * rate / DISK;
    uint64_t cpu = world.cpu + world.harm_cpu * rate / DISK;
    window->has_pressure = world.has_pressure;
    io = io < 1000 ? io : 1000;
    window->io_stall_ns = window->own_io_ns + (window->elapsed_ns - window->own_io_ns) / 1000 * io;
    window->cpu_stall_ns = window->elapsed_ns / 1000 * (cpu < 1000 ? cpu : 1000);
}

static void step(void)
{
    struct pace_window window = {.elapsed_ns = 100 * MS, .threads = 1};
    if (control.wants_quiet) {
        window = (struct pace_window){.elapsed_ns = 50 * MS, .is_quiet = true};
        fill_pressure(&window, 0);
        world.quiet++;
    } else {
        uint64_t rate = rate_now();
        if (control.opens)
            window.elapsed_ns = OPEN_MS * MS;
        world.open_ns += control.opens ? window.elapsed_ns : 0;
        world.pending += rate / 1000 * (window.elapsed_ns / MS);
        window.bytes = world.pending >= world.gust ? world.pending : 0;
        world.pending -= window.bytes;
        window.wait_ns = world.is_stuck ? window.elapsed_ns : window.elapsed_ns * rate / DISK;
        if (world.is_cached)
            window.wait_ns = 0;
        window.own_io_ns = window.wait_ns;
        window.transfers = (uint32_t)(window.bytes / MIB);
        window.transfer_ns = window.transfers * world.latency_ns;
        fill_pressure(&window, rate);
    }
    world.ns += window.elapsed_ns;
    world.bytes += window.bytes;
    pace_control_step(&control, &window);
    CU_ASSERT_TRUE(control.depth >= PST_DEPTH_MIN && control.depth <= DEPTH);
    CU_ASSERT_TRUE(control.bytes_per_s == 0 || control.bytes_per_s >= FLOOR);
}

static void steps(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        step();
}

static bool is_free(void)
{
    return control.depth == DEPTH && control.bytes_per_s == 0 && !control.is_gentle &&
           !control.opens;
}

/* Reads out of the page cache, then from the disk, by turns: nobody else is there. */
static void alone_it_is_never_held_back(void)
{
    begin(0, 0);
    for (uint32_t i = 0; i < 6000; i++) {
        world.latency_ns = i / 50 % 2 ? 20000 : 30 * MS;
        step();
        CU_ASSERT_TRUE(is_free());
    }
    CU_ASSERT_TRUE(world.quiet > 0 && world.quiet < 6000 / 50); /* of half the length: 1 % */
}

/* A disk that is full all the time hides what others wait for: that is heard in quiet windows. */
static void a_neighbour_is_given_way_in_depth_first(void)
{
    bool was_shallow = false;
    begin(0, 0);
    steps(50);
    CU_ASSERT_TRUE(is_free());
    world.io = 50;
    world.harm_per_disk = 400;
    for (uint32_t i = 0; i < 300; i++) {
        step();
        CU_ASSERT_TRUE(control.bytes_per_s == 0 || was_shallow);
        was_shallow |= control.depth == BESIDE;
    }
    CU_ASSERT_TRUE(was_shallow);
    CU_ASSERT_TRUE(control.bytes_per_s > 0 && control.bytes_per_s < DISK);
    CU_ASSERT_TRUE(control.reason == PST_PACE_IO || control.reason == PST_PACE_EASING);
    CU_ASSERT_TRUE(control.bytes_per_s > DISK / 10); /* not to the floor: the harm is limited */
}

static void it_recovers_when_the_neighbour_goes(void)
{
    a_neighbour_is_given_way_in_depth_first();
    world.io = world.harm_per_disk = 0;
    uint32_t count = 0;
    for (; !is_free() && count < 1000; count++)
        step();
    CU_ASSERT_TRUE(count < 300); /* 30 s */
    step();
    CU_ASSERT_EQUAL(control.reason, PST_PACE_FREE);
}

/* The pressure of the last 10 s is of who was there then: the backup before us, for one. So it
 * listens before it begins. */
static void it_hears_soon_whether_others_are_still_there(void)
{
    begin(600, 0);
    world.harm_per_disk = 300;
    for (uint32_t i = 0; i < 12; i++) {
        CU_ASSERT_TRUE(control.depth <= 4);
        CU_ASSERT_NOT_EQUAL(control.reason, PST_PACE_FREE);
        CU_ASSERT_TRUE(control.wants_quiet || i >= PACE_HEARD);
        step();
    }
    CU_ASSERT_EQUAL(control.reason, PST_PACE_IO);
    begin(600, 0);
    world.io = 0;
    steps(PACE_HEARD);
    CU_ASSERT_TRUE(is_free());
    for (uint32_t i = 0; i < 100; i++) {
        step();
        CU_ASSERT_TRUE(is_free());
    }
    CU_ASSERT_TRUE(world.quiet >= 2 && world.quiet <= 5);
}

/* At a small depth it does not listen first. */
static void who_was_there_before_is_no_neighbour(void)
{
    begin(600, 0);
    pace_control_init(&control, 4, FLOOR, 600, 0);
    world.io = 0;
    for (uint32_t i = 0; i < 100; i++) {
        step();
        CU_ASSERT_EQUAL(control.reason, PST_PACE_FREE);
        CU_ASSERT_EQUAL(control.depth, 4);
    }
}

/* As a journal's commit is heard, once in a while. */
static void one_window_with_others_is_no_neighbour(void)
{
    begin(0, 0);
    world.harm_per_disk = 300;
    for (uint32_t i = 0; i < 6000; i++) {
        world.io = world.quiet % 3 == 1 ? 400 : 0;
        step();
        CU_ASSERT_TRUE(is_free());
    }
    CU_ASSERT_TRUE(world.quiet > 30);
}

/* Once it is full all the time, a disk shows nothing of others: what was seen before does not last.
 */
static void what_is_not_seen_any_more_is_forgotten(void)
{
    begin(0, 0);
    struct pace_window window = {.elapsed_ns = 100 * MS,
                                 .threads = 1,
                                 .bytes = 20 * MIB,
                                 .has_pressure = true,
                                 .io_stall_ns = 60 * MS};
    pace_control_step(&control, &window);
    window.own_io_ns = window.io_stall_ns = 100 * MS;
    for (uint32_t i = 0; i < 30; i++)
        pace_control_step(&control, &window);
    CU_ASSERT_TRUE(is_free());
}

static void hear_others(uint32_t io)
{
    for (uint32_t i = 0; i < PACE_HEARD; i++) {
        struct pace_window window = {.elapsed_ns = 50 * MS,
                                     .is_quiet = true,
                                     .has_pressure = true,
                                     .io_stall_ns = 50 * MS * io / 1000};
        pace_control_step(&control, &window);
    }
}

/* Whoever else uses the disk: a small depth costs little of the rate. */
static void a_neighbour_makes_it_shallow_before_any_harm(void)
{
    begin(0, 0);
    hear_others(30);
    struct pace_window window = {
        .elapsed_ns = 100 * MS, .threads = 1, .bytes = 20 * MIB, .has_pressure = true};
    pace_control_step(&control, &window);
    CU_ASSERT_EQUAL(control.depth, 4);
    for (uint32_t i = 0; i < 10; i++)
        pace_control_step(&control, &window);
    CU_ASSERT_EQUAL(control.depth, 4);
    CU_ASSERT_EQUAL(control.bytes_per_s, 0);
}

static void a_spike_is_no_pressure(void)
{
    begin(0, 0);
    hear_others(30);
    for (uint32_t i = 0; i < 100; i++) {
        /* half the disk is enough for us */
        struct pace_window window = {.elapsed_ns = 100 * MS,
                                     .threads = 1,
                                     .bytes = 20 * MIB,
                                     .wait_ns = 50 * MS,
                                     .own_io_ns = 50 * MS,
                                     .transfers = 20,
                                     .has_pressure = true,
                                     .io_stall_ns = 53 * MS};
        window.transfer_ns = 20 * (i % 10 < 2 ? 50 * MS : MS);
        control.wants_quiet = false;
        pace_control_step(&control, &window);
        CU_ASSERT_TRUE(control.depth == 4 && control.bytes_per_s == 0);
    }
}

static void lasting_slowness_beside_a_neighbour_is(void)
{
    begin(0, 0);
    hear_others(30);
    for (uint32_t i = 0; i < 20; i++) {
        struct pace_window window = {.elapsed_ns = 100 * MS,
                                     .threads = 1,
                                     .bytes = 20 * MIB,
                                     .wait_ns = 50 * MS,
                                     .own_io_ns = 50 * MS,
                                     .transfers = 20,
                                     .transfer_ns = 20 * (i < 5 ? MS : 9 * MS),
                                     .has_pressure = true,
                                     .io_stall_ns = 53 * MS};
        pace_control_step(&control, &window);
    }
    CU_ASSERT_EQUAL(control.reason, PST_PACE_LATENCY);
    CU_ASSERT_EQUAL(control.depth, BESIDE);
    CU_ASSERT_TRUE(control.bytes_per_s > 0);
}

/* Whatever the pressure: it gets no slower than that, and gets there. */
static void the_floor_holds(void)
{
    begin(300, 0);
    world.harm_cpu = 0;
    world.cpu = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        world.harm_per_disk = 100000; /* at any rate */
        step();
    }
    CU_ASSERT_EQUAL(control.bytes_per_s, FLOOR);
    CU_ASSERT_EQUAL(control.depth, BESIDE);
}

/* Where none is set: a backup takes twice as long at the most, and what came from the page cache
 * before does not count. */
static void half_of_its_own_rate_is_a_floor(void)
{
    begin_above(0, 300, 0);
    world.is_cached = true;
    steps(30);
    world.is_cached = false;
    world.harm_per_disk = 100000;
    steps(1000);
    CU_ASSERT_TRUE(control.bytes_per_s >= DISK / 2);
    CU_ASSERT_TRUE(control.bytes_per_s <= DISK / 2 + DISK / 5);
}

/* Small requests at a small depth get a tenth of what the disk gives, and everything we do hurts:
 * still it takes no more than twice as long as without a limit. */
static void who_gets_little_catches_up(void)
{
    begin_above(0, 300, 0);
    world.harm_per_disk = 100000;
    world.gentle = 100;
    for (uint32_t i = 0; i < 100; i++) {
        steps(10);
        CU_ASSERT_TRUE(world.bytes >= DISK / 1000 * (world.ns / MS) / 2 - DISK / 10);
    }
    CU_ASSERT_TRUE(control.peak > DISK - DISK / 10);
}

/* What fills the requests in flight is no rate. */
static void what_could_be_read_is_looked_at_first(void)
{
    begin_above(0, 300, 0);
    steps(PACE_HEARD);
    CU_ASSERT_TRUE(control.opens);
    struct pace_window window = {.elapsed_ns = 90 * MS, .bytes = 100 * MIB, .threads = 1};
    pace_control_step(&control, &window);
    CU_ASSERT_TRUE(control.opens);
    CU_ASSERT_EQUAL(control.peak, 0);
    window.elapsed_ns = 20 * MS;
    window.bytes = 8 * MIB;
    pace_control_step(&control, &window);
    CU_ASSERT_EQUAL(control.peak, DISK);
    CU_ASSERT_EQUAL(control.depth, BESIDE);
    CU_ASSERT_TRUE(pace_control_is_held(&control));
}

/* After what comes slowly, as small files do: at a limit it would never be seen. */
static void what_could_be_read_is_looked_at_again(void)
{
    begin_above(0, 300, 0);
    world.harm_per_disk = 100000;
    steps(300);
    world.is_cached = true;
    steps(60);
    CU_ASSERT_TRUE(control.peak > 2 * DISK);
    uint64_t ns = world.ns, bytes = world.bytes;
    steps(1000);
    uint64_t rate = (world.bytes - bytes) / ((world.ns - ns) / MS) * 1000;
    CU_ASSERT_TRUE(rate > 5 * DISK && rate < 8 * DISK);
}

/* Large chunks, or a disk that serves others meanwhile: what could be read is no more for that, or
 * it were never held back again. */
static void who_reads_in_gusts_is_held_back(void)
{
    begin_above(0, 300, 0);
    world.harm_per_disk = 100000;
    world.gust = DISK / 1000 * 3 * OPEN_MS;
    steps(1000);
    CU_ASSERT_TRUE(control.peak >= DISK - DISK / 10 && control.peak <= DISK + DISK / 10);
    CU_ASSERT_TRUE(world.bytes >= DISK / 1000 * (world.ns / MS) / 2);
    CU_ASSERT_TRUE(world.open_ns < world.ns / 2);
}

/* As where another calls for silence right after a step. */
static void a_moment_shows_nothing(void)
{
    begin_above(0, 300, 0);
    steps(100);
    const struct pace_window window = {.elapsed_ns = MS / 10, .bytes = MIB, .threads = 1};
    uint64_t peak = control.peak;
    pace_control_step(&control, &window);
    CU_ASSERT_TRUE(control.peak <= peak);
}

/* Its requests are large, however few they are. */
static void a_small_depth_alone_is_not_gentle(void)
{
    world = (struct world){.io = 300, .gentle = 1000, .is_cached = true, .has_pressure = true};
    pace_control_init(&control, BESIDE, FLOOR, 300, 0);
    steps(100);
    CU_ASSERT_TRUE(control.is_gentle);
    CU_ASSERT_EQUAL(control.depth, BESIDE);
}

static void a_stuck_disk_is_outlived(void)
{
    begin(0, 0);
    steps(50);
    world.is_stuck = true;
    world.io = 200;
    steps(600);
    CU_ASSERT_TRUE(control.bytes_per_s == 0 || control.bytes_per_s >= FLOOR);
    world.is_stuck = false;
    world.io = 0;
    steps(600);
    CU_ASSERT_TRUE(is_free());
}

static void who_takes_the_cpu_of_others_gives_way(void)
{
    begin(0, 100);
    world.harm_cpu = 800;
    steps(100);
    CU_ASSERT_TRUE(control.bytes_per_s > 0);
    CU_ASSERT_TRUE(control.reason == PST_PACE_CPU || control.reason == PST_PACE_EASING);
    CU_ASSERT_EQUAL(control.depth, DEPTH); /* which takes no less of a CPU */
    CU_ASSERT_FALSE(control.is_gentle);
}

/* Others wait for a CPU, whatever we do. */
static void who_does_no_harm_goes_on(void)
{
    begin(0, 900);
    steps(300);
    CU_ASSERT_TRUE(is_free());
}

static void without_pressure_files_latency_alone_counts(void)
{
    begin(0, 0);
    world.has_pressure = false;
    steps(20);
    world.latency_ns *= 3;
    steps(20);
    CU_ASSERT_TRUE(is_free());
    world.latency_ns *= 3;
    steps(20);
    CU_ASSERT_EQUAL(control.reason, PST_PACE_LATENCY);
    CU_ASSERT_EQUAL(control.depth, BESIDE);
    world.latency_ns /= 9; /* by the limit, perhaps: nothing says that anybody has gone */
    step();
    CU_ASSERT_FALSE(is_free());
    steps(200);
    CU_ASSERT_TRUE(is_free());
    CU_ASSERT_EQUAL(world.quiet, 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"alone it is never held back", alone_it_is_never_held_back},
        {"a neighbour is given way, in depth first", a_neighbour_is_given_way_in_depth_first},
        {"it recovers when the neighbour goes", it_recovers_when_the_neighbour_goes},
        {"it hears soon whether others are still there",
         it_hears_soon_whether_others_are_still_there},
        {"who was there before is no neighbour", who_was_there_before_is_no_neighbour},
        {"one window with others is no neighbour", one_window_with_others_is_no_neighbour},
        {"what is not seen any more is forgotten", what_is_not_seen_any_more_is_forgotten},
        {"a neighbour makes it shallow before any harm",
         a_neighbour_makes_it_shallow_before_any_harm},
        {"a spike is no pressure", a_spike_is_no_pressure},
        {"lasting slowness beside a neighbour is", lasting_slowness_beside_a_neighbour_is},
        {"the floor holds", the_floor_holds},
        {"half of its own rate is a floor", half_of_its_own_rate_is_a_floor},
        {"who gets little catches up", who_gets_little_catches_up},
        {"what could be read is looked at first", what_could_be_read_is_looked_at_first},
        {"what could be read is looked at again", what_could_be_read_is_looked_at_again},
        {"who reads in gusts is held back", who_reads_in_gusts_is_held_back},
        {"a moment shows nothing", a_moment_shows_nothing},
        {"a small depth alone is not gentle", a_small_depth_alone_is_not_gentle},
        {"a stuck disk is outlived", a_stuck_disk_is_outlived},
        {"who takes the CPU of others gives way", who_takes_the_cpu_of_others_gives_way},
        {"who does no harm goes on", who_does_no_harm_goes_on},
        {"without pressure files latency alone counts",
         without_pressure_files_latency_alone_counts},
        CU_TEST_INFO_NULL,
    };
    return suite_run("pace control", tests);
}
