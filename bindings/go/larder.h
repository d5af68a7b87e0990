/*
 * larder.h: an embedded key-value store.
 *
 * A store is a directory. Keys and values are any bytes: keys up to 65535, values up to 2^32 - 1 of
 * them. Link with -llarder.
 *
 * Conventions:
 *
 * (1) Handles are opaque. Each type says, where it is declared, who owns it, until when, and which
 *     threads may use it. A larder may be used from any thread at any time; all other objects have no
 *     thread affinity but are for one thread at a time. Objects keep alive what they need, so they may
 *     be closed in any order.
 *
 * (2) Every call that can fail returns a larder_status: 0 is done, 1 to 99 are expected outcomes, 100
 *     and up are failures. Outputs are written on LARDER_OK only, except where a function says so.
 *
 * (3) The last parameter of such a call is a larder_error that the caller owns. It may be NULL; else it
 *     is filled whatever the outcome. There is no last error anywhere else.
 *
 * (4) Bytes are a pointer and a length. (NULL, 0) is the empty string; (NULL, n) with n > 0 is
 *     LARDER_INVALID_ARGUMENT, and so are a NULL handle and a NULL output, except where a function says
 *     that it takes one.
 *
 * (5) A bug in the library is LARDER_PANIC, never an abort and never an exception; the handle it
 *     happened on refuses writes from then on.
 *
 * (6) The library is a guest: it sets no signal handlers, prints nothing, reads no environment
 *     variables, leaves no threads behind a close, and changes neither locale nor umask.
 *
 * (7) larder_close consumes the store whatever happens. A closed handle stays valid as a pointer: calls
 *     on it return LARDER_CLOSED.
 *
 * (8) In a forked child every call on an inherited handle returns LARDER_FORKED and touches no file, and
 *     what gives something back leaves it alone. The child may open stores of its own.
 *
 * (9) A key whose time is over is absent for every operation; only larder_ttl tells the two apart.
 *
 * In this order: constants; types; errors (larder_status_name); options (larder_options_*); open and
 * close; one key; the whole store; salvage; reading all keys (larder_cursor_*); many at once (*_packed); zero copy
 * (larder_get_view); about the library (larder_version_*, larder_abi_version).
 *
 * Each function says what it does; which threads may call it; whether it can block; every status it
 * returns; since which version it exists; and, under Safety, what its pointers must be, who owns what
 * they point to, and until when.
 */


#ifndef LARDER_H
#define LARDER_H

#include <stddef.h>
#include <stdint.h>

/**
 * Done.
 */
#define LARDER_OK 0

/**
 * No such live key; from `larder_open`, no such store.
 */
#define LARDER_NOT_FOUND 1

/**
 * The key is there but its time is over (only where a function says that it distinguishes this).
 */
#define LARDER_EXPIRED 2

/**
 * `LARDER_IF_ABSENT` was asked for and the key is live.
 */
#define LARDER_EXISTS 3

/**
 * Version or transaction conflict.
 */
#define LARDER_CONFLICT 4

/**
 * The cursor is at its end.
 */
#define LARDER_DONE 5

/**
 * The caller's buffer is too small; the needed length was handed out.
 */
#define LARDER_BUFFER_TOO_SMALL 6

/**
 * NULL, out of range, or an unknown option or flag.
 */
#define LARDER_INVALID_ARGUMENT 100

/**
 * A key, value or batch is over its limit.
 */
#define LARDER_TOO_LARGE 101

/**
 * Another process or handle has the store open; the message names its pid. Returned at once.
 */
#define LARDER_BUSY 102

/**
 * The handle is closed.
 */
#define LARDER_CLOSED 103

/**
 * The store was opened read-only, or an earlier failure made it read-only.
 */
#define LARDER_READ_ONLY 104

/**
 * The disk is full, or the store's own size limit is reached; nothing changed.
 */
#define LARDER_NO_SPACE 105

/**
 * The operating system said no; `os_errno` says why.
 */
#define LARDER_IO 106

/**
 * Stored bytes fail their check; file and offset are in the error.
 */
#define LARDER_CORRUPT 107

/**
 * The handle was inherited over fork.
 */
#define LARDER_FORKED 108

/**
 * This target or build cannot do it.
 */
#define LARDER_UNSUPPORTED 109

/**
 * A format or ABI version that this library does not know.
 */
#define LARDER_INCOMPATIBLE 110

/**
 * Memory could not be had.
 */
