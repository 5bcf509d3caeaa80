/* Reads the wrapped data keys of a sealed backup, each of which is kept twice, and opens them.
 * Called by backup.c, for whoever reads backups. */
#include "engine/repository/backup_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/key/keys_file.h"
#include "engine/repository/layout.h"
#include "engine/repository/sealed_manifest.h"

/* One file. */
struct keys_copy {
    int error; /* -ENOENT: it is not there */
    struct pst_damage damage;
    struct pst_digest checksum; /* its own, where it is whole */
};

/* The files of a node, in all directories. */
struct node_keys {
    const struct backup_keys_look *look;
    uint32_t node_index;
    struct pst_part_identity identity;
    struct pst_keys_file file; /* the one that was read last */
    struct keys_copy copies[PST_DIRECTORIES_MAX][LAYOUT_KEYS_COPIES];
    struct pst_digest opened; /* the one that the data key is from */
    char wanted[128];         /* the keys that open it: "key ID or key ID" */
    uint32_t whole;
    bool is_there;
};

static uint32_t node_of(const struct node_keys *keys)
{
    return keys->look->backup->cluster.nodes[keys->node_index].node;
}

static int read_copy(struct node_keys *keys, uint32_t i, uint32_t copy, struct keys_copy *found)
{
    const struct backup_keys_look *look = keys->look;
    struct pst_repository *repository = &look->backup->directories->repositories[i];
    char *bytes;
    size_t size;
    *found = (struct keys_copy){.damage.what = "keys"};
    int error = repository_read(repository, look->handles[i],
                                layout_keys(look->backup->number, node_of(keys), copy).text,
                                PST_KEYS_FILE_BYTES_MAX, &bytes, &size);
    if (error == -EFBIG) {
        found->damage.what = "too long for a file of keys";
        return -PST_E_CORRUPT;
    }
    if (error)
        return error;
    *look->files += 1;
    *look->bytes += size;
    error = pst_keys_file_check(bytes, size, &keys->identity, &keys->file, &found->damage);
    free(bytes);
    return error;
}

/* What people need to find the key of this node. */
static void note_wanted(struct node_keys *keys)
{
    size_t used = 0;
    for (uint32_t i = 0; i < keys->file.head.records_count; i++) {
        const struct pst_keys_record *record = &keys->file.records[i];
        char id[PST_KEY_ID_TEXT_BYTES];
        if (used + sizeof(id) + sizeof(" or passphrase ") > sizeof(keys->wanted))
            break;
        used += (size_t)snprintf(keys->wanted + used, sizeof(keys->wanted) - used, "%s%s %s",
                                 i ? " or " : "",
                                 record->kind == PST_KEY_PASSPHRASE ? "passphrase" : "key",
                                 pst_key_id_text(record->id, id));
    }
}

/* Each node that is not open wants a key, often the same. */
static void add_wanted(struct pst_backup *backup, const char *wanted)
{
    size_t used = strlen(backup->wanted), bytes = strlen(wanted);
    if (bytes == 0 || strstr(backup->wanted, wanted) ||
        used + bytes + sizeof(" and ") > sizeof(backup->wanted))
        return;
    snprintf(backup->wanted + used, sizeof(backup->wanted) - used, "%s%s", used ? " and " : "",
             wanted);
}

/* A file that is whole; any of them may open, if a change of recipients was interrupted. What a key
 * that was given should open, and does not, is damage, wherever else the data key is found. */
static int try_open(struct node_keys *keys, struct keys_copy *found)
{
    struct pst_backup *backup = keys->look->backup;
    struct pst_data_key *known = &backup->keys[keys->node_index], key;
    const struct pst_keyring *keyring = backup->directories->keyring;
    found->checksum = keys->file.head.checksum;
    note_wanted(keys);
    if (!keyring || (known->secret && pst_digest_equal(&found->checksum, &keys->opened)))
        return 0;
    int error = pst_keys_file_open(&keys->file, keyring, &key);
    if (error == -PST_E_CORRUPT)
        found->damage = (struct pst_damage){.what = "keys: not what was sealed here"};
    if (error)
        return error == -PST_E_NO_KEY ? 0 : error;
    if (known->secret) {
        pst_data_key_release(&key);
        return 0;
    }
    *known = key;
    keys->opened = found->checksum;
    return 0;
}

static int read_all(struct node_keys *keys)
{
    const struct pst_backup *backup = keys->look->backup;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        for (uint32_t copy = 0; copy < LAYOUT_KEYS_COPIES; copy++) {
            struct keys_copy *found = &keys->copies[i][copy];
            found->error = read_copy(keys, i, copy, found);
            if (!found->error)
                found->error = try_open(keys, found);
            if (pst_is_own_error(found->error))
                return found->error;
            keys->is_there |= found->error != -ENOENT;
            keys->whole += !found->error;
        }
    }
    return 0;
}

/* The text of a warning, or NULL. */
static const char *copy_fault(const struct keys_copy copies[LAYOUT_KEYS_COPIES], uint32_t copy)
{
    const struct keys_copy *one = &copies[copy], *other = &copies[!copy];
    if (one->error == -ENOENT)
        return other->error == -ENOENT ? NULL : "missing; another copy of it is there";
    if (one->error)
        return "damaged; another copy of it is whole";
    bool differs =
        copy == 1 && !other->error && !pst_digest_equal(&one->checksum, &other->checksum);
    return differs ? "other keys open it than its copy: a change of keys was cut off; make it again"
                   : NULL;
}

