/*
 * Names of the files of a backup. Pure; any thread. All are relative to the directory of the backup
 * (<to>/BACKUP-<number>), but for pst_name_backup's own.
 */
#ifndef PST_ENGINE_REPOSITORY_LAYOUT_H
#define PST_ENGINE_REPOSITORY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define PST_NAME_BYTES 128u /* no name here is longer, terminator included */

struct pst_name {
    char text[PST_NAME_BYTES];
};

struct pst_name pst_name_backup(uint32_t number); /* BACKUP-7 */
struct pst_name pst_name_part_dir(uint32_t number, uint32_t part, uint32_t parts);
/* BACKUP-7-PART-1-OF-4 */
struct pst_name pst_name_part(uint32_t number, uint32_t node, uint32_t part, uint32_t parts);
/* BACKUP-7-PART-1-OF-4/BACKUP-7.1.data */
struct pst_name pst_name_node_manifest(uint32_t number, uint32_t node); /* BACKUP-7.1.manifest */
struct pst_name pst_name_cluster_manifest(uint32_t number);    /* BACKUP-7.cluster.manifest */
struct pst_name pst_name_mark(uint32_t number, uint32_t node); /* BACKUP-7.1.mark */

/* Reads "BACKUP-<number>", exactly as pst_name_backup writes it. */
bool pst_name_parse_backup(const char *name, uint32_t *number);

#endif
