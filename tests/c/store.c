/* store.c: what store.h declares. */
#include "store.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>

bool check_status(larder_status want, larder_status got, const larder_error *err, const char *file, int line,
                  const char *call) {
    const char *message = err == NULL || memchr(err->message, 0, sizeof err->message) == NULL ? "" : err->message;
    bool holds = check_claim(want == got, file, line, "%s is %s, not %s: %s", call, larder_status_name(got),
                             larder_status_name(want), message);
    if (err == NULL) return holds;
    holds &= check_claim(err->status == got, file, line, "%s returns %d, and err->status is %d", call, got, err->status);
    holds &= check_claim(memchr(err->message, 0, sizeof err->message) != NULL, file, line,
                         "%s: the message has no end", call);
    holds &= check_claim((got == LARDER_OK) == (message[0] == '\0'), file, line,
                         "%s returns %s with the message \"%s\"", call, larder_status_name(got), message);
    holds &= check_claim(got >= 100 || err->os_errno == 0, file, line, "%s: os_errno is %d with %s", call,
                         err->os_errno, larder_status_name(got));
    holds &= check_claim(got == LARDER_CORRUPT || err->offset == 0, file, line, "%s: offset is %llu with %s", call,
                         (unsigned long long)err->offset, larder_status_name(got));
    return holds;
}

bool check_value(larder *db, const char *key, const char *value, const char *file, int line) {
    larder_error err;
    void *got = NULL;
    size_t got_len = 0;
    larder_status status = larder_get(db, key, strlen(key), &got, &got_len, &err);
    bool holds = check_status(value == NULL ? LARDER_NOT_FOUND : LARDER_OK, status, &err, file, line, key);
    if (holds && value != NULL) holds = check_claim_bytes(value, strlen(value), got, got_len, file, line, key);
    larder_free(got);
    return holds;
}

larder *store_open(const char *path, ...) {
    const char *options[17] = {NULL};
    larder_error err;
    larder *db = NULL;
    va_list arguments;
    va_start(arguments, path);
    for (size_t i = 0; i < 16; i++) {
        options[i] = va_arg(arguments, const char *);
        if (options[i] == NULL) break;
    }
    va_end(arguments);
    REQUIRE_OK(larderx_open(path, options, &db, &err));
    REQUIRE(db != NULL);
    return db;
}

void store_close(larder *db) {
    larder_error err;
    OK(larder_close(db, &err));
}

void store_set_numbered(larder *db, const char *prefix, uint64_t count, size_t value_len) {
    larder_error err;
    unsigned char *value = malloc(value_len + 1);
    REQUIRE(value != NULL);
    for (uint64_t i = 0; i < count; i++) {
        char key[64];
        int key_len = snprintf(key, sizeof key, "%s%llu", prefix, (unsigned long long)i);
        fill(value, value_len, i);
        REQUIRE_OK(larder_set(db, key, (size_t)key_len, value, value_len, &err));
    }
    free(value);
}

void store_check_numbered(larder *db, const char *prefix, uint64_t count, size_t value_len) {
    larder_error err;
    for (uint64_t i = 0; i < count; i++) {
        char key[64];
        int key_len = snprintf(key, sizeof key, "%s%llu", prefix, (unsigned long long)i);
        void *value = NULL;
        size_t len = 0;
        REQUIRE_OK(larder_get(db, key, (size_t)key_len, &value, &len, &err));
        CHECK_SAYING(len == value_len && filled(value, len, i), "%s has other bytes than were set", key);
        larder_free(value);
    }
}

uint64_t store_disk_bytes(const char *path) {
    uint64_t total = 0;
    DIR *entries = opendir(path);
    REQUIRE(entries != NULL);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct stat info;
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".seg") != 0) continue;
        if (fstatat(dirfd(entries), entry->d_name, &info, 0) == 0) total += (uint64_t)info.st_blocks * 512;
    }
    closedir(entries);
    return total;
}

/* ---- every call --------------------------------------------------------------------------------- */

static larder_status call_set(larder *db, larder_error *err) {
    return larder_set(db, "k", 1, "v", 1, err);
}

