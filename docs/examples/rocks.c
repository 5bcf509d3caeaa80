/*
 * A program that backs up its RocksDB database while it is written to: the snapshot is a
 * checkpoint, a directory of hard links that RocksDB makes in no time, and that is removed again
 * afterwards.
 *
 *     cc rocks.c $(pkg-config --cflags --libs penstock) -lrocksdb -pthread -o rocks
 *     ./rocks DIRECTORY     # for the backups, and beside it DIRECTORY.data, DIRECTORY.restored
 *
 * The directory of the files is born in snapshot: root_fd may be set there, and holds until
 * release.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <penstock/penstock.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rocks {
    struct pst_source source; /* first: the methods get a pointer to it */
    rocksdb_t *db;
    pthread_rwlock_t writers; /* each holds it for reading while it writes */
    char checkpoint[4096];
    atomic_ullong rows; /* written: 0 … rows - 1 */
    uint64_t rows_at_cut;
};

/* RocksDB's own words, for people. Frees them. */
static int fail(struct pst_source *source, char *text)
{
    snprintf(source->error_text, sizeof(source->error_text), "%s", text);
    free(text);
    return -EIO;
}

/* ---- the source ---- */

/* A checkpoint is consistent in itself; the writers are held up only so that it is of the same
 * instant as the other sources of the backup. */
static int rocks_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    const struct timespec deadline = {(time_t)(deadline_ns / 1000000000),
                                      (long)(deadline_ns % 1000000000)};
    int error =
        pthread_rwlock_clockwrlock(&((struct rocks *)source)->writers, CLOCK_MONOTONIC, &deadline);
    return error ? -PST_E_FREEZE : 0;
}

static void remove_checkpoint(const struct rocks *rocks)
{
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_destroy_db(options, rocks->checkpoint, &error);
    rocksdb_options_destroy(options);
    free(error); /* there is none, or the next one will fail and say why */
    rmdir(rocks->checkpoint);
}

static int rocks_snapshot(struct pst_source *source, uint64_t gci)
{
    struct rocks *rocks = (struct rocks *)source;
    char *error = NULL;
    (void)gci;
    remove_checkpoint(rocks); /* of a program that was killed */
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(rocks->db, &error);
    if (error)
        return fail(source, error);
    rocksdb_checkpoint_create(checkpoint, rocks->checkpoint, UINT64_MAX, &error);
    rocksdb_checkpoint_object_destroy(checkpoint);
    if (error)
        return fail(source, error);
    rocks->rows_at_cut = atomic_load(&rocks->rows);
    source->root_fd = open(rocks->checkpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source->root_fd >= 0)
        return 0;
    remove_checkpoint(rocks); /* without a snapshot there is no release */
    return -PST_E_SCAN;
}

static void rocks_thaw(struct pst_source *source)
{
    pthread_rwlock_unlock(&((struct rocks *)source)->writers);
}

/* Files of a checkpoint never change, so each is pinned: one that cannot be read fails the backup,
 * instead of being left out of it. */
static int list_file(struct pst_source *source, struct pst_packer *packer, uint64_t counter,
                     const char *name)
{
    struct stat status;
    if (fstatat(source->root_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return 0;
    const struct pst_object object = {.id = pst_source_object_id(source, counter),
                                      .type = PST_OBJECT_FILE,
                                      .path = name,
                                      .size = (uint64_t)status.st_size,
                                      .mode = status.st_mode & 07777,
                                      .uid = status.st_uid,
                                      .gid = status.st_gid,
                                      .mtime_sec = status.st_mtim.tv_sec};
    const struct pst_fragment_file file = {.path = name,
                                           .device = status.st_dev,
                                           .inode = status.st_ino,
                                           .size_bytes = object.size,
                                           .flags = PST_FRAGMENT_FILE_PINNED};
    int error = pst_packer_object(packer, &object, &file);
    return error ? error : pst_packer_extent(packer, 0, object.size);
}

static int rocks_list(struct pst_source *source, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    struct pst_packer *packer = malloc(sizeof(*packer));
    DIR *directory = fdopendir(dup(source->root_fd));
    const struct dirent *entry;
    int error = packer && directory ? 0 : -ENOMEM;
    uint64_t counter = 0;
    if (!error)
        pst_packer_init(packer, sink, listing);
    while (!error && (errno = 0, entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            error = list_file(source, packer, ++counter, entry->d_name);
    if (!error)
        error = errno ? -errno : pst_packer_finish(packer);
    if (directory)
        closedir(directory);
    free(packer);
    return error;
}

static void rocks_release(struct pst_source *source)
{
    close(source->root_fd);
    source->root_fd = -1;
    remove_checkpoint((struct rocks *)source);
}

/* ---- the program ---- */

static rocksdb_t *open_db(const char *path)
{
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, 256 << 10); /* many small tables */
    rocksdb_t *db = rocksdb_open(options, path, &error);
    rocksdb_options_destroy(options);
    if (error)
        fprintf(stderr, "rocks: %s\n", error);
    free(error);
    return db;
}

static void value_of(uint64_t row, char value[64])
{
    for (int i = 0; i < 8; i++)
        memcpy(value + 8 * i, &(uint64_t){(row + (uint64_t)i) * UINT64_C(0x9E3779B97F4A7C15)}, 8);
}

static int put(struct rocks *rocks)
{
    char *error = NULL, value[64];
    pthread_rwlock_rdlock(&rocks->writers);
    uint64_t row = atomic_load(&rocks->rows);
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    value_of(row, value);
    rocksdb_put(rocks->db, options, (const char *)&row, sizeof(row), value, sizeof(value), &error);
    rocksdb_writeoptions_destroy(options);
    if (!error)
        atomic_store(&rocks->rows, row + 1);
    pthread_rwlock_unlock(&rocks->writers);
    free(error);
    return error ? -EIO : 0;
}

struct writer {
    struct rocks *rocks;
    atomic_bool must_stop;
};

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->must_stop) && put(writer->rocks) == 0)
        ;
    return NULL;
}

