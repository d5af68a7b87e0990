/* packed.c: many changes and many reads in one call: what is well formed, and every way not to be. */
#include "store.h"
#include "subjects.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- batches ------------------------------------------------------------------------------------ */

static void a_batch_sets_and_deletes(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "old", "v", &err));
    OK(larderx_set_str_ttl(db, "kept", "v", 60000, &err));
    larderx_batch batch = LARDERX_BATCH_INIT;
    larderx_batch_set(&batch, "a", 1, "1", 1, 0);
    larderx_batch_set(&batch, "", 0, "empty key", 9, 0);
    larderx_batch_set(&batch, "empty value", 11, NULL, 0, 0);
    larderx_batch_set(&batch, "timed", 5, "t", 1, 60000);
    larderx_batch_set(&batch, "kept", 4, "w", 1, -1);
    larderx_batch_del(&batch, "old", 3);
    larderx_batch_del(&batch, "never there", 11);
    larderx_batch_set(&batch, "twice", 5, "first", 5, 0);
    larderx_batch_set(&batch, "twice", 5, "last", 4, 0);
    larderx_batch_set(&batch, "set and gone", 12, "v", 1, 0);
    larderx_batch_del(&batch, "set and gone", 12);
    larderx_batch_del(&batch, "gone and set", 12);
    larderx_batch_set(&batch, "gone and set", 12, "v", 1, 0);
    size_t bad_offset = 4711;
    OK(larder_write_packed(db, batch.bytes, batch.len, LARDER_SYNC, &bad_offset, &err));
    CHECK_U64(4711, bad_offset);
    for (int round = 0; round < 2; round++) {
        int64_t ttl_ms = 0;
        CHECK_VALUE(db, "a", "1");
        CHECK_VALUE(db, "", "empty key");
        CHECK_VALUE(db, "empty value", "");
        CHECK_VALUE(db, "timed", "t");
        CHECK_VALUE(db, "kept", "w");
        CHECK_ABSENT(db, "old");
        CHECK_VALUE(db, "twice", "last");
        CHECK_ABSENT(db, "set and gone");
        CHECK_VALUE(db, "gone and set", "v");
        OK(larder_ttl(db, "timed", 5, &ttl_ms, &err));
        CHECK(ttl_ms > 50000);
        OK(larder_ttl(db, "kept", 4, &ttl_ms, &err));
        CHECK(ttl_ms > 50000);
        uint64_t count = 0;
        OK(larder_len(db, &count, &err));
        CHECK_U64(7, count);
        store_close(db);
        db = store_open(path, NULL);
    }
    larderx_batch_free(&batch);
    store_close(db);
}

static void an_empty_batch_changes_nothing(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larder_write_packed(db, NULL, 0, 0, NULL, &err));
    OK(larder_write_packed(db, "", 0, LARDER_SYNC, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_write_packed(db, NULL, 8, 0, NULL, &err));
    store_close(db);
}

static void members_of_a_batch_get_rising_versions(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    uint64_t before = 0, after = 0, last;
    OK(larder_set_with(db, "x", 1, "v", 1, 0, 0, &before, &err));
    larderx_batch batch = LARDERX_BATCH_INIT;
    for (char key = 'a'; key <= 'e'; key++) larderx_batch_set(&batch, &key, 1, "v", 1, 0);
    OK(larderx_batch_write(&batch, db, 0, &err));
    larderx_batch_free(&batch);
    OK(larder_set_with(db, "x", 1, "v", 1, 0, 0, &after, &err));
    last = before;
    for (char key = 'a'; key <= 'e'; key++) {
        larder_view view = {0};
        OK(larder_get_view(db, &key, 1, &view, &err));
        CHECK(view.version > last && view.version < after);
        last = view.version;
        larder_view_release(&view);
    }
    store_close(db);
}

static void a_batch_larger_than_a_segment_is_whole(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "segment_size", "64KiB", NULL);
    larderx_batch batch = LARDERX_BATCH_INIT;
    unsigned char value[1000];
    for (uint64_t i = 0; i < 1000; i++) {
        char *key = text("n%llu", (unsigned long long)i);
        fill(value, sizeof value, i);
        larderx_batch_set(&batch, key, strlen(key), value, sizeof value, 0);
    }
    OK(larderx_batch_write(&batch, db, 0, &err));
    larderx_batch_free(&batch);
    for (int round = 0; round < 2; round++) {
        store_check_numbered(db, "n", 1000, sizeof value);
        store_close(db);
        db = store_open(path, NULL);
    }
    OK(larder_compact(db, &err));
    store_check_numbered(db, "n", 1000, sizeof value);
    store_close(db);
}

