/* Cluster manifests in pieces: whole ones arrive, whatever is wrong with others is found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/node/blob.h"
#include "tests/suite.h"

#define NODES 200u /* a manifest of several windows */

static struct pst_manifest_text text;

/* What passes between two archives: the pieces of the last answer. */
struct line {
    struct pst_signal signals[PST_BLOB_WINDOW + 1];
    uint32_t count;
};

static void put(void *context, const struct pst_signal *signal)
{
    struct line *line = context;
    CU_ASSERT_FATAL(line->count < PST_BLOB_WINDOW + 1);
    line->signals[line->count++] = *signal;
}

static void make_text(void)
{
    struct pst_cluster_manifest *manifest = calloc(1, sizeof(*manifest));
    if (!manifest)
        abort();
    manifest->common.number = 7;
    manifest->common.uid[0] = 1;
    manifest->common.start_gci = 1;
    manifest->common.stop_gci = 1;
    manifest->master_node = 1;
    manifest->nodes_count = NODES;
    for (uint32_t i = 0; i < NODES; i++)
        manifest->nodes[i] = (struct pst_manifest_node){.node = i + 1, .file_bytes = 100};
    if (pst_manifest_encode_cluster(manifest, &text) < 0 ||
        text.bytes <= 2 * PST_BLOB_WINDOW * PST_BLOB_DATA_BYTES)
        abort(); /* no manifest, or not one of several windows */
    free(manifest);
}

static const pst_ref own_ref = 2u << 24 | PST_BLOCK_ARCHIVE << 16;
static const pst_ref other_ref = 1u << 24 | PST_BLOCK_ARCHIVE << 16;

static void begin(struct pst_blob_fetch *fetch, const uint8_t *digest)
{
    const struct pst_signal request = {.gsn = PST_ARCHIVE_COMMIT_REQ,
                                       .receiver_ref = own_ref,
                                       .backup = 99,
                                       .payload.order.master_ref = 5};
    memset(fetch, 0, sizeof(*fetch));
    CU_ASSERT_EQUAL_FATAL(blob_fetch_begin(fetch, &request, 1, 7, text.bytes, digest), 0);
    fetch->question.sequence = 1;
}

/* Asks and takes until the end; spoil: what happens to a piece in the middle of each window. */
static int fetch_all(struct pst_blob_fetch *fetch, uint32_t *windows,
                     void (*spoil)(struct pst_signal *signal))
{
    int taken = 1;
    for (*windows = 0; taken == 1; (*windows)++) {
        struct line line = {.count = 0};
        CU_ASSERT_EQUAL_FATAL(
            pst_blob_serve(&fetch->question, other_ref, text.text, text.bytes, put, &line), 0);
        for (uint32_t i = 0; i < line.count && taken >= 0; i++) {
            if (spoil && i == line.count / 2)
                spoil(&line.signals[i]);
            CU_ASSERT_TRUE(blob_fetch_expects(fetch, &line.signals[i]));
            taken = blob_fetch_take(fetch, &line.signals[i]);
        }
        fetch->question.sequence++;
    }
    return taken;
}

static void a_manifest_arrives_whole(void)
{
    struct pst_blob_fetch fetch;
    uint32_t windows;
    begin(&fetch, text.digest.bytes);
    CU_ASSERT_EQUAL(fetch_all(&fetch, &windows, NULL), 2);
    CU_ASSERT_TRUE(windows > 2);
    CU_ASSERT_EQUAL(memcmp(fetch.bytes, text.text, text.bytes), 0);
    blob_fetch_end(&fetch);
    CU_ASSERT_EQUAL(fetch.request.gsn, 0);
}

static void flip(struct pst_signal *signal)
{
    signal->payload.blob_data.data[3] ^= 1;
}

static void move(struct pst_signal *signal)
{
    signal->payload.blob_data.offset += PST_BLOB_DATA_BYTES;
}

static void swell(struct pst_signal *signal)
{
    signal->payload.blob_data.bytes = PST_BLOB_DATA_BYTES + 1;
}

