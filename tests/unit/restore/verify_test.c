/* Verify: every byte of every file of a backup counts, and so does every file. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/repository/layout.h"
#include "engine/restore/verify.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/make_backup.h"

#define FINDINGS_MAX 64u
#define OBJECTS_MAX 16u

struct seen {
    uint32_t count;
    struct {
        char file[256];
        uint64_t offset;
        uint64_t bytes;
        int error;
        bool warning;
    } findings[FINDINGS_MAX];
    uint32_t objects_count;
    char objects[OBJECTS_MAX][128];
    uint64_t progress_calls;
    struct pst_crew_progress progress;
};

static void note(void *context, const struct pst_finding *finding)
{
    struct seen *seen = context;
    if (finding->object) {
        if (seen->objects_count < OBJECTS_MAX)
            snprintf(seen->objects[seen->objects_count], sizeof(seen->objects[0]), "%s: %s",
                     finding->object, finding->what);
        seen->objects_count++;
        return;
    }
    if (seen->count == FINDINGS_MAX)
        return;
    snprintf(seen->findings[seen->count].file, sizeof(seen->findings[0].file), "%s", finding->file);
    seen->findings[seen->count].offset = finding->offset;
    seen->findings[seen->count].bytes = finding->bytes;
    seen->findings[seen->count].error = finding->error;
    seen->findings[seen->count].warning = finding->warning;
    seen->count++;
}

static void note_progress(void *context, const struct pst_crew_progress *progress)
{
    struct seen *seen = context;
    seen->progress_calls++;
    seen->progress = *progress;
}

static int verify_with(const char *from, uint32_t workers, struct seen *seen,
                       struct pst_verify_result *result)
{
    const struct pst_verify_options options = {
        .crew = {.workers = workers, .depth = workers == 1 ? PST_DEPTH_MIN : 0},
        .found = note,
        .progress = note_progress,
        .context = seen,
    };
    memset(seen, 0, sizeof(*seen));
    return verify_backup(from, &options, result);
}

static struct made_place place;
static struct seen seen;
static struct pst_verify_result result;

static void begin(const struct made_backup *made)
{
    place = make_place();
    make_backup(place.path, made);
}

static uint64_t tree_bytes;

static int add_size(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)path;
    (void)walk;
    if (type == FTW_F)
        tree_bytes += (uint64_t)status->st_size;
    return 0;
}

static void a_whole_backup_passes(void)
{
    struct made_backup made = made_tree(3000000);
    made.chunks_per_index = 5;
    begin(&made);
    tree_bytes = 0;
    nftw(place.path, add_size, 16, FTW_PHYS);
    for (uint32_t workers = 1; workers <= 7; workers += 3) {
        CU_ASSERT_EQUAL(verify_with(place.path, workers, &seen, &result), 0);
        CU_ASSERT_EQUAL(seen.count, 0);
        CU_ASSERT_EQUAL(result.damages, 0);
        CU_ASSERT_EQUAL(result.warnings, 0);
        CU_ASSERT_EQUAL(result.files, 4);
        CU_ASSERT_EQUAL(result.bytes, tree_bytes);
        CU_ASSERT_TRUE(result.chunks > 40);
        CU_ASSERT_EQUAL(result.objects, made.objects_count + 3); /* three lie in both parts */
        CU_ASSERT_TRUE(seen.progress_calls > 0);
    }
    remove_place(&place);
}

static struct made_backup tiny(void)
{
    static const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = ""},
        {.id = 2, .type = PST_OBJECT_FILE, .path = "f", .size = 10},
    };
    static const struct made_data data[] = {{0, 2, 0, 10}};
    return (struct made_backup){
        .number = 1,
        .parts = 2,
        .sources = 1,
        .objects = objects,
        .objects_count = 2,
        .data = data,
        .data_count = 1,
        .chunks_per_index = 1,
    };
}

static uint64_t missed, misnamed;

