/* The works of a participant, in order and out of it: what each is answered, and what is left. All
 * of it once more with a codec, which takes several slices for a chunk. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/unit/pipeline/works.h"

#define BYTES (20 * RIG_CHUNK_BYTES + 7)

static struct works works;
static const struct pst_transform *transform; /* NULL: none */

static void begin(void)
{
    works_open(&works, PST_FRAGMENT_EXTENTS, transform);
    works_add_file(&works, "large", 1, BYTES);
}

static void a_part_is_made(void)
{
    struct rig_part part;
    begin();
    CU_ASSERT_TRUE(pst_pipeline_is_at_rest(works.pipeline));
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_FALSE(pst_pipeline_is_at_rest(works.pipeline));
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), 0);
    works_start(&works, PST_WORK_STOP);
    const struct pst_work_result stopped = works_wait(&works);
    CU_ASSERT_EQUAL(stopped.error, 0);
    CU_ASSERT_EQUAL(stopped.sums.source_bytes, BYTES);
    CU_ASSERT_EQUAL(stopped.sums.stored_bytes, pst_pipeline_sums(works.pipeline).stored_bytes);
    CU_ASSERT_TRUE(pst_pipeline_is_at_rest(works.pipeline));
    CU_ASSERT_TRUE(rig_read_part(&works.rig, WORKS_PART, &part));
    struct pst_digest digest = pst_part_digest(&part.trailer);
    CU_ASSERT_EQUAL(memcmp(stopped.digest, digest.bytes, sizeof(digest.bytes)), 0);
    CU_ASSERT_EQUAL(stopped.file_bytes, part.trailer.file_bytes);
    CU_ASSERT_EQUAL(part.header.codec, transform ? transform->codec : PST_CODEC_NONE);
    CU_ASSERT_TRUE(rig_part_has(&part, 1, BYTES, 1));
    rig_release_part(&part);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_RELEASE), 0);
    CU_ASSERT_TRUE(works_part_exists(&works));
    CU_ASSERT_EQUAL(pst_pipeline_sums(works.pipeline).chunks, 0);
    works_close(&works);
}

/* Up to the middle of the read-back. */
static void begin_read_back(void)
{
    begin();
    works.flags = PST_BACKUP_VERIFY;
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), 0);
    works_start(&works, PST_WORK_STOP);
    while (pst_pipeline_verified_bytes(works.pipeline) == 0)
        works_slice(&works);
}

static void a_part_is_read_back(void)
{
    begin_read_back();
    CU_ASSERT_EQUAL(works_wait(&works).error, 0);
    CU_ASSERT_EQUAL(pst_pipeline_verified_bytes(works.pipeline), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_RELEASE), 0);
    CU_ASSERT_TRUE(works_part_exists(&works));
    works_close(&works);
}

#define LATER_NS UINT64_C(1000000000000)

static struct pst_pace pace;

/* An hour's budget is owed. */
static void owe(void)
{
    const struct pst_pace_setting slow = {.mode = PST_PACE_RATE, .bytes_per_s = PST_PACE_MIN};
    pst_pace_init(&pace, &slow, WORKS_DEPTH);
    pst_pace_share_open(&works.pace, &pace);
    pst_pace_spend(&works.pace, 3600 * PST_PACE_MIN);
}

static void let_go(void)
{
    const struct pst_pace_setting unlimited = {.mode = PST_PACE_MAX};
    pst_pace_set(&pace, &unlimited);
}

static void settle(void)
{
    pst_pace_share_close(&works.pace);
    pst_pace_release(&pace);
}

static bool waits_for_its_pace(void)
{
    for (uint32_t i = 0; i < 100; i++) {
        (void)pst_pipeline_slice(works.pipeline);
        pst_ring_drain(works.rig.ring);
    }
    return !pst_pipeline_slice(works.pipeline) &&
           pst_pipeline_deadline_ns(works.pipeline) != PST_DEADLINE_NONE &&
           pst_pipeline_deadline_ns(works.pipeline) > pst_monotonic_ns() + LATER_NS;
}

