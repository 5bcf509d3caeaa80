/* The backup directory of a node: a model disk, over which the product's repository runs; and what
 * the checkers see of it, by the product's own decoders. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/repository/layout.h"
#include "tests/sim/sim.h"

static const struct {
    enum sim_plant plant;
    enum model_op op;
} ignored[] = {
    {SIM_PLANT_WRITE_LOST, MODEL_WRITE},
    {SIM_PLANT_FSYNC_LOST, MODEL_SYNC_FILE},
    {SIM_PLANT_DIRECTORY_FSYNC_LOST, MODEL_SYNC_DIRECTORY},
    {SIM_PLANT_RENAME_LOST, MODEL_RENAME},
    {SIM_PLANT_REMOVE_LOST, MODEL_REMOVE},
    {SIM_PLANT_RMDIR_LOST, MODEL_REMOVE_DIRECTORY},
};

/* For the node's process, and for the checkers, who look on while the node is down too. */
static void attach(struct sim_node *node)
{
    snprintf(node->path, sizeof(node->path), "node %u", node->id);
    model_disk_attach(node->disk, &node->repository);
    model_disk_attach(node->disk, &node->seen);
    node->repository.path = node->path;
}

void sim_disk_open(struct sim *sim, struct sim_node *node)
{
    node->disk = model_disk_make();
    node->disk->keeps_no_records = true;
    node->has_had_errors = false;
    for (uint32_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++) {
        if (sim_planted(sim, ignored[i].plant))
            node->disk->ignored = ignored[i].op;
    }
    attach(node);
}

void sim_disk_close(struct sim_node *node)
{
    model_disk_free(node->disk);
}

void sim_disk_crash(struct sim *sim, struct sim_node *node, bool power_loss)
{
    model_disk_end_process(&node->repository);
    model_disk_end_process(&node->seen);
    if (power_loss)
        model_disk_lose_power(node->disk, sim_random_next(&sim->random));
    attach(node);
}

#define CALLS_FEW 8u
#define CALLS_MANY 60u

void sim_disk_arm(struct sim *sim, struct sim_node *node)
{
    uint32_t most = sim_random_hits(&sim->random, 500) ? CALLS_FEW : CALLS_MANY;
    uint64_t nth = sim_random_between(&sim->random, 1, most);
    int error = sim_random_hits(&sim->random, 500) ? -EIO : -ENOSPC;
    node->strikes = SIM_FAULTS;
    if (sim_fault_is_due(sim, SIM_FAULT_STORAGE_ERROR))
        node->strikes = SIM_FAULT_STORAGE_ERROR;
    else if (sim_fault_is_due(sim, SIM_FAULT_STORAGE_CRASH))
        node->strikes = SIM_FAULT_STORAGE_CRASH;
    else if (sim_fault_is_due(sim, SIM_FAULT_STORAGE_POWER))
        node->strikes = SIM_FAULT_STORAGE_POWER;
    if (node->strikes == SIM_FAULT_STORAGE_ERROR)
        model_disk_fail(node->disk, MODEL_ANY, nth, error);
    else if (node->strikes != SIM_FAULTS)
        model_disk_kill(node->disk, nth);
}

bool sim_disk_survives(struct sim *sim, struct sim_node *node)
{
    struct model_disk *disk = node->disk;
    bool has_struck = node->strikes != SIM_FAULTS && disk->fail_at == 0;
    disk->fail_at = 0;
    if (!has_struck)
        return true;
    sim_count_fault(sim, node->strikes);
    node->has_had_errors |= node->strikes == SIM_FAULT_STORAGE_ERROR;
    if (node->strikes == SIM_FAULT_STORAGE_ERROR)
        return true;
    sim_mischief_crash(sim, node, node->strikes == SIM_FAULT_STORAGE_POWER);
    return false;
}

/* ---- what is there ---- */

static struct pst_repository_path path_in(const struct sim_share *share, struct layout_name name)
{
    struct pst_repository_path path;
    int bytes = snprintf(path.text, sizeof(path.text), "%s/%s", layout_backup(share->number).text,
                         name.text);
    assert(bytes > 0 && (size_t)bytes < sizeof(path.text));
    return path;
}

