/* docs/protocol.md and the code say the same: signals, payloads, states, transitions, scripts of
 * the proxy, errors. The document's path is the argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/protocol/outcome.h"
#include "tests/unit/protocol/rig.h"

#define CELLS_MAX 8u
#define CELL_BYTES 200u
#define ROWS_MAX 128u

struct table {
    uint32_t rows_count;
    char cells[ROWS_MAX][CELLS_MAX][CELL_BYTES];
};

static const char *document_path;
static struct table table;

static void split(const char *line, char cells[CELLS_MAX][CELL_BYTES])
{
    memset(cells, 0, CELLS_MAX * CELL_BYTES);
    for (uint32_t i = 0; i < CELLS_MAX && *line == '|'; i++) {
        line += 1 + strspn(line + 1, " ");
        size_t bytes = strcspn(line, "|\n");
        const char *next = line + bytes;
        while (bytes > 0 && line[bytes - 1] == ' ')
            bytes--;
        CU_ASSERT_FATAL(bytes < CELL_BYTES);
        memcpy(cells[i], line, bytes);
        line = next;
    }
}

/* Reads the table that begins with this header row. */
static void read_table(const char *header)
{
    table.rows_count = 0;
    FILE *file = fopen(document_path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char *line = NULL;
    size_t room = 0;
    int found = 0; /* 1: header, 2: the line below it */
    while (getline(&line, &room, file) > 0) {
        if (found == 0)
            found = strncmp(line, header, strlen(header)) == 0;
        else if (line[0] != '|')
            break;
        else if (found++ > 1) {
            CU_ASSERT_FATAL(table.rows_count < ROWS_MAX);
            split(line, table.cells[table.rows_count++]);
        }
    }
    free(line);
    fclose(file);
    RIG_CHECK(table.rows_count > 0, "no table %s", header);
}

static void check_cell(uint32_t row, uint32_t column, const char *expected)
{
    RIG_CHECK(row < table.rows_count && strcmp(table.cells[row][column], expected) == 0,
              "row %u column %u: the document says \"%s\", the code \"%s\"", row, column,
              row < table.rows_count ? table.cells[row][column] : "nothing", expected);
}

static void check_number(uint32_t row, uint32_t column, uint64_t expected)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)expected);
    check_cell(row, column, text);
}

static void signals_agree(void)
{
    static const struct {
        const char *name;
        uint32_t number;
        const char *payload;
        size_t bytes;
    } signals[] = {
#define X(name, number, payload, reach) {#name, number, #payload, sizeof(struct payload)},
        PST_SIGNAL_LIST(X)
#undef X
    };
    read_table("| signal | number | payload | bytes | from | to | meaning |");
    CU_ASSERT_EQUAL(table.rows_count, sizeof(signals) / sizeof(signals[0]));
    for (uint32_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        check_cell(i, 0, signals[i].name);
        check_number(i, 1, signals[i].number);
        check_cell(i, 2, signals[i].payload);
        check_number(i, 3, signals[i].bytes);
        for (uint32_t column = 4; column <= 6; column++)
            CU_ASSERT_TRUE(table.cells[i][column][0] != '\0');
    }
}

struct field {
    const char *owner;
    const char *name;
    size_t offset;
    size_t bytes;
    size_t owner_bytes;
};

#define FIELD(owner, name)                                                                         \
    {                                                                                              \
#owner, #name, offsetof(struct owner, name), sizeof(((struct owner *)0)->name),            \
            sizeof(struct owner)                                                                   \
    }

static void the_header_agrees(void)
{
    static const struct field fields[] = {
        FIELD(pst_signal, gsn),          FIELD(pst_signal, version),
        FIELD(pst_signal, flags),        FIELD(pst_signal, length),
        FIELD(pst_signal, reserved),     FIELD(pst_signal, sender_ref),
        FIELD(pst_signal, receiver_ref), FIELD(pst_signal, backup),
        FIELD(pst_signal, sequence),     FIELD(pst_signal, link_sequence),
        FIELD(pst_signal, incarnation),  FIELD(pst_signal, checksum),
        FIELD(pst_signal, payload),
    };
    read_table("| offset | bytes | header field |");
    CU_ASSERT_EQUAL(table.rows_count, sizeof(fields) / sizeof(fields[0]));
    size_t end = 0;
    for (uint32_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        check_number(i, 0, fields[i].offset);
        check_number(i, 1, fields[i].bytes);
        check_cell(i, 2, fields[i].name);
        CU_ASSERT_EQUAL(fields[i].offset, end);
        end += fields[i].bytes;
    }
    CU_ASSERT_EQUAL(end, PST_SIGNAL_BYTES);
}

