/* bridge.h: what Go needs between itself and larder.h, and nothing else.
 *
 * Each function here is one cgo call. It differs from the one it wraps in three ways:
 *
 * - Results come back by value, in one small struct, so that nothing on the Go side has to have an
 *   address that C writes to.
 * - Handles are uintptr_t and bytes are uint8_t *, which spares each call cgo's look for Go
 *   pointers behind a void *. They are C addresses throughout; Go never turns one into a pointer.
 * - The 256-byte error lives on the C stack, where it costs nothing. Only a failure copies it to
 *   the heap, and Go frees it with lgo_failure_free. Asking the library a second time for the
 *   details would be wrong: the second answer to a failed write is another one.
 *
 * Not here: any state, any decision. Included by bridge.go only.
 */
#ifndef LARDER_GO_BRIDGE_H
#define LARDER_GO_BRIDGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"

/* How a call ended. failure is NULL below LARDER_INVALID_ARGUMENT, and where malloc has no room. */
typedef struct lgo_result {
  larder_status status;
  larder_error *failure;
  uint64_t number; /* what the call found out: a length, a count, a handle */
} lgo_result;

static inline lgo_result lgo_end(larder_status status, const larder_error *err, uint64_t number)
{
  lgo_result result = {status, NULL, number};
  if (status >= LARDER_INVALID_ARGUMENT) {
    result.failure = malloc(sizeof *err);
    if (result.failure != NULL)
      memcpy(result.failure, err, sizeof *err);
  }
  return result;
}

static inline larder *lgo_db(uintptr_t db) { return (larder *)db; }

static inline void lgo_failure_free(larder_error *failure) { free(failure); }

/* Open and close. */

static inline lgo_result lgo_options_set(larder_options *options, const char *name, const char *value)
{
  larder_error err;
  return lgo_end(larder_options_set(options, name, value, &err), &err, 0);
}

static inline lgo_result lgo_open(const char *location, const larder_options *options)
{
  larder *db = NULL;
  larder_error err;
  larder_status status;
  /* The header was compiled in; the library may have been replaced since, behind an rpath or by hand. */
  if (larder_abi_version() != LARDER_ABI_VERSION) {
    lgo_result other = {LARDER_INCOMPATIBLE, NULL, 0};
    return other;
  }
  status = larder_open(location, options, &db, &err);
  return lgo_end(status, &err, (uintptr_t)db);
}

static inline lgo_result lgo_close(uintptr_t db)
{
  larder_error err;
  return lgo_end(larder_close(lgo_db(db), &err), &err, 0);
}

/* One key. */

static inline lgo_result lgo_get_into(uintptr_t db, const uint8_t *key, size_t key_len, uint8_t *buffer, size_t capacity)
{
  size_t need = 0;
  larder_error err;
  larder_status status = larder_get_into(lgo_db(db), key, key_len, buffer, capacity, &need, &err);
  return lgo_end(status, &err, need);
}

static inline lgo_result lgo_set(uintptr_t db, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
  larder_error err;
  return lgo_end(larder_set(lgo_db(db), key, key_len, value, value_len, &err), &err, 0);
}

static inline lgo_result lgo_set_with(uintptr_t db, const uint8_t *key, size_t key_len, const uint8_t *value,
                                      size_t value_len, int64_t ttl_ms, uint32_t flags)
{
  uint64_t version = 0;
  larder_error err;
  larder_status status = larder_set_with(lgo_db(db), key, key_len, value, value_len, ttl_ms, flags, &version, &err);
  return lgo_end(status, &err, version);
}

static inline lgo_result lgo_del(uintptr_t db, const uint8_t *key, size_t key_len)
{
  larder_error err;
  return lgo_end(larder_del(lgo_db(db), key, key_len, &err), &err, 0);
}

static inline lgo_result lgo_exists(uintptr_t db, const uint8_t *key, size_t key_len)
{
  larder_error err;
  return lgo_end(larder_exists(lgo_db(db), key, key_len, &err), &err, 0);
}

