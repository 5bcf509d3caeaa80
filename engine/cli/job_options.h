/*
 * The options for how sources are backed up, the same for `penstock backup` and for `penstock
 * node`, which does it later.
 */
#ifndef PST_ENGINE_CLI_JOB_OPTIONS_H
#define PST_ENGINE_CLI_JOB_OPTIONS_H

#include <string.h>

#include "engine/cli/command.h"
#include "engine/cli/key_options.h"
#include "engine/cli/pace_options.h"
#include "penstock/run.h"

/* For a command's table. */
#define CLI_JOB_OPTIONS                                                                            \
    {.name = "chunk",                                                                              \
     .kind = CLI_OPTION_SIZE,                                                                      \
     .argument = "SIZE",                                                                           \
     .fallback = "1M",                                                                             \
     .min = PST_CHUNK_BYTES_MIN,                                                                   \
     .max = PST_CHUNK_BYTES_MAX,                                                                   \
     .help = "payload of one write, a multiple of 4K"},                                            \
        {.name = "depth",                                                                          \
         .kind = CLI_OPTION_COUNT,                                                                 \
         .argument = "N",                                                                          \
         .fallback = "8",                                                                          \
         .min = PST_DEPTH_MIN,                                                                     \
         .max = PST_DEPTH_MAX,                                                                     \
         .help = "chunks that each LDM has in flight"},                                            \
        {.name = "direct",                                                                         \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "auto|on|off",                                                                \
         .fallback = "auto",                                                                       \
         .help = "write with O_DIRECT where it works, always, or never"},                          \
        {.name = "sqpoll",                                                                         \
         .kind = CLI_OPTION_SWITCH,                                                                \
         .help = "a thread of the kernel for each LDM takes its requests, and uses up to a CPU; "  \
                 "that time is not in the LDM's own"},                                             \
        {.name = "iopoll",                                                                         \
         .kind = CLI_OPTION_SWITCH,                                                                \
         .help = "LDMs look for the end of requests with O_DIRECT without a pause, each on a CPU " \
                 "of its own, for disks whose queues can be polled"},                              \
        {.name = "compress",                                                                       \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "auto|none|lz4|zstd[:LEVEL]",                                                 \
         .fallback = PST_COMPRESS_DEFAULT,                                                         \
         .help = "compress chunks: by lz4, or by zstd at level 1 to 9, which is slower and "       \
                 "shrinks more; auto: as much as costs no time. What does not shrink is stored "   \
                 "as it is"},                                                                      \
        {.name = "base",                                                                           \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "none|auto|ID",                                                               \
         .fallback = "none",                                                                       \
         .help = "do not store again what has not changed since an earlier backup in the same "    \
                 "directory, but refer to that: auto: the newest that will do; ID: this one, by "  \
                 "number or uid. dir: files that have the size, times and inode that they had "    \
                 "are not even read; of other large ones, and environments, what has changed is "  \
                 "stored, in runs of a chunk"},                                                    \
        {.name = "full-every",                                                                     \
         .kind = CLI_OPTION_COUNT,                                                                 \
         .argument = "N",                                                                          \
         .fallback = "0",                                                                          \
         .max = PST_FULL_EVERY_MAX,                                                                \
         .help = "with --base auto: of N backups one stores everything; 0: only the first"},       \
        {.name = "rehash",                                                                         \
         .kind = CLI_OPTION_SWITCH,                                                                \
         .help = "with --base: read all files, whatever their size and times are"},                \
        {.name = "trust-after",                                                                    \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "0s",                                                                         \
         .max = PST_TRUST_AFTER_NS_MAX,                                                            \
         .help = "with --base: read what had changed less than TIME before that began, for it "    \
                 "may have changed since, and its times not; 2s will do where no program writes "  \
                 "to files through a mapping. 0s: twice as long as the kernel may take to write "  \
                 "back what is changed so, 70s if it is not set otherwise"},                       \
        CLI_PACE_OPTIONS, CLI_SEAL_OPTIONS,                                                        \
        {.name = "freeze-wait",                                                                    \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "10s",                                                                        \
         .max = PST_FREEZE_NS_MAX,                                                                 \
         .help = "how long to wait until the writers of one source are frozen; after that they "   \
                 "go on, and the freeze is tried again, twice. A single lmdb: source holds up no " \
                 "writer"},                                                                        \
        {.name = "freeze-hold",                                                                    \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "2s",                                                                         \
         .min = 1000000,                                                                           \
         .max = PST_FREEZE_NS_MAX,                                                                 \
         .help = "how long one try may hold up writers; then they go on"},                         \
        {.name = "check-pages",                                                                    \
         .kind = CLI_OPTION_SWITCH,                                                                \
         .help = "read all rows of lmdb: sources too, and fail where LMDB cannot: a copy of "      \
                 "damaged pages is worth nothing"},                                                \
        {.name = "exclude",                                                                        \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "PATTERN",                                                                    \
         .repeatable = true,                                                                       \
         .help = "leave out of dir: sources what fits, by the rules of gitignore: a name, or, "    \
                 "with a slash in front or in the middle, a path in the source; with one at the "  \
                 "end a directory; *, ?, [...], and ** for any directories; ! in front keeps "     \
                 "what an earlier pattern leaves out. The last one that fits counts"},             \
        {.name = "exclude-from",                                                                   \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "FILE",                                                                       \
         .repeatable = true,                                                                       \
         .help =                                                                                   \
             "patterns, one a line, as in a .gitignore; they count before those of --exclude"},    \
        {.name = "exclude-caches",                                                                 \
         .kind = CLI_OPTION_SWITCH,                                                                \
         .help = "of directories with a CACHEDIR.TAG, keep no more than that"},                    \
        {.name = "exclude-if-present",                                                             \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "NAME",                                                                       \
         .repeatable = true,                                                                       \
         .help = "of directories with a file of this name, keep no more than that"},               \
        {.name = "one-file-system",                                                                \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "yes|no",                                                                     \
         .fallback = "yes",                                                                        \
         .help = "no: back up what is mounted in dir: sources too, but for the kernel's own file " \
                 "systems"},                                                                       \
        {.name = "freeze-command",                                                                 \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "COMMAND",                                                                    \
         .help = "run this by /bin/sh for each dir: source when its writers are to be held up, "   \
                 "within --freeze-wait: it makes a snapshot and prints the path of what is to be " \
                 "read in the source's place, or it freezes the file system and prints nothing. "  \
                 "PENSTOCK_BACKUP_SOURCE is the source's name, PENSTOCK_BACKUP_PATH its path"},    \
        {.name = "thaw-command",                                                                   \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "COMMAND",                                                                    \
         .help = "run this to undo what --freeze-command did, however the backup ends, within "    \
                 "60s; if it fails after a backup was made, the exit code is 3. "                  \
                 "PENSTOCK_BACKUP_SNAPSHOT is what was printed"},                                  \
        {.name = "thaw-at",                                                                        \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "cut|end",                                                                    \
         .fallback = "end",                                                                        \
         .help = "when --thaw-command runs: once the source has been read, or as soon as all "     \
                 "sources are frozen, where the snapshot stays without what it undoes"},           \
        {.name = "stall-warning",                                                                  \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "5s",                                                                         \
         .min = PST_LIMIT_NS_MIN,                                                                  \
         .max = PST_LIMIT_NS_MAX,                                                                  \
         .help = "log the thread and the file when one call to a source or a disk takes longer"},  \
        {.name = "stall-limit",                                                                    \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "60s",                                                                        \
         .min = PST_LIMIT_NS_MIN,                                                                  \
         .max = PST_LIMIT_NS_MAX,                                                                  \
         .help = "give up a backup that has read nothing for so long"},                            \
        {.name = "request-limit",                                                                  \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "120s",                                                                       \
         .min = PST_LIMIT_NS_MIN,                                                                  \
         .max = PST_LIMIT_NS_MAX,                                                                  \
         .help = "give up a backup when one step of it other than reading, such as closing the "   \
                 "files, takes an LDM longer; longer than both freeze limits together"},           \
        {.name = "hang-limit",                                                                     \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "10s",                                                                        \
         .min = PST_LIMIT_NS_MIN,                                                                  \
         .max = PST_LIMIT_NS_MAX,                                                                  \
         .help = "after a backup was given up: how long to wait for calls that hang; then they "   \
                 "are left behind, and a node leaves its cluster until they return"},              \
        {.name = "start-limit",                                                                    \
         .kind = CLI_OPTION_DURATION,                                                              \
         .argument = "TIME",                                                                       \
         .fallback = "30s",                                                                        \
         .min = PST_LIMIT_NS_MIN,                                                                  \
         .max = PST_LIMIT_NS_MAX,                                                                  \
         .help = "how long each thread may take to start"},                                        \
    {                                                                                              \
        .name = "source-headroom", .kind = CLI_OPTION_COUNT, .argument = "PERCENT",                \
        .fallback = "10", .max = 100,                                                              \
        .help = "give up the backup when less than this share of an LMDB map is free"              \
    }
