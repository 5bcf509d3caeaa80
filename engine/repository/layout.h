/*
 * Names in the backup directory. Private to engine/repository: no other folder knows one. Pure; any
 * thread. Names lie in the directory of a backup, but for
 * those said to lie directly in the backup directory.
 */
#ifndef PST_ENGINE_REPOSITORY_LAYOUT_H
#define PST_ENGINE_REPOSITORY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_NAME_BYTES 128u /* no name here is longer, terminator included */

struct layout_name {
    char text[LAYOUT_NAME_BYTES];
};

/* Directly in the backup directory: BACKUP-7; until it has its mark, .BACKUP-7.2.tmp; when it is
 * pruned, .BACKUP-7.<uid in hex>.pruned; the lock of a node's number, .node-2.lock. */
struct layout_name layout_backup(uint32_t number);
struct layout_name layout_unmarked(uint32_t number, uint32_t node);
struct layout_name layout_pruned(uint32_t number, const char *uid);
struct layout_name layout_lock(uint32_t node);

struct layout_name layout_part_dir(uint32_t number, uint32_t part, uint32_t parts);
/* BACKUP-7-PART-1-OF-4 */
struct layout_name layout_part_file(uint32_t number, uint32_t node);
/* BACKUP-7.1.data, in that */
struct layout_name layout_part(uint32_t number, uint32_t node, uint32_t part, uint32_t parts);
/* BACKUP-7-PART-1-OF-4/BACKUP-7.1.data */
struct layout_name layout_tail_file(uint32_t number, uint32_t node);
/* BACKUP-7.1.tail, beside it */
struct layout_name layout_node_manifest(uint32_t number, uint32_t node); /* BACKUP-7.1.manifest */
struct layout_name layout_cluster_manifest(uint32_t number);     /* BACKUP-7.cluster.manifest */
struct layout_name layout_cluster_copy(uint32_t number);         /* the same and ".copy" */
struct layout_name layout_mark(uint32_t number, uint32_t node);  /* BACKUP-7.1.mark */
struct layout_name layout_draft(uint32_t number, uint32_t node); /* BACKUP-7.1.draft */
struct layout_name layout_pin(uint32_t number);                  /* BACKUP-7.pin */
struct layout_name layout_verified(uint32_t number);             /* BACKUP-7.verified */

/* The wrapped data key of a node, which is kept twice: BACKUP-7.1.keys, BACKUP-7.1.keys.copy. */
#define LAYOUT_KEYS_COPIES 2u
struct layout_name layout_keys(uint32_t number, uint32_t node, uint32_t copy);

/* A manifest while it is written: .BACKUP-7.1.manifest.tmp; of a cluster manifest, which other
 * nodes may write beside this one, .BACKUP-7.cluster.manifest.1.tmp, and of its copy
 * .BACKUP-7.cluster.manifest.copy.1.tmp. */
struct layout_name layout_temporary(const char *manifest);
struct layout_name layout_cluster_temporary(uint32_t number, uint32_t node);
struct layout_name layout_cluster_copy_temporary(uint32_t number, uint32_t node);

/* Each reads a name back, if it is exactly as it is written above. */
bool layout_parse_backup(const char *name, uint32_t *number);
bool layout_parse_unmarked(const char *name, uint32_t *number, uint32_t *node);
bool layout_parse_pruned(const char *name, uint32_t *number);
bool layout_parse_part_dir(const char *name, uint32_t number, uint32_t *part, uint32_t *parts);
bool layout_parse_mark(const char *name, uint32_t number, uint32_t *node);
bool layout_parse_draft(const char *name, uint32_t number, uint32_t *node);
bool layout_parse_node_manifest(const char *name, uint32_t number, uint32_t *node);
bool layout_parse_keys(const char *name, uint32_t number, uint32_t *node); /* or its copy */
bool layout_parse_cluster(const char *name, uint32_t *number); /* the manifest or its copy */

/* Whether a name is one that a backup of that number has in its directory, or in one of its
 * directories of parts. */
bool layout_is_inside(const char *name, uint32_t number);
bool layout_is_part_file(const char *name, uint32_t number);

/* Whether a name begins as those of a backup do. */
bool layout_is_like_backup(const char *name);

#endif
