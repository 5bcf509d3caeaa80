/* penstock backup: backs up sources of this machine into a directory. */
#include <errno.h>
#include <stdlib.h>

#include "engine/api/backup.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/cli/backup_report.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/interrupt.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/progress.h"
#include "engine/cli/table_names.h"
#include "engine/cli/value.h"
#include "engine/node/pipeline.h"

#define NS_PER_S UINT64_C(1000000000)

static const struct pst_option options[] = {
    {.name = "source",
     .kind = PST_OPTION_TEXT,
     .argument = "[NAME=]KIND:...",
     .required = true,
     .repeatable = true,
     .help = "what to back up: dir:PATH, lmdb:PATH, or synthetic:rows=N[,row-bytes=N]"
             "[,compressibility=PERCENT][,seed=N]"},
    {.name = "to",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "directory of the backups; made if its parent exists"},
    {.name = "number",
     .kind = PST_OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = PST_BACKUP_NUMBER_MAX,
     .help = "number of the backup; by default the highest in DIR + 1"},
    PST_PLACEMENT_OPTIONS,
    {.name = "single-threaded",
     .kind = PST_OPTION_SWITCH,
     .help = "LDM 1 alone does all the work, without the proxy"},
    {.name = "chunk",
     .kind = PST_OPTION_SIZE,
     .argument = "SIZE",
     .fallback = "1M",
     .min = PST_CHUNK_BYTES_MIN,
     .max = PST_CHUNK_BYTES_MAX,
     .help = "payload of one write, a multiple of 4K"},
    {.name = "depth",
     .kind = PST_OPTION_COUNT,
     .argument = "N",
     .fallback = "8",
     .min = PST_DEPTH_MIN,
     .max = PST_DEPTH_MAX,
     .help = "chunks that each LDM has in flight"},
    {.name = "direct",
     .kind = PST_OPTION_TEXT,
     .argument = "auto|on|off",
     .fallback = "auto",
     .help = "write with O_DIRECT: where it works, always, never"},
    {.name = "freeze-wait",
     .kind = PST_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "10s",
     .max = PST_FREEZE_NS_MAX,
     .help = "how long to wait for the writers of one source before they are let go and it is "
             "tried again, "
             "twice; a single lmdb: source holds up nobody"},
    {.name = "freeze-hold",
     .kind = PST_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "2s",
     .min = NS_PER_S / 1000,
     .max = PST_FREEZE_NS_MAX,
     .help = "how long writers may be held up by one try; then they go on"},
    {.name = "source-headroom",
     .kind = PST_OPTION_COUNT,
     .argument = "PERCENT",
     .fallback = "10",
     .max = 100,
     .help = "give up a backup under which an LMDB map grows to less free space than this"},
    {.name = "logical",
     .kind = PST_OPTION_SWITCH,
     .help = "back up the tables of lmdb: sources row by row, instead of their pages"},
    {.name = "tables",
     .kind = PST_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "with --logical: these tables alone, of whichever source has them; bytes other than "
             "letters, digits, '.', '_' and '-' may be written %HH; the unnamed table is %main"},
    {.name = "exclude-tables",
     .kind = PST_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "with --logical: not these"},
    PST_OPTION_JSON,
    {0},
};
_Static_assert(PST_CHUNK_BYTES_DEFAULT == 1u << 20 && PST_DEPTH_DEFAULT == 8 &&
                   PST_FREEZE_WAIT_NS_DEFAULT == 10 * NS_PER_S &&
                   PST_FREEZE_HOLD_NS_DEFAULT == 2 * NS_PER_S && PST_HEADROOM_PERCENT_DEFAULT == 10,
               "as the table says");

/* What a backup needs; on the heap, for its size. */
struct run {
    const struct pst_arguments *arguments;
    const char *specs[PST_SOURCES_MAX];
    struct pst_table_names tables, unwanted_tables;
    struct pst_backup_job job;
    struct pst_session session;
    struct pst_progress *progress;
};

static void read_options(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    struct pst_backup_job *job = &run->job;
    pst_backup_job_init(job);
    job->specs_count = pst_argument_count(arguments, "source");
    for (uint32_t i = 0; i < job->specs_count; i++)
        run->specs[i] = pst_argument_text_at(arguments, "source", i);
    job->specs = run->specs;
    job->directory = pst_argument_text(arguments, "to");
    job->number = (uint32_t)pst_argument_number(arguments, "number");
    job->run.ldms = (uint32_t)pst_argument_number(arguments, "ldms");
    job->run.ldm_cpus = pst_argument_text(arguments, "ldm-cpus");
    job->run.hub_cpu = pst_argument_text(arguments, "hub-cpu");
    job->run.cancel_fd = pst_interrupt_fd();
    job->single_threaded = pst_argument_switch(arguments, "single-threaded");
    job->chunk_bytes = (uint32_t)pst_argument_number(arguments, "chunk");
    job->depth = (uint32_t)pst_argument_number(arguments, "depth");
    job->direct = pst_argument_text(arguments, "direct");
    job->freeze_wait_ns = pst_argument_number(arguments, "freeze-wait");
    job->freeze_hold_ns = pst_argument_number(arguments, "freeze-hold");
    job->headroom_percent = (uint32_t)pst_argument_number(arguments, "source-headroom");
}

