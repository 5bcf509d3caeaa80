/*
 * Takes a source through a backup's steps and counts what it lists; files are not opened, only
 * asked whether they could be. Called by session.c on its thread.
 */
#include "engine/api/dry_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/format/index.h"
#include "engine/format/manifest.h"
#include "engine/format/sums.h"
#include "engine/node/node.h"
#include "engine/repository/base.h"
#include "engine/repository/lease.h"
#include "penstock/fragment.h"

/* The one slot, which each fragment gets again. */
struct counter {
    struct pst_fragment_sink sink;
    struct pst_fragment_descriptor *slot;
    const struct pst_source *source;
    uint64_t catalogue_bytes;
    uint64_t refused; /* files that may not be read */
    uint64_t object;  /* the last of them: a large one is in several fragments */
};

static int acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    *slot = ((struct counter *)sink)->slot;
    return 0;
}

static void look_at(struct counter *counter, const struct pst_fragment_file *file)
{
    if (!file->path || file->object == counter->object ||
        faccessat(counter->source->root_fd, file->path, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) ==
            0 ||
        (errno != EACCES && errno != EPERM))
        return;
    pst_log(PST_LOG_WARNING, "source %s: %s: %s; its contents would not be in the backup",
            counter->source->name, file->path, pst_error_text(-errno));
    counter->object = file->object;
    counter->refused++;
}

static int emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    struct counter *counter = (struct counter *)sink;
    counter->catalogue_bytes += slot->entries_bytes;
    for (uint32_t i = 0; i < slot->files_count; i++)
        look_at(counter, &slot->files[i]);
    return 0;
}

/* Nothing is read: there is nothing to wait for. */
static int wait_read(struct pst_fragment_sink *sink)
{
    (void)sink;
    return 0;
}

static int freeze_and_pin(struct pst_source *source, uint64_t freeze_wait_ns)
{
    int error = pst_source_prepare(source);
    if (!error)
        error = pst_source_freeze(source, pst_monotonic_ns() + freeze_wait_ns);
    if (error)
        return error;
    error = pst_source_snapshot(source, pst_unix_ns());
    int thawed = pst_source_thaw(source);
    return error ? error : thawed;
}

int dry_run_source(struct pst_source *source, uint64_t freeze_wait_ns,
                   struct pst_session_estimate *total)
{
    struct counter counter = {.sink = {.acquire = acquire, .emit = emit, .wait_read = wait_read},
                              .source = source};
    struct pst_source_listing listing = {0};
    counter.slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES);
    if (!counter.slot)
        return -ENOMEM;
    int error = freeze_and_pin(source, freeze_wait_ns);
    if (!error)
        error = pst_source_list(source, &counter.sink, &listing);
    pst_source_release(source);
    free(counter.slot);
    total->objects += listing.objects;
    total->source_bytes += listing.bytes;
    total->stored_bytes_most += listing.bytes + counter.catalogue_bytes;
    total->unreadable += listing.unreadable + counter.refused;
    total->skipped += listing.skipped;
    return error;
}

int dry_run_base(const struct pst_node_config *node, char *message)
{
    char why[PST_MESSAGE_BYTES], host[PST_HOST_BYTES_MAX + 1] = "";
    struct pst_node_manifest *manifest =
        node->base.mode == PST_BASE_ID ? calloc(1, sizeof(*manifest)) : NULL;
    const struct pst_base_seeker seeker = {.policy = &node->base,
                                           .directory = node->directory,
                                           .keyring = node->recipients,
                                           .manifest = manifest,
                                           .now_unix_ns = pst_unix_ns()};
    if (node->base.mode != PST_BASE_ID)
        return 0;
    if (!manifest)
        return -ENOMEM;
    manifest->node = node->node;
    manifest->common.cluster_id = pst_node_cluster_id(node);
    manifest->host = gethostname(host, sizeof(host) - 1) == 0 ? host : NULL;
    manifest->sources_count = node->sources_count;
    for (uint32_t i = 0; i < node->sources_count; i++)
        manifest->sources[i].name = node->sources[i]->name;
    int error = pst_base_check(&seeker, why);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "base %s: %.400s", node->base.id, why);
    free(manifest);
    return error;
}

int pst_session_probe_directory(const char *directory, char *message)
{
    return pst_repository_lease_probe(directory, message);
}

/* Chunks have a header and an entry in an index, and objects a checksum. */
uint64_t dry_run_frame_bytes(const struct pst_session_estimate *estimate, uint32_t chunk_bytes,
                             uint32_t ldms)
{
    uint64_t bytes = PST_CHUNK_HEADER_BYTES + PST_BLOCK_BYTES + sizeof(struct pst_index_entry);
    uint64_t chunks = estimate->stored_bytes_most / chunk_bytes +
                      estimate->objects / PST_CHUNK_PIECES_MAX + 8 * (uint64_t)ldms;
    return chunks * bytes + estimate->objects * sizeof(struct pst_object_sum);
}
