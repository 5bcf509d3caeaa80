/*
 * A program that backs up its own table in memory while a thread of it keeps writing that table.
 *
 *     cc accounts.c $(pkg-config --cflags --libs penstock) -pthread -o accounts
 *     ./accounts DIRECTORY        # for the backups
 *
 * The table is an array of accounts in pages; its rows have the account's number for a key and its
 * balance for a value. Transfer number n moves an amount between two
 * accounts; both follow from n. The snapshot is copy-on-write: after the cut the writer copies a
 * page before it changes it for the first time, and the backup reads the copies where there are
 * any. At the end the program restores the rows into another table and compares that with what
 * transfers 1 … n make, n being the last one before the cut.
 */
#include <errno.h>
#include <penstock/penstock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 1024u
#define PAGE_ACCOUNTS 512u
#define ACCOUNTS (PAGES * PAGE_ACCOUNTS)
#define SHARES 16u /* so many fragments: LDMs scan them side by side */
#define SHARE_PAGES (PAGES / SHARES)
#define SHARE_ACCOUNTS (SHARE_PAGES * PAGE_ACCOUNTS)
#define ROW_BYTES (PST_ROW_HEAD_BYTES + sizeof(uint32_t) + sizeof(int64_t))

static const char table_name[] = "accounts";

struct page {
    int64_t accounts[PAGE_ACCOUNTS];
};

struct table {
    struct pst_source source; /* first: the methods get a pointer to it */
    pthread_mutex_t lock;     /* of all below */
    pthread_cond_t thawed;
    bool is_frozen;       /* writers wait */
    struct page *pages;   /* PAGES of them */
    uint64_t transfers;   /* done */
    struct page **copies; /* of the snapshot: pages as they were; NULL: not written since */
    uint64_t cut;         /* transfers done when it was taken */
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
    const uint64_t from = draw % (ACCOUNTS);
    const uint64_t to = (draw >> 32) % (ACCOUNTS);
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
        while (writer->table->is_frozen)
            pthread_cond_wait(&writer->table->thawed, &writer->table->lock);
        for (int i = 0; i < 100; i++)
            transfer(writer->table);
        pthread_mutex_unlock(&writer->table->lock);
    }
    return NULL;
}

/* ---- the source: what Penstock calls ---- */

/* Whoever writes holds the lock for a moment only; else this would have to give up in time. */
static int table_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct table *table = (struct table *)source;
    (void)deadline_ns;
    pthread_mutex_lock(&table->lock);
    table->is_frozen = true;
    pthread_mutex_unlock(&table->lock);
    return 0;
}

static int table_snapshot(struct pst_source *source, uint64_t gci)
{
    struct table *table = (struct table *)source;
    (void)gci;
    pthread_mutex_lock(&table->lock);
    table->cut = table->transfers;
    table->has_snapshot = true;
    pthread_mutex_unlock(&table->lock);
    return 0;
}

static void table_thaw(struct pst_source *source)
{
    struct table *table = (struct table *)source;
    pthread_mutex_lock(&table->lock);
    table->is_frozen = false;
    pthread_cond_broadcast(&table->thawed);
    pthread_mutex_unlock(&table->lock);
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

/* What the tables of this source are tables of: an entry in the catalogue, without contents. */
static int describe_database(struct pst_source *source, struct pst_fragment_descriptor *fragment)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], entry[2048];
    size_t entry_bytes = 0;
    const struct pst_database_entry database = {.kind = source->type};
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_DATABASE,
                                      .path = "memory",
                                      .mode = 0600,
                                      .attributes = attribute,
                                      .attributes_bytes =
                                          pst_database_encode(&database, attribute)};
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    pst_fragment_init(fragment, PST_FRAGMENT_EXTENTS);
    return error ? error : pst_fragment_add_entry(fragment, entry, entry_bytes, true);
}

