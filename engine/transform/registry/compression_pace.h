/*
 * How much --compress auto compresses: as much as costs no time. A pure function of what an LDM did
 * since the last step. Private to engine/transform/registry/.
 */
#ifndef PST_ENGINE_TRANSFORM_REGISTRY_COMPRESSION_PACE_H
#define PST_ENGINE_TRANSFORM_REGISTRY_COMPRESSION_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* From the one that costs nothing to the one that shrinks most. */
enum compression_level {
    COMPRESSION_LEVEL_NONE,
    COMPRESSION_LEVEL_LZ4,
    COMPRESSION_LEVEL_ZSTD_1,
    COMPRESSION_LEVEL_ZSTD_3,
    COMPRESSION_LEVELS
};

struct compression_pace {
    enum compression_level level;
    bool probes;       /* a MiB of the next window is encoded one level up, to see what it costs */
    uint32_t patience; /* steps to stay down the next time that a level was too much */
    uint32_t hold;     /* steps left of that */
    uint64_t cost_ns[COMPRESSION_LEVELS]; /* of encoding a MiB */
    bool is_known[COMPRESSION_LEVELS];    /* else it is the least that can be hoped for */
};

/* Since the last step. */
struct compression_window {
    uint64_t elapsed_ns;
    uint64_t waited_ns; /* of these the LDM had nothing to do but wait for a disk or a source */
    uint64_t raw_bytes; /* of all chunks */
    struct compression_encoded {
        uint64_t bytes; /* raw */
        uint64_t ns;
    } encoded[COMPRESSION_LEVELS];
};

void compression_pace_init(struct compression_pace *pace);

/* Of the next chunk. */
enum compression_level compression_pace_level(const struct compression_pace *pace,
                                              const struct compression_window *window);

/* One level down if the LDM hardly waited; one up if the next one fits into what it waited. */
void compression_pace_step(struct compression_pace *pace, const struct compression_window *window);

#endif
