/* Shows that the machines' invariants can fail: a bug is planted into a state, in a child process,
 * seed by seed, until an assertion aborts the child or a checker finds something. */
#include "tests/sim/invariants.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEEDS_MAX 10000u /* each is found within so many */
#define NOT_FOUND 1
#define BY_CHECKER 2

static const struct {
    const char *name;
    enum sim_checker checker;
    const char *meaning;
} spoils[] = {
#define X(name, checker, meaning) {#name, SIM_CHECKER_##checker, meaning},
    SIM_SPOIL_LIST(X)
#undef X
};

struct finding {
    int status;      /* of the child */
    char text[4096]; /* what it wrote to stderr */
};

/* In the child: ends by SIGABRT where an invariant finds it. */
static void hunt(struct sim *sim, enum sim_spoil spoil)
{
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        struct sim_options options;
        sim_options_of_seed(&options, seed, true);
        options.spoil = spoil;
        if (sim_run(sim, seed, &options, NULL))
            continue;
        fprintf(stderr, "%s\nthe seed is %" PRIu64 "\n", sim_checker_names[sim->checker], seed);
        _exit(BY_CHECKER);
    }
    _exit(NOT_FOUND);
}

static int hunt_in_child(struct sim *sim, enum sim_spoil spoil, struct finding *finding)
{
    int ends[2];
    size_t bytes = 0;
    ssize_t got;
    if (pipe(ends) != 0)
        return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        hunt(sim, spoil);
    }
    close(ends[1]);
    while ((got = read(ends[0], finding->text + bytes, sizeof(finding->text) - 1 - bytes)) > 0)
        bytes += (size_t)got;
    finding->text[bytes] = '\0';
    close(ends[0]);
    return waitpid(child, &finding->status, 0) == child ? 0 : -1;
}

/* "function: expression" of an assertion's message, cut in place; NULL: it is none. */
static const char *assertion_of(char *text)
{
    char *expression = strstr(text, ": Assertion `");
    char *end = expression ? strstr(expression, "' failed.") : NULL;
    if (!end)
        return NULL;
    *end = '\0';
    *expression = '\0';
    char *function = strrchr(text, ' ');
    static char found[512];
    snprintf(found, sizeof(found), "%.100s: `%.400s`", function ? function + 1 : text,
             expression + strlen(": Assertion `"));
    return found;
}

static const char *found_by(const struct finding *finding, char *text)
{
    if (WIFSIGNALED(finding->status) && WTERMSIG(finding->status) == SIGABRT)
        return assertion_of(text);
    if (WIFEXITED(finding->status) && WEXITSTATUS(finding->status) == BY_CHECKER)
        text[strcspn(text, "\n")] = '\0';
    else
        snprintf(text, sizeof(finding->text), "nobody");
    return NULL;
}

static bool report(int spoil, struct finding *finding)
{
    const char *seed = strstr(finding->text, "the seed is ");
    uint64_t number = seed ? strtoull(seed + strlen("the seed is "), NULL, 10) : 0;
    const char *invariant = found_by(finding, finding->text);
    const char *expected = sim_checker_names[spoils[spoil].checker];
    printf("| %s | %s | %s | %" PRIu64 " |\n", spoils[spoil].name, spoils[spoil].meaning,
           invariant ? invariant : finding->text, number);
    return spoils[spoil].checker == SIM_CHECKER_NONE ? invariant != NULL
                                                     : strcmp(finding->text, expected) == 0;
}

int run_invariants(struct sim *sim)
{
    int failed = 0;
    puts("| planted into a state | what is wrong | found by | seed |\n|---|---|---|---|");
    for (int spoil = SIM_SPOIL_NOTHING + 1; spoil < SIM_SPOILS; spoil++) {
        struct finding finding;
        if (hunt_in_child(sim, (enum sim_spoil)spoil, &finding) != 0) {
            perror("sim");
            return 1;
        }
        failed += !report(spoil, &finding);
    }
    printf("%d passed, %d failed, 0 skipped\n", SIM_SPOILS - 1 - failed, failed);
    return failed != 0;
}
