/*
 * Reads JSON into jansson's values. Called by whatever takes JSON: manifests, requests, answers;
 * any thread.
 */
#include "engine/json/json_read.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/utf8.h"

/* Every step returns NULL or false once there is an error. */
struct json_reader {
    const char *text;
    size_t bytes;
    size_t at;
    char *room; /* for all strings without their quotes and escapes: no longer than with them */
    size_t depth;
    int error;
    const char *what;
};

static json_t *read_value(struct json_reader *reader);

static void fail(struct json_reader *reader, const char *what)
{
    reader->error = -EBADMSG;
    reader->what = what;
}

/* Passes on a value that jansson made, or says that it could not. */
static json_t *made(struct json_reader *reader, json_t *value)
{
    if (!value)
        reader->error = -ENOMEM;
    return value;
}

/* The byte there; NUL, which no caller takes, at the end. */
static char peek(const struct json_reader *reader)
{
    return reader->at < reader->bytes ? reader->text[reader->at] : '\0';
}

static bool take_byte(struct json_reader *reader, char byte)
{
    if (peek(reader) != byte)
        return false;
    reader->at++;
    return true;
}

static void skip_space(struct json_reader *reader)
{
    while (take_byte(reader, ' ') || take_byte(reader, '\t') || take_byte(reader, '\n') ||
           take_byte(reader, '\r'))
        ;
}

static bool take(struct json_reader *reader, char byte)
{
    skip_space(reader);
    return take_byte(reader, byte);
}

/* ---- strings ---- */

static void put_character(struct json_reader *reader, uint32_t point)
{
    static const uint8_t firsts[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = length; i > 1; i--) {
        reader->room[i - 1] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    reader->room[0] = (char)(firsts[length] | point);
    reader->room += length;
}

static int digit_of(char byte)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = byte ? strchr(digits, byte) : NULL;
    int digit = found ? (int)(found - digits) : -1;
    return digit > 15 ? digit - 6 : digit;
}

/* The 4 digits behind \u. */
static uint32_t take_unit(struct json_reader *reader)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4 && !reader->error; i++) {
        int digit = digit_of(peek(reader));
        if (digit < 0)
            fail(reader, "an escape without its 4 digits");
        else
            reader->at++;
        unit = unit << 4 | ((uint32_t)digit & 15);
    }
    return unit;
}

static void take_unicode(struct json_reader *reader)
{
    uint32_t point = take_unit(reader);
    if (!reader->error && point >= 0xd800 && point <= 0xdbff && take_byte(reader, '\\') &&
        take_byte(reader, 'u')) {
        uint32_t low = take_unit(reader);
        if (low >= 0xdc00 && low <= 0xdfff)
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    if (!reader->error && (point == 0 || (point >= 0xd800 && point <= 0xdfff)))
        fail(reader, "an escape of no character, or of NUL");
    if (!reader->error)
        put_character(reader, point);
}

static void take_escape(struct json_reader *reader)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char name = peek(reader);
    const char *found = name ? strchr(names, name) : NULL;
    if (take_byte(reader, 'u'))
        take_unicode(reader);
    else if (!found)
        fail(reader, "an unknown escape");
    else
        *reader->room++ = meanings[found - names];
    reader->at += found != NULL;
}

static void take_character(struct json_reader *reader)
{
    uint32_t point;
    const char *from = reader->text + reader->at;
    size_t left = reader->bytes - reader->at;
    size_t length = left > 0 ? pst_utf8_decode(from, left, &point) : 0;
    if (left == 0)
        fail(reader, "a string without its end");
    else if (length == 0)
        fail(reader, "bytes that are not UTF-8");
    else if (point < ' ')
        fail(reader, "a control character in a string");
    if (reader->error)
        return;
    memcpy(reader->room, from, length);
    reader->room += length;
    reader->at += length;
}

/* Behind the first quote. Terminated, and there as long as the reader is. */
static const char *read_string(struct json_reader *reader, size_t *length)
{
    const char *string = reader->room;
    while (!reader->error && !take_byte(reader, '"')) {
        if (take_byte(reader, '\\'))
            take_escape(reader);
        else
            take_character(reader);
    }
    *length = (size_t)(reader->room - string);
    if (reader->error)
        return NULL;
    *reader->room++ = '\0';
    return string;
}

static json_t *read_string_value(struct json_reader *reader)
{
    size_t length;
    const char *string = read_string(reader, &length);
    return string ? made(reader, json_stringn_nocheck(string, length)) : NULL;
}

/* ---- numbers ---- */

static bool take_digits(struct json_reader *reader)
{
    size_t from = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return reader->at > from;
}

/* -?digits. The negative ones go further. */
static json_t *integer_of(struct json_reader *reader, size_t from)
{
    int64_t value = 0;
    bool is_negative = reader->text[from] == '-', is_over = false;
    for (size_t i = from + is_negative; i < reader->at; i++)
        is_over = is_over || __builtin_mul_overflow(value, 10, &value) ||
                  __builtin_sub_overflow(value, reader->text[i] - '0', &value);
    if (!is_negative)
        is_over = is_over || __builtin_sub_overflow(0, value, &value);
    if (!is_over)
        return made(reader, json_integer(value));
    fail(reader, "an integer beyond 64 bits");
    return NULL;
}

