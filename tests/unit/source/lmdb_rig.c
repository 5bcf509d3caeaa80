/* Environments and the children that write them; the test's main thread calls it. */
#include "tests/unit/source/lmdb_rig.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/child.h"

MDB_env *open_env(unsigned flags, size_t map_bytes)
{
    MDB_env *env;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_set_mapsize(env, map_bytes) == 0);
    REQUIRE(mdb_env_open(env, "env", flags | MDB_NOSYNC, 0640) == 0);
    return env;
}

void put_row(MDB_env *env, uint64_t row, size_t bytes)
{
    static char data[1u << 20];
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {sizeof(row), &row}, v = {bytes, data};
    memset(data, (int)row + 1, bytes);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    REQUIRE(mdb_put(txn, dbi, &k, &v, 0) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
}

struct child_work {
    void (*work)(int fd);
    int fd;
};

static int do_work(void *context)
{
    const struct child_work *work = context;
    work->work(work->fd);
    return 0;
}

pid_t in_child(void (*work)(int fd), int fd)
{
    return child_start(do_work, &(struct child_work){work, fd});
}

void wait_for(pid_t pid)
{
    CU_ASSERT_EQUAL(child_wait(pid), 0);
}

void run_child(void (*work)(int fd))
{
    wait_for(in_child(work, -1));
}

void make_nothing(int fd)
{
    (void)fd;
    mdb_env_close(open_env(0, MAP_BYTES));
}

void fill(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    for (uint64_t row = 0; row < 20; row++)
        put_row(env, row, 500000);
    mdb_env_close(env);
}

void write_one(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    put_row(env, 1, 600000);
    mdb_env_close(env);
}

/* Says that it holds the lock, and holds it until it is killed. */
static void hold_lock(int fd)
{
    MDB_txn *txn;
    MDB_env *env = open_env(0, MAP_BYTES);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(write(fd, "x", 1) == 1);
    for (;;)
        pause();
}

pid_t start_holder(void)
{
    int ends[2];
    char byte;
    REQUIRE(pipe(ends) == 0);
    pid_t pid = in_child(hold_lock, ends[1]);
    REQUIRE(read(ends[0], &byte, 1) == 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

void end_holder(pid_t pid)
{
    kill(pid, SIGKILL);
    (void)child_wait(pid);
}

struct pst_source *make(void (*work)(int fd))
{
    make_directory();
    REQUIRE(mkdir("env", 0750) == 0);
    run_child(work);
    return open_source("lmdb:env");
}

void done(struct pst_source *source)
{
    pst_source_close(source);
    remove_directory();
}

int cut(struct pst_source *source)
{
    int error = pst_source_prepare(source);
    if (!error)
        error = pst_source_freeze(source, in_patience());
    if (!error)
        error = pst_source_snapshot(source, 1);
    if (!error)
        error = pst_source_thaw(source);
    return error;
}

/* The pages of a snapshot as a restore would have them, as an environment of its own. */
void restore(struct pst_source *source, const struct collected *collected)
{
    struct pst_object object;
    CU_ASSERT_TRUE_FATAL(find_object(collected, "data.mdb", &object));
    CU_ASSERT_EQUAL(object.type, PST_OBJECT_ENVIRONMENT);
    uint8_t *data = read_object(source, collected, &object);
    mkdir("restored", 0700);
    unlink("restored/data.mdb");
    write_file("restored/data.mdb", data, object.size);
    free(data);
}

/* Length of row 1 in the restored environment, which LMDB opens and walks. */
size_t restored_row(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t row = 1;
    MDB_val k = {sizeof(row), &row}, v = {0};
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, "restored", MDB_RDONLY, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    CU_ASSERT_EQUAL(mdb_get(txn, dbi, &k, &v), 0);
    for (size_t i = 0; i < v.mv_size; i++)
        if (((char *)v.mv_data)[i] != 2) {
            CU_FAIL("a byte of the row differs");
            break;
        }
    size_t bytes = v.mv_size;
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return bytes;
}
