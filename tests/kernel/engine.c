/* engine.c: which engine, how long, from which seed; and Larder as an engine. */
#include "engine.h"
#include "store.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const mode_names[MODE_COUNT] = {"always", "interval", "none"};

const struct engine *engine_chosen(void) {
    static const struct engine *const engines[] = {
        &engine_larder,
#ifdef WITH_OTHERS
        &engine_lmdb, &engine_sqlite,
#endif
    };
    const char *wanted = getenv("ENGINE");
    if (wanted == NULL || wanted[0] == '\0') return &engine_larder;
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        if (strcmp(engines[i]->name, wanted) == 0) return engines[i];
    }
    REQUIRE(CHECK_SAYING(false, "this program has no engine %s", wanted));
    return NULL;
}

bool engine_must_hold(void) {
    return engine_chosen() == &engine_larder;
}

double budget_s(double seconds) {
    const char *wanted = getenv("T");
    if (wanted != NULL && wanted[0] != '\0') seconds = strtod(wanted, NULL);
    REQUIRE(CHECK_SAYING(seconds > 0 && seconds < 1e6, "T=%s is no time", wanted == NULL ? "" : wanted));
    alarm((unsigned)seconds + 120);
    return seconds;
}

uint64_t seed_of(uint64_t seed) {
    const char *wanted = getenv("SEED");
    return wanted == NULL || wanted[0] == '\0' ? seed : strtoull(wanted, NULL, 10);
}

void *shared_memory(size_t len) {
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return memory;
}

/* ---- larder ------------------------------------------------------------------------------------- */

static _Thread_local larder_error last;

static enum outcome outcome_of(larder_status status) {
    switch (status) {
    case LARDER_OK: return OUTCOME_OK;
    case LARDER_NOT_FOUND: return OUTCOME_ABSENT;
    case LARDER_NO_SPACE: return OUTCOME_NO_SPACE;
    case LARDER_IO: return OUTCOME_IO;
    case LARDER_READ_ONLY: return OUTCOME_READ_ONLY;
    case LARDER_CORRUPT: return OUTCOME_DAMAGED;
    default: return OUTCOME_OTHER;
    }
}

static enum outcome open_larder(const char *path, enum mode mode, bool is_read_only, void **store) {
    static const char *const syncs[MODE_COUNT] = {"always", "interval:10", "none"};
    const char *options[] = {"sync",      syncs[mode], "segment_size", "64KiB",
                             "read_only", is_read_only ? "true" : "false", NULL};
    larder *db = NULL;
    larder_status status = larderx_open(path, options, &db, &last);
    if (status == LARDER_OK) *store = db;
    return outcome_of(status);
}

static void close_larder(void *store) {
    (void)larder_close(store, &last);
}

static enum outcome apply_larder(void *store, const struct operation *operations, size_t count, bool is_synced,
                                 uint64_t *version) {
    enum { HOUR_MS = 3600 * 1000 };
    uint32_t flags = is_synced ? LARDER_SYNC : 0;
    *version = 0;
    if (count == 1 && operations->value != NULL) {
        return outcome_of(larder_set_with(store, operations->key, operations->key_len, operations->value,
                                          operations->value_len, operations->expires ? HOUR_MS : 0, flags, version, &last));
    }
    if (count == 1 && !is_synced) {
        enum outcome outcome = outcome_of(larder_del(store, operations->key, operations->key_len, &last));
        return outcome == OUTCOME_ABSENT ? OUTCOME_OK : outcome;
    }
    larderx_batch batch = LARDERX_BATCH_INIT;
    for (size_t i = 0; i < count; i++) {
        const struct operation *operation = &operations[i];
        if (operation->value == NULL) larderx_batch_del(&batch, operation->key, operation->key_len);
        else larderx_batch_set(&batch, operation->key, operation->key_len, operation->value, operation->value_len,
                               operation->expires ? HOUR_MS : 0);
    }
    enum outcome outcome = outcome_of(larderx_batch_write(&batch, store, flags, &last));
    larderx_batch_free(&batch);
    return outcome;
}

static enum outcome get_larder(void *store, const void *key, size_t key_len, void *buffer, size_t capacity, size_t *len,
                               uint64_t *version) {
    larder_view view = {0};
    *version = 0;
    enum outcome outcome = outcome_of(larder_get_into(store, key, key_len, buffer, capacity, len, &last));
    if (outcome != OUTCOME_OK) return outcome;
    outcome = outcome_of(larder_get_view(store, key, key_len, &view, &last));
    if (outcome == OUTCOME_OK) *version = view.version;
    larder_view_release(&view);
    return outcome;
}

static enum outcome sync_larder(void *store) {
    return outcome_of(larder_sync(store, &last));
}

static enum outcome check_larder(void *store) {
    uint64_t bad_records = 0;
    return outcome_of(larder_verify(store, &bad_records, &last));
}

static enum outcome compact_larder(void *store) {
    return outcome_of(larder_compact(store, &last));
}

static const char *message_larder(void) {
    static _Thread_local char message[300];
    snprintf(message, sizeof message, "%s: %s (errno %d)", larder_status_name(last.status), last.message, last.os_errno);
    return message;
}

const struct engine engine_larder = {
    .name = "larder",
    .open = open_larder,
    .close = close_larder,
    .apply = apply_larder,
    .get = get_larder,
    .sync = sync_larder,
    .check = check_larder,
    .compact = compact_larder,
    .last_message = message_larder,
    .has_versions = true,
    .survives_without_sync = true,
};
