/* How many rounds there are, which of them count, and the order of their turns. Called on the main
 * thread of each bench that measures. */
#include "bench/rounds.h"

#include "engine/base/clock.h"

struct rounds rounds_of(const struct common_choices *common, uint32_t turns)
{
    struct rounds rounds = {.common = common,
                            .lot = figures_lot_of(common->seed),
                            .began_ns = pst_monotonic_ns(),
                            .least = (uint32_t)common->repeat,
                            .turns = turns};
    for (uint32_t i = 0; i < turns; i++)
        rounds.order[i] = i;
    return rounds;
}

bool rounds_next(struct rounds *rounds)
{
    figures_shuffle(&rounds->lot, rounds->order, rounds->turns);
    uint64_t now_ns = pst_monotonic_ns();
    double so_far_s = (double)(now_ns - rounds->began_ns) / 1e9;
    if (rounds->counts) {
        rounds->counted++;
        if (rounds->counted == CHOICES_ROUNDS_MAX)
            return false;
        return rounds->counted < rounds->least ||
               (double)(now_ns - rounds->counted_ns) / 1e9 < rounds->common->runtime_s;
    }
    /* The second call is the first after a round that does not count. */
    bool is_only = rounds->least == 1 && rounds->common->runtime_s <= 0;
    rounds->counts = (is_only || rounds->counted_ns > 0) && so_far_s >= rounds->common->ramp_s;
    rounds->counted_ns = now_ns;
    return true;
}
