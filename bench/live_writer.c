/* The writer of the live bench: runs in a child process, which live.c starts and kills. */
#include "bench/live_writer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "bench/figures.h"
#include "bench/program.h"
#include "engine/base/clock.h"

#define BULK_ROW_BYTES 3900u /* a page each */
#define BULK_ROWS_A_COMMIT 4096u
#define SMALL_PUTS 4u
#define SMALL_BYTES 100u
#define KEYS 10000u
#define LARGE_KEYS 200u
#define LARGE_BYTES_MAX 16384u
#define MAP_BYTES_MORE (UINT64_C(64) << 30) /* a snapshot may pin what it likes */

struct writer {
    MDB_env *env;
    MDB_dbi bulk, small, large;
    struct figures_lot lot;
    uint8_t noise[LARGE_BYTES_MAX];
};

static void must(int code, const char *what)
{
    if (code == 0)
        return;
    (void)fprintf(stderr, "penstock-bench: %s: %s\n", what, mdb_strerror(code));
    exit(1);
}

struct live_commits *live_commits_map(void)
{
    void *memory = mmap(NULL, sizeof(struct live_commits), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bench_must(memory != MAP_FAILED, "memory");
    return memory;
}

static void writer_open(struct writer *writer, const char *path, uint64_t map_bytes, uint64_t seed)
{
    MDB_txn *txn;
    writer->lot = figures_lot_of(seed);
    for (uint32_t i = 0; i < sizeof(writer->noise); i += 8) {
        uint64_t draw = figures_draw(&writer->lot);
        memcpy(writer->noise + i, &draw, sizeof(draw));
    }
    must(mdb_env_create(&writer->env), path);
    must(mdb_env_set_maxdbs(writer->env, 3), path);
    if (map_bytes > 0)
        must(mdb_env_set_mapsize(writer->env, map_bytes), path);
    must(mdb_env_open(writer->env, path, MDB_NOSYNC, 0600), path);
    must(mdb_txn_begin(writer->env, NULL, 0, &txn), path);
    must(mdb_dbi_open(txn, "bulk", MDB_CREATE | MDB_INTEGERKEY, &writer->bulk), path);
    must(mdb_dbi_open(txn, "small", MDB_CREATE | MDB_INTEGERKEY, &writer->small), path);
    must(mdb_dbi_open(txn, "large", MDB_CREATE | MDB_INTEGERKEY, &writer->large), path);
    must(mdb_txn_commit(txn), path);
}

static void put(struct writer *writer, MDB_txn *txn, MDB_dbi table, uint64_t key, size_t bytes)
{
    MDB_val name = {sizeof(key), &key}, value = {bytes, writer->noise};
    must(mdb_put(txn, table, &name, &value, 0), "mdb_put");
}

void live_environment_make(const char *path, uint64_t bytes, uint64_t seed)
{
    static struct writer writer;
    uint64_t rows = bytes / 4096;
    bench_must(mkdir(path, 0700) == 0, path);
    writer_open(&writer, path, bytes + MAP_BYTES_MORE, seed);
    for (uint64_t row = 0; row < rows;) {
        MDB_txn *txn;
        must(mdb_txn_begin(writer.env, NULL, 0, &txn), path);
        for (uint64_t end = row + BULK_ROWS_A_COMMIT; row < rows && row < end; row++)
            put(&writer, txn, writer.bulk, row, BULK_ROW_BYTES);
        must(mdb_txn_commit(txn), path);
    }
    must(mdb_env_sync(writer.env, 1), path);
    mdb_env_close(writer.env);
}

static void commit_one(struct writer *writer)
{
    MDB_txn *txn;
    must(mdb_txn_begin(writer->env, NULL, 0, &txn), "mdb_txn_begin");
    for (uint32_t i = 0; i < SMALL_PUTS; i++)
        put(writer, txn, writer->small, figures_draw(&writer->lot) % KEYS, SMALL_BYTES);
    put(writer, txn, writer->large, figures_draw(&writer->lot) % LARGE_KEYS,
        64 + figures_draw(&writer->lot) % (LARGE_BYTES_MAX - 64));
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void run(const char *path, struct live_commits *commits, uint64_t seed)
{
    static struct writer writer;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    writer_open(&writer, path, 0, seed);
    for (uint64_t i = 0; i < LIVE_COMMITS_MAX; i++) {
        uint64_t began_ns = pst_monotonic_ns();
        commit_one(&writer);
        uint64_t end_ns = pst_monotonic_ns();
        commits->commits[i] = (struct live_commit){end_ns, end_ns - began_ns};
        __atomic_store_n(&commits->count, i + 1, __ATOMIC_RELEASE);
    }
}

pid_t live_writer_start(const char *path, struct live_commits *commits, uint64_t seed)
{
    (void)fflush(stdout);
    pid_t child = fork();
    bench_must(child >= 0, "fork");
    if (child > 0)
        return child;
    run(path, commits, seed);
    _exit(0);
}
