/* Data keys and who opens them: derived as its specification says, wrapped for each of several
 * recipients and no one else, bound to their place, never the same for two parts, and kept where no
 * core dump has them. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/hex.h"
#include "engine/base/limits.h"
#include "engine/format/seal.h"
#include "engine/key/sealing.h"
#include "tests/suite.h"

static const uint8_t uid[PST_UID_BYTES] = {7, 7, 7}, other_uid[PST_UID_BYTES] = {8};
static char folder[] = "/tmp/penstock-key-test.XXXXXX";
static struct pst_part_identity identity;
static struct pst_damage damage;

static const char *in_folder(const char *name, char *path)
{
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void make_key(const char *name, char digit)
{
    char path[128], line[66];
    memset(line, digit, 64);
    strcpy(line + 64, "\n");
    int fd = open(in_folder(name, path), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ssize_t written = write(fd, line, 65);
    assert(written == 65);
    close(fd);
}

/* Of files in the folder; a name that ends in .pub is a recipient. */
static int read_ring(const char *first, const char *second, struct pst_keyring **keyring)
{
    const char *names[] = {first, second}, *files[2], *recipients[2];
    char paths[2][128], message[PST_MESSAGE_BYTES];
    struct pst_keys keys;
    pst_keys_init(&keys);
    keys.files = files;
    keys.recipients = recipients;
    for (uint32_t i = 0; i < 2 && names[i]; i++) {
        in_folder(names[i], paths[i]);
        if (strstr(names[i], ".pub"))
            recipients[keys.recipients_count++] = paths[i];
        else
            files[keys.files_count++] = paths[i];
    }
    return pst_keyring_read(&keys, -1, keyring, message);
}

static struct pst_keyring *ring(const char *first, const char *second)
{
    struct pst_keyring *keyring;
    CU_ASSERT_EQUAL_FATAL(read_ring(first, second, &keyring), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyring);
    return keyring;
}

/* HMAC-SHA256 by another implementation, Python's. */
static void keys_are_derived_as_specified(void)
{
    uint8_t key[PST_KEY_BYTES], derived[PST_KEY_BYTES];
    char text[2 * PST_KEY_BYTES + 1];
    for (uint8_t i = 0; i < PST_KEY_BYTES; i++)
        key[i] = i;
    data_key_derive(key, "penstock test", "context", 7, derived);
    CU_ASSERT_STRING_EQUAL(pst_hex_encode(derived, sizeof(derived), text),
                           "4fb4b708e6a784d8afc0e8437762d32597a0ac4868dfe5ebf07c1db10af4f495");
}

