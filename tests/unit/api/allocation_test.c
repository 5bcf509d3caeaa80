/*
 * Memory that runs out: the n-th allocation fails, for every n, once or from there on. A backup, a
 * list, a verify and a restore then end with an error that says so, or do all that they should;
 * they never crash, keep nothing, and leave nothing that is half made.
 *
 * In a plain build every allocation of the process counts, those of its libraries too; sanitizers
 * have an allocator of their own, and there the linker's --wrap leaves those of this program.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/log.h"
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
static char to[PATH_BYTES], tree[PATH_BYTES], target[PATH_BYTES];
static struct memory memory;
static char message[PST_MESSAGE_BYTES];

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

/* ---- what is done ---- */

static int back_up(void)
{
    static char spec[PATH_BYTES + 8];
    const char *specs[] = {spec};
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    snprintf(spec, sizeof(spec), "dir:%s", tree);
    job_for(&job, &source, to);
    job.specs = specs;
    job.specs_count = 1;
    pst_backup_outcome_init(&outcome);
    int error = pst_run_backup(&job, &outcome);
    memcpy(message, outcome.message, sizeof(message));
    return error;
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
    bool is_told = error == 0 || message[0] != '\0';
    if (!is_told)
        printf("\n  %s, allocation %u: error %d without a message", run->name, n, error);
    CU_ASSERT_TRUE(is_told);
    if (error && error != -ENOMEM && error != -EAGAIN && !good)
        printf("\n  %s, allocation %u: error %d: %s", run->name, n, error, message);
    run->expect(error);
}

/* most: of the allocations this many fail, spread evenly. */
static void run_all(const struct run *run, unsigned most)
{
    bool was_met;
    CU_ASSERT_EQUAL_FATAL(run_once(run, 0, false, &was_met), 0); /* caches fill */
    run->expect(0);
    CU_ASSERT_EQUAL_FATAL(run_once(run, 0, false, &was_met), 0);
    run->expect(0);
    unsigned all = atomic_load(&seen), step = all / most + 1, failed = 0;
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

static void set_up(void)
{
    make_scratch(scratch, "/dev/shm");
    snprintf(to, sizeof(to), "%s/to", scratch);
    snprintf(tree, sizeof(tree), "%s/tree", scratch);
    snprintf(target, sizeof(target), "%s/targets/target", scratch);
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

static void what_reads_a_backup(void)
{
    static const struct run runs[] = {
        {"list", list, expect_listed},
        {"verify", verify, expect_nothing},
        {"restore", restore, expect_restored},
    };
    set_up();
    CU_ASSERT_EQUAL_FATAL(back_up(), 0);
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        run_all(&runs[i], MOST);
    tear_down();
}

static void a_backup(void)
{
    static const struct run run = {"backup", back_up, expect_backed_up};
    set_up();
    run_all(&run, MOST);
    tear_down();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what reads a backup", what_reads_a_backup},
        {"a backup", a_backup},
        CU_TEST_INFO_NULL,
    };
    return suite_run("api: memory that runs out", tests);
}
