/* The main program of penstock-bench: finds the subcommand and runs it. */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "bench/facts.h"
#include "bench/program.h"

struct subcommand {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

static const struct subcommand subcommands[] = {
    {"sweep", "which --ldms, --chunk, --depth, --direct and --compress to use here", bench_sweep},
    {"compare", "two files of results: better, worse, or not resolved", bench_compare},
    {"write", "write part files as an LDM does: MB/s, CPU time, latency of writes", bench_write},
    {"scan", "read a source, and checksum it, into nowhere", bench_scan},
    {"restore", "restore a backup", bench_restore},
    {"verify", "verify a backup", bench_verify},
    {"run", "run any command: its time, CPU time and memory", bench_run},
    {"live", "what the writers of a database notice of a backup", bench_live},
    {"fan-out", "one signal to many threads and back: rings beside eventfd, pipe, mutex",
     bench_fan_out},
    {"forward", "signals through a hub in another process: fabric beside sockets", bench_forward},
    {"empty-backup", "a backup of nothing, over either fabric, beside its signals over sockets",
     bench_empty_backup},
    {"codec", "chunks of a file encoded in steps, beside the codec's library", bench_codec},
    {"quic-cpu", "what signals between hosts cost, on a machine that is busy", bench_quic_cpu},
    {"copy-hash", "memcpy and XXH3: what scanning in memory is measured by", bench_copy_hash},
    {"listing", "a directory listed for several LDMs: what reading ahead gains", bench_listing},
    {"small-files", "files of one reading: what each feature of io_uring costs or gains",
     bench_small_files},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static void print_usage(FILE *stream)
{
    (void)fprintf(stream, "usage: penstock-bench SUBCOMMAND [--help] [OPTION]...\n\n");
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        (void)fprintf(stream, "  %-16s %s\n", subcommands[i].name, subcommands[i].summary);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < SUBCOMMANDS; i++) {
        if (strcmp(name, subcommands[i].name) != 0)
            continue;
        if (argc < 3 || strcmp(argv[2], "--help") != 0)
            facts_refuse_debug();
        int code = subcommands[i].run(argc - 1, argv + 1);
        bench_must(fflush(stdout) == 0 && !ferror(stdout), "standard output");
        return code;
    }
    print_usage(stderr);
    return 2;
}
