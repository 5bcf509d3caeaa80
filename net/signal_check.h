/*
 * The stamp that every ring and fabric writes on a signal when it is put, and checks when it is
 * taken. No state; any thread.
 */
#ifndef PST_NET_SIGNAL_CHECK_H
#define PST_NET_SIGNAL_CHECK_H

#include "engine/protocol/signal.h"

/* What was wrong with the signal that broke a ring. */
enum pst_spsc_fault {
    PST_SIGNAL_FAULT_NONE,
    PST_SIGNAL_FAULT_CHECKSUM,    /* its bytes are not those that were put */
    PST_SIGNAL_FAULT_INCARNATION, /* put by an earlier or later life of the producer */
    PST_SIGNAL_FAULT_SEQUENCE,    /* signals before it were lost, or it came twice */
    PST_SIGNAL_FAULT_VERSION,     /* written by another version of the protocol */
    PST_SIGNAL_FAULT_GSN,         /* no signal of this protocol */
    PST_SIGNAL_FAULT_LENGTH,      /* its length is not that of its gsn's payload */
    PST_SIGNAL_FAULT_RESERVED,    /* a byte that must be zero is not */
    PST_SIGNAL_FAULT_GEOMETRY,    /* shared rings only: the ring's description was overwritten */
    PST_SIGNAL_FAULT_INDEX,       /* shared rings only: the other side's index is impossible */
};

/* Sets link_sequence, incarnation and checksum. */
void pst_spsc_stamp(struct pst_signal *signal, uint64_t incarnation, uint32_t sequence);

/* What is wrong with a signal, if it is not whole, or not the one that was expected. signal must be
 * a copy that no other thread or process can change. */
enum pst_spsc_fault pst_spsc_fault(const struct pst_signal *signal, uint64_t incarnation,
                                   uint32_t sequence);

/* The part of that check which needs no stamp: version, gsn, length, flags. */
enum pst_spsc_fault pst_spsc_content_fault(const struct pst_signal *signal);

/* For people; static storage. */
const char *pst_spsc_fault_text(enum pst_spsc_fault fault);

#endif
