/* Finds which backups of a list hold bytes of which. Whoever lists, prunes, verifies or restores.
 */
#include "engine/repository/backup_origins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/format/digest.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"

/* More are counted. */
#define HOLDERS_NAMED 20u

/* Index of the first of that number, or a higher one. */
static size_t find_number(const struct pst_backup_list *list, uint32_t number)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->backups[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct pst_backup *pst_backup_origin(const struct pst_backup *backup,
                                           const uint8_t uid[PST_UID_BYTES], uint32_t number)
{
    const struct pst_backup_list *list = backup->list;
    const struct pst_backup *found = NULL;
    for (size_t i = find_number(list, number);
         i < list->count && list->backups[i]->number == number; i++) {
        const struct pst_backup *other = list->backups[i];
        bool is_it = other->has_uid && memcmp(other->uid, uid, sizeof(other->uid)) == 0;
        if (is_it && (!found || pst_backup_is_usable(other->state)))
            found = other;
    }
    return found;
}

uint64_t pst_backup_shared_bytes(const struct pst_backup *backup)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; backup->has_cluster && i < backup->cluster.origins_count; i++)
        bytes += backup->cluster.origins[i].bytes;
    return bytes;
}

bool pst_backup_has_unknown_origins(const struct pst_backup *backup)
{
    bool is_damaged = backup->state == PST_BACKUP_DAMAGED;
    bool has = backup->state == PST_BACKUP_NEWER || backup->unread || backup->has_unknown ||
               (is_damaged && (!backup->has_cluster || !backup->nodes));
    for (uint32_t i = 0; !has && is_damaged && i < backup->cluster.nodes_count; i++)
        has =
            backup->nodes[i].parts_count == 0 && !backup->is_elsewhere[i] &&
            backup->cluster.nodes[i].node != backup->cluster.master_node; /* which named its own */
    return has;
}

/* The i-th that it names; NULL: there are no more. What the decision has no room for, because its
 * nodes refer to more than one of them may, these name themselves. */
static const struct pst_manifest_origin *origin_at(const struct pst_backup *backup, uint32_t i)
{
    const struct pst_cluster_manifest *cluster = &backup->cluster;
    const struct pst_manifest_origin *found = NULL;
    bool is_full = cluster->origins_count == PST_ORIGINS_MAX && backup->nodes;
    if (i < cluster->origins_count)
        return &cluster->origins[i];
    i -= cluster->origins_count;
    for (uint32_t node = 0; is_full && !found && node < cluster->nodes_count; node++) {
        uint32_t count = backup->nodes[node].origins_count;
        if (i < count)
            found = &backup->nodes[node].origins[i];
        i -= count;
    }
    return found;
}

static bool names(const struct pst_backup *backup, const struct pst_backup *origin)
{
    const struct pst_manifest_origin *named;
    bool has = false;
    for (uint32_t i = 0; origin->has_uid && !has && (named = origin_at(backup, i)); i++)
        has = memcmp(named->uid, origin->uid, sizeof(origin->uid)) == 0;
    return has;
}

/* What has data in it is younger, whatever its number. */
bool pst_backup_refers_to(const struct pst_backup *backup, const struct pst_backup *origin)
{
    return names(backup, origin) ||
           (origin->number < backup->number && pst_backup_has_unknown_origins(backup) &&
            !names(origin, backup));
}

bool backup_is_whole_since(const struct pst_backup *backup, const struct pst_backup *damaged)
{
    const struct pst_verified *verified = &backup->verified;
    return verified->is_known && !verified->is_damaged && verified->covered >= verified->windows &&
           verified->unix_ns > damaged->verified.unix_ns;
}

/* Whether what damage was found in it by way of may lie in the other. */
static bool suspects(const struct pst_backup *backup, const struct pst_backup *other)
{
    return backup->verified.is_damaged && backup != other && pst_backup_refers_to(backup, other) &&
           !backup_is_whole_since(other, backup);
}

const struct pst_backup *backup_suspected_by(const struct pst_backup_list *list,
                                             const struct pst_backup *backup)
{
    for (size_t i = 0; i < list->count; i++) {
        if (suspects(list->backups[i], backup))
            return list->backups[i];
    }
    return NULL;
}

bool backup_shares_damage(const struct pst_backup *backup, const struct pst_backup *other)
{
    return suspects(backup, other) && names(backup, other);
}

