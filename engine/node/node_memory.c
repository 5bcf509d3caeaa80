/* How much memory the LDMs of a node need for buffers. Called by each LDM as it starts, and by the
 * report of a run that begins. */
#include "engine/node/node.h"
#include "engine/node/threads.h"
#include "engine/pipeline/pipeline.h"

uint32_t node_depth(const struct pst_node_config *config)
{
    return config->depth + (config->base.mode != PST_BASE_NONE);
}

size_t pst_node_memory_bytes(const struct pst_node_config *config)
{
    size_t contexts = pst_compression_memory_bytes(&config->compression, config->chunk_bytes);
    size_t buffers = pst_pipeline_memory_bytes(config->chunk_bytes, node_depth(config));
    return contexts == SIZE_MAX ? contexts : buffers + contexts;
}
