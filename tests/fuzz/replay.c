/* replay CORPUS: feeds the target every file of a directory, as it is, cut, and damaged in a
 * reproducible way. What libFuzzer does, in miniature, for builds without it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define DAMAGED_EACH 400u

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void replay(const uint8_t *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    uint8_t *changed = malloc(size + 1);
    for (uint32_t i = 0; i < DAMAGED_EACH && changed && size; i++) {
        memcpy(changed, data, size);
        for (uint64_t flips = next_random() % 4; flips > 0; flips--)
            changed[next_random() % size] = (uint8_t)next_random();
        LLVMFuzzerTestOneInput(changed, i % 4 ? size : next_random() % size);
    }
    free(changed);
}

static int replay_file(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 1;
    static uint8_t data[1 << 20];
    size_t size = fread(data, 1, sizeof(data), file);
    int failed = ferror(file);
    fclose(file);
    replay(data, size);
    return failed;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 1;
    }
    int passed = 0, failed = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay_file(argv[1], entry->d_name) == 0)
            passed++;
        else
            failed++;
    }
    closedir(dir);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0 || passed == 0;
}
