/*
 * What the commands share that look at backups: --from, the list below it, and how a backup is
 * printed. Main thread only.
 */
#ifndef PST_ENGINE_CLI_BACKUPS_H
#define PST_ENGINE_CLI_BACKUPS_H

#include "engine/cli/command.h"
#include "engine/repository/catalog.h"

struct json_t;

#define CLI_FROM_OPTION                                                                            \
    {                                                                                              \
        .name = "from", .kind = CLI_OPTION_TEXT, .argument = "DIR", .required = true,              \
        .repeatable = true,                                                                        \
        .help = "directory with the backups; where each node has its own, or one refers to "       \
                "others, give all of them"                                                         \
    }

/* Reads --from. keyring: borrowed as long as the list; NULL: none. CLI_EXIT_DONE, released by the
 * caller; or the exit code, after a message. */
PST_MUST_USE enum cli_exit cli_backups_read(const struct cli_arguments *arguments,
                                            const struct pst_keyring *keyring,
                                            struct pst_backup_list *list);

/* Ends a command whose keys could not be read. */
enum cli_exit cli_backups_keys_fail(const struct cli_arguments *arguments, int error,
                                    const char *message);

/* Reads --key-file of a command that reads backups: *keyring is released by the caller. Likewise.
 */
PST_MUST_USE enum cli_exit cli_backups_keys(const struct cli_arguments *arguments,
                                            struct pst_keyring **keyring);

/* The backup of a list that id names, or NULL: for each in turn, those that are sealed and whose
 * manifests could be read, ascending, from *next on. NULL at the end, or with *code an exit code,
 * after a message. */
const struct pst_backup *cli_backups_next_sealed(const struct cli_arguments *arguments,
                                                 const struct pst_backup_list *list, const char *id,
                                                 size_t *next, enum cli_exit *code);

/* What to add to a message that no backup has this id: a uid may be abbreviated, but not so much.
 * Static; "" where that is not why. id: NULL is none. */
const char *cli_backups_hint(const char *id, int error);

/* The exit code for an error of a backup or of reading it; arguments: with --from. */
enum cli_exit cli_backups_exit(const struct cli_arguments *arguments, int error);

/* Chunks of all parts by codec. */
struct cli_backup_codecs {
    uint64_t lz4_chunks;
    uint64_t zstd_chunks;
};

/* false: it is not known, since the manifest of a node is not there. */
bool cli_backup_codecs(const struct pst_backup *backup, struct cli_backup_codecs *codecs);

/* What a backup was compared with, as far as its nodes say, for which it may have bytes in others;
 * NULL: it is a full one. */
const struct pst_manifest_base *cli_backup_base(const struct pst_backup *backup);

/* Number, uid, state, times, sums, GCIs: what list shows of a backup, and show begins with. */
struct json_t *cli_backup_json(const struct pst_backup *backup) PST_MUST_USE;

#endif
