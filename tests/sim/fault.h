/*
 * The faults that a run injects. Each run enables some of them, by its seed; what fired is counted,
 * and a campaign in which one never fired has not tested it.
 *
 * A planted bug is a fault that a checker has to find: it shows that the checker can fail.
 */
#ifndef PST_TESTS_SIM_FAULT_H
#define PST_TESTS_SIM_FAULT_H

/* X(name, per thousand where enabled, what happens) */
#define SIM_FAULT_LIST(X)                                                                          \
    X(OPEN_ERROR, 30, "a part file cannot be created")                                             \
    X(START_ERROR, 30, "a part's header cannot be written")                                        \
    X(SCAN_ERROR, 15, "a fragment cannot be scanned")                                              \
    X(STOP_ERROR, 30, "a part cannot be closed")                                                   \
    X(RELEASE_ERROR, 60, "an LDM fails to forget a complete backup")                               \
    X(DISCARD_ERROR, 40, "a part cannot be removed")                                               \
    X(DISK_FULL, 10, "no space is left for a part")                                                \
    X(DISK_SLOW, 15, "a work takes longer than its deadline")                                      \
    X(WORK_LOST, 6, "a work never ends")                                                           \
    X(SCAN_SLOW, 60, "a scan takes long, and tells no progress")                                   \
    X(TROUBLE, 15, "an LDM has trouble outside any work")                                          \
    X(LDM_STALL, 4, "an LDM's thread does not run for a while")                                    \
    X(LDM_FAILS, 3, "an LDM's works all fail from here on, until the disk is replaced")            \
    X(SOURCE_REF, 20, "a source refuses a request")                                                \
    X(SOURCE_SLOW, 20, "a source answers after the deadline")                                      \
    X(SOURCE_LOST, 10, "a source never answers")                                                   \
    X(FREEZE_MISSES, 150, "a source's writers cannot be frozen in time")                           \
    X(FREEZE_WAITS, 60, "a freeze waits for long for the writers")                                 \
    X(FREEZE_HOLD, 40, "a freeze outlasts its limit and is given up before the cut")               \
    X(BAD_OWNER, 10, "a source names an owner that the node does not have")                        \
    X(STORAGE_ERROR, 40, "a call of a node's storage fails")                                       \
    X(STORAGE_CRASH, 20, "a node is killed between two calls of its storage")                      \
    X(STORAGE_POWER, 20, "a node loses power between two calls of its storage")                    \
    X(ARCHIVE_SLOW, 20, "the archive answers after the deadline")                                  \
    X(ARCHIVE_LOST, 10, "the archive never answers")                                               \
    X(ANSWER_LOST, 4, "an answer is lost inside its node")                                         \
    X(ANSWER_TWICE, 10, "an answer comes twice, the second time late")                             \
    X(ANSWER_FORGED, 10, "an answer comes that nobody sent: of another, or of another backup")     \
    X(ORDER_FORGED, 10, "an order comes in the name of a master that is not the backup's")         \
    X(STALE_SENDER, 40, "a signal of an incarnation or link of before comes in late")              \
    X(BLOB_LOST, 60, "a piece of a cluster manifest does not reach who fetches it")                \
    X(RING_FULL, 10, "the ring to another node takes nothing for a while")                         \
    X(LINK_SLOW, 20, "a signal between two nodes takes long, and all behind it wait")              \
    X(PARTITION, 250, "two sets of nodes do not hear each other for a while")                      \
    X(PARTITION_ONE_WAY, 250, "one set of nodes is not heard by another for a while")              \
    X(PAIR_CUT, 250, "two nodes do not hear each other for a while, all others hear both")         \
    X(PAIR_CUT_ONE_WAY, 250, "one node does not hear another for a while, all others hear both")   \
    X(FLAP, 250, "the link between two nodes is cut and whole again, several times")               \
    X(SUSPICION, 200, "a node that lives is declared dead")                                        \
    X(DETECT_LATE, 300, "a dead node is declared dead late")                                       \
    X(CRASH, 300, "the process of a node is killed")                                               \
    X(POWER_LOSS, 300, "a node loses power: what was not synced may be gone or torn")              \
    X(RESTART_SOON, 500, "a node is back before it was missed")                                    \
    X(PAUSE, 250, "the process of a node is stopped, and goes on later")                           \
    X(CLOCK_JUMP, 200, "the clock of a node jumps ahead")                                          \
    X(CLIENT_ABORT, 700, "the client aborts")                                                      \
    X(CLIENT_REPEAT, 600, "the client asks twice for one backup")                                  \
    X(CLIENT_OTHER, 600, "a client asks for another backup meanwhile")                             \
    X(CLIENT_ELSEWHERE, 500, "a client asks another node than the lowest")                         \
    X(CLIENT_VANISHES, 300, "the client is gone before the end")                                   \
    X(CLIENT_NUMBER, 200, "the client asks for a number of its own, perhaps one that exists")      \
    X(CLIENT_BAD, 100, "the client's request is malformed")                                        \
    X(DECISION_LOST, 500, "a node that starts has lost both files of a decision that another has")

