/* The proxy at work: the cut, the dealing, progress, sums, and answers that are none. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/proxy_rig.h"

static void sources_are_frozen_in_turn_and_cut_at_once(void)
{
    drive(PST_PROXY_STARTED);
    send_order(PST_GCP_PREPARE_REQ);
    CU_ASSERT_EQUAL(rig.pending_count, SOURCES); /* are let go, if need be */
    for (uint32_t i = 0; i < SOURCES; i++)
        answer_one(0);
    CU_ASSERT_EQUAL_FATAL(rig.pending_count, 1);
    CU_ASSERT_EQUAL(rig.pending[0].receiver_ref, SOURCE_REF(0));
    struct pst_signal request = take_pending();
    struct pst_signal frozen = rig_answer(&request, 0);
    frozen.payload.gci.start_gci = UINT64_C(1) << 50;
    deliver(&frozen);
    CU_ASSERT_EQUAL_FATAL(rig.pending_count, 1);
    CU_ASSERT_EQUAL(rig.pending[0].receiver_ref, SOURCE_REF(1));
    answer_one(0);
    CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_CONF)->payload.gci.start_gci, UINT64_C(1) << 50);
    send_order(PST_GCP_COMMIT_REQ);
    CU_ASSERT_EQUAL(rig.pending_count, SOURCES);
    for (uint32_t i = 0; i < SOURCES; i++) {
        CU_ASSERT_EQUAL(rig.pending[i].gsn, PST_SOURCE_SNAPSHOT_REQ);
        CU_ASSERT_EQUAL(rig.pending[i].payload.gci.start_gci, 77);
    }
    answer_one(0);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_GCP_COMMIT_CONF), 0);
    answer_one(0);
    CU_ASSERT_EQUAL(told(PST_GCP_COMMIT_CONF)->payload.gci.start_gci, 77);
    go_home();
}

/* Late, doubled, of another sequence, backup, LDM or node: none moves anything. */
static void strays_are_recognised(void)
{
    drive(PST_PROXY_STARTING);
    struct pst_signal good = rig_answer(&rig.pending[0], 0);
    struct pst_signal bad[6];
    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].sequence++;
    bad[1].backup = OTHER_UID;
    bad[2].sender_ref = LDM_REF(LDMS + 1);
    bad[3].sender_ref = pst_ref_make(7, PST_BLOCK_BACKUP, 1);
    bad[4].gsn = PST_STOP_BACKUP_CONF;
    bad[5].sender_ref = SOURCE_REF(0);
    for (int i = 0; i < 6; i++)
        deliver(&bad[i]);
    CU_ASSERT_EQUAL(rig.machine.senders.stray_answers, 6);
    CU_ASSERT_EQUAL(pst_set_count(&rig.machine.sender->waiting), LDMS);
    deliver(&good);
    deliver(&good);
    CU_ASSERT_EQUAL(rig.machine.senders.stray_answers, 7);
    CU_ASSERT_EQUAL(pst_set_count(&rig.machine.sender->waiting), LDMS - 1);
    take_pending();
    go_home();
}

static void list(uint32_t source, uint64_t fragment, uint32_t owner)
{
    struct pst_signal listed =
        rig_signal(PST_SOURCE_FRAGMENT_REP, SOURCE_REF(source), PROXY_REF, 0);
    listed.payload.fragment.source = source;
    listed.payload.fragment.fragment = fragment;
    listed.payload.fragment.bytes = 10;
    listed.payload.fragment.owner = owner;
    deliver(&listed);
}

static void fragments_are_dealt_while_the_listing_runs(void)
{
    drive(PST_PROXY_SCANNING);
    for (uint32_t i = 0; i < 2 * LDMS; i++) {
        list(0, i, 0);
        CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_BACKUP_FRAGMENT_REQ), 1);
        CU_ASSERT_EQUAL(rig.actions.sends[0].signal.receiver_ref, LDM_REF(i % LDMS + 1));
    }
    list(1, 99, 0); /* all have two */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    struct pst_signal first = rig.pending[SOURCES];
    struct pst_signal stolen = rig_answer(&first, 0);
    stolen.sender_ref = LDM_REF(3); /* not dealt that */
    deliver(&stolen);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(rig.machine.senders.stray_answers, 1);
    struct pst_signal done = rig_answer(&first, 0);
    deliver(&done);
    CU_ASSERT_EQUAL(told(PST_SOURCE_FRAGMENT_DONE_ORD)->payload.fragment.source, 0);
    CU_ASSERT_EQUAL(told(PST_BACKUP_FRAGMENT_REQ)->payload.fragment.fragment, 99);
    CU_ASSERT_EQUAL(told(PST_BACKUP_FRAGMENT_REQ)->receiver_ref, first.receiver_ref);
    deliver(&done); /* again */
    CU_ASSERT_EQUAL(rig.machine.senders.stray_answers, 2);
    memmove(rig.pending + SOURCES, rig.pending + SOURCES + 1,
            (--rig.pending_count - SOURCES) * sizeof(rig.pending[0]));
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_SCANNED);
    CU_ASSERT_EQUAL(rig.machine.dealer.done, 2 * LDMS + 1);
    go_home();
}

