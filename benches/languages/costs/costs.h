/* costs.h: what the programs in C and C++ measure alike. Every program of this directory does the same, so that their
 * figures differ by the border of the language and nothing else:
 *
 *   costs COUNT DIRECTORY
 *
 * COUNT keys of 16 bytes, values of 100, no sync per operation. Sets in batches of 32, then gets one call each, then
 * gets 32 to a call, in an order that no cache foresees; each of it ROUNDS times, and the best round counts. Few enough keys to stay in
 * the caches: it is the border that is measured, not the memory behind it. Prints
 * "NAME <get> <packed get> <batched set>": nanoseconds per key. */
#ifndef COSTS_H
#define COSTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_LEN = 16, VALUE_LEN = 100, GROUP = 32, ROUNDS = 15 };

static inline double costs_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline void costs_key(char *key, uint64_t n) {
    char text[32];
    snprintf(text, sizeof text, "%016llu", (unsigned long long)n);
    memcpy(key, text, KEY_LEN);
}

/* A permutation as long as COUNT is no multiple of the prime. */
static inline uint64_t costs_shuffled(uint64_t n, uint64_t count) {
    return n * 2654435761u % count;
}

static inline void costs_best(double *best, double since, uint64_t count) {
    const double each = (costs_now() - since) / (double)count;
    if (*best == 0 || each < *best) *best = each;
}

#endif /* COSTS_H */
