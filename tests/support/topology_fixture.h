/*
 * Topologies as file trees. A fixture is one text file of lines "path<TAB>content" ("\n" and "\t"
 * spell a newline and a tab; one newline is added) or "path<TAB>-> target" for a symbolic link.
 */
#ifndef PST_TESTS_SUPPORT_TOPOLOGY_FIXTURE_H
#define PST_TESTS_SUPPORT_TOPOLOGY_FIXTURE_H

#include "numa/topology.h"

/* Names of all fixtures; NULL ends the list. */
extern const char *const fixture_names[];

/* Unpacks tests/fixtures/topology/<name>.txt into a temporary folder, the root to read from; the
 * caller removes it. Anything that fails ends the test program. */
char *fixture_unpack(const char *name);

/* Writes one more file below root, or replaces one. */
void fixture_write(const char *root, const char *path, const char *content);

/* Removes the folder and frees root. */
void fixture_remove(char *root);

/* Unpacks, reads and removes; the topology is the caller's to free. */
struct pst_topology *fixture_topology(const char *name);

#endif
