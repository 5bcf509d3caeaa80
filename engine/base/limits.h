/*
 * Every bound of Penstock, with the relations that must hold between them.
 */
#ifndef PST_ENGINE_BASE_LIMITS_H
#define PST_ENGINE_BASE_LIMITS_H

#define PST_NODES_MAX 255u  /* node ids 1…255 */
#define PST_LDMS_MAX 256u   /* LDMs of one node, instances 1…256 */
#define PST_SOURCES_MAX 64u /* sources of one node, instances 0…63 */
#define PST_CPUS_MAX 4096u  /* logical CPUs of one host */
#define PST_NUMA_NODES_MAX 128u
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
#define PST_FRAGMENTS_AHEAD 2u /* dealt to one LDM and not yet answered */

/* Listed by all sources of a node and not yet scanned. A source lists this far ahead of the LDMs:
 * three for each LDM keep all of them busy while the next ones are on their way. */
#define PST_FRAGMENTS_LISTED_PER_LDM 3u
#define PST_FRAGMENTS_LISTED_MIN 8u /* by one source, however many share the LDMs */
#define PST_FRAGMENTS_LISTED_MAX                                                                   \
    (PST_LDMS_MAX * PST_FRAGMENTS_LISTED_PER_LDM + PST_SOURCES_MAX * PST_FRAGMENTS_LISTED_MIN)

#define PST_PATH_BYTES_MAX 4096u /* path inside a source, terminator included (PATH_MAX) */

/* Signals in one SPSC ring; see the bound below. */
#define PST_RING_SIGNALS 2048u

#define PST_REQUESTS_UNANSWERED_MAX 16u /* requests and orders in one ring, fragments excepted */

_Static_assert((PST_RING_SIGNALS & (PST_RING_SIGNALS - 1)) == 0,
               "rte_ring counts in powers of two");
_Static_assert(PST_FRAGMENTS_AHEAD + PST_REQUESTS_UNANSWERED_MAX < PST_RING_SIGNALS,
               "the ring to an LDM can never be full");
_Static_assert(PST_FRAGMENTS_LISTED_MAX + PST_REQUESTS_UNANSWERED_MAX < PST_RING_SIGNALS,
               "the ring from a source can never be full");
_Static_assert(PST_CHUNK_BYTES_MIN % PST_BLOCK_BYTES == 0, "chunks are aligned");
_Static_assert(PST_CHUNK_BYTES_DEFAULT >= PST_CHUNK_BYTES_MIN, "the default is legal");
_Static_assert(PST_CHUNK_BYTES_DEFAULT <= PST_CHUNK_BYTES_MAX, "the default is legal");
_Static_assert(PST_FRAGMENT_BYTES_MAX >= PST_CHUNK_BYTES_MAX, "a fragment fills its chunks");

#endif
