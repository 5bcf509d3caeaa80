/*
 * The life of a backup in the archive, and what is swept of it: over a real directory and over the
 * model disk; and on the model disk what comes of errors, above all of one that reads a directory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/format/chunk.h"
#include "engine/repository/archive.h"
#include "engine/repository/archive_settle.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/catalog.h"
#include "engine/repository/layout.h"
#include "engine/repository/lease.h"
#include "engine/repository/prune.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/storage.h"

#define NUMBER 3u
#define NODE 2u
#define LDMS 2u
#define NODES_OF_TWO UINT64_C(3)
#define NODE_ALONE UINT64_C(2)

static const uint8_t uid[16] = {7, 6, 5};
static struct storage storage;
static struct pst_archive_config config;
static struct pst_unreadable unreadable;
static struct pst_archive *archive;
static struct pst_define_backup_req define;
static uint32_t doubts;

static void count_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    (void)context;
    CU_ASSERT_EQUAL(doubt->number, NUMBER);
    doubts++;
}

static void make_archive(void)
{
    archive = calloc(1, sizeof(*archive));
    CU_ASSERT_PTR_NOT_NULL_FATAL(archive);
    archive->config = &config;
    archive->repository = &storage.repository;
    archive->unreadable = &unreadable;
    archive->on_doubt = count_doubt;
}

/* nodes: by id - 1, of the backup to be defined. */
static void begin(uint64_t nodes)
{
    storage_open(&storage);
    config = (struct pst_archive_config){
        .node = NODE, .cluster_id = 9, .ldms = LDMS, .chunk_bytes = PST_CHUNK_BYTES_MIN};
    pst_unreadable_init(&unreadable);
    doubts = 0;
    make_archive();
    define = (struct pst_define_backup_req){.master_ref = pst_ref_make(NODE, PST_BLOCK_BACKUP, 1),
                                            .number = NUMBER};
    memcpy(define.uid, uid, sizeof(uid));
    define.nodes.words[0] = nodes;
}

static void end(void)
{
    free(archive);
    storage_close(&storage);
}

static int define_it(void)
{
    uint32_t highest = 0;
    return pst_archive_define(archive, &define, &highest);
}

static const char *inside(struct layout_name name)
{
    return storage_inside(NUMBER, name.text);
}

static const char *part_path(uint32_t part)
{
    return inside(layout_part(NUMBER, NODE, part, LDMS));
}

static bool has(const char *path)
{
    return storage_has(&storage, path);
}

static bool has_backup(void)
{
    return has(layout_backup(NUMBER).text);
}

static bool has_copy(void)
{
    return has(inside(layout_cluster_copy(NUMBER)));
}

static bool is_decided(void)
{
    return has(inside(layout_cluster_manifest(NUMBER))) || has_copy();
}

/* As the LDMs leave them: written and synced, their names not. */
static void write_parts(void)
{
    static char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    for (uint32_t part = 1; part <= LDMS; part++) {
        struct pst_part_identity identity = {
            .number = NUMBER, .node = NODE, .part = (uint16_t)part, .parts = LDMS};
        memcpy(identity.uid, uid, sizeof(uid));
        (void)pst_part_header_seal(block, &identity, PST_CHUNK_BYTES_MIN, part, pst_unix_ns());
        storage_put(&storage, part_path(part), block, sizeof(block));
    }
}

static void remove_parts(void)
{
    for (uint32_t part = 1; part <= LDMS; part++)
        storage_remove(&storage, part_path(part));
}

static int prepare(struct pst_commit *prepared)
{
    const struct pst_gci gci = {.start_gci = 1, .stop_gci = 1};
    for (uint32_t part = 1; part <= LDMS; part++) {
        const struct pst_archive_item item = {.item = part, .file_bytes = PST_BLOCK_BYTES};
        pst_archive_add_part(archive, &item);
    }
    return pst_archive_write_node(archive, &gci, prepared);
}

static int decide(const struct pst_commit *prepared)
{
    const struct pst_gci gci = {.start_gci = 1, .stop_gci = 1};
    struct pst_archive_item item = {.item = NODE, .file_bytes = prepared->file_bytes};
    struct pst_commit decided;
    memcpy(item.digest, prepared->digest, sizeof(item.digest));
    pst_archive_add_node(archive, &item);
    return pst_archive_write_cluster(archive, &gci, &decided);
}

