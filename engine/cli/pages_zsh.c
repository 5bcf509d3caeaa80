/* Completion for zsh: specifications for its function _arguments. Called by pages.c. */
#include <assert.h>
#include <string.h>

#include "engine/cli/help.h"
#include "engine/cli/pages.h"

/* Between single quotes; special: what stands behind a backslash for _arguments. */
static void print_quoted(FILE *out, const char *text, size_t bytes, const char *special)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\'')
            fputs("'\\'", out);
        else if (strchr(special, text[i]))
            fputc('\\', out);
        fputc(text[i], out);
    }
}

/* The first clause of a help. */
static void print_explanation(FILE *out, const char *help)
{
    size_t bytes = strcspn(help, ".;:\n");
    while (help[bytes] && help[bytes] != '\n' && help[bytes + 1] != ' ')
        bytes += 1 + strcspn(help + bytes + 1, ".;:\n");
    fputc('[', out);
    print_quoted(out, help, bytes, "[]\\");
    fputc(']', out);
}

/* ":message:action" */
static void print_value(FILE *out, const char *argument)
{
    static const char *const actions[] = {
        [PAGES_NO_FILES] = " ",
        [PAGES_FILES] = "_files",
        [PAGES_DIRECTORIES] = "_files -/",
        [PAGES_SOURCE] = "{compset -P \"*\\:\"; _files}",
    };
    struct pages_value value = pages_value_of(argument);
    fputc(':', out);
    print_quoted(out, argument, strlen(argument), ":\\");
    fputc(':', out);
    if (!*value.words) {
        fputs(actions[value.files], out);
        return;
    }
    fputs(value.files ? "{compadd - " : "(", out);
    print_quoted(out, value.words, strlen(value.words), ":");
    if (value.files)
        fprintf(out, "; %s}", actions[value.files]);
    else
        fputc(')', out);
}

/* Only a switch has a letter: arguments.c takes no value behind one. */
static void print_option(FILE *out, const struct cli_option *option)
{
    assert(!option->letter || (!option->argument && !option->repeatable));
    if (option->letter)
        fprintf(out, " \\\n        '(-%c --%s)'{-%c,--%s}'", option->letter, option->name,
                option->letter, option->name);
    else
        fprintf(out, " \\\n        '%s--%s%s", option->repeatable ? "*" : "", option->name,
                option->argument ? "=" : "");
    print_explanation(out, option->help);
    if (option->argument)
        print_value(out, option->argument);
    fputc('\'', out);
}

static void print_common(FILE *out, const struct cli_common_option *option)
{
    if (option->letter)
        fprintf(out, " \\\n        '(-%c --%s)'{-%c,--%s}'", option->letter, option->name,
                option->letter, option->name);
    else
        fprintf(out, " \\\n        '--%s%s", option->name, option->argument ? "=" : "");
    print_explanation(out, option->help);
    if (option->argument)
        print_value(out, option->argument);
    fputc('\'', out);
}

static void print_command(FILE *out, const struct cli_command *command)
{
    struct cli_common_option common[CLI_COMMON_OPTIONS];
    fprintf(out, "    %s)\n        _arguments", command->name);
    for (const struct cli_option *option = command->options; option->name; option++)
        print_option(out, option);
    cli_common_options(command, common);
    for (uint32_t i = 0; i < CLI_COMMON_OPTIONS; i++)
        print_common(out, &common[i]);
    if (command->positional) {
        fputs(" \\\n        '*", out);
        print_value(out, command->positional);
        fputc('\'', out);
    }
    fputs("\n        ;;\n", out);
}

void pages_zsh(FILE *out, pages_commands commands)
{
    fputs("#compdef penstock\n"
          "# Completion of penstock for zsh, made of the option tables by penstock_pages.\n"
          "_penstock() {\n"
          "    local context state line\n"
          "    local -a commands=(\n",
          out);
    for (pages_commands command = commands; *command; command++) {
        fprintf(out, "        '%s:", (*command)->name);
        print_quoted(out, (*command)->summary, strlen((*command)->summary), "\\:");
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    _arguments -C '(- *)--help[list the commands]' '(- *)--version[name this version]' "
          "\\\n"
          "        '1: :->command' '*:: :->rest' && return\n"
          "    if [[ $state == command ]]; then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    case $words[1] in\n",
          out);
    for (; *commands; commands++)
        print_command(out, *commands);
    fputs("    esac\n}\n_penstock \"$@\"\n", out);
}
