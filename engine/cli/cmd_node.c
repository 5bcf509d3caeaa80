/* penstock node: a node of a cluster, until it is told to stop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/api/backup.h"
#include "engine/base/log.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/job_options.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/value.h"
#include "engine/format/digest.h"
#include "engine/service/control.h"
#include "engine/service/interrupt.h"
#include "engine/service/notify.h"

#define NAME_BYTES_MAX 63u

static const struct pst_option options[] = {
    {.name = "cluster",
     .kind = PST_OPTION_TEXT,
     .argument = "NAME",
     .required = true,
     .help = "the cluster to join, the same on all its nodes"},
    {.name = "cluster-id",
     .kind = PST_OPTION_TEXT,
     .argument = "HEX",
     .help =
         "what tells clusters of one name apart, the same on all nodes: 1 to 8 hexadecimal digits, "
         "not 0; by default taken from the name. It is in every file of a backup"},
    {.name = "id",
     .kind = PST_OPTION_COUNT,
     .argument = "N",
     .required = true,
     .min = 1,
     .max = PST_NODES_MAX,
     .help = "this node's number in it; the lowest that lives is the master"},
    {.name = "nodes",
     .kind = PST_OPTION_TEXT,
     .argument = "LIST",
     .help = "all nodes that belong to it, such as 1-3,7: without one of them no backup is made "
             "unless it is asked for with --allow-missing"},
    {.name = "socket",
     .kind = PST_OPTION_TEXT,
     .argument = "PATH",
     .required = true,
     .help = "control socket to make, for penstock backup, status, abort and resolve --node PATH"},
    {.name = "fabric-dir",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .help = "where the nodes of this host find each other, the same for all of them; by default "
             "/dev/shm/penstock-UID-NAME"},
    {.name = "eal",
     .kind = PST_OPTION_SWITCH,
     .help = "signals between the nodes in hugepages of DPDK's EAL, which must be reserved: on all "
             "nodes of the cluster or on none"},
    {.name = "failure",
     .kind = PST_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "450ms",
     .min = UINT64_C(60000000),
     .max = UINT64_C(60000000000),
     .help = "how long another node may give no sign of life before it counts as dead"},
    {.name = "source",
     .kind = PST_OPTION_TEXT,
     .argument = "[NAME=]KIND:...",
     .required = true,
     .repeatable = true,
     .help = "what this node has to back up: as of penstock backup"},
    {.name = "to",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "directory of this node's backups; made if its parent exists"},
    PST_PLACEMENT_OPTIONS,
    PST_JOB_OPTIONS,
    {0},
};

/* On the heap, for its size. */
struct run {
    const struct pst_arguments *arguments;
    const char *specs[PST_SOURCES_MAX];
    struct pst_backup_job job;
    struct pst_session session;
    struct pst_cluster_config cluster;
    char fabric_directory[128];
    struct pst_control *control;
};

/* "3" or "1-3" at *text; moves on past it. */
static bool take_range(const char **text, struct pst_set *set)
{
    char *end;
    unsigned long first = strtoul(*text, &end, 10);
    unsigned long last = first;
    if (end == *text || **text == '-' || **text == '+')
        return false;
    if (*end == '-') {
        *text = end + 1;
        last = strtoul(*text, &end, 10);
        if (end == *text)
            return false;
    }
    if (first < 1 || last < first || last > PST_NODES_MAX)
        return false;
    for (unsigned long node = first; node <= last; node++)
        pst_set_add(set, (uint32_t)node - 1);
    *text = end;
    return true;
}

static bool parse_nodes(const char *text, struct pst_set *set)
{
    if (!take_range(&text, set))
        return false;
    while (*text == ',') {
        text++;
        if (!take_range(&text, set))
            return false;
    }
    return *text == '\0';
}

static bool is_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t bytes = strlen(text);
    return bytes <= NAME_BYTES_MAX && strspn(text, letters) == bytes;
}

/* One name gives the same id everywhere, so nobody has to hand one out. */
static uint32_t id_of_name(const char *name)
{
    struct pst_digest digest = pst_digest_of(name, strlen(name), 0);
    uint32_t id = 0;
    for (uint32_t i = 0; i < sizeof(id); i++)
        id = id << 8 | digest.bytes[i];
    return id != 0 ? id : 1;
}

static bool parse_cluster_id(const char *text, uint32_t *id)
{
    size_t digits = strlen(text);
    if (digits > 8 || strspn(text, "0123456789abcdefABCDEF") != digits)
        return false;
    *id = (uint32_t)strtoul(text, NULL, 16);
    return *id != 0;
}