struct pst_repository_path sim_disk_path(const struct sim_share *share, enum sim_file file,
                                         uint32_t part)
{
    switch (file) {
    case SIM_NODE_MANIFEST:
        return path_in(share, layout_node_manifest(share->number, share->node + 1));
    case SIM_CLUSTER_MANIFEST:
        return path_in(share, layout_cluster_manifest(share->number));
    case SIM_CLUSTER_COPY:
        return path_in(share, layout_cluster_copy(share->number));
    default:
        return pst_repository_part_path(share->number, share->node + 1, part + 1,
                                        share->parts_count);
    }
}

bool sim_disk_read(struct sim *sim, const struct sim_share *share, enum sim_file file,
                   uint32_t part, struct sim_bytes *bytes)
{
    struct sim_node *node = &sim->nodes[share->node];
    struct pst_repository_path path = sim_disk_path(share, file, part);
    struct pst_repository *repository = &node->seen;
    free(bytes->bytes);
    *bytes = (struct sim_bytes){NULL, 0};
    node->disk->is_quiet = true;
    int error = repository_read(repository, repository->root, path.text, PST_MANIFEST_BYTES_MAX,
                                &bytes->bytes, &bytes->size);
    node->disk->is_quiet = false;
    if (error)
        *bytes = (struct sim_bytes){NULL, 0};
    if (error && file == SIM_CLUSTER_MANIFEST) /* either of the two will do */
        return sim_disk_read(sim, share, SIM_CLUSTER_COPY, part, bytes);
    return !error;
}

bool sim_disk_is_durable(const struct sim *sim, const struct sim_share *share, enum sim_file file,
                         uint32_t part)
{
    const struct model_disk *disk = sim->nodes[share->node].disk;
    return model_disk_is_durable(disk, sim_disk_path(share, file, part).text) ||
           (file == SIM_CLUSTER_MANIFEST &&
            model_disk_is_durable(disk, sim_disk_path(share, SIM_CLUSTER_COPY, 0).text));
}

void sim_disk_forget(struct sim_node *node, const struct sim_share *share, enum sim_file file)
{
    struct pst_repository *repository = &node->seen;
    node->disk->is_quiet = true;
    int backup = repository_open_backup(repository, share->number);
    if (backup >= 0) {
        const char *name = strchr(sim_disk_path(share, file, 0).text, '/') + 1;
        (void)repository_remove(repository, backup, name);
        (void)repository_sync(repository, backup);
        repository_close(repository, backup);
    }
    node->disk->is_quiet = false;
}

bool sim_disk_has(struct sim *sim, const struct sim_share *share, enum sim_file file)
{
    struct sim_bytes found = {NULL, 0};
    const struct sim_bytes *meant = file == SIM_NODE_MANIFEST
                                        ? &share->node_manifest
                                        : &sim->backups[share->backup].cluster_manifest;
    bool has = meant->bytes && sim_disk_read(sim, share, file, 0, &found) &&
               found.size == meant->size && memcmp(found.bytes, meant->bytes, found.size) == 0;
    free(found.bytes);
    return has;
}

bool sim_disk_has_directory(struct sim_node *node, uint32_t number)
{
    struct pst_repository_status status;
    node->disk->is_quiet = true;
    int error =
        repository_status(&node->seen, node->seen.root, layout_backup(number).text, &status);
    node->disk->is_quiet = false;
    return !error;
}

/* The cluster manifest that is there, if it is one of this backup. */
bool sim_disk_read_cluster(struct sim *sim, const struct sim_share *share, struct sim_bytes *bytes,
                           struct pst_cluster_manifest *manifest, struct pst_digest *digest)
{
    struct pst_damage damage;
    return sim_disk_read(sim, share, SIM_CLUSTER_MANIFEST, 0, bytes) &&
           !pst_manifest_decode_cluster(bytes->bytes, bytes->size, manifest, digest, &damage) &&
           pst_uid_low(manifest->common.uid) == sim->backups[share->backup].uid_low;
}

