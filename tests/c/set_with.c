/* set_with.c: conditions and versions. */
#include "store.h"
#include "subjects.h"

static void if_absent_refuses_a_live_key(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    uint64_t version = 0;
    OK(larder_set_with(db, "k", 1, "first", 5, 0, LARDER_IF_ABSENT, &version, &err));
    CHECK(version > 0);
    uint64_t untouched = 4711;
    IS(LARDER_EXISTS, larder_set_with(db, "k", 1, "second", 6, 1000, LARDER_IF_ABSENT, &untouched, &err));
    CHECK_U64(4711, untouched);
    CHECK_VALUE(db, "k", "first");
    int64_t ttl_ms = 0;
    OK(larder_ttl(db, "k", 1, &ttl_ms, &err));
    CHECK(ttl_ms == -1);
    OK(larderx_del_str(db, "k", &err));
    OK(larder_set_with(db, "k", 1, "third", 5, 0, LARDER_IF_ABSENT, &version, &err));
    CHECK_VALUE(db, "k", "third");
    store_close(db);
}

static void if_present_refuses_an_absent_key(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    IS(LARDER_NOT_FOUND, larder_set_with(db, "k", 1, "v", 1, 0, LARDER_IF_PRESENT, NULL, &err));
    CHECK_ABSENT(db, "k");
    OK(larderx_set_str(db, "k", "first", &err));
    OK(larder_set_with(db, "k", 1, "second", 6, 0, LARDER_IF_PRESENT, NULL, &err));
    CHECK_VALUE(db, "k", "second");
    OK(larderx_del_str(db, "k", &err));
    IS(LARDER_NOT_FOUND, larder_set_with(db, "k", 1, "v", 1, 0, LARDER_IF_PRESENT, NULL, &err));
    store_close(db);
}

static void both_conditions_and_unknown_flags_are_invalid(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    IS(LARDER_INVALID_ARGUMENT,
       larder_set_with(db, "k", 1, "w", 1, 0, LARDER_IF_ABSENT | LARDER_IF_PRESENT, NULL, &err));
    for (uint32_t bit = 3; bit < 32; bit++) {
        IS(LARDER_INVALID_ARGUMENT, larder_set_with(db, "k", 1, "w", 1, 0, UINT32_C(1) << bit, NULL, &err));
    }
    CHECK_VALUE(db, "k", "v");
    store_close(db);
}

static void the_sync_flag_makes_one_write_durable(const char *dir) {
    larder_error err;
    larder *db = store_open(path_of(dir, "s"), "sync", "none", NULL);
    larder_stats before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    OK(larder_stats_get(db, &before, &err));
    OK(larder_set_with(db, "k", 1, "v", 1, 0, LARDER_SYNC, NULL, &err));
    OK(larder_stats_get(db, &after, &err));
    CHECK_SAYING(after.syncs > before.syncs, "%llu syncs before, %llu after", (unsigned long long)before.syncs,
                 (unsigned long long)after.syncs);
    OK(larder_set_with(db, "k", 1, "w", 1, 0, LARDER_SYNC | LARDER_IF_PRESENT, NULL, &err));
    CHECK_VALUE(db, "k", "w");
    store_close(db);
}

static void versions_rise_with_every_change_and_over_restarts(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    uint64_t last = 0;
    for (int round = 0; round < 3; round++) {
        larder *db = store_open(path, NULL);
        for (int i = 0; i < 20; i++) {
            uint64_t version = 0;
            OK(larder_set_with(db, i % 2 == 0 ? "a" : "b", 1, "v", 1, 0, 0, &version, &err));
            CHECK_SAYING(version > last, "%llu after %llu", (unsigned long long)version, (unsigned long long)last);
            last = version;
            larder_view view = {0};
            OK(larder_get_view(db, i % 2 == 0 ? "a" : "b", 1, &view, &err));
            CHECK_U64(version, view.version);
            larder_view_release(&view);
        }
        /* Changes that return no version take one all the same. */
        OK(larderx_del_str(db, "a", &err));
        OK(larder_expire(db, "b", 1, 60000, &err));
        uint64_t version = 0;
        OK(larder_set_with(db, "a", 1, "v", 1, 0, 0, &version, &err));
        CHECK(version > last + 2);
        last = version;
        store_close(db);
    }
}

const struct check_subject subject_set_with = {
    "set_with",
    (const struct check_test[]){
        CHECK_TEST(if_absent_refuses_a_live_key, CHECK_ANYWHERE),
        CHECK_TEST(if_present_refuses_an_absent_key, CHECK_ANYWHERE),
        CHECK_TEST(both_conditions_and_unknown_flags_are_invalid, CHECK_ANYWHERE),
        CHECK_TEST(the_sync_flag_makes_one_write_durable, CHECK_ANYWHERE),
        CHECK_TEST(versions_rise_with_every_change_and_over_restarts, CHECK_ANYWHERE),
        CHECK_END,
    },
};
