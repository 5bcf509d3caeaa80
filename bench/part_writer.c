/*
 * penstock-bench write: one pinned thread and ring for each file, registered buffers and file,
 * writes of one size at a fixed depth, preallocation, and at the end truncate, fdatasync and close.
 * The clock runs from the creation of the files to the last close; removing them is not counted.
 * CPU time is the process's, kernel workers included (getrusage(2)).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/latency.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "io/part_file.h"
#include "numa/place.h"
#include "penstock/error.h"

#define FILES_MAX 64u

struct options {
    const char *dir;
    unsigned files;
    uint64_t bytes_per_file;
    uint32_t chunk_bytes;
    unsigned depth;
    bool null_sink;
    enum pst_direct direct;
    struct pst_ring_polling polling;
    uint64_t seed;
};

struct chunk {
    struct pst_io_op op;
    struct writer *writer;
    char *data;
    int buffer_index;
    uint64_t began_ns;
};

struct writer {
    const struct options *options;
    pthread_barrier_t *barrier;
    pthread_t thread;
    unsigned number;
    int dirfd;
    char name[64];
    struct pst_ring *ring;
    struct pst_part_file part; /* with the null sink only its file is used */
    struct pst_io_op op;
    struct chunk chunks[PST_DEPTH_MAX];
    struct pst_arena arena; /* in such pages as an LDM's */
    uint64_t next_offset;
    unsigned writing;
    int error;
    const char *failed_step;
    char file_text[64], ring_text[256];
    struct latency latency; /* of its writes */
};

/* ---- one writer: create, write, finish ---- */

static void fail(struct writer *writer, const char *step, int error)
{
    if (writer->error)
        return;
    writer->error = error;
    writer->failed_step = step;
}

static void part_finished(struct pst_part_file *part, int result)
{
    if (result)
        fail(PST_IO_OP_OF(part, struct writer, part), part->failed_step, result);
}

static void null_closed(struct pst_io_op *op, int result)
{
    if (result)
        fail(PST_IO_OP_OF(op, struct writer, op), "close", result);
}

static void finish(struct writer *writer)
{
    if (!writer->options->null_sink) {
        pst_io_part_finish(&writer->part, part_finished);
        return;
    }
    writer->op.done = null_closed;
    pst_io_close(writer->ring, &writer->op, &writer->part.file);
}

static void write_chunk(struct writer *writer, struct chunk *chunk)
{
    uint32_t bytes = writer->options->chunk_bytes;
    uint64_t offset = writer->next_offset;
    writer->next_offset += bytes;
    writer->writing++;
    chunk->began_ns = pst_monotonic_ns();
    if (writer->options->null_sink)
        pst_io_write(writer->ring, &chunk->op, &writer->part.file, chunk->data, bytes, offset,
                     chunk->buffer_index);
    else
        pst_io_part_write(&writer->part, &chunk->op, chunk->data, bytes, offset,
                          chunk->buffer_index);
}

static void chunk_written(struct pst_io_op *op, int result)
{
    struct chunk *chunk = PST_IO_OP_OF(op, struct chunk, op);
    struct writer *writer = chunk->writer;
    writer->writing--;
    latency_add(&writer->latency, pst_monotonic_ns() - chunk->began_ns);
    if (result < 0)
        fail(writer, "write", result);
    if (program_is_interrupted())
        fail(writer, "write", -EINTR);
    if (!writer->error && writer->next_offset < writer->options->bytes_per_file)
        write_chunk(writer, chunk);
    else if (writer->writing == 0)
        finish(writer);
}

static void start_writing(struct writer *writer, int result)
{
    const struct options *options = writer->options;
    if (result) {
        fail(writer, "create", result);
        return;
    }
    (void)snprintf(writer->file_text, sizeof(writer->file_text), "%s",
                   options->null_sink ? "null sink" : pst_file_describe(&writer->part.file));
    for (unsigned i = 0; i < options->depth && writer->next_offset < options->bytes_per_file; i++)
        write_chunk(writer, &writer->chunks[i]);
}

static void part_created(struct pst_part_file *part, int result)
{
    start_writing(PST_IO_OP_OF(part, struct writer, part), result);
}

