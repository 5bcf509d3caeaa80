/*
 * Node and cluster manifests: two lines of JSON, the second the checksum of the first. See
 * docs/format.md. Any thread, but one object by one thread at a time. These functions allocate;
 * they do no I/O.
 */
#ifndef PST_ENGINE_FORMAT_MANIFEST_H
#define PST_ENGINE_FORMAT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/format/chunk.h"
#include "engine/format/digest.h"
#include "penstock/error.h"

#define PST_MANIFEST_BYTES_MAX (1u << 20) /* no manifest file is longer */
#define PST_UNREADABLE_NAMES_MAX 100u     /* more are counted, not named */
#define PST_HOST_BYTES_MAX 255u           /* of a host's name, and of a writer's */
#define PST_SOURCE_PATH_BYTES_MAX 16384u  /* with every byte as \xHH */
#define PST_SOURCE_CHOICE_BYTES_MAX 1024u

struct pst_manifest_version {
    uint32_t compatible;
    uint32_t read_only_compatible;
    uint32_t incompatible;
};

/* What node and cluster manifest have in common. Times: nanoseconds since 1970. */
struct pst_manifest_common {
    struct pst_manifest_version version; /* for encoders zero, but for incompatible */
    uint8_t uid[PST_UID_BYTES];
    uint32_t number;
    uint32_t cluster_id;
    uint64_t start_gci;
    uint64_t stop_gci;
    uint64_t started_unix_ns;
    uint64_t finished_unix_ns;
    struct pst_part_sums sums; /* of all parts */
};

struct pst_manifest_source {
    const char *name;  /* pst_object_name_is_safe, UTF-8, below PST_SOURCE_NAME_MAX bytes, unique */
    const char *spec;  /* "dir:/srv/data": for people; what is not UTF-8 comes back as \xHH */
    uint32_t instance; /* 0…PST_SOURCES_MAX - 1, unique: the upper bits of its objects' ids */
    /* Text of a JSON object in which the source describes this backup, or NULL. */
    const char *details;
    const char
        *path; /* absolute; NULL: the source has none, or it is not known; bytes as in spec */
    const char *choice; /* options that chose what of it is backed up, "--exclude=*.o", ASCII; "":
                           none did; NULL: not known. Equal texts are equal choices */
};

struct pst_manifest_part {
    uint32_t part; /* 1…parts; encoders write them in this order */
    uint32_t ldm;  /* instance, 1… */
    uint64_t file_bytes;
    struct pst_digest digest; /* pst_part_digest */
    struct pst_part_sums sums;
    uint64_t lz4_chunks; /* of sums.chunks; 0 too if it is not known */
    uint64_t zstd_chunks;
    uint64_t
        tail_at; /* what of file_bytes lies in the part; the rest is its tail; 0: it has none */
};

/* Whether a manifest of this version may say that of a part. */
static inline bool pst_manifest_part_is_legal(const struct pst_manifest_part *part,
                                              uint32_t incompatible)
{
    return part->tail_at == 0 ||
           ((incompatible & PST_FORMAT_TAILS) != 0 && part->tail_at % PST_BLOCK_BYTES == 0 &&
            part->tail_at < part->file_bytes);
}

/* A backup that another one was compared with; number 0: none. */
struct pst_manifest_base {
    uint8_t uid[PST_UID_BYTES];
    uint32_t number;
};

/* A backup that another one refers to, and how much of it. */
struct pst_manifest_origin {
    uint8_t uid[PST_UID_BYTES];
    uint32_t number;
    uint64_t bytes;
    uint64_t objects; /* references to whole objects, and objects of which a run is referred to */
};

/* Strings are the caller's when encoding; the manifest's own (until released) when decoded. The
 * arrays stand last: they are long, most of them is not in use, and that is neither cleared nor
 * copied. */
struct pst_node_manifest {
    struct pst_manifest_common common;
    uint32_t node;
    uint32_t chunk_bytes;
    uint32_t single_threaded; /* 0, 1 */
    uint32_t master_node;
    uint32_t participants_count;
    uint32_t sources_count;
    uint32_t parts_count; /* = LDMs */
    uint32_t unreadable_names_count;
    uint32_t origins_count; /* 0 without a base */
    struct pst_manifest_base base;
    const char *host;   /* the name of the machine, bytes as in spec; NULL: not known */
    const char *writer; /* "penstock 1.2.3"; NULL: not known */
    void *owner;        /* the decoder's; NULL when encoding */
    uint32_t participants[PST_NODES_MAX]; /* nodes of this backup, ascending, own and master's too;
                                             a manifest without them is of one node */
    struct pst_manifest_source sources[PST_SOURCES_MAX];
    struct pst_manifest_part parts[PST_LDMS_MAX];
    const char *unreadable_names[PST_UNREADABLE_NAMES_MAX]; /* "NAME/path", as \xHH where needed */
    struct pst_manifest_origin origins[PST_ORIGINS_MAX];    /* uids differ */
};

