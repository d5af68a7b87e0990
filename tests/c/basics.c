/* basics.c: one key at a time, and the calls about the whole store. */
#include "store.h"
#include "subjects.h"

static void a_value_comes_back_as_it_was_set(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    void *value = NULL;
    size_t len = 99;
    OK(larder_set(db, "jam", 3, "apricot", 7, &err));
    OK(larder_get(db, "jam", 3, &value, &len, &err));
    CHECK_BYTES("apricot", 7, value, len);
    larder_free(value);
    OK(larder_exists(db, "jam", 3, &err));
    OK(larder_del(db, "jam", 3, &err));
    CHECK_ABSENT(db, "jam");
    IS(LARDER_NOT_FOUND, larder_exists(db, "jam", 3, &err));
    IS(LARDER_NOT_FOUND, larder_del(db, "jam", 3, &err));
    store_close(db);
}

static void a_missing_key_is_not_found_and_outputs_stay_untouched(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    char marker[8] = "marker!";
    void *value = marker;
    size_t len = 4711;
    int64_t ttl_ms = 4711;
    uint64_t version = 4711;
    larder_view view = {.data = marker, .len = 1, .version = 2, .expires_at_ms = 3, .pin = NULL};
    IS(LARDER_NOT_FOUND, larder_get(db, "no", 2, &value, &len, &err));
    CHECK(value == marker && len == 4711);
    IS(LARDER_NOT_FOUND, larder_get_into(db, "no", 2, marker, sizeof marker, &len, &err));
    CHECK(len == 4711 && strcmp(marker, "marker!") == 0);
    IS(LARDER_NOT_FOUND, larder_ttl(db, "no", 2, &ttl_ms, &err));
    CHECK(ttl_ms == 4711);
    IS(LARDER_NOT_FOUND, larder_expire(db, "no", 2, 1000, &err));
    IS(LARDER_NOT_FOUND, larder_set_with(db, "no", 2, "v", 1, 0, LARDER_IF_PRESENT, &version, &err));
    CHECK(version == 4711);
    IS(LARDER_NOT_FOUND, larder_get_view(db, "no", 2, &view, &err));
    CHECK(view.data == marker && view.len == 1 && view.version == 2 && view.expires_at_ms == 3);
    store_close(db);
}

static void an_empty_key_is_a_key(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    size_t need = 0;
    char byte = 0;
    IS(LARDER_NOT_FOUND, larder_exists(db, NULL, 0, &err));
    OK(larder_set(db, NULL, 0, "e", 1, &err));
    OK(larder_get_into(db, "anything", 0, &byte, 1, &need, &err));
    CHECK(byte == 'e' && need == 1);
    OK(larder_del(db, "", 0, &err));
    IS(LARDER_NOT_FOUND, larder_exists(db, NULL, 0, &err));
    store_close(db);
}

static void an_empty_value_is_not_an_absent_one(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    void *value = NULL;
    size_t len = 99;
    OK(larder_set(db, "k", 1, NULL, 0, &err));
    OK(larder_get(db, "k", 1, &value, &len, &err));
    CHECK(value != NULL && len == 0);
    larder_free(value);
    len = 99;
    OK(larder_get_into(db, "k", 1, NULL, 0, &len, &err));
    CHECK_U64(0, len);
    larder_view view = {0};
    OK(larder_get_view(db, "k", 1, &view, &err));
    CHECK_U64(0, view.len);
    larder_view_release(&view);
    store_close(db);
}

static void keys_and_values_are_any_bytes(const char *dir) {
    larder_error err;
    unsigned char every[256];
    for (unsigned i = 0; i < 256; i++) every[i] = (unsigned char)i;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", NULL);
    for (size_t i = 0; i < 256; i++) OK(larder_set(db, &every[i], 1, every, i, &err));
    OK(larder_set(db, every, sizeof every, every, sizeof every, &err));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 256; i++) {
            void *value = NULL;
            size_t len = 0;
            REQUIRE_OK(larder_get(db, &every[i], 1, &value, &len, &err));
            CHECK_BYTES(every, i, value, len);
            larder_free(value);
        }
        OK(larder_exists(db, every, sizeof every, &err));
        store_close(db);
        db = store_open(path, NULL);
    }
    store_close(db);
}

