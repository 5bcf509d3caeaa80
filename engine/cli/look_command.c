/*
 * Opens a backup to be looked into, and prints its objects. Called by ls, find, cat, diff and
 * stats, on the main thread.
 */
#include "engine/cli/look_command.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/base/time_text.h"
#include "engine/cli/backups.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"

static const char *const type_texts[] = {
    [PST_OBJECT_FILE] = "file",
    [PST_OBJECT_DIRECTORY] = "directory",
    [PST_OBJECT_SYMLINK] = "symlink",
    [PST_OBJECT_HARD_LINK] = "hard link",
    [PST_OBJECT_TABLE] = "table",
    [PST_OBJECT_ENVIRONMENT] = "environment",
    [PST_OBJECT_BLOCK_DEVICE] = "block device",
    [PST_OBJECT_CHARACTER_DEVICE] = "character device",
    [PST_OBJECT_FIFO] = "fifo",
    [PST_OBJECT_SOCKET] = "socket",
    [PST_OBJECT_BLOCK_IMAGE] = "block image",
    [PST_OBJECT_ROWS] = "rows",
    [PST_OBJECT_DATABASE] = "database",
};

/* As ls -l has them; what it has not is a file. */
static const char type_letters[] = {
    [PST_OBJECT_DIRECTORY] = 'd',    [PST_OBJECT_SYMLINK] = 'l',
    [PST_OBJECT_BLOCK_DEVICE] = 'b', [PST_OBJECT_CHARACTER_DEVICE] = 'c',
    [PST_OBJECT_FIFO] = 'p',         [PST_OBJECT_SOCKET] = 's',
    [PST_OBJECT_DATABASE] = 0,
};

