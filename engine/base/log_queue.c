/*
 * The queue of log lines and its thread. log.c puts lines into it, from any thread, and writes what
 * the thread here takes out.
 */
#include "engine/base/log_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"

/* What lies before each line in the ring. */
struct record {
    uint64_t lost; /* how many lines had no room; 0: a line */
    uint16_t bytes;
    uint16_t level;
};

static struct {
    pthread_mutex_t lock; /* held for the copy of one line at the most */
    pthread_cond_t moved;
    pthread_t thread;
    log_queue_write *write;
    uint32_t starts;
    _Atomic pid_t
        process; /* that the thread is in; 0: there is none. A child that forked has none */
    bool must_end;
    bool is_writing;
    bool has_ended;
    uint64_t lost;
    uint32_t first, used; /* of ring, in bytes */
    char ring[LOG_QUEUE_BYTES];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void copy_in(const void *bytes, uint32_t size)
{
    uint32_t at = (queue.first + queue.used) % LOG_QUEUE_BYTES;
    uint32_t head = size < LOG_QUEUE_BYTES - at ? size : LOG_QUEUE_BYTES - at;
    memcpy(queue.ring + at, bytes, head);
    memcpy(queue.ring, (const char *)bytes + head, size - head);
    queue.used += size;
}

static void copy_out(void *bytes, uint32_t size)
{
    uint32_t head = size < LOG_QUEUE_BYTES - queue.first ? size : LOG_QUEUE_BYTES - queue.first;
    memcpy(bytes, queue.ring + queue.first, head);
    memcpy((char *)bytes + head, queue.ring, size - head);
    queue.first = (queue.first + size) % LOG_QUEUE_BYTES;
    queue.used -= size;
}

static bool has_room(size_t bytes)
{
    return LOG_QUEUE_BYTES - queue.used >= bytes;
}

/* The lines that were lost before this one, in their place. */
static void put_lost(void)
{
    struct record record = {.lost = queue.lost, .level = PST_LOG_WARNING};
    if (queue.lost == 0)
        return;
    copy_in(&record, sizeof(record));
    queue.lost = 0;
}

static bool is_running(void)
{
    pid_t process = atomic_load(&queue.process);
    return process != 0 && process == getpid();
}

bool log_queue_put(enum pst_log_level level, const char *line, size_t bytes)
{
    struct record record = {.bytes = (uint16_t)bytes, .level = (uint16_t)level};
    if (!is_running())
        return false;
    pthread_mutex_lock(&queue.lock);
    bool runs = is_running(); /* still: the thread ends with the lock held */
    bool fits = has_room(2 * sizeof(record) + bytes);
    if (runs && fits) {
        put_lost();
        copy_in(&record, sizeof(record));
        copy_in(line, (uint32_t)bytes);
        pthread_cond_broadcast(&queue.moved);
    } else if (runs) {
        queue.lost++;
    }
    pthread_mutex_unlock(&queue.lock);
    return runs;
}

/* With the lock held, which is let go for the write. */
static void write_next(char *line)
{
    struct record record;
    copy_out(&record, sizeof(record));
    copy_out(line, record.bytes);
    line[record.bytes] = '\0';
    queue.is_writing = true;
    pthread_mutex_unlock(&queue.lock);
    queue.write((enum pst_log_level)record.level, line, record.bytes, record.lost);
    pthread_mutex_lock(&queue.lock);
    queue.is_writing = false;
    pthread_cond_broadcast(&queue.moved);
}

static void *run(void *argument)
{
    static char line[PST_LOG_LINE_BYTES];
    (void)argument;
    pst_thread_name("pst log");
    pthread_mutex_lock(&queue.lock);
    while (!queue.must_end || queue.used > 0 || queue.lost > 0) {
        if (queue.used == 0)
            put_lost();
        if (queue.used > 0)
            write_next(line);
        else
            pthread_cond_wait(&queue.moved, &queue.lock);
    }
    queue.has_ended = true;
    pthread_cond_broadcast(&queue.moved);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

int log_queue_start(log_queue_write *write)
{
    int error = 0;
    pthread_mutex_lock(&queue.lock);
    if (queue.starts == 0 && queue.must_end && !queue.has_ended) {
        error = -EBUSY; /* one that was left behind has not come back */
    } else if (queue.starts == 0) {
        pst_condition_init(&queue.moved);
        queue.write = write;
        queue.must_end = false;
        queue.has_ended = false;
        error = pst_thread_create(&queue.thread, run, NULL);
    }
    if (!error && queue.starts++ == 0)
        atomic_store(&queue.process, getpid());
    pthread_mutex_unlock(&queue.lock);
    return error;
}

static bool is_empty(void)
{
    return queue.used == 0 && queue.lost == 0 && !queue.is_writing;
}

static bool has_ended(void)
{
    return queue.has_ended;
}

/* With the lock held. */
static bool wait_until(bool (*is_so)(void), uint64_t timeout_ns)
{
    uint64_t until_ns = pst_monotonic_ns() + timeout_ns;
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
    int error = 0;
    while (!is_so() && !error)
        error = pthread_cond_timedwait(&queue.moved, &queue.lock, &until);
    return is_so();
}

void log_queue_flush(uint64_t timeout_ns)
{
    if (!is_running())
        return;
    pthread_mutex_lock(&queue.lock);
    (void)wait_until(is_empty, timeout_ns);
    pthread_mutex_unlock(&queue.lock);
}

void log_queue_stop(uint64_t timeout_ns)
{
    if (!is_running())
        return;
    pthread_mutex_lock(&queue.lock);
    bool is_last = --queue.starts == 0;
    bool ended = false;
    pthread_t thread = queue.thread; /* the next start makes another */
    if (is_last) {
        atomic_store(&queue.process, 0);
        queue.must_end = true;
        pthread_cond_broadcast(&queue.moved);
        ended = wait_until(has_ended, timeout_ns);
    }
    pthread_mutex_unlock(&queue.lock);
    if (is_last && ended)
        pthread_join(thread, NULL);
    else if (is_last)
        pthread_detach(thread);
}