#define LARDER_OUT_OF_MEMORY 111

/**
 * A long call was ended by the caller.
 */
#define LARDER_INTERRUPTED 112

/**
 * A bug in the library, contained. The handle refuses writes from then on.
 */
#define LARDER_PANIC 113

/**
 * `larder_set_with`: set only if the key is not live.
 */
#define LARDER_IF_ABSENT 1

/**
 * `larder_set_with`: set only if the key is live.
 */
#define LARDER_IF_PRESENT 2

/**
 * `larder_set_with`, `larder_write_packed`: durable when the call returns, whatever the sync mode.
 */
#define LARDER_SYNC 4

/**
 * The header's major version.
 */
#define LARDER_VERSION_MAJOR 0

/**
 * The header's minor version.
 */
#define LARDER_VERSION_MINOR 1

/**
 * The header's patch version.
 */
#define LARDER_VERSION_PATCH 0

/**
 * The number in the library's SONAME, `liblarder.so.0`: it changes when programs must be recompiled.
 */
#define LARDER_ABI_VERSION 0

/**
 * An open store. Made by `larder_open`, for any thread at any time, and consumed by `larder_close`:
 * after that every call on it, a second close too, returns `LARDER_CLOSED` and has no effect. For that
 * a shell of less than 4 KiB of memory stays allocated for each store that was ever opened, and is not
 * used again; maps, files, threads, index and all else of the store do not stay. In a forked child
 * every call on it returns `LARDER_FORKED`.
 */
typedef struct larder larder;

/**
 * A walk over all live keys of a store, in no order that means anything. Not a snapshot: every key that
 * is live throughout is returned exactly once. Owned by whoever opened it, until
 * `larder_cursor_close`; it has no thread affinity but is for one thread at a time. It survives changes,
 * compaction and close of the store, after which it returns `LARDER_CLOSED`.
 */
typedef struct larder_cursor larder_cursor;

/**
 * How a store is to be opened. Owned by whoever made it with `larder_options_new`, until
 * `larder_options_free`; `larder_open` copies, so it may be reused, changed or freed at once. For
 * one thread at a time.
 */
typedef struct larder_options larder_options;

/**
 * The outcome of a call, one of the constants above: 0 is done, 1 to 99 are expected outcomes, 100 and
 * up are failures. The numbers are never reused, and more may be added.
 */
typedef int32_t larder_status;

/**
 * What went wrong. 256 bytes that the caller owns, for ever of this layout; the library keeps no
 * pointer to it. Every call that takes one fills it: `status` equals what the call returns, and the
 * message is empty on `LARDER_OK`, the status's own sentence on 1 to 99, and on failures one
 * sentence that names the parameter, file, limit or process at fault.
 */
typedef struct larder_error {
  /**
   * What the call returned.
   */
  larder_status status;
  /**
   * The system's errno, 0 if none.
   */
  int32_t os_errno;
  /**
   * File offset of the damage for `LARDER_CORRUPT`, else 0.
   */
  uint64_t offset;
  /**
   * NUL-terminated UTF-8.
   */
  char message[240];
} larder_error;

/**
 * The figures of one store at one moment. Counts start at zero when the store is opened.
 *
 * The caller sets `struct_size` to `sizeof(larder_stats)`, at least 8 and at most 65536, and the
 * library writes no byte beyond it: what it knows more is left out, what the caller knows more is
 * zeroed.
 */
typedef struct larder_stats {
  /**
   * Size of the caller's struct, bytes. Set it before the call.
   */
  uint32_t struct_size;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Live keys.
   */
  uint64_t keys;
  /**
   * Bytes of whole live records, heads and padding included.
   */
  uint64_t live_bytes;
  /**
   * Bytes of records that compaction can or will drop, tombstones included.
   */
  uint64_t dead_bytes;
  /**
   * Bytes that the segment files take on disk, reserved room included.
   */
  uint64_t file_bytes;
  /**
   * Segment files.
   */
  uint64_t segments;
  /**
   * Bytes of address space that the segments' maps take.
   */
  uint64_t mapped_bytes;
  /**
   * Bytes of memory of the index.
   */
  uint64_t index_bytes;
  /**
   * Views that are held and not yet released.
   */
  uint64_t pinned_views;
  /**
   * Reads of one key, of any kind.
   */
  uint64_t gets;
  /**
   * Of those, how many found a live key.
   */
  uint64_t hits;
  /**
   * Records written by set, set with options, expire and batches.
   */
  uint64_t sets;
  /**
   * Keys deleted.
   */
  uint64_t dels;
  /**
   * Keys removed because their time was over.
   */
  uint64_t expired;
  /**
   * Syncs of the log.
   */
  uint64_t syncs;
  /**
   * Compactions that were committed.
   */
  uint64_t compactions;
  /**
   * Bytes of records that compactions copied.
   */
  uint64_t compacted_bytes;
} larder_stats;