/* number is the int64_t of larder_ttl. */
static inline lgo_result lgo_ttl(uintptr_t db, const uint8_t *key, size_t key_len)
{
  int64_t ttl_ms = 0;
  larder_error err;
  larder_status status = larder_ttl(lgo_db(db), key, key_len, &ttl_ms, &err);
  return lgo_end(status, &err, (uint64_t)ttl_ms);
}

static inline lgo_result lgo_expire(uintptr_t db, const uint8_t *key, size_t key_len, int64_t ttl_ms)
{
  larder_error err;
  return lgo_end(larder_expire(lgo_db(db), key, key_len, ttl_ms, &err), &err, 0);
}

/* A larder_view in types that cgo passes without a look for Go pointers. */
typedef struct lgo_view {
  lgo_result result;
  const uint8_t *data;
  size_t len;
  uint64_t version;
  int64_t expires_at_ms;
  uintptr_t pin;
} lgo_view;

static inline lgo_view lgo_get_view(uintptr_t db, const uint8_t *key, size_t key_len)
{
  larder_view view;
  larder_error err;
  larder_status status;
  lgo_view out;
  memset(&view, 0, sizeof view);
  status = larder_get_view(lgo_db(db), key, key_len, &view, &err);
  out.result = lgo_end(status, &err, 0);
  out.data = view.data;
  out.len = view.len;
  out.version = view.version;
  out.expires_at_ms = view.expires_at_ms;
  out.pin = (uintptr_t)view.pin;
  return out;
}

static inline void lgo_view_release(const uint8_t *data, size_t len, uint64_t version, int64_t expires_at_ms, uintptr_t pin)
{
  larder_view view;
  view.data = data;
  view.len = len;
  view.version = version;
  view.expires_at_ms = expires_at_ms;
  view.pin = (void *)pin;
  larder_view_release(&view);
}

/* Many keys. */

typedef struct lgo_many {
  lgo_result result;
  size_t used;
  size_t answered;
} lgo_many;

static inline lgo_many lgo_get_many(uintptr_t db, const uint8_t *keys, size_t len, uint8_t *out, size_t capacity)
{
  lgo_many many;
  larder_error err;
  memset(&many, 0, sizeof many);
  many.result = lgo_end(larder_get_many_packed(lgo_db(db), keys, len, out, capacity, &many.used, &many.answered, &err), &err, 0);
  return many;
}

/* number is the offset of the entry that is to blame, UINT64_MAX if none is. */
static inline lgo_result lgo_write_packed(uintptr_t db, const uint8_t *ops, size_t len, uint32_t flags)
{
  size_t bad_offset = SIZE_MAX;
  larder_error err;
  larder_status status = larder_write_packed(lgo_db(db), ops, len, flags, &bad_offset, &err);
  return lgo_end(status, &err, bad_offset);
}

/* The whole store. */

static inline lgo_result lgo_len(uintptr_t db)
{
  uint64_t count = 0;
  larder_error err;
  larder_status status = larder_len(lgo_db(db), &count, &err);
  return lgo_end(status, &err, count);
}

static inline lgo_result lgo_sync(uintptr_t db)
{
  larder_error err;
  return lgo_end(larder_sync(lgo_db(db), &err), &err, 0);
}

static inline lgo_result lgo_compact(uintptr_t db)
{
  larder_error err;
  return lgo_end(larder_compact(lgo_db(db), &err), &err, 0);
}

static inline lgo_result lgo_verify(uintptr_t db)
{
  uint64_t bad_records = 0;
  larder_error err;
  larder_status status = larder_verify(lgo_db(db), &bad_records, &err);
  return lgo_end(status, &err, bad_records);
}

typedef struct lgo_stats {
  lgo_result result;
  larder_stats stats;
} lgo_stats;

