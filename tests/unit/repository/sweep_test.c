/* What is not this node's, not this backup's, or not decided: a define, a sweep, a commit and an
 * abort leave it alone. On the model disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/format/chunk.h"
#include "engine/repository/archive.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/layout.h"
#include "tests/suite.h"
#include "tests/support/storage.h"

#define NUMBER 4u
#define NODE 2u
#define SECOND UINT64_C(1000000000)
#define BEGUN_NS (1000 * SECOND)

static const uint8_t uid[16] = {1, 2}, other_uid[16] = {3, 4};
static struct storage storage;
static struct pst_archive_config config;
static struct pst_unreadable unreadable;
static struct pst_archive *archive;

static void ignore_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    (void)context, (void)doubt;
}

static void restart(uint32_t node)
{
    free(archive);
    archive = calloc(1, sizeof(*archive));
    CU_ASSERT_PTR_NOT_NULL_FATAL(archive);
    config = (struct pst_archive_config){
        .node = node, .cluster_id = 9, .ldms = 1, .chunk_bytes = PST_CHUNK_BYTES_MIN};
    archive->config = &config;
    archive->repository = &storage.repository;
    archive->unreadable = &unreadable;
    archive->on_doubt = ignore_doubt;
}

static void begin(void)
{
    storage_open(&storage);
    pst_unreadable_init(&unreadable);
    restart(NODE);
}

static void end(void)
{
    free(archive);
    archive = NULL;
    storage_close(&storage);
}

/* nodes: by id - 1. */
static int define_number(uint32_t number, uint32_t master, const uint8_t *of, uint64_t nodes)
{
    struct pst_define_backup_req request = {.master_ref = pst_ref_make(master, PST_BLOCK_BACKUP, 1),
                                            .number = number};
    uint32_t highest = 0;
    memcpy(request.uid, of, sizeof(request.uid));
    request.nodes.words[0] = nodes;
    return pst_archive_define(archive, &request, &highest);
}

static int define(uint32_t master, const uint8_t *of, uint64_t nodes)
{
    return define_number(NUMBER, master, of, nodes);
}

static const char *inside(struct layout_name name)
{
    return storage_inside(NUMBER, name.text);
}

static const char *part_of(uint32_t node)
{
    return inside(layout_part(NUMBER, node, 1, 1));
}

/* As the LDM of a node leaves it, in its place or under another node's name. */
static void put_part(uint32_t place, uint32_t node, const uint8_t *of)
{
    static char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_part_identity identity = {
        .number = NUMBER, .cluster_id = 9, .node = (uint16_t)node, .part = 1, .parts = 1};
    memcpy(identity.uid, of, sizeof(identity.uid));
    (void)pst_part_header_seal(block, &identity, PST_CHUNK_BYTES_MIN, 1, BEGUN_NS);
    storage_put(&storage, part_of(place), block, sizeof(block));
}

static bool has(const char *path)
{
    return storage_has(&storage, path);
}

/* A participant swept nothing to find the number: what it left of another backup is in the way. */
static void a_define_sweeps(void)
{
    begin();
    CU_ASSERT_EQUAL(define(NODE, other_uid, 2), 0);
    put_part(NODE, NODE, other_uid);
    restart(NODE);
    CU_ASSERT_EQUAL(define(1, uid, 3), 0);
    CU_ASSERT_FALSE(has(part_of(NODE)));
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    end();
}

/* Of a backup that this node knows of, and of one that it may not join. */
static void a_define_that_is_refused_leaves_what_is_there(void)
{
    begin();
    CU_ASSERT_EQUAL(define(1, other_uid, 3), 0);
    restart(1);
    CU_ASSERT_EQUAL(define(1, uid, 3), -PST_E_NUMBER_EXISTS);
    CU_ASSERT_FALSE(has(inside(layout_mark(NUMBER, 1))));
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    CU_ASSERT_TRUE(has(inside(layout_part_dir(NUMBER, 1, 1))));
    end();
}

static void what_is_not_decided_is_not_committed(void)
{
    begin();
    CU_ASSERT_EQUAL(define(1, uid, 3), 0);
    put_part(NODE, NODE, uid);
    CU_ASSERT_EQUAL(pst_archive_commit(archive), -ENOENT);
    CU_ASSERT_FALSE(pst_archive_is_committed(archive));
    end();
}

/* By the header, whatever the name says; its own, in the same directory, goes. */
static void another_nodes_part_stays(void)
{
    begin();
    CU_ASSERT_EQUAL(define(1, uid, 3), 0);
    put_part(NODE, 1, uid);
    put_part(1, 1, uid);
    restart(NODE);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has(part_of(NODE)) && has(part_of(1)));
    put_part(NODE, NODE, uid);
    storage_put(&storage, inside(layout_mark(NUMBER, NODE)), "x", 1);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(!has(part_of(NODE)) && has(part_of(1)));
    end();
}

