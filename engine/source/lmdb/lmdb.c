/*
 * An lmdb: source: its methods, and how it is opened. The thread of each method stands in
 * penstock/source.h; pst_lmdb_open() is called by the registry on whatever thread opens the source.
 */
#include "engine/source/lmdb/lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/parent.h"
#include "engine/base/priority.h"
#include "engine/source/lmdb/lmdb_list.h"
#include "engine/source/lmdb/lmdb_pages.h"
#include "engine/source/lmdb/lmdb_produce.h"

/* ---- prepare, freeze, snapshot, thaw ---- */

static void close_rows(struct lmdb_source *lmdb)
{
    lmdb_rows_close(lmdb->rows);
    lmdb->rows = NULL;
}

/* The source is idle again: another thread may freeze it next. */
static void end(struct lmdb_source *lmdb)
{
    close_rows(lmdb);
    pst_thread_unbind(&lmdb->owner);
}

/* The guard, from before it has the lock until it has let go, as the source's thread is. It does
 * not do that itself: it may have another's identity, who is not trusted to give the priority back.
 */
static void hurry(const struct lmdb_source *lmdb, bool is_urgent)
{
    static atomic_flag is_reported = ATOMIC_FLAG_INIT;
    int error = lmdb->guard.process.pid
                    ? pst_priority_hurry_process(lmdb->guard.process.pid, is_urgent)
                    : 0;
    if (error && !atomic_flag_test_and_set(&is_reported))
        pst_log(PST_LOG_INFO,
                "where CPUs are busy, writers are held up for longer than need be: the process "
                "that locks source %s may not have real-time priority (%s); where its owner is "
                "another user, that takes CAP_SYS_NICE",
                lmdb->source.name, pst_error_text(error));
}

static int freeze(struct lmdb_source *lmdb, uint64_t deadline_ns)
{
    const struct pst_source_policy *policy = &lmdb->source.policy;
    const struct lmdb_request request = {.order = LMDB_FREEZE,
                                         .spins = pst_priority_may_spin(),
                                         .freeze_hold_ns = policy->freeze_hold_ns};
    struct lmdb_shared *shared = lmdb->guard.shared;
    atomic_store(&shared->trouble, 0);
    shared->frozen_ns = 0;
    shared->pinned_ns = 0;
    shared->grown_bytes = 0;
    if (policy->is_alone)
        return 0;
    hurry(lmdb, true);
    int error = lmdb_order(lmdb, &request, deadline_ns);
    if (error != -ETIMEDOUT)
        return error;
    lmdb_let_go(lmdb);
    return -PST_E_FREEZE;
}

/* From here on other sources may be frozen, whose writers wait until it is this one's turn. */
static int lmdb_prepare(struct pst_source *source)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct lmdb_request request = {.order = LMDB_PREPARE, .spins = pst_priority_may_spin()};
    int error = lmdb_find_again(lmdb);
    if (error || source->policy.is_alone)
        return error;
    return lmdb_order(lmdb, &request, lmdb_soon_ns()) ? lmdb_replace_guard(lmdb) : 0;
}

static int lmdb_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    pst_thread_bind(&lmdb->owner);
    int error = freeze(lmdb, deadline_ns);
    if (error) {
        hurry(lmdb, false);
        end(lmdb);
    }
    return error;
}

static int lmdb_snapshot(struct pst_source *source, uint64_t gci)
{
    (void)gci;
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct lmdb_request request = {.order = LMDB_SNAPSHOT,
                                         .is_frozen = !source->policy.is_alone,
                                         .headroom_percent = source->policy.headroom_percent};
    lmdb->file_bytes = 0; /* not listed yet */
    int error = lmdb_order(lmdb, &request, lmdb_soon_ns());
    if (error)
        return error;
    if (request.is_frozen)
        hurry(lmdb, false);
    error = lmdb_look_at_files(lmdb);
    if (error)
        lmdb_let_go(lmdb);
    return error;
}

