/* The works of a participant, their results, and the life of its part, by the table in
 * part_state.c. Called by engine/node's LDM thread; files, scans and buffers are below. */
#include "engine/pipeline/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/pipeline/chunk_pool.h"
#include "engine/pipeline/fragment_scan.h"
#include "engine/pipeline/part_state.h"
#include "engine/pipeline/read_back.h"
#include "engine/pipeline/reference_chunks.h"
#include "engine/repository/repository.h"
#include "io/part_file.h"

#define RESULTS_MAX 8u

struct pst_pipeline {
    struct pst_pipeline_config config;
    struct pst_thread_owner owner;
    struct chunk_comparing comparing;
    struct chunk_pool *pool;
    struct fragment_scans *scans;

    enum part_state state;
    struct pst_work work; /* to be answered, while the state has PART_MAY_ANSWER */
    int error;            /* the first that spoils the part, negative */
    int trouble;          /* that error, until it is reported */

    struct pst_part_identity identity;
    struct pst_part_file file;
    char part_name[512];
    uint64_t backup;
    struct chunk_pool_end end; /* of the part */
    bool verifies;             /* it is read back before STOP is answered */
    struct read_back back;
    struct chunk *back_buffer;  /* of the pool; NULL: it is not being read back */
    struct chunk *back_decoded; /* likewise; NULL: nor decoded */

    struct pst_work_result results[RESULTS_MAX];
    uint32_t results_first;
    uint32_t results_count;
};

size_t pst_pipeline_memory_bytes(uint32_t chunk_bytes, uint32_t depth)
{
    return chunk_pool_memory_bytes(chunk_bytes, depth);
}

static bool refer_to_run(void *context, const struct chunk_run *run)
{
    struct pst_pipeline *pipeline = context;
    struct pst_base *base = pipeline->config.base ? *pipeline->config.base : NULL;
    struct pst_reference reference;
    if (!base || !pst_base_run(base, run->base_object, run->object_offset, run->bytes, run->hash,
                               &reference))
        return false;
    reference.object = run->object;
    return references_put_run(pipeline->pool, base, &reference);
}

static int create_pool(struct pst_pipeline *pipeline)
{
    const struct pst_pipeline_config *config = &pipeline->config;
    const struct chunk_pool_config pool = {
        .ring = config->ring,
        .memory = config->memory,
        .chunk_bytes = config->chunk_bytes,
        .depth = config->depth,
        .file = &pipeline->file,
        .encoder = config->encoder,
        .pace = config->pace,
        .comparing = config->compares_runs ? &pipeline->comparing : NULL,
    };
    pipeline->comparing = (struct chunk_comparing){.refer = refer_to_run, .context = pipeline};
    return chunk_pool_create(&pool, &pipeline->pool);
}

static int create_scans(struct pst_pipeline *pipeline)
{
    const struct fragment_scans_config scans = {
        .ring = pipeline->config.ring,
        .pool = pipeline->pool,
        .unreadable = pipeline->config.unreadable,
        .base = pipeline->config.base,
        .compares_runs = pipeline->config.compares_runs,
        .files_max = pipeline->config.files_max,
        .pace = pipeline->config.pace,
    };
    return fragment_scans_create(&scans, &pipeline->scans);
}

int pst_pipeline_create(const struct pst_pipeline_config *config, struct pst_pipeline **pipeline)
{
    struct pst_pipeline *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->config = *config;
    int error = create_pool(made);
    if (error)
        goto err_after_pipeline;
    error = create_scans(made);
    if (error)
        goto err_after_pool;
    pst_thread_bind(&made->owner);
    *pipeline = made;
    return 0;

err_after_pool:
    chunk_pool_destroy(made->pool);
err_after_pipeline:
    free(made);
    return error;
}

bool pst_pipeline_is_at_rest(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return pipeline->state == PART_NONE || pipeline->state == PART_COMPLETE;
}

void pst_pipeline_destroy(struct pst_pipeline *pipeline)
{
    if (!pipeline)
        return;
    assert(pst_pipeline_is_at_rest(pipeline));
    fragment_scans_destroy(pipeline->scans);
    chunk_pool_destroy(pipeline->pool);
    free(pipeline);
}

/* ---- what comes out ---- */

