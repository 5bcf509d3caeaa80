/*
 * A program that is a node of a cluster: each backup of the cluster has the value that the program
 * had at the cut, as the file "value".
 *
 *     cc embedded.c $(pkg-config --cflags --libs penstock) -pthread -o embedded
 *     ./embedded CLUSTER ID DIRECTORY SOCKET      until SIGINT or SIGTERM
 *     penstock backup --node SOCKET               meanwhile
 */
#define _GNU_SOURCE
#include <penstock/penstock.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>

/* A writer that adds to the value by an atomic operation is never in the middle of a write, so
 * nothing has to be frozen. */
struct counter {
    struct pst_source source; /* first: the methods get a pointer to it */
    atomic_ullong value;
    char at_cut[24]; /* the value as text, until the next backup */
};

static int snapshot(struct pst_source *source, uint64_t gci)
{
    struct counter *counter = (struct counter *)source;
    (void)gci;
    snprintf(counter->at_cut, sizeof(counter->at_cut), "%-22llu\n", atomic_load(&counter->value));
    return 0;
}

/* One file, whose bytes lie in memory: a literal. */
static int list(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing)
{
    const struct counter *counter = (struct counter *)source;
    const uint64_t size = sizeof(counter->at_cut) - 1;
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_FILE,
                                      .path = "value",
                                      .size = size,
                                      .mode = 0644};
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = size};
    struct pst_fragment_descriptor *fragment;
    uint8_t entry[512];
    size_t entry_bytes = 0;
    int error = sink->acquire(sink, &fragment);
    if (!error)
        error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (error)
        return error;
    pst_fragment_init(fragment, PST_FRAGMENT_EXTENTS);
    if (pst_fragment_add_entry(fragment, entry, entry_bytes, true) < 0 ||
        pst_fragment_add_file(fragment, &file) < 0 ||
        pst_fragment_add_extent(fragment, 0, size, counter->at_cut) < 0)
        return -PST_E_SCAN;
    listing->fragments = listing->objects = 1;
    listing->bytes = size;
    return sink->emit(sink, fragment);
}

int main(int argc, char **argv)
{
    static struct counter counter = {
        .source = {.struct_bytes = sizeof(struct pst_source),
                   .abi_version = PST_SOURCE_ABI_VERSION,
                   .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                   .root_fd = -1,
                   .type = "counter",
                   .name = "counter",
                   .snapshot = snapshot,
                   .list = list}};
    struct pst_source *const sources[] = {&counter.source};
    struct pst_backup_job backup;
    struct pst_node_job job;
    struct pst_node_outcome outcome;
    sigset_t signals;
    if (argc != 5)
        return fprintf(stderr, "usage: embedded CLUSTER ID DIRECTORY SOCKET\n"), 2;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    pst_backup_job_init(&backup);
    backup.directory = argv[3];
    backup.sources = sources;
    backup.sources_count = 1;
    pst_node_job_init(&job);
    job.cluster = argv[1];
    job.node = (uint32_t)atoi(argv[2]);
    job.socket_path = argv[4];
    job.backup = &backup;
    job.stop_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    pst_node_outcome_init(&outcome);
    atomic_fetch_add(&counter.value, 42); /* other threads of the program would go on so */
    if (pst_node_run(&job, &outcome) == 0)
        return 0;
    fprintf(stderr, "embedded: %s\n", outcome.message);
    return 1;
}
