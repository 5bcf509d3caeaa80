/* Fragments, and how the packer fills them, beyond what real trees show. */
#include <errno.h>
#include <string.h>

#include "penstock/packer.h"
#include "tests/unit/source/source_test.h"

static struct collected collected;
static struct pst_packer packer;
static uint64_t next_id;

static void set_up(void)
{
    collected_init(&collected);
    next_id = 1;
    pst_packer_init(&packer, &collected.sink, &collected.listing);
}

static void tear_down(void)
{
    collected_free(&collected);
}

/* A file of so many bytes, all of it one extent. */
static void pack_file(const char *path, uint64_t size)
{
    const struct pst_object object = {
        .id = next_id++, .type = PST_OBJECT_FILE, .path = path, .size = size};
    const struct pst_fragment_file file = {.path = path, .size_bytes = size};
    ASSERT_OK(pst_packer_object(&packer, &object, size ? &file : NULL));
    ASSERT_OK(pst_packer_extent(&packer, 0, size));
}

static void finish(void)
{
    ASSERT_OK(pst_packer_finish(&packer));
    check_listing(&collected);
}

static void nothing_is_no_fragment(void)
{
    finish();
    CU_ASSERT_EQUAL(collected.count, 0);
}

static void small_files_share_a_fragment_up_to_the_target(void)
{
    for (int i = 0; i < 17; i++)
        pack_file("small", 1 << 20);
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 2);
    CU_ASSERT_EQUAL(collected.fragments[0]->bytes, PST_PACKER_TARGET_BYTES);
    CU_ASSERT_EQUAL(collected.fragments[1]->bytes, 1 << 20);
}

static void large_files_begin_a_fragment_and_are_cut(void)
{
    pack_file("small", 10);
    pack_file("large", 2 * (uint64_t)PST_FRAGMENT_BYTES_MAX + 5);
    pack_file("behind", 20);
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 4);
    CU_ASSERT_EQUAL(collected.fragments[0]->bytes, 10);
    CU_ASSERT_EQUAL(collected.fragments[1]->bytes, PST_FRAGMENT_BYTES_MAX);
    CU_ASSERT_EQUAL(collected.fragments[2]->extents[0].offset, PST_FRAGMENT_BYTES_MAX);
    CU_ASSERT_EQUAL(collected.fragments[3]->bytes, 25);
    CU_ASSERT_EQUAL(collected.fragments[1]->objects_count, 1);
    CU_ASSERT_EQUAL(collected.fragments[2]->objects_count, 0);
    CU_ASSERT_EQUAL(collected.fragments[2]->entries_count, 1);
    CU_ASSERT_EQUAL(collected.fragments[3]->objects_count, 1);
    CU_ASSERT_EQUAL(collected.fragments[3]->entries_count, 2);
    CU_ASSERT_EQUAL(collected.listing.objects, 3);
}

static void a_file_of_the_very_limit_is_one_fragment(void)
{
    pack_file("limit", PST_FRAGMENT_BYTES_MAX);
    finish();
    CU_ASSERT_EQUAL(collected.count, 1);
}

static void extents_run_out_before_bytes(void)
{
    collected.listing.fragments = PST_PACKER_DOUBLINGS; /* past the small ones */
    for (unsigned i = 0; i < PST_FRAGMENT_EXTENTS_MAX + 1; i++)
        pack_file("s", 1);
    collected.listing.fragments -= PST_PACKER_DOUBLINGS;
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 2);
    CU_ASSERT_EQUAL(collected.fragments[0]->extents_count, PST_FRAGMENT_EXTENTS_MAX);
}

