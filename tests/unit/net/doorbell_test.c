/* Doorbells: no system call while awake, no wake-up lost. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/priority.h"
#include "net/doorbell.h"
#include "net/signal_ring.h"
#include "tests/suite.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static struct pst_signal_ring *ring_make(uint32_t slots)
{
    void *memory = aligned_alloc(PST_SIGNAL_RING_ALIGNMENT, pst_spsc_bytes(slots));
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    return pst_spsc_init(memory, slots, 1);
}

static struct pst_signal signal_make(uint32_t sequence)
{
    return (struct pst_signal){
        .gsn = PST_START_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_order),
        .sequence = sequence,
    };
}

static void awake_is_never_written_to(void)
{
    struct pst_doorbell bell;
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bell), 0);
    for (int i = 0; i < 1000; i++)
        pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_writes(&bell), 0);
    CU_ASSERT_FALSE(is_readable(pst_doorbell_fd(&bell)));
    pst_doorbell_announce(&bell);
    pst_doorbell_cancel(&bell);
    pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_writes(&bell), 0);
    pst_doorbell_close(&bell);
}

static void asleep_is_written_to_once(void)
{
    struct pst_doorbell bell;
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bell), 0);
    pst_doorbell_announce(&bell);
    CU_ASSERT_FALSE(is_readable(pst_doorbell_fd(&bell)));
    for (int i = 0; i < 1000; i++)
        pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_writes(&bell), 1);
    CU_ASSERT_TRUE(is_readable(pst_doorbell_fd(&bell)));
    pst_doorbell_cancel(&bell);
    pst_doorbell_drain(&bell);
    CU_ASSERT_FALSE(is_readable(pst_doorbell_fd(&bell)));
    pst_doorbell_drain(&bell);
    pst_doorbell_close(&bell);
}

static void wait_tells_what_woke_it(void)
{
    struct pst_doorbell bell;
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bell), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pst_doorbell_announce(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, 1000000, ends[0]), 0);
    pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_writes(&bell), 0); /* a timeout leaves it awake */

    pst_doorbell_announce(&bell);
    pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, PST_DOORBELL_FOREVER, -1), PST_DOORBELL_RANG);
    CU_ASSERT_FALSE(is_readable(pst_doorbell_fd(&bell)));

    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    pst_doorbell_announce(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, PST_DOORBELL_FOREVER, ends[0]), PST_DOORBELL_EXTRA);
    pst_doorbell_announce(&bell);
    pst_doorbell_ring(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, PST_DOORBELL_FOREVER, ends[0]),
                    PST_DOORBELL_RANG | PST_DOORBELL_EXTRA);
    close(ends[0]);
    close(ends[1]);
    pst_doorbell_close(&bell);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void signal_handler_ends_a_wait(void)
{
    struct pst_doorbell bell;
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bell), 0);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, before;
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &action, &before), 0);
    /* Repeated: one that comes before the wait would leave it asleep. */
    struct itimerval often = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    CU_ASSERT_EQUAL_FATAL(setitimer(ITIMER_REAL, &often, NULL), 0);
    pst_doorbell_announce(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, PST_DOORBELL_FOREVER, -1), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    pst_doorbell_close(&bell);
}

/* A sleeper on the word alone: one system call, and nothing is left in the fd. */
static void *ring_once_asleep(void *argument)
{
    struct pst_doorbell *bell = argument;
    const struct timespec pause = {.tv_nsec = 100000};
    while (__atomic_load_n(&bell->state, __ATOMIC_ACQUIRE) <= PST_ASLEEP)
        nanosleep(&pause, NULL);
    pst_doorbell_ring(bell);
    return NULL;
}

static void the_word_alone_wakes(void)
{
    struct pst_doorbell bell;
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bell), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ring_once_asleep, &bell), 0);
    pst_doorbell_announce(&bell);
    CU_ASSERT_EQUAL(pst_doorbell_wait(&bell, 60 * NS_PER_S, -1), PST_DOORBELL_RANG);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(pst_doorbell_writes(&bell), 1);
    CU_ASSERT_FALSE(is_readable(pst_doorbell_fd(&bell)));
    pst_doorbell_close(&bell);
}