static void null_opened(struct pst_io_op *op, int result)
{
    struct writer *writer = PST_IO_OP_OF(op, struct writer, op);
    if (!result)
        pst_ring_register_file(writer->ring, &writer->part.file);
    start_writing(writer, result);
}

static void create(struct writer *writer)
{
    struct pst_open null = {
        .dirfd = AT_FDCWD, .path = "/dev/null", .flags = O_WRONLY, .direct = PST_DIRECT_OFF};
    if (!writer->options->null_sink) {
        pst_io_part_create(&writer->part, writer->ring, writer->dirfd, writer->name,
                           writer->options->direct, part_created);
        return;
    }
    writer->op.done = null_opened;
    pst_io_open(writer->ring, &writer->op, &writer->part.file, &null);
}

/* ---- the thread of a writer ---- */

/* To the n-th CPU that the process may use. */
static void pin(unsigned number)
{
    cpu_set_t allowed;
    cpu_set_t one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return;
    unsigned skip = number % (unsigned)CPU_COUNT(&allowed);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
            continue;
        CPU_SET(cpu, &one);
        break;
    }
    if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
        (void)fprintf(stderr, "penstock-bench: writer %u could not be pinned\n", number);
}

static void fill_with_noise(char *data, size_t bytes, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i + sizeof(state) <= bytes; i += sizeof(state)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(data + i, &state, sizeof(state));
    }
}

static size_t arena_bytes(const struct options *options)
{
    return (size_t)options->depth * options->chunk_bytes;
}

static int prepare(struct writer *writer)
{
    const struct options *options = writer->options;
    struct pst_ring_options ring_options = {
        .entries = 2 * options->depth, .files_max = 4, .polling = options->polling};
    struct iovec buffers[PST_DEPTH_MAX];
    int error = pst_arena_reserve(arena_bytes(options), !options->null_sink, &writer->arena);
    if (error)
        return error;
    fill_with_noise(writer->arena.base, arena_bytes(options), options->seed + writer->number);
    for (unsigned i = 0; i < options->depth; i++) {
        struct chunk *chunk = &writer->chunks[i];
        chunk->op.done = chunk_written;
        chunk->writer = writer;
        chunk->data = (char *)writer->arena.base + (size_t)i * options->chunk_bytes;
        chunk->buffer_index = (int)i;
        buffers[i] = (struct iovec){.iov_base = chunk->data, .iov_len = options->chunk_bytes};
    }
    error = pst_ring_open(&writer->ring, &ring_options);
    if (error)
        return error;
    pst_ring_register_buffers(writer->ring, buffers, options->depth);
    return 0;
}

static void *run_writer(void *argument)
{
    struct writer *writer = argument;
    pin(writer->number);
    int error = prepare(writer);
    if (error)
        fail(writer, "prepare", error);
    (void)pthread_barrier_wait(writer->barrier); /* all are ready */
    (void)pthread_barrier_wait(writer->barrier); /* the clock runs */
    if (!writer->error) {
        create(writer);
        pst_ring_drain(writer->ring);
    }
    (void)pthread_barrier_wait(writer->barrier); /* the clock stands */
    if (!writer->error) {
        (void)snprintf(writer->ring_text, sizeof(writer->ring_text), "%s",
                       pst_ring_describe(writer->ring));
        pst_ring_close(writer->ring);
    }
    return NULL;
}

/* ---- all writers ---- */

struct write_job {
    struct common_choices common;
    struct options options;
    int dirfd;
    struct result result;
    struct latency latency;
    char file_text[64], preallocation[32], ring_text[256]; /* of the last round */
};

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static int start_threads(const struct options *options, struct writer *writers, int dirfd,
                         pthread_barrier_t *barrier)
{
    for (unsigned i = 0; i < options->files; i++) {
        struct writer *writer = &writers[i];
        *writer = (struct writer){.options = options,
                                  .barrier = barrier,
                                  .number = i,
                                  .dirfd = dirfd,
                                  .part.file.fd = -1};
        (void)snprintf(writer->name, sizeof(writer->name), "%u.data", i);
        int error = pthread_create(&writer->thread, NULL, run_writer, writer);
        if (error) { /* the threads before it wait at the barrier for ever: leave with them */
            (void)fprintf(stderr, "penstock-bench: no thread: %s\n", strerror(error));
            return error;
        }
    }
    return 0;
}

