/*
 * A node that is killed: what is left counts as a backup only if a cluster manifest is there, and
 * then it is whole; the next backup removes the rest, and nothing that is not its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/format/chunk.h"
#include "engine/format/manifest.h"
#include "engine/repository/layout.h"
#include "tests/support/child.h"
#include "tests/support/decoded.h"
#include "tests/support/file_systems.h"
#include "tests/support/node_rig.h"
#include "tests/support/pause.h"

/* Kills at random moments; integration/kill_test.sh has more, of the whole program. */
#define KILLS 12u
#define KILLS_FULL 300u

static char to[SCRATCH_PATH_BYTES];
static char tree[SCRATCH_PATH_BYTES];
static char tree_spec[2 * SCRATCH_PATH_BYTES];

static int start_in(const char *base)
{
    make_scratch(to, base);
    make_scratch(tree, "/dev/shm");
    make_sample_tree(tree);
    snprintf(tree_spec, sizeof(tree_spec), "x=dir:%s", tree);
    return 0;
}

static int stop(void)
{
    remove_tree(to);
    remove_tree(tree);
    return 0;
}

static void open_rig(struct rig *rig)
{
    static const char *specs[2];
    specs[0] = tree_spec;
    specs[1] = "y=synthetic:rows=1500,row-bytes=20000";
    rig_open(rig, to, 2, specs, 2);
}

typedef int (*list_function)(struct pst_source *, struct pst_fragment_sink *,
                             struct pst_source_listing *);

/* Parts are there by then, and no manifest. */
static int die_listing(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    (void)source, (void)sink, (void)listing;
    return raise(SIGKILL);
}

/* context: NULL, or what lists the tree. */
static int backup_in_child(void *context)
{
    struct rig rig;
    open_rig(&rig);
    if (context)
        rig.sources[0]->list = *(list_function *)context;
    int error = rig_run(&rig);
    rig_close(&rig);
    return error;
}

static void killed_after(uint64_t after_ns)
{
    pid_t child = child_start(backup_in_child, NULL);
    pause_ns(after_ns);
    kill(child, SIGKILL);
    (void)child_wait(child);
}

static void killed_as_it_lists(void)
{
    list_function list = die_listing;
    CU_ASSERT_EQUAL(child_wait(child_start(backup_in_child, &list)), -SIGKILL);
}

static bool is_complete(const char *backup, uint32_t number)
{
    return path_exists(join(join(to, backup), layout_cluster_manifest(number).text));
}

static bool is_whole(uint32_t number)
{
    struct decoded decoded;
    bool whole = decoded_open(&decoded, to, number) && decoded_is_tree(&decoded, 0, tree);
    decoded_close(&decoded);
    return whole;
}

/* Where times vary, all of the random moments may come too late; the first one does not. */
static void test_killed_at_random(void)
{
    struct rig rig;
    uint32_t completed = 0, debris = 0;
    open_rig(&rig);
    srand(4711);
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), 0);
    uint64_t whole_ns = rig.report->elapsed_ns + 30000000;
    remove_tree(join(to, "BACKUP-1"));
    uint32_t kills = getenv("PENSTOCK_FULL") ? KILLS_FULL : KILLS;
    for (uint32_t i = 0; i < kills; i++) {
        if (i == 0)
            killed_as_it_lists();
        else
            killed_after((uint64_t)rand() % (whole_ns * 5 / 4));
        bool was_complete = is_complete("BACKUP-1", 1);
        completed += was_complete;
        debris += !was_complete && path_exists(join(to, "BACKUP-1"));
        if (was_complete) {
            CU_ASSERT_TRUE(is_whole(1));
        }
        CU_ASSERT_EQUAL(rig_run(&rig), 0); /* it sweeps */
        CU_ASSERT_EQUAL(rig.report->number, was_complete ? 2 : 1);
        CU_ASSERT_TRUE(is_whole(rig.report->number));
        CU_ASSERT_TRUE(!was_complete || is_whole(1));
        remove_tree(join(to, "BACKUP-1"));
        remove_tree(join(to, "BACKUP-2"));
        CU_ASSERT_TRUE(is_empty_directory(to));
    }
    printf("%u complete, %u left something; ", completed, debris);
    CU_ASSERT_TRUE(debris > 0);
    rig_close(&rig);
}

/* ---- what the sweep takes and leaves ---- */

