/*
 * Simulator: clusters of the real machines, from a seed, in one thread and in virtual time.
 *
 * Real are master, proxies, participants, outcome machines, and the archives with all that they do
 * to a disk; LDM workers, sources, disks, fabric and clients are models that do as the runtime
 * promises, or fail as the seed says. Checkers (checker_*.c) look on and judge; nothing that they
 * know flows back.
 *
 * world.c     the clock: takes events in their order; what a run does from its first seed to rest
 * network.c   threads, links, FIFO, loss; member.c: who hears whom, who is declared dead
 * node*.c     a node: its threads, its crash and its start; disk.c: its disk
 * client.c    those who ask for backups; writers.c: those who write meanwhile
 */
#ifndef PST_TESTS_SIM_SIM_H
#define PST_TESTS_SIM_SIM_H

#include <stdio.h>

#include "engine/node/archive_work.h"
#include "engine/node/routing.h"
#include "engine/protocol/ldm.h"
#include "engine/protocol/outcome.h"
#include "tests/sim/backup.h"
#include "tests/sim/checker.h"
#include "tests/sim/fault.h"
#include "tests/sim/queue.h"
#include "tests/sim/random.h"
#include "tests/sim/script.h"
#include "tests/support/model_disk.h"

#define SIM_INBOX_MAX 256u
#define SIM_WORKS_MAX 8u

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

/* The threads of a node: client, hub, archive, sources, LDMs. A thread of the cluster is
 * index of its node × SIM_NODE_THREADS + one of these. */
#define SIM_CLIENT 0u
#define SIM_HUB 1u
#define SIM_ARCHIVE 2u
#define SIM_SOURCE 3u /* and those that follow */
#define SIM_LDM (SIM_SOURCE + SIM_SOURCES_MAX)
#define SIM_NODE_THREADS (SIM_LDM + SIM_LDMS_MAX)
#define SIM_WORLD UINT32_MAX

struct sim_work {
    uint64_t token; /* 0: not running */
    int error;
    bool is_lost;
    struct pst_work work;
};

struct sim_ldm {
    struct pst_ldm_block block;
    uint64_t timer_ns;   /* when its timer is set for; 0: it is not */
    uint64_t stalled_ns; /* until when the thread does not run */
    bool fails;
    struct sim_work works[SIM_WORKS_MAX];
};

/* A thread that serves one request after the other. */
struct sim_server {
    uint32_t count;
    struct pst_signal current; /* gsn 0: none */
    uint64_t token;
    uint32_t error; /* how the current one ends */
    bool is_lost;
    struct pst_signal inbox[SIM_INBOX_MAX];
};

struct sim_source {
    struct sim_server server;
    enum { SIM_IDLE, SIM_FROZEN, SIM_THAWED } phase;
    struct sim_backup *backup; /* for which it is in that phase */
    bool holds_writers;
    uint64_t freeze_token;
    uint64_t listing; /* token of the listing that runs; 0: none */
    bool waits;       /* the listing waits for a fragment to be done */
    bool owned;       /* its fragments have owners */
    uint32_t next;
    uint32_t unscanned; /* listed and not yet done: the source lists few ahead */
    struct sim_history history;
};

/* The archive's thread: the product's, over the model disk. */
struct sim_archive {
    struct sim *sim;
    struct sim_node *node;
    struct sim_server server;
    uint64_t timer_ns;
    struct archive_server work;
    struct pst_archive archive;
    struct pst_archive_config config;
};

