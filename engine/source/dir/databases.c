/* Tells databases by the files that their servers keep. Called by dir_list.c on the source's
 * thread. */
#include "engine/source/dir/databases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"

#define NAME_BYTES_MAX 256u
/* Where SQLite locks its files, whose first byte is PENDING_BYTE (its file format, 2.3.1). */
#define SQLITE_LOCKS_FROM UINT64_C(0x40000000)
#define SQLITE_LOCKS_UNTIL (SQLITE_LOCKS_FROM + 512)

/* A file by which a database in use is known. */
struct mark {
    const char *name; /* or the end of the name, if is_end: the database is the file without it */
    bool is_end;
    const char *beside;   /* another file there; NULL: none is needed */
    const char *unless;   /* another file there, which is a mark itself; NULL: there is none */
    uint64_t from, until; /* where the locks are, of the file, or of the database if is_end; 0, 0:
                             that the mark is there says it all */
    const char *kind, *advice;
};

static const char use_dump[] = "mariadb-backup or mysqldump";
static const char use_sqlite[] = "sqlite3 .backup or VACUUM INTO";

static const struct mark marks[] = {
    {.name = "postmaster.pid",
     .beside = "PG_VERSION",
     .kind = "PostgreSQL",
     .advice = "pg_basebackup or pg_dump"},
    {.name = "ibdata1", .until = UINT64_MAX, .kind = "MySQL", .advice = use_dump},
    {.name = "mysql.ibd",
     .unless = "ibdata1",
     .until = UINT64_MAX,
     .kind = "MySQL",
     .advice = use_dump},
    {.name = "-wal",
     .is_end = true,
     .from = SQLITE_LOCKS_FROM,
     .until = SQLITE_LOCKS_UNTIL,
     .kind = "SQLite",
     .advice = use_sqlite},
    {.name = "-journal",
     .is_end = true,
     .from = SQLITE_LOCKS_FROM,
     .until = SQLITE_LOCKS_UNTIL,
     .kind = "SQLite",
     .advice = use_sqlite},
    {.name = "LOCK",
     .beside = "CURRENT",
     .until = UINT64_MAX,
     .kind = "RocksDB or LevelDB",
     .advice = "its own checkpoint"},
    {.name = "lock.mdb",
     .beside = "data.mdb",
     .until = UINT64_MAX,
     .kind = "LMDB",
     .advice = "an lmdb: source"},
};

static bool ends_in(const char *name, size_t bytes, const char *end)
{
    size_t end_bytes = strlen(end);
    return bytes > end_bytes && memcmp(name + bytes - end_bytes, end, end_bytes) == 0;
}

static const struct mark *find_mark(const char *name)
{
    size_t bytes = strlen(name);
    if (!strchr("d1lKb", name[bytes - 1])) /* the last letter of any mark */
        return NULL;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (marks[i].is_end ? ends_in(name, bytes, marks[i].name)
                            : strcmp(name, marks[i].name) == 0)
            return &marks[i];
    }
    return NULL;
}

static bool is_there(int directory, const char *name)
{
    return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Once for a listing: what is opened later is missed. */
static const struct locks *locks_of(struct databases *databases)
{
    if (!databases->has_locks) {
        int error = locks_read(&databases->locks);
        if (error)
            pst_log(PST_LOG_INFO,
                    "/proc/locks: %s: databases in use are not recognised by their locks",
                    pst_error_text(error));
    }
    databases->has_locks = true;
    return &databases->locks;
}

/* *status: of what is locked. */
static bool is_locked(struct databases *databases, int directory, const char *name,
                      const struct mark *mark, struct stat *status)
{
    char file[NAME_BYTES_MAX];
    size_t bytes = strlen(name) - (mark->is_end ? strlen(mark->name) : 0);
    if (mark->is_end) {
        if (bytes >= sizeof(file))
            return false;
        memcpy(file, name, bytes);
        file[bytes] = '\0';
        if (fstatat(directory, file, status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status->st_mode))
            return false;
    }
    return locks_find(locks_of(databases), status, mark->from, mark->until);
}

/* The path of the file without the mark's end, or of the directory that it is in. */
static const char *path_of(struct databases *databases, const char *path, const struct mark *mark)
{
    size_t bytes = strlen(path) - strlen(mark->name);
    if (!mark->is_end && bytes > 0)
        bytes--; /* the slash */
    memcpy(databases->path, path, bytes);
    databases->path[bytes] = '\0';
    return databases->path;
}

void databases_look(struct databases *databases, int directory, const char *name, const char *path,
                    const struct stat *status)
{
    const struct mark *mark = find_mark(name);
    struct stat locked = *status;
    if (!mark || (mark->beside && !is_there(directory, mark->beside)) ||
        (mark->unless && is_there(directory, mark->unless)))
        return;
    if (mark->until > 0 && !is_locked(databases, directory, name, mark, &locked))
        return;
    const char *database = path_of(databases, path, mark);
    if (!excludes_match(databases->excludes, database, false))
        notes_database(databases->notes, mark->kind, database, mark->advice);
}

void databases_look_alone(struct databases *databases, const char *path, const struct stat *status)
{
    if (locks_find(locks_of(databases), status, SQLITE_LOCKS_FROM, SQLITE_LOCKS_UNTIL))
        notes_database(databases->notes, "SQLite", path, use_sqlite);
}

void databases_free(struct databases *databases)
{
    locks_free(&databases->locks);
}