static struct program_cost measure(pthread_barrier_t *barrier)
{
    (void)pthread_barrier_wait(barrier);
    uint64_t began_ns = pst_monotonic_ns();
    double cpu_began = cpu_seconds();
    (void)pthread_barrier_wait(barrier);
    (void)pthread_barrier_wait(barrier);
    return (struct program_cost){.seconds = (double)(pst_monotonic_ns() - began_ns) / 1e9,
                                 .cpu_s = cpu_seconds() - cpu_began};
}

/* Joins, removes the file, closes; returns the bytes written or, after saying it, an error. */
static int64_t end_writer(struct writer *writer)
{
    (void)pthread_join(writer->thread, NULL);
    if (!writer->options->null_sink)
        (void)unlinkat(writer->dirfd, writer->name, 0);
    if (writer->error) {
        (void)fprintf(stderr, "penstock-bench: %s/%s: %s: %s\n", writer->options->dir, writer->name,
                      writer->failed_step, pst_error_text(writer->error));
        return writer->error;
    }
    pst_arena_destroy(&writer->arena);
    return (int64_t)writer->next_offset;
}

static const char *preallocation_text(const struct writer *writer)
{
    int error = writer->part.preallocate_error;
    if (error)
        return pst_error_name(error);
    return writer->part.preallocates ? "yes" : "no";
}

static void describe(struct write_job *job, const struct writer *writer)
{
    (void)snprintf(job->file_text, sizeof(job->file_text), "%s", writer->file_text);
    (void)snprintf(job->preallocation, sizeof(job->preallocation), "%s",
                   preallocation_text(writer));
    (void)snprintf(job->ring_text, sizeof(job->ring_text), "%s", writer->ring_text);
}

static int run_round(struct write_job *job, bool counts)
{
    static struct writer writers[FILES_MAX];
    pthread_barrier_t barrier;
    int failed = 0;
    (void)pthread_barrier_init(&barrier, NULL, job->options.files + 1);
    if (start_threads(&job->options, writers, job->dirfd, &barrier) != 0)
        return 1;
    struct program_cost cost = measure(&barrier);
    for (unsigned i = 0; i < job->options.files; i++) {
        failed |= end_writer(&writers[i]) < 0;
        if (counts)
            latency_join(&job->latency, &writers[i].latency);
    }
    if (!failed && counts)
        result_add(&job->result, &cost);
    if (!failed)
        describe(job, &writers[0]);
    (void)pthread_barrier_destroy(&barrier);
    return failed;
}

static void print_result(const struct write_job *job)
{
    const struct result *result = &job->result;
    if (!job->common.json) {
        printf("%s\n%s\n\n", job->file_text, job->ring_text);
        result_print_heading();
        result_print_text(result);
        printf("\n");
        latency_print_text("of a write:", &job->latency);
        return;
    }
    double median_s = figures_median(result->seconds, result->count).median;
    result_print_json(result);
    printf(",\"files\":%u,\"chunk_bytes\":%u,\"depth\":%u,\"mb_per_second\":%.1f,\"file\":",
           job->options.files, job->options.chunk_bytes, job->options.depth,
           (double)result->bytes / 1e6 / median_s);
    facts_print_text(job->file_text);
    printf(",\"preallocation\":\"%s\",\"ring\":", job->preallocation);
    facts_print_text(job->ring_text);
    latency_print_json(&job->latency);
    result_end_json();
}

static int run_all(struct write_job *job)
{
    struct rounds rounds = rounds_of(&job->common, 1);
    while (rounds_next(&rounds)) {
        if (run_round(job, rounds.counts) != 0)
            return 1;
        if (!job->options.null_sink)
            program_settle(job->options.dir);
    }
    print_result(job);
    return 0;
}

/* ---- command line ---- */

static bool parse_word(const char *text, const char *const *words, unsigned count, unsigned *index)
{
    for (*index = 0; *index < count; (*index)++) {
        if (strcmp(text, words[*index]) == 0)
            return true;
    }
    return false;
}

