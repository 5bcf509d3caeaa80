/* What the source dir leaves out: by patterns, as git does, and by what a directory says itself. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/source/registry/registry.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

#define PATTERNS_MAX 8u
#define TREES 60u

static uint64_t state;

static uint32_t below(uint32_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % limit;
}

static void make_file(const char *path)
{
    write_file(path, "x", 1);
}

/* Paths of all that is listed but directories and the root, in order, each with a line end. */
static char *list(const struct pst_file_filter *filter, bool with_directories)
{
    static char text[1 << 20];
    const char *paths[4096];
    size_t count = 0, used = 0;
    struct collected collected;
    struct pst_source *source = open_source("here=dir:.");
    pst_sources_filter(&source, 1, filter);
    collect(source, &collected);
    for (uint64_t i = 0; i < collected.count; i++) {
        const struct pst_fragment_descriptor *fragment = collected.fragments[i];
        struct pst_object object;
        for (size_t at = 0; at < fragment->entries_bytes;) {
            CU_ASSERT_EQUAL_FATAL(
                pst_object_decode(fragment->data, fragment->entries_bytes, &at, &object), 0);
            if (*object.path && (with_directories || object.type != PST_OBJECT_DIRECTORY))
                paths[count++] = object.path;
        }
    }
    for (const char *last = "";;) {
        const char *next = NULL;
        for (size_t i = 0; i < count; i++)
            next = strcmp(paths[i], last) > 0 && (!next || strcmp(paths[i], next) < 0) ? paths[i]
                                                                                       : next;
        if (!next)
            break;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", next);
        last = next;
    }
    text[used] = '\0';
    pst_source_close(source);
    collected_free(&collected);
    return text;
}

static const char *listed(const char *one, const char *two, const char *three)
{
    const char *patterns[] = {one, two, three};
    struct pst_file_filter filter = {.patterns = patterns, .patterns_count = 3};
    while (filter.patterns_count > 0 && !patterns[filter.patterns_count - 1])
        filter.patterns_count--;
    return list(&filter, true);
}

static void rules_of_gitignore(void)
{
    ASSERT_OK(system("mkdir -p a/b/c logs"));
    make_file("a/b/c/x.o");
    make_file("a/b/keep.o");
    make_file("a/logs");
    make_file("logs/today");
    make_file("x.o");
    CU_ASSERT_STRING_EQUAL(listed("*.o", "!keep.o", NULL),
                           "a\na/b\na/b/c\na/b/keep.o\na/logs\nlogs\nlogs/today\n");
    CU_ASSERT_STRING_EQUAL(listed("/x.o", "a/b/c", NULL),
                           "a\na/b\na/b/keep.o\na/logs\nlogs\nlogs/today\n");
    CU_ASSERT_STRING_EQUAL(listed("logs/", NULL, NULL),
                           "a\na/b\na/b/c\na/b/c/x.o\na/b/keep.o\na/logs\nx.o\n");
    CU_ASSERT_STRING_EQUAL(listed("a/**/x.o", "/logs/**", NULL),
                           "a\na/b\na/b/c\na/b/keep.o\na/logs\nlogs\nx.o\n");
    CU_ASSERT_STRING_EQUAL(listed("b", "!b/keep.o", "!a/b/keep.o"), /* its directory is out */
                           "a\na/logs\nlogs\nlogs/today\nx.o\n");
    CU_ASSERT_STRING_EQUAL(listed("/*", "!/a", "/a/*"), "a\n");
    CU_ASSERT_STRING_EQUAL(listed("[", "\\", "[[:nothing:]]"), /* malformed: nothing fits */
                           "a\na/b\na/b/c\na/b/c/x.o\na/b/keep.o\na/logs\nlogs\nlogs/today\nx.o\n");
}

/* Nothing is done twice for each star: the time is no matter of how many there are. */
static void stars_cost_no_more_than_bytes(void)
{
    char name[256];
    memset(name, 'a', 255);
    name[255] = '\0';
    make_file(name);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(listed("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", NULL, NULL), name));
}

