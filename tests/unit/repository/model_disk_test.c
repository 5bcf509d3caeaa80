/* That the model disk forgets what was not synced, and that files written durably outlive that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "tests/support/model_disk.h"

#define SEEDS 200u

static struct model_disk *disk;
static struct pst_repository repository;

static void begin(void)
{
    disk = model_disk_make();
    model_disk_attach(disk, &repository);
}

static void end(void)
{
    model_disk_free(disk);
}

static void lose_power(uint64_t seed)
{
    model_disk_lose_power(disk, seed);
    model_disk_attach(disk, &repository);
}

static bool has(const char *path)
{
    return repository_has(&repository, repository.root, path) > 0;
}

/* -1: there is none; 0: it holds something else; 1: it holds the text. */
static int contents(const char *name, const char *expected)
{
    char *bytes;
    size_t size;
    if (repository_read(&repository, repository.root, name, 100, &bytes, &size))
        return -1;
    bool is = size == strlen(expected) && memcmp(bytes, expected, size) == 0;
    free(bytes);
    return is;
}

static void what_was_synced_stays(void)
{
    begin();
    CU_ASSERT_EQUAL(repository_create(&repository, repository.root, "file", "text", 4), 0);
    CU_ASSERT_EQUAL(repository_make_directory(&repository, repository.root, "directory"), 0);
    CU_ASSERT_EQUAL(repository_sync(&repository, repository.root), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        lose_power(seed);
        CU_ASSERT_TRUE(has("directory") && contents("file", "text") == 1);
    }
    end();
}

/* Each of the things that may happen does, for some seed. */
static void what_was_not_synced_may_be_anything(void)
{
    unsigned file[3] = {0}, removed[2] = {0}, renamed[2][2] = {{0}}, torn[2] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin();
        CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "torn", "old", 3), 0);
        CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "gone", "old", 3), 0);
        CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "from", "old", 3), 0);
        model_disk_sync_all(disk);
        CU_ASSERT_EQUAL(repository_create(&repository, repository.root, "file", "text", 4), 0);
        CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "torn", "text", 4), 0);
        CU_ASSERT_EQUAL(repository_remove(&repository, repository.root, "gone"), 0);
        CU_ASSERT_EQUAL(repository_rename(&repository, repository.root, "from", "to", false), 0);
        lose_power(seed);
        file[contents("file", "text") + 1]++;
        torn[contents("torn", "text") || contents("torn", "old") ? 1 : 0]++;
        removed[has("gone")]++;
        renamed[has("from")][has("to")]++;
        end();
    }
    CU_ASSERT_TRUE(file[0] > 0 && file[2] > 0 && file[1] == 0); /* its contents were synced */
    CU_ASSERT_TRUE(torn[0] > 0 && torn[1] > 0);
    CU_ASSERT_TRUE(removed[0] > 0 && removed[1] > 0);
    CU_ASSERT_TRUE(renamed[0][1] > 0 && renamed[1][0] > 0);
    CU_ASSERT_TRUE(renamed[0][0] == 0 && renamed[1][1] == 0); /* a rename is one step */
}

static void all_is_recorded_and_any_can_fail(void)
{
    begin();
    model_disk_fail(disk, MODEL_SYNC_DIRECTORY, 2, -ENOSPC);
    CU_ASSERT_EQUAL(
        repository_write_durably(&repository, repository.root, "a", NULL, "x", 1, false), 0);
    size_t created = model_disk_find(disk, 0, MODEL_CREATE, ".a.tmp");
    size_t written = model_disk_find(disk, created, MODEL_WRITE, ".a.tmp");
    size_t synced = model_disk_find(disk, written, MODEL_SYNC_FILE, ".a.tmp");
    size_t renamed = model_disk_find(disk, synced, MODEL_RENAME, ".a.tmp");
    CU_ASSERT_TRUE_FATAL(renamed < disk->records_count);
    CU_ASSERT_STRING_EQUAL(disk->records[renamed].to, "a");
    CU_ASSERT_NOT_EQUAL(model_disk_find(disk, renamed, MODEL_SYNC_DIRECTORY, ""), SIZE_MAX);
    model_disk_forget(disk);
    CU_ASSERT_EQUAL(
        repository_write_durably(&repository, repository.root, "b", NULL, "x", 1, false), -ENOSPC);
    CU_ASSERT_STRING_EQUAL(repository.failed_step, "fsync of the directory");
    size_t failed = model_disk_find(disk, 0, MODEL_SYNC_DIRECTORY, "");
    CU_ASSERT_TRUE_FATAL(failed < disk->records_count);
    CU_ASSERT_EQUAL(disk->records[failed].error, -ENOSPC);
    CU_ASSERT_TRUE(has("a") && !has("b"));
    end();
}