static bool take_words(struct write_job *job, const char *sink, const char *direct)
{
    static const char *const sinks[] = {"disk", "null"};
    static const char *const directs[] = {"auto", "on", "off"}; /* as enum pst_direct */
    unsigned sink_index, direct_index;
    if (!parse_word(sink, sinks, 2, &sink_index) || !parse_word(direct, directs, 3, &direct_index))
        return false;
    job->options.null_sink = sink_index == 1;
    job->options.direct = (enum pst_direct)direct_index;
    return true;
}

static void set_up(struct write_job *job, uint64_t files, uint64_t chunk_bytes, uint64_t depth,
                   const char *direct)
{
    char size[SIZE_TEXT_BYTES], chunk[SIZE_TEXT_BYTES];
    struct options *options = &job->options;
    options->files = (unsigned)files;
    options->chunk_bytes = (uint32_t)chunk_bytes;
    options->depth = (unsigned)depth;
    options->seed = job->common.seed;
    job->result.bytes =
        files * ((options->bytes_per_file + chunk_bytes - 1) / chunk_bytes * chunk_bytes);
    (void)snprintf(job->result.key, RESULT_KEY_BYTES,
                   "write --files %u --bytes-per-file %s --chunk %s --depth %u --direct %s%s%s%s",
                   options->files, choices_size_text(options->bytes_per_file, size),
                   choices_size_text(chunk_bytes, chunk), options->depth, direct,
                   options->polling.sqpoll ? " --sqpoll" : "",
                   options->polling.iopoll ? " --iopoll" : "",
                   options->null_sink ? " --sink null" : "");
}

/* Open until the process ends. */
static void open_scratch(struct write_job *job)
{
    const char *path = program_scratch(job->options.dir, NULL);
    job->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bench_must(job->dirfd >= 0, path);
}

int bench_write(int argc, char **argv)
{
    static struct write_job job = {.common = COMMON_CHOICES_DEFAULT(5),
                                   .options = {.dir = ".", .bytes_per_file = 256u << 20}};
    uint64_t files = 1, chunk_bytes = PST_CHUNK_BYTES_DEFAULT, depth = PST_DEPTH_DEFAULT;
    const char *sink = "disk", *direct = "auto";
    const struct choice choices[] = {
        {"dir", CHOICE_TEXT, "DIR", &job.options.dir, 0, "where the files are written and removed"},
        {"files", CHOICE_COUNT, "N", &files, FILES_MAX, "each with a thread and a ring, up to 64"},
        {"bytes-per-file", CHOICE_BYTES, "SIZE", &job.options.bytes_per_file, UINT64_C(1) << 40,
         "of each"},
        {"chunk", CHOICE_BYTES, "SIZE", &chunk_bytes, PST_CHUNK_BYTES_MAX,
         "of one write, a multiple of 4K"},
        {"depth", CHOICE_COUNT, "N", &depth, PST_DEPTH_MAX, "writes in flight for each file"},
        {"sink", CHOICE_TEXT, "disk|null", &sink, 0, "null: write to /dev/null"},
        {"direct", CHOICE_TEXT, "auto|on|off", &direct, 0, "O_DIRECT"},
        {"sqpoll", CHOICE_SWITCH, NULL, &job.options.polling.sqpoll, 0,
         "a thread of the kernel for each ring takes its requests"},
        {"iopoll", CHOICE_SWITCH, NULL, &job.options.polling.iopoll, 0,
         "look for the end of writes with O_DIRECT without a pause"},
        COMMON_CHOICES(&job.common),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &job.common);
    if (status >= 0)
        return status;
    if (!take_words(&job, sink, direct) || chunk_bytes % PST_BLOCK_BYTES != 0) {
        (void)fprintf(stderr, "penstock-bench: --sink, --direct or --chunk: no such value\n");
        return 2;
    }
    program_catch_interrupts();
    if (!job.options.null_sink)
        open_scratch(&job);
    set_up(&job, files, chunk_bytes, depth, direct);
    const char *places[] = {job.options.dir, NULL};
    facts_print(job.common.json, argv, places);
    return run_all(&job);
}
