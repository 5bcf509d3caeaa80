/* Catalogue entries: round trips, nothing moves on failure, nothing unsafe passes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/object.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

static void expect_same(const struct pst_object *a, const struct pst_object *b)
{
    CU_ASSERT_EQUAL(a->id, b->id);
    CU_ASSERT_EQUAL(a->type, b->type);
    CU_ASSERT_EQUAL(a->flags, b->flags);
    CU_ASSERT_STRING_EQUAL(a->path, b->path);
    CU_ASSERT_EQUAL(!a->link, !b->link);
    if (a->link && b->link)
        CU_ASSERT_STRING_EQUAL(a->link, b->link);
    CU_ASSERT_EQUAL(a->size, b->size);
    CU_ASSERT_EQUAL(a->linked_object, b->linked_object);
    CU_ASSERT_EQUAL(a->rdev, b->rdev);
    CU_ASSERT_EQUAL(a->mtime_sec, b->mtime_sec);
    CU_ASSERT_EQUAL(a->mtime_nsec, b->mtime_nsec);
    CU_ASSERT_EQUAL(a->mode, b->mode);
    CU_ASSERT_EQUAL(a->uid, b->uid);
    CU_ASSERT_EQUAL(a->gid, b->gid);
    CU_ASSERT_EQUAL_FATAL(a->attributes_bytes, b->attributes_bytes);
    if (a->attributes_bytes)
        CU_ASSERT_EQUAL(memcmp(a->attributes, b->attributes, a->attributes_bytes), 0);
}

static void every_kind_reads_back(void)
{
    uint8_t payload[8192] __attribute__((aligned(8)));
    size_t bytes = sample_catalogue(payload, sizeof(payload));
    size_t offset = 0;
    for (uint32_t i = 0; i < SAMPLE_OBJECTS; i++) {
        const struct pst_object object = sample_object(i);
        size_t before = offset;
        struct pst_object found;
        CU_ASSERT_EQUAL_FATAL(pst_object_decode(payload, bytes, &offset, &found), 0);
        CU_ASSERT_EQUAL(offset, before + pst_object_bytes(&object));
        CU_ASSERT_EQUAL(pst_object_source(found.id), 5);
        expect_same(&object, &found);
    }
    CU_ASSERT_EQUAL(offset, bytes);
    const struct pst_object_range range = format_object_range_of(payload, bytes);
    CU_ASSERT_EQUAL(range.objects, SAMPLE_OBJECTS);
    CU_ASSERT_EQUAL(range.first, sample_object(0).id);
    CU_ASSERT_EQUAL(range.last, sample_object(SAMPLE_OBJECTS - 1).id);
}

static void what_does_not_fit_moves_nothing(void)
{
    uint8_t payload[256];
    for (uint32_t i = 0; i < SAMPLE_OBJECTS; i++) {
        const struct pst_object object = sample_object(i);
        for (size_t room = 0; room < pst_object_bytes(&object); room++) {
            size_t offset = 8;
            memset(payload, 0x5A, sizeof(payload));
            CU_ASSERT_EQUAL(pst_object_encode(&object, payload, 8 + room, &offset), -ENOSPC);
            CU_ASSERT_EQUAL(offset, 8);
            for (size_t j = 0; j < sizeof(payload); j++)
                CU_ASSERT_EQUAL(payload[j], 0x5A);
        }
    }
}

static void a_cut_entry_moves_nothing(void)
{
    for (uint32_t i = 0; i < SAMPLE_OBJECTS; i++) {
        const struct pst_object object = sample_object(i);
        size_t bytes = pst_object_bytes(&object);
        uint8_t payload[512];
        size_t offset = 0;
        CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
        for (size_t length = 1; length < bytes; length++) {
            uint8_t *cut = malloc(length);
            memcpy(cut, payload, length);
            struct pst_object found = {.id = 99};
            offset = 0;
            CU_ASSERT_EQUAL(pst_object_decode(cut, length, &offset, &found), -PST_E_CORRUPT);
            CU_ASSERT_EQUAL(offset, 0);
            CU_ASSERT_EQUAL(found.id, 99);
            free(cut);
        }
    }
}

/* Entries carry no checksum of their own (their chunk does): a flip gives another legal entry or
 * an error, and never a read beyond the payload. */
static void a_flipped_entry_is_legal_or_refused(void)
{
    uint8_t *payload = malloc(4096);
    size_t bytes = sample_catalogue(payload, 4096);
    uint8_t *exact = malloc(bytes);
    uint64_t refused = 0;
    for (size_t i = 0; i < bytes * 8; i++) {
        memcpy(exact, payload, bytes);
        exact[i / 8] ^= (uint8_t)(1 << i % 8);
        struct pst_object found;
        size_t offset = 0, before = 0;
        int error = 0;
        while (!error && offset < bytes) {
            before = offset;
            error = pst_object_decode(exact, bytes, &offset, &found);
            if (!error && found.path[0] != '\0')
                CU_ASSERT_TRUE(pst_object_path_is_safe(found.path));
        }
        CU_ASSERT_TRUE(error ? offset == before : offset == bytes);
        refused += error != 0;
    }
    CU_ASSERT_TRUE(refused > 0);
    free(exact);
    free(payload);
}