/* A share of the table, whose rows produce() is to make. */
static int describe_share(struct pst_source *source, uint32_t number,
                          struct pst_fragment_descriptor *fragment)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], entry[2048];
    char path[PST_PATH_BYTES_MAX];
    size_t entry_bytes = 0;
    const struct pst_share share = {.name = table_name,
                                    .name_bytes = sizeof(table_name) - 1,
                                    .share = number,
                                    .shares = SHARES,
                                    .rows = ACCOUNTS};
    const struct pst_object object = {.id = pst_source_object_id(source, 2 + number),
                                      .type = PST_OBJECT_ROWS,
                                      .path = pst_share_path(&share, path),
                                      .attributes = attribute,
                                      .attributes_bytes = pst_share_encode(&share, attribute)};
    const struct pst_fragment_file file = {.object = object.id};
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    pst_fragment_init(fragment, PST_FRAGMENT_ROWS);
    if (!error)
        error = pst_fragment_add_entry(fragment, entry, entry_bytes, true);
    if (!error)
        error = pst_fragment_add_file(fragment, &file);
    if (!error)
        pst_fragment_add_rows(fragment, SHARE_ACCOUNTS * ROW_BYTES,
                              &((struct table *)source)->pages[number * SHARE_PAGES]);
    return error;
}

static int table_list(struct pst_source *source, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    for (uint32_t i = 0; i <= SHARES; i++) {
        struct pst_fragment_descriptor *fragment;
        int error = sink->acquire(sink, &fragment);
        if (!error && i == 0)
            error = describe_database(source, fragment);
        else if (!error)
            error = describe_share(source, i - 1, fragment);
        if (error)
            return error;
        listing->fragments++;
        listing->objects++;
        listing->bytes += fragment->bytes;
        error = sink->emit(sink, fragment);
        if (error)
            return error;
    }
    return 0;
}

/* The page as it was at the cut. */
static struct page read_page(struct table *table, uint64_t number)
{
    pthread_mutex_lock(&table->lock);
    const struct page page = table->copies[number] ? *table->copies[number] : table->pages[number];
    pthread_mutex_unlock(&table->lock);
    return page;
}

/* Called by several LDMs at once, for different shares, until it makes nothing. cursor: words[0]
 * is the next account of the share, words[1] how much of its row is made already. */
static int table_produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                         struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                         size_t *produced_bytes)
{
    struct table *table = (struct table *)source;
    const struct page *first = fragment->extents[0].literal;
    *produced_bytes = 0;
    if (cursor->words[0] == SHARE_ACCOUNTS) {
        *produced_bytes = pst_rows_end_copy(SHARE_ACCOUNTS, SHARE_ACCOUNTS * ROW_BYTES,
                                            (uint32_t)cursor->words[1], buffer, capacity_bytes);
        cursor->words[1] += *produced_bytes;
        return 0;
    }
    const uint64_t number = (uint64_t)(first - table->pages) + cursor->words[0] / PAGE_ACCOUNTS;
    const struct page page = read_page(table, number);
    do {
        const uint32_t account =
            (uint32_t)(number * PAGE_ACCOUNTS + cursor->words[0] % PAGE_ACCOUNTS);
        const struct pst_row row = {.key = &account,
                                    .key_bytes = sizeof(account),
                                    .value = &page.accounts[account % PAGE_ACCOUNTS],
                                    .value_bytes = sizeof(int64_t)};
        const size_t bytes = pst_row_copy(&row, cursor->words[1], (char *)buffer + *produced_bytes,
                                          capacity_bytes - *produced_bytes);
        *produced_bytes += bytes;
        cursor->words[1] += bytes;
        if (cursor->words[1] < ROW_BYTES)
            break; /* the buffer is full */
        cursor->words[0]++;
        cursor->words[1] = 0;
    } while (cursor->words[0] % PAGE_ACCOUNTS != 0);
    return 0;
}

/* ---- the sink: where restored rows go ---- */

struct loader {
    struct pst_table_sink sink; /* first */
    struct table *table;
    uint64_t rows;
};

