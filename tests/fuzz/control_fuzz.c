/*
 * Packets to the control socket, a line of the input each, through the server's own loop: each is
 * answered or hung up on, and the server's state holds. The node behind it is not there: what asks
 * it is replaced by the linker's --wrap.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/node/client.h"
#include "engine/node/node.h"
#include "engine/service/control.h"
#include "engine/service/control_parts.h"
#include "engine/service/control_socket.h"
#include "tests/fuzz/fuzz.h"

#define PACKETS_MAX 8u

static unsigned turns_left;
static int stop_fd;        /* readable in the last turn */
static unsigned passed_on; /* to the node, which would answer */

bool __wrap_control_end_backup(struct control *control);
int __wrap_pst_client_fd(struct pst_node *node);
bool __wrap_pst_client_may_sleep(struct pst_node *node);
uint32_t __wrap_pst_client_take(struct pst_node *node, struct pst_signal *signals);
void __wrap_pst_client_request_backup(struct pst_node *node, struct pst_client_request *request);
void __wrap_pst_client_request_abort(struct pst_node *node, uint32_t master, uint64_t backup);
void __wrap_pst_client_request_end(struct pst_node *node, uint32_t master, uint64_t backup,
                                   uint32_t reason);
int __wrap_pst_client_request_resolve(struct pst_node *node,
                                      const struct pst_client_decision *decision);
void __wrap_pst_node_status(struct pst_node *node, struct pst_node_status *status);

/* No backup comes to its end here. */
bool __wrap_control_end_backup(struct control *control)
{
    (void)control;
    return false;
}

/* Once a turn. */
int __wrap_pst_client_fd(struct pst_node *node)
{
    (void)node;
    if (turns_left > 0 && --turns_left == 0 && eventfd_write(stop_fd, 1) < 0)
        abort();
    return -1;
}

/* The loop does not wait: there is always a packet, or nothing any more. */
bool __wrap_pst_client_may_sleep(struct pst_node *node)
{
    (void)node;
    return false;
}

uint32_t __wrap_pst_client_take(struct pst_node *node, struct pst_signal *signals)
{
    (void)node, (void)signals;
    return 0;
}

void __wrap_pst_client_request_backup(struct pst_node *node, struct pst_client_request *request)
{
    (void)node;
    passed_on++;
    if (request->number > PST_BACKUP_NUMBER_MAX)
        abort();
}

void __wrap_pst_client_request_abort(struct pst_node *node, uint32_t master, uint64_t backup)
{
    (void)node;
    if (master != 1 || backup == 0)
        abort();
}

void __wrap_pst_client_request_end(struct pst_node *node, uint32_t master, uint64_t backup,
                                   uint32_t reason)
{
    (void)reason;
    __wrap_pst_client_request_abort(node, master, backup);
}

int __wrap_pst_client_request_resolve(struct pst_node *node,
                                      const struct pst_client_decision *decision)
{
    (void)node;
    if (decision->commits != (decision->manifest && decision->manifest[0] == '/'))
        abort();
    if (decision->manifest && strlen(decision->manifest) >= 4096)
        return -ENAMETOOLONG;
    passed_on++;
    return 0;
}

/* One backup in doubt. */
void __wrap_pst_node_status(struct pst_node *node, struct pst_node_status *status)
{
    (void)node;
    memset(status, 0, sizeof(*status));
    status->in_doubt = 1;
    status->doubts[0].number = 3;
    status->doubts[0].state = "ASKING";
    memset(status->doubts[0].uid, 0xab, sizeof(status->doubts[0].uid));
}

static struct pst_cluster_config cluster = {.name = "fuzz", .id = 1};
static struct pst_plan plan = {.ldms = 1};
static const struct pst_node_config config = {.node = 1, .cluster = &cluster, .plan = &plan};

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

/* How many packets were sent. */
static unsigned send_lines(int fd, const uint8_t *data, size_t size)
{
    unsigned sent = 0;
    while (size > 0 && sent < PACKETS_MAX) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t bytes = newline ? (size_t)(newline - data) : size;
        if (bytes > 0 && send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            sent++;
        bytes += newline ? 1 : 0;
        data += bytes;
        size -= bytes;
    }
    return sent;
}

/* Each packet that was not passed on has an answer, or the last of them the end of the connection.
 */
static void take_answers(int fd, unsigned count)
{
    static char answer[1 << 17];
    for (unsigned i = passed_on; i < count; i++) {
        ssize_t got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
        if (got == 0)
            return;
        if (got < 0 || answer[0] != '{')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], message[PST_MESSAGE_BYTES];
    struct control *control;
    snprintf(path, sizeof(path), "/tmp/penstock-fuzz-%d", (int)getpid());
    pst_log_set_hook(ignore, NULL);
    if (control_open(path, &control, message) != 0)
        abort();
    int fd = pst_control_connect(path, message);
    if (fd < 0)
        abort();
    unsigned sent = send_lines(fd, data, size);
    turns_left = sent + 4;
    passed_on = 0;
    stop_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_fd < 0 || control_run(control, NULL, &config, stop_fd, false) != 0)
        abort();
    close(stop_fd);
    take_answers(fd, sent);
    close(fd);
    control_close(control);
    return 0;
}
