/* What a sweep does with a backup, and what others are told of it, for all that a disk may say. */
#include "engine/protocol/debris.h"
#include "tests/unit/protocol/rig.h"

static struct pst_debris debris_of(uint32_t bits)
{
    return (struct pst_debris){.is_at_work = bits & 1,
                               .is_committed = bits & 2,
                               .is_prepared = bits & 4,
                               .is_alone = bits & 8};
}

static void what_is_at_work_or_committed_is_kept(void)
{
    for (uint32_t bits = 0; bits < 16; bits++) {
        struct pst_debris debris = debris_of(bits);
        enum pst_debris_verdict verdict = pst_debris_judge(&debris);
        bool is_kept = verdict == PST_DEBRIS_KEEP;
        CU_ASSERT_EQUAL(is_kept, (bits & 3) != 0);
    }
}

static void only_who_is_prepared_and_not_alone_is_in_doubt(void)
{
    for (uint32_t bits = 0; bits < 16; bits += 4) {
        struct pst_debris debris = debris_of(bits);
        bool in_doubt = pst_debris_judge(&debris) == PST_DEBRIS_DOUBT;
        CU_ASSERT_EQUAL(in_doubt, bits == 4);
    }
}

static void others_are_told_what_the_disk_says(void)
{
    static const uint32_t expected[] = {PST_OUTCOME_NONE, PST_OUTCOME_COMMITTED,
                                        PST_OUTCOME_PREPARED, PST_OUTCOME_COMMITTED};
    for (uint32_t bits = 0; bits < 16; bits++) {
        struct pst_debris debris = debris_of(bits);
        uint32_t told = pst_debris_outcome(&debris);
        CU_ASSERT_EQUAL(told, bits & 1 ? 0 : expected[bits >> 1 & 3]);
    }
}

static CU_TestInfo tests[] = {
    {"what is at work or committed is kept", what_is_at_work_or_committed_is_kept},
    {"only who is prepared and not alone is in doubt",
     only_who_is_prepared_and_not_alone_is_in_doubt},
    {"others are told what the disk says", others_are_told_what_the_disk_says},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol debris", tests);
}
