/* larderx.h: what C programmers add by hand around larder.h, written once.
 *
 * String keys, variables that clean up after themselves, an error printer, a builder for packed
 * batches and a reader for packed answers. Everything is `static inline` over the public ABI: there is
 * nothing to link beyond liblarder, and nothing here that a program could not write itself.
 *
 * Not here: anything that larder.h already says in one call. The prefix `larder_` is the library's;
 * everything here begins with `larderx_` or `LARDERX_`.
 *
 * Conventions are those of larder.h: a status comes back, `err` is the last parameter and may be NULL,
 * outputs are untouched on failure. Objects declared here are for one thread at a time.
 *
 * C99 and later, C++ too. */
#ifndef LARDERX_H
#define LARDERX_H

#include "larder.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ------------------------------------------------------------------------------------- */

/* Writes "what: LARDER_IO: cannot open LOCK: ... (errno 13, offset 4096)" and a newline to `out`. */
static inline void larderx_print_error(FILE *out, const char *what, const larder_error *err) {
    fprintf(out, "%s: %s", what, larder_status_name(err->status));
    if (err->message[0] != '\0') fprintf(out, ": %s", err->message);
    if (err->os_errno != 0) fprintf(out, " (errno %ld)", (long)err->os_errno);
    if (err->offset != 0) fprintf(out, " (offset %llu)", (unsigned long long)err->offset);
    fputc('\n', out);
}

/* Fills `err`, if there is one, as the library would; returns `status`. For failures on this side. */
static inline larder_status larderx_fail(larder_error *err, larder_status status, const char *message) {
    if (err != NULL) {
        memset(err, 0, sizeof *err);
        err->status = status;
        strncpy(err->message, message, sizeof err->message - 1);
    }
    return status;
}

/* ---- variables that clean up after themselves --------------------------------------------------- */

/* Closes `*db` and sets it to NULL, so that a LARDERX_AUTO variable is not closed a second time.
 * Use it where the last sync's error matters: the automatic close has nobody to tell. */
static inline larder_status larderx_close(larder **db, larder_error *err) {
    larder *closing = *db;
    *db = NULL;
    return larder_close(closing, err);
}

/* LARDERX_AUTO(db) larder *db = NULL;  is closed when the variable goes out of scope, on every path.
 *
 *   LARDERX_AUTO(db)       larder *          LARDERX_AUTO(view)     larder_view (zeroed at first)
 *   LARDERX_AUTO(options)  larder_options *  LARDERX_AUTO(batch)    larderx_batch
 *   LARDERX_AUTO(cursor)   larder_cursor *   LARDERX_AUTO(keys)     larderx_keys
 *   LARDERX_AUTO(buffer)   void * (larder_get)                      LARDERX_AUTO(answers) larderx_answers
 *   LARDERX_AUTO(str)      char * (larderx_get_str)
 *
 * Initialise the variable where it is declared. A compiler without the attribute leaves the macro
 * undefined, because an empty one would leak without a word; there, call the function of the same name
 * (larderx_auto_db(&db), ...) on the way out: each is harmless on NULL and when called twice. */
#if defined(__GNUC__) || defined(__clang__)
#define LARDERX_HAS_AUTO 1
#define LARDERX_AUTO(kind) __attribute__((cleanup(larderx_auto_##kind)))
#else
#define LARDERX_HAS_AUTO 0
#endif

static inline void larderx_auto_db(larder **db) {
    (void)larderx_close(db, NULL);
}

static inline void larderx_auto_options(larder_options **options) {
    larder_options_free(*options);
    *options = NULL;
}

static inline void larderx_auto_cursor(larder_cursor **cursor) {
    larder_cursor_close(*cursor);
    *cursor = NULL;
}

static inline void larderx_auto_buffer(void **buffer) {
    larder_free(*buffer);
    *buffer = NULL;
}

static inline void larderx_auto_str(char **str) {
    free(*str);
    *str = NULL;
}

static inline void larderx_auto_view(larder_view *view) {
    larder_view_release(view);
}

/* ---- opening with options ----------------------------------------------------------------------- */

/* Opens with options given as names and values, ended by NULL:
 *
 *   static const char *const options[] = {"sync", "interval:100", "max_size", "1GiB", NULL};
 *   status = larderx_open("pantry", options, &db, &err);                                            */