_Static_assert(PST_CHUNK_BYTES_DEFAULT == 1u << 20 && PST_DEPTH_DEFAULT == 8 &&
                   PST_FREEZE_WAIT_NS_DEFAULT == UINT64_C(10000000000) &&
                   PST_FREEZE_HOLD_NS_DEFAULT == UINT64_C(2000000000) &&
                   PST_HEADROOM_PERCENT_DEFAULT == 10 &&
                   PST_STALL_WARNING_NS_DEFAULT == UINT64_C(5000000000) &&
                   PST_STALL_LIMIT_NS_DEFAULT == UINT64_C(60000000000) &&
                   PST_REQUEST_LIMIT_NS_DEFAULT == UINT64_C(120000000000) &&
                   PST_HANG_LIMIT_NS_DEFAULT == UINT64_C(10000000000) &&
                   PST_START_LIMIT_NS_DEFAULT == UINT64_C(30000000000),
               "as the table says");

/* Room for what dir: sources leave out. */
struct cli_exclude {
    const char *patterns[CLI_OPTION_VALUES_MAX];
    const char *files[CLI_OPTION_VALUES_MAX];
    const char *tags[CLI_OPTION_VALUES_MAX];
};

/* Fills these, placement, sources and directory into a job. specs: room for PST_SOURCES_MAX; it,
 * keys and exclude stay where they are. */
