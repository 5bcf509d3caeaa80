/*
 * The main program: engine/cli/main.c calls it, with the list of commands, in place of the function
 * that runs one.
 */
#include "engine/cli/pages/pages.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/cli/command.h"

static bool is_one_of(const char *const *names, const char *name, size_t bytes)
{
    while (*names && (strlen(*names) != bytes || strncmp(*names, name, bytes) != 0))
        names++;
    return *names;
}

static void add_alternative(struct pages_value *value, const char *text, size_t bytes)
{
    static const char *const files[] = {"FILE", "PATH", "SOCKET", "PUBLIC", "MANIFEST", NULL};
    static const char *const directories[] = {"DIR", NULL};
    static const char *const sources[] = {"[NAME=]KIND:...", NULL};
    size_t end = strlen(value->words), word = strcspn(text, "[|");
    if (islower((unsigned char)*text))
        snprintf(value->words + end, sizeof(value->words) - end, "%s%.*s", end ? " " : "",
                 (int)word, text);
    if (is_one_of(files, text, bytes))
        value->files = PAGES_FILES;
    if (is_one_of(directories, text, bytes))
        value->files = PAGES_DIRECTORIES;
    if (is_one_of(sources, text, bytes))
        value->files = PAGES_SOURCE;
}

struct pages_value pages_value_of(const char *argument)
{
    struct pages_value value = {0};
    const char *end = argument ? argument + strcspn(argument, " ") : NULL;
    while (argument && argument < end) {
        size_t bytes = strcspn(argument, "| ");
        add_alternative(&value, argument, bytes);
        argument += bytes + 1;
    }
    return value;
}

static bool write_page(const char *path, void (*print)(FILE *out, pages_commands commands),
                       pages_commands commands)
{
    FILE *file = fopen(path, "we");
    if (file)
        print(file, commands);
    if (file && fclose(file) == 0)
        return true;
    pst_log(PST_LOG_ERROR, "%s: %s", path, strerror(errno));
    return false;
}

/* The page of the first of them. */
static void print_first(FILE *out, pages_commands commands)
{
    pages_man_command(out, *commands);
}

static bool write_man(const char *folder, pages_commands commands)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/penstock.1", folder);
    bool is_written = write_page(path, pages_man, commands);
    for (; *commands && is_written; commands++) {
        snprintf(path, sizeof(path), "%s/penstock-%s.1", folder, (*commands)->name);
        is_written = write_page(path, print_first, commands);
    }
    return is_written;
}

/* In this program, cli_commands_run has another name (CMakeLists.txt), and takes a folder for the
 * manual pages and the files for bash and zsh. */
enum cli_exit cli_commands_run(pages_commands commands, int argc, char **argv)
{
    assert(argc == 4);
    bool is_written = write_man(argv[1], commands) && write_page(argv[2], pages_bash, commands) &&
                      write_page(argv[3], pages_zsh, commands);
    return is_written ? CLI_EXIT_DONE : CLI_EXIT_FAILED;
}
