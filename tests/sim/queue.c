#include "tests/sim/queue.h"

#include <assert.h>

void sim_queue_init(struct sim_queue *queue)
{
    queue->count = 0;
    queue->used = 0;
    queue->taken = SIM_NOTHING_TAKEN;
    queue->unused_count = 0;
    queue->order = 0;
}

static bool is_before(const struct sim_queue *queue, uint32_t left, uint32_t right)
{
    const struct sim_event *a = &queue->events[queue->heap[left]];
    const struct sim_event *b = &queue->events[queue->heap[right]];
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->order < b->order;
}

static void swap(struct sim_queue *queue, uint32_t left, uint32_t right)
{
    uint16_t slot = queue->heap[left];
    queue->heap[left] = queue->heap[right];
    queue->heap[right] = slot;
}

static void rise(struct sim_queue *queue, uint32_t place)
{
    while (place > 0 && is_before(queue, place, (place - 1) / 2)) {
        swap(queue, place, (place - 1) / 2);
        place = (place - 1) / 2;
    }
}

static void sink(struct sim_queue *queue, uint32_t place)
{
    for (;;) {
        uint32_t first = place;
        for (uint32_t child = 2 * place + 1; child <= 2 * place + 2; child++) {
            if (child < queue->count && is_before(queue, child, first))
                first = child;
        }
        if (first == place)
            return;
        swap(queue, place, first);
        place = first;
    }
}

static struct sim_event *insert(struct sim_queue *queue, uint64_t time_ns, uint64_t order)
{
    assert(queue->count < SIM_EVENTS_MAX - 1);
    uint16_t slot =
        queue->unused_count > 0 ? queue->unused[--queue->unused_count] : (uint16_t)queue->used++;
    struct sim_event *event = &queue->events[slot];
    event->time_ns = time_ns;
    event->order = order;
    queue->heap[queue->count] = slot;
    rise(queue, queue->count++);
    return event;
}

struct sim_event *sim_queue_add(struct sim_queue *queue, enum sim_event_type type, uint32_t thread,
                                uint64_t time_ns)
{
    struct sim_event *event = insert(queue, time_ns, ++queue->order);
    event->type = type;
    event->thread = thread;
    event->token = 0;
    event->incarnation = 0;
    event->session = 0;
    event->hop = SIM_HEARD;
    event->is_stale = false;
    return event;
}

const struct sim_event *sim_queue_take(struct sim_queue *queue)
{
    if (queue->taken != SIM_NOTHING_TAKEN)
        queue->unused[queue->unused_count++] = (uint16_t)queue->taken;
    queue->taken = SIM_NOTHING_TAKEN;
    if (queue->count == 0)
        return NULL;
    queue->taken = queue->heap[0];
    queue->heap[0] = queue->heap[--queue->count];
    sink(queue, 0);
    return &queue->events[queue->taken];
}

void sim_queue_put_back(struct sim_queue *queue, const struct sim_event *event, uint64_t time_ns)
{
    struct sim_event *again = insert(queue, time_ns, event->order);
    uint64_t order = event->order;
    *again = *event;
    again->time_ns = time_ns;
    again->order = order;
}
