/* JSON from anywhere: what the reader takes, jansson's takes too, and as the same value; what it
 * refuses, that refuses too, or it is beyond a bound of ours. What was read is written and read
 * again. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/json/json_build.h"
#include "engine/json/json_read.h"
#include "tests/fuzz/fuzz.h"

static bool is_beyond_a_bound(const struct pst_json_fault *fault)
{
    return strstr(fault->what, "within each other") || strstr(fault->what, "too long") ||
           strstr(fault->what, "longer");
}

static void check_again(const json_t *value)
{
    char *text;
    size_t bytes;
    json_t *again;
    if (pst_json_text(value, &text, &bytes) != 0)
        abort();
    if (pst_json_read(text, bytes, &again, NULL) != 0 || !json_equal(value, again))
        abort();
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = (char *)fuzz_copy(data, size);
    struct pst_json_fault fault;
    json_t *value;
    int error = pst_json_read(text, size, &value, &fault);
    json_t *other = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (error && (error != -EBADMSG || value || fault.offset > size))
        abort();
    bool has_nul = size > 0 && memchr(text, '\0', size); /* which jansson skips behind a number */
    if (error && json_is_object(other) && !is_beyond_a_bound(&fault) && !has_nul)
        abort();
    if (!error && !json_equal(value, other))
        abort();
    if (!error)
        check_again(value);
    json_decref(value);
    json_decref(other);
    free(text);
    return 0;
}
