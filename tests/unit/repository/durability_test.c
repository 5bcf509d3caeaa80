/*
 * What lasts, on the model disk: in what order a backup, its settling, its abort and its removal
 * are synced; that an error of any sync is an error of the whole; and that after a power loss at
 * any step, with any part of what was not synced, what was called complete is complete, and nothing
 * else looks so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/chunk.h"
#include "engine/repository/archive.h"
#include "engine/repository/archive_settle.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/catalog.h"
#include "engine/repository/layout.h"
#include "engine/repository/prune.h"
#include "tests/suite.h"
#include "tests/support/storage.h"

#define NUMBER 3u
#define LDMS 2u
#define CHOICES_MAX                                                                                \
    256u /* of what a power loss leaves; where there are more, as many by chance                   \
          */

static const uint8_t uid[16] = {7, 6, 5};
static const struct pst_gci gci = {.start_gci = 1, .stop_gci = 1};
static struct storage storage;
static struct pst_unreadable unreadable;
static struct pst_manifest_text decision; /* of the master, which is elsewhere */

/* A node of the cluster: all of its backups that the disk shows, it has made or found. */
struct member {
    struct pst_archive_config config;
    struct pst_repository repository;
    struct pst_archive *archive;
};
static struct member members[3]; /* by id */

static void ignore_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    (void)context, (void)doubt;
}

static void start_member(uint32_t node)
{
    struct member *member = &members[node];
    member->config = (struct pst_archive_config){
        .node = node, .cluster_id = 9, .ldms = LDMS, .chunk_bytes = PST_CHUNK_BYTES_MIN};
    model_disk_attach(storage.disk, &member->repository);
    storage.disk->is_quiet = true; /* its number is locked, as long as it runs */
    CU_ASSERT_TRUE_FATAL(repository_lock_file(&member->repository, member->repository.root,
                                              layout_lock(node).text) >= 0);
    storage.disk->is_quiet = false;
    member->archive = calloc(1, sizeof(*member->archive));
    CU_ASSERT_PTR_NOT_NULL_FATAL(member->archive);
    member->archive->config = &member->config;
    member->archive->repository = &member->repository;
    member->archive->unreadable = &unreadable;
    member->archive->on_doubt = ignore_doubt;
}

static void start_members(void)
{
    for (uint32_t node = 1; node <= 2; node++)
        start_member(node);
}

static void stop_members(void)
{
    for (uint32_t node = 1; node <= 2; node++) {
        model_disk_end_process(&members[node].repository);
        free(members[node].archive);
    }
}

static void begin(void)
{
    storage_open(&storage);
    pst_unreadable_init(&unreadable);
    start_members();
}

static void end(void)
{
    stop_members();
    free(decision.text);
    decision = (struct pst_manifest_text){0};
    storage_close(&storage);
}

static const char *inside(struct layout_name name)
{
    return storage_inside(NUMBER, name.text);
}

static const char *part_path(uint32_t node, uint32_t part)
{
    return inside(layout_part(NUMBER, node, part, LDMS));
}

static const char *manifest_path(uint32_t node)
{
    return inside(layout_node_manifest(NUMBER, node));
}

static const char *decision_path(void)
{
    return inside(layout_cluster_manifest(NUMBER));
}

/* ---- a backup, step by step ---- */

static struct pst_define_backup_req defined(bool is_shared)
{
    struct pst_define_backup_req define = {
        .master_ref = pst_ref_make(is_shared ? 1 : 2, PST_BLOCK_BACKUP, 1), .number = NUMBER};
    memcpy(define.uid, uid, sizeof(uid));
    define.nodes.words[0] = is_shared ? 3 : 2;
    return define;
}

/* As the LDMs leave them: written and synced, their names not. They may not get so far. */
static void write_parts(uint32_t node)
{
    static char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    for (uint32_t part = 1; part <= LDMS; part++) {
        struct pst_part_identity identity = {.number = NUMBER,
                                             .cluster_id = 9,
                                             .node = (uint16_t)node,
                                             .part = (uint16_t)part,
                                             .parts = LDMS};
        memcpy(identity.uid, uid, sizeof(uid));
        (void)pst_part_header_seal(block, &identity, PST_CHUNK_BYTES_MIN, part, 1);
        storage_put(&storage, part_path(node, part), block, sizeof(block));
    }
}

