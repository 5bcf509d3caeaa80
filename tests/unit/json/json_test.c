/*
 * What the reader takes, refuses, and where; that it takes what jansson's takes; and every n-th
 * allocation of reading, building and writing: an error, and never another value.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/json/json_build.h"
#include "engine/json/json_read.h"
#include "tests/suite.h"

/* ---- memory ---- */

static unsigned seen, fail_at; /* from 1; 0: none */
static bool for_good;
static long live;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static bool fails(void)
{
    seen++;
    bool is_due = fail_at > 0 && (seen == fail_at || (for_good && seen > fail_at));
    if (is_due)
        errno = ENOMEM;
    return is_due;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails() ? NULL : __real_realloc(old, bytes);
}

static void *jansson_malloc(size_t bytes)
{
    void *made = malloc(bytes);
    live += made != NULL;
    return made;
}

static void jansson_free(void *old)
{
    live -= old != NULL;
    free(old);
}

/* ---- reading ---- */

static json_t *read_bytes(const char *text, size_t bytes)
{
    json_t *value;
    CU_ASSERT_EQUAL_FATAL(pst_json_read(text, bytes, &value, NULL), 0);
    return value;
}

static json_t *field(const char *text, json_t **value)
{
    *value = read_bytes(text, strlen(text));
    return json_object_get(*value, "a");
}

static void expect_integer(const char *text, json_int_t expected)
{
    json_t *value, *found = field(text, &value);
    CU_ASSERT_TRUE(json_is_integer(found));
    CU_ASSERT_EQUAL(json_integer_value(found), expected);
    json_decref(value);
}

static void integers_are_exact(void)
{
    expect_integer("{\"a\":0}", 0);
    expect_integer("{\"a\":-0}", 0);
    expect_integer(" { \"a\" :\t9007199254740993\r\n}", INT64_C(9007199254740993));
    expect_integer("{\"a\":9223372036854775807}", INT64_MAX);
    expect_integer("{\"a\":-9223372036854775808}", INT64_MIN);
}

static void expect_real(const char *text, double expected)
{
    json_t *value, *found = field(text, &value);
    CU_ASSERT_TRUE(json_is_real(found));
    CU_ASSERT_TRUE(json_real_value(found) == expected);
    json_decref(value);
}

static void reals_are_read(void)
{
    expect_real("{\"a\":0.25}", 0.25);
    expect_real("{\"a\":-12e-2}", -0.12);
    expect_real("{\"a\":1E+3}", 1000);
}

static void expect_text(const char *text, const char *expected)
{
    json_t *value, *found = field(text, &value);
    CU_ASSERT_TRUE(json_is_string(found));
    CU_ASSERT_STRING_EQUAL(json_string_value(found), expected);
    json_decref(value);
}

static void strings_are_decoded(void)
{
    expect_text("{\"a\":\"\"}", "");
    expect_text("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t");
    expect_text("{\"a\":\"\\u0041\\u00fC\\u20ac\"}", "A\303\274\342\202\254");
    expect_text("{\"a\":\"\\uD83D\\uDE00x\"}", "\360\237\230\200x");
    expect_text("{\"a\":\"\177\303\274\360\237\230\200\"}", "\177\303\274\360\237\230\200");
    expect_text("{\"\\u0061\":\"a name may be escaped\"}", "a name may be escaped");
}

static void containers_are_read(void)
{
    json_t *expected =
        json_pack("{s:[], s:{}, s:[b, b, n, {s:[i, s]}]}", "none", "empty", "a", 1, 0, "b", 1, "c");
    const char *text = "{\"none\":[],\"empty\":{},\"a\":[true, false ,null,{\"b\":[1,\"c\"]}]}\n";
    json_t *value = read_bytes(text, strlen(text));
    CU_ASSERT_TRUE(json_equal(value, expected));
    json_decref(value);
    json_decref(expected);
}

static void expect_refused(const char *text, size_t bytes, size_t offset, const char *what)
{
    json_t *value = NULL;
    struct pst_json_fault fault = {0};
    int error = pst_json_read(text, bytes, &value, &fault);
    if (error != -EBADMSG || value || fault.offset != offset || !strstr(fault.what, what)) {
        printf("\n  %.*s: %d at %zu: %s", (int)bytes, text, error, fault.offset,
               fault.what ? fault.what : "");
        CU_FAIL("not refused as it should");
    }
}

#define REFUSED(text, offset, what) expect_refused(text, sizeof(text) - 1, offset, what)

