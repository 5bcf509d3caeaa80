/* Manifests: round trips, every flip and truncation found, strict about what they know. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/manifest.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

static struct pst_node_manifest node;
static struct pst_cluster_manifest cluster;
static struct pst_damage damage;

static struct pst_manifest_text node_text(void)
{
    struct pst_manifest_text text = {0};
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(sample_node_manifest(), &text), 0);
    return text;
}

static struct pst_manifest_text cluster_text(void)
{
    struct pst_manifest_text text = {0};
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_cluster(sample_cluster_manifest(), &text), 0);
    return text;
}

static int decode_node(const void *bytes, uint64_t size)
{
    int error = pst_manifest_decode_node(bytes, size, &node, NULL, &damage);
    if (!error)
        pst_manifest_release_node(&node);
    return error;
}

static int decode_cluster(const void *bytes, uint64_t size)
{
    return pst_manifest_decode_cluster(bytes, size, &cluster, NULL, &damage);
}

static void a_node_manifest_reads_back(void)
{
    const struct pst_node_manifest *sample = sample_node_manifest();
    struct pst_manifest_text text = node_text();
    struct pst_digest digest;
    CU_ASSERT_EQUAL_FATAL(pst_manifest_decode_node(text.text, text.bytes, &node, &digest, &damage),
                          0);
    CU_ASSERT_TRUE(pst_digest_equal(&digest, &text.digest));
    CU_ASSERT_EQUAL(memcmp(&node.common, &sample->common, sizeof(node.common)), 0);
    CU_ASSERT_EQUAL(node.node, sample->node);
    CU_ASSERT_EQUAL(node.chunk_bytes, sample->chunk_bytes);
    CU_ASSERT_EQUAL(node.single_threaded, 1);
    CU_ASSERT_EQUAL(node.master_node, 1);
    CU_ASSERT_EQUAL(node.participants_count, 3);
    CU_ASSERT_EQUAL(memcmp(node.participants, sample->participants, sizeof(node.participants)), 0);
    CU_ASSERT_EQUAL_FATAL(node.sources_count, 2);
    CU_ASSERT_STRING_EQUAL(node.sources[0].name, "data");
    CU_ASSERT_STRING_EQUAL(node.sources[0].spec, "dir:data");
    CU_ASSERT_STRING_EQUAL(node.sources[0].path, "/srv/d\\xffta");
    CU_ASSERT_PTR_NULL(node.sources[1].path);
    CU_ASSERT_STRING_EQUAL(node.sources[0].choice, "--exclude=*.o");
    CU_ASSERT_PTR_NULL(node.sources[1].choice);
    CU_ASSERT_STRING_EQUAL(node.host, "h\\x1bst");
    CU_ASSERT_STRING_EQUAL(node.writer, "penstock 1.2.3");
    CU_ASSERT_EQUAL(node.sources[1].instance, 1);
    CU_ASSERT_EQUAL(memcmp(&node.base, &sample->base, sizeof(node.base)), 0);
    CU_ASSERT_EQUAL(node.origins_count, 2);
    CU_ASSERT_EQUAL(memcmp(node.origins, sample->origins, sizeof(node.origins)), 0);
    CU_ASSERT_EQUAL(node.parts_count, 2);
    CU_ASSERT_EQUAL(memcmp(node.parts, sample->parts, sizeof(node.parts)), 0);
    CU_ASSERT_EQUAL_FATAL(node.unreadable_names_count, 2);
    CU_ASSERT_STRING_EQUAL(node.unreadable_names[0], "data/a \"quoted\" \xc3\xa4");
    CU_ASSERT_STRING_EQUAL(node.unreadable_names[1], "data/b\\xff\\\\\\x0a");
    pst_manifest_release_node(&node);
    free(text.text);
}

static void a_cluster_manifest_reads_back(void)
{
    const struct pst_cluster_manifest *sample = sample_cluster_manifest();
    struct pst_manifest_text text = cluster_text();
    struct pst_digest digest;
    CU_ASSERT_EQUAL_FATAL(
        pst_manifest_decode_cluster(text.text, text.bytes, &cluster, &digest, &damage), 0);
    CU_ASSERT_TRUE(pst_digest_equal(&digest, &text.digest));
    CU_ASSERT_EQUAL(memcmp(&cluster, sample, sizeof(cluster)), 0);
    free(text.text);
}

static void a_manifest_is_two_lines(void)
{
    struct pst_manifest_text text = cluster_text();
    CU_ASSERT_EQUAL(strlen(text.text), text.bytes);
    const char *second = strchr(text.text, '\n') + 1;
    char wanted[128], digest[PST_DIGEST_TEXT_BYTES];
    snprintf(wanted, sizeof(wanted), "{\"checksum\":\"%s\"}\n",
             pst_digest_text(&text.digest, digest));
    CU_ASSERT_STRING_EQUAL(second, wanted);
    const struct pst_digest found = pst_digest_of(text.text, (size_t)(second - text.text), 0);
    CU_ASSERT_TRUE(pst_digest_equal(&found, &text.digest));
    free(text.text);
}

static void every_flip_is_found(int (*decode)(const void *, uint64_t),
                                struct pst_manifest_text text)
{
    uint64_t missed = 0, misplaced = 0;
    for (uint64_t i = 0; i < text.bytes; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text.text[i] = (char)(text.text[i] ^ (1 << bit));
            int error = decode(text.text, text.bytes);
            missed += error != -PST_E_CORRUPT;
            misplaced += i < damage.offset || i >= damage.offset + damage.bytes;
            text.text[i] = (char)(text.text[i] ^ (1 << bit));
        }
    }
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(misplaced, 0);
    CU_ASSERT_EQUAL(decode(text.text, text.bytes), 0);
    free(text.text);
}

static void every_flip_of_a_manifest_is_found(void)
{
    every_flip_is_found(decode_node, node_text());
    every_flip_is_found(decode_cluster, cluster_text());
}

static void every_truncation_is_found(int (*decode)(const void *, uint64_t),
                                      struct pst_manifest_text text)
{
    for (uint64_t length = 0; length < text.bytes; length++) {
        char *copy = malloc(length ? length : 1);
        memcpy(copy, text.text, length);
        CU_ASSERT_EQUAL(decode(copy, length), -PST_E_TRUNCATED);
        CU_ASSERT_EQUAL(damage.offset, length);
        free(copy);
    }
    char *longer = malloc(text.bytes + 1);
    memcpy(longer, text.text, text.bytes);
    longer[text.bytes] = '\n';
    CU_ASSERT_EQUAL(decode(longer, text.bytes + 1), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(damage.offset, text.bytes);
    free(longer);
    free(text.text);
}

static void every_truncation_of_a_manifest_is_found(void)
{
    every_truncation_is_found(decode_node, node_text());
    every_truncation_is_found(decode_cluster, cluster_text());
}

/* A manifest whose line 1 has `from` replaced by `to`, with a checksum that fits. */
static int decode_changed(int (*decode)(const void *, uint64_t), struct pst_manifest_text text,
                          const char *from, const char *to)
{
    char *changed = malloc(text.bytes + strlen(to) + 1), *at = strstr(text.text, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    size_t before = (size_t)(at - text.text);
    size_t line = (size_t)(strchr(text.text, '\n') + 1 - text.text);
    size_t bytes = before;
    memcpy(changed, text.text, before);
    memcpy(changed + bytes, to, strlen(to));
    bytes += strlen(to);
    memcpy(changed + bytes, at + strlen(from), line - before - strlen(from));
    bytes += line - before - strlen(from);
    const struct pst_digest digest = pst_digest_of(changed, bytes, 0);
    char digest_text[PST_DIGEST_TEXT_BYTES];
    bytes += (size_t)sprintf(changed + bytes, "{\"checksum\":\"%s\"}\n",
                             pst_digest_text(&digest, digest_text));
    int error = decode(changed, bytes);
    free(changed);
    free(text.text);
    return error;
}

static void versions_are_respected(void)
{
    CU_ASSERT_EQUAL(
        decode_changed(decode_node, node_text(), "\"incompatible\":2", "\"incompatible\":8"),
        -PST_E_NEWER);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(), "\"incompatible\":2",
                                   "\"incompatible\":2147483648"),
                    -PST_E_NEWER);
    CU_ASSERT_EQUAL(
        decode_changed(decode_node, node_text(), "\"compatible\":0", "\"compatible\":4294967295"),
        0);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(), "\"read_only_compatible\":0",
                                   "\"read_only_compatible\":7"),
                    0);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(), "\"number\":7",
                                   "\"number\":7,\"colour\":[\"blue\"]"),
                    0);
}

