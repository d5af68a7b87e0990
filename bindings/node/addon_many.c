/* addon_many.c: batches, many keys in one call, cursors. Each fills or reads one buffer per call. */
#include "addon.h"

/* A cursor, and the pair that did not fit into the last buffer. */
typedef struct walk {
    larder_cursor *cursor;
    const void *key, *value;
    size_t key_len, value_len;
    bool pending;
} walk;

/* writePacked(db, ops, flags) */
napi_value addon_write_packed(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[3];
    bytes ops;
    arguments(env, info, 3, argv);
    ops = bytes_of(env, argv[1]);
    if (lib.write_packed(pointer_of(env, argv[0]), ops.data, ops.len, (uint32_t)integer_of(env, argv[2]), NULL, &own->err) !=
        LARDER_OK)
        return fail(env, &own->err);
    return undefined(env);
}

/* getManyPacked(db, keys, out): how many keys were answered; the caller goes on if that is not all. */
napi_value addon_get_many_packed(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[3];
    bytes keys, out;
    size_t used = 0, answered = 0;
    larder_status status;
    arguments(env, info, 3, argv);
    keys = bytes_of(env, argv[1]);
    out = bytes_of(env, argv[2]);
    status = lib.get_many_packed(pointer_of(env, argv[0]), keys.data, keys.len, out.data, out.len, &used, &answered, &own->err);
    if (status != LARDER_OK && status != LARDER_BUFFER_TOO_SMALL) return fail(env, &own->err);
    return number(env, (double)answered);
}

static void end_walk(napi_env env, void *data, void *hint) {
    walk *of = data;
    (void)env, (void)hint;
    lib.cursor_close(of->cursor);
    free(of);
}

napi_value addon_cursor_open(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[2], result = NULL;
    bytes prefix;
    walk *of = calloc(1, sizeof *of);
    arguments(env, info, 2, argv);
    prefix = bytes_of(env, argv[1]);
    if (of == NULL) {
        napi_throw_error(env, NULL, "no memory");
        return NULL;
    }
    if (lib.cursor_open(pointer_of(env, argv[0]), prefix.data, prefix.len, &of->cursor, &own->err) != LARDER_OK) {
        free(of);
        return fail(env, &own->err);
    }
    napi_create_external(env, of, end_walk, NULL, &result);
    return result;
}

/* cursorFill(cursor, target): as many pairs as fit, each { u32 key_len, u32 value_len, key, value }. The bytes written,
 * 0 at the end, or minus the need of the next pair if not even that fits. One call for many pairs. */
napi_value addon_cursor_fill(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[2];
    bytes target;
    size_t used = 0;
    walk *of;
    arguments(env, info, 2, argv);
    of = pointer_of(env, argv[0]);
    target = bytes_of(env, argv[1]);
    if (of->cursor == NULL) return number(env, 0);
    for (;;) {
        uint32_t head[2];
        if (!of->pending) {
            larder_status status = lib.cursor_next(of->cursor, &of->key, &of->key_len, &of->value, &of->value_len, &own->err);
            /* What has been written is handed out first; a failure comes again with the next call. */
            if (status == LARDER_DONE || (status != LARDER_OK && used > 0)) return number(env, (double)used);
            if (status != LARDER_OK) return fail(env, &own->err);
            of->pending = true;
        }
        if (8 + of->key_len + of->value_len > target.len - used)
            return number(env, used > 0 ? (double)used : -(double)(8 + of->key_len + of->value_len));
        head[0] = (uint32_t)of->key_len;
        head[1] = (uint32_t)of->value_len;
        memcpy((char *)target.data + used, head, 8);
        memcpy((char *)target.data + used + 8, of->key, of->key_len);
        memcpy((char *)target.data + used + 8 + of->key_len, of->value, of->value_len);
        used += 8 + of->key_len + of->value_len;
        of->pending = false;
    }
}

napi_value addon_cursor_close(napi_env env, napi_callback_info info) {
    napi_value argv[1];
    walk *of;
    arguments(env, info, 1, argv);
    of = pointer_of(env, argv[0]);
    lib.cursor_close(of->cursor);
    of->cursor = NULL;
    of->pending = false;
    return undefined(env);
}
