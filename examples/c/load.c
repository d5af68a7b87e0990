/* load.c: stores every file below a directory: the key is its path from there, the value its bytes.
 *
 *   load STORE [DIRECTORY]        DIRECTORY is "." unless given
 *
 * Files that end in .md get a time to live of one hour, to have some keys that expire. Directories named
 * .git, target and build are passed over, and so is the store itself; symbolic links are not followed.
 *
 * Small files travel in batches, because one call and one sync then serve many; a large one goes alone,
 * so that the batch does not hold a second copy of it. */
#define _POSIX_C_SOURCE 200809L

#include "larderx.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_BYTES_MAX = 1 << 20,
    FILE_BYTES_ALONE = 256 << 10,
    TTL_MS = 60 * 60 * 1000,
    /* A load below both of these is over before anyone could read a line about it. */
    PROGRESS_FILES = 2000,
    PROGRESS_BYTES = 64 << 20,
};

struct load {
    larder *db;
    larderx_batch batch;
    struct stat store; /* to know it again when the walk meets it */
    unsigned char *bytes;
    size_t bytes_capacity;
    unsigned long long file_count, byte_count, ttl_count, skipped_count;
    unsigned long long files_shown, bytes_shown;
    larder_error err;
};

/* Whether the walk goes on: a failure of the store ends it, a file that cannot be read does not. */
enum walk { GO_ON, STOP };

static enum walk stored(struct load *load, const char *what, larder_status status) {
    if (status == LARDER_OK) return GO_ON;
    larderx_print_error(stderr, what, &load->err);
    return STOP;
}

static enum walk skip(struct load *load, const char *path, const char *why) {
    fprintf(stderr, "load: %s: %s, passed over\n", path, why);
    load->skipped_count++;
    return GO_ON;
}

static void show_progress(struct load *load) {
    if (load->file_count - load->files_shown < PROGRESS_FILES && load->byte_count - load->bytes_shown < PROGRESS_BYTES)
        return;
    load->files_shown = load->file_count;
    load->bytes_shown = load->byte_count;
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r%llu files, %llu MiB" : "%llu files, %llu MiB\n", load->file_count,
            load->byte_count >> 20);
}

static enum walk write_batch(struct load *load) {
    if (load->batch.count == 0) return GO_ON;
    return stored(load, "load: writing a batch", larderx_batch_write(&load->batch, load->db, 0, &load->err));
}

static int ends_with(const char *text, const char *end) {
    size_t text_len = strlen(text), end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* Reads the whole file into load->bytes; its length, or -1 with errno. */
static long long read_whole(struct load *load, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return -1;
    size_t len = 0;
    /* To the end and not to the size that stat said: the file may be growing. */
    for (;;) {
        if (len == load->bytes_capacity) {
            size_t capacity = len == 0 ? 64 << 10 : len * 2;
            unsigned char *grown = realloc(load->bytes, capacity);
            if (grown == NULL) break;
            load->bytes = grown;
            load->bytes_capacity = capacity;
        }
        size_t got = fread(load->bytes + len, 1, load->bytes_capacity - len, file);
        len += got;
        if (got == 0) break;
    }
    int whole = feof(file) != 0;
    int reason = errno;
    fclose(file);
    errno = reason;
    return whole ? (long long)len : -1;
}

static enum walk store_file(struct load *load, const char *path, const char *key) {
    long long read_len = read_whole(load, path);
    if (read_len < 0) return skip(load, path, strerror(errno));
    size_t len = (size_t)read_len, key_len = strlen(key);
    int64_t ttl_ms = ends_with(key, ".md") ? TTL_MS : 0;
    larder_status status;
    if (len >= FILE_BYTES_ALONE) {
        status = larder_set_with(load->db, key, key_len, load->bytes, len, ttl_ms, 0, NULL, &load->err);
        /* The one failure that is the file's own and not the store's. */
        if (status == LARDER_TOO_LARGE) return skip(load, path, load->err.message);
        if (stored(load, path, status) == STOP) return STOP;
    } else {
        status = larderx_batch_set(&load->batch, key, key_len, load->bytes, len, ttl_ms);
        if (status != LARDER_OK) return stored(load, path, larderx_fail(&load->err, status, "cannot add to the batch"));
        if (load->batch.len >= BATCH_BYTES_MAX && write_batch(load) == STOP) return STOP;
    }
    load->file_count++;
    load->byte_count += len;
    load->ttl_count += ttl_ms > 0;
    show_progress(load);
    return GO_ON;
}

static enum walk walk_directory(struct load *load, const char *directory, size_t root_len);

static enum walk visit(struct load *load, const char *directory, const char *name, size_t root_len) {
    size_t path_size = strlen(directory) + strlen(name) + 2;
    char *path = malloc(path_size);
    if (path == NULL) return skip(load, name, "no memory for its path");
    snprintf(path, path_size, "%s/%s", directory, name);
    struct stat info;
    enum walk walk = GO_ON;
    if (lstat(path, &info) != 0) {
        walk = skip(load, path, strerror(errno));
    } else if (S_ISREG(info.st_mode)) {
        walk = store_file(load, path, path + root_len + 1);
    } else if (S_ISDIR(info.st_mode) && strcmp(name, ".git") != 0 && strcmp(name, "target") != 0 &&
               strcmp(name, "build") != 0 && !(info.st_dev == load->store.st_dev && info.st_ino == load->store.st_ino)) {
        walk = walk_directory(load, path, root_len);
    }
    free(path);
    return walk;
}

static enum walk walk_directory(struct load *load, const char *directory, size_t root_len) {
    DIR *entries = opendir(directory);
    if (entries == NULL) return skip(load, directory, strerror(errno));
    enum walk walk = GO_ON;
    for (const struct dirent *entry; walk == GO_ON && (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        walk = visit(load, directory, entry->d_name, root_len);
    }
    closedir(entries);
    return walk;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s STORE [DIRECTORY]\n", argv[0]);
        return 2;
    }
    const char *store = argv[1], *root = argc > 2 ? argv[2] : ".";
    struct load load = {.batch = LARDERX_BATCH_INIT};
    struct stat info;
    if (stat(root, &info) != 0 || !S_ISDIR(info.st_mode)) {
        fprintf(stderr, "load: %s is not a directory\n", root);
        return 1;
    }
    double start = seconds_now();
    if (larder_open(store, NULL, &load.db, &load.err) != LARDER_OK) {
        larderx_print_error(stderr, "load", &load.err);
        return 1;
    }
    if (stat(store, &load.store) != 0) memset(&load.store, 0, sizeof load.store);

    enum walk walk = walk_directory(&load, root, strlen(root));
    if (walk == GO_ON) walk = write_batch(&load);
    /* Close syncs, so its status belongs to the answer. */
    if (stored(&load, "load: closing", larderx_close(&load.db, &load.err)) == STOP) walk = STOP;
    larderx_batch_free(&load.batch);
    free(load.bytes);
    if (walk == STOP) return 1;

    if (load.files_shown > 0 && isatty(STDERR_FILENO)) fputc('\n', stderr);
    printf("stored %llu files, %llu bytes, %llu of them for one hour, in %.3f s\n", load.file_count, load.byte_count,
           load.ttl_count, seconds_now() - start);
    if (load.skipped_count > 0) printf("%llu could not be read and were passed over\n", load.skipped_count);
    return 0;
}
