/*
 * Checks id, cluster and expected nodes of a node that is to run. Called by daemon.c, on the thread
 * that runs the node.
 */
#include "engine/service/membership.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"

#define NAME_BYTES_MAX 63u
#define FAILURE_NS_MIN UINT64_C(60000000)
#define FAILURE_NS_MAX UINT64_C(60000000000)
#define MTU_BYTES_MIN 1280u
#define MTU_BYTES_MAX 9000u

_Static_assert(PST_NODE_ID_MAX == PST_NODES_MAX, "the public header has a name of its own for it");

static int refuse(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char *message, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, PST_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* "3" or "1-3" at *text; moves on past it. */
static bool take_range(const char **text, struct pst_set *nodes)
{
    char *end;
    unsigned long first = strtoul(*text, &end, 10);
    unsigned long last = first;
    if (end == *text || strchr("-+ \t", **text))
        return false;
    if (*end == '-') {
        *text = end + 1;
        last = strtoul(*text, &end, 10);
        if (end == *text || strchr("-+ \t", **text))
            return false;
    }
    if (first < 1 || last < first || last > PST_NODES_MAX)
        return false;
    for (unsigned long node = first; node <= last; node++)
        pst_set_add(nodes, (uint32_t)node - 1);
    *text = end;
    return true;
}

static bool parse_nodes(const char *text, struct pst_set *nodes)
{
    if (!take_range(&text, nodes))
        return false;
    while (*text == ',') {
        text++;
        if (!take_range(&text, nodes))
            return false;
    }
    return *text == '\0';
}

static bool is_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t bytes = strlen(text);
    return bytes >= 1 && bytes <= NAME_BYTES_MAX && strspn(text, letters) == bytes;
}

static int check_members(const struct pst_node_job *job, char *message)
{
    if (job->members_count == 0)
        return job->cluster_key ? refuse(message, "--cluster-key is for a cluster with --member")
                                : 0;
    if (!job->cluster_key)
        return refuse(message, "--member needs --cluster-key FILE: penstock keygen makes one");
    if (job->nodes)
        return refuse(message, "--member stands for --nodes: leave one of them out");
    if (job->mtu_bytes < MTU_BYTES_MIN || job->mtu_bytes > MTU_BYTES_MAX)
        return refuse(message, "--net-mtu %u: give %u to %u", job->mtu_bytes, MTU_BYTES_MIN,
                      MTU_BYTES_MAX);
    return 0;
}

static int check_own(const struct pst_node_job *job, char *message)
{
    if (job->node < 1 || job->node > PST_NODES_MAX)
        return refuse(message, "--id %u: give 1 to %u", job->node, PST_NODES_MAX);
    if (!job->cluster || !is_name(job->cluster))
        return refuse(message, "--cluster %s: give up to %u letters, digits, '_' and '-'",
                      job->cluster ? job->cluster : "is missing", NAME_BYTES_MAX);
    if (!job->socket_path || !job->backup)
        return refuse(message, "a node needs %s",
                      job->backup ? "--socket, a path for its control socket" : "sources");
    if (job->failure_ns < FAILURE_NS_MIN || job->failure_ns > FAILURE_NS_MAX)
        return refuse(message, "--failure %llu ms: give 60 ms to 60 s",
                      (unsigned long long)(job->failure_ns / 1000000));
    return 0;
}

int membership_check(const struct pst_node_job *job, struct pst_set *expected, char *message)
{
    int error = check_own(job, message);
    if (!error)
        error = check_members(job, message);
    if (error || !job->nodes)
        return error;
    if (!parse_nodes(job->nodes, expected))
        return refuse(message, "--nodes %s: give numbers from 1 to %u, such as 1-3,7", job->nodes,
                      PST_NODES_MAX);
    if (!pst_set_has(expected, job->node - 1))
        return refuse(message, "--nodes %s: this node, %u, is not among them", job->nodes,
                      job->node);
    return 0;
}
