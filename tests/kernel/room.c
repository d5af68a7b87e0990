/* room.c: the disk is full at each of its last blocks. A status comes back, the process lives, reads go on, deletes and
 * compaction run, and writes resume when there is room. */
#include "device.h"
#include "engine.h"
#include "subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK_BYTES = 12 << 20, MEMORY_BYTES = 32 << 20, VALUES = 60, VALUE_LEN = 1500, MORE_MAX = 4000 };
/* Up to here every number of free blocks is tried; beyond it steps. More than a first segment and its surroundings. */
enum { LEFT_MAX = 64 };

/* What one trial found, in memory shared with the process that may die of it. */
struct trial {
    const struct engine *engine;
    const char *disk, *path;
    enum mode mode;
    uint64_t left;
    uint64_t wrong, lost, deletes_refused, stuck;
    bool is_done;
    char message[400];
};

static size_t key_of(char *key, unsigned number) {
    return (size_t)snprintf(key, 32, "key%u", number);
}

static enum outcome set(const struct trial *trial, void *store, unsigned number, uint64_t content) {
    char key[32];
    unsigned char value[VALUE_LEN];
    uint64_t version;
    fill(value, sizeof value, content);
    struct operation operation = {.key = key, .key_len = key_of(key, number), .value = value, .value_len = sizeof value};
    return trial->engine->apply(store, &operation, 1, false, &version);
}

static enum outcome del(const struct trial *trial, void *store, unsigned number) {
    char key[32];
    uint64_t version;
    struct operation operation = {.key = key, .key_len = key_of(key, number)};
    return trial->engine->apply(store, &operation, 1, false, &version);
}

static void say(struct trial *trial, uint64_t *count, const char *what) {
    if ((*count)++ == 0 && trial->message[0] == '\0') {
        snprintf(trial->message, sizeof trial->message, "%s (%s)", what, trial->engine->last_message());
    }
}

static void check_reads(struct trial *trial, void *store, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; i++) {
        char key[32];
        unsigned char value[VALUE_LEN + 1];
        size_t len = 0;
        uint64_t version;
        enum outcome outcome = trial->engine->get(store, key, key_of(key, i), value, sizeof value, &len, &version);
        if (outcome != OUTCOME_OK) say(trial, &trial->lost, "a value is not readable");
        else if (len != VALUE_LEN || !filled(value, len, i)) say(trial, &trial->wrong, "a value is not what was set");
    }
}

/* Sets until there is no room; the first number that is not there. */
static unsigned fill_up(struct trial *trial, void *store, unsigned first) {
    for (unsigned i = first; i < MORE_MAX; i++) {
        enum outcome outcome = set(trial, store, i, i);
        if (outcome == OUTCOME_OK) continue;
        if (outcome != OUTCOME_NO_SPACE) say(trial, &trial->wrong, "no room is another failure");
        return i;
    }
    say(trial, &trial->wrong, "there was no limit");
    return MORE_MAX;
}

static void run_trial(void *context) {
    struct trial *trial = context;
    const struct engine *engine = trial->engine;
    void *store = NULL;
    if (engine->open(trial->path, trial->mode, false, &store) != OUTCOME_OK) {
        say(trial, &trial->wrong, "the store does not open on an empty disk");
        return;
    }
    for (unsigned i = 0; i < VALUES; i++) {
        if (set(trial, store, i, i) != OUTCOME_OK) say(trial, &trial->wrong, "a set fails on an empty disk");
    }
    take_all_room_but(trial->disk, "other", trial->left);
    unsigned end = fill_up(trial, store, VALUES);
    check_reads(trial, store, 0, end);
    /* A write that failed has changed nothing, also not the value that was there. */
    for (unsigned i = 0; i < 3; i++) {
        if (set(trial, store, i, 999999) == OUTCOME_OK && set(trial, store, i, i) != OUTCOME_OK) {
            del(trial, store, i);
            return; /* This moment's room is gone again, and the rest is about keys that are there. */
        }
    }
    check_reads(trial, store, 0, end);
    for (unsigned i = 0; i < 10; i++) {
        if (del(trial, store, i) != OUTCOME_OK) say(trial, &trial->deletes_refused, "a delete is refused");
    }
    if (engine->compact != NULL) {
        enum outcome outcome = engine->compact(store);
        if (outcome != OUTCOME_OK && outcome != OUTCOME_NO_SPACE) say(trial, &trial->wrong, "a compaction fails");
    }
    check_reads(trial, store, 10, end);
    /* Closing and opening work on a full disk, and change nothing. */
    engine->close(store);
    store = NULL;
    if (engine->open(trial->path, trial->mode, false, &store) != OUTCOME_OK) {
        say(trial, &trial->lost, "the store does not open on a full disk");
        unlink(path_of(trial->disk, "other"));
        if (engine->open(trial->path, trial->mode, false, &store) != OUTCOME_OK) {
            say(trial, &trial->lost, "the store does not open any more");
            return;
        }
    }
    check_reads(trial, store, 10, end);
    unlink(path_of(trial->disk, "other"));
    int64_t deadline = now_ms() + 5000;
    enum outcome outcome;
    while ((outcome = set(trial, store, 0, 0)) != OUTCOME_OK && now_ms() < deadline) sleep_ms(10);
    if (outcome != OUTCOME_OK) say(trial, &trial->stuck, "writes do not resume");
    else check_reads(trial, store, 0, 1);
    if (engine->check(store) != OUTCOME_OK) say(trial, &trial->wrong, "the store fails its own check");
    engine->close(store);
    trial->is_done = true;
}

