/* What sources and archive have in common: one request after the other. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

void sim_server_add(struct sim_server *server, const struct pst_signal *signal)
{
    assert(server->count < SIM_INBOX_MAX);
    server->inbox[server->count++] = *signal;
}

const struct pst_signal *sim_server_next(struct sim_server *server)
{
    if (server->current.gsn != 0 || server->count == 0)
        return NULL;
    server->current = server->inbox[0];
    server->error = 0;
    server->is_lost = false;
    server->count--;
    memmove(server->inbox, server->inbox + 1, server->count * sizeof(server->inbox[0]));
    return &server->current;
}
