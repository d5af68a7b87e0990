/* border.c: every function of larder.h with NULL for each of its pointers and with every kind of length.
 *
 * The calls are written by border.awk from the header itself: a function that is added has its cases, or does not
 * compile here until border.awk knows what a good argument for it is. */
#include "store.h"
#include "subjects.h"

/* Good arguments; named as the header names them where types allow. */
struct good {
    larder *db, *opened;
    larder_cursor *cursor, *cursor_opened;
    larder_options *options;
    const char *location, *name, *text, *source, *target;
    const void *key, *value, *prefix, *ops, *keys;
    size_t key_len, value_len, prefix_len, ops_len, keys_len, capacity;
    void *buffer, *got;
    const void *borrowed_key, *borrowed_value;
    size_t size_value_len, size_key_len, size_need, size_bad_offset, size_used, size_answered, size_losses_len;
    uint64_t number_version, number_count, number_bad_records;
    int64_t ttl_ms, signed_ttl_ms;
    larder_stats stats;
    larder_view view;
    larder_salvage_report report;
};

struct null_case {
    const char *function, *parameter;
    larder_status (*run)(struct good *good, larder_error *err);
};

struct length_case {
    const char *function, *parameter;
    bool is_output;
    larder_status (*run)(struct good *good, larder_error *err, void *pointer, size_t length);
};

#include "border.inc"

static const unsigned char good_ops[32] = {2, 0, 0, 0, 1, 0, 0, 0, [24] = 'k'};
static const unsigned char good_keys[8] = {1, 0, 0, 0, 'k'};

static struct good good_new(const char *dir, unsigned number) {
    static unsigned char buffer[1 << 17];
    larder_error err;
    struct good good = {
        .location = text("%s/other%u", dir, number),
        .source = text("%s/source%u", dir, number),
        .target = text("%s/target%u", dir, number),
        .name = "sync",
        .text = "none",
        .key = "k", .key_len = 1, .value = "v", .value_len = 1, .prefix = "k", .prefix_len = 1,
        .ops = good_ops, .ops_len = sizeof good_ops, .keys = good_keys, .keys_len = sizeof good_keys,
        .buffer = buffer, .capacity = sizeof buffer,
        .stats = {.struct_size = sizeof good.stats},
        .report = {.struct_size = sizeof good.report},
        .ttl_ms = 60000,
    };
    REQUIRE_OK(larder_close(store_open(good.source, "sync", "none", "segment_size", "64KiB", NULL), &err));
    good.options = larder_options_new();
    good.db = store_open(text("%s/s%u", dir, number), "sync", "none", "segment_size", "64KiB", NULL);
    REQUIRE_OK(larder_set(good.db, "k", 1, "v", 1, &err));
    REQUIRE_OK(larder_cursor_open(good.db, NULL, 0, &good.cursor, &err));
    return good;
}

/* The store is what it was, and takes writes. */
static void good_end(struct good *good, const char *function) {
    larder_error err;
    larder_status status = larder_set(good->db, "after", 5, "v", 1, &err);
    CHECK_SAYING(status == LARDER_OK || strcmp(function, "larder_close") == 0, "%s harmed the store: %s", function, err.message);
    larder_free(good->got);
    larder_view_release(&good->view);
    larder_cursor_close(good->cursor);
    larder_options_free(good->options);
    larder_cursor_close(good->cursor_opened);
    (void)larder_close(good->opened, NULL);
    (void)larder_close(good->db, NULL);
}

/* What larder.h says of NULL, where it is not LARDER_INVALID_ARGUMENT. */
static bool may_be_null(const char *function, const char *parameter) {
    static const char *const fine[][2] = {
        {"larder_open", "options"},   {"larder_salvage", "options"}, {"larder_close", "db"},          {"larder_set_with", "version"},
        {"larder_free", "buffer"},    {"larder_options_free", "options"}, {"larder_cursor_close", "cursor"},
        {"larder_view_release", "view"}, {"larder_write_packed", "bad_offset"},
    };
    if (strcmp(parameter, "err") == 0) return true;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        if (strcmp(function, fine[i][0]) == 0 && strcmp(parameter, fine[i][1]) == 0) return true;
    }
    return false;
}