static void only_the_sync_flag_is_known(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    larderx_batch batch = LARDERX_BATCH_INIT;
    larderx_batch_set(&batch, "k", 1, "v", 1, 0);
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t flag = UINT32_C(1) << bit;
        if (flag == LARDER_SYNC) continue;
        IS(LARDER_INVALID_ARGUMENT, larder_write_packed(db, batch.bytes, batch.len, flag, NULL, &err));
    }
    CHECK_ABSENT(db, "k");
    larderx_batch_free(&batch);
    store_close(db);
}

/* ---- malformed batches -------------------------------------------------------------------------- */

/* One wrong entry, as its fields and how many bytes of it are there. */
struct malformed {
    const char *what;
    uint32_t op;
    uint32_t key_len;
    uint64_t value_len;
    int64_t ttl_ms;
    size_t len;          /* bytes present, 0: all of them */
    size_t spoiled_byte; /* this one is set to 1; 0: none */
    larder_status status;
};

static const struct malformed malformed_entries[] = {
    {"op 0", 0, 1, 1, 0, 0, 0, LARDER_INVALID_ARGUMENT},
    {"op 3", 3, 1, 1, 0, 0, 0, LARDER_INVALID_ARGUMENT},
    {"op 2^24 + 1", 0x01000001, 1, 1, 0, 0, 0, LARDER_INVALID_ARGUMENT},
    {"op 2^32 - 1", UINT32_MAX, 1, 1, 0, 0, 0, LARDER_INVALID_ARGUMENT},
    {"one byte of a head", 1, 1, 1, 0, 1, 0, LARDER_INVALID_ARGUMENT},
    {"eight bytes of a head", 1, 1, 1, 0, 8, 0, LARDER_INVALID_ARGUMENT},
    {"23 bytes of a head", 1, 1, 1, 0, 23, 0, LARDER_INVALID_ARGUMENT},
    {"a head without its key and value", 1, 1, 1, 0, 24, 0, LARDER_INVALID_ARGUMENT},
    {"a key that leaves the buffer", 1, 100, 0, 0, 32, 0, LARDER_INVALID_ARGUMENT},
    {"a value that leaves the buffer", 1, 1, 100, 0, 32, 0, LARDER_INVALID_ARGUMENT},
    {"missing padding", 1, 1, 1, 0, 26, 0, LARDER_INVALID_ARGUMENT},
    {"padding one byte short", 1, 1, 1, 0, 31, 0, LARDER_INVALID_ARGUMENT},
    {"the first byte of padding not zero", 1, 1, 1, 0, 0, 26, LARDER_INVALID_ARGUMENT},
    {"the last byte of padding not zero", 1, 1, 1, 0, 0, 31, LARDER_INVALID_ARGUMENT},
    {"a del with a value", 2, 1, 1, 0, 0, 0, LARDER_INVALID_ARGUMENT},
    {"a del with a TTL", 2, 1, 0, 1000, 0, 0, LARDER_INVALID_ARGUMENT},
    {"a del with TTL -1", 2, 1, 0, -1, 0, 0, LARDER_INVALID_ARGUMENT},
    {"TTL -2", 1, 1, 1, -2, 0, 0, LARDER_INVALID_ARGUMENT},
    {"the smallest TTL", 1, 1, 1, INT64_MIN, 0, 0, LARDER_INVALID_ARGUMENT},
    {"a TTL that leaves the range", 1, 1, 1, INT64_MAX, 0, 0, LARDER_INVALID_ARGUMENT},
    {"a key of 65,536 bytes", 1, 65536, 1, 0, 0, 0, LARDER_TOO_LARGE},
};

