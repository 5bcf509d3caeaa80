/*
 * Opens a backup to be looked into. Runs on the caller's thread: of `penstock ls` and the other
 * commands that look inside.
 */
#include "engine/api/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/api/reading.h"
#include "engine/base/log.h"

#define WORKERS_MAX 8u

struct pst_inside {
    struct pst_reading reading;
    struct pst_crew crew;
    struct pst_look *look;
};

static uint32_t choose_workers(uint32_t workers)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers > 0)
        return workers;
    return cpus < 1 ? 1 : cpus > (long)WORKERS_MAX ? WORKERS_MAX : (uint32_t)cpus;
}

/* What it lacks looks the same as what was never there. */
static void warn_partial(const struct pst_backup *backup)
{
    char missing[PST_MESSAGE_BYTES];
    if (*pst_backup_missing_text(backup, missing))
        pst_log(PST_LOG_WARNING, "backup %u is partial: %s", backup->number, missing);
}

static int open_look(struct pst_inside *inside, const char *name, char *message)
{
    if (pst_look_needs_keys(inside->reading.backup, name))
        return reading_refuse_shut(&inside->reading, message);
    char why[PST_MESSAGE_BYTES];
    warn_partial(inside->reading.backup);
    int error = pst_look_open(inside->reading.backup, &inside->crew, &inside->look, why);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "backup %u: %.450s", inside->reading.backup->number,
                 why);
    return error;
}

int pst_inside_open(const char *const *directories, uint32_t directories_count,
                    const struct pst_keyring *keyring, const char *id, const char *name,
                    uint32_t workers, struct pst_inside **opened, char *message)
{
    *opened = NULL;
    struct pst_inside *inside = calloc(1, sizeof(*inside));
    if (!inside) {
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    inside->crew = (struct pst_crew){.workers = choose_workers(workers)};
    int error = pst_reading_open(directories, directories_count, keyring, id, PST_PICK_COMPLETE,
                                 &inside->reading, message);
    if (error)
        goto err_after_alloc;
    error = open_look(inside, name, message);
    if (!error) {
        *opened = inside;
        return 0;
    }
    pst_reading_close(&inside->reading);
err_after_alloc:
    free(inside);
    return error;
}

void pst_inside_close(struct pst_inside *inside)
{
    if (pst_look_met_damage(inside->look))
        reading_note_damage(&inside->reading);
    pst_look_close(inside->look);
    pst_reading_close(&inside->reading);
    free(inside);
}

struct pst_look *pst_inside_look(struct pst_inside *inside)
{
    return inside->look;
}

uint32_t pst_inside_number(const struct pst_inside *inside)
{
    return inside->reading.backup->number;
}

uint32_t pst_inside_passed_over(const struct pst_inside *inside)
{
    return inside->reading.passed_over;
}