static int prepare(uint32_t node, bool is_shared, struct pst_commit *prepared)
{
    struct pst_archive *archive = members[node].archive;
    const struct pst_define_backup_req define = defined(is_shared);
    uint32_t highest = 0;
    int error = pst_archive_define(archive, &define, &highest);
    if (error)
        return error;
    write_parts(node);
    for (uint32_t part = 1; part <= LDMS; part++) {
        const struct pst_archive_item item = {.item = part, .file_bytes = PST_BLOCK_BYTES};
        pst_archive_add_part(archive, &item);
    }
    return pst_archive_write_node(archive, &gci, prepared);
}

static void list_node(uint32_t master, uint32_t node, const struct pst_commit *prepared)
{
    struct pst_archive_item item = {.item = node, .file_bytes = prepared->file_bytes};
    memcpy(item.digest, prepared->digest, sizeof(item.digest));
    pst_archive_add_node(members[master].archive, &item);
}

static int back_up_alone(void)
{
    struct pst_commit prepared, decided;
    int error = prepare(2, false, &prepared);
    if (error)
        return error;
    list_node(2, 2, &prepared);
    error = pst_archive_write_cluster(members[2].archive, &gci, &decided);
    return error ? error : pst_archive_commit(members[2].archive);
}

/* Both nodes in one directory; node 1 is the master. */
static int back_up_shared(void)
{
    struct pst_commit prepared[2], decided;
    for (uint32_t i = 0; i < 2; i++) {
        int error = prepare(i + 1, true, &prepared[i]);
        if (error)
            return error;
    }
    for (uint32_t i = 0; i < 2; i++)
        list_node(1, i + 1, &prepared[i]);
    int error = pst_archive_write_cluster(members[1].archive, &gci, &decided);
    for (uint32_t node = 1; !error && node <= 2; node++)
        error = pst_archive_commit(members[node].archive);
    return error;
}

/* Node 2 is prepared in a directory of its own; what the master decides is in `decision`. */
static void be_prepared(void)
{
    struct pst_commit prepared;
    static struct pst_cluster_manifest cluster;
    CU_ASSERT_EQUAL_FATAL(prepare(2, true, &prepared), 0);
    memset(&cluster, 0, sizeof(cluster));
    cluster.common = members[2].archive->cluster.common;
    cluster.common.start_gci = cluster.common.stop_gci = 1;
    cluster.master_node = 1;
    cluster.nodes_count = 2;
    cluster.nodes[0] = (struct pst_manifest_node){.node = 1, .file_bytes = 100};
    cluster.nodes[1] = (struct pst_manifest_node){.node = 2, .file_bytes = prepared.file_bytes};
    memcpy(cluster.nodes[1].digest.bytes, prepared.digest, sizeof(prepared.digest));
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_cluster(&cluster, &decision), 0);
}

static void be_in_doubt(void)
{
    be_prepared();
    pst_archive_leave(members[2].archive);
}

/* The master's copy has come; a killed process renamed it, and did not sync. */
static void be_decided_unsynced(void)
{
    be_in_doubt();
    model_disk_sync_all(storage.disk);
    storage_put(&storage, decision_path(), decision.text, decision.bytes);
}

/* Another node of one directory was first, and may have been killed before it synced. */
static void be_decided_by_another(void)
{
    be_prepared();
    model_disk_sync_all(storage.disk);
    storage_put(&storage, decision_path(), decision.text, decision.bytes);
}

/* With a file of a killed node, that a listing has after all others. */
static void be_complete(void)
{
    CU_ASSERT_EQUAL_FATAL(back_up_alone(), 0);
    storage_put(&storage, inside(layout_temporary(layout_node_manifest(NUMBER, 2).text)), "x", 1);
}

/* ---- what is done to it ---- */

static struct pst_outcome asked(void)
{
    struct pst_outcome outcome = {.number = NUMBER};
    memcpy(outcome.uid, uid, sizeof(uid));
    return outcome;
}

static int commit_fetched(void)
{
    struct pst_archive *archive = members[2].archive;
    int error = pst_archive_store_cluster(archive, NUMBER, decision.text, decision.bytes);
    return error ? error : pst_archive_commit(archive);
}

/* The master's decision comes to a disk that lies: it does not count as stored, and stays in doubt;
 * so of one that is fetched later, whatever was asked for. */
