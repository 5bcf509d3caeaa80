/* The transforms that Penstock knows beside the identity. Alone in its file, so that nothing of it
 * is linked where a test defines the table. Read by codec_find.c. */
#include "engine/transform/registry/codec_table.h"

#include <stddef.h>

#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/zstd/zstd_codec.h"

const struct pst_transform *const pst_codec_table[] = {&pst_lz4_codec, &pst_zstd_codec, NULL};
