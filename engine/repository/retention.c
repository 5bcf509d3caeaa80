/* Judges the backups of a list by the rules of `penstock prune`, on its thread. */
#include "engine/repository/retention.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/own_error.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/series.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_HOUR (3600 * NS_PER_S)
#define NS_PER_DAY (24 * NS_PER_HOUR)

static const char *const period_names[PST_RETENTION_PERIODS] = {"newest", "hour",  "day",
                                                                "week",   "month", "year"};

/* Complete backups that stand in for each other. */
struct series {
    const struct pst_backup *first;  /* the newest: what the others are compared with */
    const struct pst_backup *newest; /* that counts; NULL: none has come yet */
    const struct pst_backup *choice; /* newer, of the same sources chosen otherwise; NULL: none */
    uint64_t complete;               /* that count, so far */
    uint64_t kept[PST_RETENTION_PERIODS];
    uint64_t period[PST_RETENTION_PERIODS]; /* of the last one that counted */
};

struct judging {
    const struct pst_retention *rules;
    struct series *series;
    size_t count;
};

/* ---- series ---- */

static const struct pst_node_manifest *node_of(const struct pst_backup *backup, uint32_t node)
{
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].parts_count > 0 && backup->nodes[i].node == node)
            return &backup->nodes[i];
    }
    return NULL;
}

/* Without a cluster its host is all that tells one node 1 from another's. */
static bool is_of_two_hosts(const struct pst_backup *backup, const struct pst_node_manifest *one,
                            const struct pst_node_manifest *other)
{
    return backup->cluster.common.cluster_id == 0 && one->host && other->host &&
           strcmp(one->host, other->host) != 0;
}

/* No node that both have says that they are of two. A node whose manifest only one of them has says
 * nothing: it may have been missing, or its manifest is damaged. */
static bool may_be_of_one_series(const struct pst_backup *one, const struct pst_backup *other,
                                 bool any_choice)
{
    bool (*is_same)(const struct pst_node_manifest *, const struct pst_node_manifest *) =
        any_choice ? series_has_same_places : series_has_same_sources;
    if (one->cluster.common.cluster_id != other->cluster.common.cluster_id)
        return false;
    for (uint32_t i = 0; one->nodes && i < one->cluster.nodes_count; i++) {
        const struct pst_node_manifest *its = node_of(one, one->cluster.nodes[i].node);
        const struct pst_node_manifest *others = node_of(other, one->cluster.nodes[i].node);
        if (its && others && (is_of_two_hosts(one, its, others) || !is_same(its, others)))
            return false;
    }
    return true;
}

static bool has_same_nodes(const struct pst_backup *one, const struct pst_backup *other)
{
    bool is_same = one->cluster.nodes_count == other->cluster.nodes_count;
    for (uint32_t i = 0; is_same && i < one->cluster.nodes_count; i++)
        is_same = one->cluster.nodes[i].node == other->cluster.nodes[i].node;
    return is_same;
}

/* What is sealed shows no sources without its key. */
static bool knows_all_nodes(const struct pst_backup *backup)
{
    bool all = backup->nodes && backup->cluster.nodes_count > 0;
    for (uint32_t i = 0; all && i < backup->cluster.nodes_count; i++)
        all = backup->nodes[i].parts_count > 0 && backup->nodes[i].sources_count > 0;
    return all;
}

bool retention_is_one_series(const struct pst_backup *one, const struct pst_backup *other)
{
    return knows_all_nodes(one) && knows_all_nodes(other) && has_same_nodes(one, other) &&
           may_be_of_one_series(one, other, false);
}

static const struct series *find_series(const struct judging *judging,
                                        const struct pst_backup *backup, bool any_choice)
{
    for (size_t i = 0; i < judging->count; i++) {
        const struct series *series = &judging->series[i];
        if (has_same_nodes(series->first, backup) &&
            may_be_of_one_series(series->first, backup, any_choice))
            return series;
    }
    return NULL;
}

/* Of a complete one, all of whose sources are known. Only such ones make a series: what another is
 * of cannot tell two apart. */
