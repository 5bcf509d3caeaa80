/*
 * What goes into a step of a protocol machine, and what comes out.
 *
 * master, proxy and participant are functions step(state, event, actions): no I/O, no clock, no
 * malloc, no log, no thread. The caller owns all three for the length of the call; no pointer in
 * an event or an action is kept. Time is a field of the event; each machine has a function that
 * returns the next deadline, and wants a PST_EVENT_TIMER at or after it. The caller performs the
 * actions in the order given: signals and works of one step are ordered among each other by
 * construction (works last).
 */
#ifndef PST_ENGINE_PROTOCOL_STEP_H
#define PST_ENGINE_PROTOCOL_STEP_H

#include "engine/protocol/signal.h"

#define PST_DEADLINE_NONE UINT64_MAX

enum pst_event_type {
    PST_EVENT_SIGNAL,      /* a signal addressed to this machine came in */
    PST_EVENT_TIMER,       /* now_ns has reached the machine's deadline */
    PST_EVENT_NODE_FAILED, /* a node was declared dead; nothing comes from it until it has joined */
    PST_EVENT_NODE_JOINED, /* a node lives, under a new incarnation; never without a NODE_FAILED of
                              the last one */
    PST_EVENT_WORK_DONE,   /* participant: a work that it asked for has ended */
    PST_EVENT_PROGRESS,    /* participant: sums since the start of the backup have grown, or, during
                              STOP, more of the part has been read back */
    PST_EVENT_TROUBLE,     /* participant: the first file or scan error of its part */
};

/* What an LDM does for its participant. One at a time, but for up to
 * PST_FRAGMENTS_AHEAD scans, which end in any order. Each is answered by one WORK_DONE. */
enum pst_work_type {
    PST_WORK_OPEN,    /* create the part file, reserve buffers */
    PST_WORK_START,   /* write the part's header; from here on changes are captured */
    PST_WORK_SCAN,    /* scan one fragment into the part */
    PST_WORK_HALT,    /* no answer: let running scans end at once, with -ECANCELED */
    PST_WORK_STOP,    /* flush chunks, write index and trailer, fsync, close; with PST_BACKUP_VERIFY
                         read it all back too */
    PST_WORK_RELEASE, /* the backup is complete: forget it, keep the file */
    PST_WORK_DISCARD, /* stop whatever runs, answering it with -ECANCELED, and remove the file;
                         the one work that may be asked for while others run, and it outlives them
                       */
};

struct pst_work {
    enum pst_work_type type;
    uint64_t backup;
    uint8_t uid[16];    /* OPEN */
    uint32_t number;    /* OPEN */
    uint32_t flags;     /* OPEN: enum pst_backup_flags */
    uint32_t source;    /* SCAN */
    uint64_t fragment;  /* SCAN */
    uint64_t start_gci; /* STOP */
    uint64_t stop_gci;  /* STOP */
};

struct pst_work_result {
    enum pst_work_type type;
    int error; /* 0, or an errno or PST_E_…, negative */
    uint64_t backup;
    uint32_t source;      /* SCAN */
    uint64_t fragment;    /* SCAN */
    struct pst_sums sums; /* SCAN: of this fragment; STOP: of the whole part */
    uint64_t file_bytes;  /* STOP */
    uint8_t digest[16];   /* STOP */
};

struct pst_event {
    enum pst_event_type type;
    uint64_t now_ns; /* monotonic; never goes back */
    union {
        const struct pst_signal *signal; /* SIGNAL; valid for this call */
        struct pst_work_result work;     /* WORK_DONE */
        struct pst_sums progress;        /* PROGRESS */
        int trouble;                     /* TROUBLE: as pst_work_result.error */
        struct {                         /* NODE_FAILED, NODE_JOINED */
            uint32_t node;
            bool multithreaded; /* NODE_JOINED: it has a proxy for several LDMs */
        };
    };
};

/* Where a signal goes. A fan-out is one signal and a set: the caller writes it into each ring
 * with receiver_ref completed: instance (LDMS, SOURCES) or node (NODES). */
enum pst_route {
    PST_ROUTE_ONE,     /* receiver_ref is whole */
    PST_ROUTE_LDMS,    /* BACKUP instances member + 1 of this node */
    PST_ROUTE_SOURCES, /* SOURCE instances member of this node */
    PST_ROUTE_NODES,   /* the same block and instance on nodes member + 1 */
};

struct pst_send {
    struct pst_signal signal;
    struct pst_set targets; /* empty for PST_ROUTE_ONE */
    enum pst_route route;
};

#define PST_SENDS_MAX 16u
#define PST_WORKS_MAX 4u

/* Counts cleared by the caller before each step. */
struct pst_actions {
    uint32_t sends_count;
    uint32_t works_count;
    struct pst_send sends[PST_SENDS_MAX];
    struct pst_work works[PST_WORKS_MAX];
};

/* Adds a signal to the actions and returns it, header complete and payload zero, to be filled in.
 * A fan-out completes receiver_ref for each target: the instance, or the node. */
struct pst_signal *actions_send(struct pst_actions *actions, uint16_t gsn, pst_ref sender_ref,
                                pst_ref receiver_ref, uint64_t backup, uint32_t sequence);
struct pst_signal *actions_fan_out(struct pst_actions *actions, uint16_t gsn, pst_ref sender_ref,
                                   enum pst_route route, const struct pst_set *targets,
                                   pst_ref receiver_ref, uint64_t backup, uint32_t sequence);
struct pst_work *actions_work(struct pst_actions *actions, enum pst_work_type type,
                              uint64_t backup);

/* Limits in time, nested: ldm_ns < proxy_ns < master_ns (asserted at every machine's init). */
struct pst_timeouts {
    uint64_t ldm_ns;    /* an LDM's work, scans excepted */
    uint64_t proxy_ns;  /* a request of the proxy's */
    uint64_t master_ns; /* a request of the master's */
    uint64_t stall_ns;  /* a scan that moves nothing at all for so long; the master allows master_ns
                           more, in which its proxies give up what they wait for and report that */
    uint64_t progress_ns; /* between two progress reports */
    uint64_t thawed_ns;   /* in which writers go on, after a freeze that missed its limit and before
                             the next try */
    uint64_t ask_ns;      /* between two questions of a node in doubt */
};

/* How often a proxy tries to freeze its sources, as long as its deadline allows. */
#define PST_FREEZE_TRIES_MAX 3u

bool timeouts_are_nested(const struct pst_timeouts *timeouts);

#endif
