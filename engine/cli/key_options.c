/* Reads the options for keys. Called by each command that has them, before it starts threads. */
#include "engine/cli/key_options.h"

#include <sys/resource.h>

/* Keys lie in memory that no core dump has, but what libcrypto makes of one does not: setrlimit(2).
 */
static void leave_no_core(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        return;
    limit.rlim_cur = 0;
    (void)setrlimit(RLIMIT_CORE, &limit); /* to lower it is always allowed */
}

const struct pst_keys *cli_keys_read(const struct cli_arguments *arguments, bool seals,
                                     struct cli_keys *given)
{
    struct pst_keys *keys = &given->keys;
    pst_keys_init(keys);
    keys->files = given->files;
    keys->files_count = cli_argument_texts(arguments, "key-file", given->files);
    keys->recipients = given->recipients;
    if (seals)
        keys->recipients_count = cli_argument_texts(arguments, "recipient", given->recipients);
    keys->passphrase_file = cli_argument_text(arguments, "passphrase-file");
    keys->passphrase_command = cli_argument_text(arguments, "passphrase-command");
    if (cli_argument_switch(arguments, "passphrase-prompt"))
        keys->passphrase_asks = seals ? 2 : 1;
    bool has_any = keys->files_count + keys->recipients_count + keys->passphrase_asks > 0 ||
                   keys->passphrase_file || keys->passphrase_command;
    if (!has_any)
        return NULL;
    leave_no_core();
    return keys;
}
