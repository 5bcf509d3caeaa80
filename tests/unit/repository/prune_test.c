/* Prune: what goes, what stays, and that nothing half removed looks complete. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/pin.h"
#include "engine/repository/prune.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

static struct made_place places[2];
static struct pst_backup_list list;
static uint64_t idle;
static char message[PST_MESSAGE_BYTES];

static void add(int place, uint32_t number, bool decided, bool in_doubt)
{
    struct made_backup made = made_tree(10);
    made.number = number;
    made.no_cluster_manifest = !decided;
    made.in_doubt = in_doubt;
    make_backup(places[place].path, &made);
}

static void begin(void)
{
    places[0] = make_place();
    places[1] = make_place();
}

static void read_both(void)
{
    const char *const paths[] = {places[0].path, places[1].path};
    pst_backup_list_release(&list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_list_read(paths, 2, &list, message), 0);
}

static void lock(void)
{
    read_both();
    CU_ASSERT_EQUAL_FATAL(pst_prune_lock(&list, &idle, message), 0);
}

static void end(void)
{
    pst_backup_list_release(&list);
    remove_place(&places[0]);
    remove_place(&places[1]);
}

static uint32_t entries_of(int place)
{
    uint32_t count = 0;
    DIR *dir = opendir(places[place].path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

/* A node of a cluster, or, with LOCK_EX, one alone. */
static int node_in(int place, int how)
{
    int fd = open(places[place].path, O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL_FATAL(flock(fd, how), 0);
    return fd;
}

static void touch(int place, const char *name)
{
    int fd = open(place_below(&places[place], name).path, O_CREAT | O_WRONLY, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
}

/* What a sweep showed last, and how often. */
struct shown {
    uint64_t removed, all, times;
};

static void show(void *context, uint64_t removed, uint64_t all)
{
    struct shown *shown = context;
    CU_ASSERT_TRUE(removed >= shown->removed && removed <= all);
    *shown = (struct shown){removed, all, shown->times + 1};
}

static void a_backup_goes_from_all_directories(void)
{
    struct shown shown = {0};
    begin();
    for (int i = 0; i < 2; i++) {
        add(i, 1, true, false);
        add(i, 2, true, false);
    }
    lock();
    CU_ASSERT_EQUAL(idle, 3);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, true, message), 0);
    read_both();
    CU_ASSERT_EQUAL(list.count, 2);
    lock();
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    /* out of sight, and not removed yet: as a prune that was cut off leaves it */
    CU_ASSERT_EQUAL(entries_of(0), 2);
    read_both();
    CU_ASSERT_EQUAL(list.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->number, 2);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, show, &shown, message), 0);
    CU_ASSERT_EQUAL(shown.removed, 2); /* one in each directory */
    CU_ASSERT_EQUAL(shown.all, 2);
    CU_ASSERT_TRUE(shown.times > 2); /* while one is being removed, too */
    CU_ASSERT_EQUAL(entries_of(0), 1);
    CU_ASSERT_EQUAL(entries_of(1), 1);
    end();
}

/* Cut off when one directory had lost it, and the other, which lacks a part, had not. */
static void half_a_prune_is_not_complete_and_can_be_ended(void)
{
    begin();
    add(0, 1, true, false);
    add(1, 1, true, false);
    CU_ASSERT_EQUAL(
        unlink(place_below(&places[1], "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data").path), 0);
    CU_ASSERT_EQUAL(
        rename(place_below(&places[0], "BACKUP-1").path,
               place_below(&places[0], ".BACKUP-1.b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1.pruned").path),
        0);
    lock();
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_DAMAGED);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 0);
    CU_ASSERT_EQUAL(entries_of(1), 0);
    end();
}

static int refuse_rename(struct pst_repository *repository, int directory, const char *from,
                         const char *to, bool replace)
{
    (void)repository, (void)directory, (void)from, (void)to, (void)replace;
    return -EROFS;
}

/* Told to be kept, it is whole: also what lies in directories that could be written. */
static void what_cannot_go_everywhere_stays_everywhere(void)
{
    begin();
    add(0, 1, true, false);
    add(1, 1, true, false);
    lock();
    struct pst_repository_ops ops = *list.directories.repositories[1].ops;
    ops.rename = refuse_rename;
    list.directories.repositories[1].ops = &ops;
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -EROFS);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    read_both();
    CU_ASSERT_EQUAL_FATAL(list.count, 1);
    CU_ASSERT_EQUAL(list.backups[0]->found_in, 3);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
    end();
}

