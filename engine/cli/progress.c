/*
 * Reckons rate and remaining time of long work and prints them. Called by the commands, on the main
 * thread.
 */
#include "engine/cli/progress.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/cli/json.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/service/asked.h"

#define NS_PER_S 1000000000ull
#define LINE_BYTES 256u
#define COLUMNS_DEFAULT 80u
#define BAR_CELLS_MAX 40u
#define BAR_CELLS_MIN 8u

/* The rate follows changes over about this long. */
#define RATE_WINDOW_S 5.0

static const uint64_t intervals_ns[] = {
    [CLI_PROGRESS_BAR] = NS_PER_S / 5,
    [CLI_PROGRESS_LINE] = 10 * NS_PER_S,
    [CLI_PROGRESS_JSON] = NS_PER_S,
    [CLI_PROGRESS_QUIET] = UINT64_MAX,
};

struct cli_progress {
    FILE *out;
    enum cli_progress_style style;
    const char *label;
    uint64_t started_ns;
    uint64_t printed_ns; /* when it last printed, at first the start */
    uint64_t rated_ns;   /* what the rate has been reckoned up to */
    uint64_t rated_bytes;
    double bytes_per_s; /* smoothed; 0 before the first reckoning */
    bool bar_shown;
    bool broken; /* out cannot be written: logged once */
};

enum cli_progress_style cli_progress_choose_style(bool json, bool quiet)
{
    if (json)
        return CLI_PROGRESS_JSON;
    if (quiet)
        return CLI_PROGRESS_QUIET;
    return isatty(STDERR_FILENO) ? CLI_PROGRESS_BAR : CLI_PROGRESS_LINE;
}

struct cli_progress *cli_progress_start(FILE *out, enum cli_progress_style style, const char *label,
                                        uint64_t now_ns)
{
    assert(out && label);
    int error = pst_asked_install();
    if (error)
        pst_log(PST_LOG_WARNING, "SIGUSR1 will not print the progress: %s", pst_error_text(error));
    struct cli_progress *progress = malloc(sizeof(*progress));
    if (!progress)
        return NULL;
    *progress = (struct cli_progress){.out = out,
                                      .style = style,
                                      .label = label,
                                      .started_ns = now_ns,
                                      .printed_ns = now_ns,
                                      .rated_ns = now_ns};
    return progress;
}

/* ---- reckoning ---- */

static void reckon_rate(struct cli_progress *progress, const struct cli_progress_sample *sample)
{
    if (sample->now_ns <= progress->rated_ns || sample->bytes_done < progress->rated_bytes)
        return;
    double seconds = (double)(sample->now_ns - progress->rated_ns) / (double)NS_PER_S;
    double rate = (double)(sample->bytes_done - progress->rated_bytes) / seconds;
    double weight = progress->bytes_per_s > 0 ? seconds / (seconds + RATE_WINDOW_S) : 1;
    progress->bytes_per_s += (rate - progress->bytes_per_s) * weight;
    progress->rated_ns = sample->now_ns;
    progress->rated_bytes = sample->bytes_done;
}

/* 0 … 1; a source that grew meanwhile is no more than whole. */
static double fraction_done(const struct cli_progress_sample *sample)
{
    if (sample->bytes_done >= sample->bytes_total)
        return 1;
    return (double)sample->bytes_done / (double)sample->bytes_total;
}

/* Seconds left; false where they cannot be known. */
static bool remaining_s(const struct cli_progress *progress,
                        const struct cli_progress_sample *sample, uint64_t *seconds)
{
    if (sample->bytes_total == 0 || progress->bytes_per_s < 1)
        return false;
    uint64_t left =
        sample->bytes_total > sample->bytes_done ? sample->bytes_total - sample->bytes_done : 0;
    double value = (double)left / progress->bytes_per_s;
    if (value > 1e9)
        return false;
    *seconds = (uint64_t)(value + 0.5);
    return true;
}

/* ---- lines for people ---- */

/* "1.5 MiB of 3.0 MiB, 50 %, 120.0 MiB/s, 12 objects, 0:07, ETA 0:07" */
static void describe(const struct cli_progress *progress, const struct cli_progress_sample *sample,
                     char *line, size_t bytes)
{
    char done[CLI_VALUE_TEXT_BYTES], total[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES];
    char elapsed[CLI_VALUE_TEXT_BYTES], eta[CLI_VALUE_TEXT_BYTES];
    uint64_t left_s;
    int used = snprintf(line, bytes, "%s", cli_value_size_text(sample->bytes_done, done));
    if (sample->bytes_total != 0)
        used +=
            snprintf(line + used, bytes - (size_t)used, " of %s, %.0f %%",
                     cli_value_size_text(sample->bytes_total, total), 100 * fraction_done(sample));
    used +=
        snprintf(line + used, bytes - (size_t)used, ", %s/s, %llu object%s, %s",
                 cli_value_size_text((uint64_t)progress->bytes_per_s, rate),
                 (unsigned long long)sample->objects_done, sample->objects_done == 1 ? "" : "s",
                 cli_value_clock_text((sample->now_ns - progress->started_ns) / NS_PER_S, elapsed));
    if (remaining_s(progress, sample, &left_s))
        snprintf(line + used, bytes - (size_t)used, ", ETA %s", cli_value_clock_text(left_s, eta));
}

