/*
 * The freeze of a dir: source as the source sees it: orders to its guard, and what came of them.
 * Called by dir.c on the source's thread; the watch runs on its own.
 */
#include "engine/source/dir/freeze.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/source/dir/freeze_guard.h"

#define STOP_MS 2000u
/* For what a guard does beside its commands: a second each between two signals to one that does not
 * end, and after them, and being scheduled. */
#define SLACK_NS UINT64_C(5000000000)

bool freeze_is_wanted(const struct freeze *freeze)
{
    return freeze->commands && !freeze->commands->is_off;
}

void freeze_fail(struct freeze *freeze, const char *format, ...)
{
    char text[PST_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    snprintf(freeze->source->error_text, PST_SOURCE_TEXT_BYTES, "%.*s",
             (int)PST_SOURCE_TEXT_BYTES - 1, text);
    pst_log(PST_LOG_ERROR, "source %s: %s", freeze->source->name, text);
}

static void report_thaw(struct freeze *freeze, const char *why)
{
    const struct pst_alert alert = {.kind = PST_ALERT_LEFT_FROZEN};
    freeze->source->is_left_frozen = true;
    pst_log_alert(PST_LOG_ERROR, &alert, "source %s: " FREEZE_THAW_FAILED "%s",
                  freeze->source->name, why);
}

static void report_freeze(struct freeze *freeze, const struct freeze_answer *answer, int error)
{
    if (answer->thaw_error)
        report_thaw(freeze, answer->thaw_text);
    freeze_fail(freeze, "%s--freeze-command has failed: %s",
                freeze->source->is_left_frozen
                    ? "--thaw-command has failed too, and what it undoes may still be in place; "
                    : "",
                answer->text[0] ? answer->text : pst_error_text(error));
}

/* One order and its answer. */
static int call(struct freeze *freeze, const struct freeze_request *request,
                struct freeze_answer *answer)
{
    uint64_t limit_ns = request->limit_ns + PST_THAW_NS + SLACK_NS;
    *answer = (struct freeze_answer){0};
    int error = 0;
    if (freeze->guard.pid == 0)
        error = pst_guard_start(&freeze->guard, freeze_guard_run, freeze);
    if (!error)
        error = pst_guard_send(&freeze->guard, request, sizeof(*request));
    if (!error)
        error = pst_guard_receive(&freeze->guard, pst_monotonic_ns() + limit_ns, answer,
                                  sizeof(*answer));
    return error ? error : answer->error;
}

static int call_frozen(struct freeze *freeze, enum freeze_order order, struct freeze_answer *answer)
{
    struct freeze_request request = {.order = order, .gci = freeze->gci};
    memcpy(request.snapshot, freeze->snapshot, sizeof(request.snapshot));
    return call(freeze, &request, answer);
}

/* ---- the watch ---- */

static bool replace_guard(struct freeze *freeze)
{
    struct freeze_answer answer;
    pst_guard_stop(&freeze->guard, STOP_MS);
    int error = call_frozen(freeze, FREEZE_ADOPT, &answer);
    if (error)
        pst_log(PST_LOG_ERROR,
                "source %s: its guard, which runs --thaw-command if this process dies, was killed, "
                "and no other can be started: %s",
                freeze->source->name, pst_error_text(error));
    else
        pst_log(PST_LOG_WARNING,
                "source %s: its guard, which runs --thaw-command if this process dies, was killed; "
                "another one has taken its place",
                freeze->source->name);
    return !error;
}

static void *watch(void *argument)
{
    struct freeze *freeze = argument;
    struct pollfd polled[2] = {{.fd = freeze->watch_fd, .events = POLLIN}, {.events = POLLIN}};
    bool goes_on = true;
    pst_thread_name("pst freeze");
    while (goes_on) {
        polled[1].fd = freeze->guard.pid_fd;
        if (poll(polled, 2, -1) > 0)
            goes_on = polled[0].revents == 0 && replace_guard(freeze);
    }
    return NULL;
}

static void begin_watch(struct freeze *freeze)
{
    freeze->watch_fd = eventfd(0, EFD_CLOEXEC);
    int error = freeze->watch_fd < 0 ? -errno : pst_thread_create(&freeze->watch, watch, freeze);
    freeze->is_watched = !error;
    if (!error)
        return;
    pst_log(PST_LOG_WARNING, "source %s: the end of its guard would not be seen: %s",
            freeze->source->name, pst_error_text(error));
    if (freeze->watch_fd >= 0)
        close(freeze->watch_fd);
}

static void end_watch(struct freeze *freeze)
{
    if (!freeze->is_watched)
        return;
    (void)eventfd_write(freeze->watch_fd, 1);
    pthread_join(freeze->watch, NULL);
    close(freeze->watch_fd);
    freeze->is_watched = false;
}

/* ---- from freeze to thaw ---- */

/* With the guard that has frozen it, or, if that was killed, with another one. */
static void thaw(struct freeze *freeze)
{
    struct freeze_answer answer;
    int error = call_frozen(freeze, FREEZE_THAW, &answer);
    if (error && freeze->guard.pid == 0)
        error = call_frozen(freeze, FREEZE_THAW, &answer);
    if (error)
        report_thaw(freeze, answer.text[0] ? answer.text : pst_error_text(error));
}

int freeze_begin(struct freeze *freeze, uint64_t deadline_ns)
{
    uint64_t now_ns = pst_monotonic_ns();
    const struct freeze_request request = {
        .order = FREEZE_FREEZE, .limit_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0};
    struct freeze_answer answer;
    freeze->gci = 0;
    freeze->snapshot[0] = '\0';
    freeze->source->is_left_frozen &= !freeze->is_told;
    freeze->is_told = false;
    int error = call(freeze, &request, &answer);
    freeze->frozen_at_ns = pst_monotonic_ns();
    if (!error) {
        memcpy(freeze->snapshot, answer.snapshot, sizeof(freeze->snapshot));
        freeze->is_frozen = true;
        begin_watch(freeze);
        return 0;
    }
    if (freeze->guard.pid ==
        0) /* it was killed, or never started: what the command did is unknown */
        thaw(freeze);
    report_freeze(freeze, &answer, error);
    pst_guard_stop(&freeze->guard, STOP_MS);
    return error;
}

void freeze_end(struct freeze *freeze)
{
    if (!freeze->is_frozen)
        return;
    freeze->is_frozen = false;
    end_watch(freeze);
    thaw(freeze);
    freeze->frozen_ns = pst_monotonic_ns() - freeze->frozen_at_ns;
    pst_guard_stop(&freeze->guard, STOP_MS);
}