static void add_result(struct pst_pipeline *pipeline, const struct pst_work_result *result)
{
    assert(pipeline->results_count < RESULTS_MAX);
    uint32_t slot = (pipeline->results_first + pipeline->results_count++) % RESULTS_MAX;
    pipeline->results[slot] = *result;
    pipeline->results[slot].backup = pipeline->backup;
}

bool pst_pipeline_next_result(struct pst_pipeline *pipeline, struct pst_work_result *result)
{
    PST_CHECK_THREAD(&pipeline->owner);
    if (pipeline->results_count == 0)
        return false;
    *result = pipeline->results[pipeline->results_first];
    pipeline->results_first = (pipeline->results_first + 1) % RESULTS_MAX;
    pipeline->results_count--;
    return true;
}

int pst_pipeline_take_trouble(struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    int trouble = pipeline->trouble;
    pipeline->trouble = 0;
    return trouble;
}

static struct pst_sums sums_of(const struct pst_pipeline *pipeline)
{
    struct pst_sums sums = fragment_scans_sums(pipeline->scans);
    struct pst_part_sums part = chunk_pool_sums(pipeline->pool);
    sums.stored_bytes = part.stored_bytes;
    sums.chunks = part.chunks;
    return sums;
}

struct pst_sums pst_pipeline_sums(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return sums_of(pipeline);
}

const uint64_t *pst_pipeline_codec_chunks(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return chunk_pool_codec_chunks(pipeline->pool);
}

struct pst_reference_sums pst_pipeline_references(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return chunk_pool_references(pipeline->pool);
}

void pst_pipeline_name(const struct pst_pipeline *pipeline, const struct pst_io_op *op, char *text,
                       size_t bytes)
{
    PST_CHECK_THREAD(&pipeline->owner);
    if (!fragment_scans_name(pipeline->scans, op->file, text, bytes))
        snprintf(text, bytes, "%s", pipeline->part_name);
}

/* ---- the life of the part ---- */

/* Every change of the state. */
static void step(struct pst_pipeline *pipeline, enum part_event event)
{
    pipeline->state = part_state_after(pipeline->state, event);
}

/* Between steps, in all builds. */
static void check(const struct pst_pipeline *pipeline)
{
    enum part_state state = pipeline->state;
    fragment_scans_check(pipeline->scans, chunk_pool_check(pipeline->pool));
    assert(part_state_may(state, PART_MAY_SCAN) || fragment_scans_are_idle(pipeline->scans));
    assert(part_state_may(state, PART_MAY_WRITE) || chunk_pool_is_idle(pipeline->pool));
    assert(state != PART_SPOILT || pipeline->error);
    assert((state != PART_OPENED && state != PART_STARTED && state != PART_HALTED &&
            state != PART_COMPLETE) ||
           !pipeline->error);
    assert(!pipeline->trouble || pipeline->trouble == pipeline->error);
    assert(!pipeline->back_buffer || state == PART_VERIFYING || state == PART_CANCELLING);
    assert(pipeline->results_count <= RESULTS_MAX);
}

/* Keeps the first error that spoils the part. The work in progress, if there is one, is answered
 * with it; it is reported as trouble too. */
static void note_error(struct pst_pipeline *pipeline, int error, const char *what)
{
    if (pipeline->error)
        return;
    pst_log(PST_LOG_ERROR, "%s: %s: %s", pipeline->part_name, what, pst_error_text(error));
    pipeline->error = error;
    pipeline->trouble = error;
}

static void begin_work(struct pst_pipeline *pipeline, const struct pst_work *work,
                       enum part_event event)
{
    step(pipeline, event);
    assert(part_state_may(pipeline->state, PART_MAY_ANSWER));
    pipeline->work = *work;
}

/* Answers the work in progress with an error, or 0; one that a DISCARD stopped has failed. */
static void end_work(struct pst_pipeline *pipeline, enum part_event event, int error)
{
    assert(part_state_may(pipeline->state, PART_MAY_ANSWER));
    step(pipeline, event);
    assert(!part_state_may(pipeline->state, PART_MAY_ANSWER));
    if (!error && pipeline->state == PART_DRAINING)
        error = -ECANCELED;
    struct pst_work_result result = {.type = pipeline->work.type, .error = error};
    if (result.type == PST_WORK_STOP && !error) {
        result.sums = sums_of(pipeline);
        /* not what was read and is referred to */
        result.sums.source_bytes = chunk_pool_sums(pipeline->pool).source_bytes;
        result.file_bytes = pipeline->end.file_bytes;
        memcpy(result.digest, pipeline->end.digest.bytes, sizeof(result.digest));
    }
    add_result(pipeline, &result);
}