static void fields_out_of_range_are_refused(void)
{
    static const char *const changes[][2] = {
        {"\"number\":7", "\"number\":0"},
        {"\"number\":7", "\"number\":4294967296"},
        {"\"number\":7", "\"number\":-1"},
        {"\"number\":7", "\"number\":7.0"},
        {"\"number\":7", "\"number\":\"7\""},
        {"\"number\":7", "\"number\":99999999999999999999"},
        {"\"number\":7", "\"number\":7,\"number\":7"},
        {"\"number\":7", "\"numbr\":7"},
        {"\"uid\":\"a0", "\"uid\":\"A0"},
        {"\"uid\":\"a0", "\"uid\":\"a"},
        {"\"node\":2", "\"node\":256"},
        {"\"node\":2", "\"node\":0"},
        {"\"chunk_bytes\":1048576", "\"chunk_bytes\":1048577"},
        {"\"chunk_bytes\":1048576", "\"chunk_bytes\":4096"},
        {"\"single_threaded\":true", "\"single_threaded\":1"},
        {"\"name\":\"data\"", "\"name\":\"..\""},
        {"\"name\":\"data\"", "\"name\":\"a/b\""},
        {"\"name\":\"data\"", "\"name\":\"r\""},
        {"\"name\":\"data\"", "\"name\":\"\\u0000\""},
        {"\"instance\":1", "\"instance\":0"},
        {"\"instance\":1", "\"instance\":64"},
        {"\"part\":2", "\"part\":1"},
        {"\"digest\":\"xxh3-128:", "\"digest\":\"sha-256:"},
        {"\"parts\":[", "\"parts\":[7,"},
        {"\"unreadable_names\":[", "\"unreadable_names\":[7,"},
        {"\"sums\":{", "\"sums\":[],\"x\":{"},
        {"\"incompatible\":2", "\"incompatible\":0"},
        {"\"base\":{", "\"basis\":{"},
        {"\"base\":{", "\"base\":[],\"x\":{"},
        {"\"base\":{\"uid\":\"0b", "\"base\":{\"uid\":\"B"},
        {"\"number\":5", "\"number\":0"},
        {"\"number\":6", "\"number\":0"},
        {"\"origins\":[{", "\"origins\":[7,{"},
        {"\"origins\":[{\"uid\":\"0b", "\"origins\":[{\"uid\":\"0c"},
        {"\"bytes\":900", "\"bytes\":-1"},
        {"\"objects\":90", "\"objects\":null"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        CU_ASSERT_EQUAL(decode_changed(decode_node, node_text(), changes[i][0], changes[i][1]),
                        -PST_E_CORRUPT);
    }
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(), "\"node\":2", "\"node\":1"),
                    -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(
        decode_changed(decode_cluster, cluster_text(), "\"incompatible\":2", "\"incompatible\":0"),
        -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(
        decode_changed(decode_cluster, cluster_text(), "\"origins\":[{", "\"origins\":[[],{"),
        -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(), "\"bytes\":1000", "\"bytes\":1"),
                    -PST_E_CORRUPT);
}

