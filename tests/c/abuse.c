/* abuse.c: wrong arguments, all of them. A status comes back, nothing is touched, the store is unharmed. */
#include "store.h"
#include "subjects.h"

/* ---- NULL --------------------------------------------------------------------------------------- */

static void every_pointer_may_be_null(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    larder_options *options = larder_options_new();
    larder_cursor *cursor = NULL;
    void *value = NULL;
    size_t len = 0, other_len = 0;
    int64_t ttl_ms = 0;
    uint64_t count = 0;
    char buffer[8];
    larder_stats stats = {.struct_size = sizeof stats};
    larder_view view = {0};
    const unsigned char *bytes = (const unsigned char *)"\1\0\0\0k\0\0\0";
    const void *key = NULL, *borrowed = NULL;
    OK(larderx_set_str(db, "k", "v", &err));
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));

    larder *out = NULL;
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(NULL, "sync", "none", &err));
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, NULL, "none", &err));
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, "sync", NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_open(NULL, options, &out, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_open(path_of(dir, "never"), options, NULL, &err));
    IS(LARDER_IO, larder_open(path_of(dir, "never/s"), NULL, &out, &err)); /* and made nothing */

    store_check_every_call(NULL, LARDER_INVALID_ARGUMENT);
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(NULL, &key, &len, &borrowed, &other_len, &err));

    IS(LARDER_INVALID_ARGUMENT, larder_set(db, NULL, 1, "v", 1, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_set(db, "k", 1, NULL, 1, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get(db, NULL, 1, &value, &len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get(db, "k", 1, NULL, &len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get(db, "k", 1, &value, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_del(db, NULL, 1, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_into(db, NULL, 1, buffer, 8, &len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_into(db, "k", 1, NULL, 8, &len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_into(db, "k", 1, buffer, 8, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_exists(db, NULL, 1, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_set_with(db, NULL, 1, "v", 1, 0, 0, &count, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_set_with(db, "k", 1, NULL, 1, 0, 0, &count, &err));
    OK(larder_set_with(db, "k", 1, "v", 1, 0, 0, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_ttl(db, NULL, 1, &ttl_ms, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_ttl(db, "k", 1, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_expire(db, NULL, 1, 1, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_len(db, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_verify(db, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_stats_get(db, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_open(db, NULL, 1, &cursor, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_open(db, NULL, 0, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, NULL, &len, &borrowed, &other_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_cursor_next(cursor, &key, NULL, &borrowed, &other_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_write_packed(db, NULL, 8, 0, &len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_many_packed(db, NULL, 8, buffer, 8, &len, &other_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_many_packed(db, bytes, 8, NULL, 8, &len, &other_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_many_packed(db, bytes, 8, buffer, 8, NULL, &other_len, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_many_packed(db, bytes, 8, buffer, 8, &len, NULL, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_view(db, NULL, 1, &view, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_get_view(db, "k", 1, NULL, &err));
    larder_options_free(NULL);
    larder_cursor_close(NULL);
    larder_view_release(NULL);
    larder_free(NULL);

    /* And err itself, where the call fails and where it does not. */
    IS_BARE(LARDER_INVALID_ARGUMENT, larder_options_set(options, "colour", "blue", NULL));
    IS_BARE(LARDER_OK, larder_options_set(options, "sync", "none", NULL));
    IS_BARE(LARDER_INVALID_ARGUMENT, larder_open(NULL, NULL, NULL, NULL));
    IS_BARE(LARDER_INVALID_ARGUMENT, larder_cursor_next(NULL, NULL, NULL, NULL, NULL, NULL));
    for (size_t i = 0; i < STORE_CALL_COUNT; i++) {
        IS_BARE(LARDER_OK, larder_set(db, "k", 1, "v", 1, NULL));
        CHECK_SAYING(store_calls[i].run(db, NULL) == LARDER_OK, "%s without an err", store_calls[i].name);
    }

    OK(larderx_set_str(db, "k", "v", &err));
    CHECK_VALUE(db, "k", "v");
    larder_options_free(options);
    larder_cursor_close(cursor);
    store_close(db);
}

/* ---- lengths ------------------------------------------------------------------------------------ */

static void impossible_lengths_are_refused_before_the_pointer_is_touched(const char *dir) {
    static const size_t lengths[] = {65536, (size_t)UINT32_MAX + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 7, SIZE_MAX};
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    void *there = forbidden_page();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t len = lengths[i], need = 4711, answered = 4711;
        void *value = NULL;
        char buffer[8];
        int64_t ttl_ms;
        larder_view view = {0};
        larder_cursor *cursor = NULL;
        /* As a key. */
        IS(LARDER_TOO_LARGE, larder_set(db, there, len, "v", 1, &err));
        IS(LARDER_TOO_LARGE, larder_set_with(db, there, len, "v", 1, 0, 0, NULL, &err));
        IS(LARDER_TOO_LARGE, larder_get(db, there, len, &value, &need, &err));
        IS(LARDER_TOO_LARGE, larder_get_into(db, there, len, buffer, 8, &need, &err));
        IS(LARDER_TOO_LARGE, larder_del(db, there, len, &err));
        IS(LARDER_TOO_LARGE, larder_exists(db, there, len, &err));
        IS(LARDER_TOO_LARGE, larder_ttl(db, there, len, &ttl_ms, &err));
        IS(LARDER_TOO_LARGE, larder_expire(db, there, len, 1, &err));
        IS(LARDER_TOO_LARGE, larder_get_view(db, there, len, &view, &err));
        IS(LARDER_TOO_LARGE, larder_cursor_open(db, there, len, &cursor, &err));
        CHECK(need == 4711 && value == NULL && cursor == NULL);
        if (len <= UINT32_MAX) continue;
        /* As a value. */
        IS(LARDER_TOO_LARGE, larder_set(db, "k", 1, there, len, &err));
        IS(LARDER_TOO_LARGE, larder_set_with(db, "k", 1, there, len, 0, 0, NULL, &err));
        /* As a packed buffer: no object is that large. */
        if (len <= SIZE_MAX / 2) continue;
        size_t bad_offset = 4711;
        larder_status status = larder_write_packed(db, there, len, 0, &bad_offset, &err);
        CHECK_SAYING(status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE, "%s", larder_status_name(status));
        status = larder_get_many_packed(db, there, len, buffer, 8, &need, &answered, &err);
        CHECK_SAYING(status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE, "%s", larder_status_name(status));
        CHECK(need == 4711 && answered == 4711);
    }
    CHECK_VALUE(db, "k", "v");
    store_close(db);
}

/* A capacity is a promise that the library need not use: either it is refused, or the answer is right. */
static void an_impossible_capacity_is_refused_or_right(const char *dir) {
    static const size_t capacities[] = {65536, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX};
    static const unsigned char keys[8] = {1, 0, 0, 0, 'k'};
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "value", &err));
    unsigned char *buffer = malloc(65536);
    REQUIRE(buffer != NULL);
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        size_t need = 4711, used = 4711, answered = 4711;
        memset(buffer, 0xee, 64);
        memset(&err, 0x5a, sizeof err);
        larder_status status = larder_get_into(db, "k", 1, buffer, capacities[i], &need, &err);
        CHECK(err.status == status);
        if (status == LARDER_OK) CHECK_BYTES("value\xee", 6, buffer, need + 1);
        else CHECK(status == LARDER_INVALID_ARGUMENT && capacities[i] > SIZE_MAX / 2 && buffer[0] == 0xee);
        status = larder_get_many_packed(db, keys, sizeof keys, buffer, capacities[i], &used, &answered, &err);
        if (status == LARDER_OK) CHECK(used == 24 && answered == 1 && memcmp(buffer + 16, "value", 5) == 0);
        else CHECK(status == LARDER_INVALID_ARGUMENT && capacities[i] > SIZE_MAX / 2);
    }
    free(buffer);
    store_close(db);
}

static void every_length_up_to_the_limits_is_taken_and_not_one_byte_more_is_read(const char *dir) {
    static const size_t lengths[] = {0, 1, 7, 8, 9, 4095, 4096, 4097, 65535};
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t key_len = lengths[i];
        void *key = guarded_copy(NULL, key_len);
        fill(key, key_len, i);
        for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
            size_t value_len = lengths[j];
            void *value = guarded_copy(NULL, value_len);
            fill(value, value_len, j);
            REQUIRE_OK(larder_set(db, key, key_len, value, value_len, &err));
            /* Read into exactly as much as is needed: a byte beyond it would be a crash. */
            memset(value, 0, value_len);
            size_t need = 0;
            REQUIRE_OK(larder_get_into(db, key, key_len, value, value_len, &need, &err));
            CHECK(need == value_len && filled(value, value_len, j));
            guarded_free(value, value_len);
        }
        OK(larder_exists(db, key, key_len, &err));
        OK(larder_expire(db, key, key_len, 60000, &err));
        OK(larder_del(db, key, key_len, &err));
        guarded_free(key, key_len);
    }
    store_close(db);
}

/* ---- rubbish ------------------------------------------------------------------------------------ */

/* Valid buffers with some bytes changed, at the edge of an unreadable page. */
static void packed_rubbish_is_answered_with_a_status(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", "max_size", "4MiB", NULL);
    struct chance chance = {4711};
    unsigned accepted = 0;
    for (int i = 0; i < 3000; i++) {
        larderx_batch batch = LARDERX_BATCH_INIT;
        larderx_keys keys = LARDERX_KEYS_INIT;
        unsigned char value[64];
        for (uint64_t entry = 0, count = 1 + chance_below(&chance, 4); entry < count; entry++) {
            fill(value, sizeof value, entry);
            if (chance_below(&chance, 3) == 0) larderx_batch_del(&batch, value, chance_below(&chance, 20));
            else larderx_batch_set(&batch, value, chance_below(&chance, 20), value, chance_below(&chance, 64), 0);
            larderx_keys_add(&keys, value, chance_below(&chance, 20));
        }
        size_t ops_len = batch.len, keys_len = keys.len;
        for (uint64_t damage = chance_below(&chance, 4); damage > 0; damage--) {
            static const unsigned char odd[] = {0, 1, 2, 3, 0x7f, 0x80, 0xff};
            batch.bytes[chance_below(&chance, batch.len)] = odd[chance_below(&chance, sizeof odd)];
            keys.bytes[chance_below(&chance, keys.len)] = odd[chance_below(&chance, sizeof odd)];
        }
        if (chance_below(&chance, 4) == 0) {
            ops_len = chance_below(&chance, ops_len + 1);
            keys_len = chance_below(&chance, keys_len + 1);
        }
        void *ops = guarded_copy(batch.bytes, ops_len), *asked = guarded_copy(keys.bytes, keys_len);
        size_t bad_offset = 0, used = 0, answered = 0, capacity = chance_below(&chance, 300);
        void *out = guarded_copy(NULL, capacity);
        memset(&err, 0x5a, sizeof err);
        larder_status status = larder_write_packed(db, ops, ops_len, 0, &bad_offset, &err);
        CHECK_SAYING(status == LARDER_OK || status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE ||
                         status == LARDER_NO_SPACE,
                     "%s: %s", larder_status_name(status), err.message);
        if (status == LARDER_INVALID_ARGUMENT) CHECK(bad_offset <= ops_len && bad_offset % 8 == 0);
        accepted += status == LARDER_OK;
        status = larder_get_many_packed(db, asked, keys_len, out, capacity, &used, &answered, &err);
        CHECK_SAYING(status == LARDER_OK || status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE ||
                         status == LARDER_BUFFER_TOO_SMALL,
                     "%s", larder_status_name(status));
        CHECK(used <= capacity && used % 8 == 0);
        guarded_free(ops, ops_len);
        guarded_free(asked, keys_len);
        guarded_free(out, capacity);
        larderx_batch_free(&batch);
        larderx_keys_free(&keys);
    }
    CHECK_SAYING(accepted > 300, "only %u of 3,000 buffers were well formed: the test tests little", accepted);
    uint64_t bad_records = 99;
    OK(larder_verify(db, &bad_records, &err));
    CHECK_U64(0, bad_records);
    store_close(db);
}

const struct check_subject subject_abuse = {
    "abuse",
    (const struct check_test[]){
        CHECK_TEST(every_pointer_may_be_null, CHECK_ANYWHERE),
        CHECK_TEST(impossible_lengths_are_refused_before_the_pointer_is_touched, CHECK_ANYWHERE),
        CHECK_TEST(an_impossible_capacity_is_refused_or_right, CHECK_ANYWHERE),
        CHECK_TEST(every_length_up_to_the_limits_is_taken_and_not_one_byte_more_is_read, CHECK_ANYWHERE),
        CHECK_TEST(packed_rubbish_is_answered_with_a_status, CHECK_TIME),
        CHECK_END,
    },
};
