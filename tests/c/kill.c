/* kill.c: a process that dies loses nothing that was acknowledged.
 *
 * A child does numbered changes one after another and acknowledges each into a pipe. What number n does
 * follows from n alone, so the parent knows, from the last number it was told, what the store must hold;
 * only the change after that may be there or not. */
#include "store.h"
#include "subjects.h"

#include <unistd.h>

enum { CYCLES = 10, KEYS = 97, BATCH_KEYS = 8, VALUE_MAX = 700 };

struct writer {
    const char *path;
    const char *sync;
    int acknowledge;
    uint64_t first;
};

static bool deletes(uint64_t n) {
    struct chance chance = {n};
    return chance_below(&chance, 5) == 0;
}

static size_t value_of(uint64_t n, unsigned char *value) {
    struct chance chance = {n ^ 0x5eed};
    size_t len = sizeof n + chance_below(&chance, VALUE_MAX - sizeof n);
    memcpy(value, &n, sizeof n);
    fill(value + sizeof n, len - sizeof n, n);
    return len;
}

static larder *reopen(const char *path, const char *sync) {
    return store_open(path, "sync", sync, "segment_size", "64KiB", NULL);
}

static void acknowledge(int pipe_end, uint64_t n) {
    REQUIRE(write(pipe_end, &n, sizeof n) == sizeof n);
}

/* The last number acknowledged before the pipe's end. */
static uint64_t last_acknowledged(int pipe_end, uint64_t before) {
    uint64_t numbers[512], last = before;
    ssize_t len;
    while ((len = read(pipe_end, numbers, sizeof numbers)) > 0) last = numbers[(size_t)len / sizeof *numbers - 1];
    return last;
}

/* Runs `write_on` in a child that dies after a while; returns the last number it acknowledged. */
static uint64_t run_and_kill(struct writer *writer, void (*write_on)(void *), struct chance *chance) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    writer->acknowledge = ends[1];
    pid_t child = check_child(write_on, writer);
    close(ends[1]);
    /* The pipe must be emptied while the child writes, or the child would wait. */
    uint64_t last = writer->first - 1;
    uint64_t n;
    int64_t deadline = now_ms() + 5 + (int64_t)chance_below(chance, 120);
    while (now_ms() < deadline && read(ends[0], &n, sizeof n) == sizeof n) last = n;
    check_kill(child);
    last = last_acknowledged(ends[0], last);
    close(ends[0]);
    return last;
}

/* ---- single keys -------------------------------------------------------------------------------- */

static void write_numbers(void *context) {
    const struct writer *writer = context;
    larder_error err;
    larder *db = reopen(writer->path, writer->sync);
    unsigned char value[VALUE_MAX];
    for (uint64_t n = writer->first;; n++) {
        uint64_t key = n % KEYS;
        if (deletes(n)) {
            larder_status status = larder_del(db, &key, sizeof key, &err);
            REQUIRE(status == LARDER_OK || status == LARDER_NOT_FOUND);
        } else {
            size_t len = value_of(n, value);
            REQUIRE_OK(larder_set(db, &key, sizeof key, value, len, &err));
        }
        acknowledge(writer->acknowledge, n);
    }
}

/* The number whose value the key holds; 0 if it is absent. */
static uint64_t number_held(larder *db, uint64_t key) {
    larder_error err;
    unsigned char value[VALUE_MAX], expected[VALUE_MAX];
    size_t len = 0;
    uint64_t n = 0;
    memset(&err, 0x5a, sizeof err);
    larder_status status = larder_get_into(db, &key, sizeof key, value, sizeof value, &len, &err);
    if (status == LARDER_NOT_FOUND) return 0;
    REQUIRE(check_status(LARDER_OK, status, &err, __FILE__, __LINE__, "larder_get_into"));
    REQUIRE(len >= sizeof n);
    memcpy(&n, value, sizeof n);
    CHECK(n > 0 && len == value_of(n, expected));
    CHECK_SAYING(memcmp(value, expected, len) == 0, "the value of %llu was altered", (unsigned long long)n);
    return n;
}

/* Claims that the store holds what changes 1..last left behind, with or without the next one. */
static void check_numbers(larder *db, uint64_t last) {
    for (uint64_t key = 0; key < KEYS; key++) {
        uint64_t wanted = last - (last + KEYS - key) % KEYS; /* the largest n <= last with n % KEYS == key */
        uint64_t held = number_held(db, key);
        bool next_is_here = (last + 1) % KEYS == key && held == (deletes(last + 1) ? 0 : last + 1);
        if (last < KEYS && wanted > last) wanted = 0; /* below zero, wrapped: never written */
        if (wanted != 0 && deletes(wanted)) wanted = 0;
        CHECK_SAYING(held == wanted || next_is_here, "key %llu: number %llu is there, not %llu; %llu was acknowledged",
                     (unsigned long long)key, (unsigned long long)held, (unsigned long long)wanted,
                     (unsigned long long)last);
    }
}

struct inspection {
    const struct writer *writer;
    uint64_t last;
    bool close;
};

