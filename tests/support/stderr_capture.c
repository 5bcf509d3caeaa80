/* Standard error led into memory; the test's main thread calls it. */
#include "tests/support/stderr_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int captured_fd = -1;
static int stderr_fd = -1;

static void must(bool is_well)
{
    if (is_well)
        return;
    printf("stderr: %s\n", strerror(errno));
    exit(1);
}

static void on_sigabrt(int number)
{
    char text[4096];
    off_t end = lseek(captured_fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0;
    ssize_t bytes = pread(captured_fd, text, sizeof(text), from);
    if (bytes > 0)
        (void)!write(stderr_fd, text, (size_t)bytes);
    signal(number, SIG_DFL);
}

void begin_log_capture(void)
{
    signal(SIGABRT, on_sigabrt);
    captured_fd = memfd_create("log", MFD_CLOEXEC);
    stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    must(captured_fd >= 0 && stderr_fd >= 0 && dup2(captured_fd, STDERR_FILENO) >= 0);
}

char *end_log_capture(void)
{
    off_t bytes = lseek(captured_fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)bytes + 1);
    must(text && dup2(stderr_fd, STDERR_FILENO) >= 0 &&
         pread(captured_fd, text, (size_t)bytes, 0) == (ssize_t)bytes);
    close(stderr_fd);
    close(captured_fd);
    signal(SIGABRT, SIG_DFL);
    return text;
}
