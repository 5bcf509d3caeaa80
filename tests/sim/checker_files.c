/*
 * Files: in the backup directory of a live node is what belongs to decided backups, and nothing
 * else, but what somebody said could not be removed; that goes with the next backup. Nobody removes
 * what is at work.
 */
#include <string.h>

#include "engine/repository/layout.h"
#include "tests/sim/sim.h"

static const struct sim_share *decided_share(const struct sim *sim, const struct sim_node *node,
                                             uint32_t number)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->was_decided && backup->manifest.number == number &&
            pst_set_has(&backup->manifest.nodes, node->id - 1))
            return backup->shares[node->id - 1];
    }
    return NULL;
}

/* What could not be removed is gone with the next DEFINE, by its sweep. */
static bool may_wait_for_a_sweep(const struct sim *sim, const struct sim_node *node,
                                 uint32_t number)
{
    bool may = node->has_had_errors;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        may |= share && share->number == number && share->may_remain;
    }
    return may && !sim->swept;
}

/* Whether it is the directory of a part whose header a loss of power tore: nobody can tell whose it
 * is. */
static bool is_torn_part(struct sim *sim, const struct sim_node *node, uint32_t number,
                         const char *name)
{
    uint32_t part, parts;
    bool is = false;
    if (!layout_parse_part_dir(name, number, &part, &parts))
        return false;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        is |= share && share->number == number && share->parts_count == parts && part <= parts &&
              sim_part_is_torn(sim, share, part - 1);
    }
    return is;
}

void sim_check_removed(struct sim *sim, const struct pst_signal *answer)
{
    if (answer->gsn != PST_CLEANUP_BACKUP_REF && answer->gsn != PST_ARCHIVE_CLEANUP_REF)
        return;
    struct sim_backup *backup = sim_backup_of(sim, answer->backup);
    struct sim_share *share = backup->shares[pst_ref_node(answer->sender_ref) - 1];
    if (share)
        share->may_remain = true;
}

static bool belongs(const struct sim_share *share, const char *name)
{
    uint32_t part, parts;
    return strcmp(name, layout_node_manifest(share->number, share->node + 1).text) == 0 ||
           strcmp(name, layout_cluster_manifest(share->number).text) == 0 ||
           strcmp(name, layout_cluster_copy(share->number).text) == 0 ||
           (layout_parse_part_dir(name, share->number, &part, &parts) &&
            parts == share->parts_count);
}

static void check_inside(struct sim *sim, struct sim_node *node, const struct sim_share *share)
{
    struct pst_repository_names names;
    int backup = repository_open_backup(&node->seen, share->number);
    int error = backup < 0 ? backup : repository_list(&node->seen, backup, &names);
    if (backup >= 0)
        repository_close(&node->seen, backup);
    if (error)
        return; /* the other checkers miss it */
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        if (!belongs(share, name))
            sim_fail(sim, SIM_CHECKER_FILES, "node %u has %s in a complete backup", node->id, name);
    }
    repository_names_free(&names);
}

/* The directory of a backup without a decision has torn parts and nothing else. */
static void check_debris(struct sim *sim, struct sim_node *node, uint32_t number)
{
    struct pst_repository_names names;
    int backup = repository_open_backup(&node->seen, number);
    int error = backup < 0 ? backup : repository_list(&node->seen, backup, &names);
    if (backup >= 0)
        repository_close(&node->seen, backup);
    const char *name = error ? NULL : repository_names_next(&names, NULL);
    if (!name)
        sim_fail(sim, SIM_CHECKER_FILES, "node %u still has the empty %s", node->id,
                 layout_backup(number).text);
    for (; name; name = repository_names_next(&names, name)) {
        if (!is_torn_part(sim, node, number, name))
            sim_fail(sim, SIM_CHECKER_FILES, "node %u still has %s of a backup without a decision",
                     node->id, name);
    }
    if (!error)
        repository_names_free(&names);
}

static void check_node(struct sim *sim, struct sim_node *node)
{
    struct pst_repository_names names;
    node->disk->is_quiet = true;
    if (repository_list(&node->seen, node->seen.root, &names))
        sim_fail(sim, SIM_CHECKER_FILES, "the disk of node %u cannot be read", node->id);
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        uint32_t number = 0;
        const struct sim_share *share = NULL;
        if (layout_parse_backup(name, &number))
            share = decided_share(sim, node, number);
        if (share && sim->swept)
            check_inside(sim, node, share);
        else if (!share && !may_wait_for_a_sweep(sim, node, number))
            check_debris(sim, node, number);
    }
    repository_names_free(&names);
    node->disk->is_quiet = false;
}

void sim_check_files(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        check_node(sim, &sim->nodes[i]);
}
