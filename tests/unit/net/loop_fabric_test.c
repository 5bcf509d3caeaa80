/* What only the loop fabric can do: a node dies in the middle of its work. The contract of every
 * fabric: fabric_contract_test.c. */
#include "tests/suite.h"
#include "tests/support/loop_fabric.h"
#include "tests/unit/net/fabric_rig.h"

static void a_killed_node_has_died(void)
{
    struct rig_node nodes[2];
    struct loop_network *network = loop_network_open();
    rig_set_clock(1);
    for (uint32_t i = 0; i < 2; i++) {
        struct pst_fabric_hello hello = rig_config("", i + 1, 1, 0).hello;
        nodes[i] = (struct rig_node){
            .fabric = loop_fabric_open(network, &hello, PST_FABRIC_FAILURE_NS), .node = i + 1};
    }
    CU_ASSERT_TRUE_FATAL(rig_until(nodes, 2, &nodes[0].joined[2], 1));
    for (uint64_t i = 0; i < 3; i++) {
        struct pst_signal signal = rig_signal(i);
        CU_ASSERT_EQUAL(pst_fabric_send(nodes[1].fabric, 1, &signal), 0);
        if (i == 1)
            pst_fabric_publish(nodes[1].fabric);
    }
    loop_fabric_kill(nodes[1].fabric);
    nodes[1].fabric = NULL;
    rig_poll(&nodes[0]);
    CU_ASSERT_EQUAL(nodes[0].received[2], 2);
    rig_poll(&nodes[0]);
    CU_ASSERT_EQUAL(nodes[0].failed[2], 1);
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_DIED);
    rig_close(&nodes[0]);
    loop_network_close(network);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a killed node has died", a_killed_node_has_died},
        CU_TEST_INFO_NULL,
    };
    return suite_run("loop_fabric", tests);
}