#define LDMS 8u

/* One signal into every ring; only those who said that they sleep cost a system call. */
static void fan_out_wakes_sleepers_only(void)
{
    struct pst_signal_ring *rings[LDMS];
    struct pst_doorbell bells[LDMS];
    for (uint32_t i = 0; i < LDMS; i++) {
        rings[i] = ring_make(16);
        CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bells[i]), 0);
        if (i % 3 == 0)
            pst_doorbell_announce(&bells[i]);
    }
    struct pst_signal signal = signal_make(1), got;
    for (uint32_t i = 0; i < LDMS; i++) {
        signal.receiver_ref = pst_ref_make(1, PST_BLOCK_BACKUP, i + 1);
        CU_ASSERT_EQUAL(pst_spsc_put(rings[i], &signal), 0);
        pst_doorbell_ring(&bells[i]);
    }
    for (uint32_t i = 0; i < LDMS; i++) {
        CU_ASSERT_EQUAL(pst_doorbell_writes(&bells[i]), i % 3 == 0 ? 1 : 0);
        CU_ASSERT_EQUAL(pst_spsc_get_burst(rings[i], &got, 1), 1);
        CU_ASSERT_EQUAL(pst_ref_instance(got.receiver_ref), i + 1);
        pst_doorbell_close(&bells[i]);
        free(rings[i]);
    }
}

static void idle_ends_in_sleep(void)
{
    struct pst_idle idle = {0};
    bool went_on = false;
    for (int round = 0; round < 1000 && !went_on; round++) { /* a yield may last too long */
        uint64_t start = now_ns(), calls = 1;
        while (!pst_idle(&idle))
            calls++;
        CU_ASSERT_TRUE(now_ns() - start >= PST_IDLE_SPIN_NS);
        CU_ASSERT_TRUE(pst_idle(&idle));
        went_on = calls > 1;
        pst_idle_reset(&idle);
    }
    CU_ASSERT_TRUE(went_on);
}

/* ---- a core, and a time, of the test's own ---- */

#define LOOK_NS 100u

static uint64_t clock_ns; /* 0: the system's; each look at it takes LOOK_NS */
static uint64_t away_ns;  /* for which a yield gives the core to others */
static uint32_t yields;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock_ns == 0)
        return __real_clock_gettime(clock, time);
    clock_ns += LOOK_NS;
    *time = (struct timespec){.tv_sec = (time_t)(clock_ns / NS_PER_S),
                              .tv_nsec = (long)(clock_ns % NS_PER_S)};
    return 0;
}

int __real_sched_yield(void);
int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
    if (clock_ns == 0)
        return __real_sched_yield();
    yields++;
    clock_ns += away_ns;
    return 0;
}

/* Later than all that a test before it has found out of its core. */
static void begin_on_own_core(uint64_t yield_takes_ns)
{
    static uint64_t ahead_ns;
    ahead_ns += NS_PER_S;
    clock_ns = now_ns() + ahead_ns;
    away_ns = yield_takes_ns;
    yields = 0;
}

static void end_on_own_core(void)
{
    clock_ns = 0;
}

/* From the first call on, and until it sleeps. */
static void who_waits_lets_its_core_go_at_once(void)
{
    struct pst_idle idle = {0};
    begin_on_own_core(1000);
    uint64_t began_ns = clock_ns, calls = 0;
    while (!pst_idle(&idle))
        CU_ASSERT_EQUAL(yields, ++calls);
    CU_ASSERT_TRUE(calls > 1);
    CU_ASSERT_TRUE(clock_ns - began_ns >= PST_IDLE_SPIN_NS + PST_IDLE_YIELD_NS);
    end_on_own_core();
}

static bool sleeps_after(uint64_t yielded_ns, bool is_patient)
{
    struct pst_idle idle = {.since_ns = clock_ns - PST_IDLE_SPIN_NS - yielded_ns,
                            .is_patient = is_patient};
    return pst_idle(&idle);
}

