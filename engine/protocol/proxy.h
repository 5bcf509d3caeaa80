/*
 * BackupProxy: does a node's share of a backup. Takes the master's orders, fans them out to the
 * node's LDMs, drives the node's sources and its archive, answers once.
 *
 * Multithreaded, it is PROXY instance 0 and runs in the hub. Single-threaded, LDM 1 runs one in its
 * own thread as PROXY instance 1, for itself alone: the master then talks to BACKUP instance 1.
 *
 * Every order is a script of steps (proxy_order.h); docs/protocol.md has the table of states.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_H
#define PST_ENGINE_PROTOCOL_PROXY_H

#include "engine/protocol/proxy_state.h"

/* ldms: 1…PST_LDMS_MAX; sources: 0…PST_SOURCES_MAX. */
void pst_proxy_init(struct pst_proxy *proxy, pst_ref self_ref, pst_ref face_ref, uint32_t ldms,
                    uint32_t sources, const struct pst_timeouts *timeouts);

void pst_proxy_step(struct pst_proxy *proxy, const struct pst_event *event,
                    struct pst_actions *actions);

/* When it wants a PST_EVENT_TIMER; PST_DEADLINE_NONE for never. */
uint64_t pst_proxy_deadline_ns(const struct pst_proxy *proxy);

#endif
