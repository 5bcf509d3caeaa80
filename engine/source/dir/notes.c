/* Reports what a listing meets. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/notes.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/log.h"
#include "engine/base/own_error.h"

#define DATABASES_NAMED_MAX 100u

/* The path as one line of printable bytes, cut where text (text_bytes) ends. Returns text. */
static const char *printable(const char *path, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (; *path && used + 5 < text_bytes; path++) {
        unsigned char byte = (unsigned char)*path;
        if (byte < ' ' || byte == 0x7f || byte == '\\')
            used += (size_t)snprintf(text + used, text_bytes - used, "\\x%02x", byte);
        else
            text[used++] = *path;
    }
    text[used] = '\0';
    return text;
}

bool notes_is_gone(const struct notes *notes, int error)
{
    return error == -ENOENT && !notes->is_still;
}

int notes_trouble(struct notes *notes, const char *path, const char *what, int error)
{
    char text[PST_LOG_LINE_BYTES];
    if (notes_is_gone(notes, error)) {
        notes->listing->vanished++;
        return 0;
    }
    if (pst_is_own_error(error)) {
        pst_log(PST_LOG_ERROR, "source %s: cannot go on listing: %s", notes->source->name,
                pst_error_text(error));
        return error;
    }
    notes->listing->unreadable++;
    if (notes->sink->unreadable)
        notes->sink->unreadable(notes->sink, path);
    pst_log(PST_LOG_WARNING, "source %s: %s (%s), so it is not in the backup: \"%s\"",
            notes->source->name, what, pst_error_text(error),
            printable(*path ? path : ".", text, sizeof(text)));
    return 0;
}

int notes_lost(struct notes *notes, const char *path, const char *attribute, int error)
{
    char what[128], name[64];
    snprintf(what, sizeof(what), "cannot keep its attribute %s",
             printable(attribute ? attribute : "*", name, sizeof(name)));
    return notes_trouble(notes, path, what, error);
}

void notes_skip(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    notes->listing->skipped++;
    pst_log(PST_LOG_DEBUG, "source %s: file of an unknown kind skipped: \"%s\"",
            notes->source->name, printable(path, text, sizeof(text)));
}

void notes_kernel_system(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    if (notes->kernel_systems++ == 0)
        pst_log(PST_LOG_WARNING,
                "source %s: what is in file systems of the kernel's own (such as /proc) is left "
                "out: first \"%s\"",
                notes->source->name, printable(path, text, sizeof(text)));
}

void notes_other_system(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    if (notes->other_systems++ == 0)
        pst_log(PST_LOG_WARNING,
                "source %s: what is in other file systems that are mounted in it is left out "
                "(--one-file-system=no backs it up): first \"%s\"",
                notes->source->name, printable(path, text, sizeof(text)));
}

void notes_missing_subvolume(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    notes->listing->unreadable++;
    if (notes->sink->unreadable)
        notes->sink->unreadable(notes->sink, path);
    pst_log(PST_LOG_WARNING,
            "source %s: a snapshot of Btrfs does not have the subvolumes in it, so what is in this "
            "one is not in the backup; make it a source of its own: \"%s\"",
            notes->source->name, printable(path, text, sizeof(text)));
}

void notes_own(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    pst_log(PST_LOG_INFO, "source %s: the backup directory in it is left out: \"%s\"",
            notes->source->name, printable(path, text, sizeof(text)));
}

void notes_apart(struct notes *notes, const char *path)
{
    char text[PST_LOG_LINE_BYTES];
    if (notes->apart++ == 0)
        pst_log(PST_LOG_WARNING,
                "source %s: a file with several names that changed while they were listed, or "
                "shares its inode number, is no hard link in the backup: \"%s\"",
                notes->source->name, printable(path, text, sizeof(text)));
}

void notes_database(struct notes *notes, const char *kind, const char *path, const char *advice)
{
    char text[PST_LOG_LINE_BYTES];
    if (notes->databases++ >= DATABASES_NAMED_MAX)
        return;
    pst_log(PST_LOG_WARNING,
            "source %s: a %s database is in use, and its files are read while it writes them, so "
            "what is restored of it may be damaged: use %s, or a snapshot (--freeze-command): "
            "\"%s\"",
            notes->source->name, kind, advice, printable(*path ? path : ".", text, sizeof(text)));
}

void notes_end(const struct notes *notes)
{
    const char *name = notes->source->name;
    if (notes->listing->vanished > 0)
        pst_log(PST_LOG_INFO, "source %s: %llu files were removed while they were listed", name,
                (unsigned long long)notes->listing->vanished);
    if (notes->kernel_systems > 1)
        pst_log(PST_LOG_WARNING,
                "source %s: %llu file systems of the kernel's own were left out in all", name,
                (unsigned long long)notes->kernel_systems);
    if (notes->other_systems > 1)
        pst_log(PST_LOG_WARNING, "source %s: %llu other file systems were left out in all", name,
                (unsigned long long)notes->other_systems);
    if (notes->unlooked > 0)
        pst_log(PST_LOG_WARNING,
                "source %s: %llu directories had no second look, which took too long: what was "
                "moved there from others while these were listed may not be in the backup",
                name, (unsigned long long)notes->unlooked);
    if (notes->databases > DATABASES_NAMED_MAX)
        pst_log(PST_LOG_WARNING, "source %s: %llu databases in use in all", name,
                (unsigned long long)notes->databases);
    if (notes->excluded > 0)
        pst_log(PST_LOG_INFO, "source %s: %llu files and directories were left out, as asked for",
                name, (unsigned long long)notes->excluded);
    if (notes->apart > 1)
        pst_log(PST_LOG_WARNING, "source %s: %llu such names are no hard links in all", name,
                (unsigned long long)notes->apart);
}