static void bad_fragments_end_the_scan(void)
{
    drive(PST_PROXY_SCANNING);
    list(1, 1, LDMS + 1); /* no such owner */
    CU_ASSERT_EQUAL(told(PST_ABORT_BACKUP_ORD)->payload.abort.error, PST_E_BAD_REQUEST);
    list(1, 2, 0); /* too late */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    answer_all();
    CU_ASSERT_EQUAL(told(PST_BACKUP_FRAGMENT_REF)->payload.ref.error, PST_E_BAD_REQUEST);
    go_home();
    drive(PST_PROXY_SCANNING);
    struct pst_signal foreign = rig_signal(PST_SOURCE_FRAGMENT_REP, SOURCE_REF(0), PROXY_REF, 0);
    foreign.payload.fragment.source = 1; /* in another source's name */
    deliver(&foreign);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    for (uint32_t i = 0; i < 2 + PST_FRAGMENTS_LISTED_MAX; i++) {
        list(0, i, 1);
        CU_ASSERT_EQUAL_FATAL(rig.machine.error, 0);
    }
    list(0, 5000, 1); /* more than may be listed ahead */
    CU_ASSERT_EQUAL(told(PST_ABORT_BACKUP_ORD)->payload.abort.error, PST_E_NO_RESOURCES);
    go_home();
}

/* However long it takes, as long as one LDM reads back more; and no longer than that. */
static void reading_back_puts_the_deadline_off(void)
{
    drive(PST_PROXY_STOPPING);
    for (uint32_t i = 0; i < 10; i++) {
        rig.now_ns += rig_timeouts.proxy_ns - 2 * rig_timeouts.progress_ns;
        struct pst_signal report = rig_signal(PST_BACKUP_PROGRESS_REP, LDM_REF(2), PROXY_REF, 0);
        deliver(&report);
        tick(rig_timeouts.progress_ns);
        CU_ASSERT_EQUAL(told(PST_BACKUP_PROGRESS_REP)->payload.progress.expected_is_final, 1);
        tick(rig_timeouts.progress_ns);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0); /* nothing new */
    }
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_STOPPING);
    tick(rig_timeouts.proxy_ns);
    CU_ASSERT_EQUAL(told(PST_STOP_BACKUP_REF)->payload.ref.error, PST_E_TIMEOUT);
    go_home();
}

static void progress_is_judged_and_told(void)
{
    drive(PST_PROXY_SCANNING);
    uint64_t started_ns = rig.now_ns;
    for (uint32_t i = 0; i < 10; i++) {
        tick(rig_timeouts.progress_ns);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0); /* nothing moved */
        rig.now_ns += rig_timeouts.stall_ns - 2 * rig_timeouts.progress_ns;
        list(0, i, 0); /* with each, it has stall_ns again, and the master hears of it */
        tick(rig_timeouts.progress_ns);
        CU_ASSERT_EQUAL(told(PST_BACKUP_PROGRESS_REP)->payload.progress.expected_bytes,
                        10 * (i + 1));
    }
    CU_ASSERT_TRUE(rig.now_ns - started_ns > 5 * rig_timeouts.stall_ns);
    for (uint32_t i = 0; i < 2 * LDMS; i++) { /* of each LDM, the last report counts */
        uint32_t ldm = 1 + i % LDMS;
        struct pst_signal report = rig_signal(PST_BACKUP_PROGRESS_REP, LDM_REF(ldm), PROXY_REF, 0);
        report.payload.progress.sums.source_bytes =
            i < LDMS ? 1000 * ldm : UINT64_C(0xffffffff) << ldm;
        deliver(&report);
    }
    tick(rig_timeouts.progress_ns);
    CU_ASSERT_EQUAL(told(PST_BACKUP_PROGRESS_REP)->payload.progress.sums.source_bytes,
                    UINT64_C(0xffffffff) * 62);
    go_home();
}

