/* Opens parts with their tails. Called by part_map.c, base_load.c and engine/restore, on the thread
 * of a reader. */
#include "engine/repository/part_tail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/tail.h"
#include "engine/repository/layout.h"

/* The tail is called as the part is, but for what it ends in. */
struct pst_file_name pst_backup_part_file(const struct pst_part_map *part, uint64_t *offset)
{
    struct pst_file_name file = part->file;
    if (part->tail_at == 0 || *offset < part->tail_at)
        return file;
    const struct layout_name part_file =
        layout_part_file(part->identity.number, part->identity.node);
    const struct layout_name tail_file =
        layout_tail_file(part->identity.number, part->identity.node);
    size_t folder = strlen(file.text) - strlen(part_file.text);
    snprintf(file.text + folder, sizeof(file.text) - folder, "%s", tail_file.text);
    *offset += sizeof(struct pst_tail_header) - part->tail_at;
    return file;
}

/* What the part has behind its chunks, in flight when it was cut off, is nobody's. */
static void join(const struct pst_part_map *part, struct pst_file *file, struct pst_file *tail)
{
    file->rest = tail;
    file->rest_at = part->tail_at;
    file->rest_from = sizeof(struct pst_tail_header);
    if (file->size_bytes >= file->rest_at && tail->size_bytes >= file->rest_from)
        file->size_bytes = file->rest_at + tail->size_bytes - file->rest_from;
}

int backup_open_tail(struct pst_reader *reader, const struct pst_part_map *part,
                     struct pst_file *file)
{
    uint64_t offset = part->tail_at;
    const struct pst_file_name name = pst_backup_part_file(part, &offset);
    if (part->tail_at == 0)
        return 0;
    struct pst_file *tail = malloc(sizeof(*tail));
    if (!tail)
        return -ENOMEM;
    int error = pst_reader_open_file(reader, part->from_fd, name.text, part->direct, tail);
    reader->name = part->file.text; /* which stays */
    if (error)
        free(tail);
    else
        join(part, file, tail);
    return error;
}

int pst_backup_open_part(struct pst_reader *reader, const struct pst_part_map *part,
                         struct pst_file *file)
{
    int error = pst_reader_open_file(reader, part->from_fd, part->file.text, part->direct, file);
    if (error)
        return error;
    error = backup_open_tail(reader, part, file);
    if (error)
        pst_reader_close_file(reader, file);
    return error;
}
