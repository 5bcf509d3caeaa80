/*
 * Flips a bit in every byte of every file of a small backup that the pipeline made, one byte
 * at a time, and requires verify to name the file and a range that holds the byte; of a decision,
 * which is there twice, to warn of the file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/catalog.h"
#include "engine/restore/verify.h"
#include "tests/support/child.h"
#include "tests/support/node_rig.h"

#define PROCESSES 2u
#define FILES_MAX 8u

struct seen {
    char file[256]; /* of the first damage */
    uint64_t offset, bytes;
    uint64_t damages;
    char warned[256]; /* of the first warning: its file */
};

static struct {
    char backups[SCRATCH_PATH_BYTES];
    struct pst_backup_list list;
    char names[FILES_MAX][256]; /* below backups */
    uint32_t files;
    uint64_t flipped, missed, misnamed;
} test;

static void on_finding(void *context, const struct pst_finding *finding)
{
    struct seen *seen = context;
    if (finding->warning && !seen->warned[0])
        snprintf(seen->warned, sizeof(seen->warned), "%s", finding->file);
    if (finding->warning || seen->damages++ > 0)
        return;
    snprintf(seen->file, sizeof(seen->file), "%s", finding->file);
    seen->offset = finding->offset;
    seen->bytes = finding->bytes;
}

static int verify(struct seen *seen)
{
    struct pst_verify_options options = {
        .crew = {.workers = 1, .depth = PST_DEPTH_MIN}, .found = on_finding, .context = seen};
    struct pst_verify_result result;
    memset(seen, 0, sizeof(*seen));
    return pst_verify(test.list.backups[0], &options, &result);
}

static void flip_byte(int fd, const char *name, uint64_t offset)
{
    struct seen seen;
    uint8_t byte;
    CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, (off_t)offset), 1);
    uint8_t flipped = byte ^ (uint8_t)(1u << offset % 8);
    CU_ASSERT_EQUAL_FATAL(pwrite(fd, &flipped, 1, (off_t)offset), 1);
    int error = verify(&seen);
    test.flipped++;
    if (strstr(name, ".cluster.manifest")) {
        test.missed += error != 0 || seen.damages > 0 || !seen.warned[0];
        test.misnamed += strcmp(seen.warned, name) != 0;
    } else {
        test.missed += error != -PST_E_CORRUPT || seen.damages == 0;
        test.misnamed += strcmp(seen.file, name) != 0 || offset < seen.offset ||
                         offset >= seen.offset + seen.bytes;
    }
    CU_ASSERT_EQUAL_FATAL(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

static void flip_file(const char *name, uint64_t from)
{
    int fd = open(join(test.backups, name), O_RDWR);
    struct stat status;
    CU_ASSERT_TRUE_FATAL(fd >= 0 && fstat(fd, &status) == 0);
    for (uint64_t offset = from; offset < (uint64_t)status.st_size; offset += PROCESSES)
        flip_byte(fd, name, offset);
    close(fd);
}

static void find_files(const char *below)
{
    DIR *directory = opendir(join(test.backups, below));
    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char name[256];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s%s%.120s", below, below[0] ? "/" : "", entry->d_name);
        struct stat status;
        CU_ASSERT_EQUAL_FATAL(stat(join(test.backups, name), &status), 0);
        if (S_ISDIR(status.st_mode)) {
            find_files(name);
            continue;
        }
        CU_ASSERT_TRUE_FATAL(test.files < FILES_MAX);
        memcpy(test.names[test.files++], name, sizeof(name));
    }
    closedir(directory);
}

/* A few objects, so that a part is some tens of KiB: header, data, catalogue, index, trailer. */
static void make_backup(const char *source)
{
    char spec[SCRATCH_PATH_BYTES + 8];
    struct rig rig;
    make_file(source, "small", 700, 1);
    make_directory(source, "directory");
    make_file(source, "directory/other", 5000, 2);
    snprintf(spec, sizeof(spec), "dir:%s", source);
    const char *specs[] = {spec};
    rig_open(&rig, test.backups, 2, specs, 1);
    CU_ASSERT_EQUAL_FATAL(rig_run(&rig), 0);
    rig_close(&rig);
    const char *from = test.backups;
    char message[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(&from, 1, &test.list, message), 0);
}

static void flip_share(uint64_t from)
{
    char source[SCRATCH_PATH_BYTES];
    struct seen seen;
    make_scratch(source, "/dev/shm");
    make_scratch(test.backups, "/dev/shm");
    make_backup(source);
    find_files("");
    CU_ASSERT_EQUAL(test.files, 5); /* the decision, twice; a manifest, two parts */
    CU_ASSERT_EQUAL(verify(&seen), 0);
    for (uint32_t i = 0; i < test.files; i++)
        flip_file(test.names[i], from);
    CU_ASSERT_EQUAL(verify(&seen), 0);
    CU_ASSERT_TRUE(test.flipped > 10000);
    CU_ASSERT_EQUAL(test.missed, 0);
    CU_ASSERT_EQUAL(test.misnamed, 0);
    remove_tree(source);
    pst_backup_list_release(&test.list);
    remove_tree(test.backups);
}

static int flip_odd(void *context)
{
    (void)context;
    flip_share(1);
    return CU_get_number_of_failures() != 0;
}

/* Two processes share the bytes, each with a backup of its own. */
static void every_flipped_byte_is_found_and_named(void)
{
    pid_t child = child_start(flip_odd, NULL);
    flip_share(0);
    CU_ASSERT_EQUAL(child_wait(child), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {{"every flipped byte of a backup is found and named",
                            every_flipped_byte_is_found_and_named},
                           CU_TEST_INFO_NULL};
    CU_SuiteInfo suites[] = {{"flip", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return run_suites(suites);
}
