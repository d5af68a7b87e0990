/*
 * A program that was compiled once, against larder.h 0.1.0, and is kept as it was: client-0.1.0 beside this file. It has to
 * run with every later library that calls itself liblarder.so.0, so what it does is what such programs rely on: every
 * function, status number, struct layout and packed layout of that version.
 *
 * It is not compiled again when the library changes. A later version adds a client of its own. build.sh made the binary.
 *
 *   client DIRECTORY    works in a directory that is not there yet; "N passed, M failed"
 */
#include <larder.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(int holds, const char *what) {
    if (holds) {
        passed++;
    } else {
        failed++;
        printf("FAILED: %s\n", what);
    }
}

#define CHECK(condition) check((condition) != 0, #condition)

static void about_the_library(void) {
    /* The numbers of 0.1.0, not the header's names: a later header could have changed those. */
    CHECK(larder_abi_version() == 0);
    CHECK(larder_version_number() >= 0x000100);
    CHECK(strchr(larder_version_string(), '.') != NULL);
    CHECK(strcmp(larder_status_name(0), "LARDER_OK") == 0);
    CHECK(strcmp(larder_status_name(1), "LARDER_NOT_FOUND") == 0);
    CHECK(strcmp(larder_status_name(6), "LARDER_BUFFER_TOO_SMALL") == 0);
    CHECK(strcmp(larder_status_name(100), "LARDER_INVALID_ARGUMENT") == 0);
    CHECK(strcmp(larder_status_name(103), "LARDER_CLOSED") == 0);
    CHECK(strcmp(larder_status_name(113), "LARDER_PANIC") == 0);
}

static larder *opened(const char *location) {
    larder_error err;
    larder *db = NULL;
    larder_options *options = larder_options_new();
    CHECK(options != NULL);
    CHECK(larder_options_set(options, "sync", "interval:100", &err) == 0 && err.message[0] == 0);
    CHECK(larder_options_set(options, "segment_size", "1MiB", NULL) == 0);
    CHECK(larder_options_set(options, "max_size", "1GiB", NULL) == 0);
    CHECK(larder_options_set(options, "verify_reads", "all", NULL) == 0);
    CHECK(larder_options_set(options, "compaction", "manual", NULL) == 0);
    CHECK(larder_options_set(options, "create", "true", NULL) == 0);
    CHECK(larder_options_set(options, "read_only", "false", NULL) == 0);
    CHECK(larder_options_set(options, "no such option", "1", &err) == 100 && err.status == 100 && err.message[0] != 0);
    CHECK(larder_open(location, options, &db, &err) == 0 && db != NULL);
    larder_options_free(options);
    return db;
}

static void one_key(larder *db) {
    larder_error err;
    void *value = NULL;
    size_t len = 0, need = 0;
    char buffer[8] = "-------";
    uint64_t version = 0, later = 0;
    int64_t ttl_ms = 0;
    CHECK(larder_set(db, "jam", 3, "apricot", 7, &err) == 0);
    CHECK(larder_get(db, "jam", 3, &value, &len, &err) == 0 && len == 7 && memcmp(value, "apricot", 7) == 0);
    larder_free(value);
    CHECK(larder_get(db, "tea", 3, &value, &len, &err) == 1 && err.status == 1);
    CHECK(larder_get_into(db, "jam", 3, buffer, 3, &need, &err) == 6 && need == 7 && buffer[0] == '-');
    CHECK(larder_get_into(db, "jam", 3, buffer, sizeof buffer, &need, NULL) == 0 && memcmp(buffer, "apricot", 7) == 0);
    CHECK(larder_exists(db, "jam", 3, NULL) == 0 && larder_exists(db, "tea", 3, NULL) == 1);
    CHECK(larder_set_with(db, "jam", 3, "x", 1, 0, 1, &version, NULL) == 3 && version == 0);
    CHECK(larder_set_with(db, "tea", 3, "x", 1, 0, 2, NULL, NULL) == 1);
    CHECK(larder_set_with(db, "tea", 3, "green", 5, 60000, 1 | 4, &version, &err) == 0 && version > 0);
    CHECK(larder_set_with(db, "tea", 3, "black", 5, -1, 2, &later, &err) == 0 && later > version);
    CHECK(larder_ttl(db, "tea", 3, &ttl_ms, &err) == 0 && ttl_ms > 0 && ttl_ms <= 60000);
    CHECK(larder_expire(db, "tea", 3, -1, &err) == 0 && larder_ttl(db, "tea", 3, &ttl_ms, NULL) == 0 && ttl_ms == -1);
    CHECK(larder_expire(db, "tea", 3, 0, NULL) == 0 && larder_exists(db, "tea", 3, NULL) == 1);
    CHECK(larder_set(db, NULL, 3, "x", 1, &err) == 100 && err.offset == 0 && err.os_errno == 0);
    CHECK(larder_set(db, NULL, 0, NULL, 0, NULL) == 0 && larder_del(db, NULL, 0, NULL) == 0 && larder_del(db, NULL, 0, NULL) == 1);
}