static inline larder_status larderx_open(const char *location, const char *const *names_and_values, larder **out,
                                         larder_error *err) {
    larder_options *options = larder_options_new();
    larder_status status = LARDER_OK;
    if (options == NULL) return larderx_fail(err, LARDER_OUT_OF_MEMORY, "no memory for options");
    while (status == LARDER_OK && names_and_values != NULL && names_and_values[0] != NULL) {
        status = larder_options_set(options, names_and_values[0], names_and_values[1], err);
        names_and_values += 2;
    }
    if (status == LARDER_OK) status = larder_open(location, options, out, err);
    larder_options_free(options);
    return status;
}

/* ---- string keys and values --------------------------------------------------------------------- */

/* The length to pass for a string. For NULL it is 1, because (NULL, 1) is what the library refuses with
 * LARDER_INVALID_ARGUMENT and a message, where strlen would crash. */
static inline size_t larderx_len(const char *str) {
    return str == NULL ? 1 : strlen(str);
}

static inline larder_status larderx_set_str(larder *db, const char *key, const char *value, larder_error *err) {
    return larder_set(db, key, larderx_len(key), value, larderx_len(value), err);
}

static inline larder_status larderx_set_str_ttl(larder *db, const char *key, const char *value, int64_t ttl_ms,
                                                larder_error *err) {
    return larder_set_with(db, key, larderx_len(key), value, larderx_len(value), ttl_ms, 0, NULL, err);
}

static inline larder_status larderx_del_str(larder *db, const char *key, larder_error *err) {
    return larder_del(db, key, larderx_len(key), err);
}

static inline larder_status larderx_exists_str(larder *db, const char *key, larder_error *err) {
    return larder_exists(db, key, larderx_len(key), err);
}

/* The value with a NUL after its last byte, from malloc: free() it. A value that holds a NUL itself comes
 * back whole, but reads as a shorter string; larder_get is the call for such bytes. */
static inline larder_status larderx_get_str(larder *db, const char *key, char **value, larder_error *err) {
    size_t capacity = 127;
    char *str = NULL;
    if (value == NULL) return larderx_fail(err, LARDER_INVALID_ARGUMENT, "value is NULL");
    /* A loop, because the value may grow between the call that says its length and the next. */
    for (;;) {
        size_t need = 0;
        larder_status status;
        char *grown = (char *)realloc(str, capacity + 1);
        if (grown == NULL) {
            free(str);
            return larderx_fail(err, LARDER_OUT_OF_MEMORY, "no memory for the value");
        }
        str = grown;
        status = larder_get_into(db, key, larderx_len(key), str, capacity, &need, err);
        if (status == LARDER_OK) {
            str[need] = '\0';
            *value = str;
            return LARDER_OK;
        }
        if (status != LARDER_BUFFER_TOO_SMALL) {
            free(str);
            return status;
        }
        capacity = need;
    }
}

/* ---- packed buffers: shared by batches and key lists -------------------------------------------- */

/* Bytes that grow. `status` is the first failure and stays until the buffer is reset, so that a caller
 * may add many entries and check once. */
typedef struct larderx_buffer {
    unsigned char *bytes;
    size_t len;
    size_t capacity;
    size_t count; /* entries */
    larder_status status;
} larderx_buffer;

#define LARDERX_BUFFER_INIT { NULL, 0, 0, 0, LARDER_OK }

/* Integers in packed buffers are little-endian on every machine. */
static inline void larderx_encode(unsigned char *at, uint64_t value, size_t len) {
    size_t i;
    for (i = 0; i < len; i++) at[i] = (unsigned char)((value >> (8 * i)) & 0xff);
}