/* BACKUP-<number> as a killed node would leave it: one part, whose header says what is asked. */
static void make_debris(uint32_t number, uint32_t header_number, uint16_t header_node)
{
    static char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_part_identity identity = {
        .uid = {1, 2, 3}, .number = header_number, .node = header_node, .part = 1, .parts = 1};
    const char *backup = join(to, layout_backup(number).text);
    CU_ASSERT_EQUAL(mkdir(backup, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(join(backup, layout_part_dir(number, 1, 1).text), 0700), 0);
    (void)pst_part_header_seal(block, &identity, PST_CHUNK_BYTES_MIN, 1, pst_unix_ns());
    write_file(join(backup, layout_part(number, 1, 1, 1).text), block, sizeof(block));
}

/* The manifest of node 1, prepared with others. */
static void make_node_manifest(uint32_t number, uint32_t participants)
{
    static struct pst_node_manifest manifest;
    memset(&manifest, 0, sizeof(manifest));
    manifest.common.number = number;
    manifest.common.finished_unix_ns = pst_unix_ns();
    manifest.node = manifest.master_node = 1;
    manifest.chunk_bytes = PST_CHUNK_BYTES_MIN;
    manifest.participants_count = participants;
    for (uint32_t i = 0; i < participants; i++)
        manifest.participants[i] = i + 1;
    manifest.parts_count = 1;
    manifest.parts[0] = (struct pst_manifest_part){.part = 1, .ldm = 1};
    struct pst_manifest_text text;
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&manifest, &text), 0);
    write_file(join(join(to, layout_backup(number).text), layout_node_manifest(number, 1).text),
               text.text, text.bytes);
    free(text.text);
}

static bool has_part(uint32_t number)
{
    return path_exists(join(to, layout_backup(number).text)) &&
           path_exists(
               join(join(to, layout_backup(number).text), layout_part(number, 1, 1, 1).text));
}

static void test_sweep(void)
{
    static const char zeros[PST_BLOCK_BYTES];
    struct rig rig;
    open_rig(&rig);
    make_debris(1, 1, 1); /* decided: stays */
    write_file(join(join(to, "BACKUP-1"), layout_cluster_manifest(1).text), "x", 1);
    make_debris(2, 2, 9);   /* another node's: stays */
    make_debris(3, 77, 1);  /* a part of another backup, put here by hand: stays */
    make_debris(13, 13, 1); /* prepared, it seems, with whom nobody can tell: stays, and so would
                               what is older and goes, for this may have data in it */
    write_file(join(join(to, "BACKUP-13"), "BACKUP-13.1.manifest"), "x", 1);
    make_debris(14, 14, 1); /* blank, preallocated: goes */
    write_file(join(join(to, "BACKUP-14"), layout_part(14, 1, 1, 1).text), zeros, sizeof(zeros));
    make_debris(15, 15, 1); /* this node's: goes */
    make_debris(16, 16, 1); /* something of a stranger's beside it: that stays */
    write_file(join(join(to, "BACKUP-16"), "notes"), "x", 1);
    make_debris(7, 7, 1); /* what is there is text, not a part: stays */
    write_file(join(join(to, "BACKUP-7"), layout_part(7, 1, 1, 1).text), "precious", 8);
    make_debris(18, 18, 1); /* manifests half-written: goes */
    write_file(join(join(to, "BACKUP-18"), ".BACKUP-18.cluster.manifest.1.tmp"), "x", 1);
    write_file(join(join(to, "BACKUP-18"), ".BACKUP-18.1.manifest.tmp"), "x", 1);
    make_debris(21, 21, 1); /* prepared alone: goes */
    make_node_manifest(21, 1);
    make_debris(12, 12, 1); /* prepared with others, so in doubt: stays */
    make_node_manifest(12, 2);
    CU_ASSERT_EQUAL(mkdir(join(to, "BACKUP-019"), 0700), 0);  /* not a name of ours */
    CU_ASSERT_EQUAL(mkdir(join(to, "BACKUP-19"), 0700), 0);   /* empty: goes */
    CU_ASSERT_EQUAL(symlink(tree, join(to, "BACKUP-10")), 0); /* leads elsewhere: stays */
    begin_log_capture();
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    free(end_log_capture());
    CU_ASSERT_TRUE(has_part(1) && is_complete("BACKUP-1", 1));
    CU_ASSERT_TRUE(has_part(2));
    CU_ASSERT_TRUE(has_part(3));
    CU_ASSERT_FALSE(path_exists(join(to, "BACKUP-14")));
    CU_ASSERT_FALSE(path_exists(join(to, "BACKUP-15")));
    CU_ASSERT_TRUE(path_exists(join(to, "BACKUP-16/notes")) && !has_part(16));
    CU_ASSERT_TRUE(has_part(7));
    CU_ASSERT_FALSE(path_exists(join(to, "BACKUP-18")));
    CU_ASSERT_TRUE(path_exists(join(to, "BACKUP-019")));
    CU_ASSERT_FALSE(path_exists(join(to, "BACKUP-19")));
    CU_ASSERT_FALSE(path_exists(join(to, "BACKUP-21")));
    CU_ASSERT_TRUE(has_part(12) && path_exists(join(to, "BACKUP-12/BACKUP-12.1.manifest")));
    CU_ASSERT_TRUE(has_part(13) && path_exists(join(to, "BACKUP-13/BACKUP-13.1.manifest")));
    CU_ASSERT_TRUE(path_exists(join(to, "BACKUP-10")) && path_exists(join(tree, "large")));
    CU_ASSERT_TRUE(is_whole(rig.report->number));
    remove_tree(to);
    CU_ASSERT_EQUAL(mkdir(to, 0700), 0);
    rig_close(&rig);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"killed at a random moment", test_killed_at_random},
        {"what the sweep takes", test_sweep},
        CU_TEST_INFO_NULL,
    };
    return run_on_disk_and_tmpfs("crash", start_in, stop, tests);
}
