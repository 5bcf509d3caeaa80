/*
 * Which node of which cluster a job is for, and which nodes the cluster expects. Private to
 * engine/service/. Any thread.
 */
#ifndef PST_ENGINE_SERVICE_MEMBERSHIP_H
#define PST_ENGINE_SERVICE_MEMBERSHIP_H

#include "engine/node/node.h"
#include "penstock/node.h"

/* Checks what of a job concerns the cluster, but for the members' texts. *expected: its nodes, by
 * id - 1. -EINVAL, with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int membership_check(const struct pst_node_job *job, struct pst_set *expected,
                                  char *message);

#endif
