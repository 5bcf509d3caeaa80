/*
 * The answers of the archive to requests: of archive_server.c at once, of archive_fetch.c at the
 * end of a fetch. The archive's thread.
 */
#include "engine/node/archive_work.h"

void archive_answer(struct archive_server *server, const struct pst_signal *request, int error,
                    struct pst_signal *conf)
{
    union pst_payload payload = conf->payload;
    pst_signal_init_answer(conf, error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn),
                           request);
    payload.order.master_ref = conf->payload.order.master_ref;
    conf->payload = payload;
    if (error) {
        conf->payload.ref.error = (uint32_t)-error;
        conf->payload.ref.where = request->receiver_ref;
    }
    server->send(server->context, conf, false);
}
