/* Unpacks a topology from tests/fixtures into a scratch directory; any test's main thread calls it.
 */
#include "tests/support/topology_fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/scratch.h"

const char *const fixture_names[] = {"xeon-2s-smt",    "epyc-nps1",        "epyc-2s-nps4",
                                     "vm-one-node",    "cxl-memory-only",  "cgroup-odd-cpus",
                                     "offline-cpus",   "container-2-cpus", "dm-on-nvme",
                                     "no-numa-kernel", "memoryless-node",  NULL};

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "fixture: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            fail("cannot create", path);
        *slash = '/';
    }
}

static void decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '\\' && (from[1] == 'n' || from[1] == 't'))
            *to++ = *++from == 'n' ? '\n' : '\t';
        else
            *to++ = *from;
    }
    *to = '\0';
}

void fixture_write(const char *root, const char *path, const char *content)
{
    char full[PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    make_parents(full);
    FILE *file = fopen(full, "w");
    if (!file || fprintf(file, "%s\n", content) < 0 || fclose(file) != 0)
        fail("cannot write", full);
}

static void write_link(const char *root, const char *path, const char *target)
{
    char full[PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    make_parents(full);
    if (symlink(target, full) != 0)
        fail("cannot link", full);
}

static void unpack_line(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *content = strchr(line, '\t');
    if (line[0] == '#' || !content)
        return;
    *content++ = '\0';
    if (strncmp(content, "-> ", 3) == 0) {
        write_link(root, line, content + 3);
        return;
    }
    decode(content);
    fixture_write(root, line, content);
}

char *fixture_unpack(const char *name)
{
    char *root = malloc(SCRATCH_PATH_BYTES);
    if (!root)
        fail("cannot unpack", name);
    make_scratch(root, NULL);
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/fixtures/topology/%s.txt", PST_TESTS_DIR, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail("cannot open", path);
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0)
        unpack_line(root, line);
    free(line);
    fclose(file);
    return root;
}

void fixture_remove(char *root)
{
    remove_tree(root);
    free(root);
}

struct pst_topology *fixture_topology(const char *name)
{
    char *root = fixture_unpack(name);
    struct pst_topology *topology = malloc(sizeof(*topology));
    int error = topology ? pst_topology_read(root, topology) : -ENOMEM;
    if (error) {
        errno = -error;
        fail("cannot read", name);
    }
    fixture_remove(root);
    return topology;
}
