/*
 * Finds the backup that a command or job means and keeps it from being pruned while it is read;
 * lists backups. Runs on the caller's thread: of `penstock show`, of the jobs in read_job.c, and of
 * programs that call pst_list_backups.
 */
#include "engine/api/reading.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/api/job_check.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/restore/restore.h"

/* "DIR: …", "DIR and 2 more: …". */
static int find(const char *id, enum pst_backup_pick pick, struct pst_reading *reading,
                char *message)
{
    const struct pst_directories *directories = &reading->list.directories;
    char found[PST_MESSAGE_BYTES], more[32] = "";
    int error = pst_backup_find(&reading->list, id, pick, &reading->backup, found);
    if (directories->count > 1)
        snprintf(more, sizeof(more), " and %u more", directories->count - 1);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s%s: %.260s", directories->paths[0], more,
                 found);
    return error;
}

int pst_reading_open(const char *const *directories, uint32_t directories_count,
                     const struct pst_keyring *keyring, const char *id, enum pst_backup_pick pick,
                     struct pst_reading *reading, char *message)
{
    int error =
        pst_backup_list_read_with(directories, directories_count, keyring, &reading->list, message);
    if (error)
        return error;
    error = find(id, pick, reading, message);
    if (error)
        goto err_after_list;
    error = pst_backup_keep(reading->backup, &reading->hold);
    if (!error) {
        reading->passed_over =
            id ? 0 : pst_backup_warn_passed_over(&reading->list, reading->backup);
        return 0;
    }
    snprintf(message, PST_MESSAGE_BYTES, "backup %u is being pruned", reading->backup->number);
err_after_list:
    pst_backup_list_release(&reading->list);
    return error;
}

void pst_reading_close(struct pst_reading *reading)
{
    pst_backup_let_go(&reading->hold);
    pst_backup_list_release(&reading->list);
}

int reading_refuse_shut(const struct pst_reading *reading, char *message)
{
    char text[PST_MESSAGE_BYTES];
    snprintf(message, PST_MESSAGE_BYTES, "backup %u: %.450s", reading->backup->number,
             pst_backup_shut_text(reading->backup, text));
    return -PST_E_NO_KEY;
}

void reading_note_damage(const struct pst_reading *reading)
{
    const struct pst_backup *backup = reading->backup;
    struct pst_verified verified = pst_verified_damaged(&backup->verified, pst_unix_ns());
    int error = backup->has_cluster ? pst_verified_note(backup, &reading->hold, &verified) : 0;
    if (error)
        pst_log(PST_LOG_INFO, "backup %u: that it is damaged could not be noted beside it: %s",
                backup->number, pst_error_text(error));
}

struct each_table {
    pst_reading_each_table *each;
    void *context;
};

static int on_table(void *context, const struct pst_table_entry *entry)
{
    const struct each_table *each = context;
    const struct pst_reading_table table = {
        .node = entry->node,
        .source = entry->source,
        .name = entry->name,
        .flags = entry->flags,
        .shares = entry->shares,
        .rows = entry->rows,
        .bytes = entry->bytes,
    };
    return each->each(each->context, &table);
}

int pst_reading_tables(const struct pst_reading *reading, pst_reading_each_table *each,
                       void *context, char *message)
{
    struct each_table table = {.each = each, .context = context};
    if (reading->backup->is_shut)
        return reading_refuse_shut(reading, message);
    return pst_tables_list(reading->backup, on_table, &table, message);
}

static struct pst_backup_entry entry_of(const struct pst_backup *backup)
{
    const struct pst_manifest_common *common = &backup->cluster.common;
    struct pst_backup_entry entry = {
        .struct_bytes = sizeof(entry),
        .number = backup->number,
        .state = backup->state,
        .error = backup->error,
        .reason = backup->reason,
    };
    if (backup->has_uid)
        memcpy(entry.uid, backup->uid, sizeof(entry.uid));
    if (!backup->has_cluster)
        return entry;
    entry.start_gci = common->start_gci;
    entry.started_unix_ns = common->started_unix_ns;
    entry.finished_unix_ns = common->finished_unix_ns;
    entry.source_bytes = common->sums.source_bytes;
    entry.stored_bytes = common->sums.stored_bytes;
    entry.objects = common->sums.objects;
    entry.unreadable = common->sums.unreadable;
    return entry;
}

int pst_list_backups(const char *const *directories, uint32_t directories_count,
                     int (*each)(void *context, const struct pst_backup_entry *entry),
                     void *context)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    int error = pst_job_check_list("directories", directories, directories_count, message);
    if (error || !each)
        return -EINVAL;
    error = pst_backup_list_read(directories, directories_count, &list, message);
    if (error)
        return error;
    for (size_t i = 0; i < list.count && !error; i++) {
        const struct pst_backup_entry entry = entry_of(list.backups[i]);
        error = each(context, &entry);
    }
    pst_backup_list_release(&list);
    return error;
}
