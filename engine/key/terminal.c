/* Takes a line from the terminal, unseen. Called by keyring.c, on the main thread. */
#include "engine/key/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* What ends the process, or whose handler has it end: it comes when the terminal is as it was. */
static int hold_signals(sigset_t *before)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGQUIT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, before);
    int fd = signalfd(-1, &held, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Of bytes that are taken one by one, so that none is left in a buffer. */
static int take_byte(int fd, int signals_fd, char *byte)
{
    struct pollfd input[2] = {{.fd = fd, .events = POLLIN}, {.fd = signals_fd, .events = POLLIN}};
    if (poll(input, 2, -1) < 0)
        return -errno;
    if (input[1].revents)
        return -EINTR;
    ssize_t got = read(fd, byte, 1);
    return got < 0 ? -errno : got == 0 ? -EINTR : 0;
}

#define CTRL_C '\003'
#define CTRL_BACKSLASH '\034'

static int take_line(int fd, int signals_fd, char *answer, size_t bytes_max)
{
    for (size_t length = 0; length <= bytes_max; length++) {
        int error = take_byte(fd, signals_fd, &answer[length]);
        if (error)
            return error;
        if (answer[length] == CTRL_C || answer[length] == CTRL_BACKSLASH)
            return -EINTR;
        if (answer[length] == '\n') {
            answer[length] = '\0';
            return 0;
        }
    }
    return -EMSGSIZE;
}

/* A key that would end the process ends the line instead: it must not leave a terminal that shows
 * nothing. */
static void silence(struct termios *terminal)
{
    terminal->c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    terminal->c_lflag |= ICANON | ECHONL;
    terminal->c_cc[VEOL] = CTRL_C;
    terminal->c_cc[VEOL2] = CTRL_BACKSLASH;
}

static int ask(int fd, int signals_fd, const char *prompt, char *answer, size_t answer_bytes_max)
{
    struct termios was, silent;
    if (tcgetattr(fd, &was) < 0)
        return -errno;
    silent = was;
    silence(&silent);
    int error = 0;
    if (tcsetattr(fd, TCSAFLUSH, &silent) < 0 || write(fd, prompt, strlen(prompt)) < 0)
        error = -errno;
    if (!error)
        error = take_line(fd, signals_fd, answer, answer_bytes_max);
    if (tcsetattr(fd, TCSAFLUSH, &was) < 0 && !error)
        error = -errno;
    return error;
}

int terminal_ask(const char *prompt, char *answer, size_t answer_bytes_max)
{
    sigset_t before;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int signals_fd = hold_signals(&before);
    int error = signals_fd < 0 ? signals_fd : ask(fd, signals_fd, prompt, answer, answer_bytes_max);
    if (signals_fd >= 0)
        close(signals_fd);
    close(fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