static void lengths_around_every_boundary_come_back(const char *dir) {
    static const size_t lengths[] = {0,    1,    7,     8,     9,     15,    16,    17,     31,    63,    64,     65,      255,     256,
                                     4095, 4096, 4097, 65463, 65464, 65465, 65503, 65504, 65535, 65536, 131072, 1000000, 3000001};
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", NULL);
    unsigned char *value = malloc(3000001);
    REQUIRE(value != NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        fill(value, lengths[i], i);
        OK(larder_set(db, &lengths[i], sizeof lengths[i], value, lengths[i], &err));
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            void *got = NULL;
            size_t len = 0;
            REQUIRE_OK(larder_get(db, &lengths[i], sizeof lengths[i], &got, &len, &err));
            CHECK_U64(lengths[i], len);
            CHECK_SAYING(filled(got, len, i), "value of %zu bytes differs in round %d", lengths[i], round);
            larder_free(got);
        }
        store_close(db);
        db = store_open(path, "segment_size", "64KiB", NULL);
    }
    free(value);
    store_close(db);
}

static void a_key_has_at_most_65535_bytes(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    unsigned char *key = malloc(65536);
    REQUIRE(key != NULL);
    fill(key, 65536, 1);
    OK(larder_set(db, key, 65535, "long", 4, &err));
    size_t need = 0;
    char buffer[4];
    OK(larder_get_into(db, key, 65535, buffer, sizeof buffer, &need, &err));
    CHECK_BYTES("long", 4, buffer, need);

    void *value = NULL;
    int64_t ttl_ms;
    larder_view view = {0};
    larder_cursor *cursor = NULL;
    IS(LARDER_TOO_LARGE, larder_set(db, key, 65536, "v", 1, &err));
    IS(LARDER_TOO_LARGE, larder_get(db, key, 65536, &value, &need, &err));
    IS(LARDER_TOO_LARGE, larder_get_into(db, key, 65536, buffer, sizeof buffer, &need, &err));
    IS(LARDER_TOO_LARGE, larder_del(db, key, 65536, &err));
    IS(LARDER_TOO_LARGE, larder_exists(db, key, 65536, &err));
    IS(LARDER_TOO_LARGE, larder_set_with(db, key, 65536, "v", 1, 0, 0, NULL, &err));
    IS(LARDER_TOO_LARGE, larder_ttl(db, key, 65536, &ttl_ms, &err));
    IS(LARDER_TOO_LARGE, larder_expire(db, key, 65536, 1, &err));
    IS(LARDER_TOO_LARGE, larder_get_view(db, key, 65536, &view, &err));
    IS(LARDER_TOO_LARGE, larder_cursor_open(db, key, 65536, &cursor, &err));
    larderx_batch batch = LARDERX_BATCH_INIT;
    CHECK(larderx_batch_set(&batch, key, 65536, "v", 1, 0) == LARDER_OK);
    IS(LARDER_TOO_LARGE, larderx_batch_write(&batch, db, 0, &err));
    larderx_batch_free(&batch);
    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_answers answers = LARDERX_ANSWERS_INIT;
    larderx_keys_add(&keys, key, 65536);
    IS(LARDER_TOO_LARGE, larderx_get_many(db, &keys, &answers, &err));
    larderx_keys_free(&keys);
    larderx_answers_free(&answers);
    free(key);
    store_close(db);
}

static void a_value_over_the_limit_is_refused_before_it_is_read(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    IS(LARDER_TOO_LARGE, larder_set(db, "k", 1, forbidden_page(), (size_t)UINT32_MAX + 1, &err));
    CHECK_ABSENT(db, "k");
    store_close(db);
}

static void overwriting_replaces_the_value(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    for (int i = 0; i < 200; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        OK(larderx_set_str(db, "counter", value, &err));
        CHECK_VALUE(db, "counter", value);
    }
    uint64_t count = 0;
    OK(larder_len(db, &count, &err));
    CHECK_U64(1, count);
    store_close(db);
}

static void get_into_says_the_need_and_leaves_a_small_buffer_alone(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larder_set(db, "k", 1, "0123456789", 10, &err));
    char buffer[16];
    for (size_t capacity = 0; capacity <= sizeof buffer; capacity++) {
        size_t need = 0;
        memset(buffer, '#', sizeof buffer);
        if (capacity < 10) {
            IS(LARDER_BUFFER_TOO_SMALL, larder_get_into(db, "k", 1, buffer, capacity, &need, &err));
            CHECK_BYTES("################", 16, buffer, sizeof buffer);
        } else {
            OK(larder_get_into(db, "k", 1, buffer, capacity, &need, &err));
            CHECK_BYTES("0123456789######", 16, buffer, sizeof buffer);
        }
        CHECK_U64(10, need);
    }
    size_t need = 0;
    IS(LARDER_BUFFER_TOO_SMALL, larder_get_into(db, "k", 1, NULL, 0, &need, &err));
    CHECK_U64(10, need);
    store_close(db);
}

