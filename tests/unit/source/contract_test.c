/* What every source must do, over every source. The last one is the test's own: a file that is
 * read but for two blocks captured at the snapshot, as a database's root pages are. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/source/source_test.h"

#define TREE_FILES 2500

/* ---- a source that pins ---- */

#define PINNED_BLOCKS 20u

struct pinned {
    struct pst_source source; /* first */
    uint8_t roots[2][PST_BLOCK_BYTES];
    bool frozen;
    bool has_snapshot;
};

static int pinned_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct pinned *pinned = (struct pinned *)source;
    if (deadline_ns == 0)
        return -PST_E_FREEZE;
    pinned->frozen = true;
    return 0;
}

static int pinned_snapshot(struct pst_source *source, uint64_t gci)
{
    struct pinned *pinned = (struct pinned *)source;
    CU_ASSERT_TRUE(pinned->frozen);
    CU_ASSERT_EQUAL(gci, 1);
    memset(pinned->roots, 'R', sizeof(pinned->roots));
    pinned->has_snapshot = true;
    return 0;
}

static void pinned_thaw(struct pst_source *source)
{
    struct pinned *pinned = (struct pinned *)source;
    CU_ASSERT_TRUE(pinned->frozen);
    pinned->frozen = false;
}

static void pinned_release(struct pst_source *source)
{
    struct pinned *pinned = (struct pinned *)source;
    CU_ASSERT_TRUE(pinned->has_snapshot && !pinned->frozen);
    pinned->has_snapshot = false;
}

static int pinned_fill(struct pst_source *source, struct pst_fragment_descriptor *slot,
                       uint64_t from, bool first)
{
    struct pinned *pinned = (struct pinned *)source;
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_ENVIRONMENT,
                                      .path = "data",
                                      .size = PINNED_BLOCKS * PST_BLOCK_BYTES};
    uint8_t entry[256];
    size_t bytes = 0;
    ASSERT_OK(pst_object_encode(&object, entry, sizeof(entry), &bytes));
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    ASSERT_OK(pst_fragment_add_entry(slot, entry, bytes, first));
    const struct pst_fragment_file file = {.object = object.id, .path = "data"};
    ASSERT_OK(pst_fragment_add_file(slot, &file));
    for (uint64_t block = from; block < from + PINNED_BLOCKS / 4; block++)
        ASSERT_OK(pst_fragment_add_extent(slot, block * PST_BLOCK_BYTES, PST_BLOCK_BYTES,
                                          block < 2 ? pinned->roots[block] : NULL));
    return 0;
}

static int pinned_list(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    for (uint64_t from = 0; from < PINNED_BLOCKS; from += PINNED_BLOCKS / 4) {
        struct pst_fragment_descriptor *slot;
        int error = sink->acquire(sink, &slot);
        if (error)
            return error;
        pinned_fill(source, slot, from, from == 0);
        uint64_t bytes = slot->bytes;
        error = sink->emit(sink, slot);
        if (error)
            return error;
        listing->fragments++;
        listing->bytes += bytes;
        listing->objects = 1;
    }
    return 0;
}

static void pinned_close(struct pst_source *source)
{
    CU_ASSERT_FALSE(((struct pinned *)source)->has_snapshot);
    close(source->root_fd);
    free(source);
}

static struct pst_source *open_pinned(const char *root)
{
    struct pinned *pinned = calloc(1, sizeof(*pinned));
    CU_ASSERT_PTR_NOT_NULL_FATAL(pinned);
    pinned->source = (struct pst_source){
        .struct_bytes = sizeof(struct pst_source),
        .abi_version = PST_SOURCE_ABI_VERSION,
        .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
        .root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .type = "pinned",
        .name = "pinned",
        .instance = 3,
        .freeze = pinned_freeze,
        .snapshot = pinned_snapshot,
        .thaw = pinned_thaw,
        .list = pinned_list,
        .release = pinned_release,
        .close = pinned_close,
    };
    return &pinned->source;
}

/* ---- the sources under test ---- */