static void a_scan_waits_for_its_pace(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    owe();
    CU_ASSERT_FALSE(pst_pipeline_has_fragments(works.pipeline));
    works_start(&works, PST_WORK_SCAN);
    CU_ASSERT_TRUE(waits_for_its_pace());
    CU_ASSERT_TRUE(pst_pipeline_has_fragments(works.pipeline));
    CU_ASSERT_EQUAL(pst_pipeline_sums(works.pipeline).source_bytes, 0);
    let_go();
    CU_ASSERT_EQUAL(works_wait(&works).error, 0);
    CU_ASSERT_FALSE(pst_pipeline_has_fragments(works.pipeline));
    CU_ASSERT_EQUAL(pst_pipeline_sums(works.pipeline).source_bytes, BYTES);
    CU_ASSERT_EQUAL(pst_pipeline_deadline_ns(works.pipeline), PST_DEADLINE_NONE);
    settle();
    works_close(&works);
}

/* And one that is to end does not wait. */
static void a_paced_scan_is_discarded_at_once(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    owe();
    works_start(&works, PST_WORK_SCAN);
    CU_ASSERT_TRUE(waits_for_its_pace());
    works_close(&works);
    settle();
}

static void a_read_back_waits_for_its_pace(void)
{
    for (int is_stopped = 0; is_stopped < 2; is_stopped++) {
        begin_read_back();
        owe();
        CU_ASSERT_TRUE(waits_for_its_pace());
        uint64_t verified = pst_pipeline_verified_bytes(works.pipeline);
        CU_ASSERT_TRUE(verified > 0);
        CU_ASSERT_TRUE(pst_pipeline_waits_to_verify(works.pipeline));
        if (is_stopped)
            pst_pipeline_stop_verifying(works.pipeline);
        else
            let_go();
        (void)pst_pipeline_slice(works.pipeline);
        (void)pst_pipeline_slice(works.pipeline); /* it goes on once */
        CU_ASSERT_FALSE(pst_pipeline_waits_to_verify(works.pipeline));
        CU_ASSERT_EQUAL(works_wait(&works).error, is_stopped ? -ECANCELED : 0);
        works_close(&works);
        settle();
    }
}

/* While it is read back. is_sealed: its checksum is right, and still it is another one. */
static void change_trailer(bool is_sealed)
{
    struct pst_part_trailer trailer;
    begin_read_back();
    int fd = openat(works.rig.dirfd, WORKS_PART, O_RDWR | O_CLOEXEC);
    off_t offset = lseek(fd, 0, SEEK_END) - (off_t)sizeof(trailer);
    CU_ASSERT_EQUAL(pread(fd, &trailer, sizeof(trailer), offset), sizeof(trailer));
    trailer.stop_gci++;
    const struct pst_part_identity identity = trailer.head.identity;
    if (is_sealed)
        (void)format_part_trailer_seal(&trailer, &identity);
    CU_ASSERT_EQUAL(pwrite(fd, &trailer, sizeof(trailer), offset), sizeof(trailer));
    close(fd);
}

static void what_is_read_back_must_be_what_was_written(void)
{
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        change_trailer(is_sealed);
        CU_ASSERT_EQUAL(works_wait(&works).error, -PST_E_READ_BACK);
        CU_ASSERT_EQUAL(pst_pipeline_take_trouble(works.pipeline), -PST_E_READ_BACK);
        CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
        CU_ASSERT_FALSE(works_part_exists(&works));
        works_close(&works);
    }
}

