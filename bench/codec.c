/* penstock-bench codec: chunks of a file encoded, or encrypted, as an LDM does it, in steps, beside
 * one call of the library for each, in turns. One thread; CPU time, for a host that is busy. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/registry/sealed.h"
#include "engine/transform/zstd/zstd_codec.h"

#define CHUNK_BYTES PST_CHUNK_BYTES_DEFAULT
#define CHUNKS_MAX 256u

struct data {
    uint8_t *raw;
    uint32_t chunks;
    uint8_t *stored; /* room for a chunk that grew */
    size_t room;
};

struct codec {
    const char *name;
    uint32_t level; /* of zstd; 0: lz4, or the cipher */
    bool is_cipher;
    const struct pst_transform *transform;
    ZSTD_CCtx *context; /* the library's */
    void *memory;
    struct pst_sealed sealed; /* the cipher, without a codec */
    EVP_CIPHER_CTX *cipher;   /* the library's */
};

/* What the chunks take when each is encoded so. */
struct took {
    uint64_t ns;
    uint64_t stored_bytes;
    uint64_t longest_step_ns;
};

static const uint8_t zeros[PST_AES_KEY_BYTES]; /* a key, and a nonce */

static void open_cipher(struct codec *codec)
{
    codec->cipher = EVP_CIPHER_CTX_new();
    if (!codec->cipher || pst_sealed_open(&codec->sealed, NULL, NULL, NULL) != 0) {
        (void)fputs("no memory\n", stderr);
        exit(1);
    }
    pst_sealed_set_key(&codec->sealed, zeros);
    codec->transform = pst_sealed_choose(&codec->sealed, NULL, CHUNK_BYTES);
    (void)EVP_EncryptInit_ex(codec->cipher, EVP_aes_256_gcm(), NULL, zeros, zeros);
}

static void encrypt_at_once(const struct codec *codec, const uint8_t *raw, uint8_t *stored)
{
    uint8_t tag[PST_AES_TAG_BYTES];
    int done;
    (void)EVP_EncryptInit_ex(codec->cipher, NULL, NULL, NULL, zeros);
    (void)EVP_EncryptUpdate(codec->cipher, stored, &done, raw, (int)CHUNK_BYTES);
    (void)EVP_EncryptFinal_ex(codec->cipher, tag, &done);
    (void)EVP_CIPHER_CTX_ctrl(codec->cipher, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag);
}

static void open_codec(struct codec *codec)
{
    if (codec->is_cipher) {
        open_cipher(codec);
        return;
    }
    size_t bytes = codec->level > 0 ? pst_zstd_memory_bytes(codec->level, CHUNK_BYTES)
                                    : pst_lz4_memory_bytes();
    codec->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    codec->context = ZSTD_createCCtx();
    if (!codec->memory || !codec->context || bytes == 0) {
        (void)fputs("no memory\n", stderr);
        exit(1);
    }
    memset(codec->memory, 0, bytes); /* it is there before the clock runs */
    if (codec->level == 0) {
        codec->transform = pst_lz4_init(codec->memory);
        return;
    }
    struct pst_zstd *zstd = pst_zstd_init(codec->memory, bytes, codec->level, CHUNK_BYTES);
    codec->transform = pst_zstd_at(zstd, codec->level);
    (void)ZSTD_CCtx_setParameter(codec->context, ZSTD_c_compressionLevel, (int)codec->level);
}

static void close_codec(struct codec *codec)
{
    if (codec->is_cipher) {
        pst_sealed_close(&codec->sealed);
        EVP_CIPHER_CTX_free(codec->cipher);
        return;
    }
    (void)ZSTD_freeCCtx(codec->context);
    free(codec->memory);
}

static void in_steps(const struct codec *codec, const struct data *data, uint32_t chunk,
                     struct took *took)
{
    struct pst_encoding encoding = {.number = chunk,
                                    .raw = data->raw + (size_t)chunk * CHUNK_BYTES,
                                    .stored = data->stored,
                                    .raw_bytes = CHUNK_BYTES,
                                    .room = (uint32_t)data->room};
    enum pst_encoded end;
    uint64_t began_ns = pst_thread_cpu_ns(), step_ns = began_ns;
    do {
        end = codec->transform->encode(codec->transform, &encoding);
        uint64_t now_ns = pst_thread_cpu_ns();
        if (now_ns - step_ns > took->longest_step_ns)
            took->longest_step_ns = now_ns - step_ns;
        step_ns = now_ns;
    } while (end == PST_ENCODE_MORE);
    took->ns += step_ns - began_ns;
    took->stored_bytes += end == PST_ENCODED ? encoding.stored_bytes : CHUNK_BYTES;
}

static void at_once(const struct codec *codec, const struct data *data, uint32_t chunk,
                    struct took *took)
{
    const uint8_t *raw = data->raw + (size_t)chunk * CHUNK_BYTES;
    uint64_t began_ns = pst_thread_cpu_ns();
    if (codec->is_cipher) {
        encrypt_at_once(codec, raw, data->stored);
        took->stored_bytes += CHUNK_BYTES;
    } else if (codec->level == 0) {
        took->stored_bytes += (uint64_t)LZ4_compress_default(
            (const char *)raw, (char *)data->stored, (int)CHUNK_BYTES, (int)data->room);
    } else {
        took->stored_bytes +=
            ZSTD_compress2(codec->context, data->stored, data->room, raw, CHUNK_BYTES);
    }
    took->ns += pst_thread_cpu_ns() - began_ns;
}

