#include "tests/unit/net/fabric_rig.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "tests/support/scratch.h"

static uint64_t clock_ns; /* 0: the system's */

void rig_set_clock(uint64_t now_ns)
{
    clock_ns = now_ns;
}

static uint64_t rig_now_ns(void)
{
    return clock_ns ? clock_ns : pst_monotonic_ns();
}

const char *rig_make_directory(void)
{
    char *directory = malloc(SCRATCH_PATH_BYTES);
    if (!directory)
        abort();
    make_scratch(directory, NULL);
    return directory;
}

void rig_remove_directory(const char *directory)
{
    remove_tree(directory);
    free((void *)(uintptr_t)directory);
}

struct pst_shm_config rig_config(const char *directory, uint32_t node, uint64_t incarnation,
                                 uint64_t failure_ns)
{
    struct pst_shm_config config = {
        .directory = directory,
        .memory = PST_SHM_NORMAL,
        .ring_signals = 64,
        .failure_ns = failure_ns ? failure_ns : 10 * RIG_PATIENCE_NS,
        .hello = {.cluster = "test", .node = node, .incarnation = incarnation},
    };
    config.hello.cluster_id = 9;
    config.hello.options[0] = (uint8_t)(100 + node);
    return config;
}

void rig_open(struct rig_node *node, const struct pst_shm_config *config)
{
    char message[256];
    *node = (struct rig_node){.node = config->hello.node};
    if (pst_shm_fabric_open(config, &node->fabric, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "node %u: %s\n", config->hello.node, message);
        abort();
    }
}

void rig_close(struct rig_node *node)
{
    pst_fabric_close(node->fabric);
    node->fabric = NULL;
}

struct pst_signal rig_signal(uint64_t number)
{
    struct pst_signal signal = {
        .gsn = PST_BACKUP_FRAGMENT_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_fragment),
        .sequence = (uint32_t)number,
    };
    signal.payload.fragment.fragment = number;
    signal.payload.fragment.bytes = ~number;
    return signal;
}

static void take(struct rig_node *node, const struct pst_fabric_event *event)
{
    for (uint32_t i = 0; i < event->signals_count; i++) {
        const struct pst_fragment *fragment = &event->signals[i].payload.fragment;
        node->misplaced[event->node] += fragment->fragment != node->received[event->node]++ ||
                                        fragment->bytes != ~fragment->fragment;
    }
}

static void keep(struct rig_node *node, const struct pst_fabric_event *event)
{
    switch (event->type) {
    case PST_FABRIC_SIGNALS:
        take(node, event);
        break;
    case PST_FABRIC_JOINED:
        node->joined[event->node]++;
        node->incarnation = event->incarnation;
        node->option = event->options[0];
        node->received[event->node] = 0;
        break;
    case PST_FABRIC_FAILED:
        node->failed[event->node]++;
        node->failure[event->node] = event->failure;
        (void)snprintf(node->reason, sizeof(node->reason), "%s", event->reason);
        if (!node->mourns)
            pst_fabric_readmit(node->fabric, event->node);
        break;
    case PST_FABRIC_EXPELLED:
        node->expelled++;
        node->expelled_by = event->node;
        break;
    }
}

bool rig_poll(struct rig_node *node)
{
    struct pst_fabric_event event;
    bool worked = false;
    int status;
    while ((status = pst_fabric_poll(node->fabric, rig_now_ns(), &event)) > 0) {
        keep(node, &event);
        worked = true;
    }
    if (status < 0)
        abort();
    return worked;
}

void rig_poll_and_sleep(struct rig_node *node, int extra_fd)
{
    struct pst_fabric *fabric = node->fabric;
    if (rig_poll(node))
        return;
    pst_fabric_announce(fabric);
    uint64_t now_ns = pst_monotonic_ns(), until_ns = pst_fabric_deadline_ns(fabric);
    if (pst_fabric_is_quiet(fabric) && now_ns < until_ns) {
        struct pollfd fds[] = {{.fd = pst_fabric_fd(fabric), .events = POLLIN},
                               {.fd = extra_fd, .events = POLLIN}};
        uint64_t left_ms = (until_ns - now_ns) / 1000000 + 1;
        (void)poll(fds, 2, left_ms < 60000 ? (int)left_ms : 60000);
    }
    pst_fabric_cancel(fabric);
}

static bool over(uint64_t *deadline_ns)
{
    if (*deadline_ns == 0)
        *deadline_ns = rig_now_ns() + RIG_PATIENCE_NS;
    return rig_now_ns() > *deadline_ns;
}

void rig_round(struct rig_node *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i].fabric)
            (void)rig_poll(&nodes[i]);
    }
    if (clock_ns)
        clock_ns += RIG_ROUND_NS;
    else
        sched_yield();
}

bool rig_until(struct rig_node *nodes, uint32_t count, const uint32_t *value, uint32_t wanted)
{
    uint64_t deadline_ns = 0;
    while (*value < wanted && !over(&deadline_ns))
        rig_round(nodes, count);
    return *value >= wanted;
}

bool rig_until_received(struct rig_node *nodes, uint32_t count, const uint64_t *value,
                        uint64_t wanted)
{
    uint64_t deadline_ns = 0;
    while (*value < wanted && !over(&deadline_ns))
        rig_round(nodes, count);
    return *value >= wanted;
}
