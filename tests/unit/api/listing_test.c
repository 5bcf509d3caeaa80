/* A program's source that lists what no LDM could scan and no restore read: its backups fail, in
 * words, and nothing else does. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"
#include "tests/support/scratch.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/api/memory.h"

#define SIZE 100u /* of the object */

/* A source of one object, of which a test makes what it should not be. */
static struct bad {
    struct pst_source source; /* first */
    void (*spoil)(struct pst_fragment_descriptor *fragment);
    enum pst_fragment_kind kind;
    enum pst_object_type type;         /* of rows whose length is not known; 0: a file of SIZE */
    struct pst_source_listing listing; /* more than there is */
    int produced;                      /* calls of produce */
    int waits_ms;                      /* in the first of them */
    int result;
    size_t bytes;
} bad;

static char scratch[SCRATCH_PATH_BYTES], bytes[SIZE];

static int fill(struct pst_source *source, struct pst_fragment_descriptor *slot)
{
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = bad.type ? bad.type : PST_OBJECT_FILE,
                                      .path = "file",
                                      .size = bad.type ? 0 : SIZE,
                                      .mode = 0600};
    const struct pst_fragment_file file = {.object = object.id};
    char entry[256];
    size_t entry_bytes = 0;
    pst_fragment_init(slot, bad.kind);
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, true);
    if (!error)
        error = pst_fragment_add_file(slot, &file);
    if (error || bad.type == 0)
        return error ? error : pst_fragment_add_extent(slot, 0, SIZE, bytes);
    pst_fragment_add_rows(slot, SIZE, NULL);
    return 0;
}

static int list(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing)
{
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (!error)
        error = fill(source, slot);
    if (!error && bad.spoil)
        bad.spoil(slot);
    if (!error)
        error = sink->emit(sink, slot);
    listing->fragments = 1 + bad.listing.fragments;
    listing->objects = 1 + bad.listing.objects;
    listing->bytes = SIZE + bad.listing.bytes;
    listing->unreadable = bad.listing.unreadable;
    return error;
}

static int produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                   struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                   size_t *produced_bytes)
{
    (void)source;
    (void)fragment;
    (void)cursor;
    (void)capacity_bytes;
    if (bad.produced == 0)
        usleep((useconds_t)bad.waits_ms * 1000);
    memset(buffer, 'x', 1);
    *produced_bytes = bad.produced++ == 0 ? bad.bytes : 0;
    return bad.result;
}

static void set_up(void)
{
    make_scratch(scratch, NULL);
}

static void tear_down(void)
{
    remove_tree(scratch);
}

static void begin(enum pst_fragment_kind kind, void (*spoil)(struct pst_fragment_descriptor *))
{
    bad = (struct bad){.kind = kind, .spoil = spoil};
    pst_source_init(&bad.source, "bad");
    bad.source.flags = PST_SOURCE_ANY_LDM;
    bad.source.list = list;
    bad.source.produce = produce;
}

/* says: in the log; NULL: the backup is made. */
static void expect(int expected, const char *says)
{
    struct pst_source *source = &bad.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    job_for(&job, &source, scratch);
    job.stall_warning_ns = UINT64_C(300000000);
    pst_backup_outcome_init(&outcome);
    begin_log_capture();
    int error = pst_run_backup(&job, &outcome);
    char *log = end_log_capture();
    bool is_said = !says || strstr(log, says);
    if (error != expected || !is_said)
        printf("%d, wanted %d and \"%s\": %s\n", error, expected, says ? says : "", log);
    CU_ASSERT_EQUAL(error, expected);
    CU_ASSERT_TRUE(is_said);
    CU_ASSERT_EQUAL(bad.source.phase, PST_SOURCE_IDLE);
    free(log);
}

/* ---- fragments ---- */

#define SPOIL(name, statement)                                                                     \
    static void name(struct pst_fragment_descriptor *f)                                            \
    {                                                                                              \
        statement;                                                                                 \
    }

