/* One backup in several directories: the union of what they hold under its uid. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/restore/restore.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define PART_1 "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data"
#define PART_2 "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data"
#define NODE "BACKUP-1/BACKUP-1.1.manifest"
#define CLUSTER "BACKUP-1/BACKUP-1.cluster.manifest"

static struct made_place places[2];
static struct pst_backup_list list;
static const struct pst_backup *backup;
static char message[PST_MESSAGE_BYTES];

/* The same backup 1 in both. */
static void begin(void)
{
    const struct made_backup made = made_tree(100000);
    for (int i = 0; i < 2; i++) {
        places[i] = make_place();
        make_backup(places[i].path, &made);
    }
}

static void end(void)
{
    pst_backup_list_release(&list);
    remove_place(&places[0]);
    remove_place(&places[1]);
}

static void drop(int from, const char *name)
{
    CU_ASSERT_EQUAL(unlink(place_below(&places[from], name).path), 0);
}

static void spoil(int from, const char *name, off_t offset)
{
    int fd = open(place_below(&places[from], name).path, O_RDWR);
    uint8_t byte = 0;
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void read_both(void)
{
    const char *const paths[] = {places[0].path, places[1].path};
    pst_backup_list_release(&list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(paths, 2, &list, message), 0);
}

static int verify(struct pst_verify_result *result)
{
    const struct pst_verify_options options = {.crew = {.workers = 2}};
    read_both();
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    return pst_verify(list.backups[0], &options, result);
}

static void a_backup_is_the_union_of_its_directories(void)
{
    struct pst_verify_result result;
    begin();
    drop(0, PART_1);
    drop(0, NODE);
    drop(1, PART_2);
    drop(1, CLUSTER);
    CU_ASSERT_EQUAL(verify(&result), 0);
    CU_ASSERT_EQUAL(result.files, 4);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
    const struct pst_restore_options options = {.crew = {.workers = 2}};
    struct pst_restore_result restored;
    const struct made_place target = place_below(&places[0], "target");
    CU_ASSERT_EQUAL(pst_restore(list.backups[0], target.path, &options, &restored), 0);
    end();
}

/* Nothing but parts: their headers say whose they are. */
static void parts_alone_are_taken_by_their_uid(void)
{
    struct pst_verify_result result;
    begin();
    drop(0, PART_1);
    drop(1, CLUSTER);
    drop(1, NODE);
    CU_ASSERT_EQUAL(verify(&result), 0);
    end();
}

static void every_copy_is_verified(void)
{
    struct pst_verify_result once, result;
    begin();
    CU_ASSERT_EQUAL(verify(&result), 0);
    CU_ASSERT_EQUAL(result.files, 8);
    drop(1, PART_1);
    drop(1, PART_2);
    CU_ASSERT_EQUAL(verify(&once), 0);
    CU_ASSERT_EQUAL(once.objects, result.objects);
    CU_ASSERT_TRUE(once.bytes < result.bytes);
    end();
    begin();
    spoil(1, PART_2, 4096 + 5000);
    CU_ASSERT_EQUAL(verify(&result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(result.damages, 1);
    end();
}

static void one_directory_named_twice_counts_once(void)
{
    begin();
    const char *const paths[] = {places[0].path, places[0].path};
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(paths, 2, &list, message), 0);
    CU_ASSERT_EQUAL(list.directories.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->found_in, 1);
    end();
}

/* A part that is whole, and names the same backup, but is not the one that its manifest means. */
static void a_part_with_another_digest_is_damage(void)
{
    struct pst_verify_result result;
    begin();
    struct made_backup other = made_tree(100000);
    struct pst_object objects[64];
    CU_ASSERT_FATAL(other.objects_count <= 64);
    memcpy(objects, other.objects, other.objects_count * sizeof(objects[0]));
    objects[3].mtime_sec++; /* of the same length, and in that part alone */
    other.objects = objects;
    remove_tree(place_below(&places[1], "BACKUP-1").path);
    make_backup(places[1].path, &other);
    CU_ASSERT_EQUAL_FATAL(
        rename(place_below(&places[1], PART_1).path, place_below(&places[0], PART_1).path), 0);
    const struct made_place away = place_below(&places[1], "BACKUP-1");
    remove_tree(away.path);
    CU_ASSERT_EQUAL(verify(&result), -PST_E_CORRUPT);
    CU_ASSERT_TRUE(result.damages > 0);
    end();
}

static void copies_that_differ_are_damage(void)
{
    begin();
    spoil(1, NODE, 40);
    read_both();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, places[1].path));
    end();
    begin();
    CU_ASSERT_EQUAL(truncate(place_below(&places[1], PART_1).path, 4096), 0);
    read_both();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, places[1].path));
    end();
}

