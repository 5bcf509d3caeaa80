/*
 * Private to the fan-out bench: the ways by which one thread sends a signal to many and hears
 * from each.
 */
#ifndef PST_BENCH_FAN_OUT_H
#define PST_BENCH_FAN_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/program.h" /* bench_must */
#include "engine/protocol/signal.h"

#define FAN_OUT_THREADS_MAX 64u

/* One fan-out; made anew for each batch. open, close and send are the hub's, take and answer are a
 * worker's. A worker or hub that may sleep does so at once when there is nothing. */
struct fan_out_way {
    const char *name;
    void *(*open)(uint32_t threads);
    void (*close)(void *way);
    void (*send)(void *way, uint32_t worker, const struct pst_signal *signal);
    bool (*take)(void *way, uint32_t worker, struct pst_signal *signal, bool may_sleep);
    void (*answer)(void *way, uint32_t worker, const struct pst_signal *signal);
    uint32_t (*collect)(void *way, bool may_sleep); /* answers since the last call */
};

extern const struct fan_out_way fan_out_rings;   /* the product's: signal_ring.h, doorbell.h */
extern const struct fan_out_way fan_out_eventfd; /* one for each worker, one for the answers */
extern const struct fan_out_way fan_out_pipe;
extern const struct fan_out_way fan_out_condition; /* queues under a mutex */

#endif
