#include "tests/unit/pipeline/works.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/format/object.h"
#include "engine/transform/zstd/zstd_codec.h"
#include "tests/suite.h"

static const struct pst_fragment_descriptor *find_fragment(void *context, uint32_t source,
                                                           uint64_t fragment)
{
    struct works *works = context;
    assert(source == 0 && fragment == 1);
    return works->fragment;
}

void works_open(struct works *works, enum pst_fragment_kind kind,
                const struct pst_transform *transform)
{
    *works = (struct works){.encoder = {.transform = transform},
                            .source = {.struct_bytes = sizeof(struct pst_source),
                                       .abi_version = PST_SOURCE_ABI_VERSION,
                                       .name = "test"}};
    if (transform && transform->codec < PST_CODECS)
        works->encoder.decoders[transform->codec] = transform;
    rig_open(&works->rig, pst_pipeline_memory_bytes(RIG_CHUNK_BYTES, WORKS_DEPTH));
    pst_unreadable_init(&works->unreadable);
    works->source.root_fd = works->rig.dirfd;
    works->sources[0] = &works->source;
    works->fragment = aligned_alloc(64, sizeof(*works->fragment));
    assert(works->fragment);
    pst_fragment_init(works->fragment, kind);
    int error = mkdirat(works->rig.dirfd, "BACKUP-1", 0700);
    error |= mkdirat(works->rig.dirfd, "BACKUP-1/BACKUP-1-PART-1-OF-1", 0700);
    assert(!error);
    const struct pst_pipeline_config config = {
        .ring = works->rig.ring,
        .memory = works->rig.memory,
        .directory_fd = works->rig.dirfd,
        .node = 1,
        .ldm = 1,
        .ldms = 1,
        .chunk_bytes = RIG_CHUNK_BYTES,
        .depth = WORKS_DEPTH,
        .encoder = transform ? &works->encoder : NULL,
        .sources = works->sources,
        .unreadable = &works->unreadable,
        .pace = &works->pace,
        .find_fragment = find_fragment,
        .context = works,
    };
    error = pst_pipeline_create(&config, &works->pipeline);
    assert(!error);
}

void works_close(struct works *works)
{
    if (!pst_pipeline_is_at_rest(works->pipeline))
        works_start(works, PST_WORK_DISCARD);
    while (!pst_pipeline_is_at_rest(works->pipeline))
        works_slice(works);
    pst_pipeline_destroy(works->pipeline);
    free(works->fragment);
    rig_close(&works->rig);
}

void works_add_entry(struct works *works, const struct pst_object *object)
{
    uint8_t entry[PST_OBJECT_BYTES_MAX];
    size_t bytes = 0;
    int error = pst_object_encode(object, entry, sizeof(entry), &bytes);
    assert(!error);
    error = pst_fragment_add_entry(works->fragment, entry, bytes, true);
    assert(!error);
}

void works_add_file(struct works *works, const char *name, uint64_t id, uint32_t bytes)
{
    struct pst_fragment_file listed;
    rig_write_file(&works->rig, name, bytes, id, &listed);
    const struct pst_object object = {
        .id = id, .type = PST_OBJECT_FILE, .path = name, .size = bytes, .mode = 0600};
    works_add_entry(works, &object);
    int error = pst_fragment_add_file(works->fragment, &listed);
    assert(!error);
    error = pst_fragment_add_extent(works->fragment, 0, bytes, NULL);
    assert(!error);
}

void works_start(struct works *works, enum pst_work_type type)
{
    const struct pst_work work = {.type = type,
                                  .backup = 1,
                                  .uid = {0xAB},
                                  .number = 1,
                                  .flags = works->flags,
                                  .fragment = type == PST_WORK_SCAN ? 1 : 0,
                                  .start_gci = 5,
                                  .stop_gci = 5};
    pst_pipeline_start(works->pipeline, &work);
}

void works_slice(struct works *works)
{
    if (!pst_pipeline_slice(works->pipeline))
        pst_ring_wait(works->rig.ring, pst_ring_in_flight(works->rig.ring) > 0 ? -1 : 0);
}

struct pst_work_result works_wait(struct works *works)
{
    struct pst_work_result result;
    while (!pst_pipeline_next_result(works->pipeline, &result)) {
        if (pst_pipeline_slice(works->pipeline))
            continue;
        assert(pst_ring_in_flight(works->rig.ring) > 0); /* else nothing will ever come */
        pst_ring_wait(works->rig.ring, -1);
    }
    return result;
}

int works_do(struct works *works, enum pst_work_type type)
{
    works_start(works, type);
    const struct pst_work_result result = works_wait(works);
    assert(result.type == type);
    return result.error;
}

bool works_part_exists(const struct works *works)
{
    return faccessat(works->rig.dirfd, WORKS_PART, F_OK, 0) == 0;
}

int works_run_suites(const char *name, const char *name_with_zstd, CU_TestInfo *tests,
                     const struct pst_transform **transform)
{
    int result = suite_run(name, tests);
    size_t bytes = pst_zstd_memory_bytes(PST_ZSTD_LEVEL_MAX, RIG_CHUNK_BYTES);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert(bytes > 0 && memory);
    *transform = pst_zstd_at(pst_zstd_init(memory, bytes, PST_ZSTD_LEVEL_MAX, RIG_CHUNK_BYTES),
                             PST_ZSTD_LEVEL_MAX);
    result |= suite_run(name_with_zstd, tests);
    *transform = NULL;
    free(memory);
    return result;
}
