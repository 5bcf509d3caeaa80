/* Signals, refs, sets. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/rig.h"

static void refs_keep_their_parts(void)
{
    static const enum pst_block blocks[] = {PST_BLOCK_CLIENT, PST_BLOCK_PROXY,   PST_BLOCK_BACKUP,
                                            PST_BLOCK_SOURCE, PST_BLOCK_ARCHIVE, PST_BLOCK_OUTCOME};
    for (uint32_t node = 0; node <= PST_NODES_MAX; node++) {
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t instance = node * 257;
            pst_ref ref = pst_ref_make(node, blocks[i], instance);
            CU_ASSERT_EQUAL(pst_ref_node(ref), node);
            CU_ASSERT_EQUAL(pst_ref_block(ref), blocks[i]);
            CU_ASSERT_EQUAL(pst_ref_instance(ref), instance);
        }
    }
}

static void sets_hold_each_member(void)
{
    for (uint32_t count = 0; count <= 256; count++) {
        struct pst_set set = pst_set_first(count);
        CU_ASSERT_EQUAL(pst_set_count(&set), count);
        CU_ASSERT_EQUAL(pst_set_is_empty(&set), count == 0);
        for (uint32_t member = 0; member < 300; member++)
            CU_ASSERT_EQUAL(pst_set_has(&set, member), member < count);
        if (count == 0)
            continue;
        pst_set_remove(&set, count - 1);
        CU_ASSERT_FALSE(pst_set_has(&set, count - 1));
        CU_ASSERT_EQUAL(pst_set_count(&set), count - 1);
        pst_set_add(&set, 255);
        CU_ASSERT_TRUE(pst_set_has(&set, 255));
    }
}

static void sets_are_put_together(void)
{
    struct pst_set low = pst_set_first(130);
    struct pst_set odd = {{0}};
    for (uint32_t member = 1; member < PST_SET_MEMBERS; member += 2)
        pst_set_add(&odd, member);
    struct pst_set all = pst_set_union(&low, &odd);
    struct pst_set both = pst_set_common(&low, &odd);
    struct pst_set rest = pst_set_minus(&low, &odd);
    for (uint32_t member = 0; member < PST_SET_MEMBERS; member++) {
        CU_ASSERT_EQUAL(pst_set_has(&all, member), member < 130 || member % 2 == 1);
        CU_ASSERT_EQUAL(pst_set_has(&both, member), member < 130 && member % 2 == 1);
        CU_ASSERT_EQUAL(pst_set_has(&rest, member), member < 130 && member % 2 == 0);
    }
    CU_ASSERT_TRUE(pst_set_is_within(&both, &low));
    CU_ASSERT_TRUE(pst_set_is_within(&both, &odd));
    CU_ASSERT_FALSE(pst_set_is_within(&odd, &low));
    uint32_t visited = 0;
    for (uint32_t member = pst_set_next(&odd, 0); member < PST_SET_MEMBERS;
         member = pst_set_next(&odd, member + 1))
        CU_ASSERT_EQUAL(member, 2 * visited++ + 1);
    CU_ASSERT_EQUAL(visited, PST_SET_MEMBERS / 2);
    CU_ASSERT_EQUAL(pst_set_next(&low, 130), PST_SET_MEMBERS);
}

static void every_number_has_a_name_and_a_length(void)
{
    uint32_t known = 0;
    for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
        bool is_known = strcmp(pst_gsn_name(gsn), "unknown") != 0;
        known += is_known;
        CU_ASSERT_EQUAL(pst_gsn_payload_bytes(gsn) != 0, is_known);
        CU_ASSERT_EQUAL(pst_gsn_reach(gsn) != 0, is_known);
        CU_ASSERT_TRUE(pst_gsn_payload_bytes(gsn) <= PST_SIGNAL_PAYLOAD_BYTES);
    }
#define X(name, number, payload, reach) known--;
    PST_SIGNAL_LIST(X)
#undef X
    CU_ASSERT_EQUAL(known, 0);
    CU_ASSERT_STRING_EQUAL(pst_gsn_name(UINT32_MAX), "unknown");
}

static bool ends_in(const char *name, const char *end)
{
    size_t bytes = strlen(name);
    return bytes >= strlen(end) && strcmp(name + bytes - strlen(end), end) == 0;
}

/* NAME_REQ, NAME_CONF, NAME_REF follow each other; ORD and REP answer nothing. */
static void answers_know_their_requests(void)
{
    for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
        const char *name = pst_gsn_name(gsn);
        bool is_answer = ends_in(name, "_CONF") || ends_in(name, "_REF");
        uint16_t request = pst_gsn_answered(gsn);
        RIG_CHECK((request != 0) == is_answer, "%s", name);
        CU_ASSERT_EQUAL(rig_is_request(gsn), ends_in(name, "_REQ"));
        CU_ASSERT_EQUAL(gsn_is_request(gsn), ends_in(name, "_REQ"));
        CU_ASSERT_EQUAL(pst_gsn_answered_by(gsn) != 0, is_answer || ends_in(name, "_REQ"));
        if (!is_answer)
            continue;
        const char *asked = pst_gsn_name(request);
        size_t stem = strlen(asked) - strlen("_REQ");
        RIG_CHECK(strncmp(asked, name, stem) == 0, "%s answers %s", name, asked);
        CU_ASSERT_EQUAL(gsn, ends_in(name, "_CONF") ? PST_CONF_OF(request) : PST_REF_OF(request));
    }
}