enum sim_fault {
#define X(name, per_thousand, meaning) SIM_FAULT_##name,
    SIM_FAULT_LIST(X)
#undef X
        SIM_FAULTS
};

/* Which checker finds a planted bug. */
#define SIM_CHECKER_LIST(X)                                                                        \
    X(NONE, "")                                                                                    \
    X(ANSWERS, "answers")                                                                          \
    X(OUTCOME, "outcome")                                                                          \
    X(CUT, "cut")                                                                                  \
    X(RESTORE, "restore")                                                                          \
    X(FILES, "files")                                                                              \
    X(LIVENESS, "liveness")                                                                        \
    X(RESOURCES, "resources")                                                                      \
    X(MASTER, "master")                                                                            \
    X(SCENARIO, "scenario")

enum sim_checker {
#define X(name, text) SIM_CHECKER_##name,
    SIM_CHECKER_LIST(X)
#undef X
        SIM_CHECKERS
};

/* X(name, the checker that must find it, what is wrong) */
#define SIM_PLANT_LIST(X)                                                                          \
    X(NONE, NONE, "nothing")                                                                       \
    X(NO_REWRITE, ANSWERS, "the proxy passes an LDM's answer on as it is")                         \
    X(ANSWER_TO_MASTER, ANSWERS, "an LDM answers masterRef instead of senderRef")                  \
    X(WRONG_SEQUENCE, ANSWERS, "an answer carries another sequence than its request")              \
    X(REUSES_SEQUENCE, ANSWERS, "a sequence number is used for two requests")                      \
    X(ANSWERS_TWICE, ANSWERS, "an LDM answers twice")                                              \
    X(NO_ANSWER, ANSWERS, "a proxy does not answer")                                               \
    X(ENDS_TWICE, ANSWERS, "the client hears of the end twice")                                    \
    X(SCANS_TWICE, RESTORE, "an LDM scans a fragment twice")                                       \
    X(SCANS_NOT, RESTORE, "an LDM confirms a fragment that it did not scan")                       \
    X(FREEZES_NOT, CUT, "a source confirms a freeze that did not happen")                          \
    X(SNAPSHOT_LATE, CUT, "a source takes its snapshot after it has thawed")                       \
    X(TAKES_THAWED, CUT, "a freeze that outlasted its limit is not refused")                       \
    X(THAWS_NOT, RESOURCES, "a source is never thawed")                                            \
    X(PREPARED_NOT, RESTORE, "an LDM says prepared of a part that is not durable")                 \
    X(REMOVES_DECIDED, RESTORE, "a complete backup's part is removed")                             \
    X(SWEEPS_DECIDED, OUTCOME, "the sweep does not see that a backup is committed")                \
    X(SWEEPS_RUNNING, FILES, "the sweep does not see that a backup is still running")              \
    X(DECIDES_NOT, OUTCOME, "the decision is confirmed and not written")                           \
    X(DECIDES_EARLY, OUTCOME, "the master commits before all are prepared")                        \
    X(LOSES_SUMS, RESTORE, "an LDM's sums are cut to 32 bits")                                     \
    X(NO_CLEANUP, LIVENESS, "an LDM never hears CLEANUP_BACKUP_REQ")                               \
    X(NO_TIMER, LIVENESS, "a proxy's deadlines pass unseen")                                       \
    X(ACCEPTS_LATE, OUTCOME, "the master takes a late CONF for the one that it waits for")         \
    X(DOUBT_ABORTS, OUTCOME, "a node in doubt decides alone: it aborts")                           \
    X(DOUBT_COMMITS, OUTCOME, "a node in doubt decides alone: it commits")                         \
    X(FORGETS_DEAD, LIVENESS, "nobody is told that a node died")                                   \
    X(TROUBLE_TO_SENDER, MASTER, "an LDM's trouble goes to its proxy instead of masterRef")        \
    X(OTHER_MASTER, MASTER, "an order names another master")                                       \
    X(ABORT_MISSES_LDM, MASTER, "an abort does not go to one LDM")                                 \
    X(WRITE_LOST, RESTORE, "the storage confirms the contents of a file, and has zeros")           \
    X(FSYNC_LOST, RESTORE, "the storage confirms an fsync of a file, and does none")               \
    X(DIRECTORY_FSYNC_LOST, RESTORE,                                                               \
      "the storage confirms an fsync of a directory, and does none")                               \
    X(RENAME_LOST, RESTORE, "the storage confirms a rename, and does none")                        \
    X(REMOVE_LOST, FILES, "the storage confirms the removal of a file, and does none")             \
    X(RMDIR_LOST, FILES, "the storage confirms the removal of a directory, and does none")

