/* The page that paces of one user share: that two see one, and whose file it may be. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/pace/host_page.h"
#include "tests/suite.h"

static char path[64], other[80];

static void two_see_one(void)
{
    struct host_page *one = host_page_map(path), *two = host_page_map(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    CU_ASSERT_PTR_NOT_NULL_FATAL(two);
    struct host_sums *sums = host_page_sums(one), *others = host_page_sums(two);
    uint64_t io_ns, cpu_ns;
    CU_ASSERT_TRUE((char *)sums + 64 <= (char *)others - (char *)two + (char *)one);
    atomic_fetch_add(&sums->io_ns, 7);
    atomic_fetch_add(&others->io_ns, 5);
    atomic_fetch_add(&others->cpu_ns, 3);
    host_page_total(one, &io_ns, &cpu_ns);
    CU_ASSERT_EQUAL(io_ns, 12);
    CU_ASSERT_EQUAL(cpu_ns, 3);
    for (uint32_t i = 0; i < 2 * HOST_SUMS; i++)
        atomic_fetch_add(&host_page_sums(two)->io_ns, 1);
    host_page_total(one, &io_ns, &cpu_ns);
    CU_ASSERT_EQUAL(io_ns, 12 + 2 * HOST_SUMS);
    host_page_close(one);
    host_page_close(two);
    unlink(path);
}

static void others_could_have_made_it(void)
{
    struct host_page *page = host_page_map(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(page);
    host_page_close(page);
    CU_ASSERT_EQUAL(symlink(path, other), 0);
    CU_ASSERT_PTR_NULL(host_page_map(other));
    unlink(other);
    CU_ASSERT_EQUAL(link(path, other), 0);
    CU_ASSERT_PTR_NULL(host_page_map(other));
    unlink(other);
    CU_ASSERT_EQUAL(chmod(path, 0660), 0);
    CU_ASSERT_PTR_NULL(host_page_map(path));
    unlink(path);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    CU_ASSERT_PTR_NULL(host_page_map(path));
    unlink(path);
}

static void without_one_there_is_that_of_the_process(void)
{
    CU_ASSERT_PTR_NULL(host_page_map("/proc/no such directory/page"));
    struct host_page *page = host_page_open();
    CU_ASSERT_PTR_NOT_NULL(page);
    host_page_close(page);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"two see one", two_see_one},
        {"others could have made it", others_could_have_made_it},
        {"without one there is that of the process", without_one_there_is_that_of_the_process},
        CU_TEST_INFO_NULL,
    };
    snprintf(path, sizeof(path), "/dev/shm/penstock-page-test-%d", (int)getpid());
    snprintf(other, sizeof(other), "%s.link", path);
    return suite_run("host page", tests);
}
