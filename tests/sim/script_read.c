/* Reads a scenario's file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/script.h"

#define WORDS_MAX 24u

struct line {
    uint32_t count;
    uint32_t next;
    char *words[WORDS_MAX];
    const char *error;
};

static void fail(struct line *line, const char *error)
{
    if (!line->error)
        line->error = error;
}

static const char *word(struct line *line)
{
    if (line->next < line->count)
        return line->words[line->next++];
    fail(line, "something is missing at its end");
    return "";
}

static bool is_next(struct line *line, const char *wanted)
{
    if (line->next == line->count || strcmp(line->words[line->next], wanted) != 0)
        return false;
    line->next++;
    return true;
}

static uint32_t number(struct line *line, uint32_t least, uint32_t most)
{
    char *end;
    const char *text = word(line);
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < least || value > most)
        fail(line, "a number is wrong or out of its range");
    return (uint32_t)value;
}

static uint64_t milliseconds(struct line *line)
{
    return (uint64_t)number(line, 0, 1000000) * 1000000;
}

static uint32_t node(struct line *line)
{
    uint32_t id = number(line, 1, SIM_NODES_MAX);
    return id == 0 ? 0 : id - 1;
}

static uint32_t block_of(const char *name)
{
    static const struct {
        const char *name;
        uint32_t block;
    } blocks[] = {{"CLIENT", PST_BLOCK_CLIENT},   {"PROXY", PST_BLOCK_PROXY},
                  {"LDM", PST_BLOCK_BACKUP},      {"SOURCE", PST_BLOCK_SOURCE},
                  {"ARCHIVE", PST_BLOCK_ARCHIVE}, {"OUTCOME", PST_BLOCK_OUTCOME}};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        if (strcmp(name, blocks[i].name) == 0)
            return blocks[i].block;
    }
    return 0;
}

static struct sim_pattern pattern(struct line *line)
{
    struct sim_pattern pattern = {0};
    char block[16] = "";
    unsigned instance = 0;
    int found = sscanf(word(line), "%u.%15[A-Z].%u", &pattern.node, block, &instance);
    if (found < 1 || pattern.node < 1 || pattern.node > SIM_NODES_MAX)
        fail(line, "a ref is wrong");
    pattern.block = found > 1 ? block_of(block) : 0;
    if (found > 1 && pattern.block == 0)
        fail(line, "there is no such block");
    pattern.instance = found > 2 ? instance + 1 : 0;
    return pattern;
}

static void read_each(struct line *line, uint32_t values[SIM_NODES_MAX], uint32_t least,
                      uint32_t most)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        values[i] = i == 0 || line->next < line->count ? number(line, least, most) : values[i - 1];
}

static void read_backup(struct sim_script *script, struct line *line)
{
    if (script->asked_count == SIM_EXPECTED_MAX) {
        fail(line, "too many backups");
        return;
    }
    struct sim_asked *asked = &script->asked[script->asked_count++];
    while (line->next < line->count && !line->error) {
        if (is_next(line, "node"))
            asked->node = node(line);
        else if (is_next(line, "number"))
            asked->number = number(line, 1, 1000000);
        else if (is_next(line, "single"))
            asked->single_threaded = true;
        else if (is_next(line, "after"))
            asked->after_ns = milliseconds(line);
        else
            fail(line, "what is that of a backup?");
    }
}

/* What follows the name of an action: n a node, o another, l an LDM, t a time, e an error, r a
 * ref, f optionally "for" and a time. */
static const struct {
    const char *name;
    enum sim_action_kind kind;
    const char *arguments;
} actions[] = {
    {"lose", SIM_ACT_LOSE, ""},         {"delay", SIM_ACT_DELAY, "t"},
    {"twice", SIM_ACT_TWICE, "t"},      {"forge", SIM_ACT_FORGE, "r"},
    {"refuse", SIM_ACT_REFUSE, "e"},    {"hang", SIM_ACT_HANG, ""},
    {"slow", SIM_ACT_SLOW, "t"},        {"crash", SIM_ACT_CRASH, "nf"},
    {"power", SIM_ACT_POWER, "nf"},     {"pause", SIM_ACT_PAUSE, "nt"},
    {"cut", SIM_ACT_CUT, "nt"},         {"mute", SIM_ACT_MUTE, "nt"},
    {"suspect", SIM_ACT_SUSPECT, "no"}, {"jump", SIM_ACT_JUMP, "nt"},
    {"stall", SIM_ACT_STALL, "nlt"},    {"trouble", SIM_ACT_TROUBLE, "nl"},
    {"abort", SIM_ACT_ABORT, ""},       {"vanish", SIM_ACT_VANISH, ""},
    {"ask", SIM_ACT_ASK, "n"},          {"split", SIM_ACT_SPLIT, "not"},
    {"deafen", SIM_ACT_DEAFEN, "not"},  {"forget", SIM_ACT_FORGET, "n"},
};

