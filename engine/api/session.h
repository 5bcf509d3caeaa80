/*
 * One backup job in steps, for callers that act between them: `penstock backup` logs the memory
 * before the backup runs and prints each LDM's share afterwards, engine/service starts a node that
 * stays. pst_run_backup (penstock/run.h) is all steps in one call.
 *
 * One thread, which must be the main thread where pst_session_run is called.
 */
#ifndef PST_ENGINE_API_SESSION_H
#define PST_ENGINE_API_SESSION_H

#include <stddef.h>

#include "penstock/run.h"

struct pst_node_config;
struct pst_session;

/* Chunks by codec; those of indexes count in none. */
struct pst_session_codecs {
    uint64_t none_chunks;
    uint64_t lz4_chunks;
    uint64_t zstd_chunks;
};

/* What one LDM did, and with what. */
struct pst_session_ldm {
    uint64_t source_bytes; /* read */
    uint64_t stored_bytes;
    uint64_t objects;
    uint64_t chunks;
    struct pst_session_codecs codecs;
    uint64_t busy_ns; /* from the first fragment to the closed part */
    uint64_t cpu_ns;  /* of its thread */
    size_t buffer_bytes;
    size_t misplaced_pages; /* of buffers and rings, not on the NUMA node asked for */
    bool hugepages;
    int32_t numa_node; /* of the buffers; -1: unknown */
    uint32_t cpu;
};

/* How fast it was to be, and what held it back. */
struct pst_session_pace {
    const char *mode;     /* "max", "rate", "auto"; static */
    uint64_t bytes_per_s; /* of a rate */
    uint64_t lowest;      /* bytes a second: of the limits that auto has set; 0: none */
    uint64_t held_ns;     /* that auto has held it back, and of these: */
    uint64_t latency_ns;  /* for its reads and writes took longer */
    uint64_t io_ns;       /* for others waited for a disk */
    uint64_t cpu_ns;      /* for others waited for a CPU */
};

struct pst_session_source {
    const char *name;
    const char *details; /* what the manifest says of it, a JSON object; NULL: nothing */
};

/* Its texts are borrowed until pst_session_close. */
struct pst_session_report {
    int error; /* 0: there is a complete backup; else negative, why there is none */
    uint32_t number;
    uint8_t uid[16];
    uint64_t start_gci;
    uint64_t source_bytes;
    uint64_t stored_bytes;
    uint64_t objects;
    uint64_t chunks;
    uint64_t unreadable;  /* objects that could not be read, or changed during the backup */
    uint32_t left_frozen; /* sources whose thaw command has failed, which is logged */
    uint64_t elapsed_ns;
    struct pst_session_pace pace;
    uint32_t base;             /* number of the backup that it was compared with; 0: none */
    uint64_t references;       /* to earlier backups */
    uint64_t referenced_bytes; /* of these: not in source_bytes */
    bool verified;             /* its files were read back */
    uint32_t ldms_count;       /* that took part */
    struct pst_session_ldm ldms[PST_LDMS_MAX];
    uint32_t sources_count; /* in name order */
    struct pst_session_source sources[PST_SOURCES_MAX];
};

/* What a backup would be. */
struct pst_session_estimate {
    uint64_t objects;
    uint64_t source_bytes;
    uint64_t stored_bytes_most; /* about, if nothing of it can be compressed */
    uint64_t unreadable;        /* that could not be listed, or may not be read; logged */
    uint64_t skipped;           /* of kinds that are not backed up; logged */
};

/* Checks the job, opens its sources, and plans where the threads run. The job's texts and its own
 * sources are borrowed until pst_session_close. -EINVAL: the job asks for something impossible;
 * else what failed. After an error message (PST_MESSAGE_BYTES) says why, and *session is NULL. */
PST_MUST_USE int pst_session_open(const struct pst_backup_job *job, struct pst_session **session,
                                  char *message);

/* Closes what open opened; the caller's own sources are idle again. Nothing for NULL. */
void pst_session_close(struct pst_session *session);

/* LDMs that are planned. */
uint32_t pst_session_ldms(const struct pst_session *session);

/* Memory for the buffers of one LDM. */
size_t pst_session_buffer_bytes(const struct pst_session *session);

/* Runs the backup. report->error, with message (PST_MESSAGE_BYTES) as above. *report is set in
 * every case; some 20 KiB. */
PST_MUST_USE int pst_session_run(struct pst_session *session, struct pst_session_report *report,
                                 char *message);

/* Instead of the run: lists the sources, one after the other, and writes nothing. Likewise. */
PST_MUST_USE int pst_session_dry_run(struct pst_session *session,
                                     struct pst_session_estimate *estimate, char *message);

/* Whether a run could make or use its directory, which stays as it is. Likewise; any thread. */
PST_MUST_USE int pst_session_probe_directory(const char *directory, char *message);

/* Before the run: the parts go to /dev/null. Such a backup cannot be read, and is for measuring. */
void pst_session_discard_parts(struct pst_session *session);

/* The node that the session would run, for engine/service, which sets its id and cluster and starts
 * it (engine/node/node.h). The session's. */
struct pst_node_config *pst_session_node(struct pst_session *session);

#endif