static void an_abort_ends_the_read_back(void)
{
    begin_read_back();
    pst_pipeline_stop_verifying(works.pipeline);
    CU_ASSERT_EQUAL(works_wait(&works).error, -ECANCELED);
    CU_ASSERT_EQUAL(pst_pipeline_take_trouble(works.pipeline), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
    works_close(&works);
    begin_read_back();
    works_start(&works, PST_WORK_DISCARD);
    CU_ASSERT_EQUAL(works_wait(&works).error, -ECANCELED);
    CU_ASSERT_EQUAL(works_wait(&works).type, PST_WORK_DISCARD);
    CU_ASSERT_FALSE(works_part_exists(&works));
    works_close(&works);
}

static void a_read_back_that_fails_fails_the_part(void)
{
    begin_read_back();
    works.rig.fault = (struct pst_io_fault){.at = 1, .error = EIO};
    CU_ASSERT_EQUAL(works_wait(&works).error, -EIO);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
    works_close(&works);
}

/* Works up to the one that a DISCARD meets, so many slices after it was started. */
static const enum pst_work_type all_works[] = {PST_WORK_OPEN, PST_WORK_START, PST_WORK_SCAN,
                                               PST_WORK_STOP};

static void discard_after(uint32_t done, uint32_t slices)
{
    struct pst_work_result result;
    uint32_t results = 0;
    begin();
    for (uint32_t i = 0; i < done; i++)
        CU_ASSERT_EQUAL(works_do(&works, all_works[i]), 0);
    bool is_running = done < 4;
    if (is_running)
        works_start(&works, all_works[done]);
    for (uint32_t i = 0; i < slices; i++)
        works_slice(&works);
    works_start(&works, PST_WORK_DISCARD);
    do {
        result = works_wait(&works);
        results++;
        CU_ASSERT_EQUAL(result.backup, 1);
        CU_ASSERT_TRUE(result.type == PST_WORK_DISCARD ||
                       (is_running && result.type == all_works[done]));
        CU_ASSERT_TRUE(result.error == 0 || result.error == -ECANCELED);
        if (slices == 0 && result.type != PST_WORK_DISCARD)
            CU_ASSERT_EQUAL(result.error, -ECANCELED);
    } while (result.type != PST_WORK_DISCARD);
    CU_ASSERT_EQUAL(results, is_running ? 2 : 1);
    CU_ASSERT_TRUE(pst_pipeline_is_at_rest(works.pipeline));
    CU_ASSERT_FALSE(works_part_exists(&works));
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0); /* the next one begins as the first did */
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    works_close(&works);
}

static void a_discard_is_served_at_any_time(void)
{
    for (uint32_t done = 0; done <= 4; done++) {
        for (uint32_t slices = 0; slices < 12; slices++)
            discard_after(done, slices);
    }
}

static void a_second_discard_changes_nothing(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    works_start(&works, PST_WORK_DISCARD);
    works_start(&works, PST_WORK_DISCARD);
    CU_ASSERT_EQUAL(works_wait(&works).type, PST_WORK_DISCARD);
    works_close(&works);
}

static void a_discard_meets_an_open_that_fails(void)
{
    begin();
    works.rig.fault = (struct pst_io_fault){.at = 1, .error = EDQUOT};
    works_start(&works, PST_WORK_OPEN);
    works_start(&works, PST_WORK_DISCARD);
    const struct pst_work_result opened = works_wait(&works);
    CU_ASSERT_EQUAL(opened.type, PST_WORK_OPEN);
    CU_ASSERT_EQUAL(opened.error, -EDQUOT);
    const struct pst_work_result discarded = works_wait(&works);
    CU_ASSERT_EQUAL(discarded.type, PST_WORK_DISCARD);
    CU_ASSERT_EQUAL(discarded.error, 0);
    CU_ASSERT_FALSE(works_part_exists(&works));
    works_close(&works);
}

static void there_may_be_nothing_to_discard(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
    works_close(&works);
}

static void a_halt_ends_the_scans(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    works_start(&works, PST_WORK_SCAN);
    works_slice(&works);
    works_start(&works, PST_WORK_HALT);
    CU_ASSERT_EQUAL(works_wait(&works).error, -ECANCELED);
    CU_ASSERT_EQUAL(pst_pipeline_take_trouble(works.pipeline), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
    works_close(&works);
}

/* Each I/O of a whole part fails once: some work has that error, it is reported as trouble, or a
 * file of the source counts as unreadable; and a DISCARD puts all in order. *silent counts those
 * of which nothing is seen. */
static int run_until_error(uint64_t at, uint32_t *silent)
{
    int error = 0;
    begin();
    works.rig.fault = (struct pst_io_fault){.at = at, .error = EDQUOT};
    for (uint32_t i = 0; !error && i < 4; i++)
        error = works_do(&works, all_works[i]);
    int trouble = pst_pipeline_take_trouble(works.pipeline);
    CU_ASSERT_TRUE(trouble == 0 || trouble == -EDQUOT);
    CU_ASSERT_EQUAL(pst_pipeline_take_trouble(works.pipeline), 0);
    int hits = (int)works.rig.fault.hits;
    works.rig.fault.at = 0;
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
    CU_ASSERT_FALSE(works_part_exists(&works));
    CU_ASSERT_TRUE(error == 0 || error == -EDQUOT);
    *silent += hits > 0 && !error && !trouble && works.unreadable.count == 0;
    works_close(&works);
    return hits;
}

static void an_error_is_reported_and_cleaned_up(void)
{
    uint64_t at = 1;
    uint32_t silent = 0;
    while (run_until_error(at, &silent) > 0)
        at++;
    /* preallocation, which may be lacking; the close of a file of the source, which was read */
    CU_ASSERT_TRUE(silent <= 2);
    CU_ASSERT_TRUE(at > 40); /* the reads and writes alone are more */
}

static void an_error_is_answered_and_reported(void)
{
    begin();
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    pst_ring_drain(works.rig.ring); /* the preallocation, which may be lacking */
    works.rig.fault = (struct pst_io_fault){.at = 1, .error = EDQUOT};
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), -EDQUOT);
    CU_ASSERT_EQUAL(pst_pipeline_take_trouble(works.pipeline), -EDQUOT);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), -EDQUOT);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_STOP), -EDQUOT);
    works_close(&works);
}

