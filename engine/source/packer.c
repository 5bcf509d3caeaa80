/* Packs objects into fragments; called by the list() of a source, on the source's thread. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "penstock/packer.h"

void pst_packer_init(struct pst_packer *packer, struct pst_fragment_sink *sink,
                     struct pst_source_listing *listing)
{
    packer->sink = sink;
    packer->listing = listing;
    packer->slot = NULL;
    packer->file_added = false;
    packer->entry_bytes = 0;
}

static int emit(struct pst_packer *packer)
{
    struct pst_fragment_descriptor *slot = packer->slot;
    uint64_t bytes = slot->bytes;
    packer->slot = NULL;
    packer->file_added = false;
    int error = packer->sink->emit(packer->sink, slot);
    if (error)
        return error;
    packer->listing->fragments++;
    packer->listing->bytes += bytes;
    return 0;
}

static int take_slot(struct pst_packer *packer)
{
    int error = packer->sink->acquire(packer->sink, &packer->slot);
    if (error) {
        packer->slot = NULL;
        return error;
    }
    pst_fragment_init(packer->slot, PST_FRAGMENT_EXTENTS);
    packer->file_added = false;
    return 0;
}

/* The first fragments are small, so that the first LDMs need not wait long on a cold cache. */
static bool has_enough_entries(const struct pst_packer *packer)
{
    uint64_t doublings = packer->listing->fragments;
    return doublings < PST_PACKER_DOUBLINGS &&
           packer->slot->entries_count >= PST_PACKER_FIRST_ENTRIES << doublings;
}

/* Puts the current object's entry into a slot that has room for it and for what follows. */
static int add_entry(struct pst_packer *packer, bool first)
{
    size_t path_bytes = pst_fragment_path_bytes(&packer->file);
    if (packer->slot && (has_enough_entries(packer) ||
                         !pst_fragment_has_room(packer->slot, packer->entry_bytes, path_bytes))) {
        int error = emit(packer);
        if (error)
            return error;
    }
    if (!packer->slot) {
        bool fits = path_bytes < PST_FRAGMENT_DATA_BYTES - packer->entry_bytes;
        int error = fits ? take_slot(packer) : -EINVAL;
        if (error)
            return error;
    }
    return pst_fragment_add_entry(packer->slot, packer->entry, packer->entry_bytes, first);
}

/* Whether the slot is better emitted before an object with so much data is added. */
static bool passes_target(const struct pst_packer *packer, uint64_t data_bytes)
{
    const struct pst_fragment_descriptor *slot = packer->slot;
    if (!slot || slot->bytes == 0)
        return false;
    return slot->bytes >= PST_PACKER_TARGET_BYTES ||
           data_bytes > PST_PACKER_TARGET_BYTES - slot->bytes;
}

int pst_packer_object(struct pst_packer *packer, const struct pst_object *object,
                      const struct pst_fragment_file *file)
{
    size_t offset = 0;
    packer->entry_bytes = 0; /* if this one cannot be begun, none is */
    int error = pst_object_encode(object, packer->entry, sizeof(packer->entry), &offset);
    if (error)
        return error;
    packer->entry_bytes = offset;
    packer->file = file ? *file : (struct pst_fragment_file){0};
    packer->file.object = object->id;
    packer->file_added = false;
    if (passes_target(packer, file && file->path ? object->size : 0)) {
        error = emit(packer);
        if (error)
            return error;
    }
    error = add_entry(packer, true);
    if (error)
        return error;
    packer->listing->objects++;
    return 0;
}

int pst_packer_link(struct pst_packer *packer, const struct pst_object *object)
{
    size_t bytes = 0;
    packer->entry_bytes = 0; /* of the object that it names, all is there */
    int error = pst_object_encode(object, packer->entry, sizeof(packer->entry), &bytes);
    if (error)
        return error;
    if (packer->slot && pst_fragment_add_entry(packer->slot, packer->entry, bytes, true) == 0) {
        packer->listing->objects++;
        return 0;
    }
    return pst_packer_object(packer, object, NULL);
}

/* Takes a new slot for more data of the current object if this one can hold no more. */
static int make_room(struct pst_packer *packer)
{
    const struct pst_fragment_descriptor *slot = packer->slot;
    if (slot && slot->bytes < PST_FRAGMENT_BYTES_MAX &&
        slot->extents_count < PST_FRAGMENT_EXTENTS_MAX)
        return 0;
    if (slot) {
        int error = emit(packer);
        if (error)
            return error;
    }
    return add_entry(packer, false);
}

static int add_file(struct pst_packer *packer)
{
    if (packer->file_added)
        return 0;
    packer->file_added = true;
    return pst_fragment_add_file(packer->slot, &packer->file);
}

/* literal: NULL: of the file. */
static int add_bytes(struct pst_packer *packer, uint64_t offset, uint64_t length,
                     const uint8_t *literal)
{
    if (packer->entry_bytes == 0)
        return -EINVAL;
    while (length > 0) {
        int error = make_room(packer);
        if (!error)
            error = add_file(packer);
        if (error)
            return error;
        uint64_t room = PST_FRAGMENT_BYTES_MAX - packer->slot->bytes;
        uint64_t taken = length < room ? length : room;
        error = pst_fragment_add_extent(packer->slot, offset, taken, literal);
        assert(!error); /* make_room saw to it */
        offset += taken;
        length -= taken;
        literal = literal ? literal + taken : NULL;
    }
    return 0;
}

int pst_packer_extent(struct pst_packer *packer, uint64_t offset, uint64_t length)
{
    return add_bytes(packer, offset, length, NULL);
}

int pst_packer_literal(struct pst_packer *packer, uint64_t offset, uint64_t length,
                       const void *bytes)
{
    return bytes ? add_bytes(packer, offset, length, bytes) : -EINVAL;
}

/* The entry went into a slot that has room for the file. */
int pst_packer_look(struct pst_packer *packer)
{
    bool has_file = packer->file.path || (packer->file.flags & PST_FRAGMENT_FILE_IN_BASE) != 0;
    return packer->slot && packer->entry_bytes > 0 && has_file ? add_file(packer) : -EINVAL;
}

int pst_packer_finish(struct pst_packer *packer)
{
    return packer->slot ? emit(packer) : 0;
}