SPOIL(kind, f->kind = 77)
SPOIL(files, f->files_count = PST_FRAGMENT_FILES_MAX + 1)
SPOIL(extents, f->extents_count = PST_FRAGMENT_EXTENTS_MAX + 1)
SPOIL(entries_bytes, f->entries_bytes = 1u << 30)
SPOIL(paths_offset, f->paths_offset = PST_FRAGMENT_DATA_BYTES + 1)
SPOIL(more_objects, f->objects_count = 9)
SPOIL(no_objects, f->objects_count = 0)
SPOIL(owner, f->owner = 99)
SPOIL(more_entries, f->entries_count = 5)
SPOIL(garbage, memset(f->data, 0xff, 64))
SPOIL(no_entry, f->entries_bytes = f->entries_count = f->objects_count = 0)
SPOIL(no_file, f->files_count = 0)
SPOIL(no_object, f->files[0].object = 0)
SPOIL(other_object, f->files[0].object = UINT64_MAX)
SPOIL(flags, f->files[0].flags = 0x80)
SPOIL(in_base, f->files[0].flags = PST_FRAGMENT_FILE_IN_BASE)
SPOIL(path, f->files[0].path = "/etc/passwd")
SPOIL(other_file, f->extents[0].file = 3)
SPOIL(far, f->extents[0].offset = UINT64_MAX - 5)
SPOIL(beyond, f->extents[0].offset = 50)
SPOIL(longer, f->bytes = f->extents[0].length = 200)
SPOIL(nothing, f->extents[0].length = 0)
SPOIL(endless, f->extents[0].length = UINT64_MAX)
SPOIL(neither, f->extents[0].literal = NULL)
SPOIL(twice, f->extents[1] = f->extents[0]; f->extents_count = 2; f->bytes = 200)
SPOIL(more_bytes, f->bytes = 101)

static const struct {
    void (*spoil)(struct pst_fragment_descriptor *fragment);
    const char *says;
} fragments[] = {
    {kind, "no known kind"},
    {files, "more than a slot holds"},
    {extents, "more than a slot holds"},
    {entries_bytes, "more than a slot holds"},
    {paths_offset, "more than a slot holds"},
    {more_objects, "more than a slot holds"},
    {no_objects, "another number of objects"},
    {owner, "an LDM that there is not"},
    {more_entries, "another number of entries"},
    {garbage, "an entry that is none"},
    {no_entry, "a file without an entry"},
    {no_file, "extents of no file"},
    {no_object, "a file without an entry"},
    {other_object, "a file without an entry"},
    {flags, "unknown flags"},
    {in_base, "a file of a base"},
    {path, "no root_fd"},
    {other_file, "extents of no file"},
    {far, "beyond the size"},
    {beyond, "beyond the size"},
    {longer, "beyond the size"},
    {nothing, "a length that there is not"},
    {endless, "a length that there is not"},
    {neither, "neither a path nor a literal"},
    {twice, "overlap"},
    {more_bytes, "another number of bytes"},
};

static void a_fragment_that_is_none_fails_the_backup(void)
{
    begin(PST_FRAGMENT_EXTENTS, NULL);
    expect(0, NULL);
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
        begin(PST_FRAGMENT_EXTENTS, fragments[i].spoil);
        expect(-EINVAL, fragments[i].says);
    }
}

static void a_path_lies_in_its_slot(void)
{
    begin(PST_FRAGMENT_EXTENTS, path);
    bad.source.root_fd = 0;
    expect(-EINVAL, "does not lie in its slot");
}

/* ---- fragments that do not fit together ---- */