/* There is no part any more: the end of RELEASE and DISCARD. */
static void forget(struct pst_pipeline *pipeline, enum pst_work_type work, int error)
{
    assert(pipeline->state == PART_NONE);
    chunk_pool_forget_part(pipeline->pool);
    const struct pst_work_result result = {.type = work, .error = error};
    add_result(pipeline, &result);
}

static struct pst_pipeline *of_file(struct pst_part_file *file)
{
    return PST_IO_OP_OF(file, struct pst_pipeline, file);
}

static void on_created(struct pst_part_file *file, int result)
{
    struct pst_pipeline *pipeline = of_file(file);
    bool is_cancelled = pipeline->state == PART_CANCELLING;
    if (result < 0)
        pst_log(PST_LOG_ERROR, "%s: %s: %s", pipeline->part_name,
                file->failed_step ? file->failed_step : "create", pst_error_text(result));
    else
        pst_log(PST_LOG_DEBUG, "%s: %s", pipeline->part_name, pst_file_describe(&file->file));
    if (result == 0 && file->file.direct_refused && pipeline->config.ldm == 1)
        pst_log(PST_LOG_WARNING, "the file system of the backup directory refuses O_DIRECT: "
                                 "written through the page cache");
    end_work(pipeline, result == 0 ? PART_ON_DONE : PART_ON_GONE, result);
    if (is_cancelled && result < 0)
        forget(pipeline, PST_WORK_DISCARD, 0);
    check(pipeline);
}

static void open_part(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    const struct pst_pipeline_config *config = &pipeline->config;
    uint32_t parts = work->flags & PST_BACKUP_SINGLE_THREADED ? 1 : config->ldms;
    begin_work(pipeline, work, PART_ON_OPEN);
    pipeline->backup = work->backup;
    pipeline->verifies = work->flags & PST_BACKUP_VERIFY;
    pipeline->error = 0;
    pipeline->trouble = 0;
    fragment_scans_begin_part(pipeline->scans);
    pipeline->identity = (struct pst_part_identity){
        .number = work->number,
        .cluster_id = config->cluster_id,
        .node = (uint16_t)config->node,
        .part = (uint16_t)config->ldm,
        .parts = (uint16_t)parts,
    };
    memcpy(pipeline->identity.uid, work->uid, sizeof(pipeline->identity.uid));
    snprintf(pipeline->part_name, sizeof(pipeline->part_name), "%s",
             pst_repository_part_path(work->number, config->node, config->ldm, parts).text);
    if (config->discards)
        pst_io_part_discard(&pipeline->file, config->ring, on_created);
    else
        pst_io_part_create(&pipeline->file, config->ring, config->directory_fd, pipeline->part_name,
                           config->direct, on_created);
}

static void on_read_back(struct read_back *back, int error)
{
    struct pst_pipeline *pipeline = PST_IO_OP_OF(back, struct pst_pipeline, back);
    bool is_cancelled = pipeline->state == PART_CANCELLING;
    char what[128];
    chunk_pool_take_back(pipeline->back_buffer);
    if (pipeline->back_decoded)
        chunk_pool_take_back(pipeline->back_decoded);
    pipeline->back_buffer = pipeline->back_decoded = NULL;
    if (error && error != -ECANCELED && !is_cancelled) {
        snprintf(what, sizeof(what), "%s at byte %llu", back->what,
                 (unsigned long long)back->offset);
        note_error(pipeline, error, what);
    } else if (error && !pipeline->error) {
        pipeline->error = error; /* an abort: nothing is wrong with the part */
    }
    end_work(pipeline, !error || is_cancelled ? PART_ON_DONE : PART_ON_FAILED, error);
    check(pipeline);
}