static struct series *series_of(struct judging *judging, const struct pst_backup *backup)
{
    const struct series *known = find_series(judging, backup, judging->rules->any_choice);
    if (known)
        return &judging->series[known - judging->series];
    const struct series *other = find_series(judging, backup, true);
    struct series *series = &judging->series[judging->count++];
    *series = (struct series){.first = backup, .choice = other ? other->first : NULL};
    return series;
}

/* How many complete ones are newer than one that is not, in each series that it may be of. */
static uint64_t newer_than(const struct judging *judging, const struct pst_backup *backup)
{
    uint64_t fewest = UINT64_MAX;
    for (size_t i = 0; i < judging->count; i++) {
        const struct series *series = &judging->series[i];
        if (may_be_of_one_series(series->first, backup, judging->rules->any_choice) &&
            series->complete < fewest)
            fewest = series->complete;
    }
    return fewest == UINT64_MAX ? 0 : fewest;
}

/* ---- rules ---- */

static void keep(struct pst_retention_verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds a reason to keep it. */
static void keep(struct pst_retention_verdict *verdict, const char *format, ...)
{
    size_t used = verdict->is_kept ? strlen(verdict->reason) : 0;
    va_list arguments;
    if (used > 0)
        used += (size_t)snprintf(verdict->reason + used, sizeof(verdict->reason) - used, ", ");
    va_start(arguments, format);
    if (used < sizeof(verdict->reason))
        vsnprintf(verdict->reason + used, sizeof(verdict->reason) - used, format, arguments);
    va_end(arguments);
    verdict->is_kept = true;
}

/* A number that two points in time share if they lie in the same period. */
static uint64_t period_of(const struct pst_backup *backup, enum pst_retention_period period)
{
    uint64_t ns = backup->cluster.common.started_unix_ns;
    time_t seconds = (time_t)(ns / NS_PER_S);
    struct tm date;
    assert(gmtime_r(&seconds, &date));
    switch (period) {
    case PST_RETENTION_LAST:
        return backup->number;
    case PST_RETENTION_HOURS:
        return ns / NS_PER_HOUR;
    case PST_RETENTION_DAYS:
        return ns / NS_PER_DAY;
    case PST_RETENTION_WEEKS: /* 1 January 1970 was a Thursday */
        return (ns / NS_PER_DAY + 3) / 7;
    case PST_RETENTION_MONTHS:
        return (uint64_t)date.tm_year * 12 + (uint64_t)date.tm_mon;
    default:
        return (uint64_t)date.tm_year;
    }
}

static void apply_periods(const struct pst_retention *rules, struct series *series,
                          const struct pst_backup *backup, struct pst_retention_verdict *verdict)
{
    for (int i = 0; i < PST_RETENTION_PERIODS; i++) {
        uint64_t period = period_of(backup, (enum pst_retention_period)i);
        bool is_another = series->kept[i] == 0 || series->period[i] != period;
        if (!is_another || series->kept[i] == rules->counts[i])
            continue;
        series->kept[i]++;
        series->period[i] = period;
        keep(verdict, "%s %llu of %llu", period_names[i], (unsigned long long)series->kept[i],
             (unsigned long long)rules->counts[i]);
    }
}

static bool is_within(const struct pst_backup *backup, uint64_t end_unix_ns, uint64_t span_ns)
{
    uint64_t started = backup->cluster.common.started_unix_ns;
    return span_ns > 0 && (started >= end_unix_ns || end_unix_ns - started <= span_ns);
}

static void apply_label(const struct pst_retention *rules, const struct pst_backup *backup,
                        struct pst_retention_verdict *verdict)
{
    for (uint32_t i = 0; i < rules->labels_count; i++) {
        if (strcmp(rules->labels[i], backup->cluster.label) == 0) {
            keep(verdict, "labelled \"%s\"", backup->cluster.label);
            return;
        }
    }
}

/* The backup by which verify found damage that may be in this one: itself, or one that has data in
 * it; NULL: none. */
static const struct pst_backup *damage_by(const struct pst_backup *backup)
{
    return backup->verified.is_damaged ? backup : backup_suspected_by(backup->list, backup);
}

bool retention_was_found_damaged(const struct pst_backup *backup)
{
    const struct pst_cluster_manifest *cluster = &backup->cluster;
    bool is_hit = damage_by(backup) != NULL;
    for (uint32_t i = 0; !is_hit && i < cluster->origins_count; i++) {
        const struct pst_backup *origin =
            pst_backup_origin(backup, cluster->origins[i].uid, cluster->origins[i].number);
        const struct pst_backup *by = origin ? damage_by(origin) : NULL;
        is_hit = by && !backup_is_whole_since(backup, by);
    }
    return is_hit;
}

/* Whether it is one of those that rules count. */
static bool counts(const struct pst_backup *backup)
{
    return backup->state == PST_BACKUP_COMPLETE && backup->stored_as == backup->number &&
           !pst_retention_is_shut(backup) && !retention_was_found_damaged(backup);
}

/* A clock that was ahead when the newest was made must not make all others old. */
static uint64_t end_of(const struct pst_retention *rules, const struct series *series)
{
    uint64_t newest = series->newest->cluster.common.started_unix_ns;
    return newest < rules->now_unix_ns ? newest : rules->now_unix_ns;
}

static void judge_whole(const struct pst_retention *rules, struct series *series,
                        const struct pst_backup *backup, struct pst_retention_verdict *verdict)
{
    apply_periods(rules, series, backup, verdict);
    if (is_within(backup, end_of(rules, series), rules->within_ns))
        keep(verdict, "recent enough");
    if (series->newest == backup && !verdict->is_kept)
        keep(verdict, "the newest complete one");
}

/* It stays as if it were whole, for most of it may be, and takes the place of none that is. */
static void judge_damaged(const struct pst_retention *rules, const struct series *series,
                          const struct pst_backup *backup, struct pst_retention_verdict *verdict)
{
    struct series its_own = *series;
    if (series->newest)
        judge_whole(rules, &its_own, backup, verdict);
    else
        keep(verdict, "newer than the last whole one");
    if (verdict->is_kept)
        keep(verdict, "but does not count: verify found damage%s",
             backup->verified.is_damaged ? "" : " in one that shares data with it");
}

static void judge_complete(struct judging *judging, const struct pst_backup *backup,
                           struct pst_retention_verdict *verdict)
{
    struct series *series = series_of(judging, backup);
    bool is_whole = !retention_was_found_damaged(backup);
    if (is_whole && !series->newest)
        series->newest = backup;
    if (is_whole)
        judge_whole(judging->rules, series, backup, verdict);
    else
        judge_damaged(judging->rules, series, backup, verdict);
    series->complete += is_whole;
    if (verdict->is_kept && series->choice)
        keep(verdict, "chosen otherwise than backup %u", series->choice->number);
}

/* Without its cluster manifest the series of a backup is unknown: then all of them count that have
 * numbers of one sequence with it. */
static uint64_t newer_by_number(const struct pst_backup *backup)
{
    uint64_t count = 0;
    for (size_t i = 0; i < backup->list->count; i++) {
        const struct pst_backup *other = backup->list->backups[i];
        count += counts(other) && (other->found_in & backup->found_in) != 0 &&
                 other->number > backup->number;
    }
    return count;
}

static void judge_other(struct judging *judging, const struct pst_backup *backup,
                        struct pst_retention_verdict *verdict)
{
    uint64_t last = judging->rules->counts[PST_RETENTION_LAST];
    uint64_t newer = backup->has_cluster ? newer_than(judging, backup) : newer_by_number(backup);
    uint64_t needed = last > 0 ? last : 1;
    if (newer < needed)
        keep(verdict, "newer than the last %s", needed > 1 ? "complete ones" : "complete one");
    else
        snprintf(verdict->reason, sizeof(verdict->reason), "%s, and complete ones are newer",
                 pst_backup_state_text(backup->state));
}

/* Why it, or what holds data of it, cannot be read, though it may be whole; 0: that is not so. */
static int hindrance_of(const struct pst_backup *backup)
{
    const struct pst_cluster_manifest *cluster = &backup->cluster;
    int error = pst_is_unreachable(backup->error) ? backup->error : 0;
    for (uint32_t i = 0; !error && i < cluster->origins_count; i++) {
        const struct pst_backup *origin =
            pst_backup_origin(backup, cluster->origins[i].uid, cluster->origins[i].number);
        error = origin && pst_is_unreachable(origin->error) ? origin->error : 0;
    }
    return error;
}

/* What stays whatever the rules say. */
static void apply_exceptions(const struct pst_retention *rules, const struct pst_backup *backup,
                             struct pst_retention_verdict *verdict)
{
    if (backup->is_pinned)
        keep(verdict, "pinned");
    if (backup->state == PST_BACKUP_SPLIT) /* its other half would be damaged */
        keep(verdict, "%s", backup->reason);
    if (backup->has_cluster && is_within(backup, rules->now_unix_ns, rules->min_age_ns))
        keep(verdict, "too young");
}

bool pst_retention_is_shut(const struct pst_backup *backup)
{
    bool is_sealed = (backup->cluster.common.version.incompatible & PST_FORMAT_SEALED) != 0;
    return backup->is_shut || (backup->has_cluster && is_sealed); /* what is opened is not */
}

static void judge(struct judging *judging, const struct pst_backup *backup,
                  struct pst_retention_verdict *verdict)
{
    *verdict = (struct pst_retention_verdict){.reason = "no rule keeps it"};
    if (backup->stored_as != backup->number) {
        keep(verdict, "misnamed: it goes by its uid alone"); /* somebody put it aside */
        return;
    }
    if (pst_retention_is_shut(backup)) {
        keep(verdict, backup->is_shut ? "sealed: which sources it is of, only its key shows"
                                      : "sealed: its master's manifest cannot be read");
        return;
    }
    if (backup->has_cluster)
        apply_label(judging->rules, backup, verdict);
    int hindrance = backup->state == PST_BACKUP_COMPLETE ? 0 : hindrance_of(backup);
    if (backup->state == PST_BACKUP_COMPLETE)
        judge_complete(judging, backup, verdict);
    else if (hindrance)
        keep(verdict, "it cannot be read, and may be whole: %s", pst_error_text(hindrance));
    else
        judge_other(judging, backup, verdict);
    verdict->is_due = !verdict->is_kept;
    apply_exceptions(judging->rules, backup, verdict);
}

/* Whether one that is to go holds data of one that stays: then it stays too. */
static bool keep_origin(const struct pst_backup_list *list, struct pst_retention_verdict *verdicts,
                        size_t origin)
{
    for (size_t i = list->count; i-- > 0;) {
        const struct pst_backup *other = list->backups[i];
        if (verdicts[i].is_kept && pst_backup_refers_to(other, list->backups[origin])) {
            bool is_known = !pst_backup_has_unknown_origins(other);
            keep(&verdicts[origin], "%s data of backup %u%s", is_known ? "holds" : "may hold",
                 other->number, is_known ? "" : ", which cannot be read");
            return true;
        }
    }
    return false;
}

/* And what holds data of that. */
static void keep_origins(const struct pst_backup_list *list, struct pst_retention_verdict *verdicts)
{
    bool has_kept = true;
    while (has_kept) {
        has_kept = false;
        for (size_t i = list->count; i-- > 0;)
            has_kept |= !verdicts[i].is_kept && keep_origin(list, verdicts, i);
    }
}

/* How many have a cluster manifest; order: their indices, oldest first. Nearly all are so in the
 * list. */
static size_t sort_decided(const struct pst_backup_list *list, size_t *order)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t place = count;
        if (!list->backups[i]->has_cluster)
            continue;
        for (; place > 0 && catalog_is_newer(list->backups[order[place - 1]], list->backups[i]);
             place--)
            order[place] = order[place - 1];
        order[place] = i;
        count++;
    }
    return count;
}

int pst_retention_judge(const struct pst_backup_list *list, const struct pst_retention *rules,
                        struct pst_retention_verdict *verdicts)
{
    struct judging judging = {.rules = rules,
                              .series = calloc(list->count + 1, sizeof(*judging.series))};
    size_t *order = calloc(list->count + 1, sizeof(*order));
    if (judging.series && order) {
        for (size_t i = sort_decided(list, order); i-- > 0;)
            judge(&judging, list->backups[order[i]], &verdicts[order[i]]);
        for (size_t i = list->count; i-- > 0;) {
            if (!list->backups[i]->has_cluster)
                judge(&judging, list->backups[i], &verdicts[i]);
        }
        keep_origins(list, verdicts);
    }
    int error = judging.series && order ? 0 : -ENOMEM;
    free(order);
    free(judging.series);
    return error;
}
