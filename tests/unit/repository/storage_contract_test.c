/* What engine/repository/repository.h promises, of each storage behind it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine/repository/layout.h"
#include "engine/repository/lease.h"
#include "tests/suite.h"
#include "tests/support/storage.h"

static struct storage storage;
static struct pst_repository *repository;

static void begin(void)
{
    storage_open(&storage);
    repository = &storage.repository;
}

static void end(void)
{
    storage_close(&storage);
}

static int make_open(const char *path)
{
    storage_make_directory(&storage, path);
    int handle = repository_open(repository, repository->root, path);
    CU_ASSERT_TRUE_FATAL(handle >= 0);
    return handle;
}

/* Names of a directory, each followed by a space; in order. */
static const char *names_of(int handle)
{
    static char text[256];
    const char *sorted[8];
    size_t count = 0;
    struct pst_repository_names names;
    CU_ASSERT_EQUAL_FATAL(repository_list(repository, handle, &names), 0);
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        size_t i = count++;
        CU_ASSERT_TRUE_FATAL(count <= 8);
        for (; i > 0 && strcmp(sorted[i - 1], name) > 0; i--)
            sorted[i] = sorted[i - 1];
        sorted[i] = name;
    }
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(strcat(text, sorted[i]), " ");
    repository_names_free(&names);
    return text;
}

static bool holds(int handle, const char *name, const char *expected)
{
    char *bytes;
    size_t size;
    if (repository_read(repository, handle, name, 100, &bytes, &size))
        return false;
    bool is = size == strlen(expected) && memcmp(bytes, expected, size) == 0;
    free(bytes);
    return is;
}

static bool is_stored(int handle, const char *name, const char *expected)
{
    char *bytes;
    size_t size;
    CU_ASSERT_EQUAL(repository_read_stored(repository, handle, name, 2, &bytes, &size), -EFBIG);
    CU_ASSERT_EQUAL(repository_read_stored(repository, handle, "none", 9, &bytes, &size), -ENOENT);
    if (repository_read_stored(repository, handle, name, 100, &bytes, &size))
        return false;
    bool is = size == strlen(expected) && memcmp(bytes, expected, size) == 0;
    free(bytes);
    return is;
}

static void names_are_listed(void)
{
    begin();
    CU_ASSERT_STRING_EQUAL(names_of(repository->root), "");
    storage_put(&storage, "file", "x", 1);
    int handle = make_open("directory");
    storage_put(&storage, "directory/below", "x", 1);
    CU_ASSERT_STRING_EQUAL(names_of(repository->root), "directory file ");
    CU_ASSERT_STRING_EQUAL(names_of(handle), "below ");
    repository_close(repository, handle);
    struct pst_repository_names names;
    CU_ASSERT_EQUAL(repository_list(repository, -1, &names), -EBADF);
    CU_ASSERT_PTR_NULL(repository_names_next(&names, NULL));
    end();
}

static void opens_only_directories_and_follows_nothing(void)
{
    begin();
    storage_put(&storage, "file", "x", 1);
    storage_put_link(&storage, "link");
    CU_ASSERT_EQUAL(repository_open(repository, repository->root, "none"), -ENOENT);
    CU_ASSERT_EQUAL(repository_open(repository, repository->root, "file"), -ENOTDIR);
    int error = repository_open(repository, repository->root, "link");
    CU_ASSERT_TRUE(error == -ELOOP || error == -ENOTDIR);
    CU_ASSERT_EQUAL(repository_has(repository, repository->root, "link/file"), -ELOOP);
    CU_ASSERT_TRUE(repository_overwrite(repository, repository->root, "link", "x", 1) < 0);
    char byte;
    CU_ASSERT_TRUE(repository_read_head(repository, repository->root, "link", &byte, 1) < 0);
    end();
}

static void a_handle_is_of_the_directory_not_of_its_name(void)
{
    struct pst_repository_status opened, named;
    begin();
    int handle = make_open("a");
    CU_ASSERT_EQUAL(repository_rename(repository, repository->root, "a", "b", false), 0);
    CU_ASSERT_EQUAL(repository_overwrite(repository, handle, "file", "x", 1), 0);
    CU_ASSERT_TRUE(storage_has(&storage, "b/file") && !storage_has(&storage, "a"));
    CU_ASSERT_EQUAL(repository_status(repository, handle, NULL, &opened), 0);
    CU_ASSERT_EQUAL(repository_status(repository, repository->root, "b", &named), 0);
    CU_ASSERT_TRUE(opened.device == named.device && opened.inode == named.inode);
    storage_make_directory(&storage, "a");
    CU_ASSERT_EQUAL(repository_status(repository, repository->root, "a", &named), 0);
    CU_ASSERT_FALSE(opened.inode == named.inode);
    repository_close(repository, handle);
    end();
}

