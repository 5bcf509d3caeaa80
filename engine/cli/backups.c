/*
 * Reads the list of backups below --from and turns a backup into JSON. Called by the commands that
 * look at backups, on the main thread.
 */
#include "engine/cli/backups.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/cli/json_text.h"
#include "engine/cli/key_options.h"
#include "engine/json/json_build.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/running.h"
#include "engine/service/interrupt.h"

/* Whether a directory that --from names is not there. */
static bool lacks_directory(const struct cli_arguments *arguments)
{
    const char *directories[CLI_OPTION_VALUES_MAX];
    uint32_t count = cli_argument_texts(arguments, "from", directories);
    for (uint32_t i = 0; i < count; i++) {
        if (access(directories[i], F_OK) < 0 && errno == ENOENT)
            return true;
    }
    return false;
}

enum cli_exit cli_backups_exit(const struct cli_arguments *arguments, int error)
{
    switch (error) {
    case -ECANCELED:
        return CLI_EXIT_INTERRUPTED;
    case -PST_E_NO_BACKUP:
    case -PST_E_INCOMPLETE:
        return CLI_EXIT_NO_BACKUP;
    case -PST_E_NO_KEY:
        return CLI_EXIT_KEY;
    case -ENOENT:
        return lacks_directory(arguments) ? CLI_EXIT_NO_BACKUP : CLI_EXIT_FAILED;
    default:
        return CLI_EXIT_FAILED;
    }
}

enum cli_exit cli_backups_read(const struct cli_arguments *arguments,
                               const struct pst_keyring *keyring, struct pst_backup_list *list)
{
    const char *directories[CLI_OPTION_VALUES_MAX];
    char message[PST_MESSAGE_BYTES];
    uint32_t count = cli_argument_texts(arguments, "from", directories);
    int error = pst_backup_list_read_with(directories, count, keyring, list, message);
    if (error)
        return cli_fail(arguments, cli_backups_exit(arguments, error), "%s", message);
    return CLI_EXIT_DONE;
}

enum cli_exit cli_backups_keys_fail(const struct cli_arguments *arguments, int error,
                                    const char *message)
{
    if (error == -ECANCELED)
        return cli_fail(arguments, CLI_EXIT_INTERRUPTED, "interrupted; %s", message);
    return cli_fail(arguments, error == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED, "%s", message);
}

enum cli_exit cli_backups_keys(const struct cli_arguments *arguments, struct pst_keyring **keyring)
{
    struct cli_keys given;
    char message[PST_MESSAGE_BYTES];
    const struct pst_keys *keys = cli_keys_read(arguments, false, &given);
    int error = pst_keyring_read(keys, pst_interrupt_fd(), keyring, message);
    return error ? cli_backups_keys_fail(arguments, error, message) : CLI_EXIT_DONE;
}

const struct pst_backup *cli_backups_next_sealed(const struct cli_arguments *arguments,
                                                 const struct pst_backup_list *list, const char *id,
                                                 size_t *next, enum cli_exit *code)
{
    const struct pst_backup *backup = NULL;
    char message[PST_MESSAGE_BYTES];
    int error =
        id && *next == 0 ? pst_backup_find(list, id, PST_PICK_DECIDED, &backup, message) : 0;
    if (error) {
        *code = cli_fail(arguments, cli_backups_exit(arguments, error), "%s%s", message,
                         cli_backups_hint(id, error));
        return NULL;
    }
    if (id) {
        *next = 1;
        return backup;
    }
    while (*next < list->count) {
        backup = list->backups[(*next)++];
        if (backup->has_cluster && pst_backup_is_sealed(backup))
            return backup;
    }
    return NULL;
}

const char *cli_backups_hint(const char *id, int error)
{
    bool is_short = id && strlen(id) < 4 && strspn(id, "0123456789") < strlen(id);
    return error == -PST_E_NO_BACKUP && is_short ? "; give at least 4 digits of a uid" : "";
}

static json_t *decided_json(const struct pst_backup *backup)
{
    const struct pst_manifest_common *common = &backup->cluster.common;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "start_gci",
        cli_json_big(common->start_gci), "stop_gci", cli_json_big(common->stop_gci), "started",
        cli_json_time(common->started_unix_ns), "finished", cli_json_time(common->finished_unix_ns),
        "source_bytes", (json_int_t)common->sums.source_bytes, "stored_bytes",
        (json_int_t)common->sums.stored_bytes, "objects", (json_int_t)common->sums.objects,
        "chunks", (json_int_t)common->sums.chunks, "unreadable",
        (json_int_t)common->sums.unreadable, "nodes", (json_int_t)backup->cluster.nodes_count);
}

