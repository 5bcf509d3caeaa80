/*
 * For those who write a fabric: the table of functions behind net/fabric.h, and what every fabric
 * has. net/fabric_ops.c checks each call and each event against the contract and hands the call on,
 * so an implementation gets only calls from the hub's thread, with legal arguments.
 *
 * An implementation is a struct that begins with struct pst_fabric. It keeps the counters, and lets
 * no node join that is kept out.
 */
#ifndef PST_NET_FABRIC_OPS_H
#define PST_NET_FABRIC_OPS_H

#include "engine/base/check.h"
#include "net/fabric.h"

/* Each does what net/fabric.h says of pst_fabric_…; node: a peer. */
struct pst_fabric_ops {
    bool expels; /* may report EXPELLED */
    int (*poll)(struct pst_fabric *fabric, uint64_t now_ns, struct pst_fabric_event *event);
    int (*send)(struct pst_fabric *fabric, uint32_t node, const struct pst_signal *signal);
    void (*cut_off)(struct pst_fabric *fabric, uint32_t node, const char *reason);
    void (*publish)(struct pst_fabric *fabric);
    uint32_t (*room)(struct pst_fabric *fabric, uint32_t node);
    void (*announce)(struct pst_fabric *fabric);
    bool (*is_quiet)(struct pst_fabric *fabric);
    void (*cancel)(struct pst_fabric *fabric);
    uint64_t (*deadline_ns)(const struct pst_fabric *fabric);
    const char *(*refusal)(const struct pst_fabric *fabric, uint32_t node); /* NULL: never any */
    int (*rejoin)(struct pst_fabric *fabric, uint64_t incarnation);
    void (*close)(struct pst_fabric *fabric);
};

struct pst_fabric {
    const struct pst_fabric_ops *ops;
    struct pst_thread_owner hub;
    uint32_t node; /* this one */
    int fd;        /* for pst_fabric_fd() */

    /* By net/fabric_ops.c, from the events and readmit; by id - 1. */
    struct pst_set joined;
    struct pst_set
        kept_out; /* from FAILED until readmitted; of a part of a mixed fabric, by that */
    bool is_expelled;

    /* By the implementation, by id; [0]: refusals, which belong to no peer. Its own, or those of
     * the mixed fabric that it is a part of. */
    struct pst_fabric_counters *counters;
    struct pst_fabric_counters own_counters[PST_NODES_MAX + 1];
};

/* The first thing that opening a fabric does, with memory that is all zeros; from then on the
 * calling thread is the hub's. ops must outlive the fabric. */
void pst_fabric_init(struct pst_fabric *fabric, const struct pst_fabric_ops *ops, uint32_t node);

#endif
