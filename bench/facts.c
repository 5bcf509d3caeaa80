/* What must be known of a machine and a build to make sense of figures. Called on the main thread.
 */
#include "bench/facts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/program.h"
#include "engine/base/utf8.h"

static void refuse_debug(const char *what, const char *build)
{
    if (strncmp(build, "Rel", 3) == 0 || strncmp(build, "MinSizeRel", 10) == 0 ||
        getenv("PENSTOCK_BENCH_ANY_BUILD"))
        return;
    (void)fprintf(
        stderr,
        "penstock-bench: %s is a build for debugging (%.*s), whose figures say nothing of "
        "Penstock: use scripts/build, or set PENSTOCK_BENCH_ANY_BUILD=1 to try it out\n",
        what, (int)strcspn(build, ",\n"), build);
    exit(2);
}

void facts_refuse_debug(void)
{
    refuse_debug("this", BENCH_BUILD);
}

void facts_print_text(const char *text)
{
    (void)putchar('"');
    while (*text) {
        uint32_t point;
        size_t bytes = pst_utf8_decode(text, strlen(text), &point);
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned char)*text);
        else
            printf("%.*s", bytes ? (int)bytes : 3, bytes ? text : "\xef\xbf\xbd");
        text += bytes ? bytes : 1;
    }
    (void)putchar('"');
}

static void print_fact(bool json, const char *name, const char *text)
{
    if (!json) {
        printf("%s: %s\n", name, text);
        return;
    }
    printf(",\"%s\":", name);
    facts_print_text(text);
}

/* The rest of the first line of a file that begins with a word; the file is small, or a stream. */
static void find_line(const char *path, const char *word, char *text, size_t bytes)
{
    char line[4096];
    FILE *file = fopen(path, "re");
    (void)snprintf(text, bytes, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        const char *rest = line + strlen(word);
        while (*rest && (isspace((unsigned char)*rest) || *rest == ':'))
            rest++;
        (void)snprintf(text, bytes, "%.*s", (int)strcspn(rest, "\n"), rest);
        break;
    }
    if (file)
        (void)fclose(file);
}

static void print_machine(bool json)
{
    char text[256], host[128] = "";
    struct utsname kernel;
    glob_t nodes = {0};
    (void)gethostname(host, sizeof(host) - 1);
    print_fact(json, "host", host);
    (void)uname(&kernel);
    print_fact(json, "kernel", kernel.release);
    find_line("/proc/cpuinfo", "model name", text, sizeof(text));
    print_fact(json, "cpu", text);
    find_line("/proc/self/status", "Cpus_allowed_list", text, sizeof(text));
    print_fact(json, "cpus", text);
    (void)glob("/sys/devices/system/node/node[0-9]*", 0, NULL, &nodes);
    (void)snprintf(text, sizeof(text), "%zu", nodes.gl_pathc);
    globfree(&nodes);
    print_fact(json, "numa_nodes", text);
    find_line("/proc/meminfo", "MemTotal", text, sizeof(text));
    print_fact(json, "memory", text);
    find_line("/proc/loadavg", "", text, sizeof(text));
    text[strcspn(text, " ")] = '\0'; /* of the last minute */
    print_fact(json, "load", text);
}

static const char *program_path;
static char program_version[4096]; /* what it prints of itself */

void facts_note_program(const char *path)
{
    static const char build[] = "\nbuild: ";
    struct program program = {0};
    struct program_cost cost;
    program_path = path;
    program_add(&program, path);
    program_add(&program, "--version");
    if (program_run(&program, &cost, program_version, sizeof(program_version)) != 0)
        program_version[0] = '\0';
    const char *found = strstr(program_version, build);
    if (found)
        refuse_debug(path, found + strlen(build));
}

/* The version and the commit, the first two lines. */
static void print_program(bool json)
{
    char text[2 * PROGRAM_PATH_BYTES];
    int version = (int)strcspn(program_version, "\n"), commit = 0;
    const char *second = program_version + version;
    if (*second)
        commit = (int)strcspn(++second, "\n");
    (void)snprintf(text, sizeof(text), "%s: %.*s%s%.*s", program_path, version, program_version,
                   commit ? "," : "", commit, second);
    print_fact(json, "penstock", text);
}

static void (*print_configuration)(void);

void facts_note_configuration(void (*print)(void))
{
    print_configuration = print;
}

/* What mountinfo(5) says of the mount that the path lies on. Not found by device: a subvolume of
 * Btrfs has one of its own. */
static void describe_place(const char *path, char *text, size_t bytes)
{
    char line[4096];
    struct statx status;
    (void)snprintf(text, bytes, "%s", path);
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts || statx(AT_FDCWD, path, 0, STATX_MNT_ID, &status) < 0) {
        if (mounts)
            (void)fclose(mounts);
        return;
    }
    while (fgets(line, sizeof(line), mounts)) {
        char options[512], kind[64], from[256], more[1024];
        unsigned long long id;
        const char *rest = strstr(line, " - ");
        if (sscanf(line, "%llu %*s %*s %*s %*s %511s", &id, options) == 2 && rest &&
            id == status.stx_mnt_id && sscanf(rest, " - %63s %255s %1023s", kind, from, more) == 3)
            (void)snprintf(text, bytes, "%s: %s on %s (%s; %s)", path, kind, from, options, more);
    }
    (void)fclose(mounts);
}

static void print_places(bool json, const char *const *places)
{
    char text[4096];
    const char *separator = "";
    if (json)
        printf(",\"places\":[");
    for (; *places; places++) {
        describe_place(*places, text, sizeof(text));
        if (!json) {
            print_fact(json, "place", text);
            continue;
        }
        printf("%s", separator);
        facts_print_text(text);
        separator = ",";
    }
    if (json)
        printf("]");
}

static void print_command(bool json, char **command)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof(text), "penstock-bench");
    for (; *command && used < sizeof(text); command++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", *command);
    print_fact(json, "command", text);
}

void facts_print(bool json, char **command, const char *const *places)
{
    char when[64];
    time_t now = time(NULL);
    struct tm parts;
    (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    if (json)
        printf("{\"message_type\":\"environment\"");
    print_fact(json, "time", when);
    print_machine(json);
    print_fact(json, "commit", bench_commit);
    print_fact(json, "build", BENCH_BUILD);
    if (program_path)
        print_program(json);
    print_command(json, command);
    print_places(json, places);
    if (json && print_configuration) {
        printf(",\"configuration\":{");
        print_configuration();
        printf("}");
    }
    printf(json ? "}\n" : "\n");
    (void)fflush(stdout);
}
