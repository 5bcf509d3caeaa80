/*
 * Sends a request to a running node and follows its answers to the end. Called by the commands that
 * take --node, on the main thread.
 */
#include "engine/cli/through_node.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/cli/progress.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/service/control_socket.h"
#include "engine/service/interrupt.h"

const char *cli_node_error_text(int error)
{
    if (error == -EPIPE || error == -ECONNRESET)
        return "the node closed the connection";
    return error == -ETIMEDOUT ? "the node does not answer: its process hangs, is stopped, or "
                                 "has not started yet"
                               : pst_error_text(error);
}

/* Before the node has the request: nothing was asked for. */
static enum cli_exit not_asked(const struct cli_arguments *arguments, int error)
{
    return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", cli_argument_text(arguments, "node"),
                    cli_node_error_text(error));
}

/* The node has a request for changes, and its answer does not come. */
static enum cli_exit lost(const struct cli_arguments *arguments, int error, const char *advice)
{
    return cli_fail(arguments, CLI_EXIT_UNKNOWN, "%s: %s; the outcome is not known: %s",
                    cli_argument_text(arguments, "node"), cli_node_error_text(error), advice);
}

#define BACKUP_ADVICE                                                                              \
    "penstock list shows whether the backup was made, once no node has it in doubt"

/* The backup goes on, or is complete; only its report is missing. */
static enum cli_exit not_printed(const struct cli_arguments *arguments, const char *state,
                                 enum cli_exit code)
{
    return cli_fail(arguments, code, "the backup %s, but that cannot be printed: %s", state,
                    pst_error_text(-EIO));
}

static enum cli_exit refused(const struct cli_arguments *arguments, const json_t *message)
{
    const char *text = json_string_value(json_object_get(message, "message"));
    int error = (int)json_integer_value(json_object_get(message, "error"));
    enum cli_exit code = CLI_EXIT_FAILED;
    if (error == PST_E_BUSY || error == PST_E_CLEANING)
        code = CLI_EXIT_BUSY;
    if (error == PST_E_CLIENT_ABORT && pst_interrupted())
        code = CLI_EXIT_INTERRUPTED;
    if (error == PST_E_UNKNOWN_BACKUP || error == PST_E_NO_BACKUP)
        code = CLI_EXIT_NO_BACKUP;
    if (json_is_false(json_object_get(message, "outcome_known")))
        code = CLI_EXIT_UNKNOWN;
    return cli_fail(arguments, code, "%s", text ? text : "the node gave no reason");
}

static enum cli_exit connect_to(const struct cli_arguments *arguments, int *fd)
{
    char message[PST_MESSAGE_BYTES];
    *fd = pst_control_connect(cli_argument_text(arguments, "node"), message);
    if (*fd < 0)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    return CLI_EXIT_DONE;
}

static bool is_type(const json_t *message, const char *type)
{
    const char *found = json_string_value(json_object_get(message, "message_type"));
    return found && strcmp(found, type) == 0;
}

enum cli_exit cli_ask_node(const struct cli_arguments *arguments, struct json_t *request,
                           const char *advice, struct json_t **answer)
{
    int fd;
    if (!request) /* or there is no memory for a few words */
        return cli_fail(arguments, CLI_EXIT_USAGE, "an argument is not UTF-8: a node takes JSON");
    enum cli_exit code = connect_to(arguments, &fd);
    if (code != CLI_EXIT_DONE) {
        json_decref(request);
        return code;
    }
    int error = pst_control_send(fd, request);
    bool is_asked = !error && advice;
    *answer = NULL;
    if (!error)
        error = pst_control_receive(fd, -1, cli_argument_text(arguments, "node"), answer);
    close(fd);
    if (!error && !is_type(*answer, "failed"))
        return CLI_EXIT_DONE;
    if (!error)
        code = refused(arguments, *answer);
    else
        code = is_asked ? lost(arguments, error, advice) : not_asked(arguments, error);
    json_decref(*answer);
    return code;
}

/* ---- backup ---- */

