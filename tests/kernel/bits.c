/* bits.c: one bit of a closed store's files is flipped. Never is a wrong value returned, the process lives, and the keys
 * that the damage does not touch stay readable. */
#include "engine.h"
#include "subjects.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 400, VALUE_MAX = 600, DAMAGED_FILES_MAX = 64 };

struct found {
    uint64_t flips, wrong, missing, crashed;
    uint64_t reported, refused, unnoticed; /* a read or the check failed; the open failed; nobody saw it */
};

struct inspection {
    const struct engine *engine;
    const char *path;
    struct found *found;
};

static size_t value_of(unsigned number, unsigned char *value) {
    size_t len = 8 + number * 37 % (VALUE_MAX - 8);
    fill(value, len, number);
    return len;
}

static size_t key_of(unsigned number, char *key) {
    return (size_t)snprintf(key, 32, "a key with number %u", number);
}

static void make_store(const struct engine *engine, const char *path) {
    void *store = NULL;
    REQUIRE(CHECK_SAYING(engine->open(path, MODE_NONE, false, &store) == OUTCOME_OK, "%s", engine->last_message()));
    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        unsigned char value[VALUE_MAX];
        uint64_t version;
        struct operation operation = {.key = key, .key_len = key_of(i, key), .value = value, .value_len = value_of(i, value)};
        REQUIRE(engine->apply(store, &operation, 1, false, &version) == OUTCOME_OK);
    }
    engine->close(store);
}

static void inspect(void *context) {
    const struct inspection *inspection = context;
    const struct engine *engine = inspection->engine;
    struct found *found = inspection->found;
    void *store = NULL;
    unsigned failed = 0;
    if (engine->open(inspection->path, MODE_NONE, false, &store) != OUTCOME_OK) {
        found->refused++;
        return;
    }
    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        unsigned char value[VALUE_MAX + 1], expected[VALUE_MAX];
        size_t len = 0;
        uint64_t version;
        switch (engine->get(store, key, key_of(i, key), value, sizeof value, &len, &version)) {
        case OUTCOME_OK:
            if (len != value_of(i, expected) || memcmp(value, expected, len) != 0) found->wrong++;
            break;
        case OUTCOME_ABSENT: found->missing++; break;
        default: failed++; break;
        }
    }
    if (failed > 0 || engine->check(store) != OUTCOME_OK) found->reported++;
    else found->unnoticed++;
    engine->close(store);
}

struct damaged_file {
    char *path;
    unsigned char *bytes;
    size_t len;
};

/* Every file with its bytes, to be put back. */
static size_t read_files(const char *path, struct damaged_file *files) {
    size_t count = 0;
    DIR *entries = opendir(path);
    REQUIRE(entries != NULL);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL && count < DAMAGED_FILES_MAX;) {
        if (entry->d_type != DT_REG) continue;
        files[count].path = path_of(path, entry->d_name);
        files[count].bytes = read_file(files[count].path, &files[count].len);
        count++;
    }
    closedir(entries);
    return count;
}

static void put_back(const char *path, const struct damaged_file *files, size_t count) {
    remove_tree(path);
    REQUIRE(mkdir(path, 0755) == 0);
    for (size_t i = 0; i < count; i++) write_file(files[i].path, files[i].bytes, files[i].len);
}

/* Any bit of any file that holds something; room that was reserved and never used is left out. */
static void flip_one(const struct damaged_file *files, size_t count, struct chance *chance) {
    const struct damaged_file *file;
    size_t at;
    do {
        file = &files[chance_below(chance, count)];
        at = file->len == 0 ? 0 : chance_below(chance, file->len);
    } while (file->len == 0 || (file->bytes[at] == 0 && chance_below(chance, 50) != 0));
    int handle = open(file->path, O_WRONLY);
    unsigned char flipped = (unsigned char)(file->bytes[at] ^ 1u << chance_below(chance, 8));
    REQUIRE(handle >= 0 && pwrite(handle, &flipped, 1, (off_t)at) == 1);
    close(handle);
}

static void a_flipped_bit_never_becomes_a_value(const char *dir) {
    const struct engine *engine = engine_chosen();
    uint64_t seed = seed_of(3);
    struct chance chance = {seed};
    struct found *found = shared_memory(sizeof *found);
    struct inspection inspection = {.engine = engine, .path = path_of(dir, "s"), .found = found};
    struct damaged_file files[DAMAGED_FILES_MAX];
    make_store(engine, inspection.path);
    size_t count = read_files(inspection.path, files);
    int64_t end_ms = now_ms() + (int64_t)(budget_s(3) * 1000);
    while (now_ms() < end_ms && found->crashed < 10) {
        int status;
        put_back(inspection.path, files, count);
        flip_one(files, count, &chance);
        pid_t child = check_child(inspect, &inspection);
        REQUIRE(waitpid(child, &status, 0) == child);
        if (WIFSIGNALED(status)) {
            printf("    died of signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
            found->crashed++;
        }
        found->flips++;
    }
    /* A key that is absent where it was set is an answer like any other, and a wrong one. */
    printf("torture: bits=%llu lost=%llu wrong=%llu crashed=%llu refused=%llu reported=%llu unnoticed=%llu engine=%s seed=%llu\n",
           (unsigned long long)found->flips, (unsigned long long)found->missing, (unsigned long long)found->wrong,
           (unsigned long long)found->crashed, (unsigned long long)found->refused, (unsigned long long)found->reported,
           (unsigned long long)found->unnoticed, engine->name, (unsigned long long)seed);
    if (engine_must_hold()) {
        CHECK(found->wrong + found->missing + found->crashed == 0);
        CHECK_SAYING(found->reported > 0, "nothing was reported: the test tests little");
    }
}

const struct check_subject subject_bits = {
    "bits",
    (const struct check_test[]){
        CHECK_TEST(a_flipped_bit_never_becomes_a_value, CHECK_PROCESS | CHECK_TIME),
        CHECK_END,
    },
};
