#include "engine/pipeline/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/pipeline/pipeline_internal.h"
#include "engine/repository/layout.h"

static size_t buffer_bytes(uint32_t chunk_bytes)
{
    return PST_CHUNK_HEADER_BYTES + (size_t)chunk_bytes;
}

size_t pst_pipeline_memory_bytes(uint32_t chunk_bytes, uint32_t depth)
{
    return PST_BLOCK_BYTES + (depth + EXTRA_BUFFERS) * buffer_bytes(chunk_bytes);
}

static void set_up_buffers(struct pst_pipeline *pipeline)
{
    char *memory = (char *)pipeline->config.memory + PST_BLOCK_BYTES;
    pipeline->block = pipeline->config.memory;
    for (uint32_t i = 0; i < pipeline->buffers; i++) {
        struct chunk *chunk = &pipeline->chunks[i];
        chunk->pipeline = pipeline;
        chunk->pieces = pipeline->pieces + (size_t)i * PST_CHUNK_PIECES_MAX;
        chunk->memory = memory + i * buffer_bytes(pipeline->config.chunk_bytes);
        chunk->buffer_index = (int)i;
        chunk_put_back(chunk);
    }
    for (uint32_t i = 0; i < OPEN_FILES_MAX; i++) {
        pipeline->files[i].pipeline = pipeline;
        pipeline->files[i].next = pipeline->free_files;
        pipeline->free_files = &pipeline->files[i];
    }
}

static int register_buffers(struct pst_pipeline *pipeline)
{
    struct iovec *buffers = calloc(pipeline->buffers, sizeof(*buffers));
    if (!buffers)
        return -ENOMEM;
    for (uint32_t i = 0; i < pipeline->buffers; i++) {
        buffers[i].iov_base = pipeline->chunks[i].memory;
        buffers[i].iov_len = buffer_bytes(pipeline->config.chunk_bytes);
    }
    pst_ring_register_buffers(pipeline->config.ring, buffers, pipeline->buffers);
    free(buffers);
    return 0;
}

int pst_pipeline_create(const struct pst_pipeline_config *config, struct pst_pipeline **pipeline)
{
    struct pst_pipeline *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->config = *config;
    made->buffers = config->depth + EXTRA_BUFFERS;
    made->chunks = calloc(made->buffers, sizeof(*made->chunks));
    made->pieces = calloc((size_t)made->buffers * PST_CHUNK_PIECES_MAX, sizeof(*made->pieces));
    int error = -ENOMEM;
    if (!made->chunks || !made->pieces)
        goto err_after_alloc;
    set_up_buffers(made);
    error = register_buffers(made);
    if (error)
        goto err_after_alloc;
    *pipeline = made;
    return 0;

err_after_alloc:
    free(made->pieces);
    free(made->chunks);
    free(made);
    return error;
}

void pst_pipeline_destroy(struct pst_pipeline *pipeline)
{
    if (!pipeline)
        return;
    assert(pst_pipeline_is_at_rest(pipeline));
    assert(pipeline->writes == 0 && pipeline->files_open == 0);
    free(pipeline->pieces);
    free(pipeline->chunks);
    free(pipeline);
}

/* The part is spoilt; told by the work in progress, or else as trouble. */
void pipeline_fail(struct pst_pipeline *pipeline, int error, const char *step)
{
    if (pipeline->error != 0 || pipeline->discarding)
        return;
    pst_log(PST_LOG_ERROR, "%s: %s: %s", pipeline->part_name, step, pst_error_text(error));
    pipeline->error = error;
    pipeline->trouble_is_new = true;
}

void pipeline_result(struct pst_pipeline *pipeline, const struct pst_work_result *result)
{
    assert(pipeline->results_count < RESULTS_MAX);
    uint32_t slot = (pipeline->results_first + pipeline->results_count++) % RESULTS_MAX;
    pipeline->results[slot] = *result;
}

bool pst_pipeline_next_result(struct pst_pipeline *pipeline, struct pst_work_result *result)
{
    if (pipeline->results_count == 0)
        return false;
    *result = pipeline->results[pipeline->results_first];
    pipeline->results_first = (pipeline->results_first + 1) % RESULTS_MAX;
    pipeline->results_count--;
    return true;
}

int pst_pipeline_take_trouble(struct pst_pipeline *pipeline)
{
    if (!pipeline->trouble_is_new)
        return 0;
    pipeline->trouble_is_new = false;
    return pipeline->error;
}

struct pst_sums pst_pipeline_sums(const struct pst_pipeline *pipeline)
{
    struct pst_sums sums = pipeline->sums;
    sums.stored_bytes = pipeline->part.sums.stored_bytes;
    sums.chunks = pipeline->part.sums.chunks;
    return sums;
}

static void end_work(struct pst_pipeline *pipeline, int error)
{
    assert(pipeline->busy);
    pipeline->busy = false;
    struct pst_work_result result = {.type = pipeline->work.type,
                                     .error = pipeline->halted && !error ? ECANCELED : error,
                                     .backup = pipeline->backup};
    if (result.type == PST_WORK_STOP && result.error == 0) {
        result.sums = pst_pipeline_sums(pipeline);
        result.file_bytes = pipeline->file_bytes;
        memcpy(result.digest, pipeline->digest.bytes, sizeof(result.digest));
    }
    pipeline_result(pipeline, &result);
    pipeline_moved(pipeline);
}

