/*
 * A database in use: what transaction T does is a function of T alone, so that the state after any
 * T can be made again by a replay, whichever processes wrote it, however often they were killed.
 *
 *   lmdb_writer init  ENV [FLAG…]        a new environment, by transaction 1
 *   lmdb_writer run   ENV COUNT [FLAG…]  COUNT transactions (0: until killed, some thousand a
 * second) lmdb_writer replay ENV T             transactions up to T, in an environment that may be
 * new lmdb_writer check ENV                checks the invariants; prints "T DIGEST" of all contents
 *   lmdb_writer pair  ENV ENV…           counts in the first, then in the second, …, until killed
 *   lmdb_writer readers ENV              prints how many readers pin a snapshot, and how many are
 * dead lmdb_writer count ENV                prints what pair counted lmdb_writer hold  ENV MS holds
 * the write lock lmdb_writer load  ENV [FLAG…]        as run, without a pause, and tells the time
 * of each commit
 *
 * FLAG: nosync, writemap, mapasync, nometasync, nolock, file (MDB_NOSUBDIR), small (a map of 64
 * MiB), rows (check: restored row by row, so that its transactions count from 1 again)
 *
 * Invariants: money moves between accounts of three databases, and is never more or less in all;
 * "history" has a row for each transaction, in order; "state" has their number.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#define BANKS 3u
#define ACCOUNTS 100u
#define BALANCE 1000000
#define BLOBS 800u
#define BLOB_BYTES_MAX 65536u
#define PAIR_MAX 8u

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "lmdb_writer: %s: %s\n", what, mdb_strerror(rc));
    exit(1);
}

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "lmdb_writer: not so: %s\n", what);
    exit(1);
}

/* ---- environments ---- */

static const struct {
    const char *name;
    unsigned flag;
} flag_names[] = {
    {"nosync", MDB_NOSYNC},         {"writemap", MDB_WRITEMAP}, {"mapasync", MDB_MAPASYNC},
    {"nometasync", MDB_NOMETASYNC}, {"nolock", MDB_NOLOCK},     {"file", MDB_NOSUBDIR},
};

/* Restored row by row: its transactions are none of the history's. */
static bool is_of_rows;

static unsigned parse_flags(char **names, bool *small)
{
    unsigned flags = 0;
    for (; *names; names++) {
        unsigned flag = 0;
        for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
            if (strcmp(*names, flag_names[i].name) == 0)
                flag = flag_names[i].flag;
        *small |= strcmp(*names, "small") == 0;
        is_of_rows |= strcmp(*names, "rows") == 0;
        require(flag != 0 || strcmp(*names, "small") == 0 || strcmp(*names, "rows") == 0, *names);
        flags |= flag;
    }
    return flags;
}

static MDB_env *open_env(const char *path, unsigned flags, bool small)
{
    MDB_env *env;
    must(mdb_env_create(&env), "create");
    must(mdb_env_set_maxdbs(env, 16), "maxdbs");
    must(mdb_env_set_mapsize(env, small ? 64u << 20 : (size_t)4 << 30), "mapsize");
    must(mdb_env_open(env, path, flags, 0640), path);
    return env;
}

static MDB_dbi table(MDB_txn *txn, const char *name, unsigned flags)
{
    MDB_dbi dbi;
    must(mdb_dbi_open(txn, name, flags, &dbi), name);
    return dbi;
}

struct tables {
    MDB_dbi banks[BANKS], blobs, history, state;
};

static struct tables open_tables(MDB_txn *txn, unsigned flags)
{
    struct tables tables = {.blobs = table(txn, "blobs", flags | MDB_INTEGERKEY),
                            .history = table(txn, "history", flags | MDB_INTEGERKEY),
                            .state = table(txn, "state", flags)};
    for (unsigned i = 0; i < BANKS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "bank%u", i);
        tables.banks[i] = table(txn, name, flags | MDB_INTEGERKEY);
    }
    return tables;
}