/* All of a backup; the first error. */
static int back_up(void)
{
    struct pst_commit prepared;
    int error = define_it();
    if (!error) {
        write_parts();
        error = prepare(&prepared);
    }
    if (!error)
        error = decide(&prepared);
    return error ? error : pst_archive_commit(archive);
}

static void a_backup_is_committed(void)
{
    uint32_t number = 0;
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_EQUAL(pst_archive_number(archive, 0, &number), 0);
    CU_ASSERT_EQUAL(number, 1);
    CU_ASSERT_EQUAL(back_up(), 0);
    CU_ASSERT_EQUAL(archive->backup, 0);
    CU_ASSERT_TRUE(is_decided() && has(inside(layout_node_manifest(NUMBER, NODE))));
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(is_decided() && has(part_path(1)) && has(part_path(2)));
    CU_ASSERT_EQUAL(pst_archive_number(archive, 0, &number), 0);
    CU_ASSERT_EQUAL(number, NUMBER + 1);
    CU_ASSERT_EQUAL(pst_archive_number(archive, NUMBER, &number), -PST_E_NUMBER_EXISTS);
    CU_ASSERT_EQUAL(define_it(), -PST_E_NUMBER_EXISTS);
    CU_ASSERT_EQUAL(doubts, 0);
    end();
}

/* As another process of the host, or of another one, has it. */
static void run_beside(struct pst_repository_lease *other, uint32_t node)
{
    storage_attach(&storage, &other->repository);
    CU_ASSERT_EQUAL_FATAL(lease_lock(other, node, true), 0);
}

static void stop_beside(struct pst_repository_lease *other)
{
    lease_unlock(other);
    repository_close(&other->repository, other->repository.root);
}

static void a_shared_backup_has_marks(void)
{
    struct pst_repository_lease other = {0};
    begin(NODES_OF_TWO);
    run_beside(&other, NODE);
    CU_ASSERT_EQUAL(define_it(), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    CU_ASSERT_FALSE(has(layout_unmarked(NUMBER, NODE).text));
    struct pst_archive *first = archive;
    config.node = 1; /* joins it */
    make_archive();
    CU_ASSERT_EQUAL(define_it(), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, 1))));
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(has_backup() && !has(inside(layout_mark(NUMBER, 1))));
    free(archive);
    config.node = NODE;
    archive = first;
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    stop_beside(&other);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

/* On a file system that keeps locks to one host, two hosts do not write into one directory. */
static void a_join_needs_the_locks(void)
{
    struct pst_repository_lease other = {0};
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    struct pst_archive *first = archive;
    config.node = 1;
    make_archive();
    CU_ASSERT_EQUAL(define_it(), -ENOLCK);
    CU_ASSERT_FALSE(has(inside(layout_mark(NUMBER, 1))));
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    run_beside(&other, NODE); /* and it was left free by the look */
    CU_ASSERT_EQUAL(define_it(), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, 1))));
    stop_beside(&other);
    free(first);
    end();
}

static void an_abort_leaves_nothing(void)
{
    struct pst_commit prepared;
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(define_it(), 0);
    CU_ASSERT_EQUAL(define_it(), -PST_E_BUSY);
    write_parts();
    CU_ASSERT_EQUAL(prepare(&prepared), 0);
    remove_parts(); /* the LDMs */
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

/* Whoever removes a part, or empties it, is not noticed by the LDM that writes it. */
static void a_part_that_is_gone_fails_the_backup(void)
{
    struct pst_commit prepared;
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    storage_remove(&storage, part_path(2));
    CU_ASSERT_EQUAL(prepare(&prepared), -ENOENT);
    storage_put(&storage, part_path(2), "x", 1);
    CU_ASSERT_EQUAL(prepare(&prepared), -PST_E_READ_BACK);
    CU_ASSERT_FALSE(has(inside(layout_node_manifest(NUMBER, NODE))));
    remove_parts();
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

/* A process of another host, whose locks are not seen here, sweeps the backup in work, and makes
 * one of the same number. */
static void what_another_process_made_of_it_stays(void)
{
    static const uint8_t other_uid[16] = {1};
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    struct pst_archive *first = archive;
    make_archive();
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    memcpy(define.uid, other_uid, sizeof(other_uid));
    CU_ASSERT_EQUAL(back_up(), 0);
    CU_ASSERT_EQUAL(pst_archive_clean_up(first), 0);
    CU_ASSERT_TRUE(is_decided() && has(inside(layout_node_manifest(NUMBER, NODE))));
    CU_ASSERT_TRUE(has(part_path(1)) && has(part_path(2)));
    free(first);
    end();
}

/* One that an LDM could not remove, or has yet to: nobody else's, so the removal is not whole. The
 * sweep that follows knows it by its header. */
static void a_part_that_is_left_is_reported(void)
{
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    storage_remove(&storage, part_path(1));
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), -ENOTEMPTY);
    CU_ASSERT_EQUAL(archive->backup, 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

static void debris_is_swept_and_doubt_reported(void)
{
    struct pst_commit prepared;
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    free(archive); /* a killed process */
    make_archive();
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage) && doubts == 0);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    CU_ASSERT_EQUAL(prepare(&prepared), 0);
    pst_archive_leave(archive);
    CU_ASSERT_EQUAL(doubts, 1);
    CU_ASSERT_TRUE(has(part_path(1)) && has(part_path(2)));
    end();
}

