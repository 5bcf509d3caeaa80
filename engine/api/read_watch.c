/*
 * Looks once a second at what each thread of a verify or restore is at. Started and stopped by
 * read_job.c; the looking is done by a thread of its own, for any other may hang.
 */
#include "engine/api/read_watch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/thread.h"
#include "penstock/run.h"

static void add(struct read_watch *watch, uint32_t i, const struct pst_activity *activity)
{
    watch->stalls[i] = (struct pst_stall){.activity = activity, .thread = watch->names[i]};
}

static void look(struct read_watch *watch)
{
    uint64_t now_ns = pst_monotonic_ns();
    for (uint32_t i = 0; i < READ_WATCH_THREADS_MAX; i++)
        (void)pst_stall_look(&watch->stalls[i], PST_STALL_WARNING_NS_DEFAULT, now_ns);
}

static void *run(void *argument)
{
    struct read_watch *watch = argument;
    pst_thread_name("pst watch");
    pthread_mutex_lock(&watch->lock);
    while (!watch->must_stop) {
        uint64_t due_ns = pst_monotonic_ns() + PST_STALL_LOOK_NS;
        const struct timespec until = {.tv_sec = (time_t)(due_ns / UINT64_C(1000000000)),
                                       .tv_nsec = (long)(due_ns % UINT64_C(1000000000))};
        (void)pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
        look(watch);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void end(struct read_watch *watch)
{
    pst_activity_bind(NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
}

int read_watch_start(struct read_watch *watch, const char *job)
{
    memset(watch, 0, sizeof(*watch));
    snprintf(watch->names[0], sizeof(watch->names[0]), "%s", job);
    add(watch, 0, &watch->own);
    for (uint32_t i = 0; i < PST_LDMS_MAX; i++) {
        snprintf(watch->names[i + 1], sizeof(watch->names[0]), "LDM %u", i + 1);
        add(watch, i + 1, &watch->workers[i]);
    }
    pthread_mutex_init(&watch->lock, NULL);
    pst_condition_init(&watch->changed);
    pst_activity_bind(&watch->own);
    int error = pst_thread_create(&watch->thread, run, watch);
    if (error)
        end(watch);
    return error;
}

void read_watch_stop(struct read_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->must_stop = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    end(watch);
}