/**
 * What `larder_salvage` did.
 *
 * The caller sets `struct_size` to `sizeof(larder_salvage_report)`, at least 8 and at most 65536, and the
 * library writes no byte beyond it: what it knows more is left out, what the caller knows more is
 * zeroed.
 */
typedef struct larder_salvage_report {
  /**
   * Size of the caller's struct, bytes. Set it before the call.
   */
  uint32_t struct_size;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Segment files that were read.
   */
  uint64_t segments;
  /**
   * Intact records in them, overwritten ones and tombstones among them.
   */
  uint64_t records;
  /**
   * Keys that the new store has.
   */
  uint64_t keys;
  /**
   * Bytes of their records.
   */
  uint64_t bytes;
  /**
   * Damaged places, each a line of the list of losses.
   */
  uint64_t losses;
  /**
   * Their bytes.
   */
  uint64_t lost_bytes;
  /**
   * 1 if the list of files was there and complete, else 0: then a record may be back that was no part
   * of the store any more, of a key deleted long ago, or of a write that a power cut had taken back.
   */
  uint64_t has_whole_manifest;
} larder_salvage_report;

/**
 * A value in place, readable until it is released: through overwrite, delete, compaction and close of
 * the store. The struct is the caller's, what it points to is the library's. It may be copied, but only
 * one copy may be released. It has no thread affinity but is for one thread at a time. For ever of this
 * layout.
 */
typedef struct larder_view {
  /**
   * The value; not NULL while the view is held, also for an empty value. Read only.
   */
  const void *data;
  /**
   * Its length, bytes.
   */
  size_t len;
  /**
   * The record's sequence number; 0 over a server, which counts none.
   */
  uint64_t version;
  /**
   * When it expires, Unix milliseconds; 0 without expiry.
   */
  int64_t expires_at_ms;
  /**
   * The library's: what `larder_view_release` gives back.
   */
  void *pin;
} larder_view;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The constant's name, as `"LARDER_NOT_FOUND"`; `"LARDER_UNKNOWN"` for a number that is no status.
 * Never NULL. The string is the library's and lives as long as the library is loaded.
 *
 * Threads: any. Blocks: never. Returns: a string. Since 0.1.0.
 */
const char *larder_status_name(larder_status status);

/**
 * Makes options that hold the defaults. Free them with `larder_options_free`.
 *
 * Threads: any. Blocks: never. Returns: the options, or NULL if memory could not be had. Since 0.1.0.
 */
struct larder_options *larder_options_new(void);

/**
 * Sets one option. On a failure the options are as they were.
 *
 * - `sync`: when an acknowledged write is durable. `always` (the default): at once; `interval:<ms>`, 1 to
 *   86400000: synced that often; `none`: when the kernel likes.
 * - `read_only`: `true` or `false` (the default).
 * - `create`: `true` (the default) or `false`: create the store if it is not there.
 * - `segment_size`: bytes that segment files grow to, 64KiB to 4GiB; 64MiB by default.
 * - `max_size`: most bytes on disk; 0 (the default) is no limit.
 * - `verify_reads`: which reads check the record's checksum. `copies` (the default), `all` (views too) or
 *   `none`.
 * - `compaction`: `auto` (the default) or `manual`: only `larder_compact`.
 * - `timeout_ms`: how long a call waits for a server's next bytes, 1 to 86400000; 5000 by default.
 * - `connect_timeout_ms`: how long a call waits for a connection to a server, 1 to 86400000; 2000 by default.
 * - `user`: who asks a server; its default user if it is not set. What the location says goes before it.
 * - `password`: the user's password.
 *
 * The last four have no effect on a directory; of the others a server takes `read_only` alone. Bytes are
 * digits, or digits and one of `KiB`, `MiB`, `GiB`, without blanks.
 *
 * Threads: any, but one at a time for the same options. Blocks: never.
 * Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for NULL, an unknown name, a malformed value or one
 * out of range, and text that is not UTF-8; `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `options` comes from `larder_options_new` and is not freed. `name` and `value` are NUL-terminated;
 * they are read during the call and not kept. `err` is NULL or writable.
 */
