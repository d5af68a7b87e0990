/* about.c: the header against the library that is linked. */
#include "store.h"
#include "subjects.h"

#include <stddef.h>

/* Constants are for the preprocessor, too. */
#if LARDER_OK != 0 || LARDER_NOT_FOUND != 1 || LARDER_PANIC != 113 || LARDER_SYNC != 4
#error "constants of larder.h are wrong"
#endif

static void the_headers_version_is_the_librarys(const char *dir) {
    (void)dir;
    uint32_t number = larder_version_number();
    CHECK_U64(LARDER_VERSION_MAJOR, number >> 16);
    CHECK_U64(LARDER_VERSION_MINOR, number >> 8 & 0xff);
    CHECK_U64(LARDER_VERSION_PATCH, number & 0xff);
    CHECK_U64(LARDER_ABI_VERSION, larder_abi_version());
    const char *name = text("%d.%d.%d", LARDER_VERSION_MAJOR, LARDER_VERSION_MINOR, LARDER_VERSION_PATCH);
    CHECK_SAYING(strcmp(name, larder_version_string()) == 0, "%s, and the header says %s", larder_version_string(), name);
}

static void every_status_has_its_name_and_every_other_number_one_too(const char *dir) {
    static const struct {
        larder_status status;
        const char *name;
    } names[] = {
#define NAMED(status) {status, #status}
        NAMED(LARDER_OK),          NAMED(LARDER_NOT_FOUND),        NAMED(LARDER_EXPIRED),
        NAMED(LARDER_EXISTS),      NAMED(LARDER_CONFLICT),         NAMED(LARDER_DONE),
        NAMED(LARDER_BUFFER_TOO_SMALL), NAMED(LARDER_INVALID_ARGUMENT), NAMED(LARDER_TOO_LARGE),
        NAMED(LARDER_BUSY),        NAMED(LARDER_CLOSED),           NAMED(LARDER_READ_ONLY),
        NAMED(LARDER_NO_SPACE),    NAMED(LARDER_IO),               NAMED(LARDER_CORRUPT),
        NAMED(LARDER_FORKED),      NAMED(LARDER_UNSUPPORTED),      NAMED(LARDER_INCOMPATIBLE),
        NAMED(LARDER_OUT_OF_MEMORY), NAMED(LARDER_INTERRUPTED),    NAMED(LARDER_PANIC),
#undef NAMED
    };
    static const larder_status numbers[] = {0, 1, 2, 3, 4, 5, 6, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113};
    (void)dir;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_U64((uint64_t)numbers[i], (uint64_t)names[i].status);
        CHECK_SAYING(strcmp(names[i].name, larder_status_name(names[i].status)) == 0, "%s is called %s", names[i].name,
                     larder_status_name(names[i].status));
    }
    for (larder_status status = -300; status < 1000; status++) CHECK(larder_status_name(status) != NULL);
    CHECK(larder_status_name(INT32_MIN) != NULL && larder_status_name(INT32_MAX) != NULL);
}

static void structs_have_the_sizes_that_are_fixed_for_ever(const char *dir) {
    (void)dir;
    CHECK_U64(256, sizeof(larder_error));
    CHECK_U64(4, offsetof(larder_error, os_errno));
    CHECK_U64(8, offsetof(larder_error, offset));
    CHECK_U64(16, offsetof(larder_error, message));
    CHECK_U64(40, sizeof(larder_view));
    CHECK_U64(8, offsetof(larder_view, len));
    CHECK_U64(16, offsetof(larder_view, version));
    CHECK_U64(24, offsetof(larder_view, expires_at_ms));
    CHECK_U64(32, offsetof(larder_view, pin));
    CHECK_U64(0, offsetof(larder_stats, struct_size));
    CHECK_U64(8, offsetof(larder_stats, keys));
    CHECK_U64(64, offsetof(larder_stats, pinned_views));
    CHECK_U64(72, offsetof(larder_stats, gets));
    CHECK_U64(128, offsetof(larder_stats, compacted_bytes));
    CHECK_U64(4, sizeof(larder_status));
}

const struct check_subject subject_about = {
    "about",
    (const struct check_test[]){
        CHECK_TEST(the_headers_version_is_the_librarys, CHECK_ANYWHERE),
        CHECK_TEST(every_status_has_its_name_and_every_other_number_one_too, CHECK_ANYWHERE),
        CHECK_TEST(structs_have_the_sizes_that_are_fixed_for_ever, CHECK_ANYWHERE),
        CHECK_END,
    },
};