/* In a process of its own, so that it may end without a close: recovery of a recovery. */
static void inspect(void *context) {
    const struct inspection *inspection = context;
    larder_error err;
    larder *db = reopen(inspection->writer->path, inspection->writer->sync);
    check_numbers(db, inspection->last);
    uint64_t bad_records = 99;
    OK(larder_verify(db, &bad_records, &err));
    CHECK_U64(0, bad_records);
    /* The change after the last acknowledged one is done now, whether it was before or not. */
    unsigned char value[VALUE_MAX];
    uint64_t next = inspection->last + 1, key = next % KEYS;
    if (deletes(next)) {
        larder_status status = larder_del(db, &key, sizeof key, &err);
        CHECK(status == LARDER_OK || status == LARDER_NOT_FOUND);
    } else {
        size_t len = value_of(next, value);
        OK(larder_set(db, &key, sizeof key, value, len, &err));
    }
    if (inspection->last % 3 == 0) OK(larder_compact(db, &err));
    if (inspection->close) store_close(db);
}

static void kill_and_reopen(const char *dir, const char *sync, uint64_t seed) {
    struct chance chance = {seed};
    struct writer writer = {.path = path_of(dir, "s"), .sync = sync, .first = 1};
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        struct inspection inspection = {.writer = &writer, .close = cycle % 2 == 0};
        inspection.last = run_and_kill(&writer, write_numbers, &chance);
        check_join(check_child(inspect, &inspection));
        writer.first = inspection.last + 2;
    }
    printf("torture: kills=%d changes=%llu\n", CYCLES, (unsigned long long)writer.first - 1);
    CHECK(writer.first > CYCLES * 3);
}

static void nothing_acknowledged_is_lost_with_sync_always(const char *dir) {
    kill_and_reopen(dir, "always", 1);
}

static void nothing_acknowledged_is_lost_with_sync_interval(const char *dir) {
    kill_and_reopen(dir, "interval:10", 2);
}

static void nothing_acknowledged_is_lost_with_sync_none(const char *dir) {
    kill_and_reopen(dir, "none", 3);
}

/* ---- batches ------------------------------------------------------------------------------------ */

static void write_batches(void *context) {
    const struct writer *writer = context;
    larder_error err;
    larder *db = reopen(writer->path, writer->sync);
    larderx_batch batch = LARDERX_BATCH_INIT;
    unsigned char value[VALUE_MAX];
    for (uint64_t n = writer->first;; n++) {
        size_t len = value_of(n, value);
        for (uint64_t key = 0; key < BATCH_KEYS; key++) larderx_batch_set(&batch, &key, sizeof key, value, len, 0);
        REQUIRE_OK(larderx_batch_write(&batch, db, 0, &err));
        acknowledge(writer->acknowledge, n);
    }
}

static void batches_are_whole_or_absent_after_a_kill(const char *dir) {
    static const char *const modes[] = {"always", "interval:10", "none"};
    for (size_t mode = 0; mode < 3; mode++) {
        struct chance chance = {mode + 10};
        struct writer writer = {.path = path_of(dir, modes[mode]), .sync = modes[mode], .first = 1};
        for (int cycle = 0; cycle < CYCLES; cycle++) {
            uint64_t last = run_and_kill(&writer, write_batches, &chance);
            larder *db = reopen(writer.path, writer.sync);
            uint64_t held = number_held(db, 0);
            CHECK_SAYING(held == last || held == last + 1, "%s: batch %llu is there, %llu was acknowledged",
                         modes[mode], (unsigned long long)held, (unsigned long long)last);
            for (uint64_t key = 1; key < BATCH_KEYS; key++) CHECK_U64(held, number_held(db, key));
            store_close(db);
            writer.first = held + 1;
        }
    }
}

/* ---- packed calls, times to live, deletes --------------------------------------------------------- */

enum { PACKED_KEYS = 24, HOUR_MS = 3600 * 1000 };

/* What change n makes of one of its keys. */
enum fate { DELETED, KEPT, EXPIRING, GONE_AT_ONCE };

static enum fate fate_of(uint64_t n, uint64_t key) {
    struct chance chance = {n * PACKED_KEYS + key};
    return (enum fate)chance_below(&chance, 4);
}

static bool is_named(uint64_t n, uint64_t key) {
    return (n + key) % 3 == 0;
}

/* One packed write of about eight keys a change; what must not live an instant gets a TTL of a millisecond. */
static void write_packed_on(void *context) {
    const struct writer *writer = context;
    larder_error err;
    larder *db = reopen(writer->path, writer->sync);
    larderx_batch batch = LARDERX_BATCH_INIT;
    unsigned char value[VALUE_MAX];
    for (uint64_t n = writer->first;; n++) {
        size_t len = value_of(n, value);
        for (uint64_t key = 0; key < PACKED_KEYS; key++) {
            if (!is_named(n, key)) continue;
            enum fate fate = fate_of(n, key);
            if (fate == DELETED) larderx_batch_del(&batch, &key, sizeof key);
            else larderx_batch_set(&batch, &key, sizeof key, value, len, fate == EXPIRING ? HOUR_MS : fate == GONE_AT_ONCE ? 1 : 0);
        }
        REQUIRE_OK(larderx_batch_write(&batch, db, n % 7 == 0 ? LARDER_SYNC : 0, &err));
        acknowledge(writer->acknowledge, n);
    }
}

