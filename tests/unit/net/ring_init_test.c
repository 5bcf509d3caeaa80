/* A ring of ours begins with the bytes that DPDK's own functions write, and is as long. */
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "engine/protocol/signal.h"
#include "net/ring_init.h"
#include "tests/suite.h"

static void it_is_as_long(void)
{
    for (uint32_t slots = 2; slots <= 1u << 20; slots *= 2)
        CU_ASSERT_EQUAL(pst_spsc_ring_bytes(slots),
                        (size_t)rte_ring_get_memsize_elem(PST_SIGNAL_BYTES, slots));
}

static void it_has_the_same_bytes(void)
{
    struct rte_ring own, theirs;
    for (uint32_t slots = 2; slots <= 1u << 20; slots *= 2) {
        memset(&own, 0xa5, sizeof(own));
        pst_spsc_ring_init(&own, slots);
        CU_ASSERT_EQUAL_FATAL(
            rte_ring_init(&theirs, "signals", slots, RING_F_SP_ENQ | RING_F_SC_DEQ), 0);
        CU_ASSERT_EQUAL(memcmp(&own, &theirs, sizeof(own)), 0);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"it is as long", it_is_as_long},
        {"it has the same bytes", it_has_the_same_bytes},
        CU_TEST_INFO_NULL,
    };
    return suite_run("the beginning of a ring", tests);
}
