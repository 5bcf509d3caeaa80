/* Reads files of patterns, as git reads a .gitignore, and puts the job's own behind them. Called by
 * session.c on the caller's thread. */
#include "engine/api/file_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/object.h"

#define LINES_MAX 65536u

/* Spaces at the end count only behind a backslash. */
static void trim(char *line)
{
    char *end = line;
    for (char *at = line; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == ' ')
            continue;
        end = at + 1;
    }
    *end = '\0';
}

/* Takes a line of so many bytes out of the reader's buffer. */
static int take_line(struct file_choice *choice, char *line, size_t bytes)
{
    if (bytes > 0 && line[bytes - 1] == '\n')
        line[--bytes] = '\0';
    if (bytes > 0 && line[bytes - 1] == '\r')
        line[--bytes] = '\0';
    trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    if (choice->lines_count == LINES_MAX)
        return -E2BIG;
    char **lines = realloc(choice->lines, (choice->lines_count + 1) * sizeof(*lines));
    if (!lines)
        return -ENOMEM;
    choice->lines = lines;
    lines[choice->lines_count] = strdup(line);
    return lines[choice->lines_count] ? (choice->lines_count++, 0) : -ENOMEM;
}

static int read_file(struct file_choice *choice, const char *path)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as some editors put it in front */
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int error = 0;
    bool is_first = true;
    ssize_t bytes;
    while (!error && (bytes = getline(&line, &room, file)) >= 0) {
        size_t skipped = is_first && strncmp(line, mark, 3) == 0 ? 3 : 0;
        if (memchr(line, '\0', (size_t)bytes)) /* such as UTF-16: half a name fits other files */
            error = -EILSEQ;
        else
            error = take_line(choice, line + skipped, (size_t)bytes - skipped);
        is_first = false;
    }
    if (!error && ferror(file))
        error = errno ? -errno : -EIO;
    free(line);
    fclose(file);
    return error;
}

static int read_files(const struct pst_backup_job *job, struct file_choice *choice, char *message)
{
    for (uint32_t i = 0; i < job->exclude_files_count; i++) {
        int error = read_file(choice, job->exclude_files[i]);
        if (error) {
            snprintf(message, PST_MESSAGE_BYTES, "patterns of what to leave out: %s: %s",
                     job->exclude_files[i],
                     error == -EILSEQ ? "it is not text: it has a byte 0" : pst_error_text(error));
            return error;
        }
    }
    return 0;
}

static int check(const struct pst_backup_job *job, char *message)
{
    const char *one = job->one_file_system ? job->one_file_system : "yes";
    if (strcmp(one, "yes") != 0 && strcmp(one, "no") != 0) {
        snprintf(message, PST_MESSAGE_BYTES, "one-file-system \"%s\": want yes or no", one);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < job->exclude_count; i++) {
        if (job->exclude[i][0] == '\0') {
            snprintf(message, PST_MESSAGE_BYTES, "a pattern of what to leave out is empty");
            return -EINVAL;
        }
    }
    for (uint32_t i = 0; i < job->exclude_tags_count; i++) {
        if (!pst_object_name_is_safe(job->exclude_tags[i])) {
            snprintf(message, PST_MESSAGE_BYTES,
                     "\"%s\" is no name of a file in a directory: give one without a slash",
                     job->exclude_tags[i]);
            return -EINVAL;
        }
    }
    return 0;
}

int file_choice_make(const struct pst_backup_job *job, struct file_choice *choice, char *message)
{
    *choice = (struct file_choice){0};
    int error = check(job, message);
    if (!error)
        error = read_files(job, choice, message);
    if (error)
        return error;
    choice->patterns =
        calloc((size_t)choice->lines_count + job->exclude_count + 1, sizeof(*choice->patterns));
    if (!choice->patterns) {
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < choice->lines_count; i++)
        choice->patterns[i] = choice->lines[i];
    for (uint32_t i = 0; i < job->exclude_count; i++)
        choice->patterns[choice->lines_count + i] = job->exclude[i];
    choice->filter = (struct pst_file_filter){
        .patterns = choice->patterns,
        .tags = job->exclude_tags,
        .patterns_count = choice->lines_count + job->exclude_count,
        .tags_count = job->exclude_tags_count,
        .no_caches = job->exclude_caches,
        .crosses_file_systems = job->one_file_system && strcmp(job->one_file_system, "no") == 0,
    };
    return 0;
}

void file_choice_release(struct file_choice *choice)
{
    for (uint32_t i = 0; i < choice->lines_count; i++)
        free(choice->lines[i]);
    free(choice->lines);
    free(choice->patterns);
}
