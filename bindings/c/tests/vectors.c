/* vectors.c: the conformance vectors through larder.h and larderx.h. vectors FILE prints "N passed, M failed". */
#include "larderx.h"

#include "../../../tests/vectors/vectors.h"

enum { OBJECTS_MAX = 16 };

/* Handles by the names that the steps give them. */
static struct object {
    char name[32];
    larder *db;
    larder_cursor *cursor;
    larder_view view;
} objects[OBJECTS_MAX];
static uint64_t last_version;

static struct object *object_of(const json *step, const char *key, const char *missing) {
    const char *name = json_text(step, key, missing);
    size_t i;
    for (i = 0; i < OBJECTS_MAX; i++) {
        if (objects[i].name[0] == '\0') snprintf(objects[i].name, sizeof objects[i].name, "%s", name);
        if (strcmp(objects[i].name, name) == 0) return &objects[i];
    }
    json_die("too many objects", name);
    return NULL;
}

static void vectors_reset(void) {
    size_t i;
    for (i = 0; i < OBJECTS_MAX; i++) {
        larder_cursor_close(objects[i].cursor);
        larder_view_release(&objects[i].view);
        (void)larder_close(objects[i].db, NULL);
    }
    memset(objects, 0, sizeof objects);
    last_version = 0;
}

static const char *vectors_status_name(int32_t status) {
    return larder_status_name(status);
}

#define COMPLAIN(...) snprintf(outcome->complaint, sizeof outcome->complaint, __VA_ARGS__)

static bool equal(const json *wanted, const void *data, size_t len) {
    vectors_bytes bytes = vectors_bytes_of(wanted);
    bool same = bytes.len == len && memcmp(bytes.data, data, len) == 0;
    free(bytes.data);
    return same;
}

/* A server has what the case before has left; expired keys are counted until they are swept. */
static larder_status delete_all(larder *db, larder_error *err) {
    const struct timespec pause = {0, 10000000};
    const void *key = NULL;
    size_t key_len = 0;
    uint64_t count = 0;
    unsigned tries = 0;
    larder_cursor *cursor = NULL;
    larder_status status = larder_cursor_open(db, NULL, 0, &cursor, err);
    while (status == LARDER_OK) {
        status = larder_cursor_next(cursor, &key, &key_len, NULL, NULL, err);
        if (status == LARDER_OK) status = larder_del(db, key, key_len, err);
    }
    larder_cursor_close(cursor);
    if (status == LARDER_DONE) status = err->status = LARDER_OK;
    while (status == LARDER_OK && tries++ < 1000 && (status = larder_len(db, &count, err)) == LARDER_OK && count > 0)
        nanosleep(&pause, NULL);
    return status;
}

static larder_status open_store(const char *directory, const json *step, larder_error *err) {
    const char *names_and_values[64];
    char path[4096];
    size_t count = 0, i;
    const json *options = json_get(step, "options");
    struct object *object = object_of(step, "as", "db");
    larder *db = NULL;
    larder_status status;
    for (i = 0; options != NULL && i < options->count; i++) {
        names_and_values[count++] = options->items[i].items[0].text;
        names_and_values[count++] = options->items[i].items[1].text;
    }
    names_and_values[count] = NULL;
    if (json_get(step, "location") != NULL) snprintf(path, sizeof path, "%s", json_text(step, "location", ""));
    else vectors_path(path, sizeof path, directory, json_text(step, "at", ""));
    status = larderx_open(path, count == 0 ? NULL : names_and_values, &db, err);
    if (status == LARDER_OK) object->db = db;
    if (status == LARDER_OK && json_get(step, "empty") != NULL) status = delete_all(db, err);
    return status;
}

static larder_status get_value(larder *db, const json *step, const vectors_bytes *key, larder_error *err,
                               vectors_outcome *outcome) {
    void *value = NULL;
    size_t len = 0;
    larder_status status = larder_get(db, key->data, key->len, &value, &len, err);
    if (status == LARDER_OK && !equal(json_get(step, "value"), value, len)) COMPLAIN("another value, of %zu bytes", len);
    larder_free(value);
    return status;
}

static larder_status get_into(larder *db, const json *step, const vectors_bytes *key, larder_error *err,
                              vectors_outcome *outcome) {
    size_t capacity = (size_t)json_number(step, "capacity"), need = 0, i;
    unsigned char *buffer = (unsigned char *)json_memory(NULL, capacity);
    larder_status status;
    memset(buffer, 0xaa, capacity);
    status = larder_get_into(db, key->data, key->len, buffer, capacity, &need, err);
    if (status == LARDER_OK && !equal(json_get(step, "value"), buffer, need)) COMPLAIN("another value, of %zu bytes", need);
    if (status == LARDER_BUFFER_TOO_SMALL) {
        if ((size_t)json_number(step, "need") != need) COMPLAIN("need %zu", need);
        for (i = 0; i < capacity; i++)
            if (buffer[i] != 0xaa) COMPLAIN("the buffer was touched at %zu", i);
    }
    free(buffer);
    return status;
}

