/*
 * Starts the threads of a verify or restore, reports progress while they run, and joins them.
 * Called on the thread of the verify or restore.
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

struct member {
    struct team *team;
    pthread_t thread;
    uint32_t worker;
};

struct team {
    const struct pst_crew *crew;
    int (*work)(void *context, uint32_t worker);
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t running;
    int error; /* the first */
    struct member members[];
};

static void leave(struct team *team, int error)
{
    pthread_mutex_lock(&team->mutex);
    if (team->error == 0)
        team->error = error;
    team->running--;
    pthread_cond_signal(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

static void *run_member(void *argument)
{
    struct member *member = argument;
    struct team *team = member->team;
    if (team->crew->activities)
        pst_activity_bind(&team->crew->activities[member->worker]);
    int error = team->crew->cpus ? pst_place_pin(team->crew->cpus[member->worker]) : 0;
    if (!error)
        error = team->work(team->context, member->worker);
    leave(team, error);
    return NULL;
}

static void wait_for_all(struct team *team, void (*tick)(void *context))
{
    pthread_mutex_lock(&team->mutex);
    while (team->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int waited = pthread_cond_timedwait(&team->changed, &team->mutex, &until);
        if (waited != ETIMEDOUT || !tick)
            continue;
        pthread_mutex_unlock(&team->mutex);
        tick(team->context);
        pthread_mutex_lock(&team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);
}

static struct team *make_team(const struct pst_crew *crew)
{
    struct team *team = calloc(1, sizeof(*team) + crew->workers * sizeof(team->members[0]));
    if (!team)
        return NULL;
    team->crew = crew;
    pthread_mutex_init(&team->mutex, NULL);
    pst_condition_init(&team->changed);
    return team;
}

/* Returns how many were started. One that cannot be leaves an error; the others do its work. */
static uint32_t start(struct team *team, uint32_t workers)
{
    for (uint32_t i = 0; i < workers; i++) {
        struct member *member = &team->members[i];
        *member = (struct member){.team = team, .worker = i};
        pthread_mutex_lock(&team->mutex);
        team->running++;
        pthread_mutex_unlock(&team->mutex);
        int error = pst_thread_create(&member->thread, run_member, member);
        if (error) {
            leave(team, error);
            return i;
        }
    }
    return workers;
}

int crew_run(const struct pst_crew *crew, int (*work)(void *context, uint32_t worker),
             void (*tick)(void *context), void *context)
{
    assert(crew->workers >= 1 && crew->workers <= PST_LDMS_MAX);
    struct team *team = make_team(crew);
    if (!team)
        return -ENOMEM;
    team->work = work;
    team->context = context;
    uint32_t started = start(team, crew->workers);
    wait_for_all(team, tick);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(team->members[i].thread, NULL);
    if (tick)
        tick(context);
    int error = team->error;
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    free(team);
    return error;
}

bool crew_is_cancelled(const struct pst_crew *crew)
{
    return crew->cancel && atomic_load_explicit(crew->cancel, memory_order_relaxed);
}

uint32_t crew_depth(const struct pst_crew *crew)
{
    return crew->depth ? crew->depth : PST_DEPTH_DEFAULT;
}
