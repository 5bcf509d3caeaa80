/* The control socket, and what the server keeps of its clients and jobs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/service/control_parts.h"
#include "engine/service/control_socket.h"
#include "tests/suite.h"
#include "tests/support/child.h"

static char folder[] = "/tmp/penstock-control-XXXXXX";
static char path[sizeof(folder) + 8];
static struct control control;
static struct pst_node_config config = {.node = 1};

static void open_server(void)
{
    char message[PST_MESSAGE_BYTES];
    memset(&control, 0, sizeof(control));
    control.config = &config;
    pst_set_add(&control.live, config.node - 1);
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control.clients[i].fd = -1;
    CU_ASSERT_EQUAL_FATAL(control_listen(path, CONTROL_CLIENTS_MAX, &control.listener, message), 0);
}

static void close_server(void)
{
    control_check(&control);
    control_hang_up_all(&control);
    control_unlisten(&control.listener, path);
}

static void die(void) /* its files stay */
{
    close(control.listener.fd);
    close(control.listener.lock_fd);
}

static int connect_client(void)
{
    char message[PST_MESSAGE_BYTES];
    int fd = pst_control_connect(path, message);
    CU_ASSERT_FATAL(fd >= 0);
    control_accept(&control);
    return fd;
}

/* "answer" of the next message, or the error. */
static int next_answer(int fd)
{
    json_t *message = NULL;
    int error = pst_control_receive(fd, -1, NULL, &message);
    int answer = (int)json_integer_value(json_object_get(message, "answer"));
    json_decref(message);
    return error ? error : answer;
}

static void answer(uint64_t client, int number)
{
    control_send(&control, client, json_pack("{s:i}", "answer", number), false);
}

static void a_served_socket_is_not_replaced(void)
{
    struct control_listener other;
    char message[PST_MESSAGE_BYTES];
    open_server();
    CU_ASSERT_EQUAL(control_listen(path, 1, &other, message), -EADDRINUSE);
    die();
    CU_ASSERT_EQUAL(pst_control_connect(path, message), -ECONNREFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, path));
    CU_ASSERT_EQUAL_FATAL(control_listen(path, 1, &control.listener, message), 0);
    close_server();
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* nothing stays behind a node that ends */
    CU_ASSERT_EQUAL(mkdir(folder, 0700), 0);
}

