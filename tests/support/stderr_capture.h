/* What a test writes to standard error, the log above all, goes into memory meanwhile. */
#ifndef PST_TESTS_SUPPORT_STDERR_CAPTURE_H
#define PST_TESTS_SUPPORT_STDERR_CAPTURE_H

/* One capture at a time. An assertion that fails meanwhile, and what a sanitizer reports, is
 * printed all the same. */
void begin_log_capture(void);

/* The text since then; the caller frees it. */
char *end_log_capture(void);

#endif
