/*
 * Every bound of Penstock that is not public (penstock/limits.h), and the relations that must hold
 * between all of them.
 */
#ifndef PST_ENGINE_BASE_LIMITS_H
#define PST_ENGINE_BASE_LIMITS_H

#include "penstock/limits.h"

#define PST_NODES_MAX 255u /* node ids 1…255 */
#define PST_CPUS_MAX 4096u /* logical CPUs of one host */
#define PST_NUMA_NODES_MAX 128u

#define PST_LINE_BYTES 64u /* of a cache: what two threads write does not lie in one line */

/* The highest number that --number and the control socket take: a backup gets one more than the
 * highest there is, so a higher one would use up, by one slip, what millions of backups need. */
#define PST_BACKUP_NUMBER_WANTED_MAX 4000000000u
_Static_assert(PST_BACKUP_NUMBER_WANTED_MAX < PST_BACKUP_NUMBER_MAX, "numbers are left after it");

/* Of a thread's stack, whatever the process's limit is. The largest frames are those that hold two
 * manifests, and -Wframe-larger-than (scripts/cmake) warns of one above an eighth of this. */
#define PST_STACK_BYTES_MIN (1u << 20)

#define PST_FRAGMENTS_AHEAD 2u /* dealt to one LDM and not yet answered */

/* Listed by all sources of a node and not yet scanned. A source lists this far ahead of the LDMs:
 * three for each LDM keep all of them busy while the next ones are on their way. */
#define PST_FRAGMENTS_LISTED_PER_LDM 3u
#define PST_FRAGMENTS_LISTED_MIN 8u /* by one source, however many share the LDMs */
#define PST_FRAGMENTS_LISTED_MAX                                                                   \
    (PST_LDMS_MAX * PST_FRAGMENTS_LISTED_PER_LDM + PST_SOURCES_MAX * PST_FRAGMENTS_LISTED_MIN)

/* Signals in one SPSC ring; see the bound below. */
#define PST_RING_SIGNALS 2048u

#define PST_REQUESTS_UNANSWERED_MAX 16u /* requests and orders in one ring, fragments excepted */

/* Signals to one other node that its ring has no room for; engine/node/peers.c adds up what may be
 * under way. */
#define PST_OUTBOX_SIGNALS 2048u

/* Room that another node's signals, and reports, must leave in a ring of a cluster's node: for the
 * orders and requests of its own, and for each other node's failure and joining once. */
#define PST_RING_RESERVE 640u

_Static_assert((PST_RING_SIGNALS & (PST_RING_SIGNALS - 1)) == 0,
               "rte_ring counts in powers of two");
_Static_assert(PST_FRAGMENTS_AHEAD + PST_REQUESTS_UNANSWERED_MAX < PST_RING_SIGNALS,
               "the ring to an LDM can never be full");
_Static_assert(PST_FRAGMENTS_LISTED_MAX + PST_REQUESTS_UNANSWERED_MAX < PST_RING_SIGNALS,
               "the ring from a source can never be full");
_Static_assert(2 * PST_REQUESTS_UNANSWERED_MAX + 2 * PST_NODES_MAX <= PST_RING_RESERVE,
               "a node's own signals have room");
_Static_assert(PST_CHUNK_BYTES_MIN % PST_BLOCK_BYTES == 0, "chunks are aligned");
_Static_assert(PST_CHUNK_BYTES_DEFAULT >= PST_CHUNK_BYTES_MIN, "the default is legal");
_Static_assert(PST_CHUNK_BYTES_DEFAULT <= PST_CHUNK_BYTES_MAX, "the default is legal");
_Static_assert(PST_FRAGMENT_BYTES_MAX >= PST_CHUNK_BYTES_MAX, "a fragment fills its chunks");

#endif
