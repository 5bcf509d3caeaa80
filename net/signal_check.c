/*
 * Stamps signals and checks them: CRC-32C, incarnation, link sequence, legal contents. Called for
 * every signal that a ring or a fabric carries, by its producer's and its consumer's thread.
 */
#include "net/signal_check.h"

#include <string.h>

#if defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <rte_crc_arm64.h>
#define CRC_OF_WORD crc32c_arm64_u64
#else
#include <rte_crc_sw.h>
#define CRC_OF_WORD crc32c_2words
#endif

_Static_assert(offsetof(struct pst_signal, checksum) % sizeof(uint64_t) == 0 &&
                   PST_SIGNAL_BYTES % sizeof(uint64_t) == 0,
               "the checksum runs over whole words");

/* Inlined into a caller for each way to compute it: which one is asked once a signal, not once a
 * word. */
static inline __attribute__((always_inline)) uint32_t
crc_of_words(const unsigned char *bytes, size_t size, uint32_t crc,
             uint32_t (*crc_of_word)(uint64_t, uint32_t))
{
#pragma GCC unroll 16
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        crc = crc_of_word(word, crc);
    }
    return crc;
}

/* CRC-32C of what precedes the checksum in the low half, and of what follows it, continued from
 * the first, in the high half: 64 bits that differ, where two CRCs of the same bytes would not. */
static inline __attribute__((always_inline)) uint64_t
checksum_by(const struct pst_signal *signal, uint32_t (*crc_of_word)(uint64_t, uint32_t))
{
    const unsigned char *bytes = (const unsigned char *)signal;
    size_t end = offsetof(struct pst_signal, checksum) + sizeof(signal->checksum);
    uint32_t low =
        crc_of_words(bytes, offsetof(struct pst_signal, checksum), UINT32_MAX, crc_of_word);
    uint32_t high = crc_of_words(bytes + end, sizeof(*signal) - end, low, crc_of_word);
    return (uint64_t)high << 32 | low;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static inline uint32_t crc_by_sse42(uint64_t word, uint32_t crc)
{
    return (uint32_t)__builtin_ia32_crc32di(crc, word);
}

__attribute__((target("sse4.2"))) static uint64_t checksum_by_sse42(const struct pst_signal *signal)
{
    return checksum_by(signal, crc_by_sse42);
}
#endif

static uint64_t checksum_of(const struct pst_signal *signal)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return checksum_by_sse42(signal);
#endif
    return checksum_by(signal, CRC_OF_WORD);
}

enum pst_spsc_fault pst_spsc_content_fault(const struct pst_signal *signal)
{
    if (signal->version != PST_SIGNAL_VERSION)
        return PST_SIGNAL_FAULT_VERSION;
    uint16_t payload_bytes = pst_gsn_payload_bytes(signal->gsn);
    if (payload_bytes == 0)
        return PST_SIGNAL_FAULT_GSN;
    if (signal->length != payload_bytes)
        return PST_SIGNAL_FAULT_LENGTH;
    if (signal->flags != 0 || signal->reserved != 0)
        return PST_SIGNAL_FAULT_RESERVED;
    return PST_SIGNAL_FAULT_NONE;
}

void pst_spsc_stamp(struct pst_signal *signal, uint64_t incarnation, uint32_t sequence)
{
    signal->link_sequence = sequence;
    signal->incarnation = incarnation;
    signal->checksum = checksum_of(signal);
}

enum pst_spsc_fault pst_spsc_fault(const struct pst_signal *signal, uint64_t incarnation,
                                   uint32_t sequence)
{
    if (signal->checksum != checksum_of(signal))
        return PST_SIGNAL_FAULT_CHECKSUM;
    if (signal->incarnation != incarnation)
        return PST_SIGNAL_FAULT_INCARNATION;
    if (signal->link_sequence != sequence)
        return PST_SIGNAL_FAULT_SEQUENCE;
    return pst_spsc_content_fault(signal);
}

const char *pst_spsc_fault_text(enum pst_spsc_fault fault)
{
    switch (fault) {
    case PST_SIGNAL_FAULT_NONE:
        return "no fault";
    case PST_SIGNAL_FAULT_CHECKSUM:
        return "checksum: the signal is damaged";
    case PST_SIGNAL_FAULT_INCARNATION:
        return "incarnation: the signal is from another life of its sender";
    case PST_SIGNAL_FAULT_SEQUENCE:
        return "link sequence: signals were lost or repeated";
    case PST_SIGNAL_FAULT_VERSION:
        return "version: the sender speaks another version of the protocol";
    case PST_SIGNAL_FAULT_GSN:
        return "gsn: no such signal";
    case PST_SIGNAL_FAULT_LENGTH:
        return "length: not that of the signal's payload";
    case PST_SIGNAL_FAULT_RESERVED:
        return "flags: a reserved byte is not zero";
    case PST_SIGNAL_FAULT_GEOMETRY:
        return "geometry: the ring's own description was overwritten";
    case PST_SIGNAL_FAULT_INDEX:
        return "index: the other side's is where it cannot be";
    }
    return "unknown fault";
}