static larder_status call_set_with(larder *db, larder_error *err) {
    uint64_t version;
    return larder_set_with(db, "k", 1, "v", 1, 1000, LARDER_SYNC, &version, err);
}

static larder_status call_get(larder *db, larder_error *err) {
    void *value = NULL;
    size_t len;
    larder_status status = larder_get(db, "k", 1, &value, &len, err);
    larder_free(value);
    return status;
}

static larder_status call_get_into(larder *db, larder_error *err) {
    char buffer[16];
    size_t need;
    return larder_get_into(db, "k", 1, buffer, sizeof buffer, &need, err);
}

static larder_status call_del(larder *db, larder_error *err) {
    return larder_del(db, "k", 1, err);
}

static larder_status call_exists(larder *db, larder_error *err) {
    return larder_exists(db, "k", 1, err);
}

static larder_status call_ttl(larder *db, larder_error *err) {
    int64_t ttl_ms;
    return larder_ttl(db, "k", 1, &ttl_ms, err);
}

static larder_status call_expire(larder *db, larder_error *err) {
    return larder_expire(db, "k", 1, 1000, err);
}

static larder_status call_len(larder *db, larder_error *err) {
    uint64_t count;
    return larder_len(db, &count, err);
}

static larder_status call_sync(larder *db, larder_error *err) {
    return larder_sync(db, err);
}

static larder_status call_compact(larder *db, larder_error *err) {
    return larder_compact(db, err);
}

static larder_status call_verify(larder *db, larder_error *err) {
    uint64_t bad_records;
    return larder_verify(db, &bad_records, err);
}

static larder_status call_stats_get(larder *db, larder_error *err) {
    larder_stats stats = {.struct_size = sizeof stats};
    return larder_stats_get(db, &stats, err);
}

static larder_status call_cursor_open(larder *db, larder_error *err) {
    larder_cursor *cursor = NULL;
    larder_status status = larder_cursor_open(db, NULL, 0, &cursor, err);
    larder_cursor_close(cursor);
    return status;
}

static larder_status call_write_packed(larder *db, larder_error *err) {
    static const unsigned char ops[32] = {2, 0, 0, 0, 1, 0, 0, 0, [24] = 'k'};
    size_t bad_offset;
    return larder_write_packed(db, ops, sizeof ops, 0, &bad_offset, err);
}

static larder_status call_get_many_packed(larder *db, larder_error *err) {
    static const unsigned char keys[8] = {1, 0, 0, 0, 'k'};
    unsigned char out[64];
    size_t used, answered;
    return larder_get_many_packed(db, keys, sizeof keys, out, sizeof out, &used, &answered, err);
}

static larder_status call_get_view(larder *db, larder_error *err) {
    larder_view view = {0};
    larder_status status = larder_get_view(db, "k", 1, &view, err);
    larder_view_release(&view);
    return status;
}

const struct store_call store_calls[STORE_CALL_COUNT] = {
    {"set", call_set, true},
    {"set_with", call_set_with, true},
    {"get", call_get, false},
    {"get_into", call_get_into, false},
    {"exists", call_exists, false},
    {"ttl", call_ttl, false},
    {"expire", call_expire, true},
    {"del", call_del, true},
    {"len", call_len, false},
    {"sync", call_sync, false},
    {"compact", call_compact, true},
    {"verify", call_verify, false},
    {"stats_get", call_stats_get, false},
    {"cursor_open", call_cursor_open, false},
    {"write_packed", call_write_packed, true},
    {"get_many_packed", call_get_many_packed, false},
    {"get_view", call_get_view, false},
};

void store_check_every_call(larder *db, larder_status want) {
    for (size_t i = 0; i < STORE_CALL_COUNT; i++) {
        const struct store_call *call = &store_calls[i];
        larder_error err;
        memset(&err, 0x5a, sizeof err);
        larder_status status = call->run(db, &err);
        check_status(want, status, &err, __FILE__, __LINE__, call->name);
        check_status(want, call->run(db, NULL), NULL, __FILE__, __LINE__, call->name);
    }
}
