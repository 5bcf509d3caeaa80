/*
 * A file system in which one call hangs: hang_fs MOUNTPOINT CALL [FILE], where CALL is "read" or
 * "stat". It has the files "fine" and "stuck"; that call for "stuck" gets no answer until SIGUSR1
 * comes, nor for other signals of the caller, and an error when this program or the caller ends.
 * With FILE it is that one file, mounted on a file, whose reads from byte 4096 on hang. Speaks the
 * kernel's FUSE protocol itself. Exit code 77: it may not mount here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NODE_ROOT 1u
#define NODE_FINE 2u
#define NODE_STUCK 3u
#define FILE_BYTES 8192u
#define HELD_MAX 64u

static int fuse_fd;
static int file_fd = -1;
static uint64_t file_bytes = FILE_BYTES;
static bool hangs_read, hangs_stat;
static volatile sig_atomic_t is_released;
static struct {
    bool is_interrupted; /* by a signal of the caller, whichever */
    char bytes[1024];
} held[HELD_MAX];
static unsigned held_count;

static void release(int number)
{
    (void)number;
    is_released = 1;
}

static void reply(const struct fuse_in_header *request, int error, const void *data, size_t bytes)
{
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof(header) + bytes), .error = error, .unique = request->unique};
    struct iovec parts[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, bytes}};
    ssize_t written = writev(fuse_fd, parts, 2);
    (void)written; /* ENOENT: the request was interrupted */
}

static struct fuse_attr attributes(uint64_t node)
{
    bool is_root = node == NODE_ROOT && file_fd < 0; /* a directory */
    return (struct fuse_attr){.ino = node,
                              .size = is_root ? 0 : file_bytes,
                              .blocks = is_root ? 0 : file_bytes / 512,
                              .mode = is_root ? S_IFDIR | 0755 : S_IFREG | 0644,
                              .nlink = is_root ? 2 : 1,
                              .blksize = 4096};
}

static void get_attributes(const struct fuse_in_header *request)
{
    struct fuse_attr_out out = {.attr = attributes(request->nodeid)};
    reply(request, 0, &out, sizeof(out));
}

static uint64_t node_of(const char *name)
{
    return strcmp(name, "fine") == 0 ? NODE_FINE : strcmp(name, "stuck") == 0 ? NODE_STUCK : 0;
}

static void look_up(const struct fuse_in_header *request, const char *name)
{
    uint64_t node = node_of(name);
    struct fuse_entry_out out = {.nodeid = node, .attr = attributes(node)};
    reply(request, node == 0 ? -ENOENT : 0, &out, node == 0 ? 0 : sizeof(out));
}

static size_t add_name(char *bytes, const char *name, uint64_t offset)
{
    struct fuse_dirent entry = {.ino = node_of(name),
                                .off = offset,
                                .namelen = (uint32_t)strlen(name),
                                .type = S_IFREG >> 12};
    memcpy(bytes, &entry, FUSE_NAME_OFFSET);
    memcpy(bytes + FUSE_NAME_OFFSET, name, entry.namelen);
    return FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
}

static void read_directory(const struct fuse_in_header *request, const struct fuse_read_in *in)
{
    char bytes[256] = {0};
    size_t used = 0;
    if (in->offset == 0) {
        used = add_name(bytes, "fine", 1);
        used += add_name(bytes + used, "stuck", 2);
    }
    reply(request, 0, bytes, used);
}

static void read_file(const struct fuse_in_header *request, const struct fuse_read_in *in)
{
    static char bytes[1 << 20];
    size_t left = in->offset < FILE_BYTES ? FILE_BYTES - (size_t)in->offset : 0;
    memset(bytes, 'x', sizeof(bytes));
    if (file_fd >= 0) {
        ssize_t got = pread(file_fd, bytes, in->size < sizeof(bytes) ? in->size : sizeof(bytes),
                            (off_t)in->offset);
        left = got > 0 ? (size_t)got : 0;
    }
    reply(request, 0, bytes, left < in->size ? left : in->size);
}

static void init(const struct fuse_in_header *request, const struct fuse_init_in *in)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = 0,
        .max_write = 4096,
        .max_background = 16};
    reply(request, 0, &out, sizeof(out));
}