/* ---- as git does ---- */

static void make_names(char *name)
{
    static const char *const names[] = {"a",   "b",   "ab", "ba", "a.o",
                                        "b.o", "a b", "!a", "#a", "c-"};
    strcpy(name, names[below(sizeof(names) / sizeof(names[0]))]);
}

static void make_random_tree(void)
{
    char path[256] = "", name[16];
    for (uint32_t i = 0; i < 25; i++) {
        size_t used = 0;
        path[0] = '\0';
        for (uint32_t depth = below(4); depth > 0; depth--) {
            make_names(name);
            used += (size_t)snprintf(path + used, sizeof(path) - used, "%s", name);
            if (mkdir(path, 0755) < 0 && errno != EEXIST)
                break;
            path[used++] = '/';
            path[used] = '\0';
        }
        make_names(name);
        snprintf(path + used, sizeof(path) - used, "%s", name);
        struct stat status;
        if (lstat(path, &status) < 0 && errno == ENOENT)
            make_file(path);
    }
}

static void make_pattern(char *text, size_t bytes)
{
    static const char *const parts[] = {
        "a",     "b",  "*",  "?",  "**",           "/",     "/",      "[ab]", "[!a]",
        "[a-c]", "\\", ".o", "ab", "**/",          "/**",   "[^b-z]", "[]a]", "[[:alpha:]]",
        "[a-]",  " ",  "c-", "#a", "[[:punct:]b]", "[a/b]", "[!/]",   "["};
    size_t used = (size_t)snprintf(text, bytes, "%s", below(4) ? "" : "!");
    for (uint32_t i = 1 + below(5); i > 0; i--)
        used += (size_t)snprintf(text + used, bytes - used, "%s",
                                 parts[below(sizeof(parts) / sizeof(parts[0]))]);
}

/* What a file would lose is no matter of the patterns: comments, spaces at the end. And git takes
 * "a**" in front of a slash for "a" and directories, unlike what gitignore(5) says. */
static bool is_plain(const char *text)
{
    size_t bytes = strlen(text);
    if (*text == '#' || text[bytes - 1] == ' ')
        return false;
    for (const char *stars = text + (*text == '!'); (stars = strstr(stars, "**")) != NULL;) {
        const char *end = stars + strspn(stars, "*");
        bool begins = stars == text || stars[-1] == '/' || (stars == text + 1 && *text == '!');
        if (!begins || (*end && *end != '/'))
            return false;
        stars = end;
    }
    return true;
}