/* Flips the bytes from, from + step, … of one file, one at a time. */
static void flip_file(const char *name, uint64_t from, uint64_t step)
{
    struct made_place path = place_below(&place, name);
    int fd = open(path.path, O_RDWR);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    struct stat status;
    CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
    for (uint64_t i = from; i < (uint64_t)status.st_size; i += step) {
        uint8_t byte, flipped;
        CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, (off_t)i), 1);
        flipped = byte ^ (uint8_t)(1 << i % 8);
        CU_ASSERT_EQUAL_FATAL(pwrite(fd, &flipped, 1, (off_t)i), 1);
        int error = verify_with(place.path, 1, &seen, &result);
        missed += error != -PST_E_CORRUPT || seen.count == 0 ||
                  result.damages + result.warnings != seen.count || result.damages == 0;
        misnamed += seen.count == 0 || strcmp(seen.findings[0].file, name) != 0 ||
                    i < seen.findings[0].offset ||
                    i >= seen.findings[0].offset + seen.findings[0].bytes;
        CU_ASSERT_EQUAL_FATAL(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    close(fd);
}

#define FILES 4u

static void flip_all(uint64_t from, uint64_t step)
{
    static const char *const files[FILES] = {
        "BACKUP-1/BACKUP-1.cluster.manifest",
        "BACKUP-1/BACKUP-1.1.manifest",
        "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data",
        "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data",
    };
    struct made_backup made = tiny();
    place = make_fast_place();
    make_backup(place.path, &made);
    missed = misnamed = 0;
    CU_ASSERT_EQUAL(verify_with(place.path, 1, &seen, &result), 0);
    for (uint32_t i = 0; i < FILES; i++)
        flip_file(files[i], from, step);
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(misnamed, 0);
    CU_ASSERT_EQUAL(verify_with(place.path, 1, &seen, &result), 0);
    remove_place(&place);
}

static int flip_odd(void *context)
{
    (void)context;
    flip_all(1, 2);
    return missed + misnamed != 0 || CU_get_number_of_failures() != 0;
}

/* Two processes share the bytes, each with a backup of its own. */
static void every_flipped_byte_is_found_and_named(void)
{
    pid_t child = child_start(flip_odd, NULL);
    flip_all(0, 2);
    CU_ASSERT_EQUAL(child_wait(child), 0);
}

static void expect_truncated(const char *name, off_t bytes)
{
    struct made_backup made = tiny();
    begin(&made);
    struct made_place path = place_below(&place, name);
    CU_ASSERT_EQUAL(truncate(path.path, bytes), 0);
    CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
    CU_ASSERT_TRUE_FATAL(seen.count >= 1);
    CU_ASSERT_STRING_EQUAL(seen.findings[0].file, name);
    CU_ASSERT_EQUAL(seen.findings[0].error, -PST_E_TRUNCATED);
    CU_ASSERT_EQUAL(seen.findings[0].offset, (uint64_t)bytes);
    remove_place(&place);
}

static void what_could_not_be_checked_is_said(void)
{
    static const char *const name = "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data";
    struct made_backup made = made_tree(2000000);
    begin(&made);
    struct stat status;
    CU_ASSERT_EQUAL(stat(place_below(&place, name).path, &status), 0);
    int fd = open(place_below(&place, name).path, O_WRONLY);
    CU_ASSERT_EQUAL(pwrite(fd, "x", 1, status.st_size - PST_BLOCK_BYTES + 150), 1);
    close(fd);
    CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(result.damages, 1);
    CU_ASSERT_EQUAL(result.warnings, 1);
    CU_ASSERT_EQUAL_FATAL(seen.count, 2);
    CU_ASSERT_TRUE(seen.findings[1].warning);
    CU_ASSERT_STRING_EQUAL(seen.findings[1].file, name);
    remove_place(&place);
}

static void truncations_are_found(void)
{
    static const off_t lengths[] = {0, 1, 4095, 4096, 4097, 8192, 16383};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        expect_truncated("BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data", lengths[i]);
    expect_truncated("BACKUP-1/BACKUP-1.1.manifest", 0);
    expect_truncated("BACKUP-1/BACKUP-1.1.manifest", 100);
    expect_truncated("BACKUP-1/BACKUP-1.cluster.manifest", 100);
}

