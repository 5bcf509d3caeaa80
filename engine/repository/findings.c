/* Counts findings and hands them on. Any thread of verify, restore or list. */
#include "engine/repository/findings.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/own_error.h"
#include "engine/repository/backup.h"
#include "engine/repository/layout.h"

const char *pst_finding_text(const struct pst_finding *finding, char *text)
{
    const char *directory = finding->directory ? finding->directory : "";
    const char *slash = finding->directory ? "/" : "";
    if (finding->object)
        snprintf(text, PST_MESSAGE_BYTES, "%s%s%s: %s: %s", directory, slash, finding->file,
                 finding->object, finding->what);
    else if (finding->warning)
        snprintf(text, PST_MESSAGE_BYTES, "%s%s%s: %s", directory, slash, finding->file,
                 finding->what);
    else if (finding->unverified)
        snprintf(text, PST_MESSAGE_BYTES, "%s%s%s: could not be verified: %s (%s)", directory,
                 slash, finding->file, pst_error_text(finding->error), finding->what);
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

static void count_damage(struct pst_findings *findings, const struct pst_finding *finding)
{
    if (findings->damages++ == 0) {
        findings->first_error = finding->error;
        pst_finding_text(finding, findings->first);
    }
    findings->newer += finding->error == -PST_E_NEWER;
    findings->unverified += finding->unverified;
}

void findings_add(struct pst_findings *findings, const struct pst_finding *finding)
{
    pthread_mutex_lock(&findings->mutex);
    if (!finding->warning)
        count_damage(findings, finding);
    else if (findings->warnings++ == 0)
        pst_finding_text(finding, findings->first_warning);
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
        .unverified = pst_is_unreachable(error),
    };
    findings_add(findings, &finding);
}

static const char *source_name(const struct pst_node_manifest *node, uint64_t object)
{
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (node->sources[i].instance == pst_object_source(object))
            return node->sources[i].name;
    }
    return "?";
}

void pst_findings_add_object(struct pst_findings *findings, const struct pst_backup *backup,
                             uint32_t node_index, const struct pst_object *object, const char *what,
                             bool is_damage)
{
    const struct pst_node_manifest *node = &backup->nodes[node_index];
    const char *source = source_name(node, object->id);
    char name[PST_PATH_BYTES_MAX + PST_SOURCE_NAME_MAX + 16];
    const struct layout_name file = layout_backup(backup->number);
    if (backup->cluster.nodes_count > 1)
        snprintf(name, sizeof(name), "%u/%s/%s", node->node, source, object->path);
    else
        snprintf(name, sizeof(name), "%s/%s", source, object->path);
    const struct pst_finding finding = {
        .file = file.text, .error = -PST_E_INCONSISTENT, .what = what, .object = name};
    pthread_mutex_lock(&findings->mutex);
    if (is_damage)
        count_damage(findings, &finding);
    if (findings->objects++ < PST_FINDINGS_OBJECTS_MAX && findings->found)
        findings->found(findings->context, &finding);
    pthread_mutex_unlock(&findings->mutex);
}

void pst_findings_warn_backup(struct pst_findings *findings, const struct pst_backup *backup,
                              const char *what)
{
    const struct layout_name file = layout_backup(backup->number);
    const struct pst_finding finding = {.file = file.text, .what = what, .warning = true};
    findings_add(findings, &finding);
}

void pst_findings_add_elsewhere(struct pst_findings *findings, const struct pst_backup *backup,
                                const char *what)
{
    const struct layout_name file = layout_backup(backup->number);
    const struct pst_finding finding = {
        .file = file.text, .error = -PST_E_ELSEWHERE, .what = what, .unverified = true};
    findings_add(findings, &finding);
}

void pst_findings_add_node(struct pst_findings *findings, const struct pst_backup *backup,
                           uint32_t node_index, const char *what)
{
    const struct layout_name file =
        layout_node_manifest(backup->number, backup->nodes[node_index].node);
    const struct pst_file_name name = backup_file_name(backup, PST_DIRECTORIES_MAX, file.text);
    const struct pst_damage damage = {.what = what};
    pst_findings_add_damage(findings, &name, 0, &damage, -PST_E_INCONSISTENT);
}

void pst_findings_add_origin(struct pst_findings *findings, const struct pst_backup *backup,
                             const char *what, int error)
{
    const struct layout_name file = layout_backup(backup->number);
    const struct pst_finding finding = {
        .file = file.text,
        .error = error,
        .what = what,
        .unverified =
            pst_is_unreachable(error) || error == -PST_E_BASE_MISSING || error == -PST_E_NO_KEY,
    };
    findings_add(findings, &finding);
}