static void other_json_is_no_manifest(void)
{
    CU_ASSERT_EQUAL(decode_changed(decode_node, node_text(), "node-manifest", "other-manifest"),
                    -PST_E_NOT_BACKUP);
    struct pst_manifest_text text = cluster_text();
    CU_ASSERT_EQUAL(decode_node(text.text, text.bytes), -PST_E_NOT_BACKUP);
    free(text.text);
}

static void a_failed_decode_changes_nothing(void)
{
    struct pst_manifest_text text = cluster_text();
    memset(&cluster, 0x5A, sizeof(cluster));
    text.text[10] ^= 1;
    CU_ASSERT_NOT_EQUAL(decode_cluster(text.text, text.bytes), 0);
    for (size_t i = 0; i < sizeof(cluster); i++)
        CU_ASSERT_EQUAL(((const uint8_t *)&cluster)[i], 0x5A);
    free(text.text);
}

static void what_could_not_be_read_back_is_not_written(void)
{
    struct pst_manifest_text text = {0};
    struct pst_node_manifest bad = *sample_node_manifest();
    bad.common.number = 0;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    CU_ASSERT_PTR_NULL_FATAL(text.text); /* callers free it */
    bad = *sample_node_manifest();
    bad.sources[0].name = "..";
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad.sources[0].name = "\xff";
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.parts[1].file_bytes = UINT64_MAX;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.participants[1] = 3; /* not itself */
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.master_node = 3; /* no participant */
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.participants[2] = 2; /* not ascending */
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad.participants[2] = PST_NODES_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.participants_count = PST_NODES_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.origins_count = PST_ORIGINS_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.common.version.incompatible = 0; /* which an old reader would take */
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    bad = *sample_node_manifest();
    bad.parts_count = PST_LDMS_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&bad, &text), -EINVAL);
    struct pst_cluster_manifest none = *sample_cluster_manifest();
    none.nodes_count = 0;
    CU_ASSERT_EQUAL(pst_manifest_encode_cluster(&none, &text), -EINVAL);
    CU_ASSERT_PTR_NULL(text.text);
    none = *sample_cluster_manifest();
    none.origins_count = PST_ORIGINS_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_cluster(&none, &text), -EINVAL);
    none.nodes_count = PST_NODES_MAX + 1;
    CU_ASSERT_EQUAL(pst_manifest_encode_cluster(&none, &text), -EINVAL);
    CU_ASSERT_PTR_NULL(text.text);
}

