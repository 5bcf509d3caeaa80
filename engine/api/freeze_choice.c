/* Takes the commands that freeze sources from a job. Called by session.c on the caller's thread. */
#include "engine/api/freeze_choice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/api/job_timeouts.h"

static const char *fault_of(const struct pst_backup_job *job)
{
    const char *at = job->thaw_at ? job->thaw_at : "end";
    if (strcmp(at, "cut") != 0 && strcmp(at, "end") != 0)
        return "thaw-at: want cut or end";
    if (job->thaw_command && !job->freeze_command)
        return "a thaw command without a freeze command has nothing to undo: give both";
    if (job->freeze_command &&
        job->freeze_wait_ns + job->freeze_hold_ns + PST_THAW_NS >= job_timeouts(job).proxy_ns)
        return "the request limit is shorter than a freeze, and a minute for the thaw command, may "
               "take: raise it, or lower the freeze limits";
    return NULL;
}

int freeze_choice_make(const struct pst_backup_job *job, struct pst_source *const *sources,
                       uint32_t sources_count, struct pst_freeze_commands *commands, char *message)
{
    const char *fault = fault_of(job);
    *commands = (struct pst_freeze_commands){
        .freeze = job->freeze_command,
        .thaw = job->thaw_command,
        .thaws_at_cut = job->thaw_at && strcmp(job->thaw_at, "cut") == 0,
    };
    if (!fault && job->freeze_command &&
        pst_sources_freeze_by(sources, sources_count, commands) == 0)
        fault = "the freeze command is for dir: sources, and none is backed up: leave it out";
    if (!fault)
        return 0;
    snprintf(message, PST_MESSAGE_BYTES, "%s", fault);
    return -EINVAL;
}