static void append(const char *name, const char *bytes)
{
    struct made_place path = place_below(&place, name);
    int fd = open(path.path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(fd);
}

static void bytes_behind_the_end_are_found(void)
{
    static const char *const name = "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data";
    struct made_backup made = tiny();
    begin(&made);
    struct stat status;
    CU_ASSERT_EQUAL(stat(place_below(&place, name).path, &status), 0);
    append(name, "x");
    CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL_FATAL(seen.count, 1);
    CU_ASSERT_STRING_EQUAL(seen.findings[0].file, name);
    CU_ASSERT_EQUAL(seen.findings[0].offset, (uint64_t)status.st_size);
    remove_place(&place);
}

static void strange_files_are_warned_of(void)
{
    struct made_backup made = tiny();
    begin(&made);
    append("BACKUP-1/notes", "x");
    append("BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.2.data", "x");
    append("BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.dat", "x");
    CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), 0);
    CU_ASSERT_EQUAL(result.warnings, 3);
    CU_ASSERT_EQUAL(result.damages, 0);
    CU_ASSERT_EQUAL(seen.count, 3);
    for (uint32_t i = 0; i < seen.count; i++)
        CU_ASSERT_TRUE(seen.findings[i].warning);
    remove_place(&place);
}

static void a_missing_file_is_named(void)
{
    static const char *const names[] = {
        "BACKUP-1/BACKUP-1.1.manifest",
        "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data",
    };
    for (size_t i = 0; i < 2; i++) {
        struct made_backup made = tiny();
        begin(&made);
        CU_ASSERT_EQUAL(unlink(place_below(&place, names[i]).path), 0);
        CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
        CU_ASSERT_TRUE_FATAL(seen.count >= 1);
        CU_ASSERT_STRING_EQUAL(seen.findings[0].file, names[i]);
        CU_ASSERT_EQUAL(seen.findings[0].error, -ENOENT);
        remove_place(&place);
    }
}

/* Whole, and of one uid and number; but one of them is another cluster's. */
static void files_of_two_clusters_are_no_backup(void)
{
    for (uint32_t other = 0; other < 4; other++) {
        struct made_backup made = made_tree(1000);
        struct pst_verify_result of_it;
        struct seen of_files = {0};
        place = make_place();
        for (uint32_t i = 0; i < 3; i++)
            made.cluster_ids[i] = i == other ? 8 : 7;
        make_backup(place.path, &made);
        CU_ASSERT_EQUAL(verify_with(place.path, 1, &of_files, &of_it),
                        other == 3 ? 0 : -PST_E_CORRUPT);
        remove_place(&place);
    }
}