static void make_tree(void)
{
    REQUIRE(mkdir("tree", 0755) == 0);
    char path[64];
    for (int i = 0; i < TREE_FILES; i++) {
        if (i % 100 == 0) {
            snprintf(path, sizeof(path), "tree/%d", i / 100);
            REQUIRE(mkdir(path, 0755) == 0);
        }
        snprintf(path, sizeof(path), "tree/%d/%d", i / 100, i);
        write_file(path, path, strlen(path));
    }
    int fd = open("tree/large", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    REQUIRE(fd >= 0);
    REQUIRE(posix_fallocate(fd, 0, 2 * (off_t)PST_FRAGMENT_BYTES_MAX + 12345) == 0);
    REQUIRE(pwrite(fd, "middle", 6, PST_FRAGMENT_BYTES_MAX - 3) == 6);
    REQUIRE(pwrite(fd, "end", 3, 2 * (off_t)PST_FRAGMENT_BYTES_MAX + 12342) == 3);
    close(fd);
}

static void make_pinned(void)
{
    REQUIRE(mkdir("pinned", 0755) == 0);
    char block[PST_BLOCK_BYTES];
    memset(block, 'x', sizeof(block));
    write_file("pinned/data", block, 0);
    int fd = open("pinned/data", O_WRONLY | O_CLOEXEC);
    for (unsigned i = 0; i < PINNED_BLOCKS; i++)
        REQUIRE(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
    close(fd);
}

enum { TREE, FILE_ALONE, SYNTHETIC, PINNED, SOURCES };

static struct pst_source *open_nth(int nth)
{
    switch (nth) {
    case TREE:
        return open_source("dir:tree");
    case FILE_ALONE:
        return open_source("dir:tree/large");
    case SYNTHETIC:
        return open_source("synthetic:rows=54321,row-bytes=1001,seed=9");
    default:
        return open_pinned("pinned");
    }
}

static int set_up(void)
{
    make_directory();
    make_tree();
    make_pinned();
    return 0;
}

static int tear_down(void)
{
    remove_directory();
    return 0;
}

/* ---- the contract ---- */

static void fields_are_filled(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct pst_source *source = open_nth(nth);
        CU_ASSERT_EQUAL(source->struct_bytes, sizeof(struct pst_source));
        CU_ASSERT_EQUAL(source->abi_version, PST_SOURCE_ABI_VERSION);
        CU_ASSERT_EQUAL(source->instance, 3);
        CU_ASSERT_TRUE(strlen(source->name) > 0);
        CU_ASSERT_TRUE(source->flags & PST_SOURCE_ANY_LDM);
        CU_ASSERT_EQUAL(pst_source_object_id(source, 7) >> PST_OBJECT_SOURCE_SHIFT, 3);
        pst_source_close(source);
    }
}

static void listing_is_legal(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct pst_source *source = open_nth(nth);
        struct collected collected;
        collect(source, &collected);
        check_listing(&collected);
        CU_ASSERT_TRUE(collected.count >= 3);
        CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
        pst_source_close(source);
        collected_free(&collected);
    }
}

/* Every byte of every object once: the sources here have no holes. */
static void each_byte_once(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct pst_source *source = open_nth(nth);
        struct collected collected;
        collect(source, &collected);
        const char *path = nth == SYNTHETIC ? "rows" : nth == PINNED ? "data" : "large";
        struct pst_object object;
        CU_ASSERT_TRUE_FATAL(find_object(&collected, path, &object));
        CU_ASSERT_EQUAL(extent_bytes(&collected, object.id), object.size);
        uint8_t *bytes = read_object(source, &collected, &object);
        if (nth == PINNED) {
            CU_ASSERT_EQUAL(bytes[2 * PST_BLOCK_BYTES - 1], 'R');
            CU_ASSERT_EQUAL(bytes[2 * PST_BLOCK_BYTES], 'x');
        } else if (nth != SYNTHETIC) {
            CU_ASSERT_EQUAL(memcmp(bytes + PST_FRAGMENT_BYTES_MAX - 3, "middle", 6), 0);
            CU_ASSERT_EQUAL(memcmp(bytes + object.size - 3, "end", 3), 0);
        }
        free(bytes);
        pst_source_close(source);
        collected_free(&collected);
    }
}

