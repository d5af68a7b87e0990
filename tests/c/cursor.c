/* cursor.c: reading all keys. */
#include "store.h"
#include "subjects.h"

#include <pthread.h>
#include <stdatomic.h>

/* Walks to the end; counts how often each prefix0 ... prefix(count-1) comes, and returns how many others. */
static size_t walk_numbered(larder_cursor *cursor, const char *prefix, size_t count, unsigned *seen) {
    larder_error err;
    size_t others = 0, prefix_len = strlen(prefix);
    for (;;) {
        const void *key = NULL, *value = NULL;
        size_t key_len = 0, value_len = 0;
        memset(&err, 0x5a, sizeof err);
        larder_status status = larder_cursor_next(cursor, &key, &key_len, &value, &value_len, &err);
        if (status == LARDER_DONE) return others;
        REQUIRE(check_status(LARDER_OK, status, &err, __FILE__, __LINE__, "larder_cursor_next"));
        char name[64] = {0};
        REQUIRE(key_len < sizeof name);
        memcpy(name, key, key_len);
        if (strncmp(name, prefix, prefix_len) != 0) {
            others++;
            continue;
        }
        unsigned long number = strtoul(name + prefix_len, NULL, 10);
        REQUIRE(number < count);
        seen[number]++;
    }
}

static void every_key_comes_once_with_its_value(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 1000, 100);
    store_set_numbered(db, "n", 500, 100);
    for (int round = 0; round < 2; round++) {
        larder_cursor *cursor = NULL;
        unsigned seen[1000] = {0};
        REQUIRE_OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
        for (size_t i = 0; i < 1000; i++) {
            const void *key, *value;
            size_t key_len, value_len;
            REQUIRE_OK(larder_cursor_next(cursor, &key, &key_len, &value, &value_len, &err));
            char name[16] = {0};
            REQUIRE(key_len < sizeof name);
            memcpy(name, key, key_len);
            unsigned long number = strtoul(name + 1, NULL, 10);
            REQUIRE(number < 1000);
            CHECK(value_len == 100 && filled(value, value_len, number));
            seen[number]++;
        }
        for (int again = 0; again < 3; again++) {
            const void *key = "untouched", *value = NULL;
            size_t key_len = 4711, value_len = 4711;
            IS(LARDER_DONE, larder_cursor_next(cursor, &key, &key_len, &value, &value_len, &err));
            CHECK(strcmp(key, "untouched") == 0 && key_len == 4711 && value == NULL && value_len == 4711);
        }
        for (size_t i = 0; i < 1000; i++) CHECK_U64(1, seen[i]);
        larder_cursor_close(cursor);
        store_close(db);
        db = store_open(path, NULL);
    }
    store_close(db);
}

static void a_prefix_selects(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    static const struct {
        const char *bytes;
        size_t len;
    } keys[] = {{"", 0}, {"a", 1}, {"ab", 2}, {"ab\0", 3}, {"ab\xff", 3}, {"abc", 3}, {"b", 1}, {"\xff\xff", 2}};
    for (size_t i = 0; i < 8; i++) OK(larder_set(db, keys[i].bytes, keys[i].len, "v", 1, &err));
    for (size_t p = 0; p < 8; p++) {
        size_t expected = 0, found = 0;
        for (size_t i = 0; i < 8; i++) {
            expected += keys[i].len >= keys[p].len && memcmp(keys[i].bytes, keys[p].bytes, keys[p].len) == 0;
        }
        larder_cursor *cursor = NULL;
        /* The library may not keep the caller's prefix. */
        char prefix[4];
        memcpy(prefix, keys[p].bytes, keys[p].len);
        OK(larder_cursor_open(db, prefix, keys[p].len, &cursor, &err));
        memset(prefix, 'z', sizeof prefix);
        const void *key;
        size_t key_len;
        while (larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err) == LARDER_OK) {
            CHECK(key_len >= keys[p].len && memcmp(key, keys[p].bytes, keys[p].len) == 0);
            found++;
        }
        CHECK_U64(expected, found);
        larder_cursor_close(cursor);
    }
    store_close(db);
}

static void an_empty_store_is_done_at_once(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    larder_cursor *cursor = NULL;
    const void *key;
    size_t key_len;
    OK(larder_cursor_open(db, "", 0, &cursor, &err));
    IS(LARDER_DONE, larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    larder_cursor_close(cursor);
    larder_cursor_close(NULL);
    store_close(db);
}

static void the_two_value_outputs_may_be_null_together(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    larder_cursor *cursor = NULL;
    const void *key = NULL, *value;
    size_t key_len = 0, value_len;
    OK(larderx_set_str(db, "k", "v", &err));
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, &key, &key_len, &value, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, &key, &key_len, NULL, &value_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, NULL, &key_len, &value, &value_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, &key, NULL, &value, &value_len, &err));
    /* None of these has moved it. */
    OK(larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    CHECK_BYTES("k", 1, key, key_len);
    larder_cursor_close(cursor);
    store_close(db);
}

