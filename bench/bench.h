/*
 * The subcommands of penstock-bench. Each gets its own argc and argv (argv[0] is its name) and
 * returns the exit code: 0 done, 1 failed, 2 usage, 77 cannot run here. What they share: choices.h
 * (options), facts.h (where they ran), program.h (runs of others), rounds.h, result.h (what they
 * took), figures.h, samples.h and latency.h (statistics), line.h (JSON).
 */
#ifndef PST_BENCH_BENCH_H
#define PST_BENCH_BENCH_H

int bench_write(int argc, char **argv);
int bench_scan(int argc, char **argv);
int bench_restore(int argc, char **argv);
int bench_verify(int argc, char **argv);
int bench_run(int argc, char **argv);
int bench_live(int argc, char **argv);
int bench_sweep(int argc, char **argv);
int bench_compare(int argc, char **argv);
int bench_fan_out(int argc, char **argv);
int bench_forward(int argc, char **argv);
int bench_empty_backup(int argc, char **argv);
int bench_codec(int argc, char **argv);
int bench_quic_cpu(int argc, char **argv);
int bench_copy_hash(int argc, char **argv);
int bench_listing(int argc, char **argv);
int bench_small_files(int argc, char **argv);

#endif
