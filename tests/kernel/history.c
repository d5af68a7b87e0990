/* history.c: what history.h declares. */
#include "history.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 6, KEY_MAX = 64 };

/* What one change does. */
struct change {
    size_t count;
    unsigned key[BATCH_MAX];
    bool deletes[BATCH_MAX];
    bool expires, is_synced;
    bool syncs_after;
};

static uint64_t mixed(uint64_t writer, uint64_t number) {
    return number * 0x9e3779b97f4a7c15 ^ (writer + 1) * 0xbf58476d1ce4e5b9;
}

static struct change change_of(unsigned writer, uint64_t number) {
    struct chance chance = {mixed(writer, number)};
    struct change change = {.count = 1};
    uint64_t kind = chance_below(&chance, 100);
    change.expires = kind < 8;
    if (kind >= 80) change.count = 2 + chance_below(&chance, BATCH_MAX - 1);
    unsigned first = (unsigned)chance_below(&chance, WRITER_KEYS);
    for (size_t i = 0; i < change.count; i++) {
        /* Neighbours, so that a batch names no key twice. */
        change.key[i] = (first + (unsigned)i) % WRITER_KEYS;
        change.deletes[i] = chance_below(&chance, 100) < 15;
    }
    change.is_synced = chance_below(&chance, 50) == 0;
    change.syncs_after = chance_below(&chance, 200) == 0;
    return change;
}

static size_t key_of(unsigned writer, unsigned key, char *bytes) {
    /* Of different lengths, some over a cache line. */
    return (size_t)snprintf(bytes, KEY_MAX, "%u/%u%.*s", writer, key, (int)(key % 5) * 11,
                            "-------------------------------------------------------");
}

static size_t value_of(unsigned writer, uint64_t number, unsigned key, unsigned char *value) {
    struct chance chance = {mixed(writer, number) ^ key};
    size_t room = chance_below(&chance, 100) == 0 ? VALUE_MAX : chance_below(&chance, 10) == 0 ? 9000 : 600;
    size_t len = 16 + chance_below(&chance, room - 16);
    memcpy(value, &number, 8);
    uint64_t place = (uint64_t)writer << 32 | key;
    memcpy(value + 8, &place, 8);
    for (size_t at = 16; at < len; at += 8) {
        uint64_t word = chance_next(&chance);
        memcpy(value + at, &word, len - at < 8 ? len - at : 8);
    }
    return len;
}

/* ---- the ledger --------------------------------------------------------------------------------- */

void ledger_reset(struct ledger *ledger, enum mode mode) {
    ledger->mode = mode;
    memset(ledger->before, 0, sizeof ledger->before);
    for (unsigned w = 0; w < WRITERS_MAX; w++) {
        struct told *told = &ledger->told[w];
        /* Numbers go on, so that nothing of an older store could pass for something of this one. */
        told->first += atomic_load(&told->started) + 1;
        told->started = told->acknowledged = told->durable = told->durable_at_cut = 0;
    }
}

