/* engine.h: a store as these tests see it, so that the same tests can be run on others for comparison.
 *
 * Each call gives 0, or what went wrong. Larder is always there; LMDB and SQLite only in the program that
 * `make kernel-compare` builds. ENGINE=name chooses; the default is larder. */
#ifndef ENGINE_H
#define ENGINE_H

#include "check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How durable an acknowledged write is. Others than Larder have their own names for it: see their files. */
enum mode { MODE_ALWAYS, MODE_INTERVAL, MODE_NONE, MODE_COUNT };

/* What a failed call was about. */
enum outcome {
    OUTCOME_OK,
    OUTCOME_ABSENT,
    OUTCOME_NO_SPACE,
    OUTCOME_IO,        /* an errno of the system */
    OUTCOME_READ_ONLY, /* an earlier failure is final */
    OUTCOME_DAMAGED,
    OUTCOME_OTHER,
};

struct operation {
    const void *key;
    size_t key_len;
    const void *value; /* NULL: delete */
    size_t value_len;
    bool expires; /* in an hour */
};

struct engine {
    const char *name;
    /* For writing, made if need be; `is_read_only` neither. */
    enum outcome (*open)(const char *path, enum mode mode, bool is_read_only, void **store);
    void (*close)(void *store);
    /* All or nothing; durable on return if `is_synced`. `version`, where the engine has such a thing, of a single set. */
    enum outcome (*apply)(void *store, const struct operation *operations, size_t count, bool is_synced, uint64_t *version);
    /* Into `buffer`; the version as above. */
    enum outcome (*get)(void *store, const void *key, size_t key_len, void *buffer, size_t capacity, size_t *len,
                        uint64_t *version);
    /* Everything acknowledged becomes durable. */
    enum outcome (*sync)(void *store);
    /* Looks at all there is. */
    enum outcome (*check)(void *store);
    /* Gives room back, where that is a call; NULL else. */
    enum outcome (*compact)(void *store);
    /* What the last failed call of this thread said. */
    const char *(*last_message)(void);
    /* Whether several threads write at once, and versions order what they wrote. */
    bool has_versions;
    /* Whether mode none leaves a store that opens. The others' manuals say that theirs may be corrupt. */
    bool survives_without_sync;
};

extern const struct engine engine_larder, engine_lmdb, engine_sqlite;

extern const char *const mode_names[MODE_COUNT];

/* The one that ENGINE names. */
const struct engine *engine_chosen(void);
/* True of Larder: what a comparison finds in others is reported and fails nothing. */
bool engine_must_hold(void);

/* Zeroed memory that is shared with children. */
void *shared_memory(size_t len);

/* Seconds to run: T of the environment, else `seconds`. The test's alarm is set accordingly. */
double budget_s(double seconds);
/* SEED of the environment, else `seed`. */
uint64_t seed_of(uint64_t seed);

#endif /* ENGINE_H */