static inline uint64_t larderx_decode(const unsigned char *at, size_t len) {
    uint64_t value = 0;
    size_t i;
    for (i = 0; i < len; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* Entries begin at multiples of 8. */
static inline size_t larderx_padded(size_t len) {
    return (len + 7) & ~(size_t)7;
}

static inline larder_status larderx_buffer_reserve(larderx_buffer *buffer, size_t capacity) {
    if (capacity > buffer->capacity) {
        size_t grown = buffer->capacity < 256 ? 256 : buffer->capacity;
        unsigned char *bytes;
        while (grown < capacity) grown = grown > SIZE_MAX / 2 ? capacity : grown * 2;
        bytes = (unsigned char *)realloc(buffer->bytes, grown);
        if (bytes == NULL) return buffer->status = LARDER_OUT_OF_MEMORY;
        buffer->bytes = bytes;
        buffer->capacity = grown;
    }
    return LARDER_OK;
}

/* Room for one more entry of `head_len` bytes, then a key and a value, all of it zeros; NULL on failure. */
static inline unsigned char *larderx_buffer_extend(larderx_buffer *buffer, size_t head_len, const void *key,
                                                   size_t key_len, const void *value, size_t value_len) {
    unsigned char *entry;
    size_t entry_len;
    if (buffer->status != LARDER_OK) return NULL;
    if ((key == NULL && key_len > 0) || (value == NULL && value_len > 0)) {
        buffer->status = LARDER_INVALID_ARGUMENT;
        return NULL;
    }
    /* The library's own limits are narrower; these keep the sums below from wrapping. */
    if (key_len > UINT32_MAX || value_len > UINT32_MAX || buffer->len > SIZE_MAX / 2) {
        buffer->status = LARDER_TOO_LARGE;
        return NULL;
    }
    entry_len = larderx_padded(head_len + key_len + value_len);
    if (larderx_buffer_reserve(buffer, buffer->len + entry_len) != LARDER_OK) return NULL;
    entry = buffer->bytes + buffer->len;
    memset(entry, 0, entry_len);
    if (key_len > 0) memcpy(entry + head_len, key, key_len);
    if (value_len > 0) memcpy(entry + head_len + key_len, value, value_len);
    buffer->len += entry_len;
    buffer->count++;
    return entry;
}

/* Forgets the entries and the failure; keeps the memory. */
static inline void larderx_buffer_reset(larderx_buffer *buffer) {
    buffer->len = 0;
    buffer->count = 0;
    buffer->status = LARDER_OK;
}

static inline void larderx_buffer_free(larderx_buffer *buffer) {
    const larderx_buffer empty = LARDERX_BUFFER_INIT;
    free(buffer->bytes);
    *buffer = empty;
}

/* ---- batches: many changes, all or none --------------------------------------------------------- */

/*   larderx_batch batch = LARDERX_BATCH_INIT;
 *   larderx_batch_set(&batch, "a", 1, "1", 1, 0);
 *   larderx_batch_del(&batch, "b", 1);
 *   status = larderx_batch_write(&batch, db, 0, &err);
 *   larderx_batch_free(&batch);                                                                     */
typedef larderx_buffer larderx_batch;

#define LARDERX_BATCH_INIT LARDERX_BUFFER_INIT

/* ttl_ms as for larder_set_with: 0 is no expiry, -1 keeps the present one. */
static inline larder_status larderx_batch_set(larderx_batch *batch, const void *key, size_t key_len, const void *value,
                                              size_t value_len, int64_t ttl_ms) {
    unsigned char *entry = larderx_buffer_extend(batch, 24, key, key_len, value, value_len);
    if (entry == NULL) return batch->status;
    larderx_encode(entry, 1, 4);
    larderx_encode(entry + 4, key_len, 4);
    larderx_encode(entry + 8, value_len, 8);
    larderx_encode(entry + 16, (uint64_t)ttl_ms, 8);
    return LARDER_OK;
}

static inline larder_status larderx_batch_del(larderx_batch *batch, const void *key, size_t key_len) {
    unsigned char *entry = larderx_buffer_extend(batch, 24, key, key_len, NULL, 0);
    if (entry == NULL) return batch->status;
    larderx_encode(entry, 2, 4);
    larderx_encode(entry + 4, key_len, 4);
    return LARDER_OK;
}

static inline void larderx_batch_reset(larderx_batch *batch) {
    larderx_buffer_reset(batch);
}

/* Writes the batch and, on LARDER_OK, empties it for the next one; on failure it stays as it is, to be
 * written again or reset. `flags`: 0 or LARDER_SYNC. An entry that could not be added fails here. */
static inline larder_status larderx_batch_write(larderx_batch *batch, larder *db, uint32_t flags, larder_error *err) {
    larder_status status = batch->status;
    if (status != LARDER_OK) return larderx_fail(err, status, "an entry could not be added to the batch");
    status = larder_write_packed(db, batch->bytes, batch->len, flags, NULL, err);
    if (status == LARDER_OK) larderx_batch_reset(batch);
    return status;
}

static inline void larderx_batch_free(larderx_batch *batch) {
    larderx_buffer_free(batch);
}

static inline void larderx_auto_batch(larderx_batch *batch) {
    larderx_buffer_free(batch);
}

/* ---- many reads in one call --------------------------------------------------------------------- */

/*   larderx_keys keys = LARDERX_KEYS_INIT;
 *   larderx_answers answers = LARDERX_ANSWERS_INIT;
 *   larderx_keys_add(&keys, "a", 1);
 *   larderx_keys_add(&keys, "b", 1);
 *   if (larderx_get_many(db, &keys, &answers, &err) == LARDER_OK)
 *       while (larderx_answers_next(&answers, &status, &value, &value_len)) ...  in the keys' order
 *   larderx_answers_free(&answers);
 *   larderx_keys_free(&keys);                                                                       */
typedef larderx_buffer larderx_keys;

typedef struct larderx_answers {
    larderx_buffer buffer;
    size_t position; /* of the next answer to be read */
} larderx_answers;

#define LARDERX_KEYS_INIT LARDERX_BUFFER_INIT
#define LARDERX_ANSWERS_INIT { LARDERX_BUFFER_INIT, 0 }

static inline larder_status larderx_keys_add(larderx_keys *keys, const void *key, size_t key_len) {
    unsigned char *entry = larderx_buffer_extend(keys, 4, key, key_len, NULL, 0);
    if (entry == NULL) return keys->status;
    larderx_encode(entry, key_len, 4);
    return LARDER_OK;
}

static inline void larderx_keys_reset(larderx_keys *keys) {
    larderx_buffer_reset(keys);
}

static inline void larderx_keys_free(larderx_keys *keys) {
    larderx_buffer_free(keys);
}

static inline void larderx_auto_keys(larderx_keys *keys) {
    larderx_buffer_free(keys);
}

/* Reads every key of `keys`; the buffer of `answers` grows until all of them fit. The answers are not one
 * moment's: a writer may change a key while the others are read. */
static inline larder_status larderx_get_many(larder *db, const larderx_keys *keys, larderx_answers *answers,
                                             larder_error *err) {
    larderx_buffer *out = &answers->buffer;
    size_t asked = 0; /* offset in `keys` of the first key without an answer */
    larder_status status;
    if (keys->status != LARDER_OK) return larderx_fail(err, keys->status, "a key could not be added");
    larderx_buffer_reset(out);
    answers->position = 0;
    if (larderx_buffer_reserve(out, 64 * (keys->count + 1)) != LARDER_OK)
        return larderx_fail(err, out->status, "no memory for the answers");
    for (;;) {
        size_t used = 0, answered = 0;
        const unsigned char *rest = keys->bytes == NULL ? NULL : keys->bytes + asked;
        status = larder_get_many_packed(db, rest, keys->len - asked, out->bytes + out->len, out->capacity - out->len,
                                        &used, &answered, err);
        if (status != LARDER_OK && status != LARDER_BUFFER_TOO_SMALL) {
            larderx_buffer_reset(out);
            return status;
        }
        out->len += used;
        out->count += answered;
        if (status == LARDER_OK) return LARDER_OK;
        while (answered-- > 0) asked += larderx_padded(4 + (size_t)larderx_decode(keys->bytes + asked, 4));
        if (out->capacity > SIZE_MAX / 2 || larderx_buffer_reserve(out, out->capacity * 2) != LARDER_OK) {
            larderx_buffer_reset(out);
            return larderx_fail(err, LARDER_OUT_OF_MEMORY, "no memory for the answers");
        }
    }
}

/* The next answer: 1, or 0 after the last. `*value` is borrowed until `answers` is used or freed; it is only
 * meaningful when `*status` is LARDER_OK. */
static inline int larderx_answers_next(larderx_answers *answers, larder_status *status, const void **value,
                                       size_t *value_len) {
    const unsigned char *entry;
    if (answers->position >= answers->buffer.len) return 0;
    entry = answers->buffer.bytes + answers->position;
    *status = (larder_status)larderx_decode(entry, 4);
    *value_len = (size_t)larderx_decode(entry + 8, 8);
    *value = entry + 16;
    answers->position += larderx_padded(16 + *value_len);
    return 1;
}

static inline void larderx_answers_free(larderx_answers *answers) {
    larderx_buffer_free(&answers->buffer);
    answers->position = 0;
}

static inline void larderx_auto_answers(larderx_answers *answers) {
    larderx_answers_free(answers);
}

#endif /* LARDERX_H */