static enum pst_exit read_tables(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    struct pst_backup_job *job = &run->job;
    int rc = pst_table_names_split(pst_argument_text(arguments, "tables"), &run->tables);
    if (rc == 0)
        rc = pst_table_names_split(pst_argument_text(arguments, "exclude-tables"),
                                   &run->unwanted_tables);
    if (rc == -EINVAL)
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "--tables, --exclude-tables: want names with commas between them");
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    job->is_logical = pst_argument_switch(arguments, "logical");
    if (!job->is_logical && run->tables.count + run->unwanted_tables.count > 0)
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "--tables and --exclude-tables choose among rows: say --logical too");
    job->tables = run->tables.names;
    job->tables_count = run->tables.count;
    job->unwanted_tables = run->unwanted_tables.names;
    job->unwanted_tables_count = run->unwanted_tables.count;
    return PST_EXIT_DONE;
}

static void on_status(void *context, const struct pst_status *status)
{
    struct run *run = context;
    struct pst_progress_sample sample = {
        .now_ns = pst_monotonic_ns(),
        .bytes_done = status->bytes_done,
        .bytes_total = status->bytes_total,
        .objects_done = status->objects_done,
    };
    pst_progress_update(run->progress, &sample);
}

static void log_memory(const struct run *run)
{
    char each[PST_VALUE_TEXT_BYTES], all[PST_VALUE_TEXT_BYTES];
    const struct pst_node_config *node = &run->session.options.node;
    uint64_t bytes = pst_pipeline_memory_bytes(node->chunk_bytes, node->depth);
    pst_log(PST_LOG_INFO, "%u LDM%s with %s of buffers each, %s in all", node->plan->ldms,
            node->plan->ldms == 1 ? "" : "s", pst_value_size_text(bytes, each),
            pst_value_size_text(bytes * node->plan->ldms, all));
}

static const char *advice(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "; make room there, or choose another --to";
    case EFBIG:
        return "; raise the limit of file sizes (ulimit -f), or use more --ldms";
    case EMFILE:
        return "; raise the limit of open files (ulimit -n)";
    case ENOMEM:
        return "; use fewer --ldms, a lower --depth or a smaller --chunk";
    case PST_E_NUMBER_EXISTS:
        return "; choose another --number, or leave it out for the next one";
    default:
        return pst_error_may_retry(error) ? "; trying again may help" : "";
    }
}

static enum pst_exit failure(const struct run *run)
{
    const struct pst_session *session = &run->session;
    int error = session->report.error;
    enum pst_exit code = PST_EXIT_FAILED;
    if (error == PST_E_CLIENT_ABORT && pst_interrupted())
        return pst_fail(run->arguments, PST_EXIT_INTERRUPTED,
                        "interrupted; nothing of the backup is left");
    if (error == PST_E_BUSY || error == PST_E_CLEANING)
        code = PST_EXIT_BUSY;
    return pst_fail(run->arguments, code, "%s%s", session->message, advice(error));
}

static enum pst_exit back_up(struct run *run)
{
    bool json = pst_argument_json(run->arguments);
    struct pst_session *session = &run->session;
    const struct pst_backup_report *report = &session->report;
    log_memory(run);
    run->progress = pst_progress_start(json ? stdout : stderr, pst_progress_choose_style(json),
                                       "backup", pst_monotonic_ns());
    if (!run->progress)
        return pst_fail(run->arguments, PST_EXIT_FAILED, "out of memory");
    int rc = pst_session_run(session);
    pst_progress_finish(run->progress);
    if (rc < 0)
        return failure(run);
    rc = pst_backup_report_print(stdout, &session->options, report, json);
    if (rc < 0)
        return pst_fail(run->arguments, PST_EXIT_FAILED,
                        "backup %u is complete, but its report cannot be printed: %s",
                        report->number, pst_error_text(rc));
    if (report->sums.unreadable == 0)
        return PST_EXIT_DONE;
    return pst_fail(run->arguments, PST_EXIT_PARTIAL,
                    "backup %u is complete but for %llu objects that could not be read, or changed "
                    "while they were; penstock show names them",
                    report->number, (unsigned long long)report->sums.unreadable);
}

static enum pst_exit prepare(struct run *run)
{
    int rc = pst_interrupt_install();
    if (rc < 0)
        return pst_fail(run->arguments, PST_EXIT_FAILED, "cannot handle signals: %s",
                        pst_error_text(rc));
    read_options(run);
    enum pst_exit code = read_tables(run);
    if (code != PST_EXIT_DONE)
        return code;
    run->job.run.on_status = on_status;
    run->job.run.context = run;
    rc = pst_session_open(&run->session, &run->job);
    if (rc < 0)
        return pst_fail(run->arguments, rc == -EINVAL ? PST_EXIT_USAGE : PST_EXIT_FAILED, "%s",
                        run->session.message);
    return PST_EXIT_DONE;
}

static enum pst_exit run_backup(const struct pst_arguments *arguments)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    run->arguments = arguments;
    enum pst_exit code = prepare(run);
    if (code == PST_EXIT_DONE)
        code = back_up(run);
    pst_session_close(&run->session);
    pst_table_names_free(&run->tables);
    pst_table_names_free(&run->unwanted_tables);
    free(run);
    return code;
}

const struct pst_command pst_command_backup = {
    .name = "backup",
    .summary = "back up sources of this machine into a directory",
    .options = options,
    .run = run_backup,
};
