/* The names in the backup directory, written and read back. Pure; any thread. */
#include "engine/repository/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/format/chunk.h"

#define NAME(...)                                                                                  \
    struct layout_name name;                                                                       \
    snprintf(name.text, sizeof(name.text), __VA_ARGS__);                                           \
    return name

struct layout_name layout_backup(uint32_t number)
{
    NAME("BACKUP-%u", number);
}

struct layout_name layout_unmarked(uint32_t number, uint32_t node)
{
    NAME(".BACKUP-%u.%u.tmp", number, node);
}

struct layout_name layout_pruned(uint32_t number, const char *uid)
{
    NAME(".BACKUP-%u.%s.pruned", number, uid);
}

struct layout_name layout_lock(uint32_t node)
{
    NAME(".node-%u.lock", node);
}

struct layout_name layout_part_dir(uint32_t number, uint32_t part, uint32_t parts)
{
    NAME("BACKUP-%u-PART-%u-OF-%u", number, part, parts);
}

struct layout_name layout_part_file(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.data", number, node);
}

struct layout_name layout_part(uint32_t number, uint32_t node, uint32_t part, uint32_t parts)
{
    NAME("BACKUP-%u-PART-%u-OF-%u/BACKUP-%u.%u.data", number, part, parts, number, node);
}

struct layout_name layout_node_manifest(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.manifest", number, node);
}

struct layout_name layout_mark(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.mark", number, node);
}

struct layout_name layout_tail_file(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.tail", number, node);
}

struct layout_name layout_draft(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.draft", number, node);
}

struct layout_name layout_pin(uint32_t number)
{
    NAME("BACKUP-%u.pin", number);
}

struct layout_name layout_verified(uint32_t number)
{
    NAME("BACKUP-%u.verified", number);
}

struct layout_name layout_keys(uint32_t number, uint32_t node, uint32_t copy)
{
    NAME("BACKUP-%u.%u.keys%s", number, node, copy ? ".copy" : "");
}

struct layout_name layout_cluster_manifest(uint32_t number)
{
    NAME("BACKUP-%u.cluster.manifest", number);
}

struct layout_name layout_cluster_copy(uint32_t number)
{
    NAME("BACKUP-%u.cluster.manifest.copy", number);
}

struct layout_name layout_temporary(const char *manifest)
{
    NAME(".%s.tmp", manifest);
}

struct layout_name layout_cluster_temporary(uint32_t number, uint32_t node)
{
    NAME(".BACKUP-%u.cluster.manifest.%u.tmp", number, node);
}

struct layout_name layout_cluster_copy_temporary(uint32_t number, uint32_t node)
{
    NAME(".BACKUP-%u.cluster.manifest.copy.%u.tmp", number, node);
}

static const char prefix[] = "BACKUP-";

bool layout_is_like_backup(const char *name)
{
    return strncmp(name, prefix, sizeof(prefix) - 1) == 0;
}

