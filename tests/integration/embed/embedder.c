/*
 * A storage engine that embeds nodes: tables in memory, one for each node, of which the first is
 * written to by transfers between it and an LMDB environment that another node backs up.
 *
 *     embedder run CLUSTER FABRIC DISK MEMORY ENVIRONMENT ID…    until SIGTERM
 *     embedder check TABLE ENVIRONMENT                           what was restored of both
 *
 * Transfer n adds an amount to the table first, and then takes it from the environment, so in every
 * consistent cut the environment has n transfers, and the table n or n + 1. Files in MEMORY make
 * its listing fail ("fail", with the text in it), wait for the end of the backup ("wait"), or hang
 * as long as they are there ("hang"); with "late", the table is listed once a file listed before
 * has been read. Once its nodes are ready it goes to another directory, as a daemon does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <lmdb.h>

#include "penstock/penstock.h"

#define CELLS 50000u
#define NODES_MAX 4u

struct state {
    uint64_t transfers;
    int64_t cells[CELLS];
};

struct table {
    struct pst_source source; /* first */
    pthread_mutex_t lock;
    pthread_cond_t thawed;
    bool is_frozen;
    struct state now, snapshot;
    uint64_t cut; /* to be read before the snapshot is, with "late" */
};

struct engine {
    struct table table;
    pthread_t thread;
    struct pst_node_job job;
    struct pst_backup_job backup;
    struct pst_source *sources[1];
    char socket[256], directory[256];
    int result;
};

static const char *memory;            /* folder of the files that say what to do */
static const struct pst_source *told; /* whom they are for */
static atomic_bool must_stop;
static atomic_int getting_ready; /* nodes */

static void die(const char *what, int error)
{
    fprintf(stderr, "embedder: %s: %s\n", what, pst_error_text(error));
    exit(1);
}

/* ---- the engine ---- */

static int64_t amount_of(uint64_t n)
{
    n = (n ^ (n >> 31)) * UINT64_C(0x9E3779B97F4A7C15);
    return (int64_t)(n >> 54) + 1;
}

static void add_transfer(struct state *state)
{
    uint64_t n = ++state->transfers;
    state->cells[n * 7919 % CELLS] += amount_of(n);
}

struct ledger {
    uint64_t transfers;
    int64_t taken;
};

/* By default a map has 1 MiB, which the writer fills while a backup holds its snapshot for 20 ms.
 */
#define MAP_BYTES ((size_t)1 << 30)

static void open_environment(const char *path, unsigned flags, MDB_env **environment)
{
    int error = mdb_env_create(environment);
    if (!error)
        error = mdb_env_set_mapsize(*environment, MAP_BYTES);
    if (!error)
        error = mdb_env_open(*environment, path, flags, 0644);
    if (error)
        die(path, error > 0 ? -error : -EIO);
}

/* Reads, and with next writes, the one record. */
static void touch_ledger(MDB_env *environment, struct ledger *ledger, bool next)
{
    static char name[] = "ledger";
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {sizeof(name), name}, value;
    memset(ledger, 0, sizeof(*ledger));
    int error = mdb_txn_begin(environment, NULL, next ? 0 : MDB_RDONLY, &txn);
    if (!error)
        error = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (!error && mdb_get(txn, dbi, &key, &value) == 0)
        memcpy(ledger, value.mv_data, sizeof(*ledger));
    if (!error && next) {
        ledger->taken += amount_of(++ledger->transfers);
        value = (MDB_val){sizeof(*ledger), ledger};
        error = mdb_put(txn, dbi, &key, &value, 0);
    }
    if (!error)
        error = mdb_txn_commit(txn);
    if (error)
        die(mdb_strerror(error), -EIO);
}

/* What is in memory is gone after a crash, and made again from what is not. */
static void recover(struct table *table, const char *path)
{
    struct ledger ledger = {0};
    MDB_env *environment;
    open_environment(path, 0, &environment);
    touch_ledger(environment, &ledger, true);
    mdb_env_close(environment);
    while (table->now.transfers < ledger.transfers)
        add_transfer(&table->now);
}

struct writer {
    struct table *table;
    const char *path;
};

