/* Sets the keys of parts. Called by part_map.c and by engine/restore, on the thread of a reader. */
#include "engine/repository/part_opener.h"

#include <assert.h>
#include <errno.h>

#include "engine/key/data_key.h"
#include "engine/repository/part_map.h"

static int make(struct part_opener *opener)
{
    opener->key = pst_secret_make(PST_KEY_BYTES);
    if (!opener->key)
        return -ENOMEM;
    int error = pst_sealed_open(&opener->sealed, NULL, NULL, NULL);
    if (!error)
        return 0;
    pst_secret_free(opener->key);
    opener->key = NULL;
    return error;
}

static int set_keys(struct part_opener *opener, const struct pst_part_map *part)
{
    opener->part = NULL;
    pst_data_key_part(part->key, part->bound, opener->key);
    pst_sealed_set_key(&opener->sealed, opener->key);
    if (part->tail_at > 0) {
        pst_data_key_tail(part->key, part->bound, part->tail_bound, opener->key);
        int error = pst_sealed_set_tail(&opener->sealed, opener->key, part->tail_chunk);
        if (error)
            return error;
    }
    opener->part = part;
    return 0;
}

int pst_opener_use(struct part_opener *opener, const struct pst_part_map *part,
                   struct pst_sealed **sealed)
{
    *sealed = NULL;
    if (!part->is_sealed)
        return 0;
    assert(part->key && part->key->secret);
    int error = opener->key ? 0 : make(opener);
    if (error)
        return error;
    if (opener->part != part)
        error = set_keys(opener, part);
    *sealed = error ? NULL : &opener->sealed;
    return error;
}

void part_opener_close(struct part_opener *opener)
{
    if (opener->key)
        pst_sealed_close(&opener->sealed);
    pst_secret_free(opener->key);
    *opener = (struct part_opener){0};
}