static void report(const struct node_keys *keys, uint32_t i, uint32_t copy)
{
    const struct pst_backup *backup = keys->look->backup;
    const struct keys_copy *found = &keys->copies[i][copy];
    const char *fault = copy_fault(keys->copies[i], copy);
    const struct pst_file_name name =
        backup_file_name(backup, i, layout_keys(backup->number, node_of(keys), copy).text);
    if (!fault)
        return;
    if (keys->whole == 0 && found->error != -ENOENT) {
        pst_findings_add_damage(keys->look->findings, &name, 0, &found->damage, found->error);
        return;
    }
    const struct pst_finding warning = {
        .directory = name.directory,
        .file = name.text,
        .what = fault,
        .warning = true,
    };
    findings_add(keys->look->findings, &warning);
}

static void report_lost(const struct node_keys *keys)
{
    const struct pst_backup *backup = keys->look->backup;
    const struct pst_file_name name = backup_file_name(
        backup, PST_DIRECTORIES_MAX, layout_keys(backup->number, node_of(keys), 0).text);
    const struct pst_damage damage = {
        .what = "the keys of a node, without which nothing of it can be read"};
    pst_findings_add_damage(keys->look->findings, &name, 0, &damage, -ENOENT);
}

int backup_open_keys(const struct backup_keys_look *look, uint32_t node_index)
{
    struct pst_backup *backup = look->backup;
    struct node_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    keys->look = look;
    keys->node_index = node_index;
    keys->identity = pst_keys_identity(backup->cluster.common.uid, backup->number,
                                       backup->cluster.common.cluster_id, node_of(keys));
    int error = read_all(keys);
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        for (uint32_t copy = 0; copy < LAYOUT_KEYS_COPIES; copy++)
            report(keys, i, copy);
    }
    if (!error && !keys->is_there)
        report_lost(keys);
    if (!backup->keys[node_index].secret) {
        backup->is_shut = true;
        add_wanted(backup, keys->wanted);
    }
    free(keys);
    return error;
}

/* ---- whom it opens to ---- */

/* One file of keys of a backup that is open there. What is not whole says nothing. */
static bool copy_is_for_all(const struct pst_backup *backup, uint32_t i, int handle,
                            const char *name, const struct pst_part_identity *identity)
{
    struct pst_keys_file file;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    if (repository_read(&backup->directories->repositories[i], handle, name,
                        PST_KEYS_FILE_BYTES_MAX, &bytes, &size))
        return true;
    bool is_whole = !pst_keys_file_check(bytes, size, identity, &file, &damage);
    free(bytes);
    return !is_whole || pst_keys_file_is_for_all(&file, backup->directories->keyring) == 1;
}

/* Both, for a change of keys that was cut off leaves them different. */
static bool is_for_all_in(const struct pst_backup *backup, uint32_t i, uint32_t node,
                          const struct pst_part_identity *identity)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    int handle = repository_open_backup(repository, backup->stored_as);
    bool is_for_all = handle >= 0;
    for (uint32_t copy = 0; is_for_all && copy < LAYOUT_KEYS_COPIES; copy++)
        is_for_all = copy_is_for_all(backup, i, handle,
                                     layout_keys(backup->number, node, copy).text, identity);
    if (handle >= 0)
        repository_close(repository, handle);
    return is_for_all;
}

bool backup_opens_to_all(const struct pst_backup *backup, uint32_t node_index)
{
    const struct pst_keyring *keyring = backup->directories->keyring;
    const struct pst_manifest_common *common = &backup->cluster.common;
    uint32_t node = backup->cluster.nodes[node_index].node;
    const struct pst_part_identity identity =
        pst_keys_identity(common->uid, backup->number, common->cluster_id, node);
    if (!backup->is_sealed[node_index])
        return true;
    if (!keyring || !backup->keys[node_index].secret)
        return false;
    bool is_for_all = true; /* the only key of the ring has opened it */
    for (uint32_t i = backup_next_in(backup, 0);
         keyring->count > 1 && is_for_all && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        is_for_all = is_for_all_in(backup, i, node, &identity);
    return is_for_all;
}

/* ---- what must be sealed ---- */

static void report_open(const struct pst_backup *backup, const char *file, const char *what,
                        struct pst_findings *findings)
{
    const struct pst_file_name name = backup_file_name(backup, PST_DIRECTORIES_MAX, file);
    const struct pst_damage damage = {.what = what};
    pst_findings_add_damage(findings, &name, 0, &damage, -PST_E_CORRUPT);
}

void backup_check_sealing(const struct pst_backup *backup, struct pst_findings *findings)
{
    const struct pst_cluster_manifest *cluster = &backup->cluster;
    const struct layout_name decision = layout_cluster_manifest(backup->number);
    bool is_sealed = manifest_is_sealed(&cluster->common), has_master = false;
    if (!is_sealed && pst_backup_is_sealed(backup))
        report_open(backup, decision.text, "not sealed, and its nodes are", findings);
    for (uint32_t i = 0; is_sealed && i < cluster->nodes_count; i++) {
        uint32_t node = cluster->nodes[i].node;
        has_master = has_master || node == cluster->master_node;
        if (backup->nodes[i].owner && !backup->is_sealed[i])
            report_open(backup, layout_node_manifest(backup->number, node).text,
                        "not sealed, and the decision is", findings);
    }
    if (is_sealed && !has_master)
        report_open(backup, decision.text, "its master is none of its nodes", findings);
}