struct sim_node {
    uint32_t id; /* 1…; index + 1 */
    uint32_t ldms_count;
    uint32_t sources_count;
    uint32_t incarnation; /* of its process; grows with each crash */
    bool is_up;
    uint64_t paused_until_ns;
    uint64_t clock_ahead_ns; /* of the world's clock */
    struct pst_proxy hub_proxy;
    struct pst_outcome_machine outcome;
    struct pst_plan plan;
    struct pst_cluster_config cluster;
    struct pst_node_config config;
    struct routing routing;
    const struct pst_signal *passing; /* that the hub passes on just now */
    struct sim_minds before;          /* of the step that the hub makes just now, */
    struct pst_event heard;           /* … and by what */
    uint64_t hub_timer_ns;
    struct pst_proxy ldm_proxy;
    struct pst_master master;
    struct sim_ldm ldms[SIM_LDMS_MAX];
    struct sim_source sources[SIM_SOURCES_MAX];
    struct model_disk *disk;
    char path[16];                    /* of its backup directory, in the log */
    struct pst_repository repository; /* of its process */
    struct pst_repository seen;       /* for the checkers */
    enum sim_fault strikes;           /* at a call of its storage; SIM_FAULTS: none */
    bool has_had_errors;              /* of its storage: a sweep may have left something */
    struct sim_archive archive;
    uint64_t pair_ns[SIM_NODE_THREADS][SIM_NODE_THREADS]; /* the last arrival, between threads */
};

/* From one node to another. */
struct sim_link {
    bool is_up;             /* the receiver takes the sender for alive */
    uint64_t last_ns;       /* when the last signal arrives */
    uint64_t blocked_ns;    /* until when nothing arrives: what is sent waits */
    uint64_t lost_after_ns; /* what arrives later is lost: its sender crashed */
    uint64_t full_ns;       /* until when the sender's ring takes nothing */
};

/* A fault that strikes at the n-th signal between nodes from here on. */
#define SIM_STRIKES_MAX 8u
struct sim_strike {
    enum sim_fault kind;
    uint32_t signals;
};

struct sim_options {
    uint32_t nodes;
    uint32_t ldms[SIM_NODES_MAX];
    uint32_t sources[SIM_NODES_MAX];
    uint32_t backups;
    uint32_t mischief; /* crashes, pauses, partitions and the like, tried */
    bool enabled[SIM_FAULTS];
    struct pst_timeouts timeouts;
    uint64_t detect_ns; /* silence until a node is declared dead */
    uint64_t hold_ns;   /* a source gives its freeze up after this */
    enum sim_plant plant;
    enum sim_spoil spoil;
    FILE *story;   /* NULL: it is not told */
    bool is_brief; /* of signals, those between nodes and to clients only */
};

struct sim_statistics {
    uint64_t events;
    uint64_t complete;
    uint64_t aborted;
    uint64_t refused;
    uint64_t untold; /* the client vanished, or its node died */
    uint64_t stale_senders;
    uint64_t stray_answers;
    uint64_t in_doubt; /* prepared when their master died */
    uint64_t settled;  /* by asking: committed, */
    uint64_t given_up; /* … and aborted */
    uint64_t faults[SIM_FAULTS];
    uint64_t aborts_in[PST_MASTER_STATES];  /* state of the master when a client's came */
    uint64_t crashes_in[PST_MASTER_STATES]; /* state of a master whose node died */
};

struct sim {
    uint64_t seed;
    struct sim_options options;
    struct sim_script *script; /* NULL: chance rules */
    bool planted;              /* the bug was at work */
    bool spoiled;              /* the state of a machine was */

    struct sim_random random;
    uint64_t now_ns;
    uint64_t tokens; /* given out */
    bool calm;       /* no more faults: the last backups */
    bool swept;      /* every node has had a DEFINE since */
    bool fired[SIM_FAULTS];

    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    uint32_t sessions[SIM_NODES_MAX][SIM_NODES_MAX];     /* [lower][higher]; grows with each join */
    struct sim_writer writers[SIM_WRITERS];

    uint32_t backups_count;
    uint32_t backups_planned;
    struct sim_backup *running; /* the one that the client waits for; NULL between two */
    uint32_t strikes_count;
    struct sim_strike strikes[SIM_STRIKES_MAX];
    uint32_t shares_count;
    uint64_t digests;       /* given out */
    uint64_t troubles_sent; /* by LDMs, to their master */
    uint32_t forged;        /* orders */
    uint64_t held_ns;       /* of the signal that a hub sends off just now */

