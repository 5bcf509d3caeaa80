/* The source dir and mount points, in a mount namespace of the test's own. */
#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/source/registry/registry.h"
#include "tests/unit/source/source_test.h"

#define SKIP 77

static void set_up(void)
{
    make_directory();
    REQUIRE(mkdir("kernel", 0755) == 0 && mkdir("other", 0755) == 0 && mkdir("bound", 0755) == 0);
    REQUIRE(mkdir("outside", 0755) == 0 && mkdir("other-root", 0755) == 0);
}

static void tear_down(void)
{
    remove_directory();
}

static const struct pst_file_filter crossing = {.crosses_file_systems = true};

static void other_file_systems_are_left_out(void)
{
    ASSERT_OK(mount("tmpfs", "other", "tmpfs", 0, NULL));
    write_file("other/file", "content", 7);
    struct pst_source *source = open_source("dir:.");
    for (int i = 0; i < 2; i++) {
        struct collected collected;
        collect(source, &collected);
        check_listing(&collected);
        struct pst_object object;
        CU_ASSERT_TRUE(find_object(&collected, "other", &object));
        CU_ASSERT_EQUAL(find_object(&collected, "other/file", &object), i == 1);
        if (i == 1) {
            uint8_t *bytes = read_object(source, &collected, &object);
            CU_ASSERT_EQUAL(memcmp(bytes, "content", 7), 0);
            free(bytes);
        }
        pst_source_release(source);
        collected_free(&collected);
        pst_sources_filter(&source, 1, &crossing);
    }
    pst_source_close(source);
    ASSERT_OK(umount("other"));
}

static void kernel_file_systems_are_not(void)
{
    ASSERT_OK(mount("proc", "kernel", "proc", 0, NULL));
    write_file("outside/file", "x", 1);
    struct pst_source *source = open_source("dir:.");
    pst_sources_filter(&source, 1, &crossing);
    struct collected collected;
    collect(source, &collected);
    check_listing(&collected);
    struct pst_object object;
    CU_ASSERT_TRUE(find_object(&collected, "kernel", &object));
    CU_ASSERT_FALSE(find_object(&collected, "kernel/version", &object));
    CU_ASSERT_TRUE(find_object(&collected, "outside/file", &object));
    CU_ASSERT_EQUAL(collected.listing.skipped, 0);
    CU_ASSERT_EQUAL(collected.listing.objects, 1 + 5 + 1);
    pst_source_close(source);
    collected_free(&collected);
    ASSERT_OK(umount("kernel"));
}

static bool is_in_base(const struct collected *all, const char *path)
{
    struct pst_object object;
    bool is_known = false;
    CU_ASSERT_TRUE_FATAL(find_object(all, path, &object));
    for (uint64_t i = 0; i < all->count; i++)
        for (uint32_t j = 0; j < all->fragments[i]->files_count; j++)
            if (all->fragments[i]->files[j].object == object.id)
                is_known |= (all->fragments[i]->files[j].flags & PST_FRAGMENT_FILE_IN_BASE) != 0;
    return is_known;
}

static bool is_on_tmpfs(const char *path)
{
    struct statfs system;
    CU_ASSERT_EQUAL_FATAL(statfs(path, &system), 0);
    return system.f_type == TMPFS_MAGIC;
}

/* Nothing is written back there, and so a change through a mapping never shows in the file's
 * times. */
