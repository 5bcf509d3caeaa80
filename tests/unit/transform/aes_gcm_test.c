/* AES-256-GCM: the known answer of its specification, in steps of any length, and what is refused.
 */
#include <assert.h>
#include <string.h>

#include "engine/base/hex.h"
#include "engine/transform/aes_gcm/aes_gcm.h"
#include "tests/suite.h"

#define BYTES 60u
#define BOUND_BYTES 20u

/* McGrew and Viega, The Galois/Counter Mode of Operation, test case 16. */
static const char key_text[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char nonce_text[] = "cafebabefacedbaddecaf888";
static const char bound_text[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char plain_text[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
static const char sealed_text[] = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
static const char tag_text[] = "76fc6ece0f4e1768cddf8853bb2d551b";

static uint8_t key[32], nonce[12], bound[BOUND_BYTES], plain[BYTES], sealed[BYTES], tag[16];
static struct pst_aes_gcm *gcm;

static void take(const char *text, uint8_t *bytes, size_t count)
{
    bool is_hex = pst_hex_decode(text, strlen(text), bytes, count);
    assert(is_hex);
}

static void run(enum pst_aes_way way, const uint8_t *in, uint8_t *out, uint32_t step)
{
    pst_aes_gcm_begin(gcm, way, nonce, bound, sizeof(bound));
    for (uint32_t at = 0; at < BYTES; at += step)
        pst_aes_gcm_step(gcm, in + at, out + at, BYTES - at < step ? BYTES - at : step);
}

static void the_known_answer(void)
{
    for (uint32_t step = 1; step <= BYTES; step++) {
        uint8_t out[BYTES], found[16];
        run(PST_AES_SEAL, plain, out, step);
        pst_aes_gcm_end(gcm, found);
        CU_ASSERT_EQUAL(memcmp(out, sealed, BYTES), 0);
        CU_ASSERT_EQUAL(memcmp(found, tag, sizeof(tag)), 0);
        run(PST_AES_OPEN, out, out, step);
        CU_ASSERT_TRUE(pst_aes_gcm_end_open(gcm, tag));
        CU_ASSERT_EQUAL(memcmp(out, plain, BYTES), 0);
    }
}

static void what_was_changed_is_refused(void)
{
    uint8_t *const changed[] = {sealed, bound, nonce, tag};
    uint8_t out[BYTES];
    for (uint32_t i = 0; i < 4; i++) {
        changed[i][3] ^= 1;
        run(PST_AES_OPEN, sealed, out, BYTES);
        CU_ASSERT_FALSE(pst_aes_gcm_end_open(gcm, tag));
        changed[i][3] ^= 1;
    }
    key[31] ^= 1;
    pst_aes_gcm_set_key(gcm, key);
    run(PST_AES_OPEN, sealed, out, BYTES);
    CU_ASSERT_FALSE(pst_aes_gcm_end_open(gcm, tag));
    key[31] ^= 1;
    pst_aes_gcm_set_key(gcm, key);
    run(PST_AES_OPEN, sealed, out, BYTES);
    CU_ASSERT_TRUE(pst_aes_gcm_end_open(gcm, tag));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the known answer", the_known_answer},
        {"what was changed is refused", what_was_changed_is_refused},
        CU_TEST_INFO_NULL,
    };
    if (pst_aes_gcm_create(&gcm))
        return 1;
    take(key_text, key, sizeof(key));
    take(nonce_text, nonce, sizeof(nonce));
    take(bound_text, bound, sizeof(bound));
    take(plain_text, plain, sizeof(plain));
    take(sealed_text, sealed, sizeof(sealed));
    take(tag_text, tag, sizeof(tag));
    pst_aes_gcm_set_key(gcm, key);
    int result = suite_run("AES-256-GCM", tests);
    pst_aes_gcm_destroy(gcm);
    return result;
}