static void what_is_no_json_is_refused_by_its_place(void)
{
    REFUSED("", 0, "an object");
    REFUSED("[1]", 0, "an object");
    REFUSED("{\"a\":1} x", 8, "behind");
    REFUSED("{\"a\":1}\0", 7, "behind");
    REFUSED("{\"a\":1", 6, "a comma or");
    REFUSED("{\"a\":1,}", 7, "a name");
    REFUSED("{\"a\":[1,]}", 8, "a value");
    REFUSED("{\"a\":[1}", 7, "a comma or");
    REFUSED("{\"a\" 1}", 5, "a colon");
    REFUSED("{a:1}", 1, "a name");
    REFUSED("{\"a\":tru}", 5, "a value");
    REFUSED("{\"a\":nul", 5, "a value");
    REFUSED("{\"a\":NaN}", 5, "a value");
    REFUSED("{\"a\":\0}", 5, "a value");
    REFUSED("{\"a\":\"x", 7, "without its end");
    REFUSED("{\"a\":\"x\\", 8, "an unknown escape");
    REFUSED("{\"a\":\"\\x\"}", 7, "an unknown escape");
    REFUSED("{\"a\":\"\\u12g4\"}", 10, "4 digits");
    REFUSED("{\"a\":\"\\u12", 10, "4 digits");
    REFUSED("{\"a\":\"\\u0000\"}", 12, "NUL");
    REFUSED("{\"a\\u0000\":1}", 9, "NUL");
    REFUSED("{\"a\":\"\\uD800\"}", 12, "no character");
    REFUSED("{\"a\":\"\\uD800\\n\"}", 13, "no character");
    REFUSED("{\"a\":\"\\uD800\\u0041\"}", 18, "no character");
    REFUSED("{\"a\":\"\\uDC00\"}", 12, "no character");
    REFUSED("{\"a\":\"\n\"}", 6, "control character");
    REFUSED("{\"a\":\"\0\"}", 6, "control character");
    REFUSED("{\"a\":\"x\303\"}", 7, "not UTF-8");
    REFUSED("{\"a\":\"\355\240\200\"}", 6, "not UTF-8");
    REFUSED("{\"a\":01}", 6, "a comma or");
    REFUSED("{\"a\":-}", 6, "a value");
    REFUSED("{\"a\":+1}", 5, "a value");
    REFUSED("{\"a\":1.}", 7, "a value");
    REFUSED("{\"a\":1e}", 7, "a value");
    REFUSED("{\"a\":1e999}", 10, "too large");
}

static void integers_beyond_64_bits_are_refused(void)
{
    REFUSED("{\"a\":9223372036854775808}", 24, "beyond 64 bits");
    REFUSED("{\"a\":-9223372036854775809}", 25, "beyond 64 bits");
    REFUSED("{\"a\":100000000000000000000}", 26, "beyond 64 bits");
}

static void a_name_comes_once(void)
{
    REFUSED("{\"a\":1,\"a\":2}", 10, "twice");
    REFUSED("{\"a\":{\"b\":1,\"\\u0062\":2}}", 20, "twice");
}