enum wait { WAIT_COMPLETED, WAIT_STARTED, WAIT_NONE };

struct session {
    const struct cli_arguments *arguments;
    int fd;
    enum wait wait;
    struct cli_progress *progress;
    bool aborts;        /* the interrupt came */
    bool aborted;       /* the node was asked to abort */
    bool is_unverified; /* the node knows nothing of --verify */
    char uid[17];       /* first 8 bytes; "": not started */
    char frozen[512];   /* the sources that are left so, and their nodes; as many as have room */
};

static int parse_wait(const char *text, enum wait *wait)
{
    static const char *const names[] = {"completed", "started", "none"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *wait = (enum wait)i;
            return 0;
        }
    }
    return -EINVAL;
}

static json_t *request_of(const struct cli_arguments *arguments)
{
    return json_pack("{s:s, s:I, s:b, s:b, s:b}", "request", "backup", "number",
                     (json_int_t)cli_argument_number(arguments, "number"), "single_threaded",
                     (int)cli_argument_switch(arguments, "single-threaded"), "allow_missing",
                     (int)cli_argument_switch(arguments, "allow-missing"), "verify",
                     (int)cli_argument_switch(arguments, "verify"));
}

static json_int_t number_of(const json_t *message, const char *key)
{
    return json_integer_value(json_object_get(message, key));
}

static void show_progress(struct session *session, const json_t *message)
{
    struct cli_progress_sample sample = {
        .now_ns = pst_monotonic_ns(),
        .bytes_done = (uint64_t)number_of(message, "source_bytes"),
        .bytes_total = (uint64_t)number_of(message, "source_bytes_total"),
        .objects_done = (uint64_t)number_of(message, "objects"),
    };
    if (session->progress)
        cli_progress_update(session->progress, &sample);
}

static int abort_if_wanted(struct session *session)
{
    if (!session->aborts || session->aborted || session->uid[0] == '\0')
        return 0;
    session->aborted = true;
    return pst_control_send(session->fd,
                            json_pack("{s:s, s:s}", "request", "abort", "backup", session->uid));
}

static enum cli_exit started(struct session *session, json_t *message)
{
    if (cli_argument_json(session->arguments)) {
        int error = cli_json_record(stdout, "started", json_incref(message));
        return error ? not_printed(session->arguments, "has started", CLI_EXIT_UNKNOWN)
                     : CLI_EXIT_DONE;
    }
    cli_print_line(stdout, "backup %lld has started", (long long)number_of(message, "number"));
    return cli_print_flush(stdout) == 0
               ? CLI_EXIT_DONE
               : not_printed(session->arguments, "has started", CLI_EXIT_UNKNOWN);
}

static enum cli_exit partial(struct session *session, const json_t *missing)
{
    char nodes[4 * PST_NODES_MAX + 2 * PST_NODES_MAX] = "";
    size_t index, used = 0, count = json_array_size(missing);
    json_t *node;
    json_array_foreach(missing, index, node)
    {
        if (used < sizeof(nodes))
            used += (size_t)snprintf(nodes + used, sizeof(nodes) - used, "%s%lld",
                                     index ? ", " : "", (long long)json_integer_value(node));
    }
    return cli_fail(session->arguments, CLI_EXIT_PARTIAL,
                    "the backup is partial: node%s %s %s missing", count == 1 ? "" : "s", nodes,
                    count == 1 ? "is" : "are");
}

/* Before the last message. */
static void note_left_frozen(struct session *session, json_t *message)
{
    size_t used = strlen(session->frozen);
    const char *source = json_string_value(json_object_get(message, "source"));
    (void)snprintf(session->frozen + used, sizeof(session->frozen) - used, "%s%s at node %lld",
                   used > 0 ? ", " : "", source ? source : "",
                   (long long)number_of(message, "node"));
    if (cli_argument_json(session->arguments)) {
        int error = cli_json_record(stdout, "left_frozen", json_incref(message));
        (void)error; /* the last record says it again */
    }
}

