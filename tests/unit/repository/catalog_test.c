/* The catalogue: what is in a directory, in which state, and what an ID means. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/catalog.h"
#include "engine/repository/repository_posix.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

static struct made_place place;
static struct pst_backup_list list;

static void add_backup(uint32_t number, bool decided)
{
    struct made_backup made = made_tree(10);
    made.number = number;
    made.no_cluster_manifest = !decided;
    make_backup(place.path, &made);
}

static void damage(const char *name, off_t offset)
{
    int fd = open(place_below(&place, name).path, O_WRONLY);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(pwrite(fd, "\1", 1, offset), 1);
    close(fd);
}

static void read_list(void)
{
    list_backups(place.path, &list);
}

static void end(void)
{
    pst_backup_list_release(&list);
    remove_place(&place);
}

static void backups_are_listed_in_order(void)
{
    place = make_place();
    read_list();
    CU_ASSERT_EQUAL(list.count, 0);
    pst_backup_list_release(&list);
    add_backup(10, true);
    add_backup(9, true);
    add_backup(2, false);
    CU_ASSERT_EQUAL(mkdir(place_below(&place, "BACKUP-x").path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(place_below(&place, "BACKUP-03").path, 0700), 0);
    CU_ASSERT_EQUAL(symlink("BACKUP-9", place_below(&place, "BACKUP-4").path), 0);
    CU_ASSERT_EQUAL(close(open(place_below(&place, "BACKUP-5").path, O_CREAT | O_WRONLY, 0600)), 0);
    read_list();
    CU_ASSERT_EQUAL_FATAL(list.count, 3);
    CU_ASSERT_EQUAL(list.backups[0]->number, 2);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_INCOMPLETE);
    CU_ASSERT_EQUAL(list.backups[0]->error, -PST_E_INCOMPLETE);
    CU_ASSERT_EQUAL(list.backups[1]->number, 9);
    CU_ASSERT_EQUAL(list.backups[1]->state, PST_BACKUP_COMPLETE);
    CU_ASSERT_STRING_EQUAL(list.backups[1]->reason, "");
    CU_ASSERT_EQUAL(list.backups[2]->number, 10);
    CU_ASSERT_STRING_EQUAL(list.backups[2]->nodes[0].sources[0].name, "one");
    end();
}

/* Prepared by a node of several: not there, and not nothing either. */
static void a_backup_may_be_in_doubt(void)
{
    const struct pst_backup *backup = NULL;
    char message[PST_MESSAGE_BYTES];
    place = make_place();
    struct made_backup made = made_tree(10);
    made.number = 1;
    make_backup(place.path, &made);
    made.number = 2;
    made.in_doubt = made.no_cluster_manifest = true;
    make_backup(place.path, &made);
    read_list();
    CU_ASSERT_EQUAL_FATAL(list.count, 2);
    CU_ASSERT_EQUAL(list.backups[1]->state, PST_BACKUP_IN_DOUBT);
    CU_ASSERT_STRING_EQUAL(pst_backup_state_text(PST_BACKUP_IN_DOUBT), "in doubt");
    CU_ASSERT_STRING_NOT_EQUAL(list.backups[1]->reason, "");
    CU_ASSERT_EQUAL(list.backups[1]->error, -PST_E_INCOMPLETE);
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_DECIDED, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 1);
    end();
}