/* ---- on the model disk ---- */

static void fail_list(uint64_t n)
{
    model_disk_fail(storage.disk, MODEL_LIST, n, -EIO);
}

/* The root, which holds debris that a whole look would find. */
static void a_root_that_cannot_be_read_is_an_error(void)
{
    uint32_t number;
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    free(archive);
    make_archive();
    fail_list(1);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), -EIO);
    CU_ASSERT_FALSE(archive->has_swept);
    CU_ASSERT_TRUE(has(part_path(1)) && has(inside(layout_mark(NUMBER, NODE))));
    fail_list(1);
    CU_ASSERT_EQUAL(pst_archive_number(archive, 0, &number), -EIO);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

/* Marks of other nodes: an error is not none. */
static void marks_that_cannot_be_read_are_not_missing(void)
{
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    free(archive);
    make_archive();
    /* another node's alone: what this one did not mark is not its to remove */
    storage_remove(&storage, inside(layout_mark(NUMBER, NODE)));
    storage_put(&storage, inside(layout_mark(NUMBER, 1)), "x", 1);
    fail_list(2); /* the root, then the backup's directory */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), -EIO);
    CU_ASSERT_TRUE(has(part_path(1)) && has(part_path(2)));
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has(part_path(1)) && has(part_path(2)));
    end();
}

static void a_join_needs_the_marks(void)
{
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    free(archive);
    make_archive();
    config.node = 1;
    define.master_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1);
    fail_list(1);
    CU_ASSERT_EQUAL(define_it(), -EIO);
    CU_ASSERT_FALSE(has(inside(layout_mark(NUMBER, 1))));
    CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    end();
}

/* An abort that cannot see the parts has not removed them: an error, and the mark stays, by which
 * the next sweep comes back to them. */
static void parts_that_cannot_be_read_are_not_removed(void)
{
    struct pst_outcome settled = {.number = NUMBER};
    struct pst_commit prepared;
    memcpy(settled.uid, uid, sizeof(uid));
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    CU_ASSERT_EQUAL(prepare(&prepared), 0);
    pst_archive_leave(archive);
    fail_list(1); /* the root: another may refer to it */
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &settled), -EIO);
    CU_ASSERT_TRUE(has(inside(layout_node_manifest(NUMBER, NODE))));
    fail_list(2); /* the backup's directory */
    CU_ASSERT_EQUAL(pst_archive_settle_aborted(archive, &settled), -EIO);
    CU_ASSERT_TRUE(has(part_path(1)) && has(inside(layout_mark(NUMBER, NODE))));
    model_disk_fail(storage.disk, MODEL_READ, 2, -EIO); /* a part, after the node manifest */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has(part_path(1)) || has(part_path(2)));
    CU_ASSERT_TRUE(has(inside(layout_mark(NUMBER, NODE))));
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(storage_is_empty(&storage));
    end();
}

/* A list of what is on the model disk. */
static int read_list(struct pst_backup_list *list, char *message)
{
    *list = (struct pst_backup_list){.directories = {.count = 1, .paths = {"model"}}};
    storage_attach(&storage, &list->directories.repositories[0]);
    return catalog_read(list, message);
}