static void read_back(struct pst_pipeline *pipeline)
{
    const struct pst_pipeline_config *config = &pipeline->config;
    step(pipeline, PART_ON_VERIFY);
    pipeline->back_buffer = chunk_pool_lend(pipeline->pool);
    if (config->encoder)
        pipeline->back_decoded = chunk_pool_lend(pipeline->pool);
    pipeline->back = (struct read_back){
        .ring = config->ring,
        .directory_fd = config->directory_fd,
        .name = pipeline->part_name,
        .identity = &pipeline->identity,
        .digest = pipeline->end.digest,
        .file_bytes = pipeline->end.file_bytes,
        .buffer = chunk_pool_lent_memory(pipeline->back_buffer),
        .chunk_bytes = config->chunk_bytes,
        .buffer_index = (int)chunk_number(pipeline->back_buffer),
        .encoder = config->encoder,
        .decoded = pipeline->back_decoded ? chunk_pool_lent_memory(pipeline->back_decoded) : NULL,
        .raw_digest = pipeline->end.raw_digest,
        .pace = config->pace,
        .done = on_read_back,
    };
    read_back_start(&pipeline->back);
}

static void on_finished(struct pst_part_file *file, int result)
{
    struct pst_pipeline *pipeline = of_file(file);
    bool is_cancelled = pipeline->state == PART_CANCELLING;
    if (result < 0 && !is_cancelled)
        note_error(pipeline, result, file->failed_step);
    if (result == 0 && !is_cancelled && pipeline->verifies)
        read_back(pipeline);
    else
        end_work(pipeline, result == 0 || is_cancelled ? PART_ON_DONE : PART_ON_FAILED, result);
    check(pipeline);
}

uint64_t pst_pipeline_verified_bytes(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return pipeline->state == PART_VERIFYING ? pipeline->back.offset : 0;
}

bool pst_pipeline_waits_to_verify(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return pipeline->state == PART_VERIFYING && pipeline->back.waits;
}

void pst_pipeline_stop_verifying(struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    if (pipeline->state == PART_VERIFYING)
        pipeline->back.must_stop = true;
}

static void end_part(struct pst_pipeline *pipeline)
{
    struct pst_sums sums = fragment_scans_sums(pipeline->scans);
    pipeline->end = (struct chunk_pool_end){
        .start_gci = pipeline->work.start_gci,
        .stop_gci = pipeline->work.stop_gci,
        .objects = sums.objects,
        .unreadable = sums.unreadable,
    };
    chunk_pool_end_part(pipeline->pool, &pipeline->end);
}

static void on_abandoned(struct pst_part_file *file, int result)
{
    struct pst_pipeline *pipeline = of_file(file);
    if (result < 0)
        pst_log(PST_LOG_ERROR, "%s: could not be removed: %s; remove it by hand",
                pipeline->part_name, pst_error_text(result));
    step(pipeline, PART_ON_GONE);
    forget(pipeline, PST_WORK_DISCARD, result);
    check(pipeline);
}

/* DISCARD outlives the work in progress. Only what is in flight on the file itself is waited for
 * before that is answered; writes of the pool have time until the file is removed. */
static void discard(struct pst_pipeline *pipeline)
{
    if (part_state_may(pipeline->state, PART_MAY_ANSWER) &&
        part_state_may(pipeline->state, PART_MAY_WRITE))
        end_work(pipeline, PART_ON_DISCARD, pipeline->error);
    else
        step(pipeline, PART_ON_DISCARD);
    pipeline->back.must_stop = true;
    chunk_pool_drop(pipeline->pool);
    if (pipeline->state == PART_NONE)
        forget(pipeline, PST_WORK_DISCARD, 0);
}

static void start_scan(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    const struct pst_pipeline_config *config = &pipeline->config;
    assert(pipeline->state == PART_STARTED || pipeline->state == PART_SPOILT);
    fragment_scans_start(pipeline->scans, work, config->sources[work->source],
                         config->find_fragment(config->context, work->source, work->fragment));
}

static uint32_t flags_of(const struct pst_pipeline *pipeline)
{
    bool has_base = pipeline->config.base && *pipeline->config.base;
    return (has_base ? CHUNK_POOL_HAS_BASE : 0) | (pipeline->verifies ? CHUNK_POOL_VERIFIES : 0);
}

