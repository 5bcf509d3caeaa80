/* Pins backups and takes the pins out. `penstock pin` and `unpin`, on their thread. */
#include "engine/repository/pin.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/hex.h"
#include "engine/repository/layout.h"

#define UID_TEXT_BYTES (2 * PST_UID_BYTES + 1)

static int add(const struct pst_backup *backup, struct pst_repository *repository, int directory)
{
    char text[UID_TEXT_BYTES];
    pst_hex_encode(backup->uid, PST_UID_BYTES, text);
    int error = repository_write_durably(repository, directory, layout_pin(backup->number).text,
                                         NULL, text, UID_TEXT_BYTES - 1, false);
    return error == -EEXIST ? 0 : error;
}

static int take_out(const struct pst_backup *backup, struct pst_repository *repository,
                    int directory)
{
    char text[UID_TEXT_BYTES], found[UID_TEXT_BYTES];
    struct layout_name name = layout_pin(backup->number);
    pst_hex_encode(backup->uid, PST_UID_BYTES, text);
    int bytes = repository_read_head(repository, directory, name.text, found, sizeof(found));
    if (bytes < 0)
        return bytes == -ENOENT ? 0 : bytes;
    if (bytes != UID_TEXT_BYTES - 1 || memcmp(found, text, (size_t)bytes) != 0)
        return -PST_E_MISPLACED;
    int error = repository_remove(repository, directory, name.text);
    return error ? error : repository_sync(repository, directory);
}

typedef int pin_step(const struct pst_backup *backup, struct pst_repository *repository,
                     int directory);

static int fail(const struct pst_backup *backup, uint32_t i, int error, char *message)
{
    snprintf(message, PST_MESSAGE_BYTES, "%s/%s/%s: %s", backup->directories->paths[i],
             layout_backup(backup->stored_as).text, layout_pin(backup->number).text,
             pst_error_text(error));
    return error;
}

/* With the lock of a reader: no prune removes the directory meanwhile. */
static int in_each(const struct pst_backup *backup, pin_step *step, char *message)
{
    struct pst_backup_hold hold;
    int error = pst_backup_keep(backup, &hold);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "backup %u: %s", backup->number,
                 error == -PST_E_CHANGED ? "it is being pruned" : pst_error_text(error));
        return error;
    }
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        error = hold.handles[i] < 0
                    ? hold.handles[i]
                    : step(backup, &backup->directories->repositories[i], hold.handles[i]);
        if (error)
            error = fail(backup, i, error, message);
    }
    pst_backup_let_go(&hold);
    return error;
}

int pst_pin(const struct pst_backup *backup, char *message)
{
    if (!backup->has_uid) {
        snprintf(message, PST_MESSAGE_BYTES, "backup %u: nothing in it shows which one it is",
                 backup->number);
        return -PST_E_INCOMPLETE;
    }
    return in_each(backup, add, message);
}

int pst_unpin(const struct pst_backup *backup, char *message)
{
    return in_each(backup, take_out, message);
}
