/* A verify and a restore that are held back read as a backup does: by small requests, of a low
 * priority. */
#include <linux/ioprio.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "io/request.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

/* ---- of requests for whole chunks of data ---- */

static atomic_uint reads, gentle_reads, low_reads, usual_reads;

void __real_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe);
void __wrap_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe);

void __wrap_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe)
{
    __real_request_prepare(ring, op, queue, sqe);
    if (op->kind != KIND_READ || op->transfer.bytes <= PST_CHUNK_BYTES_MIN)
        return;
    atomic_fetch_add(&reads, 1);
    atomic_fetch_add(&gentle_reads, ring->is_gentle);
    atomic_fetch_add(&low_reads, sqe->ioprio == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
    atomic_fetch_add(&usual_reads, sqe->ioprio == 0);
}

/* Some other thread waits for a disk all the time. */
void __wrap_pressure_read(const struct pressure *pressure, struct pressure_sample *sample);

void __wrap_pressure_read(const struct pressure *pressure, struct pressure_sample *sample)
{
    (void)pressure;
    *sample = (struct pressure_sample){
        .is_known = true, .io_ns = pst_monotonic_ns(), .io_per_mille = 1000};
}

/* ---- what is read ---- */

static struct made_place place;
static struct pst_pace pace;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static struct pst_crew begin(enum pst_pace_mode mode)
{
    const struct made_backup made = made_tree(2000000);
    const struct pst_pace_setting setting = {.mode = mode, .min_rate = 1};
    pst_log_set_hook(ignore, NULL);
    place = make_place();
    make_backup(place.path, &made);
    pst_pace_init(&pace, &setting, 8);
    atomic_store(&reads, 0);
    atomic_store(&gentle_reads, 0);
    atomic_store(&low_reads, 0);
    atomic_store(&usual_reads, 0);
    return (struct pst_crew){.workers = 2, .pace = &pace};
}

static void end(void)
{
    pst_pace_release(&pace);
    remove_place(&place);
}

static void expect_verified(const struct pst_crew *crew)
{
    const struct pst_verify_options options = {.crew = *crew};
    struct pst_verify_result result;
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), 0);
    CU_ASSERT_TRUE(atomic_load(&reads) >= 2000000 / PST_CHUNK_BYTES_MIN);
}

static void expect_restored(const struct pst_crew *crew)
{
    const struct pst_restore_options options = {.crew = *crew};
    struct pst_restore_result result;
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(pst_restore(backup, place_below(&place, "target").path, &options, &result), 0);
    CU_ASSERT_TRUE(atomic_load(&reads) >= 2000000 / PST_CHUNK_BYTES_MIN);
    pst_backup_list_release(&list);
}

static void a_verify_beside_others_is_gentle(void)
{
    const struct pst_crew crew = begin(PST_PACE_AUTO);
    expect_verified(&crew);
    CU_ASSERT_EQUAL(atomic_load(&gentle_reads), atomic_load(&reads));
    CU_ASSERT_EQUAL(atomic_load(&low_reads), atomic_load(&reads));
    end();
}

static void a_restore_beside_others_is_gentle(void)
{
    const struct pst_crew crew = begin(PST_PACE_AUTO);
    expect_restored(&crew);
    CU_ASSERT_EQUAL(atomic_load(&gentle_reads), atomic_load(&reads));
    CU_ASSERT_EQUAL(atomic_load(&low_reads), atomic_load(&reads));
    end();
}

static void without_a_pace_requests_are_as_ever(void)
{
    const struct pst_crew crew = begin(PST_PACE_MAX);
    expect_restored(&crew);
    CU_ASSERT_EQUAL(atomic_load(&gentle_reads), 0);
    CU_ASSERT_EQUAL(atomic_load(&usual_reads), atomic_load(&reads));
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a verify beside others is gentle", a_verify_beside_others_is_gentle},
        {"a restore beside others is gentle", a_restore_beside_others_is_gentle},
        {"without a pace requests are as ever", without_a_pace_requests_are_as_ever},
        CU_TEST_INFO_NULL,
    };
    return suite_run("restore: gentle requests", tests);
}
