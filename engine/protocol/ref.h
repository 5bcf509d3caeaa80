/*
 * The address of a protocol instance, as it travels in signals. Pure; any thread.
 */
#ifndef PST_ENGINE_PROTOCOL_REF_H
#define PST_ENGINE_PROTOCOL_REF_H

#include <stdint.h>

/* Address of a protocol instance: node << 24 | block << 16 | instance. */
typedef uint32_t pst_ref;

enum pst_block {
    PST_BLOCK_CLIENT = 1,  /* asked for the backup */
    PST_BLOCK_PROXY = 2,   /* instance 0: the BackupProxy, in the hub; 1: LDM 1 in its place */
    PST_BLOCK_BACKUP = 3,  /* instance 1…N: the participant in LDM n; the master is in LDM 1 */
    PST_BLOCK_SOURCE = 4,  /* instance 0…: a source's thread */
    PST_BLOCK_ARCHIVE = 5, /* instance 0: the thread that keeps the backup directory */
    PST_BLOCK_OUTCOME = 6, /* instance 0: what settles backups in doubt, in the hub */
};

static inline pst_ref pst_ref_make(uint32_t node, enum pst_block block, uint32_t instance)
{
    return node << 24 | (uint32_t)block << 16 | instance;
}

static inline uint32_t pst_ref_node(pst_ref ref)
{
    return ref >> 24;
}

static inline enum pst_block pst_ref_block(pst_ref ref)
{
    return (enum pst_block)(ref >> 16 & 0xff);
}

static inline uint32_t pst_ref_instance(pst_ref ref)
{
    return ref & 0xffff;
}

#endif
