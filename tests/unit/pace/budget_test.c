/* The budget of a pace: what threads may read, all together, and what a change does. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/pace/pace.h"
#include "tests/suite.h"

#define MIB (UINT64_C(1) << 20)
#define NS_PER_S UINT64_C(1000000000)
#define PIECE_MAX MIB

static struct pst_pace pace;

static struct pst_pace_setting rate(uint64_t bytes_per_s)
{
    return (struct pst_pace_setting){
        .mode = PST_PACE_RATE, .bytes_per_s = bytes_per_s, .min_rate = 16 * MIB};
}

static const struct pst_pace_setting unlimited = {.mode = PST_PACE_MAX};

static void texts_are_parsed(void)
{
    struct pst_pace_setting setting = {.min_rate = 7};
    CU_ASSERT_EQUAL(pst_pace_parse("max", &setting), 0);
    CU_ASSERT_EQUAL(setting.mode, PST_PACE_MAX);
    CU_ASSERT_EQUAL(pst_pace_parse("50M", &setting), 0);
    CU_ASSERT_EQUAL(setting.mode, PST_PACE_RATE);
    CU_ASSERT_EQUAL(setting.bytes_per_s, 50 * MIB);
    CU_ASSERT_EQUAL(pst_pace_parse("2gib", &setting), 0);
    CU_ASSERT_EQUAL(setting.bytes_per_s, 2048 * MIB);
    CU_ASSERT_EQUAL(pst_pace_parse("1048576", &setting), 0);
    CU_ASSERT_EQUAL(pst_pace_parse("1T", &setting), 0);
    static const char *const wrong[] = {"",
                                        "0",
                                        "1048575",
                                        "-5M",
                                        "5",
                                        "50Mb",
                                        "50X",
                                        "M",
                                        "50 M",
                                        "2T",
                                        "Auto",
                                        "99999999999999999999",
                                        "17592186044416M"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_EQUAL(pst_pace_parse(wrong[i], &setting), -EINVAL);
    CU_ASSERT_EQUAL(setting.bytes_per_s, UINT64_C(1) << 40);
    CU_ASSERT_EQUAL(pst_pace_parse("auto", &setting), 0);
    CU_ASSERT_EQUAL(setting.mode, PST_PACE_AUTO);
    CU_ASSERT_EQUAL(setting.min_rate, 7);
}

static void pressure_is_parsed(void)
{
    uint64_t total_ns;
    uint32_t per_mille;
    CU_ASSERT_TRUE(pressure_parse("some avg10=12.34 avg60=0.00 avg300=0.00 total=1234567\n"
                                  "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                                  &total_ns, &per_mille));
    CU_ASSERT_EQUAL(total_ns, 1234567000);
    CU_ASSERT_EQUAL(per_mille, 123);
    CU_ASSERT_FALSE(pressure_parse("", &total_ns, &per_mille));
    CU_ASSERT_FALSE(pressure_parse("some avg10=1", &total_ns, &per_mille));
}

static void no_pace_is_no_limit(void)
{
    struct pst_pace_share share;
    CU_ASSERT_EQUAL(pst_pace_take(NULL, 5), 5);
    pst_pace_share_open(&share, NULL);
    CU_ASSERT_EQUAL(pst_pace_take(&share, UINT32_MAX), UINT32_MAX);
    CU_ASSERT_EQUAL(pst_pace_depth(&share), UINT32_MAX);
    pst_pace_share_close(&share);
    pst_pace_init(&pace, &unlimited, 8);
    pst_pace_share_open(&share, &pace);
    for (uint32_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(pst_pace_take(&share, 1u << 24), 1u << 24);
    CU_ASSERT_EQUAL(pace_priority(&share), PST_IO_PRIORITY_USUAL);
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

/* A whole hour's budget is owed: nobody waits that out who is let go. */
static void a_change_counts_at_once(void)
{
    struct pst_pace_share share;
    struct pst_pace_status status;
    const struct pst_pace_setting slow = rate(MIB), fast = rate(1024 * MIB);
    pst_pace_init(&pace, &slow, 8);
    pst_pace_share_open(&share, &pace);
    CU_ASSERT_EQUAL(pst_pace_take(&share, 100), 100);
    pst_pace_spend(&share, 3600 * MIB);
    CU_ASSERT_EQUAL(pst_pace_room(&share, 1), 0);
    CU_ASSERT_TRUE(share.wait_ns > pst_monotonic_ns() + 3000 * NS_PER_S);
    pst_pace_set(&pace, &fast);
    CU_ASSERT_EQUAL(pst_pace_room(&share, 1000), 1000);
    pst_pace_set(&pace, &slow);
    pst_pace_spend(&share, 3600 * MIB);
    pst_pace_set(&pace, &unlimited);
    CU_ASSERT_EQUAL(pst_pace_take(&share, UINT32_MAX), UINT32_MAX);
    pst_pace_status(&pace, &status);
    CU_ASSERT_EQUAL(status.setting.mode, PST_PACE_MAX);
    CU_ASSERT_EQUAL(status.bytes_per_s, 0);
    CU_ASSERT_EQUAL(status.depth, 8);
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

/* Pieces are short of a second's worth, so that all threads soon have their turn. */
static void pieces_fit_the_rate(void)
{
    static const struct {
        uint64_t bytes_per_s;
        uint32_t piece;
    } cases[] = {{MIB, 64u << 10}, {8 * MIB, 512u << 10}, {1024 * MIB, 1u << 20}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pst_pace_share share;
        const struct pst_pace_setting setting = rate(cases[i].bytes_per_s);
        pst_pace_init(&pace, &setting, 8);
        pst_pace_share_open(&share, &pace);
        CU_ASSERT_EQUAL(pst_pace_room(&share, UINT32_MAX), cases[i].piece);
        pst_pace_share_close(&share);
        pst_pace_release(&pace);
    }
}

#define THREADS 4u

struct reader {
    pthread_t thread;
    uint32_t piece;
    uint64_t until_ns;
    uint64_t taken;
};

static void *read_all_the_time(void *argument)
{
    struct reader *reader = argument;
    struct pst_pace_share share;
    pst_pace_share_open(&share, &pace);
    while (pst_monotonic_ns() < reader->until_ns)
        reader->taken += pst_pace_take(&share, reader->piece);
    pst_pace_share_close(&share);
    return NULL;
}

/* However the threads are scheduled: in no time more than that. */
static void threads_share_one_budget(void)
{
    const uint64_t bytes_per_s = 64 * MIB;
    const struct pst_pace_setting setting = rate(bytes_per_s);
    struct reader readers[THREADS];
    uint64_t taken = 0, began_ns = pst_monotonic_ns();
    pst_pace_init(&pace, &setting, 8);
    for (uint32_t i = 0; i < THREADS; i++) {
        readers[i] =
            (struct reader){.piece = i % 2 ? 1u << 20 : 10000, .until_ns = began_ns + NS_PER_S / 2};
        CU_ASSERT_EQUAL(pthread_create(&readers[i].thread, NULL, read_all_the_time, &readers[i]),
                        0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        taken += readers[i].taken;
    }
    uint64_t elapsed_ns = pst_monotonic_ns() - began_ns;
    uint64_t most = (elapsed_ns + NS_PER_S / 10) / 1000 * bytes_per_s / 1000000;
    CU_ASSERT_TRUE(taken > 0);
    CU_ASSERT_TRUE(taken <= most + 2 * THREADS * PIECE_MAX);
    pst_pace_release(&pace);
}

/* An hour in which nobody read is not made up for. */
static void unused_budget_is_gone(void)
{
    struct pst_pace_share share;
    const struct pst_pace_setting setting = rate(MIB);
    uint64_t taken = 0, began_ns = pst_monotonic_ns();
    pst_pace_init(&pace, &setting, 8);
    atomic_store(&pace.line_ns, began_ns - 3600 * NS_PER_S);
    pst_pace_share_open(&share, &pace);
    for (uint32_t bytes; taken < 1000 * MIB && (bytes = pst_pace_take(&share, UINT32_MAX)) > 0;)
        taken += bytes;
    uint64_t elapsed_us = (pst_monotonic_ns() - began_ns) / 1000;
    CU_ASSERT_TRUE(taken <= (elapsed_us + 100000) * MIB / 1000000 + 2 * (64u << 10));
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

static void small_files_count_as_a_block(void)
{
    struct pst_pace_share share;
    const struct pst_pace_setting setting = rate(MIB);
    uint32_t files = 0;
    pst_pace_init(&pace, &setting, 8);
    pst_pace_share_open(&share, &pace);
    uint64_t began_ns = pst_monotonic_ns();
    while (files < 1000 && pst_pace_take(&share, 1) == 1)
        files++;
    uint64_t elapsed_us = (pst_monotonic_ns() - began_ns) / 1000;
    CU_ASSERT_TRUE(files * 4096 <= (elapsed_us + 100000) * MIB / 1000000 + 2 * (64u << 10));
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

static int file_of(const char *text)
{
    int fd = memfd_create("pressure", MFD_CLOEXEC);
    CU_ASSERT_EQUAL(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    return fd;
}

static struct host_page host;

static void open_auto(struct pst_pace *of, struct pst_pace_share *share, const char *io)
{
    const struct pst_pace_setting automatic = {.mode = PST_PACE_AUTO, .min_rate = 16 * MIB};
    pst_pace_init(of, &automatic, 8);
    pressure_close(&of->pressure);
    of->pressure.io_fd = file_of(io);
    of->pressure.cpu_fd = file_of("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    host_page_close(of->host);
    of->host = &host;
    pst_pace_share_open(share, of);
}

static void close_auto(struct pst_pace *of, struct pst_pace_share *share)
{
    of->host = host_page_open(); /* which pst_pace_release closes */
    pst_pace_share_close(share);
    pst_pace_release(of);
}

/* Nothing is decided by a pace that is not auto, and auto has no limit of its own at first. */
static void only_auto_ticks(void)
{
    struct pst_pace_share share;
    const struct pst_pace_setting fixed = rate(MIB);
    const struct pst_pace_setting automatic = {.mode = PST_PACE_AUTO, .min_rate = 16 * MIB};
    pst_pace_init(&pace, &fixed, 8);
    pressure_close(&pace.pressure); /* what the host's disks do is not part of this */
    host_page_close(pace.host);
    pace.host = &host;
    pst_pace_share_open(&share, &pace);
    CU_ASSERT_EQUAL(pace_tick(&share, pst_monotonic_ns()), UINT64_MAX);
    CU_ASSERT_EQUAL(pace_priority(&share), PST_IO_PRIORITY_LOW);
    pst_pace_set(&pace, &automatic);
    CU_ASSERT_EQUAL(pst_pace_take(&share, 1u << 30), 1u << 30);
    uint64_t now_ns = pst_monotonic_ns();
    uint64_t next_ns = pace_tick(&share, now_ns);
    CU_ASSERT_EQUAL(next_ns, now_ns + NS_PER_S / 10);
    CU_ASSERT_EQUAL(pst_pace_depth(&share), 8);
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns), next_ns);
    close_auto(&pace, &share);
}

/* A silence is short, and this thread may be put to sleep for longer. */
static bool is_silent(struct pst_pace_share *share)
{
    for (int i = 0; i < 100; i++) {
        atomic_store(&host.quiet_until_ns, pst_monotonic_ns() + NS_PER_S / 20);
        if (pst_pace_take(share, 1) == 0)
            return true;
    }
    return false;
}

/* Where others used a disk of late: for a moment it reads by small requests, and then it listens.
 */
static void auto_listens_when_it_has_begun(void)
{
    struct pst_pace_share share;
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n");
    atomic_store(&pace.min_rate, 0); /* then it looks first at what could be read */
    uint64_t now_ns = pst_monotonic_ns(), later_ns = now_ns + NS_PER_S / 100;
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns), later_ns);
    CU_ASSERT_EQUAL(atomic_load(&host.quiet_until_ns), 0);
    CU_ASSERT_EQUAL(pst_pace_take(&share, 1), 1);
    CU_ASSERT_EQUAL(pst_pace_depth(&share), 4);
    CU_ASSERT_TRUE(pace_is_gentle(&share));
    CU_ASSERT_EQUAL(pace_tick(&share, later_ns), later_ns + NS_PER_S / 100);
    CU_ASSERT_EQUAL(atomic_load(&host.quiet_until_ns), later_ns + 3 * NS_PER_S / 100);
    CU_ASSERT_TRUE(is_silent(&share));
    close_auto(&pace, &share);
}

/* Who cannot be woken sleeps no longer than a window is: what is heard in three is not one's. */
static void each_window_of_a_silence_ends_in_time(void)
{
    struct pst_pace_share share;
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n");
    uint64_t now_ns = pst_monotonic_ns() + NS_PER_S / 100;
    pace_tick(&share, now_ns - NS_PER_S / 100);
    pace_tick(&share, now_ns);
    share.wait_ns = now_ns + 3 * NS_PER_S / 100;
    CU_ASSERT_EQUAL(pst_pace_sleep_ns(&share, now_ns), NS_PER_S / 100);
    CU_ASSERT_EQUAL(pst_pace_sleep_ns(&share, now_ns + NS_PER_S / 100), 2 * NS_PER_S / 100);
    close_auto(&pace, &share);
}

static void a_silence_is_everybodys(void)
{
    struct pst_pace_share share;
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
    uint64_t now_ns = pst_monotonic_ns();
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns), now_ns + NS_PER_S / 10);
    CU_ASSERT_EQUAL(pst_pace_take(&share, 1), 1);
    CU_ASSERT_TRUE(is_silent(&share));
    pst_pace_set(&pace, &unlimited);
    CU_ASSERT_FALSE(is_silent(&share));
    close_auto(&pace, &share);
}