larder_status larder_options_set(struct larder_options *options,
                                 const char *name,
                                 const char *value,
                                 struct larder_error *err);

/**
 * Frees options. NULL is fine.
 *
 * Threads: any, but one at a time for the same options. Blocks: never. Returns: nothing. Since 0.1.0.
 *
 * # Safety
 *
 * `options` is NULL, or comes from `larder_options_new` and is not freed; it may not be used any more.
 */
void larder_options_free(struct larder_options *options);

/**
 * Opens the store in the directory `location`, with `options` or, for NULL, the defaults. The last
 * component of the path is created if need be, its parents are not.
 *
 * A location that begins with the name of a scheme and a colon names another target. `unix:PATH`,
 * `redis://HOST:PORT` and `redis+cluster://HOST:PORT,HOST:PORT` are servers that speak the protocol of
 * Redis; a library that was built for them (`make install REMOTE=1`) gives the same handle over them, others
 * return `LARDER_UNSUPPORTED`. What a server cannot promise is `LARDER_UNSUPPORTED` in every function, and
 * where functions below speak of the disk, the server answers or `LARDER_IO` is returned within the timeouts
 * of the options. For a directory of such a name write `./unix:dir`.
 *
 * Threads: any. Blocks: reads files, waits for the disk, never for another process; for a server at most as
 * long as `connect_timeout_ms` and `timeout_ms` say.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if there is no store and none was to be created;
 * `LARDER_INVALID_ARGUMENT` for NULL, an empty or malformed location, a directory that is neither empty nor a
 * store, and a user or password that a server refuses; `LARDER_BUSY` if another process or handle has the store open; `LARDER_UNSUPPORTED` for a scheme
 * that is not known, and for options that a server has not; `LARDER_CORRUPT`, `LARDER_INCOMPATIBLE`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
 * `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `location` is NUL-terminated, any bytes; it and `options` are read during the call and not kept.
 * `out` is writable; on `LARDER_OK`, and only then, it is set to the handle, which the caller gives back
 * with `larder_close`. `err` is NULL or writable.
 */
larder_status larder_open(const char *location,
                          const struct larder_options *options,
                          struct larder **out,
                          struct larder_error *err);

/**
 * Closes a store, whatever happens: waits for calls of other threads that are under way, joins the
 * library's threads, syncs in every sync mode, unlocks. Cursors of the store return `LARDER_CLOSED`
 * from then on; views stay readable until they are released. NULL is `LARDER_OK`.
 *
 * Threads: any. Blocks: waits for the disk and for calls under way.
 * Returns: `LARDER_OK`; `LARDER_CLOSED` for a second close and `LARDER_FORKED` in a forked child, both
 * without effect; what the last sync returned, or the failure that made the store refuse writes before:
 * `LARDER_IO`, `LARDER_NO_SPACE`, `LARDER_CORRUPT`, `LARDER_PANIC`: the store is closed, and what was not
 * durable before the call may be lost by a power cut; `LARDER_INVALID_ARGUMENT`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` is NULL or comes from `larder_open`, closed or not. `err` is NULL or writable.
 */
larder_status larder_close(struct larder *db,
                           struct larder_error *err);

/**
 * Sets `key` to `value`, and clears an expiry.
 *
 * Threads: any. Blocks: until the write is durable if `sync` is `always`; else a copy into memory, and
 * the disk only while room is made.
 * Returns: `LARDER_OK`; `LARDER_TOO_LARGE` for a key of more than 65535 bytes or a value of more than
 * 2^32 - 1; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
 * `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes and `value` for `value_len`; both
 * are read during the call and not kept, and either may be NULL with length 0. `err` is NULL or writable.
 */
larder_status larder_set(struct larder *db,
                         const void *key,
                         size_t key_len,
                         const void *value,
                         size_t value_len,
                         struct larder_error *err);

/**
 * Reads `key` into a new buffer, which is never NULL on `LARDER_OK`, also for an empty value.
 *
 * Threads: any. Blocks: never for a writer or a sync; reads of the disk where memory does not hold the
 * value.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_CORRUPT` if the value fails its check;
 * `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
 * `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `value` and `value_len` are writable; on `LARDER_OK`, and only then, they are set to the
 * buffer, which is the caller's until `larder_free`, and to the value's length. `err` is NULL or
 * writable.
 */