/* Each of them: what a backup that was made lacks, and, last, what it has left behind. */
static enum cli_exit say_gaps(struct session *session, const json_t *message)
{
    char text[CLI_VALUE_COUNT_BYTES];
    uint64_t left_frozen = (uint64_t)number_of(message, "left_frozen");
    uint64_t without = (uint64_t)number_of(message, "nodes_without_manifest");
    uint64_t unreadable = (uint64_t)number_of(message, "unreadable");
    const json_t *missing = json_object_get(message, "missing_nodes");
    enum cli_exit code = missing ? partial(session, missing) : CLI_EXIT_DONE;
    const char *is = missing ? "partial, and" : "complete, but";
    if (without > 0)
        code = cli_fail(session->arguments, CLI_EXIT_PARTIAL,
                        "the backup is %s the cluster manifest is not stored yet at %s; "
                        "it is fetched when they return",
                        is, cli_value_count_text(without, "node", text));
    if (unreadable > 0)
        code = cli_fail(session->arguments, CLI_EXIT_PARTIAL,
                        "the backup is %s %s could not be read, or changed "
                        "during the backup; penstock show names %s",
                        is, cli_value_count_text(unreadable, "object", text),
                        unreadable == 1 ? "it" : "them");
    if (left_frozen > 0)
        code = cli_fail(session->arguments, CLI_EXIT_PARTIAL,
                        "the backup is %s what the freeze of %s did, now or for an earlier backup "
                        "that failed, could not be undone and may still be in place%s%s; the logs "
                        "of the nodes say why",
                        is, cli_value_count_text(left_frozen, "source", text),
                        session->frozen[0] ? ": " : "", session->frozen);
    return code;
}

/* Nothing of a full backup. */
static void print_referred(const json_t *message)
{
    char bytes[CLI_VALUE_TEXT_BYTES], nodes[CLI_VALUE_COUNT_BYTES];
    uint64_t not_counted = (uint64_t)number_of(message, "nodes_not_counted");
    if (!json_object_get(message, "referenced_bytes"))
        return;
    if (json_object_get(message, "base"))
        cli_print(stdout, "base %lld: ", (long long)number_of(message, "base"));
    cli_print(stdout, "%s more lie in earlier backups",
              cli_value_size_text((uint64_t)number_of(message, "referenced_bytes"), bytes));
    if (not_counted > 0)
        cli_print(stdout, ", without %s with another backup directory",
                  cli_value_count_text(not_counted, "node", nodes));
    cli_print_empty_line(stdout);
}

static enum cli_exit completed(struct session *session, json_t *message)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    char bytes[CLI_VALUE_TEXT_BYTES];
    json_int_t logged = number_of(message, "logged_warnings");
    const json_t *missing = json_object_get(message, "missing_nodes");
    double seconds = (double)number_of(message, "elapsed_ns") / 1e9;
    int error = 0;
    if (logged > 0)
        pst_log(PST_LOG_WARNING,
                "the nodes logged %s during the backup: see their logs, each on its own host",
                cli_value_count_text((uint64_t)logged, "warning", objects));
    if (cli_argument_json(session->arguments)) {
        json_t *fields = json_pack("{s:s}", "operation", "backup");
        pst_json_merge(&fields, json_incref(message));
        error = cli_json_record(stdout, "summary", fields);
    } else {
        cli_print_line(
            stdout, "backup %lld is %s: %s, %s in %.2f s", (long long)number_of(message, "number"),
            missing ? "partial" : "complete",
            cli_value_count_text((uint64_t)number_of(message, "objects"), "object", objects),
            cli_value_size_text((uint64_t)number_of(message, "source_bytes"), bytes), seconds);
        cli_print_line(stdout, "uid %s, start GCI %s",
                       json_string_value(json_object_get(message, "uid")),
                       json_string_value(json_object_get(message, "start_gci")));
        print_referred(message);
        error = cli_print_flush(stdout);
    }
    if (error)
        return not_printed(session->arguments, "is complete",
                           cli_exit_unprinted(session->arguments));
    return say_gaps(session, message);
}

