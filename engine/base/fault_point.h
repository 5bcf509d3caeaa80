/*
 * Steps at which a test build of penstock may end, stop or hold up its own process, or fail
 * (tests/integration/faults/fault_point.c). No other build has any of it.
 *
 * PST_FAULT_POINT(when, step): "before" or "after", and the name of the step, which for signals is
 * the signal's. Any thread.
 * PST_FAULT_ERROR(step): the same before a step that may fail: 0, or a negative errno.
 */
#ifndef PST_ENGINE_BASE_FAULT_POINT_H
#define PST_ENGINE_BASE_FAULT_POINT_H

#ifdef PENSTOCK_FAULT_POINTS
int pst_fault_point(const char *when, const char *step);
#define PST_FAULT_POINT(when, step) ((void)pst_fault_point(when, step))
#define PST_FAULT_ERROR(step) pst_fault_point("before", step)
#else
#define PST_FAULT_POINT(when, step) ((void)0)
#define PST_FAULT_ERROR(step) 0
#endif

#endif