static void files_in_memory_are_always_read(void)
{
    struct collected collected;
    ASSERT_OK(mount("tmpfs", "other", "tmpfs", 0, NULL));
    write_file("bound/file", "x", 1);
    write_file("other/file", "x", 1);
    write_file("other/more", "x", 1);
    write_file("outside/alone", "x", 1);
    write_file("outside/file", "x", 1);
    ASSERT_OK(mount("other/more", "outside/alone", NULL, MS_BIND, NULL));
    struct pst_source *source = open_source("dir:.");
    pst_sources_filter(&source, 1, &crossing);
    collected_init(&collected);
    collected.sink.find_in_base = find_everything;
    ASSERT_OK(pst_source_prepare(source) || pst_source_freeze(source, UINT64_MAX) ||
              pst_source_snapshot(source, 1) || pst_source_thaw(source) ||
              pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT_FALSE(is_in_base(&collected, "other/file"));
    CU_ASSERT_FALSE(is_in_base(&collected, "other/more"));
    CU_ASSERT_FALSE(is_in_base(&collected, "outside/alone"));
    CU_ASSERT_EQUAL(is_in_base(&collected, "bound/file"), !is_on_tmpfs("bound"));
    CU_ASSERT_EQUAL(is_in_base(&collected, "outside/file"), !is_on_tmpfs("outside"));
    pst_source_close(source);
    collected_free(&collected);
    ASSERT_OK(umount("outside/alone"));
    ASSERT_OK(umount("other"));
    ASSERT_OK(unlink("bound/file"));
    ASSERT_OK(unlink("outside/alone"));
    ASSERT_OK(unlink("outside/file"));
}

/* Mounted over the source after it was opened; between backups nothing keeps it from being
 * unmounted. */
static void a_mount_over_the_source_is_what_counts(void)
{
    struct pst_object object;
    struct collected collected;
    write_file("other/under", "x", 1);
    struct pst_source *source = open_source("dir:other");
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            ASSERT_OK(mount("tmpfs", "other", "tmpfs", 0, NULL));
            write_file("other/real", "content", 7);
        }
        collect(source, &collected);
        CU_ASSERT_EQUAL(find_object(&collected, "real", &object), i == 1);
        CU_ASSERT_EQUAL(find_object(&collected, "under", &object), i != 1);
        pst_source_release(source);
        collected_free(&collected);
        if (i == 1)
            ASSERT_OK(umount("other"));
    }
    pst_source_close(source);
    ASSERT_OK(unlink("other/under"));
}

static void the_kernels_file_systems_are_refused_as_roots(void)
{
    static const char *const types[] = {"proc",    "sysfs",      "devpts",   "cgroup2", "debugfs",
                                        "tracefs", "securityfs", "configfs", "mqueue",  "bpf"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct pst_source *source = NULL;
        char text[PST_SOURCE_ERROR_BYTES] = "";
        if (mount(types[i], "kernel", types[i], 0, NULL) != 0)
            continue; /* not in this container */
        CU_ASSERT_EQUAL(registry_open("dir:kernel", 0, &source, text, sizeof(text)), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "kernel's own"));
        ASSERT_OK(umount("kernel"));
    }
}

static void contains_sees_through_bind_mounts(void)
{
    ASSERT_OK(mkdir("other-root/deep", 0755));
    ASSERT_OK(mount("other-root", "bound", NULL, MS_BIND, NULL));
    struct pst_source *source = open_source("dir:other-root");
    CU_ASSERT_EQUAL(pst_source_contains(source, "bound/deep/new"), PST_SOURCE_LEAVES_OUT);
    CU_ASSERT_EQUAL(pst_source_contains(source, "outside"), 0);
    pst_source_close(source);
    ASSERT_OK(umount("bound"));
}

static CU_TestInfo tests[] = {
    {"other file systems are left out", other_file_systems_are_left_out},
    {"the kernel's file systems are not", kernel_file_systems_are_not},
    {"files in memory are always read", files_in_memory_are_always_read},
    {"a mount over the source is what counts", a_mount_over_the_source_is_what_counts},
    {"the kernel's file systems are refused as roots",
     the_kernels_file_systems_are_refused_as_roots},
    {"contains sees through bind mounts", contains_sees_through_bind_mounts},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source mount", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        fprintf(stderr, "skipped: no mount namespace of one's own: %s: run as root\n",
                strerror(errno));
        return SKIP;
    }
    return suites_run(suites);
}
