/*
 * The thread of one source: does what may block (freeze, snapshot, thaw, listing) and hands
 * fragments to the LDMs through slots. Started and stopped by node.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/priority.h"
#include "engine/base/thread.h"
#include "engine/format/manifest.h"
#include "engine/node/threads.h"
#include "engine/source/fragment_check.h"
#include "engine/source/listing_check.h"

/* A fragment's id: its number in the listing, and the slot that it lies in. */
#define SLOT_BITS 12u
_Static_assert(PST_FRAGMENTS_LISTED_MAX < 1u << SLOT_BITS, "a slot's index fits");

struct lister {
    struct pst_fragment_sink sink; /* first: the source sees only this */
    struct pst_source_thread *thread;
    struct pst_signal request;                    /* the LIST in progress */
    struct pst_source_listing emitted;            /* rows of no known length have no bytes */
    struct pst_listing_check check;               /* of a program's source */
    bool cancelled;                               /* until the release */
    bool refused;                                 /* a fragment of it */
    bool listed;                                  /* wholly, and not aborted since */
    bool thawed_itself;                           /* the freeze outlasted its limit */
    int urgent_error;                             /* of the priority while frozen */
    struct pst_signal signals[PST_CHANNEL_BURST]; /* taken from the ring, not yet served */
    uint32_t signals_first;
    uint32_t signals_count;
};

/* The oldest signal that is not served; NULL: there is none. */
static struct pst_signal *next_signal(struct lister *lister)
{
    if (lister->signals_first == lister->signals_count) {
        lister->signals_first = 0;
        lister->signals_count =
            pst_channel_from_hub(&lister->thread->worker.channel, lister->signals);
    }
    if (lister->signals_count == 0)
        return NULL;
    return &lister->signals[lister->signals_first];
}

int source_slots_open(struct pst_source_thread *thread)
{
    const struct pst_node_config *config = &thread->worker.node->config;
    uint32_t share = config->plan->ldms * PST_FRAGMENTS_LISTED_PER_LDM / config->sources_count;
    thread->slots_count = share > PST_FRAGMENTS_LISTED_MIN ? share : PST_FRAGMENTS_LISTED_MIN;
    thread->slots = calloc(thread->slots_count, sizeof(*thread->slots));
    thread->slots_memory = aligned_alloc(64, (size_t)thread->slots_count * PST_FRAGMENT_SLOT_BYTES);
    if (!thread->slots || !thread->slots_memory) {
        source_slots_close(thread);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < thread->slots_count; i++) {
        char *slot = (char *)thread->slots_memory + (size_t)i * PST_FRAGMENT_SLOT_BYTES;
        thread->slots[i].descriptor = (struct pst_fragment_descriptor *)slot;
    }
    return 0;
}

void source_slots_close(struct pst_source_thread *thread)
{
    free(thread->slots);
    free(thread->slots_memory);
    thread->slots = NULL;
    thread->slots_memory = NULL;
}

const struct pst_fragment_descriptor *source_fragment(const struct pst_node *node, uint32_t source,
                                                      uint64_t fragment)
{
    uint64_t slot = fragment & ((1u << SLOT_BITS) - 1);
    assert(source < node->config.sources_count && slot < node->sources[source].slots_count);
    return node->sources[source].slots[slot].descriptor;
}

static pst_ref self_ref(const struct pst_source_thread *thread)
{
    return pst_ref_make(thread->worker.node->config.node, PST_BLOCK_SOURCE,
                        thread->source->instance);
}

static struct pst_signal answer_to(const struct pst_source_thread *thread,
                                   const struct pst_signal *request, uint16_t gsn)
{
    struct pst_signal signal;
    assert(request->receiver_ref == self_ref(thread));
    pst_signal_init_answer(&signal, gsn, request);
    return signal;
}