enum sim_plant {
#define X(name, checker, meaning) SIM_PLANT_##name,
    SIM_PLANT_LIST(X)
#undef X
        SIM_PLANTS
};

/* Bugs planted into the state of a machine, by hand, between two of its steps.
 * X(name, the checker that must find it; NONE: an invariant of the machine; what is wrong) */
#define SIM_SPOIL_LIST(X)                                                                          \
    X(NOTHING, NONE, "nothing")                                                                    \
    X(SENDER_LOSES_BIT, NONE, "a sender of a proxy's forgets an LDM that has not answered")        \
    X(DEALER_MISCOUNTS, NONE, "a dealer counts one fragment in flight too few")                    \
    X(PROXY_SKIPS_STATE, NONE, "a proxy goes to the next state without an order")                  \
    X(PROXY_LOSES_DEADLINE, NONE, "an order in service has no deadline any more")                  \
    X(MASTER_SKIPS_STATE, NONE, "a master goes to the next state with a request out")              \
    X(MASTER_FORGETS_NODE, NONE, "a master forgets a participant that lives")                      \
    X(LDM_FORGETS_SCANS, NONE, "a participant forgets the scans that run")                         \
    X(LDM_FORGETS_ORDER, NONE, "a participant forgets the order whose work runs")                  \
    X(OUTCOME_WAITS_FOR_DEAD, NONE, "a node in doubt waits for the answer of a dead one")          \
    X(PROXY_LOSES_SUM, RESTORE, "a proxy forgets a byte that an LDM has read")

enum sim_spoil {
#define X(name, checker, meaning) SIM_SPOIL_##name,
    SIM_SPOIL_LIST(X)
#undef X
        SIM_SPOILS
};

extern const char *const sim_fault_names[SIM_FAULTS];
extern const char *const sim_fault_meanings[SIM_FAULTS];
extern const char *const sim_checker_names[SIM_CHECKERS];
extern const char *const sim_plant_names[SIM_PLANTS];
extern const char *const sim_plant_meanings[SIM_PLANTS];
extern const enum sim_checker sim_plant_checkers[SIM_PLANTS];

#endif