/* Between bind(2) and listen(2) a socket refuses connections as a dead one does. */
static void a_socket_about_to_be_served_is_not_replaced(void)
{
    struct control_listener other;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char message[PST_MESSAGE_BYTES];
    open_server();
    unlink(path);
    strcpy(address.sun_path, path);
    close(control.listener.fd);
    control.listener.fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CU_ASSERT_EQUAL(bind(control.listener.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CU_ASSERT_EQUAL(pst_control_connect(path, message), -ECONNREFUSED);
    CU_ASSERT_EQUAL(control_listen(path, 1, &other, message), -EADDRINUSE);
    CU_ASSERT_EQUAL(listen(control.listener.fd, 1), 0);
    int client = pst_control_connect(path, message);
    CU_ASSERT_TRUE(client >= 0);
    close(client);
    unlink(path); /* no longer the file that the listener knows */
    close_server();
}

/* What somebody else has put there by now stays. */
static void a_later_socket_is_not_removed(void)
{
    open_server();
    unlink(path);
    fclose(fopen(path, "w"));
    close_server();
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    unlink(path);
}

static void a_file_is_not_replaced(void)
{
    struct control_listener other;
    char message[PST_MESSAGE_BYTES];
    fclose(fopen(path, "w"));
    CU_ASSERT_EQUAL(control_listen(path, 1, &other, message), -EEXIST);
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    unlink(path);
}

static void a_long_path_is_refused(void)
{
    struct control_listener other;
    char message[PST_MESSAGE_BYTES], longest[200];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    CU_ASSERT_EQUAL(pst_control_connect(longest, message), -ENAMETOOLONG);
    CU_ASSERT_EQUAL(control_listen(longest, 1, &other, message), -ENAMETOOLONG);
}

static void requests_and_answers_pass(void)
{
    open_server();
    int fd = connect_client();
    CU_ASSERT_EQUAL(pst_control_send(fd, json_pack("{s:s}", "request", "status")), 0);
    json_t *request = control_next_request(&control, 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(request, "request")), "status");
    json_decref(request);
    CU_ASSERT_PTR_NULL(control_next_request(&control, 0));
    answer(control.clients[0].id, 7);
    CU_ASSERT_EQUAL(next_answer(fd), 7);
    close(fd);
    close_server();
}

/* All that a status can hold, each as long as it can be. */
static void fill_status(struct pst_node_status *status)
{
    memset(status, 0xff, sizeof(*status));
    status->has_more = status->is_hung = status->is_broken = false;
    status->in_doubt = PST_DOUBTS_MAX;
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        status->doubts[i].state = "COMMITTING";
        status->doubts[i].waits_for = pst_set_first(PST_NODES_MAX);
    }
    status->stalls_count = PST_STALLS_MAX;
    for (uint32_t i = 0; i < PST_STALLS_MAX; i++) {
        struct pst_stall_status *stall = &status->stalls[i];
        stall->what = "make the directory";
        memset(stall->thread, 's', sizeof(stall->thread) - 1);
        memset(stall->name, '"', sizeof(stall->name) - 1);
        stall->thread[sizeof(stall->thread) - 1] = stall->name[sizeof(stall->name) - 1] = '\0';
    }
    status->refusals_count = PST_REFUSALS_MAX;
    for (uint32_t i = 0; i < PST_REFUSALS_MAX; i++) {
        struct pst_refusal_status *refusal = &status->refusals[i];
        refusal->node = i + 1;
        memset(refusal->reason, '"', sizeof(refusal->reason) - 1);
        refusal->reason[sizeof(refusal->reason) - 1] = '\0';
    }
    status->running.phase = "cleaning up";
    status->running.reads = status->running.is_listed = true;
    status->last_success.end = PST_END_COMPLETE;
    status->last_failure.end = PST_END_ABORTED;
    status->last.end = PST_END_COMPLETE;
    status->last.error = PST_E_STALLED;
    status->pace.setting.mode = PST_PACE_RATE;
    status->pace.reason = PST_PACE_LATENCY;
    status->ldms_count = PST_LDMS_MAX;
    for (uint32_t i = 0; i < PST_LDMS_MAX; i++)
        status->ldms[i].state = "COMMITTING";
    status->kept_out = pst_set_first(PST_NODES_MAX);
}

static void the_longest_status_fits(void)
{
    static struct pst_node_status status;
    static struct pst_plan plan = {.ldms = PST_LDMS_MAX};
    struct pst_cluster_config cluster = {.name = "c", .expected = pst_set_first(PST_NODES_MAX)};
    fill_status(&status);
    open_server();
    int fd = connect_client();
    config.cluster = &cluster;
    config.plan = &plan;
    json_t *whole = control_status_json(&control, &status);
    CU_ASSERT_PTR_NOT_NULL(whole);
    control_send(&control, control.clients[0].id, json_incref(whole), false);
    json_t *got = NULL;
    CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &got), 0);
    CU_ASSERT_TRUE(json_equal(got, whole));
    json_decref(got);
    json_decref(whole);
    config.cluster = NULL;
    config.plan = NULL;
    close(fd);
    close_server();
}

/* The field of the running backup; -1: there is none. */
static double running_field(const struct pst_node_status *status, const char *name)
{
    static struct pst_plan plan = {.ldms = 1};
    struct pst_cluster_config cluster = {.name = "c"};
    config.cluster = &cluster;
    config.plan = &plan;
    json_t *whole = control_status_json(&control, status);
    const json_t *field = json_object_get(json_object_get(whole, "running"), name);
    double value = field ? json_number_value(field) : -1;
    json_decref(whole);
    config.cluster = NULL;
    config.plan = NULL;
    return value;
}

