/* views.c: reading without a copy, and for how long. */
#include "store.h"
#include "subjects.h"

#include <pthread.h>

static void a_view_shows_the_record(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    uint64_t version = 0;
    OK(larder_set_with(db, "k", 1, "value", 5, 60000, 0, &version, &err));
    larder_view view = {0};
    OK(larder_get_view(db, "k", 1, &view, &err));
    CHECK_BYTES("value", 5, view.data, view.len);
    CHECK_U64(version, view.version);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    CHECK(view.expires_at_ms > unix_ms + 50000 && view.expires_at_ms <= unix_ms + 60000 + 1);
    larder_view_release(&view);
    store_close(db);
}

static void a_second_release_is_harmless(const char *dir) {
    static const larder_view zero;
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    larder_view view = {0};
    OK(larder_get_view(db, "k", 1, &view, &err));
    larder_stats stats = {.struct_size = sizeof stats};
    OK(larder_stats_get(db, &stats, &err));
    CHECK_U64(1, stats.pinned_views);
    larder_view_release(&view);
    CHECK(memcmp(&view, &zero, sizeof view) == 0);
    larder_view_release(&view);
    larder_view_release(NULL);
    OK(larder_stats_get(db, &stats, &err));
    CHECK_U64(0, stats.pinned_views);
    store_close(db);
}

static void a_view_outlives_overwrite_delete_compaction_and_close(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", "compaction", "manual", NULL);
    store_set_numbered(db, "n", 300, 1000);
    larder_view views[3] = {{0}, {0}, {0}};
    for (size_t i = 0; i < 3; i++) OK(larder_get_view(db, text("n%zu", i), 2, &views[i], &err));

    OK(larderx_set_str(db, "n0", "overwritten", &err));
    CHECK(views[0].len == 1000 && filled(views[0].data, 1000, 0));
    OK(larderx_del_str(db, "n1", &err));
    CHECK(views[1].len == 1000 && filled(views[1].data, 1000, 1));
    for (int round = 0; round < 3; round++) store_set_numbered(db, "n", 300, 1000);
    OK(larder_compact(db, &err));
    for (size_t i = 0; i < 3; i++) CHECK(views[i].len == 1000 && filled(views[i].data, 1000, i));
    store_close(db);
    for (size_t i = 0; i < 3; i++) CHECK(views[i].len == 1000 && filled(views[i].data, 1000, i));

    /* And through another life of the same store. */
    db = store_open(path, "segment_size", "64KiB", NULL);
    OK(larder_compact(db, &err));
    store_close(db);
    for (size_t i = 0; i < 3; i++) {
        CHECK(views[i].len == 1000 && filled(views[i].data, 1000, i));
        larder_view_release(&views[i]);
        larder_view_release(&views[i]);
    }
}

static void many_views_may_be_held_at_once(const char *dir) {
    enum { COUNT = 1000 };
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL);
    larder_view *views = calloc(COUNT, sizeof *views);
    REQUIRE(views != NULL);
    store_set_numbered(db, "n", COUNT, 200);
    for (size_t i = 0; i < COUNT; i++) {
        char *key = text("n%zu", i);
        OK(larder_get_view(db, key, strlen(key), &views[i], &err));
    }
    for (size_t i = 0; i < COUNT; i++) {
        char *key = text("n%zu", i);
        OK(larderx_del_str(db, key, &err));
    }
    OK(larder_compact(db, &err));
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(views[i].len == 200 && filled(views[i].data, 200, i));
        larder_view_release(&views[i]);
    }
    free(views);
    store_close(db);
}

static void *release_view(void *view) {
    larder_view_release(view);
    return NULL;
}

static void a_view_may_be_released_by_another_thread_after_close(const char *dir) {
    larder_error err;
    pthread_t thread;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "value", &err));
    larder_view view = {0};
    OK(larder_get_view(db, "k", 1, &view, &err));
    store_close(db);
    CHECK_BYTES("value", 5, view.data, view.len);
    REQUIRE(pthread_create(&thread, NULL, release_view, &view) == 0);
    pthread_join(thread, NULL);
    CHECK(view.pin == NULL && view.data == NULL);
}

const struct check_subject subject_views = {
    "views",
    (const struct check_test[]){
        CHECK_TEST(a_view_shows_the_record, CHECK_ANYWHERE),
        CHECK_TEST(a_second_release_is_harmless, CHECK_ANYWHERE),
        CHECK_TEST(a_view_outlives_overwrite_delete_compaction_and_close, CHECK_ANYWHERE),
        CHECK_TEST(many_views_may_be_held_at_once, CHECK_TIME),
        CHECK_TEST(a_view_may_be_released_by_another_thread_after_close, CHECK_ANYWHERE),
        CHECK_END,
    },
};
