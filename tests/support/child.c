/* Child processes of tests; the test's main thread calls it, with no other thread at work. */
#include "tests/support/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(bool is_well)
{
    if (is_well)
        return;
    printf("child: %s\n", strerror(errno));
    exit(1);
}

pid_t child_start(int (*run)(void *context), void *context)
{
    fflush(NULL); /* or both would write what is buffered */
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int code = run(context);
        fflush(NULL);
        _exit(code);
    }
    return child;
}

int child_wait(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run_plain(void *context)
{
    return (*(int (**)(void))context)();
}

int child_run(int (*run)(void))
{
    return child_wait(child_start(run_plain, &run));
}

struct quiet_run {
    void (*run)(void *context);
    void *context;
};

/* No core, and nothing of the assertion in the test's output. */
static int run_quietly(void *context)
{
    const struct quiet_run *quiet = context;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    quiet->run(quiet->context);
    return 0;
}

bool child_aborts(void (*run)(void *context), void *context)
{
    struct quiet_run quiet = {run, context};
    return child_wait(child_start(run_quietly, &quiet)) == -SIGABRT;
}

int child_report(const char *name, const char *needs, int (*run)(void))
{
    int code = child_run(run);
    if (code == 77)
        printf("cannot run here: %s\n", needs);
    else
        printf("%s: %s\n", name, code ? "failed" : "passed");
    return code < 0 ? 1 : code;
}
