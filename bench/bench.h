/*
 * The subcommands of penstock-bench. Each gets its own argc and argv (argv[0] is its name) and
 * returns the exit code: 0 done, 1 failed, 2 usage, 77 cannot run here.
 */
#ifndef PST_BENCH_BENCH_H
#define PST_BENCH_BENCH_H

int bench_part_writer(int argc, char **argv);
int bench_fan_out(int argc, char **argv);
int bench_forward(int argc, char **argv);
int bench_empty_backup(int argc, char **argv);
int bench_codec(int argc, char **argv);
int bench_quic_cpu(int argc, char **argv);

#endif
