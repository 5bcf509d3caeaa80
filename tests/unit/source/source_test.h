/*
 * What the tests of sources share: a sink that keeps all fragments, a checker of what every
 * fragment must be, and a directory to work in. Failures are CUnit's.
 */
#ifndef PST_TESTS_UNIT_SOURCE_SOURCE_TEST_H
#define PST_TESTS_UNIT_SOURCE_SOURCE_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include <CUnit/Basic.h>

#include "engine/format/object.h"
#include "engine/source/source.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"

/* For set-up, where CUnit has no test to fail. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            perror(#condition);                                                                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define ASSERT_OK(call) CU_ASSERT_EQUAL_FATAL((call), 0)

/* A deadline for what comes at once: it is met too where the machine stands still for seconds. */
uint64_t in_patience(void);

/* Keeps every fragment; the fragments of the last listing stay valid until collected_free. */
struct collected {
    struct pst_fragment_sink sink; /* first */
    struct pst_fragment_descriptor **fragments;
    uint64_t count;
    bool has_slot;      /* that was acquired and not yet emitted */
    uint64_t cancel_at; /* emit number cancel_at is refused; 0: none */
    struct pst_source_listing listing;
};

void collected_init(struct collected *collected);
void collected_free(struct collected *collected);

/* prepare, freeze, snapshot, thaw, list into collected, all of which must succeed. */
void collect(struct pst_source *source, struct collected *collected);

/* For sink.find_in_base: a base that knows every file. */
bool find_everything(struct pst_fragment_sink *sink, const struct pst_object *object,
                     const struct pst_object_identity *identity, uint64_t *place,
                     uint64_t *data_bytes);

/* Checks all that fragment.h promises about the whole listing. */
void check_listing(const struct collected *collected);

/* How often a path is in the listing. */
uint32_t times_listed(const struct collected *collected, const char *path);

/* The entry of a path, from the first fragment that has it; false if there is none. */
bool find_object(const struct collected *collected, const char *path, struct pst_object *object);

/* Bytes of the object that lie in extents. */
uint64_t extent_bytes(const struct collected *collected, uint64_t object);

/* Reads the object as a pipeline would: extents, literals, rows; holes are zeros. malloced,
 * object->size bytes; each byte that is in two extents is a failure. */
uint8_t *read_object(struct pst_source *source, const struct collected *collected,
                     const struct pst_object *object);

struct pst_source *open_source(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A new empty directory, made the current one; remove_directory removes it with all in it. */
const char *make_directory(void);
void remove_directory(void);

#endif
