/* Completion for bash, without the help of bash-completion's functions. Called by pages.c. */
#include "engine/cli/help.h"
#include "engine/cli/pages.h"

static const char *const begin =
    "# Completion of penstock for bash, made of the option tables by penstock_pages.\n"
    "_penstock() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local options='' words='' files='' takes=''\n"
    "    COMPREPLY=()\n"
    "    # --to=DIR and dir:PATH come in pieces.\n"
    "    if [[ $word == [=:] ]]; then\n"
    "        [[ $word == : ]] && before=:\n"
    "        word=''\n"
    "    elif [[ $before == = ]]; then\n"
    "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n";

static const char *const end = "    [[ $before != : ]] || files=file takes=1\n"
                               "    [[ $takes || $word != -* ]] || words=$options files=''\n"
                               "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\"\n"
                               "        [[ ! $files ]] || compgen -A \"$files\" -- \"$word\")\n"
                               "    [[ ! $files ]] || compopt -o filenames 2>/dev/null\n"
                               "}\n"
                               "complete -F _penstock penstock\n";

static void print_value(FILE *out, const char *argument)
{
    static const char *const files[] = {
        [PAGES_NO_FILES] = "", [PAGES_FILES] = "file", [PAGES_DIRECTORIES] = "directory"};
    struct pages_value value = pages_value_of(argument);
    fprintf(out, "files='%s' words='%s'", value.files == PAGES_SOURCE ? "" : files[value.files],
            value.words);
}

static void print_command(FILE *out, const struct cli_command *command)
{
    struct cli_common_option common[CLI_COMMON_OPTIONS];
    cli_common_options(command, common);
    fprintf(out, "    %s)\n        options='", command->name);
    for (const struct cli_option *option = command->options; option->name; option++) {
        if (option->letter)
            fprintf(out, "-%c ", option->letter);
        fprintf(out, "--%s ", option->name);
    }
    for (uint32_t i = 0; i < CLI_COMMON_OPTIONS; i++)
        fprintf(out, "--%s%s", common[i].name, i + 1 < CLI_COMMON_OPTIONS ? " " : "'\n        ");
    print_value(out, command->positional);
    fputs("\n        case $before in\n", out);
    for (const struct cli_option *option = command->options; option->name; option++) {
        if (!option->argument)
            continue;
        fprintf(out, "        --%s) takes=1 ", option->name);
        print_value(out, option->argument);
        fputs(" ;;\n", out);
    }
    for (uint32_t i = 0; i < CLI_COMMON_OPTIONS; i++) {
        if (!common[i].argument)
            continue;
        fprintf(out, "        --%s) takes=1 ", common[i].name);
        print_value(out, common[i].argument);
        fputs(" ;;\n", out);
    }
    fputs("        esac\n        ;;\n", out);
}

void pages_bash(FILE *out, pages_commands commands)
{
    fputs(begin, out);
    fputs("    if [[ $COMP_CWORD -eq 1 ]]; then\n        options='--help --version' words='", out);
    for (pages_commands command = commands; *command; command++)
        fprintf(out, "%s%s", command == commands ? "" : " ", (*command)->name);
    fputs("'\n    else\n    case ${COMP_WORDS[1]} in\n", out);
    for (; *commands; commands++)
        print_command(out, *commands);
    fputs("    esac\n    fi\n", out);
    fputs(end, out);
}