enum cli_exit cli_look_begin(const struct cli_arguments *arguments, const char *id,
                             const char *name, uint32_t workers, struct cli_look *look)
{
    const char *directories[CLI_OPTION_VALUES_MAX];
    char message[PST_MESSAGE_BYTES];
    *look = (struct cli_look){.arguments = arguments};
    enum cli_exit code = cli_backups_keys(arguments, &look->keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    uint32_t count = cli_argument_texts(arguments, "from", directories);
    int error = pst_inside_open(directories, count, look->keyring, id, name, workers, &look->inside,
                                message);
    if (!error) {
        look->look = pst_inside_look(look->inside);
        return CLI_EXIT_DONE;
    }
    pst_keyring_release(look->keyring);
    return cli_fail(arguments,
                    error == -EINVAL ? CLI_EXIT_USAGE : cli_backups_exit(arguments, error), "%s%s",
                    message, cli_backups_hint(id, error));
}

static enum cli_exit end_passed_over(const struct cli_look *look, uint32_t number, uint32_t count)
{
    char backups[CLI_VALUE_COUNT_BYTES];
    return cli_fail(look->arguments, CLI_EXIT_PARTIAL,
                    "this is backup %u, and %s passed over that %s newer: see above", number,
                    cli_value_count_text(count, "backup", backups), count == 1 ? "is" : "are");
}

enum cli_exit cli_look_damages(const struct cli_look *look)
{
    char damages[CLI_VALUE_COUNT_BYTES];
    uint64_t count = pst_look_damages(look->look);
    if (count == 0 || look->is_whole)
        return CLI_EXIT_DONE;
    return cli_fail(look->arguments, CLI_EXIT_PARTIAL,
                    "backup %u is damaged, and what is shown may lack some of it: %s, see above",
                    pst_inside_number(look->inside),
                    cli_value_count_text(count, "damage", damages));
}

void cli_look_close(struct cli_look *look)
{
    pst_inside_close(look->inside);
    pst_keyring_release(look->keyring);
}

enum cli_exit cli_look_end(struct cli_look *look, int error, const char *message)
{
    uint32_t number = pst_inside_number(look->inside);
    uint32_t passed_over = pst_inside_passed_over(look->inside);
    bool is_printed = !look->print_error && cli_print_flush(stdout) == 0;
    enum cli_exit damaged = is_printed && !error ? cli_look_damages(look) : CLI_EXIT_DONE;
    cli_look_close(look);
    if (!is_printed)
        return cli_fail_unprinted(look->arguments);
    if (error == -ENOKEY || error == -EISDIR || error == -ENOTSUP)
        return cli_fail(look->arguments, CLI_EXIT_USAGE, "%s", message);
    if (error == -PST_E_NO_KEY)
        return cli_fail(look->arguments, CLI_EXIT_KEY, "%s", message);
    if (error == -PST_E_SCAN)
        return cli_fail(look->arguments, CLI_EXIT_PARTIAL, "%s", message);
    if (error)
        return cli_fail(look->arguments, CLI_EXIT_FAILED, "%s", message);
    return passed_over ? end_passed_over(look, number, passed_over) : damaged;
}

const char *cli_look_name(const char *typed)
{
    if (!typed)
        return "";
    while (*typed == '/' || (typed[0] == '.' && (typed[1] == '/' || typed[1] == '\0')))
        typed++;
    return typed;
}

const char *cli_look_type(const struct pst_object *object)
{
    return type_texts[object->type];
}

/* Since 1970, as 64 bits of nanoseconds have it. */
static bool has_unix_ns(const struct pst_object *object, uint64_t *unix_ns)
{
    if (object->mtime_sec < 0 || object->mtime_sec >= (int64_t)(UINT64_MAX / 1000000000))
        return false;
    *unix_ns = (uint64_t)object->mtime_sec * 1000000000 + object->mtime_nsec;
    return true;
}

/* text: 11 bytes. */
static void mode_text(const struct pst_object *object, char *mode)
{
    static const char bits[] = "rwxrwxrwx";
    char letter = type_letters[object->type];
    mode[0] = letter ? letter : '-';
    for (uint32_t i = 0; i < 9; i++)
        mode[1 + i] = object->mode >> (8 - i) & 1 ? bits[i] : '-';
    if (object->mode & 04000)
        mode[3] = mode[3] == 'x' ? 's' : 'S';
    if (object->mode & 02000)
        mode[6] = mode[6] == 'x' ? 's' : 'S';
    if (object->mode & 01000)
        mode[9] = mode[9] == 'x' ? 't' : 'T';
    mode[10] = '\0';
}

#define LONG_BYTES 160u

/* The line of ls -l: all but the name. text: LONG_BYTES; returned. */
static char *long_text(const struct pst_object *object, char *text)
{
    char mode[11], size[CLI_VALUE_TEXT_BYTES], when[PST_TIME_TEXT_BYTES] = "before 1970";
    uint64_t mtime_ns;
    mode_text(object, mode);
    if (object->type == PST_OBJECT_BLOCK_DEVICE || object->type == PST_OBJECT_CHARACTER_DEVICE)
        snprintf(size, sizeof(size), "%u, %u", (unsigned)(object->rdev >> 32),
                 (unsigned)object->rdev);
    else
        snprintf(size, sizeof(size), "%llu", (unsigned long long)object->size);
    if (has_unix_ns(object, &mtime_ns))
        pst_time_text(mtime_ns, 0, when);
    snprintf(text, LONG_BYTES, "%s  %6u  %6u  %12s  %s", mode, object->uid, object->gid, size,
             when);
    return text;
}

json_t *cli_look_json(const struct pst_look_object *found)
{
    const struct pst_object *object = found->object;
    uint64_t mtime_ns;
    json_t *fields = json_pack("{s:o, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "name",
                               cli_json_text(found->name), "node", (json_int_t)found->node,
                               "source", found->source, "type", cli_look_type(object), "bytes",
                               (json_int_t)object->size, "mode", (json_int_t)object->mode, "uid",
                               (json_int_t)object->uid, "gid", (json_int_t)object->gid);
    if (has_unix_ns(object, &mtime_ns))
        pst_json_set(&fields, "mtime", cli_json_time(mtime_ns));
    if (object->link)
        pst_json_set(&fields, "link", cli_json_text(object->link));
    if (found->flags[0])
        pst_json_set(&fields, "flags", json_string(found->flags));
    if (found->project)
        pst_json_set(&fields, "project", json_integer((json_int_t)found->project));
    if (object->flags & PST_OBJECT_UNREADABLE)
        pst_json_set(&fields, "unreadable", json_true());
    if (object->flags & PST_OBJECT_CHANGED)
        pst_json_set(&fields, "changed", json_true());
    return fields;
}

int cli_look_print(struct cli_look *look, const struct pst_look_object *found, const char *name,
                   bool is_long)
{
    char text[LONG_BYTES];
    if (cli_argument_json(look->arguments)) {
        look->print_error = cli_json_record(stdout, "object", cli_look_json(found));
        return look->print_error ? -ECANCELED : 0;
    }
    const char *link = is_long ? found->object->link : NULL;
    cli_print_line(stdout, "%s%s%s%s%s", is_long ? long_text(found->object, text) : "",
                   is_long ? "  " : "", name, link ? " -> " : "", link ? link : "");
    return 0;
}

int cli_look_summary(const struct cli_look *look, const char *operation, uint64_t objects)
{
    const struct pst_look_bytes bytes = pst_look_bytes(look->look);
    if (cli_argument_json(look->arguments))
        return cli_json_record(
            stdout, "summary",
            json_pack("{s:s, s:I, s:I, s:I, s:I}", "operation", operation, "number",
                      (json_int_t)pst_inside_number(look->inside), "objects", (json_int_t)objects,
                      "read_bytes", (json_int_t)bytes.read, "file_bytes", (json_int_t)bytes.total));
    pst_log(PST_LOG_DEBUG, "read %llu of %llu bytes of the parts", (unsigned long long)bytes.read,
            (unsigned long long)bytes.total);
    return 0;
}
