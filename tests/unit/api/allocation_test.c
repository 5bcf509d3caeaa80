/*
 * Memory that runs out: the n-th allocation fails, once or from there on; for every n with the
 * argument "all", else for some, spread evenly. A backup of each kind, a list, a show, a verify, a
 * restore and a prune then end with an error that says so, or do all that they should; they never
 * crash, keep nothing, and leave nothing that is half made.
 *
 * In a plain build every allocation of the process counts, those of its libraries too; sanitizers
 * have an allocator of their own, and there the linker's --wrap leaves those of this program.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "engine/api/reading.h"
#include "engine/base/log.h"
#include "engine/repository/prune.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"
#include "tests/unit/api/memory.h"

#define PATH_BYTES (2 * SCRATCH_PATH_BYTES)

static atomic_bool is_on;
static atomic_uint seen;    /* allocations since it is on */
static atomic_uint fail_at; /* the one that fails, from 1; 0: none */
static atomic_bool for_good;
static atomic_long live; /* allocations that were not freed */

static bool fails(void)
{
    if (!atomic_load(&is_on))
        return false;
    unsigned number = atomic_fetch_add(&seen, 1) + 1;
    unsigned at = atomic_load(&fail_at);
    bool is_due = at > 0 && (number == at || (number > at && atomic_load(&for_good)));
    if (is_due)
        errno = ENOMEM;
    return is_due;
}

#ifdef PST_WRAP_ALLOCATIONS
#define COUNTS_ALL false /* what a library made may be freed here; the sanitizer sees leaks */
#define REAL(name) __real_##name
#define OWN(name) __wrap_##name
#else
#define COUNTS_ALL true
#define REAL(name) __libc_##name
#define OWN(name) name
#endif

void *REAL(malloc)(size_t bytes);
void *REAL(calloc)(size_t count, size_t bytes);
void *REAL(realloc)(void *old, size_t bytes);
void REAL(free)(void *old);
void *OWN(malloc)(size_t bytes);
void *OWN(calloc)(size_t count, size_t bytes);
void *OWN(realloc)(void *old, size_t bytes);
void *OWN(aligned_alloc)(size_t alignment, size_t bytes);
void OWN(free)(void *old);

static void *counted(void *made)
{
    if (made)
        atomic_fetch_add(&live, 1);
    return made;
}

void *OWN(malloc)(size_t bytes)
{
    return fails() ? NULL : counted(REAL(malloc)(bytes));
}

void *OWN(calloc)(size_t count, size_t bytes)
{
    return fails() ? NULL : counted(REAL(calloc)(count, bytes));
}

void *OWN(realloc)(void *old, size_t bytes)
{
    if (fails())
        return NULL;
    void *made = REAL(realloc)(old, bytes);
    return old ? made : counted(made);
}

void OWN(free)(void *old)
{
    if (old)
        atomic_fetch_sub(&live, 1);
    REAL(free)(old);
}

#ifdef PST_WRAP_ALLOCATIONS
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
char *__real_strdup(const char *text);

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, bytes));
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : counted(__real_strdup(text));
}
#else
void *__libc_memalign(size_t alignment, size_t bytes);
int posix_memalign(void **made, size_t alignment, size_t bytes);

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **made, size_t alignment, size_t bytes)
{
    *made = aligned_alloc(alignment, bytes);
    return *made ? 0 : ENOMEM;
}
#endif

static char scratch[SCRATCH_PATH_BYTES];
static char to[PATH_BYTES], tree[PATH_BYTES], target[PATH_BYTES], environment[PATH_BYTES];
static struct memory memory;
static char message[PST_MESSAGE_BYTES];

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

/* ---- what is done ---- */

static int run_backup(struct pst_backup_job *job, const char *kind, const char *path)
{
    static char spec[PATH_BYTES + 8];
    const char *specs[] = {spec};
    struct pst_backup_outcome outcome;
    snprintf(spec, sizeof(spec), "%s:%s", kind, path);
    job->specs = specs;
    job->specs_count = 1;
    pst_backup_outcome_init(&outcome);
    int error = pst_run_backup(job, &outcome);
    memcpy(message, outcome.message, sizeof(message));
    return error;
}

static int back_up(void)
{
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    job_for(&job, &source, to);
    return run_backup(&job, "dir", tree);
}

static int back_up_lmdb(bool logical)
{
    struct pst_backup_job job;
    job_for(&job, NULL, to);
    job.sources_count = 0;
    job.is_logical = logical;
    return run_backup(&job, "lmdb", environment);
}

static int back_up_pages(void)
{
    return back_up_lmdb(false);
}

static int back_up_rows(void)
{
    return back_up_lmdb(true);
}

static int verify(void)
{
    struct pst_verify_job job;
    struct pst_verify_outcome outcome;
    pst_verify_job_init(&job);
    pst_verify_outcome_init(&outcome);
    job.directory = to;
    int error = pst_run_verify(&job, &outcome);
    memcpy(message, outcome.message, sizeof(message));
    return error;
}

