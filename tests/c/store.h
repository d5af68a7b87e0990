/* store.h: claims about calls of the library, and stores to make them with.
 *
 * The claims use the variable `err` of the function they stand in. It is filled with rubbish before the call,
 * so that each of them also shows that the library fills it, as larder.h promises for every call. */
#ifndef STORE_H
#define STORE_H

#include "check.h"
#include "larderx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The call returns `want`, and says so in `err`. */
#define IS(want, call) \
    (memset(&err, 0x5a, sizeof err), check_status((want), (call), &err, __FILE__, __LINE__, #call))
/* The same for a call that was given no `err`. */
#define IS_BARE(want, call) check_status((want), (call), NULL, __FILE__, __LINE__, #call)

#define OK(call) IS(LARDER_OK, call)
#define REQUIRE_OK(call) \
    do { \
        if (!OK(call)) check_stop(); \
    } while (0)

/* The message of the last failed call holds `part`. */
#define CHECK_MESSAGE(part) \
    CHECK_SAYING(strstr(err.message, (part)) != NULL, "\"%s\" is not in the message \"%s\"", (part), err.message)

/* What larder_get says about a string key. */
#define CHECK_VALUE(db, key, value) check_value((db), (key), (value), __FILE__, __LINE__)
#define CHECK_ABSENT(db, key) CHECK_VALUE(db, key, NULL)

bool check_status(larder_status want, larder_status got, const larder_error *err, const char *file, int line,
                  const char *call);
/* `value` NULL: the key is not there. */
bool check_value(larder *db, const char *key, const char *value, const char *file, int line);

/* Opens, with options as names and values ended by NULL; the test stops if that fails. */
larder *store_open(const char *path, ...) __attribute__((sentinel));
void store_close(larder *db);

/* Sets `count` keys prefix0, prefix1, ... of `value_len` bytes filled from their number. */
void store_set_numbered(larder *db, const char *prefix, uint64_t count, size_t value_len);
/* Claims that they are there. */
void store_check_numbered(larder *db, const char *prefix, uint64_t count, size_t value_len);

/* The bytes of all segment files together. */
uint64_t store_disk_bytes(const char *path);

/* Every call that takes an open store, with good arguments for everything else, so that what each returns
 * depends on the handle alone. */
struct store_call {
    const char *name;
    larder_status (*run)(larder *db, larder_error *err);
    bool writes;
};
enum { STORE_CALL_COUNT = 17 };
extern const struct store_call store_calls[STORE_CALL_COUNT];

/* Claims that every one of them returns `want` for this handle, with and without an `err`. */
void store_check_every_call(larder *db, larder_status want);

#endif /* STORE_H */
