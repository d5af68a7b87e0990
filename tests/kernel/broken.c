/* broken.c: a disk that refuses writes, cannot read its blocks, or becomes read-only under the store.
 *
 * Refused writes: the image lies on a tmpfs that has no room behind it. Unreadable blocks: the image is cut short under
 * the mounted file system, so that what lies behind the cut is EIO. Read-only: ext4's own way of meeting an error. */
#include "device.h"
#include "store.h"
#include "engine.h"
#include "subjects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK_BYTES = 24 << 20, MEMORY_BYTES = 64 << 20, KEYS = 300, VALUE_LEN = 2000 };

/* Every value that comes back is the right one; statuses as given are fine. How many came back. */
static unsigned read_all(larder *db, bool may_fail) {
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        unsigned char value[VALUE_LEN + 1];
        larder_error err;
        size_t len = 0;
        larder_status status = larder_get_into(db, key, (size_t)snprintf(key, sizeof key, "k%u", i), value, sizeof value, &len, &err);
        if (status == LARDER_OK) {
            CHECK_SAYING(len == VALUE_LEN && filled(value, len, i), "%s has other bytes than were set", key);
            count++;
        } else {
            CHECK_SAYING(may_fail, "%s: %s: %s", key, larder_status_name(status), err.message);
        }
    }
    return count;
}

static void run_apart(void (*run)(void *), void *context, const char *what) {
    int status;
    pid_t child = check_child(run, context);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_SAYING(!WIFSIGNALED(status), "%s died of signal %d (%s)", what, WTERMSIG(status), strsignal(WTERMSIG(status)));
    CHECK_SAYING(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "%s failed", what);
}

/* ---- writes that fail --------------------------------------------------------------------------- */

struct thin {
    const char *path;
    const char *sync;
    _Atomic unsigned acknowledged; /* of the writes that claim to be durable: the first so many keys */
    _Atomic unsigned failed;
    _Atomic unsigned has_later; /* one more key, after a failure that was none of a sync */
};

/* Sets until it is told of a failure; from then on nothing may be acknowledged, and everything stays readable. */
static void write_until_refused(void *context) {
    struct thin *thin = context;
    larder_error err;
    unsigned char value[VALUE_LEN];
    larder *db = store_open(thin->path, "sync", thin->sync, "segment_size", "256KiB", NULL);
    bool is_always = strcmp(thin->sync, "always") == 0;
    unsigned i = 0;
    larder_status status = LARDER_OK;
    for (; i < 20000 && status == LARDER_OK; i++) {
        fill(value, sizeof value, i);
        char key[32];
        status = larder_set(db, key, (size_t)snprintf(key, sizeof key, "w%u", i), value, sizeof value, &err);
        if (status == LARDER_OK && !is_always && i % 50 == 49) status = larder_sync(db, &err);
        if (status == LARDER_OK && (is_always || i % 50 == 49)) atomic_store(&thin->acknowledged, i + 1);
    }
    CHECK_SAYING(status == LARDER_IO || status == LARDER_READ_ONLY || status == LARDER_NO_SPACE, "%s: %s",
                 larder_status_name(status), err.message);
    atomic_store(&thin->failed, status == LARDER_IO || status == LARDER_READ_ONLY);
    if (status != LARDER_NO_SPACE) {
        /* A sync that failed is final. A write that found no way to begin has changed nothing: the next one may say so
         * again, or find a segment that was prepared, and what is said to be durable then has to be. */
        for (int again = 0; again < 3; again++) {
            larder_status before = status;
            status = larder_set(db, "later", 5, value, sizeof value, &err);
            CHECK_SAYING(status == LARDER_READ_ONLY || before != LARDER_READ_ONLY, "%s after %s: %s", larder_status_name(status),
                         larder_status_name(before), err.message);
            CHECK_SAYING(status == LARDER_OK || status == LARDER_IO || status == LARDER_READ_ONLY, "%s: %s",
                         larder_status_name(status), err.message);
            bool is_synced = larder_sync(db, &err) == LARDER_OK;
            if (status == LARDER_OK && (is_synced || is_always)) atomic_store(&thin->has_later, 1);
            if (!is_synced) status = LARDER_READ_ONLY;
        }
    }
    read_all(db, false);
    for (unsigned k = 0; k < thin->acknowledged; k++) {
        REQUIRE(CHECK(larderx_exists_str(db, text("w%u", k), &err) == LARDER_OK));
    }
    (void)larder_close(db, &err);
}

