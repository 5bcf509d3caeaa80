/* Takes a line from the terminal, unseen. Called by keyring.c, on the main thread. */
#include "engine/key/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Of bytes that are taken one by one, so that none is left in a buffer. */
static int take_byte(int fd, int interrupt_fd, char *byte)
{
    struct pollfd input[2] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
    int ready;
    while ((ready = poll(input, 2, -1)) < 0 && errno == EINTR)
        ; /* another signal than those that end it */
    if (ready < 0)
        return -errno;
    if (input[1].revents)
        return -EINTR;
    ssize_t got = read(fd, byte, 1);
    return got < 0 ? -errno : got == 0 ? -EINTR : 0;
}

#define CTRL_C '\003'
#define CTRL_BACKSLASH '\034'

static int take_line(int fd, int interrupt_fd, char *answer, size_t bytes_max)
{
    for (size_t length = 0; length <= bytes_max; length++) {
        int error = take_byte(fd, interrupt_fd, &answer[length]);
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

static int ask(int fd, int interrupt_fd, const char *prompt, char *answer, size_t answer_bytes_max)
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
        error = take_line(fd, interrupt_fd, answer, answer_bytes_max);
    ssize_t written = error == -EINTR ? write(fd, "\n", 1) : 0;
    (void)written; /* else the cursor stays behind the prompt */
    if (tcsetattr(fd, TCSAFLUSH, &was) < 0 && !error)
        error = -errno;
    return error;
}

int terminal_ask(const char *prompt, char *answer, size_t answer_bytes_max, int interrupt_fd)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int error = ask(fd, interrupt_fd, prompt, answer, answer_bytes_max);
    close(fd);
    return error;
}