struct ledger *ledger_new(const struct engine *engine, enum mode mode, uint64_t seed) {
    struct ledger *ledger = shared_memory(sizeof *ledger);
    ledger->seed = seed;
    ledger->writers = engine->has_versions ? WRITERS_MAX : 1;
    for (unsigned w = 0; w < WRITERS_MAX; w++) ledger->told[w].first = 1 + seed % 1000 * 1000000;
    ledger_reset(ledger, mode);
    return ledger;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct writer {
    const struct history *history;
    void *store;
    unsigned number;
    pthread_t thread;
};

/* What a change of this mode is when it was acknowledged. */
static bool is_durable(const struct history *history, const struct change *change) {
    return history->ledger->mode == MODE_ALWAYS || change->is_synced;
}

static void *write_on(void *context) {
    const struct writer *writer = context;
    const struct history *history = writer->history;
    struct told *told = &history->ledger->told[writer->number];
    static _Thread_local unsigned char values[BATCH_MAX][VALUE_MAX];
    char keys[BATCH_MAX][KEY_MAX];
    for (uint64_t n = 1; n < CHANGES_MAX; n++) {
        uint64_t number = told->first + n;
        struct change change = change_of(writer->number, number);
        struct operation operations[BATCH_MAX];
        for (size_t i = 0; i < change.count; i++) {
            operations[i] = (struct operation){
                .key = keys[i],
                .key_len = key_of(writer->number, change.key[i], keys[i]),
                .value = change.deletes[i] ? NULL : values[i],
                .value_len = change.deletes[i] ? 0 : value_of(writer->number, number, change.key[i], values[i]),
                .expires = change.expires && !change.deletes[i],
            };
        }
        uint64_t version = 0;
        atomic_store(&told->started, n);
        enum outcome outcome =
            history->engine->apply(writer->store, operations, change.count, change.is_synced, &version);
        if (outcome == OUTCOME_OK) {
            told->version[n] = version;
            atomic_store(&told->acknowledged, n);
            if (is_durable(history, &change)) atomic_store(&told->durable, n);
            if (change.syncs_after && (outcome = history->engine->sync(writer->store)) == OUTCOME_OK) {
                atomic_store(&told->durable, n);
            }
        }
        if (outcome != OUTCOME_OK) {
            snprintf(told->message, sizeof told->message, "%s", history->engine->last_message());
            atomic_store(&told->ended_with, (int)outcome);
            break;
        }
    }
    return NULL;
}

void history_write(void *context) {
    const struct history *history = context;
    struct ledger *ledger = history->ledger;
    struct writer writers[WRITERS_MAX];
    void *store = NULL;
    enum outcome outcome = history->engine->open(history->path, ledger->mode, false, &store);
    if (outcome != OUTCOME_OK) {
        /* A power cut while it opens is one, too: the next inspection says what is left. */
        snprintf(ledger->message, sizeof ledger->message, "%s", history->engine->last_message());
        return;
    }
    atomic_store(&ledger->is_open, true);
    for (unsigned w = 0; w < ledger->writers; w++) {
        writers[w] = (struct writer){.history = history, .store = store, .number = w};
        REQUIRE(pthread_create(&writers[w].thread, NULL, write_on, &writers[w]) == 0);
    }
    for (unsigned w = 0; w < ledger->writers; w++) pthread_join(writers[w].thread, NULL);
    history->engine->close(store);
}

/* ---- looking ------------------------------------------------------------------------------------ */

void history_inspect(void *context) {
    const struct history *history = context;
    struct ledger *ledger = history->ledger;
    static unsigned char value[VALUE_MAX + 1], expected[VALUE_MAX + 8];
    void *store = NULL;
    enum outcome outcome = history->engine->open(history->path, ledger->mode, false, &store);
    memset(ledger->after, 0, sizeof ledger->after);
    for (unsigned w = 0; outcome == OUTCOME_OK && w < ledger->writers; w++) {
        struct shown *after = &ledger->after[w];
        for (unsigned k = 0; outcome == OUTCOME_OK && k < WRITER_KEYS; k++) {
            char key[KEY_MAX];
            size_t len = 0;
            outcome = history->engine->get(store, key, key_of(w, k, key), value, sizeof value, &len, &after->version[k]);
            if (outcome == OUTCOME_ABSENT) {
                outcome = OUTCOME_OK;
                continue;
            }
            if (outcome != OUTCOME_OK) break;
            uint64_t number = 0;
            if (len >= 16) memcpy(&number, value, 8);
            bool is_right = len >= 16 && len == value_of(w, number, k, expected) && memcmp(value, expected, len) == 0;
            /* No change has this number. */
            after->number[k] = is_right ? number : UINT64_MAX;
        }
    }
    if (outcome == OUTCOME_OK) outcome = history->engine->check(store);
    if (outcome != OUTCOME_OK) snprintf(ledger->message, sizeof ledger->message, "%s", history->engine->last_message());
    atomic_store(&ledger->refused, (int)outcome);
    atomic_store(&ledger->is_inspected, true);
    /* Sometimes it ends without a close, so that the next one recovers what was recovered. */
    if (store != NULL && ledger->after[0].number[0] % 2 == 0) history->engine->close(store);
}

void history_note_durable(struct ledger *ledger) {
    for (unsigned w = 0; w < ledger->writers; w++) {
        ledger->told[w].durable_at_cut = atomic_load(&ledger->told[w].durable);
    }
}

/* ---- judging ------------------------------------------------------------------------------------ */

/* The last change up to which the writer's history explains what its keys show; -1 if none from `at_least` on does. */
static int64_t explained_by(const struct ledger *ledger, unsigned w, uint64_t at_least) {
    const struct told *told = &ledger->told[w];
    struct shown state = ledger->before[w];
    unsigned differing = 0;
    int64_t found = -1;
    for (unsigned k = 0; k < WRITER_KEYS; k++) differing += state.number[k] != ledger->after[w].number[k];
    for (uint64_t n = 0, started = atomic_load(&told->started); n <= started; n++) {
        struct change change = {.count = 0};
        if (n > 0) change = change_of(w, told->first + n);
        for (size_t i = 0; i < change.count; i++) {
            unsigned k = change.key[i];
            differing -= state.number[k] != ledger->after[w].number[k];
            state.number[k] = change.deletes[i] ? 0 : told->first + n;
            differing += state.number[k] != ledger->after[w].number[k];
        }
        if (differing == 0 && n >= at_least) found = (int64_t)n;
    }
    return found;
}

static void say_writer(const struct ledger *ledger, unsigned w) {
    const struct told *told = &ledger->told[w];
    printf("    writer %u: changes %llu + 1..%llu begun, ..%llu acknowledged, ..%llu durable\n", w,
           (unsigned long long)told->first, (unsigned long long)told->started, (unsigned long long)told->acknowledged,
           (unsigned long long)told->durable_at_cut);
    for (unsigned k = 0; k < WRITER_KEYS; k++) {
        if (ledger->after[w].number[k] != ledger->before[w].number[k]) {
            printf("      key %u: %llu before, %llu now\n", k, (unsigned long long)ledger->before[w].number[k],
                   (unsigned long long)ledger->after[w].number[k]);
        }
    }
}

struct verdict history_judge(struct ledger *ledger, const struct engine *engine, bool durable_too) {
    struct verdict verdict = {0, 0};
    uint64_t version_shown_max = 0, version_lost_min = UINT64_MAX;
    if (ledger->refused != OUTCOME_OK) {
        printf("    mode %s: the store is refused or fails its check: %s\n", mode_names[ledger->mode], ledger->message);
        if (ledger->refused == OUTCOME_DAMAGED || ledger->refused == OUTCOME_OTHER) verdict.wrong++;
        verdict.lost++;
    }
    for (unsigned w = 0; verdict.lost == 0 && w < ledger->writers; w++) {
        struct told *told = &ledger->told[w];
        const struct shown *after = &ledger->after[w];
        for (unsigned k = 0; k < WRITER_KEYS; k++) {
            if (after->number[k] == UINT64_MAX) {
                printf("    mode %s: key %u of writer %u has bytes that nobody wrote\n", mode_names[ledger->mode], k, w);
                verdict.wrong++;
            }
            if (after->version[k] > version_shown_max) version_shown_max = after->version[k];
        }
        uint64_t at_least = durable_too ? told->acknowledged : told->durable_at_cut;
        int64_t last = explained_by(ledger, w, at_least);
        if (last < 0) {
            bool is_prefix = explained_by(ledger, w, 0) >= 0;
            printf("    mode %s: %s\n", mode_names[ledger->mode],
                   is_prefix ? "something durable is missing" : "what is left is no prefix of what was done");
            say_writer(ledger, w);
            verdict.lost++;
            break;
        }
        for (uint64_t n = (uint64_t)last + 1; n <= told->acknowledged; n++) {
            if (told->version[n] != 0 && told->version[n] < version_lost_min) version_lost_min = told->version[n];
        }
    }
    if (engine->has_versions && verdict.lost == 0 && version_shown_max > version_lost_min) {
        printf("    mode %s: version %llu is there though version %llu of another writer is lost\n",
               mode_names[ledger->mode], (unsigned long long)version_shown_max, (unsigned long long)version_lost_min);
        verdict.lost++;
    }
    for (unsigned w = 0; w < ledger->writers; w++) {
        struct told *told = &ledger->told[w];
        told->first += told->started + 1;
        memset(told->version, 0, (size_t)(told->started + 1) * sizeof *told->version);
        told->started = told->acknowledged = told->durable = told->durable_at_cut = 0;
        told->ended_with = OUTCOME_OK;
        ledger->before[w] = ledger->after[w];
    }
    ledger->is_inspected = ledger->is_open = false;
    return verdict;
}