static void a_fetched_decision_is_read_back(void)
{
    const struct pst_outcome settled = asked();
    begin();
    be_prepared();
    members[2].archive->reads_back = true;
    storage.disk->ignored = MODEL_SYNC_FILE;
    CU_ASSERT_EQUAL(commit_fetched(), -PST_E_READ_BACK);
    CU_ASSERT_FALSE(storage_has(&storage, decision_path()));
    pst_archive_leave(members[2].archive);
    members[2].archive->reads_back = false;
    CU_ASSERT_EQUAL(
        pst_archive_settle_committed(members[2].archive, &settled, decision.text, decision.bytes),
        -PST_E_READ_BACK);
    CU_ASSERT_FALSE(storage_has(&storage, decision_path()));
    end();
}

static int settle_committed(void)
{
    const struct pst_outcome settled = asked();
    return pst_archive_settle_committed(members[2].archive, &settled, decision.text,
                                        decision.bytes);
}

static int settle_aborted(void)
{
    const struct pst_outcome settled = asked();
    return pst_archive_settle_aborted(members[2].archive, &settled);
}

static int clean_up(void)
{
    for (uint32_t part = 1; part <= LDMS; part++) { /* the LDMs' work */
        if (storage_has(&storage, part_path(2, part)))
            storage_remove(&storage, part_path(2, part));
    }
    return pst_archive_clean_up(members[2].archive);
}

static int sweep(void)
{
    return pst_archive_sweep(members[2].archive);
}

static int prune(void)
{
    char message[PST_MESSAGE_BYTES];
    struct pst_backup_list list = {.directories = {.count = 1, .paths = {"model"}}};
    uint64_t idle;
    model_disk_attach(storage.disk, &list.directories.repositories[0]);
    int error = catalog_read(&list, message);
    if (error)
        return error;
    error = list.count == 1 ? pst_prune_lock(&list, &idle, message) : -ENOENT;
    if (!error)
        error = pst_prune(list.backups[0], idle, false, message);
    if (!error)
        error = pst_prune_sweep(&list, NULL, NULL, message);
    pst_backup_list_release(&list);
    return error;
}

/* ---- what must be so ---- */

static bool has(const char *path)
{
    return storage_has(&storage, path);
}

static bool is_whole(bool is_shared)
{
    bool is = has(decision_path());
    for (uint32_t node = is_shared ? 1 : 2; node <= 2; node++)
        is = is && has(manifest_path(node)) && has(part_path(node, 1)) && has(part_path(node, 2));
    return is;
}

static bool has_anything(void)
{
    return has(layout_backup(NUMBER).text);
}

/* As node 2 answers who asks. */
static uint32_t outcome(void)
{
    struct pst_outcome found = asked();
    return pst_archive_outcome(members[2].archive, &found) ? 0 : found.state;
}

/* As `penstock list` has it. */
static bool is_listed_complete(void)
{
    char message[PST_MESSAGE_BYTES];
    struct pst_backup_list list = {.directories = {.count = 1, .paths = {"model"}}};
    model_disk_attach(storage.disk, &list.directories.repositories[0]);
    CU_ASSERT_EQUAL_FATAL(catalog_read(&list, message), 0);
    bool is = false;
    for (size_t i = 0; i < list.count; i++)
        is |= list.backups[i]->state == PST_BACKUP_COMPLETE;
    pst_backup_list_release(&list);
    return is;
}

/* done: the process has confirmed it. */
static void expect_committed_or_not(bool done)
{
    bool is_committed = outcome() == PST_OUTCOME_COMMITTED;
    CU_ASSERT_TRUE(!done || is_committed);
    CU_ASSERT_TRUE(!is_committed || is_whole(false));
}

/* A sweep that cannot read a backup leaves it alone, and goes on. */
static void expect_found(bool done)
{
    (void)done;
    expect_committed_or_not(false);
}

static void expect_complete_or_swept(bool done, bool is_shared)
{
    bool is_complete = is_listed_complete();
    CU_ASSERT_TRUE(!done || is_complete);
    CU_ASSERT_TRUE(!is_complete || is_whole(is_shared));
    CU_ASSERT_TRUE(is_complete == (outcome() == PST_OUTCOME_COMMITTED));
}

static void expect_alone(bool done)
{
    expect_complete_or_swept(done, false);
    CU_ASSERT_EQUAL(sweep(), 0);
    CU_ASSERT_TRUE(is_whole(false) || !has_anything());
}

static void expect_shared(bool done)
{
    expect_complete_or_swept(done, true);
}

