/* Manual pages, as man(7) describes them. Called by pages.c. */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "engine/cli/help.h"
#include "engine/cli/pages.h"

/* A line break of a table's text is a space here; a long list of options may be broken. */
static void print_text(FILE *out, const char *text)
{
    static const char plain[] = "-'`~^\\\n[";
    static const char *const written[] = {"\\-",   "\\(aq", "\\(ga", "\\(ti",
                                          "\\(ha", "\\e",   " ",     "\\:["};
    for (; *text; text++) {
        const char *found = strchr(plain, *text);
        if (found)
            fputs(written[found - plain], out);
        else
            fputc(*text, out);
    }
}

/* For a line of its own: a dot there would begin a request. */
static void print_line(FILE *out, const char *text)
{
    if (*text == '.')
        fputs("\\&", out);
    print_text(out, text);
    fputc('\n', out);
}

static void print_title(FILE *out, const char *command)
{
    fputs(".\\\" Made of the option tables by penstock_pages.\n.TH PENSTOCK", out);
    for (; *command; command++)
        fputc(toupper((unsigned char)*command), out);
    fputs(" 1 \"\" \"penstock " PST_VERSION "\" \"Penstock\"\n.nh\n.ad l\n", out);
}

static void print_flag(FILE *out, char letter, const char *name, const char *argument)
{
    fputs(".TP\n", out);
    if (letter)
        fprintf(out, "\\fB\\-%c\\fR, ", letter);
    fputs("\\fB\\-\\-", out);
    print_text(out, name);
    fputs("\\fR", out);
    if (argument) {
        fputs(" \\fI", out);
        print_text(out, argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
}

static void print_facts(FILE *out, const struct cli_option *option)
{
    char text[256] = "";
    FILE *memory = fmemopen(text, sizeof(text), "w");
    if (memory) {
        cli_option_facts(memory, option);
        (void)fclose(memory);
    }
    assert(text[strcspn(text, "\n")] == '\n'); /* all of it */
    text[strcspn(text, "\n")] = '\0';
    print_line(out, text);
}

static void print_options(FILE *out, const struct cli_command *command)
{
    struct cli_common_option common[CLI_COMMON_OPTIONS];
    fputs(".SH OPTIONS\n", out);
    for (const struct cli_option *option = command->options; option->name; option++) {
        print_flag(out, option->letter, option->name, option->argument);
        print_line(out, option->help);
        fputs(".br\n", out);
        print_facts(out, option);
    }
    cli_common_options(command, common);
    for (uint32_t i = 0; i < CLI_COMMON_OPTIONS; i++) {
        print_flag(out, common[i].letter, common[i].name, common[i].argument);
        print_line(out, common[i].help);
    }
}

void pages_man_command(FILE *out, const struct cli_command *command)
{
    char name[64];
    snprintf(name, sizeof(name), "-%s", command->name);
    print_title(out, name);
    fputs(".SH NAME\npenstock", out);
    print_text(out, name);
    fputs(" \\- ", out);
    print_line(out, command->summary);
    fprintf(out, ".SH SYNOPSIS\n\\fBpenstock %s\\fR [\\fIoption\\fR]...", command->name);
    if (command->positional) {
        fputs(" \\fI", out);
        print_text(out, command->positional);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    print_options(out, command);
    fputs("\nA flag overrides the environment variable named beside it, which overrides the\n"
          "configuration file.\n"
          ".SH EXIT STATUS\nSee\n.BR penstock (1).\n.SH SEE ALSO\n.BR penstock (1)\n",
          out);
}

static void print_exits(FILE *out)
{
    fputs(".SH EXIT STATUS\n", out);
    for (const struct cli_exit_meaning *exit = cli_exit_meanings; exit->text; exit++) {
        fprintf(out, ".TP\n\\fB%d\\fR\n", exit->code);
        print_line(out, exit->text);
    }
}

void pages_man(FILE *out, pages_commands commands)
{
    print_title(out, "");
    fputs(".SH NAME\npenstock \\- parallel online backup of bare\\-metal data nodes\n"
          ".SH SYNOPSIS\n\\fBpenstock\\fR \\fIcommand\\fR [\\fIoption\\fR]...\n.br\n"
          "\\fBpenstock \\-\\-help\\fR\n.br\n\\fBpenstock \\-\\-version\\fR [\\fB\\-\\-json\\fR]\n"
          ".SH COMMANDS\nEach has a page of its own, such as\n.BR penstock\\-backup (1).\n",
          out);
    for (; *commands; commands++) {
        fprintf(out, ".TP\n\\fB%s\\fR\n", (*commands)->name);
        print_line(out, (*commands)->summary);
    }
    print_exits(out);
}
