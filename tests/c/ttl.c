/* ttl.c: keys that are there for a time. */
#include "store.h"
#include "subjects.h"

#include <limits.h>

static int64_t ttl_of(larder *db, const char *key) {
    larder_error err;
    int64_t ttl_ms = -4711;
    OK(larder_ttl(db, key, strlen(key), &ttl_ms, &err));
    return ttl_ms;
}

static void a_key_without_expiry_has_ttl_minus_one(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    CHECK(ttl_of(db, "k") == -1);
    larder_view view = {0};
    OK(larder_get_view(db, "k", 1, &view, &err));
    CHECK(view.expires_at_ms == 0);
    larder_view_release(&view);
    store_close(db);
}

static void a_ttl_counts_down_from_the_call(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str_ttl(db, "k", "v", 60000, &err));
    int64_t first = ttl_of(db, "k");
    sleep_ms(30);
    int64_t second = ttl_of(db, "k");
    CHECK(first > 50000 && first <= 60000);
    CHECK_SAYING(second <= first - 20 && second > 50000, "%lld, then %lld", (long long)first, (long long)second);
    store_close(db);
}

static void an_expired_key_is_absent_for_every_call(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    OK(larderx_set_str(db, "stays", "v", &err));
    OK(larderx_set_str_ttl(db, "k", "v", 20, &err));
    sleep_ms(25);
    char buffer[8];
    size_t need;
    int64_t ttl_ms = 4711;
    larder_view view = {0};
    uint64_t version;
    CHECK_ABSENT(db, "k");
    IS(LARDER_NOT_FOUND, larder_get_into(db, "k", 1, buffer, sizeof buffer, &need, &err));
    IS(LARDER_NOT_FOUND, larder_exists(db, "k", 1, &err));
    IS(LARDER_NOT_FOUND, larder_get_view(db, "k", 1, &view, &err));
    IS(LARDER_NOT_FOUND, larder_expire(db, "k", 1, 60000, &err));
    IS(LARDER_NOT_FOUND, larder_expire(db, "k", 1, -1, &err));
    IS(LARDER_NOT_FOUND, larder_set_with(db, "k", 1, "w", 1, 0, LARDER_IF_PRESENT, &version, &err));
    IS(LARDER_NOT_FOUND, larder_del(db, "k", 1, &err));
    CHECK(ttl_ms == 4711);

    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_answers answers = LARDERX_ANSWERS_INIT;
    larderx_keys_add(&keys, "k", 1);
    OK(larderx_get_many(db, &keys, &answers, &err));
    larder_status status = LARDER_OK;
    const void *value;
    size_t value_len = 99;
    CHECK(larderx_answers_next(&answers, &status, &value, &value_len) == 1);
    CHECK(status == LARDER_NOT_FOUND && value_len == 0);
    larderx_keys_free(&keys);
    larderx_answers_free(&answers);

    larder_cursor *cursor = NULL;
    const void *key;
    size_t key_len;
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    OK(larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    CHECK_BYTES("stays", 5, key, key_len);
    IS(LARDER_DONE, larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    larder_cursor_close(cursor);

    /* IF_ABSENT may take its place, and -1 finds no expiry to keep. */
    OK(larder_set_with(db, "k", 1, "new", 3, -1, LARDER_IF_ABSENT, NULL, &err));
    CHECK(ttl_of(db, "k") == -1);
    store_close(db);
}

static void ttl_tells_expired_from_missing(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    /* The store may sweep a key right after its time, and then it is missing: so not each attempt, but most. */
    int told_apart = 0;
    for (int i = 0; i < 40; i++) {
        char *key = text("k%d", i);
        int64_t ttl_ms = 4711;
        OK(larderx_set_str_ttl(db, key, "v", 3, &err));
        sleep_ms(4);
        larder_status status = larder_ttl(db, key, strlen(key), &ttl_ms, &err);
        CHECK_SAYING(status == LARDER_EXPIRED || status == LARDER_NOT_FOUND, "%s", larder_status_name(status));
        CHECK(ttl_ms == 4711);
        if (status == LARDER_EXPIRED) told_apart++;
    }
    CHECK_SAYING(told_apart >= 20, "told apart %d times of 40", told_apart);
    int64_t ttl_ms = 0;
    IS(LARDER_NOT_FOUND, larder_ttl(db, "never", 5, &ttl_ms, &err));
    OK(larderx_set_str(db, "deleted", "v", &err));
    OK(larderx_del_str(db, "deleted", &err));
    IS(LARDER_NOT_FOUND, larder_ttl(db, "deleted", 7, &ttl_ms, &err));
    store_close(db);
}

static void minus_one_keeps_the_ttl_and_set_clears_it(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str_ttl(db, "k", "1", 60000, &err));
    OK(larder_set_with(db, "k", 1, "2", 1, -1, 0, NULL, &err));
    CHECK_VALUE(db, "k", "2");
    CHECK(ttl_of(db, "k") > 50000);
    OK(larder_set_with(db, "k", 1, "3", 1, 0, 0, NULL, &err));
    CHECK(ttl_of(db, "k") == -1);
    OK(larderx_set_str_ttl(db, "k", "4", 60000, &err));
    OK(larder_set(db, "k", 1, "5", 1, &err));
    CHECK(ttl_of(db, "k") == -1);
    OK(larder_set_with(db, "new", 3, "v", 1, -1, 0, NULL, &err));
    CHECK(ttl_of(db, "new") == -1);
    store_close(db);
}

static void expire_sets_ends_and_persists(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    OK(larder_expire(db, "k", 1, 60000, &err));
    CHECK(ttl_of(db, "k") > 50000);
    CHECK_VALUE(db, "k", "v");
    OK(larder_expire(db, "k", 1, -1, &err));
    CHECK(ttl_of(db, "k") == -1);
    OK(larder_expire(db, "k", 1, -1, &err));
    OK(larder_expire(db, "k", 1, 0, &err));
    CHECK_ABSENT(db, "k");
    IS(LARDER_NOT_FOUND, larder_expire(db, "k", 1, 1000, &err));
    store_close(db);
}

static void other_negative_ttls_and_overflowing_ones_are_invalid(const char *dir) {
    static const int64_t wrong_ms[] = {-2, -1000, INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1000};
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    for (size_t i = 0; i < sizeof wrong_ms / sizeof *wrong_ms; i++) {
        uint64_t version = 4711;
        IS(LARDER_INVALID_ARGUMENT, larder_set_with(db, "k", 1, "w", 1, wrong_ms[i], 0, &version, &err));
        IS(LARDER_INVALID_ARGUMENT, larder_expire(db, "k", 1, wrong_ms[i], &err));
        CHECK_U64(4711, version);
    }
    CHECK_VALUE(db, "k", "v");
    CHECK(ttl_of(db, "k") == -1);
    /* A thousand years are fine. */
    OK(larder_expire(db, "k", 1, INT64_C(31556952000000), &err));
    CHECK(ttl_of(db, "k") > INT64_C(31556951000000));
    store_close(db);
}

static void ttls_survive_a_restart_and_go_on_while_closed(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str_ttl(db, "long", "v", 60000, &err));
    OK(larderx_set_str_ttl(db, "short", "v", 60, &err));
    OK(larderx_set_str(db, "persisted", "v", &err));
    OK(larder_expire(db, "persisted", 9, 30, &err));
    OK(larder_expire(db, "persisted", 9, -1, &err));
    store_close(db);
    sleep_ms(70);
    db = store_open(path, NULL);
    CHECK(ttl_of(db, "long") > 50000 && ttl_of(db, "long") <= 60000 - 70);
    CHECK_ABSENT(db, "short");
    CHECK_VALUE(db, "persisted", "v");
    CHECK(ttl_of(db, "persisted") == -1);
    store_close(db);
    db = store_open(path, NULL);
    CHECK_ABSENT(db, "short");
    store_close(db);
}