static void expect_prune(uint64_t lists, int error, bool is_idle)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL_FATAL(read_list(&list, message), 0);
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    if (lists)
        fail_list(lists);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], is_idle, false, message), error);
    CU_ASSERT_EQUAL(has_backup(), error != 0);
    pst_backup_list_release(&list);
}

static void prune_removes_nothing_that_it_cannot_read(void)
{
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(back_up(), 0);
    expect_prune(1, -EIO, false); /* marks: a node may be at work on it */
    expect_prune(0, 0, false);
    end();
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0); /* known by its parts' headers alone */
    write_parts();
    expect_prune(1, -EIO, true);
    expect_prune(2, -EIO, true);
    expect_prune(0, 0, true);
    end();
}

/* It may be anything: a list calls it damaged, not incomplete, which could be pruned as debris. */
static void a_backup_that_cannot_be_read_is_not_incomplete(void)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    for (uint64_t n = 2; n <= 3; n++) {
        fail_list(n);
        CU_ASSERT_EQUAL_FATAL(read_list(&list, message), 0);
        CU_ASSERT_EQUAL_FATAL(list.count, 1);
        CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
        CU_ASSERT_EQUAL(list.backups[0]->error, -EIO);
        CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, layout_backup(NUMBER).text));
        pst_backup_list_release(&list);
    }
    fail_list(1);
    CU_ASSERT_EQUAL(read_list(&list, message), -EIO);
    CU_ASSERT_EQUAL_FATAL(read_list(&list, message), 0);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_INCOMPLETE);
    pst_backup_list_release(&list);
    end();
}

static void expect_listed(enum pst_backup_state state, int error, int pruned)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL_FATAL(read_list(&list, message), 0);
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->state, state);
    CU_ASSERT_EQUAL(list.backups[0]->error, error);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], true, true, message), pruned);
    pst_backup_list_release(&list);
}

/* Its node manifest says whether it is in doubt: what cannot be read of it does not say no. */
static void a_manifest_that_cannot_be_read_may_be_of_a_backup_in_doubt(void)
{
    struct pst_commit prepared;
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    CU_ASSERT_EQUAL(prepare(&prepared), 0);
    expect_listed(PST_BACKUP_IN_DOUBT, -PST_E_INCOMPLETE, -PST_E_INCOMPLETE);
    model_disk_fail(storage.disk, MODEL_READ, 1 + NODE, -EIO); /* after the cluster manifest */
    expect_listed(PST_BACKUP_IN_DOUBT, -PST_E_INCOMPLETE, -PST_E_INCOMPLETE);
    storage_put(&storage, inside(layout_node_manifest(NUMBER, NODE)), "{}", 2);
    expect_listed(PST_BACKUP_IN_DOUBT, -PST_E_INCOMPLETE, -PST_E_INCOMPLETE);
    end();
}

/* Memory or descriptors that are out end a list: a backup that was not looked at is not missing. */
static void a_list_ends_with_an_error_of_its_own(void)
{
    static const enum model_op ops[] = {MODEL_OPEN, MODEL_READ};
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0); /* known by its parts' headers alone */
    write_parts();
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        uint64_t n = 1;
        for (int error = -EMFILE; error == -EMFILE; n++) {
            model_disk_fail(storage.disk, ops[i], n, -EMFILE);
            error = read_list(&list, message);
            CU_ASSERT_TRUE(error == -EMFILE || (error == 0 && storage.disk->fail_at != 0));
            if (!error)
                pst_backup_list_release(&list);
        }
        CU_ASSERT_TRUE(n > 2);
        storage.disk->fail_at = 0;
    }
    model_disk_fail(storage.disk, MODEL_OPEN, 1, -EACCES);
    expect_listed(PST_BACKUP_DAMAGED, -EACCES, -PST_E_CHANGED);
    end();
}

static void a_sweep_skips_nothing_in_silence(void)
{
    struct pst_commit prepared;
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    write_parts();
    CU_ASSERT_EQUAL(prepare(&prepared), 0);
    free(archive);
    make_archive();
    model_disk_fail(storage.disk, MODEL_OPEN, 1, -EMFILE);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), -EMFILE);
    CU_ASSERT_FALSE(archive->has_swept);
    model_disk_fail(storage.disk, MODEL_STATUS, 1, -ENOMEM); /* of the cluster manifest */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), -ENOMEM);
    CU_ASSERT_EQUAL(doubts, 0);
    model_disk_fail(storage.disk, MODEL_OPEN, 1, -EACCES); /* another user's holds nobody up */
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_EQUAL(doubts, 0);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_EQUAL(doubts, 1);
    end();
}

