/*
 * The pace of the node, as JSON and as a client asks for it. Called by control.c and
 * control_status.c, on the server's thread.
 */
#include <errno.h>

#include "engine/base/log.h"
#include "engine/json/json_build.h"
#include "engine/node/node.h"
#include "engine/service/control_parts.h"

json_t *control_pace_json(const struct pst_pace_status *pace)
{
    bool is_rate = pace->setting.mode == PST_PACE_RATE;
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:s}", "mode", pst_pace_mode_text(pace->setting.mode), "rate",
        (json_int_t)(is_rate ? pace->setting.bytes_per_s : 0), "min_rate",
        (json_int_t)pace->setting.min_rate, "limit", (json_int_t)pace->bytes_per_s, "depth",
        (json_int_t)pace->depth, "reason", pst_pace_reason_text(pace->reason));
}

/* What the request leaves out stays as it is. 0, or -EINVAL. */
static int read_request(const json_t *request, struct pst_pace_setting *setting)
{
    const char *text = json_string_value(json_object_get(request, "pace"));
    const json_t *min_rate = json_object_get(request, "min_rate");
    json_int_t least = min_rate ? json_integer_value(min_rate) : (json_int_t)setting->min_rate;
    if (!text || (min_rate && !json_is_integer(min_rate)) || least > (json_int_t)PST_PACE_MOST ||
        (least != 0 && least < (json_int_t)PST_PACE_MIN))
        return -EINVAL;
    setting->min_rate = (uint64_t)least;
    return pst_pace_parse(text, setting);
}

void control_set_pace(struct control *control, uint64_t client, const json_t *request)
{
    PST_CHECK_THREAD(&control->owner);
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    struct pst_pace_setting setting = status.pace.setting;
    if (read_request(request, &setting) < 0) {
        control_refuse(control, client, -PST_E_BAD_REQUEST,
                       "a pace is max, auto, or bytes a second from 1M to 1T, such as 50M");
        return;
    }
    pst_node_set_pace(control->node, &setting);
    pst_node_status(control->node, &status);
    pst_log(PST_LOG_INFO, "pace: %s", json_string_value(json_object_get(request, "pace")));
    json_t *answer = control_pace_json(&status.pace);
    pst_json_set(&answer, "message_type", json_string("pace"));
    control_send(control, client, answer, false);
}
