#include "engine/source/lmdb/lmdb.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_guard.h"
#include "engine/source/lmdb/lmdb_rows.h"

/* Small enough that a small environment is shared out among several LDMs, large enough that dealing
 * one costs nothing beside reading it. */
#define FRAGMENT_BYTES (8u << 20)
#define DETAILS_BYTES 320u

struct lmdb_source {
    struct pst_source source; /* first */
    struct pst_lmdb_guard guard;
    char *path;            /* absolute, no symlinks; owned */
    const char *data;      /* the data file's name below root_fd */
    struct stat directory; /* of the environment, at the snapshot; unused for a single file */
    struct stat file;
    struct pst_lmdb_rows *rows; /* of a logical backup, from freeze to release */
    char details[DETAILS_BYTES];
};

static struct lmdb_source *lmdb_of(struct pst_source *source)
{
    return (struct lmdb_source *)source;
}

/* Logs what the guard said of an error, and returns that. */
static int told(const struct lmdb_source *lmdb, int error, const struct pst_lmdb_answer *answer)
{
    if (error && answer->text[0])
        pst_log(PST_LOG_ERROR, "source %s: %s: %s", lmdb->source.name, lmdb->path, answer->text);
    return error;
}

static int order(struct lmdb_source *lmdb, const struct pst_lmdb_request *request,
                 uint64_t deadline_ns)
{
    struct pst_lmdb_answer answer;
    return told(lmdb, pst_lmdb_guard_call(&lmdb->guard, request, deadline_ns, &answer), &answer);
}

static uint64_t soon_ns(void)
{
    return pst_monotonic_ns() + PST_LMDB_ANSWER_NS;
}

static int start_guard(struct lmdb_source *lmdb, struct pst_lmdb_answer *answer)
{
    int error = pst_lmdb_guard_start(&lmdb->guard, answer);
    if (!error && lmdb->guard.shared->stale_readers > 0)
        pst_log(PST_LOG_INFO, "lmdb:%s: %u reader slots of dead processes were cleared", lmdb->path,
                lmdb->guard.shared->stale_readers);
    return error;
}

/* It says nothing unasked: what can be read between two orders is its end. */
static bool has_guard(const struct lmdb_source *lmdb)
{
    struct pollfd ended = {.fd = lmdb->guard.socket, .events = POLLIN};
    return lmdb->guard.pid != 0 && poll(&ended, 1, 0) == 0;
}

/* After a guard was killed: the next one clears its reader slot as it starts. */
static int replace_guard(struct lmdb_source *lmdb)
{
    struct pst_lmdb_answer answer = {0};
    pst_lmdb_guard_stop(&lmdb->guard);
    return told(lmdb, start_guard(lmdb, &answer), &answer);
}

/* Of lock and snapshot. */
static void let_go(struct lmdb_source *lmdb)
{
    const struct pst_lmdb_request request = {.order = PST_LMDB_RELEASE};
    if (lmdb->guard.pid != 0 && order(lmdb, &request, soon_ns()) == 0)
        return;
    if (replace_guard(lmdb) < 0)
        pst_log(PST_LOG_WARNING,
                "source %s: the reader slot of its guard, which was killed, could not be cleared: "
                "run mdb_stat -rr %s",
                lmdb->source.name, lmdb->path);
}

/* ---- freeze, snapshot, thaw ---- */

static bool is_same(const struct stat *status, dev_t device, ino_t inode)
{
    return status->st_dev == device && status->st_ino == inode;
}

