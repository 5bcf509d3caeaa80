/*
 * What a node takes of GnuTLS, ngtcp2 and DPDK, as functions: they take longer to load than all
 * else of the program, so they are in a shared object of their own, which is loaded where a node
 * needs it (docs/adr/0041-what-is-loaded.md). It calls nothing of who loads it but the log: what it
 * shares with it, it has a copy of (docs/adr/0045-nodes-in-programs.md).
 */
#ifndef PST_NET_MODULE_NET_MODULE_H
#define PST_NET_MODULE_NET_MODULE_H

#include "net/eal.h"
#include "net/packet/packet_ethdev.h"
#include "net/quic/quic_fabric.h"
#include "penstock/log.h"

struct pst_net_module {
    const char *build; /* the program's pst_net_build, or it is another build's; always first */
    const struct pst_eal_ops *eal;

    /* Before all others, once: what the module logs goes to this hook. */
    void (*log_to)(pst_log_hook *hook);

    /* pst_quic_fabric_open(), pst_quic_key_mark(), pst_packet_ethdev_check(). */
    int (*quic_open)(const struct pst_quic_config *config, struct pst_fabric **fabric,
                     char *message, uint32_t message_bytes);
    char *(*quic_key_mark)(const uint8_t *key, char *text);
    int (*ethdev_check)(const struct packet_ethdev_config *config, struct pst_eal_config *eal,
                        char *message, uint32_t message_bytes);
};

/* Of the sources and the way that they were compiled: by build.cmake, in program and module. */
extern const char pst_net_build[];

/* The module's, by dlsym(3). */
extern const struct pst_net_module pst_net_module;

#endif