struct pst_manifest_node {
    uint32_t node;
    uint64_t file_bytes;      /* of the node manifest */
    struct pst_digest digest; /* pst_manifest_text.digest of it */
    struct pst_part_sums sums;
};

struct pst_cluster_manifest {
    struct pst_manifest_common common;
    uint32_t master_node;
    uint32_t copies; /* files of it in each directory of the backup; 1 where it does not say */
    uint32_t nodes_count;
    uint32_t members_count; /* 0: not known */
    uint32_t origins_count;
    char label[PST_LABEL_BYTES_MAX + 1];           /* the user's word for the backup; "": none */
    struct pst_manifest_node nodes[PST_NODES_MAX]; /* ascending by node */
    /* Nodes that the cluster was to have, ascending: those that are no nodes of this backup are
     * missing in it. */
    uint32_t members[PST_NODES_MAX];
    struct pst_manifest_origin origins[PST_ORIGINS_MAX]; /* of all nodes: one for each uid */
};

/* A whole manifest file. text is malloc'd: free() it. digest: of line 1 with its newline, as line 2
 * has it; this is the digest by which a manifest is known. */
struct pst_manifest_text {
    char *text; /* terminated too */
    uint64_t bytes;
    struct pst_digest digest;
};

/* -EINVAL: out of its ranges; -E2BIG: longer than PST_MANIFEST_BYTES_MAX; -ENOMEM. After an error
 * there is no text to free. */
int pst_manifest_encode_node(const struct pst_node_manifest *manifest,
                             struct pst_manifest_text *text) PST_MUST_USE;
int pst_manifest_encode_cluster(const struct pst_cluster_manifest *manifest,
                                struct pst_manifest_text *text) PST_MUST_USE;

/* No element of any array is in use then; the arrays are left as they are. */
void pst_manifest_clear_node(struct pst_node_manifest *manifest);
void pst_manifest_clear_cluster(struct pst_cluster_manifest *manifest);

/* Copies what is in use, to what need not be set. */
void pst_manifest_copy_node(struct pst_node_manifest *to, const struct pst_node_manifest *from);
void pst_manifest_copy_cluster(struct pst_cluster_manifest *to,
                               const struct pst_cluster_manifest *from);

/* Whether text can be the details of a source (penstock/source.h): a JSON object, not too long. */
bool pst_manifest_takes_details(const char *text);

/* Arbitrary bytes in; *manifest is set, as far as it is in use, or, on failure, untouched.
 *   -PST_E_TRUNCATED   no second line, or an unfinished one
 *   -PST_E_CORRUPT     checksum, JSON or a field is wrong
 *   -PST_E_NOT_BACKUP  intact JSON of some other kind
 *   -PST_E_NEWER       intact, of an incompatible version
 *   -ENOMEM
 * Unknown fields are tolerated. *digest (may be NULL): the file's. *damage: as in chunk.h. */
int pst_manifest_decode_node(const void *bytes, uint64_t size, struct pst_node_manifest *manifest,
                             struct pst_digest *digest, struct pst_damage *damage) PST_MUST_USE;
int pst_manifest_decode_cluster(const void *bytes, uint64_t size,
                                struct pst_cluster_manifest *manifest, struct pst_digest *digest,
                                struct pst_damage *damage) PST_MUST_USE;

/* A manifest that is sealed has two: one without what nobody is to read, and, attached to that,
 * sealed bytes that hold the other, whole. */

/* Attaches them to a text, which becomes another one. -ENOMEM, -E2BIG: there is no text then. */
int pst_manifest_attach(struct pst_manifest_text *text, const uint8_t *sealed,
                        size_t sealed_bytes) PST_MUST_USE;

/* Finds them in a text that has been decoded: malloc'd. -PST_E_CORRUPT: there are none; -ENOMEM. */
int pst_manifest_detach(const void *bytes, uint64_t size, uint8_t **sealed,
                        size_t *sealed_bytes) PST_MUST_USE;

/* Frees what a successful decode owns. */
void pst_manifest_release_node(struct pst_node_manifest *manifest);

#endif
