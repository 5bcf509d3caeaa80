/*
 * Simulator: the real machines of one node, from a seed, in one thread and in virtual time.
 *
 * Real are master, proxies and participants; LDM workers, sources, archive and client are models
 * (model_*.c) that do as the runtime promises, or fail as the seed says. Signals take a random
 * time; those between the same two threads keep their order, others do not. Checkers (checker_*.c)
 * look on and judge; nothing that they know flows back into the run.
 */
#ifndef PST_TESTS_SIM_SIM_H
#define PST_TESTS_SIM_SIM_H

#include "engine/protocol/ldm.h"
#include "tests/sim/fault.h"
#include "tests/sim/queue.h"
#include "tests/sim/random.h"

#define SIM_NODE 1u
#define SIM_LDMS_MAX 8u
#define SIM_SOURCES_MAX 3u
#define SIM_FRAGMENTS_MAX 16u
#define SIM_BACKUPS_MAX 12u
#define SIM_INBOX_MAX 32u
#define SIM_WORKS_MAX 8u
#define SIM_REQUESTS_MAX 4096u

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

/* The threads of the node, and the client. */
#define SIM_CLIENT 0u
#define SIM_HUB 1u
#define SIM_ARCHIVE 2u
#define SIM_SOURCE 3u /* and those that follow */
#define SIM_LDM (SIM_SOURCE + SIM_SOURCES_MAX)
#define SIM_THREADS (SIM_LDM + SIM_LDMS_MAX)

/* One LDM's part file. */
struct sim_part {
    bool exists;
    bool open;       /* by its LDM, which has not closed, released or discarded it */
    bool durable;    /* closed, with its trailer */
    bool may_remain; /* its removal failed: that was told */
    bool in_trouble;
    struct pst_sums sums;
};

/* What one source did in one backup, in numbers of the run's clock of events; 0: not yet. */
struct sim_cut {
    uint64_t asked;
    uint64_t frozen;
    uint64_t snapshot;
    uint64_t thawed;
};

enum sim_told { SIM_TOLD_NOTHING, SIM_TOLD_CONF, SIM_TOLD_REF, SIM_TOLD_COMPLETE, SIM_TOLD_ABORT };

/* Everything there is of one backup: in the model directory, and in the client's mind. */
struct sim_backup {
    uint64_t uid_low;
    uint64_t request_id;
    uint32_t number;
    uint32_t sequence; /* of its BACKUP_REQ */
    bool is_bad;       /* its request is malformed */
    bool single_threaded;
    bool may_fail; /* faults are allowed */

    enum sim_told told;
    uint32_t requests; /* BACKUP_REQ, repeated ones too */
    uint32_t refusals; /* BACKUP_REF */
    uint32_t ends;
    uint64_t asked_ns;
    uint64_t ended_ns;
    struct pst_backup_complete_rep complete;

    bool directory;
    bool directory_may_remain;
    bool node_manifest;
    uint32_t parts_told; /* ARCHIVE_PART_ORD */
    uint32_t nodes_told; /* ARCHIVE_NODE_ORD */
    bool was_decided;
    bool decision; /* the cluster manifest exists */
    bool copy;
    struct sim_part parts[SIM_LDMS_MAX];

    uint32_t fragments[SIM_SOURCES_MAX]; /* that the source has */
    uint32_t listed[SIM_SOURCES_MAX];
    uint32_t scanned[SIM_SOURCES_MAX][SIM_FRAGMENTS_MAX];
    struct sim_cut cut[SIM_SOURCES_MAX];
    uint64_t first_scan;
};

struct sim_work {
    uint64_t token; /* 0: not running */
    int error;
    bool is_lost;
    struct pst_work work;
};

struct sim_ldm {
    struct pst_ldm_block block;
    uint64_t timer_ns; /* when its timer is set for; 0: it is not */
    struct sim_work works[SIM_WORKS_MAX];
};

/* A thread that serves one request after the other. */
struct sim_server {
    uint32_t count;
    struct pst_signal inbox[SIM_INBOX_MAX];
    struct pst_signal current; /* gsn 0: none */
    uint64_t token;
    uint32_t error; /* how the current one ends */
    bool is_lost;
};

struct sim_source {
    struct sim_server server;
    enum { SIM_IDLE, SIM_FROZEN, SIM_SNAPSHOT, SIM_THAWED } phase;
    struct sim_backup *backup; /* for which it is in that phase */
    bool holds_writers;
    uint64_t freeze_token;
    uint64_t listing; /* token of the listing that runs; 0: none */
    bool waits;       /* the listing waits for a fragment to be done */
    bool owned;       /* its fragments have owners */
    uint32_t next;
    uint32_t unscanned; /* listed and not yet done: the source lists few ahead */
};

