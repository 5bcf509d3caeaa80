/* Retention: which of the backups that a list describes stay, and why. No disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/repository/backup_origins.h"
#include "engine/repository/retention.h"
#include "engine/repository/verify_due.h"
#include "tests/suite.h"

#define HOUR UINT64_C(3600000000000)
#define DAY (24 * HOUR)
#define MONDAY (UINT64_C(20605) * DAY) /* 2026-06-01T00:00:00Z */
#define BACKUPS 400

static struct pst_backup backups[BACKUPS];
static struct pst_node_manifest nodes[BACKUPS];
static struct pst_backup *pointers[BACKUPS];
static struct pst_backup_list list;
static struct pst_retention_verdict verdicts[BACKUPS];
static struct pst_retention rules;

static void begin(void)
{
    memset(backups, 0, sizeof(backups));
    memset(nodes, 0, sizeof(nodes));
    list = (struct pst_backup_list){.backups = pointers};
    rules = (struct pst_retention){.now_unix_ns = MONDAY + 1000 * DAY};
}

/* A complete backup of the source "data", of cluster 1, with the next number. */
static struct pst_backup *add(uint64_t started_unix_ns)
{
    size_t i = list.count++;
    struct pst_backup *backup = &backups[i];
    backup->number = backup->stored_as = (uint32_t)i + 1;
    backup->list = &list;
    backup->found_in = 1;
    backup->state = PST_BACKUP_COMPLETE;
    backup->has_cluster = true;
    backup->cluster.common.cluster_id = 1;
    backup->cluster.common.started_unix_ns = started_unix_ns;
    backup->cluster.nodes_count = 1;
    backup->cluster.nodes[0].node = 1;
    backup->nodes = &nodes[i];
    nodes[i].node = nodes[i].parts_count = nodes[i].sources_count = 1;
    nodes[i].sources[0] = (struct pst_manifest_source){.name = "data", .spec = "dir:/srv/data"};
    pointers[i] = backup;
    return backup;
}

/* By index. */
static void refer(size_t from, size_t to)
{
    struct pst_cluster_manifest *cluster = &backups[from].cluster;
    struct pst_manifest_origin *origin = &cluster->origins[cluster->origins_count++];
    memcpy(origin->uid, backups[to].uid, sizeof(origin->uid));
    origin->number = backups[to].number;
}

static const char *kept(void)
{
    static char text[BACKUPS * 4];
    size_t used = 0;
    text[0] = '\0';
    CU_ASSERT_EQUAL_FATAL(pst_retention_judge(&list, &rules, verdicts), 0);
    for (size_t i = 0; i < list.count; i++) {
        if (verdicts[i].is_kept)
            used +=
                (size_t)snprintf(text + used, sizeof(text) - used, "%s%zu", used ? " " : "", i + 1);
    }
    return text;
}

static void the_newest_of_each_period_stay(void)
{
    begin();
    for (int day = 0; day < 21; day++) { /* 1 … 42: 03:00 and 15:00, three weeks from a Monday */
        add(MONDAY + (uint64_t)day * DAY + 3 * HOUR);
        add(MONDAY + (uint64_t)day * DAY + 15 * HOUR);
    }
    rules.counts[PST_RETENTION_LAST] = 3;
    CU_ASSERT_STRING_EQUAL(kept(), "40 41 42");
    rules.counts[PST_RETENTION_LAST] = 0;
    rules.counts[PST_RETENTION_DAYS] = 3;
    CU_ASSERT_STRING_EQUAL(kept(), "38 40 42");
    CU_ASSERT_STRING_EQUAL(verdicts[37].reason, "day 3 of 3");
    CU_ASSERT_STRING_EQUAL(verdicts[36].reason, "no rule keeps it");
    rules.counts[PST_RETENTION_WEEKS] = 9;
    CU_ASSERT_STRING_EQUAL(kept(), "14 28 38 40 42");
    CU_ASSERT_STRING_EQUAL(verdicts[41].reason, "day 1 of 3, week 1 of 9");
    rules.counts[PST_RETENTION_DAYS] = rules.counts[PST_RETENTION_WEEKS] = 0;
    rules.counts[PST_RETENTION_HOURS] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "41 42");
}

