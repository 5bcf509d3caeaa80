/*
 * Bounds that a source or a program that runs backups may need. The bounds of the engine alone, and
 * the relations between all of them, are in engine/base/limits.h of the source tree.
 */
#ifndef PENSTOCK_LIMITS_H
#define PENSTOCK_LIMITS_H

#define PST_LDMS_MAX 256u       /* LDMs of one node, instances 1…256 */
#define PST_SOURCES_MAX 64u     /* sources of one node, instances 0…63 */
#define PST_SOURCE_NAME_MAX 64u /* bytes of a source's name, terminator included */
#define PST_BACKUP_NUMBER_MAX 4294967295u

/* Everything on disk is aligned to this; no disk in use has larger logical blocks. */
#define PST_BLOCK_BYTES 4096u

/* Payload of one chunk. */
#define PST_CHUNK_BYTES_MIN (64u << 10)
#define PST_CHUNK_BYTES_DEFAULT (1u << 20)
#define PST_CHUNK_BYTES_MAX (16u << 20)

/* Chunks one LDM may have in flight, reading or writing. */
#define PST_DEPTH_MIN 2u
#define PST_DEPTH_DEFAULT 8u
#define PST_DEPTH_MAX 128u

/* A fragment is the unit that is dealt to an LDM: large enough to amortise a signal, small enough
 * that the last one leaves no long tail. */
#define PST_FRAGMENT_BYTES_MAX (64u << 20)
#define PST_FRAGMENT_EXTENTS_MAX 1024u

#define PST_PATH_BYTES_MAX 4096u /* path inside a source, terminator included (PATH_MAX) */

#define PST_LABEL_BYTES_MAX 128u /* of a backup's label, without the terminator */

#define PST_MESSAGE_BYTES 512u /* of a message for people, terminator included; may be cut */

#endif
