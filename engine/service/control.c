/*
 * The control server: opens the socket, waits for clients, signals and the stop, and hands each on.
 * Runs on the thread that runs the node; called by daemon.c.
 */
#include "engine/service/control.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/service/asked.h"
#include "engine/service/control_parts.h"
#include "engine/service/control_socket.h"
#include "engine/service/interrupt.h"
#include "engine/service/notify.h"
#include "penstock/run.h"

/* How long a backup may take to come to its end when the node is to stop; a source that waits for a
 * freeze, as long as it may by default, too. */
#define STOP_NS UINT64_C(13000000000)
_Static_assert(STOP_NS < CONTROL_END_S * UINT64_C(1000000000), "the threads end after that");
_Static_assert(STOP_NS > PST_FREEZE_WAIT_NS_DEFAULT, "then the cleanup is to come");
#define STOP_POLL_MS 20

/* ---- what clients ask for ---- */

static void serve(struct control *control, uint64_t client, const json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "request"));
    if (strcmp(what, "backup") == 0)
        control_begin(control, client, request);
    else if (strcmp(what, "abort") == 0)
        control_abort(control, client, request);
    else if (strcmp(what, "resolve") == 0)
        control_resolve(control, client, request);
    else if (strcmp(what, "pace") == 0)
        control_set_pace(control, client, request);
    else if (strcmp(what, "status") == 0)
        control_status(control, client);
    else if (strcmp(what, "events") == 0)
        control_follow(control, client);
    else
        control_refuse(control, client, -PST_E_BAD_REQUEST, "unknown request \"%.32s\"", what);
}

static void serve_slot(struct control *control, uint32_t slot)
{
    json_t *request = control_next_request(control, slot);
    if (request)
        serve(control, control->clients[slot].id, request);
    json_decref(request);
}

/* ---- the loop ---- */

static void on_signal(struct control *control, const struct pst_signal *signal)
{
    switch (signal->gsn) {
    case PST_NODE_JOINED_ORD:
    case PST_NODE_FAILED_ORD:
        control_on_node_change(control, signal);
        break;
    case PST_RESOLVE_CONF:
    case PST_RESOLVE_REF:
        control_on_resolved(control, signal);
        break;
    default:
        control_on_job_signal(control, signal);
        break;
    }
}

static void take_signals(struct control *control)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count;
    while ((count = pst_client_take(control->node, signals)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            on_signal(control, &signals[i]);
    }
}

/* Waits for signals, clients, the stop and SIGUSR1, and serves them. */
static void turn(struct control *control, int stop_fd, int timeout_ms)
{
    struct pollfd polled[CONTROL_CLIENTS_MAX + 4];
    timeout_ms = control_tell_followers(control, control_expire(control, timeout_ms));
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        polled[i] = (struct pollfd){.fd = control->clients[i].fd, .events = POLLIN};
    struct pollfd *listener = &polled[CONTROL_CLIENTS_MAX];
    int listen_fd = control_may_accept(control) ? control->listener.fd : -1;
    listener[0] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
    listener[1] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
    listener[2] = (struct pollfd){.fd = pst_client_fd(control->node), .events = POLLIN};
    listener[3] = (struct pollfd){.fd = asked_fd(), .events = POLLIN};
    bool may_sleep = pst_client_may_sleep(control->node);
    int ready = poll(polled, CONTROL_CLIENTS_MAX + 4, may_sleep ? timeout_ms : 0);
    control->is_stopping |= ready > 0 && listener[1].revents != 0;
    take_signals(control);
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX && ready > 0; i++) {
        if (polled[i].revents != 0 && control->clients[i].fd == polled[i].fd)
            serve_slot(control, i);
    }
    if (ready > 0 && listener[0].revents != 0)
        control_accept(control);
    if (ready > 0 && listener[3].revents != 0 && pst_asked_take())
        control_log_progress(control);
    control_check(control);
}

/* Whether the node can go on. The watchdog is notified only while the hub reports. */
static bool is_well(struct control *control, uint64_t watchdog_ns)
{
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    if (watchdog_ns != 0 && pst_monotonic_ns() - status.updated_ns < watchdog_ns &&
        service_notify("WATCHDOG=1") < 0)
        pst_log(PST_LOG_WARNING, "cannot notify the service manager's watchdog");
    return !status.is_broken;
}

/* How long to wait at most: the watchdog is to be notified in time. */
static int watchdog_ms(uint64_t watchdog_ns)
{
    uint64_t ms = watchdog_ns / 1000000 / 2;
    return watchdog_ns == 0 ? -1 : ms < 1 ? 1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

static void stop(struct control *control, bool owns_process)
{
    control->is_stopping = true;
    if (owns_process) {
        interrupt_end_within(CONTROL_END_S);
        (void)service_notify("STOPPING=1"); /* the node stops all the same if this fails */
    }
    control_tell_stop(control);
    uint64_t until_ns = pst_monotonic_ns() + STOP_NS;
    while (control_end_backup(control) && pst_monotonic_ns() < until_ns)
        turn(control, -1, STOP_POLL_MS);
}

int control_run(struct control *control, struct pst_node *node,
                const struct pst_node_config *config, int stop_fd, bool owns_process)
{
    uint64_t watchdog_ns = owns_process ? service_notify_watchdog_ns() : 0;
    bool well = true;
    pst_thread_bind(&control->owner);
    control->node = node;
    control->config = config;
    control->started_unix_ns = pst_unix_ns();
    pst_set_add(&control->live, config->node - 1);
    int error = owns_process ? pst_asked_install() : 0;
    if (error)
        pst_log(PST_LOG_WARNING, "SIGUSR1 will not log the progress: %s", pst_error_text(error));
    while (!control->is_stopping && well) {
        turn(control, stop_fd, watchdog_ms(watchdog_ns));
        well = is_well(control, watchdog_ns);
    }
    stop(control, owns_process);
    pst_thread_unbind(&control->owner);
    return well ? 0 : -EIO;
}

/* ---- the socket ---- */

int control_open(const char *path, struct control **control, char *message)
{
    struct control *made = calloc(1, sizeof(*made));
    char *copy = made ? strdup(path) : NULL;
    int error = -ENOMEM;
    if (copy)
        error = control_listen(path, CONTROL_CLIENTS_MAX, &made->listener, message);
    else
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
    if (error) {
        free(copy);
        free(made);
        return error;
    }
    made->path = copy;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        made->clients[i].fd = -1;
    *control = made;
    return 0;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    control_hang_up_all(control);
    control_unlisten(&control->listener, control->path);
    free(control->path);
    free(control);
}
