/* Finds the chunks of parts, before chunk_reader.c reads them. Called on the thread of a verify or
 * restore, and runs on the crew's. */
#include <errno.h>

#include "engine/restore/chunk_reader.h"

struct mapping {
    struct crew *crew;
    struct pst_part_set *set;
    struct pst_findings *findings;
    uint64_t *bytes;
    bool stop_at_damage;
};

static int map_parts(struct mapping *mapping, struct pst_reader *reader, void *buffer)
{
    for (uint32_t i = 0; i < mapping->set->count; i++) {
        mapping->set->parts[i].salvages = mapping->set->salvages;
        mapping->set->parts[i].direct = mapping->set->direct;
        int error = pst_backup_map_part(&mapping->set->parts[i], reader, buffer, mapping->findings,
                                        mapping->bytes);
        if (error)
            return error;
        if (mapping->stop_at_damage && mapping->findings->damages)
            return mapping->findings->first_error;
        if (crew_is_cancelled(mapping->crew))
            return -ECANCELED;
    }
    return 0;
}

/* The first thread maps, so that findings keep their order; the others only make what they need
 * later. */
static int begin_or_map(void *context, uint32_t number)
{
    struct mapping *mapping = context;
    struct pst_reader *reader;
    void *buffer;
    int error = chunk_worker_make(mapping->crew, number, mapping->set, &reader, &buffer);
    return error || number > 0 ? error : map_parts(mapping, reader, buffer);
}

int chunk_map_parts(struct crew *crew, struct pst_part_set *set, struct pst_findings *findings,
                    uint64_t *bytes, bool stop_at_damage)
{
    struct mapping mapping = {crew, set, findings, bytes, stop_at_damage};
    return set->count ? crew_run(crew, CREW_ALL, begin_or_map, NULL, &mapping) : 0;
}