static larder_status set_with(larder *db, const json *step, const vectors_bytes *key, larder_error *err,
                              vectors_outcome *outcome) {
    vectors_bytes value = vectors_bytes_of(json_get(step, "value"));
    const json *names = json_get(step, "flags");
    uint32_t flags = 0;
    uint64_t version = 0;
    larder_status status;
    size_t i;
    for (i = 0; i < names->count; i++) {
        const char *name = names->items[i].text;
        flags |= strcmp(name, "if_absent") == 0    ? LARDER_IF_ABSENT
                 : strcmp(name, "if_present") == 0 ? LARDER_IF_PRESENT
                                                   : LARDER_SYNC;
    }
    status = larder_set_with(db, key->data, key->len, value.data, value.len, json_number(step, "ttl_ms"), flags, &version, err);
    free(value.data);
    if (status == LARDER_OK && json_get(step, "version") != NULL && version <= last_version) COMPLAIN("the version fell");
    if (status == LARDER_OK) last_version = version;
    return status;
}

static larder_status ttl(larder *db, const json *step, const vectors_bytes *key, larder_error *err, vectors_outcome *outcome) {
    int64_t ttl_ms = 0;
    larder_status status = larder_ttl(db, key->data, key->len, &ttl_ms, err);
    if (status != LARDER_OK) return status;
    if (json_get(step, "ttl_ms") != NULL && json_number(step, "ttl_ms") != ttl_ms) COMPLAIN("ttl %lld", (long long)ttl_ms);
    if (json_get(step, "at_least_ms") != NULL &&
        (ttl_ms < json_number(step, "at_least_ms") || ttl_ms > json_number(step, "at_most_ms")))
        COMPLAIN("ttl %lld", (long long)ttl_ms);
    return status;
}

/* Which of the pairs this is; their count if none. */
static size_t pair_of(const json *pairs, const void *key, size_t key_len, const void *value, size_t value_len) {
    size_t i;
    for (i = 0; i < pairs->count; i++)
        if (equal(&pairs->items[i].items[0], key, key_len) && equal(&pairs->items[i].items[1], value, value_len)) break;
    return i;
}

static larder_status scan(larder *db, const json *step, larder_error *err, vectors_outcome *outcome) {
    vectors_bytes prefix = vectors_bytes_of(json_get(step, "prefix"));
    const json *pairs = json_get(step, "pairs");
    unsigned char *seen = (unsigned char *)json_memory(NULL, pairs->count + 1);
    size_t count = 0;
    larder_cursor *cursor = NULL;
    larder_status status = larder_cursor_open(db, prefix.data, prefix.len, &cursor, err);
    memset(seen, 0, pairs->count + 1);
    while (status == LARDER_OK) {
        const void *key = NULL, *value = NULL;
        size_t key_len = 0, value_len = 0;
        status = larder_cursor_next(cursor, &key, &key_len, &value, &value_len, err);
        if (status == LARDER_OK) {
            size_t which = pair_of(pairs, key, key_len, value, value_len);
            if (which == pairs->count) COMPLAIN("a pair that is not wanted");
            else if (seen[which]++ != 0) COMPLAIN("a pair comes twice");
            count++;
        }
    }
    if (status == LARDER_DONE) {
        status = err->status = LARDER_OK;
        if (count != pairs->count) COMPLAIN("%zu pairs", count);
    }
    larder_cursor_close(cursor);
    free(prefix.data);
    free(seen);
    return status;
}

static larder_status batch(larder *db, const json *step, larder_error *err) {
    larderx_batch ops = LARDERX_BATCH_INIT;
    const json *list = json_get(step, "ops"), *sync = json_get(step, "sync");
    larder_status status;
    size_t i;
    for (i = 0; i < list->count; i++) {
        const json *op = &list->items[i];
        vectors_bytes key = vectors_bytes_of(&op->items[1]);
        if (strcmp(op->items[0].text, "set") == 0) {
            vectors_bytes value = vectors_bytes_of(&op->items[2]);
            larderx_batch_set(&ops, key.data, key.len, value.data, value.len, op->count > 3 ? op->items[3].number : 0);
            free(value.data);
        } else {
            larderx_batch_del(&ops, key.data, key.len);
        }
        free(key.data);
    }
    status = larderx_batch_write(&ops, db, sync != NULL && sync->number != 0 ? LARDER_SYNC : 0, err);
    larderx_batch_free(&ops);
    return status;
}

