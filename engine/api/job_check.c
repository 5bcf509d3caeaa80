/*
 * Looks at the lists and descriptors of a job before anybody reads them. Called by the entries of
 * the library, on the caller's thread.
 */
#include "engine/api/job_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>

#include "engine/base/limits.h"
#include "engine/base/streams.h"

struct text_list {
    const char *name;
    const char *const *texts;
    uint32_t count;
    bool may_be_empty; /* a text, for there is a table without a name */
};

static int check_list(const struct text_list *list, char *message)
{
    uint32_t i = 0;
    while (list->texts && i < list->count && list->texts[i] &&
           (list->may_be_empty || list->texts[i][0]))
        i++;
    if (i == list->count)
        return 0;
    bool is_empty = list->texts && list->texts[i];
    snprintf(message, PST_MESSAGE_BYTES, "%s: %s is %s, of a list that counts %u", list->name,
             list->texts ? "one of the texts" : "the list", is_empty ? "empty" : "NULL",
             list->count);
    return -EINVAL;
}

int pst_job_check_list(const char *name, const char *const *texts, uint32_t count, char *message)
{
    const struct text_list list = {name, texts, count, false};
    return check_list(&list, message);
}

int pst_job_check_name(const char *name, const char *text, char *message)
{
    if (!text || text[0])
        return 0;
    snprintf(message, PST_MESSAGE_BYTES, "%s: the text is empty", name);
    return -EINVAL;
}

static int check_lists(const struct text_list *lists, size_t count, char *message)
{
    int error = 0;
    for (size_t i = 0; !error && i < count; i++)
        error = check_list(&lists[i], message);
    return error;
}

#define CHECK(lists, message) check_lists(lists, sizeof(lists) / sizeof((lists)[0]), message)

static int check_keys(const struct pst_keys *keys, char *message)
{
    if (!keys || keys->struct_bytes < sizeof(*keys)) /* which is found where they are read */
        return 0;
    const struct text_list lists[] = {
        {"files of keys", keys->files, keys->files_count, false},
        {"recipients", keys->recipients, keys->recipients_count, false},
    };
    int error = CHECK(lists, message);
    if (!error)
        error = pst_job_check_name("passphrase file", keys->passphrase_file, message);
    return error ? error
                 : pst_job_check_name("passphrase command", keys->passphrase_command, message);
}

/* A descriptor that is closed would count as readable. */
int pst_job_check_fd(const char *name, int fd, char *message)
{
    if (fd < 0 || fcntl(fd, F_GETFD) >= 0)
        return 0;
    snprintf(message, PST_MESSAGE_BYTES, "%s: descriptor %d is not open: give -1 for none", name,
             fd);
    return -EINVAL;
}

int job_check_backup(const struct pst_backup_job *job, char *message)
{
    const struct text_list lists[] = {
        {"specs", job->specs, job->specs_count, false},
        {"tables", job->tables, job->tables_count, true},
        {"unwanted tables", job->unwanted_tables, job->unwanted_tables_count, true},
        {"exclude", job->exclude, job->exclude_count, false},
        {"exclude files", job->exclude_files, job->exclude_files_count, false},
        {"exclude tags", job->exclude_tags, job->exclude_tags_count, false},
    };
    if (job->sources_count > 0 && !job->sources) {
        snprintf(message, PST_MESSAGE_BYTES, "sources: the list is NULL");
        return -EINVAL;
    }
    if (job->number > PST_BACKUP_NUMBER_WANTED_MAX || job->full_every > PST_FULL_EVERY_MAX) {
        snprintf(message, PST_MESSAGE_BYTES, "number %u, full-every %u: give at most %u and %u",
                 job->number, job->full_every, PST_BACKUP_NUMBER_WANTED_MAX, PST_FULL_EVERY_MAX);
        return -EINVAL;
    }
    int error = CHECK(lists, message);
    if (!error)
        error = pst_job_check_name("base", job->base, message);
    if (!error)
        error = pst_job_check_name("freeze command", job->freeze_command, message);
    if (!error)
        error = pst_job_check_name("thaw command", job->thaw_command, message);
    return error ? error : check_keys(job->keys, message);
}

int pst_job_check_sealing(const struct pst_backup_job *given, char *message)
{
    size_t end = offsetof(struct pst_backup_job, keys) + sizeof(given->keys);
    const struct pst_keys *keys = given && given->struct_bytes >= end ? given->keys : NULL;
    if (!keys || keys->files_count > 0 || keys->recipients_count > 0 || keys->passphrase_asks > 0 ||
        keys->passphrase_file || keys->passphrase_command)
        return 0;
    snprintf(message, PST_MESSAGE_BYTES,
             "keys: there is none in it: give NULL for a backup that is not sealed");
    return -EINVAL;
}

int job_check_begin(const struct pst_backup_job *given, char *message)
{
    bool has_one = given && given->struct_bytes >= offsetof(struct pst_backup_job, label);
    int error = has_one ? pst_job_check_fd("cancel_fd", given->run.cancel_fd, message) : 0;
    return error ? error : pst_streams_occupy(message);
}

/* Of those that read backups. */
static int check_reading(const char *directory, const char *id, const struct text_list *more,
                         const struct pst_keys *keys, const struct pst_run *run, char *message)
{
    if (!directory || !directory[0]) {
        snprintf(message, PST_MESSAGE_BYTES, "no directory of backups is given");
        return -EINVAL;
    }
    int error = check_list(more, message);
    if (!error)
        error = pst_job_check_name("id", id, message);
    if (!error)
        error = pst_job_check_fd("cancel_fd", run->cancel_fd, message);
    return error ? error : check_keys(keys, message);
}

int job_check_verify(const struct pst_verify_job *job, char *message)
{
    const struct text_list more = {"more directories", job->more_directories,
                                   job->more_directories_count, false};
    const struct text_list lists[] = {{"only", job->only, job->only_count, false}};
    if (job->sample_percent > 100) {
        snprintf(message, PST_MESSAGE_BYTES, "a sample of %u percent: give at most 100",
                 job->sample_percent);
        return -EINVAL;
    }
    int error = check_reading(job->directory, job->id, &more, job->keys, &job->run, message);
    return error ? error : CHECK(lists, message);
}

int job_check_restore(const struct pst_restore_job *job, char *message)
{
    const struct text_list more = {"more directories", job->more_directories,
                                   job->more_directories_count, false};
    const struct text_list lists[] = {
        {"only", job->only, job->only_count, false},
        {"paths", job->paths, job->paths_count, false},
        {"tables", job->tables, job->tables_count, true},
    };
    int error = check_reading(job->directory, job->id, &more, job->keys, &job->run, message);
    if (!error)
        error = pst_job_check_name("target", job->target, message);
    return error ? error : CHECK(lists, message);
}