/* Any sync, write or rename that fails makes the backup fail, and nothing of it is left. */
static void an_error_fails_the_backup(void)
{
    static const enum model_op ops[] = {MODEL_SYNC_DIRECTORY, MODEL_SYNC_FILE,
                                        MODEL_WRITE,          MODEL_CREATE,
                                        MODEL_RENAME,         MODEL_MAKE_DIRECTORY};
    unsigned failures = 0, copies = 0;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        for (uint64_t n = 1;; n++) {
            begin(NODES_OF_TWO);
            model_disk_fail(storage.disk, ops[i], n, -ENOSPC);
            int error = back_up();
            bool was_due = storage.disk->fail_at == 0;
            storage.disk->fail_at = 0;
            if (was_due && !error) { /* only that the decision is kept twice failed */
                CU_ASSERT_TRUE(is_decided());
                free(archive);
                make_archive();
                CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
                CU_ASSERT_TRUE(has_copy());
                copies++;
            } else if (was_due) {
                failures++;
                CU_ASSERT_EQUAL(error, -ENOSPC);
                for (uint32_t part = 1; part <= LDMS && has(part_path(part)); part++)
                    storage_remove(&storage, part_path(part));
                CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
                CU_ASSERT_FALSE(is_decided());
                /* a name that was there before its sync failed is left to the sweep */
                CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
                CU_ASSERT_TRUE(storage_is_empty(&storage));
            }
            end();
            if (!was_due)
                break;
        }
    }
    CU_ASSERT_TRUE(failures >= 15);
    CU_ASSERT_EQUAL(copies, 5); /* create, write, sync, rename, sync of the directory */
}

/* Killed at every operation, then the power is lost, in whatever way: what was committed is, and
 * what was not is swept, or settled as never having been. */
static void a_crash_leaves_all_or_nothing(void)
{
    bool is_done = false;
    for (uint64_t n = 1; !is_done; n++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            begin(NODE_ALONE);
            model_disk_kill(storage.disk, n);
            int error = define_it();
            struct pst_commit prepared;
            if (!error) {
                write_parts();
                error = prepare(&prepared);
            }
            if (!error)
                error = decide(&prepared);
            is_done = !error;
            model_disk_lose_power(storage.disk, seed);
            model_disk_attach(storage.disk, &storage.repository);
            free(archive);
            make_archive();
            CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
            CU_ASSERT_TRUE(!is_done || is_decided());
            CU_ASSERT_EQUAL(has_copy(), is_decided()); /* the sweep has completed it */
            CU_ASSERT_EQUAL(has(inside(layout_cluster_manifest(NUMBER))), is_decided());
            CU_ASSERT_TRUE(is_decided() || !has_backup());
            CU_ASSERT_TRUE(!is_decided() || has(inside(layout_node_manifest(NUMBER, NODE))));
            CU_ASSERT_TRUE(!is_decided() || (has(part_path(1)) && has(part_path(2))));
            end();
        }
    }
}

/* The decision is there when all that it names is: parts' names, then the node's manifest, each
 * synced before the next. */
static void what_a_manifest_names_is_synced_before_it(void)
{
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(back_up(), 0);
    const struct model_disk *disk = storage.disk;
    const char *backup = layout_backup(NUMBER).text;
    size_t root = model_disk_find(disk, 0, MODEL_SYNC_DIRECTORY, "");
    size_t one =
        model_disk_find(disk, root, MODEL_SYNC_DIRECTORY, inside(layout_part_dir(NUMBER, 1, 2)));
    size_t two =
        model_disk_find(disk, one, MODEL_SYNC_DIRECTORY, inside(layout_part_dir(NUMBER, 2, 2)));
    const char *node = inside(layout_temporary(layout_node_manifest(NUMBER, NODE).text));
    size_t written = model_disk_find(disk, two, MODEL_SYNC_FILE, node);
    size_t renamed = model_disk_find(disk, written, MODEL_RENAME, node);
    size_t durable = model_disk_find(disk, renamed, MODEL_SYNC_DIRECTORY, backup);
    const char *cluster = inside(layout_cluster_temporary(NUMBER, NODE));
    written = model_disk_find(disk, durable, MODEL_SYNC_FILE, cluster);
    renamed = model_disk_find(disk, written, MODEL_RENAME, cluster);
    durable = model_disk_find(disk, renamed, MODEL_SYNC_DIRECTORY, backup);
    const char *copy = inside(layout_cluster_copy_temporary(NUMBER, NODE));
    written = model_disk_find(disk, durable, MODEL_SYNC_FILE, copy);
    CU_ASSERT_EQUAL(model_disk_find(disk, 0, MODEL_SYNC_FILE, copy), written);
    renamed = model_disk_find(disk, written, MODEL_RENAME, copy);
    durable = model_disk_find(disk, renamed, MODEL_SYNC_DIRECTORY, backup);
    CU_ASSERT_NOT_EQUAL(durable, SIZE_MAX);
    end();
}

