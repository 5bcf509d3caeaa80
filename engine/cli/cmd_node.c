/*
 * penstock node: runs a node of a cluster until it is interrupted. Called by command.c, on the main
 * thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/job_options.h"
#include "engine/cli/null_target.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/settings.h"
#include "engine/cli/value.h"
#include "engine/service/daemon.h"
#include "engine/service/interrupt.h"

#define PLACE_BYTES 160u

static const struct cli_option options[] = {
    {.name = "cluster",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME",
     .required = true,
     .is_shared = true,
     .help = "name of the cluster to join, the same on all its nodes"},
    {.name = "cluster-id",
     .kind = CLI_OPTION_TEXT,
     .argument = "HEX",
     .is_shared = true,
     .help = "id that distinguishes clusters of the same name, the same on all nodes: 1 to 8 "
             "hexadecimal digits, not 0; by default derived from the name. Every file of a backup "
             "contains it"},
    {.name = "id",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .required = true,
     .min = 1,
     .max = PST_NODES_MAX,
     .help =
         "number of this node in the cluster; the live node with the lowest number is the master"},
    {.name = "nodes",
     .kind = CLI_OPTION_TEXT,
     .argument = "LIST",
     .is_shared = true,
     .help = "all nodes of the cluster, such as 1-3,7; while one of them is missing, a backup "
             "needs --allow-missing"},
    {.name = "socket",
     .kind = CLI_OPTION_TEXT,
     .argument = "PATH",
     .required = true,
     .help =
         "control socket to create, for penstock backup, status, abort and resolve --node PATH"},
    {.name = "member",
     .kind = CLI_OPTION_TEXT,
     .argument = "ID[=ADDRESS[:PORT]]",
     .repeatable = true,
     .is_shared = true,
     .help =
         "node of a cluster that spans hosts, and its IPv4 address, this node included, the same "
         "on all nodes; once for each node, or several with commas between. Stands for --nodes. "
         "The port is 7420 by default, over UDP. Nodes with the address of this one, or without "
         "any, are on this host, and reached through --fabric-dir"},
    {.name = "cluster-key",
     .kind = CLI_OPTION_TEXT,
     .argument = "FILE",
     .is_shared = true,
     .help = "key of a cluster that spans hosts, the same on all nodes: see penstock keygen"},
    {.name = "net-device",
     .kind = CLI_OPTION_TEXT,
     .argument = "DEVICE",
     .help =
         "what carries the signals between hosts: udp, the kernel's sockets, by default; or, by "
         "DPDK and with an address of the node's own, af_packet:INTERFACE, af_xdp:INTERFACE, or a "
         "PCI function bound to vfio-pci, such as 0000:3b:02.0"},
    {.name = "net-address",
     .kind = CLI_OPTION_TEXT,
     .argument = "ADDRESS/BITS",
     .help =
         "with a --net-device of DPDK: the node's address, as in --member, which the kernel must "
         "not have, and the bits of its network"},
    {.name = "net-gateway",
     .kind = CLI_OPTION_TEXT,
     .argument = "ADDRESS",
     .help = "likewise: the router to members in other networks"},
    {.name = "net-vlan",
     .kind = CLI_OPTION_COUNT,
     .argument = "ID",
     .min = 1,
     .max = 4094,
     .help = "likewise: 802.1Q tag of all frames, where nobody else adds it"},
    {.name = "net-mtu",
     .kind = CLI_OPTION_COUNT,
     .argument = "BYTES",
     .fallback = "1500",
     .min = 1280,
     .max = 9000,
     .is_shared = true,
     .help = "bytes of an IP packet that every network between the members can carry, the same on "
             "all nodes"},
    {.name = "fabric-dir",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .is_shared = true,
     .help = "directory in which the nodes of this host find each other, the same for all of them; "
             "by default /dev/shm/penstock-UID-NAME"},
    {.name = "eal",
     .kind = CLI_OPTION_SWITCH,
     .is_shared = true,
     .help = "keep the rings between the nodes in hugepages of DPDK's EAL, which must be reserved; "
             "on all nodes of the cluster or on none"},
    {.name = "failure",
     .kind = CLI_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "450ms",
     .min = UINT64_C(60000000),
     .max = UINT64_C(60000000000),
     .is_shared = true,
     .help = "how long another node may be silent before it counts as dead, the same on all nodes"},
    {.name = "metrics",
     .kind = CLI_OPTION_TEXT,
     .argument = "[ADDRESS:]PORT",
     .help = "serve the node's metrics by HTTP, at /metrics, for Prometheus; at 127.0.0.1 unless "
             "another address is given. Whoever reaches it can read them"},
    {.name = "check-config",
     .kind = CLI_OPTION_SWITCH,
     .help = "look whether a node could be started so, say what is wrong, print what it would use "
             "and where each value comes from, and start none"},
    {.name = "source",
     .kind = CLI_OPTION_TEXT,
     .argument = "[NAME=]KIND:...",
     .required = true,
     .repeatable = true,
     .help = "what this node backs up, written as for penstock backup"},
    {.name = "to",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "directory for this node's backups; created if its parent exists"},
    CLI_PLACEMENT_OPTIONS,
    CLI_JOB_OPTIONS,
    {.name = "require-encryption",
     .kind = CLI_OPTION_SWITCH,
     .help =
         "do not start without --key-file, --recipient or a passphrase, so that this node makes "
         "no backup that is not sealed"},
    {0},
};

/* On the heap, for its size. */
struct run {
    const struct cli_arguments *arguments;
    const char *specs[PST_SOURCES_MAX];
    struct cli_keys keys;
    struct cli_exclude exclude;
    struct pst_backup_job backup;
    struct pst_daemon_job job;
    const char *members[CLI_OPTION_VALUES_MAX];
    char places[CLI_OPTION_VALUES_MAX][PLACE_BYTES]; /* where each comes from */
    const char *member_places[CLI_OPTION_VALUES_MAX];
    char fabric_directory[PST_FABRIC_DIRECTORY_BYTES];
    struct pst_daemon *daemon;
};

