/*
 * Private to the empty-backup bench: the signals of an empty backup of 2 nodes × 2 LDMs, without
 * its files. Two processes run the product's own machines (engine/protocol), with the threads that
 * a node has; LDMs, sources and archives do nothing but answer. So what differs between the ways is
 * how signals travel.
 */
#ifndef PST_BENCH_EXCHANGE_H
#define PST_BENCH_EXCHANGE_H

#include <sys/types.h>

#include "bench/exchange_port.h"
#include "bench/samples.h"

struct exchange {
    enum exchange_way way;
    pid_t nodes[2];
    int command_fd;   /* of the client, a thread of node 1 */
    uint32_t signals; /* through the hubs, in one backup */
};

/* Forks the nodes. directory: of the fabric. */
void exchange_open(struct exchange *exchange, enum exchange_way way, const char *directory);

/* One backup: from BACKUP_REQ to BACKUP_COMPLETE_REP, as its client sees it. */
uint64_t exchange_round(struct exchange *exchange);
void exchange_close(struct exchange *exchange);

#endif