static void details_of_sources(void)
{
    struct pst_node_manifest with = *sample_node_manifest();
    struct pst_manifest_text text;
    with.sources[1].details = "{\"a\": 1, \"b\": {\"c\": [2]}}";
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&with, &text), 0);
    CU_ASSERT_EQUAL_FATAL(pst_manifest_decode_node(text.text, text.bytes, &node, NULL, &damage), 0);
    CU_ASSERT_PTR_NULL(node.sources[0].details);
    CU_ASSERT_STRING_EQUAL(node.sources[1].details, "{\"a\":1,\"b\":{\"c\":[2]}}");
    pst_manifest_release_node(&node);
    free(text.text);
    with.sources[1].details = "[1]";
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&with, &text), -EINVAL);
    with.sources[1].details = "{";
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&with, &text), -EINVAL);
}

/* Backups of older versions do not have them, and hostile ones too much of them. */
static void where_it_comes_from(void)
{
    struct pst_node_manifest without = *sample_node_manifest();
    struct pst_cluster_manifest unlabelled = *sample_cluster_manifest();
    struct pst_manifest_text text;
    without.host = without.writer = without.sources[0].path = NULL;
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&without, &text), 0);
    CU_ASSERT_PTR_NULL(strstr(text.text, "\"path\""));
    CU_ASSERT_EQUAL_FATAL(pst_manifest_decode_node(text.text, text.bytes, &node, NULL, &damage), 0);
    CU_ASSERT_PTR_NULL(node.host);
    CU_ASSERT_PTR_NULL(node.writer);
    CU_ASSERT_PTR_NULL(node.sources[0].path);
    pst_manifest_release_node(&node);
    free(text.text);
    unlabelled.label[0] = '\0';
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_cluster(&unlabelled, &text), 0);
    CU_ASSERT_PTR_NULL(strstr(text.text, "label"));
    CU_ASSERT_EQUAL(decode_cluster(text.text, text.bytes), 0);
    CU_ASSERT_STRING_EQUAL(cluster.label, "");
    free(text.text);

    static char longest[PST_SOURCE_PATH_BYTES_MAX + 2], label[300];
    memset(longest, 'x', sizeof(longest) - 1);
    without.sources[0].path = longest;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&without, &text), -EINVAL);
    longest[PST_SOURCE_PATH_BYTES_MAX] = '\0';
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&without, &text), 0);
    free(text.text);
    without.sources[0].choice = longest;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&without, &text), -EINVAL);
    without.sources[0].choice = longest + PST_SOURCE_PATH_BYTES_MAX - PST_SOURCE_CHOICE_BYTES_MAX;
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&without, &text), 0);
    free(text.text);
    without.sources[0].choice = NULL;
    without.host = longest;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&without, &text), -EINVAL);
    snprintf(label, sizeof(label), "\"label\":\"%.*s\"", PST_LABEL_BYTES_MAX + 1, longest);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(),
                                   "\"label\":\"before the \xc3\xbcpgrade\"", label),
                    -PST_E_CORRUPT);
    snprintf(label, sizeof(label), "\"label\":\"%.*s\"", PST_LABEL_BYTES_MAX, longest);
    CU_ASSERT_EQUAL(decode_changed(decode_cluster, cluster_text(),
                                   "\"label\":\"before the \xc3\xbcpgrade\"", label),
                    0);
    CU_ASSERT_EQUAL(decode_changed(decode_node, node_text(), "\"penstock 1.2.3\"", "7"),
                    -PST_E_CORRUPT);
}

