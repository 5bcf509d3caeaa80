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

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_set_death_callback(void (*callback)(void))
{
    (void)callback;
}
#endif

static int captured_fd = -1;
static int stderr_fd = -1;

static void must(bool is_well)
{
    if (is_well)
        return;
    printf("stderr: %s\n", strerror(errno));
    exit(1);
}

/* Of a process that ends here. */
static void show_captured(void)
{
    char text[4096];
    ssize_t bytes;
    for (off_t at = 0; (bytes = pread(captured_fd, text, sizeof(text), at)) > 0; at += bytes)
        (void)!write(stderr_fd, text, (size_t)bytes);
}

static void on_sigabrt(int number)
{
    show_captured();
    signal(number, SIG_DFL);
}

void begin_log_capture(void)
{
    signal(SIGABRT, on_sigabrt);
    captured_fd = memfd_create("log", MFD_CLOEXEC);
    stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    must(captured_fd >= 0 && stderr_fd >= 0 && dup2(captured_fd, STDERR_FILENO) >= 0);
    __sanitizer_set_death_callback(show_captured);
}

/* What a sanitizer reports is no part of the log. */
static void show_reports(const char *text)
{
    if (strstr(text, "Sanitizer") || strstr(text, "runtime error"))
        (void)fputs(text, stderr);
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
    __sanitizer_set_death_callback(NULL);
    show_reports(text);
    return text;
}
