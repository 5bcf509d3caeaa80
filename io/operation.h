/*
 * What io/ring.h and io/file.h are about: an operation, and the file that it works on. Both belong
 * to the caller; see io/ring.h for the thread that may use them.
 */
#ifndef PST_IO_OPERATION_H
#define PST_IO_OPERATION_H

#include <linux/openat2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pst_direct {
    PST_DIRECT_AUTO, /* O_DIRECT where the file system takes it, else buffered */
    PST_DIRECT_ON,   /* O_DIRECT, or an error (-EINVAL) */
    PST_DIRECT_OFF,  /* buffered */
    PST_DIRECT_COLD, /* as AUTO if the page cache lacks half of what is to be read, else as OFF */
    PST_DIRECT_UNLESS_CACHED, /* as OFF if the page cache has 7/8 of the file, else as AUTO */
};

/* How an opened file is looked at. */
struct pst_io_look {
    enum pst_direct direct;
    bool is_known; /* as in struct pst_open */
    struct pst_io_range {
        uint64_t offset;
        uint64_t bytes;
    } cold; /* with PST_DIRECT_COLD: what is to be read */
};

/* Owned by the caller. Filled by pst_io_open(); read it, do not write it. */
struct pst_file {
    int fd;               /* -1: not open */
    int slot;             /* in the ring's table of registered files; -1: none */
    bool direct;          /* O_DIRECT is in use */
    bool direct_required; /* PST_DIRECT_ON */
    bool direct_refused;  /* AUTO, and the file system would not: buffered instead */
    uint32_t align_bytes; /* of offsets and lengths where direct: a power of two <= 4096; else 1 */
    bool is_remote;       /* what answers for its file system may be away: never called inline */
    bool no_read_ahead;   /* the kernel was asked for none */
    bool no_poll;         /* it cannot be read and written by IOPOLL */
    unsigned in_flight;   /* operations on this file */
    uint32_t mode;        /* as of the open, from statx(2): */
    uint32_t uid;
    uint32_t gid;
    uint32_t names;
    uint64_t size_bytes;
    uint64_t inode;
    uint64_t device;
    int64_t mtime_ns;
    int64_t ctime_ns;
    /* Another open file, of its owner's, in which this one goes on for who reads: what lies at
     * rest_at here is at rest_from there. NULL: it does not. */
    struct pst_file *rest;
    uint64_t rest_at, rest_from;
};

#define PST_FILE_CLOSED                                                                            \
    {                                                                                              \
        .fd = -1, .slot = -1                                                                       \
    }

struct pst_open {
    int dirfd; /* or AT_FDCWD */
    const char *path;
    int flags;                /* of open(2), without O_DIRECT; O_CLOEXEC is added */
    unsigned mode;            /* with O_CREAT */
    bool beneath;             /* RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS */
    enum pst_direct direct;   /* with is_known: PST_DIRECT_OFF */
    struct pst_io_range cold; /* with PST_DIRECT_COLD: what is to be read */
    /* It was looked at already, and is on this device: its attributes are not read again, and mode
     * stays 0, where it has an offset, as a regular file has and a FIFO has not. */
    bool is_known;
    uint64_t known_device; /* dev_t */
};

#define PST_IO_OP_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct pst_io_op {
    /* Called from pst_ring_reap(), pst_ring_wait() or pst_ring_drain(), never from the call that
     * starts the operation. result: 0 or the bytes transferred, or -errno. It may start further
     * operations, with this op too, and may free it; it may not reap or wait. */
    void (*done)(struct pst_io_op *op, int result);

    /* From here on io/'s own; set by the function that starts the operation. */
    struct pst_io_op *next;
    struct pst_io_op *older, *newer; /* of those in flight */
    uint64_t began_ns; /* CLOCK_MONOTONIC: when the ring last reaped before its start */
    struct pst_file *file;
    union {
        struct {
            char *data;
            uint64_t offset;
            uint32_t bytes;   /* asked for */
            uint32_t moved;   /* transferred so far */
            uint32_t started; /* where the request in the kernel begins */
            int buffer_index;
        } transfer;
        struct {
            const char *path;
            struct open_how how;
            int dirfd;
            struct pst_io_look look;
        } open;
        struct {
            const char *path;
            int dirfd;
            int flags;
        } name;
        struct {
            uint64_t offset;
            uint64_t bytes;
            int mode;
        } range;
    };
    uint32_t short_bytes;
    int replaced_result;
    uint8_t kind;
    uint8_t retries;
    bool replaced;
    bool direct;
    bool polled;
};

#endif