static void ids_are_numbers_or_uids(void)
{
    const struct pst_backup *backup = NULL;
    char message[PST_MESSAGE_BYTES];
    place = make_place();
    add_backup(1, true);
    add_backup(2, true);
    add_backup(3, false);
    read_list();
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 2);
    CU_ASSERT_EQUAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 1);
    CU_ASSERT_EQUAL(pst_backup_find(&list, "3", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->state, PST_BACKUP_INCOMPLETE);
    /* the uids are b1b1…, b2b2… */
    CU_ASSERT_EQUAL(pst_backup_find(&list, "b1b1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 1);
    static const char *const unknown[] = {"b1b", "4", "01", "", "b1b2", "BACKUP-1", "-1"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        message[0] = '\0';
        CU_ASSERT_EQUAL(pst_backup_find(&list, unknown[i], PST_PICK_COMPLETE, &backup, message),
                        -PST_E_NO_BACKUP);
        CU_ASSERT_STRING_NOT_EQUAL(message, "");
    }
    end();
}

static void a_uid_of_two_is_not_guessed(void)
{
    const struct pst_backup *backup = NULL;
    char message[PST_MESSAGE_BYTES] = "";
    place = make_place();
    add_backup(1, true);
    add_backup(257, true); /* its uid is b1b1… too */
    read_list();
    CU_ASSERT_EQUAL(pst_backup_find(&list, "b1b1", PST_PICK_COMPLETE, &backup, message),
                    -PST_E_NO_BACKUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "2 backups"));
    end();
}

static void damaged_backups_say_why(void)
{
    const struct pst_backup *backup = NULL;
    char message[PST_MESSAGE_BYTES];
    place = make_place();
    for (uint32_t i = 1; i <= 5; i++)
        add_backup(i, true);
    damage("BACKUP-2/BACKUP-2.cluster.manifest", 30);
    damage("BACKUP-3/BACKUP-3.1.manifest", 30);
    CU_ASSERT_EQUAL(
        truncate(place_below(&place, "BACKUP-4/BACKUP-4-PART-1-OF-2/BACKUP-4.1.data").path, 5), 0);
    CU_ASSERT_EQUAL(
        unlink(place_below(&place, "BACKUP-5/BACKUP-5-PART-2-OF-2/BACKUP-5.1.data").path), 0);
    read_list();
    static const char *const files[] = {"BACKUP-2/BACKUP-2.cluster.manifest",
                                        "BACKUP-3/BACKUP-3.1.manifest",
                                        "BACKUP-4/BACKUP-4-PART-1-OF-2/BACKUP-4.1.data",
                                        "BACKUP-5/BACKUP-5-PART-2-OF-2/BACKUP-5.1.data"};
    for (uint32_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(list.backups[i + 1]->state, PST_BACKUP_DAMAGED);
        CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[i + 1]->reason, files[i]));
    }
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 1);
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_DECIDED, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 1);
    CU_ASSERT_EQUAL(pst_backup_warn_passed_over(&list, backup), 4);
    pst_backup_list_release(&list);
    damage("BACKUP-1/BACKUP-1.1.manifest", 30); /* none is left */
    read_list();
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_COMPLETE, &backup, message),
                    -PST_E_NO_BACKUP);
    CU_ASSERT_EQUAL(pst_backup_find(&list, NULL, PST_PICK_DECIDED, &backup, message), 0);
    CU_ASSERT_EQUAL(backup->number, 5);
    end();
}

