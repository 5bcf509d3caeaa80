/* Parses what follows "synthetic:" in a spec; called by synthetic.c. Any thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/source/synthetic/synthetic.h"

struct option {
    const char *name;
    uint64_t minimum;
    uint64_t maximum;
    uint64_t *value;
    bool given;
};

static struct option *find(struct option *options, size_t count, const char *name, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == bytes && memcmp(options[i].name, name, bytes) == 0)
            return &options[i];
    return NULL;
}

/* A plain decimal number that ends at a comma or the end of the text; -1 if it is none. */
static int parse_number(const char *text, uint64_t *value, const char **end)
{
    if (*text < '0' || *text > '9')
        return -1;
    char *stop;
    errno = 0;
    *value = strtoull(text, &stop, 10);
    *end = stop;
    return errno || (*stop != ',' && *stop != '\0') ? -1 : 0;
}

/* Parses the option at *text and moves *text behind it. */
static int parse_option(const char **text, struct option *options, size_t count, char *error_text,
                        size_t error_bytes)
{
    size_t name_bytes = strcspn(*text, "=,");
    struct option *option = find(options, count, *text, name_bytes);
    if (!option || (*text)[name_bytes] != '=') {
        snprintf(error_text, error_bytes,
                 "source synthetic: \"%.*s\": want rows=N, row-bytes=N, compressibility=PERCENT "
                 "and seed=N, separated by commas",
                 (int)strcspn(*text, ","), *text);
        return -EINVAL;
    }
    const char *number = *text + name_bytes + 1;
    if (option->given || parse_number(number, option->value, text) ||
        *option->value < option->minimum || *option->value > option->maximum) {
        snprintf(error_text, error_bytes,
                 "source synthetic: %s=%.*s: want one whole number from %llu to %llu, given once",
                 option->name, (int)strcspn(number, ","), number,
                 (unsigned long long)option->minimum, (unsigned long long)option->maximum);
        return -EINVAL;
    }
    option->given = true;
    return 0;
}

static int check_total(const struct synthetic *synthetic, bool rows_given, char *error_text,
                       size_t error_bytes)
{
    if (!rows_given) {
        snprintf(error_text, error_bytes, "source synthetic: give the number of rows: rows=N");
        return -EINVAL;
    }
    if (synthetic->rows > SYNTHETIC_BYTES_MAX / synthetic->row_bytes) {
        snprintf(error_text, error_bytes,
                 "source synthetic: %llu rows of %llu bytes are more than 2^62 bytes: want fewer",
                 (unsigned long long)synthetic->rows, (unsigned long long)synthetic->row_bytes);
        return -EINVAL;
    }
    return 0;
}

int synthetic_parse(const char *argument, struct synthetic *synthetic, char *error_text,
                    size_t error_bytes)
{
    *synthetic = (struct synthetic){.row_bytes = 1024, .compressibility = 50, .seed = 1};
    struct option options[] = {
        {.name = "rows", .maximum = SYNTHETIC_BYTES_MAX, .value = &synthetic->rows},
        {.name = "row-bytes",
         .minimum = 1,
         .maximum = SYNTHETIC_ROW_BYTES_MAX,
         .value = &synthetic->row_bytes},
        {.name = "compressibility", .maximum = 100, .value = &synthetic->compressibility},
        {.name = "seed", .maximum = UINT64_MAX, .value = &synthetic->seed},
    };
    const char *text = argument;
    for (bool more = *text != '\0'; more; more = *text++ == ',') {
        int error = parse_option(&text, options, sizeof(options) / sizeof(options[0]), error_text,
                                 error_bytes);
        if (error)
            return error;
    }
    return check_total(synthetic, options[0].given, error_text, error_bytes);
}
