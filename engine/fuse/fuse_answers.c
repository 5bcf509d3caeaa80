/*
 * Answers requests of the kernel from a view of a backup. Called by libfuse, on the thread of
 * fuse_server.c.
 */
#include "engine/fuse/fuse_answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/base/log.h"
#include "engine/format/file_attributes.h"

/* Nothing in a backup changes. */
#define FOREVER_S 31536000.0
#define BLOCK_BYTES 4096u

/* An open file. */
struct open_file {
    struct pst_view_file *file;
    uint64_t bytes;
    bool is_reported; /* that it is damaged */
};

static struct fuse_answers *answers_of(fuse_req_t request)
{
    return libfuse.fuse_req_userdata(request);
}

static struct pst_view_node *node_of(fuse_req_t request, fuse_ino_t ino)
{
    return pst_view_node(answers_of(request)->view, ino);
}

/* What programs are told: of damage the log says more. */
static int number_of(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ENOMEM ? -error : EIO;
}

static void report(fuse_req_t request, const struct pst_view_node *node, int error,
                   const char *message)
{
    char name[PST_VIEW_NAME_BYTES];
    if (number_of(error) == EIO)
        pst_log(PST_LOG_ERROR, "%s: %s", pst_view_name(answers_of(request)->view, node, name),
                message);
}

static void fail(fuse_req_t request, const struct pst_view_node *node, int error,
                 const char *message)
{
    report(request, node, error, message);
    libfuse.fuse_reply_err(request, number_of(error));
}

/* ---- attributes ---- */

static mode_t type_bits(const struct pst_object *object)
{
    switch (object->type) {
    case PST_OBJECT_DIRECTORY:
        return S_IFDIR;
    case PST_OBJECT_SYMLINK:
        return S_IFLNK;
    case PST_OBJECT_BLOCK_DEVICE:
        return S_IFBLK;
    case PST_OBJECT_CHARACTER_DEVICE:
        return S_IFCHR;
    case PST_OBJECT_FIFO:
        return S_IFIFO;
    case PST_OBJECT_SOCKET:
        return S_IFSOCK;
    default:
        return S_IFREG;
    }
}

static uint64_t data_bytes(const struct pst_object *object)
{
    uint64_t bytes;
    return pst_object_data_bytes(object, &bytes) ? bytes : object->size;
}

static struct stat stat_of(const struct pst_view_node *node)
{
    const struct pst_object *object = &node->object;
    struct stat status = {
        .st_ino = node->ino,
        .st_mode = type_bits(object) | (object->mode & 07777),
        .st_nlink = node->links,
        .st_uid = object->uid,
        .st_gid = object->gid,
        .st_rdev = makedev((unsigned)(object->rdev >> 32), (unsigned)(object->rdev & UINT32_MAX)),
        .st_mtim = {object->mtime_sec, object->mtime_nsec},
        .st_blksize = BLOCK_BYTES,
    };
    if (pst_view_has_contents(object)) {
        status.st_size = (off_t)object->size;
        status.st_blocks = (blkcnt_t)((data_bytes(object) + 511) / 512);
    } else if (object->link) {
        status.st_size = (off_t)strlen(object->link);
    }
    status.st_atim = status.st_ctim = status.st_mtim;
    return status;
}

static struct fuse_entry_param entry_of(const struct pst_view_node *node)
{
    return (struct fuse_entry_param){.ino = node->ino,
                                     .attr = stat_of(node),
                                     .attr_timeout = FOREVER_S,
                                     .entry_timeout = FOREVER_S};
}

static void get_attributes(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
    const struct stat status = stat_of(node_of(request, ino));
    (void)info;
    libfuse.fuse_reply_attr(request, &status, FOREVER_S);
}

static void read_link(fuse_req_t request, fuse_ino_t ino)
{
    const char *link = node_of(request, ino)->object.link;
    if (link)
        libfuse.fuse_reply_readlink(request, link);
    else
        libfuse.fuse_reply_err(request, EINVAL);
}

/* A value, or its length where size is 0. */
static void reply_bytes(fuse_req_t request, const void *value, size_t bytes, size_t size)
{
    if (size == 0)
        libfuse.fuse_reply_xattr(request, bytes);
    else if (bytes > size)
        libfuse.fuse_reply_err(request, ERANGE);
    else
        libfuse.fuse_reply_buf(request, value, bytes);
}

static void get_xattr(fuse_req_t request, fuse_ino_t ino, const char *name, size_t size)
{
    const struct pst_object *object = &node_of(request, ino)->object;
    struct pst_xattr xattr;
    for (uint32_t at = 0; pst_xattr_next(object, &at, &xattr);) {
        if (strcmp(xattr.name, name) == 0) {
            reply_bytes(request, xattr.value, xattr.value_bytes, size);
            return;
        }
    }
    libfuse.fuse_reply_err(request, ENODATA);
}