/* 2026-06-01 … : months and years end where the calendar says. */
static void months_and_years_are_of_the_calendar(void)
{
    begin();
    add(MONDAY - 152 * DAY); /* 2025-12-31 */
    add(MONDAY - 151 * DAY); /* 2026-01-01 */
    add(MONDAY - 1);         /* 2026-05-31T23:59:59.999999999Z */
    add(MONDAY);
    add(MONDAY + 29 * DAY); /* 2026-06-30 */
    rules.counts[PST_RETENTION_MONTHS] = 3;
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 5");
    rules.counts[PST_RETENTION_MONTHS] = 0;
    rules.counts[PST_RETENTION_YEARS] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "1 5");
}

/* More than a decision has room for, for its nodes refer to others than its master. */
static void what_a_node_alone_names_stays(void)
{
    begin();
    for (int day = 0; day < 3; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    nodes[2].origins_count = 1;
    nodes[2].origins[0].number = 1;
    memcpy(nodes[2].origins[0].uid, backups[0].uid, sizeof(backups[0].uid));
    backups[2].cluster.origins_count = PST_ORIGINS_MAX;
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 3");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason, "holds data of backup 3");
}

/* And what holds data of that, whatever the rules say of it. */
static void what_holds_data_of_one_that_stays_stays(void)
{
    begin();
    for (int day = 0; day < 5; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    refer(4, 2); /* the newest, 5, has data in 3, and that in 1 */
    refer(2, 0);
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 3 5");
    CU_ASSERT_STRING_EQUAL(verdicts[2].reason, "holds data of backup 5");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason, "holds data of backup 3");
}

static void identify(size_t i)
{
    backups[i].has_uid = true;
    memset(backups[i].uid, (int)i + 1, sizeof(backups[i].uid));
}

/* Its master has named, in the decision, what it refers to itself. */
static void what_one_that_cannot_be_read_may_refer_to_stays(void)
{
    begin();
    for (size_t day = 0; day < 4; day++) {
        add(MONDAY + day * DAY);
        identify(day);
    }
    refer(3, 1);
    rules.counts[PST_RETENTION_LAST] = 1;
    backups[3].state = PST_BACKUP_DAMAGED;
    nodes[3].parts_count = 0;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4");
    backups[3].cluster.master_node = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 4");
    backups[3].cluster.master_node = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4");
}

/* What has data in it is younger, whatever its number: one of the two can go. */
static void nobody_refers_in_a_circle(void)
{
    begin();
    for (size_t day = 0; day < 2; day++) {
        add(MONDAY + day * DAY);
        identify(day);
    }
    backups[1].state = PST_BACKUP_DAMAGED;
    backups[1].has_cluster = false;
    CU_ASSERT_TRUE(pst_backup_refers_to(&backups[1], &backups[0]));
    refer(0, 1);
    CU_ASSERT_FALSE(pst_backup_refers_to(&backups[1], &backups[0]));
    CU_ASSERT_TRUE(pst_backup_refers_to(&backups[0], &backups[1]));
}

/* A rule never empties a series, however it is meant. */
static void the_newest_complete_one_stays(void)
{
    static const char *const labels[] = {"before the move"};
    begin();
    strcpy(add(MONDAY)->cluster.label, "before the move");
    add(MONDAY + DAY);
    add(MONDAY + 2 * DAY);
    add(MONDAY + 3 * DAY)->state = PST_BACKUP_PARTIAL;
    rules.labels = labels;
    rules.labels_count = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 3 4");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason, "labelled \"before the move\"");
    CU_ASSERT_STRING_EQUAL(verdicts[2].reason, "the newest complete one");
}

