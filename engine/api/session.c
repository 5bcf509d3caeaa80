/*
 * A backup job from start to end: checks it, opens its sources, plans the threads, runs the node.
 * Runs on the caller's thread: of `penstock backup`, of the daemon (engine/service/daemon.c), and
 * of programs that call pst_run_backup.
 */
#include "engine/api/session.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/abi.h"
#include "engine/api/choice_text.h"
#include "engine/api/dry_run.h"
#include "engine/api/file_choice.h"
#include "engine/api/freeze_choice.h"
#include "engine/api/job_check.h"
#include "engine/api/job_pace.h"
#include "engine/api/job_timeouts.h"
#include "engine/api/placement.h"
#include "engine/api/table_choice.h"
#include "engine/base/log.h"
#include "engine/base/printable.h"
#include "engine/key/keyring.h"
#include "engine/node/one_backup.h"
#include "engine/node/ref_text.h"
#include "engine/pipeline/pipeline.h"
#include "engine/source/registry/registry.h"

#define NS_PER_S UINT64_C(1000000000)

_Static_assert(sizeof(struct pst_run) == 48, "stands inside structs that grow: never changes");

struct pst_session {
    struct pst_backup_job job;
    struct pst_placements placements;
    struct pst_source *sources[PST_SOURCES_MAX]; /* in name order */
    const char *specs[PST_SOURCES_MAX];
    char own_specs[PST_SOURCES_MAX][PST_SOURCE_NAME_MAX + 1]; /* of the caller's sources */
    char *paths[PST_SOURCES_MAX]; /* absolute; NULL: it has none. In name order too */
    char *choices[PST_SOURCES_MAX];
    uint32_t sources_count;
    struct pst_keyring *keyring; /* of who can open the backups; NULL: they are not sealed */
    struct pst_table_filter tables;
    struct file_choice files;
    struct pst_freeze_commands commands;
    struct pst_node_backup options;
    struct pst_node_backup_report report;
    char message[PST_MESSAGE_BYTES]; /* after an error: why */
};

static int fail(struct pst_session *session, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct pst_session *session, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->message, sizeof(session->message), format, arguments);
    va_end(arguments);
    return error;
}

