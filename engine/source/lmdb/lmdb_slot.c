/*
 * Tasks, and the ring of bytes that answers them. The reader's side runs in the reader's process,
 * the source's side on the source's thread or an LDM's.
 */
#include "engine/source/lmdb/lmdb_slot.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Each side wakes the other once there is so much to do that it is worth the switch. */
#define WAKE_BYTES (LMDB_RING_BYTES / 2)
#define PUBLISH_BYTES (LMDB_RING_BYTES / 16)

/* NULL: no limit. Wakes for no reason, too. */
static void wait_while(atomic_uint *word, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static void wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void copy_in(struct lmdb_slot *slot, uint32_t at, const void *data, size_t bytes)
{
    size_t offset = at % LMDB_RING_BYTES;
    size_t first = LMDB_RING_BYTES - offset < bytes ? LMDB_RING_BYTES - offset : bytes;
    memcpy(slot->ring + offset, data, first);
    memcpy(slot->ring, (const uint8_t *)data + first, bytes - first);
}

static void copy_out(const struct lmdb_slot *slot, uint32_t at, void *out, size_t bytes)
{
    size_t offset = at % LMDB_RING_BYTES;
    size_t first = LMDB_RING_BYTES - offset < bytes ? LMDB_RING_BYTES - offset : bytes;
    memcpy(out, slot->ring + offset, first);
    memcpy((uint8_t *)out + first, slot->ring, bytes - first);
}

/* ---- the reader's side ---- */

void lmdb_answering_next(struct lmdb_answering *answering)
{
    struct lmdb_slot *slot = answering->slot;
    while (atomic_load(&slot->ordered) == answering->order)
        wait_while(&slot->ordered, answering->order, NULL);
    answering->order++;
}

static void publish(struct lmdb_answering *answering, uint32_t wake_bytes)
{
    struct lmdb_slot *slot = answering->slot;
    answering->published = answering->sent;
    atomic_store(&slot->sent, answering->sent);
    if (atomic_load(&slot->source_waits) &&
        answering->sent - atomic_load(&slot->taken) >= wake_bytes)
        wake(&slot->sent);
}

/* Until there is room for one byte at least. */
static void wait_for_room(struct lmdb_answering *answering)
{
    struct lmdb_slot *slot = answering->slot;
    publish(answering, 0);
    atomic_store(&slot->reader_waits, true);
    for (;;) {
        uint32_t taken = atomic_load(&slot->taken);
        if (answering->sent - taken < LMDB_RING_BYTES)
            break;
        wait_while(&slot->taken, taken, NULL);
    }
    atomic_store(&slot->reader_waits, false);
}

/* How much may be sent; looked up where it may be less than wanted. */
static size_t room_of(struct lmdb_answering *answering, uint64_t wanted)
{
    if (LMDB_RING_BYTES - (answering->sent - answering->taken) < wanted)
        answering->taken = atomic_load(&answering->slot->taken);
    return LMDB_RING_BYTES - (answering->sent - answering->taken);
}

static void publish_some(struct lmdb_answering *answering)
{
    if (answering->sent - answering->published >= PUBLISH_BYTES)
        publish(answering, WAKE_BYTES);
}

void lmdb_answering_send(struct lmdb_answering *answering, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        size_t room = room_of(answering, bytes);
        size_t some = room < bytes ? room : bytes;
        copy_in(answering->slot, answering->sent, at, some);
        answering->sent += (uint32_t)some;
        at += some;
        bytes -= some;
        if (bytes > 0)
            wait_for_room(answering);
    }
    publish_some(answering);
}

/* Nearly every row lies in one run of the ring. */
void lmdb_answering_row(struct lmdb_answering *answering, const struct pst_row *row)
{
    uint64_t bytes = pst_row_bytes(row);
    size_t offset = answering->sent % LMDB_RING_BYTES;
    uint8_t head[PST_ROW_HEAD_BYTES];
    if (bytes <= LMDB_RING_BYTES - offset && bytes <= room_of(answering, bytes)) {
        pst_row_copy(row, 0, answering->slot->ring + offset, bytes);
        answering->sent += (uint32_t)bytes;
        publish_some(answering);
        return;
    }
    pst_row_copy(row, 0, head, sizeof(head));
    lmdb_answering_send(answering, head, sizeof(head));
    lmdb_answering_send(answering, row->key, row->key_bytes);
    lmdb_answering_send(answering, row->value, row->value_bytes);
}

void lmdb_answering_flush(struct lmdb_answering *answering)
{
    publish(answering, UINT32_MAX);
}

void lmdb_answering_end(struct lmdb_answering *answering, int error, const char *text)
{
    struct lmdb_slot *slot = answering->slot;
    publish(answering, UINT32_MAX);
    slot->error = error;
    strncpy(slot->text, text, sizeof(slot->text) - 1);
    atomic_store(&slot->done, answering->order);
    wake(&slot->sent);
}

/* ---- the source's side ---- */

void lmdb_reader_init(struct lmdb_reader *reader, struct lmdb_slot *slot)
{
    memset(slot, 0, offsetof(struct lmdb_slot, ring));
    *reader = (struct lmdb_reader){.slot = slot};
}

void lmdb_reader_start(struct lmdb_reader *reader)
{
    reader->order++;
    reader->waits_since_ns = 0;
    atomic_store(&reader->slot->ordered, reader->order);
    wake(&reader->slot->ordered);
}

static int result_of(const struct lmdb_slot *slot, char *text)
{
    int error = *(const volatile int *)&slot->error;
    memcpy(text, slot->text, LMDB_TEXT_BYTES);
    text[LMDB_TEXT_BYTES - 1] = '\0';
    return lmdb_claimed_error(error);
}

int lmdb_reader_take(struct lmdb_reader *reader, void *out, size_t room, size_t *took, bool *ended,
                     char *text)
{
    struct lmdb_slot *slot = reader->slot;
    bool is_done = atomic_load(&slot->done) == reader->order; /* before what it sent */
    uint32_t there = atomic_load(&slot->sent) - reader->taken;
    text[0] = '\0';
    *took = 0;
    *ended = false;
    if (there > LMDB_RING_BYTES)
        return -PST_E_DAMAGED;
    if (there == 0) {
        *ended = is_done;
        return is_done ? result_of(slot, text) : 0;
    }
    *took = there < room ? there : room;
    copy_out(slot, reader->taken, out, *took);
    reader->taken += (uint32_t)*took;
    atomic_store(&slot->taken, reader->taken);
    if (atomic_load(&slot->reader_waits) && there - *took <= LMDB_RING_BYTES - WAKE_BYTES)
        wake(&slot->taken);
    return 0;
}

void lmdb_reader_wait(struct lmdb_reader *reader, uint32_t ns)
{
    struct lmdb_slot *slot = reader->slot;
    const struct timespec timeout = {.tv_nsec = (long)ns};
    atomic_store(&slot->source_waits, true);
    uint32_t sent = atomic_load(&slot->sent);
    if (sent - reader->taken < WAKE_BYTES && atomic_load(&slot->done) != reader->order)
        wait_while(&slot->sent, sent, &timeout);
    atomic_store(&slot->source_waits, false);
}
