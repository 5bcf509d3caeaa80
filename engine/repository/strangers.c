/* What lies in the directories of a backup and is named nowhere. For verify, on its thread. */
#include "engine/repository/strangers.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/repository/layout.h"

struct search {
    const struct pst_backup *backup;
    const struct pst_part_set *set;
    struct pst_findings *findings;
    uint32_t directory; /* which of the backup's */
};

static bool part_is_known(const struct pst_part_set *set, const char *file)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const char *known = set->parts[i].file.text;
        size_t length = strlen(file);
        if (strncmp(known, file, length) == 0 && (known[length] == '\0' || known[length] == '/'))
            return true;
    }
    return false;
}

static bool manifest_is_known(const struct pst_backup *backup, const char *name)
{
    uint32_t number;
    if (layout_parse_cluster(name, &number) && number == backup->number)
        return true;
    if (strcmp(name, layout_verified(backup->number).text) == 0 ||
        (backup->is_pinned && strcmp(name, layout_pin(backup->number).text) == 0))
        return true;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        uint32_t node = backup->cluster.nodes[i].node;
        if (strcmp(name, layout_node_manifest(backup->number, node).text) == 0 ||
            strcmp(name, layout_draft(backup->number, node).text) == 0) /* which goes next */
            return true;
        if (backup_is_sealed(backup, i) && layout_parse_keys(name, backup->number, &number) &&
            number == node)
            return true;
    }
    return false;
}

static void warn_of(const struct search *search, const char *file)
{
    const struct pst_directories *directories = search->backup->directories;
    const struct pst_finding finding = {
        .directory = directories->count > 1 ? directories->paths[search->directory] : NULL,
        .file = file,
        .what = "does not belong to the backup",
        .warning = true,
    };
    findings_add(search->findings, &finding);
}

static int look_into(const struct search *search, const char *path, bool is_top);

static int look_at(const struct search *search, const char *path, const char *name, bool is_top)
{
    char file[sizeof(struct pst_file_name) + NAME_MAX + 2];
    if (is_top && manifest_is_known(search->backup, name))
        return 0;
    snprintf(file, sizeof(file), "%s/%s", path, name);
    if (part_is_known(search->set, file))
        return is_top ? look_into(search, file, false) : 0;
    warn_of(search, file);
    return 0;
}

/* The directory of the backup, or one of parts, which lies in it. path: below the backup directory.
 */
static int look_into(const struct search *search, const char *path, bool is_top)
{
    struct pst_repository *repository =
        &search->backup->directories->repositories[search->directory];
    struct pst_repository_names names;
    int directory = repository_open(repository, repository->root, path);
    if (directory < 0)
        return directory;
    int error = repository_list(repository, directory, &names);
    repository_close(repository, directory);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name))
        error = look_at(search, path, name, is_top);
    repository_names_free(&names);
    return error;
}

int pst_backup_find_strangers(const struct pst_backup *backup, const struct pst_part_set *set,
                              struct pst_findings *findings)
{
    struct search search = {.backup = backup, .set = set, .findings = findings};
    int error = 0;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        search.directory = i;
        error = look_into(&search, layout_backup(backup->stored_as).text, true);
        /* a directory of parts that is missing, or none, is found when the part is opened */
        if (repository_is_no_directory(error))
            error = 0;
    }
    return error;
}
