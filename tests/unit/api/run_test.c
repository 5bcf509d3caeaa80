/* A foreign program with threads, handlers and children of its own runs Penstock. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"
#include "tests/unit/api/memory.h"

#define PATH_BYTES (2 * SCRATCH_PATH_BYTES)

static char scratch[SCRATCH_PATH_BYTES];

static void set_up(void)
{
    make_scratch(scratch, NULL);
}

static void tear_down(void)
{
    remove_tree(scratch);
}

static const char *in_scratch(const char *name, char *path)
{
    snprintf(path, PATH_BYTES, "%s/%s", scratch, name);
    return path;
}

static int back_up(struct memory *memory, const char *directory, uint32_t *number)
{
    struct pst_source *source = &memory->source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    job_for(&job, &source, directory);
    pst_backup_outcome_init(&outcome);
    int error = pst_run_backup(&job, &outcome);
    if (error)
        printf("%s\n", outcome.message);
    if (number)
        *number = outcome.number;
    return error;
}

static int restore(const char *directory, const char *id, const char *target)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = directory;
    job.id = id;
    job.target = target;
    int error = pst_run_restore(&job, &outcome);
    if (error)
        printf("%s\n", outcome.message);
    return error;
}

static uint32_t entries_of(const char *path)
{
    uint32_t count = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

struct listed {
    uint32_t count;
    struct pst_backup_entry last;
};

static int note_entry(void *context, const struct pst_backup_entry *entry)
{
    struct listed *listed = context;
    listed->count++;
    listed->last = *entry;
    return 0;
}

static int list_in(const char *directory, struct listed *listed)
{
    return pst_list_backups(&directory, 1, note_entry, listed);
}

static void two_backups_one_after_the_other(void)
{
    char to[PATH_BYTES], target[PATH_BYTES], file[PATH_BYTES];
    struct memory memory;
    uint32_t number;
    in_scratch("to", to);
    memory_open(&memory, "memory", 3);
    CU_ASSERT_EQUAL(back_up(&memory, to, &number), 0);
    CU_ASSERT_EQUAL(number, 1);
    memory.bytes[5] ^= 1;
    uint32_t fds = entries_of("/proc/self/fd"), threads = entries_of("/proc/self/task");
    CU_ASSERT_EQUAL(back_up(&memory, to, &number), 0);
    CU_ASSERT_EQUAL(number, 2);
    CU_ASSERT_EQUAL(verify_in(to), 0);
    CU_ASSERT_EQUAL(restore(to, NULL, in_scratch("second", target)), 0);
    CU_ASSERT_TRUE(memory_is_in(&memory, in_scratch("second/bytes", file)));
    CU_ASSERT_EQUAL(restore(to, "1", in_scratch("first", target)), 0);
    CU_ASSERT_FALSE(memory_is_in(&memory, in_scratch("first/bytes", file)));
    memory.bytes[5] ^= 1;
    CU_ASSERT_TRUE(memory_is_in(&memory, file));
    struct listed listed = {0};
    CU_ASSERT_EQUAL(list_in(to, &listed), 0);
    CU_ASSERT_EQUAL(listed.count, 2);
    CU_ASSERT_EQUAL(listed.last.state, PST_BACKUP_COMPLETE);
    CU_ASSERT_EQUAL(listed.last.source_bytes, MEMORY_BYTES);
    /* Each phase once, and nothing of it is left in the process. */
    CU_ASSERT_EQUAL(memory.freezes, 2);
    CU_ASSERT_EQUAL(memory.snapshots, 2);
    CU_ASSERT_EQUAL(memory.thaws, 2);
    CU_ASSERT_EQUAL(memory.releases, 2);
    CU_ASSERT_EQUAL(memory.checks, 2);
    CU_ASSERT_EQUAL(memory.source.phase, PST_SOURCE_IDLE);
    CU_ASSERT_EQUAL(entries_of("/proc/self/fd"), fds);
    CU_ASSERT_EQUAL(entries_of("/proc/self/task"), threads);
    memory_close(&memory);
}

