/*
 * The table sink of `penstock export`: one file for each table, written by one of the formats.
 * Called by the restore, on one thread of its crew.
 */
#include "engine/cli/export_sink.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/api/table_file.h"
#include "engine/base/grow.h"

#define BUFFER_BYTES (1u << 20)

struct export_sink {
    struct pst_table_sink sink; /* first */
    const struct cli_export_format *format;
    int directory_fd;
    uint64_t map_bytes;
    FILE *file;
    char *buffer;
    struct made_file *made; /* those of the tables so far */
    size_t made_count;
    size_t made_room;
};

struct made_file {
    dev_t device;
    ino_t inode;
};

static struct export_sink *sink_of(struct pst_table_sink *sink)
{
    return (struct export_sink *)sink;
}

static int close_file(struct export_sink *sink)
{
    FILE *file = sink->file;
    sink->file = NULL;
    int failed = ferror(file);
    errno = 0;
    if (fclose(file) != 0)
        return errno ? -errno : -EIO;
    return failed ? -EIO : 0;
}

/* -EEXIST: it is the file of another table. One that is new cannot be. */
static int note_file(struct export_sink *sink, int fd, bool is_new)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    for (size_t i = 0; !is_new && i < sink->made_count; i++) {
        if (sink->made[i].device == status.st_dev && sink->made[i].inode == status.st_ino)
            return -EEXIST;
    }
    void *made = sink->made;
    int error = pst_grow(&made, sink->made_count, &sink->made_room, sizeof(*sink->made));
    sink->made = made;
    if (!error)
        sink->made[sink->made_count++] = (struct made_file){status.st_dev, status.st_ino};
    return error;
}

/* A file that is there was left by an export that was cut off, or is of a table whose name the
 * directory takes for the same. */
static int create(struct export_sink *sink, const char *name)
{
    static const int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(sink->directory_fd, name, flags | O_CREAT | O_EXCL, 0666);
    bool is_new = fd >= 0 || errno != EEXIST;
    if (!is_new)
        fd = openat(sink->directory_fd, name, flags);
    if (fd < 0)
        return -errno;
    int error = note_file(sink, fd, is_new);
    if (!error && ftruncate(fd, 0) < 0)
        error = -errno;
    if (error)
        close(fd);
    return error ? error : fd;
}

static int begin(struct pst_table_sink *base, const struct pst_table *table)
{
    struct export_sink *sink = sink_of(base);
    char name[PST_JOB_TABLE_FILE_BYTES];
    pst_job_table_file(table, sink->format->suffix, name);
    int fd = create(sink, name);
    if (fd < 0) {
        snprintf(base->error_text, sizeof(base->error_text), "cannot create %.130s%s", name,
                 fd == -EEXIST ? ", the name of another table's file there: does its file system "
                                 "ignore case? Export them one by one (--tables)"
                               : "");
        return fd;
    }
    sink->file = fdopen(fd, "w");
    if (!sink->file) {
        close(fd);
        return -ENOMEM;
    }
    setvbuf(sink->file, sink->buffer, _IOFBF, BUFFER_BYTES);
    const struct cli_export_file file = {sink->file, table, sink->map_bytes};
    sink->format->begin(&file);
    return 0;
}

static int row(struct pst_table_sink *base, const void *key, uint32_t key_bytes, const void *value,
               uint32_t value_bytes)
{
    struct export_sink *sink = sink_of(base);
    errno = 0;
    sink->format->row(sink->file, key, key_bytes, value, value_bytes);
    if (!ferror(sink->file))
        return 0;
    return errno ? -errno : -EIO;
}

static int end(struct pst_table_sink *base)
{
    struct export_sink *sink = sink_of(base);
    sink->format->end(sink->file);
    return close_file(sink);
}

static int finish(struct pst_table_sink *base)
{
    (void)base;
    return 0;
}

static void close_sink(struct pst_table_sink *base)
{
    struct export_sink *sink = sink_of(base);
    if (sink->file)
        fclose(sink->file);
    free(sink->made);
    free(sink->buffer);
    free(sink);
}

int cli_export_sink_open(void *context, const struct pst_database *database, int directory_fd,
                         struct pst_table_sink **opened, char *error_text)
{
    error_text[0] = '\0';
    *opened = NULL;
    struct export_sink *sink = calloc(1, sizeof(*sink));
    if (!sink)
        return -ENOMEM;
    sink->format = context;
    sink->directory_fd = directory_fd;
    sink->buffer = malloc(BUFFER_BYTES);
    if (!sink->buffer) {
        free(sink);
        return -ENOMEM;
    }
    if (strcmp(database->kind, "lmdb") == 0 && database->details_bytes >= sizeof(uint64_t)) {
        memcpy(&sink->map_bytes, database->details, sizeof(sink->map_bytes));
        sink->map_bytes = le64toh(sink->map_bytes);
    }
    sink->sink = (struct pst_table_sink){
        .struct_bytes = sizeof(struct pst_table_sink),
        .abi_version = PST_TABLE_SINK_ABI_VERSION,
        .begin = begin,
        .row = row,
        .end = end,
        .finish = finish,
        .close = close_sink,
    };
    *opened = &sink->sink;
    return 0;
}