/* Until all is listed, the last success says what there is to read. */
static void what_remains_is_estimated(void)
{
    static struct pst_node_status status;
    memset(&status, 0, sizeof(status));
    open_server();
    CU_ASSERT_EQUAL(running_field(&status, "number"), -1);
    status.running = (struct pst_running_status){
        .phase = "reading", .reads = true, .number = 7, .bytes_per_second = {50, 10, 5}};
    status.node_bytes[config.node] = 100;
    status.running.listed_bytes = 200;
    CU_ASSERT_EQUAL(running_field(&status, "number"), 7);
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), -1);
    status.last_success.end = PST_END_COMPLETE;
    status.last_success.sums.source_bytes = 400;
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), 0.25);
    CU_ASSERT_EQUAL(running_field(&status, "remaining_ns"), 30e9);
    CU_ASSERT_EQUAL(running_field(&status, "source_bytes_total"), -1);
    status.running.listed_bytes = 500; /* there is more than then */
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), -1);
    status.running.is_listed = true;
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), 0.2);
    CU_ASSERT_EQUAL(running_field(&status, "source_bytes_total"), 500);
    status.node_bytes[config.node] = 600; /* it grew meanwhile */
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), 1);
    CU_ASSERT_EQUAL(running_field(&status, "remaining_ns"), 0);
    status.running.reads = false;
    CU_ASSERT_EQUAL(running_field(&status, "percent_done"), -1);
    CU_ASSERT_EQUAL(running_field(&status, "source_bytes"), 0);
    close_server();
}

/* The name of the next event; "": there is none. */
static const char *next_event(int fd)
{
    static char event[32];
    json_t *message = NULL;
    event[0] = '\0';
    if (pst_control_receive(fd, -1, NULL, &message) == 0)
        snprintf(event, sizeof(event), "%s", json_string_value(json_object_get(message, "event")));
    json_decref(message);
    return event;
}

static void who_follows_hears_of_each_change_once(void)
{
    static struct pst_node_status status;
    memset(&status, 0, sizeof(status));
    open_server();
    int fd = connect_client();
    control_look(&control, &status);
    control_begin_following(&control, control.clients[0].id);
    CU_ASSERT_STRING_EQUAL(next_event(fd), "following");
    control_look(&control, &status); /* nothing has happened */
    status.running = (struct pst_running_status){.phase = "preparing", .number = 7};
    control_look(&control, &status);
    control_look(&control, &status);
    pst_set_add(&control.live, 4);
    status.is_hung = true;
    control_look(&control, &status);
    status.ended[status.ends++].end = PST_END_ABORTED; /* and at once others begin */
    status.ended[status.ends++].end = PST_END_COMPLETE;
    control_look(&control, &status);
    status.running.phase = NULL;
    control_look(&control, &status);
    CU_ASSERT_STRING_EQUAL(next_event(fd), "backup_phase");
    CU_ASSERT_STRING_EQUAL(next_event(fd), "node_state");
    CU_ASSERT_STRING_EQUAL(next_event(fd), "hung");
    CU_ASSERT_STRING_EQUAL(next_event(fd), "backup_ended");
    CU_ASSERT_STRING_EQUAL(next_event(fd), "backup_ended");
    CU_ASSERT_STRING_EQUAL(next_event(fd), "backup_phase");
    control_tell_stop(&control);
    CU_ASSERT_STRING_EQUAL(next_event(fd), "stopping");
    close(fd);
    close_server();
}