/* Two, each of one object. */
static const struct couple {
    struct couple_object {
        uint64_t counter;
        enum pst_object_type type;
        const char *path;
        uint64_t linked, offset, length;
    } objects[2];
    const char *says; /* NULL: they fit */
} couples[] = {
    {{{1, PST_OBJECT_FILE, "a", 0, 0, 50}, {1, PST_OBJECT_FILE, "a", 0, 50, 50}}, NULL},
    {{{1, PST_OBJECT_FILE, "a", 0, 50, 50}, {1, PST_OBJECT_FILE, "a", 0, 0, 50}}, NULL},
    {{{1, PST_OBJECT_FILE, "d/a", 0, 0, SIZE}, {2, PST_OBJECT_DIRECTORY, "d", 0, 0, 0}}, NULL},
    {{{1, PST_OBJECT_HARD_LINK, "a", 2, 0, 0}, {2, PST_OBJECT_FILE, "b", 0, 0, SIZE}}, NULL},
    {{{1, PST_OBJECT_FILE, "a", 0, 0, 51}, {1, PST_OBJECT_FILE, "a", 0, 50, 50}},
     "bytes of an object twice"},
    {{{1, PST_OBJECT_FILE, "a", 0, 50, 50}, {1, PST_OBJECT_FILE, "a", 0, 0, SIZE}},
     "bytes of an object twice"},
    {{{1, PST_OBJECT_FILE, "a", 0, 0, SIZE}, {1, PST_OBJECT_FILE, "b", 0, 0, 0}},
     "two objects of one id"},
    {{{1, PST_OBJECT_FILE, "a", 0, 0, SIZE}, {2, PST_OBJECT_FILE, "a", 0, 0, SIZE}},
     "two objects of one name"},
    {{{1, PST_OBJECT_FILE, "d", 0, 0, 0}, {2, PST_OBJECT_FILE, "d/a", 0, 0, SIZE}},
     "a directory that it did not list"},
    {{{1, PST_OBJECT_DIRECTORY, "d/e", 0, 0, 0}, {2, PST_OBJECT_FILE, "d/e/a", 0, 0, SIZE}},
     "a directory that it did not list"},
    {{{1, PST_OBJECT_HARD_LINK, "a", 3, 0, 0}, {2, PST_OBJECT_FILE, "b", 0, 0, SIZE}},
     "a hard link to what it did not list"},
    {{{1, PST_OBJECT_HARD_LINK, "a", 2, 0, 0}, {2, PST_OBJECT_DIRECTORY, "b", 0, 0, 0}},
     "a hard link to what is no file"},
    {{{1, PST_OBJECT_HARD_LINK, "a", 2, 0, 0}, {2, PST_OBJECT_HARD_LINK, "b", 1, 0, 0}},
     "a hard link to what is no file"},
    {{{1, PST_OBJECT_FILE, "a", 0, 0, 50}, {1, PST_OBJECT_FIFO, "a", 0, 50, 0}},
     "an object whose entries differ"},
};

static const struct couple *coupled;

static int list_one(struct pst_source *source, struct pst_fragment_sink *sink,
                    const struct couple_object *one, bool is_first)
{
    const struct pst_object object = {
        .id = pst_source_object_id(source, one->counter),
        .type = one->type,
        .path = one->path,
        .size = one->type == PST_OBJECT_FILE ? SIZE : 0,
        .linked_object = one->linked ? pst_source_object_id(source, one->linked) : 0};
    const struct pst_fragment_file file = {.object = object.id};
    struct pst_fragment_descriptor *slot;
    char entry[256];
    size_t entry_bytes = 0;
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    CU_ASSERT_EQUAL(pst_object_encode(&object, entry, sizeof(entry), &entry_bytes), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_entry(slot, entry, entry_bytes, is_first), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_file(slot, &file), 0);
    if (one->length > 0)
        error = pst_fragment_add_extent(slot, one->offset, one->length, bytes);
    return error ? error : sink->emit(sink, slot);
}

static int list_couple(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    const struct couple_object *objects = coupled->objects;
    bool is_one = objects[0].counter == objects[1].counter;
    int error = list_one(source, sink, &objects[0], true);
    if (!error)
        error = list_one(source, sink, &objects[1], !is_one);
    *listing = (struct pst_source_listing){
        .fragments = 2, .objects = is_one ? 1 : 2, .bytes = objects[0].length + objects[1].length};
    return error;
}

static void what_does_not_fit_together_fails_the_backup(void)
{
    for (size_t i = 0; i < sizeof(couples) / sizeof(couples[0]); i++) {
        coupled = &couples[i];
        begin(PST_FRAGMENT_EXTENTS, NULL);
        bad.source.list = list_couple;
        expect(coupled->says ? -EINVAL : 0, coupled->says);
        if (!coupled->says)
            CU_ASSERT_EQUAL(verify_in(scratch), 0);
    }
}

