/*
 * A small HTTP server on a thread of its own: one path, answered by GET. At most 16 connections, of
 * which none may be silent for 10 s, and the oldest makes room for another one; it never holds up
 * another thread.
 */
#ifndef PST_ENGINE_HTTP_HTTP_SERVER_H
#define PST_ENGINE_HTTP_HTTP_SERVER_H

#include <stddef.h>
#include <sys/socket.h>

#include "penstock/error.h"

struct pst_http_server;

struct pst_http_answer {
    unsigned status;        /* 200, 503 … */
    const char *media_type; /* static */
    char *text;             /* malloc'd, the server's from then on; NULL: empty */
    size_t bytes;
};

/* Answers a request. accept: the header of that name, "" where there is none. On the server's
 * thread; others wait meanwhile. */
typedef void pst_http_handler(void *context, const char *accept, struct pst_http_answer *answer);

struct pst_http_address {
    struct sockaddr_storage socket;
    socklen_t bytes;
};

/* "[ADDRESS:]PORT", where an address of IPv6 stands in brackets; 127.0.0.1 where none is given.
 * Names are not looked up. -EINVAL: it is none. Any thread. */
PST_MUST_USE int pst_http_parse(const char *text, struct pst_http_address *address);

/* Whether that address can be listened at, whoever has its port now. -errno, as of pst_http_open.
 * Any thread. */
PST_MUST_USE int pst_http_check(const struct pst_http_address *address);

/* Listens, and starts the thread. path: static. -errno: as of socket(2), bind(2), or the thread;
 * -ELIBACC: the library is not there; after an error *server is NULL. Main thread, as
 * pst_http_close. */
PST_MUST_USE int pst_http_open(const struct pst_http_address *address, const char *path,
                               pst_http_handler *handler, void *context,
                               struct pst_http_server **server);

/* Where it listens, with the port that the kernel chose where 0 was asked for: "127.0.0.1:9420",
 * "[::1]:9420". text: PST_HTTP_NAME_BYTES. */
#define PST_HTTP_NAME_BYTES 64u
void pst_http_name(const struct pst_http_server *server, char *text);

/* Ends the thread, after the request that it serves. Nothing for NULL. */
void pst_http_close(struct pst_http_server *server);

#endif