/* Sealed it is there in hexadecimal digits, behind all but names; a backslash becomes four. */
static void the_largest_fits_sealed(struct pst_node_manifest *large, char *path)
{
    static struct pst_node_manifest outside;
    struct pst_manifest_text whole, text;
    const char first = path[0];
    memset(path, '\\', strlen(path));
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(large, &whole), 0);
    outside = *large;
    outside.sources_count = outside.unreadable_names_count = 0;
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&outside, &text), 0);
    CU_ASSERT_EQUAL(pst_manifest_attach(&text, (const uint8_t *)whole.text, whole.bytes), 0);
    free(text.text);
    free(whole.text);
    memset(path, first, strlen(path));
}

static void the_largest_manifests_fit(void)
{
    static struct pst_node_manifest large;
    static char names[PST_SOURCES_MAX][PST_SOURCE_NAME_MAX], path[PST_PATH_BYTES_MAX],
        choice[PST_SOURCE_CHOICE_BYTES_MAX + 1];
    large = *sample_node_manifest();
    memset(path, 0xFF, sizeof(path) - 1);
    memset(choice, 'x', sizeof(choice) - 1);
    large.sources_count = PST_SOURCES_MAX;
    for (uint32_t i = 0; i < PST_SOURCES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "%062u", i);
        large.sources[i] = (struct pst_manifest_source){
            .name = names[i], .spec = "dir:/x", .instance = i, .choice = choice};
    }
    large.parts_count = PST_LDMS_MAX;
    for (uint32_t i = 0; i < PST_LDMS_MAX; i++) {
        large.parts[i] = large.parts[1];
        large.parts[i].part = i + 1;
        large.parts[i].ldm = i + 1;
    }
    large.unreadable_names_count = PST_UNREADABLE_NAMES_MAX;
    for (uint32_t i = 0; i < PST_UNREADABLE_NAMES_MAX; i++)
        large.unreadable_names[i] = path;
    struct pst_manifest_text text;
    the_largest_fits_sealed(&large, path);
    CU_ASSERT_EQUAL_FATAL(pst_manifest_encode_node(&large, &text), 0);
    CU_ASSERT_EQUAL_FATAL(pst_manifest_decode_node(text.text, text.bytes, &node, NULL, &damage), 0);
    CU_ASSERT_EQUAL(node.parts_count, PST_LDMS_MAX);
    /* too many long names: the first ones */
    CU_ASSERT_TRUE(node.unreadable_names_count > 0 &&
                   node.unreadable_names_count < PST_UNREADABLE_NAMES_MAX);
    pst_manifest_release_node(&node);
    free(text.text);
    for (uint32_t i = 0; i < PST_SOURCES_MAX; i++)
        large.sources[i].spec = path;
    CU_ASSERT_EQUAL(pst_manifest_encode_node(&large, &text), -E2BIG);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a node manifest reads back", a_node_manifest_reads_back},
        {"a cluster manifest reads back", a_cluster_manifest_reads_back},
        {"a manifest is two lines", a_manifest_is_two_lines},
        {"every flip is found", every_flip_of_a_manifest_is_found},
        {"every truncation is found", every_truncation_of_a_manifest_is_found},
        {"versions are respected", versions_are_respected},
        {"fields out of range are refused", fields_out_of_range_are_refused},
        {"other JSON is no manifest", other_json_is_no_manifest},
        {"a failed decode changes nothing", a_failed_decode_changes_nothing},
        {"what could not be read back is not written", what_could_not_be_read_back_is_not_written},
        {"details of sources", details_of_sources},
        {"where it comes from", where_it_comes_from},
        {"the largest manifests fit", the_largest_manifests_fit},
        CU_TEST_INFO_NULL,
    };
    return suite_run("manifest", tests);
}