/* Nothing of the backup is removed, and the list has it as complete. */
static void a_lost_file_of_the_decision_loses_nothing(void)
{
    for (unsigned lost = 0; lost < 2; lost++) {
        struct pst_backup_list list;
        char message[PST_MESSAGE_BYTES];
        begin(NODE_ALONE);
        CU_ASSERT_EQUAL(back_up(), 0);
        storage_remove(
            &storage, inside(lost ? layout_cluster_copy(NUMBER) : layout_cluster_manifest(NUMBER)));
        CU_ASSERT_EQUAL_FATAL(read_list(&list, message), 0);
        CU_ASSERT_EQUAL_FATAL(list.count, 1);
        CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
        CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, "missing"));
        pst_backup_list_release(&list);
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0); /* not its first: it only looks */
        free(archive);
        make_archive();
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_TRUE(has(inside(layout_cluster_manifest(NUMBER))) && has_copy());
        CU_ASSERT_TRUE(has(part_path(1)) && has(part_path(2)));
        end();
    }
}

/* ---- what must hold ---- */

static void *bind_elsewhere(void *argument)
{
    pst_thread_bind(&((struct pst_archive *)argument)->owner);
    return NULL;
}

static void give_to_another_thread(void)
{
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, bind_elsewhere, archive), 0);
    pthread_join(thread, NULL);
}

static void take_another_uid(void)
{
    archive->backup++;
}

static void have_too_many_parts(void)
{
    archive->node.parts_count = LDMS + 1;
}

static void disorder_the_nodes(void)
{
    archive->cluster.nodes_count = 2;
    archive->cluster.nodes[0].node = 2;
    archive->cluster.nodes[1].node = 1;
}

static void mix_two_backups(void)
{
    archive->cluster.common.number++;
}

static void forget_the_others(void)
{
    archive->is_shared = false;
}

static void sweep_spoilt(void *context)
{
    (*(void (**)(void))context)();
    (void)!pst_archive_sweep(archive);
}

/* The disk says "written" of what it has not, from the decision on or from before: with --verify
 * nothing of it counts. */
static void a_disk_that_lies_is_found(void)
{
    for (int mode = 0; mode < 4; mode++) {
        bool verifies = mode & 1, from_decision = mode & 2;
        struct pst_commit prepared;
        begin(NODE_ALONE);
        define.flags = verifies ? PST_BACKUP_VERIFY : 0;
        CU_ASSERT_EQUAL(define_it(), 0);
        write_parts();
        storage.disk->ignored = from_decision ? MODEL_ANY : MODEL_SYNC_FILE;
        int error = prepare(&prepared);
        CU_ASSERT_EQUAL(error, verifies && !from_decision ? -PST_E_READ_BACK : 0);
        CU_ASSERT_EQUAL(has(inside(layout_node_manifest(NUMBER, NODE))), !error);
        storage.disk->ignored = MODEL_SYNC_FILE;
        if (!error)
            error = decide(&prepared);
        CU_ASSERT_EQUAL(error, verifies ? -PST_E_READ_BACK : 0);
        CU_ASSERT_EQUAL(is_decided(), !verifies);
        remove_parts();
        if (error)
            CU_ASSERT_EQUAL(pst_archive_clean_up(archive), 0);
        end();
    }
}

