/*
 * A program that backs up its own journal, a file that it appends records to all the time.
 *
 *     cc journal.c $(pkg-config --cflags --libs penstock) -pthread -o journal
 *     ./journal DIRECTORY        # for the backups, and beside it DIRECTORY.data,
 * DIRECTORY.restored
 *
 * Whatever only grows is its own snapshot: its length at the cut. PST_FRAGMENT_FILE_PINNED says so.
 * Without this flag a file that has grown by the time it was read counts as changed, and the backup
 * names it as unreadable. The same flag is for each file of a snapshot that somebody holds: then an
 * error of reading fails the backup instead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <penstock/penstock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct record {
    uint64_t number;
    uint64_t check; /* number * CHECK_FACTOR */
};
#define CHECK_FACTOR UINT64_C(0x9E3779B97F4A7C15)

struct journal {
    struct pst_source source; /* first: the methods get a pointer to it */
    pthread_mutex_t lock;     /* held while a record is written */
    int fd;
    uint64_t records;        /* written */
    uint64_t records_at_cut; /* of the snapshot */
    char details[64];
};

static int fail(struct pst_source *source, const char *what)
{
    int error = -errno;
    snprintf(source->error_text, sizeof(source->error_text), "cannot %s", what);
    return error;
}

static int append(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    const struct record record = {journal->records, journal->records * CHECK_FACTOR};
    ssize_t written = write(journal->fd, &record, sizeof(record));
    journal->records += written == sizeof(record);
    pthread_mutex_unlock(&journal->lock);
    return written == sizeof(record) ? 0 : -EIO;
}

/* ---- the source ---- */

/* Returns when nobody is in the middle of a write; the writer waits until thaw. */
static int journal_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    const struct timespec deadline = {(time_t)(deadline_ns / 1000000000),
                                      (long)(deadline_ns % 1000000000)};
    int error =
        pthread_mutex_clocklock(&((struct journal *)source)->lock, CLOCK_MONOTONIC, &deadline);
    return error ? -PST_E_FREEZE : 0;
}

static int journal_snapshot(struct pst_source *source, uint64_t gci)
{
    struct journal *journal = (struct journal *)source;
    journal->records_at_cut = journal->records;
    snprintf(journal->details, sizeof(journal->details), "{\"records\": %llu, \"gci\": %llu}",
             (unsigned long long)journal->records, (unsigned long long)gci);
    source->details = journal->details;
    return 0;
}

static void journal_thaw(struct pst_source *source)
{
    pthread_mutex_unlock(&((struct journal *)source)->lock);
}

/* The packer makes entries, fragments and their slots of it. */
static int journal_list(struct pst_source *source, struct pst_fragment_sink *sink,
                        struct pst_source_listing *listing)
{
    struct journal *journal = (struct journal *)source;
    struct pst_packer *packer = malloc(sizeof(*packer));
    struct stat status;
    if (!packer || fstat(journal->fd, &status) < 0) {
        free(packer);
        return fail(source, "look at the journal");
    }
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_FILE,
                                      .path = "journal",
                                      .size = journal->records_at_cut * sizeof(struct record),
                                      .mode = status.st_mode & 07777,
                                      .uid = status.st_uid,
                                      .gid = status.st_gid,
                                      .mtime_sec = status.st_mtim.tv_sec};
    const struct pst_fragment_file file = {.path = "journal", /* beneath source->root_fd */
                                           .device = status.st_dev,
                                           .inode = status.st_ino,
                                           .size_bytes = object.size, /* it never gets shorter */
                                           .flags = PST_FRAGMENT_FILE_PINNED};
    pst_packer_init(packer, sink, listing);
    int error = pst_packer_object(packer, &object, &file);
    if (!error)
        error = pst_packer_extent(packer, 0, object.size);
    if (!error)
        error = pst_packer_finish(packer);
    free(packer);
    return error;
}

/* ---- running it ---- */

static int journal_open(struct journal *journal, const char *folder)
{
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return -errno;
    int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *journal = (struct journal){
        .source = {.struct_bytes = sizeof(struct pst_source),
                   .abi_version = PST_SOURCE_ABI_VERSION,
                   .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                   .root_fd = root,
                   .type = "journal",
                   .name = "journal",
                   .freeze = journal_freeze,
                   .snapshot = journal_snapshot,
                   .thaw = journal_thaw,
                   .list = journal_list},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .fd = openat(root, "journal", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)};
    return journal->fd < 0 ? -errno : 0;
}

struct writer {
    struct journal *journal;
    atomic_bool must_stop;
};

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->must_stop) && append(writer->journal) == 0)
        ;
    return NULL;
}

static int back_up(struct journal *journal, const char *directory)
{
    struct writer writer = {.journal = journal};
    struct pst_source *const sources[] = {&journal->source};
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    pthread_t thread;
    for (int i = 0; i < 300000; i++)
        if (append(journal) < 0)
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
        fprintf(stderr, "journal: %s\n", outcome.message);
    return outcome.unreadable > 0 ? -PST_E_CHANGED : error;
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
        fprintf(stderr, "journal: %s\n", outcome.message);
    return error; /* a database would now open what is there, and replay its log */
}

/* Whether the restored file is the records 0 … records - 1, and nothing else. */
static int compare(const char *target, uint64_t records)
{
    char path[4096];
    struct record record;
    uint64_t number = 0;
    snprintf(path, sizeof(path), "%s/journal", target);
    FILE *file = fopen(path, "r");
    while (file && fread(&record, sizeof(record), 1, file) == 1 && record.number == number &&
           record.check == number * CHECK_FACTOR)
        number++;
    bool is_at_end = file && feof(file);
    if (file)
        fclose(file);
    return is_at_end && number == records ? 0 : -EIO;
}

int main(int argc, char **argv)
{
    struct journal journal;
    char data[4096], target[4096];
    if (argc != 2)
        return fprintf(stderr, "usage: journal DIRECTORY\n"), 2;
    snprintf(data, sizeof(data), "%s.data", argv[1]);
    snprintf(target, sizeof(target), "%s.restored", argv[1]);
    int error = journal_open(&journal, data);
    if (!error)
        error = back_up(&journal, argv[1]);
    if (!error)
        error = restore(argv[1], target);
    if (!error)
        error = compare(target, journal.records_at_cut);
    if (error)
        fprintf(stderr, "journal: %s\n", pst_error_text(error));
    else
        printf("restored, and as it was at the cut\n");
    return error ? 1 : 0;
}
