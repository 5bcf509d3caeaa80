/*
 * The chunks of a part without its index, for a restore that goes on past damage. Private to
 * engine/repository/.
 */
#ifndef PST_ENGINE_REPOSITORY_PART_SALVAGE_H
#define PST_ENGINE_REPOSITORY_PART_SALVAGE_H

#include "engine/repository/part_map.h"

/* Fills in part->salvaged. The part is mapped if each byte before the trailer is in a chunk.
 * damaged: the INDEX chunk that is, which needs no header; of file_offset 0: that is not known.
 * buffer: PST_CHUNK_HEADER_BYTES. -errno only for what is not the backup's fault. */
PST_MUST_USE int part_salvage(struct pst_part_map *part, struct pst_reader *reader,
                              struct pst_file *file, const struct pst_index_link *damaged,
                              void *buffer, struct pst_findings *findings);

#endif
