/* A proxy under test, with its master, LDMs, sources and archive played by the test. */
#ifndef PST_TESTS_UNIT_PROTOCOL_PROXY_RIG_H
#define PST_TESTS_UNIT_PROTOCOL_PROXY_RIG_H

#include "tests/unit/protocol/rig.h"

#define LDMS 5u
#define SOURCES 2u
#define PENDING_MAX 64u

struct proxy_rig {
    struct pst_proxy machine;
    struct pst_actions actions;
    struct rig_ledger ledger;
    uint64_t now_ns;
    uint32_t sequence;
    uint32_t pending_count; /* requests of the proxy's, not answered */
    struct pst_signal pending[PENDING_MAX];
};

extern struct proxy_rig rig;

void init(uint32_t ldms, uint32_t sources);

/* Legally into the state: drive from the start, go_on from where it is. */
void drive(enum pst_proxy_state state);
void go_on(enum pst_proxy_state state);

/* Home from wherever it is; then every order was answered once, and the next backup is served. */
void go_home(void);

/* An order of the master's; deliver gives any signal to the proxy. */
struct pst_signal order(uint32_t gsn);
void send_order(uint32_t gsn);
void deliver(const struct pst_signal *signal);

/* The proxy's own requests, oldest first. */
struct pst_signal take_pending(void);
void answer_one(uint32_t error);
void answer_all(void);

void tick(uint64_t passed_ns);
void fail_node(uint32_t node);

/* What the last step sent of this gsn; fatal if it did not. */
const struct pst_signal *told(uint32_t gsn);

#endif