/* To the clients of all nodes, one of which asked for the backup. */
static void send_text(struct pst_source_thread *thread, const struct pst_signal *request,
                      enum pst_source_text_kind kind, const char *text, uint32_t bytes)
{
    struct pst_signal signal = answer_to(thread, request, PST_SOURCE_TEXT_REP);
    struct pst_source_text *piece = &signal.payload.source_text;
    signal.sequence = 0;
    signal.receiver_ref = pst_ref_make(thread->worker.node->config.node, PST_BLOCK_CLIENT, 0);
    piece->where = self_ref(thread);
    piece->bytes = (uint16_t)bytes;
    piece->kind = (uint16_t)kind;
    for (; piece->offset < bytes; piece->offset += sizeof(piece->text)) {
        uint32_t left = bytes - piece->offset;
        memset(piece->text, 0, sizeof(piece->text));
        memcpy(piece->text, text + piece->offset,
               left < sizeof(piece->text) ? left : sizeof(piece->text));
        pst_channel_to_hub(&thread->worker.channel, &signal);
    }
}

static void report_error(struct pst_source_thread *thread, const struct pst_signal *request,
                         int error)
{
    char says[PST_SOURCE_SAYS_BYTES_MAX];
    int text_bytes;
    const char *text = pst_source_error_text(thread->source, &text_bytes);
    int used = snprintf(says, sizeof(says), "%s%s%.*s", thread->source->name,
                        text_bytes > 0 ? ": " : "", text_bytes, text);
    pst_log(error == -PST_E_FREEZE ? PST_LOG_WARNING : PST_LOG_ERROR, "source %s: %s: %s%s%.*s",
            thread->source->name, pst_gsn_name(request->gsn), pst_error_text(error),
            text_bytes > 0 ? ": " : "", text_bytes, text);
    assert(used > 0 && (size_t)used < sizeof(says));
    send_text(thread, request, PST_TEXT_FAILURE, says, (uint32_t)used);
}

/* Also where the backup has failed, or fails by this. */
static void report_left_frozen(struct pst_source_thread *thread, const struct pst_signal *request)
{
    const char *name = thread->source->name;
    bool is_left_frozen = pst_source_is_left_frozen(thread->source);
    if (request->gsn != PST_SOURCE_RELEASE_REQ)
        return;
    atomic_store_explicit(&thread->is_left_frozen, is_left_frozen, memory_order_relaxed);
    if (is_left_frozen)
        send_text(thread, request, PST_TEXT_LEFT_FROZEN, name, (uint32_t)strlen(name));
}

/* error: negative, or 0 for the CONF. */
static void answer(struct lister *lister, const struct pst_signal *request, int error)
{
    struct pst_source_thread *thread = lister->thread;
    uint16_t gsn = error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn);
    struct pst_signal signal = answer_to(thread, request, gsn);
    report_left_frozen(thread, request);
    if (error) {
        if (error != -ECANCELED || !lister->cancelled) /* else it was told to */
            report_error(thread, request, error);
        signal.payload.ref.error = (uint32_t)-error;
        signal.payload.ref.where = self_ref(thread);
    } else if (request->gsn == PST_SOURCE_FREEZE_REQ) {
        signal.payload.gci.start_gci = node_next_gci(thread->worker.node, pst_unix_ns());
    } else if (request->gsn == PST_SOURCE_RELEASE_REQ) {
        signal.payload.release_conf.left_frozen = pst_source_is_left_frozen(thread->source);
    }
    pst_channel_to_hub(&thread->worker.channel, &signal);
}

static void free_slot(struct pst_source_thread *thread, uint64_t fragment)
{
    uint64_t slot = fragment & ((1u << SLOT_BITS) - 1);
    if (slot < thread->slots_count)
        thread->slots[slot].in_use = false;
}

/* While it lists, fragments end, or it is told to stop: by name, by the end of the node, or by the
 * order that comes next, which is served once the listing has returned. */