static void list_xattrs(fuse_req_t request, fuse_ino_t ino, size_t size)
{
    const struct pst_object *object = &node_of(request, ino)->object;
    char names[PST_OBJECT_ATTRIBUTES_BYTES_MAX];
    size_t bytes = 0;
    struct pst_xattr xattr;
    for (uint32_t at = 0; pst_xattr_next(object, &at, &xattr);) {
        size_t length = strlen(xattr.name) + 1; /* all of them lie in the attributes */
        memcpy(names + bytes, xattr.name, length);
        bytes += length;
    }
    reply_bytes(request, names, bytes, size);
}

static void get_statfs(fuse_req_t request, fuse_ino_t ino)
{
    const struct statvfs status = {
        .f_bsize = BLOCK_BYTES,
        .f_frsize = BLOCK_BYTES,
        .f_blocks = answers_of(request)->total_bytes / BLOCK_BYTES,
        .f_namemax = 255,
    };
    (void)ino;
    libfuse.fuse_reply_statfs(request, &status);
}

/* ---- directories ---- */

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct pst_view *view = answers_of(request)->view;
    const struct fuse_entry_param none = {.entry_timeout = FOREVER_S};
    struct pst_view_node *directory = node_of(request, parent), *node;
    char message[PST_MESSAGE_BYTES];
    int error = pst_view_find(view, directory, name, &node, message);
    if (error && error != -ENOENT) {
        fail(request, directory, error, message);
        return;
    }
    const struct fuse_entry_param entry = error ? none : entry_of(node);
    if (libfuse.fuse_reply_entry(request, &entry) != 0 && !error)
        pst_view_forget(view, node->ino, 1);
}

static void forget(fuse_req_t request, fuse_ino_t ino, uint64_t lookups)
{
    pst_view_forget(answers_of(request)->view, ino, lookups);
    libfuse.fuse_reply_none(request);
}

static void forget_many(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        pst_view_forget(answers_of(request)->view, forgets[i].ino, forgets[i].nlookup);
    libfuse.fuse_reply_none(request);
}

static void open_directory(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
    struct pst_view *view = answers_of(request)->view;
    struct pst_view_node *directory = node_of(request, ino);
    struct pst_view_listing *listing;
    char message[PST_MESSAGE_BYTES];
    int error = pst_view_list(view, directory, &listing, message);
    if (error) {
        fail(request, directory, error, message);
        return;
    }
    info->fh = (uintptr_t)listing;
    info->cache_readdir = info->keep_cache = 1;
    if (libfuse.fuse_reply_open(request, info) != 0)
        pst_view_unlist(view, listing);
}

static struct pst_view_listing *listing_of(const struct fuse_file_info *info)
{
    return (struct pst_view_listing *)(uintptr_t)info->fh;
}

static void close_directory(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    pst_view_unlist(answers_of(request)->view, listing_of(info));
    libfuse.fuse_reply_err(request, 0);
}

static char *buffer_of(struct fuse_answers *answers, size_t bytes)
{
    if (answers->buffer_bytes >= bytes)
        return answers->buffer;
    free(answers->buffer);
    answers->buffer = malloc(bytes);
    answers->buffer_bytes = answers->buffer ? bytes : 0;
    return answers->buffer;
}

/* The directory itself, and the one above it, come before its entries. */
#define DOTS 2u

/* Its length; more than room: it was not added. Without the attributes of what it names, which is
 * not held then. */
static size_t add_plain(fuse_req_t request, char *buffer, size_t room, const char *name,
                        fuse_ino_t ino, mode_t type, uint64_t next)
{
    const struct stat status = {.st_ino = ino, .st_mode = type};
    return libfuse.fuse_add_direntry(request, buffer, room, name, &status, (off_t)next);
}

static size_t add_bare(fuse_req_t request, char *buffer, size_t room, const char *name,
                       fuse_ino_t ino, uint64_t next)
{
    const struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};
    return libfuse.fuse_add_direntry_plus(request, buffer, room, name, &entry, (off_t)next);
}

/* *added: as above, the node of the entry being held if it was. */
static int add_held(fuse_req_t request, const struct pst_view_listing *listing, size_t i,
                    char *buffer, size_t room, size_t *added, char *message)
{
    struct pst_view *view = answers_of(request)->view;
    struct pst_view_node *node;
    int error = pst_view_node_at(view, listing, i, &node, message);
    if (error)
        return error;
    const struct fuse_entry_param entry = entry_of(node);
    *added = libfuse.fuse_add_direntry_plus(request, buffer, room, pst_view_name_at(listing, i),
                                            &entry, (off_t)(i + DOTS + 1));
    if (*added > room)
        pst_view_forget(view, node->ino, 1);
    return 0;
}