/* Counted from the newest, not from now: when no backups come any more, none go. */
static void within_counts_from_the_newest(void)
{
    begin();
    for (int day = 0; day < 10; day++)
        add(MONDAY + (uint64_t)day * DAY);
    rules.within_ns = 2 * DAY;
    CU_ASSERT_STRING_EQUAL(kept(), "8 9 10");
    rules.now_unix_ns = MONDAY + 9 * DAY + HOUR;
    rules.min_age_ns = 4 * DAY;
    CU_ASSERT_STRING_EQUAL(kept(), "7 8 9 10");
    CU_ASSERT_STRING_EQUAL(verdicts[6].reason, "too young");
}

/* Made with a clock that was ahead, it says nothing of how old the others are. */
static void a_newest_one_of_the_future_makes_none_old(void)
{
    begin();
    for (int day = 0; day < 10; day++)
        add(MONDAY + (uint64_t)day * DAY);
    add(MONDAY + 900 * DAY);
    rules.within_ns = 2 * DAY;
    rules.now_unix_ns = MONDAY + 9 * DAY + HOUR;
    CU_ASSERT_STRING_EQUAL(kept(), "9 10 11");
}

static void what_is_not_complete_never_counts(void)
{
    static const enum pst_backup_state states[] = {PST_BACKUP_PARTIAL, PST_BACKUP_DAMAGED,
                                                   PST_BACKUP_INCOMPLETE, PST_BACKUP_SPLIT};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        begin();
        add(MONDAY)->state = states[i];
        add(MONDAY + DAY);
        add(MONDAY + 2 * DAY)->state = states[i];
        backups[2].has_cluster = states[i] != PST_BACKUP_INCOMPLETE;
        add(MONDAY + 3 * DAY);
        add(MONDAY + 4 * DAY)->state = states[i];
        rules.counts[PST_RETENTION_LAST] = 2;
        /* a half of one whose other half is elsewhere is nobody's to remove */
        CU_ASSERT_STRING_EQUAL(kept(), states[i] == PST_BACKUP_SPLIT ? "1 2 3 4 5" : "2 3 4 5");
        CU_ASSERT_TRUE(verdicts[0].is_due);
        rules.counts[PST_RETENTION_LAST] = 1;
        CU_ASSERT_STRING_EQUAL(kept(), states[i] == PST_BACKUP_SPLIT ? "1 3 4 5" : "4 5");
    }
}

/* Nor what refers to it. Whoever may read it can judge it. */
static void what_cannot_be_read_stays(void)
{
    begin();
    for (int day = 0; day < 4; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    backups[0].state = backups[1].state = PST_BACKUP_DAMAGED;
    backups[0].error = -EACCES;
    backups[1].error = -PST_E_BASE_MISSING;
    refer(1, 0);
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 4");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason,
                           "it cannot be read, and may be whole: Permission denied");
    CU_ASSERT_STRING_EQUAL(verdicts[1].reason, verdicts[0].reason);
    backups[0].error = -PST_E_CORRUPT;
    CU_ASSERT_STRING_EQUAL(kept(), "4");
}

/* Made after those with higher numbers: it was given a number, or has it from another directory. */
static void the_newest_is_the_one_made_last(void)
{
    begin();
    for (int day = 0; day < 4; day++)
        add(MONDAY + (uint64_t)day * DAY)->cluster.common.start_gci = 10 + (uint64_t)day;
    backups[0].cluster.common.started_unix_ns = MONDAY + 9 * DAY;
    backups[0].cluster.common.start_gci = 20;
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1");
    rules.counts[PST_RETENTION_LAST] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "1 4");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason, "newest 1 of 2");
    /* a clock that was set back, or a GCI that began anew, says nothing by itself */
    backups[0].cluster.common.start_gci = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4");
    backups[0].cluster.common.start_gci = 20;
    backups[0].cluster.common.started_unix_ns = MONDAY - DAY;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4");
}

/* Of one that shows its number alone, those in another directory are neither older nor newer. */
static void numbers_of_another_directory_say_nothing(void)
{
    begin();
    add(MONDAY)->has_cluster = false;
    backups[0].state = PST_BACKUP_DAMAGED;
    for (int day = 1; day < 4; day++)
        add(MONDAY + (uint64_t)day * DAY);
    rules.counts[PST_RETENTION_LAST] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4");
    backups[0].found_in = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "1 3 4");
}

