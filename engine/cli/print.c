/*
 * Prints for people, and lets nothing from outside give orders to their terminal. Called by the
 * commands, on the main thread.
 */
#include "engine/cli/print.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "engine/base/printable.h"

static bool is_silent;

void cli_print_silence(bool silent)
{
    is_silent = silent;
}

static void print(FILE *out, const char *format, va_list list)
{
    char text[CLI_PRINT_BYTES];
    assert(!strchr(format, '\n')); /* it would be taken for one of a name */
    if (is_silent)
        return;
    int wanted = vsnprintf(text, sizeof(text), format, list);
    size_t bytes = wanted < 0 ? 0 : (size_t)wanted;
    if (bytes > sizeof(text) - 1)
        bytes = sizeof(text) - 1;
    pst_make_printable(text, bytes);
    fwrite(text, 1, bytes, out);
}

static void end_line(FILE *out)
{
    if (!is_silent)
        fputc('\n', out);
}

void cli_print(FILE *out, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print(out, format, list);
    va_end(list);
}

void cli_print_line(FILE *out, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print(out, format, list);
    va_end(list);
    end_line(out);
}

void cli_print_empty_line(FILE *out)
{
    end_line(out);
}

int cli_print_flush(FILE *out)
{
    return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}

void cli_print_clear(FILE *out)
{
    fputs("\033[H\033[2J", out);
}