const char *backup_holders_text(const struct pst_backup *backup, char *text)
{
    const struct pst_backup_list *list = backup->list;
    char numbers[HOLDERS_NAMED * 12] = "", more[40] = "";
    uint32_t count = 0, used = 0, unknown = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *other = list->backups[i];
        if (other->is_pruned || !pst_backup_refers_to(other, backup))
            continue;
        if (pst_backup_has_unknown_origins(other))
            unknown = other->number;
        if (count++ < HOLDERS_NAMED)
            used += (uint32_t)snprintf(numbers + used, sizeof(numbers) - used, "%s%u",
                                       used ? ", " : "", other->number);
    }
    if (count > HOLDERS_NAMED)
        snprintf(more, sizeof(more), " and %u more", count - HOLDERS_NAMED);
    text[0] = '\0';
    if (count == 0)
        return text;
    used = (uint32_t)snprintf(text, PST_MESSAGE_BYTES, "backup%s %s%s", count > 1 ? "s" : "",
                              numbers, more);
    if (unknown > 0)
        snprintf(text + used, PST_MESSAGE_BYTES - used, ", or may, for backup %u cannot be read",
                 unknown);
    return text;
}

/* ---- of all nodes ---- */

/* The origin of this uid in the cluster's list, now or since; NULL: there is no room for more. */
static struct pst_manifest_origin *enter_origin(struct pst_cluster_manifest *cluster,
                                                const struct pst_manifest_origin *origin)
{
    uint32_t i = 0;
    while (i < cluster->origins_count &&
           memcmp(cluster->origins[i].uid, origin->uid, sizeof(origin->uid)) != 0)
        i++;
    if (i == PST_ORIGINS_MAX)
        return NULL;
    if (i == cluster->origins_count) {
        cluster->origins[i] = (struct pst_manifest_origin){.number = origin->number};
        memcpy(cluster->origins[i].uid, origin->uid, sizeof(origin->uid));
        cluster->origins_count++;
    }
    return &cluster->origins[i];
}

/* What all nodes that are loaded have in it. */
static struct pst_manifest_origin sum_of(const struct pst_backup *backup,
                                         const struct pst_manifest_origin *origin)
{
    struct pst_manifest_origin sum = *origin;
    sum.bytes = sum.objects = 0;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &backup->nodes[i];
        for (uint32_t j = 0; j < node->origins_count; j++) {
            if (memcmp(node->origins[j].uid, origin->uid, sizeof(origin->uid)) != 0)
                continue;
            sum.bytes += node->origins[j].bytes;
            sum.objects += node->origins[j].objects;
        }
    }
    return sum;
}

void backup_gather_origins(struct pst_backup *backup)
{
    struct pst_manifest_version *version = &backup->cluster.common.version;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        version->incompatible |= backup->nodes[i].common.version.incompatible & PST_FORMAT_REFERS;
        for (uint32_t j = 0; j < backup->nodes[i].origins_count; j++)
            (void)enter_origin(&backup->cluster, &backup->nodes[i].origins[j]);
    }
    for (uint32_t i = 0; i < backup->cluster.origins_count; i++) {
        const struct pst_manifest_origin sum = sum_of(backup, &backup->cluster.origins[i]);
        if (sum.bytes >= backup->cluster.origins[i].bytes)
            backup->cluster.origins[i] = sum;
    }
}

/* ---- of one that is prepared ---- */

static int read_origins_of(struct pst_backup *backup, struct pst_repository *repository,
                           int directory, const char *name)
{
    struct pst_node_manifest *node = malloc(sizeof(*node));
    if (!node)
        return -ENOMEM;
    int error = node_manifest_read(repository, directory, name, node, NULL, NULL);
    for (uint32_t i = 0; !error && i < node->origins_count; i++)
        backup->has_unknown |= !enter_origin(&backup->cluster, &node->origins[i]);
    if (!error)
        pst_manifest_release_node(node);
    backup->has_unknown = backup->has_unknown || error;
    free(node);
    return pst_is_own_error(error) ? error : 0;
}

static int read_origins_in(struct pst_backup *backup, uint32_t i)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    struct pst_repository_names names;
    uint32_t number;
    int directory = repository_open_backup(repository, backup->stored_as);
    if (directory < 0)
        return pst_is_own_error(directory) ? directory : 0;
    int error = repository_list(repository, directory, &names);
    if (error) {
        repository_close(repository, directory);
        return pst_is_own_error(error) ? error : 0;
    }
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (layout_parse_node_manifest(name, backup->number, &number))
            error = read_origins_of(backup, repository, directory, name);
    }
    repository_names_free(&names);
    repository_close(repository, directory);
    return error;
}

