/*
 * What a test build does at a step. The environment variable PENSTOCK_FAULTS names a directory; a
 * file "WHEN.STEP" in it, such as before.COMMIT_BACKUP_REQ, arms that point:
 *
 *   ACTION [COUNT [TARGET]]
 *
 * kill    SIGKILL        stop    SIGSTOP       delay   sleeps TARGET ms
 *
 * COUNT: at which passing of the point, by default the first. TARGET: a process id, or "guards":
 * the children of this process; by default itself. What was hit is renamed to "WHEN.STEP.hit"
 * before it acts, and so acts once, whichever threads pass.
 */
#include "engine/base/fault_point.h"

#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    else
        kill(target[0] ? atoi(target) : getpid(), signal_number);
}

static void act(const struct order *order)
{
    long ms = strtol(order->target, NULL, 10);
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    if (strcmp(order->action, "kill") == 0)
        send_signal(SIGKILL, order->target);
    else if (strcmp(order->action, "stop") == 0)
        send_signal(SIGSTOP, order->target);
    else if (strcmp(order->action, "delay") == 0)
        nanosleep(&pause, NULL);
    else
        assert(!"a known action");
}

void pst_fault_point(const char *when, const char *step)
{
    const char *directory = getenv("PENSTOCK_FAULTS");
    char path[PATH_MAX], hit[PATH_MAX];
    struct order order;
    if (!directory)
        return;
    snprintf(path, sizeof(path), "%s/%s.%s", directory, when, step);
    if (!read_order(path, &order))
        return;
    if (order.count > 1) {
        count_down(path, &order);
        return;
    }
    snprintf(hit, sizeof(hit), "%s/%s.%s.hit", directory, when, step);
    if (rename(path, hit) == 0)
        act(&order);
}
