/* Reads and writes lists such as "0-3,8". Pure; any thread. */
#include "numa/cpu_list.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Reads digits at *text and moves it past them. */
static int parse_number(const char **text, uint32_t *number)
{
    if (!isdigit((unsigned char)**text))
        return -EINVAL;
    *number = 0;
    while (isdigit((unsigned char)**text)) {
        *number = *number * 10 + (uint32_t)(**text - '0');
        if (*number >= PST_CPUS_MAX)
            return -ERANGE;
        ++*text;
    }
    return 0;
}

static int append_range(struct pst_cpu_list *list, uint32_t first, uint32_t last)
{
    for (uint32_t cpu = first; cpu <= last; cpu++) {
        if (pst_cpu_list_has(list, cpu))
            return -EINVAL;
        list->cpu[list->count++] = (uint16_t)cpu;
    }
    return 0;
}

static int parse_range(const char **text, struct pst_cpu_list *list)
{
    uint32_t first;
    int error = parse_number(text, &first);
    if (error)
        return error;
    uint32_t last = first;
    if (**text == '-') {
        ++*text;
        error = parse_number(text, &last);
        if (error)
            return error;
        if (last < first)
            return -EINVAL;
    }
    return append_range(list, first, last);
}

static bool at_end(const char *text)
{
    return *text == '\0' || (text[0] == '\n' && text[1] == '\0');
}

int cpu_list_parse(const char *text, struct pst_cpu_list *list)
{
    assert(text && list);
    list->count = 0;
    if (at_end(text))
        return 0;
    for (;;) {
        int error = parse_range(&text, list);
        if (error)
            return error;
        if (at_end(text))
            return 0;
        if (*text++ != ',')
            return -EINVAL;
    }
}

bool pst_cpu_list_has(const struct pst_cpu_list *list, uint32_t cpu)
{
    assert(list->count <= PST_CPUS_MAX);
    for (uint32_t i = 0; i < list->count; i++)
        if (list->cpu[i] == cpu)
            return true;
    return false;
}

/* Index of the last number of the run that starts at index first. */
static uint32_t run_end(const struct pst_cpu_list *list, uint32_t first)
{
    uint32_t last = first;
    while (last + 1 < list->count && list->cpu[last + 1] == list->cpu[last] + 1)
        last++;
    return last;
}

char *pst_cpu_list_format(const struct pst_cpu_list *list, char *text, size_t bytes)
{
    assert(bytes >= 8);
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t last = run_end(list, i);
        char range[16];
        int length = snprintf(range, sizeof(range), last > i ? "%s%u-%u" : "%s%u",
                              used > 0 ? "," : "", list->cpu[i], list->cpu[last]);
        if (used + (size_t)length + sizeof("...") > bytes) {
            memcpy(text + used, "...", sizeof("..."));
            return text;
        }
        memcpy(text + used, range, (size_t)length + 1);
        used += (size_t)length;
        i = last;
    }
    return text;
}
