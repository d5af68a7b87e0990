/* rates.c: sets and gets of 16-byte keys and 100-byte values in a loop, one call each.
 *
 * rates COUNT DIRECTORY prints "C <sets> <gets>" in thousands a second, without a sync per operation. */
#include "larder.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_LEN = 16, VALUE_LEN = 100 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The finalizer of SplitMix64: one-to-one, so that keys are distinct and in no order. */
static uint64_t mixed(uint64_t n) {
    n = (n ^ (n >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94D049BB133111EB);
    return n ^ (n >> 31);
}

static void make_key(unsigned char key[KEY_LEN], uint64_t n) {
    uint64_t words[2] = {mixed(n), mixed(n + 1)};
    memcpy(key, words, KEY_LEN);
}

static void must(larder_status status, const larder_error *err) {
    if (status != LARDER_OK) {
        fprintf(stderr, "rates: %s: %s\n", larder_status_name(status), err->message);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: rates COUNT DIRECTORY\n");
        return 2;
    }
    uint64_t count = strtoull(argv[1], NULL, 10);
    larder_error err;
    larder *db = NULL;
    larder_options *options = larder_options_new();
    must(larder_options_set(options, "sync", "none", &err), &err);
    must(larder_open(argv[2], options, &db, &err), &err);
    larder_options_free(options);

    unsigned char key[KEY_LEN], value[VALUE_LEN] = {7};
    double start = seconds();
    for (uint64_t n = 0; n < count; n++) {
        make_key(key, n);
        must(larder_set(db, key, KEY_LEN, value, VALUE_LEN, &err), &err);
    }
    double set_seconds = seconds() - start;
    start = seconds();
    for (uint64_t n = 0; n < count; n++) {
        size_t need = 0;
        make_key(key, mixed(n + 7) % count);
        must(larder_get_into(db, key, KEY_LEN, value, VALUE_LEN, &need, &err), &err);
    }
    double get_seconds = seconds() - start;
    must(larder_close(db, &err), &err);
    printf("C %.0f %.0f\n", (double)count / set_seconds / 1e3, (double)count / get_seconds / 1e3);
    return 0;
}