static int loader_begin(struct pst_table_sink *sink, const struct pst_table *table)
{
    if (table->name_bytes == sizeof(table_name) - 1 &&
        memcmp(table->name, table_name, table->name_bytes) == 0)
        return 0;
    snprintf(sink->error_text, sizeof(sink->error_text), "unexpected table, not \"%s\"",
             table_name);
    return -EINVAL;
}

static int loader_row(struct pst_table_sink *sink, const void *key, uint32_t key_bytes,
                      const void *value, uint32_t value_bytes)
{
    struct loader *loader = (struct loader *)sink;
    uint32_t account;
    if (key_bytes != sizeof(account) || value_bytes != sizeof(int64_t))
        return -EINVAL;
    memcpy(&account, key, sizeof(account));
    if (account >= ACCOUNTS)
        return -EINVAL;
    memcpy(&loader->table->pages[account / PAGE_ACCOUNTS].accounts[account % PAGE_ACCOUNTS], value,
           sizeof(int64_t));
    loader->rows++;
    return 0;
}

static int loader_end(struct pst_table_sink *sink)
{
    return ((struct loader *)sink)->rows == ACCOUNTS ? 0 : -EINVAL;
}

static int loader_finish(struct pst_table_sink *sink)
{
    (void)sink;
    return 0;
}

static void loader_close(struct pst_table_sink *sink)
{
    free(sink);
}

/* context: the table to fill. */
static int loader_open(void *context, const struct pst_database *database, int directory_fd,
                       struct pst_table_sink **sink, char *error_text)
{
    (void)directory_fd;
    (void)error_text;
    if (strcmp(database->kind, "memory") != 0)
        return -ENOTSUP;
    struct loader *loader = calloc(1, sizeof(*loader));
    if (!loader)
        return -ENOMEM;
    loader->sink = (struct pst_table_sink){.struct_bytes = sizeof(struct pst_table_sink),
                                           .abi_version = PST_TABLE_SINK_ABI_VERSION,
                                           .begin = loader_begin,
                                           .row = loader_row,
                                           .end = loader_end,
                                           .finish = loader_finish,
                                           .close = loader_close};
    loader->table = context;
    *sink = &loader->sink;
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
                   .name = "bank",
                   .freeze = table_freeze,
                   .snapshot = table_snapshot,
                   .thaw = table_thaw,
                   .list = table_list,
                   .release = table_release,
                   .produce = table_produce},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .thawed = PTHREAD_COND_INITIALIZER,
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

static int restore(const char *directory, struct table *into)
{
    struct pst_restore_job job;
    struct pst_restore_outcome outcome;
    pst_restore_job_init(&job);
    pst_restore_outcome_init(&outcome);
    job.directory = directory;
    job.open_sink = loader_open;
    job.sink_context = into;
    int error = pst_run_restore(&job, &outcome);
    return error ? fail("restore", error, outcome.message) : 0;
}

/* Whether restored is what the first `transfers` transfers make of expected, which is new. */
static int compare(const struct table *restored, struct table *expected, uint64_t transfers)
{
    while (expected->transfers < transfers)
        transfer(expected);
    if (memcmp(restored->pages, expected->pages, PAGES * sizeof(struct page)) != 0)
        return fail("compare", -EIO, "the restored state is not the state at the cut");
    printf("restored, and as it was at the cut\n");
    return 0;
}

static int run(struct table tables[3], const char *directory)
{
    int error = back_up(&tables[0], directory);
    if (!error)
        error = verify(directory);
    if (!error)
        error = restore(directory, &tables[1]);
    return error ? error : compare(&tables[1], &tables[2], tables[0].cut);
}

int main(int argc, char **argv)
{
    struct table tables[3]; /* in use, restored, expected */
    int error = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: accounts DIRECTORY\n");
        return 2;
    }
    pst_log_set_hook(on_log, NULL);
    for (int i = 0; i < 3; i++)
        if (table_open(&tables[i]) < 0)
            error = fail("table", -ENOMEM, "");
    if (!error)
        error = run(tables, argv[1]);
    for (int i = 0; i < 3; i++)
        table_close(&tables[i]);
    return error ? 1 : 0;
}
