/* guest.c: a library is a guest in the process: it leaves signals, output, umask, locale, directory and
 * threads as it found them. */
#include "store.h"
#include "subjects.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIGNAL_COUNT = 64 };

/* A life that meets failures too, because that is when libraries print. */
static void a_full_life(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "interval:5", "segment_size", "64KiB", NULL);
    larder *second = NULL;
    larder_view view = {0};
    larder_cursor *cursor = NULL;
    store_set_numbered(db, "n", 300, 500);
    IS(LARDER_BUSY, larder_open(path, NULL, &second, &err));
    IS(LARDER_INVALID_ARGUMENT, larder_set(db, NULL, 5, NULL, 5, &err));
    IS(LARDER_IO, larder_open(path_of(dir, "missing/s"), NULL, &second, &err));
    OK(larder_set_with(db, "brief", 5, "v", 1, 5, 0, NULL, &err));
    OK(larder_get_view(db, "n1", 2, &view, &err));
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    sleep_ms(20);
    OK(larder_compact(db, &err));
    store_close(db);
    IS(LARDER_CLOSED, larder_close(db, &err));
    larder_cursor_close(cursor);
    larder_view_release(&view);
    db = store_open(path, NULL);
    store_check_numbered(db, "n", 300, 500);
    store_close(db);
}

static bool same_action(const struct sigaction *one, const struct sigaction *other) {
    /* The kernel fills in one word of each set; what follows it is whatever was there. */
    for (int number = 1; number <= SIGNAL_COUNT; number++) {
        if (sigismember(&one->sa_mask, number) != sigismember(&other->sa_mask, number)) return false;
    }
    return one->sa_handler == other->sa_handler && one->sa_flags == other->sa_flags;
}

static void no_signal_handler_is_changed(const char *dir) {
    struct sigaction before[SIGNAL_COUNT + 1], after;
    sigset_t mask_before, mask_after;
    memset(before, 0, sizeof before);
    for (int number = 1; number <= SIGNAL_COUNT; number++) (void)sigaction(number, NULL, &before[number]);
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    larder *db = store_open(path_of(dir, "open"), NULL);
    for (int round = 0; round < 2; round++) {
        for (int number = 1; number <= SIGNAL_COUNT; number++) {
            memset(&after, 0, sizeof after);
            if (sigaction(number, NULL, &after) != 0) continue;
            CHECK_SAYING(same_action(&before[number], &after), "the action of signal %d has changed %s", number,
                         round == 0 ? "with open" : "after close");
        }
        sigprocmask(SIG_SETMASK, NULL, &mask_after);
        for (int number = 1; number <= SIGNAL_COUNT; number++) {
            CHECK(sigismember(&mask_before, number) == sigismember(&mask_after, number));
        }
        if (round == 0) {
            store_close(db);
            a_full_life(dir);
        }
    }
}

static void nothing_is_printed(const char *dir) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    fflush(NULL);
    int out = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO);
    REQUIRE(dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    a_full_life(dir);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    close(ends[1]);
    close(out);
    close(errors);
    char printed[4096] = {0};
    ssize_t len = read(ends[0], printed, sizeof printed - 1);
    CHECK_SAYING(len == 0, "printed: %s", printed);
    close(ends[0]);
}

static void umask_locale_and_directory_stay(const char *dir) {
    char cwd_before[4096], cwd_after[4096];
    umask(027);
    setlocale(LC_ALL, "C.UTF-8");
    char *locale = text("%s", setlocale(LC_ALL, NULL));
    REQUIRE(getcwd(cwd_before, sizeof cwd_before) != NULL);
    a_full_life(dir);
    CHECK_U64(027, umask(0));
    CHECK(strcmp(locale, setlocale(LC_ALL, NULL)) == 0);
    REQUIRE(getcwd(cwd_after, sizeof cwd_after) != NULL);
    CHECK(strcmp(cwd_before, cwd_after) == 0);
}

static void no_thread_is_left_after_close(const char *dir) {
    for (int i = 0; i < 3; i++) {
        a_full_life(dir);
        CHECK_U64(1, entry_count("/proc/self/task"));
    }
}

static volatile sig_atomic_t handled_elsewhere;
static pid_t main_thread;

static void note_thread(int number) {
    (void)number;
    if (gettid() != main_thread) handled_elsewhere = 1;
}

static void the_programs_signals_are_not_handled_on_the_stores_threads(const char *dir) {
    main_thread = gettid();
    struct sigaction action = {.sa_handler = note_thread};
    sigaction(SIGUSR1, &action, NULL);
    larder *db = store_open(path_of(dir, "s"), "sync", "interval:5", NULL);
    store_set_numbered(db, "n", 100, 100);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    /* While the only thread of the program blocks it, nobody else may take it. */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGUSR1);
        sleep_ms(2);
    }
    CHECK_SAYING(handled_elsewhere == 0, "a thread of the store ran the program's signal handler");
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    store_close(db);
}

const struct check_subject subject_guest = {
    "guest",
    (const struct check_test[]){
        CHECK_TEST(no_signal_handler_is_changed, CHECK_PROCESS),
        CHECK_TEST(nothing_is_printed, CHECK_PROCESS),
        CHECK_TEST(umask_locale_and_directory_stay, CHECK_PROCESS),
        CHECK_TEST(no_thread_is_left_after_close, CHECK_PROCESS),
        CHECK_TEST(the_programs_signals_are_not_handled_on_the_stores_threads, CHECK_PROCESS),
        CHECK_END,
    },
};
