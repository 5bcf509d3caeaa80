/*
 * A program that backs up its own table in memory while a thread of it keeps writing that table.
 *
 *     cc accounts.c $(pkg-config --cflags --libs penstock) -pthread -o accounts
 *     ./accounts DIRECTORY        # of the backups; and DIRECTORY/restored
 *
 * The table is an array of accounts in pages. Transfer number n moves an amount between two
 * accounts; both follow from n. The snapshot is copy-on-write: after the cut the writer copies a
 * page before it changes it for the first time, and the backup reads the copies where there are
 * any. At the end the program restores the backup and compares it with what transfers 1 … n make,
 * n being the last one before the cut.
 */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include <errno.h>
#include <penstock/penstock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGES 4096u
#define PAGE_ACCOUNTS 512u
#define PAGE_BYTES (PAGE_ACCOUNTS * sizeof(int64_t))
#define FRAGMENT_PAGES 256u /* 1 MiB */
#define TABLE_BYTES (PAGES * PAGE_BYTES)

struct page {
    int64_t accounts[PAGE_ACCOUNTS];
};

struct table {
    struct pst_source source; /* first: the methods get a pointer to it */
    pthread_mutex_t lock;     /* of all below; held by a freeze */
    struct page *pages;       /* PAGES of them */
    uint64_t transfers;       /* done */
    struct page **copies;     /* of the snapshot: pages as they were; NULL: not written since */
    uint64_t cut;             /* transfers done when it was taken */
    bool has_snapshot;
};

/* ---- the program's own business ---- */

static uint64_t scramble(uint64_t n)
{
    n = (n ^ (n >> 31)) * UINT64_C(0x9E3779B97F4A7C15);
    n = (n ^ (n >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
    return n ^ (n >> 32);
}

/* The page is about to change. */
static void keep_for_snapshot(struct table *table, uint64_t page)
{
    if (!table->has_snapshot || table->copies[page])
        return;
    table->copies[page] = malloc(sizeof(struct page));
    if (!table->copies[page])
        abort(); /* a real program would refuse the write */
    *table->copies[page] = table->pages[page];
}

static void transfer(struct table *table)
{
    const uint64_t draw = scramble(++table->transfers);
    const uint64_t from = draw % (PAGES * PAGE_ACCOUNTS);
    const uint64_t to = (draw >> 32) % (PAGES * PAGE_ACCOUNTS);
    const int64_t amount = (int64_t)(draw >> 58) + 1;
    keep_for_snapshot(table, from / PAGE_ACCOUNTS);
    keep_for_snapshot(table, to / PAGE_ACCOUNTS);
    table->pages[from / PAGE_ACCOUNTS].accounts[from % PAGE_ACCOUNTS] -= amount;
    table->pages[to / PAGE_ACCOUNTS].accounts[to % PAGE_ACCOUNTS] += amount;
}

struct writer {
    struct table *table;
    atomic_bool must_stop;
};

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->must_stop)) {
        pthread_mutex_lock(&writer->table->lock);
        for (int i = 0; i < 100; i++)
            transfer(writer->table);
        pthread_mutex_unlock(&writer->table->lock);
    }
    return NULL;
}

/* ---- the source: what Penstock calls ---- */

static int table_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct table *table = (struct table *)source;
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                      .tv_nsec = (long)(deadline_ns % 1000000000u)};
    if (pthread_mutex_clocklock(&table->lock, CLOCK_MONOTONIC, &deadline) != 0)
        return -PST_E_FREEZE;
    return 0;
}

static int table_snapshot(struct pst_source *source, uint64_t gci)
{
    struct table *table = (struct table *)source;
    (void)gci;
    table->cut = table->transfers;
    table->has_snapshot = true;
    return 0;
}

static void table_thaw(struct pst_source *source)
{
    pthread_mutex_unlock(&((struct table *)source)->lock);
}

static void table_release(struct pst_source *source)
{
    struct table *table = (struct table *)source;
    pthread_mutex_lock(&table->lock);
    table->has_snapshot = false;
    for (uint32_t i = 0; i < PAGES; i++) {
        free(table->copies[i]);
        table->copies[i] = NULL;
    }
    pthread_mutex_unlock(&table->lock);
}

/* One fragment: its entry in the catalogue, and a run of rows that produce() is to make. */
static int fill_fragment(struct pst_source *source, uint64_t offset,
                         struct pst_fragment_descriptor *fragment)
{
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_TABLE,
                                      .path = "accounts",
                                      .size = TABLE_BYTES,
                                      .mode = 0600};
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = TABLE_BYTES};
    char entry[512];
    size_t entry_bytes = 0;
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (error)
        return error;
    pst_fragment_init(fragment, PST_FRAGMENT_ROWS);
    error = pst_fragment_add_entry(fragment, entry, entry_bytes, offset == 0);
    if (!error)
        error = pst_fragment_add_file(fragment, &file);
    if (!error)
        error = pst_fragment_add_extent(fragment, offset, FRAGMENT_PAGES * PAGE_BYTES, NULL);
    return error;
}

static int table_list(struct pst_source *source, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    for (uint64_t offset = 0; offset < TABLE_BYTES; offset += FRAGMENT_PAGES * PAGE_BYTES) {
        struct pst_fragment_descriptor *fragment;
        int error = sink->acquire(sink, &fragment);
        if (!error)
            error = fill_fragment(source, offset, fragment);
        if (!error)
            error = sink->emit(sink, fragment);
        if (error)
            return error;
        listing->fragments++;
        listing->bytes += FRAGMENT_PAGES * PAGE_BYTES;
    }
    listing->objects = 1;
    return 0;
}