void pst_pipeline_start(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    PST_CHECK_THREAD(&pipeline->owner);
    switch (work->type) {
    case PST_WORK_OPEN:
        open_part(pipeline, work);
        break;
    case PST_WORK_START:
        begin_work(pipeline, work, PART_ON_START);
        chunk_pool_begin_part(pipeline->pool, &pipeline->identity, pipeline->config.ldm,
                              flags_of(pipeline));
        break;
    case PST_WORK_SCAN:
        start_scan(pipeline, work);
        break;
    case PST_WORK_HALT:
        step(pipeline, PART_ON_HALT);
        chunk_pool_drop(pipeline->pool);
        break;
    case PST_WORK_STOP:
        begin_work(pipeline, work, PART_ON_STOP);
        chunk_pool_flush(pipeline->pool);
        break;
    case PST_WORK_RELEASE:
        step(pipeline, PART_ON_RELEASE);
        forget(pipeline, PST_WORK_RELEASE, 0);
        break;
    case PST_WORK_DISCARD:
        discard(pipeline);
        break;
    }
    check(pipeline);
}

/* ---- a slice ---- */

static void take_write_error(struct pst_pipeline *pipeline)
{
    const char *what;
    int error = chunk_pool_take_error(pipeline->pool, &what);
    if (!error || pipeline->state == PART_DRAINING)
        return; /* the file is going to be removed */
    note_error(pipeline, error, what);
    if (pipeline->state == PART_STARTED || pipeline->state == PART_HALTED)
        step(pipeline, PART_ON_FAILED);
}

/* Why the scans are to end; 0: they go on. */
static int why_scans_stop(const struct pst_pipeline *pipeline)
{
    if (pipeline->state == PART_STARTED)
        return 0;
    return pipeline->error ? pipeline->error : -ECANCELED;
}

/* START, or a step of STOP, whose writes have ended. */
static void end_writing(struct pst_pipeline *pipeline)
{
    if (pipeline->error) {
        end_work(pipeline, PART_ON_FAILED, pipeline->error);
        return;
    }
    if (pipeline->state == PART_STARTING) {
        end_work(pipeline, PART_ON_DONE, 0);
        return;
    }
    step(pipeline, PART_ON_DONE);
    if (pipeline->state == PART_SEALING)
        end_part(pipeline);
    else
        pst_io_part_finish(&pipeline->file, on_finished);
}

/* Goes on to the next state where all has ended that this one waits for; false: it has not, or this
 * state waits for something else. */
static bool advance(struct pst_pipeline *pipeline)
{
    switch (pipeline->state) {
    case PART_STARTING:
    case PART_FLUSHING:
    case PART_SEALING:
        if (!chunk_pool_is_idle(pipeline->pool))
            return false;
        end_writing(pipeline);
        return true;
    case PART_DRAINING:
        if (!chunk_pool_is_idle(pipeline->pool) || !fragment_scans_are_idle(pipeline->scans))
            return false;
        step(pipeline, PART_ON_DONE);
        pst_io_part_abandon(&pipeline->file, on_abandoned);
        return true;
    default:
        return false;
    }
}

bool pst_pipeline_slice(struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    struct pst_work_result result;
    if (pipeline->config.pace)
        pipeline->config.pace->wait_ns = 0;
    take_write_error(pipeline);
    bool moved = pipeline->back_buffer && read_back_slice(&pipeline->back);
    moved |= fragment_scans_slice(pipeline->scans, why_scans_stop(pipeline));
    while (fragment_scans_take_ended(pipeline->scans, &result))
        add_result(pipeline, &result);
    moved |= chunk_pool_encode(pipeline->pool);
    moved |= advance(pipeline);
    check(pipeline);
    return moved;
}

bool pst_pipeline_has_fragments(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    return !fragment_scans_are_idle(pipeline->scans);
}

uint64_t pst_pipeline_deadline_ns(const struct pst_pipeline *pipeline)
{
    PST_CHECK_THREAD(&pipeline->owner);
    uint64_t retry_ns = fragment_scans_retry_ns(pipeline->scans);
    uint64_t pace_ns = pipeline->config.pace ? pipeline->config.pace->wait_ns : 0;
    return pace_ns != 0 && pace_ns < retry_ns ? pace_ns : retry_ns;
}
