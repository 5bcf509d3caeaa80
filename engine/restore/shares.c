/*
 * Turns the pieces of shares into rows, one after the other, and pours tables into sinks. Called on
 * a thread of the crew, which verifies or restores these rows.
 */
#include "engine/restore/shares.h"

#include <assert.h>

struct pour {
    const struct object_record *const *shares;
    size_t count;
    size_t next; /* the share after the current one */
    uint64_t object;
    uint64_t fed;       /* bytes of the current one */
    uint64_t rows_done; /* of the shares before it */
    struct pst_rows_reader rows;
    pst_row_taker *take;
    void *context;
    bool is_refused; /* take returned an error */
    bool is_torn;    /* the stream of the current share is damaged */
};

static int torn(struct pour *pour, int error)
{
    pour->is_torn = true;
    return error;
}

static int end_share(struct pour *pour)
{
    int error = pour->next > 0 ? pst_rows_finish(&pour->rows) : 0;
    return error ? torn(pour, error) : 0;
}

static int begin_share(struct pour *pour)
{
    int error = end_share(pour);
    if (error)
        return error;
    assert(pour->next < pour->count);
    const struct pst_object object = object_of(pour->shares[pour->next++]);
    pour->object = object.id;
    pour->fed = 0;
    pour->rows_done += pour->rows.rows;
    pst_rows_release(&pour->rows);
    pour->rows = (struct pst_rows_reader){.size = object.size};
    return 0;
}

/* An error that the taker returns is not an error of the stream. */
static int take_row(void *context, const struct pst_row *row)
{
    struct pour *pour = context;
    int error = pour->take(pour->context, row);
    pour->is_refused = error;
    return error;
}

static int take_piece(void *context, const struct row_piece *piece, const void *data)
{
    struct pour *pour = context;
    while (pour->next == 0 || pour->object != piece->object) {
        int error = begin_share(pour);
        if (error)
            return error;
    }
    if (piece->object_offset != pour->fed)
        return torn(pour, -PST_E_CORRUPT);
    pour->fed += piece->bytes;
    int error = pst_rows_feed(&pour->rows, data, piece->bytes, pour->take ? take_row : NULL, pour);
    return error == -PST_E_CORRUPT && !pour->is_refused ? torn(pour, error) : error;
}

/* Pieces of all shares, which follow each other in the map. */
static void find_pieces(const struct row_map *map, const struct pour *pour, size_t *first,
                        size_t *end)
{
    const struct object_record *last = pour->shares[pour->count - 1];
    *first = row_map_find(map, pour->shares[0]->node, object_of(pour->shares[0]).id);
    *end = row_map_find(map, last->node, object_of(last).id + 1);
}

int shares_read(struct row_reading *reading, const struct object_record *const *shares,
                size_t count, pst_row_taker *take, void *context, uint64_t *rows,
                const struct object_record **bad)
{
    struct pour pour = {.shares = shares, .count = count, .take = take, .context = context};
    size_t first, end;
    assert(count > 0);
    find_pieces(reading->map, &pour, &first, &end);
    int error = row_reading_run(reading, first, end, take_piece, &pour);
    while (!error && pour.next < count)
        error = begin_share(&pour);
    if (!error)
        error = end_share(&pour);
    *rows = pour.rows_done + pour.rows.rows;
    *bad = error && pour.is_torn && pour.next > 0 ? shares[pour.next - 1] : NULL;
    pst_rows_release(&pour.rows);
    return error;
}

struct table_pour {
    struct pst_table_sink *sink;
    bool by_sink;
};

static int sink_row(void *context, const struct pst_row *row)
{
    struct table_pour *pour = context;
    int error = pour->sink->row(pour->sink, row->key, row->key_bytes, row->value, row->value_bytes);
    pour->by_sink = error;
    return error;
}

int table_pour(struct row_reading *reading, const struct table_shares *table,
               struct pst_table_sink *sink, bool *by_sink, const struct object_record **bad)
{
    const struct pst_table described = {
        .name = table->share.name,
        .name_bytes = table->share.name_bytes,
        .flags = table->share.flags,
        .rows = table->share.rows,
    };
    struct table_pour pour = {.sink = sink};
    *bad = NULL;
    *by_sink = true;
    int error = sink->begin(sink, &described);
    if (error)
        return error;
    uint64_t rows;
    error = shares_read(reading, table->shares, table->share.shares, sink_row, &pour, &rows, bad);
    *by_sink = pour.by_sink;
    if (!error && rows != table->share.rows) {
        *bad = table->shares[0];
        error = -PST_E_INCONSISTENT;
    }
    if (error)
        return error;
    *by_sink = true;
    return sink->end(sink);
}