static void paths_that_lead_out_are_unsafe(void)
{
    static const char *const unsafe[] = {"",     "/",    "/a",     "a/",    "a//b",
                                         ".",    "./a",  "a/.",    "a/./b", "..",
                                         "../a", "a/..", "a/../b", "//",    "a/b/../.."};
    static const char *const safe[] = {"a", "a/b", "...", "..a", "a..", ".a", "a/.b", "a b\n/\xff"};
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        CU_ASSERT_FALSE(pst_object_path_is_safe(unsafe[i]));
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        CU_ASSERT_TRUE(pst_object_path_is_safe(safe[i]));
    char longest[PST_PATH_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    longest[PST_PATH_BYTES_MAX - 1] = '\0';
    CU_ASSERT_TRUE(pst_object_path_is_safe(longest));
    longest[PST_PATH_BYTES_MAX - 1] = 'a';
    longest[PST_PATH_BYTES_MAX] = '\0';
    CU_ASSERT_FALSE(pst_object_path_is_safe(longest));
}

static void names_that_lead_out_are_unsafe(void)
{
    CU_ASSERT_TRUE(pst_object_name_is_safe("data"));
    CU_ASSERT_FALSE(pst_object_name_is_safe(""));
    CU_ASSERT_FALSE(pst_object_name_is_safe("."));
    CU_ASSERT_FALSE(pst_object_name_is_safe(".."));
    CU_ASSERT_FALSE(pst_object_name_is_safe("a/b"));
}

static void an_unsafe_path_is_not_decoded(void)
{
    struct pst_object object = sample_object(2);
    uint8_t payload[256], *path = payload + PST_OBJECT_FIXED_BYTES;
    size_t offset = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
    size_t bytes = offset;
    memcpy(path, "../fil", 6);
    offset = 0;
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_UNSAFE_PATH);
    memcpy(path, "/etc/p", 6);
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_UNSAFE_PATH);
    memcpy(path, "d/\0ile", 6);
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_CORRUPT);
    memcpy(path, "\0/file", 6);
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(offset, 0);
}

static void expect_illegal(const struct pst_object *object)
{
    uint8_t payload[256];
    size_t offset = 0;
    CU_ASSERT_EQUAL(pst_object_encode(object, payload, sizeof(payload), &offset), -EINVAL);
    CU_ASSERT_EQUAL(offset, 0);
}

#define ILLEGAL(i, change)                                                                         \
    do {                                                                                           \
        struct pst_object object = sample_object(i);                                               \
        change;                                                                                    \
        expect_illegal(&object);                                                                   \
    } while (0)

static void illegal_objects_are_not_encoded(void)
{
    ILLEGAL(2, object.id = 0);
    ILLEGAL(2, object.id = UINT64_C(1) << PST_OBJECT_SOURCE_SHIFT);
    ILLEGAL(2, object.id = (uint64_t)PST_SOURCES_MAX << PST_OBJECT_SOURCE_SHIFT | 1);
    ILLEGAL(2, object.type = (enum pst_object_type)0);
    ILLEGAL(2, object.type = (enum pst_object_type)(PST_OBJECT_TYPE_MAX + 1));
    ILLEGAL(2, object.mtime_nsec = 1000000000);
    ILLEGAL(2, object.mode = 0100644);
    ILLEGAL(2, object.size = UINT64_MAX);
    ILLEGAL(2, object.rdev = 1);
    ILLEGAL(2, object.link = "x");
    ILLEGAL(2, object.path = "");
    ILLEGAL(2, object.path = "../x");
    ILLEGAL(2, object.path = NULL);
    ILLEGAL(2, object.linked_object = 1);
    ILLEGAL(2, object.attributes_bytes = 8);
    ILLEGAL(1, object.size = 1);
    ILLEGAL(4, object.link = NULL);
    ILLEGAL(4, object.link = "");
    ILLEGAL(5, object.linked_object = 0);
    ILLEGAL(5, object.linked_object = object.id);
    ILLEGAL(5, object.linked_object = 1);
    ILLEGAL(11, object.attributes_bytes = 8);
    ILLEGAL(11, object.attributes_bytes = 17);
    ILLEGAL(11, object.attributes = NULL);
}

static void an_attribute_that_must_be_understood_is_newer(void)
{
    struct pst_object object = sample_object(11);
    static const uint8_t required[8] = {0x01, 0x80};
    object.attributes = required;
    object.attributes_bytes = sizeof(required);
    uint8_t payload[256];
    size_t offset = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
    size_t bytes = offset;
    offset = 0;
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_NEWER);
    payload[4] = PST_OBJECT_TYPE_MAX + 1;
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &object), -PST_E_NEWER);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every kind reads back", every_kind_reads_back},
        {"what does not fit moves nothing", what_does_not_fit_moves_nothing},
        {"a cut entry moves nothing", a_cut_entry_moves_nothing},
        {"a flipped entry is legal or refused", a_flipped_entry_is_legal_or_refused},
        {"paths that lead out are unsafe", paths_that_lead_out_are_unsafe},
        {"names that lead out are unsafe", names_that_lead_out_are_unsafe},
        {"an unsafe path is not decoded", an_unsafe_path_is_not_decoded},
        {"illegal objects are not encoded", illegal_objects_are_not_encoded},
        {"an attribute that must be understood is newer",
         an_attribute_that_must_be_understood_is_newer},
        CU_TEST_INFO_NULL,
    };
    return suite_run("object", tests);
}