/* ---- what a transaction does ---- */

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static void put(MDB_txn *txn, MDB_dbi dbi, uint64_t key, const void *data, size_t bytes)
{
    MDB_val k = {sizeof(key), &key}, v = {bytes, (void *)(uintptr_t)data};
    must(mdb_put(txn, dbi, &k, &v, 0), "put");
}

static void add_to(MDB_txn *txn, MDB_dbi bank, uint64_t account, int64_t amount)
{
    MDB_val k = {sizeof(account), &account}, v;
    int64_t balance;
    must(mdb_get(txn, bank, &k, &v), "get an account");
    memcpy(&balance, v.mv_data, sizeof(balance));
    balance += amount;
    put(txn, bank, account, &balance, sizeof(balance));
}

static void put_blob(MDB_txn *txn, const struct tables *tables, uint64_t blob, uint64_t id)
{
    static uint64_t words[BLOB_BYTES_MAX / 8];
    uint64_t random = mix(id * 7 + blob);
    size_t bytes = 64 + random % (BLOB_BYTES_MAX - 64);
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        words[i] = random + i * id;
    put(txn, tables->blobs, blob, words, bytes);
}

static void drop_blob(MDB_txn *txn, const struct tables *tables, uint64_t blob)
{
    MDB_val k = {sizeof(blob), &blob};
    int rc = mdb_del(txn, tables->blobs, &k, NULL);
    must(rc == MDB_NOTFOUND ? 0 : rc, "delete");
}

static void note(MDB_txn *txn, const struct tables *tables, uint64_t id)
{
    uint64_t row[2] = {id, mix(id)};
    MDB_val k = {1, (void *)(uintptr_t) "n"}, v = {sizeof(id), &id};
    put(txn, tables->history, id, row, sizeof(row));
    must(mdb_put(txn, tables->state, &k, &v, 0), "count");
}

/* Transaction 1 makes everything. */
static void perform(MDB_txn *txn, struct tables *tables)
{
    uint64_t id = mdb_txn_id(txn);
    int64_t balance = BALANCE;
    if (id == 1) {
        *tables = open_tables(txn, MDB_CREATE);
        for (uint64_t i = 0; i < BANKS * ACCOUNTS; i++)
            put(txn, tables->banks[i % BANKS], i / BANKS, &balance, sizeof(balance));
        for (uint64_t i = 0; i < BLOBS; i++)
            put_blob(txn, tables, i, 1);
    } else {
        uint64_t random = mix(id);
        int64_t amount = (int64_t)(random % 1000);
        add_to(txn, tables->banks[random % BANKS], (random >> 8) % ACCOUNTS, -amount);
        add_to(txn, tables->banks[(random >> 16) % BANKS], (random >> 24) % ACCOUNTS, amount);
        put_blob(txn, tables, (random >> 32) % BLOBS, id);
        if (random >> 60 == 0)
            drop_blob(txn, tables, (random >> 40) % BLOBS);
    }
    note(txn, tables, id);
}

