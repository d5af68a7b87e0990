/* device.h: small disks of one's own, which can be full, broken, read-only, or lose power.
 *
 * Everything is mounted in a mount namespace of the test's own, and a loop device lets go of its image by
 * itself when nothing is mounted from it any more. So nothing is left behind, however the test ends: the
 * kernel clears up when the test's last process is gone.
 *
 * Where the system refuses namespaces, mounts or loop devices, the test says that it was skipped. */
#ifndef DEVICE_H
#define DEVICE_H

#include "check.h"

#include <stdint.h>

struct device {
    char image[320]; /* the file that is the disk */
    char node[64];   /* the loop device, while one is attached */
    char mount_point[320];
    bool is_mounted;
};

/* Below `dir`, a tmpfs of `bytes` in a namespace of this process's own; what is in it costs memory only. The path. */
char *tmpfs_mount(const char *dir, const char *name, uint64_t bytes);
/* Enters the namespace, without which nothing here mounts. Twice is harmless. */
void own_mounts(void);

/* Makes an ext4 file system of `bytes` in a file below `dir`, and mounts it. */
void device_make(struct device *device, const char *dir, const char *name, uint64_t bytes);
/* Attaches and mounts; `options` as the file system's own, `flags` as mount(2)'s. errno, 0 if it worked. */
int device_mount(struct device *device, unsigned long flags, const char *options);
/* Unmounts, and waits until the loop device has let go. */
void device_unmount(struct device *device);

/* The file system stops as in a power cut: from here on nothing of it reaches the disk. With `flushes_journal`
 * what the journal holds gets there first. */
void device_cut_power(const struct device *device, bool flushes_journal);
/* Starts the write-back of random runs of pages of random files in `dir`, so that what a power cut leaves is out of order. */
void write_back_at_random(const char *dir, struct chance *chance);

/* Unwritten blocks that the file system still has, as statvfs counts them for root. */
uint64_t free_blocks(const char *dir);
/* Takes all room of the file system but `left` blocks of 4 KiB, with the file `name` in `dir`; it is removed to give it back. */
void take_all_room_but(const char *dir, const char *name, uint64_t left);
/* Forgets the cached pages of all files in `dir` that nobody maps. */
void forget_cached_pages(const char *dir);

#endif /* DEVICE_H */