static void damage_does_not_end_the_search(void)
{
    static const char *const names[] = {
        "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data",
        "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data",
    };
    struct made_backup made = made_tree(2000000);
    begin(&made);
    for (size_t i = 0; i < 2; i++) {
        int fd = open(place_below(&place, names[i]).path, O_WRONLY);
        /* in the payloads of the second and the fifth chunk, and in the part header */
        CU_ASSERT_EQUAL(pwrite(fd, "\xAA\x55", 2, 100000), 2);
        CU_ASSERT_EQUAL(pwrite(fd, "\xAA\x55", 2, 350000), 2);
        CU_ASSERT_EQUAL(pwrite(fd, "\xAA\x55", 2, 3000), 2);
        close(fd);
    }
    CU_ASSERT_EQUAL(verify_with(place.path, 3, &seen, &result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(result.damages, 6);
    CU_ASSERT_EQUAL(seen.count, 6);
    remove_place(&place);
}

/* A chunk of one object: by its header; and, where that is damaged too, by the checksums of
 * objects, or in an older backup by the index. */
static void the_objects_that_damage_hits_are_named(void)
{
    static const off_t offsets[] = {3 * 69632 + 4096 + 5000, 3 * 69632 + 4096 + 200};
    for (uint32_t i = 0; i < 4; i++) {
        struct made_backup made = made_tree(2000000);
        made.no_object_sums = i % 2;
        begin(&made);
        struct made_place path =
            place_below(&place, "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data");
        int fd = open(path.path, O_WRONLY);
        CU_ASSERT_EQUAL(pwrite(fd, "\xAA\x55\xA5", 3, offsets[i / 2]), 3);
        close(fd);
        CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(result.damages, 1);
        CU_ASSERT_EQUAL(result.objects_damaged, 1);
        CU_ASSERT_EQUAL_FATAL(seen.objects_count, 1);
        CU_ASSERT_PTR_EQUAL(strstr(seen.objects[0], "one/large: "), seen.objects[0]);
        remove_place(&place);
    }
}

/* The second part in the place of the first, intact. */
static void exchanged_parts_are_found(void)
{
    struct made_backup made = tiny();
    begin(&made);
    struct made_place a = place_below(&place, "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data");
    struct made_place b = place_below(&place, "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data");
    struct made_place c = place_below(&place, "c");
    CU_ASSERT_EQUAL(rename(a.path, c.path), 0);
    CU_ASSERT_EQUAL(rename(b.path, a.path), 0);
    CU_ASSERT_EQUAL(rename(c.path, b.path), 0);
    CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
    CU_ASSERT_TRUE(seen.count >= 2);
    bool misplaced = false;
    for (uint32_t i = 0; i < seen.count; i++)
        misplaced = misplaced || seen.findings[i].error == -PST_E_MISPLACED;
    CU_ASSERT_TRUE(misplaced);
    remove_place(&place);
}

static void what_is_no_backup_is_said_so(void)
{
    struct made_backup made = tiny();
    made.no_cluster_manifest = true;
    begin(&made);
    CU_ASSERT_EQUAL(verify_with(place.path, 1, &seen, &result), -PST_E_INCOMPLETE);
    CU_ASSERT_EQUAL(rename(place_below(&place, "BACKUP-1").path, place_below(&place, "x").path), 0);
    CU_ASSERT_EQUAL(verify_with(place.path, 1, &seen, &result), -PST_E_NO_BACKUP);
    CU_ASSERT_EQUAL(verify_with(place_below(&place, "none").path, 1, &seen, &result), -ENOENT);
    remove_place(&place);
}

static void a_fifo_in_the_place_of_a_file_does_not_hang(void)
{
    static const char *const names[] = {
        "BACKUP-1/BACKUP-1.cluster.manifest",
        "BACKUP-1/BACKUP-1.1.manifest",
        "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data",
    };
    for (size_t i = 0; i < 3; i++) {
        struct made_backup made = tiny();
        begin(&made);
        struct made_place path = place_below(&place, names[i]);
        CU_ASSERT_EQUAL(unlink(path.path), 0);
        CU_ASSERT_EQUAL(mkfifo(path.path, 0600), 0);
        CU_ASSERT_EQUAL(verify_with(place.path, 2, &seen, &result), -PST_E_CORRUPT);
        CU_ASSERT_TRUE_FATAL(seen.count >= 1);
        CU_ASSERT_STRING_EQUAL(seen.findings[0].file, names[i]);
        remove_place(&place);
    }
}

static void cancel_stops_it(void)
{
    struct made_backup made = made_tree(2000000);
    begin(&made);
    atomic_bool cancel;
    atomic_init(&cancel, true);
    const struct pst_verify_options options = {.crew = {.workers = 2, .cancel = &cancel}};
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), -ECANCELED);
    remove_place(&place);
}

#define STEP_NS_MAX INT64_C(100000000)