static void every_malformed_entry_is_refused_with_its_offset(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "first", "unchanged", &err));
    for (size_t i = 0; i < sizeof malformed_entries / sizeof *malformed_entries; i++) {
        const struct malformed *wrong = &malformed_entries[i];
        larderx_batch batch = LARDERX_BATCH_INIT;
        unsigned char *zeros = calloc(1, 65536);
        larderx_batch_set(&batch, "first", 5, "changed", 7, 0);
        larderx_batch_del(&batch, "second", 6);
        size_t at = batch.len;
        larderx_batch_set(&batch, zeros, wrong->key_len > 65536 ? 1 : wrong->key_len, zeros,
                          wrong->value_len > 65536 ? 1 : (size_t)wrong->value_len, 0);
        larderx_encode(batch.bytes + at, wrong->op, 4);
        larderx_encode(batch.bytes + at + 4, wrong->key_len, 4);
        larderx_encode(batch.bytes + at + 8, wrong->value_len, 8);
        larderx_encode(batch.bytes + at + 16, (uint64_t)wrong->ttl_ms, 8);
        if (wrong->spoiled_byte > 0) batch.bytes[at + wrong->spoiled_byte] = 1;
        size_t len = wrong->len > 0 ? at + wrong->len : batch.len;
        void *ops = guarded_copy(batch.bytes, len);
        size_t bad_offset = 4711;
        larder_status status = larder_write_packed(db, ops, len, 0, &bad_offset, &err);
        CHECK_SAYING(status == wrong->status, "%s: %s", wrong->what, larder_status_name(status));
        CHECK_SAYING(bad_offset == at, "%s: bad_offset is %zu, not %zu", wrong->what, bad_offset, at);
        CHECK(err.status == status && err.message[0] != '\0');
        IS(wrong->status, larder_write_packed(db, ops, len, 0, NULL, &err));
        IS_BARE(wrong->status, larder_write_packed(db, ops, len, 0, NULL, NULL));
        CHECK_VALUE(db, "first", "unchanged");
        guarded_free(ops, len);
        larderx_batch_free(&batch);
        free(zeros);
    }
    store_close(db);
}

static void lengths_that_wrap_around_are_refused(const char *dir) {
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7,  UINT64_MAX - 23,  UINT64_MAX - 24, UINT64_MAX - 31,
                                       (uint64_t)INT64_MAX, (uint64_t)INT64_MAX + 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1};
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (uint32_t key_len = 0; key_len < 9; key_len++) {
            unsigned char ops[32] = {1};
            larderx_encode(ops + 4, key_len, 4);
            larderx_encode(ops + 8, lengths[i], 8);
            size_t bad_offset = 4711;
            void *guarded = guarded_copy(ops, sizeof ops);
            larder_status status = larder_write_packed(db, guarded, sizeof ops, 0, &bad_offset, &err);
            CHECK_SAYING(status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE, "value_len %llu: %s",
                         (unsigned long long)lengths[i], larder_status_name(status));
            CHECK_U64(0, bad_offset);
            guarded_free(guarded, sizeof ops);
        }
    }
    uint64_t count = 99;
    OK(larder_len(db, &count, &err));
    CHECK_U64(0, count);
    store_close(db);
}

/* ---- batches and readers ------------------------------------------------------------------------ */

struct pair {
    larder *db;
    atomic_bool over;
    bool forwards;
};

static unsigned long long number_of(larder *db, const char *key) {
    larder_error err;
    char buffer[32] = {0};
    size_t need;
    OK(larder_get_into(db, key, 1, buffer, sizeof buffer - 1, &need, &err));
    return strtoull(buffer, NULL, 10);
}

static void *read_pair(void *context) {
    struct pair *pair = context;
    /* What is read second may be newer, never older: a reader saw the whole batch or nothing of it. */
    while (!atomic_load(&pair->over)) {
        unsigned long long first = number_of(pair->db, pair->forwards ? "a" : "b");
        unsigned long long second = number_of(pair->db, pair->forwards ? "b" : "a");
        if (!CHECK_SAYING(second >= first, "a batch of %llu was seen in part: %llu after it", first, second)) break;
    }
    return NULL;
}

static void readers_see_a_batch_whole_or_not_at_all(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL);
    struct pair forwards = {.db = db, .forwards = true}, backwards = {.db = db, .forwards = false};
    pthread_t readers[2];
    larderx_batch batch = LARDERX_BATCH_INIT;
    int64_t deadline = now_ms() + 1000;
    for (unsigned long long n = 1; n < 100000 && now_ms() < deadline; n++) {
        char number[32];
        size_t len = (size_t)snprintf(number, sizeof number, "%llu", n);
        larderx_batch_set(&batch, n % 2 == 0 ? "a" : "b", 1, number, len, 0);
        larderx_batch_set(&batch, n % 2 == 0 ? "b" : "a", 1, number, len, 0);
        OK(larderx_batch_write(&batch, db, 0, &err));
        if (n == 1) {
            REQUIRE(pthread_create(&readers[0], NULL, read_pair, &forwards) == 0);
            REQUIRE(pthread_create(&readers[1], NULL, read_pair, &backwards) == 0);
        }
    }
    atomic_store(&forwards.over, true);
    atomic_store(&backwards.over, true);
    pthread_join(readers[0], NULL);
    pthread_join(readers[1], NULL);
    larderx_batch_free(&batch);
    store_close(db);
}