static int restore(void)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = to;
    job.target = target;
    int error = pst_run_restore(&job, &outcome);
    memcpy(message, outcome.message, sizeof(message));
    return error;
}

static unsigned complete, others;

static int note_entry(void *context, const struct pst_backup_entry *entry)
{
    (void)context;
    complete += entry->state == PST_BACKUP_COMPLETE;
    others += entry->state != PST_BACKUP_COMPLETE;
    return 0;
}

static int list(void)
{
    const char *directory = to;
    complete = others = 0;
    snprintf(message, sizeof(message), "an error suffices");
    return pst_list_backups(&directory, 1, note_entry, NULL);
}

/* As `penstock show` begins. */
static int show(void)
{
    const char *directory = to;
    struct pst_reading reading;
    int error = pst_reading_open(&directory, 1, NULL, NULL, PST_PICK_COMPLETE, &reading, message);
    if (!error)
        pst_reading_close(&reading);
    return error;
}

static int prune(void)
{
    const char *directory = to;
    struct pst_backup_list list;
    uint64_t idle;
    int error = pst_backup_list_read(&directory, 1, &list, message);
    if (error)
        return error;
    error = pst_prune_lock(&list, &idle, message);
    if (!error)
        error = pst_prune(list.backups[0], idle, false, message);
    if (!error)
        error = pst_prune_sweep(&list, NULL, NULL, message);
    pst_backup_list_release(&list);
    return error;
}

/* ---- what must be so ---- */

static bool tree_is_in(const char *directory)
{
    char path[PATH_BYTES + 64];
    struct stat status;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "%s/tree/d%u/file", directory, i);
        if (stat(path, &status) != 0 || status.st_size != 5)
            return false;
    }
    return true;
}

static void expect_restored(int error)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof(path), "%s/memory/bytes", target);
    if (error) {
        CU_ASSERT_FALSE(path_exists(target));
    } else {
        CU_ASSERT_TRUE(memory_is_in(&memory, path) && tree_is_in(target));
    }
    snprintf(path, sizeof(path), "%s/targets", scratch); /* nothing beside it either */
    remove_tree(target);
    /* what makes room needs memory too: the log says what is left, and the next restore removes it
     */
    CU_ASSERT_TRUE(is_empty_directory(path) || atomic_load(&for_good));
    remove_tree(path);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
}

static void expect_listed(int error)
{
    CU_ASSERT_TRUE(error || (complete == 1 && others == 0));
}

static void expect_nothing(int error)
{
    (void)error;
}

/* The one that was there is untouched; what failed is gone, or debris that the next one sweeps. */
static void expect_backed_up(int error)
{
    int listed = list();
    CU_ASSERT_TRUE(listed == 0 || (error && listed == -ENOENT));
    CU_ASSERT_EQUAL(complete, error ? 0 : 1);
    CU_ASSERT_TRUE(error || verify() == 0);
    remove_tree(to);
}

static bool environment_is_in(const char *path)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_stat status = {0};
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL(mdb_env_set_maxdbs(env, 2), 0);
    bool is = mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK, 0) == 0 &&
              mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0;
    if (is) {
        is = mdb_dbi_open(txn, "table", 0, &dbi) == 0 && mdb_stat(txn, dbi, &status) == 0;
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return is && status.ms_entries == 100;
}

static void expect_environment(int error)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof(path), "%s/data.mdb", target);
    CU_ASSERT_EQUAL(path_exists(target), error == 0);
    CU_ASSERT_TRUE(error || environment_is_in(target));
    snprintf(path, sizeof(path), "%s/targets", scratch);
    remove_tree(path);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
}

/* It is there, whole, or gone. */
static void expect_pruned(int error)
{
    int listed = list();
    CU_ASSERT_TRUE(others == 0 && (listed == 0 || listed == -ENOENT));
    CU_ASSERT_TRUE(complete == 0 || (error && verify() == 0));
    remove_tree(to);
    CU_ASSERT_EQUAL(back_up(), 0);
}

struct run {
    const char *name;
    int (*run)(void);
    void (*expect)(int error);
};

/* Sets *was_met: there is an n-th allocation. */
static int run_once(const struct run *run, unsigned n, bool good, bool *was_met)
{
    long before = atomic_load(&live);
    atomic_store(&seen, 0);
    atomic_store(&fail_at, n);
    atomic_store(&for_good, good);
    message[0] = '\0';
    atomic_store(&is_on, true);
    int error = run->run();
    atomic_store(&is_on, false);
    *was_met = atomic_load(&seen) >= n;
    if (n > 0 && COUNTS_ALL && atomic_load(&live) != before) {
        printf("\n  %s, allocation %u: %ld more than before", run->name, n,
               atomic_load(&live) - before);
        CU_FAIL("a leak");
    }
    return error;
}

