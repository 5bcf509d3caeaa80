/*
 * The main program: engine/cli/main.c calls it, with the list of commands, in place of the function
 * that runs one.
 */
#include "engine/cli/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/cli/command.h"

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
