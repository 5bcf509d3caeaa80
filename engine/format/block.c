/* The head that part header, chunk header and trailer share: seals it, checks it, and narrows
 * damage down to the bytes that differ. Called by chunk.c and ends.c, on any thread. */
#include "engine/format/block.h"

#include <assert.h>
#include <string.h>

int format_damage_set(struct pst_damage *damage, uint64_t offset, uint64_t bytes, const char *what,
                      int error)
{
    damage->offset = offset;
    damage->bytes = bytes;
    damage->what = what;
    return error;
}

bool format_is_zero(const void *bytes, size_t count)
{
    const uint8_t *first = bytes;
    return count == 0 || (first[0] == 0 && memcmp(first, first + 1, count - 1) == 0);
}

bool format_identity_is_legal(const struct pst_part_identity *identity)
{
    return identity->number >= 1 && identity->node >= 1 && identity->node <= PST_NODES_MAX &&
           identity->part >= 1 && identity->part <= identity->parts &&
           identity->parts <= PST_LDMS_MAX;
}

void format_block_seal(void *block, const char *magic, const struct pst_part_identity *identity,
                       uint64_t chunk)
{
    assert(format_identity_is_legal(identity));
    struct pst_block_head *head = block;
    memset(head, 0, sizeof(*head));
    memcpy(head->magic, magic, sizeof(head->magic));
    head->identity = *identity;
    head->chunk = chunk;
    head->checksum = pst_digest_of(block, PST_BLOCK_BYTES, 0);
}

static struct pst_digest checksum_of_copy(uint8_t copy[PST_BLOCK_BYTES])
{
    memset(copy + offsetof(struct pst_block_head, checksum), 0, sizeof(struct pst_digest));
    return pst_digest_of(copy, PST_BLOCK_BYTES, 0);
}

/* The damage is proved to lie where a block differs from one that has its checksum. */
static void narrow_to_difference(const uint8_t *block, const uint8_t *whole,
                                 struct pst_damage *damage)
{
    size_t skip_from = offsetof(struct pst_block_head, checksum);
    size_t skip_to = skip_from + sizeof(struct pst_digest);
    uint64_t first = PST_BLOCK_BYTES, last = 0;
    for (uint64_t i = 0; i < PST_BLOCK_BYTES; i++) {
        if ((i >= skip_from && i < skip_to) || block[i] == whole[i])
            continue;
        first = i < first ? i : first;
        last = i;
    }
    if (first <= last) {
        damage->offset = first;
        damage->bytes = last - first + 1;
    }
}

/* Puts everything that is known back into a copy: if the checksum then holds, the damage was in
 * what was put back. */
static bool locate(const uint8_t *block, const struct pst_block_expected *expected,
                   struct pst_damage *damage)
{
    uint8_t copy[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    memcpy(copy, block, sizeof(copy));
    struct pst_block_head *head = (struct pst_block_head *)copy;
    const struct pst_digest stored = head->checksum;

    memcpy(head->magic, expected->magic, sizeof(head->magic));
    head->compatible = head->read_only_compatible = head->incompatible = head->reserved = 0;
    if (expected->identity)
        head->identity = *expected->identity;
    if (expected->chunk)
        head->chunk = *expected->chunk;
    if (expected->restore)
        expected->restore(copy, expected->context);

    const struct pst_digest checksum = checksum_of_copy(copy);
    if (!pst_digest_equal(&checksum, &stored))
        return false;
    narrow_to_difference(block, copy, damage);
    return true;
}

static int check_intact(const uint8_t *block, const struct pst_block_expected *expected,
                        struct pst_damage *damage)
{
    uint8_t copy[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    memcpy(copy, block, sizeof(copy));
    const struct pst_block_head *head = (const struct pst_block_head *)block;
    const struct pst_digest checksum = checksum_of_copy(copy);
    bool intact = pst_digest_equal(&checksum, &head->checksum);
    bool magic = memcmp(head->magic, expected->magic, sizeof(head->magic)) == 0;
    if (intact && magic)
        return 0;

    format_damage_set(damage, 0, PST_BLOCK_BYTES, expected->what, 0);
    if (intact)
        return -PST_E_CORRUPT;
    if (!locate(block, expected, damage) && !magic)
        return -PST_E_NOT_BACKUP;
    return -PST_E_CORRUPT;
}

static int check_identity(const struct pst_block_head *head,
                          const struct pst_block_expected *expected, struct pst_damage *damage)
{
    const struct pst_part_identity *found = &head->identity;
    if (!format_identity_is_legal(found))
        return DAMAGED_FIELD(damage, struct pst_block_head, identity, "identity", -PST_E_CORRUPT);
    const struct pst_part_identity *wanted = expected->identity;
    if (wanted && memcmp(found->uid, wanted->uid, sizeof(found->uid)) != 0)
        return DAMAGED_FIELD(damage, struct pst_block_head, identity.uid, "of another backup",
                             -PST_E_MISPLACED);
    if (wanted && (found->number != wanted->number || found->cluster_id != wanted->cluster_id))
        return DAMAGED_FIELD(damage, struct pst_block_head, identity.number,
                             "of another backup number or cluster", -PST_E_MISPLACED);
    if (wanted && found->node != wanted->node)
        return DAMAGED_FIELD(damage, struct pst_block_head, identity.node, "of another node",
                             -PST_E_MISPLACED);
    if (wanted && (found->part != wanted->part || found->parts != wanted->parts))
        return DAMAGED_FIELD(damage, struct pst_block_head, identity.part, "of another part",
                             -PST_E_MISPLACED);
    if (expected->chunk && head->chunk != *expected->chunk)
        return DAMAGED_FIELD(damage, struct pst_block_head, chunk, "another chunk",
                             -PST_E_MISPLACED);
    return 0;
}

int format_block_check(const void *block, uint64_t bytes, const struct pst_block_expected *expected,
                       struct pst_damage *damage)
{
    if (bytes < PST_BLOCK_BYTES)
        return format_damage_set(damage, bytes, PST_BLOCK_BYTES - bytes, expected->what,
                                 -PST_E_TRUNCATED);
    int error = check_intact(block, expected, damage);
    if (error)
        return error;
    const struct pst_block_head *head = block;
    if (head->incompatible & ~PST_FORMAT_INCOMPATIBLE_KNOWN)
        return DAMAGED_FIELD(damage, struct pst_block_head, incompatible, "version", -PST_E_NEWER);
    return check_identity(head, expected, damage);
}
