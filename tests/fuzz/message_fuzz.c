/* What another process of the host may send: a message over the fabric's socket, taken as the hub
 * takes it, and a signal in a ring. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/shm/shm_wire.h"
#include "net/signal_check.h"
#include "tests/fuzz/fuzz.h"

static const struct shm_hello ours = {
    .header = {SHM_MAGIC, SHM_VERSION, SHM_HELLO},
    .signal_version = PST_SIGNAL_VERSION,
    .ring_signals = 64,
    .node = {.cluster = "fuzz", .cluster_id = 1, .node = 1, .incarnation = 1},
};

/* All that is done with one that is well formed. */
static void use(union shm_message *message, enum shm_refusal refusal)
{
    if (!shm_refusal_text(refusal))
        abort();
    if (refusal != SHM_REFUSE_NONE)
        return;
    if (message->header.type == SHM_HELLO &&
        shm_check_hello(&ours, &message->hello) == SHM_REFUSE_NONE &&
        (message->hello.node.node == ours.node.node || message->hello.ring_signals < 2))
        abort();
    if (message->header.type == SHM_REFUSE || message->header.type == SHM_BYE) {
        if (strlen(message->notice.reason) >= sizeof(message->notice.reason))
            abort();
        (void)shm_refusal_text(message->notice.code);
    }
}

static void receive(const uint8_t *data, size_t size)
{
    static int sockets[2] = {-1, -1};
    union shm_message message;
    int fd;
    if (sockets[0] < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        abort();
    memset(&message, 0, sizeof(message));
    if (size == 0 || send(sockets[0], data, size, MSG_DONTWAIT) < 0)
        return;
    int bytes = shm_receive(sockets[1], &message, &fd);
    if (bytes != (int)size || fd != -1)
        abort();
    use(&message, shm_check(&message, (uint32_t)bytes));
}

static void check_signal(const uint8_t *data, size_t size)
{
    struct pst_signal signal;
    memset(&signal, 0, sizeof(signal));
    memcpy(&signal, data, size < sizeof(signal) ? size : sizeof(signal));
    if (pst_spsc_content_fault(&signal) == PST_SIGNAL_FAULT_NONE) {
        pst_spsc_stamp(&signal, 7, 9);
        if (pst_spsc_fault(&signal, 7, 9) != PST_SIGNAL_FAULT_NONE ||
            pst_spsc_fault(&signal, 7, 10) == PST_SIGNAL_FAULT_NONE)
            abort();
    }
    if (!pst_spsc_fault_text(pst_spsc_fault(&signal, 7, 9)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    receive(copy, size < 4096 ? size : 4096);
    check_signal(copy, size);
    free(copy);
    return 0;
}