/* What a page that is damaged says for an hour. */
static void a_silence_has_an_end(void)
{
    struct pst_pace_share share;
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
    uint64_t now_ns = pst_monotonic_ns();
    atomic_store(&host.quiet_until_ns, now_ns + 3600 * NS_PER_S);
    CU_ASSERT_EQUAL(pst_pace_take(&share, 1), 1);
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns), now_ns + NS_PER_S / 10);
    close_auto(&pace, &share);
}

/* In a silence that another called for, others of Penstock read for 15 of 20 ms, and threads of the
 * host waited for as long. */
static void what_others_of_penstock_read_is_not_heard(void)
{
    struct pst_pace_share share;
    const uint64_t ms = NS_PER_S / 1000;
    const char *after = "some avg10=0.00 avg60=0.00 avg300=0.00 total=16000\n";
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
    uint64_t now_ns = pst_monotonic_ns();
    pace_tick(&share, now_ns);
    atomic_store(&host.quiet_until_ns, now_ns + 30 * ms);
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns + 10 * ms), now_ns + 30 * ms);
    atomic_fetch_add(&host.sums[HOST_SUMS - 1].io_ns, 15 * ms);
    CU_ASSERT_EQUAL(pwrite(pace.pressure.io_fd, after, strlen(after), 0), (ssize_t)strlen(after));
    CU_ASSERT_EQUAL(pace_tick(&share, now_ns + 30 * ms), now_ns + 130 * ms);
    CU_ASSERT_EQUAL(pace.control.heard, 1);
    CU_ASSERT_EQUAL(pace.control.last_io[0], 0);
    pst_pace_note_io(&share, ms);
    CU_ASSERT_EQUAL(atomic_load(&share.host->io_ns), ms);
    close_auto(&pace, &share);
}

