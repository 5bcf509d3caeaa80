/* A configuration file: read, checked, and each of its values taken, as `penstock node` does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/cli/arguments.h"
#include "tests/fuzz/fuzz.h"

static enum cli_exit run_nothing(const struct cli_arguments *arguments)
{
    (void)arguments;
    return CLI_EXIT_DONE;
}

static const struct cli_option options[] = {
    {.name = "to", .kind = CLI_OPTION_TEXT, .argument = "DIR"},
    {.name = "source", .kind = CLI_OPTION_TEXT, .argument = "SPEC", .repeatable = true},
    {.name = "ldms", .kind = CLI_OPTION_COUNT, .argument = "N", .min = 1, .max = 256},
    {.name = "chunk", .kind = CLI_OPTION_SIZE, .argument = "SIZE", .min = 4096, .max = 1 << 30},
    {.name = "failure", .kind = CLI_OPTION_DURATION, .argument = "TIME", .min = 60000000},
    {.name = "force", .kind = CLI_OPTION_SWITCH},
    {0},
};

static const struct cli_command command = {
    .name = "node", .summary = "fuzz", .options = options, .run = run_nothing};

/* What was taken is within what the table allows. */
static void check(const struct cli_arguments *arguments)
{
    uint64_t ldms = cli_argument_number(arguments, "ldms");
    uint64_t chunk = cli_argument_number(arguments, "chunk");
    const char *texts[CLI_OPTION_VALUES_MAX];
    uint32_t count = cli_argument_texts(arguments, "source", texts);
    if (ldms > 256 || chunk > 1 << 30 || count > CLI_OPTION_VALUES_MAX)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        if (texts[i][0] == '\0')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    char *argv[] = {"node", "--config", path, NULL};
    static struct cli_arguments arguments;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (cli_arguments_parse(&command, 3, argv, &arguments) == 0)
        check(&arguments);
    else if (arguments.error[0] == '\0' ||
             strnlen(arguments.error, sizeof(arguments.error)) == sizeof(arguments.error))
        abort();
    cli_arguments_release(&arguments);
    close(fd);
    return 0;
}