static void read_argument(struct sim_rule *rule, struct line *line, char kind)
{
    struct sim_pattern named;
    switch (kind) {
    case 'n':
        rule->node = node(line);
        break;
    case 'o':
        rule->other = node(line);
        break;
    case 'l':
        rule->other = number(line, 1, SIM_LDMS_MAX) - 1;
        break;
    case 't':
        rule->length_ns = milliseconds(line);
        break;
    case 'f':
        rule->length_ns = is_next(line, "for") ? milliseconds(line) : UINT64_C(8000000000);
        break;
    case 'e':
        rule->error = number(line, 1, 9999);
        break;
    default:
        named = pattern(line);
        rule->ref = pst_ref_make(named.node, (enum pst_block)named.block,
                                 named.instance > 0 ? named.instance - 1 : 0);
    }
}

static void read_action(struct sim_rule *rule, struct line *line)
{
    const char *name = word(line);
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        if (strcmp(name, actions[i].name) != 0)
            continue;
        rule->kind = actions[i].kind;
        for (const char *kind = actions[i].arguments; *kind; kind++)
            read_argument(rule, line, *kind);
        return;
    }
    fail(line, "there is no such action");
}

static uint16_t gsn_of(struct line *line)
{
    const char *name = word(line);
    for (uint16_t gsn = 1; gsn <= PST_GSN_MAX; gsn++) {
        if (strcmp(pst_gsn_name(gsn), name) == 0)
            return gsn;
    }
    fail(line, "there is no such signal");
    return 0;
}

static void read_rule(struct sim_script *script, struct line *line)
{
    if (script->rules_count == SIM_RULES_MAX) {
        fail(line, "too many rules");
        return;
    }
    struct sim_rule *rule = &script->rules[script->rules_count++];
    rule->nth = 1;
    rule->gsn = gsn_of(line);
    while (!line->error && !is_next(line, "do")) {
        if (is_next(line, "from"))
            rule->from = pattern(line);
        else if (is_next(line, "to"))
            rule->to = pattern(line);
        else if (is_next(line, "nth"))
            rule->nth = number(line, 1, 1000);
        else if (is_next(line, "when") && is_next(line, "sent"))
            rule->when_sent = true;
        else
            fail(line, "from, to, nth, when sent or do is expected");
    }
    read_action(rule, line);
}

static void read_expected(struct sim_script *script, struct line *line)
{
    static const char *const names[] = {[SIM_TOLD_NOTHING] = "unknown",
                                        [SIM_TOLD_CONF] = "running",
                                        [SIM_TOLD_REF] = "refused",
                                        [SIM_TOLD_COMPLETE] = "complete",
                                        [SIM_TOLD_ABORT] = "aborted"};
    struct sim_expected *expected =
        &script->expected[(number(line, 1, SIM_EXPECTED_MAX) - 1) % SIM_EXPECTED_MAX];
    const char *name = word(line);
    for (uint32_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        expected->told = (enum sim_told)i;
        expected->is_set = true;
    }
    if (!expected->is_set)
        fail(line, "complete, aborted, refused or unknown is expected");
    if (line->next < line->count)
        expected->error = number(line, 1, 9999);
}

static enum sim_held held(struct line *line)
{
    const char *name = word(line);
    for (int i = 0; i < SIM_HELDS; i++) {
        if (strcmp(name, sim_held_names[i]) == 0)
            return (enum sim_held)i;
    }
    fail(line, "committed, prepared, debris, nothing or anything is expected");
    return SIM_HELD_ANY;
}

static void read_held(struct sim_script *script, struct line *line)
{
    enum sim_held *of = script->held[(number(line, 1, SIM_EXPECTED_MAX) - 1) % SIM_EXPECTED_MAX];
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        of[i] = i == 0 || line->next < line->count ? held(line) : of[i - 1];
}

static void read_statement(struct sim_script *script, struct line *line)
{
    if (is_next(line, "nodes"))
        script->nodes = number(line, 1, SIM_NODES_MAX);
    else if (is_next(line, "ldms"))
        read_each(line, script->ldms, 1, SIM_LDMS_MAX);
    else if (is_next(line, "sources"))
        read_each(line, script->sources, 0, SIM_SOURCES_MAX);
    else if (is_next(line, "backup"))
        read_backup(script, line);
    else if (is_next(line, "at"))
        read_rule(script, line);
    else if (is_next(line, "expect"))
        read_expected(script, line);
    else if (is_next(line, "held"))
        read_held(script, line);
    else
        fail(line, "there is no such statement");
    if (line->next < line->count)
        fail(line, "there is more in it than that");
}

bool sim_script_read(struct sim_script *script, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        perror(path);
        return false;
    }
    memset(script, 0, sizeof(*script));
    script->nodes = 3;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        script->ldms[i] = 2;
        script->sources[i] = 1;
    }
    char text[256];
    bool good = true;
    for (uint32_t row = 1; fgets(text, sizeof(text), file); row++) {
        struct line line = {0};
        for (char *at = strtok(text, " \t\n"); at && line.count < WORDS_MAX && *at != '#';
             at = strtok(NULL, " \t\n"))
            line.words[line.count++] = at;
        if (line.count > 0)
            read_statement(script, &line);
        if (line.error)
            fprintf(stderr, "%s:%u: %s\n", path, row, line.error);
        good &= !line.error;
    }
    fclose(file);
    if (script->asked_count == 0)
        script->asked_count = 1;
    return good;
}
