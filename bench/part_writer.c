/*
 * penstock-bench part-writer: one pinned thread and ring for each file, registered buffers and
 * file, writes of one size at a fixed depth, preallocation, and at the end truncate, fdatasync and
 * close. The clock runs from the creation of the files to the last close; removing them is not
 * counted. CPU time is the process's, kernel workers included (getrusage(2)).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/limits.h"
#include "io/part_file.h"
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
    bool json;
};

struct chunk {
    struct pst_io_op op;
    struct writer *writer;
    char *data;
    int buffer_index;
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
    char *arena;
    uint64_t next_offset;
    unsigned writing;
    int error;
    const char *failed_step;
    char file_text[64];
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
    if (result < 0)
        fail(writer, "write", result);
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
    struct pst_ring_options ring_options = {.entries = 2 * options->depth, .files_max = 4};
    struct iovec buffers[PST_DEPTH_MAX];
    writer->arena = mmap(NULL, arena_bytes(options), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (writer->arena == MAP_FAILED)
        return -errno;
    fill_with_noise(writer->arena, arena_bytes(options), writer->number + 1);
    for (unsigned i = 0; i < options->depth; i++) {
        struct chunk *chunk = &writer->chunks[i];
        chunk->op.done = chunk_written;
        chunk->writer = writer;
        chunk->data = writer->arena + (size_t)i * options->chunk_bytes;
        chunk->buffer_index = (int)i;
        buffers[i] = (struct iovec){.iov_base = chunk->data, .iov_len = options->chunk_bytes};
    }
    int error = pst_ring_open(&writer->ring, &ring_options);
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
    return NULL;
}

/* ---- all writers ---- */

struct figures {
    uint64_t bytes;
    double seconds;
    double cpu_seconds;
};

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

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
        (void)snprintf(writer->name, sizeof(writer->name), "penstock-bench.%d.%u.data",
                       (int)getpid(), i);
        int error = pthread_create(&writer->thread, NULL, run_writer, writer);
        if (error) { /* the threads before it wait at the barrier for ever: leave with them */
            (void)fprintf(stderr, "penstock-bench: no thread: %s\n", strerror(error));
            return error;
        }
    }
    return 0;
}

static void measure(pthread_barrier_t *barrier, struct figures *figures)
{
    (void)pthread_barrier_wait(barrier);
    double start = now_seconds();
    double cpu_start = cpu_seconds();
    (void)pthread_barrier_wait(barrier);
    (void)pthread_barrier_wait(barrier);
    figures->seconds = now_seconds() - start;
    figures->cpu_seconds = cpu_seconds() - cpu_start;
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
    (void)munmap(writer->arena, arena_bytes(writer->options));
    return (int64_t)writer->next_offset;
}

static const char *preallocation_text(const struct writer *writer)
{
    int error = writer->part.preallocate_error;
    if (error)
        return pst_error_name(error);
    return writer->part.preallocates ? "yes" : "no";
}

static void print_figures(const struct options *options, const struct writer *writer,
                          const struct figures *figures)
{
    double rate = (double)figures->bytes / 1e6 / figures->seconds;
    double cpu = figures->cpu_seconds / ((double)figures->bytes / (double)(1u << 30));
    const char *ring = pst_ring_describe(writer->ring);
    if (options->json) {
        printf("{\"message_type\":\"part-writer\",\"files\":%u,\"bytes\":%llu,"
               "\"chunk_bytes\":%u,\"depth\":%u,\"seconds\":%.6f,\"mb_per_second\":%.1f,"
               "\"cpu_seconds\":%.6f,\"cpu_seconds_per_gib\":%.4f,\"file\":\"%s\","
               "\"preallocation\":\"%s\",\"ring\":\"%s\"}\n",
               options->files, (unsigned long long)figures->bytes, options->chunk_bytes,
               options->depth, figures->seconds, rate, figures->cpu_seconds, cpu, writer->file_text,
               preallocation_text(writer), ring);
        return;
    }
    printf("%u files, %.1f MB, %u x %u bytes in flight, %s\n%s\n"
           "%.1f MB/s, %.4f CPU seconds per GiB\n",
           options->files, (double)figures->bytes / 1e6, options->depth, options->chunk_bytes,
           writer->file_text, ring, rate, cpu);
}

