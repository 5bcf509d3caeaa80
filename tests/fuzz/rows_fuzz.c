/* A stream of records, fed in two ways: both say the same of it, and touch nothing but it. */
#include <stdlib.h>

#include "engine/format/rows.h"
#include "tests/fuzz/fuzz.h"

static int take(void *context, const struct pst_row *row)
{
    uint64_t *sum = context;
    for (uint32_t i = 0; i < row->key_bytes; i++)
        *sum += ((const uint8_t *)row->key)[i];
    for (uint32_t i = 0; i < row->value_bytes; i++)
        *sum += ((const uint8_t *)row->value)[i];
    return 0;
}

static int feed(const uint8_t *data, size_t size, size_t step, pst_row_taker *taker, uint64_t *rows)
{
    struct pst_rows_reader reader = {.size = size};
    uint64_t sum = 0;
    int error = 0;
    for (size_t done = 0; !error && done < size; done += step)
        error = pst_rows_feed(&reader, data + done, size - done < step ? size - done : step, taker,
                              &sum);
    if (!error)
        error = pst_rows_finish(&reader);
    *rows = reader.rows;
    pst_rows_release(&reader);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    uint64_t rows[3];
    int whole = feed(copy, size, size + 1, take, &rows[0]);
    int cut = feed(copy, size, 5, take, &rows[1]);
    int skipped = feed(copy, size, 11, NULL, &rows[2]);
    if (whole != cut || (whole == 0) != (skipped == 0))
        abort();
    if (whole == 0 && (rows[0] != rows[1] || rows[0] != rows[2]))
        abort();
    free(copy);
    return 0;
}