/* ---- many reads --------------------------------------------------------------------------------- */

static void get_many_answers_in_the_order_of_the_keys(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    store_set_numbered(db, "n", 100, 33);
    OK(larder_set(db, "", 0, "empty key", 9, &err));
    OK(larder_set(db, "empty value", 11, "", 0, &err));
    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_answers answers = LARDERX_ANSWERS_INIT;
    larderx_keys_add(&keys, "missing", 7);
    larderx_keys_add(&keys, NULL, 0);
    larderx_keys_add(&keys, "empty value", 11);
    for (int i = 99; i >= 0; i--) {
        char *key = text("n%d", i);
        larderx_keys_add(&keys, key, strlen(key));
    }
    larderx_keys_add(&keys, "n5", 2);
    OK(larderx_get_many(db, &keys, &answers, &err));
    CHECK_U64(104, answers.buffer.count);
    larder_status status = LARDER_PANIC;
    const void *value = NULL;
    size_t len = 99;
    REQUIRE(larderx_answers_next(&answers, &status, &value, &len));
    CHECK(status == LARDER_NOT_FOUND && len == 0);
    REQUIRE(larderx_answers_next(&answers, &status, &value, &len));
    CHECK_BYTES("empty key", 9, value, len);
    REQUIRE(larderx_answers_next(&answers, &status, &value, &len));
    CHECK(status == LARDER_OK && len == 0);
    for (int i = 99; i >= 0; i--) {
        REQUIRE(larderx_answers_next(&answers, &status, &value, &len));
        CHECK(status == LARDER_OK && len == 33 && filled(value, len, (uint64_t)i));
    }
    REQUIRE(larderx_answers_next(&answers, &status, &value, &len));
    CHECK(status == LARDER_OK && len == 33 && filled(value, len, 5));
    CHECK(!larderx_answers_next(&answers, &status, &value, &len));
    larderx_keys_free(&keys);
    larderx_answers_free(&answers);
    store_close(db);
}

static void get_many_stops_before_the_first_answer_that_does_not_fit(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larder_set(db, "a", 1, "0123456789", 10, &err)); /* an answer of 32 bytes */
    OK(larder_set(db, "b", 1, "01234567", 8, &err));    /* 24 */
    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_keys_add(&keys, "a", 1);
    larderx_keys_add(&keys, "b", 1);
    larderx_keys_add(&keys, "c", 1); /* 16: a status alone */
    static const struct {
        size_t capacity, used, answered;
    } expected[] = {{0, 0, 0}, {15, 0, 0}, {26, 0, 0}, {31, 0, 0}, {32, 32, 1}, {55, 32, 1}, {56, 56, 2}, {71, 56, 2}, {72, 72, 3}, {100, 72, 3}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        size_t used = 4711, answered = 4711;
        void *out = guarded_copy(NULL, expected[i].capacity);
        IS(expected[i].answered == 3 ? LARDER_OK : LARDER_BUFFER_TOO_SMALL,
           larder_get_many_packed(db, keys.bytes, keys.len, out, expected[i].capacity, &used, &answered, &err));
        CHECK_U64(expected[i].used, used);
        CHECK_U64(expected[i].answered, answered);
        guarded_free(out, expected[i].capacity);
    }
    size_t used = 4711, answered = 4711;
    IS(LARDER_BUFFER_TOO_SMALL, larder_get_many_packed(db, keys.bytes, keys.len, NULL, 0, &used, &answered, &err));
    CHECK(used == 0 && answered == 0);
    OK(larder_get_many_packed(db, NULL, 0, NULL, 0, &used, &answered, &err));
    CHECK(used == 0 && answered == 0);

    unsigned char out[72];
    memset(out, 0xee, sizeof out);
    OK(larder_get_many_packed(db, keys.bytes, keys.len, out, sizeof out, &used, &answered, &err));
    static const unsigned char wanted[72] = {[8] = 10,  [16] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
                                             [40] = 8,  [48] = '0', '1', '2', '3', '4', '5', '6', '7',
                                             [56] = LARDER_NOT_FOUND};
    CHECK_BYTES(wanted, sizeof wanted, out, used);
    larderx_keys_free(&keys);
    store_close(db);
}

