/* What was encoded wrong, and has the right checksums: decoding finds it as the part is read back.
 * With a codec, a cipher, and both. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/format/block.h"
#include "tests/suite.h"
#include "tests/unit/pipeline/works.h"

#define BYTES (20 * RIG_CHUNK_BYTES + 7)

static struct works works;
static const struct pst_transform *transform; /* NULL: none */

static void begin(void)
{
    works_open(&works, PST_FRAGMENT_EXTENTS, transform);
    works_add_file(&works, "large", 1, BYTES);
}

enum wrong {
    WRONG_STORED, /* a bit of the chunk flips before it gets its checksum */
    WRONG_RAW,    /* it encodes something else, and well */
};

static const struct pst_transform *right;
static enum wrong wrong;
static uint64_t wrong_chunk;

static void flip(const uint8_t *byte)
{
    *(uint8_t *)byte ^= 1;
}

static enum pst_encoded encode_wrong(const struct pst_transform *encoder,
                                     struct pst_encoding *encoding)
{
    bool is_hit = encoding->number == wrong_chunk, changes_raw = is_hit && wrong == WRONG_RAW;
    (void)encoder;
    if (changes_raw)
        flip(encoding->raw);
    enum pst_encoded end = right->encode(right, encoding);
    if (changes_raw)
        flip(encoding->raw);
    if (is_hit && wrong == WRONG_STORED && end == PST_ENCODED)
        flip(encoding->stored + encoding->stored_bytes / 2);
    return end;
}

/* Its checksums are right, so nothing but decoding finds it. */
static void what_is_encoded_wrong_is_found(void)
{
    const struct pst_transform *before = transform;
    struct pst_transform encodes_wrong;
    if (!transform)
        return;
    right = transform;
    encodes_wrong = *transform;
    encodes_wrong.encode = encode_wrong;
    transform = &encodes_wrong;
    for (wrong = WRONG_STORED; wrong <= WRONG_RAW; wrong++) {
        for (wrong_chunk = 0; wrong_chunk < 20; wrong_chunk += 9) {
            begin();
            works.encoder.decoders[transform->codec] = right;
            works.flags = PST_BACKUP_VERIFY;
            CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
            CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
            CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), 0);
            CU_ASSERT_EQUAL(works_do(&works, PST_WORK_STOP), -PST_E_READ_BACK);
            CU_ASSERT_EQUAL(works_do(&works, PST_WORK_DISCARD), 0);
            works_close(&works);
        }
    }
    transform = before;
}

/* ---- sealed ---- */

static struct pst_sealed sealed;
static bool seals_wrong;
static enum pst_encoded (*seal_right)(const struct pst_transform *encoder,
                                      struct pst_encoding *encoding);

static const struct pst_transform *choose_codec(void *context, const void *raw, uint32_t raw_bytes)
{
    (void)raw, (void)raw_bytes;
    return context;
}

static enum pst_encoded encode_sealed(const struct pst_transform *encoder,
                                      struct pst_encoding *encoding)
{
    enum pst_encoded end = seal_right(encoder, encoding);
    if (seals_wrong && end == PST_ENCODED && encoding->number == wrong_chunk)
        flip(wrong_chunk == 4 ? encoding->stored : encoding->tag);
    return end;
}

static int seal_part(void *context, struct pst_part_header *header, struct pst_sealed *by)
{
    static const uint8_t key[PST_AES_KEY_BYTES] = {7};
    (void)context, (void)header;
    pst_sealed_set_key(by, key);
    return 0;
}

static void begin_sealed(void)
{
    const struct pst_transform *codec = transform;
    CU_ASSERT_EQUAL_FATAL(
        pst_sealed_open(&sealed, codec, codec ? choose_codec : NULL, (void *)codec), 0);
    seal_right = sealed.transform.encode;
    sealed.transform.encode = encode_sealed;
    transform = &sealed.named;
    begin();
    transform = codec;
    works.encoder.choose = pst_sealed_choose;
    works.encoder.context = works.encoder.sealed = &sealed;
    works.encoder.seal_part = seal_part;
    works.encoder.decoders[PST_CODEC_NONE] = NULL;
    if (codec)
        works.encoder.decoders[codec->codec] = codec;
    works.flags = PST_BACKUP_VERIFY;
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_OPEN), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_START), 0);
    CU_ASSERT_EQUAL(works_do(&works, PST_WORK_SCAN), 0);
}

static void a_sealed_part_is_read_back(void)
{
    for (wrong_chunk = 3; wrong_chunk <= 5; wrong_chunk++) {
        seals_wrong = wrong_chunk >= 4;
        begin_sealed();
        CU_ASSERT_EQUAL(works_do(&works, PST_WORK_STOP), seals_wrong ? -PST_E_READ_BACK : 0);
        works_close(&works);
        pst_sealed_close(&sealed);
    }
}

/* Of the index, while the part is read back; its checksum is that of the header with the wrong tag,
 * as where it went wrong before it was written. */
static void change_tag_of_index(bool is_of_payload)
{
    struct pst_part_trailer trailer;
    struct pst_chunk_header index;
    int fd = openat(works.rig.dirfd, WORKS_PART, O_RDWR | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END) - (off_t)sizeof(trailer);
    CU_ASSERT_EQUAL(pread(fd, &trailer, sizeof(trailer), end), sizeof(trailer));
    off_t offset = (off_t)trailer.last_index.file_offset;
    CU_ASSERT_EQUAL(pread(fd, &index, sizeof(index), offset), sizeof(index));
    CU_ASSERT_EQUAL(index.type, PST_CHUNK_INDEX);
    struct pst_chunk_tags *tags = (struct pst_chunk_tags *)((uint8_t *)&index + PST_CHUNK_TAGS_AT);
    flip(is_of_payload ? tags->payload : tags->header);
    const struct pst_part_identity identity = index.head.identity;
    format_block_seal(&index, PST_MAGIC_CHUNK, &identity, index.head.chunk);
    CU_ASSERT_EQUAL(pwrite(fd, &index, sizeof(index), offset), sizeof(index));
    close(fd);
}

static void an_index_that_does_not_open_is_found(void)
{
    seals_wrong = false;
    for (int is_of_payload = 0; is_of_payload < 2; is_of_payload++) {
        begin_sealed();
        works_start(&works, PST_WORK_STOP);
        while (pst_pipeline_verified_bytes(works.pipeline) == 0)
            works_slice(&works);
        change_tag_of_index(is_of_payload);
        CU_ASSERT_EQUAL(works_wait(&works).error, -PST_E_READ_BACK);
        works_close(&works);
        pst_sealed_close(&sealed);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is encoded wrong is found", what_is_encoded_wrong_is_found},
        {"a sealed part is read back", a_sealed_part_is_read_back},
        {"an index that does not open is found", an_index_that_does_not_open_is_found},
        CU_TEST_INFO_NULL,
    };
    return works_run_suites("encoded wrong", "encoded wrong, with zstd", tests, &transform);
}