static void status_tells_kind_and_size(void)
{
    struct pst_repository_status status;
    begin();
    storage_make_directory(&storage, "directory");
    storage_put(&storage, "directory/file", "four", 4);
    storage_put_link(&storage, "link");
    CU_ASSERT_EQUAL(repository_status(repository, repository->root, "directory/file", &status), 0);
    CU_ASSERT_EQUAL(status.kind, PST_REPOSITORY_FILE);
    CU_ASSERT_EQUAL(status.bytes, 4);
    CU_ASSERT_EQUAL(repository_status(repository, repository->root, "directory", &status), 0);
    CU_ASSERT_EQUAL(status.kind, PST_REPOSITORY_DIRECTORY);
    CU_ASSERT_EQUAL(repository_status(repository, repository->root, "link", &status), 0);
    CU_ASSERT_EQUAL(status.kind, PST_REPOSITORY_OTHER);
    CU_ASSERT_EQUAL(repository_has(repository, repository->root, "directory/file"), 1);
    CU_ASSERT_EQUAL(repository_has(repository, repository->root, "directory/none"), 0);
    CU_ASSERT_EQUAL(repository_has(repository, repository->root, "directory/file/x"), -ENOTDIR);
    end();
}

static void files_are_read(void)
{
    char head[8], *bytes = NULL;
    size_t size;
    begin();
    storage_put(&storage, "file", "four", 4);
    storage_make_directory(&storage, "directory");
    int root = repository->root;
    CU_ASSERT_EQUAL(repository_read_head(repository, root, "file", head, 2), 2);
    CU_ASSERT_EQUAL(memcmp(head, "fo", 2), 0);
    CU_ASSERT_EQUAL(repository_read_head(repository, root, "file", head, sizeof(head)), 4);
    CU_ASSERT_EQUAL(repository_read_head(repository, root, "none", head, 2), -ENOENT);
    CU_ASSERT_TRUE(repository_read_head(repository, root, "directory", head, 2) < 0);
    CU_ASSERT_TRUE(holds(root, "file", "four"));
    CU_ASSERT_EQUAL(repository_read(repository, root, "file", 3, &bytes, &size), -EFBIG);
    CU_ASSERT_EQUAL(repository_read(repository, root, "none", 3, &bytes, &size), -ENOENT);
    CU_ASSERT_EQUAL(repository_read(repository, root, "directory", 3, &bytes, &size), -EINVAL);
    end();
}

static void a_created_file_is_new(void)
{
    begin();
    int root = repository->root;
    CU_ASSERT_EQUAL(repository_create(repository, root, "file", "one", 3), 0);
    CU_ASSERT_EQUAL(repository_create(repository, root, "file", "two", 3), -EEXIST);
    CU_ASSERT_TRUE(holds(root, "file", "one"));
    CU_ASSERT_EQUAL(repository_overwrite(repository, root, "file", "x", 1), 0);
    CU_ASSERT_TRUE(holds(root, "file", "x"));
    CU_ASSERT_EQUAL(repository_create(repository, root, "empty", "", 0), 0);
    CU_ASSERT_TRUE(holds(root, "empty", ""));
    CU_ASSERT_EQUAL(repository_make_directory(repository, root, "file"), -EEXIST);
    CU_ASSERT_STRING_EQUAL(names_of(root), "empty file ");
    end();
}

static void a_rename_replaces_only_what_it_may(void)
{
    begin();
    int root = repository->root;
    storage_put(&storage, "file", "one", 3);
    storage_put(&storage, "other", "two", 3);
    storage_make_directory(&storage, "directory");
    storage_make_directory(&storage, "empty");
    storage_make_directory(&storage, "full");
    storage_put(&storage, "full/file", "x", 1);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "none", "x", true), -ENOENT);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "file", "other", false), -EEXIST);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "directory", "empty", false), -EEXIST);
    int error = repository_rename(repository, root, "directory", "full", true);
    CU_ASSERT_TRUE(error == -EEXIST || error == -ENOTEMPTY);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "file", "empty", true), -EISDIR);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "empty", "file", true), -ENOTDIR);
    CU_ASSERT_STRING_EQUAL(names_of(root), "directory empty file full other ");
    CU_ASSERT_EQUAL(repository_rename(repository, root, "directory", "empty", true), 0);
    CU_ASSERT_EQUAL(repository_rename(repository, root, "file", "other", true), 0);
    CU_ASSERT_TRUE(holds(root, "other", "one"));
    CU_ASSERT_EQUAL(repository_rename(repository, root, "full", "new", false), 0);
    CU_ASSERT_STRING_EQUAL(names_of(root), "empty new other ");
    end();
}

