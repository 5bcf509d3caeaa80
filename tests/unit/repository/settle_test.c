/*
 * What the archive says of backups in doubt, and does about them: by its disk alone, and by the uid
 * that the manifests name. Over a real directory and over the model disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/chunk.h"
#include "engine/repository/archive.h"
#include "engine/repository/archive_settle.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/layout.h"
#include "tests/suite.h"
#include "tests/support/storage.h"

#define NUMBER 7u
#define OWN_NODE 2u

static const uint8_t uid[16] = {1, 2, 3};
static const uint8_t other_uid[16] = {1, 2, 4};

static struct storage storage;
static struct pst_archive_config config;
static struct pst_archive *archive;
static struct pst_doubt_rep told[4];
static uint32_t told_count;
static struct pst_manifest_text own_manifest; /* of OWN_NODE, as it is on disk */

static void take_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    CU_ASSERT_PTR_EQUAL(context, told);
    CU_ASSERT_FATAL(told_count < 4);
    told[told_count++] = *doubt;
}

static const char *inside(const char *name)
{
    return storage_inside(NUMBER, name);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    storage_put(&storage, path, bytes, size);
}

static bool path_exists(const char *path)
{
    return storage_has(&storage, path);
}

static struct pst_manifest_text node_manifest(uint32_t node, const uint8_t *of)
{
    static struct pst_node_manifest manifest;
    struct pst_manifest_text text;
    memset(&manifest, 0, sizeof(manifest));
    memcpy(manifest.common.uid, of, sizeof(manifest.common.uid));
    manifest.common.number = NUMBER;
    manifest.node = node;
    manifest.master_node = 1;
    manifest.chunk_bytes = PST_CHUNK_BYTES_MIN;
    manifest.participants_count = 3;
    for (uint32_t i = 0; i < 3; i++)
        manifest.participants[i] = i + 1;
    manifest.parts_count = 1;
    manifest.parts[0] = (struct pst_manifest_part){.part = 1, .ldm = 1};
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&manifest, &text), 0);
    return text;
}

/* Lists nodes 1 and 2, the second with the size and digest given. */
static struct pst_manifest_text cluster_manifest(uint32_t number, const uint8_t *of,
                                                 const struct pst_manifest_text *listed)
{
    static struct pst_cluster_manifest manifest;
    struct pst_manifest_text text;
    memset(&manifest, 0, sizeof(manifest));
    memcpy(manifest.common.uid, of, sizeof(manifest.common.uid));
    manifest.common.number = number;
    manifest.master_node = 1;
    manifest.nodes_count = 2;
    manifest.common.start_gci = manifest.common.stop_gci = 1;
    manifest.nodes[0] = (struct pst_manifest_node){.node = 1, .file_bytes = 100};
    manifest.nodes[1] = (struct pst_manifest_node){
        .node = OWN_NODE, .file_bytes = listed->bytes, .digest = listed->digest};
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_cluster(&manifest, &text), 0);
    return text;
}

static void make_part(uint32_t node, const uint8_t *of)
{
    static char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_part_identity identity = {
        .number = NUMBER, .node = (uint16_t)node, .part = 1, .parts = 1};
    memcpy(identity.uid, of, sizeof(identity.uid));
    (void)pst_part_header_seal(block, &identity, PST_CHUNK_BYTES_MIN, 1, 1);
    if (!path_exists(inside(layout_part_dir(NUMBER, 1, 1).text)))
        storage_make_directory(&storage, inside(layout_part_dir(NUMBER, 1, 1).text));
    write_file(inside(layout_part(NUMBER, node, 1, 1).text), block, sizeof(block));
}

static bool has_part(uint32_t node)
{
    return path_exists(inside(layout_part(NUMBER, node, 1, 1).text));
}

static const char *own_path(void)
{
    return inside(layout_node_manifest(NUMBER, OWN_NODE).text);
}

static const char *cluster_path(void)
{
    return inside(layout_cluster_manifest(NUMBER).text);
}

static const char *copy_path(void)
{
    return inside(layout_cluster_copy(NUMBER).text);
}

/* Backup 7: this node is prepared, with nodes 1 (the master) and 3. */
static void open_prepared(void)
{
    storage_open(&storage);
    config = (struct pst_archive_config){.node = OWN_NODE, .ldms = 1};
    archive = calloc(1, sizeof(*archive));
    CU_ASSERT_PTR_NOT_NULL_FATAL(archive);
    archive->config = &config;
    archive->repository = &storage.repository;
    archive->on_doubt = take_doubt;
    archive->context = told;
    told_count = 0;
    storage_make_directory(&storage, layout_backup(NUMBER).text);
    own_manifest = node_manifest(OWN_NODE, uid);
    write_file(own_path(), own_manifest.text, own_manifest.bytes);
    make_part(OWN_NODE, uid);
}

