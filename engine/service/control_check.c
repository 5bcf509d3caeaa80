/*
 * The invariants of the control server: clients, jobs, the decision by hand, the live nodes. Called
 * by control.c at the end of each turn, on the server's thread.
 */
#include <assert.h>

#include "engine/base/limits.h"
#include "engine/service/control_parts.h"

static void check_clients(const struct control *control)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct control_client *client = &control->clients[i];
        assert((client->fd >= 0) == (client->id != 0));
        assert(client->id <= control->last_client);
        for (uint32_t j = 0; j < i; j++)
            assert(client->id == 0 || client->id != control->clients[j].id);
    }
}

static void check_job(const struct control *control, uint32_t index)
{
    const struct control_job *job = &control->jobs[index];
    if (job->backup == 0)
        return;
    assert(job->backup == pst_uid_low(job->request.uid));
    assert(job->client != 0 && job->client <= control->last_client);
    assert(!job->is_confirmed || job->request.number != 0);
    /* A job whose master has failed is given up in the same turn. */
    assert(pst_set_has(&control->live, job->request.master_node - 1));
    for (uint32_t i = 0; i < index; i++)
        assert(control->jobs[i].backup != job->backup);
}

void control_check(const struct control *control)
{
    const struct control_resolving *resolving = &control->resolving;
    PST_CHECK_THREAD(&control->owner);
    check_clients(control);
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++)
        check_job(control, i);
    assert(!resolving->is_waiting || (resolving->number != 0 && resolving->client != 0));
    assert(resolving->client <= control->last_client);
    assert(pst_set_has(&control->live, control->config->node - 1));
    assert(control_master(control) <= control->config->node);
}