struct churn {
    larder *db;
    atomic_bool over;
};

static void *churn(void *context) {
    struct churn *churning = context;
    larder *db = churning->db;
    larder_error err;
    struct chance chance = {7};
    char value[300];
    memset(value, 'c', sizeof value);
    for (uint64_t i = 0; !atomic_load(&churning->over); i++) {
        char key[32];
        int key_len;
        if (i % 3 == 0) { /* live throughout, and moved */
            key_len = snprintf(key, sizeof key, "stable%d", (int)chance_below(&chance, 2000));
            OK(larder_set(db, key, (size_t)key_len, value, chance_below(&chance, sizeof value), &err));
        } else { /* comes and goes; thousands of new keys make the index grow */
            key_len = snprintf(key, sizeof key, "passing%d", (int)chance_below(&chance, 20000));
            larder_status status = i % 3 == 1 ? larder_set(db, key, (size_t)key_len, value, 100, &err)
                                              : larder_del(db, key, (size_t)key_len, &err);
            CHECK(status == LARDER_OK || status == LARDER_NOT_FOUND);
        }
        if (i % 5000 == 4999) OK(larder_compact(db, &err));
    }
    return NULL;
}

static void keys_that_live_throughout_come_exactly_once_while_others_change(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "stable", 2000, 50);
    struct churn churning = {.db = db};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, churn, &churning) == 0);
    int64_t deadline = now_ms() + 1500;
    do {
        unsigned seen[2000] = {0};
        larder_cursor *cursor = NULL;
        REQUIRE_OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
        walk_numbered(cursor, "stable", 2000, seen);
        larder_cursor_close(cursor);
        for (size_t i = 0; i < 2000; i++) {
            if (!CHECK_SAYING(seen[i] == 1, "stable%zu came %u times", i, seen[i])) break;
        }
    } while (now_ms() < deadline);
    atomic_store(&churning.over, true);
    pthread_join(thread, NULL);
    store_close(db);
}

static void what_a_cursor_lent_stays_until_its_next_call(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 500, 500);
    larder_cursor *cursor = NULL;
    const void *key = NULL, *value = NULL;
    size_t key_len = 0, value_len = 0;
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    REQUIRE_OK(larder_cursor_next(cursor, &key, &key_len, &value, &value_len, &err));
    char name[16] = {0};
    REQUIRE(key_len < sizeof name);
    memcpy(name, key, key_len);
    unsigned long number = strtoul(name + 1, NULL, 10);
    for (int i = 0; i < 500; i++) OK(larderx_del_str(db, text("n%d", i), &err));
    OK(larder_compact(db, &err));
    store_close(db);
    CHECK_BYTES(name, strlen(name), key, key_len);
    CHECK(value_len == 500 && filled(value, value_len, number));
    IS(LARDER_CLOSED, larder_cursor_next(cursor, &key, &key_len, &value, &value_len, &err));
    IS(LARDER_CLOSED, larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    IS_BARE(LARDER_CLOSED, larder_cursor_next(cursor, &key, &key_len, NULL, NULL, NULL));
    larder_cursor_close(cursor);
}

static void several_cursors_walk_on_their_own(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    store_set_numbered(db, "n", 100, 10);
    larder_cursor *cursors[5] = {NULL};
    unsigned seen[100] = {0};
    const void *key;
    size_t key_len;
    for (size_t i = 0; i < 5; i++) {
        OK(larder_cursor_open(db, "n", 1, &cursors[i], &err));
        for (size_t steps = 0; steps < i; steps++) OK(larder_cursor_next(cursors[i], &key, &key_len, NULL, NULL, &err));
    }
    for (size_t i = 0; i < 5; i++) walk_numbered(cursors[i], "n", 100, seen);
    unsigned total = 0;
    for (size_t i = 0; i < 100; i++) total += seen[i];
    CHECK_U64(500 - (0 + 1 + 2 + 3 + 4), total);
    for (size_t i = 0; i < 5; i++) larder_cursor_close(cursors[i]);
    store_close(db);
}

const struct check_subject subject_cursor = {
    "cursor",
    (const struct check_test[]){
        CHECK_TEST(every_key_comes_once_with_its_value, CHECK_TIME),
        CHECK_TEST(a_prefix_selects, CHECK_ANYWHERE),
        CHECK_TEST(an_empty_store_is_done_at_once, CHECK_ANYWHERE),
        CHECK_TEST(the_two_value_outputs_may_be_null_together, CHECK_ANYWHERE),
        CHECK_TEST(keys_that_live_throughout_come_exactly_once_while_others_change, CHECK_TIME),
        CHECK_TEST(what_a_cursor_lent_stays_until_its_next_call, CHECK_TIME),
        CHECK_TEST(several_cursors_walk_on_their_own, CHECK_ANYWHERE),
        CHECK_END,
    },
};
