/* addon.c: larder.h for Node, over Node-API; index.js makes classes of it. This file: the module, stores, one key.
 *
 * The library is loaded with dlopen when index.js says where it is, so nothing is linked. Every function takes the
 * store first and throws the LarderError that index.js has registered. Arguments are judged by index.js: bytes are
 * Uint8Arrays, numbers are numbers.
 *
 * Rules kept here:
 *   - State belongs to one environment (a worker thread has its own): `state`. The functions of the library are the
 *     only globals; they are written once, under a lock.
 *   - Stores that an environment opened are closed when it ends, so that a worker which dies gives its lock back.
 *   - JavaScript keeps no pointer of the library's: bytes are copied. There are no views, because JavaScript has no
 *     memory that cannot be written.
 *   - C keeps no pointer of JavaScript's: what runs on another thread (run_*) takes no bytes. */
#include "addon.h"

#include <dlfcn.h>
#include <pthread.h>

struct lib lib;
static bool loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* ---- open and close ----------------------------------------------------------------------------- */

static napi_value load_library(napi_env env, napi_callback_info info) {
    char path[4096], complaint[4352] = "";
    napi_value argv[2];
    size_t len;
    arguments(env, info, 2, argv);
    napi_get_value_string_utf8(env, argv[0], path, sizeof path, &len);
    napi_create_reference(env, argv[1], 1, &state_of(env)->error_class);
    pthread_mutex_lock(&loading);
    if (!loaded) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) snprintf(complaint, sizeof complaint, "%s", dlerror());
#define FIND(name) \
    if (complaint[0] == '\0' && (*(void **)&lib.name = dlsym(library, "larder_" #name)) == NULL) \
        snprintf(complaint, sizeof complaint, "%s has no larder_" #name, path);
        FUNCTIONS(FIND)
        if (complaint[0] == '\0' && lib.abi_version() != LARDER_ABI_VERSION)
            snprintf(complaint, sizeof complaint, "%s has ABI %u, not %d", path, (unsigned)lib.abi_version(), LARDER_ABI_VERSION);
        loaded = complaint[0] == '\0';
    }
    pthread_mutex_unlock(&loading);
    if (complaint[0] != '\0') napi_throw_error(env, "ERR_DLOPEN_FAILED", complaint);
    return undefined(env);
}

static char *text_of(napi_env env, napi_value value) {
    size_t len = 0;
    char *text;
    napi_get_value_string_utf8(env, value, NULL, 0, &len);
    text = malloc(len + 1);
    if (text != NULL) napi_get_value_string_utf8(env, value, text, len + 1, &len);
    return text;
}

/* open(location, [name, value, name, value, …]) */
static napi_value open_store(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    larder_options *options = lib.options_new();
    larder_status status = LARDER_OK;
    larder *db = NULL;
    opened *entry;
    napi_value argv[2], result = NULL;
    uint32_t count = 0;
    char *location;
    arguments(env, info, 2, argv);
    napi_get_array_length(env, argv[1], &count);
    for (uint32_t i = 0; status == LARDER_OK && i + 1 < count; i += 2) {
        napi_value name, value;
        char *name_text, *value_text;
        napi_get_element(env, argv[1], i, &name);
        napi_get_element(env, argv[1], i + 1, &value);
        name_text = text_of(env, name);
        value_text = text_of(env, value);
        status = lib.options_set(options, name_text, value_text, &own->err);
        free(name_text);
        free(value_text);
    }
    location = text_of(env, argv[0]);
    if (status == LARDER_OK) status = lib.open(location, options, &db, &own->err);
    lib.options_free(options);
    free(location);
    if (status != LARDER_OK) return fail(env, &own->err);
    entry = malloc(sizeof *entry);
    if (entry != NULL) {
        *entry = (opened){db, own->stores};
        own->stores = entry;
    }
    napi_create_external(env, db, NULL, NULL, &result);
    return result;
}

/* The handle as a number that another thread of this process can attach to. Handles stay valid for ever. */
static napi_value address(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    arguments(env, info, 1, argv);
    napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)pointer_of(env, argv[0]), &result);
    return result;
}

static napi_value attach(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    uint64_t handle = 0;
    bool lossless;
    arguments(env, info, 1, argv);
    napi_get_value_bigint_uint64(env, argv[0], &handle, &lossless);
    napi_create_external(env, (void *)(uintptr_t)handle, NULL, NULL, &result);
    return result;
}

static napi_value close_store(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[1];
    larder *db;
    larder_status status;
    arguments(env, info, 1, argv);
    db = pointer_of(env, argv[0]);
    status = lib.close(db, &own->err);
    for (opened **at = &own->stores; *at != NULL; at = &(*at)->next) {
        if ((*at)->db == db) {
            opened *entry = *at;
            *at = entry->next;
            free(entry);
            break;
        }
    }
    return status == LARDER_OK ? undefined(env) : fail(env, &own->err);
}