static int parse_direct(const char *text, enum pst_direct *direct)
{
    static const char *const names[] = {
        [PST_DIRECT_AUTO] = "auto", [PST_DIRECT_ON] = "on", [PST_DIRECT_OFF] = "off"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *direct = (enum pst_direct)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_within(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most;
}

static int check_limits(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    const uint64_t limits_ns[] = {job->stall_warning_ns, job->stall_limit_ns, job->request_limit_ns,
                                  job->hang_limit_ns, job->start_limit_ns};
    for (uint32_t i = 0; i < sizeof(limits_ns) / sizeof(limits_ns[0]); i++) {
        if (!is_within(limits_ns[i], PST_LIMIT_NS_MIN, PST_LIMIT_NS_MAX))
            return fail(session, -EINVAL, "a limit of %llu ms: give 100 ms to 24 h",
                        (unsigned long long)(limits_ns[i] / 1000000));
    }
    if (job->freeze_wait_ns + job->freeze_hold_ns >= job_timeouts(job).proxy_ns)
        return fail(session, -EINVAL,
                    "the request limit is shorter than a freeze may take: raise it, or lower the "
                    "freeze limits");
    return 0;
}

static bool is_label(const char *label)
{
    char printable[PST_LABEL_BYTES_MAX + 1];
    size_t bytes = strnlen(label, sizeof(printable));
    if (!is_within(bytes, 1, PST_LABEL_BYTES_MAX))
        return false;
    memcpy(printable, label, bytes);
    pst_make_printable(printable, bytes);
    return memcmp(printable, label, bytes) == 0;
}

static int check_job(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    if (!job->directory || !job->directory[0])
        return fail(session, -EINVAL, "no directory for the backups is given");
    if (job->specs_count > PST_SOURCES_MAX || job->sources_count > PST_SOURCES_MAX ||
        !is_within(job->specs_count + job->sources_count, 1, PST_SOURCES_MAX))
        return fail(session, -EINVAL, "%u sources: give 1 to %u",
                    job->specs_count + job->sources_count, PST_SOURCES_MAX);
    if (!is_within(job->chunk_bytes, PST_CHUNK_BYTES_MIN, PST_CHUNK_BYTES_MAX) ||
        job->chunk_bytes % PST_BLOCK_BYTES != 0)
        return fail(session, -EINVAL, "chunks of %u bytes: give %u to %u, a multiple of 4K",
                    job->chunk_bytes, PST_CHUNK_BYTES_MIN, PST_CHUNK_BYTES_MAX);
    if (!is_within(job->depth, PST_DEPTH_MIN, PST_DEPTH_MAX))
        return fail(session, -EINVAL, "depth %u: give %u to %u", job->depth, PST_DEPTH_MIN,
                    PST_DEPTH_MAX);
    if (job->freeze_wait_ns > PST_FREEZE_NS_MAX || job->freeze_hold_ns > PST_FREEZE_NS_MAX)
        return fail(session, -EINVAL, "the freeze limits are too long: give at most %llu s",
                    (unsigned long long)(PST_FREEZE_NS_MAX / NS_PER_S));
    if (job->headroom_percent > 100)
        return fail(session, -EINVAL, "headroom of %u percent: give at most 100",
                    job->headroom_percent);
    if (job->label && !is_label(job->label))
        return fail(session, -EINVAL, "label: give 1 to %u bytes of printable UTF-8 text",
                    PST_LABEL_BYTES_MAX);
    int error = job_check_backup(job, session->message);
    return error ? error : check_limits(session);
}

static int read_keys(struct pst_session *session)
{
    char ids[PST_KEYRING_MAX * (PST_KEY_ID_TEXT_BYTES + 16)] = "", id[PST_KEY_ID_TEXT_BYTES];
    int error = pst_keyring_read(session->job.keys, session->job.run.cancel_fd, &session->keyring,
                                 session->message);
    if (!error && session->keyring)
        error = pst_keyring_prepare(session->keyring, session->message);
    if (error || !session->keyring)
        return error;
    for (uint32_t i = 0; i < session->keyring->count; i++) {
        if (i > 0)
            strcat(ids, " or ");
        strcat(ids, session->keyring->keys[i].kind == PST_KEY_PASSPHRASE ? "passphrase " : "key ");
        strcat(ids, pst_key_id_text(session->keyring->keys[i].id, id));
    }
    pst_log(PST_LOG_INFO, "backups are sealed: %s opens them, and nothing else does", ids);
    session->options.node.recipients = session->keyring;
    return 0;
}

static int read_base(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    struct pst_base_policy *policy = &session->options.node.base;
    *policy = (struct pst_base_policy){.id = job->base,
                                       .full_every = job->full_every,
                                       .rehash = job->rehash,
                                       .trust_after_ns = job->trust_after_ns};
    if (job->base && strcmp(job->base, "none") != 0)
        policy->mode = strcmp(job->base, "auto") == 0 ? PST_BASE_AUTO : PST_BASE_ID;
    if (job->full_every > 0 && policy->mode != PST_BASE_AUTO)
        return fail(session, -EINVAL, "full-every counts with base auto alone");
    if (job->trust_after_ns > 0 && job->trust_after_ns < PST_TRUST_AFTER_NS_MIN)
        return fail(session, -EINVAL, "trust-after: give 2s or more");
    if (job->rehash && policy->mode == PST_BASE_NONE)
        return fail(session, -EINVAL, "rehash: without a base all files are read anyway");
    return 0;
}

static int read_job(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    struct pst_node_config *node = &session->options.node;
    int error = check_job(session);
    if (error)
        return error;
    if (parse_direct(job->direct, &node->direct) < 0)
        return fail(session, -EINVAL, "direct %s: give auto, on or off",
                    job->direct ? job->direct : "is NULL");
    if (pst_compression_parse(job->compress ? job->compress : PST_COMPRESS_DEFAULT,
                              &node->compression))
        return fail(session, -EINVAL,
                    "compress %s: give auto, none, lz4, zstd, or zstd:1 to zstd:9", job->compress);
    if (job_pace_read(job->pace, job->min_rate, &node->pace, session->message) < 0)
        return -EINVAL;
    error = read_keys(session);
    if (!error)
        error = read_base(session);
    if (error)
        return error;
    node->node = 1;
    node->directory = job->directory;
    node->label = job->label;
    node->chunk_bytes = job->chunk_bytes;
    node->depth = job->depth;
    node->polling = (struct pst_ring_polling){.sqpoll = job->sqpoll, .iopoll = job->iopoll};
    node->freeze_wait_ns = job->freeze_wait_ns;
    node->freeze_hold_ns = job->freeze_hold_ns;
    node->headroom_percent = job->headroom_percent;
    node->check_pages = job->check_pages;
    node->timeouts = job_timeouts(job);
    node->stall_warning_ns = job->stall_warning_ns;
    node->hang_limit_ns = job->hang_limit_ns;
    node->start_limit_ns = job->start_limit_ns;
    session->options.number = job->number;
    session->options.single_threaded = job->single_threaded;
    session->options.verify = job->verify;
    session->options.cancel_fd = job->run.cancel_fd;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct pst_source *const *)a)->name, (*(struct pst_source *const *)b)->name);
}

