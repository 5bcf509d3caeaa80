/*
 * What encoder and decoder of manifests share. Private to engine/format/.
 */
#ifndef PST_ENGINE_FORMAT_MANIFEST_INTERNAL_H
#define PST_ENGINE_FORMAT_MANIFEST_INTERNAL_H

#define PST_MANIFEST_KIND_NODE "node-manifest"
#define PST_MANIFEST_KIND_CLUSTER "cluster-manifest"

/* Line 2 is the first, 32 hex digits, and the second. */
#define PST_MANIFEST_LINE2_BEGIN "{\"checksum\":\"xxh3-128:"
#define PST_MANIFEST_LINE2_END "\"}\n"
#define PST_MANIFEST_LINE2_BYTES                                                                   \
    (sizeof(PST_MANIFEST_LINE2_BEGIN) - 1 + 32 + sizeof(PST_MANIFEST_LINE2_END) - 1)

struct pst_manifest_text;

/* Adds line 2. line: malloc'd, without newline; becomes the text's or is freed. -ENOMEM; -E2BIG. */
int format_manifest_finish(char *line, struct pst_manifest_text *text);

#endif