/* The same bytes are sealed by no two gatherings with one key, nor with the part's. */
static void each_tail_has_a_key_of_its_own(void)
{
    uint8_t bound[PST_PART_BOUND_BYTES] = {1}, first[PST_KEY_BYTES], second[PST_KEY_BYTES];
    uint8_t part_key[PST_KEY_BYTES], again[PST_KEY_BYTES];
    struct pst_tail_header header;
    struct pst_data_key key;
    const uint8_t *tail_bound = (const uint8_t *)&header + PST_TAIL_BOUND_AT;
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    pst_tail_begin(&header, &identity, 7, 8192);
    pst_data_key_begin_tail(&key, bound, &header, first);
    pst_tail_begin(&header, &identity, 7, 8192);
    pst_data_key_begin_tail(&key, bound, &header, second);
    pst_tail_seal(&header);
    CU_ASSERT_EQUAL(pst_tail_check(&header, sizeof(header), &identity, &damage), 0);
    pst_data_key_part(&key, bound, part_key);
    CU_ASSERT_NOT_EQUAL(memcmp(first, second, sizeof(first)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(part_key, second, sizeof(first)), 0);
    pst_data_key_tail(&key, bound, tail_bound, again);
    CU_ASSERT_EQUAL(memcmp(again, second, sizeof(again)), 0);
    for (size_t i = 0; i < PST_TAIL_BOUND_BYTES; i += 8) { /* of the identity to the salt */
        ((uint8_t *)&header)[PST_TAIL_BOUND_AT + i] ^= 1;
        pst_data_key_tail(&key, bound, tail_bound, again);
        CU_ASSERT_NOT_EQUAL(memcmp(again, second, sizeof(again)), 0);
        ((uint8_t *)&header)[PST_TAIL_BOUND_AT + i] ^= 1;
    }
    bound[PST_PART_BOUND_BYTES - 1] ^= 1;
    pst_data_key_tail(&key, bound, tail_bound, again);
    CU_ASSERT_NOT_EQUAL(memcmp(again, second, sizeof(again)), 0);
    pst_data_key_release(&key);
}

static size_t make_file(const char *first, const char *second, struct pst_data_key *key,
                        struct pst_keys_file *file)
{
    struct pst_keyring *recipients = ring(first, second);
    CU_ASSERT_EQUAL_FATAL(data_key_make(key), 0);
    size_t bytes = keys_file_make(recipients, key, &identity, file);
    pst_keyring_release(recipients);
    return bytes;
}

/* What a keyring of this file makes of it. */
static int open_with(const struct pst_keys_file *file, const char *name,
                     const struct pst_data_key *wanted)
{
    struct pst_keyring *keyring = ring(name, NULL);
    struct pst_data_key key;
    int error = pst_keys_file_open(file, keyring, &key);
    if (!error) {
        CU_ASSERT_EQUAL(memcmp(key.secret, wanted->secret, PST_KEY_BYTES), 0);
        pst_data_key_release(&key);
    } else {
        CU_ASSERT_PTR_NULL(key.secret);
    }
    pst_keyring_release(keyring);
    return error;
}

static void each_recipient_opens_it_and_no_one_else(void)
{
    struct pst_data_key key;
    struct pst_keys_file file, found;
    size_t bytes = make_file("a", "pair.pub", &key, &file);
    CU_ASSERT_EQUAL(bytes, 3 * 128);
    CU_ASSERT_EQUAL(pst_keys_file_check(&file, bytes, &identity, &found, &damage), 0);
    CU_ASSERT_EQUAL(open_with(&found, "a", &key), 0);
    CU_ASSERT_EQUAL(open_with(&found, "pair", &key), 0);
    CU_ASSERT_EQUAL(open_with(&found, "b", &key), -PST_E_NO_KEY);
    CU_ASSERT_EQUAL(open_with(&found, "other_pair", &key), -PST_E_NO_KEY);
    CU_ASSERT_EQUAL(open_with(&found, "pair.pub", &key), -PST_E_NO_KEY); /* it seals alone */
    CU_ASSERT_PTR_NULL(memmem(&file, bytes, key.secret, 8));
    pst_data_key_release(&key);
}

static struct pst_keyring *passphrase_ring(const char *text)
{
    struct pst_keyring *keyring;
    char path[128], message[PST_MESSAGE_BYTES];
    struct pst_keys keys;
    int fd = open(in_folder("phrase", path), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    pst_keys_init(&keys);
    keys.passphrase_file = path;
    CU_ASSERT_EQUAL_FATAL(pst_keyring_read(&keys, -1, &keyring, message), 0);
    return keyring;
}

static int open_with_passphrase(const struct pst_keys_file *file, const char *text)
{
    struct pst_keyring *keyring = passphrase_ring(text);
    struct pst_data_key key;
    int error = pst_keys_file_open(file, keyring, &key);
    pst_data_key_release(&key);
    pst_keyring_release(keyring);
    return error;
}

static void a_passphrase_opens_at_its_cost(void)
{
    struct pst_keyring *recipients = passphrase_ring("one two\n");
    struct pst_keys_file file, costly;
    struct pst_data_key key;
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL_FATAL(pst_keyring_prepare(recipients, message), 0);
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    size_t bytes = keys_file_make(recipients, &key, &identity, &file);
    CU_ASSERT_EQUAL(bytes, 2 * 128);
    CU_ASSERT_PTR_NULL(memmem(&file, bytes, "one", 3));
    CU_ASSERT_EQUAL(file.records[0].cost.memory_bytes, 64 << 20);
    CU_ASSERT_EQUAL(open_with_passphrase(&file, "one two"), 0);
    CU_ASSERT_EQUAL(open_with_passphrase(&file, "one two "), -PST_E_NO_KEY);
    static const char *const ends[] = {"one two\r\n", "one two\r", "one two\nthree"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        CU_ASSERT_EQUAL(open_with_passphrase(&file, ends[i]), 0);
    CU_ASSERT_EQUAL(open_with_passphrase(&file, "one two\r\r\n"), -PST_E_NO_KEY);
    costly = file;
    costly.records[0].cost.salt[3] ^= 1;
    CU_ASSERT_EQUAL(open_with_passphrase(&costly, "one two"), -PST_E_NO_KEY);
    costly = file;
    costly.records[0].cost.memory_bytes = UINT64_C(1) << 40; /* a stranger wants all memory */
    CU_ASSERT_EQUAL(open_with_passphrase(&costly, "one two"), -PST_E_CORRUPT);
    costly = file;
    costly.records[0].cost.passes = UINT64_C(1) << 40; /* or all time */
    CU_ASSERT_EQUAL(open_with_passphrase(&costly, "one two"), -PST_E_CORRUPT);
    pst_data_key_release(&key);
    pst_keyring_release(recipients);
}

/* Somebody makes the checksum right again. */
static void mend(struct pst_keys_file *file, size_t bytes)
{
    memset(&file->head.checksum, 0, sizeof(file->head.checksum));
    file->head.checksum = pst_digest_of(file, bytes, 0);
}

static void no_byte_of_a_file_can_be_changed(void)
{
    struct pst_data_key key;
    struct pst_keys_file file, changed, found;
    size_t bytes = make_file("a", NULL, &key, &file);
    size_t wrapped =
        offsetof(struct pst_keys_file, records) + offsetof(struct pst_keys_record, wrapped);
    for (size_t i = 0; i < bytes; i++) {
        changed = file;
        ((uint8_t *)&changed)[i] ^= 16;
        CU_ASSERT_NOT_EQUAL(pst_keys_file_check(&changed, bytes, &identity, &found, &damage), 0);
        mend(&changed, bytes);
        bool is_used = (i >= wrapped && i < wrapped + 72) ||
                       (i >= offsetof(struct pst_keys_head, data_key) && i < 88);
        if (pst_keys_file_check(&changed, bytes, &identity, &found, &damage) == 0 && is_used)
            CU_ASSERT_EQUAL(open_with(&found, "a", &key), -PST_E_CORRUPT);
    }
    for (size_t i = 0; i < bytes; i++)
        CU_ASSERT_NOT_EQUAL(pst_keys_file_check(&file, i, &identity, &found, &damage), 0);
    CU_ASSERT_NOT_EQUAL(pst_keys_file_check(&file, bytes + 1, &identity, &found, &damage), 0);
    pst_data_key_release(&key);
}

static void a_file_of_another_backup_is_refused(void)
{
    struct pst_data_key key;
    struct pst_keys_file file, found;
    struct pst_part_identity other = pst_keys_identity(other_uid, 1, 0, 1);
    size_t bytes = make_file("a", NULL, &key, &file);
    CU_ASSERT_EQUAL(pst_keys_file_check(&file, bytes, &other, &found, &damage), -PST_E_MISPLACED);
    file.head.identity = other;
    mend(&file, bytes);
    CU_ASSERT_EQUAL(pst_keys_file_check(&file, bytes, &other, &found, &damage), 0);
    CU_ASSERT_EQUAL(open_with(&found, "a", &key), -PST_E_CORRUPT);
    pst_data_key_release(&key);
}

static void texts_open_in_their_place_alone(void)
{
    struct pst_data_key key, other;
    struct pst_part_identity elsewhere = pst_keys_identity(uid, 1, 0, 2);
    struct pst_sealed_text sealed;
    char *opened;
    size_t bytes;
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    CU_ASSERT_EQUAL_FATAL(data_key_make(&other), 0);
    CU_ASSERT_EQUAL_FATAL(pst_data_key_seal_text(&key, "a", &identity, "names", 5, &sealed), 0);
    CU_ASSERT_PTR_NULL(memmem(sealed.bytes, sealed.size, "names", 5));
    CU_ASSERT_EQUAL_FATAL(pst_data_key_open_text(&key, "a", &identity, &sealed, &opened, &bytes),
                          0);
    CU_ASSERT_EQUAL(bytes, 5);
    CU_ASSERT_STRING_EQUAL(opened, "names");
    free(opened);
    CU_ASSERT_EQUAL(pst_data_key_open_text(&key, "b", &identity, &sealed, &opened, &bytes),
                    -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(pst_data_key_open_text(&key, "a", &elsewhere, &sealed, &opened, &bytes),
                    -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(pst_data_key_open_text(&other, "a", &identity, &sealed, &opened, &bytes),
                    -PST_E_CORRUPT);
    for (size_t i = 0; i < sealed.size; i++) {
        sealed.bytes[i] ^= 1;
        CU_ASSERT_EQUAL(pst_data_key_open_text(&key, "a", &identity, &sealed, &opened, &bytes),
                        -PST_E_CORRUPT);
        sealed.bytes[i] ^= 1;
    }
    free(sealed.bytes);
    pst_data_key_release(&key);
    pst_data_key_release(&other);
}

static struct pst_part_header header_of(const uint8_t *of)
{
    struct pst_part_header header = {.cipher = PST_CIPHER_AES_256_GCM};
    header.head.identity = identity;
    memcpy(header.head.identity.uid, of, PST_UID_BYTES);
    return header;
}

/* A part that is begun once more, by a retry or a resumption, is another one. */
static void no_two_parts_have_one_key(void)
{
    struct pst_data_key key;
    uint8_t keys[3][PST_KEY_BYTES], again[PST_KEY_BYTES];
    struct pst_part_header header;
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    for (uint32_t i = 0; i < 3; i++) {
        header = header_of(uid);
        pst_data_key_begin_part(&key, &header, keys[i]);
        for (uint32_t j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL(memcmp(keys[i], keys[j], PST_KEY_BYTES), 0);
    }
    pst_data_key_part(&key, (const uint8_t *)&header + PST_PART_BOUND_AT, again);
    CU_ASSERT_EQUAL(memcmp(again, keys[2], PST_KEY_BYTES), 0);
    for (size_t i = PST_PART_BOUND_AT; i < PST_PART_BOUND_AT + PST_PART_BOUND_BYTES; i++) {
        ((uint8_t *)&header)[i] ^= 1;
        pst_data_key_part(&key, (const uint8_t *)&header + PST_PART_BOUND_AT, again);
        CU_ASSERT_NOT_EQUAL(memcmp(again, keys[2], PST_KEY_BYTES), 0);
        ((uint8_t *)&header)[i] ^= 1;
    }
    pst_data_key_release(&key);
}

static void parts_of_another_backup_are_refused(void)
{
    struct pst_keyring *recipients = ring("a", NULL);
    struct pst_sealing *sealing;
    struct pst_sealed sealed;
    struct pst_part_header header = header_of(uid);
    CU_ASSERT_EQUAL_FATAL(pst_sealing_open(recipients, &sealing), 0);
    CU_ASSERT_EQUAL_FATAL(pst_sealed_open(&sealed, NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL(pst_sealing_begin_part(sealing, &header, &sealed), -PST_E_WRONG_STATE);
    CU_ASSERT_EQUAL(pst_sealing_begin(sealing, uid), 0);
    CU_ASSERT_EQUAL(pst_sealing_begin_part(sealing, &header, &sealed), 0);
    header = header_of(other_uid);
    CU_ASSERT_EQUAL(pst_sealing_begin_part(sealing, &header, &sealed), -PST_E_WRONG_STATE);
    pst_sealing_end(sealing);
    header = header_of(uid);
    CU_ASSERT_EQUAL(pst_sealing_begin_part(sealing, &header, &sealed), -PST_E_WRONG_STATE);
    pst_sealed_close(&sealed);
    pst_sealing_close(sealing);
    pst_keyring_release(recipients);
}

static void keys_of_others_are_refused(void)
{
    struct pst_keyring *keyring;
    char path[128];
    CU_ASSERT_EQUAL(chmod(in_folder("b", path), 0644), 0);
    CU_ASSERT_EQUAL(read_ring("b", NULL, &keyring), -EPERM);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(read_ring("missing", NULL, &keyring), -ENOENT);
    CU_ASSERT_EQUAL(read_ring(".", NULL, &keyring), -EPERM);
    CU_ASSERT_EQUAL(truncate(in_folder("b", path), 63), 0);
    CU_ASSERT_EQUAL(read_ring("b", NULL, &keyring), -EINVAL);
    CU_ASSERT_PTR_NULL(keyring);
    make_key("b", '2');
    CU_ASSERT_EQUAL(read_ring("a.pub", NULL, &keyring), -EINVAL); /* "a", as if it were public */
}

static void a_key_counts_once(void)
{
    static const char *const names[][2] = {
        {"a", "a"}, {"pair.pub", "pair.pub"}, {"pair", "pair.pub"}, {"pair.pub", "pair"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct pst_keyring *keyring = ring(names[i][0], names[i][1]);
        CU_ASSERT_EQUAL(keyring->count, 1);
        CU_ASSERT_EQUAL(keyring->keys[0].secret != NULL, i != 1);
        pst_keyring_release(keyring);
    }
    struct pst_keyring *two = ring("a", "b");
    CU_ASSERT_EQUAL(two->count, 2);
    pst_keyring_release(two);
}

static void read_public(const char *name, char *text, size_t bytes)
{
    char path[128];
    FILE *file = fopen(in_folder(name, path), "r");
    assert(file);
    const char *line = fgets(text, (int)bytes, file);
    assert(line);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
}

static int read_recipient(const char *text)
{
    struct pst_keyring *keyring;
    char message[PST_MESSAGE_BYTES];
    struct pst_keys keys;
    pst_keys_init(&keys);
    keys.recipients = &text;
    keys.recipients_count = 1;
    int error = pst_keyring_read(&keys, -1, &keyring, message);
    pst_keyring_release(keyring);
    return error;
}

/* What is sealed for a key that nobody has is lost. */
static void a_slip_in_a_public_half_is_seen(void)
{
    char text[256], changed[256];
    read_public("pair.pub", text, sizeof(text));
    CU_ASSERT_EQUAL(read_recipient(text), 0);
    size_t begin = strlen("penstock-public-key:"), length = strlen(text);
    for (size_t i = begin; i < length; i++) {
        strcpy(changed, text);
        changed[i] = text[i] == '7' ? '1' : '7';
        CU_ASSERT_EQUAL(read_recipient(changed), -EINVAL);
        memmove(changed + i, changed + i + 1, length - i); /* it is not there */
        CU_ASSERT_EQUAL(read_recipient(changed), -EINVAL);
        strcpy(changed, text);
        changed[i] = text[i + 1]; /* it has changed places with the next one */
        changed[i + 1] = text[i];
        if (i + 1 < length && text[i] != text[i + 1])
            CU_ASSERT_EQUAL(read_recipient(changed), -EINVAL);
    }
    text[begin + 64] = '\0';
    CU_ASSERT_EQUAL(read_recipient(text), -EINVAL); /* the key alone */
}

/* Whoever can write there would open all backups from then on. */
static void public_halves_that_others_can_change_are_refused(void)
{
    struct pst_keyring *keyring;
    char path[128];
    in_folder("pair.pub", path);
    static const mode_t modes[] = {0664, 0646};
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(chmod(path, modes[i]), 0);
        CU_ASSERT_EQUAL(read_ring("pair.pub", NULL, &keyring), -EPERM);
    }
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    pst_keyring_release(ring("pair.pub", NULL));
}

/* The flags of the mapping that an address lies in (proc(5), smaps). */
static void flags_of(const void *address, char *flags, size_t bytes)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool is_it = false;
    unsigned long from, to;
    *flags = '\0';
    assert(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_it = (unsigned long)address >= from && (unsigned long)address < to;
        if (is_it && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags, bytes, "%s", line);
    }
    fclose(maps);
}

static void secrets_are_locked_and_in_no_core_dump(void)
{
    struct pst_data_key key;
    char flags[512];
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    flags_of(key.secret, flags, sizeof(flags));
    CU_ASSERT_PTR_NOT_NULL(strstr(flags, " dd"));                   /* do not dump */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they make mlock() nothing   \
                                                                     */
    CU_ASSERT_PTR_NOT_NULL(strstr(flags, " lo"));                   /* locked */
#endif
    pst_data_key_release(&key);
    CU_ASSERT_PTR_NULL(key.secret);
}

/* The guard of an environment is a child with the rights of its owner. */
static void children_have_no_secrets(void)
{
    struct pst_data_key key;
    uint8_t any = 0;
    int status;
    CU_ASSERT_EQUAL_FATAL(data_key_make(&key), 0);
    pid_t child = fork();
    for (size_t i = 0; child == 0 && i < PST_KEY_BYTES; i++)
        any |= key.secret[i];
    if (child == 0)
        _exit(any != 0);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    for (size_t i = 0; i < PST_KEY_BYTES; i++)
        any |= key.secret[i];
    CU_ASSERT_NOT_EQUAL(any, 0);
    pst_data_key_release(&key);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"keys are derived as specified", keys_are_derived_as_specified},
        {"each tail has a key of its own", each_tail_has_a_key_of_its_own},
        {"each recipient opens it, and no one else", each_recipient_opens_it_and_no_one_else},
        {"a passphrase opens at its cost", a_passphrase_opens_at_its_cost},
        {"no byte of a file can be changed", no_byte_of_a_file_can_be_changed},
        {"a file of another backup is refused", a_file_of_another_backup_is_refused},
        {"texts open in their place alone", texts_open_in_their_place_alone},
        {"no two parts have one key", no_two_parts_have_one_key},
        {"parts of another backup are refused", parts_of_another_backup_are_refused},
        {"keys of others are refused", keys_of_others_are_refused},
        {"a key counts once", a_key_counts_once},
        {"a slip in a public half is seen", a_slip_in_a_public_half_is_seen},
        {"public halves that others can change are refused",
         public_halves_that_others_can_change_are_refused},
        {"secrets are locked and in no core dump", secrets_are_locked_and_in_no_core_dump},
        {"children have no secrets", children_have_no_secrets},
        CU_TEST_INFO_NULL,
    };
    char path[128], message[PST_MESSAGE_BYTES];
    if (!mkdtemp(folder))
        return 1;
    identity = pst_keys_identity(uid, 1, 0, 1);
    make_key("a", '1');
    make_key("b", '2');
    make_key("a.pub", '1');
    if (pst_key_pair_make(in_folder("pair", path), message) ||
        pst_key_pair_make(in_folder("other_pair", path), message))
        return 1;
    int result = suite_run("keys", tests);
    static const char *const names[] = {"a",        "b",          "a.pub",          "pair",
                                        "pair.pub", "other_pair", "other_pair.pub", "phrase"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(in_folder(names[i], path));
    rmdir(folder);
    return result;
}