larder_status larder_get(struct larder *db,
                         const void *key,
                         size_t key_len,
                         void **value,
                         size_t *value_len,
                         struct larder_error *err);

/**
 * Deletes `key`.
 *
 * Threads: any. Blocks: as `larder_set`.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if the key was not live; `LARDER_INVALID_ARGUMENT`,
 * `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`, `LARDER_IO`,
 * `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `err` is NULL or writable.
 */
larder_status larder_del(struct larder *db,
                         const void *key,
                         size_t key_len,
                         struct larder_error *err);

/**
 * Frees a buffer that `larder_get` or `larder_salvage` made. NULL is fine. The same as `free` of the C library that
 * liblarder is linked with. Works in a forked child too.
 *
 * Threads: any. Blocks: never. Returns: nothing. Since 0.1.0.
 *
 * # Safety
 *
 * `buffer` is NULL, or comes from `larder_get` or `larder_salvage` and is not freed; it may not be used any more.
 */
void larder_free(void *buffer);

/**
 * Reads `key` into the caller's buffer. `*need` is set to the value's length on `LARDER_OK` and on
 * `LARDER_BUFFER_TOO_SMALL`; a buffer that is too small is left untouched.
 *
 * Threads: any. Blocks: as `larder_get`.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_BUFFER_TOO_SMALL`; `LARDER_CORRUPT` if the value
 * fails its check; `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`,
 * `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `buffer` is writable for `capacity` bytes, or NULL with capacity 0, and does not overlap
 * `key`; it is the caller's before, during and after. `need` is writable. `err` is NULL or writable.
 */
larder_status larder_get_into(struct larder *db,
                              const void *key,
                              size_t key_len,
                              void *buffer,
                              size_t capacity,
                              size_t *need,
                              struct larder_error *err);

/**
 * Says whether `key` is live.
 *
 * Threads: any. Blocks: as `larder_get`.
 * Returns: `LARDER_OK` if it is; `LARDER_NOT_FOUND` if not; `LARDER_INVALID_ARGUMENT`,
 * `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_PANIC`.
 * Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `err` is NULL or writable.
 */
larder_status larder_exists(struct larder *db,
                            const void *key,
                            size_t key_len,
                            struct larder_error *err);

/**
 * Sets `key` to `value` with a time to live and conditions.
 *
 * `ttl_ms` counts from the call: 0 is no expiry, -1 keeps the present one (none if the key is not
 * live), at most 2^62 - 1. `flags` are `LARDER_IF_ABSENT` or `LARDER_IF_PRESENT`, and `LARDER_SYNC`.
 * `*version` becomes the record's sequence number, which grows with every change of the store; 0 over a server,
 * which counts none.
 *
 * Threads: any. Blocks: as `larder_set`; with `LARDER_SYNC` until the write is durable.
 * Returns: `LARDER_OK`; `LARDER_EXISTS` if the key is live and was to be absent; `LARDER_NOT_FOUND` if
 * it is not live and was to be present; `LARDER_UNSUPPORTED` for `LARDER_SYNC` over a server that cannot promise
 * it; `LARDER_INVALID_ARGUMENT` for other TTLs, unknown flags, both IF flags and NULL; `LARDER_TOO_LARGE`,
 * `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
 * `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes and `value` for `value_len`; both
 * are read during the call and not kept, and either may be NULL with length 0. `version` is NULL or
 * writable, and written only on `LARDER_OK`. `err` is NULL or writable.
 */
larder_status larder_set_with(struct larder *db,
                              const void *key,
                              size_t key_len,
                              const void *value,
                              size_t value_len,
                              int64_t ttl_ms,
                              uint32_t flags,
                              uint64_t *version,
                              struct larder_error *err);

/**
 * Says how many milliseconds `key` has left; -1 is no expiry.
 *
 * Threads: any. Blocks: as `larder_get`.
 * Returns: `LARDER_OK`; `LARDER_EXPIRED` if the key's time is over and the store still remembers it;
 * `LARDER_NOT_FOUND`; `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_CORRUPT`,
 * `LARDER_FORKED`, `LARDER_IO`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `ttl_ms` is writable, and written only on `LARDER_OK`. `err` is NULL or writable.
 */
larder_status larder_ttl(struct larder *db,
                         const void *key,
                         size_t key_len,
                         int64_t *ttl_ms,
                         struct larder_error *err);

