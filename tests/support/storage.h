/*
 * A repository to test on, in a real directory or on a model disk, and what a test does to it from
 * outside: none of that is recorded or made to fail. Whatever cannot be set up ends the program.
 */
#ifndef PST_TESTS_SUPPORT_STORAGE_H
#define PST_TESTS_SUPPORT_STORAGE_H

#include <limits.h>

#include "engine/repository/repository.h"
#include "tests/support/model_disk.h"

struct storage {
    struct pst_repository repository;
    struct model_disk *disk; /* NULL: a directory */
    char path[PATH_MAX];     /* of a directory */
};

/* Each is the pInitFunc of a suite: where its tests open their storage. No message of the program's
 * is logged from then on, because tests of a storage ask for errors. */
int storage_in_directory(void);
int storage_on_model(void);

void storage_open(struct storage *storage);
void storage_close(struct storage *storage);

/* The same once more, as another process would have it; repository_close() of its root ends it. */
void storage_attach(const struct storage *storage, struct pst_repository *repository);

/* "BACKUP-<number>/NAME", in one of a few static buffers. */
const char *storage_inside(uint32_t number, const char *name);

/* Paths below the root. put: a file whose contents are synced, and its name is not, as an LDM
 * leaves a part. */
bool storage_has(struct storage *storage, const char *path);
bool storage_is_empty(struct storage *storage);
void storage_make_directory(struct storage *storage, const char *path);
void storage_put(struct storage *storage, const char *path, const void *bytes, size_t size);
void storage_remove(struct storage *storage, const char *path);   /* with all below it */
void storage_put_link(struct storage *storage, const char *name); /* in the root, to "." */

#endif
