/* salvage.c: what comes out of a damaged store, and that the store is left as it is. */
#include "store.h"
#include "subjects.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_COUNT = 300, VALUE_LEN = 500 };

static char *path_in(const char *dir, const char *name) {
    static char buffers[4][512];
    static unsigned next;
    char *path = buffers[next++ % 4];
    snprintf(path, sizeof buffers[0], "%s/%s", dir, name);
    return path;
}

/* Changes one byte of the oldest file of a store whose name ends in `suffix`, at `offset`; 0 if there is none. */
static int spoil(const char *store, const char *suffix, long offset) {
    DIR *open_dir = opendir(store);
    REQUIRE(open_dir != NULL);
    /* The oldest has records, while the newest may be one that was prepared. */
    char oldest[256] = "";
    for (struct dirent *entry; (entry = readdir(open_dir)) != NULL;) {
        size_t len = strlen(entry->d_name), suffix_len = strlen(suffix);
        if (len < suffix_len || strcmp(entry->d_name + len - suffix_len, suffix) != 0) continue;
        if (oldest[0] == '\0' || strcmp(entry->d_name, oldest) < 0) strcpy(oldest, entry->d_name);
    }
    closedir(open_dir);
    if (oldest[0] == '\0') return 0;
    FILE *file = fopen(path_in(store, oldest), "r+b");
    REQUIRE(file != NULL && fseek(file, offset, SEEK_SET) == 0);
    int byte = fgetc(file);
    REQUIRE(byte != EOF && fseek(file, offset, SEEK_SET) == 0 && fputc(byte ^ 0x10, file) != EOF);
    REQUIRE(fclose(file) == 0);
    return 1;
}

static larder_salvage_report salvage(const char *source, const char *target, char **losses) {
    larder_error err;
    larder_salvage_report report;
    memset(&report, 0x5a, sizeof report);
    report.struct_size = sizeof report;
    void *list = NULL;
    size_t list_len = 4711;
    REQUIRE_OK(larder_salvage(source, target, NULL, &report, &list, &list_len, &err));
    REQUIRE(list != NULL && report.reserved == 0);
    *losses = calloc(1, list_len + 1);
    REQUIRE(*losses != NULL);
    memcpy(*losses, list, list_len);
    larder_free(list);
    return report;
}

static void make_source(const char *path) {
    larder *db = store_open(path, "sync", "none", "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", KEY_COUNT, VALUE_LEN);
    store_close(db);
}

static void check_all_there(const char *path) {
    larder_error err;
    larder *db = store_open(path, NULL);
    uint64_t count = 0, bad_records = 0;
    OK(larder_len(db, &count, &err));
    CHECK_U64(KEY_COUNT, count);
    OK(larder_verify(db, &bad_records, &err));
    store_check_numbered(db, "n", KEY_COUNT, VALUE_LEN);
    store_close(db);
}

static void a_whole_store_is_copied(const char *dir) {
    char *source = strdup(path_in(dir, "source")), *target = strdup(path_in(dir, "target")), *losses = NULL;
    make_source(source);
    larder_salvage_report report = salvage(source, target, &losses);
    CHECK_U64(KEY_COUNT, report.keys);
    CHECK_U64(0, report.losses);
    CHECK_U64(0, report.lost_bytes);
    CHECK_U64(1, report.has_whole_manifest);
    CHECK(losses[0] == '\0');
    check_all_there(target);
    check_all_there(source);
    free(losses);
    free(source);
    free(target);
}

static void a_store_that_does_not_open_is_salvaged(const char *dir) {
    char *source = strdup(path_in(dir, "source")), *target = strdup(path_in(dir, "target")), *losses = NULL;
    larder_error err;
    larder *db = NULL;
    make_source(source);
    REQUIRE(unlink(path_in(source, "MANIFEST")) == 0);
    REQUIRE(spoil(source, ".seg", 20) == 1);
    IS(LARDER_CORRUPT, larder_open(source, NULL, &db, &err));
    larder_salvage_report report = salvage(source, target, &losses);
    CHECK_U64(KEY_COUNT, report.keys);
    CHECK_U64(0, report.has_whole_manifest);
    CHECK_U64(2, report.losses);
    CHECK_SAYING(strstr(losses, "MANIFEST\t0\t0\t-\t-\t") != NULL, "%s", losses);
    CHECK_SAYING(strstr(losses, ".seg\t0\t48\t-\t-\tthe head fails its check\n") != NULL, "%s", losses);
    check_all_there(target);
    IS(LARDER_CORRUPT, larder_open(source, NULL, &db, &err));
    free(losses);
    free(source);
    free(target);
}

static void a_source_that_may_not_be_written_is_salvaged(const char *dir) {
    char *source = strdup(path_in(dir, "source")), *target = strdup(path_in(dir, "target")), *losses = NULL;
    make_source(source);
    REQUIRE(spoil(source, ".seg", 64 + 40) == 1);
    REQUIRE(chmod(source, 0555) == 0);
    larder_salvage_report report = salvage(source, target, &losses);
    REQUIRE(chmod(source, 0755) == 0);
    CHECK_U64(1, report.losses);
    CHECK_SAYING(strstr(losses, ".seg\t64\t") != NULL, "%s", losses);
    CHECK_U64(KEY_COUNT - 1, report.keys);
    free(losses);
    free(source);
    free(target);
}

const struct check_subject subject_salvage = {
    "salvage",
    (const struct check_test[]){
        CHECK_TEST(a_whole_store_is_copied, CHECK_ANYWHERE),
        CHECK_TEST(a_store_that_does_not_open_is_salvaged, CHECK_ANYWHERE),
        CHECK_TEST(a_source_that_may_not_be_written_is_salvaged, CHECK_ANYWHERE),
        CHECK_END,
    },
};
