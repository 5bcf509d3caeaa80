/*
 * The readers of a logical backup, seen from the source: started, and found dead or slow. Called on
 * the source's thread, but for lmdb_rows_error and lmdb_rows_look, which any LDM calls.
 */
#include "engine/source/lmdb/lmdb_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

#define SLOW_NS UINT64_C(5000000000)
#define RECORD_BYTES 4096 /* of a record that is cut in two: its head alone is looked at */

static const char *const advice = "restore it from a backup; mdb_dump shows what can still be read";

/* ---- open and close ---- */

static int init_readers(struct lmdb_rows *rows)
{
    for (uint32_t i = 0; i < rows->readers_count; i++) {
        lmdb_reader_init(&rows->readers[i], &rows->lmdb->guard.shared->slots[i]);
        rows->readers[i].records.buffer = malloc(RECORD_BYTES);
        rows->readers[i].records.buffer_bytes = RECORD_BYTES;
        if (!rows->readers[i].records.buffer)
            return -ENOMEM;
        if (i > 0)
            atomic_fetch_or(&rows->free_readers, UINT64_C(1) << (i - 1));
    }
    return 0;
}

int lmdb_rows_open(struct lmdb_source *lmdb, uint32_t readers, struct lmdb_rows **opened)
{
    struct lmdb_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    rows->lmdb = lmdb;
    rows->readers_count = 1 + (readers < LMDB_READERS_MAX ? readers : LMDB_READERS_MAX);
    rows->guard_fd = fcntl(lmdb->guard.process.pid_fd, F_DUPFD_CLOEXEC, 0);
    int error = rows->guard_fd < 0 ? -errno : init_readers(rows);
    if (!error) {
        const struct lmdb_request request = {.order = LMDB_READ, .readers = rows->readers_count};
        error = lmdb_order(lmdb, &request, lmdb_soon_ns());
    }
    if (error) {
        lmdb_rows_close(rows);
        return error;
    }
    *opened = rows;
    return 0;
}

void lmdb_table_free(struct table *table)
{
    for (uint32_t i = 0; table->shares && i < table->shares_count; i++)
        free(table->shares[i].from.data);
    free(table->shares);
    free(table->name);
    free(table);
}

void lmdb_rows_close(struct lmdb_rows *rows)
{
    if (!rows)
        return;
    struct lmdb_slot *slots = rows->lmdb->guard.shared->slots;
    for (uint32_t i = 0; i < rows->readers_count; i++)
        pst_rows_release(&rows->readers[i].records);
    for (uint32_t i = 0; i < rows->tables_count; i++)
        lmdb_table_free(rows->tables[i]);
    free(rows->tables);
    if (rows->guard_fd >= 0)
        close(rows->guard_fd);
    (void)madvise(slots, rows->readers_count * sizeof(*slots), MADV_REMOVE);
    free(rows);
}

/* ---- what goes wrong ---- */

/* Of a reader that has no table of ours, that which it says it is in. */
static const char *text_of(const struct lmdb_rows *rows, const struct table *table,
                           char text[PST_TABLE_TEXT_BYTES])
{
    char name[PST_TABLE_NAME_BYTES_MAX];
    if (table)
        return pst_table_name_escape(table->name, table->name_bytes, text);
    memcpy(name, rows->readers[0].slot->table, sizeof(name));
    return pst_table_name_escape(name, (uint32_t)strnlen(name, sizeof(name)), text);
}

int lmdb_rows_error(const struct lmdb_rows *rows, const struct table *table, int error,
                    const char *text)
{
    char name[PST_TABLE_TEXT_BYTES];
    if (error)
        pst_log(PST_LOG_ERROR, "source %s: lmdb:%s: table %s: %s%s%s", rows->lmdb->source.name,
                rows->lmdb->place.path, text_of(rows, table, name),
                text[0] ? text : pst_error_text(error), error == -PST_E_DAMAGED ? ": " : "",
                error == -PST_E_DAMAGED ? advice : "");
    return error;
}

static int log_end(const struct lmdb_rows *rows, const struct table *table, int ended)
{
    char text[LMDB_TEXT_BYTES];
    int number = ended & 0xff;
    if ((ended & 0x100) == 0) {
        snprintf(text, sizeof(text), "the process that read it ended with exit code %d", number);
        return lmdb_rows_error(rows, table, -PST_E_DAMAGED, text);
    }
    bool is_fault = number == SIGSEGV || number == SIGBUS || number == SIGABRT ||
                    number == SIGFPE || number == SIGILL || number == SIGTRAP;
    const char *name = sigdescr_np(number);
    snprintf(text, sizeof(text), "the process that read it was ended by signal %d (%s)%s", number,
             name ? name : "unknown", is_fault ? ": LMDB came upon damaged pages" : "");
    return lmdb_rows_error(rows, table, is_fault ? -PST_E_DAMAGED : -PST_E_GUARD, text);
}

static void log_slow(const struct lmdb_rows *rows, struct lmdb_reader *reader,
                     const struct table *table)
{
    char name[PST_TABLE_TEXT_BYTES];
    uint64_t now_ns = pst_monotonic_ns();
    if (reader->waits_since_ns == 0)
        reader->waits_since_ns = now_ns;
    if (reader->is_slow || now_ns - reader->waits_since_ns < SLOW_NS)
        return;
    reader->is_slow = true;
    pst_log(PST_LOG_WARNING, "source %s: lmdb:%s: table %s: nothing has been read for %llu s",
            rows->lmdb->source.name, rows->lmdb->place.path, text_of(rows, table, name),
            (unsigned long long)(SLOW_NS / UINT64_C(1000000000)));
}

int lmdb_rows_look(const struct lmdb_rows *rows, struct lmdb_reader *reader,
                   const struct table *table)
{
    int trouble = lmdb_claimed_error(atomic_load(&rows->lmdb->guard.shared->trouble));
    int ended = atomic_load(&reader->slot->ended);
    struct pollfd guard = {.fd = rows->guard_fd, .events = POLLIN};
    if (trouble)
        return trouble;
    if (ended)
        return log_end(rows, table, ended);
    if (poll(&guard, 1, 0) != 0)
        return -PST_E_GUARD;
    log_slow(rows, reader, table);
    return 0;
}