static void check_run(const struct run *run, unsigned n, bool good, int error)
{
    bool is_told = error == 0 || strstr(message, "memory") ||
                   strstr(message, "Resource temporarily unavailable") || run->run == list;
    if (!is_told)
        printf("\n  %s, allocation %u%s: error %d: %s", run->name, n, good ? " and on" : "", error,
               message);
    CU_ASSERT_TRUE(is_told);
    run->expect(error);
}

/* at_most: of the allocations this many fail, spread evenly. */
static void run_all(const struct run *run, unsigned at_most)
{
    bool was_met;
    CU_ASSERT_EQUAL_FATAL(run_once(run, 0, false, &was_met), 0); /* caches fill */
    run->expect(0);
    CU_ASSERT_EQUAL_FATAL(run_once(run, 0, false, &was_met), 0);
    run->expect(0);
    unsigned all = atomic_load(&seen), step = all / at_most + 1, failed = 0;
    for (unsigned good = 0; good < 2; good++) {
        for (unsigned n = 1 + good; n <= all; n += step) {
            int error = run_once(run, n, good, &was_met);
            failed += error != 0;
            check_run(run, n, good, error);
        }
    }
    printf("\n    %s: %u allocations, %u runs failed ", run->name, all, failed);
    CU_ASSERT_TRUE(failed > 0);
}

static void make_environment(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    CU_ASSERT_EQUAL_FATAL(mkdir(environment, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_set_maxdbs(env, 2), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, environment, MDB_NOSYNC, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_txn_begin(env, NULL, 0, &txn), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, "table", MDB_CREATE, &dbi), 0);
    for (uint32_t i = 0; i < 100; i++) {
        MDB_val key = {sizeof(i), &i}, value = {sizeof(i), &i};
        CU_ASSERT_EQUAL_FATAL(mdb_put(txn, dbi, &key, &value, 0), 0);
    }
    CU_ASSERT_EQUAL_FATAL(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void set_up(void)
{
    make_scratch(scratch, "/dev/shm");
    snprintf(to, sizeof(to), "%s/to", scratch);
    snprintf(tree, sizeof(tree), "%s/tree", scratch);
    snprintf(target, sizeof(target), "%s/targets/target", scratch);
    snprintf(environment, sizeof(environment), "%s/environment", scratch);
    make_environment();
    CU_ASSERT_EQUAL_FATAL(mkdir(tree, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(join(scratch, "targets"), 0755), 0);
    for (unsigned i = 0; i < 20; i++) {
        char path[PATH_BYTES + 64];
        snprintf(path, sizeof(path), "%s/d%u", tree, i);
        CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
        strcat(path, "/file");
        write_file(path, "bytes", 5);
    }
    memory_open(&memory, "memory", 3);
    pst_log_set_hook(ignore, NULL);
}

static void tear_down(void)
{
    memory_close(&memory);
    remove_tree(scratch);
}

#ifdef PST_WRAP_ALLOCATIONS
#define MOST 25u /* a sanitizer's runs take long */
#else
#define MOST 50u
#endif

static unsigned most = MOST;

static void run_on(int (*made)(void), const struct run *runs, size_t count)
{
    set_up();
    if (made)
        CU_ASSERT_EQUAL_FATAL(made(), 0);
    for (size_t i = 0; i < count; i++)
        run_all(&runs[i], most);
    tear_down();
}

static void what_reads_a_backup(void)
{
    static const struct run runs[] = {
        {"list", list, expect_listed},      {"show", show, expect_nothing},
        {"verify", verify, expect_nothing}, {"restore", restore, expect_restored},
        {"prune", prune, expect_pruned},
    };
    run_on(back_up, runs, sizeof(runs) / sizeof(runs[0]));
}

static void what_reads_a_backup_of_lmdb(void)
{
    static const struct run runs[] = {
        {"verify of an environment", verify, expect_nothing},
        {"restore of an environment", restore, expect_environment},
    };
    run_on(back_up_pages, runs, 2);
    run_on(back_up_rows, runs, 2);
}

static void a_backup(void)
{
    static const struct run runs[] = {
        {"backup", back_up, expect_backed_up},
        {"backup of an environment", back_up_pages, expect_backed_up},
        {"backup of rows", back_up_rows, expect_backed_up},
    };
    run_on(NULL, runs, sizeof(runs) / sizeof(runs[0]));
}

int main(int count, char **arguments)
{
    CU_TestInfo tests[] = {
        {"what reads a backup", what_reads_a_backup},
        {"what reads a backup of LMDB", what_reads_a_backup_of_lmdb},
        {"a backup", a_backup},
        CU_TEST_INFO_NULL,
    };
    if (count == 2 && strcmp(arguments[1], "all") == 0)
        most = UINT_MAX;
    return suite_run("api: memory that runs out", tests);
}