/* It never holds the server up, and learns why it hears no more. */
static void a_slow_follower_is_dropped_with_a_word(void)
{
    static struct pst_node_status status;
    char last[32] = "";
    uint32_t told = 0, heard = 0;
    memset(&status, 0, sizeof(status));
    pst_log_set_level(PST_LOG_ERROR);
    open_server();
    int fd = connect_client();
    control_look(&control, &status);
    control_begin_following(&control, control.clients[0].id);
    for (; control.clients[0].fd >= 0 && told < 1000000; told++) {
        status.in_doubt++;
        control_look(&control, &status);
    }
    CU_ASSERT_TRUE(told < 1000000);
    for (const char *event = next_event(fd); *event; event = next_event(fd), heard++)
        snprintf(last, sizeof(last), "%s", event);
    CU_ASSERT_EQUAL(heard, told + 1); /* "following", all that was told but the last, a word */
    CU_ASSERT_STRING_EQUAL(last, "dropped");
    pst_log_set_level(PST_LOG_INFO);
    close(fd);
    close_server();
}

static void nonsense_is_refused(void)
{
    static const char *const texts[] = {"[]",
                                        "{}",
                                        "{\"request\":3}",
                                        "{\"request\":\"a\"",
                                        "x",
                                        "{\"request\":\"status\",\"request\":\"abort\"}"};
    open_server();
    int fd = connect_client();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *message = NULL;
        CU_ASSERT_EQUAL(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        CU_ASSERT_PTR_NULL(control_next_request(&control, 0));
        CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &message), 0);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(message, "message_type")),
                               "failed");
        json_decref(message);
    }
    close(fd);
    close_server();
}

/* What a newer client asks for, and this node would not do. */
static void an_unknown_key_is_refused(void)
{
    static const struct {
        const char *text;
        const char *error;
    } requests[] = {
        {"{\"request\":\"backup\",\"number\":1,\"verify\":false}", NULL},
        {"{\"request\":\"backup\",\"compress\":true}", "PST_E_OPTION"},
        {"{\"request\":\"backup\",\"outcome\":\"aborted\"}", "PST_E_OPTION"},
        {"{\"request\":\"abort\",\"force\":true}", "PST_E_OPTION"},
        {"{\"request\":\"status\",\"brief\":true}", "PST_E_OPTION"},
        {"{\"request\":\"backup\",\"verify\":1}", "PST_E_BAD_REQUEST"},
        {"{\"request\":\"backup\",\"number\":\"1\"}", "PST_E_BAD_REQUEST"},
    };
    open_server();
    int fd = connect_client();
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        json_t *message = NULL;
        const char *text = requests[i].text;
        CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        json_t *request = control_next_request(&control, 0);
        CU_ASSERT_EQUAL(request != NULL, requests[i].error == NULL);
        json_decref(request);
        if (!requests[i].error)
            continue;
        CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &message), 0);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(message, "error_name")),
                               requests[i].error);
        json_decref(message);
    }
    close(fd);
    close_server();
}

/* The answer quotes 32 bytes of a name, and the last of them begins a character. */
static void a_refusal_cuts_no_character(void)
{
    char name[] = "1234567890123456789012345678901\u00e9";
    json_t *message = NULL;
    open_server();
    int fd = connect_client();
    json_t *request =
        json_pack("{s:s, s:s, s:s}", "request", "resolve", "backup", name, "outcome", "aborted");
    control_refuse(&control, control.clients[0].id, -PST_E_BAD_REQUEST, "unknown \"%.32s\"",
                   json_string_value(json_object_get(request, "backup")));
    json_decref(request);
    CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &message), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(message, "message")),
                           "unknown \"1234567890123456789012345678901?\"");
    json_decref(message);
    close(fd);
    close_server();
}

static void no_request_uses_the_numbers_up(void)
{
    static const json_int_t numbers[] = {-1, 4000000001, 4294967295, 4294967296};
    open_server();
    int fd = connect_client();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_t *request = json_pack("{s:s, s:I}", "request", "backup", "number", numbers[i]);
        json_t *message = NULL;
        control_begin(&control, control.clients[0].id, request);
        CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &message), 0);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(message, "error_name")),
                               "PST_E_BAD_REQUEST");
        json_decref(message);
        json_decref(request);
    }
    close(fd);
    close_server();
}