/* The names may stand for another file, or directory, by now than those that are open. */
static int look_at_files(struct lmdb_source *lmdb)
{
    const struct pst_lmdb_shared *shared = lmdb->guard.shared;
    const struct stat *open = lmdb->guard.is_file ? &lmdb->file : &lmdb->directory;
    struct stat named;
    if (fstatat(lmdb->source.root_fd, lmdb->data, &lmdb->file, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(lmdb->source.root_fd, "", &lmdb->directory, AT_EMPTY_PATH) < 0)
        return -errno;
    if (is_same(&lmdb->file, shared->device, shared->inode) && stat(lmdb->path, &named) == 0 &&
        is_same(&named, open->st_dev, open->st_ino))
        return 0;
    pst_log(PST_LOG_ERROR,
            "source %s: %s was renamed, or replaced by another of that name: open it again",
            lmdb->source.name, lmdb->path);
    return -PST_E_CHANGED;
}

static void close_rows(struct lmdb_source *lmdb)
{
    pst_lmdb_rows_close(lmdb->rows);
    lmdb->rows = NULL;
}

static int freeze(struct lmdb_source *lmdb, uint64_t deadline_ns)
{
    const struct pst_source_policy *policy = &lmdb->source.policy;
    const struct pst_lmdb_request request = {.order = PST_LMDB_FREEZE,
                                             .freeze_hold_ns = policy->freeze_hold_ns};
    struct pst_lmdb_shared *shared = lmdb->guard.shared;
    atomic_store(&shared->trouble, 0);
    shared->frozen_ns = 0;
    shared->pinned_ns = 0;
    shared->grown_bytes = 0;
    if (policy->is_alone)
        return 0;
    int error = order(lmdb, &request, deadline_ns);
    if (error != -ETIMEDOUT)
        return error;
    let_go(lmdb);
    return -PST_E_FREEZE;
}

static int lmdb_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    int error = has_guard(lmdb) ? 0 : replace_guard(lmdb);
    if (!error && source->policy.is_logical)
        error = pst_lmdb_rows_open(&lmdb->guard, source->policy.ldms, &lmdb->rows);
    if (!error)
        error = freeze(lmdb, deadline_ns);
    if (error)
        close_rows(lmdb);
    return error;
}

/* Every snapshot that begins while the guard holds its own is as safe. Writers that commit too fast
 * for all readers to begin at one transaction are frozen for that moment. */
static int pin_rows(struct lmdb_source *lmdb)
{
    const struct pst_lmdb_request freeze = {.order = PST_LMDB_FREEZE,
                                            .freeze_hold_ns = lmdb->source.policy.freeze_hold_ns};
    const struct pst_lmdb_request thaw = {.order = PST_LMDB_THAW};
    int error = pst_lmdb_rows_pin(lmdb->rows);
    if (error != -EAGAIN || !lmdb->source.policy.is_alone)
        return error == -EAGAIN ? -PST_E_CHANGED : error;
    error = order(lmdb, &freeze, soon_ns());
    if (error)
        return error == -ETIMEDOUT ? -PST_E_FREEZE : error;
    error = pst_lmdb_rows_pin(lmdb->rows);
    int thawed = order(lmdb, &thaw, soon_ns());
    if (error == -EAGAIN)
        return -PST_E_CHANGED;
    return error ? error : thawed;
}

static int lmdb_snapshot(struct pst_source *source, uint64_t gci)
{
    (void)gci;
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct pst_lmdb_request request = {.order = PST_LMDB_SNAPSHOT,
                                             .is_frozen = !source->policy.is_alone,
                                             .headroom_percent = source->policy.headroom_percent};
    int error = order(lmdb, &request, soon_ns());
    if (error)
        return error;
    error = look_at_files(lmdb);
    if (!error && lmdb->rows)
        error = pin_rows(lmdb);
    if (error)
        let_go(lmdb);
    return error;
}

static void lmdb_thaw(struct pst_source *source)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct pst_lmdb_request request = {.order = PST_LMDB_THAW};
    if (source->policy.is_alone || !lmdb->guard.pid)
        return;
    int error = order(lmdb, &request, soon_ns());
    if (error) /* it is dead, and so holds nothing */
        pst_log(PST_LOG_WARNING, "source %s: writers go on, but not by the guard's doing: %s",
                source->name, pst_error_text(error));
}

/* ---- the scan ---- */

/* Whether the snapshot is pinned still. */
static int look_at_guard(struct lmdb_source *lmdb)
{
    int trouble = atomic_load(&lmdb->guard.shared->trouble);
    if (trouble)
        return -trouble;
    return has_guard(lmdb) ? 0 : -PST_E_GUARD;
}

static int add_object(struct pst_fragment_descriptor *slot, const struct pst_object *object,
                      bool first)
{
    uint8_t entry[PST_OBJECT_FIXED_BYTES + PST_PATH_BYTES_MAX + PST_ROWS_ATTRIBUTE_BYTES_MAX + 16];
    size_t entry_bytes = 0;
    int error = pst_object_encode(object, entry, sizeof(entry), &entry_bytes);
    return error ? error : pst_fragment_add_entry(slot, entry, entry_bytes, first);
}

