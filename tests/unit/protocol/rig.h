/* What the protocol's tests share: refs, timeouts, signals, and a ledger of requests, in which
 * each is answered once, by the right one, to the right one. */
#ifndef PST_TESTS_UNIT_PROTOCOL_RIG_H
#define PST_TESTS_UNIT_PROTOCOL_RIG_H

#include <CUnit/Basic.h>

#include "engine/protocol/ldm.h"
#include "penstock/error.h"

#define UID_LOW UINT64_C(0x1122334455667788)
#define OTHER_UID UINT64_C(0x99aabbccddeeff11)

/* The master is on node 1; the machine under test, if it is another, on node 2. */
#define MASTER_REF pst_ref_make(1, PST_BLOCK_BACKUP, 1)
#define OTHER_MASTER_REF pst_ref_make(3, PST_BLOCK_BACKUP, 1)
#define CLIENT_REF pst_ref_make(1, PST_BLOCK_CLIENT, 0)
#define PROXY_REF pst_ref_make(2, PST_BLOCK_PROXY, 0)
#define LDM_REF(instance) pst_ref_make(2, PST_BLOCK_BACKUP, instance)
#define SOURCE_REF(instance) pst_ref_make(2, PST_BLOCK_SOURCE, instance)
#define ARCHIVE_REF pst_ref_make(2, PST_BLOCK_ARCHIVE, 0)
#define STRANGER_REF pst_ref_make(9, PST_BLOCK_BACKUP, 9)

#define GSN_TRIED_MAX 300u /* beyond PST_GSN_MAX: unknown ones too */

extern const struct pst_timeouts rig_timeouts;

/* A signal of this backup with masterRef set, to be filled in further. */
struct pst_signal rig_signal(uint32_t gsn, pst_ref from, pst_ref to, uint32_t sequence);

/* Its answer: CONF, or REF with this error from where it was sent to. */
struct pst_signal rig_answer(const struct pst_signal *request, uint32_t error);

/* true for NAME_REQ. */
bool rig_is_request(uint32_t gsn);

/* How many sends of this gsn there are; the first, or the index-th, or NULL. */
uint32_t rig_count(const struct pst_actions *actions, uint16_t gsn);
const struct pst_send *rig_find(const struct pst_actions *actions, uint16_t gsn);
const struct pst_work *rig_find_work(const struct pst_actions *actions, enum pst_work_type type);

#define LEDGER_MAX 64u

struct rig_ledger {
    uint32_t count;
    struct {
        struct pst_signal request;
        uint32_t answers;
    } entries[LEDGER_MAX];
};

/* Notes a request to the machine under test. */
void rig_ledger_ask(struct rig_ledger *ledger, const struct pst_signal *request);

/* Notes answers among the actions; asserts that each was asked for, once, by whom it goes to. */
void rig_ledger_check(struct rig_ledger *ledger, const struct pst_actions *actions);

/* Asserts that every request was answered. */
void rig_ledger_close(const struct rig_ledger *ledger);

int rig_run(const char *suite, CU_TestInfo *tests);

/* Says which pair failed: CUnit's own message names only the line. */
#define RIG_CHECK(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("\n    " __VA_ARGS__);                                                          \
            CU_FAIL(#condition);                                                                   \
        }                                                                                          \
    } while (0)

#endif