static larder_status write_packed(larder *db, const json *step, larder_error *err, vectors_outcome *outcome) {
    vectors_bytes ops = vectors_bytes_of(json_get(step, "ops"));
    size_t bad_offset = SIZE_MAX;
    const json *wanted = json_get(step, "bad_offset");
    larder_status status = larder_write_packed(db, ops.data, ops.len, 0, &bad_offset, err);
    if (bad_offset != (wanted == NULL ? SIZE_MAX : (size_t)wanted->number)) COMPLAIN("bad_offset %zu", bad_offset);
    free(ops.data);
    return status;
}

static larder_status get_many(larder *db, const json *step, larder_error *err, vectors_outcome *outcome) {
    larderx_keys keys = LARDERX_KEYS_INIT;
    larderx_answers answers = LARDERX_ANSWERS_INIT;
    const json *list = json_get(step, "keys"), *values = json_get(step, "values");
    larder_status status, each;
    const void *value;
    size_t value_len, i;
    for (i = 0; i < list->count; i++) {
        vectors_bytes key = vectors_bytes_of(&list->items[i]);
        larderx_keys_add(&keys, key.data, key.len);
        free(key.data);
    }
    status = larderx_get_many(db, &keys, &answers, err);
    for (i = 0; status == LARDER_OK && larderx_answers_next(&answers, &each, &value, &value_len); i++) {
        if (each != LARDER_OK && each != LARDER_NOT_FOUND) {
            status = each;
        } else if (values != NULL && i >= values->count) {
            COMPLAIN("more answers than keys");
        } else if (values != NULL && ((each == LARDER_NOT_FOUND) != (values->items[i].kind == JSON_NULL) ||
                   (each == LARDER_OK && !equal(&values->items[i], value, value_len)))) {
            COMPLAIN("answer %zu differs", i);
        }
    }
    if (status == LARDER_OK && i != list->count) COMPLAIN("%zu answers", i);
    larderx_answers_free(&answers);
    larderx_keys_free(&keys);
    return status;
}

static larder_status cursor_next(const json *step, larder_error *err, vectors_outcome *outcome) {
    const void *key = NULL, *value = NULL;
    size_t key_len = 0, value_len = 0;
    const json *pairs = json_get(step, "one_of");
    larder_status status = larder_cursor_next(object_of(step, "on", "cursor")->cursor, &key, &key_len, &value, &value_len, err);
    if (status == LARDER_OK && pair_of(pairs, key, key_len, value, value_len) == pairs->count) COMPLAIN("another pair");
    return status;
}

static larder_status stats(larder *db, const json *step, larder_error *err, vectors_outcome *outcome) {
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
#define FIELD(name) {#name, offsetof(larder_stats, name)}
        FIELD(keys), FIELD(live_bytes), FIELD(dead_bytes), FIELD(file_bytes), FIELD(segments), FIELD(mapped_bytes),
        FIELD(index_bytes), FIELD(pinned_views), FIELD(gets), FIELD(hits), FIELD(sets), FIELD(dels), FIELD(expired),
        FIELD(syncs), FIELD(compactions), FIELD(compacted_bytes)};
    const json *figures = json_get(step, "figures");
    larder_stats found;
    larder_status status;
    size_t i, j;
    memset(&found, 0, sizeof found);
    found.struct_size = sizeof found;
    status = larder_stats_get(db, &found, err);
    for (i = 0; status == LARDER_OK && i < figures->count; i++) {
        for (j = 0; j < sizeof fields / sizeof fields[0] && strcmp(fields[j].name, figures->keys[i]) != 0; j++) {}
        if (j == sizeof fields / sizeof fields[0]) {
            COMPLAIN("no figure %s", figures->keys[i]);
        } else {
            uint64_t figure;
            memcpy(&figure, (const char *)&found + fields[j].offset, sizeof figure);
            if (figure != (uint64_t)figures->items[i].number) COMPLAIN("%s is %llu", fields[j].name, (unsigned long long)figure);
        }
    }
    return status;
}