static int run(const struct options *options, int dirfd)
{
    static struct writer writers[FILES_MAX];
    pthread_barrier_t barrier;
    struct figures figures = {0};
    int failed = 0;
    (void)pthread_barrier_init(&barrier, NULL, options->files + 1);
    if (start_threads(options, writers, dirfd, &barrier) != 0)
        return 1;
    measure(&barrier, &figures);
    for (unsigned i = 0; i < options->files; i++) {
        int64_t bytes = end_writer(&writers[i]);
        if (bytes < 0)
            failed = 1;
        else
            figures.bytes += (uint64_t)bytes;
    }
    if (!failed)
        print_figures(options, &writers[0], &figures);
    return failed;
}

/* ---- command line ---- */

static const char usage_text[] =
    "usage: penstock-bench part-writer [OPTION]...\n"
    "  --dir DIR             where the files are written and removed (default: .)\n"
    "  --files N             files, each with a thread and a ring (default: 1, at most 64)\n"
    "  --bytes-per-file N    with suffix K, M or G (default: 256M)\n"
    "  --chunk N             bytes of one write, a multiple of 4096 (default: 1M)\n"
    "  --depth N             writes in flight for each file (default: 8, at most 128)\n"
    "  --sink disk|null      null: write to /dev/null\n"
    "  --direct auto|on|off  O_DIRECT (default: auto)\n"
    "  --json                one line of JSON\n";

static bool parse_bytes(const char *text, uint64_t max, uint64_t *bytes)
{
    static const char suffixes[] = "KMG";
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *suffix = *end ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    if (errno || end == text || *text == '-' || (*end && (!suffix || end[1])))
        return false;
    *bytes = (uint64_t)number << shift;
    return number > 0 && number <= max >> shift;
}

static bool parse_word(const char *text, const char *const *words, unsigned count, unsigned *index)
{
    for (*index = 0; *index < count; (*index)++) {
        if (strcmp(text, words[*index]) == 0)
            return true;
    }
    return false;
}

static bool parse_option(int option, const char *text, struct options *options)
{
    static const char *const sinks[] = {"disk", "null"};
    static const char *const directs[] = {"auto", "on", "off"}; /* as enum pst_direct */
    uint64_t number = 0;
    unsigned word = 0;
    switch (option) {
    case 'd':
        options->dir = text;
        return true;
    case 'f':
        if (!parse_bytes(text, FILES_MAX, &number))
            return false;
        options->files = (unsigned)number;
        return true;
    case 'b':
        return parse_bytes(text, 1ull << 40, &options->bytes_per_file);
    case 'c':
        if (!parse_bytes(text, PST_CHUNK_BYTES_MAX, &number) || number % PST_BLOCK_BYTES)
            return false;
        options->chunk_bytes = (uint32_t)number;
        return true;
    case 'q':
        if (!parse_bytes(text, PST_DEPTH_MAX, &number))
            return false;
        options->depth = (unsigned)number;
        return true;
    case 's':
        if (!parse_word(text, sinks, 2, &word))
            return false;
        options->null_sink = word == 1;
        return true;
    case 'D':
        if (!parse_word(text, directs, 3, &word))
            return false;
        options->direct = (enum pst_direct)word;
        return true;
    case 'j':
        options->json = true;
        return true;
    default:
        return false;
    }
}

static const struct option long_options[] = {
    {"dir", required_argument, NULL, 'd'},   {"files", required_argument, NULL, 'f'},
    {"depth", required_argument, NULL, 'q'}, {"bytes-per-file", required_argument, NULL, 'b'},
    {"chunk", required_argument, NULL, 'c'}, {"sink", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},        {"direct", required_argument, NULL, 'D'},
    {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(usage_text, stdout);
            return 0;
        }
        if (parse_option(option, optarg, options))
            continue;
        if (option != '?')
            (void)fprintf(stderr, "penstock-bench: cannot use the value '%s'\n", optarg);
        (void)fputs(usage_text, stderr);
        return 2;
    }
    if (optind == argc)
        return -1;
    (void)fputs(usage_text, stderr);
    return 2;
}

int bench_part_writer(int argc, char **argv)
{
    struct options options = {.dir = ".",
                              .files = 1,
                              .bytes_per_file = 256u << 20,
                              .chunk_bytes = PST_CHUNK_BYTES_DEFAULT,
                              .depth = PST_DEPTH_DEFAULT};
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    int dirfd = open(options.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        (void)fprintf(stderr, "penstock-bench: %s: %s\n", options.dir, strerror(errno));
        return 1;
    }
    status = run(&options, dirfd);
    (void)close(dirfd);
    return status;
}
