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
    X(OPEN_ERROR, 60, "a part file cannot be created")                                             \
    X(START_ERROR, 60, "a part's header cannot be written")                                        \
    X(SCAN_ERROR, 25, "a fragment cannot be scanned")                                              \
    X(STOP_ERROR, 60, "a part cannot be closed")                                                   \
    X(RELEASE_ERROR, 60, "an LDM fails to forget a complete backup")                               \
    X(DISCARD_ERROR, 60, "a part cannot be removed")                                               \
    X(WORK_SLOW, 25, "a work takes longer than its deadline")                                      \
    X(WORK_LOST, 12, "a work never ends")                                                          \
    X(SCAN_SLOW, 80, "a scan takes long, and tells no progress")                                   \
    X(TROUBLE, 25, "an LDM has trouble outside any work")                                          \
    X(LDM_STALL, 4, "an LDM's thread does not run for a while")                                    \
    X(SOURCE_REF, 25, "a source refuses a request")                                                \
    X(SOURCE_SLOW, 25, "a source answers after the deadline")                                      \
    X(SOURCE_LOST, 12, "a source never answers")                                                   \
    X(SOURCE_MISSES, 150, "a source's writers cannot be frozen in time")                           \
    X(SOURCE_THAWS, 60, "a source gives its freeze up before the cut")                             \
    X(BAD_OWNER, 10, "a source names an owner that the node does not have")                        \
    X(ARCHIVE_REF, 25, "the archive refuses a request")                                            \
    X(ARCHIVE_SLOW, 25, "the archive answers after the deadline")                                  \
    X(ARCHIVE_LOST, 12, "the archive never answers")                                               \
    X(ANSWER_LOST, 4, "an answer is lost on its way to a proxy or the master")                     \
    X(CLIENT_ABORT, 700, "the client aborts")                                                      \
    X(CLIENT_REPEAT, 600, "the client asks twice for one backup")                                  \
    X(CLIENT_OTHER, 600, "the client asks for another backup meanwhile")                           \
    X(CLIENT_NUMBER, 200, "the client asks for a number of its own, perhaps one that exists")      \
    X(CLIENT_BAD, 100, "the client's request is malformed")

enum sim_fault {
#define X(name, per_thousand, meaning) SIM_FAULT_##name,
    SIM_FAULT_LIST(X)
#undef X
        SIM_FAULTS
};

/* X(name, what is wrong) */
#define SIM_PLANT_LIST(X)                                                                          \
    X(NONE, "nothing")                                                                             \
    X(NO_REWRITE, "the proxy passes an LDM's answer on as it is")                                  \
    X(ANSWER_TO_MASTER, "an LDM answers masterRef instead of senderRef")                           \
    X(WRONG_SEQUENCE, "an answer carries another sequence than its request")                       \
    X(ANSWERS_TWICE, "an LDM answers twice")                                                       \
    X(NO_ANSWER, "a proxy does not answer")                                                        \
    X(ENDS_TWICE, "the client hears of the end twice")                                             \
    X(SCANS_TWICE, "an LDM scans a fragment twice")                                                \
    X(SCANS_NOT, "an LDM confirms a fragment that it did not scan")                                \
    X(FREEZES_NOT, "a source confirms a freeze that did not happen")                               \
    X(SNAPSHOT_LATE, "a source takes its snapshot after it has thawed")                            \
    X(THAWS_NOT, "a source is never thawed")                                                       \
    X(PREPARED_NOT, "an LDM says prepared of a part that is not durable")                          \
    X(LEAVES_PART, "an aborted part is not removed")                                               \
    X(LEAVES_MANIFEST, "an aborted backup's manifest is not removed")                              \
    X(REMOVES_DECIDED, "a complete backup's part is removed")                                      \
    X(DECIDES_NOT, "the decision is confirmed and not written")                                    \
    X(LOSES_SUMS, "an LDM's sums are cut to 32 bits")                                              \
    X(NO_CLEANUP, "an LDM never hears CLEANUP_BACKUP_REQ")                                         \
    X(NO_TIMER, "a proxy's deadlines pass unseen")

enum sim_plant {
#define X(name, meaning) SIM_PLANT_##name,
    SIM_PLANT_LIST(X)
#undef X
        SIM_PLANTS
};

extern const char *const sim_fault_names[SIM_FAULTS];
extern const char *const sim_fault_meanings[SIM_FAULTS];
extern const char *const sim_plant_names[SIM_PLANTS];
extern const char *const sim_plant_meanings[SIM_PLANTS];

#endif
