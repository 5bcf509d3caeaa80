/* Counts findings and hands them on. Any thread of verify, restore or list. */
#include "engine/repository/findings.h"

#include <inttypes.h>
#include <stdio.h>

const char *pst_finding_text(const struct pst_finding *finding, char *text)
{
    const char *directory = finding->directory ? finding->directory : "";
    const char *slash = finding->directory ? "/" : "";
    if (finding->warning)
        snprintf(text, PST_MESSAGE_BYTES, "%s%s%s: %s", directory, slash, finding->file,
                 finding->what);
    else
        snprintf(text, PST_MESSAGE_BYTES, "%s%s%s: offset %" PRIu64 ": %s (%s)", directory, slash,
                 finding->file, finding->offset, pst_error_text(finding->error), finding->what);
    return text;
}

void pst_findings_init(struct pst_findings *findings,
                       void (*found)(void *context, const struct pst_finding *finding),
                       void *context)
{
    *findings = (struct pst_findings){
        .found = found,
        .context = context,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
}

void findings_add(struct pst_findings *findings, const struct pst_finding *finding)
{
    pthread_mutex_lock(&findings->mutex);
    if (finding->warning) {
        findings->warnings++;
    } else {
        if (findings->damages++ == 0) {
            findings->first_error = finding->error;
            pst_finding_text(finding, findings->first);
        }
        findings->newer += finding->error == -PST_E_NEWER;
    }
    if (findings->found)
        findings->found(findings->context, finding);
    pthread_mutex_unlock(&findings->mutex);
}

void pst_findings_add_damage(struct pst_findings *findings, const struct pst_file_name *file,
                             uint64_t base, const struct pst_damage *damage, int error)
{
    const struct pst_finding finding = {
        .directory = file->directory,
        .file = file->text,
        .offset = base + damage->offset,
        .bytes = damage->bytes,
        .error = error,
        .what = damage->what,
    };
    findings_add(findings, &finding);
}