static void serve_while_listing(struct lister *lister)
{
    struct pst_signal *signal;
    if (atomic_load_explicit(&lister->thread->worker.must_stop, memory_order_acquire))
        lister->cancelled = true;
    while (!lister->cancelled && (signal = next_signal(lister)) != NULL) {
        if (signal->gsn == PST_SOURCE_FRAGMENT_DONE_ORD) {
            free_slot(lister->thread, signal->payload.fragment.fragment);
            lister->signals_first++;
        } else {
            lister->cancelled = true;
        }
    }
}

static int acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    struct lister *lister = (struct lister *)sink;
    struct pst_source_thread *thread = lister->thread;
    struct pst_idle idle = {0};
    for (;;) {
        serve_while_listing(lister);
        if (lister->cancelled)
            return -ECANCELED;
        for (uint32_t i = 0; i < thread->slots_count; i++) {
            if (thread->slots[i].in_use)
                continue;
            *slot = thread->slots[i].descriptor;
            return 0;
        }
        worker_wait(&thread->worker, &idle, PST_DEADLINE_NONE);
    }
}

static int wait_read(struct pst_fragment_sink *sink)
{
    struct lister *lister = (struct lister *)sink;
    struct pst_source_thread *thread = lister->thread;
    struct pst_idle idle = {0};
    for (;;) {
        bool is_read = true;
        serve_while_listing(lister);
        if (lister->cancelled)
            return -ECANCELED;
        for (uint32_t i = 0; i < thread->slots_count; i++)
            is_read = is_read && !thread->slots[i].in_use;
        if (is_read)
            return 0;
        worker_wait(&thread->worker, &idle, PST_DEADLINE_NONE);
    }
}

/* The index of a slot that may be emitted. */
static bool find_slot(const struct pst_source_thread *thread,
                      const struct pst_fragment_descriptor *fragment, uint64_t *slot)
{
    for (*slot = 0; *slot < thread->slots_count; ++*slot)
        if (thread->slots[*slot].descriptor == fragment && !thread->slots[*slot].in_use)
            return true;
    return false;
}

/* A source may be a program's own: what no LDM could scan, or no restore read, is refused. */
static const char *fault_of(struct lister *lister, const struct pst_fragment_descriptor *fragment,
                            uint64_t *slot)
{
    const struct pst_source_thread *thread = lister->thread;
    const struct pst_node *node = thread->worker.node;
    const struct pst_fragment_limits limits = {
        .ldms = node->config.plan->ldms, .base_files = node->base ? node->base->files.count : 0};
    if (!find_slot(thread, fragment, slot))
        return "a slot that it was not given, or not again";
    const char *fault = pst_fragment_fault(thread->source, &limits, fragment);
    if (!fault && !(thread->source->flags & PST_SOURCE_CHECKS_LISTING))
        fault = pst_listing_fault(&lister->check, fragment);
    return fault;
}

static int refuse(struct lister *lister, const char *fault)
{
    lister->refused = true;
    pst_log(PST_LOG_ERROR, "source %s: it listed %s", lister->thread->source->name, fault);
    return -EINVAL;
}

static void count(struct pst_source_listing *emitted,
                  const struct pst_fragment_descriptor *descriptor)
{
    emitted->fragments++;
    emitted->objects += descriptor->objects_count;
    for (uint32_t i = 0; i < descriptor->extents_count; i++)
        emitted->bytes += descriptor->extents[i].length;
}

static int emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *descriptor)
{
    struct lister *lister = (struct lister *)sink;
    struct pst_source_thread *thread = lister->thread;
    if (lister->cancelled)
        return -ECANCELED;
    uint64_t slot;
    const char *fault = fault_of(lister, descriptor, &slot);
    if (fault)
        return refuse(lister, fault);
    thread->slots[slot].in_use = true;
    count(&lister->emitted, descriptor);
    descriptor->number = lister->emitted.fragments;
    struct pst_signal signal = answer_to(thread, &lister->request, PST_SOURCE_FRAGMENT_REP);
    signal.sequence = 0;
    signal.payload.fragment.source = thread->source->instance;
    signal.payload.fragment.fragment = descriptor->number << SLOT_BITS | slot;
    signal.payload.fragment.bytes = descriptor->bytes;
    signal.payload.fragment.owner = descriptor->owner;
    pst_channel_to_hub(&thread->worker.channel, &signal);
    return 0;
}

