/* close.c: the end of a handle, and what it leaves behind. */
#include "store.h"
#include "subjects.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

static void every_call_after_close_is_closed(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    larder_cursor *cursor = NULL;
    OK(larderx_set_str(db, "k", "v", &err));
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    store_close(db);
    store_check_every_call(db, LARDER_CLOSED);
    const void *key;
    size_t key_len;
    IS(LARDER_CLOSED, larder_cursor_next(cursor, &key, &key_len, NULL, NULL, &err));
    larder_cursor_close(cursor);
    for (int i = 0; i < 3; i++) IS(LARDER_CLOSED, larder_close(db, &err));
    IS_BARE(LARDER_CLOSED, larder_close(db, NULL));
}

static void closing_null_is_ok(const char *dir) {
    (void)dir;
    larder_error err;
    OK(larder_close(NULL, &err));
    IS_BARE(LARDER_OK, larder_close(NULL, NULL));
}

static void a_closed_handle_stays_closed_when_the_store_opens_again(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *old = store_open(path, NULL);
    OK(larderx_set_str(old, "k", "v", &err));
    store_close(old);
    larder *db = store_open(path, NULL);
    CHECK(db != old);
    store_check_every_call(old, LARDER_CLOSED);
    IS(LARDER_CLOSED, larder_close(old, &err));
    CHECK_VALUE(db, "k", "v");
    store_close(db);
}

struct users {
    larder *db;
    atomic_uint at_work;
};

static void *use_until_closed(void *context) {
    struct users *users = context;
    unsigned me = atomic_fetch_add(&users->at_work, 1);
    larder_error err;
    for (uint64_t i = 0;; i++) {
        const struct store_call *call = &store_calls[(i + me) % STORE_CALL_COUNT];
        larder_status status = call->run(users->db, &err);
        if (status == LARDER_CLOSED) return NULL;
        if (!CHECK_SAYING(status < 100, "%s: %s: %s", call->name,
                          larder_status_name(status), err.message)) {
            return NULL;
        }
    }
}

static void closing_while_threads_use_the_store_is_safe(const char *dir) {
    larder_error err;
    for (int round = 0; round < 10; round++) {
        char *path = path_of(dir, "s");
        larder *db = store_open(path, "sync", round % 2 == 0 ? "none" : "always", "segment_size", "64KiB", NULL);
        struct users users = {.db = db};
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, use_until_closed, &users) == 0);
        while (atomic_load(&users.at_work) < 4) sleep_ms(1);
        sleep_ms(3 * round);
        OK(larder_close(db, &err));
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
        db = store_open(path, NULL);
        uint64_t bad_records = 99;
        OK(larder_verify(db, &bad_records, &err));
        CHECK_U64(0, bad_records);
        store_close(db);
    }
}

static void *close_it(void *context) {
    struct users *users = context;
    larder_error err;
    larder_status status = larder_close(users->db, &err);
    if (status == LARDER_OK) atomic_fetch_add(&users->at_work, 1);
    CHECK(status == LARDER_OK || status == LARDER_CLOSED);
    return NULL;
}

static void one_of_several_threads_that_close_has_closed(const char *dir) {
    for (int round = 0; round < 10; round++) {
        struct users users = {.db = store_open(path_of(dir, "s"), NULL)};
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, close_it, &users) == 0);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
        CHECK_U64(1, users.at_work);
    }
}

static size_t line_count(const char *path, const char *part) {
    char line[4096];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) count += strstr(line, part) != NULL;
    fclose(file);
    return count;
}

static void one_life(const char *path) {
    larder_error err;
    larder *db = store_open(path, "sync", "interval:5", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 300, 500);
    larder_view view = {0};
    OK(larder_get_view(db, "n1", 2, &view, &err));
    larder_cursor *cursor = NULL;
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    OK(larder_compact(db, &err));
    store_close(db);
    larder_cursor_close(cursor);
    larder_view_release(&view);
}

static void fifty_lives_leak_no_descriptor_thread_or_map(const char *dir) {
    char *path = path_of(dir, "s");
    /* The first lives warm up what the C library keeps: stacks of threads, arenas. */
    for (int i = 0; i < 5; i++) one_life(path);
    size_t descriptors = entry_count("/proc/self/fd");
    size_t threads = entry_count("/proc/self/task");
    size_t maps = line_count("/proc/self/maps", "");
    for (int i = 0; i < 50; i++) one_life(path);
    CHECK_U64(descriptors, entry_count("/proc/self/fd"));
    CHECK_U64(threads, entry_count("/proc/self/task"));
    CHECK_U64(1, threads);
    /* The allocator may split a map of its own now and then; fifty leaks would be many more. */
    size_t maps_after = line_count("/proc/self/maps", "");
    CHECK_SAYING(maps_after <= maps + 8, "%zu maps before, %zu after", maps, maps_after);
    CHECK_U64(0, line_count("/proc/self/maps", dir));
}

static size_t allocated_bytes(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#else
    SKIP("this C library does not count what is allocated");
#endif
}

static void open_and_close(const char *path) {
    larder_error err;
    larder *db = store_open(path, "sync", "none", NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    store_close(db);
}

static void a_closed_store_keeps_only_its_shell(const char *dir) {
    enum { LIVES = 50 };
    char *path = path_of(dir, "s");
    for (int i = 0; i < 5; i++) open_and_close(path);
    size_t before = allocated_bytes();
    for (int i = 0; i < LIVES; i++) open_and_close(path);
    size_t after = allocated_bytes();
    /* larder.h: less than 4 KiB each. */
    CHECK_SAYING(after < before + LIVES * 4096, "%zu bytes a life", (after - before) / LIVES);
}

static void after_close_only_views_keep_maps(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 500, 500);
    larder_view view = {0};
    OK(larder_get_view(db, "n499", 4, &view, &err));
    CHECK(line_count("/proc/self/maps", dir) > 1);
    store_close(db);
    size_t pinned = line_count("/proc/self/maps", dir);
    CHECK_SAYING(pinned == 1, "%zu maps for one view", pinned);
    CHECK(filled(view.data, view.len, 499));
    larder_view_release(&view);
    CHECK_U64(0, line_count("/proc/self/maps", dir));
}

const struct check_subject subject_close = {
    "close",
    (const struct check_test[]){
        CHECK_TEST(every_call_after_close_is_closed, CHECK_ANYWHERE),
        CHECK_TEST(closing_null_is_ok, CHECK_ANYWHERE),
        CHECK_TEST(a_closed_handle_stays_closed_when_the_store_opens_again, CHECK_ANYWHERE),
        CHECK_TEST(closing_while_threads_use_the_store_is_safe, CHECK_TIME),
        CHECK_TEST(one_of_several_threads_that_close_has_closed, CHECK_ANYWHERE),
        CHECK_TEST(fifty_lives_leak_no_descriptor_thread_or_map, CHECK_PROCESS | CHECK_TIME | CHECK_MEMORY),
        CHECK_TEST(a_closed_store_keeps_only_its_shell, CHECK_PROCESS | CHECK_MEMORY),
        CHECK_TEST(after_close_only_views_keep_maps, CHECK_ANYWHERE),
        CHECK_END,
    },
};
