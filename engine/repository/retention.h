/*
 * Retention: which backups of a list the rules of `penstock prune --keep-…` keep, and why.
 *
 * Rules hold for each series of its own: complete backups of the same nodes of one cluster with the
 * same sources. From its newest one back, each rule keeps one of each period, the newest, until it
 * has kept as many as it may; a backup stays if any rule keeps it. Hours, days, weeks (from
 * Monday), months and years are those of UTC, as `penstock list` prints them. Whatever the rules
 * say, the newest complete backup of a series stays, and what is pinned, misnamed, split, or sealed
 * and not opened, and what holds data of one that stays. What is not complete never counts, and
 * goes when enough complete ones are newer in each series that it may be of. A complete one in
 * which, or in whose origins, verify found damage does not count either: the rules keep it beside
 * those that they keep without it.
 *
 * Pure, any thread.
 */
#ifndef PST_ENGINE_REPOSITORY_RETENTION_H
#define PST_ENGINE_REPOSITORY_RETENTION_H

#include "engine/repository/catalog.h"

enum pst_retention_period {
    PST_RETENTION_LAST, /* each backup is a period of its own */
    PST_RETENTION_HOURS,
    PST_RETENTION_DAYS,
    PST_RETENTION_WEEKS,
    PST_RETENTION_MONTHS,
    PST_RETENTION_YEARS,
    PST_RETENTION_PERIODS,
};

struct pst_retention {
    uint64_t counts[PST_RETENTION_PERIODS]; /* periods of which one is kept; 0: no such rule */
    uint64_t within_ns;  /* keeps what was started so long before the newest, or less; 0: none. As
                            if that had begun by now */
    uint64_t min_age_ns; /* keeps what was started so recently, whatever it is; 0: none */
    uint64_t now_unix_ns;
    const char *const *labels; /* keeps what has one of them */
    uint32_t labels_count;
    bool any_choice; /* what was left out of its sources makes no series of its own */
};

struct pst_retention_verdict {
    bool is_kept;
    bool is_due;                    /* by the rules alone it would go */
    char reason[PST_MESSAGE_BYTES]; /* "day 2 of 7, week 1 of 4"; of one to be removed, why */
};

/* Whether two backups are surely of one series: all nodes of both are known to have had the same
 * sources. */
bool retention_is_one_series(const struct pst_backup *one, const struct pst_backup *other);

/* Whether its sources cannot be known, so that no rule says anything of it. */
bool pst_retention_is_shut(const struct pst_backup *backup);

/* Whether verify found damage that may be in it, or in what holds data of it. */
bool retention_was_found_damaged(const struct pst_backup *backup);

/* Sets verdicts[i] for each backup of the list, by its index. -ENOMEM. */
int pst_retention_judge(const struct pst_backup_list *list, const struct pst_retention *rules,
                        struct pst_retention_verdict *verdicts) PST_MUST_USE;

#endif