/* A store that is made with so much room either opens and works, or says that there is none. */
static void run_beginning(void *context) {
    struct trial *trial = context;
    void *store = NULL;
    take_all_room_but(trial->disk, "other", trial->left);
    enum outcome outcome = trial->engine->open(trial->path, trial->mode, false, &store);
    if (outcome == OUTCOME_OK) {
        unsigned end = fill_up(trial, store, 0);
        check_reads(trial, store, 0, end);
        trial->engine->close(store);
    } else if (outcome != OUTCOME_NO_SPACE) {
        say(trial, &trial->wrong, "no room for a store is another failure");
    }
    unlink(path_of(trial->disk, "other"));
    /* What a failure left behind is no obstacle. */
    store = NULL;
    if (trial->engine->open(trial->path, trial->mode, false, &store) != OUTCOME_OK) {
        say(trial, &trial->stuck, "no store begins where one could not");
        return;
    }
    if (set(trial, store, 1, 1) != OUTCOME_OK) say(trial, &trial->stuck, "a set fails where there is room again");
    trial->engine->close(store);
    trial->is_done = true;
}

struct sums {
    uint64_t trials, lost, wrong, crashed, deletes_refused, stuck;
};

static void try_one(struct trial *trial, void (*run)(void *), struct sums *sums) {
    int status;
    pid_t child = check_child(run, trial);
    REQUIRE(waitpid(child, &status, 0) == child);
    sums->trials++;
    if (WIFSIGNALED(status)) {
        snprintf(trial->message, sizeof trial->message, "the process died of signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
        sums->crashed++;
    } else if (WEXITSTATUS(status) != 0) {
        sums->wrong++;
    }
    sums->lost += trial->lost;
    sums->wrong += trial->wrong;
    sums->deletes_refused += trial->deletes_refused;
    sums->stuck += trial->stuck;
    if (trial->message[0] != '\0') {
        printf("    mode %s, %llu blocks left: %s\n", mode_names[trial->mode], (unsigned long long)trial->left, trial->message);
    }
    unlink(path_of(trial->disk, "other"));
    remove_tree(trial->path);
}

static void try_every_number(const char *disk, double seconds, const char *what) {
    const struct engine *engine = engine_chosen();
    struct sums sums = {0};
    uint64_t seed = seed_of(0);
    struct trial *trial = shared_memory(sizeof *trial);
    int64_t end_ms = now_ms() + (int64_t)(budget_s(seconds) * 1000);
    /* In strides that are coprime to the range, so that a short run sees all parts of it. */
    for (uint64_t i = 0; i < LEFT_MAX * MODE_COUNT && now_ms() < end_ms && sums.crashed < 10; i++) {
        uint64_t left = (i + seed) * 11 % LEFT_MAX;
        enum mode mode = (enum mode)(i % MODE_COUNT);
        *trial = (struct trial){.engine = engine, .disk = disk, .path = path_of(disk, "s"), .mode = mode, .left = left};
        try_one(trial, run_trial, &sums);
        *trial = (struct trial){.engine = engine, .disk = disk, .path = path_of(disk, "s"), .mode = mode, .left = left};
        try_one(trial, run_beginning, &sums);
    }
    printf("torture: full_disks=%llu lost=%llu wrong=%llu crashed=%llu deletes_refused=%llu stuck=%llu on=%s engine=%s\n",
           (unsigned long long)sums.trials, (unsigned long long)sums.lost, (unsigned long long)sums.wrong,
           (unsigned long long)sums.crashed, (unsigned long long)sums.deletes_refused, (unsigned long long)sums.stuck, what,
           engine->name);
    if (engine_must_hold()) CHECK(sums.lost + sums.wrong + sums.crashed + sums.deletes_refused + sums.stuck == 0);
}

static void a_tmpfs_may_be_full_at_each_of_its_last_blocks(const char *dir) {
    try_every_number(tmpfs_mount(dir, "disk", DISK_BYTES), 4, "tmpfs");
}

static void an_ext4_may_be_full_at_each_of_its_last_blocks(const char *dir) {
    struct device device;
    device_make(&device, tmpfs_mount(dir, "memory", MEMORY_BYTES), "disk", DISK_BYTES + (8 << 20));
    try_every_number(device.mount_point, 5, "ext4");
    device_unmount(&device);
}

const struct check_subject subject_room = {
    "room",
    (const struct check_test[]){
        CHECK_TEST(a_tmpfs_may_be_full_at_each_of_its_last_blocks, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(an_ext4_may_be_full_at_each_of_its_last_blocks, CHECK_PROCESS | CHECK_TIME),
        CHECK_END,
    },
};