static inline void cli_job_read_options(const struct cli_arguments *arguments, const char **specs,
                                        struct cli_keys *keys, struct cli_exclude *exclude,
                                        struct pst_backup_job *job)
{
    pst_backup_job_init(job);
    job->keys = cli_keys_read(arguments, true, keys);
    job->specs_count = cli_argument_texts(arguments, "source", specs);
    job->specs = specs;
    job->directory = cli_argument_text(arguments, "to");
    job->run.ldms = (uint32_t)cli_argument_number(arguments, "ldms");
    job->run.ldm_cpus = cli_argument_text(arguments, "ldm-cpus");
    job->run.hub_cpu = cli_argument_text(arguments, "hub-cpu");
    job->chunk_bytes = (uint32_t)cli_argument_number(arguments, "chunk");
    job->depth = (uint32_t)cli_argument_number(arguments, "depth");
    job->direct = cli_argument_text(arguments, "direct");
    job->sqpoll = cli_argument_switch(arguments, "sqpoll");
    job->iopoll = cli_argument_switch(arguments, "iopoll");
    job->exclude = exclude->patterns;
    job->exclude_count = cli_argument_texts(arguments, "exclude", exclude->patterns);
    job->exclude_files = exclude->files;
    job->exclude_files_count = cli_argument_texts(arguments, "exclude-from", exclude->files);
    job->exclude_tags = exclude->tags;
    job->exclude_tags_count = cli_argument_texts(arguments, "exclude-if-present", exclude->tags);
    job->exclude_caches = cli_argument_switch(arguments, "exclude-caches");
    job->one_file_system = cli_argument_text(arguments, "one-file-system");
    job->freeze_command = cli_argument_text(arguments, "freeze-command");
    job->thaw_command = cli_argument_text(arguments, "thaw-command");
    job->thaw_at = cli_argument_text(arguments, "thaw-at");
    job->compress = cli_argument_text(arguments, "compress");
    job->base = cli_argument_text(arguments, "base");
    job->full_every = (uint32_t)cli_argument_number(arguments, "full-every");
    job->rehash = cli_argument_switch(arguments, "rehash");
    job->trust_after_ns = cli_argument_number(arguments, "trust-after");
    job->pace = cli_argument_text(arguments, "pace");
    job->min_rate = cli_argument_number(arguments, "min-rate");
    job->freeze_wait_ns = cli_argument_number(arguments, "freeze-wait");
    job->freeze_hold_ns = cli_argument_number(arguments, "freeze-hold");
    job->headroom_percent = (uint32_t)cli_argument_number(arguments, "source-headroom");
    job->check_pages = cli_argument_switch(arguments, "check-pages");
    job->stall_warning_ns = cli_argument_number(arguments, "stall-warning");
    job->stall_limit_ns = cli_argument_number(arguments, "stall-limit");
    job->request_limit_ns = cli_argument_number(arguments, "request-limit");
    job->hang_limit_ns = cli_argument_number(arguments, "hang-limit");
    job->start_limit_ns = cli_argument_number(arguments, "start-limit");
}

/* Whether --trust-after would be passed over. In the environment it is for whatever has a base. */
static inline bool cli_job_trusts_nothing(const struct cli_arguments *arguments)
{
    return cli_argument_is_flag(arguments, "trust-after") &&
           strcmp(cli_argument_text(arguments, "base"), "none") == 0;
}

#define CLI_TRUSTS_NOTHING "--trust-after: without a base all files are read anyway"

#endif