static void what_is_removed_is_of_its_kind(void)
{
    begin();
    int root = repository->root;
    storage_put(&storage, "file", "x", 1);
    storage_make_directory(&storage, "tree");
    storage_make_directory(&storage, "tree/below");
    storage_put(&storage, "tree/below/file", "x", 1);
    storage_put_link(&storage, "link");
    CU_ASSERT_EQUAL(repository_remove(repository, root, "none"), -ENOENT);
    CU_ASSERT_EQUAL(repository_remove(repository, root, "tree"), -EISDIR);
    CU_ASSERT_EQUAL(repository_remove_directory(repository, root, "file"), -ENOTDIR);
    int error = repository_remove_directory(repository, root, "tree");
    CU_ASSERT_TRUE(error == -EEXIST || error == -ENOTEMPTY);
    CU_ASSERT_EQUAL(repository_remove(repository, root, "file"), 0);
    CU_ASSERT_EQUAL(repository_remove(repository, root, "link"), 0);
    CU_ASSERT_EQUAL(repository_remove_tree(repository, root, "none"), 0);
    CU_ASSERT_EQUAL(repository_remove_tree(repository, root, "tree"), 0);
    storage_make_directory(&storage, "empty");
    CU_ASSERT_EQUAL(repository_remove_directory(repository, root, "empty"), 0);
    CU_ASSERT_STRING_EQUAL(names_of(root), "");
    end();
}

static void nothing_is_made_in_what_is_removed(void)
{
    begin();
    int handle = make_open("a");
    CU_ASSERT_EQUAL(repository_remove_directory(repository, repository->root, "a"), 0);
    CU_ASSERT_EQUAL(repository_create(repository, handle, "file", "x", 1), -ENOENT);
    CU_ASSERT_EQUAL(repository_make_directory(repository, handle, "b"), -ENOENT);
    CU_ASSERT_STRING_EQUAL(names_of(handle), "");
    repository_close(repository, handle);
    end();
}

/* By two processes. */
static void locks_are_of_the_handle(void)
{
    struct pst_repository other;
    begin();
    CU_ASSERT_TRUE(repository->features & PST_REPOSITORY_CAN_LOCK);
    storage_attach(&storage, &other);
    CU_ASSERT_EQUAL(repository_lock(repository, repository->root, PST_REPOSITORY_SHARED), 0);
    CU_ASSERT_EQUAL(repository_lock(&other, other.root, PST_REPOSITORY_SHARED), 0);
    CU_ASSERT_EQUAL(repository_lock(&other, other.root, PST_REPOSITORY_UNLOCKED), 0);
    CU_ASSERT_EQUAL(repository_lock(&other, other.root, PST_REPOSITORY_EXCLUSIVE), -PST_E_BUSY);
    CU_ASSERT_EQUAL(repository_lock(repository, repository->root, PST_REPOSITORY_UNLOCKED), 0);
    int handle = repository_open(&other, other.root, ".");
    CU_ASSERT_TRUE_FATAL(handle >= 0);
    CU_ASSERT_EQUAL(repository_lock(&other, handle, PST_REPOSITORY_EXCLUSIVE), 0);
    CU_ASSERT_EQUAL(repository_lock(repository, repository->root, PST_REPOSITORY_SHARED),
                    -PST_E_BUSY);
    repository_close(&other, handle);
    CU_ASSERT_EQUAL(repository_lock(repository, repository->root, PST_REPOSITORY_SHARED), 0);
    repository_close(&other, other.root);
    end();
}

static void a_lock_file_is_of_one(void)
{
    struct pst_repository other;
    begin();
    storage_attach(&storage, &other);
    int handle = repository_lock_file(repository, repository->root, "lock");
    CU_ASSERT_TRUE_FATAL(handle >= 0);
    if (repository->features & PST_REPOSITORY_HAS_DESCRIPTORS) /* else NFS does not lock it */
        CU_ASSERT_EQUAL(fcntl(handle, F_GETFL) & O_ACCMODE, O_RDWR);
    CU_ASSERT_EQUAL(repository_lock_file(&other, other.root, "lock"), -PST_E_BUSY);
    CU_ASSERT_EQUAL(repository_remove(repository, repository->root, "lock"), 0);
    int second = repository_lock_file(&other, other.root, "lock");
    CU_ASSERT_TRUE_FATAL(second >= 0);
    repository_close(repository, handle);
    CU_ASSERT_EQUAL(repository_lock_file(repository, repository->root, "lock"), -PST_E_BUSY);
    repository_close(&other, second);
    repository_close(&other, other.root);
    end();
}