static struct pst_pipeline *of_part(struct pst_part_file *part)
{
    return PST_IO_OP_OF(part, struct pst_pipeline, part_file);
}

static void on_created(struct pst_part_file *part, int result)
{
    struct pst_pipeline *pipeline = of_part(part);
    if (result < 0)
        pst_log(PST_LOG_ERROR, "%s: %s: %s", pipeline->part_name,
                part->failed_step ? part->failed_step : "create", pst_error_text(result));
    else
        pst_log(PST_LOG_DEBUG, "%s: %s", pipeline->part_name, pst_file_describe(&part->file));
    if (result == 0 && part->file.direct_refused && pipeline->config.ldm == 1)
        pst_log(PST_LOG_WARNING, "the file system of the backup directory refuses O_DIRECT: "
                                 "written through the page cache");
    pipeline->file_exists = result == 0;
    end_work(pipeline, -result);
}

static void open_part(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    const struct pst_pipeline_config *config = &pipeline->config;
    uint32_t parts = work->flags & PST_BACKUP_SINGLE_THREADED ? 1 : config->ldms;
    pipeline->backup = work->backup;
    pipeline->error = 0;
    pipeline->trouble_is_new = false;
    pipeline->halted = false;
    pipeline->is_finished = false;
    pipeline->stop_step = STOP_CHUNKS;
    memset(&pipeline->sums, 0, sizeof(pipeline->sums));
    memset(&pipeline->part, 0, sizeof(pipeline->part));
    struct pst_part_identity *identity = &pipeline->part.identity;
    memcpy(identity->uid, work->uid, sizeof(identity->uid));
    identity->number = work->number;
    identity->cluster_id = config->cluster_id;
    identity->node = (uint16_t)config->node;
    identity->part = (uint16_t)config->ldm;
    identity->parts = (uint16_t)parts;
    struct pst_name backup = pst_name_backup(work->number);
    struct pst_name part = pst_name_part(work->number, config->node, config->ldm, parts);
    snprintf(pipeline->part_name, sizeof(pipeline->part_name), "%s/%s", backup.text, part.text);
    pst_part_create(&pipeline->part_file, config->ring, config->directory_fd, pipeline->part_name,
                    config->direct, on_created);
}

static void on_header_written(struct pst_io_op *op, int result)
{
    struct pst_pipeline *pipeline = PST_IO_OP_OF(op, struct pst_pipeline, block_op);
    pipeline->writes--;
    if (result < 0)
        pipeline_fail(pipeline, -result, "write the header");
    end_work(pipeline, pipeline->error);
}

static void write_block(struct pst_pipeline *pipeline, uint64_t offset,
                        void (*done)(struct pst_io_op *op, int result))
{
    pipeline->writes++;
    pipeline->block_op.done = done;
    pst_part_write(&pipeline->part_file, &pipeline->block_op, pipeline->block, PST_BLOCK_BYTES,
                   offset, -1);
}

static void start_part(struct pst_pipeline *pipeline)
{
    struct pst_part_identity identity = pipeline->part.identity;
    pst_part_begin(&pipeline->part, &identity, pipeline->config.chunk_bytes, pipeline->config.ldm,
                   pst_unix_ns(), pipeline->block);
    pipeline->index = chunk_take(pipeline, PST_CHUNK_INDEX);
    pipeline->spare_index = chunk_take(pipeline, PST_CHUNK_INDEX);
    assert(pipeline->index && pipeline->spare_index);
    pst_part_attach_index(&pipeline->part, pipeline->index->memory);
    write_block(pipeline, 0, on_header_written);
}

static void on_finished(struct pst_part_file *part, int result)
{
    struct pst_pipeline *pipeline = of_part(part);
    if (result < 0)
        pipeline_fail(pipeline, -result, part->failed_step);
    else
        pipeline->is_finished = true;
    end_work(pipeline, -result);
}

static void on_trailer_written(struct pst_io_op *op, int result)
{
    struct pst_pipeline *pipeline = PST_IO_OP_OF(op, struct pst_pipeline, block_op);
    pipeline->writes--;
    if (result < 0)
        pipeline_fail(pipeline, -result, "write the trailer");
    pipeline_moved(pipeline);
}

static void write_trailer(struct pst_pipeline *pipeline)
{
    pipeline->part.sums.objects = pipeline->sums.objects;
    pipeline->part.sums.unreadable = pipeline->sums.unreadable;
    chunk_write_index(pipeline);
    struct pst_part_place place =
        pst_part_seal_trailer(&pipeline->part, pipeline->work.start_gci, pipeline->work.stop_gci,
                              pst_unix_ns(), pipeline->block, &pipeline->digest);
    pipeline->file_bytes = place.file_offset + place.bytes;
    pipeline->stop_step = STOP_TRAILER;
    write_block(pipeline, place.file_offset, on_trailer_written);
}