/* Only what verify found says that contents are damaged: manifests are whole. */
static void what_verify_found_damaged_never_counts(void)
{
    begin();
    for (int day = 0; day < 6; day++)
        add(MONDAY + (uint64_t)day * DAY);
    backups[5].verified.is_damaged = backups[3].verified.is_damaged = true;
    rules.counts[PST_RETENTION_LAST] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4 5 6");
    CU_ASSERT_STRING_EQUAL(verdicts[5].reason,
                           "newer than the last whole one, but does not count: verify found "
                           "damage");
    CU_ASSERT_STRING_EQUAL(verdicts[3].reason,
                           "newest 2 of 2, but does not count: verify found damage");
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "5 6");
    rules.counts[PST_RETENTION_LAST] = 0;
    rules.within_ns = HOUR;
    CU_ASSERT_STRING_EQUAL(kept(), "5 6"); /* before the newest that is whole */
    for (int i = 0; i < 6; i++)
        backups[i].verified.is_damaged = true;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4 5 6");
}

/* Nor does what refers to it: the damage may be in what both have. */
static void what_has_damaged_origins_never_counts(void)
{
    begin();
    for (int day = 0; day < 4; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    refer(3, 1);
    backups[1].verified.is_damaged = true;
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 4");
    backups[1].verified.is_damaged = false;
    CU_ASSERT_STRING_EQUAL(kept(), "2 4");
}

static struct pst_verified note_of(uint64_t unix_ns, bool is_damaged)
{
    return (struct pst_verified){.is_known = true,
                                 .is_damaged = is_damaged,
                                 .unix_ns = unix_ns,
                                 .windows = 1,
                                 .covered = !is_damaged};
}

/* Nor what that refers to, until it has been verified by itself: the damage may lie there. */
static void what_damage_was_found_by_way_of_never_counts(void)
{
    begin();
    for (int day = 0; day < 5; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    refer(2, 1);
    refer(3, 1);
    refer(4, 1);
    backups[3].verified = note_of(10, true);
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4 5");
    backups[2].verified = note_of(9, false); /* before */
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4 5");
    backups[2].verified = note_of(11, false);
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 4 5");
    backups[2].verified.covered = 0;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4 5");
    backups[1].verified = note_of(11, false);
    CU_ASSERT_STRING_EQUAL(kept(), "2 5");
}

static void pinned_and_misnamed_ones_stay(void)
{
    begin();
    add(MONDAY)->is_pinned = true;
    add(MONDAY + DAY)->stored_as = 77;
    add(MONDAY + 2 * DAY);
    add(MONDAY + 3 * DAY);
    backups[1].state = PST_BACKUP_MISNAMED;
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 4");
    CU_ASSERT_STRING_EQUAL(verdicts[0].reason, "pinned");
    CU_ASSERT_TRUE(verdicts[0].is_due);
}

/* Neither to be removed nor to be counted. */
static void what_no_key_opens_stays(void)
{
    begin();
    for (int i = 0; i < 4; i++)
        add(MONDAY + (uint64_t)i * DAY);
    for (int i = 1; i < 4; i += 2) {
        backups[i].is_shut = true;
        nodes[i].sources_count = 0;
    }
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 4");
    /* the decision alone, where no manifest of a node can be read */
    backups[0].cluster.common.version.incompatible = PST_FORMAT_SEALED;
    backups[0].state = PST_BACKUP_DAMAGED;
    memset(&nodes[0], 0, sizeof(nodes[0]));
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3 4");
}

/* Backups of other sources are no substitute, nor are those of another cluster. */
static void each_series_has_its_own_rules(void)
{
    begin();
    for (int i = 0; i < 12; i++)
        add(MONDAY + (uint64_t)i * DAY);
    for (int i = 0; i < 12; i += 4) {
        nodes[i].sources[0].spec = "dir:/srv/other";
        nodes[i + 1].sources[0].name = "other";
        backups[i + 2].cluster.common.cluster_id = 2;
    }
    rules.counts[PST_RETENTION_LAST] = 2;
    CU_ASSERT_STRING_EQUAL(kept(), "5 6 7 8 9 10 11 12");
    /* of one more source: another series; the path counts where it is known */
    nodes[3].sources_count = 2;
    nodes[3].sources[1] = (struct pst_manifest_source){.name = "more", .spec = "dir:/srv/more"};
    CU_ASSERT_STRING_EQUAL(kept(), "4 5 6 7 8 9 10 11 12");
    for (int i = 0; i < 12; i++)
        nodes[i].sources[0].path = "/srv/one";
    CU_ASSERT_STRING_EQUAL(kept(), "4 6 7 9 10 11 12");
}

/* What is left out of one, or was chosen in it, is in no other. What an older version made does not
 * say: it stays until somebody removes it, and removes nothing. */
static void each_choice_is_a_series_of_its_own(void)
{
    static const char *const choices[] = {"", "--exclude=*", "--logical", NULL};
    begin();
    for (size_t i = 0; i < 8; i++) {
        add(MONDAY + i * DAY);
        nodes[i].sources[0].choice = choices[i % 4];
    }
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "5 6 7 8");
    for (size_t i = 0; i < 8; i++)
        nodes[i].sources[0].choice = choices[i == 0 ? 0 : 1];
    CU_ASSERT_STRING_EQUAL(kept(), "1 8");
    rules.any_choice = true; /* unless somebody says that it does not matter */
    CU_ASSERT_STRING_EQUAL(kept(), "8");
    rules.any_choice = false;
    for (size_t i = 0; i < 8; i++)
        nodes[i].sources[0].choice = i == 0 ? NULL : "";
    CU_ASSERT_STRING_EQUAL(kept(), "1 8");
}

/* One that is of either must not make them one: then the only copy of one of them would go. */
static void one_whose_sources_are_unknown_joins_no_series(void)
{
    begin();
    add(MONDAY);
    add(MONDAY + DAY);
    add(MONDAY + 2 * DAY)->state = PST_BACKUP_DAMAGED;
    nodes[0].sources[0].spec = "dir:/srv/other";
    memset(&nodes[2], 0, sizeof(nodes[2])); /* its node manifest is what is damaged */
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "1 2 3");
    add(MONDAY + 3 * DAY);
    CU_ASSERT_STRING_EQUAL(kept(), "1 4");
}

