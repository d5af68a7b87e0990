/* runner.c: runs the tests one by one, each in a process and a directory of its own.
 *
 * With --no-fork (for valgrind) they run one after another in this process, and those that need a process
 * of their own are left out and counted. A skipped test says so and why: "SKIP: subject: test: why". */
#include "runner.h"
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_SECONDS_MAX = 120 };

enum outcome { PASSED, FAILED, SKIPPED };

struct run {
    bool forks;
    unsigned refused; /* needs that this mode cannot give */
    const char *wanted;    /* a subject's name or part of a test's; NULL: all */
    bool wanted_is_subject;
    bool skip_fails;
    char scratch[256];
    size_t passed, failed, skipped, left_out;
};

char check_test_name[256];

/* ---- an interrupted run removes its files, too -------------------------------------------------- */

static volatile sig_atomic_t interrupted_by;
static const int interrupting[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

static void note_interruption(int number) {
    interrupted_by = number;
}

static void handle_interruptions(void (*handler)(int)) {
    /* Without SA_RESTART, so that waitpid returns. */
    struct sigaction action = {.sa_handler = handler};
    for (size_t i = 0; i < sizeof interrupting / sizeof *interrupting; i++) sigaction(interrupting[i], &action, NULL);
}

/* ---- strings that live as long as a test -------------------------------------------------------- */

static void **kept;
static size_t kept_count;

void check_keep(void *allocated) {
    void **grown = realloc(kept, (kept_count + 1) * sizeof *kept);
    REQUIRE(grown != NULL);
    kept = grown;
    kept[kept_count++] = allocated;
}

static void free_kept(void) {
    while (kept_count > 0) free(kept[--kept_count]);
    free(kept);
    kept = NULL;
}

/* ---- one test ----------------------------------------------------------------------------------- */

static void run_in_child(const struct check_test *test, const char *dir) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    handle_interruptions(SIG_DFL);
    /* SIGALRM's default action ends a test that hangs, and check_child's children with it. */
    alarm(TEST_SECONDS_MAX);
    test->run(dir);
    free_kept();
    fflush(stdout);
    /* exit, not _exit: the leak checker of a sanitizer runs there. */
    exit(check_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static enum outcome run_forked(const struct check_test *test, const char *dir) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) run_in_child(test, dir);
    REQUIRE(child > 0);
    while (waitpid(child, &status, 0) != child) {
        REQUIRE(errno == EINTR);
        if (interrupted_by != 0) kill(child, SIGKILL);
    }
    if (WIFSIGNALED(status)) {
        printf("    died of signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return FAILED;
    }
    if (WEXITSTATUS(status) == CHECK_EXIT_SKIPPED) return SKIPPED;
    return WEXITSTATUS(status) == 0 ? PASSED : FAILED;
}

static enum outcome run_here(const struct check_test *test, const char *dir) {
    check_failures = 0;
    test->run(dir);
    free_kept();
    return check_failures == 0 ? PASSED : FAILED;
}

static void run_test(struct run *run, const struct check_subject *subject, const struct check_test *test) {
    static const char *const words[] = {"ok", "FAIL", "SKIP"};
    char dir[320];
    if ((test->needs & run->refused) != 0) {
        run->left_out++;
        return;
    }
    snprintf(dir, sizeof dir, "%s/XXXXXX", run->scratch);
    REQUIRE(mkdtemp(dir) != NULL && chmod(dir, 0711) == 0);
    snprintf(check_test_name, sizeof check_test_name, "%s: %s", subject->name, test->name);
    int64_t start_ms = now_ms();
    enum outcome outcome = run->forks ? run_forked(test, dir) : run_here(test, dir);
    remove_tree(dir);
    if (outcome == SKIPPED && run->skip_fails) {
        printf("    LARDER_FORBID_SKIP is set: a skipped test is a failure\n");
        outcome = FAILED;
    }
    if (outcome == PASSED) run->passed++;
    if (outcome == FAILED) run->failed++;
    if (outcome == SKIPPED) run->skipped++;
    printf("%s ... %s (%lld ms)\n", check_test_name, words[outcome], (long long)(now_ms() - start_ms));
    fflush(stdout);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static bool is_wanted(const struct run *run, const struct check_subject *subject, const struct check_test *test) {
    if (run->wanted == NULL) return true;
    return run->wanted_is_subject ? strcmp(run->wanted, subject->name) == 0 : strstr(test->name, run->wanted) != NULL;
}

static int usage(const char *program) {
    fprintf(stderr,
            "usage: %s [--no-fork] [--quick] [subject, or part of a test's name]\n"
            "  --no-fork  all tests in this process; those that need their own are left out\n"
            "  --quick    leaves out tests that take long\n"
            "Scratch files go below $TMPDIR (default /tmp) and are removed.\n"
            "LARDER_FORBID_SKIP=1 makes a skipped test a failure.\n",
            program);
    return 2;
}

int check_main(int argc, char **argv, const struct check_subject *const *subjects, size_t subject_count) {
    struct run run = {.forks = true};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-fork") == 0) {
            run.forks = false;
            run.refused |= CHECK_PROCESS;
        } else if (strcmp(argv[i], "--quick") == 0) {
            run.refused |= CHECK_TIME;
        } else if (argv[i][0] == '-' || run.wanted != NULL) {
            return usage(argv[0]);
        } else {
            run.wanted = argv[i];
        }
    }
    if (under_asan()) run.refused |= CHECK_MEMORY | CHECK_CHILD;
    const char *forbid = getenv("LARDER_FORBID_SKIP");
    run.skip_fails = forbid != NULL && strcmp(forbid, "1") == 0;
    const char *tmp = getenv("TMPDIR");
    snprintf(run.scratch, sizeof run.scratch, "%s/larder-c-XXXXXX", tmp == NULL || tmp[0] == '\0' ? "/tmp" : tmp);
    /* 0711: some tests become another user to be refused something. */
    if (mkdtemp(run.scratch) == NULL || chmod(run.scratch, 0711) != 0) {
        perror(run.scratch);
        return 2;
    }
    /* Tests kill processes on purpose: no core files. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (size_t s = 0; run.wanted != NULL && s < subject_count; s++) {
        run.wanted_is_subject |= strcmp(run.wanted, subjects[s]->name) == 0;
    }
    if (run.forks) handle_interruptions(note_interruption);
    for (size_t s = 0; s < subject_count; s++) {
        for (const struct check_test *test = subjects[s]->tests; test->name != NULL && interrupted_by == 0; test++) {
            if (is_wanted(&run, subjects[s], test)) run_test(&run, subjects[s], test);
        }
    }
    remove_tree(run.scratch);
    if (interrupted_by != 0) return 128 + interrupted_by;
    if (run.left_out > 0) printf("%zu left out, because this mode cannot run them\n", run.left_out);
    printf("%zu passed, %zu failed\n", run.passed, run.failed);
    if (run.passed + run.failed + run.skipped == 0) {
        fprintf(stderr, "no test of that name\n");
        return 2;
    }
    return run.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
