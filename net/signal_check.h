/*
 * What every ring writes on a signal when it is put, and checks when it is taken. Any thread.
 */
#ifndef PST_NET_SIGNAL_CHECK_H
#define PST_NET_SIGNAL_CHECK_H

#include "engine/protocol/signal.h"

/* What was wrong with the signal that broke a ring. */
enum pst_signal_fault {
    PST_SIGNAL_FAULT_NONE,
    PST_SIGNAL_FAULT_CHECKSUM,    /* its bytes are not those that were put */
    PST_SIGNAL_FAULT_INCARNATION, /* put by an earlier or later life of the producer */
    PST_SIGNAL_FAULT_SEQUENCE,    /* signals before it were lost, or it came twice */
    PST_SIGNAL_FAULT_VERSION,     /* written by another version of the protocol */
    PST_SIGNAL_FAULT_GSN,         /* no signal of this protocol */
    PST_SIGNAL_FAULT_LENGTH,      /* its length is not that of its gsn's payload */
    PST_SIGNAL_FAULT_RESERVED,    /* a byte that must be zero is not */
    PST_SIGNAL_FAULT_GEOMETRY,    /* shared rings only: what describes the ring was overwritten */
    PST_SIGNAL_FAULT_INDEX,       /* shared rings only: the other side's index cannot be true */
};

/* Sets link_sequence, incarnation and checksum. */
void pst_signal_stamp(struct pst_signal *signal, uint64_t incarnation, uint32_t sequence);

/* Whether a signal is whole, and the one that was expected. It must be a copy that nobody else can
 * change. */
enum pst_signal_fault pst_signal_fault(const struct pst_signal *signal, uint64_t incarnation,
                                       uint32_t sequence);

/* The part of it that holds before the stamp too: version, gsn, length, flags. */
enum pst_signal_fault pst_signal_content_fault(const struct pst_signal *signal);

/* For people; static storage. */
const char *pst_signal_fault_text(enum pst_signal_fault fault);

#endif
