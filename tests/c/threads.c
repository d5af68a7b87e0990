/* threads.c: one handle, many threads. */
#include "store.h"
#include "subjects.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, KEYS_PER_THREAD = 200, OPERATIONS = 6000, VALUE_MAX = 400 };

/* What a thread knows of its own keys. */
struct own_key {
    bool present;
    uint64_t seed;
    size_t len;
};

struct worker {
    larder *db;
    uint64_t number;
    struct own_key keys[KEYS_PER_THREAD];
};

static size_t own_key_name(char *name, size_t capacity, uint64_t worker, size_t key) {
    return (size_t)snprintf(name, capacity, "w%llu/%zu", (unsigned long long)worker, key);
}

static void check_own_key(larder *db, const struct own_key *own, const char *name, size_t name_len) {
    larder_error err;
    void *value = NULL;
    size_t len = 0;
    memset(&err, 0x5a, sizeof err);
    larder_status status = larder_get(db, name, name_len, &value, &len, &err);
    if (check_status(own->present ? LARDER_OK : LARDER_NOT_FOUND, status, &err, __FILE__, __LINE__, name) &&
        own->present) {
        CHECK_SAYING(len == own->len && filled(value, len, own->seed), "%s has other bytes than were set", name);
    }
    larder_free(value);
}

static void *work(void *context) {
    struct worker *worker = context;
    larder_error err;
    struct chance chance = {worker->number};
    unsigned char value[VALUE_MAX];
    char name[64];
    for (int i = 0; i < OPERATIONS; i++) {
        size_t key = chance_below(&chance, KEYS_PER_THREAD);
        struct own_key *own = &worker->keys[key];
        size_t name_len = own_key_name(name, sizeof name, worker->number, key);
        switch (chance_below(&chance, 10)) {
        case 0:
        case 1:
        case 2:
        case 3:
            *own = (struct own_key){true, chance_next(&chance), chance_below(&chance, VALUE_MAX)};
            fill(value, own->len, own->seed);
            OK(larder_set(worker->db, name, name_len, value, own->len, &err));
            break;
        case 4:
            IS(own->present ? LARDER_OK : LARDER_NOT_FOUND, larder_del(worker->db, name, name_len, &err));
            own->present = false;
            break;
        case 5: {
            larderx_batch batch = LARDERX_BATCH_INIT;
            for (size_t k = key; k < key + 5 && k < KEYS_PER_THREAD; k++) {
                worker->keys[k] = (struct own_key){true, k, 9};
                fill(value, 9, k);
                name_len = own_key_name(name, sizeof name, worker->number, k);
                larderx_batch_set(&batch, name, name_len, value, 9, 0);
            }
            OK(larderx_batch_write(&batch, worker->db, 0, &err));
            larderx_batch_free(&batch);
            break;
        }
        case 6:
            if (i % 1000 == 0) OK(larder_compact(worker->db, &err));
            break;
        default: check_own_key(worker->db, own, name, name_len);
        }
    }
    return NULL;
}

static void eight_threads_find_what_each_of_them_wrote(const char *dir) {
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "256KiB", NULL);
    struct worker *workers = calloc(THREADS, sizeof *workers);
    pthread_t threads[THREADS];
    REQUIRE(workers != NULL);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].db = db;
        workers[i].number = i;
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int round = 0; round < 2; round++) {
        larder_error err;
        uint64_t present = 0, count = 0;
        for (size_t i = 0; i < THREADS; i++) {
            for (size_t k = 0; k < KEYS_PER_THREAD; k++) {
                char name[64];
                size_t name_len = own_key_name(name, sizeof name, i, k);
                check_own_key(db, &workers[i].keys[k], name, name_len);
                present += workers[i].keys[k].present;
            }
        }
        OK(larder_len(db, &count, &err));
        CHECK_U64(present, count);
        store_close(db);
        db = store_open(path, NULL);
    }
    store_close(db);
    free(workers);
}