static void check_acknowledged(void *context) {
    const struct thin *thin = context;
    larder_error err;
    larder *db = store_open(thin->path, NULL);
    CHECK_U64(KEYS, read_all(db, false));
    for (unsigned k = 0; k < thin->acknowledged; k++) {
        CHECK_SAYING(larderx_exists_str(db, text("w%u", k), &err) == LARDER_OK, "w%u of %u acknowledged is gone", k,
                     thin->acknowledged);
    }
    if (thin->has_later) CHECK(larderx_exists_str(db, "later", &err) == LARDER_OK);
    uint64_t bad_records = 99;
    OK(larder_verify(db, &bad_records, &err));
    CHECK_U64(0, bad_records);
    (void)larder_close(db, &err);
}

static void refused_writes_are_final_and_lose_nothing_acknowledged(const char *dir) {
    static const char *const syncs[] = {"always", "interval:5", "none"};
    struct thin *thin = shared_memory(sizeof *thin);
    unsigned failed = 0;
    for (unsigned round = 0; round < 6; round++) {
        char *memory = tmpfs_mount(dir, text("memory%u", round), (uint64_t)(8 + round) << 20);
        struct device device;
        device_make(&device, memory, "disk", DISK_BYTES);
        *thin = (struct thin){.path = path_of(device.mount_point, "s"), .sync = syncs[round % 3]};
        larder *db = store_open(thin->path, "sync", "none", "segment_size", "256KiB", NULL);
        store_set_numbered(db, "k", KEYS, VALUE_LEN);
        store_close(db);
        /* The image has room for so much more; the file system believes in all of it. */
        take_all_room_but(memory, "other", 64 + round * 40);
        run_apart(write_until_refused, thin, "the writer");
        failed += thin->failed;
        /* Room again, and a power cut: what the cache held and the disk did not is gone. */
        unlink(path_of(memory, "other"));
        device_cut_power(&device, false);
        device_unmount(&device);
        REQUIRE(device_mount(&device, 0, "errors=continue") == 0);
        run_apart(check_acknowledged, thin, "the next opener");
        device_unmount(&device);
        umount(memory);
    }
    CHECK_SAYING(failed >= 3, "only %u of 6 disks failed: the test tests little", failed);
}

/* ---- blocks that cannot be read ----------------------------------------------------------------- */

struct unreadable {
    const char *path;
    _Atomic unsigned opened, refused;
};

static bool is_honest(larder_status status, const larder_error *err) {
    if (status == LARDER_OK) return true;
    return CHECK_SAYING(status == LARDER_IO && err->os_errno != 0, "unreadable blocks are %s: %s (errno %d)",
                        larder_status_name(status), err->message, err->os_errno);
}

/* Opening and looking for damage read everything; that some of it cannot be read is a status. */
static void open_and_verify(void *context) {
    struct unreadable *unreadable = context;
    for (int is_read_only = 0; is_read_only < 2; is_read_only++) {
        larder_error err;
        larder *db = NULL;
        const char *options[] = {"read_only", is_read_only ? "true" : "false", "segment_size", "256KiB", NULL};
        larder_status status = larderx_open(unreadable->path, options, &db, &err);
        is_honest(status, &err);
        if (status != LARDER_OK) {
            unreadable->refused++;
            continue;
        }
        unreadable->opened++;
        uint64_t bad_records = 0;
        status = larder_verify(db, &bad_records, &err);
        is_honest(status, &err);
        /* What could not be read is no reason to take the log for shorter than it is. */
        uint64_t keys = 0;
        OK(larder_len(db, &keys, &err));
        CHECK_U64(KEYS, keys);
        if (status == LARDER_OK) CHECK_U64(KEYS, read_all(db, false));
        if (!is_read_only) is_honest(larder_compact(db, &err), &err);
        (void)larder_close(db, &err);
    }
}

