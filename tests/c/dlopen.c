/* dlopen.c: the library loaded and unloaded while the program runs, as other languages do it.
 *
 * A program of its own, because it must not be linked with the library. LARDER_LIBRARY names the file. */
#include "check.h"
#include "larder.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CYCLES = 1000, CYCLES_SECONDS_MAX = 60 };

/* The calls that are used here, by their names. */
struct library {
    void *handle;
    larder_status (*open)(const char *, const larder_options *, larder **, larder_error *);
    larder_status (*set)(larder *, const void *, size_t, const void *, size_t, larder_error *);
    larder_status (*get)(larder *, const void *, size_t, void **, size_t *, larder_error *);
    larder_status (*close)(larder *, larder_error *);
    void (*free)(void *);
    larder_options *(*options_new)(void);
    larder_status (*options_set)(larder_options *, const char *, const char *, larder_error *);
    void (*options_free)(larder_options *);
};

static void find(void *handle, const char *name, void *function, size_t size) {
    /* ISO C knows no conversion from an object's address to a function's; POSIX promises that it works. */
    void *address = dlsym(handle, name);
    REQUIRE(CHECK_SAYING(address != NULL, "no %s in the library", name));
    memcpy(function, &address, size);
}

#define FIND(library, member) find((library).handle, "larder_" #member, &(library).member, sizeof(library).member)

static struct library load(void) {
    struct library library = {NULL};
    const char *path = getenv("LARDER_LIBRARY");
    if (path == NULL) SKIP("LARDER_LIBRARY does not name the library's file");
    library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(CHECK_SAYING(library.handle != NULL, "%s", dlerror()));
    FIND(library, open);
    FIND(library, set);
    FIND(library, get);
    FIND(library, close);
    FIND(library, free);
    FIND(library, options_new);
    FIND(library, options_set);
    FIND(library, options_free);
    return library;
}

static void use(const struct library *library, const char *path, uint32_t cycle) {
    larder_error err = {0};
    larder *db = NULL;
    larder_options *options = library->options_new();
    REQUIRE(library->options_set(options, "sync", "none", &err) == LARDER_OK);
    REQUIRE(library->options_set(options, "segment_size", "64KiB", &err) == LARDER_OK);
    REQUIRE(CHECK_SAYING(library->open(path, options, &db, &err) == LARDER_OK, "%s", err.message));
    library->options_free(options);
    if (cycle > 0) {
        uint32_t *number = NULL;
        size_t len = 0;
        REQUIRE(library->get(db, "cycle", 5, (void **)&number, &len, &err) == LARDER_OK);
        CHECK(len == sizeof *number && *number == cycle - 1);
        library->free(number);
    }
    REQUIRE(CHECK_SAYING(library->set(db, "cycle", 5, &cycle, sizeof cycle, &err) == LARDER_OK, "%s", err.message));
    REQUIRE(CHECK_SAYING(library->close(db, &err) == LARDER_OK, "%s", err.message));
}

static size_t map_count(void) {
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    for (int byte; (byte = fgetc(maps)) != EOF;) count += byte == '\n';
    fclose(maps);
    return count;
}

static void do_nothing(void *context) {
    (void)context;
}

static void the_library_can_be_loaded_and_unloaded_a_thousand_times(const char *dir) {
    char *path = path_of(dir, "s");
    int64_t start_ms = now_ms();
    size_t descriptors = 0, maps = 0;
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        struct library library = load();
        use(&library, path, cycle);
        REQUIRE(dlclose(library.handle) == 0);
        if (cycle == 20) {
            descriptors = entry_count("/proc/self/fd");
            maps = map_count();
        }
        if (!CHECK_SAYING(now_ms() - start_ms < CYCLES_SECONDS_MAX * 1000, "only %u cycles in %d s", cycle,
                          CYCLES_SECONDS_MAX)) {
            break;
        }
    }
    CHECK_U64(descriptors, entry_count("/proc/self/fd"));
    CHECK_U64(1, entry_count("/proc/self/task"));
    /* A sanitizer maps memory of its own. */
    CHECK_SAYING(under_asan() || map_count() <= maps + 8, "%zu maps after 20 cycles, %zu after all", maps, map_count());
    /* Handlers that the library left behind, for fork or exit, would now run in unmapped memory. */
    for (int i = 0; i < 3; i++) check_join(check_child(do_nothing, NULL));
}

static void the_library_can_be_used_again_after_unloading(const char *dir) {
    struct library library = load();
    use(&library, path_of(dir, "s"), 0);
    REQUIRE(dlclose(library.handle) == 0);
    void *again = dlopen(getenv("LARDER_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
    printf("    after dlclose the library is %s\n", again == NULL ? "unmapped" : "still mapped");
    if (again != NULL) dlclose(again);
    /* Either way it can be used once more. */
    library = load();
    use(&library, path_of(dir, "s"), 1);
    REQUIRE(dlclose(library.handle) == 0);
}

static const struct check_subject subject_dlopen = {
    "dlopen",
    (const struct check_test[]){
        CHECK_TEST(the_library_can_be_loaded_and_unloaded_a_thousand_times, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(the_library_can_be_used_again_after_unloading, CHECK_ANYWHERE),
        CHECK_END,
    },
};

int main(int argc, char **argv) {
    static const struct check_subject *const subjects[] = {&subject_dlopen};
    return check_main(argc, argv, subjects, 1);
}
