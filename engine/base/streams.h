/*
 * The numbers of the standard streams: a file that got one of them would be printed into, by every
 * line of the log. Any thread.
 */
#ifndef PST_ENGINE_BASE_STREAMS_H
#define PST_ENGINE_BASE_STREAMS_H

#include "penstock/error.h"

/* Gives /dev/null those that are closed, for good, so that no file gets them. It cannot be written
 * to: printing there stays an error. -errno with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_streams_occupy(char *message);

#endif