/* Without their keys two that are sealed show the same: nothing. */
static void what_shows_no_sources_is_surely_of_no_series(void)
{
    begin();
    const struct pst_backup *one = add(MONDAY), *other = add(MONDAY + DAY);
    CU_ASSERT_TRUE(retention_is_one_series(one, other));
    nodes[0].sources_count = nodes[1].sources_count = 0;
    CU_ASSERT_FALSE(retention_is_one_series(one, other));
}

/* What a node has that has left the cluster, or that is none of its own, is in no newer one. */
static void backups_of_other_nodes_are_another_series(void)
{
    begin();
    for (int i = 0; i < 4; i++)
        add(MONDAY + (uint64_t)i * DAY);
    backups[2].cluster.nodes[0].node = nodes[2].node = 2;
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4");
    backups[1].cluster.nodes_count = 2; /* of node 2 too */
    backups[1].cluster.nodes[1].node = 2;
    backups[1].nodes = (struct pst_node_manifest[]){nodes[1], nodes[2]};
    CU_ASSERT_STRING_EQUAL(kept(), "2 3 4");
}

/* Lone nodes of two hosts write into one directory: each is node 1 of no cluster. */
static void lone_hosts_are_told_apart(void)
{
    begin();
    for (int i = 0; i < 4; i++) {
        add(MONDAY + (uint64_t)i * DAY)->cluster.common.cluster_id = 0;
        nodes[i].host = i % 2 == 0 ? "here" : "there";
    }
    rules.counts[PST_RETENTION_LAST] = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "3 4");
    for (int i = 0; i < 4; i++) /* in a cluster a node may move */
        backups[i].cluster.common.cluster_id = 1;
    CU_ASSERT_STRING_EQUAL(kept(), "4");
}