static int write_until(MDB_env *env, uint64_t last, uint64_t count)
{
    MDB_txn *txn;
    struct tables tables = {0};
    bool opened = false;
    const struct timespec pause = {.tv_nsec = 400000};
    for (uint64_t done = 0; count == 0 || done < count; done++) {
        must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        if (mdb_txn_id(txn) > last) {
            mdb_txn_abort(txn);
            break;
        }
        if (!opened && mdb_txn_id(txn) > 1)
            tables = open_tables(txn, 0);
        opened = true;
        perform(txn, &tables);
        if (count == 0 && mix(done ^ (uint64_t)getpid()) % 50 == 0) {
            mdb_txn_abort(txn); /* now and then one is given up */
            opened = false;
            continue;
        }
        must(mdb_txn_commit(txn), "commit");
        if (count == 0)
            nanosleep(&pause, NULL);
    }
    mdb_env_close(env);
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* For bench/lmdb_writers: commits as fast as it can, and says when each began and ended, in ns of
 * CLOCK_MONOTONIC, as two words in the machine's order. */
static _Noreturn void load(MDB_env *env)
{
    MDB_txn *txn;
    struct tables tables = {0};
    for (bool opened = false;; opened = true) {
        uint64_t times[2] = {now_ns()};
        must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        if (!opened)
            tables = open_tables(txn, 0);
        perform(txn, &tables);
        must(mdb_txn_commit(txn), "commit");
        times[1] = now_ns();
        require(fwrite(times, sizeof(times), 1, stdout) == 1, "standard output takes the times");
    }
}

/* ---- what it must come to ---- */

static uint64_t digest_of(uint64_t digest, const MDB_val *value)
{
    const unsigned char *bytes = value->mv_data;
    digest = mix(digest ^ value->mv_size);
    size_t i = 0;
    for (; i + 8 <= value->mv_size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        digest = mix(digest ^ word);
    }
    for (; i < value->mv_size; i++)
        digest = mix(digest ^ bytes[i]);
    return digest;
}

struct walk {
    uint64_t rows, digest;
    uint64_t sum; /* of the first eight bytes of the values, modulo 2^64 */
};

static struct walk walk_table(MDB_txn *txn, MDB_dbi dbi, uint64_t digest)
{
    struct walk walk = {.digest = digest};
    MDB_cursor *cursor;
    MDB_val k, v;
    must(mdb_cursor_open(txn, dbi, &cursor), "cursor");
    int rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        uint64_t word = 0;
        memcpy(&word, v.mv_data, v.mv_size < 8 ? v.mv_size : 8);
        walk.sum += word;
        walk.rows++;
        walk.digest = digest_of(digest_of(walk.digest, &k), &v);
    }
    require(rc == MDB_NOTFOUND, mdb_strerror(rc));
    mdb_cursor_close(cursor);
    return walk;
}

static void check_history(MDB_txn *txn, const struct tables *tables, uint64_t last)
{
    for (uint64_t id = 1; id <= last; id++) {
        MDB_val k = {sizeof(id), &id}, v;
        uint64_t row[2];
        must(mdb_get(txn, tables->history, &k, &v), "a row of the history");
        memcpy(row, v.mv_data, sizeof(row));
        require(row[0] == id && row[1] == mix(id), "a row of the history is as written");
    }
}

static int check(MDB_env *env)
{
    MDB_txn *txn;
    uint64_t money = 0;
    uint64_t last = 0;
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    const struct tables tables = open_tables(txn, 0);
    struct walk walk = {0};
    for (unsigned i = 0; i < BANKS; i++) {
        walk = walk_table(txn, tables.banks[i], walk.digest);
        require(walk.rows == ACCOUNTS, "no account is lost");
        money += walk.sum;
    }
    require(money == (uint64_t)BALANCE * BANKS * ACCOUNTS, "no money is lost or made");
    walk = walk_table(txn, tables.blobs, walk.digest);
    walk = walk_table(txn, tables.history, walk.digest);
    MDB_val k = {1, (void *)(uintptr_t) "n"}, v;
    must(mdb_get(txn, tables.state, &k, &v), "state");
    memcpy(&last, v.mv_data, sizeof(last));
    require(walk.rows == last && (is_of_rows || last == mdb_txn_id(txn)),
            "a row for each transaction");
    check_history(txn, &tables, last);
    printf("%" PRIu64 " %016" PRIx64 "\n", last, walk.digest);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}

/* ---- the others ---- */

static void count_up(MDB_env *env, uint64_t number)
{
    MDB_txn *txn;
    must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    put(txn, table(txn, "count", MDB_CREATE), 0, &number, sizeof(number));
    must(mdb_txn_commit(txn), "commit");
}

