/*
 * Starts and ends DPDK's EAL, and leads its log into ours. Main thread, from
 * engine/node/node_fabric.c; DPDK's own threads log, too.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "net/eal/eal_start.h"

#define ARGUMENTS_MAX 12

static FILE *log_stream;

/* DPDK flushes after each message, so this is one, of one line or more. What an error means for us,
 * the caller reports. */
static ssize_t log_lines(void *cookie, const char *text, size_t bytes)
{
    (void)cookie;
    size_t rest = bytes;
    while (rest > 0) {
        const char *end = memchr(text, '\n', rest);
        size_t line = end ? (size_t)(end - text) : rest;
        if (line > 0)
            pst_log(PST_LOG_WARNING, "DPDK: %.*s", (int)line, text);
        line += end != NULL;
        text += line;
        rest -= line;
    }
    return (ssize_t)bytes;
}

static int open_log(void)
{
    static const cookie_io_functions_t functions = {.write = log_lines};
    log_stream = fopencookie(NULL, "w", functions);
    if (!log_stream)
        return -ENOMEM;
    return rte_openlog_stream(log_stream) < 0 ? -EIO : 0;
}

static void close_log(void)
{
    (void)rte_openlog_stream(NULL);
    if (log_stream)
        (void)fclose(log_stream);
    log_stream = NULL;
}

static int initialize(const struct pst_eal_config *config)
{
    char name[32], prefix[64], lcores[32],
        *arguments[ARGUMENTS_MAX] = {"penstock", prefix, lcores, "--log-level=error"};
    int count = 4;
    (void)snprintf(name, sizeof(name), "%ld", (long)getpid());
    (void)snprintf(prefix, sizeof(prefix), "--file-prefix=penstock-%s",
                   config->name ? config->name : name);
    (void)snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
    if (config->has_hugepages) {
        arguments[count++] = "--in-memory";
    } else {
        arguments[count++] = "--no-huge";
        arguments[count++] = "--no-shconf";
        arguments[count++] = "-m64";
    }
    char *function = (char *)(uintptr_t)config->pci_function; /* EAL changes no argument */
    arguments[count++] = function ? "-a" : "--no-pci";
    if (function)
        arguments[count++] = function;
    bool is_open = rte_eal_init(count, arguments) >= 0;
    return is_open ? 0 : rte_errno != 0 ? -rte_errno : -EIO;
}

/* It ends when the process does, after the telemetry has removed its socket from it. */
static void remove_directory(void)
{
    (void)rmdir(rte_eal_get_runtime_dir());
}

/* EAL pins the thread that starts it, and its threads take signals as that one does. What is to be
 * done at the exit of the process is done in the reverse order. */
static int initialize_unpinned(const struct pst_eal_config *config)
{
    cpu_set_t affinity;
    sigset_t before;
    int error = -pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
    if (!error)
        error = atexit(remove_directory) == 0 ? 0 : -ENOMEM;
    if (!error)
        error = pst_thread_block_signals(&before);
    if (error)
        return error;
    error = initialize(config);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        error = -pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
    return error;
}

static int eal_open(const struct pst_eal_config *config, char *message, uint32_t message_bytes)
{
    int error = open_log();
    if (!error)
        error = initialize_unpinned(config);
    if (!error)
        return 0;
    close_log();
    (void)snprintf(message, message_bytes, "DPDK's EAL does not start: %s%s", pst_error_text(error),
                   config->has_hugepages ? ": it needs 2 MiB hugepages (/proc/sys/vm/nr_hugepages)"
                                         : "");
    return error;
}

static void eal_close(void)
{
    eal_telemetry_withdraw();
    (void)rte_eal_cleanup();
    close_log();
}

const struct pst_eal_ops pst_eal_ops = {
    .open = eal_open,
    .close = eal_close,
    .publish = eal_telemetry_publish,
    .withdraw = eal_telemetry_withdraw,
    .reserve = eal_pages_reserve,
    .release = eal_pages_release,
};
