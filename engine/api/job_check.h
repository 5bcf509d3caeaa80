/*
 * What every job of the library may be given wrong: lists that are shorter than they count,
 * descriptors that are closed.
 */
#ifndef PST_ENGINE_API_JOB_CHECK_H
#define PST_ENGINE_API_JOB_CHECK_H

#include "penstock/node.h"
#include "penstock/run.h"

/* Each 0, or -EINVAL with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int job_check_backup(const struct pst_backup_job *job, char *message);
PST_MUST_USE int job_check_verify(const struct pst_verify_job *job, char *message);
PST_MUST_USE int job_check_restore(const struct pst_restore_job *job, char *message);

/* Of a program's own struct: keys that name none, and would seal nothing. */
PST_MUST_USE int pst_job_check_sealing(const struct pst_backup_job *given, char *message);

/* Before anything is opened: that cancel_fd is open, and then that no file gets the number of a
 * standard stream. Of a job that is not a node's, of any struct_bytes. */
PST_MUST_USE int job_check_begin(const struct pst_backup_job *given, char *message);

/* Of the list `name` of a job: -EINVAL if it, or one of its texts, is NULL, or a text is empty. */
PST_MUST_USE int pst_job_check_list(const char *name, const char *const *texts, uint32_t count,
                                    char *message);
/* Of a text that may be NULL: -EINVAL if it is empty, and would end up as no name in a message. */
PST_MUST_USE int pst_job_check_name(const char *name, const char *text, char *message);
PST_MUST_USE int pst_job_check_fd(const char *name, int fd, char *message);

#endif
