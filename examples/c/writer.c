/* writer.c: writes until it is killed, and proves afterwards that nothing acknowledged was lost.
 *
 *   writer STORE [--sync MODE] [--from N] [--count N] >acknowledged      then kill it, as hard as you like
 *   writer verify STORE <acknowledged
 *
 * Sets the keys "1", "2", "3", ... and prints each after the store has acknowledged it: one write(2) per line, so
 * that no number waits in a buffer when the process dies. MODE is the option `sync`: always (the default), none,
 * interval:<ms>. Without --from it goes on behind the highest number in the store.
 * `verify` opens the store again and checks that every number it reads is there with the value that belongs
 * to it; it exits with 1 if one is missing or altered. */
#define _POSIX_C_SOURCE 200809L

#include "larderx.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

enum { VALUE_LEN_MAX = 1024 };

static int fail(const char *what, const larder_error *err) {
    larderx_print_error(stderr, what, err);
    return 1;
}

static size_t key_of(uint64_t number, char *key, size_t capacity) {
    return (size_t)snprintf(key, capacity, "%" PRIu64, number);
}

/* The value follows from the number alone, its length too: verify needs nothing but the number. */
static size_t value_of(uint64_t number, unsigned char *value) {
    size_t len = 1 + (size_t)(number * 2654435761u % VALUE_LEN_MAX);
    uint64_t state = number;
    for (size_t i = 0; i < len; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value[i] = (unsigned char)(state >> 56);
    }
    return len;
}

/* The number that a key is, 0 for any other key. */
static uint64_t number_of(const void *key, size_t key_len) {
    char digits[24] = {0};
    if (key_len >= sizeof digits) return 0;
    memcpy(digits, key, key_len);
    return strspn(digits, "0123456789") == key_len ? strtoull(digits, NULL, 10) : 0;
}

/* The highest number in the store, 0 if there is none. */
static larder_status highest_number(larder *db, uint64_t *highest, larder_error *err) {
    LARDERX_AUTO(cursor) larder_cursor *cursor = NULL;
    larder_status status = larder_cursor_open(db, NULL, 0, &cursor, err);
    *highest = 0;
    while (status == LARDER_OK) {
        const void *key = NULL;
        size_t key_len = 0;
        status = larder_cursor_next(cursor, &key, &key_len, NULL, NULL, err);
        uint64_t number = status == LARDER_OK ? number_of(key, key_len) : 0;
        if (number > *highest) *highest = number;
    }
    return status == LARDER_DONE ? LARDER_OK : status;
}

static int print_number(uint64_t number) {
    char line[32];
    size_t len = (size_t)snprintf(line, sizeof line, "%" PRIu64 "\n", number);
    ssize_t written;
    do {
        written = write(STDOUT_FILENO, line, len);
    } while (written < 0 && errno == EINTR);
    /* A short write of one small line means that the reader has gone or the disk is full. */
    return written == (ssize_t)len;
}

static int write_numbers(larder *db, uint64_t from, uint64_t count) {
    larder_error err;
    unsigned char value[VALUE_LEN_MAX];
    char key[64];
    if (from == 0) {
        if (highest_number(db, &from, &err) != LARDER_OK) return fail("writer: looking for the highest number", &err);
        from++;
    }
    for (uint64_t number = from; count == 0 || number - from < count; number++) {
        size_t key_len = key_of(number, key, sizeof key);
        size_t value_len = value_of(number, value);
        if (larder_set(db, key, key_len, value, value_len, &err) != LARDER_OK) return fail("writer: set", &err);
        if (!print_number(number)) {
            perror("writer: printing an acknowledgement");
            return 1;
        }
    }
    return 0;
}

static int verify_numbers(larder *db) {
    larder_error err;
    unsigned char expected[VALUE_LEN_MAX], found[VALUE_LEN_MAX];
    char line[64], key[64];
    uint64_t acknowledged = 0, missing = 0, altered = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        /* A line without its end was cut by the kill: nobody was told that number. */
        if (strchr(line, '\n') == NULL) break;
        char *end;
        uint64_t number = strtoull(line, &end, 10);
        if (end == line || *end != '\n') {
            fprintf(stderr, "writer: \"%.*s\" is not a number\n", (int)strcspn(line, "\n"), line);
            return 2;
        }
        acknowledged++;
        size_t key_len = key_of(number, key, sizeof key), expected_len = value_of(number, expected), found_len = 0;
        larder_status status = larder_get_into(db, key, key_len, found, sizeof found, &found_len, &err);
        if (status == LARDER_NOT_FOUND) {
            if (missing++ == 0) fprintf(stderr, "writer: %" PRIu64 " is missing\n", number);
        } else if (status == LARDER_BUFFER_TOO_SMALL || status == LARDER_CORRUPT ||
                   (status == LARDER_OK && (found_len != expected_len || memcmp(found, expected, found_len) != 0))) {
            if (altered++ == 0) fprintf(stderr, "writer: %" PRIu64 " is altered\n", number);
        } else if (status != LARDER_OK) {
            return fail("writer: get", &err);
        }
    }
    printf("acknowledged %" PRIu64 ", present %" PRIu64 ", missing %" PRIu64 ", altered %" PRIu64 "\n", acknowledged,
           acknowledged - missing - altered, missing, altered);
    return missing == 0 && altered == 0 ? 0 : 1;
}

static int usage(void) {
    fputs("usage: writer STORE [--sync always|none|interval:<ms>] [--from N] [--count N]\n"
          "       writer verify STORE <acknowledged\n",
          stderr);
    return 2;
}

int main(int argc, char **argv) {
    int verifies = argc > 1 && strcmp(argv[1], "verify") == 0;
    int arguments = verifies ? 3 : 2; /* with the program's name, the store's last */
    if (argc < arguments) return usage();
    const char *store = argv[arguments - 1], *sync = "always";
    uint64_t from = 0, count = 0;
    for (int i = arguments; i < argc; i += 2) {
        if (verifies || i + 1 == argc) return usage();
        if (strcmp(argv[i], "--sync") == 0) sync = argv[i + 1];
        else if (strcmp(argv[i], "--from") == 0) from = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0) count = strtoull(argv[i + 1], NULL, 10);
        else return usage();
    }

    /* A store that verify finds missing would otherwise be created, and be empty. */
    const char *const options[] = {"sync", sync, "create", verifies ? "false" : "true", NULL};
    larder *db = NULL;
    larder_error err;
    if (larderx_open(store, options, &db, &err) != LARDER_OK) return fail("writer", &err);
    int result = verifies ? verify_numbers(db) : write_numbers(db, from, count);
    if (larderx_close(&db, &err) != LARDER_OK && result == 0) result = fail("writer: closing", &err);
    return result;
}