    struct sim_statistics statistics;
    enum sim_checker checker; /* who found what */
    char failure[256];        /* empty: none */

    /* What is set up as far as it is used: */
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_backup backups[SIM_BACKUPS_MAX];
    struct sim_share shares[SIM_SHARES_MAX];
    struct sim_queue queue;
    struct sim_requests *requests; /* checker_answers.c */
};

/* world.c */

/* Runs one seed from start to end. false: a checker found something, sim->failure says what. */
bool sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options,
             struct sim_script *script);

/* The options that a seed means, and those of a scenario. */
void sim_options_of_seed(struct sim_options *options, uint64_t seed, bool swarm);
void sim_options_of_script(struct sim_options *options, const struct sim_script *script);

/* Whether this fault happens now. */
bool sim_fault(struct sim *sim, enum sim_fault fault);
/* The same, to be counted when it has struck. */
bool sim_fault_is_due(struct sim *sim, enum sim_fault fault);
void sim_count_fault(struct sim *sim, enum sim_fault fault);

/* Whether this bug is planted; notes that it was at work. */
bool sim_planted(struct sim *sim, enum sim_plant plant);

/* An event of a thread: it dies with the process of its node. */
struct sim_event *sim_later(struct sim *sim, enum sim_event_type type, uint32_t thread,
                            uint64_t time_ns);
uint64_t sim_delay_ns(struct sim *sim);
/* A random time in which something past its deadline ends. */
uint64_t sim_slow_ns(struct sim *sim);

/* network.c */

static inline struct sim_node *sim_node_of(struct sim *sim, uint32_t thread)
{
    return &sim->nodes[thread / SIM_NODE_THREADS];
}

static inline uint32_t sim_thread(const struct sim *sim, const struct sim_node *node,
                                  uint32_t thread)
{
    return (uint32_t)(node - sim->nodes) * SIM_NODE_THREADS + thread;
}

uint32_t sim_thread_of(pst_ref ref);

/* From one thread to the one of signal->receiver_ref. */
void sim_send(struct sim *sim, uint32_t from, const struct pst_signal *signal);
/* A copy of what was sent, for those who must not be misled by it. */
void sim_send_again(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                    uint64_t later_ns);
/* What a machine sends, before it is given its receivers: planted bugs, and the checker of those.
 */
void sim_look_at_send(struct sim *sim, const struct sim_node *node, struct pst_send *send);
void sim_perform(struct sim *sim, uint32_t thread, const struct pst_actions *actions);

/* A signal comes to a thread: true if that is its receiver; else it goes on from there, or is lost.
 */
bool sim_hop(struct sim *sim, const struct sim_event *event);

/* From a hub to another node's; and to another thread of its node. */
void sim_leave(struct sim *sim, uint32_t from, const struct pst_signal *signal, uint64_t held_ns);
void sim_pass_on(struct sim *sim, struct sim_node *node, const struct pst_signal *signal);

/* Answers a REQ from the thread that it was sent to; the payload is the caller's to fill in. */
struct pst_signal sim_answer(const struct pst_signal *request, uint32_t error);

/* A thread of the node has dealt with a NODE_FAILED_ORD. */
void sim_heard_failure(struct sim *sim, struct sim_node *node, uint32_t thread,
                       const struct pst_signal *order);

/* fabric.c: the fabric and hub of a node. Another joins or fails; a signal arrives. */
void sim_hub_start(struct sim *sim, struct sim_node *node);
void sim_hub_stop(struct sim_node *node);
void sim_fabric_tell(struct sim *sim, struct sim_node *node, bool joined, uint32_t other);
void sim_fabric_arrive(struct sim_node *node, uint32_t from, const struct pst_signal *signal);
/* Whether the other may join: all its threads have dealt with the failure. */
bool sim_fabric_admits(struct sim_node *node, uint32_t other);
void sim_fabric_poll(struct sim_node *node);

