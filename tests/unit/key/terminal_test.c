/* The passphrase that is typed: it comes whole, nothing of it is shown, and the terminal is as it
 * was afterwards, also where Ctrl-C or a signal came instead. */
#define _XOPEN_SOURCE 700
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "engine/key/interruption.h"
#include "engine/key/terminal.h"
#include "tests/suite.h"

#define PROMPT "Well? "
#define ANSWER_BYTES 64

/* Shared with the child, whose terminal it is. */
struct asked {
    int error;
    char answer[ANSWER_BYTES + 1];
    bool is_as_it_was;
};

static int keyboard;
static struct asked *asked;
static char shown[512];

static bool has_handler = true;   /* the child, for SIGTERM */
static bool is_ignored = false;   /* there */
static unsigned is_cancelled = 0; /* by the caller */

static void on_signal(int number)
{
    (void)number;
}

static void ask_there(const char *name)
{
    struct termios before, after;
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    setsid();
    int fd = open(name, O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0 || tcgetattr(fd, &before) < 0)
        _exit(1);
    if (has_handler)
        sigaction(SIGTERM, &action, NULL);
    if (is_ignored)
        signal(SIGTERM, SIG_IGN);
    struct interruption interruption;
    if (interruption_begin(&interruption, eventfd(is_cancelled, 0)) < 0)
        _exit(1);
    asked->error = terminal_ask(PROMPT, asked->answer, ANSWER_BYTES, interruption.fd);
    interruption_end(&interruption);
    asked->is_as_it_was = tcgetattr(fd, &after) == 0 && before.c_lflag == after.c_lflag &&
                          memcmp(before.c_cc, after.c_cc, sizeof(before.c_cc)) == 0;
    _exit(0);
}

/* Until the text ends with this one, or the terminal is closed. */
static void read_shown(const char *last)
{
    size_t length = strlen(shown);
    while (!last || !strstr(shown, last)) {
        ssize_t got = read(keyboard, shown + length, sizeof(shown) - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        shown[length] = '\0';
    }
}

static pid_t begin(void)
{
    memset(asked, 0, sizeof(*asked));
    shown[0] = '\0';
    keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    int error = keyboard < 0 || grantpt(keyboard) < 0 || unlockpt(keyboard) < 0;
    CU_ASSERT_EQUAL_FATAL(error, 0);
    const char *name = ptsname(keyboard);
    pid_t child = fork();
    if (child == 0)
        ask_there(name);
    read_shown(PROMPT);
    return child;
}

/* number: a signal that is sent until the child has ended, because one may come too early; or 0. */
static void end(pid_t child, int number)
{
    int status;
    while (waitpid(child, &status, number ? WNOHANG : 0) == 0) {
        kill(child, number);
        poll(NULL, 0, 1);
    }
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT(asked->is_as_it_was);
    read_shown(NULL);
    close(keyboard);
}

static void type(const char *text)
{
    ssize_t written = write(keyboard, text, strlen(text));
    CU_ASSERT_EQUAL(written, (ssize_t)strlen(text));
}

static void what_is_typed_comes_unseen(void)
{
    pid_t child = begin();
    type("correct Wolfrime\177\177\177ame\n");
    end(child, 0);
    CU_ASSERT_EQUAL(asked->error, 0);
    CU_ASSERT_STRING_EQUAL(asked->answer, "correct Wolframe");
    CU_ASSERT_PTR_NULL(strstr(shown, "Wolf"));
}

static void keys_that_interrupt_do(void)
{
    const char *const keys[] = {"half\003", "half\034", "\004"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        pid_t child = begin();
        type(keys[i]);
        end(child, 0);
        CU_ASSERT_EQUAL(asked->error, -EINTR);
    }
}

static void a_signal_interrupts(void)
{
    pid_t child = begin();
    type("half");
    end(child, SIGTERM);
    CU_ASSERT_EQUAL(asked->error, -EINTR);
}

static void a_signal_that_kills_comes_afterwards(void)
{
    struct termios terminal;
    int status;
    has_handler = false;
    pid_t child = begin();
    int held = open(ptsname(keyboard), O_RDWR | O_NOCTTY);
    CU_ASSERT_EQUAL(tcgetattr(held, &terminal), 0);
    CU_ASSERT_EQUAL(terminal.c_lflag & (tcflag_t)(ECHO | ISIG), 0);
    kill(child, SIGTERM);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CU_ASSERT_EQUAL(tcgetattr(held, &terminal), 0);
    CU_ASSERT_EQUAL(terminal.c_lflag & (tcflag_t)(ECHO | ISIG), (tcflag_t)(ECHO | ISIG));
    close(held);
    close(keyboard);
    has_handler = true;
}

/* As nohup(1) has it. */
static void a_signal_that_is_ignored_is_none(void)
{
    is_ignored = true;
    pid_t child = begin();
    kill(child, SIGTERM);
    type("whole\n");
    end(child, 0);
    CU_ASSERT_EQUAL(asked->error, 0);
    CU_ASSERT_STRING_EQUAL(asked->answer, "whole");
    is_ignored = false;
}

static void the_caller_interrupts(void)
{
    is_cancelled = 1;
    pid_t child = begin();
    type("late\n");
    end(child, 0);
    CU_ASSERT_EQUAL(asked->error, -EINTR);
    is_cancelled = 0;
}

static void what_is_too_long_is_refused(void)
{
    char text[ANSWER_BYTES + 3];
    memset(text, 'x', ANSWER_BYTES);
    strcpy(text + ANSWER_BYTES, "\n");
    pid_t child = begin();
    type(text);
    end(child, 0);
    CU_ASSERT_EQUAL(asked->error, 0);
    CU_ASSERT_EQUAL(strlen(asked->answer), ANSWER_BYTES);
    strcpy(text + ANSWER_BYTES, "x\n");
    child = begin();
    type(text);
    end(child, 0);
    CU_ASSERT_EQUAL(asked->error, -EMSGSIZE);
}

static void without_a_terminal_it_says_so(void)
{
    pid_t child = fork();
    if (child == 0) {
        char answer[ANSWER_BYTES + 1];
        setsid();
        _exit(terminal_ask(PROMPT, answer, ANSWER_BYTES, -1) == -ENXIO ? 0 : 1);
    }
    int status;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is typed comes unseen", what_is_typed_comes_unseen},
        {"keys that interrupt do", keys_that_interrupt_do},
        {"a signal interrupts", a_signal_interrupts},
        {"a signal that kills comes afterwards", a_signal_that_kills_comes_afterwards},
        {"a signal that is ignored is none", a_signal_that_is_ignored_is_none},
        {"the caller interrupts", the_caller_interrupts},
        {"what is too long is refused", what_is_too_long_is_refused},
        {"without a terminal it says so", without_a_terminal_it_says_so},
        CU_TEST_INFO_NULL,
    };
    asked = mmap(NULL, sizeof(*asked), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(asked != MAP_FAILED);
    return suite_run("key_terminal", tests);
}