enum sim_held sim_held_of(struct sim *sim, const struct sim_share *share)
{
    if (!share || !sim_disk_has_directory(&sim->nodes[share->node], share->number))
        return SIM_HELD_NOTHING;
    struct sim_bytes found = {NULL, 0};
    struct pst_cluster_manifest manifest;
    struct pst_node_manifest own;
    struct pst_digest digest;
    struct pst_damage damage;
    bool has_cluster = sim_disk_read(sim, share, SIM_CLUSTER_MANIFEST, 0, &found);
    bool is_of_it = has_cluster && sim_disk_read_cluster(sim, share, &found, &manifest, &digest);
    bool has_node = sim_disk_read(sim, share, SIM_NODE_MANIFEST, 0, &found) &&
                    !pst_manifest_decode_node(found.bytes, found.size, &own, &digest, &damage);
    bool is_own = has_node && pst_uid_low(own.common.uid) == sim->backups[share->backup].uid_low;
    if (has_node)
        pst_manifest_release_node(&own);
    free(found.bytes);
    if (is_of_it || is_own)
        return is_of_it ? SIM_HELD_COMMITTED : SIM_HELD_PREPARED;
    return has_cluster || has_node ? SIM_HELD_NOTHING : SIM_HELD_DEBRIS;
}

/* ---- the part of an LDM ---- */

/* Opens the directory of the part: a handle. */
static int open_part(struct sim_node *node, const struct sim_part *part, uint32_t index)
{
    struct pst_repository *repository = &node->repository;
    char path[2 * LAYOUT_NAME_BYTES];
    snprintf(path, sizeof(path), "%s/%s", layout_backup(part->number).text,
             layout_part_dir(part->number, index + 1, part->parts).text);
    return repository_open(repository, repository->root, path);
}

static void fill(struct sim *sim, const struct sim_share *share, uint32_t index, char *bytes)
{
    const struct sim_part *part = &share->parts[index];
    struct pst_part_identity identity = {.number = part->number,
                                         .node = (uint16_t)(share->node + 1),
                                         .part = (uint16_t)(index + 1),
                                         .parts = (uint16_t)part->parts};
    memcpy(identity.uid, &sim->backups[share->backup].uid_low, sizeof(uint64_t));
    (void)pst_part_header_seal(bytes, &identity, PST_CHUNK_BYTES_MIN, index + 1, 1);
    memcpy(bytes + PST_BLOCK_BYTES, &part->digest, sizeof(part->digest));
}

int sim_part_write(struct sim *sim, struct sim_node *node, const struct sim_share *share,
                   uint32_t part, enum sim_part_state state)
{
    static const size_t bytes_of[] = {0, PST_BLOCK_BYTES, SIM_PART_BYTES};
    static char bytes[SIM_PART_BYTES] __attribute__((aligned(8)));
    struct layout_name name = layout_part_file(share->parts[part].number, node->id);
    int directory = open_part(node, &share->parts[part], part);
    if (directory < 0)
        return directory;
    if (state != SIM_PART_BLANK)
        fill(sim, share, part, bytes);
    int error =
        repository_overwrite(&node->repository, directory, name.text, bytes, bytes_of[state]);
    if (!error && state == SIM_PART_DURABLE && !sim_planted(sim, SIM_PLANT_PREPARED_NOT))
        error = model_disk_sync_file(&node->repository, directory, name.text);
    repository_close(&node->repository, directory);
    return error;
}

int sim_part_remove(struct sim_node *node, const struct sim_share *share, uint32_t part)
{
    struct layout_name name = layout_part_file(share->parts[part].number, node->id);
    int directory = open_part(node, &share->parts[part], part);
    if (directory < 0)
        return directory == -ENOENT ? 0 : directory;
    int error = repository_remove(&node->repository, directory, name.text);
    repository_close(&node->repository, directory);
    return error == -ENOENT ? 0 : error;
}

bool sim_part_is_whole(struct sim *sim, const struct sim_share *share, uint32_t part)
{
    struct sim_bytes found = {NULL, 0};
    uint64_t digest = share->part_digests[part];
    bool is_whole = sim_disk_read(sim, share, SIM_PART, part, &found) &&
                    found.size == SIM_PART_BYTES &&
                    memcmp(found.bytes + PST_BLOCK_BYTES, &digest, sizeof(digest)) == 0;
    free(found.bytes);
    return is_whole;
}

bool sim_part_is_torn(struct sim *sim, const struct sim_share *share, uint32_t part)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct sim_bytes found = {NULL, 0};
    struct pst_damage damage;
    bool is_there = sim_disk_read(sim, share, SIM_PART, part, &found) && found.size > 0;
    size_t size = found.size < sizeof(block) ? found.size : sizeof(block);
    if (is_there)
        memcpy(block, found.bytes, size);
    free(found.bytes);
    return is_there && pst_part_header_check(block, size, NULL, &damage) != 0;
}