static void thaw(struct lmdb_source *lmdb)
{
    const struct lmdb_request request = {.order = LMDB_THAW};
    if (lmdb->source.policy.is_alone || !lmdb->guard.process.pid)
        return;
    int error = lmdb_order(lmdb, &request, lmdb_soon_ns());
    hurry(lmdb, false);
    if (error) /* it is dead, so it holds nothing */
        pst_log(PST_LOG_WARNING,
                "source %s: the guard did not thaw the writers (%s), but they go on",
                lmdb->source.name, pst_error_text(error));
}

/* With the snapshot the guard has let the writers go on. */
static void lmdb_thaw(struct pst_source *source)
{
    if (source->phase != PST_SOURCE_FROZEN)
        return;
    thaw(lmdb_of(source));
    end(lmdb_of(source)); /* there is no snapshot, and so no release */
}

static int lmdb_produce_rows(struct pst_source *source,
                             const struct pst_fragment_descriptor *fragment,
                             struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                             size_t *produced_bytes)
{
    return lmdb_produce(lmdb_of(source)->rows, fragment, cursor, buffer, capacity_bytes,
                        produced_bytes);
}

/* ---- the end ---- */

static void write_row_details(struct lmdb_source *lmdb)
{
    const struct lmdb_shared *shared = lmdb->guard.shared;
    uint64_t rows;
    uint32_t tables;
    lmdb_produce_count(lmdb->rows, &tables, &rows);
    snprintf(lmdb->details, sizeof(lmdb->details),
             "{\"type\":\"lmdb\",\"logical\":true,\"transaction_id\":%llu,\"tables\":%u,"
             "\"rows\":%llu,\"map_bytes\":%llu,\"frozen_ns\":%llu,\"pinned_ns\":%llu,"
             "\"grown_bytes\":%llu}",
             (unsigned long long)lmdb->meta.transaction, tables, (unsigned long long)rows,
             (unsigned long long)lmdb->meta.map_bytes, (unsigned long long)shared->frozen_ns,
             (unsigned long long)shared->pinned_ns, (unsigned long long)shared->grown_bytes);
    lmdb->source.details = lmdb->details;
}

static void write_details(struct lmdb_source *lmdb)
{
    const struct lmdb_shared *shared = lmdb->guard.shared;
    snprintf(lmdb->details, sizeof(lmdb->details),
             "{\"type\":\"lmdb\",\"transaction_id\":%llu,\"page_bytes\":%u,\"last_page\":%llu,"
             "\"map_bytes\":%llu,\"frozen_ns\":%llu,\"pinned_ns\":%llu,\"grown_bytes\":%llu}",
             (unsigned long long)lmdb->meta.transaction, lmdb->meta.page_bytes,
             (unsigned long long)lmdb->meta.last_page, (unsigned long long)lmdb->meta.map_bytes,
             (unsigned long long)shared->frozen_ns, (unsigned long long)shared->pinned_ns,
             (unsigned long long)shared->grown_bytes);
    lmdb->source.details = lmdb->details;
}

/* All sources have been listed by now. */
static int check_filter(const struct lmdb_source *lmdb)
{
    const struct pst_table_filter *filter = lmdb->source.policy.tables;
    for (uint32_t i = 0; filter && i < filter->wanted_count; i++) {
        if (atomic_load(&filter->found[i]))
            continue;
        pst_log(PST_LOG_ERROR, "no source has a table %s", filter->wanted[i]);
        return -PST_E_NO_TABLE;
    }
    return 0;
}

static int check_rows(const struct lmdb_source *lmdb)
{
    int error = lmdb->rows ? check_filter(lmdb) : -PST_E_WRONG_STATE; /* never listed */
    return error ? error : lmdb_produce_check(lmdb->rows);
}

