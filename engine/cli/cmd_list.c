/*
 * penstock list: prints the backups in directories. Called by command.c, on the main thread.
 */
#include <stdio.h>

#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/base/time_text.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/running.h"

#define BASE_TEXT_BYTES 64u

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION, CLI_OPTION_JSON, {0}};

/* Which codecs chunks were encoded by. */
static const char *codec_text(const struct pst_backup *backup)
{
    struct cli_backup_codecs codecs;
    if (!cli_backup_codecs(backup, &codecs))
        return "-";
    if (codecs.lz4_chunks > 0)
        return codecs.zstd_chunks > 0 ? "lz4, zstd" : "lz4";
    return codecs.zstd_chunks > 0 ? "zstd" : "none";
}

/* "  base 4, 1.2 GiB shared", of one that is not full. */
static const char *base_text(const struct pst_backup *backup, char text[BASE_TEXT_BYTES])
{
    char size[CLI_VALUE_TEXT_BYTES];
    const struct pst_manifest_base *base = cli_backup_base(backup);
    text[0] = '\0';
    if (base)
        snprintf(text, BASE_TEXT_BYTES, "  base %u, %s shared", base->number,
                 cli_value_size_text(pst_backup_shared_bytes(backup), size));
    return text;
}

/* "verified 2026-01-31T12:34:56Z", of a sample "verified 30% by …". text: 64 bytes; returned. */
static const char *verified_text(const struct pst_verified *verified, char *text)
{
    char when[PST_TIME_TEXT_BYTES], percent[16] = "";
    text[0] = '\0';
    if (!verified->is_known)
        return text;
    if (!verified->is_damaged && verified->covered < verified->windows)
        snprintf(percent, sizeof(percent), "%u%% by ", verified->covered * 100 / verified->windows);
    snprintf(text, 64, "  %s %s%s", verified->is_damaged ? "found damaged" : "verified", percent,
             pst_time_text(verified->unix_ns, 0, when));
    return text;
}

static void print_row(const struct pst_backup *backup)
{
    char size[CLI_VALUE_TEXT_BYTES], stored[CLI_VALUE_TEXT_BYTES], ratio[CLI_VALUE_TEXT_BYTES];
    char when[PST_TIME_TEXT_BYTES];
    char uid[2 * PST_UID_BYTES + 1], base[BASE_TEXT_BYTES], verified[64];
    const struct pst_manifest_common *common = &backup->cluster.common;
    const char *label = backup->cluster.label;
    if (!backup->has_cluster) {
        bool runs = pst_backup_is_running(backup);
        cli_print_line(stdout, "%7u  %-10s  %s", backup->number,
                       runs ? "running" : pst_backup_state_text(backup->state),
                       runs ? "it is being written now" : backup->reason);
        return;
    }
    pst_hex_encode(common->uid, PST_UID_BYTES, uid);
    cli_print_line(
        stdout, "%7u  %-10s  %-20s  %10s  %10s  %6s  %-9s  %10llu  %.8s%s%s%s%s%s%s%s%s",
        backup->number, pst_backup_state_text(backup->state),
        pst_time_text(common->started_unix_ns, 0, when),
        cli_value_size_text(common->sums.source_bytes, size),
        cli_value_size_text(common->sums.stored_bytes, stored),
        cli_value_ratio_text(common->sums.source_bytes, common->sums.stored_bytes, ratio),
        codec_text(backup), (unsigned long long)common->sums.objects, uid, base_text(backup, base),
        backup->is_pinned ? "  pinned" : "", verified_text(&backup->verified, verified),
        label[0] ? "  label \"" : "", label, label[0] ? "\"" : "", backup->reason[0] ? "  " : "",
        backup->reason);
}

static int print_list(const struct pst_backup_list *list, bool json)
{
    int error = 0;
    if (!json && list->count > 0)
        cli_print_line(stdout, "%7s  %-10s  %-20s  %10s  %10s  %6s  %-9s  %10s  %s", "number",
                       "state", "started", "size", "stored", "ratio", "codec", "objects", "uid");
    for (size_t i = 0; i < list->count && !error; i++) {
        if (json)
            error = cli_json_record(stdout, "backup", cli_backup_json(list->backups[i]));
        else
            print_row(list->backups[i]);
    }
    return error;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct pst_backup_list list;
    struct pst_keyring *keyring;
    int error = 0;
    enum cli_exit code = cli_backups_keys(arguments, &keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    code = cli_backups_read(arguments, keyring, &list);
    if (code == CLI_EXIT_DONE) {
        error = print_list(&list, cli_argument_json(arguments));
        pst_backup_list_release(&list);
    }
    pst_keyring_release(keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_list = {
    .name = "list", .summary = "list the backups in directories", .options = options, .run = run};