/* In a backup's directory, complete or not, or in one of its parts'. */
static void what_somebody_put_there_stays(void)
{
    static const char *const names[] = {"BACKUP-1/precious", "BACKUP-1/BACKUP-1-0.1.Data",
                                        "BACKUP-1/BACKUP-1-PART-1-OF-2/notes",
                                        "BACKUP-1/BACKUP-2.cluster.manifest"};
    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
        const char *name = names[i / 2];
        begin();
        add(0, 1, i % 2 == 0, false);
        touch(0, name);
        lock();
        CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -ENOTEMPTY);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, strrchr(name, '/') + 1));
        CU_ASSERT_EQUAL(access(place_below(&places[0], name).path, F_OK), 0);
        CU_ASSERT_EQUAL(unlink(place_below(&places[0], name).path), 0);
        CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
        end();
    }
}

static void what_is_in_doubt_stays(void)
{
    begin();
    add(0, 1, false, true);
    lock();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_IN_DOUBT);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_INCOMPLETE);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 1);
    end();
}

static void what_is_incomplete_goes_where_no_node_is(void)
{
    begin();
    add(0, 1, false, false);
    int node = node_in(0, LOCK_SH);
    lock();
    CU_ASSERT_EQUAL(idle, 2);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_BUSY);
    close(node);
    lock();
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 0);
    end();
}

/* NDB names its native backups BACKUP-<number> too. */
static void what_is_not_penstocks_stays(void)
{
    begin();
    add(0, 1, true, false);
    CU_ASSERT_EQUAL_FATAL(mkdir(place_below(&places[0], "BACKUP-2").path, 0700), 0);
    touch(0, "BACKUP-2/BACKUP-2-0.1.Data");
    lock();
    CU_ASSERT_EQUAL(list.count, 2);
    CU_ASSERT_EQUAL(pst_prune(list.backups[1], idle, false, message), -PST_E_INCOMPLETE);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "remove it by hand"));
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 2);
    end();
}

/* Some node of the cluster has not stored its copy of the decision yet. */
static void what_a_node_is_at_work_on_stays(void)
{
    begin();
    add(0, 1, true, false);
    add(1, 1, true, false);
    touch(1, "BACKUP-1/BACKUP-1.2.mark");
    int node = node_in(1, LOCK_SH);
    lock();
    CU_ASSERT_EQUAL(idle, 1);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_BUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, places[1].path));
    CU_ASSERT_EQUAL(entries_of(0), 1);
    read_both();
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
    close(node); /* the mark was a dead one's */
    lock();
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    end();
}

static void complete_ones_go_beside_a_node(void)
{
    begin();
    add(0, 1, true, false);
    int node = node_in(0, LOCK_SH);
    lock();
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 0);
    close(node);
    node = node_in(0, LOCK_EX);
    read_both();
    CU_ASSERT_EQUAL(pst_prune_lock(&list, &idle, message), -PST_E_BUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, places[0].path));
    close(node);
    end();
}

static void what_is_being_read_stays(void)
{
    struct pst_backup_list readers;
    struct pst_backup_hold hold;
    begin();
    add(0, 1, true, false);
    list_backups(places[0].path, &readers);
    CU_ASSERT_EQUAL(pst_backup_keep(readers.backups[0], &hold), 0);
    lock();
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_BUSY);
    pst_backup_let_go(&hold);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    CU_ASSERT_EQUAL(pst_backup_keep(readers.backups[0], &hold), -PST_E_CHANGED);
    pst_backup_list_release(&readers);
    end();
}

/* In one directory of two, and pinned after the list was read: it counts all the same. */
static void what_is_pinned_stays(void)
{
    begin();
    add(0, 1, true, false);
    lock();
    CU_ASSERT_FALSE(list.backups[0]->is_pinned);
    struct pst_backup_list other;
    list_backups(places[0].path, &other);
    CU_ASSERT_EQUAL_FATAL(pst_pin(other.backups[0], message), 0);
    pst_backup_list_release(&other);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_PINNED);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "penstock unpin"));
    add(1, 1, true, false);
    lock();
    CU_ASSERT_TRUE(list.backups[0]->is_pinned);
    CU_ASSERT_EQUAL(list.backups[0]->state, PST_BACKUP_COMPLETE);
    CU_ASSERT_EQUAL(pst_pin(list.backups[0], message), 0); /* in both */
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, true, message), -PST_E_PINNED);
    CU_ASSERT_EQUAL(pst_unpin(list.backups[0], message), 0);
    CU_ASSERT_EQUAL(pst_unpin(list.backups[0], message), 0);
    lock();
    CU_ASSERT_FALSE(list.backups[0]->is_pinned);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), 0);
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 0);
    CU_ASSERT_EQUAL(entries_of(1), 0);
    end();
}