/* Each rule by itself, written down in another way: a backup stays by it if it is the newest of its
 * period, and fewer than N periods are newer. */
static bool stays(size_t i, enum pst_retention_period rule, uint64_t length_ns)
{
    uint64_t newer = 0, seen = UINT64_MAX;
    uint64_t own = backups[i].cluster.common.started_unix_ns / length_ns;
    for (size_t j = list.count; j-- > i + 1;) {
        uint64_t period = backups[j].cluster.common.started_unix_ns / length_ns;
        newer += period != seen;
        seen = period;
    }
    return rules.counts[rule] > newer && own != seen;
}

static void rules_add_up(void)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        begin();
        uint64_t time = MONDAY;
        for (int count = 1 + rand() % BACKUPS, i = 0; i < count; i++)
            add(time += (uint64_t)(rand() % 100) * HOUR / 7 + 1);
        rules.counts[PST_RETENTION_LAST] = (uint64_t)(rand() % 5);
        rules.counts[PST_RETENTION_HOURS] = (uint64_t)(rand() % 20);
        rules.counts[PST_RETENTION_DAYS] = (uint64_t)(rand() % 20);
        CU_ASSERT_EQUAL_FATAL(pst_retention_judge(&list, &rules, verdicts), 0);
        for (size_t i = 0; i < list.count; i++) {
            bool expected = i + 1 == list.count || stays(i, PST_RETENTION_LAST, 1) ||
                            stays(i, PST_RETENTION_HOURS, HOUR) ||
                            stays(i, PST_RETENTION_DAYS, DAY);
            CU_ASSERT_EQUAL_FATAL(verdicts[i].is_kept, expected);
        }
    }
}

static void is_due(size_t at, enum pst_verify_due expected)
{
    CU_ASSERT_EQUAL(pst_backup_is_due(&list, &backups[at]), expected);
}

static void what_is_newer_than_the_last_whole_one_is_to_be_verified(void)
{
    begin();
    for (int i = 0; i < 5; i++)
        add(MONDAY)->nodes[0].sources[0].name = i == 3 ? "other" : "data";
    backups[1].verified = (struct pst_verified){.is_known = true, .windows = 1, .covered = 1};
    backups[4].state = PST_BACKUP_PARTIAL;
    is_due(0, PST_VERIFY_NOT_DUE);
    is_due(1, PST_VERIFY_NOT_DUE);
    is_due(2, PST_VERIFY_DUE);
    is_due(4, PST_VERIFY_DUE);
    backups[3].verified = backups[1].verified;
    is_due(2, PST_VERIFY_DUE); /* that is of other sources */
    backups[4].verified = backups[1].verified;
    is_due(2, PST_VERIFY_NOT_DUE);
    backups[4].state = PST_BACKUP_DAMAGED; /* since */
    is_due(2, PST_VERIFY_DUE);
    is_due(4, PST_VERIFY_DUE);
    backups[4].state = PST_BACKUP_SPLIT; /* nobody knows whether what is not here is lost */
    is_due(2, PST_VERIFY_DUE);
    is_due(4, PST_VERIFY_DUE);
}

/* By way of another, since it was found whole. */
static void what_may_be_damaged_since_is_to_be_verified(void)
{
    begin();
    for (int day = 0; day < 4; day++) {
        struct pst_backup *backup = add(MONDAY + (uint64_t)day * DAY);
        backup->has_uid = true;
        memset(backup->uid, day + 1, sizeof(backup->uid));
    }
    refer(2, 1);
    refer(3, 1);
    backups[3].verified = note_of(10, false);
    is_due(0, PST_VERIFY_NOT_DUE);
    is_due(3, PST_VERIFY_NOT_DUE);
    backups[2].verified = note_of(11, true);
    is_due(0, PST_VERIFY_DUE);
    is_due(3, PST_VERIFY_DUE);
    backups[3].verified = note_of(12, false);
    is_due(0, PST_VERIFY_NOT_DUE);
    is_due(3, PST_VERIFY_NOT_DUE);
}