/* member.c */
void sim_member_init(struct sim *sim);
void sim_member_event(struct sim *sim, const struct sim_event *event);
/* Something changed between this node and the others: they will notice, in time. */
void sim_member_changed(struct sim *sim, uint32_t index);
uint32_t sim_session(const struct sim *sim, uint32_t one, uint32_t other);
void sim_member_suspect(struct sim *sim, uint32_t observer, uint32_t observed);
bool sim_hears(const struct sim *sim, uint32_t observer, uint32_t observed);

/* script.c: what a scenario does. sent, heard: false if the signal is lost. due: what the thread
 * that serves this is to do otherwise; NULL: nothing. */
bool sim_script_sent(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                     uint64_t *later_ns);
bool sim_script_heard(struct sim *sim, const struct pst_signal *signal);
const struct sim_rule *sim_script_due(struct sim *sim, pst_ref ref, uint16_t gsn);
void sim_script_event(struct sim *sim, const struct sim_event *event);
/* What the nodes have of each backup, before all is healed. */
void sim_script_check_held(struct sim *sim);
void sim_script_check(struct sim *sim);

/* mischief.c: what strikes nodes and links. */
void sim_crash(struct sim *sim, struct sim_node *node, bool power_loss, uint64_t away_ns);
/* The same, for as long as chance has it. */
void sim_mischief_crash(struct sim *sim, struct sim_node *node, bool power_loss);
void sim_pause(struct sim *sim, struct sim_node *node, uint64_t length_ns);
/* side: a set of nodes, by index. */
void sim_cut(struct sim *sim, uint32_t side, bool one_way, uint64_t length_ns);
/* To one node from another, and back unless it is one-way; all others hear both. */
void sim_cut_pair(struct sim *sim, uint32_t from, uint32_t to, bool one_way, uint64_t length_ns);
void sim_jump(struct sim *sim, struct sim_node *node, uint64_t ahead_ns);
/* As if somebody had removed them. */
void sim_forget_decision(struct sim *sim, struct sim_node *node, const struct sim_share *share);
void sim_mischief_plan(struct sim *sim);
/* A signal between nodes is heard. */
void sim_mischief_heard(struct sim *sim);
void sim_mischief_event(struct sim *sim, const struct sim_event *event);
/* Every node up, every link whole. */
void sim_mischief_heal(struct sim *sim);

/* node.c */
void sim_node_init(struct sim *sim, uint32_t index);
void sim_node_crash(struct sim *sim, struct sim_node *node, bool power_loss);
void sim_node_start(struct sim *sim, struct sim_node *node);
void sim_node_event(struct sim *sim, const struct sim_event *event);
void sim_node_keep_statistics(struct sim *sim, const struct sim_node *node);
uint64_t sim_node_now_ns(const struct sim *sim, const struct sim_node *node);
/* Sets the timer of a thread for a deadline of the node's clock. */
void sim_node_set_timer(struct sim *sim, struct sim_node *node, uint32_t thread,
                        uint64_t deadline_ns, uint64_t *timer_ns);
/* Its clock has jumped: timers are due sooner. */
void sim_node_rearm(struct sim *sim, struct sim_node *node);

void sim_ldm_init(struct sim *sim, struct sim_node *node, uint32_t index,
                  const struct pst_set *nodes);
void sim_ldm_event(struct sim *sim, struct sim_node *node, const struct sim_event *event);
void sim_ldm_work(struct sim *sim, struct sim_node *node, uint32_t index,
                  const struct pst_work *work);
void sim_ldm_rearm(struct sim *sim, struct sim_node *node, uint32_t index);

void sim_source_event(struct sim *sim, struct sim_node *node, const struct sim_event *event);
/* The process is gone, and with it (or through its guard) what it held. */
void sim_source_gone(struct sim *sim, struct sim_node *node, struct sim_source *source);

void sim_archive_start(struct sim *sim, struct sim_node *node);
void sim_archive_stop(struct sim_node *node);
void sim_archive_event(struct sim *sim, struct sim_node *node, const struct sim_event *event);
void sim_archive_rearm(struct sim *sim, struct sim_node *node);

/* The next request of a server's inbox, if it is free and there is one. */
const struct pst_signal *sim_server_next(struct sim_server *server);
void sim_server_add(struct sim_server *server, const struct pst_signal *signal);

