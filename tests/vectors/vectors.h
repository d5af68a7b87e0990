/* vectors.h: what the runners in C and C++ share: reading the file, bytes, directories, damage.
 *
 * A runner includes this once, defines `vectors_step` and calls `vectors_main`. Nothing here calls the library. */
#ifndef VECTORS_H
#define VECTORS_H

#include "json.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct vectors_bytes {
    unsigned char *data;
    size_t len;
} vectors_bytes;

/* The outcome of a step, for the comparison that all of them have in common. */
typedef struct vectors_outcome {
    int32_t status;
    int32_t os_errno;
    uint64_t offset;
    char message[240];
    char complaint[400]; /* what was not as the step says; empty if all was */
} vectors_outcome;

/* Carries a step out in `directory`; false if its verb is not known. The runner's own. */
static bool vectors_step(const char *directory, const json *step, vectors_outcome *outcome);
/* Gives back whatever the steps of a case have left. The runner's own. */
static void vectors_reset(void);
/* The name of a status. The runner's own. */
static const char *vectors_status_name(int32_t status);

static inline int vectors_digit(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static inline vectors_bytes vectors_hex(const char *text, size_t len) {
    vectors_bytes bytes = {(unsigned char *)json_memory(NULL, len / 2), len / 2};
    size_t i;
    for (i = 0; i < bytes.len; i++)
        bytes.data[i] = (unsigned char)(vectors_digit(text[2 * i]) << 4 | vectors_digit(text[2 * i + 1]));
    return bytes;
}

/* Bytes as the vectors write them: "hex:00ff", "repeat:00ff*3", or the text itself. free() data. */
static inline vectors_bytes vectors_bytes_of(const json *value) {
    const char *text = value->text;
    if (strncmp(text, "hex:", 4) == 0) return vectors_hex(text + 4, strlen(text + 4));
    if (strncmp(text, "repeat:", 7) == 0) {
        const char *star = strchr(text, '*');
        size_t count = (size_t)strtoull(star + 1, NULL, 10), i;
        vectors_bytes unit = vectors_hex(text + 7, (size_t)(star - text - 7)), bytes;
        bytes.len = unit.len * count;
        bytes.data = (unsigned char *)json_memory(NULL, bytes.len);
        for (i = 0; i < count; i++) memcpy(bytes.data + i * unit.len, unit.data, unit.len);
        free(unit.data);
        return bytes;
    }
    {
        vectors_bytes bytes = {(unsigned char *)json_memory(NULL, strlen(text)), strlen(text)};
        memcpy(bytes.data, text, bytes.len);
        return bytes;
    }
}

static inline void vectors_path(char *path, size_t capacity, const char *directory, const char *at) {
    if ((size_t)snprintf(path, capacity, "%s/%s", directory, at) >= capacity) json_die("a path is too long", at);
}

static inline void vectors_write(const char *path, const void *data, size_t len) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, len, file) != len || fclose(file) != 0) json_die("cannot write", path);
}

static inline void vectors_write_file(const char *directory, const json *step) {
    char path[4096], *slash;
    vectors_bytes content = vectors_bytes_of(json_get(step, "value"));
    vectors_path(path, sizeof path, directory, json_text(step, "at", ""));
    slash = strrchr(path, '/');
    *slash = '\0';
    (void)mkdir(path, 0777);
    *slash = '/';
    vectors_write(path, content.data, content.len);
    free(content.data);
}

/* Flips a bit of the first place in a segment that holds the bytes. False if none does. */
static inline bool vectors_flip_in(const char *path, const vectors_bytes *wanted) {
    FILE *file = fopen(path, "rb");
    unsigned char *content;
    size_t len, i;
    bool found = false;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) json_die("cannot read", path);
    len = (size_t)ftell(file);
    rewind(file);
    content = (unsigned char *)json_memory(NULL, len);
    if (fread(content, 1, len, file) != len) json_die("cannot read", path);
    fclose(file);
    for (i = 0; !found && i + wanted->len <= len; i++) {
        found = content[i] == wanted->data[0] && memcmp(content + i, wanted->data, wanted->len) == 0;
        if (found) content[i] ^= 1;
    }
    if (found) vectors_write(path, content, len);
    free(content);
    return found;
}

static inline bool vectors_flip(const char *directory, const json *step) {
    char store[4096], path[4400];
    vectors_bytes wanted = vectors_bytes_of(json_get(step, "find"));
    bool found = false;
    struct dirent *entry;
    DIR *files;
    vectors_path(store, sizeof store, directory, json_text(step, "at", ""));
    files = opendir(store);
    if (files == NULL) json_die("no such directory", store);
    while (!found && (entry = readdir(files)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".seg") != 0) continue;
        vectors_path(path, sizeof path, store, entry->d_name);
        found = vectors_flip_in(path, &wanted);
    }
    closedir(files);
    free(wanted.data);
    return found;
}