static inline lgo_stats lgo_stats_get(uintptr_t db)
{
  lgo_stats out;
  larder_error err;
  memset(&out, 0, sizeof out);
  out.stats.struct_size = sizeof out.stats;
  out.result = lgo_end(larder_stats_get(lgo_db(db), &out.stats, &err), &err, 0);
  return out;
}

/* losses is the library's to free: larder_free. */
typedef struct lgo_salvage {
  lgo_result result;
  larder_salvage_report report;
  void *losses;
  size_t losses_len;
} lgo_salvage;

static inline lgo_salvage lgo_salvage_run(const char *source, const char *target, const larder_options *options)
{
  lgo_salvage out;
  larder_error err;
  larder_status status;
  memset(&out, 0, sizeof out);
  out.report.struct_size = sizeof out.report;
  status = larder_salvage(source, target, options, &out.report, &out.losses, &out.losses_len, &err);
  out.result = lgo_end(status, &err, 0);
  return out;
}

static inline void lgo_salvage_free(void *losses) { larder_free(losses); }

/* A cursor that hands out many entries per call. It holds the one entry that was fetched and did
 * not fit: what larder_cursor_next lends is good until the next call on that cursor. */
typedef struct lgo_cursor {
  larder_cursor *cursor;
  const void *key, *value;
  size_t key_len, value_len;
  int holds_entry;
} lgo_cursor;

static inline void lgo_cursor_close(uintptr_t at)
{
  lgo_cursor *self = (lgo_cursor *)at;
  larder_cursor_close(self->cursor);
  free(self);
}

/* number is the lgo_cursor. */
static inline lgo_result lgo_cursor_open(uintptr_t db, const uint8_t *prefix, size_t prefix_len)
{
  lgo_cursor *self = calloc(1, sizeof *self);
  larder_error err;
  larder_status status;
  if (self == NULL) {
    lgo_result none = {LARDER_OUT_OF_MEMORY, NULL, 0};
    return none;
  }
  status = larder_cursor_open(lgo_db(db), prefix, prefix_len, &self->cursor, &err);
  if (status != LARDER_OK) {
    free(self);
    self = NULL;
  }
  return lgo_end(status, &err, (uintptr_t)self);
}

enum { LGO_ENTRY_HEAD = 16 }; /* u64 key_len, u64 value_len, in front of key and value; no padding */

/* Fills buffer with entries. LARDER_OK: there may be more. LARDER_DONE or a failure: the entries in
 * the buffer are the last ones. In all three cases number is the count of bytes filled in.
 * LARDER_BUFFER_TOO_SMALL: nothing was filled in, and number is what the next entry alone needs. */
static inline lgo_result lgo_cursor_fill(uintptr_t at, uint8_t *buffer, size_t capacity, int keys_only)
{
  lgo_cursor *self = (lgo_cursor *)at;
  size_t used = 0;
  for (;;) {
    size_t need;
    uint64_t head[2];
    if (!self->holds_entry) {
      larder_error err;
      larder_status status;
      self->value = NULL;
      self->value_len = 0;
      status = larder_cursor_next(self->cursor, &self->key, &self->key_len, keys_only ? NULL : &self->value,
                                  keys_only ? NULL : &self->value_len, &err);
      if (status != LARDER_OK)
        return lgo_end(status, &err, used);
      self->holds_entry = 1;
    }
    need = LGO_ENTRY_HEAD + self->key_len + self->value_len;
    if (need > capacity - used) {
      if (used == 0)
        return lgo_end(LARDER_BUFFER_TOO_SMALL, NULL, need);
      return lgo_end(LARDER_OK, NULL, used);
    }
    head[0] = self->key_len;
    head[1] = self->value_len;
    memcpy(buffer + used, head, LGO_ENTRY_HEAD);
    used += LGO_ENTRY_HEAD;
    if (self->key_len != 0)
      memcpy(buffer + used, self->key, self->key_len);
    used += self->key_len;
    if (self->value_len != 0)
      memcpy(buffer + used, self->value, self->value_len);
    used += self->value_len;
    self->holds_entry = 0;
  }
}

#endif
