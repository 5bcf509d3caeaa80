/* The module's table: what it is, and what it has. Found by engine/service/net_load.c. */
#include "net/module/net_module.h"

#include "engine/base/log.h"
#include "net/eal/eal_start.h"

/* Who loads it knows which lines are wanted. */
static void log_to(pst_log_hook *hook)
{
    pst_log_set_level(PST_LOG_DEBUG);
    pst_log_set_hook(hook, NULL);
}

const struct pst_net_module pst_net_module = {
    .build = pst_net_build,
    .eal = &pst_eal_ops,
    .log_to = log_to,
    .quic_open = pst_quic_fabric_open,
    .quic_key_mark = pst_quic_key_mark,
    .ethdev_check = pst_packet_ethdev_check,
};