static void order_is_kept(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct pst_source *source = open_nth(nth);
        struct collected collected;
        collected_init(&collected);
        struct pst_source_listing *listing = &collected.listing;
        CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -PST_E_WRONG_STATE);
        CU_ASSERT_EQUAL(pst_source_thaw(source), -PST_E_WRONG_STATE);
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, listing), -PST_E_WRONG_STATE);
        ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
        CU_ASSERT_EQUAL(pst_source_freeze(source, UINT64_MAX), -PST_E_WRONG_STATE);
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, listing), -PST_E_WRONG_STATE);
        ASSERT_OK(pst_source_thaw(source)); /* given up without a snapshot */
        CU_ASSERT_EQUAL(source->phase, PST_SOURCE_IDLE);
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, listing), -PST_E_WRONG_STATE);
        ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
        ASSERT_OK(pst_source_snapshot(source, 1));
        CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -PST_E_WRONG_STATE);
        ASSERT_OK(pst_source_thaw(source));
        CU_ASSERT_EQUAL(pst_source_thaw(source), -PST_E_WRONG_STATE);
        pst_source_release(source);
        CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, listing), -PST_E_WRONG_STATE);
        pst_source_release(source);
        pst_source_close(source);
        collected_free(&collected);
    }
}

/* An abort knows one call, whatever was going on. */
static void release_from_any_phase(void)
{
    for (int nth = 0; nth < SOURCES; nth++)
        for (int steps = 0; steps <= 3; steps++) {
            struct pst_source *source = open_nth(nth);
            if (steps > 0)
                ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
            if (steps > 1)
                ASSERT_OK(pst_source_snapshot(source, 1));
            if (steps > 2)
                ASSERT_OK(pst_source_thaw(source));
            pst_source_release(source);
            CU_ASSERT_EQUAL(source->phase, PST_SOURCE_IDLE);
            ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
            pst_source_close(source);
        }
}

static void second_backup_lists_the_same(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct pst_source *source = open_nth(nth);
        struct collected first;
        struct collected second;
        collect(source, &first);
        pst_source_release(source);
        collect(source, &second);
        CU_ASSERT_EQUAL(memcmp(&first.listing, &second.listing, sizeof(first.listing)), 0);
        CU_ASSERT_EQUAL_FATAL(first.count, second.count);
        for (uint64_t i = 0; i < first.count; i++) {
            const struct pst_fragment_descriptor *a = first.fragments[i];
            const struct pst_fragment_descriptor *b = second.fragments[i];
            CU_ASSERT_EQUAL_FATAL(a->entries_bytes, b->entries_bytes);
            CU_ASSERT_EQUAL(memcmp(a->data, b->data, a->entries_bytes), 0);
            CU_ASSERT_EQUAL(a->extents_count, b->extents_count);
        }
        pst_source_close(source);
        collected_free(&first);
        collected_free(&second);
    }
}

static void cancel_in_emit(void)
{
    for (int nth = 0; nth < SOURCES; nth++)
        for (uint64_t at = 1; at <= 3; at++) {
            struct pst_source *source = open_nth(nth);
            struct collected collected;
            collected_init(&collected);
            collected.cancel_at = at;
            ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
            ASSERT_OK(pst_source_snapshot(source, 1));
            CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing),
                            -ECANCELED);
            CU_ASSERT_EQUAL(collected.listing.fragments, at - 1);
            pst_source_close(source);
            collected_free(&collected);
        }
}

/* ---- back-pressure ---- */

struct bounded {
    struct pst_fragment_sink sink; /* first */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pst_fragment_descriptor *slot; /* the only one */
    unsigned emitted;
    bool taken;
    bool waiting;
    bool canceled;
    struct pst_source *source;
    struct pst_source_listing listing;
    int result;
};

static int bounded_acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    struct bounded *bounded = (struct bounded *)sink;
    pthread_mutex_lock(&bounded->lock);
    while (bounded->taken && !bounded->canceled) {
        bounded->waiting = true;
        pthread_cond_broadcast(&bounded->changed);
        pthread_cond_wait(&bounded->changed, &bounded->lock);
    }
    bounded->waiting = false;
    bounded->taken = true;
    *slot = bounded->slot;
    int error = bounded->canceled ? -ECANCELED : 0;
    pthread_mutex_unlock(&bounded->lock);
    return error;
}

static int bounded_emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    struct bounded *bounded = (struct bounded *)sink;
    pthread_mutex_lock(&bounded->lock);
    slot->number = ++bounded->emitted;
    pthread_mutex_unlock(&bounded->lock);
    return 0;
}