/* Changes the byte behind `before` in a manifest, and its checksum with it. */
static void rewrite_manifest(const char *name, const char *before, char byte)
{
    const struct made_place path = place_below(&place, name);
    char text[4096] = "", digest_text[PST_DIGEST_TEXT_BYTES];
    int fd = open(path.path, O_RDONLY);
    CU_ASSERT_TRUE_FATAL(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    char *found = strstr(text, before);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    found[strlen(before)] = byte;
    char *second = strchr(text, '\n') + 1;
    const struct pst_digest digest = pst_digest_of(text, (size_t)(second - text), 0);
    sprintf(second, "{\"checksum\":\"%s\"}\n", pst_digest_text(&digest, digest_text));
    fd = open(path.path, O_WRONLY | O_TRUNC);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* The cluster manifest as a newer version would have written it. */
static void a_newer_backup_is_told_from_a_damaged_one(void)
{
    place = make_place();
    add_backup(1, true);
    rewrite_manifest("BACKUP-1/BACKUP-1.cluster.manifest", "\"incompatible\":", '8');
    read_list();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_NEWER);
    CU_ASSERT_EQUAL(list.backups[0]->error, -PST_E_NEWER);
    CU_ASSERT_STRING_EQUAL(pst_backup_state_text(list.backups[0]->state), "newer");
    end();
}

/* Whole, of this backup and as long, but not the one that was decided on. */
static void another_node_manifest_is_damage(void)
{
    place = make_place();
    add_backup(1, true);
    rewrite_manifest("BACKUP-1/BACKUP-1.1.manifest", "\"spec\":\"", 'X');
    read_list();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_EQUAL(list.backups[0]->error, -PST_E_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(list.backups[0]->reason, "not the one that the cluster"));
    end();
}

/* One backup's manifests under another one's number. */
static void a_renamed_backup_is_damaged(void)
{
    place = make_place();
    add_backup(1, true);
    CU_ASSERT_EQUAL(
        rename(place_below(&place, "BACKUP-1").path, place_below(&place, "BACKUP-2").path), 0);
    CU_ASSERT_EQUAL(rename(place_below(&place, "BACKUP-2/BACKUP-1.cluster.manifest").path,
                           place_below(&place, "BACKUP-2/BACKUP-2.cluster.manifest").path),
                    0);
    read_list();
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_EQUAL(list.backups[0]->error, -PST_E_MISPLACED);
    end();
}

static void a_directory_that_cannot_be_read_is_an_error(void)
{
    static const char *const paths[] = {"/", "/nonexistent", "/dev/null", NULL};
    static const int errors[] = {0, -ENOENT, -ENOTDIR, -EINVAL};
    char message[PST_MESSAGE_BYTES] = "";
    for (uint32_t i = 1; i < 4; i++) {
        const char *const two[] = {paths[0], paths[i]};
        CU_ASSERT_EQUAL(pst_backup_list_read(two, 2, &list, message), errors[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, paths[i] ? paths[i] : "NULL"));
    }
    CU_ASSERT_EQUAL(pst_backup_list_read(paths, 0, &list, message), -EINVAL);
}

/* ---- what a list costs ---- */

/* The operations of a directory, counted. */
static struct {
    uint64_t opens, reads, lists, statuses;
} counted;
static const struct pst_repository_ops *counted_ops;

static int count_open(struct pst_repository *repository, int directory, const char *path)
{
    counted.opens++;
    return counted_ops->open(repository, directory, path);
}

static int count_read(struct pst_repository *repository, int directory, const char *name,
                      size_t bytes_max, char **bytes, size_t *size)
{
    counted.reads++;
    return counted_ops->read(repository, directory, name, bytes_max, bytes, size);
}

static int count_list(struct pst_repository *repository, int directory,
                      struct pst_repository_names *names)
{
    counted.lists++;
    return counted_ops->list(repository, directory, names);
}

static int count_status(struct pst_repository *repository, int directory, const char *path,
                        struct pst_repository_status *status)
{
    counted.statuses++;
    return counted_ops->status(repository, directory, path, status);
}

static void read_and_count(void)
{
    static struct pst_repository_ops ops;
    char message[PST_MESSAGE_BYTES];
    list = (struct pst_backup_list){.directories = {.count = 1, .paths = {place.path}}};
    struct pst_repository *repository = &list.directories.repositories[0];
    CU_ASSERT_EQUAL_FATAL(repository_posix_open(repository, place.path, NULL), 0);
    counted_ops = repository->ops;
    ops = *counted_ops;
    ops.open = count_open;
    ops.read = count_read;
    ops.list = count_list;
    ops.status = count_status;
    repository->ops = &ops;
    memset(&counted, 0, sizeof(counted));
    CU_ASSERT_EQUAL_FATAL(catalog_read(&list, message), 0);
}

static void a_list_reads_each_file_once(void)
{
    place = make_place();
    for (uint32_t number = 1; number <= 8; number++)
        add_backup(number, true);
    read_and_count();
    CU_ASSERT_EQUAL(list.count, 8);
    CU_ASSERT_EQUAL(list.backups[7]->state, PST_BACKUP_COMPLETE);
    CU_ASSERT_EQUAL(counted.reads, 8 * 3); /* the decision, its copy, the node's manifest */
    CU_ASSERT_EQUAL(counted.opens, 8 * 2); /* once to identify it, once to load it */
    CU_ASSERT_EQUAL(counted.lists, 1);
    CU_ASSERT_EQUAL(counted.statuses,
                    8 * 6); /* whether it is pinned, its parts, and since when it is here */
    end();
}

/* Nothing of one makes another dearer. */
static void strays_cost_the_same_each(void)
{
    uint64_t reads = 0, opens = 0, lists = 0, statuses = 0;
    for (uint32_t count = 100; count <= 200; count += 100) {
        place = make_place();
        add_backup(1, true);
        for (uint32_t i = 0; i < count; i++) {
            char name[32];
            snprintf(name, sizeof(name), "BACKUP-%u", i + 2);
            CU_ASSERT_EQUAL(mkdir(place_below(&place, name).path, 0700), 0);
        }
        read_and_count();
        CU_ASSERT_EQUAL(list.count, count + 1);
        CU_ASSERT_EQUAL(list.backups[1]->state, PST_BACKUP_INCOMPLETE);
        if (count == 200) {
            CU_ASSERT_EQUAL(counted.reads - 3, 2 * (reads - 3));
            CU_ASSERT_EQUAL(counted.opens - 2, 2 * (opens - 2));
            CU_ASSERT_EQUAL(counted.lists - 1, 2 * (lists - 1));
            CU_ASSERT_EQUAL(counted.statuses - 6, 2 * (statuses - 6));
            CU_ASSERT_EQUAL(counted.reads, 3 + 2 * count);
        }
        reads = counted.reads;
        opens = counted.opens;
        lists = counted.lists;
        statuses = counted.statuses;
        end();
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a list reads each file once", a_list_reads_each_file_once},
        {"strays cost the same each", strays_cost_the_same_each},
        {"backups are listed in order", backups_are_listed_in_order},
        {"a backup may be in doubt", a_backup_may_be_in_doubt},
        {"ids are numbers or uids", ids_are_numbers_or_uids},
        {"a uid of two is not guessed", a_uid_of_two_is_not_guessed},
        {"damaged backups say why", damaged_backups_say_why},
        {"a newer backup is told from a damaged one", a_newer_backup_is_told_from_a_damaged_one},
        {"another node manifest is damage", another_node_manifest_is_damage},
        {"a renamed backup is damaged", a_renamed_backup_is_damaged},
        {"a directory that cannot be read is an error",
         a_directory_that_cannot_be_read_is_an_error},
        CU_TEST_INFO_NULL,
    };
    return suite_run("catalog", tests);
}