static void who_is_patient_yields_for_longer(void)
{
    begin_on_own_core(1000);
    CU_ASSERT_TRUE(sleeps_after(PST_IDLE_YIELD_NS, false));
    CU_ASSERT_TRUE(sleeps_after(PST_IDLE_PATIENT_NS, true));
    CU_ASSERT_EQUAL(yields, 0);
    CU_ASSERT_FALSE(sleeps_after(PST_IDLE_YIELD_NS, true));
    CU_ASSERT_EQUAL(yields, 1);
    end_on_own_core();
}

static uint32_t calls_until_sleep(void)
{
    struct pst_idle idle = {0};
    uint32_t calls = 1;
    while (!pst_idle(&idle))
        calls++;
    return calls;
}

/* On a core that something else keeps busy, each yield is a switch to that. */
static void nobody_yields_to_who_computes(void)
{
    begin_on_own_core(PST_IDLE_AWAY_NS);
    CU_ASSERT_EQUAL(calls_until_sleep(), 1);
    CU_ASSERT_EQUAL(yields, 1);
    uint64_t crowded_until_ns = clock_ns + PST_IDLE_CROWDED_NS - NS_PER_S / 100;
    while (clock_ns < crowded_until_ns)
        CU_ASSERT_TRUE(calls_until_sleep() > 1); /* it spins */
    CU_ASSERT_EQUAL(yields, 1);
    clock_ns += NS_PER_S / 50;
    CU_ASSERT_EQUAL(calls_until_sleep(), 1);
    CU_ASSERT_EQUAL(yields, 2);
    end_on_own_core();
}

/* At the end of the spinning of those that do not yield. */
static bool goes_on(bool may_spin)
{
    pst_priority_let_spin(may_spin);
    struct pst_idle idle = {.since_ns = now_ns() - PST_IDLE_SPIN_NS};
    return !pst_idle(&idle);
}

static void who_is_urgent_spins_where_there_are_cpus(void)
{
    (void)pst_priority_set(PST_PRIORITY_URGENT);
    bool went_on = false;
    for (int i = 0; i < 1000 && !went_on; i++) /* the kernel may take the CPU away between */
        went_on = goes_on(true);
    CU_ASSERT_TRUE(went_on);
    CU_ASSERT_FALSE(goes_on(false));
    pst_priority_let_spin(true);
    struct pst_idle idle = {.since_ns = now_ns() - PST_IDLE_SPIN_NS - PST_IDLE_YIELD_NS};
    CU_ASSERT_TRUE(pst_idle(&idle));
    pst_priority_let_spin(false);
    (void)pst_priority_set(PST_PRIORITY_NORMAL);
}

static void *ask_whether_it_may_spin(void *may_spin)
{
    *(bool *)may_spin = pst_priority_may_spin();
    return NULL;
}

/* Of two nodes in a process one may, and the other may not. */
static void each_thread_spins_by_its_own_leave(void)
{
    pthread_t other;
    bool may_spin = true;
    pst_priority_let_spin(true);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, ask_whether_it_may_spin, &may_spin), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_join(other, NULL), 0);
    CU_ASSERT_FALSE(may_spin);
    CU_ASSERT_TRUE(pst_priority_may_spin());
    pst_priority_let_spin(false);
}

/* Two threads hand one signal to and fro. Each looks into its ring a random number of times and
 * then goes to sleep, so announcements and rings meet in every order. A lost wake-up leaves both
 * asleep: the wait then ends by its timeout with the signal in the ring. */
#define HAND_OFFS 2000000u
#define HAND_OFFS_MIN 1000u /* however slow: both sleep in some of so many */
#define STRESS_NS (3 * NS_PER_S)
#define LOST_NS (20 * NS_PER_S)