/* It was prepared, and not decided: what is left of it is in doubt at most. */
static void expect_aborted(bool done)
{
    CU_ASSERT_FALSE(has(decision_path()));
    CU_ASSERT_TRUE(!done || !has(manifest_path(2)));
    if (has(manifest_path(2))) { /* in doubt still, so nothing of it is gone */
        CU_ASSERT_TRUE(has(part_path(2, 1)) && has(part_path(2, 2)));
    }
}

/* In order, the LDMs have removed their parts before. */
static void expect_cleaned_up(bool done)
{
    CU_ASSERT_FALSE(has(decision_path()));
    CU_ASSERT_TRUE(!done || !has_anything());
}

static void expect_pruned_or_whole(bool done)
{
    bool is_complete = is_listed_complete();
    CU_ASSERT_TRUE(!is_complete || is_whole(false));
    CU_ASSERT_TRUE(!done || !has_anything());
    CU_ASSERT_TRUE(is_complete ||
                   !has_anything()); /* nothing between: it is there, or out of sight */
    CU_ASSERT_EQUAL(sweep(), 0);
    CU_ASSERT_EQUAL(is_listed_complete(), is_complete);
}

struct scenario {
    const char *name;
    void (*set_up)(void); /* all of it is synced; NULL: nothing is there */
    bool is_fresh;        /* by another process than the one that set it up */
    bool keeps_unsynced;  /* what set_up left unsynced */
    int (*act)(void);
    void (*expect)(bool done);
};

static const struct scenario scenarios[] = {
    {"a backup of one node", NULL, false, false, back_up_alone, expect_alone},
    {"a backup of two nodes in one directory", NULL, false, false, back_up_shared, expect_shared},
    {"a decision that is fetched", be_prepared, false, false, commit_fetched,
     expect_committed_or_not},
    {"a doubt settled: committed", be_in_doubt, true, false, settle_committed,
     expect_committed_or_not},
    {"a doubt settled: committed before", be_decided_unsynced, true, true, settle_committed,
     expect_committed_or_not},
    {"a decision found by the first sweep", be_decided_unsynced, true, true, sweep, expect_found},
    {"a doubt settled: aborted", be_in_doubt, true, false, settle_aborted, expect_aborted},
    {"an abort", be_prepared, false, false, clean_up, expect_cleaned_up},
    {"a decision that another node wrote", be_decided_by_another, false, true, commit_fetched,
     expect_committed_or_not},
    {"a prune", be_complete, true, false, prune, expect_pruned_or_whole},
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static void set_up(const struct scenario *scenario)
{
    begin();
    if (scenario->set_up)
        scenario->set_up();
    if (!scenario->keeps_unsynced)
        model_disk_sync_all(storage.disk);
    if (scenario->is_fresh) {
        stop_members();
        start_members();
    }
    model_disk_forget(storage.disk);
}

static void restart(void)
{
    stop_members();
    model_disk_attach(storage.disk, &storage.repository);
    start_members();
}

/* ---- errors ---- */

/* Sets *was_due: there is an n-th operation of that kind. */
static int act_with_error(const struct scenario *scenario, enum model_op op, uint64_t n,
                          bool *was_due)
{
    set_up(scenario);
    model_disk_fail(storage.disk, op, n, -EIO);
    int error = scenario->act();
    *was_due = storage.disk->fail_at == 0;
    model_disk_fail(storage.disk, op, 0, 0);
    return error;
}

/* The second file of a decision is written when the first one is durable: an error of that fails
 * nothing any more. */
static bool failed_at_copy(void)
{
    bool is_copy = false;
    for (size_t i = 0; i < storage.disk->records_count; i++) {
        const struct model_record *record = &storage.disk->records[i];
        is_copy = is_copy || strstr(record->path, layout_cluster_copy(NUMBER).text);
        if (record->error == -EIO)
            return is_copy && has(decision_path());
    }
    return false;
}

/* How many errors of that kind the scenario met. */
static unsigned expect_errors(const struct scenario *scenario, enum model_op op)
{
    for (uint64_t n = 1;; n++) {
        bool was_due;
        int error = act_with_error(scenario, op, n, &was_due);
        bool is_copy = was_due && !error && failed_at_copy();
        if (was_due && error != -EIO && !is_copy)
            CU_FAIL(scenario->name);
        restart();
        if (was_due)
            scenario->expect(is_copy);
        end();
        if (!was_due)
            return (unsigned)(n - 1);
    }
}

static void an_error_of_any_sync_is_an_error(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        CU_ASSERT_TRUE(expect_errors(&scenarios[i], MODEL_SYNC_DIRECTORY) >= 1);
        (void)expect_errors(&scenarios[i], MODEL_SYNC_FILE);
    }
}