static void finish_part(struct pst_pipeline *pipeline)
{
    pipeline->stop_step = STOP_FINISH;
    pst_part_finish(&pipeline->part_file, on_finished);
}

static void close_open_chunks(struct pst_pipeline *pipeline)
{
    struct chunk *data = pipeline->data;
    struct chunk *catalogue = pipeline->catalogue;
    pipeline->data = NULL;
    pipeline->catalogue = NULL;
    if (data)
        chunk_close(data);
    if (catalogue)
        chunk_close(catalogue);
}

/* STOP: chunks, then index and trailer, then fdatasync and close, each when the last is done. */
static void advance_stop(struct pst_pipeline *pipeline)
{
    close_open_chunks(pipeline);
    if (pipeline->writes > 0 || pipeline->ready || pipeline->stop_step == STOP_FINISH)
        return; /* on_finished() ends the last step, a DISCARD meanwhile or not */
    if (pipeline->error != 0 || pipeline->halted)
        end_work(pipeline, pipeline->error);
    else if (pipeline->stop_step == STOP_CHUNKS)
        write_trailer(pipeline);
    else if (pipeline->stop_step == STOP_TRAILER)
        finish_part(pipeline);
}

static void give_back_index(struct pst_pipeline *pipeline)
{
    if (pipeline->index)
        chunk_put_back(pipeline->index);
    if (pipeline->spare_index)
        chunk_put_back(pipeline->spare_index);
    pipeline->index = NULL;
    pipeline->spare_index = NULL;
}

static void end_discard(struct pst_pipeline *pipeline, int error)
{
    pipeline->discarding = false;
    pipeline->abandoning = false;
    pipeline->file_exists = false;
    give_back_index(pipeline);
    struct pst_work_result result = {
        .type = PST_WORK_DISCARD, .error = error, .backup = pipeline->backup};
    pipeline_result(pipeline, &result);
}

static void on_abandoned(struct pst_part_file *part, int result)
{
    struct pst_pipeline *pipeline = of_part(part);
    if (result < 0)
        pst_log(PST_LOG_ERROR, "%s: could not be removed: %s; remove it by hand",
                pipeline->part_name, pst_error_text(result));
    end_discard(pipeline, -result);
}

static bool scans_run(const struct pst_pipeline *pipeline)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        if (pipeline->scans[i].phase != SCAN_FREE)
            return true;
    }
    return false;
}

/* DISCARD: when nothing runs any more, the file goes. */
static void advance_discard(struct pst_pipeline *pipeline)
{
    close_open_chunks(pipeline);
    chunk_write_ready(pipeline);
    if (pipeline->busy || pipeline->abandoning || pipeline->writes > 0 || pipeline->ready ||
        pipeline->files_open > 0 || scans_run(pipeline))
        return;
    if (!pipeline->file_exists) {
        end_discard(pipeline, 0);
        return;
    }
    pipeline->abandoning = true;
    pst_part_abandon(&pipeline->part_file, on_abandoned);
}

bool pst_pipeline_is_at_rest(const struct pst_pipeline *pipeline)
{
    return !pipeline->busy && !pipeline->discarding && !scans_run(pipeline) &&
           (!pipeline->file_exists || pipeline->is_finished);
}

static void release(struct pst_pipeline *pipeline)
{
    assert(pipeline->is_finished);
    pipeline->file_exists = false;
    give_back_index(pipeline);
    struct pst_work_result result = {.type = PST_WORK_RELEASE, .backup = pipeline->backup};
    pipeline_result(pipeline, &result);
}

void pipeline_moved(struct pst_pipeline *pipeline)
{
    pipeline->moved = true;
}

bool pst_pipeline_slice(struct pst_pipeline *pipeline)
{
    bool moved = pipeline->moved;
    pipeline->moved = false;
    moved |= scan_slice(pipeline);
    chunk_write_ready(pipeline);
    if (pipeline->busy && pipeline->work.type == PST_WORK_STOP && moved)
        advance_stop(pipeline);
    if (pipeline->discarding && moved)
        advance_discard(pipeline);
    return moved;
}

void pst_pipeline_start(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    if (work->type == PST_WORK_SCAN) {
        scan_start(pipeline, work);
        return;
    }
    if (work->type == PST_WORK_OPEN || work->type == PST_WORK_START ||
        work->type == PST_WORK_STOP) {
        assert(!pipeline->busy);
        pipeline->busy = true;
        pipeline->work = *work;
    }
    pipeline->moved = true;
    switch (work->type) {
    case PST_WORK_OPEN:
        open_part(pipeline, work);
        break;
    case PST_WORK_START:
        start_part(pipeline);
        break;
    case PST_WORK_RELEASE:
        release(pipeline);
        break;
    case PST_WORK_HALT:
        pipeline->halted = true;
        break;
    case PST_WORK_DISCARD:
        pipeline->halted = true;
        pipeline->discarding = true;
        break;
    default: /* STOP: pst_pipeline_slice() */
        break;
    }
}
