/*
 * A scenario: a cluster, backups, and what goes wrong at named steps of the protocol; nothing is
 * left to chance. Its file, tests/sim/scenarios/NAME.scenario, has one statement in each line:
 *
 *     # text                        what it proves
 *     nodes N                       1…16
 *     ldms N…                       of each node; the last one counts for all that follow. 2
 *     sources N…                    likewise. 1
 *     backup [node N] [number N] [single] [after MS]
 *                                   a client asks node N (1); the next one after its end
 *     at GSN [from REF] [to REF] [nth N] [when sent] do ACTION
 *                                   when that signal is heard (or sent) for the N-th time (1st)
 *     expect N complete|aborted|refused|unknown [ERROR]
 *                                   what the client of the N-th backup hears; ERROR: a number, as
 *                                   in docs/protocol.md, or errno
 *
 *     held N WORD…                  what the nodes have of the N-th backup when all is quiet, one
 * word for each, the last one for all that follow: committed, prepared, debris, nothing, anything
 *
 * REF: NODE, NODE.BLOCK or NODE.BLOCK.INSTANCE; BLOCK: CLIENT PROXY LDM SOURCE ARCHIVE OUTCOME.
 * ACTION (N, M: nodes; MS: milliseconds of virtual time):
 *
 *     lose                          this signal never arrives
 *     delay MS                      it arrives later, and all behind it (when sent)
 *     twice MS                      it arrives once more, so much later (when sent)
 *     forge REF                     it arrives once more, in the name of REF (when sent)
 *     refuse ERROR                  who hears it (source, archive, LDM's work) fails it
 *     hang                          … never ends it
 *     slow MS                       … takes so long
 *     crash N [for MS]              the process is killed, and starts again (after 8000)
 *     power N [for MS]              the node loses power
 *     pause N MS                    the process is stopped, and goes on
 *     cut N MS                      nobody hears node N, and it hears nobody
 *     mute N MS                     nobody hears node N
 *     split N M MS                  nodes N and M do not hear each other; all others hear both
 *     deafen N M MS                 node M does not hear node N; all others hear both
 *     suspect N M                   node N takes node M for dead
 *     jump N MS                     the clock of node N jumps
 *     stall N LDM MS                that LDM's thread does not run
 *     forget N                      the disk of node N loses both files of each decision
 *     trouble N LDM                 that LDM has trouble outside any work
 *     abort                         the client aborts
 *     vanish                        the client is gone
 *     ask N                         another client asks node N for another backup
 *
 * Every checker looks on, and two backups without faults follow. Where NAME.trace is kept, the
 * story of the scenario itself is compared with it; else it says what is held.  sim --scenario FILE
 * prints the story.
 */
#ifndef PST_TESTS_SIM_SCRIPT_H
#define PST_TESTS_SIM_SCRIPT_H

#include "tests/sim/backup.h"

#define SIM_RULES_MAX 16u
#define SIM_EXPECTED_MAX 8u

enum sim_action_kind {
    SIM_ACT_LOSE,
    SIM_ACT_DELAY,
    SIM_ACT_TWICE,
    SIM_ACT_FORGE,
    SIM_ACT_REFUSE,
    SIM_ACT_HANG,
    SIM_ACT_SLOW,
    SIM_ACT_CRASH,
    SIM_ACT_POWER,
    SIM_ACT_PAUSE,
    SIM_ACT_CUT,
    SIM_ACT_MUTE,
    SIM_ACT_SPLIT,
    SIM_ACT_DEAFEN,
    SIM_ACT_SUSPECT,
    SIM_ACT_JUMP,
    SIM_ACT_STALL,
    SIM_ACT_FORGET,
    SIM_ACT_TROUBLE,
    SIM_ACT_ABORT,
    SIM_ACT_VANISH,
    SIM_ACT_ASK,
};

/* 0 in a field: any. */
struct sim_pattern {
    uint32_t node;
    uint32_t block;
    uint32_t instance; /* + 1 */
};

struct sim_rule {
    uint16_t gsn;
    struct sim_pattern from;
    struct sim_pattern to;
    uint32_t nth;
    bool when_sent;
    enum sim_action_kind kind;
    uint32_t node;  /* index */
    uint32_t other; /* index of a node, or of an LDM */
    uint32_t error;
    uint64_t length_ns;
    pst_ref ref;
    uint32_t seen;
    bool is_due; /* struck, and not yet done by who heard it */
};

struct sim_asked {
    uint32_t node; /* index */
    uint32_t number;
    bool single_threaded;
    uint64_t after_ns; /* the end of the one before */
};

struct sim_expected {
    enum sim_told told;
    bool is_set;
    uint32_t error; /* 0: any */
};

struct sim_script {
    uint32_t nodes;
    uint32_t ldms[SIM_NODES_MAX];
    uint32_t sources[SIM_NODES_MAX];
    uint32_t asked_count;
    struct sim_asked asked[SIM_EXPECTED_MAX];
    uint32_t rules_count;
    struct sim_rule rules[SIM_RULES_MAX];
    struct sim_expected expected[SIM_EXPECTED_MAX];
    enum sim_held held[SIM_EXPECTED_MAX][SIM_NODES_MAX];
};

/* false: unreadable, and stderr says where. */
bool sim_script_read(struct sim_script *script, const char *path);

#endif
