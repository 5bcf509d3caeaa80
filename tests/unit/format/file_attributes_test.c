/* Extended attributes and inode flags in catalogue entries. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "engine/format/attribute.h"
#include "engine/format/file_attributes.h"
#include "engine/format/object.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

static uint8_t attributes[PST_OBJECT_ATTRIBUTES_BYTES_MAX];
static uint32_t used;

static int append(const char *name, const char *value)
{
    const struct pst_xattr xattr = {
        .name = name, .value = value, .value_bytes = (uint32_t)strlen(value)};
    return pst_xattr_append(&xattr, attributes, sizeof(attributes), &used);
}

static int encode(enum pst_object_type type)
{
    static uint8_t payload[PST_CHUNK_BYTES_MIN];
    struct pst_object object = {.id = 1, .type = type, .path = "path"}, again;
    object.link = type == PST_OBJECT_SYMLINK ? "target" : NULL;
    object.linked_object = type == PST_OBJECT_HARD_LINK ? 2 : 0;
    object.attributes = attributes;
    object.attributes_bytes = used;
    size_t offset = 0, from = 0;
    int error = pst_object_encode(&object, payload, sizeof(payload), &offset);
    if (!error)
        CU_ASSERT_EQUAL(pst_object_decode(payload, offset, &from, &again), 0);
    return error;
}

/* Alone in an entry. */
static int encode_name(const char *name)
{
    used = 0;
    CU_ASSERT_EQUAL(append(name, "v"), 0);
    return encode(PST_OBJECT_FILE);
}

static void they_read_back(void)
{
    struct pst_object object = {.attributes = attributes};
    struct pst_xattr xattr;
    uint32_t at = 0;
    used = 0;
    CU_ASSERT_EQUAL(pst_object_append_inode_flags(3, attributes, sizeof(attributes), &used), 0);
    CU_ASSERT_EQUAL(pst_object_append_project(UINT32_MAX, attributes, sizeof(attributes), &used),
                    0);
    CU_ASSERT_EQUAL(append("system.posix_acl_access", "acl"), 0);
    used += pst_object_data_encode(0, attributes + used);
    CU_ASSERT_EQUAL(append("user.empty", ""), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), 0);
    object.attributes_bytes = used;
    CU_ASSERT_EQUAL(pst_object_inode_flags(&object), PST_OBJECT_IMMUTABLE | PST_OBJECT_APPEND_ONLY);
    CU_ASSERT_EQUAL(pst_object_project(&object), UINT32_MAX);
    CU_ASSERT_TRUE_FATAL(pst_xattr_next(&object, &at, &xattr));
    CU_ASSERT_STRING_EQUAL(xattr.name, "system.posix_acl_access");
    CU_ASSERT_EQUAL(xattr.value_bytes, 3);
    CU_ASSERT_EQUAL(memcmp(xattr.value, "acl", 3), 0);
    CU_ASSERT_TRUE_FATAL(pst_xattr_next(&object, &at, &xattr));
    CU_ASSERT_STRING_EQUAL(xattr.name, "user.empty");
    CU_ASSERT_EQUAL(xattr.value_bytes, 0);
    CU_ASSERT_FALSE(pst_xattr_next(&object, &at, &xattr));
    object.attributes_bytes = 0;
    CU_ASSERT_EQUAL(pst_object_inode_flags(&object), 0);
    CU_ASSERT_EQUAL(pst_object_project(&object), 0);
}

static void flags_are_those_of_inodes(void)
{
    char text[PST_OBJECT_FLAGS_TEXT_BYTES];
    uint32_t all = (PST_OBJECT_DAX << 1) - 1;
    CU_ASSERT_EQUAL(pst_object_flags_from_inode(pst_object_flags_to_inode(all)), all);
    CU_ASSERT_EQUAL(pst_object_flags_from_inode(UINT32_MAX), all);
    CU_ASSERT_EQUAL(pst_object_flags_to_inode(all + 1), 0);
    CU_ASSERT_STRING_EQUAL(pst_object_flags_text(all, text), "SDiadAcjtTCxPm");
    CU_ASSERT_EQUAL(pst_object_flags_to_inode(PST_OBJECT_NO_ATIME), FS_NOATIME_FL);
    CU_ASSERT_STRING_EQUAL(pst_object_flags_text(PST_OBJECT_NO_ATIME, text), "A");
}