/* A REQ that was sent, for the checker of answers. */
struct sim_request {
    uint16_t gsn;
    uint16_t sent; /* how often; only a client repeats itself */
    uint16_t answers;
    pst_ref sender_ref;
    pst_ref receiver_ref;
    uint64_t backup;
    uint32_t sequence;
};

struct sim_statistics {
    uint64_t events;
    uint64_t complete;
    uint64_t aborted;
    uint64_t refused;
    uint64_t stale_senders;
    uint64_t stray_answers;
    uint64_t faults[SIM_FAULTS];
    uint64_t aborts_in[PST_MASTER_CLEANING + 1]; /* state of the master when a client's came */
};

struct sim {
    uint64_t seed;
    bool trace;
    enum sim_plant plant;
    bool planted; /* the bug was at work */

    struct sim_random random;
    struct sim_queue queue;
    uint64_t now_ns;
    uint64_t clock;                             /* events of the cut, in order */
    uint64_t tokens;                            /* given out */
    uint64_t pair_ns[SIM_THREADS][SIM_THREADS]; /* when the last signal between these arrives */
    uint64_t stalled_ns[SIM_THREADS];           /* until when the thread does not run */
    bool calm;                                  /* no more faults: the last backups */
    bool enabled[SIM_FAULTS];
    bool fired[SIM_FAULTS];

    struct pst_timeouts timeouts;
    uint32_t ldms_count;
    uint32_t sources_count;
    struct pst_proxy hub_proxy;
    uint64_t hub_timer_ns;
    struct pst_proxy ldm_proxy;
    struct pst_master master;
    struct sim_ldm ldms[SIM_LDMS_MAX];
    struct sim_source sources[SIM_SOURCES_MAX];
    struct sim_server archive;

    uint32_t backups_count;
    uint32_t backups_planned;
    struct sim_backup backups[SIM_BACKUPS_MAX];
    struct sim_backup *running; /* the one that the client waits for; NULL between two */

    uint32_t requests_count;
    struct sim_request requests[SIM_REQUESTS_MAX];

    struct sim_statistics statistics;
    char failure[256]; /* empty: none */
};

/* Runs one seed from start to end. false: a checker found something, sim->failure says what. */
bool sim_run(struct sim *sim, uint64_t seed, enum sim_plant plant, bool trace);

/* The first failure counts. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line of the story, if it is told. */
void sim_tell(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *sim_ref_name(pst_ref ref, char text[24]);
void sim_tell_signal(const struct sim *sim, const struct pst_signal *signal);

/* Whether this fault happens now. */
bool sim_fault(struct sim *sim, enum sim_fault fault);

/* Whether this bug is planted; notes that it was at work. */
bool sim_planted(struct sim *sim, enum sim_plant plant);

/* From one thread to the one of signal->receiver_ref. */
void sim_send(struct sim *sim, uint32_t from, const struct pst_signal *signal);
uint32_t sim_thread_of(pst_ref ref);
uint64_t sim_delay_ns(struct sim *sim);
struct sim_backup *sim_backup_of(struct sim *sim, uint64_t uid_low);

/* A random time in which something past its deadline ends. */
uint64_t sim_slow_ns(struct sim *sim);

/* Answers a REQ from the thread that it was sent to; the payload is the caller's to fill in. */
struct pst_signal sim_answer(const struct pst_signal *request, uint32_t error);

void sim_ldm_init(struct sim *sim, uint32_t index);
void sim_ldm_event(struct sim *sim, const struct sim_event *event);
void sim_ldm_work(struct sim *sim, uint32_t index, const struct pst_work *work);
void sim_perform(struct sim *sim, uint32_t thread, const struct pst_actions *actions);

void sim_source_event(struct sim *sim, const struct sim_event *event);
void sim_archive_event(struct sim *sim, const struct sim_event *event);
void sim_client_start(struct sim *sim);
void sim_client_event(struct sim *sim, const struct sim_event *event);

/* The next request of a server's inbox, if it is free and there is one. */
const struct pst_signal *sim_server_next(struct sim_server *server);
void sim_server_add(struct sim_server *server, const struct pst_signal *signal);

/* Checkers: while it runs … */
void sim_check_sent(struct sim *sim, const struct pst_signal *signal);
void sim_check_told(struct sim *sim, const struct pst_signal *signal);
void sim_check_nesting(struct sim *sim);
/* … when all is quiet … */
void sim_check_answers(struct sim *sim);
void sim_check_outcome(struct sim *sim);
void sim_check_coverage(struct sim *sim);
void sim_check_cut(struct sim *sim);
void sim_check_rest(struct sim *sim);
/* … and after the last, fault-free backups. */
void sim_check_released(struct sim *sim);

#endif