static struct pst_object describe(const struct lmdb_source *lmdb, const struct stat *status,
                                  enum pst_object_type type, const char *path, uint64_t counter)
{
    return (struct pst_object){
        .id = pst_source_object_id(&lmdb->source, counter),
        .type = type,
        .path = path,
        .mtime_sec = status->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)status->st_mtim.tv_nsec,
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
    };
}

static int add_entries(const struct lmdb_source *lmdb, struct pst_fragment_descriptor *slot,
                       uint64_t size, bool first, struct pst_source_listing *listing)
{
    struct pst_object environment =
        describe(lmdb, &lmdb->file, PST_OBJECT_ENVIRONMENT, lmdb->data, 1);
    environment.size = size;
    int error = add_object(slot, &environment, first);
    if (error || !first)
        return error;
    listing->objects++;
    if (lmdb->guard.is_file)
        return 0;
    struct pst_object directory = describe(lmdb, &lmdb->directory, PST_OBJECT_DIRECTORY, "", 2);
    listing->objects++;
    return add_object(slot, &directory, true);
}

/* Bytes from … to of the data file; the meta pages, which come first, are not read but captured. */
static int add_extents(const struct lmdb_source *lmdb, struct pst_fragment_descriptor *slot,
                       uint64_t from, uint64_t to)
{
    const struct pst_lmdb_shared *shared = lmdb->guard.shared;
    uint64_t meta_bytes = 2 * (uint64_t)shared->meta.page_bytes;
    const struct pst_fragment_file file = {
        .object = pst_source_object_id(&lmdb->source, 1),
        .path = lmdb->data,
        .device = shared->device,
        .inode = shared->inode,
        .flags = PST_FRAGMENT_FILE_PINNED,
    };
    int error = pst_fragment_add_file(slot, &file);
    if (!error && from == 0) {
        error = pst_fragment_add_extent(slot, 0, meta_bytes, shared->pages);
        from = meta_bytes;
    }
    if (!error && to > from)
        error = pst_fragment_add_extent(slot, from, to - from, NULL);
    return error;
}

/* What the tables are tables of, and where it lay: no data. */
static int list_database(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                         struct pst_source_listing *listing)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX];
    uint64_t map_bytes = htole64(lmdb->guard.shared->meta.map_bytes);
    const struct pst_database_entry entry = {
        .kind = "lmdb", .details = &map_bytes, .details_bytes = sizeof(map_bytes)};
    struct pst_object database = describe(lmdb, &lmdb->file, PST_OBJECT_DATABASE, lmdb->data, 1);
    database.attributes = attribute;
    database.attributes_bytes = pst_database_encode(&entry, attribute);
    struct pst_object directory = describe(lmdb, &lmdb->directory, PST_OBJECT_DIRECTORY, "", 2);
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    error = add_object(slot, &database, true);
    if (!error && !lmdb->guard.is_file)
        error = add_object(slot, &directory, true);
    if (error)
        return error;
    listing->objects += slot->objects_count;
    listing->fragments++;
    return sink->emit(sink, slot);
}

static int look_at_guard_of(struct pst_source *source)
{
    return look_at_guard(lmdb_of(source));
}

static int list_rows(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                     struct pst_source_listing *totals)
{
    const struct pst_lmdb_listing listing = {&lmdb->source, sink, totals, look_at_guard_of};
    int error = list_database(lmdb, sink, totals);
    return error ? error : pst_lmdb_rows_list(lmdb->rows, &listing, 3);
}

static int lmdb_produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                        struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                        size_t *produced_bytes)
{
    return pst_lmdb_rows_produce(lmdb_of(source)->rows, fragment, cursor, buffer, capacity_bytes,
                                 produced_bytes);
}