/* Whether what the store answers to one packed read is what changes 1..last left behind. */
static bool packed_is(larder *db, uint64_t last) {
    static unsigned char out[PACKED_KEYS * (VALUE_MAX + 32)];
    unsigned char keys[PACKED_KEYS * 16] = {0};
    size_t used = 0, answered = 0, at = 0;
    larder_error err;
    for (uint64_t key = 0; key < PACKED_KEYS; key++) {
        larderx_encode(keys + key * 16, sizeof key, 4);
        memcpy(keys + key * 16 + 4, &key, sizeof key);
    }
    REQUIRE_OK(larder_get_many_packed(db, keys, sizeof keys, out, sizeof out, &used, &answered, &err));
    REQUIRE(answered == PACKED_KEYS);
    for (uint64_t key = 0; key < PACKED_KEYS; key++) {
        uint64_t n = last;
        while (n > 0 && !is_named(n, key)) n--;
        enum fate fate = n == 0 ? DELETED : fate_of(n, key);
        unsigned char value[VALUE_MAX];
        size_t len = (size_t)larderx_decode(out + at + 8, 8), value_len = value_of(n, value);
        bool is_there = larderx_decode(out + at, 4) == LARDER_OK;
        if (is_there != (fate == KEPT || fate == EXPIRING)) return false;
        if (is_there) {
            int64_t ttl_ms = 0;
            if (len != value_len || memcmp(out + at + 16, value, len) != 0) return false;
            REQUIRE_OK(larder_ttl(db, &key, sizeof key, &ttl_ms, &err));
            if (fate == KEPT ? ttl_ms != -1 : ttl_ms <= 0 || ttl_ms > HOUR_MS) return false;
        }
        at += 16 + (len + 7) / 8 * 8;
    }
    return true;
}

static void packed_writes_with_ttls_and_deletes_survive_kills(const char *dir) {
    static const char *const modes[] = {"always", "interval:10", "none"};
    for (size_t mode = 0; mode < 3; mode++) {
        struct chance chance = {mode + 20};
        struct writer writer = {.path = path_of(dir, modes[mode]), .sync = modes[mode], .first = 1};
        for (int cycle = 0; cycle < CYCLES; cycle++) {
            uint64_t last = run_and_kill(&writer, write_packed_on, &chance);
            larder *db = reopen(writer.path, writer.sync);
            /* What was written with a millisecond to live shortly before the kill. */
            sleep_ms(3);
            bool is_next = !packed_is(db, last);
            CHECK_SAYING(!is_next || packed_is(db, last + 1), "%s: after change %llu was acknowledged the store holds neither it nor the next",
                         modes[mode], (unsigned long long)last);
            writer.first = last + (is_next ? 2 : 1);
            if (cycle % 3 == 0) {
                larder_error err;
                OK(larder_compact(db, &err));
                CHECK(packed_is(db, writer.first - 1));
            }
            store_close(db);
        }
        CHECK(writer.first > CYCLES);
    }
}

/* ---- dying while opening, compacting and closing ------------------------------------------------ */

static void open_compact_and_close(void *context) {
    const struct writer *writer = context;
    larder_error err;
    for (uint64_t n = writer->first;; n++) {
        larder *db = reopen(writer->path, writer->sync);
        store_set_numbered(db, "churned", 100, 300);
        REQUIRE_OK(larder_compact(db, &err));
        REQUIRE_OK(larder_close(db, &err));
        acknowledge(writer->acknowledge, n);
    }
}

static void dying_while_opening_compacting_or_closing_loses_nothing(const char *dir) {
    struct chance chance = {99};
    struct writer writer = {.path = path_of(dir, "s"), .sync = "none", .first = 1};
    larder *db = reopen(writer.path, "none");
    store_set_numbered(db, "stays", 500, 200);
    store_close(db);
    for (int cycle = 0; cycle < CYCLES * 2; cycle++) {
        writer.first = run_and_kill(&writer, open_compact_and_close, &chance) + 1;
        db = reopen(writer.path, "none");
        store_check_numbered(db, "stays", 500, 200);
        store_close(db);
    }
    CHECK(writer.first > 1);
}

const struct check_subject subject_kill = {
    "kill",
    (const struct check_test[]){
        CHECK_TEST(nothing_acknowledged_is_lost_with_sync_always, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(nothing_acknowledged_is_lost_with_sync_interval, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(nothing_acknowledged_is_lost_with_sync_none, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(batches_are_whole_or_absent_after_a_kill, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(packed_writes_with_ttls_and_deletes_survive_kills, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(dying_while_opening_compacting_or_closing_loses_nothing, CHECK_PROCESS | CHECK_TIME),
        CHECK_END,
    },
};
