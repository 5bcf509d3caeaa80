/*
 * Mounts a view of a backup, and hands requests of the kernel on. Called by `penstock mount`, on
 * the main thread.
 */
#include "engine/fuse/fuse_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/log.h"
#include "engine/fuse/fuse_answers.h"

static int fail(char *message, int error, const char *what, const char *directory)
{
    snprintf(message, PST_MESSAGE_BYTES, "%s: %s", directory, what);
    return error;
}

/* What libfuse has to say of a mount that failed. */
static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
    char line[512];
    vsnprintf(line, sizeof(line), format, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (level <= FUSE_LOG_WARNING)
        pst_log(PST_LOG_WARNING, "%s", line);
}

/* 0: unmounted by others. What a request came from may be gone before it is read: reading waits for
 * no other, which stop_fd would not end. */
static int serve(struct fuse_session *session, int stop_fd)
{
    struct fuse_buf buffer = {.mem = NULL};
    struct pollfd ready[] = {{.fd = libfuse.fuse_session_fd(session), .events = POLLIN},
                             {.fd = stop_fd, .events = POLLIN}};
    int error = fcntl(ready[0].fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    while (!error && !libfuse.fuse_session_exited(session)) {
        if (poll(ready, 2, -1) < 0) {
            error = errno == EINTR ? 0 : -errno;
            continue;
        }
        if (ready[1].revents) {
            error = -ECANCELED;
            continue;
        }
        int got = libfuse.fuse_session_receive_buf(session, &buffer);
        if (got > 0)
            libfuse.fuse_session_process_buf(session, &buffer);
        else if (got < 0 && got != -EINTR && got != -EAGAIN)
            error = got;
    }
    free(buffer.mem);
    return error;
}

static int mount_and_serve(struct fuse_session *session, const struct pst_fuse_options *options,
                           char *message)
{
    if (libfuse.fuse_session_mount(session, options->directory) != 0)
        return fail(message, -EIO, "it cannot be mounted there", options->directory);
    pst_log(PST_LOG_INFO, "backup %u is mounted on %s, until that is unmounted", options->number,
            options->directory);
    int error = serve(session, options->stop_fd);
    libfuse.fuse_session_unmount(session);
    return error && error != -ECANCELED
               ? fail(message, error, pst_error_text(error), options->directory)
               : error;
}

static int run_session(struct fuse_answers *answers, const struct pst_fuse_options *options,
                       char *message)
{
    char name[160], program[] = "penstock", flag[] = "-o";
    snprintf(name, sizeof(name), "ro,default_permissions,fsname=backup-%u,subtype=penstock%s",
             options->number, options->allow_other ? ",allow_other" : "");
    char *words[] = {program, flag, name, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
    struct fuse_session *session =
        libfuse.fuse_session_new(&arguments, &fuse_answers_ops, sizeof(fuse_answers_ops), answers);
    libfuse.fuse_opt_free_args(&arguments);
    if (!session)
        return fail(message, -EIO, "libfuse makes no session", options->directory);
    int error = mount_and_serve(session, options, message);
    libfuse.fuse_session_destroy(session);
    return error;
}

int pst_fuse_check(const char *directory, char *message)
{
    struct stat status;
    if (stat(directory, &status) < 0)
        return fail(message, -errno, pst_error_text(-errno), directory);
    return S_ISDIR(status.st_mode) ? 0 : fail(message, -ENOTDIR, "not a directory", directory);
}

static void log_damages(const struct pst_look *look, const struct pst_fuse_options *options)
{
    uint64_t count = pst_look_damages(look);
    if (count > 0)
        pst_log(PST_LOG_WARNING, "backup %u is damaged, and %s may lack some of it: %llu damage%s",
                options->number, options->directory, (unsigned long long)count,
                count == 1 ? "" : "s");
}

int pst_fuse_run(struct pst_look *look, const struct pst_fuse_options *options, char *message)
{
    struct fuse_answers answers = {.total_bytes = pst_look_bytes(look).total};
    int error = libfuse_load();
    if (error)
        return fail(message, error, "libfuse cannot be loaded: install libfuse3-3",
                    options->directory);
    error = pst_view_open(look, options->keep_going, &answers.view, message);
    if (error)
        return error;
    log_damages(look, options);
    libfuse.fuse_set_log_func(log_of_libfuse);
    if (pst_view_lacks_tables(answers.view))
        pst_log(PST_LOG_WARNING, "tables and their rows are not shown: penstock export reads them");
    error = run_session(&answers, options, message);
    pst_log(PST_LOG_DEBUG, "read %llu of %llu bytes of the parts",
            (unsigned long long)pst_view_read_bytes(answers.view),
            (unsigned long long)answers.total_bytes);
    pst_view_close(answers.view);
    free(answers.buffer);
    return error;
}
