/*
 * Private to the benches: two network namespaces with a cable between them. For root. All exit on
 * errors.
 */
#ifndef PST_BENCH_APART_H
#define PST_BENCH_APART_H

#include <stdint.h>

/* The two ends of the cable. */
#define APART_HERE "bench1"
#define APART_THERE "bench2"

/* Moves the calling process, of one thread, into the first, and makes the second, where node 2 and
 * its like up to nodes are. Returns the network, for bench/ends.h. They end with the process. */
uint32_t apart_open(uint32_t nodes);

/* A child moves into the second. */
void apart_cross(void);

#endif