/* What nodes with directories of their own leave: here the cluster manifest is in one, all else in
 * the other. */
static void one_backup_in_two_directories(void)
{
    char to[PATH_BYTES], other[PATH_BYTES], path[PATH_BYTES], target[PATH_BYTES];
    const char *const directories[] = {in_scratch("rest", to), in_scratch("decision", other)};
    static const char *const only[] = {"1/memory"}, *const none[] = {"2"};
    struct pst_restore_outcome outcome;
    struct pst_verify_outcome verified;
    struct pst_restore_job job;
    struct pst_verify_job to_verify;
    struct listed listed = {0};
    struct memory memory;
    uint32_t number;
    memory_open(&memory, "memory", 3);
    CU_ASSERT_EQUAL(back_up(&memory, to, &number), 0);
    CU_ASSERT_EQUAL(mkdir(other, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(in_scratch("decision/BACKUP-1", path), 0700), 0);
    CU_ASSERT_EQUAL(rename(in_scratch("rest/BACKUP-1/BACKUP-1.cluster.manifest", path),
                           in_scratch("decision/BACKUP-1/BACKUP-1.cluster.manifest", target)),
                    0);
    CU_ASSERT_EQUAL(unlink(in_scratch("rest/BACKUP-1/BACKUP-1.cluster.manifest.copy", path)), 0);
    CU_ASSERT_EQUAL(verify_in(to), -PST_E_NO_BACKUP);
    pst_verify_job_init(&to_verify);
    pst_verify_outcome_init(&verified);
    to_verify.directory = to;
    to_verify.more_directories = &directories[1];
    to_verify.more_directories_count = 1;
    CU_ASSERT_EQUAL(pst_run_verify(&to_verify, &verified), 0);
    CU_ASSERT_EQUAL(pst_list_backups(directories, 2, note_entry, &listed), 0);
    CU_ASSERT_EQUAL(listed.count, 1);
    CU_ASSERT_EQUAL(listed.last.state, PST_BACKUP_COMPLETE);
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = other;
    job.more_directories = directories;
    job.more_directories_count = 1;
    job.target = in_scratch("of-both", target);
    job.only = none;
    job.only_count = 1;
    CU_ASSERT_EQUAL(pst_run_restore(&job, &outcome), -ENOKEY);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "no node 2"));
    job.only = only;
    CU_ASSERT_EQUAL(pst_run_restore(&job, &outcome), 0);
    CU_ASSERT_TRUE(memory_is_in(&memory, in_scratch("of-both/bytes", path)));
    const char *many[64];
    for (size_t i = 0; i < 64; i++)
        many[i] = to;
    job.more_directories = many;
    job.more_directories_count = 64;
    CU_ASSERT_EQUAL(pst_run_restore(&job, &outcome), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "too many directories"));
    memory_close(&memory);
}

struct at_once {
    struct memory memory;
    char to[PATH_BYTES];
    int error;
};

static void *back_up_beside(void *argument)
{
    struct at_once *one = argument;
    one->error = back_up(&one->memory, one->to, NULL);
    return NULL;
}

static void two_backups_at_once(void)
{
    struct at_once both[2];
    pthread_t threads[2];
    for (uint8_t i = 0; i < 2; i++) {
        char name[8];
        snprintf(name, sizeof(name), "to%u", i);
        in_scratch(name, both[i].to);
        memory_open(&both[i].memory, "memory", (uint8_t)(i + 10));
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, back_up_beside, &both[i]), 0);
    }
    for (uint8_t i = 0; i < 2; i++) {
        char name[24], target[PATH_BYTES], file[PATH_BYTES];
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(both[i].error, 0);
        snprintf(name, sizeof(name), "out%u", i);
        CU_ASSERT_EQUAL(restore(both[i].to, NULL, in_scratch(name, target)), 0);
        snprintf(name, sizeof(name), "out%u/bytes", i);
        CU_ASSERT_TRUE(memory_is_in(&both[i].memory, in_scratch(name, file)));
        memory_close(&both[i].memory);
    }
}

