/*
 * penstock events: prints what happens at a node, a JSON record a line, until it is interrupted.
 * Called by command.c, on the main thread.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/through_node.h"
#include "engine/service/control_socket.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_NODE_OPTION,
    {0},
};

/* Takes the reference. */
static enum cli_exit take(const struct cli_arguments *arguments, json_t *message)
{
    const char *type = json_string_value(json_object_get(message, "message_type"));
    const char *event = json_string_value(json_object_get(message, "event"));
    bool is_dropped = event && strcmp(event, "dropped") == 0;
    enum cli_exit code = CLI_EXIT_DONE;
    if (!type || strcmp(type, "event") != 0)
        code = cli_fail(arguments, CLI_EXIT_FAILED,
                        "the node does not know events: it is of an older version");
    else if (cli_json_record(stdout, "event", json_incref(message)) < 0)
        code = cli_fail_unprinted(arguments);
    else if (is_dropped)
        code = cli_fail(arguments, CLI_EXIT_FAILED,
                        "the node has dropped this client: what follows events must read them");
    json_decref(message);
    return code;
}

static enum cli_exit follow(const struct cli_arguments *arguments, int fd)
{
    enum cli_exit code = CLI_EXIT_DONE;
    const char *path = cli_argument_text(arguments, "node"); /* until it is known to answer */
    int error = pst_control_send(fd, json_pack("{s:s}", "request", "events"));
    while (!error && code == CLI_EXIT_DONE) {
        json_t *message = NULL;
        error = pst_control_receive(fd, pst_interrupt_fd(), path, &message);
        if (!error)
            code = take(arguments, message);
        path = NULL;
    }
    if (error == -EINTR || !error)
        return code;
    return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", cli_argument_text(arguments, "node"),
                    error == -EPIPE ? "the node has ended" : cli_node_error_text(error));
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES];
    int error = pst_interrupt_install();
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    int fd = pst_control_connect(cli_argument_text(arguments, "node"), message);
    if (fd < 0)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    enum cli_exit code = follow(arguments, fd);
    close(fd);
    return code;
}

const struct cli_command cli_command_events = {
    .name = "events",
    .summary = "print what happens at a node, a JSON record a line",
    .options = options,
    .run = run,
};
