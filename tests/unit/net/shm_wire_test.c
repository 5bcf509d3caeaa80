/* Messages between nodes: which are taken, and what of a HELLO is refused, and why. */
#include <string.h>

#include "net/shm/shared_ring.h"
#include "net/shm/shm_wire.h"
#include "tests/suite.h"

static struct shm_hello hello(uint32_t node)
{
    return (struct shm_hello){
        .header = {SHM_MAGIC, SHM_VERSION, SHM_HELLO},
        .signal_version = PST_SIGNAL_VERSION,
        .ring_signals = 64,
        .node = {.cluster = "wire", .cluster_id = 7, .node = node, .incarnation = 1},
        .ring_bytes = shared_ring_bytes(64),
    };
}

/* The verdict on a HELLO in which one thing is other than it should be. */
#define VERDICT(change)                                                                            \
    ({                                                                                             \
        struct shm_hello ours = hello(1), theirs = hello(2);                                       \
        theirs.change;                                                                             \
        shm_check_hello(&ours, &theirs);                                                           \
    })

static void a_hello_is_refused_for_what_is_wrong(void)
{
    CU_ASSERT_EQUAL(VERDICT(ring_offset = 0), SHM_REFUSE_NONE);
    CU_ASSERT_EQUAL(VERDICT(signal_version++), SHM_REFUSE_VERSION);
    CU_ASSERT_EQUAL(VERDICT(node.cluster[0] = 'x'), SHM_REFUSE_CLUSTER);
    CU_ASSERT_EQUAL(VERDICT(node.cluster_id++), SHM_REFUSE_CLUSTER);
    CU_ASSERT_EQUAL(VERDICT(node.node = 0), SHM_REFUSE_NODE);
    CU_ASSERT_EQUAL(VERDICT(node.node = 1), SHM_REFUSE_NODE);
    CU_ASSERT_EQUAL(VERDICT(node.node = PST_NODES_MAX + 1), SHM_REFUSE_NODE);
    CU_ASSERT_EQUAL(VERDICT(memory++), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(ring_signals = 63), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(ring_signals = 0), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(ring_signals = 2 * SHARED_RING_SIGNALS_MAX), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(ring_signals = 128), SHM_REFUSE_MEMORY); /* more than its bytes */
    CU_ASSERT_EQUAL(VERDICT(ring_bytes--), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(ring_bytes = UINT64_MAX), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(VERDICT(failure_us++), SHM_REFUSE_FAILURE);
}

static enum shm_refusal check(uint16_t type, uint32_t bytes)
{
    union shm_message message;
    memset(&message, 'x', sizeof(message)); /* texts without an end */
    message.header = (struct shm_header){SHM_MAGIC, SHM_VERSION, type};
    enum shm_refusal refusal = shm_check(&message, bytes);
    if (refusal == SHM_REFUSE_NONE && type == SHM_BYE)
        CU_ASSERT_EQUAL(strlen(message.notice.reason), SHM_REASON_BYTES - 1);
    return refusal;
}

static void a_message_has_its_length(void)
{
    static const uint16_t types[] = {SHM_HELLO, SHM_READY, SHM_REFUSE, SHM_BYE, SHM_WAKE};
    static const uint32_t lengths[] = {sizeof(struct shm_hello), sizeof(struct shm_header),
                                       sizeof(struct shm_notice), sizeof(struct shm_notice),
                                       sizeof(struct shm_header)};
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t bytes = 0; bytes <= sizeof(union shm_message) + 1; bytes++)
            CU_ASSERT_EQUAL(check(types[i], bytes),
                            bytes == lengths[i] ? SHM_REFUSE_NONE : SHM_REFUSE_MALFORMED);
    }
    CU_ASSERT_EQUAL(check(99, sizeof(struct shm_header)), SHM_REFUSE_MALFORMED);
}

/* REFUSE is read, and the fixed part of a HELLO; nothing else. */
static void another_version_can_be_refused_and_refuse(void)
{
    union shm_message message = {.hello = hello(2)};
    message.header.version++;
    CU_ASSERT_EQUAL(shm_check(&message, sizeof(struct shm_hello)), SHM_REFUSE_VERSION);
    CU_ASSERT_TRUE(shm_is_hello(&message, SHM_HELLO_FIXED_BYTES));
    CU_ASSERT_FALSE(shm_is_hello(&message, SHM_HELLO_FIXED_BYTES - 1));
    message.header.type = SHM_REFUSE;
    CU_ASSERT_EQUAL(shm_check(&message, sizeof(struct shm_notice)), SHM_REFUSE_NONE);
    CU_ASSERT_EQUAL(shm_check(&message, sizeof(struct shm_notice) - 1), SHM_REFUSE_MALFORMED);
    CU_ASSERT_FALSE(shm_is_hello(&message, sizeof(message)));
    message.header.type = SHM_BYE;
    CU_ASSERT_EQUAL(shm_check(&message, sizeof(struct shm_notice)), SHM_REFUSE_VERSION);
}

static void both_versions_are_named(void)
{
    char text[SHM_REASON_BYTES];
    struct shm_hello ours = hello(1), theirs = hello(2);
    ours.signal_version = 3;
    theirs.signal_version = UINT32_MAX;
    CU_ASSERT_STRING_EQUAL(
        shm_refusal_words(SHM_REFUSE_VERSION, &ours, &theirs, text),
        "the version of the protocol differs: 3 at node 1, 4294967295 at node 2");
    ours.header.version = 8;
    theirs.header.version = UINT16_MAX;
    CU_ASSERT_STRING_EQUAL(shm_refusal_words(SHM_REFUSE_VERSION, &ours, &theirs, text),
                           "the version of the fabric differs: 8 at node 1, 65535 at node 2");
    CU_ASSERT_STRING_EQUAL(shm_refusal_words(SHM_REFUSE_VERSION, &ours, NULL, text),
                           "it is another version of Penstock");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"another version can be refused, and refuse", another_version_can_be_refused_and_refuse},
        {"both versions are named", both_versions_are_named},
        {"a HELLO is refused for what is wrong", a_hello_is_refused_for_what_is_wrong},
        {"a message has its length", a_message_has_its_length},
        CU_TEST_INFO_NULL,
    };
    return suite_run("shm wire", tests);
}
