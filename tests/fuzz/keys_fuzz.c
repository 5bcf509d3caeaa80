/* A file of keys, as it lies beside a sealed backup: checked, opened with a key and with a pair,
 * and changed. What is whole after that is taken again. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/keys_ring.h"

static void must_be_whole(struct pst_keys_file *file, size_t bytes,
                          const struct pst_part_identity *identity)
{
    struct pst_keys_file again;
    struct pst_damage damage;
    if (bytes > 0 && pst_keys_file_check(file, bytes, identity, &again, &damage) != 0)
        abort();
}

static void use(struct pst_keys_file *file, const struct pst_part_identity *identity)
{
    struct pst_keyring ring;
    struct pst_data_key key;
    keys_ring_open(&ring);
    if (pst_keys_file_open(file, &ring, &key) == 0) {
        must_be_whole(file, pst_keys_file_add(&ring, &key, file), identity);
        pst_data_key_release(&key);
        if (pst_keys_file_open(file, &ring, &key) != 0)
            abort();
        pst_data_key_release(&key);
    }
    must_be_whole(file, pst_keys_file_remove(ring.keys[0].id, file), identity);
    keys_ring_close(&ring);
}

/* The checksum, as whoever may write there makes it. */
static void fix(uint8_t *bytes, size_t size)
{
    struct pst_keys_head *head = (struct pst_keys_head *)bytes;
    if (size < sizeof(*head))
        return;
    memset(&head->checksum, 0, sizeof(head->checksum));
    head->checksum = pst_digest_of(bytes, size, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pst_part_identity identity = keys_ring_identity();
    struct pst_keys_file file;
    struct pst_damage damage;
    uint8_t *copy = fuzz_copy(data, size);
    fix(copy, size);
    if (pst_keys_file_check(copy, size, &identity, &file, &damage) == 0)
        use(&file, &identity);
    free(copy);
    return 0;
}
