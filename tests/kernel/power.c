/* power.c: the power is cut under a store, and the process killed, while writers are at work.
 *
 * The cut is ext4's own shutdown: from one moment on nothing reaches the disk, what was on its way is lost, and the
 * next mount replays the journal. What it cannot show is a disk that loses what it said to have flushed. */
#include "device.h"
#include "history.h"
#include "subjects.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGE_BYTES = 24 << 20, MEMORY_BYTES = 64 << 20, CYCLES_PER_IMAGE = 30 };

struct tally {
    uint64_t cuts, changes;
    uint64_t lost, wrong, crashed;
    uint64_t acknowledged_lost; /* what a mode may lose */
};

static pid_t start(void (*run)(void *), void *context) {
    return check_child(run, context);
}

/* True if the child ended by itself, whatever it found. */
static bool finish(pid_t child, struct tally *tally, const char *what) {
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    bool is_crash = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
    if (is_crash) {
        printf("    %s died of signal %d (%s)\n", what, WTERMSIG(status), strsignal(WTERMSIG(status)));
        tally->crashed++;
    }
    return !is_crash;
}

static void add_changes(struct tally *tally, const struct ledger *ledger) {
    for (unsigned w = 0; w < ledger->writers; w++) tally->changes += ledger->told[w].acknowledged;
}

/* Looks at the store in a process of its own, and compares. False if nothing more can be learned from it. */
static bool inspect_and_judge(struct history *history, struct tally *tally, bool is_kill) {
    struct ledger *ledger = history->ledger;
    add_changes(tally, ledger);
    if (!finish(start(history_inspect, history), tally, "the inspection")) return false;
    REQUIRE(ledger->is_inspected);
    struct verdict verdict = history_judge(ledger, history->engine, is_kill);
    tally->lost += verdict.lost;
    tally->wrong += verdict.wrong;
    return verdict.lost + verdict.wrong == 0;
}

static void say(const struct tally *tally, const char *what, const struct engine *engine, uint64_t seed) {
    printf("torture: %s=%llu lost=%llu wrong=%llu crashed=%llu engine=%s seed=%llu changes=%llu\n", what,
           (unsigned long long)tally->cuts, (unsigned long long)tally->lost, (unsigned long long)tally->wrong,
           (unsigned long long)tally->crashed, engine->name, (unsigned long long)seed, (unsigned long long)tally->changes);
    if (engine_must_hold()) CHECK(tally->lost + tally->wrong + tally->crashed == 0);
}

static bool is_over(const struct tally *tally, int64_t end_ms) {
    return now_ms() >= end_ms || tally->lost + tally->wrong + tally->crashed >= 10;
}

/* ---- the power ---------------------------------------------------------------------------------- */

/* `ledger`: of a child that writes. Cuts the power under `child` after a while, and puts the file system on again. */
static void cut_power_under(pid_t child, struct ledger *ledger, struct device *device, const char *store_path, struct chance *chance,
                            uint64_t wait_us_max, struct tally *tally) {
    usleep((useconds_t)chance_below(chance, wait_us_max));
    write_back_at_random(store_path, chance);
    if (ledger != NULL) history_note_durable(ledger);
    device_cut_power(device, chance_below(chance, 2) == 0);
    tally->cuts++;
    /* Some more moments, in which the store must find out and acknowledge nothing that is not so. */
    usleep((useconds_t)chance_below(chance, 4000));
    kill(child, SIGKILL);
    finish(child, tally, "the writer");
    device_unmount(device);
    int refused = device_mount(device, 0, "errors=continue");
    REQUIRE(CHECK_SAYING(refused == 0, "the file system cannot be mounted after the cut: %s", strerror(refused)));
}

static void power_cuts_leave_a_prefix_and_lose_nothing_durable(const char *dir) {
    const struct engine *engine = engine_chosen();
    uint64_t seed = seed_of(1);
    struct chance chance = {seed};
    struct tally tally = {0};
    struct device device = {.is_mounted = false};
    /* On a tmpfs: a disk of memory is fast, and wears out nothing. */
    char *memory = tmpfs_mount(dir, "memory", MEMORY_BYTES);
    struct ledger *ledger = ledger_new(engine, MODE_ALWAYS, seed);
    struct history history = {.ledger = ledger, .engine = engine};
    int64_t end_ms = now_ms() + (int64_t)(budget_s(8) * 1000);
    for (uint64_t image = 0; !is_over(&tally, end_ms); image++) {
        enum mode mode = (enum mode)(image % (engine->survives_without_sync ? MODE_COUNT : MODE_NONE));
        ledger_reset(ledger, mode);
        device_make(&device, memory, "disk", IMAGE_BYTES);
        history.path = path_of(device.mount_point, "s");
        for (int cycle = 0; cycle < CYCLES_PER_IMAGE && !is_over(&tally, end_ms); cycle++) {
            uint64_t wait_us_max = cycle % 4 == 0 ? 4000 : 60000;
            cut_power_under(start(history_write, &history), ledger, &device, history.path, &chance, wait_us_max, &tally);
            /* Recovery is cut short, too, and starts again. */
            for (uint64_t again = chance_below(&chance, 3); again > 0; again--) {
                cut_power_under(start(history_inspect, &history), NULL, &device, history.path, &chance, 6000, &tally);
            }
            if (!inspect_and_judge(&history, &tally, false)) break;
        }
        device_unmount(&device);
    }
    say(&tally, "power_cuts", engine, seed);
}

/* ---- the process -------------------------------------------------------------------------------- */

static void kills_lose_nothing_acknowledged(const char *dir) {
    const struct engine *engine = engine_chosen();
    uint64_t seed = seed_of(2);
    struct chance chance = {seed};
    struct tally tally = {0};
    struct ledger *ledger = ledger_new(engine, MODE_ALWAYS, seed);
    struct history history = {.ledger = ledger, .engine = engine};
    int64_t end_ms = now_ms() + (int64_t)(budget_s(4) * 1000);
    for (uint64_t store = 0; !is_over(&tally, end_ms); store++) {
        ledger_reset(ledger, (enum mode)(store % MODE_COUNT));
        history.path = path_of(dir, "s");
        for (int cycle = 0; cycle < CYCLES_PER_IMAGE && !is_over(&tally, end_ms); cycle++) {
            pid_t child = start(history_write, &history);
            usleep((useconds_t)chance_below(&chance, cycle % 4 == 0 ? 4000 : 40000));
            kill(child, SIGKILL);
            tally.cuts++;
            finish(child, &tally, "the writer");
            if (chance_below(&chance, 3) == 0) {
                child = start(history_inspect, &history);
                usleep((useconds_t)chance_below(&chance, 4000));
                kill(child, SIGKILL);
                finish(child, &tally, "the opener");
            }
            if (!inspect_and_judge(&history, &tally, true)) break;
        }
        remove_tree(history.path);
    }
    say(&tally, "kills", engine, seed);
}

const struct check_subject subject_power = {
    "power",
    (const struct check_test[]){
        CHECK_TEST(power_cuts_leave_a_prefix_and_lose_nothing_durable, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(kills_lose_nothing_acknowledged, CHECK_PROCESS | CHECK_TIME),
        CHECK_END,
    },
};
