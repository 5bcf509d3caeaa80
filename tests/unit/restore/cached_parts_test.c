/* Parts that the page cache has are read from it by a restore and by who looks inside, but not by a
 * verify; others are read past it. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/look.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "io/request.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define BYTES 2000000u

/* ---- requests ---- */

static atomic_uint direct_reads, cached_reads;

void __real_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe);
void __wrap_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe);

void __wrap_request_prepare(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe)
{
    __real_request_prepare(ring, op, queue, sqe);
    if (op->kind == KIND_READ)
        atomic_fetch_add(op->file->direct ? &direct_reads : &cached_reads, 1);
}

/* ---- what is read ---- */

static struct made_place place;

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static long left; /* pages of the backup that stayed when they were dropped; -1: nobody knows */

static int drop(const char *path, const struct stat *attributes, int type, struct FTW *at)
{
    const uint64_t all[2] = {0, UINT64_MAX / 2};
    uint64_t pages[5];
    (void)attributes, (void)at;
    int fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (fd < 0)
        return 0;
    CU_ASSERT_EQUAL(fsync(fd), 0);
    CU_ASSERT_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    bool is_known = syscall(451 /* cachestat */, fd, all, pages, 0u) == 0;
    left = is_known && left >= 0 ? left + (long)pages[0] : -1;
    return close(fd);
}

static int keep(const char *path, const struct stat *attributes, int type, struct FTW *at)
{
    static char room[65536];
    (void)attributes, (void)at;
    int fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    while (fd >= 0 && read(fd, room, sizeof(room)) > 0)
        continue;
    return fd >= 0 ? close(fd) : 0;
}

static int count(void *context, const void *data, size_t bytes)
{
    (void)data;
    *(size_t *)context += bytes;
    return 0;
}

static void restore(const struct pst_backup *backup)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}};
    struct pst_restore_result result;
    struct made_place target = place_below(&place, "target");
    CU_ASSERT_EQUAL(pst_restore(backup, target.path, &options, &result), 0);
    remove_tree(target.path);
}

static void look_inside(const struct pst_backup *backup)
{
    const struct pst_crew crew = {.workers = 2};
    struct pst_look *look;
    struct pst_look_object found;
    char message[PST_MESSAGE_BYTES];
    size_t bytes = 0;
    CU_ASSERT_EQUAL_FATAL(pst_look_open(backup, &crew, &look, message), 0);
    CU_ASSERT_EQUAL(pst_look_find(look, "large", &found, message), 0);
    CU_ASSERT_EQUAL(pst_look_contents(look, count, &bytes, message), 0);
    CU_ASSERT_EQUAL(bytes, BYTES);
    pst_look_close(look);
}

static void verify(const struct pst_backup *backup)
{
    const struct pst_verify_options options = {.crew = {.workers = 2}};
    struct pst_verify_result result;
    CU_ASSERT_EQUAL(pst_verify(backup, &options, &result), 0);
}

static void read_by(void (*reader)(const struct pst_backup *backup))
{
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    atomic_store(&direct_reads, 0);
    atomic_store(&cached_reads, 0);
    reader(backup);
    pst_backup_list_release(&list);
}

static void what_the_page_cache_has_is_read_from_it(void)
{
    const struct made_backup made = made_tree(BYTES);
    pst_log_set_hook(ignore, NULL);
    place = make_place();
    make_backup(place.path, &made);
    left = 0;
    CU_ASSERT_EQUAL(nftw(place.path, drop, 8, FTW_PHYS), 0);
    read_by(verify);
    bool can_choose = left == 0 && atomic_load(&direct_reads) > 0; /* tmpfs drops nothing */
    printf("\n    %s: %s", place.path, can_choose ? "on a disk" : "not on a disk: no choice");
    read_by(restore);
    CU_ASSERT_TRUE(!can_choose || atomic_load(&cached_reads) == 0);
    read_by(look_inside);
    CU_ASSERT_TRUE(!can_choose || atomic_load(&cached_reads) == 0);

    CU_ASSERT_EQUAL(nftw(place.path, keep, 8, FTW_PHYS), 0);
    read_by(restore);
    CU_ASSERT_TRUE(!can_choose || atomic_load(&direct_reads) == 0);
    read_by(look_inside);
    CU_ASSERT_TRUE(!can_choose || atomic_load(&direct_reads) == 0);
    read_by(verify);
    CU_ASSERT_TRUE(!can_choose || atomic_load(&cached_reads) == 0);
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what the page cache has is read from it", what_the_page_cache_has_is_read_from_it},
        CU_TEST_INFO_NULL,
    };
    return suite_run("restore: cached parts", tests);
}
