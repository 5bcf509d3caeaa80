#include "tests/sim/scenarios.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct sim_script script;

static bool tell(struct sim *sim, const char *path, FILE *story)
{
    struct sim_options options;
    if (!sim_script_read(&script, path))
        return false;
    sim_options_of_script(&options, &script);
    options.story = story;
    options.is_brief = true;
    return sim_run(sim, 1, &options, &script);
}

int run_scenario(struct sim *sim, const char *path)
{
    bool holds = tell(sim, path, stdout);
    if (!holds)
        fprintf(stderr, "%s: %s: %s\n", path, sim_checker_names[sim->checker], sim->failure);
    return !holds;
}

/* Line by line, to name the first that differs. */
static bool is_as_kept(const char *path, char *story)
{
    char kept_path[4096];
    char kept[512];
    snprintf(kept_path, sizeof(kept_path), "%.*strace", (int)(strlen(path) - strlen("scenario")),
             path);
    FILE *file = fopen(kept_path, "re");
    if (!file && script.held[0][0] != SIM_HELD_ANY)
        return true;
    if (!file) {
        printf("%s: no story is kept, nor is said what is held\n", kept_path);
        return false;
    }
    uint32_t row = 0;
    bool same = true;
    for (char *line = story; same && *line; row++) {
        size_t length = strcspn(line, "\n") + 1;
        same = fgets(kept, sizeof(kept), file) && strncmp(kept, line, length) == 0;
        if (!same)
            printf("%s:%u: the story is another: %.*s", kept_path, row + 1, (int)length, line);
        line += length;
    }
    if (same && fgets(kept, sizeof(kept), file)) {
        printf("%s:%u: the story ended before: %s", kept_path, row + 1, kept);
        same = false;
    }
    fclose(file);
    return same;
}

static bool holds(struct sim *sim, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *story = open_memstream(&text, &bytes);
    if (!story)
        return false;
    bool passed = tell(sim, path, story);
    fclose(story);
    if (!passed)
        printf("%s: %s: %s\n", path, sim_checker_names[sim->checker], sim->failure);
    else
        passed = is_as_kept(path, text);
    free(text);
    return passed;
}

int run_scenarios(struct sim *sim, const char *directory)
{
    char pattern[4096];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/*.scenario", directory);
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("%s: no scenario\n", directory);
        return 1;
    }
    size_t failed = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        failed += !holds(sim, found.gl_pathv[i]);
    printf("%zu passed, %zu failed, 0 skipped\n", found.gl_pathc - failed, failed);
    globfree(&found);
    return failed != 0;
}
