#include "tests/unit/net/mixed_rig.h"

#include <stdlib.h>

#include "net/mixed_fabric.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/quic_rig.h"

struct pst_fabric *mixed_rig_open(const char *directory, uint64_t near,
                                  const struct pst_quic_network *network,
                                  const struct pst_fabric_hello *hello, uint64_t failure_ns)
{
    const struct pst_set near_nodes = {{near}};
    const struct pst_quic_config far = {.network = network,
                                        .hello = *hello,
                                        .ring_signals = MIXED_RIG_FAR_SIGNALS,
                                        .failure_ns = failure_ns};
    struct pst_shm_config config = rig_config(directory, hello->node, 0, failure_ns);
    struct pst_fabric *fabric;
    struct rig_node node;
    config.hello = *hello;
    config.ring_signals = MIXED_RIG_NEAR_SIGNALS;
    rig_open(&node, &config);
    if (pst_mixed_fabric_open(node.fabric, &near_nodes, quic_rig_open(&far), &fabric) < 0)
        abort();
    return fabric;
}
