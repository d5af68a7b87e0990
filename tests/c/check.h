/* check.h: the harness of the C tests.
 *
 * A test is a function whose name is a sentence; it gets the path of an empty directory of its own. The
 * runner starts each in a forked child with a time limit, so that a crash or a hang is one FAIL and not the
 * end of the run, and removes the directory afterwards whatever happened. Nothing here refers to a symbol of
 * the library, so that the same harness serves the program that loads it with dlopen.
 *
 * CHECK notes a failure and goes on; REQUIRE ends the test. Both work from any thread and from children that
 * check_child started, whose failures count for the test. */
#ifndef CHECK_H
#define CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- tests and subjects ------------------------------------------------------------------------- */

/* What a test needs, so that a mode which cannot give it leaves the test out and says so. */
enum check_needs {
    CHECK_ANYWHERE = 0,
    CHECK_TIME = 1,    /* too much work for valgrind */
    CHECK_PROCESS = 2, /* forks, or changes its process for good: needs a process of its own */
    CHECK_MEMORY = 4,  /* counts or forbids memory in ways that a sanitizer's shadow upsets */
    CHECK_CHILD = 8,   /* a forked child of a process with threads allocates: the C library sees to it that it
                        * can, gcc 12's sanitizer may keep its allocator locked for ever */
};

typedef void check_function(const char *dir);

struct check_test {
    const char *name;
    check_function *run;
    unsigned needs; /* of enum check_needs */
};

struct check_subject {
    const char *name;
    const struct check_test *tests; /* ended by a NULL name */
};

#define CHECK_TEST(function, needs) { #function, function, needs }
#define CHECK_END { NULL, NULL, 0 }

/* Runs what the arguments ask for and prints "N passed, M failed". The value is main's. */
int check_main(int argc, char **argv, const struct check_subject *const *subjects, size_t subject_count);

/* ---- claims ------------------------------------------------------------------------------------- */

#define CHECK(condition) check_claim((condition), __FILE__, __LINE__, "%s", #condition)
#define CHECK_SAYING(condition, ...) check_claim((condition), __FILE__, __LINE__, __VA_ARGS__)

#define REQUIRE(condition) \
    do { \
        if (!CHECK(condition)) check_stop(); \
    } while (0)

#define CHECK_U64(want, got) \
    check_claim_u64((uint64_t)(want), (uint64_t)(got), __FILE__, __LINE__, #got)

#define CHECK_BYTES(want, want_len, got, got_len) \
    check_claim_bytes((want), (want_len), (got), (got_len), __FILE__, __LINE__, #got)

/* Ends the test as not done. With LARDER_FORBID_SKIP=1 in the environment that is a failure. */
#define SKIP(...) check_skip(__VA_ARGS__)

bool check_claim(bool holds, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool check_claim_u64(uint64_t want, uint64_t got, const char *file, int line, const char *what);
bool check_claim_bytes(const void *want, size_t want_len, const void *got, size_t got_len, const char *file, int line,
                       const char *what);
_Noreturn void check_stop(void);
_Noreturn void check_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- children ----------------------------------------------------------------------------------- */

/* Forks a child that runs `run(context)` and leaves with the number of its failures. It dies with the test. */
pid_t check_child(void (*run)(void *context), void *context);
/* Waits for a child of check_child and counts a failure unless it ended without one. */
void check_join(pid_t child);
/* Kills a child with SIGKILL and waits for it; a failure if it had ended by itself. */
void check_kill(pid_t child);

/* ---- the directory, time, chance ---------------------------------------------------------------- */

/* printf into a new string; the test's process is short, nobody frees it. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "dir/name", as text(). */
char *path_of(const char *dir, const char *name);
void remove_tree(const char *path);
/* A file's bytes from malloc; the test stops if it cannot be read. */
unsigned char *read_file(const char *path, size_t *len);
void write_file(const char *path, const void *bytes, size_t len);
/* How many entries a directory has. */
size_t entry_count(const char *dir);

int64_t now_ms(void); /* monotonic */
void sleep_ms(int64_t duration_ms);

/* Pseudo-random, the same on every run: a failure can be repeated. */
struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *chance);
uint64_t chance_below(struct chance *chance, uint64_t bound);

/* Bytes that depend on `seed` alone. */
void fill(void *bytes, size_t len, uint64_t seed);
bool filled(const void *bytes, size_t len, uint64_t seed);

/* A copy of `bytes` that ends where an unreadable page begins: reading or writing past it is a crash. Freed
 * by guarded_free. */
void *guarded_copy(const void *bytes, size_t len);
void guarded_free(void *bytes, size_t len);
/* An address that must not be touched at all. */
void *forbidden_page(void);

/* True if this program was built with AddressSanitizer. */
bool under_asan(void);

#endif /* CHECK_H */