/* ---- signals ---- */

static _Thread_local bool is_the_programs_thread;
static atomic_uint handled, handled_elsewhere;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
    if (!is_the_programs_thread)
        atomic_fetch_add(&handled_elsewhere, 1);
}

static void *send_signals(void *must_stop)
{
    const struct timespec pause = {.tv_nsec = 200000};
    while (!atomic_load((atomic_bool *)must_stop)) {
        kill(getpid(), SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void *run_all_with_signals(void *unused)
{
    char to[PATH_BYTES], target[PATH_BYTES];
    struct memory memory;
    sigset_t user, before, after;
    is_the_programs_thread = true;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &user, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    memory_open(&memory, "memory", 5);
    while (atomic_load(&handled) == 0) /* the sender has begun */
        (void)sched_yield();
    CU_ASSERT_EQUAL(back_up(&memory, in_scratch("to", to), NULL), 0);
    CU_ASSERT_EQUAL(verify_in(to), 0);
    CU_ASSERT_EQUAL(restore(to, NULL, in_scratch("out", target)), 0);
    memory_close(&memory);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        CU_ASSERT_EQUAL(sigismember(&before, number), sigismember(&after, number));
    return unused;
}

/* One thread alone takes the signal, the one that runs Penstock: its calls are interrupted. */
static void handlers_run_on_the_callers_thread(void)
{
    atomic_bool must_stop = false;
    pthread_t sender, runner;
    sigset_t user;
    const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: EINTR */
    struct sigaction was;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &user, NULL);
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR1, &action, &was), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&sender, NULL, send_signals, &must_stop), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&runner, NULL, run_all_with_signals, NULL), 0);
    pthread_join(runner, NULL);
    atomic_store(&must_stop, true);
    pthread_join(sender, NULL);
    CU_ASSERT_TRUE(atomic_load(&handled) > 0);
    CU_ASSERT_EQUAL(atomic_load(&handled_elsewhere), 0);
    const struct timespec none = {0};
    (void)sigtimedwait(&user, NULL, &none); /* one may be left */
    sigaction(SIGUSR1, &was, NULL);
    pthread_sigmask(SIG_UNBLOCK, &user, NULL);
}

/* ---- a live LMDB environment beside a source of the program's own ---- */

static void fill_environment(const char *path)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    mkdir(path, 0700);
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, path, MDB_NOSYNC, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_txn_begin(env, NULL, 0, &txn), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        MDB_val key = {sizeof(i), &i}, value = {sizeof(i), &i};
        CU_ASSERT_EQUAL_FATAL(mdb_put(txn, dbi, &key, &value, 0), 0);
    }
    CU_ASSERT_EQUAL_FATAL(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static atomic_uint children_taken;

static void take_children(int number)
{
    (void)number;
    int saved_errno = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        atomic_fetch_add(&children_taken, 1);
    errno = saved_errno;
}

static void *allocate(void *must_stop)
{
    while (!atomic_load((atomic_bool *)must_stop))
        free(malloc(1000));
    return NULL;
}

static void back_up_environment(bool takes_children)
{
    char to[PATH_BYTES], environment[PATH_BYTES], spec[PATH_BYTES + 16];
    char target[PATH_BYTES], file[PATH_BYTES];
    struct memory memory;
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    struct stat status;
    in_scratch(takes_children ? "taken" : "left", to);
    fill_environment(in_scratch("env", environment));
    snprintf(spec, sizeof(spec), "env=lmdb:%s", environment);
    const char *const specs[] = {spec};
    memory_open(&memory, "memory", 6);
    job_for(&job, &source, to);
    job.specs = specs;
    job.specs_count = 1;
    pst_backup_outcome_init(&outcome);
    uint32_t fds = entries_of("/proc/self/fd");
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), 0);
    CU_ASSERT_STRING_EQUAL(outcome.message, "");
    CU_ASSERT_EQUAL(entries_of("/proc/self/fd"), fds);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    CU_ASSERT_EQUAL(restore(to, NULL, in_scratch(takes_children ? "out1" : "out2", target)), 0);
    snprintf(file, sizeof(file), "%.200s/memory/bytes", target);
    CU_ASSERT_TRUE(memory_is_in(&memory, file));
    snprintf(file, sizeof(file), "%.200s/env/data.mdb", target);
    CU_ASSERT_EQUAL(stat(file, &status), 0);
    memory_close(&memory);
}