/**
 * Gives a live `key` a new time to live of `ttl_ms` from now on: 0 expires it at once, -1 takes its expiry
 * away, at most 2^62 - 1.
 *
 * Threads: any. Blocks: as `larder_set`.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if the key is not live; `LARDER_INVALID_ARGUMENT` for other
 * TTLs and NULL; `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
 * `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `err` is NULL or writable.
 */
larder_status larder_expire(struct larder *db,
                            const void *key,
                            size_t key_len,
                            int64_t ttl_ms,
                            struct larder_error *err);

/**
 * Counts the keys. Keys that are expired and not yet swept may be counted for at most one second.
 *
 * Threads: any. Blocks: never.
 * Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`.
 * Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `count` is writable, and written only on `LARDER_OK`. `err` is NULL or
 * writable.
 */
larder_status larder_len(struct larder *db,
                         uint64_t *count,
                         struct larder_error *err);

/**
 * Makes everything durable that was acknowledged before the call, in every sync mode. On a store that
 * is open read-only there is nothing to do.
 *
 * The first sync that fails makes the store read-only until it is opened again: a later one that
 * succeeds would prove nothing.
 *
 * Threads: any. Blocks: until the disk has it.
 * Returns: `LARDER_OK`; `LARDER_IO` or `LARDER_NO_SPACE` if the sync failed; `LARDER_READ_ONLY` after an
 * earlier failure; `LARDER_UNSUPPORTED` over a server that cannot promise it; `LARDER_INVALID_ARGUMENT`,
 * `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `err` is NULL or writable.
 */
larder_status larder_sync(struct larder *db,
                          struct larder_error *err);

/**
 * Reclaims the space of what was overwritten, deleted and expired. With the option `compaction=auto`
 * no call is needed.
 *
 * Threads: any. Blocks: while it copies what is live; other calls go on meanwhile.
 * Returns: `LARDER_OK`; `LARDER_READ_ONLY`; `LARDER_CORRUPT` if a record fails its check;
 * `LARDER_UNSUPPORTED` over a server; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_NO_SPACE`,
 * `LARDER_IO`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `err` is NULL or writable.
 */
larder_status larder_compact(struct larder *db,
                             struct larder_error *err);

/**
 * Checks every record of the log. `*bad_records` is set on `LARDER_OK`, to 0, and on the
 * `LARDER_CORRUPT` that reports damage, whose error names the first place.
 *
 * Threads: any. Blocks: while it reads the whole store; other calls go on meanwhile.
 * Returns: `LARDER_OK`; `LARDER_CORRUPT`; `LARDER_UNSUPPORTED` over a server; `LARDER_INVALID_ARGUMENT`,
 * `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `bad_records` is writable. `err` is NULL or writable.
 */
larder_status larder_verify(struct larder *db,
                            uint64_t *bad_records,
                            struct larder_error *err);

/**
 * Reads the store's figures. They are read one after the other while other calls go on, so their sums
 * need not match to the last byte.
 *
 * Threads: any. Blocks: never.
 * Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for NULL and a `struct_size` out of range;
 * `LARDER_UNSUPPORTED` over a server; `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `stats` is writable for the `struct_size` bytes that it begins with, and
 * written only on `LARDER_OK`. `err` is NULL or writable.
 */
larder_status larder_stats_get(struct larder *db,
                               struct larder_stats *stats,
                               struct larder_error *err);