static uint64_t counted(MDB_env *env)
{
    MDB_txn *txn;
    uint64_t key = 0, number = 0;
    MDB_val k = {sizeof(key), &key}, v;
    MDB_dbi dbi;
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    int rc = mdb_dbi_open(txn, "count", 0, &dbi);
    if (rc == 0) {
        must(mdb_get(txn, dbi, &k, &v), "count");
        memcpy(&number, v.mv_data, sizeof(number));
    }
    must(rc == MDB_NOTFOUND ? 0 : rc, "count");
    mdb_txn_abort(txn);
    return number;
}

static int count(MDB_env *env)
{
    printf("%" PRIu64 "\n", counted(env));
    mdb_env_close(env);
    return 0;
}

static _Noreturn void pair(char **paths)
{
    const struct timespec pause = {.tv_nsec = 200000};
    MDB_env *envs[PAIR_MAX];
    size_t envs_count = 0;
    for (; paths[envs_count]; envs_count++) {
        require(envs_count < PAIR_MAX, "so many environments can be opened");
        envs[envs_count] = open_env(paths[envs_count], MDB_NOSYNC, false);
    }
    /* Killed in between, it goes on where it was. */
    for (uint64_t number = counted(envs[envs_count - 1]) + 1;; number++) {
        for (size_t i = 0; i < envs_count; i++)
            count_up(envs[i], number);
        nanosleep(&pause, NULL);
    }
}

/* A line of mdb_reader_list(): process, thread, transaction; "-" for who reads none now. */
static int count_pinned(const char *text, void *context)
{
    unsigned long process, thread, transaction;
    int *pinned = context;
    *pinned += sscanf(text, "%lu %lx %lu", &process, &thread, &transaction) == 3;
    return 0;
}

static int readers(MDB_env *env)
{
    int pinned = 0, dead = 0;
    require(mdb_reader_list(env, count_pinned, &pinned) >= 0, "the readers can be listed");
    must(mdb_reader_check(env, &dead), "check the readers");
    printf("%d %d\n", pinned, dead);
    mdb_env_close(env);
    return 0;
}

static int hold(MDB_env *env, long ms)
{
    MDB_txn *txn;
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    puts("held");
    fflush(stdout);
    nanosleep(&pause, NULL);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}

static int usage(void)
{
    fputs("usage: lmdb_writer init|run|replay|check|pair|count|readers|hold|load ENV …\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    bool small = false;
    if (argc < 3)
        return usage();
    const char *command = argv[1], *path = argv[2];
    if (strcmp(command, "init") == 0) {
        unsigned flags = parse_flags(argv + 3, &small);
        return write_until(open_env(path, flags, small), UINT64_MAX, 1);
    }
    if (strcmp(command, "check") == 0)
        return check(open_env(path, MDB_RDONLY | parse_flags(argv + 3, &small), false));
    if (strcmp(command, "load") == 0) {
        unsigned flags = parse_flags(argv + 3, &small);
        load(open_env(path, flags, small));
    }
    if (strcmp(command, "count") == 0)
        return count(open_env(path, MDB_RDONLY, false));
    if (strcmp(command, "readers") == 0)
        return readers(open_env(path, MDB_RDONLY, false));
    if (argc < 4)
        return usage();
    uint64_t number = strtoull(argv[3], NULL, 10);
    if (strcmp(command, "run") == 0) {
        unsigned flags = parse_flags(argv + 4, &small);
        return write_until(open_env(path, flags, small), UINT64_MAX, number);
    }
    if (strcmp(command, "replay") == 0)
        return write_until(open_env(path, MDB_NOSYNC | MDB_WRITEMAP, false), number, UINT64_MAX);
    if (strcmp(command, "hold") == 0)
        return hold(open_env(path, 0, false), (long)number);
    if (strcmp(command, "pair") == 0)
        pair(argv + 2);
    return usage();
}