static bool parse_cluster_id(const char *text, uint32_t *id)
{
    size_t digits = strlen(text);
    if (digits > 8 || strspn(text, "0123456789abcdefABCDEF") != digits)
        return false;
    *id = (uint32_t)strtoul(text, NULL, 16);
    return *id != 0;
}

static void read_members(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_node_job *node = &run->job.node;
    node->members = run->members;
    node->members_count = cli_argument_texts(arguments, "member", run->members);
    run->job.member_places = run->member_places;
    for (uint32_t i = 0; i < node->members_count; i++)
        run->member_places[i] =
            cli_argument_place(arguments, "member", i, run->places[i], PLACE_BYTES);
    node->cluster_key = cli_argument_text(arguments, "cluster-key");
    node->mtu_bytes = (uint32_t)cli_argument_number(arguments, "net-mtu");
}

static enum cli_exit read_port(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_daemon_job *job = &run->job;
    const char *device = cli_argument_text(arguments, "net-device");
    job->net_device = device && strcmp(device, "udp") != 0 ? device : NULL;
    job->net_address = cli_argument_text(arguments, "net-address");
    job->net_gateway = cli_argument_text(arguments, "net-gateway");
    job->net_vlan = (uint32_t)cli_argument_number(arguments, "net-vlan");
    if (device && job->node.members_count == 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--net-device is for a cluster with --member");
    if (!job->net_device && (job->net_address || job->net_gateway || job->net_vlan != 0))
        return cli_fail(
            arguments, CLI_EXIT_USAGE,
            "--net-address, --net-gateway and --net-vlan are for a --net-device of DPDK");
    if (job->net_device && !job->net_address)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--net-device %s needs --net-address",
                        job->net_device);
    return CLI_EXIT_DONE;
}

static enum cli_exit read_cluster(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_node_job *node = &run->job.node;
    const char *cluster_id = cli_argument_text(arguments, "cluster-id");
    const char *directory = cli_argument_text(arguments, "fabric-dir");
    node->cluster = cli_argument_text(arguments, "cluster");
    node->nodes = cli_argument_text(arguments, "nodes");
    node->cluster_id = pst_daemon_cluster_id(node->cluster);
    if (cluster_id && !parse_cluster_id(cluster_id, &node->cluster_id))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--cluster-id %s: give 1 to 8 hexadecimal digits, not 0", cluster_id);
    node->fabric_directory =
        directory ? directory : pst_daemon_fabric_directory(node->cluster, run->fabric_directory);
    return CLI_EXIT_DONE;
}

static enum cli_exit read_options(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_node_job *node = &run->job.node;
    pst_node_job_init(node);
    node->node = (uint32_t)cli_argument_number(arguments, "id");
    node->socket_path = cli_argument_text(arguments, "socket");
    node->failure_ns = cli_argument_number(arguments, "failure");
    node->stop_fd = pst_interrupt_fd();
    run->job.owns_process = true;
    run->job.uses_eal = cli_argument_switch(arguments, "eal");
    run->job.metrics_address = cli_argument_text(arguments, "metrics");
    enum cli_exit code = read_cluster(run);
    if (code != CLI_EXIT_DONE)
        return code;
    read_members(run);
    code = read_port(run);
    if (code != CLI_EXIT_DONE)
        return code;
    cli_job_read_options(arguments, run->specs, &run->keys, &run->exclude, &run->backup);
    node->backup = &run->backup;
    if (cli_job_trusts_nothing(arguments))
        return cli_fail(arguments, CLI_EXIT_USAGE, CLI_TRUSTS_NOTHING);
    if (cli_null_target_is(run->backup.directory))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--to null: is for penstock backup alone: a node keeps its backups; a "
                        "directory of that name is ./null:");
    if (cli_argument_switch(arguments, "require-encryption") && !run->backup.keys)
        return cli_fail(
            arguments, CLI_EXIT_USAGE,
            "--require-encryption: give --key-file, --recipient or a passphrase too, or "
            "no backup of this node could be sealed");
    return CLI_EXIT_DONE;
}

