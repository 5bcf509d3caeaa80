/*
 * What a backup would be, without one: lists its sources. Private to the engine; the thread of the
 * session.
 */
#ifndef PST_ENGINE_API_DRY_RUN_H
#define PST_ENGINE_API_DRY_RUN_H

#include "engine/api/session.h"
#include "engine/source/registry/registry.h"

/* Adds what a source, idle with its policy set, lists; it is idle again. Its writers are held up as
 * by a backup, the wait for them included. An error of the source. */
PST_MUST_USE int dry_run_source(struct pst_source *source, uint64_t freeze_wait_ns,
                                struct pst_session_estimate *total);

/* Whether the base that was named will do. An error with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int dry_run_base(const struct pst_node_config *node, char *message);

/* About how much is stored beside contents and entries, with chunks of these bytes, by so many
 * LDMs.
 */
uint64_t dry_run_frame_bytes(const struct pst_session_estimate *estimate, uint32_t chunk_bytes,
                             uint32_t ldms);

#endif
