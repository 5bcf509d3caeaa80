/* penstock-bench copy-hash: what an LDM could at best do in memory: bytes copied into a chunk's
 * buffer and hashed there, by one thread. Prints GB/s, a line a round. */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bench/bench.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "penstock/limits.h"

#define MIB ((size_t)1 << 20)

static double run_round(char *chunk, const char *data, uint32_t mib)
{
    uint64_t sum = 0, began_ns = pst_monotonic_ns();
    for (size_t at = 0; at < mib; at++) {
        memcpy(chunk, data + at * MIB, MIB);
        sum += XXH3_128bits(chunk, MIB).low64;
    }
    volatile uint64_t used = sum; /* else nothing would be hashed */
    (void)used;
    return (double)mib * (double)MIB / (double)(pst_monotonic_ns() - began_ns);
}

static const char usage_text[] = "usage: penstock-bench copy-hash [OPTION]...\n"
                                 "  --mib N       of memory, up to 16384 (default: 1024)\n"
                                 "  --rounds N    through all of it, up to 1000 (default: 10)\n";

static const struct option long_options[] = {
    {"mib", required_argument, NULL, 'm'},
    {"rounds", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int bench_copy_hash(int argc, char **argv)
{
    uint32_t mib = 1024, rounds = 10;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(usage_text, stdout);
            return 0;
        }
        if (option == 'm')
            mib = bench_number(optarg, 16384);
        else
            rounds = option == 'r' ? bench_number(optarg, 1000) : 0;
        if (mib == 0 || rounds == 0)
            break;
    }
    if (mib == 0 || rounds == 0 || optind != argc) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    char *data = malloc(mib * MIB), *chunk = malloc(MIB);
    if (!data || !chunk) {
        (void)fputs("no memory\n", stderr);
        return 1;
    }
    for (size_t i = 0; i < mib * MIB; i += sizeof(i))
        memcpy(data + i, &i, sizeof(i));
    memset(chunk, 0, MIB);
    bench_pin(0);
    for (uint32_t i = 0; i < rounds; i++)
        printf("%.3f\n", run_round(chunk, data, mib));
    free(data);
    free(chunk);
    return 0;
}
