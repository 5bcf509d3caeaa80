/*
 * A ref in words, for messages. Pure; any thread.
 */
#ifndef PST_ENGINE_NODE_REF_TEXT_H
#define PST_ENGINE_NODE_REF_TEXT_H

#include <stddef.h>

#include "engine/protocol/signal.h"

/* "LDM 3 of node 1". text: at least 64 bytes. Returns text. */
const char *pst_ref_text(pst_ref ref, char *text, size_t bytes);

#endif