static void only_names_that_are_kept_are_legal(void)
{
    char longest[PST_XATTR_NAME_BYTES_MAX + 1] = "user.";
    static const char *const legal[] = {"user.x", "trusted.x", "security.capability",
                                        "system.posix_acl_default", "user.a=\n\xff"};
    static const char *const illegal[] = {"",          "user",    "user.",    "trusted.",
                                          "security.", "usr.x",   "system.x", "system.posix_acl_",
                                          "User.x",    "x.user.x"};
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
        CU_ASSERT_EQUAL(encode_name(legal[i]), 0);
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++)
        CU_ASSERT_EQUAL(encode_name(illegal[i]), -EINVAL);
    memset(longest + 5, 'n', sizeof(longest) - 6);
    CU_ASSERT_EQUAL(encode_name(longest), -EINVAL);
    longest[sizeof(longest) - 2] = '\0';
    CU_ASSERT_EQUAL(encode_name(longest), 0);
    used = 0;
    memset(format_attribute_append(0x20, 8, attributes, sizeof(attributes), &used), 'u', 8);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL); /* no terminator */
    used = 0;
    CU_ASSERT_PTR_NOT_NULL(format_attribute_append(0x20, 0, attributes, sizeof(attributes), &used));
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL);
}

static void names_ascend(void)
{
    used = 0;
    CU_ASSERT_EQUAL(append("user.b", "1"), 0);
    CU_ASSERT_EQUAL(append("user.b", "2"), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL);
    used = 0;
    CU_ASSERT_EQUAL(append("user.b", "1"), 0);
    CU_ASSERT_EQUAL(append("user.a", "2"), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL);
    used = 0;
    CU_ASSERT_EQUAL(append("user.b", "1"), 0);
    CU_ASSERT_EQUAL(append("user.ba", "2"), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), 0);
}

static void only_inodes_have_them(void)
{
    for (enum pst_object_type type = 1; type <= PST_OBJECT_TYPE_MAX; type++) {
        bool has_xattrs = type <= PST_OBJECT_SYMLINK ||
                          (type >= PST_OBJECT_BLOCK_DEVICE && type <= PST_OBJECT_SOCKET);
        used = 0;
        CU_ASSERT_EQUAL(append("user.x", "1"), 0);
        CU_ASSERT_EQUAL(encode(type), has_xattrs ? 0 : -EINVAL);
        used = 0;
        CU_ASSERT_EQUAL(pst_object_append_inode_flags(1, attributes, sizeof(attributes), &used), 0);
        CU_ASSERT_EQUAL(encode(type), type <= PST_OBJECT_DIRECTORY ? 0 : -EINVAL);
        used = 0;
        CU_ASSERT_EQUAL(pst_object_append_project(1, attributes, sizeof(attributes), &used), 0);
        CU_ASSERT_EQUAL(encode(type), has_xattrs ? 0 : -EINVAL);
    }
    CU_ASSERT_EQUAL(pst_object_append_project(1, attributes, sizeof(attributes), &used), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL); /* twice */
    used = 0;
    CU_ASSERT_PTR_NOT_NULL(format_attribute_append(0x22, 8, attributes, sizeof(attributes), &used));
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL);
    used = 0;
    CU_ASSERT_EQUAL(pst_object_append_inode_flags(1, attributes, sizeof(attributes), &used), 0);
    CU_ASSERT_EQUAL(pst_object_append_inode_flags(1, attributes, sizeof(attributes), &used), 0);
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL); /* twice */
    used = 0;
    CU_ASSERT_PTR_NOT_NULL(format_attribute_append(0x21, 8, attributes, sizeof(attributes), &used));
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), -EINVAL);
}

static void no_more_than_an_entry_holds(void)
{
    static char value[PST_OBJECT_ATTRIBUTES_BYTES_MAX];
    memset(value, 'v', sizeof(value));
    used = 0;
    value[sizeof(attributes) - 8 - 7 + 1] = '\0';
    CU_ASSERT_EQUAL(append("user.x", value), -ENOSPC);
    CU_ASSERT_EQUAL(used, 0);
    value[sizeof(attributes) - 8 - 7] = '\0';
    CU_ASSERT_EQUAL(append("user.x", value), 0);
    CU_ASSERT_EQUAL(used, sizeof(attributes));
    CU_ASSERT_EQUAL(encode(PST_OBJECT_FILE), 0);
    CU_ASSERT_EQUAL(append("user.y", ""), -ENOSPC);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"they read back", they_read_back},
        {"flags are those of inodes", flags_are_those_of_inodes},
        {"only names that are kept are legal", only_names_that_are_kept_are_legal},
        {"names ascend", names_ascend},
        {"only inodes have them", only_inodes_have_them},
        {"no more than an entry holds", no_more_than_an_entry_holds},
        CU_TEST_INFO_NULL,
    };
    return suite_run("file attributes", tests);
}
