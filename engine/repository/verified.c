/* Keeps what verifying came to. Called by the job that verifies, and where backups are listed, on
 * their threads. */
#include "engine/repository/verified.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/hex.h"
#include "engine/repository/backup.h"
#include "engine/repository/layout.h"

#define NOTE_BYTES 256u

uint32_t pst_verified_window(const struct pst_verified *verified, uint32_t windows)
{
    bool goes_on = verified->is_known && verified->windows == windows;
    return goes_on ? verified->next : 0;
}

struct pst_verified pst_verified_after(const struct pst_verified *verified, uint32_t windows,
                                       bool is_damaged, uint64_t unix_ns)
{
    bool goes_on = verified->is_known && verified->windows == windows;
    uint32_t covered = goes_on ? verified->covered : 0;
    covered = is_damaged ? 0 : covered < windows ? covered + 1 : windows;
    return (struct pst_verified){
        .is_known = true,
        .is_damaged =
            is_damaged || (verified->is_known && verified->is_damaged && covered < windows),
        .unix_ns = unix_ns,
        .windows = windows,
        .next = (pst_verified_window(verified, windows) + 1) % windows,
        .covered = covered,
    };
}

struct pst_verified pst_verified_damaged(const struct pst_verified *verified, uint64_t unix_ns)
{
    return (struct pst_verified){
        .is_known = true,
        .is_damaged = true,
        .unix_ns = unix_ns,
        .windows = verified->is_known ? verified->windows : 1,
        .next = verified->is_known ? verified->next : 0,
    };
}

/* When the last draft of one that was cut off came. */
static uint64_t drafts_since_ns(struct pst_repository *repository, int directory, uint32_t number)
{
    struct pst_repository_names names = {0};
    struct pst_repository_status status;
    uint64_t since_ns = 0;
    uint32_t node;
    int error = repository_list(repository, directory, &names);
    for (const char *name = error ? NULL : repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        if (layout_parse_draft(name, number, &node) &&
            repository_status(repository, directory, name, &status) == 0 &&
            status.changed_ns > since_ns)
            since_ns = status.changed_ns;
    }
    repository_names_free(&names);
    return since_ns;
}

/* Since when the decision, or what stands for it, has been in this directory: a note that was
 * copied with it is of where it came from, and says nothing of the copy. */
static uint64_t here_since_ns(struct pst_repository *repository, int directory, uint32_t number)
{
    const struct layout_name names[] = {layout_cluster_manifest(number),
                                        layout_cluster_copy(number)};
    struct pst_repository_status status;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (repository_status(repository, directory, names[i].text, &status) == 0)
            return status.changed_ns;
    }
    return drafts_since_ns(repository, directory, number);
}

void verified_look_since(struct pst_backup *backup, uint32_t i, int directory)
{
    uint64_t since_ns =
        here_since_ns(&backup->directories->repositories[i], directory, backup->number);
    if (since_ns > backup->here_since_ns)
        backup->here_since_ns = since_ns;
}

static int write_note(struct pst_repository *repository, int directory,
                      const struct pst_backup *backup, const struct pst_verified *verified)
{
    char text[NOTE_BYTES], uid[2 * PST_UID_BYTES + 1];
    const struct layout_name name = layout_verified(backup->number);
    const struct layout_name temporary = layout_temporary(name.text);
    pst_hex_encode(backup->uid, PST_UID_BYTES, uid);
    snprintf(text, sizeof(text), "%s %llu %s %u %u %u %llu\n", uid,
             (unsigned long long)verified->unix_ns, verified->is_damaged ? "damaged" : "whole",
             verified->windows, verified->next, verified->covered,
             (unsigned long long)here_since_ns(repository, directory, backup->number));
    int error = repository_overwrite(repository, directory, temporary.text, text, strlen(text));
    if (!error)
        error = repository_rename(repository, directory, temporary.text, name.text, true);
    return error;
}

int pst_verified_note(const struct pst_backup *backup, const struct pst_backup_hold *hold,
                      const struct pst_verified *verified)
{
    int first = 0;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        int error = hold->handles[i] < 0 ? hold->handles[i]
                                         : write_note(&backup->directories->repositories[i],
                                                      hold->handles[i], backup, verified);
        first = first ? first : error;
    }
    return first;
}

/* since_ns: of the directory where it lies. Damage counts in a copy, too; that it is whole does
 * not, and then nothing is known but when. */
static bool parse(const char *text, const uint8_t *uid, uint64_t since_ns,
                  struct pst_verified *verified)
{
    char found[2 * PST_UID_BYTES + 1], wanted[2 * PST_UID_BYTES + 1], state[8];
    unsigned long long unix_ns, noted_ns = 0;
    pst_hex_encode(uid, PST_UID_BYTES, wanted);
    if (sscanf(text, "%32s %llu %7s %u %u %u %llu\n", found, &unix_ns, state, &verified->windows,
               &verified->next, &verified->covered, &noted_ns) < 6)
        return false;
    bool is_copied = noted_ns != since_ns;
    if (is_copied)
        verified->next = verified->covered = 0;
    verified->unix_ns = unix_ns;
    verified->is_damaged = strcmp(state, "damaged") == 0;
    verified->is_known = verified->is_damaged || !is_copied;
    bool is_legal = verified->windows > 0 && verified->windows <= PST_VERIFIED_WINDOWS_MAX &&
                    verified->next < verified->windows && verified->covered <= verified->windows;
    return is_legal && strcmp(found, wanted) == 0 &&
           (verified->is_damaged || strcmp(state, "whole") == 0);
}

void verified_read(struct pst_repository *repository, int directory, uint32_t number,
                   const uint8_t *uid, struct pst_verified *verified)
{
    char text[NOTE_BYTES];
    struct pst_verified read;
    int bytes = repository_read_head(repository, directory, layout_verified(number).text, text,
                                     sizeof(text) - 1);
    if (bytes <= 0)
        return;
    text[bytes] = '\0';
    if (!parse(text, uid, here_since_ns(repository, directory, number), &read))
        return;
    bool is_later = read.unix_ns > verified->unix_ns;
    if (is_later || (read.unix_ns == verified->unix_ns && !read.is_known))
        *verified = read;
}