static bool hides_stalls; /* no two looks at the clock are further apart than a step */

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t last_ns, hidden_ns;
    int error = __real_clock_gettime(clock, time);
    if (clock != CLOCK_MONOTONIC || !hides_stalls)
        return error;
    pthread_mutex_lock(&lock);
    int64_t now_ns = time->tv_sec * INT64_C(1000000000) + time->tv_nsec - hidden_ns;
    if (last_ns > 0 && now_ns - last_ns > STEP_NS_MAX) {
        hidden_ns += now_ns - last_ns - STEP_NS_MAX;
        now_ns = last_ns + STEP_NS_MAX;
    }
    last_ns = now_ns;
    pthread_mutex_unlock(&lock);
    time->tv_sec = now_ns / 1000000000;
    time->tv_nsec = now_ns % 1000000000;
    return error;
}

static int pressure_of(const char *per_cent)
{
    int fd = memfd_create("pressure", MFD_CLOEXEC);
    dprintf(fd, "some avg10=%s avg60=0.00 avg300=0.00 total=1\n", per_cent);
    return fd;
}

static struct pst_pace automatic;

/* Who begins reads for 10 ms before it listens. */
static void let_it_begin(void *context, const struct pst_finding *finding)
{
    (void)finding;
    if (!*(bool *)context)
        usleep(20000);
    *(bool *)context = true;
}

/* All of its chunks, behind the part header. */
static void damage_catalogue(const char *path)
{
    struct pst_chunk_header first, header;
    int fd = open(path, O_RDONLY);
    CU_ASSERT_EQUAL(pread(fd, &first, sizeof(first), PST_BLOCK_BYTES), (ssize_t)sizeof(first));
    for (off_t at = PST_BLOCK_BYTES; pread(fd, &header, sizeof(header), at) == sizeof(header);
         at += PST_BLOCK_BYTES) {
        if (memcmp(&header, &first, 8) == 0 && header.type == PST_CHUNK_CATALOGUE)
            flip_bit(path, at + PST_CHUNK_HEADER_BYTES + 10);
    }
    close(fd);
}

/* Where others used a disk of late. Catalogues are read first: damage says when that is. After a
 * second in which nothing was read it would begin anew. */
static void auto_listens_when_it_has_begun(void)
{
    struct made_backup made = made_tree(2000000);
    const struct pst_pace_setting setting = {.mode = PST_PACE_AUTO};
    begin(&made);
    damage_catalogue(place_below(&place, "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data").path);
    damage_catalogue(place_below(&place, "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data").path);
    pst_pace_init(&automatic, &setting, 8);
    pressure_close(&automatic.pressure);
    automatic.pressure =
        (struct pressure){.io_fd = pressure_of("50.00"), .cpu_fd = pressure_of("0.00")};
    bool has_begun = false;
    hides_stalls = true;
    const struct pst_verify_options options = {
        .crew = {.workers = 1, .pace = &automatic}, .context = &has_begun, .found = let_it_begin};
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), -PST_E_CORRUPT);
    hides_stalls = false;
    CU_ASSERT_EQUAL(automatic.control.heard, 3);
    pst_pace_release(&automatic);
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a whole backup passes", a_whole_backup_passes},
        {"every flipped byte is found and named", every_flipped_byte_is_found_and_named},
        {"what could not be checked is said", what_could_not_be_checked_is_said},
        {"truncations are found", truncations_are_found},
        {"bytes behind the end are found", bytes_behind_the_end_are_found},
        {"strange files are warned of", strange_files_are_warned_of},
        {"a missing file is named", a_missing_file_is_named},
        {"files of two clusters are no backup", files_of_two_clusters_are_no_backup},
        {"damage does not end the search", damage_does_not_end_the_search},
        {"the objects that damage hits are named", the_objects_that_damage_hits_are_named},
        {"exchanged parts are found", exchanged_parts_are_found},
        {"what is no backup is said so", what_is_no_backup_is_said_so},
        {"a FIFO in the place of a file does not hang",
         a_fifo_in_the_place_of_a_file_does_not_hang},
        {"cancel stops it", cancel_stops_it},
        {"auto listens when it has begun", auto_listens_when_it_has_begun},
        CU_TEST_INFO_NULL,
    };
    return suite_run("verify", tests);
}
