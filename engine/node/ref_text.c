/* A ref in words: the log lines of the node, and the messages of those who ask it, name blocks so.
 */
#include "engine/node/ref_text.h"

#include <stdio.h>

const char *pst_ref_text(pst_ref ref, char *text, size_t bytes)
{
    static const char *const blocks[] = {
        [PST_BLOCK_CLIENT] = "client",   [PST_BLOCK_PROXY] = "proxy",
        [PST_BLOCK_BACKUP] = "LDM",      [PST_BLOCK_SOURCE] = "source",
        [PST_BLOCK_ARCHIVE] = "archive", [PST_BLOCK_OUTCOME] = "outcome"};
    uint32_t block = pst_ref_block(ref);
    const char *name = block < sizeof(blocks) / sizeof(blocks[0]) ? blocks[block] : NULL;
    if (block == PST_BLOCK_BACKUP || block == PST_BLOCK_SOURCE)
        snprintf(text, bytes, "%s %u of node %u", name, pst_ref_instance(ref), pst_ref_node(ref));
    else
        snprintf(text, bytes, "%s of node %u", name ? name : "nobody", pst_ref_node(ref));
    return text;
}