/* ---- one key ------------------------------------------------------------------------------------ */

/* set(db, key, value) */
static napi_value set(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[3];
    bytes key, value;
    arguments(env, info, 3, argv);
    key = bytes_of(env, argv[1]);
    value = bytes_of(env, argv[2]);
    if (lib.set(pointer_of(env, argv[0]), key.data, key.len, value.data, value.len, &own->err) != LARDER_OK)
        return fail(env, &own->err);
    return undefined(env);
}

/* getInto(db, key, target): the value's length, more than the target has if it did not fit; -1 if not found. */
static napi_value get_into(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[3];
    bytes key, target;
    size_t need = 0;
    larder_status status;
    arguments(env, info, 3, argv);
    key = bytes_of(env, argv[1]);
    target = bytes_of(env, argv[2]);
    status = lib.get_into(pointer_of(env, argv[0]), key.data, key.len, target.data, target.len, &need, &own->err);
    if (status == LARDER_OK || status == LARDER_BUFFER_TOO_SMALL) return number(env, (double)need);
    return status == LARDER_NOT_FOUND ? number(env, -1) : fail(env, &own->err);
}

/* Functions of store and key that say yes or no. */
static napi_value yes_or_no(napi_env env, napi_callback_info info, __typeof__(&larder_exists) function) {
    state *own = state_of(env);
    napi_value argv[2];
    bytes key;
    larder_status status;
    arguments(env, info, 2, argv);
    key = bytes_of(env, argv[1]);
    status = function(pointer_of(env, argv[0]), key.data, key.len, &own->err);
    return status <= LARDER_NOT_FOUND ? boolean(env, status == LARDER_OK) : fail(env, &own->err);
}

static napi_value has(napi_env env, napi_callback_info info) {
    return yes_or_no(env, info, lib.exists);
}

static napi_value delete(napi_env env, napi_callback_info info) {
    return yes_or_no(env, info, lib.del);
}

/* setWith(db, key, value, ttlMs, flags): the version; undefined if the condition did not hold. */
static napi_value set_with(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[5], result = NULL;
    bytes key, value;
    uint64_t version = 0;
    larder_status status;
    arguments(env, info, 5, argv);
    key = bytes_of(env, argv[1]);
    value = bytes_of(env, argv[2]);
    status = lib.set_with(pointer_of(env, argv[0]), key.data, key.len, value.data, value.len, integer_of(env, argv[3]),
                          (uint32_t)integer_of(env, argv[4]), &version, &own->err);
    if (status == LARDER_EXISTS || status == LARDER_NOT_FOUND) return undefined(env);
    if (status != LARDER_OK) return fail(env, &own->err);
    napi_create_bigint_uint64(env, version, &result);
    return result;
}

/* ttl(db, key): milliseconds, -1 for ever; undefined if it is not live. */
static napi_value ttl(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[2];
    bytes key;
    int64_t ttl_ms = 0;
    larder_status status;
    arguments(env, info, 2, argv);
    key = bytes_of(env, argv[1]);
    status = lib.ttl(pointer_of(env, argv[0]), key.data, key.len, &ttl_ms, &own->err);
    if (status == LARDER_NOT_FOUND || status == LARDER_EXPIRED) return undefined(env);
    return status == LARDER_OK ? number(env, (double)ttl_ms) : fail(env, &own->err);
}

static napi_value expire(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[3];
    bytes key;
    larder_status status;
    arguments(env, info, 3, argv);
    key = bytes_of(env, argv[1]);
    status = lib.expire(pointer_of(env, argv[0]), key.data, key.len, integer_of(env, argv[2]), &own->err);
    return status <= LARDER_NOT_FOUND ? boolean(env, status == LARDER_OK) : fail(env, &own->err);
}

/* ---- the whole store ---------------------------------------------------------------------------- */

static napi_value len(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    napi_value argv[1];
    uint64_t count = 0;
    arguments(env, info, 1, argv);
    if (lib.len(pointer_of(env, argv[0]), &count, &own->err) != LARDER_OK) return fail(env, &own->err);
    return number(env, (double)count);
}

/* stats(db): the figures in the order of larder_stats. */
static napi_value stats(napi_env env, napi_callback_info info) {
    state *own = state_of(env);
    larder_stats found = {.struct_size = sizeof found};
    uint64_t figures[(sizeof found - 8) / 8];
    napi_value argv[1], result = NULL;
    arguments(env, info, 1, argv);
    if (lib.stats_get(pointer_of(env, argv[0]), &found, &own->err) != LARDER_OK) return fail(env, &own->err);
    memcpy(figures, (const char *)&found + 8, sizeof figures);
    napi_create_array_with_length(env, sizeof figures / 8, &result);
    for (uint32_t i = 0; i < sizeof figures / 8; i++) napi_set_element(env, result, i, number(env, (double)figures[i]));
    return result;
}