/* ---- one key, many threads ---------------------------------------------------------------------- */

struct shared {
    larder *db;
    atomic_uint won;
    atomic_bool over;
    pthread_barrier_t start;
};

enum { RACES = 200 };

static void *race(void *context) {
    struct shared *shared = context;
    larder_error err;
    for (uint32_t i = 0; i < RACES; i++) {
        pthread_barrier_wait(&shared->start);
        larder_status status = larder_set_with(shared->db, &i, sizeof i, "v", 1, 0, LARDER_IF_ABSENT, NULL, &err);
        if (status == LARDER_OK) atomic_fetch_add(&shared->won, 1);
        CHECK(status == LARDER_OK || status == LARDER_EXISTS);
    }
    return NULL;
}

static void if_absent_has_exactly_one_winner(const char *dir) {
    struct shared shared = {.db = store_open(path_of(dir, "s"), "sync", "none", NULL)};
    pthread_t threads[4];
    pthread_barrier_init(&shared.start, NULL, 4);
    for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, race, &shared) == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK_U64(RACES, shared.won);
    pthread_barrier_destroy(&shared.start);
    store_close(shared.db);
}

/* A value is its own number, repeated: a torn one mixes numbers. */
static void *read_monotonically(void *context) {
    struct shared *shared = context;
    larder_error err;
    uint64_t last = 0;
    while (!atomic_load(&shared->over)) {
        uint64_t words[64];
        size_t need = 0;
        if (!OK(larder_get_into(shared->db, "k", 1, words, sizeof words, &need, &err))) break;
        size_t count = need / sizeof *words;
        if (!CHECK(count > 0)) break;
        for (size_t i = 1; i < count; i++) CHECK_SAYING(words[i] == words[0], "a value was torn");
        if (!CHECK_SAYING(words[0] >= last, "%llu was read after %llu", (unsigned long long)words[0],
                          (unsigned long long)last)) {
            break;
        }
        last = words[0];
    }
    return NULL;
}

static void reads_are_never_torn_and_never_go_back(const char *dir) {
    larder_error err;
    struct shared shared = {.db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL)};
    pthread_t readers[3];
    uint64_t words[64] = {0};
    OK(larder_set(shared.db, "k", 1, words, sizeof words, &err));
    for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&readers[i], NULL, read_monotonically, &shared) == 0);
    int64_t deadline = now_ms() + 1000;
    for (uint64_t n = 1; now_ms() < deadline; n++) {
        for (size_t i = 0; i < 64; i++) words[i] = n;
        OK(larder_set(shared.db, "k", 1, words, (n % 64 + 1) * sizeof *words, &err));
    }
    atomic_store(&shared.over, true);
    for (int i = 0; i < 3; i++) pthread_join(readers[i], NULL);
    store_close(shared.db);
}

static void *live_alone(void *context) {
    larder_error err;
    for (int round = 0; round < 5; round++) {
        larder *db = store_open(context, "sync", "none", NULL);
        OK(larder_set(db, &round, sizeof round, context, strlen(context), &err));
        uint64_t count = 0;
        OK(larder_len(db, &count, &err));
        CHECK_U64((uint64_t)round + 1, count);
        store_close(db);
    }
    return NULL;
}

static void several_stores_live_side_by_side_in_one_process(const char *dir) {
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, live_alone, path_of(dir, text("s%d", i))) == 0);
    }
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
}

const struct check_subject subject_threads = {
    "threads",
    (const struct check_test[]){
        CHECK_TEST(eight_threads_find_what_each_of_them_wrote, CHECK_TIME),
        CHECK_TEST(if_absent_has_exactly_one_winner, CHECK_TIME),
        CHECK_TEST(reads_are_never_torn_and_never_go_back, CHECK_TIME),
        CHECK_TEST(several_stores_live_side_by_side_in_one_process, CHECK_ANYWHERE),
        CHECK_END,
    },
};