/* A node of an older version passes over --verify: then no backup is wanted. */
static bool check_verify(struct session *session, const json_t *message)
{
    session->is_unverified = cli_argument_switch(session->arguments, "verify") &&
                             !json_is_true(json_object_get(message, "verify"));
    session->aborts = session->aborts || session->is_unverified;
    return !session->is_unverified;
}

static enum cli_exit unverified(const struct session *session, bool is_complete)
{
    return cli_fail(session->arguments, is_complete ? CLI_EXIT_PARTIAL : CLI_EXIT_FAILED,
                    "%s: the node %s is of an older version, which does not know --verify; update "
                    "it, or leave that out",
                    is_complete ? "the backup is complete, but was not read back"
                                : "no backup was made",
                    cli_argument_text(session->arguments, "node"));
}

/* The last message of a backup. */
static enum cli_exit ended(struct session *session, json_t *message, bool is_complete)
{
    json_int_t error = number_of(message, "error");
    enum cli_exit code = is_complete ? completed(session, message) : CLI_EXIT_FAILED;
    if (session->is_unverified && (is_complete || error == PST_E_CLIENT_ABORT))
        return unverified(session, is_complete);
    if (!is_complete && session->frozen[0])
        pst_log(PST_LOG_WARNING,
                "what a freeze did could not be undone and may still be in place: %s; the logs of "
                "the nodes say why",
                session->frozen);
    return is_complete ? code : refused(session->arguments, message);
}

/* true: that was the last message, and *code is the exit code. */
static bool take(struct session *session, json_t *message, enum cli_exit *code)
{
    if (is_type(message, "progress")) {
        show_progress(session, message);
        return false;
    }
    if (is_type(message, "left_frozen")) {
        note_left_frozen(session, message);
        return false;
    }
    if (is_type(message, "started")) {
        const char *uid = json_string_value(json_object_get(message, "uid"));
        strncpy(session->uid, uid ? uid : "", sizeof(session->uid) - 1);
        if (!check_verify(session, message) || session->wait != WAIT_STARTED)
            return false;
        *code = started(session, message);
        return true;
    }
    bool is_complete = is_type(message, "completed");
    if (!is_complete && !is_type(message, "failed"))
        return false;
    *code = ended(session, message, is_complete);
    return true;
}

static enum cli_exit see_it_through(struct session *session)
{
    enum cli_exit code = CLI_EXIT_FAILED;
    bool ended = false;
    while (!ended) {
        json_t *message = NULL;
        int error = pst_control_receive(session->fd, session->aborts ? -1 : pst_interrupt_fd(),
                                        cli_argument_text(session->arguments, "node"), &message);
        if (error == -EINTR)
            session->aborts = true;
        else if (error)
            return lost(session->arguments, error, BACKUP_ADVICE);
        else
            ended = take(session, message, &code);
        json_decref(message);
        error = ended ? 0 : abort_if_wanted(session);
        if (error)
            return lost(session->arguments, error, BACKUP_ADVICE);
    }
    return code;
}

enum cli_exit cli_backup_through_node(const struct cli_arguments *arguments)
{
    struct session session = {.arguments = arguments};
    bool json = cli_argument_json(arguments);
    if (parse_wait(cli_argument_text(arguments, "wait"), &session.wait) < 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--wait %s: give completed, started or none",
                        cli_argument_text(arguments, "wait"));
    int error = pst_interrupt_install();
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    enum cli_exit code = connect_to(arguments, &session.fd);
    if (code != CLI_EXIT_DONE)
        return code;
    error = pst_control_send(session.fd, request_of(arguments));
    if (error) {
        code = not_asked(arguments, error);
    } else if (session.wait != WAIT_NONE) {
        if (session.wait == WAIT_COMPLETED)
            session.progress = cli_progress_start(json ? stdout : stderr,
                                                  cli_progress_choose_style(json, arguments->quiet),
                                                  "backup", pst_monotonic_ns());
        code = see_it_through(&session);
        cli_progress_finish(session.progress);
    }
    close(session.fd);
    return code;
}