/* A file that is called like a pin and is none keeps its backup, and stays itself. */
static void only_the_own_pin_is_taken_out(void)
{
    begin();
    add(0, 1, true, false);
    touch(0, "BACKUP-1/BACKUP-1.pin");
    lock();
    CU_ASSERT_TRUE(list.backups[0]->is_pinned);
    CU_ASSERT_EQUAL(pst_unpin(list.backups[0], message), -PST_E_MISPLACED);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "BACKUP-1/BACKUP-1.pin"));
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_PINNED);
    CU_ASSERT_EQUAL(access(place_below(&places[0], "BACKUP-1/BACKUP-1.pin").path, F_OK), 0);
    end();
}

/* Pruned by another, and the number given to a new backup, since the list was read. */
static void another_of_the_same_number_stays(void)
{
    struct made_backup made = made_tree(10);
    begin();
    add(0, 1, true, false);
    lock();
    CU_ASSERT_EQUAL(
        rename(place_below(&places[0], "BACKUP-1").path, place_below(&places[1], "elsewhere").path),
        0);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_CHANGED);
    made.uid = 0x3a;
    make_backup(places[0].path, &made);
    CU_ASSERT_EQUAL(pst_prune(list.backups[0], idle, false, message), -PST_E_CHANGED);
    CU_ASSERT_EQUAL(entries_of(0), 1);
    end();
}

/* All of it in others. */
static void add_referring(uint32_t number, const uint32_t *origins, bool in_doubt)
{
    static struct made_reference references[2];
    struct made_backup made = made_tree(10);
    made.number = number;
    made.in_doubt = in_doubt;
    made.no_cluster_manifest = in_doubt;
    made.data_count = 0;
    references[0] = (struct made_reference){0, 4, 0, 100, origins[0], 4, false};
    references[1] = (struct made_reference){1, 12, 0, 3000, origins[1], 12, false};
    made.references = references;
    made.references_count = 2;
    make_backup(places[0].path, &made);
}

static int prune(size_t i, bool only_look)
{
    return pst_prune(list.backups[i], idle, only_look, message);
}

/* Whether it is only looked at, or done. */
static void what_others_refer_to_stays(void)
{
    for (int only_look = 0; only_look < 2; only_look++) {
        begin();
        add(0, 1, true, false);
        add(0, 2, true, false);
        add_referring(3, (const uint32_t[]){1, 2}, false);
        add_referring(4, (const uint32_t[]){1, 1}, false);
        lock();
        CU_ASSERT_EQUAL_FATAL(list.count, 4);
        CU_ASSERT_EQUAL(list.backups[3]->state, PST_BACKUP_COMPLETE);
        CU_ASSERT_EQUAL(prune(0, only_look), -PST_E_REFERRED);
        CU_ASSERT_STRING_EQUAL(message, "backup 1 holds data of backups 3, 4: it can only go with "
                                        "these, or after them");
        CU_ASSERT_EQUAL(prune(1, only_look), -PST_E_REFERRED);
        CU_ASSERT_EQUAL(prune(2, only_look), 0);
        CU_ASSERT_EQUAL(prune(1, only_look), 0);
        CU_ASSERT_EQUAL(prune(0, only_look), -PST_E_REFERRED);
        CU_ASSERT_EQUAL(prune(3, only_look), 0);
        CU_ASSERT_EQUAL(prune(0, only_look), 0);
        end();
    }
}

static void note(size_t i, bool is_damaged, uint64_t unix_ns)
{
    struct pst_backup_hold hold;
    const struct pst_verified verified = {.is_known = true,
                                          .is_damaged = is_damaged,
                                          .unix_ns = unix_ns,
                                          .windows = 1,
                                          .covered = !is_damaged};
    CU_ASSERT_EQUAL_FATAL(pst_backup_keep(list.backups[i], &hold), 0);
    CU_ASSERT_EQUAL(pst_verified_note(list.backups[i], &hold, &verified), 0);
    pst_backup_let_go(&hold);
}

static bool is_noted(size_t i)
{
    return list.backups[i]->verified.is_damaged;
}