/* Called by several LDMs at once; cursor->words[0] counts the fragment's bytes made so far. */
static int table_produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                         struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                         size_t *produced_bytes)
{
    struct table *table = (struct table *)source;
    const struct pst_fragment_extent *extent = &fragment->extents[0];
    *produced_bytes = 0;
    while (cursor->words[0] < extent->length && *produced_bytes < capacity_bytes) {
        const uint64_t at = extent->offset + cursor->words[0];
        const uint64_t page = at / PAGE_BYTES;
        size_t bytes = PAGE_BYTES - at % PAGE_BYTES;
        if (bytes > capacity_bytes - *produced_bytes)
            bytes = capacity_bytes - *produced_bytes;
        pthread_mutex_lock(&table->lock);
        const struct page *from = table->copies[page] ? table->copies[page] : &table->pages[page];
        memcpy((char *)buffer + *produced_bytes, (const char *)from + at % PAGE_BYTES, bytes);
        pthread_mutex_unlock(&table->lock);
        *produced_bytes += bytes;
        cursor->words[0] += bytes;
    }
    return 0;
}

/* ---- running it ---- */

static int table_open(struct table *table)
{
    *table = (struct table){
        .source = {.struct_bytes = sizeof(struct pst_source),
                   .abi_version = PST_SOURCE_ABI_VERSION,
                   .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                   .root_fd = -1,
                   .type = "memory",
                   .name = "accounts",
                   .freeze = table_freeze,
                   .snapshot = table_snapshot,
                   .thaw = table_thaw,
                   .list = table_list,
                   .release = table_release,
                   .produce = table_produce},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .pages = calloc(PAGES, sizeof(struct page)),
        .copies = calloc(PAGES, sizeof(struct page *)),
    };
    return table->pages && table->copies ? 0 : -ENOMEM;
}

static void table_close(struct table *table)
{
    free(table->pages);
    free(table->copies);
}

static void on_log(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    if (level <= PST_LOG_WARNING)
        fprintf(stderr, "accounts: %s\n", message);
}

static int fail(const char *what, int error, const char *message)
{
    fprintf(stderr, "accounts: %s: %s\n", what, message[0] ? message : pst_error_text(error));
    return error;
}

static int back_up(struct table *table, const char *directory)
{
    struct writer writer = {.table = table};
    pthread_t thread;
    int error = -pthread_create(&thread, NULL, write_on, &writer);
    if (error)
        return fail("thread", error, "");
    struct pst_source *const sources[] = {&table->source};
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    pst_backup_job_init(&job);
    pst_backup_outcome_init(&outcome);
    job.directory = directory;
    job.sources = sources;
    job.sources_count = 1;
    job.run.ldms = 2;
    error = pst_run_backup(&job, &outcome);
    atomic_store(&writer.must_stop, true);
    pthread_join(thread, NULL);
    if (error)
        return fail("backup", error, outcome.message);
    printf("backup %u has %llu transfers; the writer has done %llu by now\n", outcome.number,
           (unsigned long long)table->cut, (unsigned long long)table->transfers);
    return 0;
}

static int verify(const char *directory)
{
    struct pst_verify_job job;
    struct pst_verify_outcome outcome;
    pst_verify_job_init(&job);
    pst_verify_outcome_init(&outcome);
    job.directory = directory;
    int error = pst_run_verify(&job, &outcome);
    return error ? fail("verify", error, outcome.message) : 0;
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
    return error ? fail("restore", error, outcome.message) : 0;
}

static int load(const char *target, struct page *pages)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/accounts", target);
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(path, -errno, "");
    const size_t read = fread(pages, sizeof(struct page), PAGES, file);
    const int more = fgetc(file);
    fclose(file);
    return read == PAGES && more == EOF ? 0 : fail(path, -EIO, "of another size");
}

/* Whether pages are what the first `transfers` transfers make. */
static int compare(const struct page *pages, uint64_t transfers)
{
    struct table expected;
    int error = table_open(&expected);
    while (!error && expected.transfers < transfers)
        transfer(&expected);
    if (error)
        fail("compare", error, "");
    else if (memcmp(pages, expected.pages, TABLE_BYTES) != 0)
        error = fail("compare", -EIO, "what is restored is not the state at the cut");
    table_close(&expected);
    return error;
}

static int run(struct table *table, const char *directory)
{
    char target[4096];
    snprintf(target, sizeof(target), "%s/restored", directory);
    int error = back_up(table, directory);
    if (!error)
        error = verify(directory);
    if (!error)
        error = restore(directory, target);
    if (!error)
        error = load(target, table->pages);
    if (!error)
        error = compare(table->pages, table->cut);
    if (!error)
        printf("restored, and as it was at the cut\n");
    return error;
}

int main(int argc, char **argv)
{
    struct table table;
    if (argc != 2) {
        fprintf(stderr, "usage: accounts DIRECTORY\n");
        return 2;
    }
    pst_log_set_hook(on_log, NULL);
    int error = table_open(&table);
    if (error)
        fail("table", error, "");
    else
        error = run(&table, argv[1]);
    table_close(&table);
    return error ? 1 : 0;
}