static void about(const json *step, const char *verb, vectors_outcome *outcome) {
    char text[32];
    if (strcmp(verb, "status_name") == 0) {
        if (strcmp(larder_status_name((larder_status)json_number(step, "number")), json_text(step, "name", "")) != 0)
            COMPLAIN("another name");
        return;
    }
    snprintf(text, sizeof text, "%u.%u.%u", larder_version_number() >> 16, larder_version_number() >> 8 & 255,
             larder_version_number() & 255);
    if (strcmp(text, larder_version_string()) != 0) COMPLAIN("%s is not %s", text, larder_version_string());
    if (larder_abi_version() != (uint32_t)json_number(step, "abi")) COMPLAIN("ABI %u", larder_abi_version());
}

static bool vectors_step(const char *directory, const json *step, vectors_outcome *outcome) {
    const char *verb = json_text(step, "do", "");
    struct object *object = object_of(step, "on", "db");
    larder *db = object->db;
    larder_error err;
    vectors_bytes key = {NULL, 0}, value = {NULL, 0};
    uint64_t number = 0;
    larder_status status = LARDER_OK;
    bool known = true;
    memset(&err, 0, sizeof err);
    if (json_get(step, "key") != NULL) key = vectors_bytes_of(json_get(step, "key"));

#define IS(name) (strcmp(verb, name) == 0)
    if (IS("version") || IS("status_name")) about(step, verb, outcome);
    else if (IS("open")) status = open_store(directory, step, &err);
    else if (IS("close") || IS("close_again")) status = larder_close(db, &err);
    else if (IS("set")) {
        value = vectors_bytes_of(json_get(step, "value"));
        status = larder_set(db, key.data, key.len, value.data, value.len, &err);
    } else if (IS("get")) status = get_value(db, step, &key, &err, outcome);
    else if (IS("get_into")) status = get_into(db, step, &key, &err, outcome);
    else if (IS("exists")) status = larder_exists(db, key.data, key.len, &err);
    else if (IS("del")) status = larder_del(db, key.data, key.len, &err);
    else if (IS("set_with")) status = set_with(db, step, &key, &err, outcome);
    else if (IS("ttl")) status = ttl(db, step, &key, &err, outcome);
    else if (IS("expire")) status = larder_expire(db, key.data, key.len, json_number(step, "ttl_ms"), &err);
    else if (IS("sync")) status = larder_sync(db, &err);
    else if (IS("compact")) status = larder_compact(db, &err);
    else if (IS("stats")) status = stats(db, step, &err, outcome);
    else if (IS("scan")) status = scan(db, step, &err, outcome);
    else if (IS("batch")) status = batch(db, step, &err);
    else if (IS("write_packed")) status = write_packed(db, step, &err, outcome);
    else if (IS("get_many")) status = get_many(db, step, &err, outcome);
    else if (IS("cursor_next")) status = cursor_next(step, &err, outcome);
    else if (IS("len")) {
        status = larder_len(db, &number, &err);
        if (status == LARDER_OK && number != (uint64_t)json_number(step, "count")) COMPLAIN("%llu keys", (unsigned long long)number);
    } else if (IS("verify")) {
        status = larder_verify(db, &number, &err);
        if (json_get(step, "bad_records") != NULL && number != (uint64_t)json_number(step, "bad_records"))
            COMPLAIN("%llu bad records", (unsigned long long)number);
    } else if (IS("cursor_open")) {
        value = vectors_bytes_of(json_get(step, "prefix"));
        status = larder_cursor_open(db, value.data, value.len, &object_of(step, "as", "cursor")->cursor, &err);
    } else if (IS("cursor_close")) {
        larder_cursor **cursor = &object_of(step, "on", "cursor")->cursor;
        larder_cursor_close(*cursor);
        *cursor = NULL;
    } else if (IS("view")) {
        larder_view *view = &object_of(step, "as", "view")->view;
        status = larder_get_view(db, key.data, key.len, view, &err);
        if (status == LARDER_OK && !equal(json_get(step, "value"), view->data, view->len)) COMPLAIN("another value");
    } else if (IS("view_check")) {
        const larder_view *view = &object_of(step, "on", "view")->view;
        if (!equal(json_get(step, "value"), view->data, view->len)) COMPLAIN("another value");
    } else if (IS("view_release")) {
        larder_view_release(&object_of(step, "on", "view")->view);
    } else known = false;

    free(key.data);
    free(value.data);
    if (status != err.status && known && err.status != 0) COMPLAIN("returned %d, the error says %d", (int)status, (int)err.status);
    outcome->status = status;
    outcome->os_errno = err.os_errno;
    outcome->offset = err.offset;
    memcpy(outcome->message, err.message, sizeof outcome->message);
    return known;
}

int main(int argc, char **argv) {
    return argc == 2 ? vectors_main("C", argv[1]) : 2;
}