/* Though it has a lower number. */
static void what_was_made_after_the_last_whole_one_is_to_be_verified(void)
{
    begin();
    add(MONDAY + DAY)->cluster.common.start_gci = 2;
    add(MONDAY)->cluster.common.start_gci = 1;
    backups[1].verified = (struct pst_verified){.is_known = true, .windows = 1, .covered = 1};
    is_due(0, PST_VERIFY_DUE);
    backups[0].cluster.common.start_gci = 0;
    is_due(0, PST_VERIFY_NOT_DUE);
}

static void what_nobody_completed_is_not_verified(void)
{
    static const enum pst_backup_state states[] = {PST_BACKUP_INCOMPLETE, PST_BACKUP_CUT_OFF,
                                                   PST_BACKUP_IN_DOUBT};
    begin();
    add(MONDAY);
    add(MONDAY)->nodes[0].sources[0].name = "other";
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        backups[0].state = states[i];
        backups[1].verified = (struct pst_verified){0};
        is_due(0, PST_VERIFY_UNDECIDED);
        backups[1].verified = (struct pst_verified){.is_known = true, .windows = 1, .covered = 1};
        /* what was cut off matters no more, whatever its sources are; one in doubt may be whole */
        is_due(0, states[i] == PST_BACKUP_IN_DOUBT ? PST_VERIFY_UNDECIDED : PST_VERIFY_NOT_DUE);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the newest of each period stay", the_newest_of_each_period_stay},
        {"months and years are of the calendar", months_and_years_are_of_the_calendar},
        {"what a node alone names stays", what_a_node_alone_names_stays},
        {"what holds data of one that stays stays", what_holds_data_of_one_that_stays_stays},
        {"what one that cannot be read may refer to stays",
         what_one_that_cannot_be_read_may_refer_to_stays},
        {"nobody refers in a circle", nobody_refers_in_a_circle},
        {"the newest complete one stays", the_newest_complete_one_stays},
        {"within counts from the newest", within_counts_from_the_newest},
        {"a newest one of the future makes none old", a_newest_one_of_the_future_makes_none_old},
        {"what is not complete never counts", what_is_not_complete_never_counts},
        {"what cannot be read stays", what_cannot_be_read_stays},
        {"the newest is the one made last", the_newest_is_the_one_made_last},
        {"numbers of another directory say nothing", numbers_of_another_directory_say_nothing},
        {"what verify found damaged never counts", what_verify_found_damaged_never_counts},
        {"what has damaged origins never counts", what_has_damaged_origins_never_counts},
        {"what damage was found by way of never counts",
         what_damage_was_found_by_way_of_never_counts},
        {"pinned and misnamed ones stay", pinned_and_misnamed_ones_stay},
        {"what no key opens stays", what_no_key_opens_stays},
        {"each series has its own rules", each_series_has_its_own_rules},
        {"each choice is a series of its own", each_choice_is_a_series_of_its_own},
        {"one whose sources are unknown joins no series",
         one_whose_sources_are_unknown_joins_no_series},
        {"what shows no sources is surely of no series",
         what_shows_no_sources_is_surely_of_no_series},
        {"backups of other nodes are another series", backups_of_other_nodes_are_another_series},
        {"lone hosts are told apart", lone_hosts_are_told_apart},
        {"rules add up", rules_add_up},
        {"what is newer than the last whole one is to be verified",
         what_is_newer_than_the_last_whole_one_is_to_be_verified},
        {"what was made after the last whole one is to be verified",
         what_was_made_after_the_last_whole_one_is_to_be_verified},
        {"what may be damaged since is to be verified",
         what_may_be_damaged_since_is_to_be_verified},
        {"what nobody completed is not verified", what_nobody_completed_is_not_verified},
        CU_TEST_INFO_NULL,
    };
    return suite_run("retention", tests);
}
