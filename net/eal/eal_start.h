/*
 * The functions behind net/eal.h. Only a program that loads DPDK with itself may link them.
 */
#ifndef PST_NET_EAL_EAL_START_H
#define PST_NET_EAL_EAL_START_H

#include "net/eal.h"

extern const struct pst_eal_ops pst_eal_ops;

/* Private to net/eal: as of struct pst_eal_ops. */
PST_MUST_USE int eal_pages_reserve(size_t size, struct pst_eal_page *page);
void eal_pages_release(const void *zone);
PST_MUST_USE int eal_telemetry_publish(const char *command, const char *help, pst_eal_count *count,
                                       void *context);
void eal_telemetry_withdraw(void);

#endif
