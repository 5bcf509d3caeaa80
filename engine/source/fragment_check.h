/*
 * Whether a fragment is one that LDMs can scan and that a restore can read back: sources may be a
 * program's own. Called by the thread of a source, for each fragment that is emitted.
 */
#ifndef PST_ENGINE_SOURCE_FRAGMENT_CHECK_H
#define PST_ENGINE_SOURCE_FRAGMENT_CHECK_H

#include "engine/source/source.h"

struct pst_fragment_limits {
    uint32_t ldms;       /* fragment->owner is at most this */
    uint64_t base_files; /* places in the backup's base; 0: it has none */
};

/* NULL: it is legal; else what it is instead, behind "it listed". Static text. */
const char *pst_fragment_fault(const struct pst_source *source,
                               const struct pst_fragment_limits *limits,
                               const struct pst_fragment_descriptor *fragment);

#endif