/* The decision is made: its copies are missing, and the backup stays. */
static void a_copy_that_was_not_written_does_not_count(void)
{
    begin(NODE_ALONE);
    CU_ASSERT_EQUAL(back_up(), 0);
    storage_remove(&storage, inside(layout_cluster_copy(NUMBER)));
    storage.disk->ignored = MODEL_SYNC_FILE;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_FALSE(has_copy());
    storage.disk->ignored = MODEL_ANY;
    archive->has_synced = false;
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    CU_ASSERT_TRUE(has_copy());
    end();
}

/* Whatever the first sweep does for a decision, for one that could not be read the next does. */
static void what_could_not_be_read_is_looked_at_again(void)
{
    const enum model_op ops[] = {MODEL_OPEN, MODEL_STATUS};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        begin(NODE_ALONE);
        CU_ASSERT_EQUAL(back_up(), 0);
        storage_remove(&storage, inside(layout_cluster_copy(NUMBER)));
        free(archive);
        make_archive();
        model_disk_fail(storage.disk, ops[i], 1, -EIO);
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_FALSE(has_copy());
        CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
        CU_ASSERT_TRUE(has_copy());
        CU_ASSERT_TRUE(archive->has_synced);
        end();
    }
}

static void an_impossible_state_ends_the_process(void)
{
    void (*const spoilers[])(void) = {give_to_another_thread, take_another_uid, have_too_many_parts,
                                      disorder_the_nodes,     mix_two_backups,  forget_the_others};
    begin(NODES_OF_TWO);
    CU_ASSERT_EQUAL(define_it(), 0);
    CU_ASSERT_EQUAL(pst_archive_sweep(archive), 0);
    for (size_t i = 0; i < sizeof(spoilers) / sizeof(spoilers[0]); i++)
        CU_ASSERT_TRUE(child_aborts(sweep_spoilt, (void *)&spoilers[i]));
    end();
}

int main(void)
{
    CU_TestInfo life[] = {
        {"a backup is committed", a_backup_is_committed},
        {"a shared backup has marks", a_shared_backup_has_marks},
        {"a join needs the locks", a_join_needs_the_locks},
        {"an abort leaves nothing", an_abort_leaves_nothing},
        {"a part that is gone fails the backup", a_part_that_is_gone_fails_the_backup},
        {"what another process made of it stays", what_another_process_made_of_it_stays},
        {"a part that is left is reported", a_part_that_is_left_is_reported},
        {"debris is swept, and doubt reported", debris_is_swept_and_doubt_reported},
        CU_TEST_INFO_NULL,
    };
    CU_TestInfo errors[] = {
        {"a root that cannot be read is an error", a_root_that_cannot_be_read_is_an_error},
        {"marks that cannot be read are not missing", marks_that_cannot_be_read_are_not_missing},
        {"a join needs the marks", a_join_needs_the_marks},
        {"parts that cannot be read are not removed", parts_that_cannot_be_read_are_not_removed},
        {"prune removes nothing that it cannot read", prune_removes_nothing_that_it_cannot_read},
        {"a backup that cannot be read is not incomplete",
         a_backup_that_cannot_be_read_is_not_incomplete},
        {"a manifest that cannot be read may be of a backup in doubt",
         a_manifest_that_cannot_be_read_may_be_of_a_backup_in_doubt},
        {"a list ends with an error of its own", a_list_ends_with_an_error_of_its_own},
        {"what could not be read is looked at again", what_could_not_be_read_is_looked_at_again},
        {"a sweep skips nothing in silence", a_sweep_skips_nothing_in_silence},
        {"an error fails the backup", an_error_fails_the_backup},
        {"a crash leaves all or nothing", a_crash_leaves_all_or_nothing},
        {"what a manifest names is synced before it", what_a_manifest_names_is_synced_before_it},
        {"a lost file of the decision loses nothing", a_lost_file_of_the_decision_loses_nothing},
        {"a disk that lies is found", a_disk_that_lies_is_found},
        {"a copy that was not written does not count", a_copy_that_was_not_written_does_not_count},
        {"an impossible state ends the process", an_impossible_state_ends_the_process},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "archive: a directory", .pInitFunc = storage_in_directory, .pTests = life},
        {.pName = "archive: the model disk", .pInitFunc = storage_on_model, .pTests = life},
        {.pName = "archive: errors and crashes", .pInitFunc = storage_on_model, .pTests = errors},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