/* Each piece of a fragment points to its own bytes. */
static void bytes_in_memory_are_cut_like_a_file(void)
{
    static uint8_t bytes[1];
    const uint64_t size = PST_FRAGMENT_BYTES_MAX + 10;
    const struct pst_object object = {
        .id = 1, .type = PST_OBJECT_FILE, .path = "literal", .size = size};
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = size};
    ASSERT_OK(pst_packer_object(&packer, &object, &file));
    CU_ASSERT_EQUAL(pst_packer_literal(&packer, 0, size, NULL), -EINVAL);
    ASSERT_OK(pst_packer_literal(&packer, 0, size, bytes)); /* nobody reads them */
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct pst_fragment_extent *extent = &collected.fragments[i]->extents[0];
        CU_ASSERT_EQUAL(extent->offset, i * PST_FRAGMENT_BYTES_MAX);
        CU_ASSERT_EQUAL((uintptr_t)extent->literal, (uintptr_t)bytes + extent->offset);
    }
}

static void the_first_fragments_are_small(void)
{
    for (unsigned i = 0; i < 64 + 128 + 256 + 512 + 1000; i++)
        pack_file("s", 1);
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 5);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(collected.fragments[i]->entries_count, 64u << i);
    CU_ASSERT_EQUAL(collected.fragments[4]->entries_count, 1000);
}

static void the_slot_runs_out_before_extents(void)
{
    char path[PST_PATH_BYTES_MAX];
    memset(path, 'p', sizeof(path));
    for (size_t i = 255; i < sizeof(path); i += 256)
        path[i] = '/';
    path[sizeof(path) - 1] = '\0';
    for (int i = 0; i < 100; i++)
        pack_file(path, 3);
    finish();
    CU_ASSERT_TRUE(collected.count > 1);
    CU_ASSERT_EQUAL(collected.listing.bytes, 300);
    CU_ASSERT_EQUAL(collected.listing.objects, 100);
}

static void entries_alone_fill_fragments_too(void)
{
    for (int i = 0; i < 5000; i++)
        pack_file("empty", 0);
    finish();
    CU_ASSERT_TRUE(collected.count > 1);
    CU_ASSERT_EQUAL(collected.listing.objects, 5000);
}

static void what_cannot_be_encoded_changes_nothing(void)
{
    pack_file("good", 4);
    const struct pst_object bad = {.id = next_id, .type = PST_OBJECT_FILE, .path = "../bad"};
    CU_ASSERT_EQUAL(pst_packer_object(&packer, &bad, NULL), -EINVAL);
    CU_ASSERT_EQUAL(pst_packer_extent(&packer, 4, 1), -EINVAL); /* would be "good"'s */
    pack_file("good too", 4);
    finish();
    CU_ASSERT_EQUAL(collected.listing.objects, 2);
    CU_ASSERT_EQUAL(collected.listing.bytes, 8);
}

static void names_that_no_slot_holds_are_refused(void)
{
    static char path[PST_FRAGMENT_SLOT_BYTES];
    memset(path, 'p', sizeof(path) - 1);
    const struct pst_object object = {
        .id = next_id, .type = PST_OBJECT_FILE, .path = "file", .size = 3};
    const struct pst_fragment_file file = {.path = path, .size_bytes = 3};
    CU_ASSERT_EQUAL(pst_packer_object(&packer, &object, &file), -EINVAL);
    CU_ASSERT_EQUAL(pst_packer_extent(&packer, 0, 3), -EINVAL);
    finish();
    CU_ASSERT_EQUAL(collected.listing.objects, 0);
}

/* Its bytes are the first name's. */
static void a_further_name_has_no_bytes(void)
{
    pack_file("name", 4);
    const struct pst_object link = {.id = next_id++,
                                    .type = PST_OBJECT_HARD_LINK,
                                    .path = "a further and longer name of it",
                                    .linked_object = 1};
    ASSERT_OK(pst_packer_link(&packer, &link));
    CU_ASSERT_EQUAL(pst_packer_extent(&packer, 4, PST_FRAGMENT_BYTES_MAX), -EINVAL);
    CU_ASSERT_EQUAL(pst_packer_look(&packer), -EINVAL);
    finish();
    CU_ASSERT_EQUAL(collected.listing.objects, 2);
    CU_ASSERT_EQUAL(collected.listing.bytes, 4);
}

