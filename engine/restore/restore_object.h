/*
 * One object of a restore in its target. Private to engine/restore/; any thread of the crew.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_OBJECT_H
#define PST_ENGINE_RESTORE_RESTORE_OBJECT_H

#include <sys/types.h>

#include "engine/restore/restore_run.h"
#include "io/beneath.h"

/* The descriptor of the directory that a source goes into, for reading or setting; -1: none. */
int *restore_source_slot(const struct restore_run *run, uint32_t node_index, uint32_t instance);

/* The same for the source of an object; -1: the manifest knows no such source. */
int restore_source_fd(const struct restore_run *run, const struct object_record *record);

/* Around what may block on an object's account, in the target or on the way to it: see
 * engine/base/activity.h. what: static, "write". pst_activity_end() ends it. */
void restore_begin(const struct restore_run *run, const struct object_record *record,
                   const char *what);

/* Whether this object is a file with contents; and those types, as bits. */
#define RESTORE_FILE_TYPES                                                                         \
    (1u << PST_OBJECT_FILE | 1u << PST_OBJECT_TABLE | 1u << PST_OBJECT_ENVIRONMENT |               \
     1u << PST_OBJECT_BLOCK_IMAGE)
bool restore_is_file(const struct pst_object *object);

/* Whether it is the file of an LMDB environment, which may have a lock file beside it. */
bool restore_is_environment(const struct pst_object *object);

/* Whether it is a file that could not be read during the backup, so that it may have no contents
 * there: it is made when the first of them comes, and what has its name in the target makes room
 * for it no sooner. */
bool restore_waits_for_contents(const struct pst_object *object);

/* Whether nothing of such a file has come. Once all contents were written. */
bool restore_has_nothing_of(const struct object_record *record);

/* Reports a file that the backup has nothing of. 0, or what ends the restore. */
PST_MUST_USE int restore_miss_contents(struct restore_run *run, struct object_record *record);

/* In place: what is not a directory goes to where nothing is. 0 or -errno; -EEXIST, which is
 * logged: what is there was restored (restore_note_placed). */
PST_MUST_USE int restore_clear_way(const struct restore_run *run, int parent_fd, const char *name,
                                   const struct pst_object *object);

/* What has this name now was restored: nothing else of the backup takes its place. 0 or -errno. */
PST_MUST_USE int restore_note_placed(const struct restore_run *run, int parent_fd,
                                     const char *name);

/* Whether the caller wants no such object: devices. */
bool restore_is_left_out(const struct restore_run *run, const struct pst_object *object);

/* What the file of an object is called until it is whole: its name, or, where the one that has it
 * stays until then (restore_run.swaps), one that no other file has. */
#define RESTORE_WORKING_NAME_BYTES 64u
const char *restore_working_name(const struct restore_run *run, const struct object_record *record,
                                 const char *name, char text[RESTORE_WORKING_NAME_BYTES]);

/* A file that is whole takes its name, and what had it goes. 0, or what ends the restore. */
PST_MUST_USE int restore_take_name(struct restore_run *run, struct pst_parent *parent,
                                   struct object_record *record);

/* Opens the file of an object for writing, creating it the first time, with that mode as far as the
 * umask allows; a descriptor or -errno.
 * While others may open it too, under restore_run.files. */
PST_MUST_USE int restore_open(const struct restore_run *run, struct pst_parent *parent,
                              struct object_record *record, const char *path, mode_t mode);

/* Ends an open file or directory that is whole: owner, mode, times; counts it. What cannot be set
 * is reported. 0, or what ends the restore. */
PST_MUST_USE int restore_finish_open(struct restore_run *run, int fd,
                                     const struct object_record *record);

/* The same for a symlink, device, FIFO or socket that has just been made. */
PST_MUST_USE int restore_finish_node(struct restore_run *run, int parent_fd, const char *name,
                                     const struct object_record *record);

/* A file that is not whole becomes NAME.damaged. 0, or what ends the restore. */
PST_MUST_USE int restore_set_aside(struct restore_run *run, struct pst_parent *parent,
                                   const struct object_record *record);

/* S_IFMT's bits for such a node, and the device of one that is. */
mode_t restore_format(enum pst_object_type type);
dev_t restore_device(const struct pst_object *object);

#endif
