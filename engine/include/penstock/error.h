/*
 * The error list: every code of Penstock's own, in one place.
 *
 * A function that can fail returns 0 or a negative number: -errno for an error of the kernel or
 * libc, or -PST_E_… from this list. The numbers lie above every errno, so both share one int. Where
 * NDB has a number for the same case, ours is the same.
 *
 * PST_RETRY: the same request may succeed later, unchanged. PST_FINAL: it will not.
 */
#ifndef PENSTOCK_ERROR_H
#define PENSTOCK_ERROR_H

#include <stdbool.h>

#define PST_MUST_USE __attribute__((warn_unused_result))

#define PST_RETRY true
#define PST_FINAL false

/* X(name, number, whether trying again can help, text) */
#define PST_ERROR_LIST(X)                                                                          \
    X(PST_E_BAD_REQUEST, 1300, PST_FINAL, "the request is malformed")                              \
    X(PST_E_NOT_MASTER, 1301, PST_RETRY, "this node is not the master")                            \
    X(PST_E_BUSY, 1302, PST_RETRY, "another backup is running")                                    \
    X(PST_E_NO_RESOURCES, 1303, PST_RETRY, "out of resources")                                     \
    X(PST_E_NUMBER, 1304, PST_FINAL, "the highest backup number there is, is taken")               \
    X(PST_E_CLIENT_ABORT, 1321, PST_FINAL, "aborted by the client")                                \
    X(PST_E_BACKUP_FAILURE, 1323, PST_FINAL, "aborted because a participant failed")               \
    X(PST_E_FILE, 1325, PST_FINAL, "a backup file could not be written")                           \
    X(PST_E_NODE_FAILED, 1326, PST_RETRY, "a node failed")                                         \
    X(PST_E_NODE_MISSING, 1327, PST_RETRY, "a node of the cluster is missing")                     \
    X(PST_E_SCAN, 1328, PST_FINAL, "a source could not be read")                                   \
    X(PST_E_VERSION, 1329, PST_FINAL, "the nodes speak different protocol versions")               \
    X(PST_E_OPTION, 1330, PST_FINAL, "a node does not know an option of the backup")               \
    X(PST_E_CLEANING, 1331, PST_RETRY, "an earlier backup is still being cleaned up")              \
    X(PST_E_TIMEOUT, 1332, PST_RETRY, "an answer did not come in time")                            \
    X(PST_E_STALLED, 1333, PST_RETRY, "a scan made no progress in time")                           \
    X(PST_E_FREEZE, 1334, PST_RETRY, "the writers of a source could not be frozen in time")        \
    X(PST_E_THAWED, 1335, PST_RETRY, "the freeze outlasted its limit and was given up")            \
    X(PST_E_WRONG_MASTER, 1336, PST_FINAL, "the order did not come from this backup's master")     \
    X(PST_E_LINK, 1337, PST_RETRY, "a signal was damaged or lost on its way")                      \
    X(PST_E_HEADROOM, 1338, PST_RETRY,                                                             \
      "the database would have run full while its snapshot was held")                              \
    X(PST_E_GUARD, 1339, PST_RETRY, "the process that guarded a snapshot was killed")              \
    X(PST_E_WRONG_STATE, 1340, PST_FINAL, "the order does not fit the state of the backup")        \
    X(PST_E_UNKNOWN_BACKUP, 1341, PST_FINAL, "no such backup is running")                          \
    X(PST_E_NO_TABLE, 1342, PST_FINAL, "no source has a table of a name that was asked for")       \
    X(PST_E_NODE_STOPS, 1343, PST_RETRY, "a node is being stopped")                                \
    X(PST_E_HUNG, 1344, PST_RETRY, "a source or a disk does not answer")                           \
    X(PST_E_SEALING, 1345, PST_FINAL, "some nodes seal their backups, and others do not")          \
    X(PST_E_DAMAGED, 1346, PST_FINAL, "a source is damaged")                                       \
    X(PST_E_FOREIGN, 1347, PST_FINAL, "a source is of a format that is not supported")             \
    X(PST_E_ROWS, 1348, PST_FINAL,                                                                 \
      "rows not in their database's order, or not as many as counted")                             \
    X(PST_E_COMMAND, 1349, PST_FINAL, "a command that was to freeze or thaw a source has failed")  \
    X(PST_E_NUMBER_EXISTS, 1350, PST_FINAL, "a backup of that number exists")                      \
    X(PST_E_CORRUPT, 1360, PST_FINAL, "damaged: contents and checksum differ")                     \
    X(PST_E_NOT_BACKUP, 1361, PST_FINAL, "not a Penstock file")                                    \
    X(PST_E_NEWER, 1362, PST_FINAL,                                                                \
      "written by a newer, incompatible Penstock: use that version, or a later one")               \
    X(PST_E_TRUNCATED, 1363, PST_FINAL, "shorter than it says")                                    \
    X(PST_E_INCOMPLETE, 1364, PST_FINAL, "the backup was never completed")                         \
    X(PST_E_NO_BACKUP, 1365, PST_FINAL, "no such backup")                                          \
    X(PST_E_MISPLACED, 1366, PST_FINAL, "belongs to another backup, part or place")                \
    X(PST_E_UNSAFE_PATH, 1367, PST_FINAL, "a path in the backup leads outside the target")         \
    X(PST_E_CHANGED, 1368, PST_RETRY, "the file changed while it was read")                        \
    X(PST_E_READ_BACK, 1369, PST_FINAL,                                                            \
      "a file was not read back from its disk as it was written")                                  \
    X(PST_E_INCONSISTENT, 1370, PST_FINAL, "damaged: its parts contradict each other")             \
    X(PST_E_NO_RING, 1371, PST_FINAL,                                                              \
      "there is no io_uring: Penstock needs Linux 5.11, and io_uring allowed "                     \
      "(kernel.io_uring_disabled, seccomp)")                                                       \
    X(PST_E_ELSEWHERE, 1372, PST_FINAL, "not in the directories given: name its directory too")    \
    X(PST_E_NO_KEY, 1373, PST_FINAL, "sealed, and no key that was given opens it")                 \
    X(PST_E_PINNED, 1374, PST_FINAL, "the backup is pinned")                                       \
    X(PST_E_BASE_MISSING, 1375, PST_FINAL, "a backup that holds some of its data is missing")      \
    X(PST_E_REFERRED, 1376, PST_FINAL, "other backups refer to its data")

#ifdef __cplusplus
extern "C" {
#endif

enum pst_error {
#define X(name, number, retry, text) name = number,
    PST_ERROR_LIST(X)
#undef X
};

/* Text of an error, of either sign; for an errno, strerror's. Static storage; any thread. */
const char *pst_error_text(int error);

/* Name of an error ("PST_E_BUSY", "ENOSPC"), of either sign; "unknown" where there is none. */
const char *pst_error_name(int error);

/* Whether the same request may succeed later; an errno: EINTR, EAGAIN, EBUSY, ENOSPC, ENOMEM. */
bool pst_error_may_retry(int error);

#ifdef __cplusplus
}
#endif

#endif
