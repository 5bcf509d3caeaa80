/* make_corpus FOLDER: writes the seeds of what has encoders below FOLDER. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/file_attributes.h"
#include "engine/format/rows.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/zstd/zstd_codec.h"
#include "net/packet/arp.h"
#include "net/shm/shared_ring.h"
#include "net/shm/shm_wire.h"
#include "tests/fuzz/keys_ring.h"
#include "tests/unit/format/sample.h"

static const char *folder;

static void put(const char *name, const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void put_chunks(void)
{
    uint8_t *buffer = sample_buffer();
    const struct pst_part_identity identity = sample_identity();
    pst_part_header_seal(buffer, &identity, PST_CHUNK_BYTES_DEFAULT, 1, 1234);
    put("chunk/part-header", buffer, PST_BLOCK_BYTES);
    put("chunk/data", buffer, sample_data_chunk(buffer, 5, 8 * PST_BLOCK_BYTES));
    put("chunk/catalogue", buffer, sample_catalogue_chunk(buffer, 6, 16 * PST_BLOCK_BYTES));
    put("catalogue/all-kinds", buffer, sample_catalogue(buffer, PST_CHUNK_BYTES_MIN));
    put("references/three", buffer, sample_references(buffer));
    free(buffer);
}

/* An entry as a node writes it that is to be a base. */
static void put_identity(void)
{
    const struct pst_object_identity identity = {.device = 2, .inode = 3, .ctime_nsec = 999999999};
    uint8_t attributes[PST_OBJECT_DATA_ATTRIBUTE_BYTES + PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES];
    uint8_t entry[256];
    uint32_t bytes = pst_object_data_encode(4000, attributes);
    bytes += pst_object_identity_encode(&identity, attributes + bytes);
    struct pst_object object = sample_object(2);
    size_t offset = 0;
    object.attributes = attributes;
    object.attributes_bytes = bytes;
    if (pst_object_encode(&object, entry, sizeof(entry), &offset) != 0)
        exit(1);
    put("catalogue/identity", entry, offset);
}

static void put_attributes(void)
{
    static const struct pst_xattr xattrs[] = {{"security.capability", "\1\0\0\2", 4},
                                              {"system.posix_acl_access", "\2\0\0\0", 4},
                                              {"trusted.x", "", 0},
                                              {"user.name", "value", 5}};
    uint8_t attributes[512], payload[4096];
    struct pst_object object = {
        .id = 1, .type = PST_OBJECT_FILE, .path = "file", .attributes = attributes};
    size_t offset = 0;
    if (pst_object_append_inode_flags(PST_OBJECT_IMMUTABLE, attributes, sizeof(attributes),
                                      &object.attributes_bytes) ||
        pst_object_append_project(7, attributes, sizeof(attributes), &object.attributes_bytes))
        exit(1);
    for (size_t i = 0; i < sizeof(xattrs) / sizeof(xattrs[0]); i++) {
        if (pst_xattr_append(&xattrs[i], attributes, sizeof(attributes), &object.attributes_bytes))
            exit(1);
    }
    if (pst_object_encode(&object, payload, sizeof(payload), &offset))
        exit(1);
    put("catalogue/attributes", payload, offset);
}

static void put_encoded(const char *name, const struct pst_transform *transform)
{
    const struct pst_part_identity identity = sample_identity();
    const struct pst_chunk_piece pieces[] = {{1, 0, 0, 30000}, {2, 0, 30010, 30000}};
    uint8_t *raw = sample_buffer(), *encoded = sample_buffer();
    struct format_encoding encoding = {.transform = transform};
    pst_chunk_begin(raw, PST_CHUNK_DATA);
    for (uint32_t i = 0; i < 2; i++) {
        if (pst_chunk_add_piece(raw, &pieces[i]) != 0)
            exit(1);
    }
    for (uint32_t i = 0; i < 60010; i++)
        raw[PST_CHUNK_HEADER_BYTES + i] = (uint8_t)(i * i / 700 % 50);
    format_chunk_begin_encoding(&encoding, raw, 60010, encoded, PST_CHUNK_BYTES_MIN, &identity, 5);
    while (format_chunk_encode(&encoding) == PST_ENCODE_MORE)
        continue;
    put(name, encoded,
        format_chunk_seal_encoded(&encoding, &identity, 5, (uint64_t)8 * PST_BLOCK_BYTES));
    free(raw);
    free(encoded);
}

static void put_codecs(void)
{
    size_t bytes = pst_zstd_memory_bytes(1, PST_CHUNK_BYTES_MIN);
    void *lz4 = aligned_alloc(64, (pst_lz4_memory_bytes() + 63) / 64 * 64);
    void *zstd = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!lz4 || !zstd)
        exit(1);
    put_encoded("chunk/lz4", pst_lz4_init(lz4));
    put_encoded("chunk/zstd", pst_zstd_at(pst_zstd_init(zstd, bytes, 1, PST_CHUNK_BYTES_MIN), 1));
    free(lz4);
    free(zstd);
}

static void put_parts(void)
{
    struct sample_part part = sample_part(4, 2);
    const uint8_t *end = part.bytes + part.size - PST_BLOCK_BYTES;
    const struct pst_part_trailer *trailer = (const struct pst_part_trailer *)end;
    put("chunk/trailer", end, PST_BLOCK_BYTES);
    const struct pst_index_link *last = &trailer->last_index;
    const uint8_t *index = part.bytes + last->file_offset;
    put("index/last", index, last->file_bytes);
    const struct pst_index_head *head = pst_chunk_payload_of(index);
    put("index/middle", part.bytes + head->previous.file_offset, head->previous.file_bytes);
    free(part.bytes);
}

