/* What sources say of their failures comes in pieces, from whatever node, and is kept for a while.
 */
#include <string.h>

#include "engine/node/client.h"
#include "tests/suite.h"

#define SOURCE_2 pst_ref_make(2, PST_BLOCK_SOURCE, 1)

static struct pst_client_texts texts;

static struct pst_signal piece_of(const char *text, uint32_t offset, uint64_t backup)
{
    struct pst_signal signal;
    uint32_t bytes = (uint32_t)strlen(text), left = bytes - offset;
    pst_signal_init(&signal, PST_SOURCE_TEXT_REP, SOURCE_2, pst_ref_make(1, PST_BLOCK_CLIENT, 0),
                    backup, 0);
    signal.payload.source_text.where = SOURCE_2;
    signal.payload.source_text.offset = offset;
    signal.payload.source_text.bytes = (uint16_t)bytes;
    memcpy(signal.payload.source_text.text, text + offset,
           left < PST_SOURCE_TEXT_PIECE_BYTES ? left : PST_SOURCE_TEXT_PIECE_BYTES);
    return signal;
}

static const char *take(const char *text, uint32_t offset, uint64_t backup)
{
    struct pst_signal signal = piece_of(text, offset, backup);
    return pst_client_take_text(&texts, &signal);
}

static void setup(void)
{
    memset(&texts, 0, sizeof(texts));
}

static char *long_text(char text[PST_SOURCE_SAYS_BYTES_MAX + 1])
{
    for (uint32_t i = 0; i < PST_SOURCE_SAYS_BYTES_MAX; i++)
        text[i] = (char)('a' + i % 26);
    text[PST_SOURCE_SAYS_BYTES_MAX] = '\0';
    return text;
}

static void pieces_become_a_text(void)
{
    char text[PST_SOURCE_SAYS_BYTES_MAX + 1];
    setup();
    const char *whole = NULL;
    for (uint32_t at = 0; at < PST_SOURCE_SAYS_BYTES_MAX; at += PST_SOURCE_TEXT_PIECE_BYTES) {
        CU_ASSERT_PTR_NULL(whole);
        CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "");
        whole = take(long_text(text), at, 7);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
    CU_ASSERT_STRING_EQUAL(whole, text);
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), text);
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 8, SOURCE_2), "");
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2 + 1), "");
}

static void a_lost_piece_is_not_bridged(void)
{
    char text[PST_SOURCE_SAYS_BYTES_MAX + 1];
    setup();
    CU_ASSERT_PTR_NULL(take(long_text(text), 0, 7));
    for (uint32_t at = 2 * PST_SOURCE_TEXT_PIECE_BYTES; at < PST_SOURCE_SAYS_BYTES_MAX;
         at += PST_SOURCE_TEXT_PIECE_BYTES)
        CU_ASSERT_PTR_NULL(take(text, at, 7));
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "");
    CU_ASSERT_STRING_EQUAL(take("bank: again", 0, 7), "bank: again"); /* the next try's */
}

static void a_text_without_a_beginning_is_left_out(void)
{
    char text[PST_SOURCE_SAYS_BYTES_MAX + 1];
    setup();
    long_text(text)[PST_SOURCE_TEXT_PIECE_BYTES + 1] = '\0';
    for (uint64_t backup = 1; backup <= PST_CLIENT_TEXTS; backup++)
        CU_ASSERT_PTR_NULL(take(text, 0, backup));
    CU_ASSERT_PTR_NULL(take(text, PST_SOURCE_TEXT_PIECE_BYTES, 99)); /* nor ends another's */
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 1, SOURCE_2), "");
}

static void a_whole_text_does_not_go_on(void)
{
    setup();
    CU_ASSERT_PTR_NOT_NULL(take("bank", 0, 7));
    CU_ASSERT_PTR_NULL(take("bank\x1b[2J", 4, 7));
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "bank");
    struct pst_signal signal = piece_of("bank\x1b[2J", 4, 7);
    signal.payload.source_text.bytes = PST_SOURCE_SAYS_BYTES_MAX;
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "bank");
}

static void the_last_few_are_kept(void)
{
    setup();
    for (uint64_t backup = 1; backup <= PST_CLIENT_TEXTS + 1; backup++)
        CU_ASSERT_PTR_NOT_NULL(take("bank", 0, backup));
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 1, SOURCE_2), "");
    for (uint64_t backup = 2; backup <= PST_CLIENT_TEXTS + 1; backup++)
        CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, backup, SOURCE_2), "bank");
}

static void what_is_wrong_is_left_out(void)
{
    setup();
    struct pst_signal signal = piece_of("bank", 0, 7);
    signal.payload.source_text.bytes = PST_SOURCE_SAYS_BYTES_MAX + 1;
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    signal.payload.source_text.bytes = 0;
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    signal.payload.source_text.bytes = 4;
    signal.payload.source_text.offset = 4;
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    signal.payload.source_text.offset = UINT32_MAX;
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    signal = piece_of("bank", 0, 7);
    signal.payload.source_text.where = pst_ref_make(3, PST_BLOCK_SOURCE, 1); /* in another's name */
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    signal = piece_of("bank", 0, 0);
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
    CU_ASSERT_STRING_EQUAL(take("a\x1b[2Jb\xff", 0, 7), "a?[2Jb?"); /* fit for a terminal */
}

static void a_name_is_no_failure(void)
{
    setup();
    struct pst_signal signal = piece_of("bank", 0, 7);
    signal.payload.source_text.kind = PST_TEXT_LEFT_FROZEN;
    CU_ASSERT_PTR_NOT_NULL(pst_client_take_text(&texts, &signal));
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "");
    CU_ASSERT_PTR_NOT_NULL(take("bank: broke", 0, 7)); /* and neither replaces the other */
    CU_ASSERT_STRING_EQUAL(pst_client_text(&texts, 7, SOURCE_2), "bank: broke");
    CU_ASSERT_EQUAL(texts.texts[0].kind, PST_TEXT_LEFT_FROZEN);
    CU_ASSERT_STRING_EQUAL(texts.texts[0].text, "bank");
    signal.payload.source_text.kind = PST_TEXT_LEFT_FROZEN + 1; /* a newer version's */
    CU_ASSERT_PTR_NULL(pst_client_take_text(&texts, &signal));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"pieces become a text", pieces_become_a_text},
        {"a lost piece is not bridged", a_lost_piece_is_not_bridged},
        {"a text without a beginning is left out", a_text_without_a_beginning_is_left_out},
        {"a whole text does not go on", a_whole_text_does_not_go_on},
        {"the last few are kept", the_last_few_are_kept},
        {"what is wrong is left out", what_is_wrong_is_left_out},
        {"a name is no failure", a_name_is_no_failure},
        CU_TEST_INFO_NULL,
    };
    return suite_run("client text", tests);
}
