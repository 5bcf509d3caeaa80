/*
 * What is worth an alert, by kind. Each kind has a MESSAGE_ID in the journal, which
 * never changes (journalctl MESSAGE_ID=…); docs/operations.md lists them. Plain data, any thread.
 */
#ifndef PST_ENGINE_BASE_ALERT_H
#define PST_ENGINE_BASE_ALERT_H

#include <stdint.h>

/* X(name, id) */
#define PST_ALERTS(X)                                                                              \
    X(BACKUP_STARTED, "ee2437fc7ef960b26ef7bc1679749950")                                          \
    X(BACKUP_COMPLETE, "e267c5c2483d8715493c2ad828a07723")                                         \
    X(BACKUP_PARTIAL, "aac410bd97bef1277f064f23ccf8af8f")                                          \
    X(BACKUP_ABORTED, "d6d5bb636e3ecffcb2b90a78a8e39063")                                          \
    X(BACKUP_FAILED, "f46484f908093b4458a7e4146f4c4f65")                                           \
    X(BACKUP_IN_DOUBT, "5d35bd771222c3a35961c7bf5c975024")                                         \
    X(DAMAGE_FOUND, "a229b22eecf8d4341e24fb6efc952f32")                                            \
    X(NODE_JOINED, "bb37bf2c95a2a123c0c59db7f9aa62d4")                                             \
    X(NODE_LOST, "c5746a1776c2519b1ce59b6e81cc3f4a")                                               \
    X(NODE_HUNG, "8df030764b511ffc83fa4dfd4a6d755d")                                               \
    X(THREAD_STALLED, "10f4d74123c42c30e8540eab0c13cbf2")                                          \
    X(LEFT_FROZEN, "7c65f87a4da949049eab838956181234")

enum pst_alert_kind {
    PST_ALERT_NONE,
#define X(name, id) PST_ALERT_##name,
    PST_ALERTS(X)
#undef X
};

/* What a log line is about. */
struct pst_alert {
    enum pst_alert_kind kind;
    uint32_t backup;    /* its number; 0: it is about none, or it is not known */
    const uint8_t *uid; /* 16 bytes, of that backup; NULL: not known. The caller's */
    uint32_t node;      /* the other node that it is about; 0: none */
    int error;          /* why, of either sign; 0: none */
};

#endif
