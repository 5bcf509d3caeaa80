#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/base/log.h"
#include "engine/pipeline/pipeline_internal.h"

static const struct pst_fragment_file *listed(const struct scan_file *file)
{
    return &file->scan->fragment->files[file->index];
}

bool scan_file_is_pinned(const struct scan_file *file)
{
    return listed(file)->flags & PST_FRAGMENT_FILE_PINNED;
}

/* An object that could not be read, or changed: told once, marked in the catalogue at the end; but
 * a pinned one ends the scan. */
void scan_file_mark(struct scan_file *file, uint8_t flag, int error)
{
    struct scan *scan = file->scan;
    if (scan_file_is_pinned(file)) {
        if (scan->error == 0)
            pst_log(PST_LOG_ERROR, "source %s: %s: %s", scan->source->name, listed(file)->path,
                    pst_error_text(error));
        scan->error = scan->error ? scan->error : abs(error);
        return;
    }
    if (scan->bad[file->index] == 0 &&
        pst_unreadable_add(file->pipeline->config.unreadable, listed(file)->object,
                           scan->source->name, listed(file)->path)) {
        scan->sums.unreadable++;
        file->pipeline->sums.unreadable++;
        pst_log(PST_LOG_WARNING, "source %s: %s: %s; it is marked so in the backup",
                scan->source->name, listed(file)->path, pst_error_text(error));
    }
    scan->bad[file->index] |= flag;
}

static bool has_changed(const struct scan_file *file)
{
    const struct pst_fragment_file *was = listed(file);
    if (scan_file_is_pinned(file))
        return file->file.inode != was->inode;
    return file->file.inode != was->inode || file->file.size_bytes != was->size_bytes ||
           file->file.mtime_ns != was->mtime_ns;
}

static void give_back(struct scan_file *file)
{
    struct pst_pipeline *pipeline = file->pipeline;
    struct scan *scan = file->scan;
    file->next = pipeline->free_files;
    pipeline->free_files = file;
    pipeline->files_open--;
    scan_let_go(pipeline, scan);
    pipeline_moved(pipeline);
}

static void on_closed(struct pst_io_op *op, int result)
{
    (void)result; /* it was only read */
    give_back(PST_IO_OP_OF(op, struct scan_file, op));
}

void scan_file_let_go(struct scan_file *file)
{
    assert(file->users > 0);
    if (--file->users > 0)
        return;
    if (file->file.fd < 0) {
        give_back(file);
        return;
    }
    int error = pst_file_stat(&file->file);
    if (error)
        scan_file_mark(file, PST_OBJECT_UNREADABLE, error);
    else if (has_changed(file))
        scan_file_mark(file, PST_OBJECT_CHANGED, PST_E_CHANGED);
    file->op.done = on_closed;
    pst_io_close(file->pipeline->config.ring, &file->op, &file->file);
}

static void on_read(struct pst_io_op *op, int result)
{
    scan_piece_done(PST_IO_OP_OF(op, struct piece, op), result);
}

void scan_file_read(struct scan_file *file, struct piece *piece)
{
    if (!file->is_open) {
        piece->next = file->waiting;
        file->waiting = piece;
        return;
    }
    if (file->error != 0) {
        scan_piece_done(piece, file->error);
        return;
    }
    char *payload = (char *)piece->chunk->memory + PST_CHUNK_HEADER_BYTES;
    uint32_t payload_offset =
        pst_chunk_piece_at(piece->chunk->memory, piece->index)->payload_offset;
    piece->op.done = on_read;
    pst_io_read(file->pipeline->config.ring, &piece->op, &file->file, payload + payload_offset,
                piece->bytes, piece->offset, piece->chunk->buffer_index);
}

static void on_opened(struct pst_io_op *op, int result)
{
    struct scan_file *file = PST_IO_OP_OF(op, struct scan_file, op);
    file->error = result;
    file->is_open = true;
    if (result == 0 && !S_ISREG(file->file.mode) && !S_ISBLK(file->file.mode))
        file->error = -PST_E_CHANGED;
    if (file->error < 0)
        scan_file_mark(file, PST_OBJECT_UNREADABLE, file->error);
    else if (has_changed(file))
        scan_file_mark(file, PST_OBJECT_CHANGED, PST_E_CHANGED);
    struct piece *piece = file->waiting;
    file->waiting = NULL;
    while (piece) {
        struct piece *next = piece->next;
        scan_file_read(file, piece);
        piece = next;
    }
    scan_file_let_go(file); /* the open's own use */
}

/* Starts to open a file of the fragment. NULL: as many as may be are open. O_NONBLOCK: what was a
 * file when it was listed may be a FIFO now. */
struct scan_file *scan_file_take(struct pst_pipeline *pipeline, struct scan *scan, uint32_t index)
{
    struct scan_file *file = pipeline->free_files;
    if (!file)
        return NULL;
    pipeline->free_files = file->next;
    pipeline->files_open++;
    file->file = (struct pst_file)PST_FILE_CLOSED;
    file->scan = scan;
    file->index = index;
    file->users = 2; /* the assignment, and the open */
    file->is_open = false;
    file->error = 0;
    file->waiting = NULL;
    scan->users++;
    struct pst_open how = {.dirfd = scan->source->root_fd,
                           .path = scan->fragment->files[index].path,
                           .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                           .beneath = true,
                           .direct = PST_DIRECT_OFF};
    file->op.done = on_opened;
    pst_io_open(pipeline->config.ring, &file->op, &file->file, &how);
    return file;
}
