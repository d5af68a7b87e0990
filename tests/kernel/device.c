/* device.c: what device.h declares. */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* fs/ext4/ext4.h; not in a header for programs. */
#define EXT4_SHUTDOWN _IOR('X', 125, uint32_t)
enum { SHUTDOWN_JOURNAL_FLUSHED = 1, SHUTDOWN_NOTHING_FLUSHED = 2 };

enum { BLOCK_LEN = 4096, DIR_FILES_MAX = 256 };

/* ---- mounts ------------------------------------------------------------------------------------- */

static bool write_text(const char *path, const char *contents) {
    int file = open(path, O_WRONLY);
    bool is_written = file >= 0 && write(file, contents, strlen(contents)) == (ssize_t)strlen(contents);
    if (file >= 0) close(file);
    return is_written;
}

void own_mounts(void) {
    static bool has_own;
    if (has_own) return;
    if (unshare(CLONE_NEWNS) != 0) {
        /* Not root: root of a user namespace may at least mount a tmpfs. */
        char *user = text("0 %ld 1", (long)geteuid()), *group = text("0 %ld 1", (long)getegid());
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_text("/proc/self/setgroups", "deny") ||
            !write_text("/proc/self/uid_map", user) || !write_text("/proc/self/gid_map", group)) {
            SKIP("no mount namespace of its own: %s", strerror(errno));
        }
    }
    /* What is mounted here may show nowhere else, or it would outlive the test. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) SKIP("mounts cannot be private: %s", strerror(errno));
    has_own = true;
}

char *tmpfs_mount(const char *dir, const char *name, uint64_t bytes) {
    char *mount_point = path_of(dir, name);
    own_mounts();
    REQUIRE(mkdir(mount_point, 0755) == 0 || errno == EEXIST);
    if (mount("tmpfs", mount_point, "tmpfs", 0, text("size=%llu", (unsigned long long)bytes)) != 0) {
        SKIP("cannot mount a tmpfs: %s", strerror(errno));
    }
    return mount_point;
}

/* ---- loop devices ------------------------------------------------------------------------------- */

/* An errno, 0 if it worked. The descriptor that comes back keeps the device attached until it is mounted. */
static int attach(struct device *device, bool is_read_only, int *node) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return errno;
    int image = open(device->image, (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    REQUIRE(CHECK_SAYING(image >= 0, "%s: %s", device->image, strerror(errno)));
    int refused = EBUSY;
    /* Others may take the same free device at the same moment. */
    for (int attempt = 0; attempt < 50 && refused == EBUSY; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) {
            refused = errno;
            break;
        }
        snprintf(device->node, sizeof device->node, "/dev/loop%d", number);
        if (access(device->node, F_OK) != 0) (void)mknod(device->node, S_IFBLK | 0600, makedev(7, (unsigned)number));
        *node = open(device->node, O_RDWR | O_CLOEXEC);
        if (*node < 0) {
            refused = errno;
            break;
        }
        struct loop_config config = {
            .fd = (uint32_t)image,
            .block_size = 512,
            .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | (is_read_only ? LO_FLAGS_READ_ONLY : 0)},
        };
        refused = ioctl(*node, LOOP_CONFIGURE, &config) == 0 ? 0 : errno;
        if (refused != 0) {
            close(*node);
            sleep_ms(1 + attempt);
        }
    }
    close(image);
    close(control);
    return refused;
}

int device_mount(struct device *device, unsigned long flags, const char *options) {
    int node = -1, refused = attach(device, (flags & MS_RDONLY) != 0, &node);
    if (refused != 0) SKIP("no loop device to be had: %s", strerror(refused));
    refused = mount(device->node, device->mount_point, "ext4", flags, options) == 0 ? 0 : errno;
    close(node);
    device->is_mounted = refused == 0;
    return refused;
}

void device_unmount(struct device *device) {
    if (!device->is_mounted) return;
    int64_t deadline = now_ms() + 5000;
    /* A process that was killed may still be leaving. */
    while (umount(device->mount_point) != 0) {
        REQUIRE(CHECK_SAYING(errno == EBUSY && now_ms() < deadline, "umount: %s", strerror(errno)));
        sleep_ms(1);
    }
    device->is_mounted = false;
}