static double rate(const struct data *data, uint64_t ns)
{
    return (double)data->chunks * CHUNK_BYTES * 1e3 / (double)ns;
}

static void print_json(const struct codec *codec, const struct data *data,
                       double seconds[2][RESULT_ROUNDS_MAX], uint32_t rounds)
{
    for (uint32_t way = 0; way < 2; way++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "codec %s %s", codec->name,
                       way == 0 ? "in steps" : "at once");
        result_print_rounds(key, (uint64_t)data->chunks * CHUNK_BYTES, seconds[way], seconds[way],
                            rounds);
    }
}

static void take_both(struct codec *codec, const struct data *data, const struct rounds *rounds,
                      struct took took[2])
{
    for (uint32_t chunk = 0; chunk < data->chunks; chunk++) {
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t way = (rounds->order[i] + chunk) % 2;
            (way == 0 ? in_steps : at_once)(codec, data, chunk, &took[way]);
        }
    }
}

static void run_codec(struct codec *codec, const struct data *data,
                      const struct common_choices *common)
{
    static double seconds[2][RESULT_ROUNDS_MAX]; /* of CPU time */
    struct took best[2] = {{0}, {0}};
    uint64_t longest_ns = 0;
    struct rounds rounds = rounds_of(common, 2);
    open_codec(codec);
    while (rounds_next(&rounds)) {
        struct took took[2] = {{0}, {0}};
        take_both(codec, data, &rounds, took);
        if (!rounds.counts)
            continue;
        longest_ns = took[0].longest_step_ns > longest_ns ? took[0].longest_step_ns : longest_ns;
        for (uint32_t way = 0; way < 2; way++) {
            seconds[way][rounds.counted] = (double)took[way].ns / 1e9;
            if (rounds.counted == 0 || took[way].ns < best[way].ns)
                best[way] = took[way];
        }
    }
    close_codec(codec);
    if (common->json) {
        print_json(codec, data, seconds, rounds.counted);
        return;
    }
    struct figures_range ratio = figures_paired(seconds[1], seconds[0], rounds.counted);
    double raw_bytes = (double)data->chunks * CHUNK_BYTES;
    printf("%-7s  %9.0f  %9.0f", codec->name, rate(data, best[0].ns), rate(data, best[1].ns));
    result_print_range(&ratio, 1, 4, 2);
    printf("  %8.3f  %8.3f  %10.2f\n", raw_bytes / (double)best[0].stored_bytes,
           raw_bytes / (double)best[1].stored_bytes, (double)longest_ns / 1e6);
}

/* false: errno says why, or the file has no whole chunk. */
static bool read_data(const char *path, struct data *data)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    data->room = ZSTD_compressBound(CHUNK_BYTES) + PST_LZ4_BLOCK_BYTES;
    data->raw = malloc((size_t)CHUNKS_MAX * CHUNK_BYTES);
    data->stored = malloc(data->room);
    errno = data->raw && data->stored ? 0 : ENOMEM;
    if (!errno)
        data->chunks = (uint32_t)fread(data->raw, CHUNK_BYTES, CHUNKS_MAX, file);
    (void)fclose(file);
    return data->chunks > 0;
}

static void print_heading(const struct data *data, uint32_t rounds)
{
    printf("%u chunks of 1 MiB, %u rounds or more; MB/s of CPU time in the best round; ratio of "
           "rates, "
           "median [95 %%] of rounds; in steps beside the library at once\n"
           "%-7s  %9s  %9s  %18s  %8s  %8s  %10s\n",
           data->chunks, rounds, "codec", "in steps", "at once", "ratio of rates", "shrinks",
           "at once", "longest ms");
}

int bench_codec(int argc, char **argv)
{
    static struct codec codecs[] = {{.name = "lz4"},
                                    {.name = "zstd:1", .level = 1},
                                    {.name = "zstd:3", .level = 3},
                                    {.name = "zstd:6", .level = 6},
                                    {.name = "zstd:9", .level = 9},
                                    {.name = "aes-gcm", .is_cipher = true}};
    struct data data = {0};
    static struct common_choices common = COMMON_CHOICES_DEFAULT(10);
    const char *file;
    const struct choice choices[] = {
        MEASURING_CHOICES(&common, RESULT_ROUNDS_MAX,
                          "rounds over the file's first 256 MiB for each codec, up to 512"),
        {0}};
    int status = choices_begin_operand(argc, argv, choices, "FILE", &file, &common);
    if (status >= 0)
        return status;
    if (!read_data(file, &data)) {
        (void)fprintf(stderr, "%s: %s\n", file,
                      errno ? strerror(errno) : "is shorter than a chunk");
        return 1;
    }
    const char *const places[] = {file, NULL};
    if (common.json)
        facts_print(true, argv, places);
    else
        print_heading(&data, (uint32_t)common.repeat);
    for (uint32_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        run_codec(&codecs[i], &data, &common);
    free(data.raw);
    free(data.stored);
    return 0;
}