bool cli_backup_codecs(const struct pst_backup *backup, struct cli_backup_codecs *codecs)
{
    bool is_known = backup->has_cluster && backup->nodes;
    *codecs = (struct cli_backup_codecs){0};
    for (uint32_t i = 0; is_known && i < backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &backup->nodes[i];
        is_known = node->parts_count > 0;
        for (uint32_t j = 0; j < node->parts_count; j++) {
            codecs->lz4_chunks += node->parts[j].lz4_chunks;
            codecs->zstd_chunks += node->parts[j].zstd_chunks;
        }
    }
    return is_known;
}

static void set_codecs(json_t **object, const struct pst_backup *backup)
{
    const struct pst_part_sums *sums = &backup->cluster.common.sums;
    struct cli_backup_codecs codecs;
    if (cli_backup_codecs(backup, &codecs))
        pst_json_set(object, "codec_chunks",
                     cli_json_codecs(sums->chunks, codecs.lz4_chunks, codecs.zstd_chunks));
    if (backup->has_cluster && sums->stored_bytes > 0)
        pst_json_set(object, "ratio",
                     json_real((double)sums->source_bytes / (double)sums->stored_bytes));
}

/* Sets the ids, where there are any. */
static void set_ids(json_t **object, const char *name, const uint32_t *ids, uint32_t count)
{
    if (count == 0)
        return;
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++)
        pst_json_append(&array, json_integer(ids[i]));
    pst_json_set(object, name, array);
}

/* What it was compared with, and what of it lies in others; nothing of a full one. */
static void set_origins(json_t **object, const struct pst_backup *backup)
{
    char uid[2 * PST_UID_BYTES + 1];
    const struct pst_manifest_base *base = cli_backup_base(backup);
    if (!base)
        return;
    json_t *origins = json_array();
    for (uint32_t i = 0; i < backup->cluster.origins_count; i++) {
        const struct pst_manifest_origin *origin = &backup->cluster.origins[i];
        pst_hex_encode(origin->uid, PST_UID_BYTES, uid);
        pst_json_append(&origins,
                        json_pack("{s:I, s:s, s:I, s:I}", "number", (json_int_t)origin->number,
                                  "uid", uid, "bytes", (json_int_t)origin->bytes, "objects",
                                  (json_int_t)origin->objects));
    }
    pst_hex_encode(base->uid, PST_UID_BYTES, uid);
    pst_json_set(object, "base",
                 json_pack("{s:I, s:s}", "number", (json_int_t)base->number, "uid", uid));
    pst_json_set(object, "shared_bytes", json_integer((json_int_t)pst_backup_shared_bytes(backup)));
    pst_json_set(object, "origins", origins);
}

const struct pst_manifest_base *cli_backup_base(const struct pst_backup *backup)
{
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].base.number > 0)
            return &backup->nodes[i].base;
    }
    return NULL;
}

static json_t *verified_json(const struct pst_verified *verified)
{
    return json_pack("{s:o, s:b, s:I, s:I}", "at", cli_json_time(verified->unix_ns), "damaged",
                     (int)verified->is_damaged, "windows", (json_int_t)verified->windows, "covered",
                     (json_int_t)verified->covered);
}

json_t *cli_backup_json(const struct pst_backup *backup)
{
    char uid[2 * PST_UID_BYTES + 1];
    uint32_t ids[PST_NODES_MAX];
    json_t *value = json_pack("{s:I, s:s}", "number", (json_int_t)backup->number, "state",
                              pst_backup_state_text(backup->state));
    if (backup->reason[0] != '\0')
        pst_json_set(&value, "reason", cli_json_text(backup->reason));
    if (pst_backup_is_sealed(backup))
        pst_json_set(&value, "sealed", json_true());
    if (pst_backup_is_running(backup))
        pst_json_set(&value, "running", json_true());
    if (backup->is_pinned)
        pst_json_set(&value, "pinned", json_true());
    if (backup->verified.is_known)
        pst_json_set(&value, "verified", verified_json(&backup->verified));
    pst_hex_encode(backup->uid, PST_UID_BYTES, uid);
    if (backup->has_uid)
        pst_json_set(&value, "uid", json_string(uid));
    if (backup->has_cluster)
        pst_json_merge(&value, decided_json(backup));
    if (backup->has_cluster && backup->cluster.label[0])
        pst_json_set(&value, "label", json_string(backup->cluster.label));
    set_codecs(&value, backup);
    set_origins(&value, backup);
    set_ids(&value, "missing_nodes", ids, pst_backup_missing(backup, ids));
    set_ids(&value, "elsewhere_nodes", ids, pst_backup_elsewhere(backup, ids));
    if (backup->stored_as != backup->number)
        pst_json_set(&value, "directory",
                     json_string(pst_repository_backup_name(backup->stored_as).text));
    return value;
}