static void put_rows(void)
{
    uint8_t stream[256];
    size_t bytes = 0;
    static const struct pst_row rows[] = {{"a", "first", 1, 5}, {"", "", 0, 0}, {"key", "", 3, 0}};
    for (size_t i = 0; i < 3; i++)
        bytes += pst_row_copy(&rows[i], 0, stream + bytes, sizeof(stream) - bytes);
    bytes += pst_rows_end_copy(3, bytes, 0, stream + bytes, sizeof(stream) - bytes);
    put("rows/three", stream, bytes);
}

static void put_manifests(void)
{
    struct pst_manifest_text text;
    if (pst_manifest_encode_node(sample_node_manifest(), &text) != 0)
        exit(1);
    put("node_manifest/sample", text.text, text.bytes);
    free(text.text);
    if (pst_manifest_encode_cluster(sample_cluster_manifest(), &text) != 0)
        exit(1);
    put("cluster_manifest/sample", text.text, text.bytes);
    free(text.text);
}

static void put_keys(void)
{
    static const uint8_t secret[PST_KEY_BYTES] = {9};
    const struct pst_part_identity identity = keys_ring_identity();
    struct pst_keys_file file;
    struct pst_keyring ring;
    struct pst_data_key key;
    keys_ring_open(&ring);
    if (data_key_take(&key, secret) != 0)
        exit(1);
    put("keys/two", &file, keys_file_make(&ring, &key, &identity, &file));
    pst_data_key_release(&key);
    keys_ring_close(&ring);
}

static void put_messages(void)
{
    struct shm_hello hello = {
        .header = {SHM_MAGIC, SHM_VERSION, SHM_HELLO},
        .signal_version = PST_SIGNAL_VERSION,
        .ring_signals = 64,
        .node = {.cluster = "fuzz", .cluster_id = 1, .node = 2, .incarnation = 5},
        .ring_bytes = shared_ring_bytes(64),
    };
    struct shm_notice notice = {.header = {SHM_MAGIC, SHM_VERSION, SHM_REFUSE},
                                .code = SHM_REFUSE_BUSY,
                                .reason = "its earlier connection has not ended yet"};
    struct pst_signal signal;
    pst_signal_init(&signal, PST_OUTCOME_REQ, pst_ref_make(2, PST_BLOCK_OUTCOME, 0),
                    pst_ref_make(1, PST_BLOCK_OUTCOME, 0), 3, 4);
    put("message/hello", &hello, sizeof(hello));
    put("message/refuse", &notice, sizeof(notice));
    notice.header.type = SHM_BYE;
    put("message/bye", &notice, sizeof(notice));
    put("message/signal", &signal, sizeof(signal));
}

static struct frame_end end_of(uint8_t number, uint16_t vlan)
{
    struct frame_end end = {.mac = {2, 0, 0, 0, 0, number}, .vlan = vlan};
    end.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7420)};
    end.address.sin_addr.s_addr = htonl(0x0a140000u + number);
    return end;
}

/* From 10.20.0.12 to 10.20.0.11. */
static void put_frames(void)
{
    static const uint8_t ping[] = {8, 0, 0x19, 0x2f, 'p', 'i', 'n', 'g'};
    const struct frame_end to = end_of(11, 0), from = end_of(12, 0), tagged = end_of(12, 42);
    struct arp arp;
    struct in_addr none = {0};
    uint8_t frame[256] = {0};
    arp_open(&arp, &from, 24, none);
    put("frame/question", frame, arp_write_request(&arp, frame, to.address.sin_addr));
    frame_put16(frame + 20, 2);
    put("frame/answer", frame, FRAME_BYTES_MIN);
    size_t bytes = frame_write_datagram(&from, frame, to.mac, &to.address, 100);
    put("frame/datagram", frame, bytes);
    frame[23] = 1;
    frame_put16(frame + 16, 20 + sizeof(ping));
    memcpy(frame + 34, ping, sizeof(ping));
    put("frame/ping", frame, 34 + sizeof(ping));
    put("frame/tagged", frame, frame_write_datagram(&tagged, frame, to.mac, &to.address, 100));
}

/* A record of quic_records_fuzz.c: its kind, then what a signal has. */
static size_t add_record(uint8_t *input, size_t at, uint8_t kind, uint32_t sequence)
{
    struct pst_signal signal;
    pst_signal_init(&signal, PST_OUTCOME_REQ, pst_ref_make(2, PST_BLOCK_OUTCOME, 0),
                    pst_ref_make(1, PST_BLOCK_OUTCOME, 0), 3, sequence);
    input[at] = kind;
    memcpy(input + at + 1, &signal, sizeof(signal));
    return at + 1 + sizeof(signal);
}

/* setting, its HELLO's changes, signals, a BEAT, a signal, the last record's kind. */
static void put_records(const char *name, uint8_t setting, size_t hello_bytes, uint8_t last)
{
    uint8_t input[2048] = {setting};
    size_t at = 1 + hello_bytes;
    for (uint32_t i = 0; i < 3; i++)
        at = add_record(input, at, 2, i);
    at = add_record(input, at, 1 + 4 * 3, 0);
    at = add_record(input, at, 2, 4);
    at = add_record(input, at, last, 5);
    put(name, input, at);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 1;
    }
    folder = argv[1];
    put_chunks();
    put_identity();
    put_attributes();
    put_codecs();
    put_parts();
    put_rows();
    put_manifests();
    put_keys();
    put_messages();
    put_frames();
    put_records("quic_records/client-leaves", 1, 0, 1 + 4 * 2);
    put_records("quic_records/server-as-it-is", 0, 0, 0);
    put_records("quic_records/client-summed", 1, 0, 3);
    put_records("quic_records/client-hello", 3, 384, 2);
    put_records("quic_records/server-early", 4, 0, 2);
    return 0;
}
