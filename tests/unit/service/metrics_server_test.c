/* The server of metrics beside a node that does not answer, and the addresses that it takes. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/http/http_server.h"
#include "engine/service/control_socket.h"
#include "engine/service/metrics_server.h"
#include "tests/suite.h"

static char folder[] = "/tmp/penstock-metrics-XXXXXX";
static char path[sizeof(folder) + 8];
static struct control_listener listener;
static char address[32];
static struct metrics_server *server;

/* Any free port, once: the one that a socket was given, and keeps from other processes until this
 * one ends; the server may listen at it beside that. */
static void choose_port(void)
{
    static int keeper = -1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(any);
    int on = 1;
    if (keeper >= 0)
        return;
    keeper = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(setsockopt(keeper, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    CU_ASSERT_EQUAL_FATAL(bind(keeper, (struct sockaddr *)&any, sizeof(any)), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(keeper, (struct sockaddr *)&any, &bytes), 0);
    snprintf(address, sizeof(address), "%u", ntohs(any.sin_port));
}

static void open_server(void)
{
    char message[PST_MESSAGE_BYTES];
    choose_port();
    CU_ASSERT_EQUAL_FATAL(control_listen(path, 1, &listener, message), 0);
    CU_ASSERT_EQUAL_FATAL(metrics_server_open(address, path, &server, message), 0);
}

/* Asks, and returns the descriptor. */
static int ask(void)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct pst_http_address parsed;
    CU_ASSERT_EQUAL_FATAL(pst_http_parse(address, &parsed), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&parsed.socket, parsed.bytes), 0);
    CU_ASSERT_EQUAL(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    return fd;
}

static void expect_status(int fd, const char *status)
{
    char text[64] = "";
    CU_ASSERT_EQUAL(recv(fd, text, strlen(status), MSG_WAITALL), (ssize_t)strlen(status));
    CU_ASSERT_STRING_EQUAL(text, status);
    close(fd);
}

/* It listens, and never lets anybody in. */
static void a_node_that_does_not_answer_is_unavailable(void)
{
    open_server();
    expect_status(ask(), "HTTP/1.1 503");
    /* its control socket goes first, and then nothing waits */
    int fd = ask();
    control_unlisten(&listener, path);
    metrics_server_close(server);
    close(fd);
}

static void a_node_that_has_gone_is_unavailable(void)
{
    open_server();
    control_unlisten(&listener, path);
    uint64_t began_ns = pst_monotonic_ns();
    expect_status(ask(), "HTTP/1.1 503");
    CU_ASSERT_TRUE(pst_monotonic_ns() - began_ns < UINT64_C(60000000000));
    metrics_server_close(server);
}

/* Three times as many as it serves: it would take the server 10 s to close a silent connection. */
static void who_asks_nothing_keeps_nobody_out(void)
{
    struct pst_http_address parsed;
    int silent[48];
    open_server();
    control_unlisten(&listener, path);
    CU_ASSERT_EQUAL_FATAL(pst_http_parse(address, &parsed), 0);
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        silent[i] = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_EQUAL_FATAL(connect(silent[i], (struct sockaddr *)&parsed.socket, parsed.bytes),
                              0);
    }
    uint64_t began_ns = pst_monotonic_ns();
    for (int i = 0; i < 3; i++)
        expect_status(ask(), "HTTP/1.1 503");
    CU_ASSERT_TRUE(pst_monotonic_ns() - began_ns < UINT64_C(9000000000));
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        close(silent[i]);
    metrics_server_close(server);
}

static void a_served_port_is_not_taken(void)
{
    struct metrics_server *other;
    char message[PST_MESSAGE_BYTES];
    open_server();
    CU_ASSERT_EQUAL(metrics_server_open(address, path, &other, message), -EADDRINUSE);
    CU_ASSERT_PTR_NULL(other);
    control_unlisten(&listener, path);
    metrics_server_close(server);
}

/* The address as text; "": it is refused. */
static const char *parsed(const char *text)
{
    static char shown[64];
    struct pst_http_address found;
    char host[INET6_ADDRSTRLEN];
    if (pst_http_parse(text, &found) < 0)
        return "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&found.socket;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&found.socket;
    bool is_v4 = found.socket.ss_family == AF_INET;
    inet_ntop(found.socket.ss_family,
              is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, host,
              sizeof(host));
    snprintf(shown, sizeof(shown), "%s %u", host, ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
    return shown;
}

static void an_address_is_loopback_unless_given(void)
{
    CU_ASSERT_STRING_EQUAL(parsed("9420"), "127.0.0.1 9420");
    CU_ASSERT_STRING_EQUAL(parsed(":9420"), "127.0.0.1 9420");
    CU_ASSERT_STRING_EQUAL(parsed("10.1.2.3:1"), "10.1.2.3 1");
    CU_ASSERT_STRING_EQUAL(parsed("0.0.0.0:65535"), "0.0.0.0 65535");
    CU_ASSERT_STRING_EQUAL(parsed("[::1]:80"), "::1 80");
    static const char *const none[] = {"",         ":",       "a:1",     "::1:80", "1:65536",
                                       "1.2.3.4:", "1.2.3.4", "[::1]80", "[]:80x", "1.2.3.4:-1"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CU_ASSERT_STRING_EQUAL(parsed(none[i]), "");
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"a node that does not answer is unavailable", a_node_that_does_not_answer_is_unavailable},
        {"a node that has gone is unavailable", a_node_that_has_gone_is_unavailable},
        {"who asks nothing keeps nobody out", who_asks_nothing_keeps_nobody_out},
        {"a served port is not taken", a_served_port_is_not_taken},
        {"an address is loopback unless given", an_address_is_loopback_unless_given},
        CU_TEST_INFO_NULL,
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    int failed = suite_run("metrics server", tests);
    rmdir(folder);
    return failed;
}