static void close_all(void)
{
    free(archive);
    free(own_manifest.text);
    storage_close(&storage);
}

static struct pst_outcome asked_of(const uint8_t *of)
{
    struct pst_outcome asked = {.number = NUMBER};
    memcpy(asked.uid, of, sizeof(asked.uid));
    return asked;
}

static int outcome_of(const uint8_t *of, uint32_t *state)
{
    struct pst_outcome asked = asked_of(of);
    int error = pst_archive_outcome(archive, &asked);
    *state = asked.state;
    return error;
}

static void expect_outcome(const uint8_t *of, uint32_t expected)
{
    uint32_t state;
    CU_ASSERT_EQUAL(outcome_of(of, &state), 0);
    CU_ASSERT_EQUAL(state, expected);
}

static void expect_refused(const uint8_t *of, int error)
{
    uint32_t state;
    CU_ASSERT_EQUAL(outcome_of(of, &state), error);
    CU_ASSERT_EQUAL(state, 0);
}

static void the_disk_tells_the_outcome(void)
{
    open_prepared();
    expect_outcome(uid, PST_OUTCOME_PREPARED);
    expect_outcome(other_uid, PST_OUTCOME_NONE);
    struct pst_manifest_text cluster = cluster_manifest(NUMBER, uid, &own_manifest);
    write_file(cluster_path(), cluster.text, cluster.bytes);
    struct pst_outcome asked = asked_of(uid);
    CU_ASSERT_EQUAL(pst_archive_outcome(archive, &asked), 0);
    CU_ASSERT_EQUAL(asked.state, PST_OUTCOME_COMMITTED);
    CU_ASSERT_EQUAL(asked.file_bytes, cluster.bytes);
    CU_ASSERT_EQUAL(memcmp(asked.digest, cluster.digest.bytes, sizeof(asked.digest)), 0);
    expect_outcome(other_uid, PST_OUTCOME_NONE);
    free(cluster.text);
    /* One of another backup makes this one not committed. */
    cluster = cluster_manifest(NUMBER, other_uid, &own_manifest);
    write_file(cluster_path(), cluster.text, cluster.bytes);
    expect_outcome(uid, PST_OUTCOME_PREPARED);
    free(cluster.text);
    storage_remove(&storage, layout_backup(NUMBER).text);
    expect_outcome(uid, PST_OUTCOME_NONE);
    close_all();
}

static void what_is_in_work_is_not_told(void)
{
    open_prepared();
    archive->backup = pst_uid_low(uid);
    memcpy(archive->node.common.uid, uid, sizeof(uid));
    archive->node.common.number = NUMBER;
    archive->node.node = OWN_NODE;
    archive->node.participants_count = 3;
    archive->cluster.common = archive->node.common;
    archive->is_shared = true;
    archive->parts = 1;
    expect_refused(uid, -PST_E_BUSY);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_EQUAL(told_count, 0);
    pst_archive_leave(archive); /* the master is dead: from here on it is in doubt */
    CU_ASSERT_EQUAL(told_count, 1);
    expect_outcome(uid, PST_OUTCOME_PREPARED);
    close_all();
}

static void what_cannot_be_read_is_not_guessed(void)
{
    open_prepared();
    own_manifest.text[9] ^= 1;
    write_file(own_path(), own_manifest.text, own_manifest.bytes);
    own_manifest.text[9] ^= 1;
    expect_refused(uid, -PST_E_CORRUPT);
    struct pst_outcome asked = asked_of(uid);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0); /* left alone, and nobody can be asked */
    CU_ASSERT_EQUAL(told_count, 0);
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
    write_file(own_path(), own_manifest.text, own_manifest.bytes);
    write_file(cluster_path(), "{}", 2);
    expect_refused(uid, -PST_E_TRUNCATED);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), -PST_E_TRUNCATED);
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
    storage_remove(&storage, layout_backup(NUMBER).text);
    write_file(layout_backup(NUMBER).text, "x", 1);
    expect_refused(uid, -ENOTDIR);
    close_all();
}