static void *write_on(void *argument)
{
    const struct writer *writer = argument;
    struct table *table = writer->table;
    struct ledger ledger;
    MDB_env *environment;
    open_environment(writer->path, MDB_NOSYNC, &environment);
    while (!atomic_load(&must_stop)) {
        pthread_mutex_lock(&table->lock);
        while (table->is_frozen)
            pthread_cond_wait(&table->thawed, &table->lock);
        add_transfer(&table->now);
        pthread_mutex_unlock(&table->lock);
        touch_ledger(environment, &ledger, true);
        usleep(200);
    }
    mdb_env_close(environment);
    return NULL;
}

/* ---- its source ---- */

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
    table->snapshot = table->now;
    table->cut = table->now.transfers;
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

static bool is_told(const struct pst_source *source, const char *what)
{
    char path[512];
    if (source != told)
        return false;
    snprintf(path, sizeof(path), "%s/%s", memory, what);
    return access(path, F_OK) == 0;
}

static int list_bytes(struct table *table, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing, const char *name, const void *bytes,
                      size_t count)
{
    uint8_t entry[1024];
    size_t entry_bytes = 0;
    struct pst_fragment_descriptor *slot;
    const struct pst_object object = {
        .id = pst_source_object_id(&table->source, ++listing->objects),
        .type = PST_OBJECT_FILE,
        .path = name,
        .size = count,
        .mode = 0644,
        .uid = geteuid(),
        .gid = getegid(),
    };
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = count};
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, true);
    if (!error)
        error = pst_fragment_add_file(slot, &file);
    if (!error)
        error = pst_fragment_add_extent(slot, 0, count, bytes);
    if (error)
        return error;
    listing->fragments++;
    listing->bytes += count;
    return sink->emit(sink, slot);
}

static int fail_as_told(struct table *table)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/fail", memory);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, table->source.error_text, PST_SOURCE_TEXT_BYTES);
    close(fd);
    return got < 0 ? -errno : -EREMOTEIO;
}

static int table_list(struct pst_source *source, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    struct table *table = (struct table *)source;
    struct pst_fragment_descriptor *slot;
    int error = 0;
    pst_log(PST_LOG_INFO, "the table of %s has %llu transfers", source->name,
            (unsigned long long)table->cut);
    while (is_told(source, "hang"))
        usleep(10000);
    while (!error && is_told(source, "wait")) {
        usleep(10000);
        error = sink->acquire(sink, &slot);
    }
    if (!error && is_told(source, "fail"))
        error = fail_as_told(table);
    if (!error && is_told(source, "late")) {
        error = list_bytes(table, sink, listing, "early", &table->cut, sizeof(table->cut));
        if (!error)
            error = sink->wait_read(sink);
        table->cut = UINT64_MAX; /* nobody reads it any more */
    }
    return error ? error
                 : list_bytes(table, sink, listing, "table", &table->snapshot,
                              sizeof(table->snapshot));
}

/* ---- running nodes ---- */

static void on_log(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    fprintf(stderr, "embedder: %d: %s\n", (int)level, message);
}

static void on_ready(void *context)
{
    const struct engine *engine = context;
    pst_log(PST_LOG_INFO, "node %u is ready", engine->job.node);
    if (atomic_fetch_sub(&getting_ready, 1) == 1 && chdir("/") < 0)
        die("/", -errno);
}

static void *run_node(void *argument)
{
    struct engine *engine = argument;
    struct pst_node_outcome outcome;
    pst_node_outcome_init(&outcome);
    engine->result = pst_node_run(&engine->job, &outcome);
    if (engine->result)
        fprintf(stderr, "embedder: node %u: %s: %s\n", engine->job.node,
                pst_error_name(engine->result), outcome.message);
    return NULL;
}

