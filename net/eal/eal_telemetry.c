/*
 * Commands of DPDK's telemetry (rte_telemetry.h) that answer with counters of the node. Published
 * and withdrawn on the main thread; answered on threads of DPDK's, one for each client.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_telemetry.h>

#include "net/eal/eal_start.h"

#define COMMANDS_MAX 4u

/* DPDK forgets no command, so neither does this. */
struct command {
    const char *name;
    pst_eal_count *count; /* NULL: withdrawn */
    void *context;
};

static struct {
    pthread_mutex_t lock;
    uint32_t used;
    struct command commands[COMMANDS_MAX];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct command *find(const char *name)
{
    for (uint32_t i = 0; i < table.used; i++) {
        if (strcmp(table.commands[i].name, name) == 0)
            return &table.commands[i];
    }
    return NULL;
}

static int answer(const char *name, const char *parameters, struct rte_tel_data *data)
{
    struct pst_eal_counter counters[PST_EAL_COUNTERS_MAX];
    (void)parameters;
    pthread_mutex_lock(&table.lock);
    const struct command *command = find(name);
    bool is_there = command && command->count;
    uint32_t count = is_there ? command->count(command->context, counters) : 0;
    pthread_mutex_unlock(&table.lock);
    if (!is_there)
        return -ENOENT;
    int error = rte_tel_data_start_dict(data);
    for (uint32_t i = 0; !error && i < count; i++)
        error = rte_tel_data_add_dict_u64(data, counters[i].name, counters[i].value);
    return error;
}

int eal_telemetry_publish(const char *name, const char *help, pst_eal_count *count, void *context)
{
    pthread_mutex_lock(&table.lock);
    struct command *command = find(name);
    int error = command ? 0 : table.used < COMMANDS_MAX ? 0 : -ENOSPC;
    if (!error && !command) {
        command = &table.commands[table.used];
        command->name = name;
        error = rte_telemetry_register_cmd(name, answer, help);
        table.used += !error;
    }
    if (!error) {
        command->count = count;
        command->context = context;
    }
    pthread_mutex_unlock(&table.lock);
    return error;
}

void eal_telemetry_withdraw(void)
{
    pthread_mutex_lock(&table.lock);
    for (uint32_t i = 0; i < table.used; i++)
        table.commands[i].count = NULL;
    pthread_mutex_unlock(&table.lock);
}
