/*
 * What a test build does at a step. The environment variable PENSTOCK_FAULTS names a directory; a
 * file "WHEN.STEP" in it, such as before.COMMIT_BACKUP_REQ, arms that point. WHEN: before or after
 * the hub passes the signal on, or when a thread is about to serve it:
 *
 *   ACTION [COUNT [TARGET]]
 *
 * kill    SIGKILL        stop    SIGSTOP       interrupt  SIGINT
 * delay   sleeps for TARGET ms
 * refuse  before a step that may fail: it fails, with EIO; a request, where it is served, is
 * answered by a REF, and not heard
 *
 * COUNT: at which passing of the point, by default the first. TARGET: a process id, or "guards":
 * the children of this process; by default itself. What was hit is renamed to "WHEN.STEP.hit"
 * before it acts, and so acts once, whichever threads pass.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/fault_point.h"
#include "engine/node/channel.h"

struct order {
    char action[16];
    unsigned count;
    char target[32];
};

static bool read_order(const char *path, struct order *order)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    order->count = 1;
    order->target[0] = '\0';
    int fields = fscanf(file, "%15s %u %31s", order->action, &order->count, order->target);
    fclose(file);
    return fields >= 1;
}

static void count_down(const char *path, const struct order *order)
{
    FILE *file = fopen(path, "we");
    assert(file);
    fprintf(file, "%s %u %s\n", order->action, order->count - 1, order->target);
    fclose(file);
}

static void signal_guards(int signal_number)
{
    DIR *tasks = opendir("/proc/self/task");
    assert(tasks);
    for (struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
        char path[NAME_MAX + 32];
        int child;
        snprintf(path, sizeof(path), "/proc/self/task/%s/children", task->d_name);
        FILE *children = fopen(path, "re");
        while (children && fscanf(children, "%d", &child) == 1)
            kill(child, signal_number);
        if (children)
            fclose(children);
    }
    closedir(tasks);
}

static void send_signal(int signal_number, const char *target)
{
    if (strcmp(target, "guards") == 0)
        signal_guards(signal_number);
    else if (signal_number == SIGSTOP && !target[0])
        raise(SIGSTOP); /* the whole process, this thread at this very step */
    else
        kill(target[0] ? atoi(target) : getpid(), signal_number);
}

/* 0, or with what the step fails. */
static int act(const struct order *order)
{
    long ms = strtol(order->target, NULL, 10);
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    if (strcmp(order->action, "kill") == 0)
        send_signal(SIGKILL, order->target);
    else if (strcmp(order->action, "stop") == 0)
        send_signal(SIGSTOP, order->target);
    else if (strcmp(order->action, "delay") == 0)
        nanosleep(&pause, NULL);
    else if (strcmp(order->action, "interrupt") == 0)
        send_signal(SIGINT, order->target);
    else
        assert(strcmp(order->action, "refuse") == 0);
    return strcmp(order->action, "refuse") == 0 ? -EIO : 0;
}

int pst_fault_point(const char *when, const char *step)
{
    const char *directory = getenv("PENSTOCK_FAULTS");
    char path[PATH_MAX], hit[PATH_MAX];
    struct order order;
    if (!directory)
        return 0;
    snprintf(path, sizeof(path), "%s/%s.%s", directory, when, step);
    if (!read_order(path, &order))
        return 0;
    if (order.count > 1) {
        count_down(path, &order);
        return 0;
    }
    snprintf(hit, sizeof(hit), "%s/%s.%s.hit", directory, when, step);
    int moved = strcmp(order.target, "always") == 0 ? link(path, hit) : rename(path, hit);
    return moved == 0 || errno == EEXIST ? act(&order) : 0;
}

static void answer_ref(struct pst_channel *channel, const struct pst_signal *request, int error)
{
    struct pst_signal ref = {
        .gsn = PST_REF_OF(request->gsn),
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(PST_REF_OF(request->gsn)),
        .sender_ref = request->receiver_ref,
        .receiver_ref = request->sender_ref,
        .backup = request->backup,
        .sequence = request->sequence,
    };
    ref.payload.ref.master_ref = request->payload.order.master_ref;
    ref.payload.ref.error = (uint32_t)-error;
    ref.payload.ref.where = request->receiver_ref;
    pst_channel_to_hub(channel, &ref);
}

uint32_t __real_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals);
uint32_t __wrap_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals);

/* By the linker's --wrap: all threads but the hub take their signals here. */
uint32_t __wrap_pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals)
{
    uint32_t taken = __real_pst_channel_from_hub(channel, signals), kept = 0;
    for (uint32_t i = 0; i < taken; i++) {
        int error = pst_fault_point("serve", pst_gsn_name(signals[i].gsn));
        if (error)
            answer_ref(channel, &signals[i], error);
        else
            signals[kept++] = signals[i];
    }
    return kept;
}