static void any_copy_of_the_decision_will_do(void)
{
    struct pst_verify_result result;
    for (int i = 0; i < 2; i++) {
        begin();
        spoil(i, CLUSTER, 40);
        CU_ASSERT_EQUAL(verify(&result), 0);
        CU_ASSERT_EQUAL(result.warnings, 1);
        CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
        end();
    }
    begin();
    spoil(0, CLUSTER, 40);
    spoil(1, CLUSTER, 40);
    CU_ASSERT_EQUAL(verify(&result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(result.damages, 2);
    end();
}

static void what_is_missing_is_named(void)
{
    begin();
    for (int i = 0; i < 2; i++)
        drop(i, PART_2);
    read_both();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, PART_2));
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, "part 2 of node 1"));
    for (int i = 0; i < 2; i++)
        drop(i, NODE);
    read_both();
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, NODE));
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, "manifest of node 1"));
    end();
}

/* Two clusters, or two halves of one. */
static void a_number_of_two_is_refused(void)
{
    struct made_backup made = made_tree(10);
    begin();
    made.number = 3;
    made.uid = 0x3a;
    make_backup(places[0].path, &made);
    made.uid = 0x3c;
    make_backup(places[1].path, &made);
    read_both();
    CU_ASSERT_EQUAL(list.count, 3);
    static const char *const ids[] = {"3", NULL};
    for (int i = 0; i < 2; i++) {
        message[0] = '\0';
        CU_ASSERT_EQUAL(pst_backup_find(&list, ids[i], PST_PICK_COMPLETE, &backup, message),
                        -PST_E_NO_BACKUP);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, "3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a"));
        CU_ASSERT_PTR_NOT_NULL(strstr(message, "3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c"));
    }
    CU_ASSERT_EQUAL(pst_backup_find(&list, "3c3c", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->uid[0], 0x3c);
    CU_ASSERT_EQUAL(backup->state, PST_BACKUP_COMPLETE);
    CU_ASSERT_EQUAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    end();
}

/* What a killed backup of that number left elsewhere, before anything said whose it is. */
static void debris_does_not_hide_a_backup(void)
{
    begin();
    drop(1, PART_1);
    drop(1, PART_2);
    drop(1, NODE);
    drop(1, CLUSTER);
    read_both();
    CU_ASSERT_EQUAL(list.count, 2);
    CU_ASSERT_EQUAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->state, PST_BACKUP_COMPLETE);
    end();
}

/* Prepared here, decided there. */
static void a_decision_elsewhere_ends_the_doubt(void)
{
    struct made_backup made = made_tree(10);
    begin();
    made.number = 2;
    made.in_doubt = true;
    make_backup(places[0].path, &made);
    made.no_cluster_manifest = true;
    make_backup(places[1].path, &made);
    read_both();
    CU_ASSERT_EQUAL(list.count, 2);
    CU_ASSERT_EQUAL(list.backups[1]->state, PST_BACKUP_COMPLETE);
    drop(0, "BACKUP-2/BACKUP-2.cluster.manifest");
    read_both();
    CU_ASSERT_EQUAL(list.count, 2);
    CU_ASSERT_EQUAL(list.backups[1]->state, PST_BACKUP_IN_DOUBT);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a backup is the union of its directories", a_backup_is_the_union_of_its_directories},
        {"parts alone are taken by their uid", parts_alone_are_taken_by_their_uid},
        {"every copy is verified", every_copy_is_verified},
        {"one directory named twice counts once", one_directory_named_twice_counts_once},
        {"a part with another digest is damage", a_part_with_another_digest_is_damage},
        {"copies that differ are damage", copies_that_differ_are_damage},
        {"any copy of the decision will do", any_copy_of_the_decision_will_do},
        {"what is missing is named", what_is_missing_is_named},
        {"a number of two is refused", a_number_of_two_is_refused},
        {"debris does not hide a backup", debris_does_not_hide_a_backup},
        {"a decision elsewhere ends the doubt", a_decision_elsewhere_ends_the_doubt},
        CU_TEST_INFO_NULL,
    };
    return suite_run("collect", tests);
}