struct player {
    struct pst_signal_ring *in;
    struct pst_signal_ring *out;
    struct pst_doorbell *own;
    struct pst_doorbell *other;
    uint64_t random;
    uint64_t deadline_ns;
    uint64_t hand_offs;
    uint64_t sleeps;
    uint64_t lost;
    uint64_t faults;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void send(struct player *player, uint32_t sequence)
{
    struct pst_signal signal = signal_make(sequence);
    if (pst_spsc_put(player->out, &signal) != 0)
        player->faults++;
    pst_doorbell_ring(player->other);
}

static void sleep_until_rung(struct player *player)
{
    pst_doorbell_announce(player->own);
    if (!pst_spsc_is_empty(player->in)) {
        pst_doorbell_cancel(player->own);
        return;
    }
    player->sleeps++;
    int wake = pst_doorbell_wait(player->own, LOST_NS, -1);
    if (wake < 0)
        player->faults++;
    if (wake == 0 && !pst_spsc_is_empty(player->in))
        player->lost++;
}

/* Sequence 0 ends the game. */
static uint32_t receive(struct player *player)
{
    struct pst_signal signal;
    uint64_t looks = next_random(&player->random) % 8192;
    for (;;) {
        int got = pst_spsc_get_burst(player->in, &signal, 1);
        if (got == 1)
            return signal.sequence;
        if (got < 0 || player->lost > 0) {
            player->faults++;
            return 0;
        }
        if (looks > 0)
            looks--;
        else
            sleep_until_rung(player);
    }
}

static void *play(void *argument)
{
    struct player *player = argument;
    for (;;) {
        uint32_t sequence = receive(player);
        if (sequence == 0)
            return NULL;
        player->hand_offs++;
        bool is_late = now_ns() > player->deadline_ns && player->hand_offs >= HAND_OFFS_MIN;
        bool over = sequence >= HAND_OFFS || is_late || player->lost > 0;
        send(player, over ? 0 : sequence + 1);
        if (over)
            return NULL;
    }
}

static void no_wake_up_is_lost(void)
{
    struct pst_doorbell bells[2];
    struct pst_signal_ring *rings[2] = {ring_make(4), ring_make(4)};
    struct player players[2] = {0};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&bells[i]), 0);
        players[i] = (struct player){.in = rings[i],
                                     .out = rings[1 - i],
                                     .own = &bells[i],
                                     .other = &bells[1 - i],
                                     .random = (uint64_t)i + 1,
                                     .deadline_ns = now_ns() + STRESS_NS};
    }
    send(&players[1], 1); /* before its thread runs: the first hand-off */
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(players[i].lost, 0);
        CU_ASSERT_EQUAL(players[i].faults, 0);
        CU_ASSERT_TRUE(players[i].sleeps > 0);
        CU_ASSERT_TRUE(pst_doorbell_writes(&bells[i]) <= players[i].hand_offs + 1);
    }
    printf("%llu hand-offs, %llu sleeps ",
           (unsigned long long)(players[0].hand_offs + players[1].hand_offs),
           (unsigned long long)(players[0].sleeps + players[1].sleeps));
    for (int i = 0; i < 2; i++) {
        pst_doorbell_close(&bells[i]);
        free(rings[i]);
    }
}

static CU_TestInfo tests[] = {
    {"one who is awake is never written to", awake_is_never_written_to},
    {"one who sleeps is written to once", asleep_is_written_to_once},
    {"wait tells what woke it", wait_tells_what_woke_it},
    {"a signal handler ends a wait", signal_handler_ends_a_wait},
    {"the word alone wakes", the_word_alone_wakes},
    {"a fan-out wakes sleepers only", fan_out_wakes_sleepers_only},
    {"idleness ends in sleep", idle_ends_in_sleep},
    {"who waits lets its core go at once", who_waits_lets_its_core_go_at_once},
    {"who is patient yields for longer", who_is_patient_yields_for_longer},
    {"who is urgent spins where there are CPUs", who_is_urgent_spins_where_there_are_cpus},
    {"each thread spins by its own leave", each_thread_spins_by_its_own_leave},
    {"nobody yields to who computes", nobody_yields_to_who_computes},
    {"no wake-up is lost", no_wake_up_is_lost},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"net doorbell", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
