/*
 * penstock key: who can open backups that are sealed: lists, adds, removes. Called by command.c, on
 * the main thread.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/print.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/rewrap.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "new-key-file",
     .kind = CLI_OPTION_TEXT,
     .argument = "FILE",
     .repeatable = true,
     .help = "add: a key that is to open the backups from now on"},
    {.name = "recipient",
     .kind = CLI_OPTION_TEXT,
     .argument = "PUBLIC",
     .repeatable = true,
     .help = "add: the public half of a pair, or a file that holds it, likewise"},
    {.name = "new-passphrase-file",
     .kind = CLI_OPTION_TEXT,
     .argument = "FILE",
     .help = "add: a passphrase, likewise; as --passphrase-file"},
    {.name = "new-passphrase-prompt",
     .kind = CLI_OPTION_SWITCH,
     .help = "add: a passphrase that is typed at the terminal, twice, likewise"},
    {.name = "key-id",
     .kind = CLI_OPTION_TEXT,
     .argument = "ID",
     .help = "remove: the key that is to open them no more, as list prints it. Whoever has a copy "
             "of the backup's files, or of its data key, is not shut out by it"},
    CLI_OPTION_JSON,
    {0}};

/* What is done to each backup. */
struct run {
    const struct cli_arguments *arguments;
    const char *action, *id; /* id NULL: all that are sealed */
    struct pst_keyring *keyring;
    struct pst_backup_list list;
    struct pst_keyring *added;
    uint8_t removed[PST_KEY_ID_BYTES];
    uint32_t found;                  /* records of that id */
    uint32_t looked_at, unchanged;   /* backups; those for which a change has failed */
    enum cli_exit failure;           /* of the first of them */
    const struct pst_backup *backup; /* the one that is listed */
    int error;                       /* of printing */
};

static const char *kind_text(uint8_t kind)
{
    static const char *const texts[] = {"unknown", "file", "pair", "passphrase"};
    return kind <= PST_KEY_PASSPHRASE ? texts[kind] : texts[0];
}

static void print_record(void *context, uint32_t node, const struct pst_keys_record *record)
{
    struct run *run = context;
    char id[PST_KEY_ID_TEXT_BYTES];
    pst_key_id_text(record->id, id);
    if (!cli_argument_json(run->arguments)) {
        cli_print_line(stdout, "backup %u, node %u: key %s, %s", run->backup->number, node, id,
                       kind_text(record->kind));
        return;
    }
    int error = cli_json_record(stdout, "key",
                                json_pack("{s:I, s:I, s:s, s:s}", "number",
                                          (json_int_t)run->backup->number, "node", (json_int_t)node,
                                          "id", id, "kind", kind_text(record->kind)));
    run->error = run->error ? run->error : error;
}

/* A record that the copy has too is listed once. */
struct seen {
    struct run *run;
    uint32_t count;
    struct {
        uint32_t node;
        uint8_t id[PST_KEY_ID_BYTES];
    } keys[4 * PST_KEYS_FILE_RECORDS_MAX];
};

static void print_once(void *context, uint32_t node, const struct pst_keys_record *record)
{
    struct seen *seen = context;
    for (uint32_t i = 0; i < seen->count; i++) {
        if (seen->keys[i].node == node &&
            memcmp(seen->keys[i].id, record->id, sizeof(record->id)) == 0)
            return;
    }
    if (seen->count < sizeof(seen->keys) / sizeof(seen->keys[0])) {
        seen->keys[seen->count].node = node;
        memcpy(seen->keys[seen->count++].id, record->id, sizeof(record->id));
    }
    print_record(seen->run, node, record);
}

static enum cli_exit list_keys(struct run *run)
{
    struct seen seen = {.run = run};
    int error = pst_rewrap_list(run->backup, print_once, &seen);
    if (error)
        return cli_fail(run->arguments, CLI_EXIT_FAILED, "%s", pst_error_text(error));
    return CLI_EXIT_DONE;
}