static void an_answer_goes_to_nobody_else(void)
{
    open_server();
    int first = connect_client();
    uint64_t gone = control.clients[0].id;
    close(first);
    CU_ASSERT_PTR_NULL(control_next_request(&control, 0)); /* hung up */
    int second = connect_client();
    CU_ASSERT_TRUE(control.clients[0].fd >= 0 && control.clients[0].id != gone);
    answer(gone, 1);
    answer(control.clients[0].id, 2);
    CU_ASSERT_EQUAL(next_answer(second), 2);
    close(second);
    close_server();
}

static void fill(int *fds)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        fds[i] = connect_client();
}

static void let_go(const int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
}

/* Whether the server has hung up, and not just said nothing. */
static bool is_hung_up_on(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void make_wait(uint32_t job, uint32_t slot)
{
    control.jobs[job] =
        (struct control_job){.client = control.clients[slot].id,
                             .request = {.master_node = 1, .uid = {(uint8_t)(job + 1)}}};
    control.jobs[job].backup = pst_uid_low(control.jobs[job].request.uid);
}

static void the_idlest_makes_room(void)
{
    int fds[CONTROL_CLIENTS_MAX + 3];
    open_server();
    fill(fds);
    make_wait(0, 0); /* the oldest waits for its backup */
    CU_ASSERT_EQUAL(pst_control_send(fds[1], json_pack("{s:s}", "request", "status")), 0);
    json_decref(control_next_request(&control, 1)); /* the second oldest has just asked */
    for (uint32_t i = CONTROL_CLIENTS_MAX; i < CONTROL_CLIENTS_MAX + 3; i++)
        fds[i] = connect_client();
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX + 3; i++)
        CU_ASSERT_EQUAL(is_hung_up_on(fds[i]), i >= 2 && i < 5);
    let_go(fds, CONTROL_CLIENTS_MAX + 3);
    close_server();
}

static void a_thousand_silent_ones_lock_nobody_out(void)
{
    static int fds[1001];
    struct rlimit was, wanted = {2100, 2100};
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &was), 0);
    wanted.rlim_max = was.rlim_max;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &wanted), 0);
    open_server();
    for (uint32_t i = 0; i < 1001; i++)
        fds[i] = connect_client();
    answer(control.last_client, 9);
    CU_ASSERT_EQUAL(next_answer(fds[1000]), 9);
    let_go(fds, 1001);
    close_server();
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void whoever_waits_leaves_a_slot(void)
{
    int fds[CONTROL_CLIENTS_MAX + 1];
    open_server();
    fill(fds);
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++)
        make_wait(i, i);
    control.resolving = (struct control_resolving){
        .is_waiting = true, .number = 1, .client = control.clients[CONTROL_JOBS_MAX].id};
    fds[CONTROL_CLIENTS_MAX] = connect_client();
    for (uint32_t i = 0; i <= CONTROL_CLIENTS_MAX; i++)
        CU_ASSERT_EQUAL(is_hung_up_on(fds[i]), i == CONTROL_CLIENTS_MAX - 1);
    let_go(fds, CONTROL_CLIENTS_MAX + 1);
    close_server();
}

static void silence_has_a_limit(void)
{
    open_server();
    CU_ASSERT_EQUAL(control_expire(&control, -1), -1);
    CU_ASSERT_EQUAL(control_expire(&control, 7), 7);
    int silent = connect_client(), asker = connect_client();
    int ms = control_expire(&control, -1);
    CU_ASSERT_TRUE(ms > 0 && ms <= (int)(CONTROL_IDLE_NS / 1000000) + 1);
    CU_ASSERT_EQUAL(control_expire(&control, 7), 7);
    CU_ASSERT_EQUAL(pst_control_send(asker, json_pack("{s:s}", "request", "status")), 0);
    json_decref(control_next_request(&control, 1));
    control.clients[0].quiet_since_ns -= CONTROL_IDLE_NS;
    control.clients[1].quiet_since_ns -= CONTROL_IDLE_NS;
    CU_ASSERT_EQUAL(control_expire(&control, -1), -1);
    CU_ASSERT_TRUE(is_hung_up_on(silent));
    CU_ASSERT_FALSE(is_hung_up_on(asker));
    close(silent);
    close(asker);
    close_server();
}