/* What the backup that was defined has of it: a manifest, with data in backup NUMBER - 1. */
static void prepare(bool refers)
{
    static const char block[PST_BLOCK_BYTES];
    const struct pst_gci gci = {.start_gci = 1, .stop_gci = 1};
    struct pst_commit written;
    const struct pst_archive_item part = {.item = 1, .file_bytes = PST_BLOCK_BYTES};
    pst_archive_add_part(archive, &part);
    storage_put(&storage,
                storage_inside(archive->node.common.number,
                               layout_part(archive->node.common.number, NODE, 1, 1).text),
                block, sizeof(block));
    if (refers) {
        struct pst_manifest_origin *origin = &archive->node.origins[archive->node.origins_count++];
        *origin = (struct pst_manifest_origin){.number = NUMBER - 1, .bytes = 1, .objects = 1};
        memcpy(origin->uid, other_uid, sizeof(origin->uid));
        archive->node.base.number = NUMBER - 1;
        memcpy(archive->node.base.uid, other_uid, sizeof(archive->node.base.uid));
        archive->node.common.version.incompatible |= PST_FORMAT_REFERS;
    }
    CU_ASSERT_EQUAL(pst_archive_write_node(archive, &gci, &written), 0);
    restart(NODE);
}

/* Which shows by its directory, that is younger, by more than clocks are apart. */
static void what_is_copied_there_stays(void)
{
    begin();
    CU_ASSERT_EQUAL(define(NODE, other_uid, 2), 0);
    put_part(NODE, NODE, other_uid);
    restart(NODE);
    storage.disk->made_ns = BEGUN_NS + 60 * SECOND + 1;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has(part_of(NODE)));
    storage.disk->made_ns--;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_FALSE(has(part_of(NODE)));
    end();
}

/* Its parts are still to come. */
static void what_is_copied_with_its_manifest_first_stays(void)
{
    const struct layout_name manifest = layout_node_manifest(NUMBER, NODE);
    begin();
    CU_ASSERT_EQUAL(define(NODE, other_uid, 2), 0);
    prepare(false);
    storage.disk->made_ns = pst_unix_ns() + 120 * SECOND;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has(inside(manifest)));
    storage.disk->made_ns = 0;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_FALSE(has(inside(manifest)));
    end();
}

/* It was decided then, and has lost its decision. The other may yet turn out to be complete. */
static void what_one_in_doubt_has_data_in_stays(void)
{
    const struct layout_name lost = layout_node_manifest(NUMBER - 1, NODE);
    for (int refers = 0; refers < 2; refers++) {
        begin();
        CU_ASSERT_EQUAL(define(1, uid, 3), 0);
        prepare(refers);
        CU_ASSERT_EQUAL(define_number(NUMBER - 1, NODE, other_uid, 2), 0);
        prepare(false);
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_EQUAL(has(storage_inside(NUMBER - 1, lost.text)), refers);
        end();
    }
}

/* The decision of backup NUMBER, by a node that refers to nothing. */
static void decide(void)
{
    struct pst_cluster_manifest *manifest = calloc(1, sizeof(*manifest));
    struct pst_manifest_text text;
    CU_ASSERT_PTR_NOT_NULL_FATAL(manifest);
    memcpy(manifest->common.uid, uid, sizeof(uid));
    manifest->common.number = NUMBER;
    manifest->common.cluster_id = 9;
    manifest->common.start_gci = manifest->common.stop_gci = 1;
    manifest->master_node = 1;
    manifest->nodes_count = 2;
    manifest->nodes[0] = (struct pst_manifest_node){.node = 1, .file_bytes = 100};
    manifest->nodes[1] = (struct pst_manifest_node){.node = NODE, .file_bytes = 100};
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_cluster(manifest, &text), 0);
    storage_put(&storage, inside(layout_cluster_manifest(NUMBER)), text.text, text.bytes);
    free(text.text);
    free(manifest);
}

static void what_a_share_has_data_in_stays_though_its_master_names_nothing(void)
{
    const struct layout_name lost = layout_node_manifest(NUMBER - 1, NODE);
    for (int refers = 0; refers < 2; refers++) {
        begin();
        CU_ASSERT_EQUAL(define(1, uid, 3), 0);
        prepare(refers);
        decide();
        CU_ASSERT_EQUAL(define_number(NUMBER - 1, NODE, other_uid, 2), 0);
        prepare(false);
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_EQUAL(has(storage_inside(NUMBER - 1, lost.text)), refers);
        end();
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what one in doubt has data in stays", what_one_in_doubt_has_data_in_stays},
        {"what a share has data in stays though its master names nothing",
         what_a_share_has_data_in_stays_though_its_master_names_nothing},
        {"a define sweeps", a_define_sweeps},
        {"a define that is refused leaves what is there",
         a_define_that_is_refused_leaves_what_is_there},
        {"what is not decided is not committed", what_is_not_decided_is_not_committed},
        {"another node's part stays", another_nodes_part_stays},
        {"what is copied there stays", what_is_copied_there_stays},
        {"what is copied with its manifest first stays",
         what_is_copied_with_its_manifest_first_stays},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "sweep", .pInitFunc = storage_on_model, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