static const struct field payload_fields[] = {
    FIELD(pst_sums, source_bytes),
    FIELD(pst_sums, stored_bytes),
    FIELD(pst_sums, objects),
    FIELD(pst_sums, chunks),
    FIELD(pst_sums, unreadable),
    FIELD(pst_set, words),
    FIELD(pst_backup_req, uid),
    FIELD(pst_backup_req, request_id),
    FIELD(pst_backup_req, number),
    FIELD(pst_backup_req, flags),
    FIELD(pst_backup_req, options),
    FIELD(pst_backup_conf, uid),
    FIELD(pst_backup_conf, request_id),
    FIELD(pst_backup_conf, number),
    FIELD(pst_backup_conf, flags),
    FIELD(pst_backup_conf, nodes),
    FIELD(pst_ref_payload, master_ref),
    FIELD(pst_ref_payload, error),
    FIELD(pst_ref_payload, where),
    FIELD(pst_ref_payload, reserved),
    FIELD(pst_ref_payload, request_id),
    FIELD(pst_ref_payload, number),
    FIELD(pst_ref_payload, reserved2),
    FIELD(pst_backup_progress, master_ref),
    FIELD(pst_backup_progress, warnings),
    FIELD(pst_backup_progress, sums),
    FIELD(pst_backup_progress, expected_bytes),
    FIELD(pst_backup_progress, expected_is_final),
    FIELD(pst_backup_progress, request_id),
    FIELD(pst_backup_complete_rep, sums),
    FIELD(pst_backup_complete_rep, request_id),
    FIELD(pst_backup_complete_rep, start_gci),
    FIELD(pst_backup_complete_rep, number),
    FIELD(pst_backup_complete_rep, warnings),
    FIELD(pst_backup_complete_rep, left_frozen),
    FIELD(pst_backup_complete_rep, manifest_low),
    FIELD(pst_abort_backup_ord, master_ref),
    FIELD(pst_abort_backup_ord, request),
    FIELD(pst_abort_backup_ord, error),
    FIELD(pst_abort_backup_ord, where),
    FIELD(pst_define_backup_req, master_ref),
    FIELD(pst_define_backup_req, number),
    FIELD(pst_define_backup_req, uid),
    FIELD(pst_define_backup_req, flags),
    FIELD(pst_define_backup_req, reserved),
    FIELD(pst_define_backup_req, options),
    FIELD(pst_define_backup_req, nodes),
    FIELD(pst_define_backup_conf, master_ref),
    FIELD(pst_define_backup_conf, flags),
    FIELD(pst_order, master_ref),
    FIELD(pst_order, reserved),
    FIELD(pst_gci, master_ref),
    FIELD(pst_gci, reserved),
    FIELD(pst_gci, start_gci),
    FIELD(pst_gci, stop_gci),
    FIELD(pst_fragment, master_ref),
    FIELD(pst_fragment, source),
    FIELD(pst_fragment, fragment),
    FIELD(pst_fragment, bytes),
    FIELD(pst_fragment, owner),
    FIELD(pst_fragment, reserved),
    FIELD(pst_fragment_conf, master_ref),
    FIELD(pst_fragment_conf, source),
    FIELD(pst_fragment_conf, fragment),
    FIELD(pst_fragment_conf, sums),
    FIELD(pst_stop_backup_conf, master_ref),
    FIELD(pst_stop_backup_conf, warnings),
    FIELD(pst_stop_backup_conf, left_frozen),
    FIELD(pst_stop_backup_conf, sums),
    FIELD(pst_stop_backup_conf, file_bytes),
    FIELD(pst_stop_backup_conf, digest),
    FIELD(pst_commit, master_ref),
    FIELD(pst_commit, warnings),
    FIELD(pst_commit, file_bytes),
    FIELD(pst_commit, digest),
    FIELD(pst_source_list_conf, master_ref),
    FIELD(pst_source_list_conf, reserved),
    FIELD(pst_source_list_conf, fragments),
    FIELD(pst_source_list_conf, bytes),
    FIELD(pst_source_list_conf, unreadable),
    FIELD(pst_source_release_conf, master_ref),
    FIELD(pst_source_release_conf, left_frozen),
    FIELD(pst_archive_number, master_ref),
    FIELD(pst_archive_number, number),
    FIELD(pst_archive_item, master_ref),
    FIELD(pst_archive_item, item),
    FIELD(pst_archive_item, sums),
    FIELD(pst_archive_item, file_bytes),
    FIELD(pst_archive_item, digest),
    FIELD(pst_outcome, master_ref),
    FIELD(pst_outcome, number),
    FIELD(pst_outcome, uid),
    FIELD(pst_outcome, state),
    FIELD(pst_outcome, node),
    FIELD(pst_outcome, file_bytes),
    FIELD(pst_outcome, digest),
    FIELD(pst_doubt_rep, master_ref),
    FIELD(pst_doubt_rep, number),
    FIELD(pst_doubt_rep, uid),
    FIELD(pst_doubt_rep, nodes),
    FIELD(pst_blob, master_ref),
    FIELD(pst_blob, number),
    FIELD(pst_blob, file_bytes),
    FIELD(pst_blob, offset),
    FIELD(pst_blob, digest),
    FIELD(pst_blob_data, master_ref),
    FIELD(pst_blob_data, bytes),
    FIELD(pst_blob_data, offset),
    FIELD(pst_blob_data, data),
    FIELD(pst_source_text, master_ref),
    FIELD(pst_source_text, where),
    FIELD(pst_source_text, offset),
    FIELD(pst_source_text, bytes),
    FIELD(pst_source_text, kind),
    FIELD(pst_source_text, text),
    FIELD(pst_node_change, node),
    FIELD(pst_node_change, ldms),
    FIELD(pst_node_change, incarnation),
};
#define PAYLOAD_FIELDS (sizeof(payload_fields) / sizeof(payload_fields[0]))

