/*
 * The passes of a restore, each in a file of its own; restore.c runs them one after the other on
 * the caller's thread. Private to engine/restore/. 0, or a negative error with its message kept.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_PASSES_H
#define PST_ENGINE_RESTORE_RESTORE_PASSES_H

#include "engine/restore/restore_run.h"

/* restore_only.c: sets run->only by options->only, having checked that all it needs of the backup
 * is there; and leaves out of the set the parts of other nodes. */
PST_MUST_USE int restore_choose(struct restore_run *run);
void restore_drop_parts(struct restore_run *run);

/* How many nodes, and how many sources of a node, are restored. */
uint32_t restore_nodes(const struct restore_run *run);
uint32_t restore_sources(const struct restore_run *run, uint32_t node_index);

/* Where a source of a node goes, below the target: "", "NAME" or "NODE/NAME". Returns place. */
#define RESTORE_PLACE_BYTES 128u
const char *restore_place(const struct restore_run *run, uint32_t node_index, const char *name,
                          char place[RESTORE_PLACE_BYTES]);

/* restore_room.c: in place, before anything is touched: whether what is in the way can go. Then:
 * directories (sources' first), and in place room for all else. Lists the directories by depth. */
PST_MUST_USE int restore_check_room(struct restore_run *run);
PST_MUST_USE int restore_make_directories(struct restore_run *run);
void restore_forget_directories(struct restore_run *run);

/* As restore_each, for the directories of that depth: 0 are those of sources, 1 those in them. */
#define RESTORE_DEPTHS (PST_PATH_BYTES_MAX / 2 + 1)
PST_MUST_USE int restore_each_of_depth(struct restore_run *run, size_t depth, restore_step *step);
void restore_close_sources(struct restore_run *run);

/* restore_tree.c, after the data and in this order: the lengths and metadata of files; links and
 * nodes; metadata of directories; and of the target's own, which others may enter from then on. */
PST_MUST_USE int restore_finish_files(struct restore_run *run);
PST_MUST_USE int restore_make_links(struct restore_run *run);
PST_MUST_USE int restore_finish_directories(struct restore_run *run);
PST_MUST_USE int restore_finish_root(struct restore_run *run);

/* restore_flags.c, when the target has its name: flags and project ids, of what has been
 * noted (restore_object.h). What cannot be set is reported. */
void restore_set_flags(struct restore_run *run);

/* restore_lost.c, of a restore that goes on past damage: a chunk that is lost; the objects that a
 * whole header names; parts of which chunks are not known; and, after the data, which objects that
 * costs. */
chunk_loser restore_note_lost;
void restore_note_hit(struct restore_run *run, const struct pst_part_map *part,
                      const struct pst_chunk_header *header);
void restore_note_unmapped(struct restore_run *run);
void restore_note_unmapped_origins(struct restore_run *run);
PST_MUST_USE int restore_report_lost(struct restore_run *run);

/* restore_data.c: the pieces of all DATA chunks. */
PST_MUST_USE int restore_write_data(struct restore_run *run);

/* restore_rows.c: all tables, into sinks; those that options->export names, into one. */
PST_MUST_USE int restore_write_rows(struct restore_run *run);
PST_MUST_USE int restore_export(struct restore_run *run);

/* Calls run->each_table for every table. */
PST_MUST_USE int restore_list_tables(struct restore_run *run);

#endif
