/*
 * Files with cluster keys: one line of 64 hexadecimal digits, or two while a key is changed. Who
 * has such a file can be any node of the cluster. Main thread only.
 */
#ifndef PST_ENGINE_SERVICE_CLUSTER_KEY_H
#define PST_ENGINE_SERVICE_CLUSTER_KEY_H

#include "penstock/error.h"

struct pst_quic_network;

/* Makes path, which must not exist, with mode 0600 and a random key. 0, or -errno with message
 * (PST_MESSAGE_BYTES); nothing is left then. */
PST_MUST_USE int pst_cluster_key_make(const char *path, char *message);

/* Reads the keys into network. 0, or -errno with message (PST_MESSAGE_BYTES): -EPERM: it is
 * somebody else's, or others may read it; -EINVAL: it holds something else. */
PST_MUST_USE int cluster_key_read(const char *path, struct pst_quic_network *network,
                                  char *message);

#endif
