/* The files of the scans: a fixed table of slots. Called by fragment_scan.c, on the LDM's thread.
 */
#include "engine/pipeline/scan_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/clock.h"
#include "engine/base/own_error.h"
#include "io/beneath.h"
#include "io/file.h"

#define RETRY_NS UINT64_C(2000000)
#define KNOWN_BYTES_MAX (64u << 10)

enum file_phase {
    FILE_OPENING,
    FILE_OPENED, /* or not: then error says why */
    FILE_CLOSING,
};

/* What a file was then. */
struct opened {
    int64_t ctime_ns; /* 0: not known */
    uint32_t mode, uid, gid, names;
};

struct scan_file {
    struct pst_file file;
    struct pst_io_op op; /* its open, later its close */
    struct scan_files *files;
    const struct pst_fragment_file *listed;
    struct pst_io_range blocks; /* what is read; without bytes: not in whole blocks */
    void *context;
    int root_fd;
    const char *path;          /* that is tried, of the names of listed */
    uint32_t names_left;       /* behind it */
    struct scan_read *waiting; /* for the open, or to be made again */
    uint32_t reads;            /* not done */
    bool is_held;              /* by the caller */
    enum file_phase phase;
    struct opened opened;
    int error;    /* of the open, negative */
    int shortage; /* why it has to wait, negative */
};

struct scan_files {
    struct pst_ring *ring;
    struct scan_file_reports reports;
    const _Atomic uint32_t *files_max;
    uint64_t used;           /* a bit for each slot */
    uint64_t short_of;       /* likewise, of those that wait for descriptors or memory */
    uint64_t short_since_ns; /* since when nothing succeeds; 0: it does */
    uint64_t retry_ns;
    struct scan_file slots[SCAN_FILES_MAX];
};

_Static_assert(SCAN_FILES_MAX == 64, "a bit of scan_files.used for each slot");

int scan_files_create(struct pst_ring *ring, const struct scan_file_reports *reports,
                      const _Atomic uint32_t *files_max, struct scan_files **files)
{
    struct scan_files *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->ring = ring;
    made->reports = *reports;
    made->files_max = files_max;
    *files = made;
    return 0;
}

void scan_files_destroy(struct scan_files *files)
{
    assert(!files || files->used == 0);
    free(files);
}

uint32_t scan_files_in_use(const struct scan_files *files)
{
    return (uint32_t)__builtin_popcountll(files->used);
}

const struct pst_fragment_file *scan_files_find(const struct scan_files *files,
                                                const struct pst_file *file, void **context)
{
    for (uint64_t left = files->used; left; left &= left - 1) {
        const struct scan_file *slot = &files->slots[__builtin_ctzll(left)];
        if (&slot->file != file)
            continue;
        *context = slot->context;
        return slot->listed;
    }
    return NULL;
}

static void report_bad(struct scan_file *file, uint8_t flag, int error)
{
    file->files->reports.bad(file->context, file->listed, flag, error);
}

static bool has_changed(const struct scan_file *file)
{
    const struct pst_fragment_file *was = file->listed;
    if (was->flags & PST_FRAGMENT_FILE_PINNED)
        return file->file.inode != was->inode;
    return file->file.inode != was->inode || file->file.size_bytes != was->size_bytes ||
           file->file.mtime_ns != was->mtime_ns;
}

static struct opened as_it_is(const struct pst_file *file)
{
    return (struct opened){file->ctime_ns, file->mode, file->uid, file->gid, file->names};
}