static void a_guard_is_at_home_in_a_program_with_threads(void)
{
    atomic_bool must_stop = false;
    pthread_t thread;
    const struct sigaction action = {.sa_handler = take_children, .sa_flags = SA_RESTART};
    struct sigaction was;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, allocate, &must_stop), 0);
    back_up_environment(false);
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGCHLD, &action, &was), 0);
    back_up_environment(true);
    CU_ASSERT_TRUE(atomic_load(&children_taken) <= 1);
    sigaction(SIGCHLD, &was, NULL);
    atomic_store(&must_stop, true);
    pthread_join(thread, NULL);
}

/* ---- children of the program's own ---- */

#define CHILDREN_MAX 200u

struct nursery {
    atomic_bool must_stop;
    pid_t children[CHILDREN_MAX];
    atomic_uint count;
};

/* As a program that forks to write a copy of its memory. */
static void *fork_often(void *argument)
{
    struct nursery *nursery = argument;
    const struct timespec pause_for = {.tv_nsec = 1000000};
    while (!atomic_load(&nursery->must_stop)) {
        pid_t child = nursery->count < CHILDREN_MAX ? fork() : -1;
        while (child == 0)
            pause();
        if (child > 0)
            nursery->children[nursery->count++] = child;
        nanosleep(&pause_for, NULL);
    }
    return NULL;
}

static void end_children(struct nursery *nursery)
{
    for (uint32_t i = 0; i < nursery->count; i++) {
        kill(nursery->children[i], SIGKILL);
        waitpid(nursery->children[i], NULL, 0);
    }
}

static int restore_again(const char *directory, const char *target)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = directory;
    job.target = target;
    job.force = true;
    return pst_run_restore(&job, &outcome);
}

static void children_that_live_on_hold_nothing(void)
{
    char to[PATH_BYTES], target[PATH_BYTES];
    static struct nursery nursery;
    struct memory memory;
    pthread_t thread;
    in_scratch("to", to);
    in_scratch("out", target);
    memory_open(&memory, "memory", 3);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fork_often, &nursery), 0);
    while (atomic_load(&nursery.count) == 0)
        (void)sched_yield();
    CU_ASSERT_EQUAL(back_up(&memory, to, NULL), 0);
    CU_ASSERT_EQUAL(restore(to, NULL, target), 0);
    CU_ASSERT_EQUAL(restore_again(to, target), 0);
    atomic_store(&nursery.must_stop, true);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(restore_again(to, target), 0);
    CU_ASSERT_EQUAL(back_up(&memory, to, NULL), 0);
    end_children(&nursery);
    memory_close(&memory);
}

/* ---- closed standard streams ---- */

static int run_without_streams(void *unused)
{
    char to[PATH_BYTES], target[PATH_BYTES], file[PATH_BYTES];
    struct memory memory;
    (void)unused;
    memory_open(&memory, "memory", 3);
    if (close_range(STDIN_FILENO, STDERR_FILENO, 0) < 0)
        return 77;
    bool done = back_up(&memory, in_scratch("to", to), NULL) == 0 && verify_in(to) == 0 &&
                restore(to, NULL, in_scratch("out", target)) == 0 &&
                memory_is_in(&memory, in_scratch("out/bytes", file));
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) /* so no file can have had its number */
        done = done && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    return done ? 0 : 1;
}

static void closed_streams_are_no_files(void)
{
    CU_ASSERT_EQUAL(child_wait(child_start(run_without_streams, NULL)), 0);
}

/* ---- progress, cancel, log ---- */