static int back_up(struct rocks *rocks, const char *directory)
{
    struct writer writer = {.rocks = rocks};
    struct pst_source *const sources[] = {&rocks->source};
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    pthread_t thread;
    for (int i = 0; i < 50000; i++)
        if (put(rocks) < 0)
            return -EIO;
    if (pthread_create(&thread, NULL, write_on, &writer) != 0)
        return -EAGAIN;
    pst_backup_job_init(&job);
    pst_backup_outcome_init(&outcome);
    job.directory = directory;
    job.sources = sources;
    job.sources_count = 1;
    job.run.ldms = 2;
    int error = pst_run_backup(&job, &outcome);
    atomic_store(&writer.must_stop, true);
    pthread_join(thread, NULL);
    if (error)
        fprintf(stderr, "rocks: %s\n", outcome.message);
    return error;
}

static int restore(const char *directory, const char *target)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = directory;
    job.target = target;
    int error = pst_run_restore(&job, &outcome);
    if (error)
        fprintf(stderr, "rocks: %s\n", outcome.message);
    return error;
}

/* Whether the restored database has rows 0 … rows - 1, each with its value, and no other. */
static int compare(const char *target, uint64_t rows)
{
    uint64_t found = 0, row;
    char expected[64];
    rocksdb_t *db = open_db(target);
    if (!db)
        return -EIO;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_iterator_t *at = rocksdb_create_iterator(db, options);
    for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t key_bytes, value_bytes;
        const char *key = rocksdb_iter_key(at, &key_bytes);
        const char *value = rocksdb_iter_value(at, &value_bytes);
        if (key_bytes != sizeof(row) || value_bytes != sizeof(expected))
            break;
        memcpy(&row, key, sizeof(row));
        value_of(row, expected);
        found += row < rows && memcmp(value, expected, sizeof(expected)) == 0;
    }
    int error = rocksdb_iter_valid(at) || found != rows ? -EIO : 0;
    rocksdb_iter_destroy(at);
    rocksdb_readoptions_destroy(options);
    rocksdb_close(db);
    return error;
}

int main(int argc, char **argv)
{
    static struct rocks rocks = {.source = {.struct_bytes = sizeof(struct pst_source),
                                            .abi_version = PST_SOURCE_ABI_VERSION,
                                            .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                                            .root_fd = -1,
                                            .type = "rocksdb",
                                            .name = "rocks",
                                            .freeze = rocks_freeze,
                                            .snapshot = rocks_snapshot,
                                            .thaw = rocks_thaw,
                                            .list = rocks_list,
                                            .release = rocks_release},
                                 .writers = PTHREAD_RWLOCK_INITIALIZER};
    char data[4096], target[4096];
    if (argc != 2)
        return fprintf(stderr, "usage: rocks DIRECTORY\n"), 2;
    snprintf(data, sizeof(data), "%s.data", argv[1]);
    snprintf(target, sizeof(target), "%s.restored", argv[1]);
    snprintf(rocks.checkpoint, sizeof(rocks.checkpoint), "%s.checkpoint", argv[1]);
    rocks.db = open_db(data);
    int error = rocks.db ? back_up(&rocks, argv[1]) : -EIO;
    if (!error)
        error = restore(argv[1], target);
    if (!error)
        error = compare(target, rocks.rows_at_cut);
    if (rocks.db)
        rocksdb_close(rocks.db);
    if (error)
        fprintf(stderr, "rocks: %s\n", pst_error_text(error));
    else
        printf("restored, and as it was at the cut\n");
    return error ? 1 : 0;
}
