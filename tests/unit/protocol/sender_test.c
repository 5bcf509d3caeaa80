/* SignalSenders: who has answered, the first error, zombies, stale ones. */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/protocol/rig.h"

static struct pst_signal answer(const struct pst_sender *sender, uint32_t ldm, uint32_t error)
{
    struct pst_signal request =
        rig_signal(sender->gsn, PROXY_REF, LDM_REF(ldm + 1), sender->sequence);
    return rig_answer(&request, error);
}

static void the_first_error_is_kept(void)
{
    struct pst_senders senders = {0};
    struct pst_set ldms = pst_set_first(200);
    struct pst_sender *sender = senders_seize(&senders, PST_START_BACKUP_REQ, UID_LOW, &ldms);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t ldm = i * 7 % 200;
        uint32_t error = i == 50 ? ENOSPC : i == 60 ? EIO : 0;
        struct pst_signal signal = answer(sender, ldm, error);
        CU_ASSERT_PTR_EQUAL(senders_answer(&senders, &signal, ldm), sender);
        CU_ASSERT_EQUAL(pst_set_count(&sender->waiting), 199 - i);
        CU_ASSERT_PTR_NULL(senders_answer(&senders, &signal, ldm)); /* again */
    }
    CU_ASSERT_EQUAL(sender->error, -ENOSPC);
    CU_ASSERT_EQUAL(sender->where, LDM_REF(50 * 7 % 200 + 1));
    CU_ASSERT_EQUAL(senders.stray_answers, 200);
    sender_release(sender);
    CU_ASSERT_EQUAL(senders_in_use(&senders), 0);
}

static void a_ref_without_an_error_is_one_all_the_same(void)
{
    struct pst_senders senders = {0};
    struct pst_set one = pst_set_first(1);
    struct pst_sender *sender = senders_seize(&senders, PST_START_BACKUP_REQ, UID_LOW, &one);
    struct pst_signal signal = answer(sender, 0, EIO);
    signal.payload.ref.error = 0;
    CU_ASSERT_PTR_EQUAL(senders_answer(&senders, &signal, 0), sender);
    CU_ASSERT_EQUAL(sender->error, -PST_E_BAD_REQUEST);
}

static void a_zombie_knows_its_late_answers(void)
{
    struct pst_senders senders = {0};
    struct pst_set two = pst_set_first(2);
    struct pst_sender *sender = senders_seize(&senders, PST_STOP_BACKUP_REQ, UID_LOW, &two);
    struct pst_sender *abandoned = sender;
    sender_abandon(&sender);
    CU_ASSERT_PTR_NULL(sender);
    CU_ASSERT_TRUE(abandoned->is_zombie);
    for (uint32_t ldm = 0; ldm < 2; ldm++) {
        CU_ASSERT_EQUAL(senders_in_use(&senders), 1);
        struct pst_signal signal = answer(abandoned, ldm, 0);
        CU_ASSERT_PTR_NULL(senders_answer(&senders, &signal, ldm));
    }
    CU_ASSERT_EQUAL(senders_in_use(&senders), 0); /* released with the last */
    CU_ASSERT_EQUAL(senders.stray_answers, 2);
    sender = senders_seize(&senders, PST_STOP_BACKUP_REQ, UID_LOW, &two);
    CU_ASSERT_TRUE(sender_fail_member(sender, 0, -EIO, 0));
    CU_ASSERT_TRUE(sender_fail_member(sender, 1, -EIO, 0));
    CU_ASSERT_FALSE(sender_fail_member(sender, 1, -EIO, 0));
    sender_abandon(&sender); /* nobody is missing: released at once */
    CU_ASSERT_EQUAL(senders_in_use(&senders), 0);
}

static void stale_senders_are_released_and_counted(void)
{
    struct pst_senders senders = {0};
    struct pst_set one = pst_set_first(1);
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        struct pst_sender *sender =
            senders_seize(&senders, PST_START_BACKUP_REQ, UID_LOW + i, &one);
        CU_ASSERT_PTR_NOT_NULL_FATAL(sender);
        CU_ASSERT_EQUAL(sender->sequence, i + 1);
        sender_abandon(&sender);
    }
    CU_ASSERT_PTR_NULL(senders_seize(&senders, PST_START_BACKUP_REQ, UID_LOW, &one));
    senders_release_stale(&senders);
    CU_ASSERT_EQUAL(senders.stale_senders, PST_SENDERS_MAX);
    CU_ASSERT_EQUAL(senders_in_use(&senders), 0);
    struct pst_sender *sender = senders_seize(&senders, PST_START_BACKUP_REQ, UID_LOW, &one);
    CU_ASSERT_EQUAL(sender->sequence, PST_SENDERS_MAX + 1); /* none is used twice */
}

static CU_TestInfo tests[] = {
    {"the first error is kept", the_first_error_is_kept},
    {"a REF without an error is one all the same", a_ref_without_an_error_is_one_all_the_same},
    {"a zombie knows its late answers", a_zombie_knows_its_late_answers},
    {"stale senders are released and counted", stale_senders_are_released_and_counted},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol sender", tests);
}