static void an_error_of_any_write_or_rename_is_an_error(void)
{
    static const enum model_op ops[] = {MODEL_WRITE, MODEL_CREATE, MODEL_RENAME,
                                        MODEL_MAKE_DIRECTORY};
    unsigned errors = 0;
    for (size_t i = 0; i < SCENARIOS; i++) {
        for (size_t op = 0; op < sizeof(ops) / sizeof(ops[0]); op++)
            errors += expect_errors(&scenarios[i], ops[op]);
    }
    CU_ASSERT_TRUE(errors >= 30);
}

/* ---- power losses ---- */

/* Killed at the n-th operation, or not; then the power is lost. Returns how many choices there are
 * of what it leaves, 0: it came to its end before the n-th operation. */
static uint64_t act_and_crash(const struct scenario *scenario, uint64_t n, uint64_t choice,
                              bool by_chance)
{
    set_up(scenario);
    model_disk_kill(storage.disk, n);
    bool done = scenario->act() == 0;
    bool was_killed = storage.disk->fail_at == 0;
    uint64_t choices = CHOICES_MAX;
    if (by_chance)
        model_disk_lose_power(storage.disk, choice);
    else
        choices = model_disk_lose_power_by(storage.disk, choice);
    restart();
    scenario->expect(done);
    bool was_committed = outcome() == PST_OUTCOME_COMMITTED;
    /* Who asked was told so: it must last from here on. */
    model_disk_lose_power(storage.disk, choice + 1);
    restart();
    CU_ASSERT_TRUE(!was_committed || outcome() == PST_OUTCOME_COMMITTED);
    end();
    return was_killed ? choices : 0;
}

/* false: the scenario came to its end before the n-th operation. */
static bool crash_at(const struct scenario *scenario, uint64_t n)
{
    uint64_t choices = act_and_crash(scenario, n, 0, false);
    bool is_over = choices == 0;
    bool by_chance = choices > CHOICES_MAX;
    if (is_over || by_chance)
        choices = CHOICES_MAX;
    for (uint64_t choice = 1; choice < choices; choice++)
        (void)act_and_crash(scenario, n, choice, by_chance || is_over);
    return !is_over;
}

static void a_power_loss_leaves_all_or_nothing(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        unsigned before = CU_get_number_of_failures();
        uint64_t n = 1;
        while (crash_at(&scenarios[i], n))
            n++;
        CU_ASSERT_TRUE(n > 3);
        if (CU_get_number_of_failures() > before)
            printf("\n  %s", scenarios[i].name);
    }
}

/* ---- the order ---- */

static size_t after(size_t from, enum model_op op, const char *path)
{
    return from == SIZE_MAX ? SIZE_MAX : model_disk_find(storage.disk, from, op, path);
}

/* A file's contents, its name, its directory, each durable before the next; returns the last. */
static size_t after_durable(size_t from, const char *temporary)
{
    from = after(from, MODEL_SYNC_FILE, temporary);
    from = after(from, MODEL_RENAME, temporary);
    return after(from, MODEL_SYNC_DIRECTORY, layout_backup(NUMBER).text);
}

static void act(size_t index)
{
    set_up(&scenarios[index]);
    CU_ASSERT_EQUAL(scenarios[index].act(), 0);
}

static const char *node_temporary(uint32_t node)
{
    return inside(layout_temporary(layout_node_manifest(NUMBER, node).text));
}

static void a_backup_is_durable_before_its_decision(void)
{
    act(1);
    size_t prepared[2];
    for (uint32_t node = 1; node <= 2; node++) {
        size_t at = after(0, MODEL_SYNC_DIRECTORY, "");
        for (uint32_t part = 1; part <= LDMS; part++)
            at = after(at, MODEL_SYNC_DIRECTORY, inside(layout_part_dir(NUMBER, part, LDMS)));
        prepared[node - 1] = after_durable(at, node_temporary(node));
        CU_ASSERT_NOT_EQUAL(prepared[node - 1], SIZE_MAX);
    }
    size_t decided = after(prepared[1], MODEL_CREATE, inside(layout_cluster_temporary(NUMBER, 1)));
    CU_ASSERT_TRUE(decided > prepared[0]);
    decided = after_durable(decided, inside(layout_cluster_temporary(NUMBER, 1)));
    for (uint32_t node = 1; node <= 2; node++)
        CU_ASSERT_NOT_EQUAL(after(decided, MODEL_REMOVE, inside(layout_mark(NUMBER, node))),
                            SIZE_MAX);
    end();
}

