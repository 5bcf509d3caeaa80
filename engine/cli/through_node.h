/*
 * Commands that are sent to a running node, over its control socket.
 */
#ifndef PST_ENGINE_CLI_THROUGH_NODE_H
#define PST_ENGINE_CLI_THROUGH_NODE_H

#include "engine/cli/command.h"

struct json_t;

/* For the table of a command that asks one. */
#define CLI_NODE_OPTION                                                                            \
    {                                                                                              \
        .name = "node", .kind = CLI_OPTION_TEXT, .argument = "SOCKET", .required = true,           \
        .help = "control socket of a node"                                                         \
    }

/* penstock backup --node SOCKET. Options node, number, wait, allow-missing, single-threaded,
 * verify, json of the command's table. */
enum cli_exit cli_backup_through_node(const struct cli_arguments *arguments);

/* Sends request, whose reference it takes, to the node that --node names, and waits for the one
 * answer, whose reference is the caller's. Ends the command where there is none: with advice how to
 * learn what became of the request (CLI_EXIT_UNKNOWN), or NULL: it asks for no change. */
enum cli_exit cli_ask_node(const struct cli_arguments *arguments, struct json_t *request,
                           const char *advice, struct json_t **answer);

/* Why a connection to a node has failed, for people. Static. */
const char *cli_node_error_text(int error);

#endif
