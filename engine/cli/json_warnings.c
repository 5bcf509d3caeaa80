/*
 * Keeps the log's warnings until the main thread prints them as JSON. Called by the log, on any
 * thread, and by json.c on the main thread.
 */
#include "engine/cli/json_warnings.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/cli/json_text.h"

/* The rest of a flood is counted. */
#define KEPT_MAX 1000u

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static json_t *kept; /* NULL: none */
static uint64_t lost;

static void keep(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    if (level != PST_LOG_WARNING)
        return;
    pthread_mutex_lock(&mutex);
    if (!kept)
        kept = json_array();
    json_t *text = json_array_size(kept) < KEPT_MAX ? cli_json_text(message) : NULL;
    lost += json_array_append_new(kept, text) < 0;
    pthread_mutex_unlock(&mutex);
}

void cli_json_warnings_begin(void)
{
    pst_log_set_listener(keep, NULL);
}

struct json_t *cli_json_warnings_take(void)
{
    char text[64];
    pthread_mutex_lock(&mutex);
    json_t *taken = kept;
    kept = NULL;
    if (lost > 0) {
        snprintf(text, sizeof(text), "%" PRIu64 " more warnings are in the log alone", lost);
        taken = taken ? taken : json_array();
        lost = json_array_append_new(taken, json_string(text)) < 0 ? lost : 0;
    }
    pthread_mutex_unlock(&mutex);
    return taken;
}
