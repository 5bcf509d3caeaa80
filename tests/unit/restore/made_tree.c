/* Compares a restored tree with what made_tree() says of it. */
#include "tests/unit/restore/made_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"

static struct stat status_of(const char *path, const char *name)
{
    struct stat status = {0};
    CU_ASSERT_EQUAL_FATAL(lstat(*name ? join(path, name) : path, &status), 0);
    return status;
}

void expect_made_contents(const struct made_backup *made, const char *path, const char *name,
                          uint64_t object)
{
    const struct stat status = status_of(path, name);
    uint8_t *wanted = calloc(1, (size_t)status.st_size + 1);
    uint8_t *found = malloc((size_t)status.st_size + 1);
    for (uint32_t i = 0; i < made->data_count; i++) {
        for (uint32_t j = 0; made->data[i].object == object && j < made->data[i].bytes; j++)
            wanted[made->data[i].offset + j] = made_byte(object, made->data[i].offset + j);
    }
    int fd = open(join(path, name), O_RDONLY);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(read(fd, found, (size_t)status.st_size + 1), status.st_size);
    CU_ASSERT_EQUAL(memcmp(found, wanted, (size_t)status.st_size), 0);
    close(fd);
    free(wanted);
    free(found);
}

void expect_made_tree(const struct made_backup *made, const char *path)
{
    for (uint32_t i = 0; i < made->objects_count; i++) {
        const struct pst_object *object = &made->objects[i];
        const struct stat status = status_of(path, object->path);
        if (object->type == PST_OBJECT_HARD_LINK)
            continue;
        CU_ASSERT_EQUAL(status.st_mtim.tv_sec, object->mtime_sec);
        CU_ASSERT_EQUAL(status.st_mtim.tv_nsec, (long)object->mtime_nsec);
        if (geteuid() == 0) {
            CU_ASSERT_EQUAL(status.st_uid, object->uid);
            CU_ASSERT_EQUAL(status.st_gid, object->gid);
        }
        if (object->type != PST_OBJECT_SYMLINK)
            CU_ASSERT_EQUAL(status.st_mode & 07777, object->mode);
        if (object->type == PST_OBJECT_FILE || object->type == PST_OBJECT_TABLE) {
            CU_ASSERT_TRUE(S_ISREG(status.st_mode));
            CU_ASSERT_EQUAL((uint64_t)status.st_size, object->size);
            expect_made_contents(made, path, object->path, object->id);
        }
    }
    CU_ASSERT_TRUE(S_ISDIR(status_of(path, "d/e").st_mode));
    CU_ASSERT_TRUE(S_ISFIFO(status_of(path, "d/fifo").st_mode));
    CU_ASSERT_EQUAL(status_of(path, "a hard link").st_ino, status_of(path, "d/small").st_ino);
    CU_ASSERT_EQUAL(status_of(path, "d/small").st_nlink, 2);
    CU_ASSERT_EQUAL(status_of(path, "d/e/symlink again").st_ino, status_of(path, "d/link").st_ino);
    char link[64] = "";
    CU_ASSERT_EQUAL(readlink(join(path, "d/link"), link, sizeof(link) - 1), 13);
    CU_ASSERT_STRING_EQUAL(link, "../../outside");
}