static unsigned terminal_columns(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* "[####----] " in what the text leaves of the line; "" where that is too little. */
static void draw_cells(const struct cli_progress_sample *sample, unsigned room, char *cells)
{
    cells[0] = '\0';
    if (sample->bytes_total == 0 || room < BAR_CELLS_MIN + 3)
        return;
    unsigned width = room - 3 < BAR_CELLS_MAX ? room - 3 : BAR_CELLS_MAX;
    unsigned full = (unsigned)((double)width * fraction_done(sample));
    cells[0] = '[';
    memset(cells + 1, '#', full);
    memset(cells + 1 + full, '-', width - full);
    strcpy(cells + 1 + width, "] ");
}

static void print_bar(struct cli_progress *progress, const struct cli_progress_sample *sample)
{
    char text[LINE_BYTES], cells[BAR_CELLS_MAX + 4];
    describe(progress, sample, text, sizeof(text));
    unsigned columns = terminal_columns(progress->out) - 1; /* the last one would wrap */
    size_t used = strlen(progress->label) + 1 + strlen(text);
    draw_cells(sample, columns > used ? columns - (unsigned)used : 0, cells);
    char line[2 * LINE_BYTES];
    snprintf(line, sizeof(line), "%s %s%s", progress->label, cells, text);
    /* Back to the start, write, clear what an earlier, longer line left. */
    fprintf(progress->out, "\r%.*s\033[K", (int)columns, line);
    progress->bar_shown = true;
    fflush(progress->out);
    pst_log_note_bar(true);
}

static void print_line(struct cli_progress *progress, const struct cli_progress_sample *sample)
{
    char text[LINE_BYTES];
    describe(progress, sample, text, sizeof(text));
    fprintf(progress->out, "%s: %s\n", progress->label, text);
}

/* ---- records for programs ---- */

static json_int_t to_json(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (json_int_t)number;
}

/* What is not known is left out. verify reads files, the others have to do with sources. */
static json_t *status_record(const struct cli_progress *progress,
                             const struct cli_progress_sample *sample)
{
    uint64_t left_s = 0;
    bool left_known = remaining_s(progress, sample, &left_s);
    bool total_known = sample->bytes_total != 0;
    bool is_of_files = strcmp(progress->label, "verify") == 0;
    json_t *record = json_pack(
        "{s:s, s:I, s:I, s:I, s:I}", "operation", progress->label, "elapsed_ns",
        to_json(sample->now_ns - progress->started_ns), is_of_files ? "file_bytes" : "source_bytes",
        to_json(sample->bytes_done), "objects", to_json(sample->objects_done), "bytes_per_second",
        to_json((uint64_t)progress->bytes_per_s));
    if (total_known) {
        pst_json_set(&record, is_of_files ? "file_bytes_total" : "source_bytes_total",
                     json_integer(to_json(sample->bytes_total)));
        pst_json_set(&record, "percent_done", json_real(fraction_done(sample)));
    }
    if (left_known)
        pst_json_set(&record, "remaining_ns", json_integer(to_json(left_s * NS_PER_S)));
    return record;
}

static void print_record(struct cli_progress *progress, const struct cli_progress_sample *sample)
{
    int error = cli_json_record(progress->out, "status", status_record(progress, sample));
    if (error && !progress->broken) {
        pst_log(PST_LOG_WARNING, "cannot write the progress: %s", pst_error_text(error));
        progress->broken = true;
    }
}

void cli_progress_update(struct cli_progress *progress, const struct cli_progress_sample *sample)
{
    assert(progress && sample && sample->now_ns >= progress->printed_ns);
    bool due = sample->now_ns - progress->printed_ns >= intervals_ns[progress->style];
    if (!pst_asked_take() && !due)
        return;
    progress->printed_ns = sample->now_ns;
    reckon_rate(progress, sample);
    if (progress->style == CLI_PROGRESS_BAR)
        print_bar(progress, sample);
    else if (progress->style == CLI_PROGRESS_JSON)
        print_record(progress, sample);
    else
        print_line(progress, sample);
    fflush(progress->out);
}

void cli_progress_finish(struct cli_progress *progress)
{
    if (!progress)
        return;
    if (progress->bar_shown) {
        pst_log_note_bar(false);
        fprintf(progress->out, "\r\033[K");
        fflush(progress->out);
    }
    free(progress);
}