static void note_removed(void *context, uint32_t node, const struct pst_keys_record *record)
{
    struct run *run = context;
    (void)node;
    run->found += memcmp(record->id, run->removed, sizeof(run->removed)) == 0;
}

/* With an ID only that backup is changed, and others may have data in it, or it in them. */
static void warn_of_others(const struct run *run)
{
    for (size_t i = 0; run->id && i < run->list.count; i++) {
        const struct pst_backup *other = run->list.backups[i];
        if (run->added && pst_backup_refers_to(run->backup, other))
            pst_log(PST_LOG_WARNING,
                    "backup %u has data in backup %u: a new key opens that only if it is added "
                    "there too",
                    run->backup->number, other->number);
        else if (!run->added && pst_backup_refers_to(other, run->backup))
            pst_log(PST_LOG_WARNING,
                    "backup %u has data in backup %u, which the key that was removed does not "
                    "open any more",
                    other->number, run->backup->number);
    }
}

/* The keys of a node lie where it writes. */
static void warn_of_elsewhere(const struct pst_backup *backup)
{
    uint32_t ids[PST_NODES_MAX];
    uint32_t count = pst_backup_elsewhere(backup, ids);
    for (uint32_t i = 0; i < count; i++)
        pst_log(PST_LOG_WARNING,
                "backup %u: the keys of node %u stay as they are: they are in a directory that was "
                "not given",
                backup->number, ids[i]);
}

static enum cli_exit change_keys(struct run *run)
{
    const struct pst_rewrap change = {
        .added = run->added,
        .removed = run->added ? NULL : run->removed,
    };
    char message[PST_MESSAGE_BYTES];
    uint32_t found = run->found;
    int error = change.removed ? pst_rewrap_list(run->backup, note_removed, run) : 0;
    if (error)
        return cli_fail(run->arguments, CLI_EXIT_FAILED, "%s", pst_error_text(error));
    if (change.removed && run->found == found)
        return list_keys(run); /* it never opened this one */
    error = pst_rewrap(run->backup, &change, message);
    if (error) {
        pst_log(PST_LOG_ERROR, "%s", message);
        run->unchanged++;
        enum cli_exit code =
            error == -PST_E_BUSY ? CLI_EXIT_BUSY : cli_backups_exit(run->arguments, error);
        run->failure = run->failure ? run->failure : code;
        return CLI_EXIT_DONE;
    }
    warn_of_others(run);
    warn_of_elsewhere(run->backup);
    return list_keys(run);
}

/* The others have been changed: a backup that a key does not open must not keep it from them. */
static enum cli_exit fail_unchanged(const struct run *run)
{
    return cli_fail(run->arguments, run->failure,
                    "key %s: %u of %u backup%s %s not changed: see above", run->action,
                    run->unchanged, run->looked_at, run->looked_at == 1 ? "" : "s",
                    run->unchanged == 1 ? "was" : "were");
}

/* Of what is in doubt, or has lost its manifests, nobody knows whose keys to change; once that is
 * settled or mended, the keys that it had open it. */
static void note_passed_over(struct run *run)
{
    for (size_t i = 0; !run->id && i < run->list.count; i++) {
        const struct pst_backup *backup = run->list.backups[i];
        if (backup->has_cluster || pst_backup_was_never_completed(backup->state) ||
            !pst_rewrap_has_files(backup))
            continue;
        pst_log(PST_LOG_ERROR, "backup %u: its keys stay as they are: %s: %s", backup->number,
                pst_backup_state_text(backup->state), backup->reason);
        run->looked_at++;
        run->unchanged++;
        run->failure = run->failure ? run->failure : CLI_EXIT_PARTIAL;
    }
}