static void nest(char *text, unsigned depth)
{
    sprintf(text, "{\"a\":%.*s%.*s}", (int)depth,
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", (int)depth,
            "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void depth_and_length_are_bounded(void)
{
    static char text[PST_JSON_BYTES_MAX + 2];
    json_t *value;
    nest(text, PST_JSON_DEPTH_MAX - 1);
    CU_ASSERT_EQUAL(pst_json_read(text, strlen(text), &value, NULL), 0);
    json_decref(value);
    nest(text, PST_JSON_DEPTH_MAX);
    expect_refused(text, strlen(text), 5 + PST_JSON_DEPTH_MAX, "within each other");

    memset(text, ' ', sizeof(text));
    memcpy(text, "{}", 2);
    CU_ASSERT_EQUAL(pst_json_read(text, PST_JSON_BYTES_MAX, &value, NULL), 0);
    json_decref(value);
    expect_refused(text, PST_JSON_BYTES_MAX + 1, 0, "longer");

    memset(text, '1', 80);
    memcpy(text, "{\"a\":0.", 7);
    strcpy(text + 5 + PST_JSON_REAL_BYTES_MAX, "}");
    CU_ASSERT_EQUAL(pst_json_read(text, strlen(text), &value, NULL), 0);
    json_decref(value);
    strcpy(text + 5 + PST_JSON_REAL_BYTES_MAX, "1}");
    expect_refused(text, strlen(text), 6 + PST_JSON_REAL_BYTES_MAX, "too long");
}

/* ---- building and writing ---- */

static const char long_text[] =
    "{\"name\":\"a text that is longer than the first buffer of a token\","
    "\"number\":9007199254740993,\"real\":0.125,\"list\":[1,2,3,4,5,6,7,8,9,true,null,"
    "{\"deep\":[\"\xc3\xa4\\n\\u0001\"]}],\"empty\":{}}";

static void what_is_written_is_read_again(void)
{
    char *text;
    size_t bytes;
    json_t *value = read_bytes(long_text, strlen(long_text));
    CU_ASSERT_EQUAL_FATAL(pst_json_text(value, &text, &bytes), 0);
    CU_ASSERT_EQUAL(strlen(text), bytes);
    CU_ASSERT_STRING_EQUAL(text, long_text);
    json_decref(value);
    free(text);
    CU_ASSERT_EQUAL(pst_json_text(NULL, &text, NULL), -ENOMEM);
    CU_ASSERT_PTR_NULL(text);
}

static void what_cannot_be_added_takes_the_whole_with_it(void)
{
    json_t *object = json_object(), *array = json_array();
    pst_json_set(&object, "a", json_integer(1));
    pst_json_set(&object, "b", NULL);
    CU_ASSERT_PTR_NULL(object);
    pst_json_set(&object, "c", json_integer(1));
    CU_ASSERT_PTR_NULL(object);
    pst_json_append(&array, json_integer(1));
    pst_json_append(&array, object);
    CU_ASSERT_PTR_NULL(array);
    object = json_object();
    pst_json_merge(&object, NULL);
    CU_ASSERT_PTR_NULL(object);
    pst_json_merge(&object, json_object());
    CU_ASSERT_PTR_NULL(object);
}

static void a_merge_adds_what_is_lacking(void)
{
    json_t *object = json_pack("{s:i}", "a", 1);
    json_t *expected = json_pack("{s:i, s:i}", "a", 1, "b", 3);
    pst_json_merge(&object, json_pack("{s:i, s:i}", "a", 2, "b", 3));
    CU_ASSERT_TRUE(json_equal(object, expected));
    json_decref(object);
    json_decref(expected);
}

/* ---- memory that runs out ---- */

static json_t *build(void)
{
    json_t *object = json_pack("{s:s}", "first", "1"), *array = json_array();
    for (int i = 0; i < 20; i++)
        pst_json_append(&array, json_integer(i));
    pst_json_set(&object, "array", array);
    json_t *more = json_object();
    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        pst_json_set(&more, name, json_string(name));
    pst_json_merge(&object, more);
    return object;
}

/* 0, and a text; or -ENOMEM. */
static int work(char **text)
{
    json_t *object = build(), *value = NULL;
    *text = NULL;
    int error = pst_json_read(long_text, strlen(long_text), &value, NULL);
    if (!error)
        pst_json_merge(&object, json_incref(value));
    if (!error && object)
        error = pst_json_put(object, "last", json_string("x"));
    json_decref(value);
    if (!error)
        error = pst_json_text(object, text, NULL);
    json_decref(object);
    return error;
}

static void an_allocation_that_fails_is_an_error(void)
{
    char *whole, *text;
    long before = live;
    unsigned failed = 0;
    fail_at = seen = 0;
    CU_ASSERT_EQUAL_FATAL(work(&whole), 0);
    unsigned all = seen;
    for (unsigned n = 1; n <= 2 * all; n++) {
        for_good = n > all;
        seen = 0;
        fail_at = for_good ? n - all : n;
        int error = work(&text);
        fail_at = 0;
        failed += error == -ENOMEM;
        CU_ASSERT_TRUE(error == -ENOMEM ? !text : !error && text && strcmp(text, whole) == 0);
        CU_ASSERT_EQUAL(live, before);
        free(text);
    }
    for_good = false;
    printf("\n    %u allocations, %u runs failed ", all, failed);
    CU_ASSERT_EQUAL(failed, 2 * all);
    free(whole);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"integers are exact", integers_are_exact},
        {"reals are read", reals_are_read},
        {"strings are decoded", strings_are_decoded},
        {"containers are read", containers_are_read},
        {"what is no JSON is refused, by its place", what_is_no_json_is_refused_by_its_place},
        {"integers beyond 64 bits are refused", integers_beyond_64_bits_are_refused},
        {"a name comes once", a_name_comes_once},
        {"depth and length are bounded", depth_and_length_are_bounded},
        {"what is written is read again", what_is_written_is_read_again},
        {"what cannot be added takes the whole with it",
         what_cannot_be_added_takes_the_whole_with_it},
        {"a merge adds what is lacking", a_merge_adds_what_is_lacking},
        {"an allocation that fails is an error", an_allocation_that_fails_is_an_error},
        CU_TEST_INFO_NULL,
    };
    json_set_alloc_funcs(jansson_malloc, jansson_free);
    return suite_run("json", tests);
}