static char *git_lists(const char *const *patterns, uint32_t count)
{
    static char text[1 << 16];
    FILE *file = fopen("../patterns", "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (uint32_t i = 0; i < count; i++)
        fprintf(file, "%s\n", patterns[i]);
    fclose(file);
    FILE *git = popen("git --git-dir=../git --work-tree=. -c core.quotePath=false ls-files -o -z "
                      "--exclude-from=../patterns | LC_ALL=C sort -z | tr '\\0' '\\n'",
                      "r");
    size_t bytes = fread(text, 1, sizeof(text) - 1, git);
    text[bytes] = '\0';
    CU_ASSERT_EQUAL(pclose(git), 0);
    return text;
}

static void as_git_does(void)
{
    char texts[PATTERNS_MAX][128];
    const char *patterns[PATTERNS_MAX];
    ASSERT_OK(system("git init -q --bare git"));
    for (uint32_t tree = 0; tree < TREES; tree++) {
        state = tree;
        ASSERT_OK(mkdir("tree", 0755));
        ASSERT_OK(chdir("tree"));
        make_random_tree();
        for (uint32_t round = 0; round < 4; round++) {
            struct pst_file_filter filter = {.patterns = patterns};
            uint32_t wanted = 1 + below(PATTERNS_MAX);
            while (filter.patterns_count < wanted) {
                make_pattern(texts[filter.patterns_count], sizeof(texts[0]));
                patterns[filter.patterns_count] = texts[filter.patterns_count];
                filter.patterns_count += is_plain(texts[filter.patterns_count]);
            }
            const char *ours = list(&filter, false);
            const char *gits = git_lists(patterns, filter.patterns_count);
            CU_ASSERT_STRING_EQUAL(ours, gits);
            for (uint32_t i = 0; strcmp(ours, gits) != 0 && i < filter.patterns_count; i++)
                fprintf(stderr, "tree %u: pattern \"%s\"\n", tree, patterns[i]);
            if (strcmp(ours, gits) != 0)
                fprintf(stderr, "ours:\n%sgit's:\n%s", ours, gits);
        }
        ASSERT_OK(chdir(".."));
        ASSERT_OK(system("rm -r tree"));
    }
}

/* ---- tags ---- */

static void caches_are_left_out(void)
{
    static const char other[] = "Signature: 8a477f597d28d172789f06886806bc5_\n";
    static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55\n";
    const struct pst_file_filter filter = {.no_caches = true};
    ASSERT_OK(system("mkdir -p cache/sub other"));
    write_file("cache/CACHEDIR.TAG", signature, sizeof(signature) - 1);
    make_file("cache/sub/file");
    make_file("cache/file");
    write_file("other/CACHEDIR.TAG", signature, 30); /* not all of it */
    make_file("other/file");
    ASSERT_OK(mkdir("another", 0755));
    write_file("another/CACHEDIR.TAG", other, sizeof(other) - 1);
    make_file("another/file");
    CU_ASSERT_STRING_EQUAL(list(&filter, true),
                           "another\nanother/CACHEDIR.TAG\nanother/file\n"
                           "cache\ncache/CACHEDIR.TAG\nother\nother/CACHEDIR.TAG\nother/file\n");
}

static void what_has_a_tag_is_left_out(void)
{
    static const char *const tags[] = {".nobackup", ".git"};
    const struct pst_file_filter filter = {.tags = tags, .tags_count = 2};
    ASSERT_OK(system("mkdir -p a/b/c a/d x/.git y"));
    make_file("a/b/.nobackup");
    make_file("a/b/c/file");
    make_file("a/d/file");
    make_file("x/.git/HEAD");
    make_file("x/file");
    make_file("y/file");
    CU_ASSERT_STRING_EQUAL(list(&filter, true),
                           "a\na/b\na/b/.nobackup\na/d\na/d/file\nx\ny\ny/file\n");
    make_file(".nobackup");
    CU_ASSERT_STRING_EQUAL(list(&filter, true), ".nobackup\n");
}

static void the_backup_directory_is_left_out(void)
{
    ASSERT_OK(system("mkdir -p a/backups/BACKUP-1 a/more"));
    make_file("a/backups/BACKUP-1/file");
    struct collected collected;
    struct pst_object object;
    struct pst_source *source = open_source("here=dir:.");
    CU_ASSERT_EQUAL(pst_source_contains(source, "a/backups"), PST_SOURCE_LEAVES_OUT);
    collect(source, &collected);
    CU_ASSERT_TRUE(find_object(&collected, "a/backups", &object));
    CU_ASSERT_FALSE(find_object(&collected, "a/backups/BACKUP-1", &object));
    CU_ASSERT_TRUE(find_object(&collected, "a/more", &object));
    collected_free(&collected);
    pst_source_release(source);
    CU_ASSERT_EQUAL(pst_source_contains(source, "/"), 0); /* another one from now on */
    collect(source, &collected);
    CU_ASSERT_TRUE(find_object(&collected, "a/backups/BACKUP-1/file", &object));
    collected_free(&collected);
    pst_source_close(source);
}

static void set_up(void)
{
    make_directory();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rules of gitignore", rules_of_gitignore},
        {"stars cost no more than bytes", stars_cost_no_more_than_bytes},
        {"as git does", as_git_does},
        {"caches are left out", caches_are_left_out},
        {"what has a tag is left out", what_has_a_tag_is_left_out},
        {"the backup directory is left out", the_backup_directory_is_left_out},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {"exclude", NULL, NULL, set_up, remove_directory, tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