static enum cli_exit end(struct run *run)
{
    if (strcmp(run->action, "list") != 0)
        note_passed_over(run);
    if (run->unchanged > 0)
        return fail_unchanged(run);
    if (strcmp(run->action, "remove") == 0 && run->found == 0)
        return cli_fail(run->arguments, CLI_EXIT_FAILED,
                        "--key-id %s: no such key opens a backup here; penstock key list shows "
                        "those that do",
                        cli_argument_text(run->arguments, "key-id"));
    if (run->error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(run->arguments);
    return CLI_EXIT_DONE;
}

static enum cli_exit each_backup(struct run *run)
{
    enum cli_exit code = CLI_EXIT_DONE;
    bool lists = strcmp(run->action, "list") == 0;
    size_t next = 0;
    while (code == CLI_EXIT_DONE && !(run->id && next > 0)) {
        run->backup = cli_backups_next_sealed(run->arguments, &run->list, run->id, &next, &code);
        if (!run->backup)
            break;
        run->looked_at++;
        code = lists ? list_keys(run) : change_keys(run);
    }
    return code == CLI_EXIT_DONE ? end(run) : code;
}

static enum cli_exit read_added(struct run *run)
{
    struct cli_keys given;
    char message[PST_MESSAGE_BYTES];
    pst_keys_init(&given.keys);
    given.keys.files = given.files;
    given.keys.files_count = cli_argument_texts(run->arguments, "new-key-file", given.files);
    given.keys.recipients = given.recipients;
    given.keys.recipients_count = cli_argument_texts(run->arguments, "recipient", given.recipients);
    given.keys.passphrase_file = cli_argument_text(run->arguments, "new-passphrase-file");
    given.keys.passphrase_asks =
        cli_argument_switch(run->arguments, "new-passphrase-prompt") ? 2 : 0;
    int error = pst_keyring_read(&given.keys, -1, &run->added, message);
    if (!error && run->added)
        error = pst_keyring_prepare(run->added, message);
    return error ? cli_backups_keys_fail(run->arguments, error, message) : CLI_EXIT_DONE;
}

static enum cli_exit read_options(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    const char *removed = cli_argument_text(arguments, "key-id");
    bool adds = strcmp(run->action, "add") == 0, removes = strcmp(run->action, "remove") == 0;
    enum cli_exit code = read_added(run);
    if (code != CLI_EXIT_DONE)
        return code;
    if (!adds && !removes && strcmp(run->action, "list") != 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "key %s: give list, add or remove", run->action);
    if (adds != (run->added != NULL))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--new-… and --recipient are for key add, which needs one of them");
    if (removes != (removed != NULL))
        return cli_fail(arguments, CLI_EXIT_USAGE, "--key-id is for key remove, which needs it");
    if (removed && !pst_hex_decode(removed, strlen(removed), run->removed, sizeof(run->removed)))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--key-id %s: give the 16 digits that key list prints", removed);
    return CLI_EXIT_DONE;
}

static bool lists(const struct cli_arguments *arguments)
{
    return strcmp(arguments->positionals[0], "list") == 0;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct run run = {
        .arguments = arguments,
        .action = arguments->positionals[0],
        .id = arguments->positional_count > 1 ? arguments->positionals[1] : NULL,
    };
    enum cli_exit code = read_options(&run);
    if (code == CLI_EXIT_DONE)
        code = cli_backups_keys(arguments, &run.keyring);
    if (code == CLI_EXIT_DONE)
        code = cli_backups_read(arguments, run.keyring, &run.list);
    if (code == CLI_EXIT_DONE) {
        code = each_backup(&run);
        pst_backup_list_release(&run.list);
    }
    pst_keyring_release(run.added);
    pst_keyring_release(run.keyring);
    return code;
}

const struct cli_command cli_command_key = {
    .name = "key",
    .summary = "list, add or remove the keys that open sealed backups",
    .positional = "list|add|remove [ID]",
    .positional_min = 1,
    .positional_max = 2,
    .options = options,
    .run = run,
    .acts = true,
    .only_shows = lists,
};