/* disk.c: the node's disk, which outlives its crashes. */
void sim_disk_open(struct sim *sim, struct sim_node *node);
void sim_disk_close(struct sim_node *node);
void sim_disk_crash(struct sim *sim, struct sim_node *node, bool power_loss);
/* Before a step that uses the disk: something may strike at one of its calls. After it, false: the
 * node has died of that. */
void sim_disk_arm(struct sim *sim, struct sim_node *node);
bool sim_disk_survives(struct sim *sim, struct sim_node *node);

struct pst_repository_path sim_disk_path(const struct sim_share *share, enum sim_file file,
                                         uint32_t part);
/* What is there, whatever strikes. bytes: freed and set. */
bool sim_disk_read(struct sim *sim, const struct sim_share *share, enum sim_file file,
                   uint32_t part, struct sim_bytes *bytes);
bool sim_disk_read_cluster(struct sim *sim, const struct sim_share *share, struct sim_bytes *bytes,
                           struct pst_cluster_manifest *manifest, struct pst_digest *digest);
/* A file that the disk loses. */
void sim_disk_forget(struct sim_node *node, const struct sim_share *share, enum sim_file file);
/* The manifest that was confirmed, or decided. */
bool sim_disk_has(struct sim *sim, const struct sim_share *share, enum sim_file file);
bool sim_disk_has_directory(struct sim_node *node, uint32_t number);
bool sim_disk_is_durable(const struct sim *sim, const struct sim_share *share, enum sim_file file,
                         uint32_t part);

/* What an LDM does to its part; a header and a digest stand for its contents. */
enum sim_part_state { SIM_PART_BLANK, SIM_PART_BEGUN, SIM_PART_DURABLE };
#define SIM_PART_BYTES (PST_BLOCK_BYTES + sizeof(uint64_t))
int sim_part_write(struct sim *sim, struct sim_node *node, const struct sim_share *share,
                   uint32_t part, enum sim_part_state state);
int sim_part_remove(struct sim_node *node, const struct sim_share *share, uint32_t part);
bool sim_part_is_whole(struct sim *sim, const struct sim_share *share, uint32_t part);
/* It is there, and does not say what it is. */
bool sim_part_is_torn(struct sim *sim, const struct sim_share *share, uint32_t part);

/* backup.c */
struct sim_backup *sim_backup_of(struct sim *sim, uint64_t uid_low);
struct sim_share *sim_share_of(struct sim *sim, struct sim_backup *backup,
                               const struct sim_node *node);

/* The cluster manifest that a node has is the decision. false: it has none of that backup. */
bool sim_take_decision(struct sim *sim, struct sim_backup *backup, const struct sim_share *share);

/* client.c */
void sim_client_start(struct sim *sim);
void sim_client_abort(struct sim *sim);
void sim_client_vanish(struct sim *sim);
void sim_client_ask(struct sim *sim, const struct sim_asked *asked);
void sim_client_event(struct sim *sim, const struct sim_event *event);
/* The node that it talked to died. */
void sim_client_lost(struct sim *sim, const struct sim_node *node);

/* writers.c: what writers do until now, before a source freezes, thaws or takes its snapshot. */
void sim_write(struct sim *sim);
void sim_writers_thawed(struct sim *sim, const struct sim_node *node, uint32_t source);

/* spoil.c: after a step of the node's hub or of an LDM, what is planted into a state. */
void sim_spoil_hub(struct sim *sim, struct sim_node *node);
void sim_spoil_ldm(struct sim *sim, struct sim_node *node, uint32_t index);

/* story.c: one line of the story, if it is told. */
void sim_tell(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What every node has of every backup. */
void sim_tell_outcome(struct sim *sim);
const char *sim_ref_name(pst_ref ref, char text[32]);
enum sim_held sim_held_of(struct sim *sim, const struct sim_share *share);
void sim_tell_signal(const struct sim *sim, const struct pst_signal *signal, const char *fate);

#endif