static int lmdb_list(struct pst_source *source, struct pst_fragment_sink *sink,
                     struct pst_source_listing *listing)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    if (lmdb->rows)
        return list_rows(lmdb, sink, listing);
    const struct pst_lmdb_meta *meta = &lmdb->guard.shared->meta;
    uint64_t size = (meta->last_page + 1) * meta->page_bytes;
    for (uint64_t from = 0; from < size;) {
        struct pst_fragment_descriptor *slot;
        uint64_t to = size - from > FRAGMENT_BYTES ? from + FRAGMENT_BYTES : size;
        int error = look_at_guard(lmdb);
        if (!error)
            error = sink->acquire(sink, &slot);
        if (error)
            return error;
        pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
        error = add_entries(lmdb, slot, size, from == 0, listing);
        if (!error)
            error = add_extents(lmdb, slot, from, to);
        if (!error)
            error = sink->emit(sink, slot);
        if (error)
            return error;
        listing->fragments++;
        listing->bytes += to - from;
        from = to;
    }
    return 0;
}

/* ---- the end ---- */

static void write_row_details(struct lmdb_source *lmdb)
{
    const struct pst_lmdb_shared *shared = lmdb->guard.shared;
    uint64_t rows;
    uint32_t tables;
    pst_lmdb_rows_count(lmdb->rows, &tables, &rows);
    snprintf(lmdb->details, sizeof(lmdb->details),
             "{\"type\":\"lmdb\",\"logical\":true,\"transaction_id\":%llu,\"tables\":%u,"
             "\"rows\":%llu,\"map_bytes\":%llu,\"frozen_ns\":%llu,\"pinned_ns\":%llu,"
             "\"grown_bytes\":%llu}",
             (unsigned long long)pst_lmdb_rows_transaction(lmdb->rows), tables,
             (unsigned long long)rows, (unsigned long long)shared->meta.map_bytes,
             (unsigned long long)shared->frozen_ns, (unsigned long long)shared->pinned_ns,
             (unsigned long long)shared->grown_bytes);
    lmdb->source.details = lmdb->details;
}

static void write_details(struct lmdb_source *lmdb)
{
    const struct pst_lmdb_shared *shared = lmdb->guard.shared;
    snprintf(lmdb->details, sizeof(lmdb->details),
             "{\"type\":\"lmdb\",\"transaction_id\":%llu,\"page_bytes\":%u,\"last_page\":%llu,"
             "\"map_bytes\":%llu,\"frozen_ns\":%llu,\"pinned_ns\":%llu,\"grown_bytes\":%llu}",
             (unsigned long long)shared->meta.transaction, shared->meta.page_bytes,
             (unsigned long long)shared->meta.last_page, (unsigned long long)shared->meta.map_bytes,
             (unsigned long long)shared->frozen_ns, (unsigned long long)shared->pinned_ns,
             (unsigned long long)shared->grown_bytes);
    lmdb->source.details = lmdb->details;
}

/* All sources have been listed by now. */
static int check_filter(const struct lmdb_source *lmdb)
{
    const struct pst_table_filter *filter = lmdb->source.policy.tables;
    for (uint32_t i = 0; filter && i < filter->wanted_count; i++) {
        if (atomic_load(&filter->found[i]))
            continue;
        pst_log(PST_LOG_ERROR, "no source has a table %s", filter->wanted[i]);
        return -PST_E_NO_TABLE;
    }
    return 0;
}

static int check_rows(const struct lmdb_source *lmdb)
{
    int error = check_filter(lmdb);
    return error ? error : pst_lmdb_rows_check(lmdb->rows);
}

static int lmdb_check(struct pst_source *source, uint64_t deadline_ns)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    const struct pst_lmdb_request request = {.order = PST_LMDB_CHECK};
    int error = order(lmdb, &request, deadline_ns);
    if (!error)
        error = look_at_files(lmdb);
    if (!error && lmdb->rows)
        error = check_rows(lmdb);
    if (error)
        return error == -ETIMEDOUT ? -PST_E_FREEZE : error;
    if (lmdb->rows)
        write_row_details(lmdb);
    else
        write_details(lmdb);
    pst_log(PST_LOG_DEBUG, "source %s: %s", source->name, lmdb->details);
    return 0;
}

static void lmdb_release(struct pst_source *source)
{
    close_rows(lmdb_of(source));
    let_go(lmdb_of(source));
}

static void free_lmdb(struct lmdb_source *lmdb)
{
    close_rows(lmdb);
    pst_lmdb_guard_stop(&lmdb->guard);
    if (lmdb->guard.shared)
        munmap(lmdb->guard.shared, sizeof(*lmdb->guard.shared));
    if (lmdb->source.root_fd >= 0)
        close(lmdb->source.root_fd);
    free(lmdb->path);
    free(lmdb);
}

