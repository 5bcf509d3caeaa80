/* Hashes of names, with their directory's number. Called by tree.c on the source's thread, and
 * seen_hash by ahead_threads.c on threads of its own. */
#include "engine/source/dir/seen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/digest.h"

#define FIRST_SIZE 1024u

uint64_t seen_hash(uint64_t seed, const char *name)
{
    uint64_t hash;
    const struct pst_digest digest = pst_digest_of(name, strlen(name), seed);
    memcpy(&hash, digest.bytes, sizeof(hash));
    return hash;
}

/* Never 0. */
static uint64_t hash_in(uint64_t directory, uint64_t name)
{
    uint64_t hash = name ^ directory * UINT64_C(0x9e3779b97f4a7c15);
    return hash ? hash : 1;
}

/* Where the hash is, or the free place where it belongs. */
static size_t place_of(const struct seen_names *seen, uint64_t hash)
{
    size_t at = (size_t)hash & (seen->size - 1);
    while (seen->table[at].hash && seen->table[at].hash != hash)
        at = (at + 1) & (seen->size - 1);
    return at;
}

static int grow_table(struct seen_names *seen)
{
    struct seen_names larger = *seen;
    larger.size = seen->size ? 2 * seen->size : FIRST_SIZE;
    larger.table = calloc(larger.size, sizeof(*larger.table));
    if (!larger.table)
        return -ENOMEM;
    for (size_t i = 0; i < seen->count; i++)
        larger.table[place_of(&larger, seen->stack[i])] =
            seen->table[place_of(seen, seen->stack[i])];
    free(seen->table);
    *seen = larger;
    return 0;
}

static int make_room(struct seen_names *seen)
{
    if (seen->count == SEEN_NAMES_MAX)
        return -EFBIG;
    if (seen->count == seen->room) {
        size_t room = seen->room ? 2 * seen->room : FIRST_SIZE;
        uint64_t *stack = realloc(seen->stack, room * sizeof(*stack));
        if (!stack)
            return -ENOMEM;
        seen->stack = stack;
        seen->room = room;
    }
    return seen->count >= seen->size / 2 ? grow_table(seen) : 0;
}

int seen_add(struct seen_names *seen, uint64_t directory, uint64_t name, uint64_t file)
{
    int error = make_room(seen);
    if (error && error != -EFBIG)
        return error;
    uint64_t hash = hash_in(directory, name);
    struct seen_name *place = &seen->table[place_of(seen, hash)];
    if (place->hash && (place->file == file || file == SEEN_NOTHING))
        return 0;
    if (place->hash) {
        bool was_nothing = place->file == SEEN_NOTHING;
        place->file = file;
        return was_nothing ? 1 : -PST_E_CHANGED;
    }
    if (error)
        return error;
    *place = (struct seen_name){hash, file};
    seen->stack[seen->count++] = hash;
    return 1;
}

void seen_set(struct seen_names *seen, uint64_t directory, uint64_t name, uint64_t file)
{
    struct seen_name *place = &seen->table[place_of(seen, hash_in(directory, name))];
    if (place->hash)
        place->file = file;
}

void seen_expect(const struct seen_names *seen, uint64_t directory, uint64_t name)
{
    if (seen->size > 0)
        __builtin_prefetch(&seen->table[hash_in(directory, name) & (seen->size - 1)]);
}

/* Those behind the place move up, as far as each may. */
static void take_out(struct seen_names *seen, uint64_t hash)
{
    size_t mask = seen->size - 1, at = place_of(seen, hash);
    for (size_t next = (at + 1) & mask; seen->table[next].hash; next = (next + 1) & mask) {
        size_t home = (size_t)seen->table[next].hash & mask;
        if (((next - home) & mask) < ((next - at) & mask))
            continue;
        seen->table[at] = seen->table[next];
        at = next;
    }
    seen->table[at] = (struct seen_name){0};
}

void seen_forget(struct seen_names *seen, size_t count)
{
    while (seen->count > count)
        take_out(seen, seen->stack[--seen->count]);
}

void seen_free(struct seen_names *seen)
{
    free(seen->stack);
    free(seen->table);
    *seen = (struct seen_names){0};
}
