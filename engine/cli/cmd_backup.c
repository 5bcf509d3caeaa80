/* penstock backup: backs up sources of this machine into a directory. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/cli/backup_report.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/interrupt.h"
#include "engine/cli/placement.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/progress.h"
#include "engine/cli/value.h"
#include "engine/node/backup.h"
#include "engine/node/pipeline.h"

#define NS_PER_S UINT64_C(1000000000)
/* The longest try waits for the first source's writers, then holds them up for the others':
 * together less than timeouts.proxy_ns. */
#define FREEZE_MAX_NS (60 * NS_PER_S)

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
     .max = FREEZE_MAX_NS,
     .help = "how long to wait for the writers of one source before they are let go and it is "
             "tried again, "
             "twice; a single lmdb: source holds up nobody"},
    {.name = "freeze-hold",
     .kind = PST_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "2s",
     .min = NS_PER_S / 1000,
     .max = FREEZE_MAX_NS,
     .help = "how long writers may be held up by one try; then they go on"},
    {.name = "source-headroom",
     .kind = PST_OPTION_COUNT,
     .argument = "PERCENT",
     .fallback = "10",
     .max = 100,
     .help = "give up a backup under which an LMDB map grows to less free space than this"},
    PST_OPTION_JSON,
    {0},
};
_Static_assert(PST_CHUNK_BYTES_DEFAULT == 1u << 20 && PST_DEPTH_DEFAULT == 8, "as the table says");

/* A request to a device that hangs is given up after minutes, a scan after one without a byte. */
static const struct pst_timeouts timeouts = {
    .ldm_ns = 120 * NS_PER_S,
    .proxy_ns = 150 * NS_PER_S,
    .master_ns = 180 * NS_PER_S,
    .stall_ns = 60 * NS_PER_S,
    .progress_ns = NS_PER_S / 5,
    .thawed_ns = NS_PER_S / 10,
};

/* What a backup needs; on the heap, for its size. */
struct run {
    const struct pst_arguments *arguments;
    struct pst_placements placements;
    struct pst_source *sources[PST_SOURCES_MAX];
    const char *specs[PST_SOURCES_MAX];
    uint32_t sources_count;
    struct pst_backup_options options;
    struct pst_backup_report report;
    struct pst_progress *progress;
};

static int parse_direct(const char *text, enum pst_direct *direct)
{
    static const char *const names[] = {
        [PST_DIRECT_AUTO] = "auto", [PST_DIRECT_ON] = "on", [PST_DIRECT_OFF] = "off"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *direct = (enum pst_direct)i;
            return 0;
        }
    }
    return -EINVAL;
}

static enum pst_exit read_options(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    struct pst_node_config *node = &run->options.node;
    const char *direct = pst_argument_text(arguments, "direct");
    if (parse_direct(direct, &node->direct) < 0)
        return pst_fail(arguments, PST_EXIT_USAGE, "--direct %s: say auto, on or off", direct);
    node->chunk_bytes = (uint32_t)pst_argument_number(arguments, "chunk");
    if (node->chunk_bytes % PST_BLOCK_BYTES != 0)
        return pst_fail(arguments, PST_EXIT_USAGE, "--chunk %s: not a multiple of 4K",
                        pst_argument_text(arguments, "chunk"));
    node->node = 1;
    node->directory = pst_argument_text(arguments, "to");
    node->depth = (uint32_t)pst_argument_number(arguments, "depth");
    node->freeze_wait_ns = pst_argument_number(arguments, "freeze-wait");
    node->freeze_hold_ns = pst_argument_number(arguments, "freeze-hold");
    node->headroom_percent = (uint32_t)pst_argument_number(arguments, "source-headroom");
    node->timeouts = timeouts;
    node->topology = &run->placements.topology;
    node->plan = &run->placements.plan;
    run->options.number = (uint32_t)pst_argument_number(arguments, "number");
    run->options.single_threaded = pst_argument_switch(arguments, "single-threaded");
    run->options.cancel_fd = pst_interrupt_fd();
    return PST_EXIT_DONE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct pst_source *const *)a)->name, (*(struct pst_source *const *)b)->name);
}

/* Sources are frozen in name order: the same on every node, whatever the command line's. */
static void put_in_name_order(struct run *run)
{
    const char *specs[PST_SOURCES_MAX];
    memcpy(specs, run->specs, sizeof(specs));
    qsort(run->sources, run->sources_count, sizeof(run->sources[0]), by_name);
    for (uint32_t i = 0; i < run->sources_count; i++) {
        run->specs[i] = specs[run->sources[i]->instance];
        run->sources[i]->instance = i;
    }
}