static int live_on(void *unused)
{
    (void)unused;
    return pause();
}

static void a_child_that_lives_on_holds_no_client(void)
{
    open_server();
    int fd = connect_client();
    pid_t child = child_start(live_on, NULL);
    answer(control.clients[0].id, 7);
    control_hang_up_all(&control);
    CU_ASSERT_EQUAL(next_answer(fd), 7);
    CU_ASSERT_TRUE(is_hung_up_on(fd));
    kill(child, SIGKILL);
    CU_ASSERT_EQUAL(child_wait(child), -SIGKILL);
    close(fd);
    close_server();
}

/* Without a descriptor for it, the newcomer waits; the server neither spins nor stops. */
static void without_descriptors_it_pauses(void)
{
    char message[PST_MESSAGE_BYTES];
    struct rlimit was, none = {0, 0};
    open_server();
    int silent = connect_client();
    int newcomer = pst_control_connect(path, message);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &was), 0);
    none.rlim_max = was.rlim_max;
    CU_ASSERT_TRUE(control_may_accept(&control));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    control_accept(&control);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &was), 0);
    CU_ASSERT_TRUE(is_hung_up_on(silent));
    CU_ASSERT_FALSE(control_may_accept(&control));
    int ms = control_expire(&control, -1);
    CU_ASSERT_TRUE(ms >= 0 && ms <= (int)(CONTROL_DEAF_NS / 1000000) + 1);
    control.deaf_until_ns = 0;
    CU_ASSERT_TRUE(control_may_accept(&control));
    control_accept(&control);
    answer(control.last_client, 3);
    CU_ASSERT_EQUAL(next_answer(newcomer), 3);
    close(silent);
    close(newcomer);
    close_server();
}

/* ---- what the master confirms ---- */

static uint32_t end_reason; /* of the abort that was asked for; 0: of none */

void __wrap_pst_client_request_end(struct pst_node *node, uint32_t master, uint64_t backup,
                                   uint32_t reason);
void __wrap_pst_client_request_end(struct pst_node *node, uint32_t master, uint64_t backup,
                                   uint32_t reason)
{
    (void)node;
    CU_ASSERT_TRUE(master == 1 && backup == 7);
    end_reason = reason;
}

/* A master of an older version confirms nothing, and goes on. */
static void what_is_not_confirmed_is_not_wanted(void)
{
    static struct pst_cluster_config cluster = {.name = "c"};
    config.cluster = &cluster;
    for (int confirms = 0; confirms < 2; confirms++) {
        struct pst_signal conf = {.gsn = PST_BACKUP_CONF, .backup = 7};
        json_t *message = NULL;
        open_server();
        int fd = connect_client();
        control.jobs[0] = (struct control_job){
            .client = control.clients[0].id,
            .backup = 7,
            .request = {.master_node = 1, .uid = {7}, .flags = PST_BACKUP_VERIFY}};
        conf.payload.backup_conf.number = 3;
        conf.payload.backup_conf.flags = confirms ? PST_BACKUP_VERIFY : 0;
        end_reason = 0;
        control_on_job_signal(&control, &conf);
        CU_ASSERT_EQUAL(end_reason, confirms ? 0 : PST_E_OPTION);
        CU_ASSERT_EQUAL(pst_control_receive(fd, -1, NULL, &message), 0);
        CU_ASSERT_EQUAL(json_is_true(json_object_get(message, "verify")), confirms);
        json_decref(message);
        close(fd);
        close_server();
    }
}

/* ---- the invariants ---- */

