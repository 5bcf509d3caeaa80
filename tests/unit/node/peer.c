/* A node beside a peer that is only a fabric; the test's main thread, which is the peer's hub,
 * calls it. */
#include "tests/unit/node/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/repository/layout.h"
#include "net/shm/shm_fabric.h"

static struct pst_channel *_Atomic stalled;
static sem_t gate;
static _Atomic uint64_t *taken; /* shared with a child */

static void must(bool is_well, const char *what)
{
    if (is_well)
        return;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

/* In place of the real one, which the linker (--wrap) gives the other name. */
uint32_t __real_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals);
uint32_t __wrap_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals);

uint32_t __wrap_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals)
{
    if (atomic_load(&stalled) == channel) {
        while (sem_wait(&gate) < 0 && errno == EINTR)
            continue;
    }
    uint32_t count = __real_pst_channel_from_hub(channel, signals);
    atomic_fetch_add(taken, count);
    return count;
}

uint64_t signals_taken(void)
{
    return atomic_load(taken);
}

void stall(struct pst_channel *channel)
{
    must(sem_init(&gate, 0, 0) == 0, "sem_init");
    atomic_store(&stalled, channel);
}

void resume(void)
{
    atomic_store(&stalled, NULL);
    sem_post(&gate);
}

void host_open(struct host *host, uint32_t ldms, uint64_t failure_ns,
               void (*before)(const struct host *host))
{
    static const char *specs[] = {"s=synthetic:rows=100"};
    memset(host, 0, sizeof(*host));
    if (!taken)
        taken =
            mmap(NULL, sizeof(*taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(taken != MAP_FAILED, "mmap");
    atomic_store(taken, 0);
    make_scratch(host->to, "/dev/shm");
    make_scratch(host->fabric, "/dev/shm");
    rig_open(&host->rig, host->to, ldms, specs, 1);
    snprintf(host->name, sizeof(host->name), "unit-%d", (int)getpid());
    host->cluster = (struct pst_cluster_config){
        .name = host->name,
        .id = HOST_CLUSTER_ID,
        .fabric_directory = host->fabric,
        .failure_ns = failure_ns ? failure_ns : 2 * PEER_PATIENCE_NS,
    };
    pst_set_add(&host->cluster.expected, 0);
    host->rig.options.node.cluster = &host->cluster;
    if (before)
        before(host);
    must(pst_node_start(&host->rig.options.node, &host->node) == 0, "node 1");
}

void host_close(struct host *host)
{
    pst_node_stop(host->node, NULL);
    rig_close(&host->rig);
    remove_tree(host->to);
    remove_tree(host->fabric);
}

struct pst_node_status host_status(struct host *host)
{
    struct pst_node_status status;
    pst_node_status(host->node, &status);
    return status;
}

static void put_file(const struct host *host, uint32_t number, const char *name,
                     const struct pst_manifest_text *text)
{
    char path[2 * SCRATCH_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s/%s", host->to, layout_backup(number).text, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, text->text, text->bytes) == (ssize_t)text->bytes, path);
    close(fd);
}

/* A field that nobody knows makes it longer. */
static void stretch(struct pst_manifest_text *text)
{
    size_t more = (size_t)PST_RING_SIGNALS * PST_BLOB_DATA_BYTES;
    char hex[33], *line = NULL;
    size_t line_bytes = (size_t)(strchr(text->text, '\n') + 1 - text->text);
    must(asprintf(&line, "{\"stretch\":\"%0*d\",%.*s", (int)more, 0, (int)line_bytes - 1,
                  text->text + 1) > 0,
         "asprintf");
    free(text->text);
    text->digest = pst_digest_of(line, strlen(line), 0);
    pst_hex_encode(text->digest.bytes, sizeof(text->digest.bytes), hex);
    int bytes = asprintf(&text->text, "%s{\"checksum\":\"xxh3-128:%s\"}\n", line, hex);
    must(bytes > 0, "asprintf");
    text->bytes = (uint64_t)bytes;
    free(line);
}

static void make_cluster_manifest(const struct pst_node_manifest *node,
                                  const struct pst_manifest_text *node_text,
                                  struct pst_manifest_text *text)
{
    struct pst_cluster_manifest cluster = {
        .common = node->common,
        .master_node = PEER_NODE,
        .nodes_count = 2,
        .nodes = {{.node = 1, .file_bytes = node_text->bytes, .digest = node_text->digest},
                  {.node = PEER_NODE, .file_bytes = node_text->bytes}},
    };
    must(pst_manifest_encode_cluster(&cluster, text) == 0, "cluster manifest");
    stretch(text);
}

void leave_in_doubt(const struct host *host, uint32_t number, uint32_t cluster_id,
                    struct pst_manifest_text *text)
{
    static struct pst_node_manifest manifest;
    struct pst_manifest_text node_text;
    char path[2 * SCRATCH_PATH_BYTES];
    manifest = (struct pst_node_manifest){
        .common = {.number = number, .cluster_id = cluster_id, .uid = {(uint8_t)number}},
        .node = 1,
        .chunk_bytes = PST_CHUNK_BYTES_MIN,
        .master_node = PEER_NODE,
        .participants_count = 2,
        .participants = {1, PEER_NODE},
        .sources_count = 1,
        .sources = {{"s", "synthetic:rows=1", 0, NULL}},
        .parts_count = 1,
        .parts = {{.part = 1, .ldm = 1}},
    };
    must(pst_manifest_encode_node(&manifest, &node_text) == 0, "node manifest");
    snprintf(path, sizeof(path), "%s/%s", host->to, layout_backup(number).text);
    must(mkdir(path, 0700) == 0, path);
    put_file(host, number, layout_node_manifest(number, 1).text, &node_text);
    if (text)
        make_cluster_manifest(&manifest, &node_text, text);
    free(node_text.text);
}

static void serve_client(struct host *host)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count = host->is_deaf ? 0 : pst_client_take(host->node, signals);
    for (uint32_t i = 0; i < count; i++) {
        host->joined += signals[i].gsn == PST_NODE_JOINED_ORD;
        host->failed += signals[i].gsn == PST_NODE_FAILED_ORD;
        if (signals[i].gsn == PST_NODE_FAILED_ORD)
            pst_client_heard_failure(host->node, &signals[i]);
    }
}

void peer_open(struct peer *peer, struct host *host, uint64_t incarnation)
{
    char message[PST_MESSAGE_BYTES];
    uint32_t ldms = 1;
    struct pst_shm_config config = {
        .directory = host->fabric,
        .memory = PST_SHM_NORMAL,
        .hello = {.cluster_id = HOST_CLUSTER_ID, .node = PEER_NODE, .incarnation = incarnation},
        .failure_ns = host->cluster.failure_ns,
    };
    memset(peer, 0, sizeof(*peer));
    peer->host = host;
    snprintf(config.hello.cluster, sizeof(config.hello.cluster), "%s", host->name);
    memcpy(config.hello.options, &ldms, sizeof(ldms));
    must(pst_shm_fabric_open(&config, &peer->fabric, message, sizeof(message)) == 0, "node 2");
}

void peer_close(struct peer *peer)
{
    pst_fabric_close(peer->fabric);
    peer->fabric = NULL;
}

static void keep(struct peer *peer, const struct pst_fabric_event *event)
{
    peer->joined += event->type == PST_FABRIC_JOINED;
    peer->failed += event->type == PST_FABRIC_FAILED;
    peer->expelled += event->type == PST_FABRIC_EXPELLED;
    if (event->type == PST_FABRIC_EXPELLED)
        snprintf(peer->reason, sizeof(peer->reason), "%s", event->reason);
    if (event->type == PST_FABRIC_FAILED)
        pst_fabric_readmit(peer->fabric, event->node);
    for (uint32_t i = 0; event->type == PST_FABRIC_SIGNALS && i < event->signals_count; i++)
        peer->signals[peer->received++ % PEER_KEPT] = event->signals[i];
}

void peer_round(struct peer *peer)
{
    struct pst_fabric_event event;
    int status = 0;
    serve_client(peer->host);
    while (peer->fabric && !peer->is_blind &&
           (status = pst_fabric_poll(peer->fabric, pst_monotonic_ns(), &event)) > 0)
        keep(peer, &event);
    must(status == 0, "fabric of node 2");
    sched_yield();
}

struct pst_node_status host_fresh_status(struct host *host, struct peer *peer)
{
    uint64_t now_ns = pst_monotonic_ns(), until_ns = now_ns + PEER_PATIENCE_NS;
    while (host_status(host).updated_ns <= now_ns && pst_monotonic_ns() < until_ns)
        peer_round(peer);
    return host_status(host);
}

bool peer_until(struct peer *peer, const uint32_t *value, uint32_t wanted)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    while (*value < wanted && pst_monotonic_ns() < until_ns)
        peer_round(peer);
    return *value >= wanted;
}

struct pst_signal peer_question(pst_ref receiver, uint32_t sequence)
{
    enum pst_block block = pst_ref_block(receiver);
    bool is_blob = block == PST_BLOCK_ARCHIVE;
    pst_ref sender =
        pst_ref_make(PEER_NODE, is_blob ? PST_BLOCK_ARCHIVE : PST_BLOCK_BACKUP, is_blob ? 0 : 1);
    struct pst_signal question = {
        .gsn = is_blob ? PST_BLOB_REQ : PST_START_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .sender_ref = sender,
        .receiver_ref = receiver,
        .backup = 77,
        .sequence = sequence,
    };
    question.length = pst_gsn_payload_bytes(question.gsn);
    question.payload.order.master_ref = sender;
    if (is_blob) {
        question.payload.blob.number = 4000000;
        question.payload.blob.file_bytes = 1;
    }
    return question;
}

void peer_ask(struct peer *peer, pst_ref receiver, uint32_t sequence)
{
    struct pst_signal question = peer_question(receiver, sequence);
    must(pst_fabric_send(peer->fabric, 1, &question) == 0, "a signal to node 1");
}

uint32_t peer_count(const struct peer *peer, uint32_t sequence)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < peer->received && i < PEER_KEPT; i++)
        count += peer->signals[i].sequence == sequence;
    return count;
}

const struct pst_signal *peer_until_answer(struct peer *peer, uint32_t sequence)
{
    uint64_t until_ns = pst_monotonic_ns() + PEER_PATIENCE_NS;
    uint32_t looked = 0;
    do {
        for (; looked < peer->received; looked++) {
            if (peer->signals[looked % PEER_KEPT].sequence == sequence)
                return &peer->signals[looked % PEER_KEPT];
        }
        peer_round(peer);
    } while (pst_monotonic_ns() < until_ns);
    return NULL;
}