/* Where on the disk the file's blocks begin and end, bytes. */
static void place_of(const char *path, uint64_t *begin, uint64_t *end) {
    struct fiemap *found = calloc(1, sizeof *found + 64 * sizeof *found->fm_extents);
    int file = open(path, O_RDONLY);
    *begin = UINT64_MAX;
    *end = 0;
    REQUIRE(file >= 0 && found != NULL);
    found->fm_length = ~(uint64_t)0;
    found->fm_extent_count = 64;
    if (ioctl(file, FS_IOC_FIEMAP, found) == 0) {
        for (unsigned i = 0; i < found->fm_mapped_extents; i++) {
            const struct fiemap_extent *extent = &found->fm_extents[i];
            if (extent->fe_physical < *begin) *begin = extent->fe_physical;
            if (extent->fe_physical + extent->fe_length > *end) *end = extent->fe_physical + extent->fe_length;
        }
    }
    free(found);
    close(file);
}

static void write_and_leave(void *context) {
    struct unreadable *unreadable = context;
    larder_error err;
    larder *db = store_open(unreadable->path, "sync", "none", "segment_size", "256KiB", NULL);
    store_set_numbered(db, "k", KEYS, VALUE_LEN);
    OK(larder_sync(db, &err));
    /* Without a close: the next open has to read all of it. */
}

static void copy_file(const char *source, const char *target) {
    size_t len;
    unsigned char *bytes = read_file(source, &len);
    write_file(target, bytes, len);
    free(bytes);
    int file = open(target, O_RDONLY);
    REQUIRE(file >= 0 && fsync(file) == 0);
    close(file);
}

/* The names of a directory's files, `last` behind all others. */
static unsigned names_of(const char *path, char **names, unsigned count_max, const char *last) {
    unsigned count = 0;
    DIR *entries = opendir(path);
    REQUIRE(entries != NULL);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL && count < count_max - 1;) {
        if (entry->d_type == DT_REG && (last == NULL || strcmp(entry->d_name, last) != 0)) names[count++] = text("%s", entry->d_name);
    }
    closedir(entries);
    if (last != NULL) names[count++] = text("%s", last);
    return count;
}

/* A disk on which the file `victim` lies behind everything else, so that cutting the disk short takes of it alone.
 * False if the file system would not have it so. */
static bool lay_out(struct device *device, const char *memory, const char *source, const char *victim, uint64_t *begin,
                    uint64_t *end) {
    char *names[64];
    unsigned count = names_of(source, names, 64, victim);
    device_make(device, memory, "disk", DISK_BYTES);
    char *path = path_of(device->mount_point, "s");
    REQUIRE(mkdir(path, 0755) == 0);
    uint64_t others_end = 0;
    for (unsigned i = 0; i < count; i++) {
        copy_file(path_of(source, names[i]), path_of(path, names[i]));
        place_of(path_of(path, names[i]), begin, end);
        if (i + 1 < count && *end > others_end) others_end = *end;
    }
    return *begin >= others_end && *end > *begin;
}