static bool find_in_base(struct pst_fragment_sink *sink, const struct pst_object *object,
                         const struct pst_object_identity *identity, uint64_t *place,
                         uint64_t *data_bytes)
{
    const struct pst_source_thread *thread = ((struct lister *)sink)->thread;
    const struct pst_base *base = thread->worker.node->base;
    return base && pst_base_find(base, thread->source->name, object, identity, place, data_bytes);
}

static void note_unreadable(struct pst_fragment_sink *sink, const char *path)
{
    struct lister *lister = (struct lister *)sink;
    const struct pst_source_thread *thread = lister->thread;
    lister->emitted.unreadable++;
    pst_unreadable_add_listed(&thread->worker.node->unreadable, thread->source->name, path);
}

/* The source, or the backup directory, may be another than at the start. */
static int check_directory(const struct pst_source_thread *thread)
{
    const char *directory = thread->worker.node->config.directory;
    int inside = pst_source_contains(thread->source, directory);
    bool is_in = inside > 0 && inside != PST_SOURCE_LEAVES_OUT;
    if (is_in)
        pst_log(PST_LOG_ERROR,
                "source %s: the backup directory %s is the source itself now, or lies in it, so "
                "the backup "
                "would contain itself",
                thread->source->name, directory);
    return is_in ? -EINVAL : inside < 0 ? inside : 0;
}

/* What a backup says of itself is made of both. */
static int check_counts(const struct lister *lister, const struct pst_source_listing *listing)
{
    const struct pst_source_listing *emitted = &lister->emitted;
    if (listing->fragments == emitted->fragments && listing->objects == emitted->objects &&
        listing->bytes >= emitted->bytes && listing->unreadable == emitted->unreadable)
        return 0;
    pst_log(PST_LOG_ERROR,
            "source %s: it counted %llu fragments, %llu objects, %llu bytes and %llu unreadable "
            "ones, and gave %llu, %llu, %llu and %llu",
            lister->thread->source->name, (unsigned long long)listing->fragments,
            (unsigned long long)listing->objects, (unsigned long long)listing->bytes,
            (unsigned long long)listing->unreadable, (unsigned long long)emitted->fragments,
            (unsigned long long)emitted->objects, (unsigned long long)emitted->bytes,
            (unsigned long long)emitted->unreadable);
    return -EINVAL;
}

/* What it listed, besides each fragment by itself. */
static int check_listing(struct lister *lister, const struct pst_source_listing *listing)
{
    const char *fault = pst_listing_end_fault(&lister->check);
    if (lister->refused)
        return -EINVAL;
    return fault ? refuse(lister, fault) : check_counts(lister, listing);
}

static void list(struct lister *lister, const struct pst_signal *request)
{
    struct pst_source_thread *thread = lister->thread;
    struct pst_source_listing listing = {0};
    lister->request = *request;
    lister->emitted = (struct pst_source_listing){0};
    lister->refused = false;
    int error = check_directory(thread);
    if (!error)
        error = pst_source_list(thread->source, &lister->sink, &listing);
    if (!error)
        error = check_listing(lister, &listing);
    pst_listing_forget(&lister->check);
    if (error) {
        answer(lister, request, error);
        return;
    }
    if (listing.skipped > 0)
        pst_log(PST_LOG_WARNING, "source %s: %llu files of unknown kinds were left out",
                thread->source->name, (unsigned long long)listing.skipped);
    struct pst_signal signal = answer_to(thread, request, PST_SOURCE_LIST_CONF);
    lister->listed = true;
    signal.payload.list_conf.fragments = listing.fragments;
    signal.payload.list_conf.bytes = listing.bytes;
    signal.payload.list_conf.unreadable = listing.unreadable;
    pst_channel_to_hub(&thread->worker.channel, &signal);
}