static int lmdb_check(struct pst_source *source, uint64_t deadline_ns)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct lmdb_request request = {.order = LMDB_CHECK};
    int error = lmdb_order(lmdb, &request, deadline_ns);
    if (!error)
        error = lmdb_look_at_files(lmdb);
    if (!error)
        error = lmdb_pages_check(lmdb);
    if (!error && source->policy.is_logical)
        error = check_rows(lmdb);
    if (error)
        return error == -ETIMEDOUT ? -PST_E_FREEZE : error;
    if (source->policy.is_logical)
        write_row_details(lmdb);
    else
        write_details(lmdb);
    pst_log(PST_LOG_DEBUG, "source %s: %s", source->name, lmdb->details);
    return 0;
}

static void lmdb_release(struct pst_source *source)
{
    lmdb_let_go(lmdb_of(source));
    end(lmdb_of(source));
}

static void free_lmdb(struct lmdb_source *lmdb)
{
    close_rows(lmdb);
    lmdb_guard_stop(&lmdb->guard);
    if (lmdb->guard.shared)
        munmap(lmdb->guard.shared, sizeof(*lmdb->guard.shared));
    lmdb_place_free(&lmdb->place);
    free(lmdb->argument);
    free(lmdb);
}

static void lmdb_close(struct pst_source *source)
{
    free_lmdb(lmdb_of(source));
}

/* ---- open ---- */

static int share_memory(struct lmdb_source *lmdb)
{
    void *shared = mmap(NULL, sizeof(*lmdb->guard.shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    lmdb->guard.shared = shared;
    return 0;
}

static struct lmdb_source *make(void)
{
    struct lmdb_source *lmdb = calloc(1, sizeof(*lmdb));
    if (!lmdb)
        return NULL;
    lmdb->guard.process.socket = -1;
    lmdb->place.root_fd = -1;
    lmdb->source = (struct pst_source){
        .struct_bytes = sizeof(struct pst_source),
        .abi_version = PST_SOURCE_ABI_VERSION,
        .flags = PST_SOURCE_ANY_LDM | PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_CAN_ROWS |
                 PST_SOURCE_CHECKS_ROWS,
        .root_fd = -1,
        .type = "lmdb",
        .prepare = lmdb_prepare,
        .freeze = lmdb_freeze,
        .snapshot = lmdb_snapshot,
        .thaw = lmdb_thaw,
        .list = lmdb_list,
        .release = lmdb_release,
        .produce = lmdb_produce_rows,
        .check = lmdb_check,
        .close = lmdb_close,
    };
    return lmdb;
}

static int fail(int error, const char *path, const char *advice, char *error_text,
                size_t error_bytes)
{
    snprintf(error_text, error_bytes, "source lmdb:%s: %s: %s", path, pst_error_text(error),
             advice);
    return error;
}

int pst_lmdb_open(const char *argument, struct pst_source **source, char *error_text,
                  size_t error_bytes)
{
    struct lmdb_answer answer = {0};
    const char *advice = "free some memory";
    struct lmdb_source *lmdb = make();
    if (!lmdb)
        return fail(-ENOMEM, argument, advice, error_text, error_bytes);
    lmdb->argument = pst_absolute_path(argument);
    int error = lmdb->argument ? share_memory(lmdb) : -errno;
    if (!error)
        error = lmdb_find(lmdb, &advice);
    if (!error) {
        error = lmdb_start_guard(lmdb, &answer);
        advice = answer.text[0] ? answer.text : "check its permissions and those of its lock file";
    }
    if (error) {
        free_lmdb(lmdb);
        return fail(error, argument, advice, error_text, error_bytes);
    }
    *source = &lmdb->source;
    return 0;
}

bool pst_lmdb_is_same(const struct pst_source *one, const struct pst_source *other)
{
    if (one->list != lmdb_list || other->list != lmdb_list)
        return false;
    const struct lmdb_shared *left = ((const struct lmdb_source *)one)->guard.shared;
    const struct lmdb_shared *right = ((const struct lmdb_source *)other)->guard.shared;
    return left->inodes.device == right->inodes.device && left->inodes.inode == right->inodes.inode;
}
