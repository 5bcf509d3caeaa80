/*
 * The transforms that this program knows beside the identity; NULL at the end. The product's table
 * is in codec_table.c. A test that has a transform of its own defines a table itself, which is then
 * linked in the place of that one.
 */
#ifndef PST_ENGINE_TRANSFORM_REGISTRY_CODEC_TABLE_H
#define PST_ENGINE_TRANSFORM_REGISTRY_CODEC_TABLE_H

struct pst_transform;

extern const struct pst_transform *const pst_codec_table[];

#endif