static void give_a_job(uint32_t index, uint8_t first_byte)
{
    struct control_job *job = &control.jobs[index];
    *job = (struct control_job){.client = 1, .request = {.master_node = 1, .uid = {first_byte}}};
    job->backup = pst_uid_low(job->request.uid);
}

static void sound(void)
{
}
static void slot_without_id(void)
{
    control.clients[0].id = 0;
}
static void id_of_the_future(void)
{
    control.clients[0].id = control.last_client + 1;
}
static void id_twice(void)
{
    control.clients[1] = control.clients[0];
}
static void job_of_another_uid(void)
{
    control.jobs[0].backup++;
}
static void job_twice(void)
{
    control.jobs[1] = control.jobs[0];
}
static void job_of_a_dead_master(void)
{
    control.jobs[0].request.master_node = 2;
}
static void confirmed_without_number(void)
{
    control.jobs[0].is_confirmed = true;
}
static void decision_about_no_backup(void)
{
    control.resolving = (struct control_resolving){.is_waiting = true, .client = 1};
}
static void own_node_dead(void)
{
    pst_set_remove(&control.live, 0);
    pst_set_add(&control.live, 1);
}

/* A sound server is broken so, and looks at itself. */
static void break_and_check(void *context)
{
    (*(void (**)(void))context)();
    control_check(&control);
}

static void every_breakage_is_noticed(void)
{
    void (*const breakages[])(void) = {
        slot_without_id,
        id_of_the_future,
        id_twice,
        job_of_another_uid,
        job_twice,
        job_of_a_dead_master,
        own_node_dead,
        confirmed_without_number,
        decision_about_no_backup,
    };
    open_server();
    int fd = connect_client();
    give_a_job(0, 1);
    give_a_job(2, 2);
    void (*no_breakage)(void) = sound;
    CU_ASSERT_FALSE(child_aborts(break_and_check, (void *)&no_breakage));
    for (size_t i = 0; i < sizeof(breakages) / sizeof(breakages[0]); i++)
        CU_ASSERT_TRUE(child_aborts(break_and_check, (void *)&breakages[i]));
    close(fd);
    close_server();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a socket is replaced only if nobody serves it", a_served_socket_is_not_replaced},
        {"a socket about to be served is not replaced",
         a_socket_about_to_be_served_is_not_replaced},
        {"a later socket is not removed", a_later_socket_is_not_removed},
        {"a file is not replaced", a_file_is_not_replaced},
        {"a path that is too long is refused", a_long_path_is_refused},
        {"requests and answers pass", requests_and_answers_pass},
        {"the longest status fits", the_longest_status_fits},
        {"what remains is estimated", what_remains_is_estimated},
        {"who follows hears of each change once", who_follows_hears_of_each_change_once},
        {"a slow follower is dropped with a word", a_slow_follower_is_dropped_with_a_word},
        {"nonsense is refused", nonsense_is_refused},
        {"an unknown key is refused", an_unknown_key_is_refused},
        {"what a master does not confirm is not wanted", what_is_not_confirmed_is_not_wanted},
        {"a refusal cuts no character", a_refusal_cuts_no_character},
        {"no request uses the numbers up", no_request_uses_the_numbers_up},
        {"an answer goes to the client that asked, or to nobody", an_answer_goes_to_nobody_else},
        {"the idlest client makes room for another", the_idlest_makes_room},
        {"a thousand silent clients lock nobody out", a_thousand_silent_ones_lock_nobody_out},
        {"clients that wait leave a slot", whoever_waits_leaves_a_slot},
        {"silence has a limit", silence_has_a_limit},
        {"a child that lives on holds no client", a_child_that_lives_on_holds_no_client},
        {"without descriptors it pauses", without_descriptors_it_pauses},
        {"the invariants notice broken state", every_breakage_is_noticed},
        CU_TEST_INFO_NULL,
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    int failed = suite_run("control", tests);
    rmdir(folder);
    return failed;
}
