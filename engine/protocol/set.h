/*
 * A set of up to 256 instances, by value. Pure; any thread.
 */
#ifndef PST_ENGINE_PROTOCOL_SET_H
#define PST_ENGINE_PROTOCOL_SET_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* A set of up to 256 instances: LDMs by instance - 1, nodes by id - 1, sources by instance. */
#define PST_SET_MEMBERS 256u
#define PST_SET_WORDS (PST_SET_MEMBERS / 64)

struct pst_set {
    uint64_t words[PST_SET_WORDS];
};

static inline void pst_set_add(struct pst_set *set, uint32_t member)
{
    assert(member < PST_SET_MEMBERS);
    set->words[member / 64] |= UINT64_C(1) << member % 64;
}

static inline void pst_set_remove(struct pst_set *set, uint32_t member)
{
    assert(member < PST_SET_MEMBERS);
    set->words[member / 64] &= ~(UINT64_C(1) << member % 64);
}

static inline bool pst_set_has(const struct pst_set *set, uint32_t member)
{
    return member < PST_SET_MEMBERS && set->words[member / 64] >> member % 64 & 1;
}

static inline bool pst_set_is_empty(const struct pst_set *set)
{
    return !(set->words[0] | set->words[1] | set->words[2] | set->words[3]);
}

static inline uint32_t pst_set_count(const struct pst_set *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PST_SET_WORDS; i++) {
        /* The compiler's own popcount would be a call into its library. */
        for (uint64_t word = set->words[i]; word != 0; word &= word - 1)
            count++;
    }
    return count;
}

/* The members 0 … count-1. */
static inline struct pst_set pst_set_first(uint32_t count)
{
    struct pst_set set = {{0}};
    assert(count <= PST_SET_MEMBERS);
    for (uint32_t i = 0; i < count / 64; i++)
        set.words[i] = UINT64_MAX;
    if (count % 64 != 0)
        set.words[count / 64] = (UINT64_C(1) << count % 64) - 1;
    return set;
}

static inline struct pst_set pst_set_union(const struct pst_set *a, const struct pst_set *b)
{
    struct pst_set set;
    for (uint32_t i = 0; i < PST_SET_WORDS; i++)
        set.words[i] = a->words[i] | b->words[i];
    return set;
}

/* The members of both. */
static inline struct pst_set pst_set_common(const struct pst_set *a, const struct pst_set *b)
{
    struct pst_set set;
    for (uint32_t i = 0; i < PST_SET_WORDS; i++)
        set.words[i] = a->words[i] & b->words[i];
    return set;
}

/* The members of a that are not in b. */
static inline struct pst_set pst_set_minus(const struct pst_set *a, const struct pst_set *b)
{
    struct pst_set set;
    for (uint32_t i = 0; i < PST_SET_WORDS; i++)
        set.words[i] = a->words[i] & ~b->words[i];
    return set;
}

/* Whether every member of a is in b. */
static inline bool pst_set_is_within(const struct pst_set *a, const struct pst_set *b)
{
    struct pst_set rest = pst_set_minus(a, b);
    return pst_set_is_empty(&rest);
}

/* The least member that is not below from; PST_SET_MEMBERS if there is none. To visit all:
 * for (m = pst_set_next(s, 0); m < PST_SET_MEMBERS; m = pst_set_next(s, m + 1)). */
static inline uint32_t pst_set_next(const struct pst_set *set, uint32_t from)
{
    while (from < PST_SET_MEMBERS) {
        uint64_t rest = set->words[from / 64] >> from % 64;
        if (rest != 0)
            return from + (uint32_t)__builtin_ctzll(rest);
        from = (from / 64 + 1) * 64;
    }
    return PST_SET_MEMBERS;
}

_Static_assert(PST_SET_WORDS == 4, "pst_set_is_empty looks at four words");

#endif