static void unreadable_blocks_are_a_status_for_open_verify_and_compact(const char *dir) {
    struct unreadable *unreadable = shared_memory(sizeof *unreadable);
    char *memory = tmpfs_mount(dir, "memory", MEMORY_BYTES);
    unsigned tried = 0;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        char *source = path_of(memory, text("source%d", is_closed));
        unreadable->path = source;
        run_apart(write_and_leave, unreadable, "the writer");
        if (is_closed) store_close(store_open(source, "segment_size", "256KiB", NULL));
        char *names[64];
        unsigned count = names_of(source, names, 64, NULL);
        for (unsigned i = 0; i < count; i++) {
            struct device device;
            uint64_t begin = 0, end = 0;
            if (lay_out(&device, memory, source, names[i], &begin, &end)) {
                unreadable->path = path_of(device.mount_point, "s");
                device_unmount(&device);
                size_t len;
                unsigned char *bytes = read_file(device.image, &len);
                /* From its beginning, its second block, its middle, and its last block on. */
                uint64_t blocks = (end - begin) / 4096, from[] = {0, 1, blocks / 4, blocks / 2, blocks - 1};
                for (unsigned cut = 0; cut < sizeof from / sizeof *from; cut++) {
                    if (from[cut] >= blocks) continue;
                    write_file(device.image, bytes, len);
                    REQUIRE(device_mount(&device, 0, "errors=continue") == 0);
                    REQUIRE(truncate(device.image, (off_t)(begin + from[cut] * 4096)) == 0);
                    unsigned refused = unreadable->refused;
                    run_apart(open_and_verify, unreadable,
                              text("whoever opens with %s unreadable from block %llu on", names[i], (unsigned long long)from[cut]));
                    tried += unreadable->refused > refused;
                    device_unmount(&device);
                }
                free(bytes);
            }
            device_unmount(&device);
            unlink(device.image);
        }
    }
    printf("    %u opens refused, %u not\n", unreadable->refused, unreadable->opened);
    CHECK_SAYING(tried > 6, "only %u cuts were noticed: the test tests little", tried);
}

/* ---- read-only ---------------------------------------------------------------------------------- */

struct stopped {
    const char *path;
    const char *trigger;
    const char *sync;
    _Atomic unsigned acknowledged;
};

static void write_while_it_becomes_read_only(void *context) {
    struct stopped *stopped = context;
    larder_error err;
    larder *db = store_open(stopped->path, "sync", stopped->sync, "segment_size", "64KiB", NULL);
    store_set_numbered(db, "k", KEYS, VALUE_LEN);
    OK(larder_sync(db, &err));
    stopped->acknowledged = KEYS;
    int trigger = open(stopped->trigger, O_WRONLY);
    if (trigger < 0) SKIP("%s: %s", stopped->trigger, strerror(errno));
    REQUIRE(write(trigger, "larder's test", 13) == 13);
    close(trigger);
    larder_status status = LARDER_OK;
    unsigned char value[VALUE_LEN] = {0};
    for (unsigned i = 0; i < 5000 && status == LARDER_OK; i++) {
        status = larder_set(db, &i, sizeof i, value, sizeof value, &err);
        if (status == LARDER_OK && strcmp(stopped->sync, "always") != 0) status = larder_sync(db, &err);
    }
    CHECK_SAYING(status == LARDER_IO || status == LARDER_READ_ONLY, "%s: %s", larder_status_name(status), err.message);
    IS(LARDER_READ_ONLY, larder_set(db, "later", 5, "v", 1, &err));
    CHECK_U64(KEYS, read_all(db, false));
    uint64_t bad_records = 99;
    OK(larder_verify(db, &bad_records, &err));
    CHECK(larder_close(db, &err) != LARDER_OK);
    /* On the file system that is read-only now: nothing but reading. */
    larder *again = NULL;
    status = larder_open(stopped->path, NULL, &again, &err);
    CHECK_SAYING(status == LARDER_READ_ONLY || (status == LARDER_IO && err.os_errno == EROFS), "%s: %s",
                 larder_status_name(status), err.message);
    again = store_open(stopped->path, "read_only", "true", NULL);
    CHECK_U64(KEYS, read_all(again, false));
    store_close(again);
}

