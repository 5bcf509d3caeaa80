/*
 * Parts that go on in a tail, a file of its own (engine/format/tail.h), as one file. For
 * engine/repository/ and engine/restore/; the thread of a reader.
 */
#ifndef PST_ENGINE_REPOSITORY_PART_TAIL_H
#define PST_ENGINE_REPOSITORY_PART_TAIL_H

#include "engine/repository/part_map.h"

/* Opens a part for reading, and its tail, where it has one; and that alone, of a part that is open.
 * pst_reader_close_file() closes both. */
int pst_backup_open_part(struct pst_reader *reader, const struct pst_part_map *part,
                         struct pst_file *file) PST_MUST_USE;
int backup_open_tail(struct pst_reader *reader, const struct pst_part_map *part,
                     struct pst_file *file) PST_MUST_USE;

/* The file that has what lies at an offset of a part, which becomes one in that file. */
struct pst_file_name pst_backup_part_file(const struct pst_part_map *part, uint64_t *offset);

#endif