static void an_expired_key_never_uncovers_an_older_value(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "segment_size", "64KiB", "sync", "none", "compaction", "manual", NULL);
    for (int i = 0; i < 100; i++) OK(larderx_set_str(db, text("k%d", i), "older and without end", &err));
    store_set_numbered(db, "filler", 200, 1000);
    for (int i = 0; i < 100; i++) OK(larderx_set_str_ttl(db, text("k%d", i), "newer", 30, &err));
    store_set_numbered(db, "filler", 200, 1000);
    sleep_ms(40);
    for (int round = 0; round < 3; round++) {
        OK(larder_compact(db, &err));
        for (int i = 0; i < 100; i++) CHECK_ABSENT(db, text("k%d", i));
        store_close(db);
        db = store_open(path, "segment_size", "64KiB", NULL);
        for (int i = 0; i < 100; i++) CHECK_ABSENT(db, text("k%d", i));
    }
    store_check_numbered(db, "filler", 200, 1000);
    store_close(db);
}

static void the_count_forgets_expired_keys_within_a_second(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    for (int i = 0; i < 500; i++) OK(larderx_set_str_ttl(db, text("k%d", i), "v", 50, &err));
    OK(larderx_set_str(db, "stays", "v", &err));
    sleep_ms(50);
    /* One second is promised; half a second more is for a machine that is busy. */
    uint64_t count = 0;
    int64_t deadline = now_ms() + 1500;
    do {
        OK(larder_len(db, &count, &err));
        if (count != 1) sleep_ms(20);
    } while (count != 1 && now_ms() < deadline);
    CHECK_U64(1, count);
    store_close(db);
}

const struct check_subject subject_ttl = {
    "ttl",
    (const struct check_test[]){
        CHECK_TEST(a_key_without_expiry_has_ttl_minus_one, CHECK_ANYWHERE),
        CHECK_TEST(a_ttl_counts_down_from_the_call, CHECK_TIME),
        CHECK_TEST(an_expired_key_is_absent_for_every_call, CHECK_TIME),
        CHECK_TEST(ttl_tells_expired_from_missing, CHECK_TIME),
        CHECK_TEST(minus_one_keeps_the_ttl_and_set_clears_it, CHECK_ANYWHERE),
        CHECK_TEST(expire_sets_ends_and_persists, CHECK_ANYWHERE),
        CHECK_TEST(other_negative_ttls_and_overflowing_ones_are_invalid, CHECK_ANYWHERE),
        CHECK_TEST(ttls_survive_a_restart_and_go_on_while_closed, CHECK_TIME),
        CHECK_TEST(an_expired_key_never_uncovers_an_older_value, CHECK_TIME),
        CHECK_TEST(the_count_forgets_expired_keys_within_a_second, CHECK_TIME),
        CHECK_END,
    },
};
