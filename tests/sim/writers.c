/*
 * Writers: each writes to one source after the other, of any node, a chain in which every write has
 * seen the one before. At a frozen source it waits. They write in bursts, before each change of a
 * source: between two changes nothing that matters for the cut can happen.
 */
#include "tests/sim/sim.h"

#define BURST 4u

static void note_write(struct sim *sim, struct sim_source *source, uint32_t index, uint32_t number,
                       uint32_t node, uint32_t place)
{
    source->history.last[index] = number;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_share *share = sim->backups[i].shares[node];
        if (share && share->cuts[place].taken && share->cuts[place].first_after[index] == 0)
            share->cuts[place].first_after[index] = number;
    }
}

/* The next write of a writer; false: it has to wait, or its node is down. */
static bool write_one(struct sim *sim, uint32_t index)
{
    struct sim_writer *writer = &sim->writers[index];
    struct sim_node *node = &sim->nodes[writer->node];
    struct sim_source *source = &node->sources[writer->source];
    writer->waits = node->is_up && source->holds_writers;
    if (writer->waits)
        return false;
    if (node->is_up && node->sources_count > 0)
        note_write(sim, source, index, ++writer->written, writer->node, writer->source);
    writer->node = (uint32_t)sim_random_between(&sim->random, 0, sim->options.nodes - 1);
    uint32_t sources = sim->nodes[writer->node].sources_count;
    writer->source = sources > 1 ? (uint32_t)(sim_random_next(&sim->random) % sources) : 0;
    return true;
}

void sim_write(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_WRITERS; i++) {
        for (uint32_t n = 0; n < BURST && write_one(sim, i); n++)
            continue;
    }
}

void sim_writers_thawed(struct sim *sim, const struct sim_node *node, uint32_t source)
{
    for (uint32_t i = 0; i < SIM_WRITERS; i++) {
        struct sim_writer *writer = &sim->writers[i];
        if (writer->waits && &sim->nodes[writer->node] == node && writer->source == source)
            write_one(sim, i);
    }
}