/**
 * Writes what is intact in the store in the directory `source` into a new store in the directory
 * `target`, which must be missing or empty. No byte of the source is changed, and nothing is created in
 * it: it may be on read-only media, and refused by `larder_open`.
 *
 * A value is written only if its record's check holds, and only if no intact record of its key is newer.
 * Expiries and versions stay; keys that were deleted stay so. Where the newest record of a key is damaged,
 * an older one takes its place, if one is left: the loss says so if the key can still be read. A
 * batch that was durable and lost some of its records keeps the others.
 *
 * `losses` is text: for each damaged place one line, ended by a newline, with six fields between tabs:
 * file; offset; length, both in bytes; key; version that the new store has of that key; what is wrong. A key
 * or version that there is not is `-`; a key stands in double quotes, with `\xNN` for every byte but
 * printable ASCII, and for the quote and the backslash. The key is as far as it can be read: the damage may
 * be in it. Damage is no failure: the call returns `LARDER_OK`, and the report counts it.
 *
 * Of the options `segment_size` is used, the size of the new store's files.
 *
 * Threads: any. Blocks: while it reads the whole source and writes the target.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if there is no store in `source`; `LARDER_BUSY` while a writer has
 * it open; `LARDER_INVALID_ARGUMENT` for NULL, a `struct_size` out of range, and a target that is not empty;
 * `LARDER_CORRUPT` if no file says intact which store it is; `LARDER_INCOMPATIBLE` for a newer format;
 * `LARDER_UNSUPPORTED` for a location with a scheme; `LARDER_NO_SPACE`, `LARDER_IO`,
 * `LARDER_OUT_OF_MEMORY`, `LARDER_READ_ONLY`, `LARDER_PANIC`: then `target` holds no store, and what was
 * written is removed. Since 0.1.0.
 *
 * # Safety
 *
 * `source` and `target` are NUL-terminated, any bytes; they and `options`, which may be NULL for the
 * defaults, are read during the call and not kept. `report` is writable for the `struct_size` bytes that it
 * begins with. `losses` and `losses_len` are writable, or both NULL if the list is not wanted; on
 * `LARDER_OK` `*losses` is a new buffer of `*losses_len` bytes, never NULL, that the caller gives back with
 * `larder_free`. `err` is NULL or writable.
 */
larder_status larder_salvage(const char *source,
                             const char *target,
                             const struct larder_options *options,
                             struct larder_salvage_report *report,
                             void **losses,
                             size_t *losses_len,
                             struct larder_error *err);

/**
 * Opens a cursor over the keys that begin with `prefix`; over all keys if it is empty.
 *
 * Threads: any. Blocks: never.
 * Returns: `LARDER_OK`; `LARDER_TOO_LARGE` for a prefix of more than 65535 bytes;
 * `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`.
 * Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `prefix` is readable for `prefix_len` bytes during the call, or NULL with
 * length 0. `out` is writable; on `LARDER_OK`, and only then, it is set to the cursor, which the caller
 * gives back with `larder_cursor_close`. `err` is NULL or writable.
 */
larder_status larder_cursor_open(struct larder *db,
                                 const void *prefix,
                                 size_t prefix_len,
                                 struct larder_cursor **out,
                                 struct larder_error *err);

/**
 * Steps to the next key. `*key` and `*value` are never NULL on `LARDER_OK`.
 *
 * Threads: any, but one at a time for the same cursor. Blocks: as `larder_get`.
 * Returns: `LARDER_OK`; `LARDER_DONE` at the end, and from then on; `LARDER_CORRUPT` if the record fails
 * its check; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
 * `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `cursor` comes from `larder_cursor_open` and is not closed. `key` and `key_len` are writable, `value` and
 * `value_len` too or both NULL; they are set on `LARDER_OK`, and only then. The bytes are the library's,
 * readable until the next call on this cursor. `err` is NULL or writable.
 */
larder_status larder_cursor_next(struct larder_cursor *cursor,
                                 const void **key,
                                 size_t *key_len,
                                 const void **value,
                                 size_t *value_len,
                                 struct larder_error *err);

/**
 * Closes a cursor, before or after its store. NULL is fine. In a forked child an inherited cursor is
 * left alone.
 *
 * Threads: any, but one at a time for the same cursor. Blocks: never. Returns: nothing. Since 0.1.0.
 *
 * # Safety
 *
 * `cursor` is NULL, or comes from `larder_cursor_open` and is not closed; it and what it handed out may
 * not be used any more.
 */
void larder_cursor_close(struct larder_cursor *cursor);

/**
 * Carries out all operations of a buffer or none: for readers, after any failure and after any crash.
 *
 * ```text
 * { u32 op (1 set, 2 del), u32 key_len, u64 value_len, i64 ttl_ms, key, value, zeros to 8 }*
 * ```
 *
 * Little-endian; each entry is padded with zeros to a multiple of 8 bytes, counted from its start. The
 * buffer itself needs no alignment. `ttl_ms` is as for `larder_set_with`; a del has no value and no TTL
 * and its key need not be there. A key may be named twice: the last operation wins. `flags` is 0 or
 * `LARDER_SYNC`. An empty buffer is fine. Over a cluster of servers keys in several slots are `LARDER_UNSUPPORTED`.
 *
 * Threads: any. Blocks: as `larder_set`; with `LARDER_SYNC` until the batch is durable.
 * Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for unknown operations and flags, lengths that leave
 * the buffer, padding that is not zero, trailing bytes and TTLs out of range; `LARDER_TOO_LARGE` for a
 * key or value over its limit; `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`, `LARDER_IO`,
 * `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `ops` is readable for `len` bytes during the call and nobody changes it
 * meanwhile; or NULL with length 0. `bad_offset` is NULL or writable; it is set on a failure that is one
 * entry's fault, to that entry's offset, and untouched otherwise. `err` is NULL or writable.
 */