static void a_decision_is_durable_before_it_is_believed(void)
{
    const char *mark = inside(layout_mark(NUMBER, 2));
    for (size_t i = 2; i <= 3; i++) { /* written here */
        act(i);
        size_t durable = after_durable(0, inside(layout_cluster_temporary(NUMBER, 2)));
        CU_ASSERT_NOT_EQUAL(after(durable, MODEL_REMOVE, mark), SIZE_MAX);
        CU_ASSERT_TRUE(after(0, MODEL_REMOVE, mark) > durable);
        end();
    }
    static const size_t found[] = {4, 5, 8};
    for (size_t i = 0; i < 3; i++) {
        act(found[i]);
        CU_ASSERT_NOT_EQUAL(after(0, MODEL_SYNC_DIRECTORY, layout_backup(NUMBER).text), SIZE_MAX);
        end();
    }
}

static void what_is_aborted_is_not_prepared_before_its_parts_go(void)
{
    act(6);
    size_t gone = after(0, MODEL_REMOVE, manifest_path(2));
    gone = after(gone, MODEL_SYNC_DIRECTORY, layout_backup(NUMBER).text);
    for (uint32_t part = 1; part <= LDMS; part++) {
        CU_ASSERT_TRUE(after(0, MODEL_REMOVE, part_path(2, part)) > gone);
        gone = after(gone, MODEL_REMOVE, part_path(2, part));
    }
    gone = after(gone, MODEL_REMOVE, inside(layout_mark(NUMBER, 2)));
    gone = after(gone, MODEL_REMOVE_DIRECTORY, layout_backup(NUMBER).text);
    CU_ASSERT_NOT_EQUAL(after(gone, MODEL_SYNC_DIRECTORY, ""), SIZE_MAX);
    end();
    act(7);
    gone = after(0, MODEL_REMOVE_DIRECTORY, layout_backup(NUMBER).text);
    CU_ASSERT_NOT_EQUAL(after(gone, MODEL_SYNC_DIRECTORY, ""), SIZE_MAX);
    end();
}

/* Out of sight, durably, before anything in it goes, and the decision goes last. */
static void what_is_pruned_is_out_of_sight_first(void)
{
    act(9);
    size_t renamed = after(0, MODEL_RENAME, layout_backup(NUMBER).text);
    CU_ASSERT_NOT_EQUAL_FATAL(renamed, SIZE_MAX);
    size_t durable = after(renamed, MODEL_SYNC_DIRECTORY, "");
    CU_ASSERT_NOT_EQUAL_FATAL(durable, SIZE_MAX);
    size_t files = 0;
    const struct model_record *last = NULL;
    for (size_t i = 0; i < storage.disk->records_count; i++) {
        const struct model_record *record = &storage.disk->records[i];
        if (record->op != MODEL_REMOVE || record->error || !strchr(record->path, '/'))
            continue;
        CU_ASSERT_TRUE(i > durable);
        files++;
        last = record;
    }
    CU_ASSERT_TRUE(files >= 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(last);
    CU_ASSERT_PTR_NOT_NULL(strstr(last->path, layout_cluster_manifest(NUMBER).text));
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a backup is durable before its decision", a_backup_is_durable_before_its_decision},
        {"a decision is durable before it is believed",
         a_decision_is_durable_before_it_is_believed},
        {"what is aborted is not prepared before its parts go",
         what_is_aborted_is_not_prepared_before_its_parts_go},
        {"what is pruned is out of sight first", what_is_pruned_is_out_of_sight_first},
        {"an error of any sync is an error", an_error_of_any_sync_is_an_error},
        {"an error of any write or rename is an error",
         an_error_of_any_write_or_rename_is_an_error},
        {"a fetched decision is read back", a_fetched_decision_is_read_back},
        {"a power loss leaves all or nothing", a_power_loss_leaves_all_or_nothing},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "durability", .pInitFunc = storage_on_model, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
