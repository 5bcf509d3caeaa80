/* The page that paces of one user share. Called by pace.c. */
#include "engine/pace/host_page.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 64

static struct host_page of_process;

/* A further name may be somebody else's, of another file of the user. */
static bool is_ours(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
           status.st_nlink == 1 && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

struct host_page *host_page_map(const char *path)
{
    struct host_page *page = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return NULL;
    if (is_ours(fd) && posix_fallocate(fd, 0, sizeof(*page)) == 0)
        page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page != MAP_FAILED ? page : NULL;
}

struct host_page *host_page_open(void)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/dev/shm/penstock-auto-%u", (unsigned)geteuid());
    struct host_page *page = host_page_map(path);
    return page ? page : &of_process;
}

void host_page_close(struct host_page *page)
{
    if (page != &of_process)
        munmap(page, sizeof(*page));
}

struct host_sums *host_page_sums(struct host_page *page)
{
    return &page->sums[atomic_fetch_add_explicit(&page->threads, 1, memory_order_relaxed) %
                       HOST_SUMS];
}

void host_page_total(const struct host_page *page, uint64_t *io_ns, uint64_t *cpu_ns)
{
    *io_ns = *cpu_ns = 0;
    for (uint32_t i = 0; i < HOST_SUMS; i++) {
        *io_ns += atomic_load_explicit(&page->sums[i].io_ns, memory_order_relaxed);
        *cpu_ns += atomic_load_explicit(&page->sums[i].cpu_ns, memory_order_relaxed);
    }
}