static void contents_survive_close_and_open(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 2000, 100);
    OK(larderx_set_str(db, "gone", "x", &err));
    OK(larderx_del_str(db, "gone", &err));
    for (int round = 0; round < 3; round++) {
        store_close(db);
        db = store_open(path, "create", "false", NULL);
        store_check_numbered(db, "n", 2000, 100);
        CHECK_ABSENT(db, "gone");
        uint64_t count = 0;
        OK(larder_len(db, &count, &err));
        CHECK_U64(2000, count);
    }
    store_close(db);
}

static void compaction_keeps_what_lives_and_drops_what_is_dead(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", "compaction", "manual", NULL);
    for (int round = 0; round < 5; round++) store_set_numbered(db, "n", 1000, 500);
    store_set_numbered(db, "d", 1000, 500);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "d%d", i);
        OK(larderx_del_str(db, key, &err));
    }
    uint64_t before = store_disk_bytes(path);
    OK(larder_compact(db, &err));
    uint64_t after = store_disk_bytes(path);
    CHECK_SAYING(after < before / 2, "%llu bytes before, %llu after", (unsigned long long)before,
                 (unsigned long long)after);
    for (int round = 0; round < 2; round++) {
        store_check_numbered(db, "n", 1000, 500);
        for (int i = 0; i < 1000; i += 37) CHECK_ABSENT(db, text("d%d", i));
        uint64_t bad_records = 99;
        OK(larder_verify(db, &bad_records, &err));
        CHECK_U64(0, bad_records);
        store_close(db);
        db = store_open(path, NULL);
    }
    store_close(db);
}

static void stats_fill_the_struct_that_the_caller_has(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "a", "1", &err));
    CHECK_VALUE(db, "a", "1");
    CHECK_ABSENT(db, "b");

    larder_stats stats = {.struct_size = sizeof stats};
    OK(larder_stats_get(db, &stats, &err));
    CHECK_U64(1, stats.keys);
    CHECK_U64(1, stats.sets);
    CHECK_U64(2, stats.gets);
    CHECK_U64(1, stats.hits);
    CHECK(stats.live_bytes > 0 && stats.file_bytes >= stats.live_bytes && stats.segments >= 1);
    CHECK_U64(sizeof stats, stats.struct_size);

    /* A newer caller: what the library does not know is zeroed. */
    struct {
        larder_stats known;
        unsigned char beyond[64];
    } newer;
    memset(&newer, 0xee, sizeof newer);
    newer.known.struct_size = sizeof newer;
    OK(larder_stats_get(db, &newer.known, &err));
    CHECK_U64(1, newer.known.keys);
    for (size_t i = 0; i < sizeof newer.beyond; i++) CHECK_U64(0, newer.beyond[i]);

    /* An older caller: nothing is written beyond what it has. */
    for (uint32_t size = 8; size < sizeof stats; size += 4) {
        memset(&stats, 0xee, sizeof stats);
        stats.struct_size = size;
        OK(larder_stats_get(db, &stats, &err));
        for (size_t i = size; i < sizeof stats; i++) {
            if (!CHECK_U64(0xee, ((unsigned char *)&stats)[i])) break;
        }
        if (size >= 16) CHECK_U64(1, stats.keys);
    }
    for (uint32_t size = 0; size < 8; size++) {
        stats.struct_size = size;
        IS(LARDER_INVALID_ARGUMENT, larder_stats_get(db, &stats, &err));
    }
    store_close(db);
}