/* The damage that was found in what goes may lie in what it names. */
static void damage_is_known_of_what_stays(void)
{
    begin();
    for (uint32_t number = 1; number < 4; number++)
        add(0, number, true, false);
    add_referring(4, (const uint32_t[]){1, 2}, false);
    add_referring(5, (const uint32_t[]){1, 1}, false);
    add_referring(6, (const uint32_t[]){3, 3}, false);
    read_both();
    note(1, false, 300); /* since then */
    note(2, true, 250);  /* and this, which is not to become older */
    note(3, true, 200);
    note(5, true, 200);
    lock();
    CU_ASSERT_EQUAL(prune(5, false), 0);
    lock();
    CU_ASSERT_EQUAL(list.backups[2]->verified.unix_ns, 250);
    CU_ASSERT_EQUAL(prune(3, true), 0);
    lock();
    CU_ASSERT_FALSE(is_noted(0));
    CU_ASSERT_EQUAL(prune(3, false), 0);
    lock();
    CU_ASSERT_EQUAL_FATAL(list.count, 4);
    CU_ASSERT_TRUE(is_noted(0));
    CU_ASSERT_EQUAL(list.backups[0]->verified.unix_ns, 200);
    CU_ASSERT_TRUE(list.backups[1]->verified.is_known && !is_noted(1));
    CU_ASSERT_FALSE(is_noted(3));
    end();
}

/* It may become complete. */
static void what_one_in_doubt_refers_to_stays(void)
{
    begin();
    add(0, 1, true, false);
    add(0, 2, true, false);
    add_referring(3, (const uint32_t[]){1, 1}, true);
    lock();
    CU_ASSERT_EQUAL_FATAL(list.count, 3);
    CU_ASSERT_EQUAL(list.backups[2]->state, PST_BACKUP_IN_DOUBT);
    CU_ASSERT_EQUAL(prune(0, false), -PST_E_REFERRED);
    CU_ASSERT_EQUAL(prune(1, false), 0);
    end();
}

/* One that is read holds what it refers to. */
static void what_is_read_through_another_stays(void)
{
    struct pst_backup_hold hold;
    begin();
    add(0, 1, true, false);
    add_referring(2, (const uint32_t[]){1, 1}, false);
    lock();
    CU_ASSERT_EQUAL_FATAL(pst_backup_keep(list.backups[1], &hold), 0);
    CU_ASSERT_EQUAL(prune(1, false), -PST_E_BUSY);
    list.backups[1]->is_pruned = true; /* whoever does not know of it */
    CU_ASSERT_EQUAL(prune(0, false), -PST_E_BUSY);
    pst_backup_let_go(&hold);
    CU_ASSERT_EQUAL(prune(0, false), 0);
    end();
}

/* Names that are like those of pruned backups. */
static void strangers_stay(void)
{
    static const char *const names[] = {".BACKUP-1.pruned",
                                        ".BACKUP-01.00112233445566778899aabbccddeeff.pruned",
                                        ".BACKUP-1.00112233445566778899aabbccddeeff.prunes",
                                        ".BACKUP-1.0011.pruned", ".BACKUP-1.2.tmp"};
    begin();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CU_ASSERT_EQUAL(mkdir(place_below(&places[0], names[i]).path, 0700), 0);
    lock();
    CU_ASSERT_EQUAL(pst_prune_sweep(&list, NULL, NULL, message), 0);
    CU_ASSERT_EQUAL(entries_of(0), 5);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a backup goes from all directories", a_backup_goes_from_all_directories},
        {"half a prune is not complete, and can be ended",
         half_a_prune_is_not_complete_and_can_be_ended},
        {"what cannot go everywhere stays everywhere", what_cannot_go_everywhere_stays_everywhere},
        {"what somebody put there stays", what_somebody_put_there_stays},
        {"what is in doubt stays", what_is_in_doubt_stays},
        {"what is incomplete goes where no node is", what_is_incomplete_goes_where_no_node_is},
        {"what is not Penstock's stays", what_is_not_penstocks_stays},
        {"what a node is at work on stays", what_a_node_is_at_work_on_stays},
        {"complete ones go beside a node", complete_ones_go_beside_a_node},
        {"what is being read stays", what_is_being_read_stays},
        {"what is pinned stays", what_is_pinned_stays},
        {"what others refer to stays", what_others_refer_to_stays},
        {"damage is known of what stays", damage_is_known_of_what_stays},
        {"what one in doubt refers to stays", what_one_in_doubt_refers_to_stays},
        {"what is read through another stays", what_is_read_through_another_stays},
        {"only the own pin is taken out", only_the_own_pin_is_taken_out},
        {"another of the same number stays", another_of_the_same_number_stays},
        {"strangers stay", strangers_stay},
        CU_TEST_INFO_NULL,
    };
    return suite_run("prune", tests);
}
