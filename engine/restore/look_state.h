/*
 * A look into a backup under way: what look.c and look_contents.c share. Private to them; one
 * thread, but for what chunk_reader.h calls.
 */
#ifndef PST_ENGINE_RESTORE_LOOK_STATE_H
#define PST_ENGINE_RESTORE_LOOK_STATE_H

#include "engine/restore/chunk_reader.h"
#include "engine/restore/look.h"
#include "engine/restore/name_glob.h"
#include "engine/restore/objects.h"

struct row_map;

#define PREFIX_BYTES 80u /* "255/NAME" */
#define NAME_BYTES (PREFIX_BYTES + PST_PATH_BYTES_MAX + 1)

/* One source, and where the name that is looked for lies in it. */
struct look_source {
    uint32_t node_index;
    uint32_t instance;
    const char *name;
    char prefix[PREFIX_BYTES]; /* of its objects' names; "": none */
    bool is_wanted;
    const char *path; /* is_wanted: in the source */
    size_t path_bytes;
};

struct pst_look {
    const struct pst_backup *backup;
    struct crew *crew;
    struct pst_part_set set;
    struct pst_findings findings; /* of what is read now */
    uint64_t damages;             /* of indexes and catalogues, which were logged and passed over */
    struct look_source *sources;
    uint32_t sources_count;
    struct objects objects; /* of the last query */
    bool has_objects;
    uint64_t read_bytes;
    struct object_record *found; /* pst_look_find's */
    char name[NAME_BYTES];       /* of the object that is handed on */
    struct pst_object object;
};

/* What is read for: the objects of a query, or one by its id. */
struct look_pass {
    struct pst_look *look;
    const struct pst_look_query *query; /* NULL: the object of this id */
    bool is_exact;                      /* of the query's name alone */
    struct name_glob glob;              /* of the query's pattern, if it has one */
    bool is_above;                      /* in the directory that the query's name lies in */
    bool (*needs)(void *context, const struct pst_part_map *part,
                  const struct pst_chunk_header *header); /* as chunk_reading.needs */
    uint32_t node_index;
    uint64_t id;
    bool is_of_all;      /* of all objects that were listed, instead of those */
    struct row_map *map; /* takes the pieces of its contents */
};

/* Writes message and returns error. */
int look_fail(char *message, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of a reading of the backup: with the first finding, where there is one. */
int look_fail_reading(const struct pst_look *look, int error, char *message);

/* Damage that is met is logged from now on, until look_pass_over: it can be looked past, and is
 * counted in look->damages, or the reading fails with it. */
void look_log_findings(struct pst_look *look);
PST_MUST_USE int look_pass_over(struct pst_look *look, int error, char *message);

/* An entry of a catalogue is not as it must be: adds that to findings, and returns the error. */
int look_damaged(struct pst_findings *findings, const struct pst_part_map *part,
                 const struct pst_chunk_header *header, size_t offset, int error);

/* name: NAME_BYTES, for the found one. */
struct pst_look_object look_name(const struct pst_look *look, const struct look_source *source,
                                 const struct pst_object *object, char *name);

/* Whether chunks of a node may be there that no index names and no header led to: of an object that
 * does not say how much data it has, nobody knows then whether what has no piece was a hole. */
bool look_lacks_chunks(const struct pst_look *look, uint32_t node_index);

/* Lists all objects of the backup in look->objects. */
PST_MUST_USE int look_gather_all(struct pst_look *look, char *message);

/* look_contents.c: reads the contents of those of look->objects that are marked as made, and makes
 * a sum of them, the same for the same bytes, however they are stored. */
PST_MUST_USE int look_sum_contents(struct pst_look *look, char *message);

/* Objects that have contents to be read. */
#define LOOK_CONTENTS_TYPES                                                                        \
    (1u << PST_OBJECT_FILE | 1u << PST_OBJECT_ENVIRONMENT | 1u << PST_OBJECT_BLOCK_IMAGE)

/* Reads so much of the chunks of a type that the pass wants; context of take is the pass. */
PST_MUST_USE int look_read_chunks(struct look_pass *pass, enum pst_chunk_type type,
                                  enum chunk_extent extent, chunk_taker *take, char *message);

#endif