static void a_directory_that_cannot_be_read_is_no_empty_one(void)
{
    open_prepared();
    int fd = storage.repository.root;
    storage.repository.root = -1;
    expect_refused(uid, -EBADF);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), -EBADF);
    storage.repository.root = fd;
    close_all();
}

static void a_sweep_tells_each_time(void)
{
    open_prepared();
    for (uint32_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_EQUAL_FATAL(told_count, i + 1);
        CU_ASSERT_EQUAL(told[i].number, NUMBER);
        CU_ASSERT_EQUAL(memcmp(told[i].uid, uid, sizeof(uid)), 0);
        CU_ASSERT_EQUAL(pst_ref_node(told[i].master_ref), 1);
        CU_ASSERT_EQUAL(told[i].nodes.words[0], 7);
    }
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
    archive->on_doubt = NULL; /* a node alone: it stays all the same */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
    close_all();
}

/* In one directory for several nodes. The note of a verify is from before the decision was lost. */
static void an_abort_removes_what_is_this_nodes(void)
{
    const char *note = "01020300000000000000000000000000 5 whole 1 0 1 1795797390039391279\n";
    open_prepared();
    struct pst_manifest_text other = node_manifest(3, uid);
    write_file(inside(layout_node_manifest(NUMBER, 3).text), other.text, other.bytes);
    write_file(inside(layout_mark(NUMBER, 3).text), "x", 1);
    write_file(inside(layout_mark(NUMBER, OWN_NODE).text), "x", 1);
    write_file(inside(layout_verified(NUMBER).text), note, strlen(note));
    make_part(3, uid);
    struct pst_outcome asked = asked_of(other_uid);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), 0);
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
    CU_ASSERT_TRUE(path_exists(inside(layout_verified(NUMBER).text)));
    asked = asked_of(uid);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), 0);
    CU_ASSERT_FALSE(path_exists(own_path()) || has_part(OWN_NODE));
    CU_ASSERT_FALSE(path_exists(inside(layout_mark(NUMBER, OWN_NODE).text)));
    CU_ASSERT_FALSE(path_exists(inside(layout_verified(NUMBER).text)));
    CU_ASSERT_TRUE(path_exists(inside(layout_node_manifest(NUMBER, 3).text)) && has_part(3));
    CU_ASSERT_TRUE(path_exists(inside(layout_mark(NUMBER, 3).text)));
    expect_outcome(uid, PST_OUTCOME_NONE);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), 0); /* again: nothing to do */
    CU_ASSERT_TRUE(path_exists(inside(layout_node_manifest(NUMBER, 3).text)) && has_part(3));
    free(other.text);
    close_all();
}

static void an_abort_goes_by_the_uid(void)
{
    open_prepared();
    make_part(OWN_NODE, other_uid); /* put there by hand */
    struct pst_outcome asked = asked_of(uid);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), 0);
    CU_ASSERT_FALSE(path_exists(own_path()));
    CU_ASSERT_TRUE(has_part(OWN_NODE));
    close_all();
    open_prepared();
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    close_all();
}

static void what_is_committed_is_not_aborted(void)
{
    open_prepared();
    struct pst_manifest_text cluster = cluster_manifest(NUMBER, uid, &own_manifest);
    write_file(cluster_path(), cluster.text, cluster.bytes);
    struct pst_outcome asked = asked_of(uid);
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), -PST_E_WRONG_STATE);
    CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE) && path_exists(cluster_path()));
    free(cluster.text);
    close_all();
}

static int commit(struct pst_manifest_text *cluster)
{
    struct pst_outcome settled = asked_of(uid);
    int error = pst_archive_settle_committed(archive, &settled, cluster ? cluster->text : NULL,
                                             cluster ? cluster->bytes : 0);
    if (cluster)
        free(cluster->text);
    return error;
}

static void only_the_right_manifest_commits(void)
{
    open_prepared();
    struct pst_manifest_text cluster = cluster_manifest(NUMBER + 1, uid, &own_manifest);
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_MISPLACED);
    cluster = cluster_manifest(NUMBER, other_uid, &own_manifest);
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_MISPLACED);
    struct pst_manifest_text listed = own_manifest;
    listed.bytes++;
    cluster = cluster_manifest(NUMBER, uid, &listed);
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_MISPLACED);
    listed = own_manifest;
    listed.digest.bytes[3] ^= 1;
    cluster = cluster_manifest(NUMBER, uid, &listed);
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_MISPLACED);
    config.node = 4; /* which is not listed, and has nothing of it */
    cluster = cluster_manifest(NUMBER, uid, &own_manifest);
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_NO_BACKUP);
    config.node = OWN_NODE;
    cluster = cluster_manifest(NUMBER, uid, &own_manifest);
    cluster.text[9] ^= 1;
    CU_ASSERT_EQUAL(commit(&cluster), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(commit(NULL), -ENOENT);
    CU_ASSERT_FALSE(path_exists(cluster_path()));
    expect_outcome(uid, PST_OUTCOME_PREPARED);
    close_all();
}