/* ---- what aborts ---- */

static void start_work(void *context)
{
    works_start(&works, *(const enum pst_work_type *)context);
}

static void works_out_of_order_abort(void)
{
    static const enum pst_work_type not_yet[] = {PST_WORK_START, PST_WORK_SCAN, PST_WORK_STOP,
                                                 PST_WORK_RELEASE, PST_WORK_HALT};
    begin();
    for (uint32_t i = 0; i < sizeof(not_yet) / sizeof(not_yet[0]); i++) {
        enum pst_work_type type = not_yet[i];
        CU_ASSERT_TRUE(child_aborts(start_work, &type));
    }
    works_start(&works, PST_WORK_OPEN);
    enum pst_work_type twice = PST_WORK_OPEN;
    CU_ASSERT_TRUE(child_aborts(start_work, &twice));
    works_close(&works);
}

static void *call(void *context)
{
    struct pst_work_result result;
    const struct pst_work discard = {.type = PST_WORK_DISCARD};
    switch (*(const uint32_t *)context) {
    case 0:
        pst_pipeline_is_at_rest(works.pipeline);
        break;
    case 1:
        pst_pipeline_start(works.pipeline, &discard);
        break;
    case 2:
        pst_pipeline_next_result(works.pipeline, &result);
        break;
    case 3:
        pst_pipeline_slice(works.pipeline);
        break;
    case 4:
        pst_pipeline_take_trouble(works.pipeline);
        break;
    case 5:
        pst_pipeline_sums(works.pipeline);
        break;
    case 6:
        pst_pipeline_destroy(works.pipeline);
        break;
    }
    return NULL;
}

static void call_on_another_thread(void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, context) == 0)
        pthread_join(thread, NULL);
}

static void another_thread_may_not_call(void)
{
    begin();
    for (uint32_t entry = 0; entry <= 6; entry++)
        CU_ASSERT_TRUE(child_aborts(call_on_another_thread, &entry));
    works_close(&works);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a part is made", a_part_is_made},
        {"a scan waits for its pace", a_scan_waits_for_its_pace},
        {"a paced scan is discarded at once", a_paced_scan_is_discarded_at_once},
        {"a read-back waits for its pace", a_read_back_waits_for_its_pace},
        {"a part is read back", a_part_is_read_back},
        {"what is read back must be what was written", what_is_read_back_must_be_what_was_written},
        {"an abort ends the read back", an_abort_ends_the_read_back},
        {"a read back that fails fails the part", a_read_back_that_fails_fails_the_part},
        {"a DISCARD is served at any time", a_discard_is_served_at_any_time},
        {"a second DISCARD changes nothing", a_second_discard_changes_nothing},
        {"a DISCARD meets an OPEN that fails", a_discard_meets_an_open_that_fails},
        {"there may be nothing to discard", there_may_be_nothing_to_discard},
        {"a HALT ends the scans", a_halt_ends_the_scans},
        {"an error is reported and cleaned up", an_error_is_reported_and_cleaned_up},
        {"an error is answered and reported", an_error_is_answered_and_reported},
        {"works out of order abort", works_out_of_order_abort},
        {"another thread may not call", another_thread_may_not_call},
        CU_TEST_INFO_NULL,
    };
    return works_run_suites("pipeline", "pipeline with zstd", tests, &transform);
}
