/* Finds the parts of origins. Called by origins.c and view_file.c, on the threads of whoever reads
 * the backup. */
#include "engine/restore/origin_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/format/digest.h"
#include "engine/repository/backup_origins.h"

int origin_find(const struct pst_backup *backup, const struct pst_origin *origin,
                const struct pst_backup **found, uint32_t *index, char *what)
{
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(origin->uid, PST_UID_BYTES, uid);
    int used = snprintf(what, PST_MESSAGE_BYTES, "backup %u, uid %s", origin->number, uid);
    *found = pst_backup_origin(backup, origin->uid, origin->number);
    if (!*found)
        return -PST_E_BASE_MISSING;
    const struct pst_cluster_manifest *cluster = &(*found)->cluster;
    size_t room = PST_MESSAGE_BYTES - (size_t)used;
    if (!(*found)->has_cluster || !(*found)->nodes) {
        snprintf(what + used, room, ": %.400s", (*found)->reason);
        return (*found)->error ? (*found)->error : -PST_E_BASE_MISSING;
    }
    *index = 0;
    while (*index < cluster->nodes_count && cluster->nodes[*index].node != origin->node)
        ++*index;
    if (cluster->common.number != origin->number ||
        cluster->common.cluster_id != origin->cluster_id || *index == cluster->nodes_count) {
        snprintf(what + used, room, ": it has no such node, or another number or cluster");
        return -PST_E_INCONSISTENT;
    }
    if ((*found)->nodes[*index].parts_count == 0) {
        snprintf(what + used, room, ", node %u: %.300s", origin->node, (*found)->reason);
        return (*found)->is_elsewhere[*index] ? -PST_E_BASE_MISSING : -PST_E_CORRUPT;
    }
    snprintf(what + used, room, ", node %u", origin->node);
    return backup_is_shut(*found, *index) ? -PST_E_NO_KEY : 0;
}

static int add_part(struct pst_part_set *set, const struct pst_part_map *part, uint32_t mark)
{
    struct pst_part_map *parts = realloc(set->parts, (set->count + (size_t)1) * sizeof(*parts));
    if (!parts)
        return -ENOMEM;
    set->parts = parts;
    parts[set->count] = *part;
    parts[set->count++].origin = mark;
    set->file_bytes += part->file_bytes;
    if (part->chunk_bytes > set->chunk_bytes)
        set->chunk_bytes = part->chunk_bytes;
    return 0;
}

int origin_add_parts(struct pst_part_set *set, const struct pst_backup *found, uint32_t index,
                     uint32_t mark)
{
    struct pst_part_set all;
    int error = pst_backup_parts_make(found, &all, NULL);
    if (error)
        return error;
    for (uint32_t i = 0; !error && i < all.count; i++) {
        if (all.parts[i].node_index == index)
            error = add_part(set, &all.parts[i], mark);
    }
    pst_backup_parts_free(&all);
    return error;
}