static enum cli_exit fail_to_open(const struct run *run, int error, const char *message)
{
    enum cli_exit code = CLI_EXIT_FAILED;
    if (error == -EINVAL)
        code = CLI_EXIT_USAGE;
    else if (error == -EADDRINUSE)
        code = CLI_EXIT_BUSY;
    else if (error == -ECANCELED)
        code = CLI_EXIT_INTERRUPTED;
    return cli_fail(run->arguments, code, "%s", message);
}

static enum cli_exit check_config(struct run *run)
{
    char message[PST_MESSAGE_BYTES];
    enum cli_exit code = read_options(run);
    if (code != CLI_EXIT_DONE)
        return code;
    int error = pst_daemon_check(&run->job, message);
    if (error)
        return fail_to_open(run, error, message);
    cli_settings_print(run->arguments);
    pst_log(PST_LOG_INFO, "node %u of cluster %s (id %08x) could be started", run->job.node.node,
            run->job.node.cluster, run->job.node.cluster_id);
    return CLI_EXIT_DONE;
}

static enum cli_exit prepare(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    char message[PST_MESSAGE_BYTES];
    int error = pst_interrupt_install();
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    enum cli_exit code = read_options(run);
    if (code != CLI_EXIT_DONE)
        return code;
    error = pst_daemon_open(&run->job, &run->daemon, message);
    return error ? fail_to_open(run, error, message) : CLI_EXIT_DONE;
}

/* The texts with commas between, cut where they are too many. */
static char *join(const char *const *texts, uint32_t count, char *text, size_t bytes)
{
    size_t used = 0;
    *text = '\0';
    for (uint32_t i = 0; i < count && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i > 0 ? ", " : "", texts[i]);
    return text;
}

/* All settings that decide what the node does, in one line. */
static void log_settings(const struct run *run)
{
    const struct pst_daemon_job *job = &run->job;
    const struct pst_node_job *node = &job->node;
    const struct pst_backup_job *backup = node->backup;
    const char *nodes = node->nodes;
    bool is_wide = node->members_count > 0;
    uint32_t ldms = pst_daemon_ldms(run->daemon);
    char chunk[CLI_VALUE_TEXT_BYTES], wait[CLI_VALUE_TEXT_BYTES], hold[CLI_VALUE_TEXT_BYTES];
    char failure[CLI_VALUE_TEXT_BYTES], sources[PST_LOG_LINE_BYTES / 2];
    char members[PST_LOG_LINE_BYTES / 4];
    if (is_wide)
        nodes = join(run->members, node->members_count, members, sizeof(members));
    pst_log(
        PST_LOG_INFO,
        "node %u of cluster %s (id %08x) is up: nodes %s; %u LDM%s, chunk %s, depth %u, compress "
        "%s; freeze wait %s, hold %s; failure %s; socket %s; fabric %s%s%s; backups to %s; sources "
        "%s",
        node->node, node->cluster, node->cluster_id, nodes ? nodes : "any", ldms,
        ldms == 1 ? "" : "s", cli_value_exact_size(backup->chunk_bytes, chunk), backup->depth,
        backup->compress, cli_value_exact_duration(backup->freeze_wait_ns, wait),
        cli_value_exact_duration(backup->freeze_hold_ns, hold),
        cli_value_exact_duration(node->failure_ns, failure), node->socket_path,
        is_wide ? job->net_device ? job->net_device : "over UDP" : node->fabric_directory,
        is_wide         ? ", key "
        : job->uses_eal ? " on rings of the EAL"
                        : "",
        is_wide ? node->cluster_key : "", backup->directory,
        join(run->specs, backup->specs_count, sources, sizeof(sources)));
}

static enum cli_exit serve(struct run *run)
{
    int error = pst_daemon_start(run->daemon);
    if (error)
        return cli_fail(run->arguments, error == -PST_E_BUSY ? CLI_EXIT_BUSY : CLI_EXIT_FAILED,
                        "node %u cannot start: %s; the error before this one says what failed",
                        run->job.node.node, pst_error_text(error));
    log_settings(run);
    error = pst_daemon_serve(run->daemon);
    return error ? cli_fail(run->arguments, CLI_EXIT_FAILED, "node %u cannot go on: %s",
                            run->job.node.node, pst_error_text(error))
                 : CLI_EXIT_DONE;
}

static enum cli_exit run_node(const struct cli_arguments *arguments)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    run->arguments = arguments;
    enum cli_exit code;
    if (cli_argument_switch(arguments, "check-config")) {
        code = check_config(run);
    } else {
        pst_log_show_times();
        code = prepare(run);
        if (code == CLI_EXIT_DONE)
            code = serve(run);
    }
    if (pst_daemon_close(run->daemon))
        free(run);
    return code;
}

const struct cli_command cli_command_node = {
    .name = "node",
    .summary = "run a node of a cluster",
    .options = options,
    .run = run_node,
    .shared_section = "cluster",
    .picks_section = "id",
};
