/* penstock status: what a node knows of itself and its cluster. */
#include <jansson.h>
#include <stdio.h>

#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/through_node.h"
#include "engine/cli/value.h"

static const struct pst_option options[] = {
    {.name = "node",
     .kind = PST_OPTION_TEXT,
     .argument = "SOCKET",
     .required = true,
     .help = "control socket of a node"},
    PST_OPTION_JSON,
    {0},
};

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_nodes(const json_t *status)
{
    size_t index;
    json_t *node;
    json_int_t own = number_of(status, "node"), master = number_of(status, "master");
    printf("cluster %s\n%5s %-8s %5s  %-16s\n", text_of(status, "cluster"), "node", "state", "LDMs",
           "incarnation");
    json_array_foreach(json_object_get(status, "nodes"), index, node)
    {
        json_int_t id = number_of(node, "node");
        printf("%5lld %-8s %5lld  %-16s%s%s\n", (long long)id, text_of(node, "state"),
               (long long)number_of(node, "ldms"), text_of(node, "incarnation"),
               id == master ? "  master" : "", id == own ? "  asked" : "");
    }
}

static void print_ldms(const json_t *status)
{
    size_t index;
    json_t *ldm;
    char bytes[PST_VALUE_TEXT_BYTES];
    printf("\n%5s %-10s %11s  %s\n", "LDM", "state", "read", "backup");
    json_array_foreach(json_object_get(status, "ldms"), index, ldm)
        printf("%5lld %-10s %11s  %s\n", (long long)number_of(ldm, "ldm"), text_of(ldm, "state"),
               pst_value_size_text((uint64_t)number_of(ldm, "source_bytes"), bytes),
               text_of(ldm, "backup"));
}

static void print_backups(const json_t *status)
{
    size_t index;
    json_t *backup;
    char bytes[PST_VALUE_TEXT_BYTES], rate[PST_VALUE_TEXT_BYTES];
    const json_t *last = json_object_get(status, "last_backup");
    json_array_foreach(json_object_get(status, "backups"), index, backup)
        printf("running: backup %lld, %s, %s/s, uid %s\n", (long long)number_of(backup, "number"),
               pst_value_size_text((uint64_t)number_of(backup, "bytes_done"), bytes),
               pst_value_size_text(
                   (uint64_t)json_real_value(json_object_get(backup, "bytes_per_second")), rate),
               text_of(backup, "uid"));
    if (json_is_object(last) && text_of(last, "error_name")[0] == '\0')
        printf("last: backup %lld, complete, %s, uid %s\n", (long long)number_of(last, "number"),
               pst_value_size_text((uint64_t)number_of(last, "source_bytes"), bytes),
               text_of(last, "uid"));
    else if (json_is_object(last))
        printf("last: none was made: %s\n", text_of(last, "error_name"));
}

static void print_signals(const json_t *status)
{
    const json_t *signals = json_object_get(status, "signals");
    printf("signals to other nodes: %lld sent, %lld received, %lld refused, %lld waited for room; "
           "%lld node failures\n",
           (long long)number_of(signals, "sent"), (long long)number_of(signals, "received"),
           (long long)number_of(signals, "refused"), (long long)number_of(signals, "rings_full"),
           (long long)number_of(signals, "nodes_failed"));
    printf("in doubt: %lld\n", (long long)number_of(status, "in_doubt"));
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    json_t *status;
    enum pst_exit code = pst_ask_node(arguments, json_pack("{s:s}", "request", "status"), &status);
    if (code != PST_EXIT_DONE)
        return code;
    int rc = 0;
    if (pst_argument_json(arguments)) {
        rc = pst_json_print(stdout, json_incref(status));
    } else {
        print_nodes(status);
        print_ldms(status);
        printf("\n");
        print_backups(status);
        print_signals(status);
    }
    json_decref(status);
    if (rc < 0 || fflush(stdout) != 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print the status");
    return PST_EXIT_DONE;
}

const struct pst_command pst_command_status = {
    .name = "status",
    .summary = "show a node, its cluster and their backups",
    .options = options,
    .run = run,
};
