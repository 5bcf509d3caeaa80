/*
 * What is left of a backup that was cut off: of each part the chunks from its beginning to the
 * first that is not whole. They get checksums of objects, an index and a trailer, so that whoever
 * reads parts can read them; what is behind them goes. docs/adr/0046-cut-off-backups.md.
 *
 * Private to engine/repository. Blocking; the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_GATHER_H
#define PST_ENGINE_REPOSITORY_GATHER_H

#include "engine/format/manifest.h"
#include "engine/key/data_key.h"
#include "engine/pace/ring_pace.h"
#include "engine/repository/repository.h"

/* backup: the handle of its directory. Ends all parts of a draft, durably, and enters in it what
 * they have: parts, sums, origins and the time. No chunk is looked at after limit_ns, by the
 * monotonic clock: then the rest goes too. key: the data key of what
 * is sealed, else NULL. Of such a part the end goes into a file of its own (engine/format/tail.h):
 * nothing is added to what its key has sealed. pace: by which it reads; NULL: as fast as it goes.
 * *failed: the file that an error is about. -ENOENT: nothing that could be of use is whole. */
PST_MUST_USE int gather_parts(struct pst_repository *repository, int backup,
                              struct pst_node_manifest *draft, const struct pst_data_key *key,
                              uint64_t limit_ns, struct pst_pace *pace,
                              struct pst_repository_path *failed);

/* Whether that was done with a draft: its parts have lengths then, all of them. Any thread. */
bool gather_is_done(const struct pst_node_manifest *draft);

#endif