static void payloads_agree(void)
{
    read_table("| payload | offset | bytes | field |");
    CU_ASSERT_EQUAL(table.rows_count, PAYLOAD_FIELDS);
    size_t end = 0;
    for (uint32_t i = 0; i < PAYLOAD_FIELDS; i++) {
        const struct field *field = &payload_fields[i];
        check_cell(i, 0, field->owner);
        check_number(i, 1, field->offset);
        check_number(i, 2, field->bytes);
        check_cell(i, 3, field->name);
        RIG_CHECK(field->offset == end, "%s.%s: bytes before it have no name", field->owner,
                  field->name);
        end += field->bytes;
        bool last = i + 1 == PAYLOAD_FIELDS || strcmp(field[1].owner, field->owner) != 0;
        RIG_CHECK(!last || end == field->owner_bytes, "%s: bytes after %s have no name",
                  field->owner, field->name);
        end = last ? 0 : end;
    }
}

/* Every payload of the list is in the table of fields. */
static void every_payload_is_described(void)
{
    static const char *const payloads[] = {
#define X(name, number, payload, reach) #payload,
        PST_SIGNAL_LIST(X)
#undef X
    };
    for (uint32_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        bool found = false;
        for (uint32_t k = 0; k < PAYLOAD_FIELDS; k++)
            found |= strcmp(payload_fields[k].owner, payloads[i]) == 0;
        RIG_CHECK(found, "%s has no fields", payloads[i]);
    }
}

static void check_states(const char *header, const char *const (*states)[2], uint32_t count)
{
    read_table(header);
    CU_ASSERT_EQUAL(table.rows_count, count);
    for (uint32_t i = 0; i < count; i++) {
        check_cell(i, 0, states[i][0]);
        check_cell(i, 1, states[i][1]);
    }
}

