/*
 * The threads of a verify or restore: they are given work, with progress reported meanwhile, until
 * the crew is closed. Called on the thread of the verify or restore.
 */
#include "engine/restore/crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/thread.h"
#include "numa/place.h"

#define TICK_NS 100000000
#define SLICE 1024u

struct member {
    struct crew *crew;
    pthread_t thread;
    uint32_t worker;
    uint64_t works; /* of the crew's, seen */
    struct crew_own own;
};

struct crew {
    const struct pst_crew *options;
    int (*work)(void *context, uint32_t worker);
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t given; /* works, or ends */
    pthread_cond_t done;  /* running */
    uint64_t works;
    uint32_t workers; /* that the current one is for */
    uint32_t running;
    int error; /* the first of the current work */
    bool ends;
    uint32_t started;
    struct member members[];
};

/* False at the end. */
static bool take_work(struct member *member)
{
    struct crew *crew = member->crew;
    pthread_mutex_lock(&crew->mutex);
    while (crew->works == member->works && !crew->ends)
        pthread_cond_wait(&crew->given, &crew->mutex);
    bool is_given = crew->works != member->works;
    member->works = crew->works;
    pthread_mutex_unlock(&crew->mutex);
    return is_given;
}

static void leave(struct crew *crew, int error)
{
    pthread_mutex_lock(&crew->mutex);
    if (crew->error == 0)
        crew->error = error;
    if (--crew->running == 0)
        pthread_cond_signal(&crew->done);
    pthread_mutex_unlock(&crew->mutex);
}

static void *run_member(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    const struct pst_crew *options = crew->options;
    pst_thread_name("pst worker %u", member->worker + 1);
    if (options->activities)
        pst_activity_bind(&options->activities[member->worker]);
    int pinned = options->cpus ? pst_place_pin(options->cpus[member->worker]) : 0;
    while (take_work(member)) {
        bool works = !pinned && member->worker < crew->workers;
        leave(crew, works ? crew->work(crew->context, member->worker) : pinned);
    }
    if (member->own.data)
        member->own.release(member->own.data);
    return NULL;
}

int crew_open(const struct pst_crew *options, struct crew **crew)
{
    assert(options->workers >= 1 && options->workers <= PST_LDMS_MAX);
    struct crew *made = calloc(1, sizeof(*made) + options->workers * sizeof(made->members[0]));
    if (!made)
        return -ENOMEM;
    made->options = options;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->given, NULL);
    pst_condition_init(&made->done);
    *crew = made;
    return 0;
}

void crew_close(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    crew->ends = true;
    pthread_cond_broadcast(&crew->given);
    pthread_mutex_unlock(&crew->mutex);
    for (uint32_t i = 0; i < crew->started; i++)
        pthread_join(crew->members[i].thread, NULL);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->given);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

/* Those that are not there yet. No work is given then. */
static int start(struct crew *crew)
{
    while (crew->started < crew->options->workers) {
        struct member *member = &crew->members[crew->started];
        *member = (struct member){.crew = crew, .worker = crew->started};
        int error = pst_thread_create(&member->thread, run_member, member);
        if (error)
            return error;
        crew->started++;
    }
    return 0;
}

/* With the mutex. */
static void wait_for_all(struct crew *crew, void (*tick)(void *context))
{
    while (crew->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int waited = pthread_cond_timedwait(&crew->done, &crew->mutex, &until);
        if (waited != ETIMEDOUT || !tick)
            continue;
        pthread_mutex_unlock(&crew->mutex);
        tick(crew->context);
        pthread_mutex_lock(&crew->mutex);
    }
}

int crew_run(struct crew *crew, uint32_t workers, int (*work)(void *context, uint32_t worker),
             void (*tick)(void *context), void *context)
{
    int error = start(crew);
    if (error)
        return error;
    pthread_mutex_lock(&crew->mutex);
    crew->work = work;
    crew->context = context;
    crew->workers = workers;
    crew->running = crew->started;
    crew->error = 0;
    crew->works++;
    pthread_cond_broadcast(&crew->given);
    wait_for_all(crew, tick);
    error = crew->error;
    pthread_mutex_unlock(&crew->mutex);
    if (tick)
        tick(context);
    return error;
}

struct slices {
    size_t count;
    void (*step)(void *context, size_t from, size_t end);
    void *context;
    atomic_size_t next;
};

static int do_slices(void *context, uint32_t worker)
{
    struct slices *slices = context;
    (void)worker;
    for (size_t from; (from = atomic_fetch_add(&slices->next, SLICE)) < slices->count;)
        slices->step(slices->context, from,
                     slices->count - from < SLICE ? slices->count : from + SLICE);
    return 0;
}

int crew_each(struct crew *crew, size_t count, void (*step)(void *context, size_t from, size_t end),
              void *context)
{
    struct slices slices = {.count = count, .step = step, .context = context};
    return count <= SLICE ? do_slices(&slices, 0)
                          : crew_run(crew, CREW_ALL, do_slices, NULL, &slices);
}

uint32_t crew_workers(const struct crew *crew)
{
    return crew->options->workers;
}

uint32_t crew_depth(const struct crew *crew)
{
    return crew->options->depth ? crew->options->depth : PST_DEPTH_DEFAULT;
}

struct pst_pace *crew_pace(const struct crew *crew)
{
    return crew->options->pace;
}

bool crew_is_cancelled(const struct crew *crew)
{
    const atomic_bool *cancel = crew->options->cancel;
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

struct crew_own *crew_own(struct crew *crew, uint32_t worker)
{
    assert(worker < crew->started && pthread_equal(crew->members[worker].thread, pthread_self()));
    return &crew->members[worker].own;
}
