/* addon.h: what the files of the addon share: the library's functions, the state of an environment, arguments. */
#ifndef LARDER_ADDON_H
#define LARDER_ADDON_H

#include "larder.h"

#include <node_api.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS(each) \
    each(options_new) each(options_set) each(options_free) each(open) each(close) each(set) each(get_into) each(del) \
    each(exists) each(set_with) each(ttl) each(expire) each(len) each(sync) each(compact) each(verify) each(stats_get) \
    each(cursor_open) each(cursor_next) each(cursor_close) each(write_packed) each(get_many_packed) \
    each(version_string) each(abi_version) each(status_name)

struct lib {
#define MEMBER(name) __typeof__(&larder_##name) name;
    FUNCTIONS(MEMBER)
};
extern struct lib lib;

typedef struct opened {
    larder *db;
    struct opened *next;
} opened;

typedef struct state {
    napi_ref error_class;
    larder_error err;
    opened *stores;
} state;

typedef struct bytes {
    void *data;
    size_t len;
} bytes;

/* ---- arguments and results ---------------------------------------------------------------------- */

static inline state *state_of(napi_env env) {
    void *data = NULL;
    napi_get_instance_data(env, &data);
    return data;
}

static inline void arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
    napi_get_cb_info(env, info, &count, argv, NULL, NULL);
}

static inline bytes bytes_of(napi_env env, napi_value value) {
    bytes found = {NULL, 0};
    if (napi_get_buffer_info(env, value, &found.data, &found.len) != napi_ok) found.len = 0;
    return found;
}

static inline void *pointer_of(napi_env env, napi_value value) {
    void *pointer = NULL;
    if (napi_get_value_external(env, value, &pointer) != napi_ok) pointer = NULL;
    return pointer;
}

static inline int64_t integer_of(napi_env env, napi_value value) {
    int64_t number = 0;
    napi_get_value_int64(env, value, &number);
    return number;
}

static inline napi_value number(napi_env env, double value) {
    napi_value result = NULL;
    napi_create_double(env, value, &result);
    return result;
}

static inline napi_value boolean(napi_env env, bool value) {
    napi_value result = NULL;
    napi_get_boolean(env, value, &result);
    return result;
}

static inline napi_value undefined(napi_env env) {
    napi_value result = NULL;
    napi_get_undefined(env, &result);
    return result;
}

/* new LarderError(status, errno, offset, message, badRecords) */
static inline napi_value error_of(napi_env env, const larder_error *err, uint64_t bad_records) {
    napi_value argv[5], class = NULL, error = NULL;
    argv[0] = number(env, err->status);
    argv[1] = number(env, err->os_errno);
    argv[2] = number(env, (double)err->offset);
    napi_create_string_utf8(env, err->message, NAPI_AUTO_LENGTH, &argv[3]);
    argv[4] = number(env, (double)bad_records);
    napi_get_reference_value(env, state_of(env)->error_class, &class);
    napi_new_instance(env, class, 5, argv, &error);
    return error;
}

static inline napi_value fail(napi_env env, const larder_error *err) {
    napi_throw(env, error_of(env, err, 0));
    return NULL;
}

/* addon_many.c: many keys. */
napi_value addon_write_packed(napi_env env, napi_callback_info info);
napi_value addon_get_many_packed(napi_env env, napi_callback_info info);
napi_value addon_cursor_open(napi_env env, napi_callback_info info);
napi_value addon_cursor_fill(napi_env env, napi_callback_info info);
napi_value addon_cursor_close(napi_env env, napi_callback_info info);

#endif /* LARDER_ADDON_H */
