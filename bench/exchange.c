/*
 * The signals of a backup without its files, between processes and threads, one round after the
 * other. Called by empty_backup.c; each node is a child process, each LDM a thread of it.
 */
#include "bench/exchange.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/program.h"
#include "engine/base/clock.h"
#include "engine/node/blob.h"
#include "engine/protocol/ldm.h"

#define NODES 2u
#define LDMS 2u
#define MANIFEST_BYTES 768u /* of a cluster manifest of two nodes, about */
#define RESULTS_MAX 8u
#define S UINT64_C(1000000000)

enum { PORT_CLIENT, PORT_ARCHIVE, PORT_SOURCE, PORT_LDM, PORTS = PORT_LDM + LDMS };

static const struct pst_timeouts timeouts = {.ldm_ns = 120 * S,
                                             .proxy_ns = 150 * S,
                                             .master_ns = 180 * S,
                                             .stall_ns = 60 * S,
                                             .progress_ns = S,
                                             .thawed_ns = S,
                                             .ask_ns = S};

struct node {
    uint32_t id;
    struct star star;
    const char *directory;
    struct pst_proxy proxy;
    struct pst_actions actions;
    _Atomic uint32_t routed;
};

struct ldm {
    struct node *node;
    uint32_t instance;
    struct pst_ldm_block block;
    struct pst_proxy proxy;
    struct pst_master master;
    struct pst_actions actions;
    struct pst_event results[RESULTS_MAX]; /* works are done as soon as they are asked for */
    uint32_t results_count;
};

/* What the client is told to do, and what it says. */
struct command {
    bool must_stop;
    uint64_t took_ns;
    uint32_t signals;
};

/* ---- the hub ---- */

static void route(void *context, const struct pst_signal *signal);

static void step_proxy(struct node *node, const struct pst_signal *signal)
{
    struct pst_event event = {
        .type = PST_EVENT_SIGNAL, .now_ns = pst_monotonic_ns(), .signal = signal};
    node->actions.sends_count = 0;
    node->actions.works_count = 0;
    pst_proxy_step(&node->proxy, &event, &node->actions);
    for (uint32_t i = 0; i < node->actions.sends_count; i++)
        pst_send_each(&node->actions.sends[i], route, node);
}

static void route(void *context, const struct pst_signal *signal)
{
    struct node *node = context;
    uint32_t instance = pst_ref_instance(signal->receiver_ref);
    atomic_fetch_add_explicit(&node->routed, 1, memory_order_relaxed);
    if (pst_ref_node(signal->receiver_ref) != node->id) {
        star_to_other(&node->star, signal);
        return;
    }
    switch (pst_ref_block(signal->receiver_ref)) {
    case PST_BLOCK_PROXY:
        step_proxy(node, signal);
        break;
    case PST_BLOCK_CLIENT:
        star_to_port(&node->star, PORT_CLIENT, signal);
        break;
    case PST_BLOCK_ARCHIVE:
        star_to_port(&node->star, PORT_ARCHIVE, signal);
        break;
    case PST_BLOCK_SOURCE:
        star_to_port(&node->star, PORT_SOURCE, signal);
        break;
    default:
        star_to_port(&node->star, PORT_LDM + instance - 1, signal);
    }
}

static void *hub_run(void *argument)
{
    struct node *node = argument;
    struct pst_idle idle = {0};
    bench_pin(0); /* where the product puts it if there are two CPUs */
    star_join(&node->star, node->id, node->directory);
    for (;;)
        star_turn(&node->star, &idle, route, node);
    return NULL;
}

/* ---- an LDM ---- */

static void ldm_send(void *context, const struct pst_signal *signal)
{
    struct ldm *ldm = context;
    port_to_hub(&ldm->node->star, &ldm->node->star.ports[PORT_LDM + ldm->instance - 1], signal);
}

static void ldm_work(struct ldm *ldm, const struct pst_work *work)
{
    bench_must(ldm->results_count < RESULTS_MAX && work->type != PST_WORK_DISCARD, "no abort");
    ldm->results[ldm->results_count++] = (struct pst_event){
        .type = PST_EVENT_WORK_DONE,
        .work = {.type = work->type,
                 .backup = work->backup,
                 .source = work->source,
                 .fragment = work->fragment,
                 .file_bytes = PST_SIGNAL_BYTES},
    };
}

static void ldm_step(struct ldm *ldm, struct pst_event *event)
{
    event->now_ns = pst_monotonic_ns();
    ldm->actions.sends_count = 0;
    ldm->actions.works_count = 0;
    pst_ldm_block_step(&ldm->block, event, &ldm->actions);
    for (uint32_t i = 0; i < ldm->actions.sends_count; i++)
        pst_send_each(&ldm->actions.sends[i], ldm_send, ldm);
    for (uint32_t i = 0; i < ldm->actions.works_count; i++)
        ldm_work(ldm, &ldm->actions.works[i]);
}