/* While it reads, a thread writes no line that another one does. */
static void threads_note_on_lines_of_their_own(void)
{
    struct pst_pace_share share, other;
    host = (struct host_page){0};
    open_auto(&pace, &share, "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
    pst_pace_share_open(&other, &pace);
    CU_ASSERT_EQUAL((uintptr_t)share.tally % 64, 0);
    CU_ASSERT_TRUE(other.tally >= share.tally + 1 && sizeof(*other.tally) % 64 == 0);
    CU_ASSERT_TRUE(other.host >= share.host + 1 && sizeof(*other.host) % 64 == 0);
    uint64_t now_ns = pst_monotonic_ns();
    pace_tick(&share, now_ns);
    struct pst_pace before;
    memcpy(&before, &pace, sizeof(pace));
    pst_pace_spend(&other, MIB);
    pst_pace_spend(&share, 2 * MIB);
    pst_pace_note_wait(&other, 5);
    pst_pace_note_io(&other, 6);
    pace_note_transfers(&other, 7, 8);
    CU_ASSERT_EQUAL(memcmp(&before, &pace, sizeof(pace)), 0);
    CU_ASSERT_EQUAL(atomic_load(&share.host->io_ns), 0);
    pace_tick(&other, now_ns + NS_PER_S);
    CU_ASSERT_EQUAL(pace.before_sums.bytes, 3 * MIB);
    CU_ASSERT_EQUAL(pace.before_sums.steps, 2);
    CU_ASSERT_EQUAL(pace.before_sums.wait_ns, 5);
    CU_ASSERT_EQUAL(pace.before_sums.transfers, 7);
    CU_ASSERT_EQUAL(pace.before_sums.transfer_ns, 8);
    CU_ASSERT_EQUAL(pace.host_io_ns, 6);
    pst_pace_share_close(&other);
    close_auto(&pace, &share);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"texts are parsed", texts_are_parsed},
        {"pressure is parsed", pressure_is_parsed},
        {"no pace is no limit", no_pace_is_no_limit},
        {"a change counts at once", a_change_counts_at_once},
        {"pieces fit the rate", pieces_fit_the_rate},
        {"threads share one budget", threads_share_one_budget},
        {"unused budget is gone", unused_budget_is_gone},
        {"small files count as a block", small_files_count_as_a_block},
        {"only auto ticks", only_auto_ticks},
        {"auto listens when it has begun", auto_listens_when_it_has_begun},
        {"each window of a silence ends in time", each_window_of_a_silence_ends_in_time},
        {"a silence is everybody's", a_silence_is_everybodys},
        {"a silence has an end", a_silence_has_an_end},
        {"what others of Penstock read is not heard", what_others_of_penstock_read_is_not_heard},
        {"threads note on lines of their own", threads_note_on_lines_of_their_own},
        CU_TEST_INFO_NULL,
    };
    return suite_run("pace budget", tests);
}
