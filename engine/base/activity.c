/*
 * Publishes what a thread is at, and reads it from another: words that are written and read by
 * atomics, between two values of a counter. Any thread.
 */
#include "engine/base/activity.h"

#include <stddef.h>
#include <string.h>

#define MARK "..."

static _Thread_local struct pst_activity *mine;

void pst_activity_bind(struct pst_activity *activity)
{
    mine = activity;
}

/* The writer is one thread, so what it stored last is what it loads. */
static void move(struct pst_activity *activity)
{
    uint64_t moves = atomic_load_explicit(&activity->moves, memory_order_relaxed);
    atomic_store_explicit(&activity->moves, moves + 1, memory_order_release);
}

static void store_name(struct pst_activity_line *line, const char *name)
{
    char text[PST_ACTIVITY_NAME_BYTES] = {0};
    size_t bytes = strlen(name) + 1, lost = 0;
    if (bytes > sizeof(text)) {
        lost = bytes - sizeof(text) + strlen(MARK);
        memcpy(text, MARK, strlen(MARK));
        bytes -= lost;
    }
    memcpy(text + (lost > 0 ? strlen(MARK) : 0), name + lost, bytes);
    for (size_t i = 0; i < sizeof(text) / 8; i++) {
        uint64_t word;
        memcpy(&word, text + 8 * i, sizeof(word));
        atomic_store_explicit(&line->name[i], word, memory_order_release);
        if (memchr(text + 8 * i, '\0', 8))
            break;
    }
}

static void load_name(const struct pst_activity_line *line, char *name)
{
    for (size_t i = 0; i < PST_ACTIVITY_NAME_BYTES / 8; i++) {
        uint64_t word = atomic_load_explicit(&line->name[i], memory_order_acquire);
        memcpy(name + 8 * i, &word, sizeof(word));
    }
    name[PST_ACTIVITY_NAME_BYTES - 1] = '\0';
}

static void set(struct pst_activity *activity, struct pst_activity_line *line, const char *what,
                const char *name)
{
    move(activity);
    atomic_store_explicit(&line->what, what, memory_order_release);
    if (what)
        store_name(line, name);
    move(activity);
}

void pst_activity_order(struct pst_activity *activity, const char *what, const char *name,
                        uint64_t since_ns)
{
    atomic_store_explicit(&activity->since_ns, since_ns, memory_order_relaxed);
    set(activity, &activity->order, what, name);
}

void pst_activity_begin(const char *what, const char *name)
{
    if (mine)
        set(mine, &mine->step, what, name);
}

void pst_activity_end(void)
{
    if (mine)
        set(mine, &mine->step, NULL, NULL);
}

void pst_activity_begin_inner(struct pst_activity_outer *outer, const char *what, const char *name)
{
    if (!mine)
        return;
    outer->what = atomic_load_explicit(&mine->step.what, memory_order_relaxed);
    load_name(&mine->step, outer->name);
    set(mine, &mine->step, what, name);
}

void pst_activity_end_inner(const struct pst_activity_outer *outer)
{
    if (mine)
        set(mine, &mine->step, outer->what, outer->name);
}

void pst_activity_rest(bool resting)
{
    if (!mine)
        return;
    atomic_store_explicit(&mine->is_resting, resting, memory_order_relaxed);
    pst_activity_move();
}

void pst_activity_move(void)
{
    if (!mine)
        return;
    uint64_t moves = atomic_load_explicit(&mine->moves, memory_order_relaxed);
    atomic_store_explicit(&mine->moves, moves + 2, memory_order_release);
}

void pst_activity_view(const struct pst_activity *activity, struct pst_activity_view *view)
{
    const struct pst_activity_line *line = &activity->step;
    view->moves = atomic_load_explicit(&activity->moves, memory_order_acquire);
    view->since_ns = atomic_load_explicit(&activity->since_ns, memory_order_relaxed);
    view->is_resting = atomic_load_explicit(&activity->is_resting, memory_order_relaxed);
    view->what = atomic_load_explicit(&line->what, memory_order_acquire);
    if (view->what) {
        view->is_resting = false;
    } else {
        line = &activity->order;
        view->what = atomic_load_explicit(&line->what, memory_order_acquire);
    }
    load_name(line, view->name);
    if (view->moves % 2 != 0 ||
        atomic_load_explicit(&activity->moves, memory_order_relaxed) != view->moves)
        view->what = NULL; /* it moves right now */
}
