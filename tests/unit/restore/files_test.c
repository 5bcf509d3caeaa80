/*
 * Large files go past the page cache, written on the rings of the workers while these read on: what
 * is on its way is not read over, all of it is written before the target is synced, and an error of
 * any of it is the restore's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore.h"
#include "io/request.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"
#include "tests/unit/restore/made_tree.h"

#define PIECE_BYTES PST_CHUNK_BYTES_MIN
#define PIECES 70u
#define TAIL_BYTES 1001u
#define LARGE_BYTES ((uint64_t)PIECES * PIECE_BYTES + TAIL_BYTES)
#define LARGE 2u /* its id */

/* ---- the writes on the rings ---- */

static atomic_uint writes, lost_writes; /* that were ended; whose bytes were others by then */
static unsigned writes_at_sync;
static unsigned fail_at; /* that write; 0: none */
static int fail_with;

void __real_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);
void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);

void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (op->kind == KIND_WRITE) {
        uint64_t from = op->transfer.offset;
        for (uint32_t i = 0; i < op->transfer.bytes; i++) {
            if ((uint8_t)op->transfer.data[i] != made_byte(LARGE, from + i)) {
                atomic_fetch_add(&lost_writes, 1);
                break;
            }
        }
        if (atomic_fetch_add(&writes, 1) + 1 == fail_at)
            result = fail_with;
    }
    __real_request_complete(ring, op, result);
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);

int __wrap_syncfs(int fd)
{
    writes_at_sync = atomic_load(&writes);
    return __real_syncfs(fd);
}

/* ---- a backup of a large file ---- */

static uint8_t attribute[PST_OBJECT_DATA_ATTRIBUTE_BYTES];
static struct made_data data[PIECES + 2];
static struct pst_object objects[] = {
    {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.id = LARGE,
     .type = PST_OBJECT_FILE,
     .path = "large",
     .size = LARGE_BYTES,
     .mode = 0640,
     .mtime_sec = 5,
     .attributes = attribute},
    {.id = 3, .type = PST_OBJECT_FILE, .path = "small", .size = 5000, .mode = 0600},
};
static struct made_backup made;
static struct made_place place, target;
static struct pst_restore_result result;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static void begin(uint64_t data_bytes)
{
    objects[1].attributes_bytes = pst_object_data_encode(data_bytes, attribute);
    for (uint32_t i = 0; i <= PIECES; i++)
        data[i] = (struct made_data){i % 2, LARGE, (uint64_t)i * PIECE_BYTES,
                                     i < PIECES ? PIECE_BYTES : TAIL_BYTES};
    data[PIECES + 1] = (struct made_data){0, 3, 0, 5000};
    made = (struct made_backup){.number = 1,
                                .parts = 2,
                                .sources = 1,
                                .objects = objects,
                                .objects_count = 3,
                                .data = data,
                                .data_count = PIECES + 2};
    pst_log_set_hook(ignore, NULL);
    place = make_place();
    target = place_below(&place, "target");
    make_backup(place.path, &made);
}

static int restore(unsigned fails_at, int error)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}};
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    atomic_store(&writes, 0);
    atomic_store(&lost_writes, 0);
    fail_at = fails_at;
    fail_with = error;
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int restored = pst_restore(backup, target.path, &options, &result);
    pst_backup_list_release(&list);
    return restored;
}

static void expect_large(void)
{
    struct stat status = {0};
    CU_ASSERT_EQUAL(stat(join(target.path, "large"), &status), 0);
    CU_ASSERT_EQUAL((uint64_t)status.st_size, LARGE_BYTES);
    CU_ASSERT_TRUE((status.st_mode & 07777) == 0640 && status.st_mtim.tv_sec == 5);
    expect_made_contents(&made, target.path, "large", LARGE);
    expect_made_contents(&made, target.path, "small", 3);
}

/* Whether the file system lets them go past the page cache: found out without a restore. */
static bool goes_past_the_cache(void)
{
    struct statfs attributes;
    int fd = open(place.path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    bool can = fd >= 0 && fstatfs(fd, &attributes) == 0 && attributes.f_type != TMPFS_MAGIC &&
               fallocate(fd, 0, 0, 4096) == 0;
    if (fd >= 0)
        close(fd);
    if (!can)
        printf("\n    (not run: the file system allocates nothing in advance) ");
    CU_ASSERT_EQUAL(atomic_load(&writes) > 0, can);
    return can;
}

static void a_large_file_is_written_on_the_rings(void)
{
    begin(LARGE_BYTES);
    CU_ASSERT_EQUAL(restore(0, 0), 0);
    expect_large();
    if (goes_past_the_cache()) {
        CU_ASSERT_EQUAL(atomic_load(&writes), PIECES); /* the tail is no whole block */
        CU_ASSERT_EQUAL(writes_at_sync, PIECES);
    }
    CU_ASSERT_EQUAL(atomic_load(&lost_writes), 0);
    CU_ASSERT_EQUAL(result.bytes, LARGE_BYTES + 5000);
    remove_place(&place);
}

static void what_may_have_holes_is_not(void)
{
    begin(LARGE_BYTES - PIECE_BYTES);
    data[PIECES - 1] = data[PIECES + 1]; /* of that piece nothing is there */
    made.data_count = PIECES + 1;
    remove_tree(join(place.path, "BACKUP-1"));
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(restore(0, 0), 0);
    CU_ASSERT_EQUAL(atomic_load(&writes), 0);
    expect_large();
    remove_place(&place);
}

static void an_error_of_any_write_is_the_restores(void)
{
    static const unsigned numbers[] = {1, 2, PIECES / 2, PIECES};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        begin(LARGE_BYTES);
        int error = restore(numbers[i], -EIO);
        if (goes_past_the_cache()) {
            CU_ASSERT_EQUAL(error, -EIO);
            CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "could not write one/large"));
            CU_ASSERT_FALSE(path_exists(target.path));
        }
        remove_place(&place);
    }
}

/* The next file may go better. */
static void a_file_that_cannot_be_written_is_set_aside(void)
{
    begin(LARGE_BYTES);
    CU_ASSERT_EQUAL(restore(PIECES / 2, -EPERM), 0);
    if (goes_past_the_cache()) {
        CU_ASSERT_EQUAL(result.failed, 1);
        CU_ASSERT_FALSE(path_exists(join(target.path, "large")));
        CU_ASSERT_TRUE(path_exists(join(target.path, "large.damaged")));
    }
    expect_made_contents(&made, target.path, "small", 3);
    remove_place(&place);
}

static void a_write_that_is_refused_goes_through_the_cache(void)
{
    begin(LARGE_BYTES);
    CU_ASSERT_EQUAL(restore(3, -EINVAL), 0);
    expect_large();
    CU_ASSERT_EQUAL(result.failed + result.unset, 0);
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a large file is written on the rings", a_large_file_is_written_on_the_rings},
        {"what may have holes is not", what_may_have_holes_is_not},
        {"an error of any write is the restore's", an_error_of_any_write_is_the_restores},
        {"a file that cannot be written is set aside", a_file_that_cannot_be_written_is_set_aside},
        {"a write that is refused goes through the cache",
         a_write_that_is_refused_goes_through_the_cache},
        CU_TEST_INFO_NULL,
    };
    return suite_run("restore: large files", tests);
}