static void *list_into_bounded(void *argument)
{
    struct bounded *bounded = argument;
    bounded->result = pst_source_list(bounded->source, &bounded->sink, &bounded->listing);
    return NULL;
}

static void wait_until_blocked(struct bounded *bounded)
{
    while (!bounded->waiting)
        pthread_cond_wait(&bounded->changed, &bounded->lock);
}

static void cancel_while_blocked(void)
{
    for (int nth = 0; nth < SOURCES; nth++) {
        struct bounded bounded = {.sink = {.acquire = bounded_acquire, .emit = bounded_emit},
                                  .lock = PTHREAD_MUTEX_INITIALIZER,
                                  .changed = PTHREAD_COND_INITIALIZER,
                                  .slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES),
                                  .source = open_nth(nth)};
        ASSERT_OK(pst_source_freeze(bounded.source, UINT64_MAX));
        ASSERT_OK(pst_source_snapshot(bounded.source, 1));
        pthread_t thread;
        ASSERT_OK(pthread_create(&thread, NULL, list_into_bounded, &bounded));
        pthread_mutex_lock(&bounded.lock);
        wait_until_blocked(&bounded);
        CU_ASSERT_EQUAL(bounded.emitted, 1); /* and no more until a slot is free */
        bounded.taken = false;
        bounded.waiting = false;
        pthread_cond_broadcast(&bounded.changed);
        wait_until_blocked(&bounded);
        CU_ASSERT_EQUAL(bounded.emitted, 2);
        bounded.canceled = true;
        pthread_cond_broadcast(&bounded.changed);
        pthread_mutex_unlock(&bounded.lock);
        ASSERT_OK(pthread_join(thread, NULL));
        CU_ASSERT_EQUAL(bounded.result, -ECANCELED);
        pst_source_release(bounded.source);
        struct collected collected; /* nothing of it lingers */
        collect(bounded.source, &collected);
        check_listing(&collected);
        pst_source_close(bounded.source);
        collected_free(&collected);
        free(bounded.slot);
    }
}

static void failed_freeze_holds_nothing(void)
{
    struct pst_source *source = open_pinned("pinned");
    CU_ASSERT_EQUAL(pst_source_freeze(source, 0), -PST_E_FREEZE);
    CU_ASSERT_EQUAL(source->phase, PST_SOURCE_IDLE);
    ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
    pst_source_close(source);
}

/* A program of before has no room for one, and what lies behind its struct is its own. */
static void an_error_has_a_text(void)
{
    struct pst_source *source = open_pinned("pinned");
    int bytes;
    memset(source->error_text, 'x', sizeof(source->error_text)); /* not even terminated */
    CU_ASSERT_EQUAL(pst_source_error_text(source, &bytes)[0], 'x');
    CU_ASSERT_EQUAL(bytes, PST_SOURCE_TEXT_BYTES);
    CU_ASSERT_EQUAL(pst_source_freeze(source, 0), -PST_E_FREEZE);
    CU_ASSERT_STRING_EQUAL(pst_source_error_text(source, &bytes), ""); /* of another call */
    CU_ASSERT_EQUAL(bytes, 0);
    source->struct_bytes = PST_SOURCE_BYTES_MIN;
    strcpy(source->error_text, "its own");
    CU_ASSERT_STRING_EQUAL(pst_source_error_text(source, &bytes), "");
    CU_ASSERT_EQUAL(pst_source_freeze(source, 0), -PST_E_FREEZE);
    CU_ASSERT_STRING_EQUAL(source->error_text, "its own");
    pst_source_close(source);
}

static CU_TestInfo tests[] = {
    {"fields are filled", fields_are_filled},
    {"a listing is legal", listing_is_legal},
    {"each byte once", each_byte_once},
    {"the order of calls is kept", order_is_kept},
    {"release from any phase", release_from_any_phase},
    {"a second backup lists the same", second_backup_lists_the_same},
    {"cancel in emit", cancel_in_emit},
    {"cancel while blocked", cancel_while_blocked},
    {"a failed freeze holds nothing", failed_freeze_holds_nothing},
    {"an error has a text", an_error_has_a_text},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source contract", set_up, tear_down, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