/* Sources are frozen in name order: the same on every node, whatever the caller's. */
static void put_in_name_order(struct pst_session *session)
{
    const char *specs[PST_SOURCES_MAX];
    memcpy(specs, session->specs, sizeof(specs));
    qsort(session->sources, session->sources_count, sizeof(session->sources[0]), by_name);
    for (uint32_t i = 0; i < session->sources_count; i++) {
        session->specs[i] = specs[session->sources[i]->instance];
        session->sources[i]->instance = i;
    }
}

static int open_specs(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    if (job->specs_count == 0)
        return 0;
    memcpy(session->specs, job->specs, job->specs_count * sizeof(job->specs[0]));
    int error = pst_sources_open(job->specs, job->specs_count, session->sources, session->message,
                                 sizeof(session->message));
    if (error)
        return error;
    session->sources_count = job->specs_count;
    pst_sources_filter(session->sources, session->sources_count, &session->files.filter);
    return 0;
}

static int adopt_sources(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    for (uint32_t i = 0; i < job->sources_count; i++) {
        uint32_t at = session->sources_count;
        int error = pst_sources_adopt(job->sources[i], at, session->sources, session->message,
                                      sizeof(session->message));
        if (error)
            return error;
        snprintf(session->own_specs[at], sizeof(session->own_specs[at]),
                 "%s:", session->sources[at]->type);
        session->specs[at] = session->own_specs[at];
        session->sources_count++;
    }
    return 0;
}

static int check_directory(struct pst_session *session)
{
    const char *to = session->job.directory;
    for (uint32_t i = 0; i < session->sources_count; i++) {
        int rc = pst_source_contains(session->sources[i], to);
        if (rc == 1)
            return fail(
                session, -EINVAL,
                "%s is source %s itself, or lies in it, so the backup would contain itself; "
                "choose another directory",
                to, session->sources[i]->name);
        if (rc < 0)
            return fail(session, rc == -EINVAL ? -EIO : rc, "%s: %s", to, pst_error_text(rc));
    }
    return 0;
}

static bool is_the_callers(const struct pst_session *session, const struct pst_source *source)
{
    for (uint32_t i = 0; i < session->job.sources_count; i++)
        if (session->job.sources[i] == source)
            return true;
    return false;
}

