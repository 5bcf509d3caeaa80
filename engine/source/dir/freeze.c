/*
 * The freeze of a dir: source as the source sees it: orders to its guard, and what came of them.
 * Called by dir.c on the source's thread.
 */
#include "engine/source/dir/freeze.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
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

/* With the guard that has frozen it, or, if that was killed, with another one. */
static void thaw(struct freeze *freeze)
{
    struct freeze_request request = {.order = FREEZE_THAW, .gci = freeze->gci};
    struct freeze_answer answer;
    memcpy(request.snapshot, freeze->snapshot, sizeof(request.snapshot));
    int error = call(freeze, &request, &answer);
    if (error && freeze->guard.pid == 0)
        error = call(freeze, &request, &answer);
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
    thaw(freeze);
    freeze->frozen_ns = pst_monotonic_ns() - freeze->frozen_at_ns;
    pst_guard_stop(&freeze->guard, STOP_MS);
}