static void prepare(struct engine *engine, char **arguments, const char *id, int stop_fd)
{
    struct pst_source *source = &engine->table.source;
    engine->table.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    engine->table.thawed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    *source = (struct pst_source){.struct_bytes = sizeof(*source),
                                  .abi_version = PST_SOURCE_ABI_VERSION,
                                  .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                                  .root_fd = -1,
                                  .type = "memory",
                                  .freeze = table_freeze,
                                  .snapshot = table_snapshot,
                                  .thaw = table_thaw,
                                  .list = table_list};
    snprintf(source->name, sizeof(source->name), "table%s", id);
    snprintf(engine->socket, sizeof(engine->socket), "%s/%s.socket", arguments[3], id);
    snprintf(engine->directory, sizeof(engine->directory), "%s/to%s", arguments[2], id);
    pst_backup_job_init(&engine->backup);
    engine->sources[0] = source;
    engine->backup.sources = engine->sources;
    engine->backup.sources_count = 1;
    engine->backup.directory = engine->directory;
    engine->backup.run.ldms = 2;
    engine->backup.hang_limit_ns = UINT64_C(3000000000);
    engine->backup.freeze_wait_ns = UINT64_C(30000000000);
    pst_node_job_init(&engine->job);
    engine->job.node = (uint32_t)atoi(id);
    engine->job.cluster = arguments[0];
    engine->job.fabric_directory = arguments[1];
    engine->job.socket_path = engine->socket;
    engine->job.backup = &engine->backup;
    engine->job.failure_ns = UINT64_C(10000000000);
    engine->job.stop_fd = stop_fd;
    engine->job.on_ready = on_ready;
    engine->job.context = engine;
}

static int stop_on_sigterm(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd", -errno);
    return fd;
}

static int run(int count, char **arguments)
{
    static struct engine engines[NODES_MAX];
    pthread_t thread;
    int nodes = count - 5, result = 0, stop_fd = stop_on_sigterm();
    struct writer writer = {&engines[0].table, arguments[4]};
    memory = arguments[3];
    told = &engines[0].table.source;
    pst_log_set_hook(on_log, NULL);
    recover(&engines[0].table, arguments[4]);
    atomic_store(&getting_ready, nodes);
    for (int i = 0; i < nodes; i++)
        prepare(&engines[i], arguments, arguments[5 + i], stop_fd);
    if (pthread_create(&thread, NULL, write_on, &writer) != 0)
        return 1;
    for (int i = 0; i < nodes; i++) {
        if (pthread_create(&engines[i].thread, NULL, run_node, &engines[i]) != 0)
            return 1;
    }
    for (int i = 0; i < nodes; i++) {
        pthread_join(engines[i].thread, NULL);
        result |= engines[i].result;
    }
    atomic_store(&must_stop, true);
    pthread_join(thread, NULL);
    return result ? 1 : 0;
}

/* ---- what was restored ---- */

static int check(char **arguments)
{
    static struct state restored, expected;
    struct ledger ledger;
    MDB_env *environment;
    int64_t sum = 0;
    int fd = open(arguments[0], O_RDONLY);
    if (fd < 0 || read(fd, &restored, sizeof(restored)) != (ssize_t)sizeof(restored))
        die(arguments[0], -errno);
    while (expected.transfers < restored.transfers)
        add_transfer(&expected);
    open_environment(arguments[1], MDB_RDONLY, &environment);
    touch_ledger(environment, &ledger, false);
    mdb_env_close(environment);
    close(fd);
    uint64_t ahead = restored.transfers - ledger.transfers;
    for (uint32_t i = 0; i < CELLS; i++)
        sum += restored.cells[i];
    int64_t under_way = ahead == 1 ? amount_of(restored.transfers) : 0;
    bool is_exact = memcmp(&restored, &expected, sizeof(restored)) == 0;
    printf("table %llu transfers, environment %llu\n", (unsigned long long)restored.transfers,
           (unsigned long long)ledger.transfers);
    return is_exact && ahead <= 1 && ledger.taken + under_way == sum ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 8 && argc <= 7 + (int)NODES_MAX && strcmp(argv[1], "run") == 0)
        return run(argc - 2, argv + 2);
    if (argc == 4 && strcmp(argv[1], "check") == 0)
        return check(argv + 2);
    fprintf(stderr, "usage: embedder run CLUSTER FABRIC DISK MEMORY ENVIRONMENT ID… | check TABLE "
                    "ENVIRONMENT\n");
    return 2;
}