static int open_sources(struct pst_session *session)
{
    int error = open_specs(session);
    if (!error)
        error = freeze_choice_make(&session->job, session->sources, session->sources_count,
                                   &session->commands, session->message);
    if (!error)
        error = adopt_sources(session);
    if (error)
        return error;
    put_in_name_order(session);
    for (uint32_t i = 0; !error && i < session->sources_count; i++) {
        if (!is_the_callers(session, session->sources[i]))
            error = pst_sources_path(session->specs[i], &session->paths[i]);
    }
    if (error)
        return fail(session, error, "%s", pst_error_text(error));
    session->options.node.sources = session->sources;
    session->options.node.specs = session->specs;
    session->options.node.paths = (const char *const *)session->paths;
    session->options.node.sources_count = session->sources_count;
    return check_directory(session);
}

/* What is backed up of each; after the sources are known. */
static int choose(struct pst_session *session)
{
    const struct pst_backup_job *job = &session->job;
    int error = table_choice_make(job, session->sources, session->sources_count, &session->tables,
                                  session->message);
    for (uint32_t i = 0; !error && i < session->sources_count; i++) {
        bool is_own = is_the_callers(session, session->sources[i]);
        error = choice_text(session->sources[i], job, is_own ? NULL : &session->files.filter,
                            &session->choices[i]);
        if (error)
            fail(session, error, "%s", pst_error_text(error));
    }
    session->options.node.is_logical = job->is_logical;
    session->options.node.tables = &session->tables;
    session->options.node.choices = (const char *const *)session->choices;
    return error;
}

static int place(struct pst_session *session)
{
    const struct pst_run *run = &session->job.run;
    const struct pst_plan_request request = {
        .ldms = run->ldms, .ldm_cpus = run->ldm_cpus, .hub_cpu = run->hub_cpu};
    session->options.node.topology = &session->placements.topology;
    session->options.node.plan = &session->placements.plan;
    int error = pst_placements_make(&request, session->job.directory, &session->placements,
                                    session->message);
    return error ? error
                 : placements_check_memory(&session->placements,
                                           pst_node_memory_bytes(&session->options.node),
                                           session->message);
}

static int prepare(struct pst_session *session, const struct pst_backup_job *job)
{
    pst_backup_job_init(&session->job);
    int error = pst_abi_take(&session->job, sizeof(session->job), job,
                             offsetof(struct pst_backup_job, label));
    if (error)
        return fail(session, error, "pst_backup_job: %s", pst_abi_error_text(error));
    error = read_job(session);
    if (!error)
        error = file_choice_make(&session->job, &session->files, session->message);
    if (!error)
        error = open_sources(session);
    if (!error)
        error = choose(session);
    return error ? error : place(session);
}

