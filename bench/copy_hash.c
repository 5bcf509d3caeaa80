/* penstock-bench copy-hash: what an LDM could at best do in memory: bytes copied into a chunk's
 * buffer, or read there from a file, and hashed, by one thread. Prints GB/s, a line a round. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "penstock/limits.h"

#define MIB ((size_t)1 << 20)
#define HUGE_BYTES (2 * MIB)

/* Where the bytes come from. */
struct origin {
    char *data; /* NULL: the file */
    int fd;
    uint64_t mib;
    bool hashes;
    struct common_choices common;
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

static int measure(const struct origin *origin)
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
    struct rounds rounds = rounds_of(&origin->common, 1);
    while (is_read && rounds_next(&rounds)) {
        uint32_t round = rounds.counted;
        seconds[round] = run_round(chunk, origin);
        is_read = seconds[round] >= 0;
        if (is_read && rounds.counts && !origin->common.json)
            printf("%.3f\n", (double)origin->mib * (double)MIB / 1e9 / seconds[round]);
    }
    free(chunk);
    if (!is_read)
        (void)fprintf(stderr, "the file cannot be read, or has less than %llu MiB\n",
                      (unsigned long long)origin->mib);
    else if (origin->common.json)
        print_json(origin, seconds, rounds.counted);
    return !is_read;
}

static int measure_memory(struct origin *origin)
{
    size_t bytes = origin->mib * MIB;
    origin->data = malloc(bytes);
    if (!origin->data) {
        (void)fputs("no memory\n", stderr);
        return 1;
    }
    for (size_t i = 0; i < bytes; i += sizeof(i)) {
        uint64_t word = origin->common.seed + i;
        memcpy(origin->data + i, &word, sizeof(word));
    }
    int code = measure(origin);
    free(origin->data);
    return code;
}

static int measure_file(struct origin *origin, const char *path)
{
    origin->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (origin->fd < 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int code = measure(origin);
    (void)close(origin->fd);
    return code;
}

int bench_copy_hash(int argc, char **argv)
{
    struct origin origin = {.mib = 1024, .common = COMMON_CHOICES_DEFAULT(10)};
    const char *path = NULL;
    bool copies_only = false;
    const struct choice choices[] = {
        {"mib", CHOICE_COUNT, "N", &origin.mib, 16384, "of memory, up to 16384"},
        {"file", CHOICE_TEXT, "PATH", &path, 0, "read(2) from it, instead of memcpy"},
        {"copy-only", CHOICE_SWITCH, NULL, &copies_only, 0, "without a hash"},
        MEASURING_CHOICES(&origin.common, RESULT_ROUNDS_MAX, "rounds through all of it, up to 512"),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &origin.common);
    if (status >= 0)
        return status;
    origin.hashes = !copies_only;
    const char *const places[] = {path, NULL};
    if (origin.common.json)
        facts_print(true, argv, places);
    return path ? measure_file(&origin, path) : measure_memory(&origin);
}