/* The two halves of a BACKUP instance: what the master gets, and what the participant gets. */
static void signals_find_their_half(void)
{
    static const uint16_t participants[] = {
        PST_DEFINE_BACKUP_REQ, PST_START_BACKUP_REQ,   PST_BACKUP_FRAGMENT_REQ, PST_STOP_BACKUP_REQ,
        PST_COMMIT_BACKUP_REQ, PST_CLEANUP_BACKUP_REQ, PST_GCP_PREPARE_REQ,     PST_GCP_COMMIT_REQ};
    for (uint32_t i = 0; i < sizeof(participants) / sizeof(participants[0]); i++) {
        struct pst_signal signal = rig_signal(participants[i], PROXY_REF, MASTER_REF, 1);
        CU_ASSERT_FALSE(pst_signal_is_for_master(&signal));
        signal = rig_answer(&signal, 0);
        CU_ASSERT_TRUE(pst_signal_is_for_master(&signal));
    }
    struct pst_signal abort = rig_signal(PST_ABORT_BACKUP_ORD, PROXY_REF, MASTER_REF, 0);
    CU_ASSERT_FALSE(pst_signal_is_for_master(&abort));
    abort.payload.abort.request = PST_ABORT_CLIENT;
    CU_ASSERT_TRUE(pst_signal_is_for_master(&abort));
    abort.payload.abort.request = PST_ABORT_FILE_OR_SCAN;
    CU_ASSERT_TRUE(pst_signal_is_for_master(&abort));
}

static void a_uid_travels_little_endian(void)
{
    uint8_t uid[16] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 9, 9, 9, 9, 9, 9, 9, 9};
    CU_ASSERT_EQUAL(pst_uid_low(uid), UID_LOW);
}

static void sums_are_64_bits(void)
{
    struct pst_sums sums = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct pst_sums more = sums;
    pst_sums_add(&sums, &more);
    CU_ASSERT_EQUAL(sums.source_bytes, 2 * (uint64_t)UINT32_MAX);
    CU_ASSERT_EQUAL(sums.stored_bytes, 2 * (uint64_t)UINT32_MAX);
    CU_ASSERT_EQUAL(sums.objects, 2 * (uint64_t)UINT32_MAX);
    CU_ASSERT_EQUAL(sums.chunks, 2 * (uint64_t)UINT32_MAX);
    CU_ASSERT_EQUAL(sums.unreadable, 2 * (uint64_t)UINT32_MAX);
}

static void deadlines_must_nest(void)
{
    CU_ASSERT_TRUE(timeouts_are_nested(&rig_timeouts));
    for (int i = 0; i < 7; i++) {
        struct pst_timeouts timeouts = rig_timeouts;
        timeouts.ldm_ns = i == 0 ? timeouts.proxy_ns : i == 1 ? 0 : timeouts.ldm_ns;
        timeouts.proxy_ns = i == 2 ? timeouts.master_ns : timeouts.proxy_ns;
        timeouts.progress_ns = i == 3 ? timeouts.stall_ns : timeouts.progress_ns;
        timeouts.stall_ns = i == 4 ? 0 : timeouts.stall_ns;
        timeouts.thawed_ns = i == 5 ? timeouts.proxy_ns : timeouts.thawed_ns;
        timeouts.ask_ns = i == 6 ? 0 : timeouts.ask_ns;
        CU_ASSERT_FALSE(timeouts_are_nested(&timeouts));
    }
}

static CU_TestInfo tests[] = {
    {"refs keep their parts", refs_keep_their_parts},
    {"sets hold each member", sets_hold_each_member},
    {"sets are put together", sets_are_put_together},
    {"every number has a name and a length", every_number_has_a_name_and_a_length},
    {"answers know their requests", answers_know_their_requests},
    {"signals find their half", signals_find_their_half},
    {"a uid travels little-endian", a_uid_travels_little_endian},
    {"sums are 64 bits", sums_are_64_bits},
    {"deadlines must nest", deadlines_must_nest},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol signal", tests);
}