static void ldm_open(struct ldm *ldm)
{
    struct pst_ldm_config config = {.node = ldm->node->id,
                                    .instance = ldm->instance,
                                    .sources = 1,
                                    .nodes = pst_set_first(NODES),
                                    .multithreaded = pst_set_first(NODES),
                                    .timeouts = timeouts};
    bool is_first = ldm->instance == 1;
    pst_ldm_block_init(&ldm->block, &config, is_first ? &ldm->proxy : NULL,
                       is_first ? &ldm->master : NULL);
}

static void *ldm_run(void *argument)
{
    struct ldm *ldm = argument;
    struct star *star = &ldm->node->star;
    struct pst_signal signals[PORT_BURST];
    bench_pin((ldm->instance - 1) % bench_cpus());
    for (;;) {
        uint32_t count = port_wait(star, &star->ports[PORT_LDM + ldm->instance - 1], signals);
        for (uint32_t i = 0; i < count; i++) {
            struct pst_event event = {.type = PST_EVENT_SIGNAL, .signal = &signals[i]};
            ldm_step(ldm, &event);
        }
        while (ldm->results_count > 0) {
            struct pst_event result = ldm->results[0];
            ldm->results_count--;
            memmove(&ldm->results[0], &ldm->results[1], ldm->results_count * sizeof(result));
            ldm_step(ldm, &result);
        }
    }
    return NULL;
}

/* ---- source and archive ---- */

static struct pst_signal answer_to(const struct node *node, const struct pst_signal *request,
                                   uint16_t gsn)
{
    struct pst_signal signal = {
        .gsn = gsn,
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(gsn),
        .sender_ref = pst_ref_make(node->id, pst_ref_block(request->receiver_ref), 0),
        .receiver_ref = request->sender_ref,
        .backup = request->backup,
        .sequence = request->sequence,
    };
    signal.payload.order.master_ref = request->payload.order.master_ref;
    return signal;
}

static void *source_run(void *argument)
{
    struct node *node = argument;
    struct port *port = &node->star.ports[PORT_SOURCE];
    struct pst_signal signals[PORT_BURST];
    for (;;) {
        uint32_t count = port_wait(&node->star, port, signals);
        for (uint32_t i = 0; i < count; i++) {
            const struct pst_signal *request = &signals[i];
            if (request->gsn == PST_SOURCE_FRAGMENT_DONE_ORD)
                continue;
            struct pst_signal conf = answer_to(node, request, PST_CONF_OF(request->gsn));
            if (request->gsn == PST_SOURCE_LIST_REQ) {
                struct pst_signal fragment = answer_to(node, request, PST_SOURCE_FRAGMENT_REP);
                fragment.sequence = 0;
                fragment.payload.fragment.fragment = 1; /* the empty directory itself */
                port_to_hub(&node->star, port, &fragment);
                conf.payload.list_conf.fragments = 1;
            }
            port_to_hub(&node->star, port, &conf);
        }
    }
    return NULL;
}

static void archive_send(void *context, const struct pst_signal *signal)
{
    struct node *node = context;
    port_to_hub(&node->star, &node->star.ports[PORT_ARCHIVE], signal);
}

static void archive_ask(struct node *node, const struct pst_signal *order)
{
    const struct pst_commit *decided = &order->payload.commit;
    struct pst_signal question = answer_to(node, order, PST_BLOB_REQ);
    question.receiver_ref = pst_ref_make(pst_ref_node(decided->master_ref), PST_BLOCK_ARCHIVE, 0);
    question.payload.blob.file_bytes = MANIFEST_BYTES;
    archive_send(node, &question);
}

/* order: the ARCHIVE_COMMIT_REQ that waits for its copy. */
static void archive_serve(struct node *node, const struct pst_signal *signal,
                          struct pst_signal *order)
{
    static const char manifest[MANIFEST_BYTES];
    struct pst_signal conf = answer_to(node, signal, PST_CONF_OF(signal->gsn));
    switch (signal->gsn) {
    case PST_ARCHIVE_NUMBER_REQ:
        conf.payload.archive_number.number = 1;
        archive_send(node, &conf);
        break;
    case PST_ARCHIVE_DEFINE_REQ:
        archive_send(node, &conf);
        break;
    case PST_ARCHIVE_MANIFEST_REQ:
    case PST_ARCHIVE_DECIDE_REQ:
        conf.payload.commit.file_bytes = MANIFEST_BYTES;
        archive_send(node, &conf);
        break;
    case PST_ARCHIVE_COMMIT_REQ:
        *order = *signal;
        if (pst_ref_node(signal->payload.commit.master_ref) == node->id)
            archive_send(node, &conf);
        else
            archive_ask(node, signal);
        break;
    case PST_BLOB_REQ:
        bench_must(pst_blob_serve(signal, conf.sender_ref, manifest, MANIFEST_BYTES, archive_send,
                                  node) == 0,
                   "blob");
        break;
    case PST_BLOB_CONF:
        conf = answer_to(node, order, PST_ARCHIVE_COMMIT_CONF);
        archive_send(node, &conf);
        break;
    default:
        break; /* orders and pieces */
    }
}

