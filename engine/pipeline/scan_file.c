/* The files of the scans: a fixed table of slots. Called by fragment_scan.c, on the LDM's thread.
 */
#include "engine/pipeline/scan_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/file.h"

enum file_phase {
    FILE_OPENING,
    FILE_OPENED, /* or not: then error says why */
    FILE_CLOSING,
};

struct scan_file {
    struct pst_file file;
    struct pst_io_op op; /* its open, later its close */
    struct scan_files *files;
    const struct pst_fragment_file *listed;
    void *context;
    struct scan_read *waiting; /* for the open */
    uint32_t reads;            /* not done */
    bool is_held;              /* by the caller */
    enum file_phase phase;
    int error; /* of the open, negative */
};

struct scan_files {
    struct pst_ring *ring;
    struct scan_file_reports reports;
    uint64_t used; /* a bit for each slot */
    struct scan_file slots[SCAN_FILES_MAX];
};

_Static_assert(SCAN_FILES_MAX == 64, "a bit of scan_files.used for each slot");

int scan_files_create(struct pst_ring *ring, const struct scan_file_reports *reports,
                      struct scan_files **files)
{
    struct scan_files *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->ring = ring;
    made->reports = *reports;
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

static void give_back(struct scan_file *file)
{
    struct scan_files *files = file->files;
    files->used &= ~(UINT64_C(1) << (file - files->slots));
    files->reports.closed(file->context);
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
    int error = pst_file_stat(&file->file);
    if (error)
        report_bad(file, PST_OBJECT_UNREADABLE, error);
    else if (has_changed(file))
        report_bad(file, PST_OBJECT_CHANGED, -PST_E_CHANGED);
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
    end_read(PST_IO_OP_OF(op, struct scan_read, op), result);
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
    if (file->phase == FILE_OPENING) {
        read->next = file->waiting;
        file->waiting = read;
        return;
    }
    start_read(file, read);
}

static void start_waiting(struct scan_file *file)
{
    struct scan_read *read = file->waiting;
    file->waiting = NULL;
    while (read) {
        struct scan_read *next = read->next;
        start_read(file, read);
        read = next;
    }
}

static void on_opened(struct pst_io_op *op, int result)
{
    struct scan_file *file = PST_IO_OP_OF(op, struct scan_file, op);
    file->error = result;
    if (result == 0 && !S_ISREG(file->file.mode) && !S_ISBLK(file->file.mode))
        file->error = -PST_E_CHANGED;
    if (file->error)
        report_bad(file, PST_OBJECT_UNREADABLE, file->error);
    else if (has_changed(file))
        report_bad(file, PST_OBJECT_CHANGED, -PST_E_CHANGED);
    start_waiting(file); /* still FILE_OPENING: none of them closes the file */
    file->phase = FILE_OPENED;
    close_if_unused(file);
}

/* O_NONBLOCK: what was a file when it was listed may be a FIFO now. */
struct scan_file *scan_file_take(struct scan_files *files, int root_fd,
                                 const struct pst_fragment_file *listed, void *context)
{
    if (files->used == UINT64_MAX)
        return NULL;
    int slot = __builtin_ctzll(~files->used);
    files->used |= UINT64_C(1) << slot;
    struct scan_file *file = &files->slots[slot];
    *file = (struct scan_file){
        .file = PST_FILE_CLOSED,
        .op = {.done = on_opened},
        .files = files,
        .listed = listed,
        .context = context,
        .is_held = true,
        .phase = FILE_OPENING,
    };
    struct pst_open how = {.dirfd = root_fd,
                           .path = listed->path,
                           .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                           .beneath = true,
                           .direct = PST_DIRECT_OFF};
    pst_io_open(files->ring, &file->op, &file->file, &how);
    return file;
}

void scan_files_check(const struct scan_files *files, uint32_t reads)
{
    uint32_t found = 0;
    for (uint64_t left = files->used; left; left &= left - 1) {
        const struct scan_file *file = &files->slots[__builtin_ctzll(left)];
        bool is_opening = file->phase == FILE_OPENING;
        bool is_wanted = file->is_held || is_opening || file->reads > 0;
        assert(is_wanted != (file->phase == FILE_CLOSING));
        assert(!file->waiting || is_opening);
        assert(is_opening || file->file.fd >= 0 || file->error);
        found += file->reads;
    }
    assert(found == reads);
}
