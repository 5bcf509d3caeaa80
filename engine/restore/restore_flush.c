/*
 * The thread that has the target's file system write while files are being made. It is started and
 * ended by restore.c.
 */
#include "engine/restore/restore_flush.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/thread.h"

/* Enough for the disk to have much to do at a time; little beside what is written in a second. */
#define FLUSH_BYTES (64u << 20)
#define LOOK_NS 20000000

/* What a file is to the disk beside its contents, about. */
#define FILE_BYTES 4096u

struct restore_flush {
    struct restore_run *run;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ending;
    bool ends;
    int error; /* of a sync */
};

/* With the mutex. */
static void wait_a_little(struct restore_flush *flush)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&flush->ending, &flush->mutex, &until);
}

static void *flush_again_and_again(void *argument)
{
    struct restore_flush *flush = argument;
    uint64_t flushed = 0;
    pst_thread_name("pst flush");
    pthread_mutex_lock(&flush->mutex);
    while (!flush->ends && !flush->error) {
        uint64_t cached = atomic_load(&flush->run->cached_bytes);
        if (cached - flushed < FLUSH_BYTES) {
            wait_a_little(flush);
            continue;
        }
        pthread_mutex_unlock(&flush->mutex);
        flushed = cached;
        int error = syncfs(flush->run->target.root_fd) < 0 ? -errno : 0;
        pthread_mutex_lock(&flush->mutex);
        flush->error = error;
    }
    pthread_mutex_unlock(&flush->mutex);
    return NULL;
}

void restore_flush_add(struct restore_run *run, uint64_t bytes)
{
    atomic_fetch_add(&run->cached_bytes, bytes + FILE_BYTES);
}

int restore_flush_begin(struct restore_run *run)
{
    if (run->set.file_bytes + FILE_BYTES * run->objects.count < FLUSH_BYTES)
        return 0;
    struct restore_flush *flush = calloc(1, sizeof(*flush));
    if (!flush)
        return -ENOMEM;
    flush->run = run;
    pthread_mutex_init(&flush->mutex, NULL);
    pst_condition_init(&flush->ending);
    int error = pst_thread_create(&flush->thread, flush_again_and_again, flush);
    if (error) {
        free(flush);
        return error;
    }
    run->flush = flush;
    return 0;
}

int restore_flush_end(struct restore_run *run)
{
    struct restore_flush *flush = run->flush;
    if (!flush)
        return 0;
    pthread_mutex_lock(&flush->mutex);
    flush->ends = true;
    pthread_cond_signal(&flush->ending);
    pthread_mutex_unlock(&flush->mutex);
    pthread_join(flush->thread, NULL);
    int error = flush->error;
    pthread_cond_destroy(&flush->ending);
    pthread_mutex_destroy(&flush->mutex);
    free(flush);
    run->flush = NULL;
    return error ? restore_fail(run, error, "the target's file system could not be synced: %s",
                                pst_error_text(error))
                 : 0;
}