/* What waits for the disk, for this thread (run) or with a promise on a thread of Node's pool (runAsync). */
enum { SYNC, COMPACT, VERIFY };

typedef struct job {
    larder *db;
    int64_t what;
    larder_status status;
    larder_error err;
    uint64_t bad_records;
    napi_deferred deferred;
    napi_async_work work;
} job;

static void carry_out(napi_env env, void *data) {
    job *one = data;
    (void)env;
    one->status = one->what == SYNC      ? lib.sync(one->db, &one->err)
                  : one->what == COMPACT ? lib.compact(one->db, &one->err)
                                         : lib.verify(one->db, &one->bad_records, &one->err);
}

static void settle(napi_env env, napi_status ended, void *data) {
    job *one = data;
    (void)ended;
    if (one->status == LARDER_OK) napi_resolve_deferred(env, one->deferred, undefined(env));
    else napi_reject_deferred(env, one->deferred, error_of(env, &one->err, one->bad_records));
    napi_delete_async_work(env, one->work);
    free(one);
}

static napi_value run(napi_env env, napi_callback_info info) {
    napi_value argv[2];
    job one = {0};
    arguments(env, info, 2, argv);
    one.db = pointer_of(env, argv[0]);
    one.what = integer_of(env, argv[1]);
    carry_out(env, &one);
    if (one.status == LARDER_OK) return undefined(env);
    napi_throw(env, error_of(env, &one.err, one.bad_records));
    return NULL;
}

static napi_value run_async(napi_env env, napi_callback_info info) {
    napi_value argv[2], name, promise = NULL;
    job *one = calloc(1, sizeof *one);
    arguments(env, info, 2, argv);
    if (one == NULL) {
        napi_throw_error(env, NULL, "no memory");
        return NULL;
    }
    one->db = pointer_of(env, argv[0]);
    one->what = integer_of(env, argv[1]);
    napi_create_promise(env, &one->deferred, &promise);
    napi_create_string_utf8(env, "larder", NAPI_AUTO_LENGTH, &name);
    napi_create_async_work(env, NULL, name, carry_out, settle, one, &one->work);
    napi_queue_async_work(env, one->work);
    return promise;
}

/* ---- about the library -------------------------------------------------------------------------- */

static napi_value version(napi_env env, napi_callback_info info) {
    napi_value result = NULL;
    (void)info;
    napi_create_string_utf8(env, lib.version_string(), NAPI_AUTO_LENGTH, &result);
    return result;
}

static napi_value abi_version(napi_env env, napi_callback_info info) {
    (void)info;
    return number(env, lib.abi_version());
}

static napi_value status_name(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    arguments(env, info, 1, argv);
    napi_create_string_utf8(env, lib.status_name((larder_status)integer_of(env, argv[0])), NAPI_AUTO_LENGTH, &result);
    return result;
}

static void end_environment(void *data) {
    state *own = data;
    while (own->stores != NULL) {
        opened *entry = own->stores;
        own->stores = entry->next;
        (void)lib.close(entry->db, NULL);
        free(entry);
    }
    /* `own` stays: work that is under way may still settle. */
}

NAPI_MODULE_INIT() {
#define EXPORT(name, function) {name, NULL, function, NULL, NULL, NULL, napi_default, NULL}
    const napi_property_descriptor all[] = {
        EXPORT("load", load_library), EXPORT("open", open_store), EXPORT("address", address), EXPORT("attach", attach),
        EXPORT("close", close_store), EXPORT("set", set), EXPORT("getInto", get_into), EXPORT("has", has),
        EXPORT("delete", delete), EXPORT("setWith", set_with), EXPORT("ttl", ttl), EXPORT("expire", expire),
        EXPORT("writePacked", addon_write_packed), EXPORT("getManyPacked", addon_get_many_packed), EXPORT("cursorOpen", addon_cursor_open),
        EXPORT("cursorFill", addon_cursor_fill), EXPORT("cursorClose", addon_cursor_close), EXPORT("len", len), EXPORT("stats", stats),
        EXPORT("run", run), EXPORT("runAsync", run_async), EXPORT("version", version), EXPORT("abiVersion", abi_version),
        EXPORT("statusName", status_name)};
    state *own = calloc(1, sizeof *own);
    if (own == NULL) return NULL;
    napi_set_instance_data(env, own, NULL, NULL);
    napi_add_env_cleanup_hook(env, end_environment, own);
    napi_define_properties(env, exports, sizeof all / sizeof all[0], all);
    return exports;
}
