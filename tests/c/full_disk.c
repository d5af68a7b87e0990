/* full_disk.c: no room is a status. Reads and deletes go on, and writes resume when there is room.
 *
 * The small disk is a tmpfs of a few MiB in a mount namespace of the test's own, so that it goes away with
 * the test whatever happens. Where the system refuses that, the test says that it was skipped. */
#include "store.h"
#include "subjects.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE_LEN = 4000 };

static bool write_text(const char *path, const char *contents) {
    int file = open(path, O_WRONLY);
    bool written = file >= 0 && write(file, contents, strlen(contents)) == (ssize_t)strlen(contents);
    if (file >= 0) close(file);
    return written;
}

/* Mounts of one's own: root has them for the asking, others as the root of a user namespace. */
static bool own_mounts(void) {
    if (unshare(CLONE_NEWNS) == 0) return true;
    char *user = text("0 %ld 1", (long)geteuid()), *group = text("0 %ld 1", (long)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

static char *small_disk(const char *dir, const char *size) {
    char *mount_point = path_of(dir, "disk");
    REQUIRE(mkdir(mount_point, 0755) == 0);
    if (!own_mounts()) SKIP("no mount namespace of its own: %s", strerror(errno));
    /* Nothing that is mounted here may show elsewhere. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, text("size=%s", size)) != 0) {
        SKIP("cannot mount a tmpfs: %s", strerror(errno));
    }
    return mount_point;
}

/* Sets big0, big1, ... until there is no room; returns how many are there. */
static uint64_t fill_up(larder *db, uint64_t first) {
    larder_error err;
    unsigned char value[VALUE_LEN];
    for (uint64_t i = first; i < 100000; i++) {
        char key[32];
        size_t key_len = (size_t)snprintf(key, sizeof key, "big%llu", (unsigned long long)i);
        fill(value, sizeof value, i);
        memset(&err, 0x5a, sizeof err);
        larder_status status = larder_set(db, key, key_len, value, sizeof value, &err);
        if (status == LARDER_OK) continue;
        check_status(LARDER_NO_SPACE, status, &err, __FILE__, __LINE__, "larder_set");
        return i;
    }
    CHECK_SAYING(false, "400 MB fitted: there was no limit");
    return 0;
}

/* Writes may need a moment, because the room comes from compaction. */
static void check_writes_resume(larder *db) {
    larder_error err;
    unsigned char value[VALUE_LEN];
    fill(value, sizeof value, 4711);
    int64_t deadline = now_ms() + 5000;
    larder_status status;
    do {
        status = larder_set(db, "resumed", 7, value, sizeof value, &err);
        if (status == LARDER_NO_SPACE) {
            (void)larder_compact(db, NULL);
            sleep_ms(20);
        }
    } while (status == LARDER_NO_SPACE && now_ms() < deadline);
    CHECK_SAYING(status == LARDER_OK, "writes do not resume: %s: %s", larder_status_name(status), err.message);
}

static void delete_big(larder *db, uint64_t first, uint64_t end) {
    larder_error err;
    for (uint64_t i = first; i < end; i++) {
        char key[32];
        size_t key_len = (size_t)snprintf(key, sizeof key, "big%llu", (unsigned long long)i);
        if (!OK(larder_del(db, key, key_len, &err))) return;
    }
}

/* What holds of any full store, whatever the limit is. Leaves it with room again. */
static void check_full_store(larder *db, uint64_t count) {
    larder_error err;
    unsigned char value[VALUE_LEN];
    CHECK_SAYING(count > 20, "only %llu values fitted", (unsigned long long)count);
    /* A write that fails changes nothing: neither its key nor another. */
    fill(value, sizeof value, 999999);
    for (int i = 0; i < 5; i++) {
        memset(&err, 0x5a, sizeof err);
        larder_status status = larder_set(db, "big0", 4, value, sizeof value, &err);
        /* A moment's compaction may have found room; then the old value comes back by a second write. */
        if (status == LARDER_OK) {
            fill(value, sizeof value, 0);
            status = larder_set(db, "big0", 4, value, sizeof value, &err);
            fill(value, sizeof value, 999999);
            if (status == LARDER_NO_SPACE) OK(larder_del(db, "big0", 4, &err));
        }
        CHECK_SAYING(status == LARDER_NO_SPACE || status == LARDER_OK, "%s", larder_status_name(status));
    }
    store_check_numbered(db, "big", count, VALUE_LEN);
    /* A batch that does not fit leaves no part of itself. */
    larderx_batch batch = LARDERX_BATCH_INIT;
    for (int i = 0; i < 300; i++) {
        char *key = text("batch%d", i);
        larderx_batch_set(&batch, key, strlen(key), value, sizeof value, 0);
    }
    IS(LARDER_NO_SPACE, larderx_batch_write(&batch, db, 0, &err));
    larderx_batch_free(&batch);
    for (int i = 0; i < 300; i++) CHECK_ABSENT(db, text("batch%d", i));
    delete_big(db, count / 2, count);
    for (uint64_t i = count / 2; i < count; i++) CHECK_ABSENT(db, text("big%llu", (unsigned long long)i));
    store_check_numbered(db, "big", count / 2, VALUE_LEN);
    check_writes_resume(db);
    uint64_t bad_records = 99;
    OK(larder_verify(db, &bad_records, &err));
    CHECK_U64(0, bad_records);
}

static void a_full_disk_is_a_status_and_the_store_lives(const char *dir) {
    char *path = path_of(small_disk(dir, "6m"), "s");
    larder *db = store_open(path, "segment_size", "256KiB", NULL);
    uint64_t count = fill_up(db, 0);
    check_full_store(db, count);
    store_check_numbered(db, "big", count / 2, VALUE_LEN);
    store_close(db);
    db = store_open(path, NULL);
    store_check_numbered(db, "big", count / 2, VALUE_LEN);
    store_close(db);
}

static void an_existing_store_opens_on_a_full_disk(const char *dir) {
    char *disk = small_disk(dir, "6m");
    char *path = path_of(disk, "s");
    larder *db = store_open(path, "segment_size", "256KiB", NULL);
    store_set_numbered(db, "big", 300, VALUE_LEN);
    store_close(db);
    /* Somebody else takes all the rest. */
    int other = open(path_of(disk, "other"), O_CREAT | O_WRONLY, 0600);
    char block[4096] = {0};
    REQUIRE(other >= 0);
    while (write(other, block, sizeof block) > 0) continue;
    CHECK(errno == ENOSPC);
    larder_error err;
    db = NULL;
    REQUIRE_OK(larder_open(path, NULL, &db, &err));
    store_check_numbered(db, "big", 300, VALUE_LEN);
    fill_up(db, 300);
    delete_big(db, 0, 10);
    CHECK_ABSENT(db, "big0");
    /* When the other one leaves, writes go on. */
    REQUIRE(ftruncate(other, 0) == 0);
    close(other);
    check_writes_resume(db);
    store_close(db);
    db = store_open(path, NULL);
    for (int i = 0; i < 10; i++) CHECK_ABSENT(db, text("big%d", i));
    CHECK(larderx_exists_str(db, "big299", NULL) == LARDER_OK);
    CHECK(larderx_exists_str(db, "resumed", NULL) == LARDER_OK);
    store_close(db);
}

static void no_store_begins_on_a_full_disk(const char *dir) {
    char *disk = small_disk(dir, "256k");
    int other = open(path_of(disk, "other"), O_CREAT | O_WRONLY, 0600);
    char block[4096] = {0};
    REQUIRE(other >= 0);
    while (write(other, block, sizeof block) > 0) continue;
    larder_error err;
    larder *db = NULL;
    IS(LARDER_NO_SPACE, larder_open(path_of(disk, "s"), NULL, &db, &err));
    CHECK(db == NULL && err.os_errno == ENOSPC);
    REQUIRE(ftruncate(other, 0) == 0);
    close(other);
    /* What the failure left behind is no obstacle. */
    db = store_open(path_of(disk, "s"), "segment_size", "64KiB", NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    CHECK_VALUE(db, "k", "v");
    store_close(db);
}

static void a_file_size_limit_is_no_space(const char *dir) {
    larder_error err;
    signal(SIGXFSZ, SIG_IGN);
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "segment_size", "16MiB", NULL);
    store_set_numbered(db, "before", 20, 100);
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    struct rlimit narrow = {.rlim_cur = 300 * 1024, .rlim_max = limit.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &narrow) == 0);
    unsigned char *large = calloc(1, 1 << 20);
    REQUIRE(large != NULL);
    larder_status status = LARDER_OK;
    uint64_t large_count = 0;
    /* What is reserved already may still be filled; then a larger file is needed. */
    while (large_count < 100 && (status = larder_set(db, &large_count, sizeof large_count, large, 1 << 20, &err)) == LARDER_OK) large_count++;
    CHECK_SAYING(status == LARDER_NO_SPACE, "%s: %s", larder_status_name(status), err.message);
    CHECK_SAYING(err.os_errno == EFBIG, "errno %d", err.os_errno);
    IS(LARDER_NOT_FOUND, larder_exists(db, &large_count, sizeof large_count, &err));
    store_check_numbered(db, "before", 20, 100);
    OK(larder_del(db, "before19", 8, &err));
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    OK(larder_set(db, &large_count, sizeof large_count, large, 1 << 20, &err));
    store_close(db);
    db = store_open(path, NULL);
    store_check_numbered(db, "before", 19, 100);
    CHECK_ABSENT(db, "before19");
    OK(larder_exists(db, &large_count, sizeof large_count, &err));
    free(large);
    store_close(db);
}

static void max_size_is_a_full_disk_of_ones_own(const char *dir) {
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "max_size", "2MiB", "segment_size", "64KiB", "sync", "none", NULL);
    uint64_t count = fill_up(db, 0);
    CHECK_SAYING(count > 200, "%llu values of 4,000 bytes in 2 MiB", (unsigned long long)count);
    uint64_t disk_bytes = store_disk_bytes(path);
    /* The reserve on which deletes and compaction run comes on top: at most two segments. */
    CHECK_SAYING(disk_bytes <= (2 << 20) + 2 * 65536 + 8192, "%llu bytes on disk", (unsigned long long)disk_bytes);
    check_full_store(db, count);
    store_close(db);
    /* A larger limit takes more. */
    db = store_open(path, "max_size", "4MiB", "segment_size", "64KiB", "sync", "none", NULL);
    store_check_numbered(db, "big", count / 2, VALUE_LEN);
    uint64_t more = fill_up(db, count);
    CHECK_SAYING(more > count + 200, "%llu more", (unsigned long long)(more - count));
    store_close(db);
}

static void overwriting_goes_on_for_ever_within_max_size(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, "max_size", "2MiB", "segment_size", "64KiB", "sync", "none", NULL);
    unsigned char value[VALUE_LEN];
    /* 20 MB into 2 MiB: only with compaction that needs no call. */
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t key = i % 100;
        fill(value, sizeof value, i);
        larder_status status;
        int64_t deadline = now_ms() + 5000;
        while ((status = larder_set(db, &key, sizeof key, value, sizeof value, &err)) == LARDER_NO_SPACE &&
               now_ms() < deadline) {
            sleep_ms(5);
        }
        REQUIRE(CHECK_SAYING(status == LARDER_OK, "write %llu: %s: %s", (unsigned long long)i,
                             larder_status_name(status), err.message));
    }
    CHECK(store_disk_bytes(path) <= (2 << 20) + 2 * 65536 + 8192);
    store_close(db);
}

const struct check_subject subject_full_disk = {
    "full_disk",
    (const struct check_test[]){
        CHECK_TEST(a_full_disk_is_a_status_and_the_store_lives, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(an_existing_store_opens_on_a_full_disk, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(no_store_begins_on_a_full_disk, CHECK_PROCESS),
        CHECK_TEST(a_file_size_limit_is_no_space, CHECK_PROCESS),
        CHECK_TEST(max_size_is_a_full_disk_of_ones_own, CHECK_TIME),
        CHECK_TEST(overwriting_goes_on_for_ever_within_max_size, CHECK_TIME),
        CHECK_END,
    },
};