/* The sets grow; ids and names are asked for in all of their sizes. */
static int list_many(struct pst_source *source, struct pst_fragment_sink *sink,
                     struct pst_source_listing *listing)
{
    struct pst_packer packer;
    char path[32];
    int error = 0;
    pst_packer_init(&packer, sink, listing);
    for (uint64_t i = 1; !error && i <= 5000; i++) {
        const struct pst_object object = {
            .id = pst_source_object_id(source, i), .type = PST_OBJECT_FILE, .path = path};
        snprintf(path, sizeof(path), "%llu", (unsigned long long)(i == 5000 ? 17 : i));
        error = pst_packer_object(&packer, &object, NULL);
    }
    return error ? error : pst_packer_finish(&packer);
}

static void one_name_twice_is_found_among_many(void)
{
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.source.list = list_many;
    expect(-EINVAL, "two objects of one name");
}

/* ---- the sink ---- */

static int emit_twice(struct pst_source *source, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (!error)
        error = fill(source, slot);
    if (!error)
        error = sink->emit(sink, slot);
    listing->fragments = 1;
    return error ? error : sink->emit(sink, slot);
}

static int emit_its_own(struct pst_source *source, struct pst_fragment_sink *sink,
                        struct pst_source_listing *listing)
{
    (void)listing;
    struct pst_fragment_descriptor *own = malloc(sizeof(*own));
    int error = own ? fill(source, own) : -ENOMEM;
    if (!error)
        error = sink->emit(sink, own);
    free(own);
    return error;
}

static void a_slot_is_the_sinks_and_emitted_once(void)
{
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.source.list = emit_twice;
    expect(-EINVAL, "a slot that it was not given");
    bad.source.list = emit_its_own;
    expect(-EINVAL, "a slot that it was not given");
}

/* It goes on as if nothing had been said, and counts what was taken. */
static int pass_over_a_refusal(struct pst_source *source, struct pst_fragment_sink *sink,
                               struct pst_source_listing *listing)
{
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, (enum pst_fragment_kind)7);
    CU_ASSERT_EQUAL(sink->emit(sink, slot), -EINVAL);
    return list(source, sink, listing);
}

static void a_refusal_that_is_passed_over_fails_the_backup(void)
{
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.source.list = pass_over_a_refusal;
    expect(-EINVAL, "a fragment of no known kind");
    bad.source.list = list; /* another backup is one of its own */
    expect(0, NULL);
}

static void a_listing_counts_what_it_gave(void)
{
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.listing.fragments = 1;
    expect(-EINVAL, "it counted 2 fragments");
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.listing.objects = 1;
    expect(-EINVAL, "2 objects");
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.listing.bytes = (uint64_t)-1;
    expect(-EINVAL, "99 bytes");
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.listing.unreadable = 1;
    expect(-EINVAL, "1 unreadable");
}

/* ---- methods ---- */

static int errs(struct pst_source *source, uint64_t deadline_ns)
{
    (void)source;
    (void)deadline_ns;
    return bad.result;
}

static void an_error_is_one(void)
{
    const int results[] = {5, INT_MIN, -99999};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        begin(PST_FRAGMENT_EXTENTS, NULL);
        bad.result = results[i];
        bad.source.freeze = errs;
        expect(-EINVAL, "its freeze returned");
        begin(PST_FRAGMENT_ROWS, NULL);
        bad.result = results[i];
        expect(-EINVAL, "its produce returned");
    }
}

static void rows_fit_what_is_asked_for(void)
{
    begin(PST_FRAGMENT_ROWS, NULL);
    bad.bytes = SIZE;
    expect(0, NULL);
    CU_ASSERT_EQUAL(bad.produced, 1); /* the length is known */
    const size_t made[] = {0, SIZE - 1, SIZE + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        begin(PST_FRAGMENT_ROWS, NULL);
        bad.bytes = made[i];
        expect(-EINVAL, "its produce made");
    }
}