bool layout_parse_backup(const char *name, uint32_t *number)
{
    if (!layout_is_like_backup(name))
        return false;
    const char *digits = name + sizeof(prefix) - 1;
    if (!isdigit((unsigned char)digits[0]) || digits[0] == '0' || strlen(digits) > 10)
        return false;
    char *end;
    unsigned long value = strtoul(digits, &end, 10);
    if (*end != '\0' || value > PST_BACKUP_NUMBER_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

bool layout_parse_unmarked(const char *name, uint32_t *number, uint32_t *node)
{
    return sscanf(name, ".BACKUP-%u.%u.tmp", number, node) == 2 &&
           strcmp(name, layout_unmarked(*number, *node).text) == 0;
}

bool layout_parse_pruned(const char *name, uint32_t *number)
{
    char uid[2 * PST_UID_BYTES + 1];
    return sscanf(name, ".BACKUP-%u.%32[0-9a-f].pruned", number, uid) == 2 &&
           strlen(uid) == sizeof(uid) - 1 && strcmp(layout_pruned(*number, uid).text, name) == 0;
}

bool layout_parse_part_dir(const char *name, uint32_t number, uint32_t *part, uint32_t *parts)
{
    uint32_t found;
    if (sscanf(name, "BACKUP-%u-PART-%u-OF-%u", &found, part, parts) != 3 || found != number ||
        *part < 1 || *part > *parts || *parts > PST_LDMS_MAX)
        return false;
    return strcmp(layout_part_dir(number, *part, *parts).text, name) == 0;
}

bool layout_parse_mark(const char *name, uint32_t number, uint32_t *node)
{
    uint32_t found;
    return sscanf(name, "BACKUP-%u.%u.mark", &found, node) == 2 && found == number &&
           strcmp(name, layout_mark(number, *node).text) == 0;
}

/* format: with the number and the node. */
static bool parse_of_node(const char *name, const char *format, uint32_t number, uint32_t *node)
{
    uint32_t found;
    return sscanf(name, format, &found, node) == 2 && found == number && *node >= 1 &&
           *node <= PST_NODES_MAX;
}

bool layout_parse_draft(const char *name, uint32_t number, uint32_t *node)
{
    return parse_of_node(name, "BACKUP-%u.%u.draft", number, node) &&
           strcmp(name, layout_draft(number, *node).text) == 0;
}

bool layout_parse_node_manifest(const char *name, uint32_t number, uint32_t *node)
{
    return parse_of_node(name, "BACKUP-%u.%u.manifest", number, node) &&
           strcmp(name, layout_node_manifest(number, *node).text) == 0;
}

bool layout_parse_keys(const char *name, uint32_t number, uint32_t *node)
{
    uint32_t found;
    return sscanf(name, "BACKUP-%u.%u.keys", &found, node) == 2 && found == number && *node >= 1 &&
           *node <= PST_NODES_MAX &&
           (strcmp(name, layout_keys(number, *node, 0).text) == 0 ||
            strcmp(name, layout_keys(number, *node, 1).text) == 0);
}

bool layout_parse_cluster(const char *name, uint32_t *number)
{
    return sscanf(name, "BACKUP-%u.cluster.manifest", number) == 1 &&
           (strcmp(name, layout_cluster_manifest(*number).text) == 0 ||
            strcmp(name, layout_cluster_copy(*number).text) == 0);
}

static bool is_temporary(const char *name, uint32_t number)
{
    char begin[LAYOUT_NAME_BYTES];
    size_t length = strlen(name);
    int bytes = snprintf(begin, sizeof(begin), ".BACKUP-%u.", number);
    return strncmp(name, begin, (size_t)bytes) == 0 && length > 4 &&
           strcmp(name + length - 4, ".tmp") == 0;
}

bool layout_is_inside(const char *name, uint32_t number)
{
    uint32_t found, parts;
    return (layout_parse_cluster(name, &found) && found == number) ||
           layout_parse_node_manifest(name, number, &found) ||
           layout_parse_draft(name, number, &found) || layout_parse_mark(name, number, &found) ||
           strcmp(name, layout_pin(number).text) == 0 ||
           strcmp(name, layout_verified(number).text) == 0 ||
           layout_parse_keys(name, number, &found) ||
           layout_parse_part_dir(name, number, &found, &parts) || is_temporary(name, number);
}

bool layout_is_part_file(const char *name, uint32_t number)
{
    uint32_t found, node;
    if (sscanf(name, "BACKUP-%u.%u.", &found, &node) != 2)
        return sscanf(name, ".BACKUP-%u.%u.tail.tmp", &found, &node) == 2 && found == number &&
               strcmp(name, layout_temporary(layout_tail_file(number, node).text).text) == 0;
    return found == number && (strcmp(name, layout_part_file(number, node).text) == 0 ||
                               strcmp(name, layout_tail_file(number, node).text) == 0);
}