/* Threads of this process, whoever's, on which a handler of SIGUSR1 may run. */
static uint32_t threads_that_take_signals(void)
{
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CU_ASSERT_PTR_NOT_NULL_FATAL(tasks);
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[PATH_BYTES], line[PATH_BYTES];
        unsigned long long blocked;
        snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", task->d_name);
        FILE *status = fopen(path, "r");
        while (status && fgets(line, sizeof(line), status))
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
                count += (blocked >> (SIGUSR1 - 1) & 1) == 0;
        if (status)
            fclose(status);
    }
    closedir(tasks);
    return count;
}

struct told {
    pthread_t thread;
    uint32_t count, elsewhere, takers;
    int cancel_fd;
};

static void on_status(void *context, const struct pst_status *status)
{
    struct told *told = context;
    CU_ASSERT_EQUAL(status->struct_bytes, sizeof(*status));
    told->count++;
    told->elsewhere += !pthread_equal(pthread_self(), told->thread);
    told->takers = threads_that_take_signals();
    CU_ASSERT_EQUAL(eventfd_write(told->cancel_fd, 1), 0);
}

static void progress_is_told_on_the_callers_thread_and_may_cancel(void)
{
    char to[PATH_BYTES];
    struct told told = {.thread = pthread_self(), .cancel_fd = eventfd(0, EFD_CLOEXEC)};
    const char *const specs[] = {"synthetic:rows=100000000,row-bytes=1000"};
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    struct listed listed = {0};
    pst_backup_job_init(&job);
    pst_backup_outcome_init(&outcome);
    job.directory = in_scratch("to", to);
    job.specs = specs;
    job.specs_count = 1;
    job.run.ldms = 1;
    job.run.on_status = on_status;
    job.run.context = &told;
    job.run.cancel_fd = told.cancel_fd;
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -PST_E_CLIENT_ABORT);
    CU_ASSERT_TRUE(told.count > 0);
    CU_ASSERT_EQUAL(told.elsewhere, 0);
    CU_ASSERT_EQUAL(told.takers, threads_that_take_signals());
    CU_ASSERT_EQUAL(list_in(to, &listed), -ENOENT); /* made for it alone */
    close(told.cancel_fd);
}

static void note_message(void *context, enum pst_log_level level, const char *message)
{
    if (level == PST_LOG_ERROR)
        snprintf(context, PATH_BYTES, "%s", message);
}

static void what_goes_wrong_is_told(void)
{
    char logged[PATH_BYTES] = "";
    struct memory memory;
    struct pst_source *source = &memory.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    memory_open(&memory, "memory", 7);
    job_for(&job, &source, "/proc/backups");
    pst_backup_outcome_init(&outcome);
    pst_log_set_hook(note_message, logged);
    CU_ASSERT_EQUAL(pst_run_backup(&job, &outcome), -ENOENT);
    pst_log_set_hook(NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.message, "/proc/backups: no backup was made"));
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "/proc/backups: cannot be made"));
    CU_ASSERT_PTR_NULL(strstr(logged, "\n"));
    CU_ASSERT_EQUAL(verify_in("/proc/backups"), -ENOENT);
    CU_ASSERT_EQUAL(restore(scratch, NULL, scratch), -PST_E_NO_BACKUP);
    CU_ASSERT_EQUAL(restore(scratch, NULL, NULL), -EINVAL);
    memory_close(&memory);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"two backups, one after the other", two_backups_one_after_the_other},
        {"one backup in two directories", one_backup_in_two_directories},
        {"two backups at once", two_backups_at_once},
        {"handlers run on the caller's thread", handlers_run_on_the_callers_thread},
        {"a guard is at home in a program with threads",
         a_guard_is_at_home_in_a_program_with_threads},
        {"children that live on hold nothing", children_that_live_on_hold_nothing},
        {"closed streams are no files", closed_streams_are_no_files},
        {"progress is told on the caller's thread, and may cancel",
         progress_is_told_on_the_callers_thread_and_may_cancel},
        {"what goes wrong is told", what_goes_wrong_is_told},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"run", NULL, NULL, set_up, tear_down, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
