/* limits.c: the limits of a process. What they refuse is a status; the process lives, and what is there stays readable. */
#include "engine.h"
#include "store.h"
#include "subjects.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 200, VALUE_LEN = 700 };

struct limited {
    const char *path;
    uint64_t limit;
    _Atomic uint64_t refusals, writes;
};

static void limit_to(int resource, uint64_t limit) {
    struct rlimit bounds;
    REQUIRE(getrlimit(resource, &bounds) == 0);
    bounds.rlim_cur = limit;
    REQUIRE(setrlimit(resource, &bounds) == 0);
}

static bool is_refusal(larder_status status) {
    return status == LARDER_IO || status == LARDER_NO_SPACE || status == LARDER_OUT_OF_MEMORY || status == LARDER_READ_ONLY;
}

/* Opens, writes and reads under a limit that is in force already. `key_offset`, so that the index has to grow, too. */
static void use(struct limited *limited, uint64_t count, uint64_t key_offset) {
    larder_error err;
    larder *db = NULL;
    static const char *const options[] = {"sync", "none", "segment_size", "1MiB", NULL};
    larder_status status = larderx_open(limited->path, options, &db, &err);
    if (status != LARDER_OK) {
        CHECK_SAYING(is_refusal(status), "open: %s: %s", larder_status_name(status), err.message);
        limited->refusals++;
        return;
    }
    unsigned char value[VALUE_LEN], back[VALUE_LEN];
    uint64_t refused = 0;
    for (uint64_t i = 0; i < count && refused < 20; i++) {
        uint64_t key = key_offset + i, len = i % 16 == 0 ? VALUE_LEN : 16;
        fill(value, len, key);
        status = larder_set(db, &key, sizeof key, value, len, &err);
        if (status == LARDER_OK) {
            limited->writes++;
        } else {
            refused++;
            CHECK_SAYING(is_refusal(status), "set: %s: %s", larder_status_name(status), err.message);
            /* What was refused has changed nothing. */
            IS(LARDER_NOT_FOUND, larder_exists(db, &key, sizeof key, &err));
        }
        if (i % 64 == 0 && status == LARDER_OK) {
            size_t need = 0;
            OK(larder_get_into(db, &key, sizeof key, back, sizeof back, &need, &err));
            CHECK(need == len && filled(back, len, key));
        }
    }
    limited->refusals += refused > 0;
    (void)larder_compact(db, &err);
    (void)larder_close(db, &err);
}

static void run_apart(void (*run)(void *), struct limited *limited, const char *what) {
    int status;
    pid_t child = check_child(run, limited);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_SAYING(!WIFSIGNALED(status), "with %s of %llu the process died of signal %d (%s)", what,
                 (unsigned long long)limited->limit, WTERMSIG(status), strsignal(WTERMSIG(status)));
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static struct limited *prepared(const char *dir) {
    struct limited *limited = shared_memory(sizeof *limited);
    limited->path = path_of(dir, "s");
    larder *db = store_open(limited->path, "sync", "none", "segment_size", "1MiB", NULL);
    store_set_numbered(db, "k", KEYS, VALUE_LEN);
    store_close(db);
    return limited;
}

static void check_unharmed(const struct limited *limited) {
    larder_error err;
    larder *db = store_open(limited->path, NULL);
    uint64_t bad_records = 99;
    store_check_numbered(db, "k", KEYS, VALUE_LEN);
    OK(larder_verify(db, &bad_records, &err));
    store_close(db);
}

/* ---- descriptors -------------------------------------------------------------------------------- */

static void use_few_descriptors(void *context) {
    struct limited *limited = context;
    limit_to(RLIMIT_NOFILE, limited->limit);
    use(limited, 3000, limited->limit << 32);
}

static void every_limit_of_descriptors_is_a_status(const char *dir) {
    struct limited *limited = prepared(dir);
    uint64_t open_now = entry_count("/proc/self/fd");
    for (uint64_t more = 0; more < 24; more++) {
        limited->limit = open_now + more;
        run_apart(use_few_descriptors, limited, "RLIMIT_NOFILE");
    }
    CHECK_SAYING(limited->refusals > 2 && limited->writes > 1000, "%llu refusals, %llu writes: the test tests little",
                 (unsigned long long)limited->refusals, (unsigned long long)limited->writes);
    check_unharmed(limited);
}

/* ---- length of files ---------------------------------------------------------------------------- */

static void use_short_files(void *context) {
    struct limited *limited = context;
    limit_to(RLIMIT_FSIZE, limited->limit);
    use(limited, 3000, limited->limit << 32);
}

/* SIGXFSZ keeps its default, which ends the process: the library does not let it come to that. */
static void every_limit_of_file_lengths_is_a_status_and_no_signal(const char *dir) {
    struct limited *limited = prepared(dir);
    for (uint64_t limit = 0; limit < (3 << 20); limit += limit < 65536 ? 4096 : 130000) {
        limited->limit = limit;
        run_apart(use_short_files, limited, "RLIMIT_FSIZE");
    }
    CHECK_SAYING(limited->refusals > 2 && limited->writes > 1000, "%llu refusals, %llu writes: the test tests little",
                 (unsigned long long)limited->refusals, (unsigned long long)limited->writes);
    check_unharmed(limited);
}

/* ---- memory ------------------------------------------------------------------------------------- */

static uint64_t address_space_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * 4096;
}

static void use_little_memory(void *context) {
    struct limited *limited = context;
    limit_to(RLIMIT_AS, address_space_bytes() + limited->limit);
    /* Enough keys for the index to grow many times. */
    use(limited, 60000, (1 + limited->limit) << 32);
}

static void every_limit_of_memory_is_a_status(const char *dir) {
    struct limited *limited = prepared(dir);
    uint64_t step = 1280 << 10;
    /* Up to what the store needs: two stacks of threads, segments, the index. */
    for (uint64_t limit = 0; limit < (30 << 20); limit += step) {
        char *path = path_of(dir, "scratch");
        limited->limit = limit;
        /* A store of its own each time, or it would soon hold all keys. */
        if (limit % (4 * step) != 0) {
            const char *kept = limited->path;
            limited->path = path;
            run_apart(use_little_memory, limited, "RLIMIT_AS");
            limited->path = kept;
            remove_tree(path);
        } else {
            run_apart(use_little_memory, limited, "RLIMIT_AS");
        }
    }
    CHECK_SAYING(limited->refusals > 2 && limited->writes > 1000, "%llu refusals, %llu writes: the test tests little",
                 (unsigned long long)limited->refusals, (unsigned long long)limited->writes);
    check_unharmed(limited);
}

const struct check_subject subject_limits = {
    "limits",
    (const struct check_test[]){
        CHECK_TEST(every_limit_of_descriptors_is_a_status, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(every_limit_of_file_lengths_is_a_status_and_no_signal, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(every_limit_of_memory_is_a_status, CHECK_PROCESS | CHECK_TIME | CHECK_MEMORY),
        CHECK_END,
    },
};
