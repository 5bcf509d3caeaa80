/* Prints what a backup would be. Called by cmd_backup.c, on the main thread. */
#include "engine/cli/backup_dry_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <jansson.h>

#include "engine/api/session.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"

/* For who is not root, of the directory, or of the one that it will be made in. */
static int read_free_bytes(const char *to, uint64_t *bytes)
{
    struct statvfs status;
    int error = statvfs(to, &status) == 0 ? 0 : -errno;
    if (error == -ENOENT) {
        char *parent = strdup(to);
        if (!parent)
            return -ENOMEM;
        size_t length = strlen(parent);
        while (length > 1 && parent[length - 1] == '/')
            parent[--length] = '\0';
        char *slash = strrchr(parent, '/');
        if (slash)
            slash[slash == parent ? 1 : 0] = '\0';
        error = statvfs(slash ? parent : ".", &status) == 0 ? 0 : -errno;
        free(parent);
    }
    *bytes = error ? 0 : (uint64_t)status.f_bavail * status.f_frsize;
    return error;
}

static int print_estimate(const struct pst_session_estimate *estimate, const char *to,
                          uint64_t free_bytes, bool json)
{
    char objects[CLI_VALUE_COUNT_BYTES], size[CLI_VALUE_TEXT_BYTES], stored[CLI_VALUE_TEXT_BYTES],
        room[CLI_VALUE_TEXT_BYTES];
    bool fits = estimate->stored_bytes_most <= free_bytes;
    if (json)
        return cli_json_record(
            stdout, "summary",
            json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "operation", "dry run", "to",
                      cli_json_text(to), "objects", (json_int_t)estimate->objects, "source_bytes",
                      (json_int_t)estimate->source_bytes, "stored_bytes_most",
                      (json_int_t)estimate->stored_bytes_most, "free_bytes", (json_int_t)free_bytes,
                      "fits", (int)fits, "unreadable", (json_int_t)estimate->unreadable, "skipped",
                      (json_int_t)estimate->skipped));
    cli_print_line(stdout, "dry run: %s, %s; about %s at most to be stored, %s free at %s",
                   cli_value_count_text(estimate->objects, "object", objects),
                   cli_value_size_text(estimate->source_bytes, size),
                   cli_value_size_text(estimate->stored_bytes_most, stored),
                   cli_value_size_text(free_bytes, room), to);
    if (estimate->skipped)
        cli_print_line(stdout, "%s of kinds that are not backed up would be left out",
                       cli_value_count_text(estimate->skipped, "object", objects));
    return cli_print_flush(stdout);
}

enum cli_exit cli_backup_dry_run(const struct cli_arguments *arguments, struct pst_session *session,
                                 const char *to)
{
    struct pst_session_estimate estimate;
    char message[PST_MESSAGE_BYTES], objects[CLI_VALUE_COUNT_BYTES];
    uint64_t free_bytes;
    int error = read_free_bytes(to, &free_bytes);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", to, pst_error_text(error));
    error = pst_session_dry_run(session, &estimate, message);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    if (print_estimate(&estimate, to, free_bytes, cli_argument_json(arguments)) != 0)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot write to standard output");
    if (estimate.stored_bytes_most > free_bytes)
        return cli_fail(arguments, CLI_EXIT_FAILED,
                        "%s: it may not fit, unless it can be compressed", to);
    if (estimate.unreadable)
        return cli_fail(arguments, CLI_EXIT_PARTIAL, "%s could not be listed: see above",
                        cli_value_count_text(estimate.unreadable, "object", objects));
    return CLI_EXIT_DONE;
}
