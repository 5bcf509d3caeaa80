/* What the service manager is told, and when it is not told anything. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/service/notify.h"
#include "tests/suite.h"

/* A socket of an abstract name; its name as NOTIFY_SOCKET has it. */
static int listen_abstract(char *name, size_t bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(name, bytes, "@penstock-notify-%ld", (long)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)&address, length), 0);
    return fd;
}

static void a_state_is_told(void)
{
    char name[64], heard[64];
    int fd = listen_abstract(name, sizeof(name));
    setenv("NOTIFY_SOCKET", name, 1);
    CU_ASSERT_EQUAL(service_notify("READY=1"), 0);
    ssize_t bytes = recv(fd, heard, sizeof(heard), MSG_DONTWAIT);
    CU_ASSERT_EQUAL_FATAL(bytes, 7);
    CU_ASSERT_EQUAL(memcmp(heard, "READY=1", 7), 0);
    close(fd);
    CU_ASSERT_TRUE(service_notify("READY=1") < 0);
}

static void nobody_is_told_without_a_socket(void)
{
    unsetenv("NOTIFY_SOCKET");
    CU_ASSERT_EQUAL(service_notify("READY=1"), 0);
}

static void the_watchdog_is_of_one_process(void)
{
    char pid[24];
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    CU_ASSERT_EQUAL(service_notify_watchdog_ns(), 0);
    setenv("WATCHDOG_USEC", "2000000", 1);
    CU_ASSERT_EQUAL(service_notify_watchdog_ns(), 1000000000);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    CU_ASSERT_EQUAL(service_notify_watchdog_ns(), 1000000000);
    setenv("WATCHDOG_PID", "1", 1);
    CU_ASSERT_EQUAL(service_notify_watchdog_ns(), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a state is told", a_state_is_told},
        {"nobody is told without a socket", nobody_is_told_without_a_socket},
        {"the watchdog is of one process", the_watchdog_is_of_one_process},
        CU_TEST_INFO_NULL,
    };
    return suite_run("notify", tests);
}
