/*
 * penstock keygen: makes the key of a cluster that spans hosts, or of sealed backups. Called by
 * command.c, on the main thread.
 */
#include "engine/cli/commands.h"
#include "engine/cli/print.h"
#include "engine/key/keyring.h"
#include "engine/service/cluster_key.h"

static const struct cli_option options[] = {
    {.name = "pair",
     .kind = CLI_OPTION_SWITCH,
     .help = "make a pair for sealed backups: FILE, the secret half, opens what FILE.pub, the "
             "public one, seals"},
    {0}};

/* As key list names it. */
static int read_id(const char *path, char *id, char *message)
{
    struct pst_keys keys;
    struct pst_keyring *keyring;
    pst_keys_init(&keys);
    keys.files = &path;
    keys.files_count = 1;
    int error = pst_keyring_read(&keys, -1, &keyring, message);
    if (error)
        return error;
    pst_key_id_text(keyring->keys[0].id, id);
    pst_keyring_release(keyring);
    return 0;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES], id[PST_KEY_ID_TEXT_BYTES];
    const char *path = arguments->positionals[0];
    bool is_pair = cli_argument_switch(arguments, "pair");
    int error = is_pair ? pst_key_pair_make(path, message) : pst_cluster_key_make(path, message);
    if (!error)
        error = read_id(path, id, message);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    if (is_pair)
        cli_print_line(stdout,
                       "%s: the secret half of a new pair, for --key-file of who reads backups: "
                       "keep it elsewhere. %s.pub: the public one, for --recipient. Backups name "
                       "both key %s",
                       path, path, id);
    else
        cli_print_line(stdout,
                       "%s: a new key: of a cluster, for --cluster-key on every node, or of sealed "
                       "backups, for --key-file, which name it key %s. Keep a copy where the "
                       "backups are not",
                       path, id);
    if (cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_keygen = {
    .name = "keygen",
    .summary = "make the key of a cluster that spans hosts, or of sealed backups",
    .positional = "FILE",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true,
};