static void refuse(struct pst_signal *signal)
{
    signal->gsn = PST_BLOB_REF;
    memset(&signal->payload, 0, sizeof(signal->payload));
    signal->payload.ref.error = ENOENT;
}

static void damage_is_found(void)
{
    void (*const spoils[])(struct pst_signal *) = {flip, move, swell};
    struct pst_blob_fetch fetch;
    uint32_t windows;
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        begin(&fetch, text.digest.bytes);
        CU_ASSERT_EQUAL(fetch_all(&fetch, &windows, spoils[i]), -PST_E_CORRUPT);
        blob_fetch_end(&fetch);
    }
    begin(&fetch, text.digest.bytes);
    CU_ASSERT_EQUAL(fetch_all(&fetch, &windows, refuse), -ENOENT);
    blob_fetch_end(&fetch);
}

static void another_manifest_is_refused(void)
{
    struct pst_blob_fetch fetch;
    uint32_t windows;
    uint8_t digest[16] = {1, 2, 3};
    begin(&fetch, digest);
    CU_ASSERT_EQUAL(fetch_all(&fetch, &windows, NULL), -PST_E_CORRUPT);
    blob_fetch_end(&fetch);
}

static void strangers_and_late_answers_are_not_expected(void)
{
    struct pst_blob_fetch fetch;
    begin(&fetch, text.digest.bytes);
    struct pst_signal answer = {.gsn = PST_BLOB_DATA_REP,
                                .sender_ref = other_ref,
                                .receiver_ref = own_ref,
                                .backup = 99,
                                .sequence = 1};
    CU_ASSERT_TRUE(blob_fetch_expects(&fetch, &answer));
    answer.sequence = 0;
    CU_ASSERT_FALSE(blob_fetch_expects(&fetch, &answer));
    answer.sequence = 1;
    answer.sender_ref = 3u << 24 | PST_BLOCK_ARCHIVE << 16;
    CU_ASSERT_FALSE(blob_fetch_expects(&fetch, &answer));
    blob_fetch_end(&fetch);
    answer.sender_ref = other_ref;
    CU_ASSERT_FALSE(blob_fetch_expects(&fetch, &answer));
}

static void what_is_not_there_is_not_served(void)
{
    struct pst_blob_fetch fetch;
    struct line line = {.count = 0};
    begin(&fetch, text.digest.bytes);
    fetch.question.payload.blob.offset = text.bytes;
    CU_ASSERT_EQUAL(pst_blob_serve(&fetch.question, other_ref, text.text, text.bytes, put, &line),
                    -EINVAL);
    fetch.question.payload.blob.offset = 0;
    CU_ASSERT_EQUAL(
        pst_blob_serve(&fetch.question, other_ref, text.text, text.bytes - 1, put, &line), -EINVAL);
    CU_ASSERT_EQUAL(line.count, 0);
    blob_fetch_end(&fetch);
}

static void sizes_are_bounded(void)
{
    const struct pst_signal request = {.gsn = PST_ARCHIVE_COMMIT_REQ, .receiver_ref = own_ref};
    struct pst_blob_fetch fetch = {0};
    uint8_t digest[16] = {0};
    CU_ASSERT_EQUAL(blob_fetch_begin(&fetch, &request, 1, 7, 0, digest), -EINVAL);
    CU_ASSERT_EQUAL(blob_fetch_begin(&fetch, &request, 1, 7, PST_MANIFEST_BYTES_MAX + 1, digest),
                    -EINVAL);
    CU_ASSERT_EQUAL(fetch.request.gsn, 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a manifest arrives whole", a_manifest_arrives_whole},
        {"damage is found", damage_is_found},
        {"another manifest is refused", another_manifest_is_refused},
        {"strangers and late answers are not expected",
         strangers_and_late_answers_are_not_expected},
        {"what is not there is not served", what_is_not_there_is_not_served},
        {"sizes are bounded", sizes_are_bounded},
        CU_TEST_INFO_NULL,
    };
    make_text();
    int code = suite_run("blob", tests);
    free(text.text);
    return code;
}
