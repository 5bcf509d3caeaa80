/*
 * Looking inside a backup, for the commands that do: what the backup is that is meant, open to be
 * looked into. Private to the engine. Blocking; one thread for each.
 */
#ifndef PST_ENGINE_API_INSIDE_H
#define PST_ENGINE_API_INSIDE_H

#include "engine/repository/catalog.h"
#include "engine/restore/look.h"
#include "engine/restore/look_diff.h"

struct pst_inside;

/* Opens the backup that id names; NULL: the newest complete one. name: nothing else will be looked
 * for, so only the keys of what it lies in are needed; "": all of it will. workers: threads that
 * read, 0: as many as there are CPUs, but few. keyring: borrowed until it is closed; NULL: none.
 * After an error message (PST_MESSAGE_BYTES) says why: as of pst_reading_open, reading_refuse_shut
 * and pst_look_open. */
PST_MUST_USE int pst_inside_open(const char *const *directories, uint32_t directories_count,
                                 const struct pst_keyring *keyring, const char *id,
                                 const char *name, uint32_t workers, struct pst_inside **inside,
                                 char *message);
void pst_inside_close(struct pst_inside *inside);

struct pst_look *pst_inside_look(struct pst_inside *inside);
uint32_t pst_inside_number(const struct pst_inside *inside);

/* Newer backups that are not complete, where no id was given: logged. */
uint32_t pst_inside_passed_over(const struct pst_inside *inside);

#endif
