/* Runs penstock and its peers, and clears up between two runs. Called on the main thread. */
#include "bench/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"

void bench_must(bool is_so, const char *what)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "penstock-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static volatile sig_atomic_t interrupted; /* by this signal */

static void note_interrupt(int number)
{
    interrupted = number;
}

void program_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = note_interrupt}; /* no SA_RESTART: wait4 returns */
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        bench_must(sigaction(numbers[i], &action, NULL) == 0, "sigaction");
}

bool program_is_interrupted(void)
{
    return interrupted != 0;
}

void program_end_if_interrupted(void)
{
    errno = EINTR;
    bench_must(!interrupted, "interrupted");
}

void program_add(struct program *program, const char *argument)
{
    if (program->count == PROGRAM_ARGUMENTS_MAX)
        errno = E2BIG;
    bench_must(program->count < PROGRAM_ARGUMENTS_MAX, "arguments");
    program->arguments[program->count++] = argument;
    program->arguments[program->count] = NULL;
}

void program_add_all(struct program *program, char **arguments, int count)
{
    for (int i = 0; i < count; i++)
        program_add(program, arguments[i]);
}

static pid_t start(const struct program *program, int out, int err)
{
    (void)fflush(stdout);
    pid_t child = fork();
    bench_must(child >= 0, "fork");
    if (child > 0)
        return child;
    if (err < 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || (err >= 0 && dup2(err, 2) < 0))
        _exit(127);
    (void)execvp(program->arguments[0], (char *const *)program->arguments);
    (void)dprintf(2, "%s: %s\n", program->arguments[0], strerror(errno));
    _exit(127);
}

pid_t program_start(const struct program *program, int fd)
{
    return start(program, fd, -1);
}

/* The last bytes of a file in memory, as text. */
static void read_end(int fd, char *text, size_t bytes)
{
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size < (off_t)bytes ? 0 : size - (off_t)bytes + 1;
    ssize_t got = pread(fd, text, bytes - 1, from);
    text[got > 0 ? got : 0] = '\0';
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1e-6;
}

int program_run(const struct program *program, struct program_cost *cost, char *output,
                size_t output_bytes)
{
    int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC), status;
    bench_must(out >= 0 && err >= 0, "memfd");
    struct rusage usage;
    uint64_t began_ns = pst_monotonic_ns();
    pid_t child = start(program, out, err);
    while (wait4(child, &status, 0, &usage) < 0) {
        bench_must(errno == EINTR, "wait4");
        (void)kill(child, SIGTERM);
    }
    cost->seconds = (double)(pst_monotonic_ns() - began_ns) / 1e9;
    cost->cpu_s = seconds_of(&usage);
    cost->rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    read_end(out, output, output_bytes);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (interrupted)
        code = 128 + interrupted;
    if (code != 0) {
        char text[4096];
        read_end(err, text, sizeof(text));
        (void)fprintf(stderr, "penstock-bench: %s: exit code %d\n%s", program->arguments[0], code,
                      text);
    }
    (void)close(out);
    (void)close(err);
    return code;
}

const char *program_beside(const char *name, char path[PROGRAM_PATH_BYTES])
{
    ssize_t bytes = readlink("/proc/self/exe", path, PROGRAM_PATH_BYTES - 64);
    bench_must(bytes > 0, "/proc/self/exe");
    path[bytes] = '\0';
    (void)snprintf(strrchr(path, '/') + 1, 64, "%s", name);
    return path;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static bool is_removed(const char *path)
{
    return nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

void program_remove_tree(const char *path)
{
    bench_must(is_removed(path), path);
}

static struct {
    char path[PROGRAM_PATH_BYTES];
    pid_t owner; /* children call exit(), too */
    void (*end_users)(void);
} scratch;

#define SCRATCH_NAME_BYTES (int)(sizeof("penstock-bench-XXXXXX") - 1)
#define LOCK_PATH_BYTES (PROGRAM_PATH_BYTES + 16)

/* Beside it: penstock locks the directory itself. */
static void lock_path(const char *scratch_path, char path[LOCK_PATH_BYTES])
{
    (void)snprintf(path, LOCK_PATH_BYTES, "%s.lock", scratch_path);
}

/* Takes a lock, which ends with the last process that has the descriptor: -1: there is none, or
 * another has it. */
static int take_lock(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | flags, 0600); /* no O_CLOEXEC: what runs there */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* It has its name once it is taken: another bench would take it for left. Without a lock it is
 * never taken for that. */
static void lock_scratch(const char *scratch_path)
{
    char path[LOCK_PATH_BYTES], unnamed[LOCK_PATH_BYTES];
    lock_path(scratch_path, path);
    (void)snprintf(unnamed, sizeof(unnamed), "%s.new", scratch_path);
    if (take_lock(unnamed, O_CREAT | O_EXCL) >= 0 && rename(unnamed, path) != 0)
        (void)unlink(unnamed);
}

static bool is_scratch_removed(const char *scratch_path)
{
    char path[LOCK_PATH_BYTES];
    lock_path(scratch_path, path);
    return is_removed(scratch_path) && is_removed(path);
}

static bool is_left_behind(const char *path)
{
    struct stat status;
    char lock[LOCK_PATH_BYTES];
    lock_path(path, lock);
    bool is_there = lstat(path, &status) == 0; /* not between two rounds */
    if ((is_there && (!S_ISDIR(status.st_mode) || status.st_uid != geteuid())) ||
        lstat(lock, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return false;
    int fd = take_lock(lock, 0);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static void remove_scratch(void)
{
    if (getpid() != scratch.owner)
        return;
    if (scratch.end_users)
        scratch.end_users();
    if (!is_scratch_removed(scratch.path))
        perror(scratch.path);
}

/* Removes what benches left in place that were killed. */
static void remove_left_behind(const char *place)
{
    DIR *directory = opendir(place);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[PROGRAM_PATH_BYTES];
        if (fnmatch("penstock-bench-??????.lock", entry->d_name, 0) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%.*s", place, SCRATCH_NAME_BYTES, entry->d_name);
        if (is_left_behind(path) && !is_scratch_removed(path))
            perror(path);
    }
    if (directory)
        (void)closedir(directory);
}

const char *program_scratch(const char *place, void (*end_users)(void))
{
    remove_left_behind(place);
    (void)snprintf(scratch.path, sizeof(scratch.path), "%s/penstock-bench-XXXXXX", place);
    bench_must(mkdtemp(scratch.path), scratch.path);
    lock_scratch(scratch.path);
    scratch.owner = getpid();
    scratch.end_users = end_users;
    bench_must(atexit(remove_scratch) == 0, "atexit");
    return scratch.path;
}

void program_settle(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bench_must(fd >= 0 && syncfs(fd) == 0, path);
    (void)close(fd);
}

static int forget_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)place;
    if (type != FTW_F || !S_ISREG(status->st_mode))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    return 0;
}

void program_forget_pages(const char *path)
{
    program_settle(path);
    bench_must(nftw(path, forget_one, 64, FTW_PHYS) == 0, path);
}