int pst_session_open(const struct pst_backup_job *job, struct pst_session **opened, char *message)
{
    *opened = NULL;
    struct pst_session *session = calloc(1, sizeof(*session));
    if (!session) {
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    int error = prepare(session, job);
    if (error) {
        memcpy(message, session->message, sizeof(session->message));
        pst_session_close(session);
        return error;
    }
    *opened = session;
    return 0;
}

int pst_session_dry_run(struct pst_session *session, struct pst_session_estimate *estimate,
                        char *message)
{
    const struct pst_node_config *node = &session->options.node;
    int wrong = dry_run_base(node, message);
    *estimate = (struct pst_session_estimate){0};
    session->commands.is_off = true;
    for (uint32_t i = 0; !wrong && i < session->sources_count; i++) {
        session->sources[i]->policy = (struct pst_source_policy){
            .freeze_hold_ns = node->freeze_hold_ns,
            .headroom_percent = node->headroom_percent,
            .is_alone = true, /* each is listed as of an instant of its own */
            .is_logical = node->is_logical,
            .ldms = session->placements.plan.ldms,
            .tables = node->tables,
        };
        int error = dry_run_source(session->sources[i], session->job.freeze_wait_ns, estimate);
        if (!error)
            continue;
        int bytes;
        const char *text = pst_source_error_text(session->sources[i], &bytes);
        snprintf(message, PST_MESSAGE_BYTES, "source %s: %s%s%.*s", session->sources[i]->name,
                 pst_error_text(error), bytes > 0 ? ": " : "", bytes, text);
        return error;
    }
    estimate->stored_bytes_most +=
        dry_run_frame_bytes(estimate, session->job.chunk_bytes, session->placements.plan.ldms);
    return wrong;
}

static void on_progress(void *context, const struct pst_backup_progress *progress)
{
    const struct pst_run *run = &((const struct pst_session *)context)->job.run;
    const struct pst_status status = {
        .struct_bytes = sizeof(status),
        .bytes_done = progress->sums.source_bytes,
        .bytes_total = progress->expected_is_final ? progress->expected_bytes : 0,
        .objects_done = progress->sums.objects,
    };
    run->on_status(run->context, &status);
}

static void report_ldm(const struct pst_ldm_report *from, struct pst_session_ldm *ldm)
{
    *ldm = (struct pst_session_ldm){
        .source_bytes = from->sums.source_bytes,
        .stored_bytes = from->sums.stored_bytes,
        .objects = from->sums.objects,
        .chunks = from->sums.chunks,
        .codecs = {.none_chunks = from->codec_chunks[PST_CODEC_NONE],
                   .lz4_chunks = from->codec_chunks[PST_CODEC_LZ4],
                   .zstd_chunks = from->codec_chunks[PST_CODEC_ZSTD]},
        .busy_ns = from->busy_ns,
        .cpu_ns = from->cpu_ns,
        .buffer_bytes = from->arena_bytes,
        .misplaced_pages = from->misplaced_pages,
        .hugepages = from->arena_hugepages,
        .numa_node = from->numa_node,
        .cpu = from->cpu,
    };
}

static struct pst_session_pace report_pace(const struct pst_pace_status *from)
{
    const uint64_t *held_ns = from->held_ns;
    bool is_auto = from->setting.mode == PST_PACE_AUTO;
    return (struct pst_session_pace){
        .mode = pst_pace_mode_text(from->setting.mode),
        .bytes_per_s = is_auto ? 0 : from->setting.bytes_per_s,
        .lowest = is_auto ? from->lowest_bytes_per_s : 0,
        .held_ns = held_ns[PST_PACE_LATENCY] + held_ns[PST_PACE_IO] + held_ns[PST_PACE_CPU] +
                   held_ns[PST_PACE_EASING],
        .latency_ns = held_ns[PST_PACE_LATENCY],
        .io_ns = held_ns[PST_PACE_IO],
        .cpu_ns = held_ns[PST_PACE_CPU],
    };
}

static void report(const struct pst_session *session, int error, struct pst_session_report *report)
{
    const struct pst_node_backup_report *from = &session->report;
    *report = (struct pst_session_report){
        .error = error,
        .number = from->number,
        .start_gci = from->start_gci,
        .source_bytes = from->sums.source_bytes,
        .stored_bytes = from->sums.stored_bytes,
        .objects = from->sums.objects,
        .chunks = from->sums.chunks,
        .unreadable = from->sums.unreadable,
        .elapsed_ns = from->elapsed_ns,
        .pace = report_pace(&from->pace),
        .base = from->base,
        .verified = from->flags & PST_BACKUP_VERIFY,
        .sources_count = session->sources_count,
        .ldms_count = session->options.single_threaded ? 1 : session->placements.plan.ldms,
    };
    memcpy(report->uid, from->uid, sizeof(report->uid));
    if (!from->is_lost) /* what is left of threads that hang may still write there */
        report->left_frozen = pst_sources_left_frozen(session->sources, session->sources_count);
    for (uint32_t i = 0; i < report->ldms_count; i++) {
        report_ldm(&from->ldms[i], &report->ldms[i]);
        report->references += from->ldms[i].references;
        report->referenced_bytes += from->ldms[i].referenced_bytes;
    }
    for (uint32_t i = 0; i < report->sources_count; i++)
        report->sources[i] = (struct pst_session_source){.name = session->sources[i]->name,
                                                         .details = session->sources[i]->details};
}

static int run(struct pst_session *session)
{
    placements_log(&session->placements);
    session->options.on_status = session->job.run.on_status ? on_progress : NULL;
    session->options.context = session;
    int error = pst_node_run_backup(&session->options, &session->report);
    if (!error)
        return 0;
    char where[64] = "";
    if (session->report.where != 0)
        pst_ref_text(session->report.where, where, sizeof(where));
    bool lacks_base = error == -PST_E_NO_BACKUP && session->job.base;
    const char *says = lacks_base ? session->job.base : session->report.says;
    return fail(session, error, "%s: no backup was made: %s%s%s%s%s", session->job.directory, where,
                where[0] ? ": " : "", pst_error_text(error), says[0] ? ": " : "", says);
}

int pst_session_run(struct pst_session *session, struct pst_session_report *given, char *message)
{
    int error = run(session);
    report(session, error, given);
    memcpy(message, session->message, sizeof(session->message));
    return error;
}

uint32_t pst_session_ldms(const struct pst_session *session)
{
    return session->placements.plan.ldms;
}

size_t pst_session_buffer_bytes(const struct pst_session *session)
{
    return pst_node_memory_bytes(&session->options.node);
}

void pst_session_discard_parts(struct pst_session *session)
{
    session->options.node.discards_parts = true;
}

struct pst_node_config *pst_session_node(struct pst_session *session)
{
    return &session->options.node;
}

void pst_session_close(struct pst_session *session)
{
    if (!session || session->report.is_lost)
        return;
    for (uint32_t i = 0; i < session->sources_count; i++) {
        if (is_the_callers(session, session->sources[i]))
            pst_sources_give_back(session->sources[i]);
        else
            pst_source_close(session->sources[i]);
    }
    for (uint32_t i = 0; i < session->sources_count; i++) {
        free(session->paths[i]);
        free(session->choices[i]);
    }
    free(session->tables.found);
    file_choice_release(&session->files);
    pst_keyring_release(session->keyring);
    free(session);
}

static void fill_outcome(const struct pst_session_report *report,
                         struct pst_backup_outcome *outcome)
{
    outcome->number = report->number;
    outcome->start_gci = report->start_gci;
    outcome->source_bytes = report->source_bytes;
    outcome->stored_bytes = report->stored_bytes;
    outcome->objects = report->objects;
    outcome->unreadable = report->unreadable;
    outcome->elapsed_ns = report->elapsed_ns;
    memcpy(outcome->uid, report->uid, sizeof(outcome->uid));
}

int pst_run_backup(const struct pst_backup_job *job, struct pst_backup_outcome *given)
{
    struct pst_backup_outcome outcome = {0};
    int error = pst_abi_check(given, sizeof(outcome));
    if (error)
        return error;
    struct pst_session_report *report = calloc(1, sizeof(*report));
    struct pst_session *session = NULL;
    error = report ? job_check_begin(job, outcome.message) : -ENOMEM;
    if (!error)
        error = pst_session_open(job, &session, outcome.message);
    if (!error)
        error = pst_job_check_sealing(job, outcome.message);
    if (!error)
        error = pst_session_run(session, report, outcome.message);
    pst_session_close(session);
    if (report)
        fill_outcome(report, &outcome);
    free(report);
    error = pst_abi_explain(error, outcome.message);
    pst_abi_give(given, &outcome, sizeof(outcome));
    return error;
}