/* By a rename. */
static bool has_lost_its_name(const struct scan_file *file)
{
    struct stat status;
    int fd = pst_beneath_open(file->root_fd, file->path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT;
    bool has_lost = fstat(fd, &status) == 0 && status.st_ino != file->file.inode;
    close(fd);
    return has_lost;
}

/* While it was open, with size and mtime as they were: what writes a file and sets its mtime back,
 * as for containers of encrypted disks, leaves no other trace than the ctime; but that also tells
 * of a file that only got another mode or owner, or has a name more, less or else. */
static bool was_touched(const struct scan_file *file)
{
    const struct opened was = file->opened, is = as_it_is(&file->file);
    return was.ctime_ns != 0 && was.ctime_ns != is.ctime_ns && was.mode == is.mode &&
           was.uid == is.uid && was.gid == is.gid && was.names == is.names &&
           !has_lost_its_name(file);
}

static void report_changed(struct scan_file *file)
{
    report_bad(file, PST_OBJECT_CHANGED, -PST_E_CHANGED);
    if (file->file.size_bytes < file->listed->size_bytes)
        file->files->reports.shrunk(file->context, file->listed, file->file.size_bytes);
}

static uint64_t bit_of(const struct scan_file *file)
{
    return UINT64_C(1) << (file - file->files->slots);
}

static void give_back(struct scan_file *file)
{
    struct scan_files *files = file->files;
    files->used &= ~bit_of(file);
    files->retry_ns = 0;
    files->reports.closed(file->context);
}

/* What it was to do is done again later. */
static void wait_for_more(struct scan_file *file, int shortage)
{
    struct scan_files *files = file->files;
    uint64_t now_ns = pst_monotonic_ns();
    file->shortage = shortage;
    files->short_of |= bit_of(file);
    files->retry_ns = now_ns + RETRY_NS;
    if (files->short_since_ns == 0)
        files->short_since_ns = now_ns;
}

static void put_aside(struct scan_file *file, struct scan_read *read)
{
    read->next = file->waiting;
    file->waiting = read;
}

static void on_closed(struct pst_io_op *op, int result)
{
    (void)result; /* it was only read */
    give_back(PST_IO_OP_OF(op, struct scan_file, op));
}

static void close_if_unused(struct scan_file *file)
{
    if (file->is_held || file->phase == FILE_OPENING || file->reads > 0)
        return;
    if (file->file.fd < 0) {
        give_back(file);
        return;
    }
    pst_activity_begin("look at", file->listed->path);
    int error = pst_file_stat(&file->file);
    pst_activity_end();
    if (error)
        report_bad(file, PST_OBJECT_UNREADABLE, error);
    else if (has_changed(file) || was_touched(file))
        report_changed(file);
    file->phase = FILE_CLOSING;
    file->op.done = on_closed;
    pst_io_close(file->files->ring, &file->op, &file->file);
}

void scan_file_let_go(struct scan_file *file)
{
    assert(file->is_held);
    file->is_held = false;
    close_if_unused(file);
}

static void end_read(struct scan_read *read, int result)
{
    struct scan_file *file = read->file;
    assert(file->reads > 0);
    file->reads--;
    read->done(read, result);
    close_if_unused(file);
}

static void on_read(struct pst_io_op *op, int result)
{
    struct scan_read *read = PST_IO_OP_OF(op, struct scan_read, op);
    if (pst_is_own_error(result) || result == -EAGAIN) {
        put_aside(read->file, read);
        wait_for_more(read->file, result);
        return;
    }
    read->file->files->short_since_ns = 0;
    end_read(read, result);
}

static void start_read(struct scan_file *file, struct scan_read *read)
{
    if (file->error) {
        end_read(read, file->error);
        return;
    }
    read->op.done = on_read;
    pst_io_read(file->files->ring, &read->op, &file->file, read->memory, read->bytes, read->offset,
                read->buffer_index);
}

void scan_file_read(struct scan_file *file, struct scan_read *read)
{
    assert(file->is_held);
    read->file = file;
    file->reads++;
    if (file->phase == FILE_OPENING)
        put_aside(file, read);
    else
        start_read(file, read);
}

/* Each of them is started, or, for an error, ends with it. */
static void start_waiting(struct scan_file *file, int error)
{
    struct scan_read *read = file->waiting;
    file->waiting = NULL;
    while (read) {
        struct scan_read *next = read->next;
        if (error)
            end_read(read, error);
        else
            start_read(file, read);
        read = next;
    }
}

static void end_open(struct scan_file *file, int result)
{
    bool is_looked_at = file->file.mode != 0; /* else that is left to the close */
    file->error = result;
    if (is_looked_at && !(file->listed->flags & PST_FRAGMENT_FILE_PINNED))
        file->opened = as_it_is(&file->file);
    if (result == 0 && is_looked_at && !S_ISREG(file->file.mode) && !S_ISBLK(file->file.mode))
        file->error = -PST_E_CHANGED;
    if (file->error)
        report_bad(file, PST_OBJECT_UNREADABLE, file->error);
    else if (is_looked_at && has_changed(file))
        report_bad(file, PST_OBJECT_CHANGED, -PST_E_CHANGED);
    start_waiting(file, 0); /* still FILE_OPENING: none of them closes the file */
    file->phase = FILE_OPENED;
    close_if_unused(file);
}

static void start_open(struct scan_file *file);

static void on_wrong_closed(struct pst_io_op *op, int result)
{
    (void)result; /* it was only looked at */
    start_open(PST_IO_OP_OF(op, struct scan_file, op));
}

/* Of several names one may be gone, or may be another file's by now. */
static void open_next_name(struct scan_file *file)
{
    file->names_left--;
    file->path += strlen(file->path) + 1;
    if (file->file.fd < 0) {
        start_open(file);
        return;
    }
    file->op.done = on_wrong_closed;
    pst_io_close(file->files->ring, &file->op, &file->file);
}

static void on_opened(struct pst_io_op *op, int result)
{
    struct scan_file *file = PST_IO_OP_OF(op, struct scan_file, op);
    if (pst_is_own_error(result)) {
        wait_for_more(file, result);
        return;
    }
    file->files->short_since_ns = 0;
    if (file->names_left > 0 && (result || file->file.inode != file->listed->inode))
        open_next_name(file);
    else
        end_open(file, result);
}

/* Of a small file that one name leads to, one look after its reading tells all. */
static bool may_be_known(const struct pst_fragment_file *listed)
{
    return listed->names == 0 && !(listed->flags & PST_FRAGMENT_FILE_PINNED) &&
           listed->size_bytes <= KNOWN_BYTES_MAX;
}

/* O_NONBLOCK: what was a file when it was listed may be a FIFO now. */
static void start_open(struct scan_file *file)
{
    struct pst_open how = {.dirfd = file->root_fd,
                           .path = file->path,
                           .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                           .beneath = true,
                           .direct = file->blocks.bytes > 0 ? PST_DIRECT_COLD : PST_DIRECT_OFF,
                           .cold = file->blocks,
                           .is_known = may_be_known(file->listed),
                           .known_device = file->listed->device};
    file->op.done = on_opened;
    pst_io_open(file->files->ring, &file->op, &file->file, &how);
}

static bool may_open(const struct scan_files *files)
{
    uint32_t max = files->files_max ? atomic_load_explicit(files->files_max, memory_order_relaxed)
                                    : SCAN_FILES_MAX;
    return files->short_of == 0 && files->used != UINT64_MAX && scan_files_in_use(files) < max;
}

struct scan_file *scan_file_take(struct scan_files *files, int root_fd,
                                 const struct pst_fragment_file *listed, struct pst_io_range blocks,
                                 void *context)
{
    if (!may_open(files))
        return NULL;
    int slot = __builtin_ctzll(~files->used);
    files->used |= UINT64_C(1) << slot;
    struct scan_file *file = &files->slots[slot];
    *file = (struct scan_file){
        .file = PST_FILE_CLOSED,
        .files = files,
        .listed = listed,
        .blocks = blocks,
        .context = context,
        .root_fd = root_fd,
        .path = listed->path,
        .names_left = listed->names,
        .is_held = true,
        .phase = FILE_OPENING,
    };
    start_open(file);
    return file;
}

/* error: 0, or why it is not tried again. */
static void try_again(struct scan_file *file, int error)
{
    if (file->phase == FILE_OPENING && error)
        end_open(file, error);
    else if (file->phase == FILE_OPENING)
        start_open(file);
    else
        start_waiting(file, error);
}

bool scan_files_retry(struct scan_files *files, bool must_stop)
{
    if (!files->short_of)
        return false;
    uint64_t now_ns = pst_monotonic_ns();
    bool is_too_long =
        files->short_since_ns != 0 && now_ns - files->short_since_ns > PST_SHORTAGE_NS;
    if (!must_stop && !is_too_long && now_ns < files->retry_ns)
        return false;
    uint64_t left = files->short_of;
    files->short_of = 0;
    for (; left; left &= left - 1) {
        struct scan_file *file = &files->slots[__builtin_ctzll(left)];
        int error = is_too_long ? file->shortage : 0;
        try_again(file, must_stop ? -ECANCELED : error);
    }
    return true;
}

uint64_t scan_files_retry_ns(const struct scan_files *files)
{
    return files->short_of ? files->retry_ns : SCAN_DEADLINE_NONE;
}

void scan_files_check(const struct scan_files *files, uint32_t reads)
{
    uint32_t found = 0;
    for (uint64_t left = files->used; left; left &= left - 1) {
        const struct scan_file *file = &files->slots[__builtin_ctzll(left)];
        bool is_opening = file->phase == FILE_OPENING;
        bool is_wanted = file->is_held || is_opening || file->reads > 0;
        assert(is_wanted != (file->phase == FILE_CLOSING));
        assert(!file->waiting || is_opening || (files->short_of & bit_of(file)));
        assert(is_opening || file->file.fd >= 0 || file->error);
        found += file->reads;
    }
    assert(found == reads);
    assert((files->short_of & ~files->used) == 0);
}
