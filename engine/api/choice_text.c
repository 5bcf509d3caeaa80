/* Writes down what a job chose of a source. Called by session.c on the caller's thread. */
#include "engine/api/choice_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/digest.h"
#include "engine/format/manifest.h"

/* Takes bytes; without room for them it counts them. */
struct words {
    char *text;
    size_t bytes;
};

static void put_byte(struct words *words, char byte)
{
    if (words->text)
        words->text[words->bytes] = byte;
    words->bytes++;
}

static void put_text(struct words *words, const char *text)
{
    while (*text)
        put_byte(words, *text++);
}

/* Of the value, what separates options, or is written otherwise in JSON, or is not ASCII, as %HH.
 */
static void put(struct words *words, const char *option, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    put_text(words, words->bytes > 0 ? " --" : "--");
    put_text(words, option);
    for (; *value; value++) {
        bool is_plain = *value > ' ' && *value < 0x7F && !strchr("%\"\\", *value);
        put_byte(words, is_plain ? *value : '%');
        if (is_plain)
            continue;
        put_byte(words, digits[(unsigned char)*value >> 4]);
        put_byte(words, digits[*value & 15]);
    }
}

static void put_all(struct words *words, const char *option, const char *const *values,
                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put(words, option, values[i]);
}

static void put_files(struct words *words, const struct pst_file_filter *files)
{
    put_all(words, "exclude=", files->patterns, files->patterns_count);
    put_all(words, "exclude-if-present=", files->tags, files->tags_count);
    if (files->no_caches)
        put(words, "exclude-caches", "");
    if (files->crosses_file_systems)
        put(words, "one-file-system=no", "");
}

static void put_tables(struct words *words, const struct pst_backup_job *job)
{
    put(words, "logical", "");
    put_all(words, "tables=", job->tables, job->tables_count);
    put_all(words, "exclude-tables=", job->unwanted_tables, job->unwanted_tables_count);
}

static void put_choice(struct words *words, const struct pst_source *source,
                       const struct pst_backup_job *job, const struct pst_file_filter *files)
{
    if (files && strcmp(source->type, "dir") == 0)
        put_files(words, files);
    if (job->is_logical && (source->flags & PST_SOURCE_CAN_ROWS))
        put_tables(words, job);
}

/* As much of a long one as there is room for. No option begins as the digest does. */
static void shorten(char *text, size_t bytes)
{
    char end[PST_DIGEST_TEXT_BYTES + 4] = "... ";
    const struct pst_digest digest = pst_digest_of(text, bytes, 0);
    pst_digest_text(&digest, end + 4);
    memcpy(text + PST_SOURCE_CHOICE_BYTES_MAX - strlen(end), end, strlen(end) + 1);
}

int choice_text(const struct pst_source *source, const struct pst_backup_job *job,
                const struct pst_file_filter *files, char **text)
{
    struct words words = {0};
    put_choice(&words, source, job, files);
    words.text = *text = calloc(words.bytes + 1, 1);
    if (!words.text)
        return -ENOMEM;
    words.bytes = 0;
    put_choice(&words, source, job, files);
    if (words.bytes > PST_SOURCE_CHOICE_BYTES_MAX)
        shorten(words.text, words.bytes);
    return 0;
}