static size_t put(unsigned char *at, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) at[i] = (unsigned char)(number >> (8 * i));
    return bytes;
}

/* { u32 op, u32 key_len, u64 value_len, i64 ttl_ms, key, value, zeros to 8 } with keys and values of up to 8 bytes together. */
static size_t operation(unsigned char *at, unsigned op, const char *key, const char *value) {
    size_t key_len = strlen(key), value_len = strlen(value), n = 0;
    memset(at, 0, 40);
    n += put(at + n, op, 4);
    n += put(at + n, key_len, 4);
    n += put(at + n, value_len, 8);
    n += put(at + n, 0, 8);
    memcpy(at + n, key, key_len);
    memcpy(at + n + key_len, value, value_len);
    return 32;
}

static void many_at_once(larder *db) {
    larder_error err;
    unsigned char ops[256], keys[64] = {0}, out[256];
    size_t len = 0, used = 0, answered = 0, bad_offset = 77;
    len += operation(ops + len, 1, "a", "one");
    len += operation(ops + len, 1, "b", "two");
    len += operation(ops + len, 2, "jam", "");
    CHECK(larder_write_packed(db, ops, len, 4, &bad_offset, &err) == 0 && bad_offset == 77);
    ops[32] = 9;
    CHECK(larder_write_packed(db, ops, len, 0, &bad_offset, &err) == 100 && bad_offset == 32);
    len = 0;
    for (const char *key = "abc"; *key; key++, len += 8) {
        put(keys + len, 1, 4);
        keys[len + 4] = (unsigned char)*key;
    }
    CHECK(larder_get_many_packed(db, keys, len, out, sizeof out, &used, &answered, &err) == 0);
    CHECK(answered == 3 && used == 24 + 24 + 16 && memcmp(out + 16, "one", 3) == 0 && memcmp(out + 40, "two", 3) == 0 && out[48] == 1);
    CHECK(larder_get_many_packed(db, keys, len, out, 25, &used, &answered, &err) == 6 && answered == 1 && used == 24);
}

static void all_keys(larder *db) {
    larder_cursor *cursor = NULL;
    const void *key = NULL, *value = NULL;
    size_t key_len = 0, value_len = 0;
    int seen = 0;
    uint64_t count = 0;
    CHECK(larder_cursor_open(db, NULL, 0, &cursor, NULL) == 0);
    while (larder_cursor_next(cursor, &key, &key_len, &value, &value_len, NULL) == 0) seen += key_len == 1 && value_len == 3;
    CHECK(seen == 2 && larder_cursor_next(cursor, &key, &key_len, NULL, NULL, NULL) == 5);
    larder_cursor_close(cursor);
    CHECK(larder_len(db, &count, NULL) == 0 && count >= 2);
}

static void the_whole_store(larder *db) {
    /* Longer than the library may know, and shorter than it may have grown to: it fills what is there, and not a byte more. */
    struct {
        larder_stats stats;
        unsigned char behind[16];
    } both;
    uint64_t bad_records = 77;
    memset(&both, 0xAA, sizeof both);
    both.stats.struct_size = sizeof both.stats;
    CHECK(sizeof both.stats == 136);
    CHECK(larder_stats_get(db, &both.stats, NULL) == 0 && both.behind[0] == 0xAA && both.behind[15] == 0xAA);
    CHECK(both.stats.struct_size == 136 && both.stats.keys >= 2 && both.stats.segments >= 1 && both.stats.sets >= 5);
    CHECK(larder_verify(db, &bad_records, NULL) == 0 && bad_records == 0);
    CHECK(larder_sync(db, NULL) == 0 && larder_compact(db, NULL) == 0);
}

static void a_view_and_the_end(larder *db, const char *location) {
    larder_view view;
    larder_error err;
    larder *again = NULL;
    CHECK(sizeof view == 40 && sizeof err == 256);
    CHECK(larder_get_view(db, "a", 1, &view, &err) == 0 && view.len == 3 && view.version > 0 && view.expires_at_ms == 0 && view.pin != NULL);
    CHECK(larder_open(location, NULL, &again, &err) == 102 && again == NULL && err.message[0] != 0);
    CHECK(larder_close(db, &err) == 0 && larder_close(db, NULL) == 103 && larder_set(db, "a", 1, "b", 1, NULL) == 103);
    CHECK(memcmp(view.data, "one", 3) == 0);
    larder_view_release(&view);
    CHECK(view.pin == NULL && view.data == NULL);
    larder_view_release(&view);
    CHECK(larder_open(location, NULL, &again, &err) == 0 && larder_exists(again, "b", 1, NULL) == 0);
    CHECK(larder_close(again, NULL) == 0 && larder_close(NULL, NULL) == 0);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: client DIRECTORY\n");
        return 2;
    }
    about_the_library();
    larder *db = opened(argv[1]);
    if (db != NULL) {
        one_key(db);
        many_at_once(db);
        all_keys(db);
        the_whole_store(db);
        a_view_and_the_end(db, argv[1]);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 50 ? 0 : 1;
}