static void states_agree(void)
{
#define X(name, meaning) {#name, meaning},
    static const char *const master[][2] = {PST_MASTER_STATE_LIST(X)};
    static const char *const proxy[][2] = {PST_PROXY_STATE_LIST(X)};
    static const char *const participant[][2] = {PST_PARTICIPANT_STATE_LIST(X)};
    static const char *const doubt[][2] = {PST_DOUBT_STATE_LIST(X)};
#undef X
    check_states("| master state | meaning |", master, sizeof(master) / sizeof(master[0]));
    check_states("| proxy state | meaning |", proxy, sizeof(proxy) / sizeof(proxy[0]));
    check_states("| participant state | meaning |", participant,
                 sizeof(participant) / sizeof(participant[0]));
    check_states("| outcome state | meaning |", doubt, sizeof(doubt) / sizeof(doubt[0]));
}

static void outcome_rules_agree(void)
{
    static const char *const answers[] = {[PST_OUTCOME_NONE] = "NONE",
                                          [PST_OUTCOME_PREPARED] = "PREPARED",
                                          [PST_OUTCOME_COMMITTED] = "COMMITTED"};
    read_table("| answer | of | outcome |");
    CU_ASSERT_EQUAL(table.rows_count, outcome_rules_count);
    for (uint32_t i = 0; i < outcome_rules_count; i++) {
        const struct outcome_rule *rule = &outcome_rules[i];
        check_cell(i, 0, answers[rule->answer]);
        check_cell(i, 1, rule->of_all ? "all others" : "any participant");
        check_cell(i, 2, pst_doubt_state_name(rule->to));
    }
}

static void master_rules_agree(void)
{
    static const char *const asks[] = {[MASTER_ASKS_NOBODY] = "nobody",
                                       [MASTER_ASKS_ARCHIVE] = "archive",
                                       [MASTER_ASKS_NODES] = "nodes"};
    static const char *const troubles[] = {[MASTER_GOES_ON] = "goes on",
                                           [MASTER_ENDS] = "ends",
                                           [MASTER_ABORTS] = "aborts",
                                           [MASTER_DECIDES] = "only a REF aborts"};
    uint32_t row = 0;
    read_table("| master in | request | asks | trouble | next |");
    for (uint32_t state = PST_MASTER_IDLE + 1; state < PST_MASTER_STATES; state++) {
        const struct master_rule *rule = &master_rules[state];
        check_cell(row, 0, pst_master_state_name((enum pst_master_state)state));
        check_cell(row, 1, rule->gsn != 0 ? pst_gsn_name(rule->gsn) : "");
        check_cell(row, 2, asks[rule->asks]);
        check_cell(row, 3, troubles[rule->on_trouble]);
        check_cell(row++, 4, pst_master_state_name(rule->next));
    }
    CU_ASSERT_EQUAL(table.rows_count, row);
}

static void proxy_transitions_agree(void)
{
    read_table("| proxy from | order | busy | done |");
    CU_ASSERT_EQUAL(table.rows_count, proxy_transitions_count);
    for (uint32_t i = 0; i < proxy_transitions_count; i++) {
        check_cell(i, 0, pst_proxy_state_name(proxy_transitions[i].from));
        check_cell(i, 1, pst_gsn_name(proxy_transitions[i].gsn));
        check_cell(i, 2, pst_proxy_state_name(proxy_transitions[i].busy));
        check_cell(i, 3, pst_proxy_state_name(proxy_transitions[i].done));
    }
}

static void participant_transitions_agree(void)
{
    static const char *const works[] = {
        [PST_WORK_OPEN] = "OPEN",       [PST_WORK_START] = "START", [PST_WORK_SCAN] = "SCAN",
        [PST_WORK_HALT] = "HALT",       [PST_WORK_STOP] = "STOP",   [PST_WORK_RELEASE] = "RELEASE",
        [PST_WORK_DISCARD] = "DISCARD",
    };
    read_table("| participant from | order | work | busy | done |");
    CU_ASSERT_EQUAL(table.rows_count, participant_transitions_count);
    for (uint32_t i = 0; i < participant_transitions_count; i++) {
        const struct participant_transition *row = &participant_transitions[i];
        check_cell(i, 0, pst_participant_state_name(row->from));
        check_cell(i, 1, pst_gsn_name(row->gsn));
        check_cell(i, 2, works[row->work]);
        check_cell(i, 3, pst_participant_state_name(row->busy));
        check_cell(i, 4, pst_participant_state_name(row->done));
    }
}