static inline void vectors_remove(const char *directory) {
    char path[4400];
    struct dirent *entry;
    DIR *files = opendir(directory);
    while (files != NULL && (entry = readdir(files)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        vectors_path(path, sizeof path, directory, entry->d_name);
        if (unlink(path) != 0) vectors_remove(path);
    }
    if (files != NULL) closedir(files);
    (void)rmdir(directory);
}

/* What every step says in the same words: status, message, errno, offset. */
static inline void vectors_judge(const json *step, vectors_outcome *outcome) {
    const json *status = json_get(step, "status"), *words = json_get(step, "message"), *number = json_get(step, "os_errno");
    const char *name = vectors_status_name(outcome->status);
    bool matches = status == NULL && outcome->status == 0;
    size_t i;
    if (outcome->complaint[0] != '\0') return;
    if (status != NULL && status->kind == JSON_STRING) matches = strcmp(status->text, name) == 0;
    if (status != NULL && status->kind == JSON_ARRAY)
        for (i = 0; i < status->count; i++) matches = matches || strcmp(status->items[i].text, name) == 0;
    if (!matches) snprintf(outcome->complaint, sizeof outcome->complaint, "%s: %s", name, outcome->message);
    for (i = 0; words != NULL && i < words->count; i++)
        if (strstr(outcome->message, words->items[i].text) == NULL)
            snprintf(outcome->complaint, sizeof outcome->complaint, "no \"%s\" in \"%s\"", words->items[i].text, outcome->message);
    if (number != NULL && outcome->os_errno != number->number)
        snprintf(outcome->complaint, sizeof outcome->complaint, "errno %d", (int)outcome->os_errno);
    if (json_get(step, "offset") != NULL && outcome->offset == 0)
        snprintf(outcome->complaint, sizeof outcome->complaint, "no offset");
}

/* Runs every case of the file, each in a directory of its own; the value is main's. */
static inline int vectors_main(const char *language, const char *file_name) {
    static char line[1 << 20];
    char directory[] = "/tmp/larder-vectors-XXXXXX", place[128], name[200] = "";
    unsigned passed = 0, failed = 0, steps = 0, cases = 0;
    bool good = true;
    FILE *file = fopen(file_name, "r");
    if (file == NULL || mkdtemp(directory) == NULL) json_die("cannot read", file_name);
    for (unsigned number = 1;; number++) {
        const bool more = fgets(line, sizeof line, file) != NULL;
        json step;
        const char *title = NULL;
        if (more && *json_space(line) == '\0') continue;
        if (more) {
            (void)json_read(line, &step);
            title = json_text(&step, "case", NULL);
        }
        if (!more || title != NULL) {
            vectors_reset();
            if (cases > 0) (void)(good ? passed++ : failed++);
            if (cases > 0) printf("%s %s: %s\n", good ? "ok  " : "FAIL", language, name);
            if (!more) break;
            cases++;
            good = true;
            snprintf(name, sizeof name, "%s", title);
            snprintf(place, sizeof place, "%s/%u", directory, cases);
            if (mkdir(place, 0777) != 0) json_die("cannot make", place);
        } else if (good) {
            vectors_outcome outcome;
            const char *verb = json_text(&step, "do", "");
            memset(&outcome, 0, sizeof outcome);
            if (strcmp(verb, "sleep") == 0) {
                const long ms = (long)json_number(&step, "ms");
                const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
                nanosleep(&pause, NULL);
            } else if (strcmp(verb, "write_file") == 0) {
                vectors_write_file(place, &step);
            } else if (strcmp(verb, "flip") == 0) {
                if (!vectors_flip(place, &step)) json_die("no segment has these bytes", line);
            } else if (!vectors_step(place, &step, &outcome)) {
                json_die("a verb that is not known", line);
            } else {
                vectors_judge(&step, &outcome);
            }
            steps++;
            good = outcome.complaint[0] == '\0';
            if (!good) printf("%s:%u: %s\n", file_name, number, outcome.complaint);
        }
        json_free(&step);
    }
    fclose(file);
    vectors_remove(directory);
    printf("%s: %u steps\n%u passed, %u failed\n", language, steps, passed, failed);
    return failed == 0 && passed > 20 ? 0 : 1;
}

#endif /* VECTORS_H */