/* As nodes take their directory: alone, or each of a cluster under its number. */
static void a_lease_keeps_others_out(void)
{
    struct pst_repository_lease alone = {0}, one = {0}, two = {0}, same = {0};
    begin();
    storage_attach(&storage, &alone.repository);
    storage_attach(&storage, &one.repository);
    storage_attach(&storage, &two.repository);
    storage_attach(&storage, &same.repository);
    CU_ASSERT_EQUAL(lease_lock(&one, 1, true), 0);
    CU_ASSERT_EQUAL(lease_lock(&two, 2, true), 0);
    CU_ASSERT_EQUAL(lease_lock(&same, 2, true), -PST_E_BUSY);
    CU_ASSERT_EQUAL(lease_lock(&alone, 1, false), -PST_E_BUSY);
    CU_ASSERT_TRUE(storage_has(&storage, layout_lock(2).text));
    lease_unlock(&two);
    CU_ASSERT_FALSE(storage_has(&storage, layout_lock(2).text));
    CU_ASSERT_EQUAL(lease_lock(&same, 2, true), 0);
    lease_unlock(&same);
    lease_unlock(&one);
    struct pst_repository_lease *all[] = {&one, &two, &same};
    for (size_t i = 0; i < 3; i++)
        repository_close(&all[i]->repository, all[i]->repository.root);
    CU_ASSERT_EQUAL(lease_lock(&alone, 1, false), 0);
    CU_ASSERT_EQUAL(repository_lock(repository, repository->root, PST_REPOSITORY_SHARED),
                    -PST_E_BUSY);
    repository_close(&alone.repository, alone.repository.root);
    end();
}

static void what_is_written_durably_is_whole_and_new(void)
{
    begin();
    int root = repository->root;
    storage_put(&storage, ".file.tmp", "left by a crash", 15);
    CU_ASSERT_EQUAL(repository_write_durably(repository, root, "file", NULL, "one", 3, false), 0);
    CU_ASSERT_EQUAL(repository_write_durably(repository, root, "file", "mine", "two", 3, false),
                    -EEXIST);
    CU_ASSERT_TRUE(holds(root, "file", "one"));
    CU_ASSERT_EQUAL(repository_write_durably(repository, root, "true", NULL, "one", 3, true), 0);
    CU_ASSERT_TRUE(is_stored(root, "true", "one"));
    CU_ASSERT_EQUAL(repository_remove(repository, root, "true"), 0);
    CU_ASSERT_EQUAL(repository_make_directory_durably(repository, root, "directory"), 0);
    CU_ASSERT_EQUAL(repository_make_directory_durably(repository, root, "directory"), -EEXIST);
    CU_ASSERT_STRING_EQUAL(names_of(root), "directory file ");
    CU_ASSERT_EQUAL(repository_rename_durably(repository, root, "file", "new", false), 0);
    CU_ASSERT_STRING_EQUAL(names_of(root), "directory new ");
    CU_ASSERT_EQUAL(repository_sync(repository, root), 0);
    CU_ASSERT_EQUAL(repository_sync(repository, -1), -EBADF);
    CU_ASSERT_STRING_EQUAL(repository->failed_step, "fsync of the directory");
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"names are listed", names_are_listed},
        {"opens only directories, and follows nothing", opens_only_directories_and_follows_nothing},
        {"a handle is of the directory, not of its name",
         a_handle_is_of_the_directory_not_of_its_name},
        {"status tells kind and size", status_tells_kind_and_size},
        {"files are read", files_are_read},
        {"a created file is new", a_created_file_is_new},
        {"a rename replaces only what it may", a_rename_replaces_only_what_it_may},
        {"what is removed is of its kind", what_is_removed_is_of_its_kind},
        {"nothing is made in what is removed", nothing_is_made_in_what_is_removed},
        {"locks are of the handle", locks_are_of_the_handle},
        {"a lock file is of one", a_lock_file_is_of_one},
        {"a lease keeps others out", a_lease_keeps_others_out},
        {"what is written durably is whole and new", what_is_written_durably_is_whole_and_new},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "storage: a directory", .pInitFunc = storage_in_directory, .pTests = tests},
        {.pName = "storage: the model disk", .pInitFunc = storage_on_model, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