/* One entry of a directory, by its number, the dots included. */
static int add_one(fuse_req_t request, fuse_ino_t ino, const struct pst_view_listing *listing,
                   bool is_plus, uint64_t number, char *buffer, size_t room, size_t *added,
                   char *message)
{
    if (number < DOTS) {
        const char *name = number == 0 ? "." : "..";
        *added = is_plus ? add_bare(request, buffer, room, name, ino, number + 1)
                         : add_plain(request, buffer, room, name, ino, S_IFDIR, number + 1);
        return 0;
    }
    size_t i = (size_t)(number - DOTS);
    if (is_plus)
        return add_held(request, listing, i, buffer, room, added, message);
    *added = add_plain(request, buffer, room, pst_view_name_at(listing, i),
                       pst_view_ino_at(listing, i), 0, number + 1);
    return 0;
}

static void read_entries(fuse_req_t request, fuse_ino_t ino, size_t size, uint64_t offset,
                         const struct pst_view_listing *listing, bool is_plus)
{
    char *buffer = buffer_of(answers_of(request), size), message[PST_MESSAGE_BYTES] = "";
    size_t used = 0, added = 0;
    int error = buffer ? 0 : -ENOMEM;
    for (uint64_t i = offset; !error && i < pst_view_count(listing) + DOTS; i++) {
        error =
            add_one(request, ino, listing, is_plus, i, buffer + used, size - used, &added, message);
        if (error || added > size - used)
            break;
        used += added;
    }
    if (error && used == 0) /* else the next request meets it */
        fail(request, node_of(request, ino), error, message);
    else
        libfuse.fuse_reply_buf(request, buffer, used);
}

static void read_directory(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *info)
{
    read_entries(request, ino, size, (uint64_t)offset, listing_of(info), false);
}

static void read_directory_plus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                                struct fuse_file_info *info)
{
    read_entries(request, ino, size, (uint64_t)offset, listing_of(info), true);
}

/* ---- files ---- */

static struct open_file *open_file_of(const struct fuse_file_info *info)
{
    return (struct open_file *)(uintptr_t)info->fh;
}

static int open_node(struct pst_view *view, const struct pst_view_node *node,
                     struct open_file **opened, char *message)
{
    struct open_file *file = malloc(sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct open_file){.bytes = node->object.size};
    int error = pst_view_open_file(view, node, &file->file, message);
    if (error)
        free(file);
    else
        *opened = file;
    return error;
}

static void close_open_file(struct open_file *file)
{
    pst_view_close_file(file->file);
    free(file);
}

/* The kernel opens what is no file by itself, and nothing for writing. */
static void open_a_file(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
    struct pst_view_node *node = node_of(request, ino);
    struct open_file *file;
    char message[PST_MESSAGE_BYTES] = "";
    int error = open_node(answers_of(request)->view, node, &file, message);
    if (error) {
        fail(request, node, error, message);
        return;
    }
    info->fh = (uintptr_t)file;
    info->keep_cache = 1;
    if (libfuse.fuse_reply_open(request, info) != 0)
        close_open_file(file);
}

static void close_file(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    close_open_file(open_file_of(info));
    libfuse.fuse_reply_err(request, 0);
}

static void reply_damage(fuse_req_t request, fuse_ino_t ino, struct open_file *file, int error,
                         const char *message)
{
    if (!file->is_reported)
        report(request, node_of(request, ino), error, message);
    file->is_reported = true;
    libfuse.fuse_reply_err(request, number_of(error));
}

/* All that is asked for, or an error: the kernel takes what is missing for zeros. */
static void read_file(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *info)
{
    struct open_file *file = open_file_of(info);
    uint64_t from = (uint64_t)offset < file->bytes ? (uint64_t)offset : file->bytes;
    size_t bytes = file->bytes - from < size ? (size_t)(file->bytes - from) : size;
    char *buffer = buffer_of(answers_of(request), bytes), message[PST_MESSAGE_BYTES] = "";
    int error = buffer || bytes == 0 ? pst_view_read(answers_of(request)->view, file->file, from,
                                                     bytes, buffer, message)
                                     : -ENOMEM;
    if (error)
        reply_damage(request, ino, file, error, message);
    else
        libfuse.fuse_reply_buf(request, buffer, bytes);
}

/* ACLs of the backup count, too. */
static void begin(void *userdata, struct fuse_conn_info *connection)
{
    (void)userdata;
    connection->want |= connection->capable & FUSE_CAP_POSIX_ACL;
}

const struct fuse_lowlevel_ops fuse_answers_ops = {
    .init = begin,
    .lookup = look_up,
    .forget = forget,
    .forget_multi = forget_many,
    .getattr = get_attributes,
    .readlink = read_link,
    .open = open_a_file,
    .read = read_file,
    .release = close_file,
    .opendir = open_directory,
    .readdir = read_directory,
    .readdirplus = read_directory_plus,
    .releasedir = close_directory,
    .statfs = get_statfs,
    .getxattr = get_xattr,
    .listxattr = list_xattrs,
};
