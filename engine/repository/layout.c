#include "engine/repository/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"

#define NAME(...)                                                                                  \
    struct pst_name name;                                                                          \
    snprintf(name.text, sizeof(name.text), __VA_ARGS__);                                           \
    return name

struct pst_name pst_name_backup(uint32_t number)
{
    NAME("BACKUP-%u", number);
}

struct pst_name pst_name_part_dir(uint32_t number, uint32_t part, uint32_t parts)
{
    NAME("BACKUP-%u-PART-%u-OF-%u", number, part, parts);
}

struct pst_name pst_name_part(uint32_t number, uint32_t node, uint32_t part, uint32_t parts)
{
    NAME("BACKUP-%u-PART-%u-OF-%u/BACKUP-%u.%u.data", number, part, parts, number, node);
}

struct pst_name pst_name_node_manifest(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.manifest", number, node);
}

struct pst_name pst_name_mark(uint32_t number, uint32_t node)
{
    NAME("BACKUP-%u.%u.mark", number, node);
}

struct pst_name pst_name_cluster_manifest(uint32_t number)
{
    NAME("BACKUP-%u.cluster.manifest", number);
}

bool pst_name_parse_backup(const char *name, uint32_t *number)
{
    static const char prefix[] = "BACKUP-";
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
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