static void *archive_run(void *argument)
{
    struct node *node = argument;
    struct pst_signal signals[PORT_BURST], order;
    for (;;) {
        uint32_t count = port_wait(&node->star, &node->star.ports[PORT_ARCHIVE], signals);
        for (uint32_t i = 0; i < count; i++)
            archive_serve(node, &signals[i], &order);
    }
    return NULL;
}

/* ---- the client ---- */

static uint64_t ask_for_backup(struct node *node, uint64_t backup)
{
    struct port *port = &node->star.ports[PORT_CLIENT];
    struct pst_signal signals[PORT_BURST];
    struct pst_signal request = {
        .gsn = PST_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(PST_BACKUP_REQ),
        .sender_ref = pst_ref_make(node->id, PST_BLOCK_CLIENT, 0),
        .receiver_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1),
        .backup = backup,
        .sequence = 1,
    };
    memcpy(request.payload.backup_req.uid, &backup, sizeof(backup));
    request.payload.backup_req.request_id = backup;
    uint64_t start_ns = pst_monotonic_ns();
    port_to_hub(&node->star, port, &request);
    for (;;) {
        uint32_t count = port_wait(&node->star, port, signals);
        for (uint32_t i = 0; i < count; i++) {
            bench_must(signals[i].gsn != PST_BACKUP_REF && signals[i].gsn != PST_BACKUP_ABORT_REP,
                       "the backup failed");
            if (signals[i].gsn == PST_BACKUP_COMPLETE_REP)
                return pst_monotonic_ns() - start_ns;
        }
    }
}

static void obey(struct node *node, int command_fd)
{
    struct command command;
    uint64_t backup = 0;
    while (recv(command_fd, &command, sizeof(command), 0) == (ssize_t)sizeof(command) &&
           !command.must_stop) {
        atomic_store(&node->routed, 0);
        command.took_ns = ask_for_backup(node, ++backup);
        command.signals = atomic_load(&node->routed);
        bench_must(send(command_fd, &command, sizeof(command), 0) == (ssize_t)sizeof(command),
                   "answer");
    }
}

/* ---- nodes ---- */

static void begin(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    bench_must(pthread_create(&thread, NULL, run, argument) == 0, "thread");
}

static void node_run(uint32_t id, const struct exchange *exchange, const char *directory,
                     int hub_fd, int command_fd)
{
    static struct node node;
    static struct ldm ldms[LDMS];
    pst_ref self_ref = pst_ref_make(id, PST_BLOCK_PROXY, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    node.id = id;
    node.directory = directory;
    star_open(&node.star, exchange->way, PORTS, hub_fd);
    pst_proxy_init(&node.proxy, self_ref, self_ref, LDMS, 1, &timeouts);
    for (uint32_t i = 0; i < LDMS; i++) {
        ldms[i].node = &node;
        ldms[i].instance = i + 1;
        ldm_open(&ldms[i]);
        begin(ldm_run, &ldms[i]);
    }
    begin(source_run, &node);
    begin(archive_run, &node);
    begin(hub_run, &node);
    if (id == 1)
        obey(&node, command_fd);
    else
        (void)pause();
    _exit(0);
}

void exchange_open(struct exchange *exchange, enum exchange_way way, const char *directory)
{
    int hubs[2], commands[2];
    exchange->way = way;
    bench_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, hubs) == 0 &&
                   socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, commands) == 0,
               "sockets");
    for (uint32_t i = 0; i < NODES; i++) {
        exchange->nodes[i] = fork();
        bench_must(exchange->nodes[i] >= 0, "fork");
        if (exchange->nodes[i] == 0)
            node_run(i + 1, exchange, directory, hubs[i], commands[1]);
        close(hubs[i]);
    }
    close(commands[1]);
    exchange->command_fd = commands[0];
}

uint64_t exchange_round(struct exchange *exchange)
{
    struct command command = {0};
    bench_must(send(exchange->command_fd, &command, sizeof(command), MSG_NOSIGNAL) > 0 &&
                   recv(exchange->command_fd, &command, sizeof(command), 0) ==
                       (ssize_t)sizeof(command),
               "a node of the exchange has ended");
    exchange->signals = command.signals;
    return command.took_ns;
}

void exchange_close(struct exchange *exchange)
{
    for (uint32_t i = 0; i < NODES; i++)
        (void)kill(exchange->nodes[i], SIGKILL);
    for (uint32_t i = 0; i < NODES; i++)
        (void)waitpid(exchange->nodes[i], NULL, 0);
    close(exchange->command_fd);
}