int backup_read_origins(struct pst_backup *backup)
{
    int error = 0;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = read_origins_in(backup, i);
    return error;
}

/* ---- what its origins make of a backup ---- */

/* What is wrong with one of them. */
struct fault {
    const struct pst_manifest_origin *origin; /* NULL: nothing is */
    const struct pst_backup *found;           /* NULL: it is not there */
};

/* A partial one has all that its nodes wrote, and one that was cut off all that was taken of it. */
static bool is_there(const struct pst_backup *origin)
{
    return pst_backup_is_usable(origin->state) || origin->state == PST_BACKUP_CUT_OFF ||
           (origin->state == PST_BACKUP_SPLIT && origin->error != -PST_E_ELSEWHERE);
}

/* Of one that is not all there. */
static bool has_share(const struct pst_backup *origin, uint32_t node)
{
    bool has = false;
    for (uint32_t i = 0; origin->nodes && !has && i < origin->cluster.nodes_count; i++)
        has = origin->cluster.nodes[i].node == node && origin->nodes[i].parts_count > 0 &&
              !origin->is_hit[i];
    return has;
}

static bool is_named(const struct pst_node_manifest *node, const struct pst_manifest_origin *origin)
{
    bool is = false;
    for (uint32_t i = 0; !is && i < node->origins_count; i++)
        is = memcmp(node->origins[i].uid, origin->uid, sizeof(origin->uid)) == 0;
    return is;
}

/* A node refers to what it wrote itself: what another one wrote there may be gone. */
static bool has_all(const struct pst_backup *backup, const struct pst_manifest_origin *origin,
                    const struct pst_backup *found)
{
    uint32_t nodes = 0, shares = 0;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        if (!is_named(&backup->nodes[i], origin))
            continue;
        nodes++;
        shares += has_share(found, backup->cluster.nodes[i].node);
    }
    return nodes > 0 && shares == nodes;
}

static struct fault look_at_origins(const struct pst_backup *backup)
{
    struct fault fault = {0};
    const struct pst_manifest_origin *origin;
    for (uint32_t i = 0; !fault.origin && (origin = origin_at(backup, i)); i++) {
        fault.found = pst_backup_origin(backup, origin->uid, origin->number);
        if (!fault.found || (!is_there(fault.found) && !has_all(backup, origin, fault.found)))
            fault.origin = origin;
    }
    return fault;
}

static void apply(struct pst_backup *backup, const struct fault *fault)
{
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(fault->origin->uid, PST_UID_BYTES, uid);
    bool is_elsewhere = !fault->found || fault->found->state == PST_BACKUP_SPLIT;
    backup->state = is_elsewhere ? PST_BACKUP_SPLIT : PST_BACKUP_DAMAGED;
    backup->error = -PST_E_BASE_MISSING;
    if (is_elsewhere)
        snprintf(backup->reason, sizeof(backup->reason),
                 "complete, but backup %u, uid %s, which holds some of its data, is not in the "
                 "directories given: "
                 "name its directory too",
                 fault->origin->number, uid);
    else
        snprintf(backup->reason, sizeof(backup->reason),
                 "backup %u, uid %s, which holds some of its data, is %s: %.300s",
                 fault->origin->number, uid, pst_backup_state_text(fault->found->state),
                 fault->found->reason);
}

/* That it was found whole counts while what it refers to is what was read then, not a copy of it.
 */
static void judge_note(struct pst_backup *backup)
{
    struct pst_verified *verified = &backup->verified;
    for (uint32_t i = 0; verified->is_known && i < backup->cluster.origins_count; i++) {
        const struct pst_manifest_origin *named = &backup->cluster.origins[i];
        const struct pst_backup *origin = pst_backup_origin(backup, named->uid, named->number);
        bool is_later = origin && origin->here_since_ns > verified->unix_ns;
        if (is_later && !verified->is_damaged)
            *verified = (struct pst_verified){.unix_ns = verified->unix_ns};
    }
}

/* What an origin lacks of its own origins does not matter to others, so all are looked at before
 * any is judged. */
int backup_judge_origins(struct pst_backup_list *list)
{
    struct fault *faults = calloc(list->count + 1, sizeof(*faults));
    if (!faults)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *backup = list->backups[i];
        if (backup->has_cluster && pst_backup_is_usable(backup->state))
            faults[i] = look_at_origins(backup);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (faults[i].origin)
            apply(list->backups[i], &faults[i]);
        judge_note(list->backups[i]);
    }
    free(faults);
    return 0;
}