static void there_is_nothing_to_look_at_without_a_file(void)
{
    const struct pst_object object = {.id = next_id++, .type = PST_OBJECT_FILE, .path = "empty"};
    CU_ASSERT_EQUAL(pst_packer_look(&packer), -EINVAL);
    ASSERT_OK(pst_packer_object(&packer, &object, NULL));
    CU_ASSERT_EQUAL(pst_packer_look(&packer), -EINVAL);
    finish();
    CU_ASSERT_EQUAL_FATAL(collected.count, 1);
    CU_ASSERT_EQUAL(collected.fragments[0]->files_count, 0);
}

static void the_sinks_word_is_passed_on(void)
{
    collected.cancel_at = 1;
    pack_file("large", PST_FRAGMENT_BYTES_MAX);
    CU_ASSERT_EQUAL(pst_packer_extent(&packer, PST_FRAGMENT_BYTES_MAX, 1), -ECANCELED);
    CU_ASSERT_EQUAL(collected.listing.fragments, 0);
    ASSERT_OK(pst_packer_finish(&packer)); /* nothing is held any more */
}

static void a_full_fragment_refuses_and_stays(void)
{
    struct pst_fragment_descriptor *slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(slot);
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    static uint8_t entry[PST_FRAGMENT_DATA_BYTES];
    const struct pst_fragment_file file = {.object = 1, .path = "path"};
    ASSERT_OK(pst_fragment_add_file(slot, &file));
    CU_ASSERT_EQUAL(pst_fragment_add_entry(slot, entry, PST_FRAGMENT_DATA_BYTES - 4, true),
                    -ENOSPC);
    CU_ASSERT_EQUAL(slot->entries_count, 0);
    CU_ASSERT_TRUE(pst_fragment_has_room(slot, PST_FRAGMENT_DATA_BYTES - 8, 2));
    CU_ASSERT_FALSE(pst_fragment_has_room(slot, PST_FRAGMENT_DATA_BYTES - 8, 3));
    CU_ASSERT_FALSE(pst_fragment_has_room(slot, SIZE_MAX, 0));
    ASSERT_OK(pst_fragment_add_entry(slot, entry, PST_FRAGMENT_DATA_BYTES - 5, true));
    CU_ASSERT_EQUAL(pst_fragment_add_file(slot, &file), -ENOSPC);
    CU_ASSERT_EQUAL(slot->files_count, 1);
    CU_ASSERT_STRING_EQUAL(slot->files[0].path, "path");
    ASSERT_OK(pst_fragment_add_extent(slot, 0, PST_FRAGMENT_BYTES_MAX, NULL));
    CU_ASSERT_EQUAL(pst_fragment_add_extent(slot, PST_FRAGMENT_BYTES_MAX, 1, NULL), -ENOSPC);
    CU_ASSERT_EQUAL(slot->extents_count, 1);
    free(slot);
}

static CU_TestInfo tests[] = {
    {"nothing is no fragment", nothing_is_no_fragment},
    {"small files share a fragment up to the target",
     small_files_share_a_fragment_up_to_the_target},
    {"large files begin a fragment and are cut", large_files_begin_a_fragment_and_are_cut},
    {"a file of the very limit is one fragment", a_file_of_the_very_limit_is_one_fragment},
    {"extents run out before bytes", extents_run_out_before_bytes},
    {"bytes in memory are cut like a file", bytes_in_memory_are_cut_like_a_file},
    {"the first fragments are small", the_first_fragments_are_small},
    {"the slot runs out before extents", the_slot_runs_out_before_extents},
    {"entries alone fill fragments too", entries_alone_fill_fragments_too},
    {"what cannot be encoded changes nothing", what_cannot_be_encoded_changes_nothing},
    {"names that no slot holds are refused", names_that_no_slot_holds_are_refused},
    {"a further name has no bytes", a_further_name_has_no_bytes},
    {"there is nothing to look at without a file", there_is_nothing_to_look_at_without_a_file},
    {"the sink's word is passed on", the_sinks_word_is_passed_on},
    {"a full fragment refuses and stays", a_full_fragment_refuses_and_stays},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source packer", NULL, NULL, set_up, tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
