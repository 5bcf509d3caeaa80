/* A node of a cluster in a program: each backup of the cluster has its value at the cut, as a file.
 *     cc embedded.c $(pkg-config --cflags --libs penstock) -pthread -o embedded
 *     ./embedded CLUSTER ID DIRECTORY SOCKET     until Enter; penstock backup --node SOCKET */
#include <penstock/penstock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_ullong value = 42; /* writers add to it atomically: nothing has to be frozen */
static char at_cut[24];          /* the value as text, until the next backup */

static int snapshot(struct pst_source *source, uint64_t gci)
{
    (void)source, (void)gci;
    snprintf(at_cut, sizeof(at_cut), "%-22llu\n", atomic_load(&value));
    return 0;
}

static int list(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing)
{
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_FILE,
                                      .path = "value",
                                      .size = sizeof(at_cut) - 1,
                                      .mode = 0644};
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = object.size};
    struct pst_packer packer;
    pst_packer_init(&packer, sink, listing);
    int error = pst_packer_object(&packer, &object, &file);
    if (!error)
        error = pst_packer_literal(&packer, 0, object.size, at_cut);
    return error ? error : pst_packer_finish(&packer);
}

int main(int argc, char **argv)
{
    struct pst_source source, *const sources[] = {&source};
    struct pst_backup_job backup;
    struct pst_node_job job;
    struct pst_node_outcome outcome;
    if (argc != 5)
        return fprintf(stderr, "usage: embedded CLUSTER ID DIRECTORY SOCKET\n"), 2;
    pst_source_init(&source, "counter");
    source.flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM;
    source.snapshot = snapshot;
    source.list = list;
    pst_backup_job_init(&backup);
    backup.directory = argv[3];
    backup.sources = sources;
    backup.sources_count = 1;
    pst_node_job_init(&job);
    job.cluster = argv[1];
    job.node = (uint32_t)atoi(argv[2]);
    job.socket_path = argv[4];
    job.backup = &backup;
    job.stop_fd = 0; /* standard input */
    pst_node_outcome_init(&outcome);
    if (pst_node_run(&job, &outcome) == 0)
        return 0;
    return fprintf(stderr, "embedded: %s\n", outcome.message), 1;
}