static void the_wrapper_header_does_what_it_says(const char *dir) {
    larder_error err;
    static const char *const options[] = {"sync", "none", "create", "true", NULL};
    static const char *const wrong[] = {"colour", "blue", NULL};
    larder *db = NULL;
    char *value = NULL;
    IS(LARDER_INVALID_ARGUMENT, larderx_open(path_of(dir, "s"), wrong, &db, &err));
    OK(larderx_open(path_of(dir, "s"), options, &db, &err));
    OK(larderx_set_str(db, "short", "value", &err));
    OK(larderx_get_str(db, "short", &value, &err));
    CHECK(strcmp(value, "value") == 0);
    free(value);
    char *long_value = malloc(100001);
    REQUIRE(long_value != NULL);
    memset(long_value, 'x', 100000);
    long_value[100000] = '\0';
    OK(larderx_set_str(db, "long", long_value, &err));
    OK(larderx_get_str(db, "long", &value, &err));
    CHECK(strcmp(value, long_value) == 0);
    free(value);
    free(long_value);
    value = NULL;
    IS(LARDER_NOT_FOUND, larderx_get_str(db, "none", &value, &err));
    IS(LARDER_INVALID_ARGUMENT, larderx_get_str(db, NULL, &value, &err));
    IS(LARDER_INVALID_ARGUMENT, larderx_set_str(db, NULL, "v", &err));
    IS(LARDER_INVALID_ARGUMENT, larderx_get_str(db, "short", NULL, &err));
    CHECK(value == NULL);
    OK(larderx_set_str_ttl(db, "brief", "v", 60000, &err));
    int64_t ttl_ms = 0;
    OK(larder_ttl(db, "brief", 5, &ttl_ms, &err));
    CHECK(ttl_ms > 0 && ttl_ms <= 60000);
    OK(larderx_exists_str(db, "brief", &err));

    char printed[512] = {0};
    FILE *out = fmemopen(printed, sizeof printed, "w");
    REQUIRE(out != NULL);
    IS(LARDER_INVALID_ARGUMENT, larder_get(db, NULL, 3, NULL, NULL, &err));
    larderx_print_error(out, "reading", &err);
    fclose(out);
    CHECK(strncmp(printed, "reading: LARDER_INVALID_ARGUMENT: ", 34) == 0 && strchr(printed, '\n') != NULL);

    larderx_batch batch = LARDERX_BATCH_INIT;
    CHECK(larderx_batch_set(&batch, NULL, 3, "v", 1, 0) == LARDER_INVALID_ARGUMENT);
    CHECK(larderx_batch_set(&batch, "k", 1, "v", 1, 0) == LARDER_INVALID_ARGUMENT);
    IS(LARDER_INVALID_ARGUMENT, larderx_batch_write(&batch, db, 0, &err));
    larderx_batch_reset(&batch);
    CHECK(larderx_batch_set(&batch, "k", 1, "v", 1, 0) == LARDER_OK);
    OK(larderx_batch_write(&batch, db, 0, &err));
    CHECK_U64(0, batch.count);
    CHECK_VALUE(db, "k", "v");
    larderx_batch_free(&batch);
    {
        LARDERX_AUTO(cursor) larder_cursor *cursor = NULL;
        LARDERX_AUTO(view) larder_view view = {0};
        LARDERX_AUTO(buffer) void *buffer = NULL;
        size_t len;
        OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
        OK(larder_get_view(db, "k", 1, &view, &err));
        OK(larder_get(db, "k", 1, &buffer, &len, &err));
        LARDERX_AUTO(db) larder *closed_at_the_end = db;
        db = NULL;
    }
    OK(larderx_open(path_of(dir, "s"), options, &db, &err));
    OK(larderx_close(&db, &err));
    CHECK(db == NULL);
    OK(larderx_close(&db, &err));
}

const struct check_subject subject_basics = {
    "basics",
    (const struct check_test[]){
        CHECK_TEST(a_value_comes_back_as_it_was_set, CHECK_ANYWHERE),
        CHECK_TEST(a_missing_key_is_not_found_and_outputs_stay_untouched, CHECK_ANYWHERE),
        CHECK_TEST(an_empty_key_is_a_key, CHECK_ANYWHERE),
        CHECK_TEST(an_empty_value_is_not_an_absent_one, CHECK_ANYWHERE),
        CHECK_TEST(keys_and_values_are_any_bytes, CHECK_ANYWHERE),
        CHECK_TEST(lengths_around_every_boundary_come_back, CHECK_TIME),
        CHECK_TEST(a_key_has_at_most_65535_bytes, CHECK_ANYWHERE),
        CHECK_TEST(a_value_over_the_limit_is_refused_before_it_is_read, CHECK_ANYWHERE),
        CHECK_TEST(overwriting_replaces_the_value, CHECK_ANYWHERE),
        CHECK_TEST(get_into_says_the_need_and_leaves_a_small_buffer_alone, CHECK_ANYWHERE),
        CHECK_TEST(contents_survive_close_and_open, CHECK_TIME),
        CHECK_TEST(compaction_keeps_what_lives_and_drops_what_is_dead, CHECK_TIME),
        CHECK_TEST(stats_fill_the_struct_that_the_caller_has, CHECK_ANYWHERE),
        CHECK_TEST(the_wrapper_header_does_what_it_says, CHECK_ANYWHERE),
        CHECK_END,
    },
};