static enum pst_exit open_sources(struct run *run)
{
    const struct pst_arguments *arguments = run->arguments;
    const char *to = run->options.node.directory;
    char text[PST_SOURCE_ERROR_BYTES];
    uint32_t count = pst_argument_count(arguments, "source");
    for (uint32_t i = 0; i < count; i++)
        run->specs[i] = pst_argument_text_at(arguments, "source", i);
    int rc = pst_sources_open(run->specs, count, run->sources, text, sizeof(text));
    if (rc < 0)
        return pst_fail(arguments, rc == -EINVAL ? PST_EXIT_USAGE : PST_EXIT_FAILED, "%s", text);
    run->sources_count = count;
    put_in_name_order(run);
    for (uint32_t i = 0; i < count; i++) {
        rc = pst_source_contains(run->sources[i], to);
        if (rc == 1)
            return pst_fail(arguments, PST_EXIT_USAGE,
                            "--to %s lies inside source %s, which would back up itself; choose a "
                            "directory outside of it",
                            to, run->sources[i]->name);
        if (rc < 0)
            return pst_fail(arguments, PST_EXIT_FAILED, "--to %s: %s", to, pst_error_text(rc));
    }
    run->options.node.sources = run->sources;
    run->options.node.specs = run->specs;
    run->options.node.sources_count = count;
    return PST_EXIT_DONE;
}

static void on_status(void *context, const struct pst_backup_progress *status)
{
    struct run *run = context;
    struct pst_progress_sample sample = {
        .now_ns = pst_monotonic_ns(),
        .bytes_done = status->sums.source_bytes,
        .bytes_total = status->expected_is_final ? status->expected_bytes : 0,
        .objects_done = status->sums.objects,
    };
    pst_progress_update(run->progress, &sample);
}

static void log_memory(const struct run *run)
{
    char each[PST_VALUE_TEXT_BYTES], all[PST_VALUE_TEXT_BYTES];
    const struct pst_node_config *node = &run->options.node;
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
    char where[64] = "";
    const struct pst_backup_report *report = &run->report;
    enum pst_exit code = PST_EXIT_FAILED;
    if (report->error == PST_E_CLIENT_ABORT && pst_interrupted())
        return pst_fail(run->arguments, PST_EXIT_INTERRUPTED,
                        "interrupted; nothing of the backup is left");
    if (report->error == PST_E_BUSY || report->error == PST_E_CLEANING)
        code = PST_EXIT_BUSY;
    if (report->where != 0)
        pst_ref_text(report->where, where, sizeof(where));
    return pst_fail(run->arguments, code, "%s: no backup was made: %s%s%s%s",
                    run->options.node.directory, where, where[0] ? ": " : "",
                    pst_error_text(report->error), advice(report->error));
}

static enum pst_exit back_up(struct run *run)
{
    bool json = pst_argument_json(run->arguments);
    pst_placements_log(&run->placements);
    log_memory(run);
    run->progress = pst_progress_start(json ? stdout : stderr, pst_progress_choose_style(json),
                                       "backup", pst_monotonic_ns());
    if (!run->progress)
        return pst_fail(run->arguments, PST_EXIT_FAILED, "out of memory");
    run->options.on_status = on_status;
    run->options.context = run;
    int rc = pst_backup_run(&run->options, &run->report);
    pst_progress_finish(run->progress);
    if (rc < 0)
        return failure(run);
    rc = pst_backup_report_print(stdout, &run->options, &run->report, json);
    if (rc < 0)
        return pst_fail(run->arguments, PST_EXIT_FAILED,
                        "backup %u is complete, but its report cannot be printed: %s",
                        run->report.number, pst_error_text(rc));
    if (run->report.sums.unreadable == 0)
        return PST_EXIT_DONE;
    return pst_fail(run->arguments, PST_EXIT_PARTIAL,
                    "backup %u is complete but for %llu objects that could not be read, or changed "
                    "while they were; penstock show names them",
                    run->report.number, (unsigned long long)run->report.sums.unreadable);
}

static enum pst_exit prepare(struct run *run)
{
    int rc = pst_interrupt_install();
    if (rc < 0)
        return pst_fail(run->arguments, PST_EXIT_FAILED, "cannot handle signals: %s",
                        pst_error_text(rc));
    enum pst_exit code = read_options(run);
    if (code == PST_EXIT_DONE)
        code = open_sources(run);
    if (code == PST_EXIT_DONE)
        code = pst_placements_make(run->arguments, run->options.node.directory, &run->placements);
    return code;
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
    for (uint32_t i = 0; i < run->sources_count; i++)
        pst_source_close(run->sources[i]);
    free(run);
    return code;
}

const struct pst_command pst_command_backup = {
    .name = "backup",
    .summary = "back up sources of this machine into a directory",
    .options = options,
    .run = run_backup,
};
