/* penstock-bench copy-hash: what an LDM could at best do in memory: bytes copied into a chunk's
 * buffer, or read there from a file, and hashed, by one thread. Prints GB/s, a line a round. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "bench/bench.h"
#include "bench/facts.h"
#include "bench/result.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "penstock/limits.h"

#define MIB ((size_t)1 << 20)
#define HUGE_BYTES (2 * MIB)

/* Where the bytes come from. */
struct origin {
    char *data; /* NULL: the file */
    int fd;
    uint32_t mib;
    bool hashes;
    bool json;
};

static bool take(const struct origin *origin, size_t at, char *chunk)
{
    if (!origin->data)
        return pread(origin->fd, chunk, MIB, (off_t)(at * MIB)) == (ssize_t)MIB;
    memcpy(chunk, origin->data + at * MIB, MIB);
    return true;
}

/* Seconds; negative: the file could not be read. */
static double run_round(char *chunk, const struct origin *origin)
{
    uint64_t sum = 0, began_ns = pst_monotonic_ns();
    for (size_t at = 0; at < origin->mib; at++) {
        if (!take(origin, at, chunk))
            return -1;
        sum += origin->hashes ? XXH3_128bits(chunk, MIB).low64 : (uint64_t)chunk[at];
    }
    volatile uint64_t used = sum; /* else nothing would be hashed */
    (void)used;
    return (double)(pst_monotonic_ns() - began_ns) / 1e9;
}

static void print_json(const struct origin *origin, const double *seconds, uint32_t rounds)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "copy-hash %s%s", origin->data ? "memory" : "file",
                   origin->hashes ? "" : " copy-only");
    result_print_rounds(key, origin->mib * MIB, seconds, seconds, rounds);
}

static int measure(const struct origin *origin, uint32_t rounds)
{
    char *chunk = aligned_alloc(HUGE_BYTES, HUGE_BYTES); /* as an LDM's buffers lie */
    if (!chunk || madvise(chunk, HUGE_BYTES, MADV_HUGEPAGE) != 0) {
        (void)fputs("no memory\n", stderr);
        return 1;
    }
    memset(chunk, 0, HUGE_BYTES);
    bench_pin(0);
    static double seconds[RESULT_ROUNDS_MAX];
    bool is_read = true;
    for (uint32_t i = 0; i < rounds && is_read; i++) {
        seconds[i] = run_round(chunk, origin);
        is_read = seconds[i] >= 0;
        if (is_read && !origin->json)
            printf("%.3f\n", (double)origin->mib * (double)MIB / 1e9 / seconds[i]);
    }
    free(chunk);
    if (!is_read)
        (void)fprintf(stderr, "the file cannot be read, or has less than %u MiB\n", origin->mib);
    else if (origin->json)
        print_json(origin, seconds, rounds);
    return !is_read;
}

static int measure_memory(struct origin *origin, uint32_t rounds)
{
    size_t bytes = origin->mib * MIB;
    origin->data = malloc(bytes);
    if (!origin->data) {
        (void)fputs("no memory\n", stderr);
        return 1;
    }
    for (size_t i = 0; i < bytes; i += sizeof(i))
        memcpy(origin->data + i, &i, sizeof(i));
    int code = measure(origin, rounds);
    free(origin->data);
    return code;
}

static int measure_file(struct origin *origin, const char *path, uint32_t rounds)
{
    origin->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (origin->fd < 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int code = measure(origin, rounds);
    (void)close(origin->fd);
    return code;
}

static const char usage_text[] = "usage: penstock-bench copy-hash [OPTION]...\n"
                                 "  --mib N       of memory, up to 16384 (default: 1024)\n"
                                 "  --file PATH   read(2) from it, instead of memcpy\n"
                                 "  --copy-only   without a hash\n"
                                 "  --rounds N    through all of it, up to 512 (default: 10)\n"
                                 "  --json        JSON lines on standard output\n";

static const struct option long_options[] = {
    {"mib", required_argument, NULL, 'm'},
    {"rounds", required_argument, NULL, 'r'},
    {"file", required_argument, NULL, 'f'},
    {"copy-only", no_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int bench_copy_hash(int argc, char **argv)
{
    struct origin origin = {.mib = 1024, .hashes = true};
    const char *path = NULL;
    uint32_t rounds = 10;
    int option;
    bool is_wrong = false;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            (void)fputs(usage_text, stdout);
            return 0;
        case 'm':
            origin.mib = bench_number(optarg, 16384);
            break;
        case 'r':
            rounds = bench_number(optarg, RESULT_ROUNDS_MAX);
            break;
        case 'f':
            path = optarg;
            break;
        case 'c':
            origin.hashes = false;
            break;
        case 'j':
            origin.json = true;
            break;
        default:
            is_wrong = true;
        }
    }
    if (is_wrong || origin.mib == 0 || rounds == 0 || optind != argc) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    const char *const places[] = {path, NULL};
    if (origin.json)
        facts_print(true, argv, places);
    return path ? measure_file(&origin, path, rounds) : measure_memory(&origin, rounds);
}