/* Lets the writers go on, where they are held up; they do not wait for this thread any more. */
static void thaw(struct lister *lister)
{
    struct pst_source *source = lister->thread->source;
    lister->thread->thaw_at_ns = PST_DEADLINE_NONE;
    if (source->phase == PST_SOURCE_FROZEN || source->phase == PST_SOURCE_SNAPSHOT) {
        int error = pst_source_thaw(source);
        assert(!error);
    }
    (void)pst_priority_set(PST_PRIORITY_NORMAL);
}

/* Writers waiting forever for a cut that does not come would be worse than no backup. */
static void thaw_in_time(struct lister *lister)
{
    if (pst_monotonic_ns() < lister->thread->thaw_at_ns)
        return;
    lister->thawed_itself = true;
    thaw(lister);
    pst_log(PST_LOG_WARNING,
            "source %s: its writers were held up for longer than the limit, and "
            "let go",
            lister->thread->source->name);
}

/* The sources before it are held up meanwhile: waiting beyond their limit would be for nothing. */
static uint64_t freeze_deadline_ns(const struct pst_source_thread *thread)
{
    const struct pst_node *node = thread->worker.node;
    uint64_t deadline_ns = pst_monotonic_ns() + node->config.freeze_wait_ns;
    for (uint32_t i = 0; i < thread->source->instance; i++) {
        uint64_t thaw_at_ns = node->sources[i].thaw_at_ns;
        deadline_ns = thaw_at_ns < deadline_ns ? thaw_at_ns : deadline_ns;
    }
    return deadline_ns;
}

/* Once, and not while writers wait. */
static void report_priority(int error)
{
    static atomic_flag is_reported = ATOMIC_FLAG_INIT;
    if (error && !atomic_flag_test_and_set(&is_reported))
        pst_log(
            PST_LOG_INFO,
            "where CPUs are busy, writers are held up for longer than need be: the threads that "
            "hold them up may not have real-time priority (%s): allow CAP_SYS_NICE or "
            "RLIMIT_RTPRIO",
            pst_error_text(error));
}

/* Until the thaw: other sources' writers wait for this thread, or will. A program's own source that
 * holds up writers and has no prepare may wait for them in a way that takes a CPU. */
static void hurry(struct lister *lister)
{
    const struct pst_source *source = lister->thread->source;
    if (lister->thread->worker.node->holds_writers &&
        (!source->freeze || pst_source_prepares(source)))
        lister->urgent_error = pst_priority_set(PST_PRIORITY_URGENT);
}

static int freeze(struct lister *lister)
{
    struct pst_source_thread *thread = lister->thread;
    uint64_t hold_ns = thread->worker.node->config.freeze_hold_ns;
    lister->thawed_itself = false;
    int error = pst_source_freeze(thread->source, freeze_deadline_ns(thread));
    hurry(lister);
    if (!error && hold_ns > 0 && thread->source->freeze)
        thread->thaw_at_ns = pst_monotonic_ns() + hold_ns;
    return error;
}

/* All sources of the cluster are frozen: this one's part of the cut is made with its snapshot, and
 * its writers need wait for no other (docs/adr/0035). */
static int cut(struct lister *lister, uint64_t gci)
{
    if (!pst_source_prepares(lister->thread->source)) /* as in hurry(): its snapshot may wait */
        (void)pst_priority_set(PST_PRIORITY_NORMAL);
    int error =
        lister->thawed_itself ? -PST_E_THAWED : pst_source_snapshot(lister->thread->source, gci);
    thaw(lister);
    if (lister->thread->source->freeze)
        report_priority(lister->urgent_error);
    return error;
}

/* The manifest could not be written, and would not say whose they are. */
static int check_details(const struct pst_source *source)
{
    if (!source->details || pst_manifest_takes_details(source->details))
        return 0;
    pst_log(PST_LOG_ERROR, "source %s: its details are not a JSON object of at most %u bytes",
            source->name, PST_SOURCE_DETAILS_BYTES - 1);
    return -EINVAL;
}

