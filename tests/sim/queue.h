/*
 * What is still to happen, in order of virtual time; at the same time, in the order it was added.
 * An event put back keeps its place in that order.
 */
#ifndef PST_TESTS_SIM_QUEUE_H
#define PST_TESTS_SIM_QUEUE_H

#include "engine/protocol/step.h"

#define SIM_EVENTS_MAX 32768u
#define SIM_NOTHING_TAKEN UINT32_MAX

enum sim_event_type {
    /* of a thread of a node */
    SIM_SIGNAL,      /* a signal reaches its thread */
    SIM_TIMER,       /* a machine of this thread may have reached its deadline */
    SIM_POLL,        /* a hub looks at its fabric */
    SIM_WORK,        /* an LDM's work ends; token: which */
    SIM_PROGRESS,    /* an LDM tells its sums */
    SIM_TROUBLE,     /* an LDM has trouble outside any work; token: of which backup */
    SIM_SERVICE,     /* a source or the archive ends what it is doing; token: which */
    SIM_LIST,        /* a source lists its next fragment; token: of which listing */
    SIM_HOLD,        /* a source has held its writers for too long; token: which freeze */
    SIM_CLIENT_NEXT, /* the client asks for a backup; token: which */
    SIM_CLIENT_ABORT,
    SIM_CLIENT_REPEAT,
    SIM_CLIENT_OTHER,
    SIM_CLIENT_VANISH,
    /* of the world */
    SIM_STRIKE,   /* a rule of the scenario strikes; token: which */
    SIM_MISCHIEF, /* a fault that strikes a node or a link; token: which fault */
    SIM_FLAP,     /* a link that flaps is cut again; token: mischief.c */
    SIM_DETECT,   /* does a node still hear another? token: observer and observed */
    SIM_JOIN,     /* can two nodes meet again? */
    SIM_RESTART,  /* a node's process starts */
};

/* A signal to another node goes through the hub of either. */
enum sim_hop { SIM_HEARD, SIM_LEAVES, SIM_ARRIVES };

struct sim_event {
    enum sim_event_type type;
    uint32_t thread; /* whose event it is, or SIM_WORLD */
    uint64_t time_ns;
    uint64_t order;
    uint64_t token;
    uint32_t incarnation; /* of the thread's node: the event dies with it */
    enum sim_hop hop;     /* of a signal between nodes */
    uint64_t held_ns;     /* on its link */
    bool is_stale;        /* comes in late, of a session that is over */
    uint32_t session;     /* of the link that a signal came by; 0: none */
    struct pst_signal signal;
};

struct sim_queue {
    uint32_t count;
    uint32_t used;  /* slots that were ever used: unused[] holds the free ones of them */
    uint32_t taken; /* the slot of the event that was taken last */
    uint64_t order;
    uint16_t heap[SIM_EVENTS_MAX];
    uint16_t unused[SIM_EVENTS_MAX];
    uint32_t unused_count;
    struct sim_event events[SIM_EVENTS_MAX];
};

void sim_queue_init(struct sim_queue *queue);

/* Adds an event, to be filled in but for type, thread, time and order. */
struct sim_event *sim_queue_add(struct sim_queue *queue, enum sim_event_type type, uint32_t thread,
                                uint64_t time_ns);

/* Takes the next event out; NULL when there is none. It lies there until the next is taken. */
const struct sim_event *sim_queue_take(struct sim_queue *queue);

/* Puts an event that was taken back, for later, before all that were added after it. */
void sim_queue_put_back(struct sim_queue *queue, const struct sim_event *event, uint64_t time_ns);

#endif