static enum pst_exit read_cluster(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    struct pst_cluster_config *cluster = &run->cluster;
    const char *nodes = pst_argument_text(arguments, "nodes");
    const char *directory = pst_argument_text(arguments, "fabric-dir");
    const char *cluster_id = pst_argument_text(arguments, "cluster-id");
    uint32_t id = (uint32_t)pst_argument_number(arguments, "id");
    cluster->name = pst_argument_text(arguments, "cluster");
    cluster->failure_ns = pst_argument_number(arguments, "failure");
    cluster->uses_eal = pst_argument_switch(arguments, "eal");
    if (!is_name(cluster->name))
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "--cluster %s: want up to %u letters, digits, '_' and '-'", cluster->name,
                        NAME_BYTES_MAX);
    cluster->id = id_of_name(cluster->name);
    if (cluster_id && !parse_cluster_id(cluster_id, &cluster->id))
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "--cluster-id %s: want 1 to 8 hexadecimal digits, not 0", cluster_id);
    if (nodes && !parse_nodes(nodes, &cluster->expected))
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "--nodes %s: want numbers from 1 to %u, such as 1-3,7", nodes,
                        PST_NODES_MAX);
    if (nodes && !pst_set_has(&cluster->expected, id - 1))
        return pst_fail(arguments, PST_EXIT_USAGE, "--nodes %s: this node, %u, is not among them",
                        nodes, id);
    snprintf(run->fabric_directory, sizeof(run->fabric_directory), "/dev/shm/penstock-%u-%s",
             (unsigned)geteuid(), cluster->name);
    cluster->fabric_directory = directory ? directory : run->fabric_directory;
    return PST_EXIT_DONE;
}

static enum pst_exit prepare(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    int rc = pst_interrupt_install();
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot handle signals: %s",
                        pst_error_text(rc));
    enum pst_exit code = read_cluster(run);
    if (code != PST_EXIT_DONE)
        return code;
    pst_job_read_options(arguments, run->specs, &run->job);
    rc = pst_session_open(&run->session, &run->job);
    if (rc < 0)
        return pst_fail(arguments, rc == -EINVAL ? PST_EXIT_USAGE : PST_EXIT_FAILED, "%s",
                        run->session.message);
    run->session.options.node.node = (uint32_t)pst_argument_number(arguments, "id");
    run->session.options.node.cluster = &run->cluster;
    char message[PST_MESSAGE_BYTES];
    rc = pst_control_open(pst_argument_text(arguments, "socket"), &run->control, message);
    if (rc < 0)
        return pst_fail(arguments, rc == -EADDRINUSE ? PST_EXIT_BUSY : PST_EXIT_FAILED, "%s",
                        message);
    return PST_EXIT_DONE;
}

static void tell_manager(const char *state)
{
    int error = pst_notify(state);
    if (error)
        pst_log(PST_LOG_WARNING, "the service manager cannot be told %s: %s", state,
                pst_error_text(error));
}

/* All that decides what it does, in one line. */
static void say_settings(const struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    const struct pst_node_config *config = &run->session.options.node;
    const char *nodes = pst_argument_text(arguments, "nodes");
    char chunk[PST_VALUE_TEXT_BYTES], wait[PST_VALUE_TEXT_BYTES], hold[PST_VALUE_TEXT_BYTES];
    char failure[PST_VALUE_TEXT_BYTES], sources[PST_LOG_LINE_BYTES / 2] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < config->sources_count && used < sizeof(sources); i++)
        used += (size_t)snprintf(sources + used, sizeof(sources) - used, "%s%s", i > 0 ? ", " : "",
                                 run->specs[i]);
    pst_log(PST_LOG_INFO,
            "node %u of cluster %s (id %08x) is up: nodes %s; %u LDM%s, chunk %s, depth %u; freeze "
            "wait %s, hold %s; failure %s; socket %s; fabric %s%s; backups to %s; sources %s",
            config->node, config->cluster->name, config->cluster->id, nodes ? nodes : "any",
            config->plan->ldms, config->plan->ldms == 1 ? "" : "s",
            pst_value_exact_size(config->chunk_bytes, chunk), config->depth,
            pst_value_exact_duration(config->freeze_wait_ns, wait),
            pst_value_exact_duration(config->freeze_hold_ns, hold),
            pst_value_exact_duration(config->cluster->failure_ns, failure),
            pst_argument_text(arguments, "socket"), config->cluster->fabric_directory,
            config->cluster->uses_eal ? " on rings of the EAL" : "", config->directory, sources);
}

static enum pst_exit serve(struct run *run)
{
    const struct pst_node_config *config = &run->session.options.node;
    struct pst_node *node;
    int rc = pst_node_start(config, &node);
    if (rc < 0)
        return pst_fail(run->arguments, rc == -PST_E_BUSY ? PST_EXIT_BUSY : PST_EXIT_FAILED,
                        "node %u cannot start: %s", config->node, pst_error_text(rc));
    say_settings(run);
    tell_manager("READY=1");
    rc = pst_control_run(run->control, node, config);
    pst_log(PST_LOG_INFO, "node %u stops", config->node);
    pst_node_stop(node, NULL);
    return rc < 0 ? pst_fail(run->arguments, PST_EXIT_FAILED, "node %u: %s", config->node,
                             pst_error_text(rc))
                  : PST_EXIT_DONE;
}

static enum pst_exit run_node(const struct pst_arguments *arguments)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    run->arguments = arguments;
    enum pst_exit code = prepare(run);
    if (code == PST_EXIT_DONE)
        code = serve(run);
    pst_control_close(run->control);
    pst_session_close(&run->session);
    free(run);
    return code;
}

const struct pst_command pst_command_node = {
    .name = "node",
    .summary = "run a node of a cluster",
    .options = options,
    .run = run_node,
};