static void rows_are_of_what_has_contents(void)
{
    const enum pst_object_type none[] = {PST_OBJECT_DIRECTORY, PST_OBJECT_FIFO};
    begin(PST_FRAGMENT_ROWS, NULL);
    bad.type = PST_OBJECT_FILE;
    bad.bytes = SIZE;
    expect(0, NULL);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        begin(PST_FRAGMENT_ROWS, NULL);
        bad.type = none[i];
        bad.bytes = SIZE;
        expect(-EINVAL, "source bad: file: its produce made 100 bytes of an object that cannot");
    }
}

/* Also where it is that of a backup that is aborted. */
static void a_failure_is_named(void)
{
    const int results[] = {-EIO, -ECANCELED};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        begin(PST_FRAGMENT_ROWS, NULL);
        bad.result = results[i];
        expect(results[i], "source bad: file: its produce failed: ");
        begin(PST_FRAGMENT_EXTENTS, NULL);
        bad.result = results[i];
        bad.source.freeze = errs;
        expect(results[i], "source bad: SOURCE_FREEZE_REQ: ");
    }
}

/* ---- a file that holds more than its object, and shrinks ---- */

static int list_a_part(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    const struct pst_object object = {
        .id = pst_source_object_id(source, 1), .type = PST_OBJECT_FILE, .path = "a", .size = SIZE};
    struct pst_packer packer;
    struct stat status;
    CU_ASSERT_EQUAL_FATAL(fstatat(source->root_fd, "a", &status, 0), 0);
    const struct pst_fragment_file file = {.path = "a",
                                           .inode = status.st_ino,
                                           .device = status.st_dev,
                                           .size_bytes = (uint64_t)status.st_size};
    int fd = openat(source->root_fd, "a", O_WRONLY);
    CU_ASSERT_EQUAL(ftruncate(fd, 2 * SIZE), 0);
    close(fd);
    pst_packer_init(&packer, sink, listing);
    int error = pst_packer_object(&packer, &object, &file);
    if (!error)
        error = pst_packer_extent(&packer, 0, SIZE);
    return error ? error : pst_packer_finish(&packer);
}

static void a_part_of_a_file_that_shrinks_is_restored(void)
{
    char root[2 * SCRATCH_PATH_BYTES];
    snprintf(root, sizeof(root), "%s/root", scratch);
    CU_ASSERT_EQUAL(mkdir(root, 0700), 0);
    begin(PST_FRAGMENT_EXTENTS, NULL);
    bad.source.list = list_a_part;
    bad.source.root_fd = open(root, O_RDONLY | O_DIRECTORY);
    int fd = openat(bad.source.root_fd, "a", O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_EQUAL(ftruncate(fd, 10 * SIZE), 0);
    close(fd);
    expect(0, "bad: a: the file changed while it was read");
    close(bad.source.root_fd);
    CU_ASSERT_EQUAL(verify_in(scratch), 0);
}

static void a_produce_that_blocks_is_named(void)
{
    begin(PST_FRAGMENT_ROWS, NULL);
    bad.bytes = SIZE;
    bad.waits_ms = 3500; /* three looks */
    expect(0, "s to make rows of bad");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a fragment that is none fails the backup", a_fragment_that_is_none_fails_the_backup},
        {"what does not fit together fails the backup",
         what_does_not_fit_together_fails_the_backup},
        {"one name twice is found among many", one_name_twice_is_found_among_many},
        {"a path lies in its slot", a_path_lies_in_its_slot},
        {"a slot is the sink's, and emitted once", a_slot_is_the_sinks_and_emitted_once},
        {"a refusal that is passed over fails the backup",
         a_refusal_that_is_passed_over_fails_the_backup},
        {"a listing counts what it gave", a_listing_counts_what_it_gave},
        {"an error is one", an_error_is_one},
        {"rows fit what is asked for", rows_fit_what_is_asked_for},
        {"rows are of what has contents", rows_are_of_what_has_contents},
        {"a failure is named", a_failure_is_named},
        {"a part of a file that shrinks is restored", a_part_of_a_file_that_shrinks_is_restored},
        {"a produce that blocks is named", a_produce_that_blocks_is_named},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"listing", NULL, NULL, set_up, tear_down, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