static void lmdb_close(struct pst_source *source)
{
    free_lmdb(lmdb_of(source));
}

/* ---- open ---- */

static const char *const no_environment = "want an LMDB environment: a directory with data.mdb in "
                                          "it, or a data file (MDB_NOSUBDIR)";

/* mdb_env_open would make an environment where there is none. */
static int check_data_file(const struct lmdb_source *lmdb, const char **advice)
{
    struct pst_lmdb_meta meta;
    int fd =
        openat(lmdb->source.root_fd, lmdb->data, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat status;
    int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
    /* A page that is just being written may look torn: the guard finds out in earnest. */
    if (!error)
        error = pst_lmdb_meta_newest(fd, &meta);
    if (error == -PST_E_NEWER)
        *advice = "only the data format of LMDB 0.9 (version 1) can be read";
    close(fd);
    return error;
}

static int resolve(struct lmdb_source *lmdb, const char *argument, const char **advice)
{
    struct stat status;
    *advice = no_environment;
    lmdb->path = realpath(argument, NULL);
    if (!lmdb->path || stat(lmdb->path, &status))
        return -errno;
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return -EINVAL;
    lmdb->guard.path = lmdb->path;
    lmdb->guard.is_file = S_ISREG(status.st_mode);
    char *slash = strrchr(lmdb->path, '/');
    lmdb->data = lmdb->guard.is_file ? slash + 1 : "data.mdb";
    char *root = lmdb->guard.is_file ? strndup(lmdb->path, (size_t)(slash + 1 - lmdb->path))
                                     : strdup(lmdb->path);
    if (!root)
        return -ENOMEM;
    lmdb->source.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = lmdb->source.root_fd < 0 ? -errno : 0;
    free(root);
    return error ? error : check_data_file(lmdb, advice);
}

static int share_memory(struct lmdb_source *lmdb)
{
    void *shared = mmap(NULL, sizeof(*lmdb->guard.shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    lmdb->guard.shared = shared;
    return 0;
}

static struct lmdb_source *make(void)
{
    struct lmdb_source *lmdb = calloc(1, sizeof(*lmdb));
    if (!lmdb)
        return NULL;
    lmdb->guard.socket = -1;
    lmdb->source = (struct pst_source){
        .struct_bytes = sizeof(struct pst_source),
        .abi_version = PST_SOURCE_ABI_VERSION,
        .flags = PST_SOURCE_ANY_LDM | PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_CAN_ROWS,
        .root_fd = -1,
        .type = "lmdb",
        .freeze = lmdb_freeze,
        .snapshot = lmdb_snapshot,
        .thaw = lmdb_thaw,
        .list = lmdb_list,
        .release = lmdb_release,
        .produce = lmdb_produce,
        .check = lmdb_check,
        .close = lmdb_close,
    };
    return lmdb;
}

static int say(int error, const char *path, const char *advice, char *error_text,
               size_t error_bytes)
{
    snprintf(error_text, error_bytes, "source lmdb:%s: %s: %s", path, pst_error_text(error),
             advice);
    return error;
}

int pst_lmdb_open(const char *argument, struct pst_source **source, char *error_text,
                  size_t error_bytes)
{
    struct pst_lmdb_answer answer = {0};
    const char *advice = "free some memory";
    struct lmdb_source *lmdb = make();
    if (!lmdb)
        return say(-ENOMEM, argument, advice, error_text, error_bytes);
    int error = share_memory(lmdb);
    if (!error)
        error = resolve(lmdb, argument, &advice);
    if (!error) {
        error = start_guard(lmdb, &answer);
        advice = answer.text[0] ? answer.text : "check its permissions and those of its lock file";
    }
    if (error) {
        free_lmdb(lmdb);
        return say(error, argument, advice, error_text, error_bytes);
    }
    *source = &lmdb->source;
    return 0;
}

bool pst_lmdb_is_same(const struct pst_source *one, const struct pst_source *other)
{
    if (one->list != lmdb_list || other->list != lmdb_list)
        return false;
    const struct pst_lmdb_shared *left = ((const struct lmdb_source *)one)->guard.shared;
    const struct pst_lmdb_shared *right = ((const struct lmdb_source *)other)->guard.shared;
    return left->device == right->device && left->inode == right->inode;
}