/* The process may have any locale; "C" is glibc's own, which costs no memory. */
static json_t *real_of(struct json_reader *reader, size_t from)
{
    char digits[PST_JSON_REAL_BYTES_MAX + 1] = "";
    int before = errno;
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!locale)
        return made(reader, NULL);
    if (reader->at - from < sizeof(digits))
        memcpy(digits, reader->text + from, reader->at - from);
    double value = digits[0] ? strtod_l(digits, NULL, locale) : HUGE_VAL;
    freelocale(locale);
    errno = before;
    if (isfinite(value))
        return made(reader, json_real(value));
    fail(reader, "a number that is too large, or too long");
    return NULL;
}

static json_t *read_number(struct json_reader *reader)
{
    size_t from = reader->at;
    bool is_real = false;
    take_byte(reader, '-');
    bool is_number = take_byte(reader, '0') || take_digits(reader);
    if (is_number && take_byte(reader, '.')) {
        is_real = true;
        is_number = take_digits(reader);
    }
    if (is_number && (take_byte(reader, 'e') || take_byte(reader, 'E'))) {
        is_real = true;
        if (!take_byte(reader, '+'))
            take_byte(reader, '-');
        is_number = take_digits(reader);
    }
    if (is_number)
        return is_real ? real_of(reader, from) : integer_of(reader, from);
    fail(reader, "a value is expected");
    return NULL;
}

/* ---- values ---- */

static bool read_element(struct json_reader *reader, json_t *array)
{
    json_t *value = read_value(reader);
    if (value && json_array_append_new(array, value) != 0)
        made(reader, NULL);
    return !reader->error;
}

static bool read_field(struct json_reader *reader, json_t *object)
{
    size_t length;
    if (!take(reader, '"')) {
        fail(reader, "a name is expected");
        return false;
    }
    const char *name = read_string(reader, &length);
    if (!name)
        return false;
    if (json_object_get(object, name))
        fail(reader, "a name that the object has twice");
    else if (!take(reader, ':'))
        fail(reader, "a colon is expected");
    json_t *value = reader->error ? NULL : read_value(reader);
    if (value && json_object_set_new_nocheck(object, name, value) != 0)
        made(reader, NULL);
    return !reader->error;
}

/* Behind the opening bracket. Takes the container; there may be none. */
static json_t *read_members(struct json_reader *reader, json_t *container, char end,
                            bool (*read)(struct json_reader *reader, json_t *container))
{
    if (!made(reader, container))
        return NULL;
    if (++reader->depth > PST_JSON_DEPTH_MAX)
        fail(reader, "too many objects and arrays within each other");
    bool is_over = !reader->error && take(reader, end);
    while (!is_over && !reader->error) {
        bool goes_on = read(reader, container) && take(reader, ',');
        is_over = !goes_on && !reader->error && take(reader, end);
        if (!goes_on && !is_over && !reader->error)
            fail(reader, "a comma or the closing bracket is expected");
    }
    reader->depth--;
    if (!reader->error)
        return container;
    json_decref(container);
    return NULL;
}

static json_t *read_word(struct json_reader *reader, const char *word, json_t *value)
{
    size_t length = strlen(word);
    if (reader->bytes - reader->at >= length &&
        memcmp(reader->text + reader->at, word, length) == 0) {
        reader->at += length;
        return value;
    }
    fail(reader, "a value is expected");
    return NULL;
}

static json_t *read_value(struct json_reader *reader)
{
    if (take(reader, '{'))
        return read_members(reader, json_object(), '}', read_field);
    if (take(reader, '['))
        return read_members(reader, json_array(), ']', read_element);
    if (take(reader, '"'))
        return read_string_value(reader);
    switch (peek(reader)) {
    case 't':
        return read_word(reader, "true", json_true());
    case 'f':
        return read_word(reader, "false", json_false());
    case 'n':
        return read_word(reader, "null", json_null());
    default:
        return read_number(reader);
    }
}

static json_t *read_text(struct json_reader *reader)
{
    json_t *object = NULL;
    if (take(reader, '{'))
        object = read_members(reader, json_object(), '}', read_field);
    else
        fail(reader, "an object is expected");
    if (!object)
        return NULL;
    skip_space(reader);
    if (reader->at == reader->bytes)
        return object;
    fail(reader, "something behind the object");
    json_decref(object);
    return NULL;
}

int pst_json_read(const char *text, size_t bytes, struct json_t **value,
                  struct pst_json_fault *fault)
{
    struct json_reader reader = {.text = text, .bytes = bytes};
    char *room = bytes <= PST_JSON_BYTES_MAX ? malloc(bytes + 1) : NULL;
    *value = NULL;
    reader.room = room;
    if (room)
        *value = read_text(&reader);
    else if (bytes <= PST_JSON_BYTES_MAX)
        reader.error = -ENOMEM;
    else
        fail(&reader, "longer than a text can be here");
    free(room);
    if (fault)
        *fault = (struct pst_json_fault){.offset = reader.at, .what = reader.what};
    return reader.error;
}