/* Every operation of a durable write fails once: then it is an error, and nothing is left. */
static void a_durable_write_that_fails_leaves_nothing(void)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        begin();
        model_disk_fail(disk, MODEL_ANY, n, -EIO);
        int error =
            repository_write_durably(&repository, repository.root, "file", NULL, "x", 1, false);
        bool was_due = disk->fail_at == 0;
        disk->fail_at = 0;
        CU_ASSERT_FALSE(has(".file.tmp"));
        CU_ASSERT_EQUAL(has("file"), error == 0);
        failures += error != 0;
        end();
        if (!was_due)
            break;
    }
    CU_ASSERT_EQUAL(failures, 5); /* create, write, fsync, rename, fsync of the directory */
}

/* Killed at each operation, and then the power is lost: it is there, whole, or it is not there; and
 * after a return of 0 it is there. */
static void a_durable_write_outlives_a_crash(void)
{
    bool is_done = false;
    for (uint64_t n = 1; !is_done; n++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            begin();
            model_disk_kill(disk, n);
            is_done = !repository_write_durably(&repository, repository.root, "file", NULL,
                                                "some text", 9, false);
            lose_power(seed);
            int found = contents("file", "some text");
            CU_ASSERT_TRUE(found == 1 || (found == -1 && !is_done));
            end();
        }
    }
}

static void what_is_durable_is_known(void)
{
    begin();
    CU_ASSERT_EQUAL(repository_make_directory(&repository, repository.root, "d"), 0);
    CU_ASSERT_FALSE(model_disk_is_durable(disk, "d"));
    CU_ASSERT_EQUAL(repository_sync(&repository, repository.root), 0);
    CU_ASSERT_TRUE(model_disk_is_durable(disk, "d"));
    CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "file", "text", 4), 0);
    CU_ASSERT_EQUAL(repository_sync(&repository, repository.root), 0);
    CU_ASSERT_FALSE(model_disk_is_durable(disk, "file"));
    CU_ASSERT_EQUAL(model_disk_sync_file(&repository, repository.root, "file"), 0);
    CU_ASSERT_TRUE(model_disk_is_durable(disk, "file"));
    CU_ASSERT_EQUAL(repository_rename(&repository, repository.root, "file", "other", false), 0);
    CU_ASSERT_FALSE(model_disk_is_durable(disk, "other"));
    CU_ASSERT_TRUE(model_disk_is_durable(disk, "d"));
    end();
}

/* Killed, not switched off: all that is seen stays, handles do not. */
static void a_killed_process_leaves_what_is_seen(void)
{
    struct pst_repository_names names;
    begin();
    CU_ASSERT_EQUAL(repository_overwrite(&repository, repository.root, "file", "text", 4), 0);
    model_disk_kill(disk, 1);
    CU_ASSERT_EQUAL(repository_remove(&repository, repository.root, "file"), -EIO);
    model_disk_end_process(&repository);
    CU_ASSERT_EQUAL(repository_list(&repository, repository.root, &names), -EBADF);
    model_disk_attach(disk, &repository);
    CU_ASSERT_TRUE(has("file"));
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what was synced stays", what_was_synced_stays},
        {"what was not synced may be anything", what_was_not_synced_may_be_anything},
        {"all is recorded, and any can fail", all_is_recorded_and_any_can_fail},
        {"a durable write that fails leaves nothing", a_durable_write_that_fails_leaves_nothing},
        {"a durable write outlives a crash", a_durable_write_outlives_a_crash},
        {"what is durable is known", what_is_durable_is_known},
        {"a killed process leaves what is seen", a_killed_process_leaves_what_is_seen},
        CU_TEST_INFO_NULL,
    };
    return suite_run("model disk", tests);
}