static void a_file_system_that_becomes_read_only_ends_writes_and_no_reads(const char *dir) {
    static const char *const syncs[] = {"always", "interval:5", "none"};
    char *memory = tmpfs_mount(dir, "memory", MEMORY_BYTES);
    struct stopped *stopped = shared_memory(sizeof *stopped);
    for (int i = 0; i < 3; i++) {
        struct device device;
        device_make(&device, memory, "disk", DISK_BYTES);
        device_unmount(&device);
        REQUIRE(device_mount(&device, 0, "errors=remount-ro") == 0);
        *stopped = (struct stopped){
            .path = path_of(device.mount_point, "s"),
            .trigger = text("/sys/fs/ext4/%s/trigger_fs_error", device.node + strlen("/dev/")),
            .sync = syncs[i],
        };
        pid_t child = check_child(write_while_it_becomes_read_only, stopped);
        check_join(child);
        device_unmount(&device);
        REQUIRE(device_mount(&device, 0, "errors=continue") == 0);
        larder *db = store_open(stopped->path, NULL);
        CHECK_U64(KEYS, read_all(db, false));
        larder_error err;
        OK(larder_set(db, "later", 5, "v", 1, &err));
        store_close(db);
        device_unmount(&device);
    }
}

/* All names and lengths and times of a directory. */
static char *picture(const char *path) {
    char *all = text("%s", "");
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        struct stat info;
        if (stat(path_of(path, entries[i]->d_name), &info) == 0) {
            all = text("%s%s %lld %lld\n", all, entries[i]->d_name, (long long)info.st_size, (long long)info.st_mtime);
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return all;
}

static void read_only_media_open_read_only_and_no_file_is_made(const char *dir) {
    char *memory = tmpfs_mount(dir, "memory", MEMORY_BYTES);
    struct device device;
    struct unreadable *store = shared_memory(sizeof *store);
    device_make(&device, memory, "disk", DISK_BYTES);
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        store->path = path_of(device.mount_point, text("s%d", is_closed));
        if (is_closed) {
            larder *db = store_open(store->path, "segment_size", "256KiB", NULL);
            store_set_numbered(db, "k", KEYS, VALUE_LEN);
            store_close(db);
        } else {
            run_apart(write_and_leave, store, "the writer");
        }
        device_unmount(&device);
        REQUIRE(device_mount(&device, MS_RDONLY, "errors=continue") == 0);
        const char *before = picture(store->path);
        larder_error err;
        larder *db = NULL;
        larder_status status = larder_open(store->path, NULL, &db, &err);
        CHECK_SAYING(status == LARDER_READ_ONLY || (status == LARDER_IO && err.os_errno == EROFS), "%s: %s",
                     larder_status_name(status), err.message);
        db = store_open(store->path, "read_only", "true", NULL);
        CHECK_U64(KEYS, read_all(db, false));
        IS(LARDER_READ_ONLY, larder_set(db, "k0", 2, "v", 1, &err));
        IS(LARDER_READ_ONLY, larder_del(db, "k0", 2, &err));
        uint64_t bad_records = 99;
        OK(larder_verify(db, &bad_records, &err));
        store_close(db);
        CHECK_SAYING(strcmp(before, picture(store->path)) == 0, "before:\n%safter:\n%s", before, picture(store->path));
        device_unmount(&device);
        REQUIRE(device_mount(&device, 0, "errors=continue") == 0);
    }
    device_unmount(&device);
}

const struct check_subject subject_broken = {
    "broken",
    (const struct check_test[]){
        CHECK_TEST(refused_writes_are_final_and_lose_nothing_acknowledged, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(unreadable_blocks_are_a_status_for_open_verify_and_compact, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(a_file_system_that_becomes_read_only_ends_writes_and_no_reads, CHECK_PROCESS | CHECK_TIME),
        CHECK_TEST(read_only_media_open_read_only_and_no_file_is_made, CHECK_PROCESS | CHECK_TIME),
        CHECK_END,
    },
};