static bool must_hang(const struct fuse_in_header *request, const void *in)
{
    if (is_released)
        return false;
    if (request->opcode == FUSE_READ && file_fd >= 0)
        return ((const struct fuse_read_in *)in)->offset == 4096;
    if (request->opcode == FUSE_READ)
        return hangs_read && request->nodeid == NODE_STUCK;
    return hangs_stat && request->opcode == FUSE_LOOKUP && node_of(in) == NODE_STUCK;
}

static void interrupt(const struct fuse_interrupt_in *in)
{
    for (unsigned i = 0; i < held_count; i++) {
        const struct fuse_in_header *request = (const void *)held[i].bytes;
        held[i].is_interrupted |= request->unique == in->unique;
    }
}

static bool is_being_killed(unsigned pid)
{
    char path[64], line[128];
    unsigned long long pending = 1 << 8; /* who is gone was */
    snprintf(path, sizeof(path), "/proc/%u/status", pid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof(line), status) &&
           sscanf(line, "SigPnd: %llx", &pending) != 1)
        ;
    if (status)
        fclose(status);
    return (pending & 1 << 8) != 0; /* SIGKILL */
}

/* The caller is being killed: let go of, as by NFS. */
static void let_go(void)
{
    for (unsigned i = 0; i < held_count; i++) {
        const struct fuse_in_header *request = (const void *)held[i].bytes;
        if (!held[i].is_interrupted || !is_being_killed(request->pid))
            continue;
        reply(request, -EINTR, NULL, 0);
        memmove(&held[i], &held[held_count - 1], sizeof(held[i]));
        held_count--;
    }
}

static void serve(const struct fuse_in_header *request)
{
    const struct fuse_open_out opened = {.fh = 1};
    const struct fuse_statfs_out space = {.st = {.bsize = 4096, .namelen = 255}};
    const void *in = request + 1;
    switch (request->opcode) {
    case FUSE_INIT:
        init(request, in);
        break;
    case FUSE_LOOKUP:
        look_up(request, in);
        break;
    case FUSE_GETATTR:
        get_attributes(request);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        reply(request, 0, &opened, sizeof(opened));
        break;
    case FUSE_READDIR:
        read_directory(request, in);
        break;
    case FUSE_READ:
        read_file(request, in);
        break;
    case FUSE_STATFS:
        reply(request, 0, &space, sizeof(space));
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        reply(request, 0, NULL, 0);
        break;
    case FUSE_INTERRUPT:
        interrupt(in);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        break; /* no answer is expected */
    default:
        reply(request, -ENOSYS, NULL, 0);
    }
}

static void take_one(void)
{
    static union {
        struct fuse_in_header header;
        char bytes[65536 + 4096];
    } buffer;
    ssize_t got = read(fuse_fd, &buffer, sizeof(buffer));
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
        return;
    if (got <= 0)
        exit(0); /* unmounted */
    if (!must_hang(&buffer.header, &buffer.header + 1)) {
        serve(&buffer.header);
    } else if (held_count < HELD_MAX && (size_t)got <= sizeof(held[0].bytes)) {
        held[held_count].is_interrupted = false;
        memcpy(held[held_count++].bytes, &buffer, (size_t)got);
        printf("hangs\n");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    char options[128];
    struct stat status;
    if (argc != 3 && argc != 4)
        return 2;
    if (argc == 4 && ((file_fd = open(argv[3], O_RDONLY)) < 0 || fstat(file_fd, &status) < 0))
        return 2;
    file_bytes = argc == 4 ? (uint64_t)status.st_size : FILE_BYTES;
    hangs_read = strcmp(argv[2], "read") == 0;
    hangs_stat = strcmp(argv[2], "stat") == 0;
    fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fuse_fd < 0)
        return 77;
    snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=0,group_id=0", fuse_fd,
             argc == 4 ? S_IFREG : S_IFDIR);
    if (mount("hang_fs", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0)
        return 77;
    struct sigaction action = {.sa_handler = release};
    sigaction(SIGUSR1, &action, NULL);
    printf("mounted\n");
    fflush(stdout);
    for (;;) {
        struct pollfd polled = {.fd = fuse_fd, .events = POLLIN};
        if (poll(&polled, 1, 100) > 0)
            take_one();
        let_go();
        for (unsigned i = 0; is_released && i < held_count; i++)
            serve((const struct fuse_in_header *)(const void *)held[i].bytes);
        if (is_released)
            held_count = 0;
    }
}
