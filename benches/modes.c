/*
 * What the sync modes cost: sets a second of 16-byte keys and 100-byte values, in each mode, by one thread and by several, one
 * at a time and in batches of 100. Rounds of the modes take turns, so compare within one run; medians of the rounds.
 *
 *   make build && cc -O2 -pthread -Iinclude benches/modes.c -o build/modes target/release/liblarder.a -lm -ldl
 *   build/modes [directory on a disk] [milliseconds a round] [rounds]
 */
#include <larder.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_LEN = 100, KEY_LEN = 16, BATCH = 100, ENTRY_LEN = 144, ROUNDS_MAX = 32 };

struct work {
    larder *db;
    pthread_t thread;
    double until;
    unsigned long sets, seed;
    int batched;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(larder_status status, const char *what, const larder_error *err) {
    if (status == LARDER_OK) return;
    fprintf(stderr, "modes: %s: %s\n", what, err->message);
    exit(1);
}

/* A key of a million, by Knuth's generator. */
static void key_of(struct work *work, unsigned char *key) {
    work->seed = work->seed * 6364136223846793005UL + 1442695040888963407UL;
    unsigned long n = (work->seed >> 33) % 1000000;
    memset(key, 'k', KEY_LEN);
    memcpy(key, &n, sizeof n);
}

static void *set_until(void *argument) {
    struct work *work = argument;
    unsigned char key[KEY_LEN], value[VALUE_LEN], ops[BATCH * ENTRY_LEN];
    larder_error err;
    memset(value, 'v', sizeof value);
    memset(ops, 0, sizeof ops);
    do {
        if (work->batched) {
            for (size_t i = 0; i < BATCH; i++) {
                unsigned char *entry = ops + i * ENTRY_LEN;
                entry[0] = 1;
                entry[4] = KEY_LEN;
                entry[8] = VALUE_LEN;
                key_of(work, entry + 24);
                memcpy(entry + 24 + KEY_LEN, value, VALUE_LEN);
            }
            check(larder_write_packed(work->db, ops, sizeof ops, 0, NULL, &err), "batch", &err);
            work->sets += BATCH;
        } else {
            key_of(work, key);
            check(larder_set(work->db, key, KEY_LEN, value, VALUE_LEN, &err), "set", &err);
            work->sets++;
        }
    } while (now() < work->until);
    return NULL;
}

static double round_of(const char *directory, const char *mode, int threads, int batched, double seconds) {
    struct work works[64];
    char path[4096];
    larder *db;
    larder_error err;
    larder_options *options = larder_options_new();
    snprintf(path, sizeof path, "%s/modes-%s.larder", directory, mode[0] == 'i' ? "interval" : mode);
    check(larder_options_set(options, "sync", mode, &err), "sync", &err);
    check(larder_open(path, options, &db, &err), "open", &err);
    larder_options_free(options);
    double begin = now();
    for (int i = 0; i < threads; i++) {
        works[i] = (struct work){.db = db, .until = begin + seconds, .seed = (unsigned long)i + 1, .batched = batched};
        pthread_create(&works[i].thread, NULL, set_until, &works[i]);
    }
    unsigned long sets = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(works[i].thread, NULL);
        sets += works[i].sets;
    }
    double took = now() - begin;
    check(larder_close(db, &err), "close", &err);
    return (double)sets / took;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    static const char *const modes[] = {"always", "interval:100", "none"};
    static const struct {
        int threads, batched;
        const char *name;
    } shapes[] = {{1, 0, "one thread"}, {8, 0, "8 threads"}, {32, 0, "32 threads"}, {1, 1, "one thread, batches of 100"}};
    const char *directory = argc > 1 ? argv[1] : ".";
    double seconds = argc > 2 ? atof(argv[2]) / 1000 : 0.5, rates[3][ROUNDS_MAX];
    int rounds = argc > 3 ? atoi(argv[3]) : 7;
    if (rounds < 1 || rounds > ROUNDS_MAX) rounds = 7;
    printf("| sets a second | %s | %s | %s |\n|---|---:|---:|---:|\n", modes[0], modes[1], modes[2]);
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        for (int round = 0; round < rounds; round++)
            for (int mode = 0; mode < 3; mode++)
                rates[mode][round] = round_of(directory, modes[mode], shapes[shape].threads, shapes[shape].batched, seconds);
        printf("| %s", shapes[shape].name);
        for (int mode = 0; mode < 3; mode++) {
            qsort(rates[mode], (size_t)rounds, sizeof(double), compare);
            printf(" | %.0f", rates[mode][rounds / 2]);
        }
        printf(" |\n");
        fflush(stdout);
    }
    return 0;
}
