/*
 * The backup that a command means, open to be read. Private to the engine: `penstock show` and the
 * jobs of read_job.h begin with it. Blocking; one thread for each reading.
 */
#ifndef PST_ENGINE_API_READING_H
#define PST_ENGINE_API_READING_H

#include "engine/repository/catalog.h"

struct pst_reading {
    struct pst_backup_list list;
    const struct pst_backup *backup; /* of the list; not pruned while the reading is open */
    struct pst_backup_hold hold;
    uint32_t passed_over; /* newer ones that are not complete, where no ID was given: logged */
};

/* Opens the backup that id names in the directories together: a number, or digits of a uid; NULL:
 * the one that pick says. keyring: opens what is sealed, borrowed until it is closed; NULL: none.
 * 0: closed by the caller. Else nothing is open, and message (PST_MESSAGE_BYTES) says why:
 * -PST_E_NO_BACKUP; -PST_E_CHANGED: it is being pruned; -errno: a directory cannot be read. */
PST_MUST_USE int pst_reading_open(const char *const *directories, uint32_t directories_count,
                                  const struct pst_keyring *keyring, const char *id,
                                  enum pst_backup_pick pick, struct pst_reading *reading,
                                  char *message);

/* Where backup->is_shut: -PST_E_NO_KEY, with message. */
PST_MUST_USE int reading_refuse_shut(const struct pst_reading *reading, char *message);
void pst_reading_close(struct pst_reading *reading);

/* Notes beside the backup that whoever read some of it met damage; where that cannot be written, it
 * is logged. */
void reading_note_damage(const struct pst_reading *reading);

/* One table of a logical backup. */
struct pst_reading_table {
    uint32_t node;
    const char *source;
    const char *name; /* escaped: a legal file name but for its length */
    uint32_t flags;   /* the source's own */
    uint32_t shares;
    uint64_t rows;
    uint64_t bytes; /* of the rows' records: keys, values, and 8 for each row */
};

/* Everything is borrowed for the call. 0: go on; any other value ends the list. */
typedef int pst_reading_each_table(void *context, const struct pst_reading_table *table);

/* Calls each for every table of a complete backup; reads its catalogues. 0, the value that ended
 * the list, or an error with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_reading_tables(const struct pst_reading *reading, pst_reading_each_table *each,
                                    void *context, char *message);

#endif
