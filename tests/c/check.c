/* check.c: claims, children and what tests need from the system. The runner is in runner.c.
 *
 * The count of failures belongs to a process: a child's becomes its exit status, which check_join or the
 * runner adds to the parent's. */
#include "check.h"
#include "runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* More say nothing new, and a loop would fill the screen. */
enum { CHECK_FAILURES_MAX = 20 };

_Atomic int check_failures;

/* ---- claims ------------------------------------------------------------------------------------- */

static void report(const char *file, int line, const char *message) {
    const char *slash = strrchr(file, '/');
    /* One call, so that threads do not mix their lines. */
    printf("    %s:%d: %s\n", slash == NULL ? file : slash + 1, line, message);
    fflush(stdout);
    if (++check_failures == CHECK_FAILURES_MAX) {
        printf("    and so on: the test ends here\n");
        check_stop();
    }
}

bool check_claim(bool holds, const char *file, int line, const char *format, ...) {
    if (!holds) {
        char message[1024];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        report(file, line, message);
    }
    return holds;
}

bool check_claim_u64(uint64_t want, uint64_t got, const char *file, int line, const char *what) {
    return check_claim(want == got, file, line, "%s is %llu, not %llu", what, (unsigned long long)got,
                       (unsigned long long)want);
}

bool check_claim_bytes(const void *want, size_t want_len, const void *got, size_t got_len, const char *file, int line,
                       const char *what) {
    if (want_len != got_len) {
        return check_claim(false, file, line, "%s has %zu bytes, not %zu", what, got_len, want_len);
    }
    for (size_t i = 0; i < want_len; i++) {
        unsigned wanted = ((const unsigned char *)want)[i];
        unsigned found = ((const unsigned char *)got)[i];
        if (wanted != found) {
            return check_claim(false, file, line, "%s: byte %zu of %zu is 0x%02x, not 0x%02x", what, i, want_len, found,
                               wanted);
        }
    }
    return true;
}

void check_stop(void) {
    fflush(stdout);
    _exit(EXIT_FAILURE);
}

void check_skip(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("SKIP: %s: ", check_test_name);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    _exit(CHECK_EXIT_SKIPPED);
}

/* ---- children ----------------------------------------------------------------------------------- */

pid_t check_child(void (*run)(void *context), void *context) {
    pid_t parent = getpid();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(EXIT_FAILURE);
        check_failures = 0;
        run(context);
        fflush(stdout);
        /* _exit: a child must not run the exit handlers of what it inherited. */
        _exit(check_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    REQUIRE(child > 0);
    return child;
}

void check_join(pid_t child) {
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        CHECK_SAYING(false, "a child died of signal %d", WTERMSIG(status));
    } else if (WEXITSTATUS(status) == CHECK_EXIT_SKIPPED) {
        _exit(CHECK_EXIT_SKIPPED);
    } else {
        CHECK_SAYING(WEXITSTATUS(status) == 0, "a child failed (exit status %d)", WEXITSTATUS(status));
    }
}

void check_kill(pid_t child) {
    int status;
    kill(child, SIGKILL);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_SAYING(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a child ended before it was killed");
}

/* ---- files -------------------------------------------------------------------------------------- */

char *text(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    REQUIRE(len >= 0);
    char *written = malloc((size_t)len + 1);
    REQUIRE(written != NULL);
    va_start(arguments, format);
    vsnprintf(written, (size_t)len + 1, format, arguments);
    va_end(arguments);
    check_keep(written);
    return written;
}

char *path_of(const char *dir, const char *name) {
    return text("%s/%s", dir, name);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *position) {
    (void)info;
    (void)kind;
    (void)position;
    return remove(path);
}

static int open_up(const char *path, const struct stat *info, int kind, struct FTW *position) {
    (void)info;
    (void)position;
    return kind == FTW_D || kind == FTW_DNR ? chmod(path, 0700) : 0;
}

void remove_tree(const char *path) {
    nftw(path, open_up, 16, FTW_PHYS);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

unsigned char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    REQUIRE(file != NULL && fstat(fileno(file), &info) == 0);
    unsigned char *bytes = malloc((size_t)info.st_size + 1);
    REQUIRE(bytes != NULL);
    *len = fread(bytes, 1, (size_t)info.st_size, file);
    fclose(file);
    return bytes;
}

void write_file(const char *path, const void *bytes, size_t len) {
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL);
    REQUIRE(len == 0 || fwrite(bytes, 1, len, file) == len);
    REQUIRE(fclose(file) == 0);
}

size_t entry_count(const char *dir) {
    size_t count = 0;
    DIR *entries = opendir(dir);
    REQUIRE(entries != NULL);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    }
    closedir(entries);
    return count;
}

/* ---- time and chance ---------------------------------------------------------------------------- */

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(int64_t duration_ms) {
    struct timespec rest = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}

uint64_t chance_next(struct chance *chance) {
    /* splitmix64 */
    uint64_t z = (chance->state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t chance_below(struct chance *chance, uint64_t bound) {
    return chance_next(chance) % bound;
}

static unsigned char fill_byte(uint64_t seed, size_t at) {
    struct chance chance = {seed + at / 8};
    return (unsigned char)(chance_next(&chance) >> (at % 8 * 8));
}

void fill(void *bytes, size_t len, uint64_t seed) {
    for (size_t i = 0; i < len; i++) ((unsigned char *)bytes)[i] = fill_byte(seed, i);
}

bool filled(const void *bytes, size_t len, uint64_t seed) {
    for (size_t i = 0; i < len; i++) {
        if (((const unsigned char *)bytes)[i] != fill_byte(seed, i)) return false;
    }
    return true;
}

/* ---- memory ------------------------------------------------------------------------------------- */

static size_t page_len(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t guarded_map_len(size_t len) {
    return (len + page_len() - 1) / page_len() * page_len() + page_len();
}

void *guarded_copy(const void *bytes, size_t len) {
    size_t map_len = guarded_map_len(len);
    unsigned char *map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(map != MAP_FAILED);
    unsigned char *guard = map + map_len - page_len();
    REQUIRE(mprotect(guard, page_len(), PROT_NONE) == 0);
    if (len > 0 && bytes != NULL) memcpy(guard - len, bytes, len);
    return guard - len;
}

void guarded_free(void *bytes, size_t len) {
    size_t map_len = guarded_map_len(len);
    munmap((unsigned char *)bytes + len + page_len() - map_len, map_len);
}

void *forbidden_page(void) {
    static void *page;
    if (page == NULL) {
        void *map = mmap(NULL, page_len(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(map != MAP_FAILED);
        page = map;
    }
    return page;
}

bool under_asan(void) {
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}