static void a_commit_is_there_and_ends_the_work(void)
{
    open_prepared();
    write_file(inside(layout_mark(NUMBER, OWN_NODE).text), "x", 1);
    struct pst_manifest_text cluster = cluster_manifest(NUMBER, uid, &own_manifest);
    CU_ASSERT_EQUAL(commit(&cluster), 0);
    CU_ASSERT_FALSE(path_exists(inside(layout_mark(NUMBER, OWN_NODE).text)));
    expect_outcome(uid, PST_OUTCOME_COMMITTED);
    CU_ASSERT_EQUAL(commit(NULL), 0); /* what is in its place is looked at */
    const struct layout_name temporary = layout_cluster_temporary(NUMBER, OWN_NODE);
    write_file(inside(temporary.text), "x",
               1); /* as of a killed process, another node being first */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_EQUAL(told_count, 0);
    CU_ASSERT_FALSE(path_exists(inside(temporary.text)));
    CU_ASSERT_TRUE(has_part(OWN_NODE));
    /* It is in its place, but does not list what is here. */
    struct pst_manifest_text listed = own_manifest;
    listed.bytes++;
    cluster = cluster_manifest(NUMBER, uid, &listed);
    write_file(cluster_path(), cluster.text, cluster.bytes);
    CU_ASSERT_EQUAL(commit(NULL), -PST_E_CORRUPT); /* its copy says something else */
    write_file(copy_path(), cluster.text, cluster.bytes);
    free(cluster.text);
    CU_ASSERT_EQUAL(commit(NULL), -PST_E_MISPLACED);
    close_all();
}

/* Either of the two files is the decision, whatever became of the other. */
static void one_file_of_the_decision_will_do(void)
{
    const char *(*const paths[])(void) = {cluster_path, copy_path};
    for (size_t lost = 0; lost < 2; lost++) {
        for (unsigned is_damaged = 0; is_damaged < 2; is_damaged++) {
            open_prepared();
            struct pst_manifest_text cluster = cluster_manifest(NUMBER, uid, &own_manifest);
            struct pst_outcome asked = asked_of(uid);
            write_file(paths[!lost](), cluster.text, cluster.bytes);
            if (is_damaged)
                write_file(paths[lost](), "{}", 2);
            expect_outcome(uid, PST_OUTCOME_COMMITTED);
            CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &asked), -PST_E_WRONG_STATE);
            CU_ASSERT_EQUAL(commit(NULL), 0);
            CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
            CU_ASSERT_EQUAL(told_count, 0);
            CU_ASSERT_TRUE(path_exists(own_path()) && has_part(OWN_NODE));
            /* the one that is missing is written again; one that is damaged is for verify */
            CU_ASSERT_TRUE(path_exists(paths[lost]()));
            storage_remove(&storage, paths[!lost]());
            if (is_damaged)
                expect_refused(uid, -PST_E_TRUNCATED);
            else
                expect_outcome(uid, PST_OUTCOME_COMMITTED);
            free(cluster.text);
            close_all();
        }
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the disk tells the outcome", the_disk_tells_the_outcome},
        {"one file of the decision will do", one_file_of_the_decision_will_do},
        {"what is in work is not told", what_is_in_work_is_not_told},
        {"what cannot be read is not guessed", what_cannot_be_read_is_not_guessed},
        {"a directory that cannot be read is no empty one",
         a_directory_that_cannot_be_read_is_no_empty_one},
        {"a sweep tells each time", a_sweep_tells_each_time},
        {"an abort removes what is this node's", an_abort_removes_what_is_this_nodes},
        {"an abort goes by the uid", an_abort_goes_by_the_uid},
        {"what is committed is not aborted", what_is_committed_is_not_aborted},
        {"only the right manifest commits", only_the_right_manifest_commits},
        {"a commit is there and ends the work", a_commit_is_there_and_ends_the_work},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "settle: a directory", .pInitFunc = storage_in_directory, .pTests = tests},
        {.pName = "settle: the model disk", .pInitFunc = storage_on_model, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