larder_status larder_write_packed(struct larder *db,
                                  const void *ops,
                                  size_t len,
                                  uint32_t flags,
                                  size_t *bad_offset,
                                  struct larder_error *err);

/**
 * Reads many keys into one buffer, in their order.
 *
 * ```text
 * keys: { u32 key_len, key, zeros to 8 }*
 * out:  { i32 status, u32 0, u64 value_len, value, zeros to 8 }*
 * ```
 *
 * Little-endian; each entry is padded with zeros to a multiple of 8 bytes, counted from its start. The
 * buffers need no alignment. An answer's status is `LARDER_OK`, `LARDER_NOT_FOUND`, or what reading that
 * key failed with; only the first has a value. The answers are not a snapshot.
 *
 * It stops before the first answer that does not fit and returns `LARDER_BUFFER_TOO_SMALL`: `*answered`
 * keys are done, and the caller goes on from there. If that is 0, the next value alone is larger than the
 * buffer; `larder_get` reads it.
 *
 * Threads: any. Blocks: as `larder_get`.
 * Returns: `LARDER_OK`; `LARDER_BUFFER_TOO_SMALL`; `LARDER_INVALID_ARGUMENT` for lengths that leave the
 * buffer, padding that is not zero and trailing bytes; `LARDER_TOO_LARGE` for a key over the limit;
 * `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `keys` is readable for `len` bytes during the call and nobody changes it
 * meanwhile; or NULL with length 0. `out` is writable for `capacity` bytes, or NULL with capacity 0, and
 * does not overlap `keys`; on a failure its content is undefined. `used` (bytes of `out`) and `answered`
 * (keys) are writable, and set on `LARDER_OK` and `LARDER_BUFFER_TOO_SMALL`. `err` is NULL or writable.
 */
larder_status larder_get_many_packed(struct larder *db,
                                     const void *keys,
                                     size_t len,
                                     void *out,
                                     size_t capacity,
                                     size_t *used,
                                     size_t *answered,
                                     struct larder_error *err);

/**
 * Reads `key` in place: no copy, whatever the value's size (over a server, a copy). Its checksum is checked only with the
 * option `verify_reads=all`. What a held view pins on disk and in memory cannot be reclaimed.
 *
 * Threads: any. Blocks: as `larder_get`; reading the bytes may wait for the disk.
 * Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_CORRUPT` if the value is checked and fails;
 * `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
 * `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
 *
 * # Safety
 *
 * `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
 * length 0. `out` is writable and holds no view that is still to be released; it is set on `LARDER_OK`,
 * and only then, and given back with `larder_view_release`. `err` is NULL or writable.
 */
larder_status larder_get_view(struct larder *db,
                              const void *key,
                              size_t key_len,
                              struct larder_view *out,
                              struct larder_error *err);

/**
 * Releases a view and zeroes it, so that a second release is harmless. NULL and a zeroed view are fine.
 * In a forked child an inherited view is only zeroed.
 *
 * Threads: any, but one at a time for the same view. Blocks: never. Returns: nothing. Since 0.1.0.
 *
 * # Safety
 *
 * `view` is NULL, zeroed, or filled by `larder_get_view`; the bytes it points to may not be used any more.
 */
void larder_view_release(struct larder_view *view);

/**
 * The version of the library that is loaded: major << 16 | minor << 8 | patch. Compare it with the
 * macros of the header that a program was compiled with.
 *
 * Threads: any. Blocks: never. Returns: a number. Since 0.1.0.
 */
uint32_t larder_version_number(void);

/**
 * The version of the library that is loaded, as `"0.1.0"`. The string is the library's and lives as
 * long as the library is loaded.
 *
 * Threads: any. Blocks: never. Returns: a string, never NULL. Since 0.1.0.
 */
const char *larder_version_string(void);

/**
 * `LARDER_ABI_VERSION` of the library that is loaded. A program that loads it by hand checks that it
 * equals the one it was written for.
 *
 * Threads: any. Blocks: never. Returns: a number. Since 0.1.0.
 */
uint32_t larder_abi_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LARDER_H */