/* A source that has confirmed its listing sends no more; if it does, the backup lacks a fragment.
 */
static void a_fragment_after_the_listing_fails_the_scan(void)
{
    drive(PST_PROXY_SCANNING);
    for (uint32_t i = 0; i < SOURCES; i++)
        answer_one(0);
    CU_ASSERT_EQUAL_FATAL(rig_count(&rig.actions, PST_SOURCE_RELEASE_REQ), 1);
    struct pst_signal late = rig_signal(PST_SOURCE_FRAGMENT_REP, SOURCE_REF(0), PROXY_REF, 0);
    deliver(&late);
    CU_ASSERT_EQUAL(rig.machine.dealer.in_flight, 0);
    for (uint32_t i = 0; i < SOURCES; i++)
        answer_one(0);
    CU_ASSERT_EQUAL(told(PST_BACKUP_FRAGMENT_REF)->payload.ref.error, PST_E_BAD_REQUEST);
    CU_ASSERT_EQUAL(told(PST_BACKUP_FRAGMENT_REF)->payload.ref.where, SOURCE_REF(0));
    go_home();
}

static void a_fragment_of_another_backup_is_not_dealt(void)
{
    drive(PST_PROXY_SCANNING);
    struct pst_signal listed = rig_signal(PST_SOURCE_FRAGMENT_REP, SOURCE_REF(0), PROXY_REF, 0);
    listed.backup = OTHER_UID;
    deliver(&listed);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(rig.machine.dealer.listed, 0);
    go_home();
}

/* 64 bits in all sums: of parts, towards the archive and the master. */
static void sums_do_not_overflow(void)
{
    drive(PST_PROXY_STOPPING);
    uint64_t huge = UINT64_C(0x1000000000001);
    for (uint32_t i = 0; i < LDMS; i++) {
        struct pst_signal request = take_pending();
        CU_ASSERT_EQUAL(request.payload.gci.start_gci, 77);
        struct pst_signal answer = rig_answer(&request, 0);
        answer.payload.stop_conf.sums =
            (struct pst_sums){huge, huge + 1, huge + 2, huge + 3, huge + 4};
        answer.payload.stop_conf.file_bytes = huge + i;
        answer.payload.stop_conf.digest[15] = (uint8_t)i;
        deliver(&answer);
        const struct pst_archive_item *part = &told(PST_ARCHIVE_PART_ORD)->payload.archive_item;
        CU_ASSERT_EQUAL(part->item, i + 1);
        CU_ASSERT_EQUAL(part->file_bytes, huge + i);
        CU_ASSERT_EQUAL(part->digest[15], i);
        CU_ASSERT_EQUAL(part->sums.unreadable, huge + 4);
    }
    struct pst_signal request = take_pending();
    struct pst_signal manifest = rig_answer(&request, 0);
    manifest.payload.commit.file_bytes = 4711;
    manifest.payload.commit.digest[0] = 0xab;
    manifest.payload.commit.warnings = 3;
    deliver(&manifest);
    const struct pst_stop_backup_conf *conf = &told(PST_STOP_BACKUP_CONF)->payload.stop_conf;
    CU_ASSERT_EQUAL(conf->sums.source_bytes, LDMS * huge);
    CU_ASSERT_EQUAL(conf->sums.chunks, LDMS * (huge + 3));
    CU_ASSERT_EQUAL(conf->file_bytes, 4711);
    CU_ASSERT_EQUAL(conf->digest[0], 0xab);
    CU_ASSERT_EQUAL(conf->warnings, 3);
    go_home();
}

static CU_TestInfo tests[] = {
    {"sources are frozen in turn, cut at once", sources_are_frozen_in_turn_and_cut_at_once},
    {"strays are recognised", strays_are_recognised},
    {"fragments are dealt while the listing runs", fragments_are_dealt_while_the_listing_runs},
    {"bad fragments end the scan", bad_fragments_end_the_scan},
    {"reading back puts the deadline off", reading_back_puts_the_deadline_off},
    {"progress is judged and told", progress_is_judged_and_told},
    {"a fragment after the listing fails the scan", a_fragment_after_the_listing_fails_the_scan},
    {"a fragment of another backup is not dealt", a_fragment_of_another_backup_is_not_dealt},
    {"sums do not overflow", sums_do_not_overflow},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol proxy scan", tests);
}