static void get_many_goes_on_where_it_stopped(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    store_set_numbered(db, "n", 500, 3000);
    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_answers answers = LARDERX_ANSWERS_INIT;
    for (int i = 0; i < 500; i++) {
        char *key = text("n%d", i);
        larderx_keys_add(&keys, key, strlen(key));
    }
    OK(larderx_get_many(db, &keys, &answers, &err));
    CHECK_U64(500, answers.buffer.count);
    larder_status status;
    const void *value;
    size_t len, count = 0;
    while (larderx_answers_next(&answers, &status, &value, &len)) {
        CHECK(status == LARDER_OK && len == 3000 && filled(value, len, count));
        count++;
    }
    CHECK_U64(500, count);
    larderx_keys_free(&keys);
    larderx_answers_free(&answers);
    store_close(db);
}

static void malformed_keys_are_refused_and_nothing_is_answered(const char *dir) {
    static const struct {
        const char *what;
        size_t len;
        unsigned char bytes[24];
    } wrong[] = {
        {"one byte", 1, {1}},
        {"a length alone", 4, {1}},
        {"a key without padding", 5, {1, 0, 0, 0, 'k'}},
        {"padding one byte short", 7, {1, 0, 0, 0, 'k'}},
        {"a key that leaves the buffer", 8, {5, 0, 0, 0, 'k'}},
        {"a length of 2^32 - 1", 8, {255, 255, 255, 255, 'k'}},
        {"the first byte of padding not zero", 8, {1, 0, 0, 0, 'k', 1, 0, 0}},
        {"the last byte of padding not zero", 8, {1, 0, 0, 0, 'k', 0, 0, 1}},
        {"trailing bytes", 12, {1, 0, 0, 0, 'k', 0, 0, 0, 1, 0, 0, 0}},
        {"a wrong second entry", 16, {1, 0, 0, 0, 'k', 0, 0, 0, 9, 0, 0, 0, 'k'}},
    };
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned char out[64];
        size_t used = 4711, answered = 4711;
        void *keys = guarded_copy(wrong[i].bytes, wrong[i].len);
        memset(out, 0xee, sizeof out);
        larder_status status = larder_get_many_packed(db, keys, wrong[i].len, out, sizeof out, &used, &answered, &err);
        CHECK_SAYING(status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE, "%s: %s", wrong[i].what,
                     larder_status_name(status));
        CHECK_SAYING(used == 4711 && answered == 4711 && out[0] == 0xee, "%s: an output was touched", wrong[i].what);
        guarded_free(keys, wrong[i].len);
    }
    store_close(db);
}

const struct check_subject subject_packed = {
    "packed",
    (const struct check_test[]){
        CHECK_TEST(a_batch_sets_and_deletes, CHECK_ANYWHERE),
        CHECK_TEST(an_empty_batch_changes_nothing, CHECK_ANYWHERE),
        CHECK_TEST(members_of_a_batch_get_rising_versions, CHECK_ANYWHERE),
        CHECK_TEST(a_batch_larger_than_a_segment_is_whole, CHECK_TIME),
        CHECK_TEST(only_the_sync_flag_is_known, CHECK_ANYWHERE),
        CHECK_TEST(every_malformed_entry_is_refused_with_its_offset, CHECK_ANYWHERE),
        CHECK_TEST(lengths_that_wrap_around_are_refused, CHECK_ANYWHERE),
        CHECK_TEST(readers_see_a_batch_whole_or_not_at_all, CHECK_TIME),
        CHECK_TEST(get_many_answers_in_the_order_of_the_keys, CHECK_ANYWHERE),
        CHECK_TEST(get_many_stops_before_the_first_answer_that_does_not_fit, CHECK_ANYWHERE),
        CHECK_TEST(get_many_goes_on_where_it_stopped, CHECK_TIME),
        CHECK_TEST(malformed_keys_are_refused_and_nothing_is_answered, CHECK_ANYWHERE),
        CHECK_END,
    },
};