/* Also after a whole scan: then the result is whether it was a scan of the snapshot. */
static int release(struct lister *lister)
{
    struct pst_source_thread *thread = lister->thread;
    uint64_t wait_ns = thread->worker.node->config.freeze_wait_ns;
    thaw(lister);
    int error = lister->listed ? pst_source_check(thread->source, pst_monotonic_ns() + wait_ns) : 0;
    if (!error && lister->listed)
        error = check_details(thread->source);
    pst_source_release(thread->source);
    lister->cancelled = false;
    lister->listed = false;
    lister->thawed_itself = false;
    for (uint32_t i = 0; i < lister->thread->slots_count; i++)
        lister->thread->slots[i].in_use = false;
    return error;
}

/* The first step of each try of a freeze: nothing of an earlier one is held. */
static int prepare(struct lister *lister)
{
    int error = release(lister);
    if (!error)
        error = pst_source_prepare(lister->thread->source);
    hurry(lister);
    return error;
}

/* An abort lets the writers go on at once; the snapshot is released by the cleanup, when no LDM
 * reads it any more. */
static void on_abort(struct lister *lister)
{
    lister->cancelled = true;
    lister->listed = false;
    thaw(lister);
}

static const char *words_of(const struct pst_signal *order)
{
    switch (order->gsn) {
    case PST_SOURCE_PREPARE_REQ:
        return "look for";
    case PST_SOURCE_FREEZE_REQ:
        return "hold up the writers of";
    case PST_SOURCE_SNAPSHOT_REQ:
        return "take the snapshot of";
    case PST_SOURCE_LIST_REQ:
        return "list";
    default:
        return "let go of";
    }
}

static void serve(struct lister *lister, const struct pst_signal *signal)
{
    struct pst_source_thread *thread = lister->thread;
    pst_activity_order(&thread->worker.activity, words_of(signal), thread->source->name, 0);
    switch (signal->gsn) {
    case PST_SOURCE_PREPARE_REQ:
        answer(lister, signal, prepare(lister));
        break;
    case PST_SOURCE_FREEZE_REQ:
        answer(lister, signal, freeze(lister));
        break;
    case PST_SOURCE_SNAPSHOT_REQ:
        answer(lister, signal, cut(lister, signal->payload.gci.start_gci));
        break;
    case PST_SOURCE_LIST_REQ:
        list(lister, signal);
        break;
    case PST_SOURCE_RELEASE_REQ:
        answer(lister, signal, release(lister));
        break;
    case PST_SOURCE_ABORT_ORD:
        on_abort(lister);
        break;
    case PST_SOURCE_FRAGMENT_DONE_ORD:
        free_slot(thread, signal->payload.fragment.fragment);
        break;
    default:
        pst_log(PST_LOG_WARNING, "source %s: %s is not for a source", thread->source->name,
                pst_gsn_name(signal->gsn));
    }
    pst_activity_order(&thread->worker.activity, NULL, NULL, 0);
}

void *source_run(void *argument)
{
    struct pst_source_thread *thread = argument;
    struct lister lister = {.sink = {acquire, emit, note_unreadable, NULL, wait_read},
                            .thread = thread};
    if (thread->worker.node->config.base.mode != PST_BASE_NONE)
        lister.sink.find_in_base = find_in_base;
    struct pst_idle idle = {0};
    pst_thread_name("pst source %u", thread->source->instance + 1);
    int error = worker_open(&thread->worker);
    worker_report_start(&thread->worker, error);
    if (error)
        return NULL;
    while (!atomic_load_explicit(&thread->worker.must_stop, memory_order_acquire)) {
        thaw_in_time(&lister);
        struct pst_signal *next = next_signal(&lister);
        if (next) {
            struct pst_signal signal = *next; /* a listing takes further ones meanwhile */
            lister.signals_first++;
            serve(&lister, &signal);
            pst_idle_reset(&idle);
        } else {
            worker_wait(&thread->worker, &idle, thread->thaw_at_ns);
        }
    }
    return NULL;
}