static void every_pointer_of_the_header_may_be_null(const char *dir) {
    unsigned number = 0;
    for (const struct null_case *test = null_cases; test->function != NULL; test++, number++) {
        larder_error err;
        struct good good = good_new(dir, number);
        memset(&err, 0x5a, sizeof err);
        larder_status status = test->run(&good, &err);
        if (may_be_null(test->function, test->parameter)) {
            CHECK_SAYING(status < 100, "%s with NULL for %s is %s", test->function, test->parameter, larder_status_name(status));
        } else {
            check_status(LARDER_INVALID_ARGUMENT, status, &err, __FILE__, __LINE__,
                         text("%s with NULL for %s", test->function, test->parameter));
        }
        good_end(&good, test->function);
    }
    CHECK_SAYING(number > 60, "only %u pointers were found in the header", number);
}

/* No length is a crash, none is read beyond, and what is refused is refused for its length. */
static void every_length_of_the_header_is_a_status(const char *dir) {
    static const size_t lengths[] = {0, 1, 7, 8, 65535, 65536, (size_t)UINT32_MAX, (size_t)UINT32_MAX + 1, SIZE_MAX / 2, SIZE_MAX};
    unsigned number = 1000;
    for (const struct length_case *test = length_cases; test->function != NULL; test++) {
        struct good good = good_new(dir, number++);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            /* A value of 4 GiB and a packed buffer of as much may be: there is no such memory here to say it with. */
            bool is_key = strcmp(test->parameter, "key") == 0 || strcmp(test->parameter, "prefix") == 0;
            bool is_memory = lengths[i] <= 65536;
            if (!is_memory && !is_key && lengths[i] < (strcmp(test->parameter, "value") == 0 ? (size_t)UINT32_MAX + 1 : SIZE_MAX)) continue;
            /* An output of any size is a promise of the caller's: only what is there is promised here. */
            if (!is_memory && test->is_output) continue;
            larder_error err;
            memset(&err, 0x5a, sizeof err);
            void *pointer = is_memory ? guarded_copy(NULL, lengths[i]) : forbidden_page();
            larder_status status = test->run(&good, &err, pointer, lengths[i]);
            CHECK_SAYING(status < 100 || status == LARDER_TOO_LARGE || status == LARDER_INVALID_ARGUMENT, "%s with %zu bytes of %s is %s: %s",
                         test->function, lengths[i], test->parameter, larder_status_name(status), err.message);
            CHECK(err.status == status);
            if (!is_memory) CHECK_SAYING(status >= 100, "%s took %zu bytes of %s", test->function, lengths[i], test->parameter);
            larder_free(good.got);
            good.got = NULL;
            larder_view_release(&good.view);
            larder_cursor_close(good.cursor_opened);
            good.cursor_opened = NULL;
            if (is_memory) guarded_free(pointer, lengths[i]);
        }
        larder_error err;
        larder_status status = test->run(&good, &err, NULL, 0);
        CHECK_SAYING(status < 100, "%s with (NULL, 0) for %s is %s", test->function, test->parameter, larder_status_name(status));
        larder_free(good.got);
        good.got = NULL;
        larder_view_release(&good.view);
        larder_cursor_close(good.cursor_opened);
        good.cursor_opened = NULL;
        IS(LARDER_INVALID_ARGUMENT, test->run(&good, &err, NULL, 1));
        good_end(&good, test->function);
    }
}

const struct check_subject subject_border = {
    "border",
    (const struct check_test[]){
        CHECK_TEST(every_pointer_of_the_header_may_be_null, CHECK_ANYWHERE),
        CHECK_TEST(every_length_of_the_header_is_a_status, CHECK_ANYWHERE),
        CHECK_END,
    },
};
