/*
 * Bytes as hexadecimal text: uids, digests.
 *
 * Pure; any thread.
 */
#ifndef PST_ENGINE_BASE_HEX_H
#define PST_ENGINE_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * bytes lower-case digits and a terminator into text. Returns text. */
char *pst_hex_encode(const uint8_t *data, size_t bytes, char *text);

/* Reads exactly 2 * bytes lower-case digits, text_bytes long without a terminator. false: text is
 * anything else, and data is unchanged. */
bool pst_hex_decode(const char *text, size_t text_bytes, uint8_t *data, size_t bytes);

#endif