void device_make(struct device *device, const char *dir, const char *name, uint64_t bytes) {
    own_mounts();
    *device = (struct device){.is_mounted = false};
    snprintf(device->image, sizeof device->image, "%s/%s.image", dir, name);
    snprintf(device->mount_point, sizeof device->mount_point, "%s/%s", dir, name);
    REQUIRE(mkdir(device->mount_point, 0755) == 0 || errno == EEXIST);
    int image = open(device->image, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    REQUIRE(image >= 0 && ftruncate(image, (off_t)bytes) == 0);
    close(image);
    /* No reserved blocks, so that full means full; a journal, or there would be nothing to replay. */
    char *command = text("PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -b %d -m 0 -J size=4 -E lazy_itable_init=1,nodiscard '%s' "
                         ">'%s.log' 2>&1", BLOCK_LEN, device->image, device->image);
    int status = system(command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) SKIP("mke2fs is not installed (apt-get install e2fsprogs)");
    REQUIRE(CHECK_SAYING(status == 0, "mke2fs ended with %d", status));
    int refused = device_mount(device, 0, "errors=continue");
    if (refused == ENODEV || refused == EPERM) SKIP("ext4 cannot be mounted: %s", strerror(refused));
    REQUIRE(CHECK_SAYING(refused == 0, "mount: %s", strerror(refused)));
}

/* ---- losing power ------------------------------------------------------------------------------- */

void device_cut_power(const struct device *device, bool flushes_journal) {
    uint32_t flags = flushes_journal ? SHUTDOWN_JOURNAL_FLUSHED : SHUTDOWN_NOTHING_FLUSHED;
    int directory = open(device->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(directory >= 0);
    if (ioctl(directory, EXT4_SHUTDOWN, &flags) != 0) SKIP("the file system cannot be shut down: %s", strerror(errno));
    close(directory);
}

/* The files of a directory, opened; how many. */
static size_t open_all(const char *dir, int *files) {
    size_t count = 0;
    DIR *entries = opendir(dir);
    if (entries == NULL) return 0;
    for (const struct dirent *entry; count < DIR_FILES_MAX && (entry = readdir(entries)) != NULL;) {
        if (entry->d_type != DT_REG) continue;
        int file = openat(dirfd(entries), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (file >= 0) files[count++] = file;
    }
    closedir(entries);
    return count;
}

void write_back_at_random(const char *dir, struct chance *chance) {
    int files[DIR_FILES_MAX];
    size_t count = open_all(dir, files);
    for (uint64_t runs = count == 0 ? 0 : chance_below(chance, 12); runs > 0; runs--) {
        int file = files[chance_below(chance, count)];
        struct stat info;
        if (fstat(file, &info) != 0 || info.st_size < BLOCK_LEN) continue;
        uint64_t pages = (uint64_t)info.st_size / BLOCK_LEN;
        uint64_t first = chance_below(chance, pages), run = 1 + chance_below(chance, 8);
        sync_file_range(file, (off_t)(first * BLOCK_LEN), (off_t)(run * BLOCK_LEN),
                        SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    }
    while (count > 0) close(files[--count]);
}

/* ---- room --------------------------------------------------------------------------------------- */

uint64_t free_blocks(const char *dir) {
    struct statvfs room;
    REQUIRE(statvfs(dir, &room) == 0);
    return (uint64_t)room.f_bfree * room.f_frsize / BLOCK_LEN;
}

void take_all_room_but(const char *dir, const char *name, uint64_t left) {
    int file = open(path_of(dir, name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    uint64_t len = 0;
    /* In ever smaller steps, because the file system needs blocks of its own to find those of a large file. */
    for (uint64_t step = 1024; step > 0; step /= 2) {
        while (fallocate(file, 0, (off_t)len, (off_t)(step * BLOCK_LEN)) == 0) len += step * BLOCK_LEN;
        REQUIRE(ftruncate(file, (off_t)len) == 0);
    }
    uint64_t given_back = left * BLOCK_LEN > len ? len : left * BLOCK_LEN;
    REQUIRE(ftruncate(file, (off_t)(len - given_back)) == 0);
    close(file);
}

void forget_cached_pages(const char *dir) {
    int files[DIR_FILES_MAX];
    size_t count = open_all(dir, files);
    while (count > 0) {
        int file = files[--count];
        fsync(file);
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
    }
}