/* The REQ that the proxy sent last; a fan-out to one member, completed. */
static struct pst_signal sent_request(const struct pst_actions *actions)
{
    for (uint32_t i = actions->sends_count; i-- > 0;) {
        struct pst_signal signal = actions->sends[i].signal;
        if (!rig_is_request(signal.gsn))
            continue;
        signal.receiver_ref += actions->sends[i].route == PST_ROUTE_LDMS;
        return signal;
    }
    return (struct pst_signal){0};
}

/* Serves an order, and compares each step with its cell. */
static void check_script(struct pst_proxy *proxy, uint16_t gsn, uint32_t row)
{
    static struct pst_actions actions;
    struct pst_signal signal = rig_signal(gsn, MASTER_REF, PROXY_REF, 1);
    check_cell(row, 0, pst_gsn_name(gsn));
    for (uint32_t column = 1; column <= 4; column++) {
        struct pst_event event = {.type = PST_EVENT_SIGNAL, .now_ns = 1};
        event.signal = &signal;
        actions.sends_count = actions.works_count = 0;
        pst_proxy_step(proxy, &event, &actions);
        struct pst_signal request = sent_request(&actions);
        const char *cell = column < 4 ? table.cells[row][column] : "";
        const char *name = request.gsn != 0 ? pst_gsn_name(request.gsn) : "";
        size_t bytes = strlen(name);
        RIG_CHECK(strncmp(cell, name, bytes) == 0 && (cell[bytes] == '\0' || cell[bytes] == ' '),
                  "%s, step %u: the document says \"%s\", the code \"%s\"", pst_gsn_name(gsn),
                  column, cell, name);
        if (request.gsn == 0)
            return;
        signal = rig_answer(&request, 0);
    }
}

static void scripts_agree(void)
{
    static struct pst_proxy proxy;
    read_table("| order | 1st step | 2nd step | 3rd step |");
    CU_ASSERT_EQUAL(table.rows_count, proxy_transitions_count + 1);
    pst_proxy_init(&proxy, PROXY_REF, PROXY_REF, 1, 1, &rig_timeouts);
    for (uint32_t i = 0; i < proxy_transitions_count; i++)
        check_script(&proxy, proxy_transitions[i].gsn, i);
    struct pst_actions actions = {0};
    struct pst_signal define = rig_signal(PST_DEFINE_BACKUP_REQ, MASTER_REF, PROXY_REF, 2);
    struct pst_event event = {.type = PST_EVENT_SIGNAL, .now_ns = 1};
    event.signal = &define;
    pst_proxy_step(&proxy, &event, &actions);
    check_script(&proxy, PST_CLEANUP_BACKUP_REQ, proxy_transitions_count);
}

static void errors_agree(void)
{
    static const struct {
        const char *name;
        uint32_t number;
        bool retry;
        const char *text;
    } errors[] = {
#define X(name, number, retry, text) {#name, number, retry, text},
        PST_ERROR_LIST(X)
#undef X
    };
    read_table("| error | number | again | text |");
    CU_ASSERT_EQUAL(table.rows_count, sizeof(errors) / sizeof(errors[0]));
    for (uint32_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        check_cell(i, 0, errors[i].name);
        check_number(i, 1, errors[i].number);
        check_cell(i, 2, errors[i].retry ? "yes" : "no");
        check_cell(i, 3, errors[i].text);
    }
}

static CU_TestInfo tests[] = {
    {"signals agree", signals_agree},
    {"the header agrees", the_header_agrees},
    {"payloads agree", payloads_agree},
    {"every payload is described", every_payload_is_described},
    {"states agree", states_agree},
    {"master's rules agree", master_rules_agree},
    {"proxy's transitions agree", proxy_transitions_agree},
    {"participant's transitions agree", participant_transitions_agree},
    {"proxy's scripts agree", scripts_agree},
    {"outcome's rules agree", outcome_rules_agree},
    {"errors agree", errors_agree},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s docs/protocol.md\n", argv[0]);
        return 2;
    }
    document_path = argv[1];
    return rig_run("protocol document", tests);
}
