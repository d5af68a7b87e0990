/* errors.c: what a failure says, and that it changes nothing. */
#include "store.h"
#include "subjects.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------------------------------ */

static void unknown_and_malformed_options_are_named(const char *dir) {
    static const char *const wrong[][2] = {
        {"colour", "blue"},         {"", "true"},
        {"SYNC", "none"},           {" sync", "none"},
        {"sync", ""},               {"sync", "sometimes"},
        {"sync", "interval"},       {"sync", "interval:"},
        {"sync", "interval:0"},     {"sync", "interval:-5"},
        {"sync", "interval:5ms"},   {"sync", " none"},
        {"read_only", "yes"},       {"read_only", "1"},
        {"create", "TRUE"},         {"segment_size", "65535"},
        {"segment_size", "5GiB"},   {"segment_size", "64 KiB"},
        {"segment_size", "64kb"},   {"segment_size", "KiB"},
        {"max_size", "-1"},         {"max_size", "18446744073709551616"},
        {"max_size", "1e9"},        {"verify_reads", "some"},
        {"compaction", "off"},      {"sync", "\xff\xfe"},
        {"\xff\xfe", "true"},
    };
    (void)dir;
    larder_error err;
    larder_options *options = larder_options_new();
    REQUIRE(options != NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, wrong[i][0], wrong[i][1], &err));
        /* What is not text is not repeated in a message. */
        bool is_text = (unsigned char)wrong[i][0][0] < 0x80 && (unsigned char)wrong[i][1][0] < 0x80;
        if (is_text) CHECK_MESSAGE(wrong[i][0]);
        IS_BARE(LARDER_INVALID_ARGUMENT, larder_options_set(options, wrong[i][0], wrong[i][1], NULL));
    }
    /* However long the name, the message fits. */
    char *name = malloc(100001);
    REQUIRE(name != NULL);
    memset(name, 'n', 100000);
    name[100000] = '\0';
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, name, "x", &err));
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, "sync", name, &err));
    free(name);
    larder_options_free(options);
}

static void every_documented_option_is_taken(const char *dir) {
    static const char *const right[][2] = {
        {"sync", "always"},        {"sync", "none"},         {"sync", "interval:1"},     {"sync", "interval:1000"},
        {"read_only", "false"},    {"create", "true"},       {"segment_size", "65536"},  {"segment_size", "64KiB"},
        {"segment_size", "1MiB"},  {"segment_size", "4GiB"}, {"max_size", "0"},          {"max_size", "10MiB"},
        {"verify_reads", "copies"}, {"verify_reads", "all"}, {"verify_reads", "none"},   {"compaction", "auto"},
        {"compaction", "manual"},
    };
    larder_error err;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        larder_options *options = larder_options_new();
        larder *db = NULL;
        OK(larder_options_set(options, right[i][0], right[i][1], &err));
        if (strcmp(right[i][1], "4GiB") != 0) { /* that much room may not be there */
            OK(larder_open(path_of(dir, text("s%zu", i)), options, &db, &err));
            OK(larderx_set_str(db, "k", "v", &err));
            CHECK_VALUE(db, "k", "v");
            store_close(db);
        }
        larder_options_free(options);
    }
    larder_options_free(NULL);
}

static void open_copies_its_options(const char *dir) {
    larder_error err;
    larder_options *options = larder_options_new();
    larder *first = NULL, *second = NULL;
    OK(larder_options_set(options, "sync", "none", &err));
    OK(larder_open(path_of(dir, "first"), options, &first, &err));
    OK(larder_options_set(options, "read_only", "true", &err));
    OK(larderx_set_str(first, "k", "v", &err));
    OK(larder_options_set(options, "read_only", "false", &err));
    /* A value that is refused changes nothing. */
    IS(LARDER_INVALID_ARGUMENT, larder_options_set(options, "read_only", "maybe", &err));
    OK(larder_open(path_of(dir, "second"), options, &second, &err));
    larder_options_free(options);
    OK(larderx_set_str(second, "k", "v", &err));
    store_close(first);
    store_close(second);
}

/* ---- places that are no store ------------------------------------------------------------------- */

static larder_status open_with(const char *path, const char *name, const char *value, larder **db, larder_error *err) {
    const char *options[] = {name, value, NULL};
    return larderx_open(path, options, db, err);
}

static void only_the_last_component_is_created(const char *dir) {
    larder_error err;
    larder *db = NULL;
    char *parent = path_of(dir, "missing");
    IS(LARDER_IO, larder_open(path_of(parent, "s"), NULL, &db, &err));
    CHECK(err.os_errno == ENOENT && db == NULL);
    CHECK(access(parent, F_OK) != 0);
    store_close(store_open(parent, NULL));
    CHECK(access(parent, F_OK) == 0);
}

static void a_file_is_no_store(const char *dir) {
    larder_error err;
    larder *db = NULL;
    char *path = path_of(dir, "file");
    write_file(path, "precious", 8);
    larder_status status = larder_open(path, NULL, &db, &err);
    CHECK_SAYING(status == LARDER_IO || status == LARDER_INVALID_ARGUMENT, "%s", larder_status_name(status));
    CHECK(status != LARDER_IO || err.os_errno == ENOTDIR || err.os_errno == EEXIST);
    CHECK_MESSAGE("file");
    CHECK(db == NULL);
    status = larder_open(path_of(path, "s"), NULL, &db, &err);
    CHECK_SAYING(status == LARDER_IO && err.os_errno == ENOTDIR, "%s: %s", larder_status_name(status), err.message);
    size_t len;
    unsigned char *bytes = read_file(path, &len);
    CHECK_BYTES("precious", 8, bytes, len);
    free(bytes);
}

static void a_missing_store_is_not_created_against_the_callers_will(const char *dir) {
    static const char *const options[][2] = {{"create", "false"}, {"read_only", "true"}};
    larder_error err;
    larder *db = NULL;
    char *empty = path_of(dir, "empty");
    REQUIRE(mkdir(empty, 0755) == 0);
    for (size_t i = 0; i < 2; i++) {
        IS(LARDER_NOT_FOUND, open_with(path_of(dir, "s"), options[i][0], options[i][1], &db, &err));
        CHECK(access(path_of(dir, "s"), F_OK) != 0);
        IS(LARDER_NOT_FOUND, open_with(empty, options[i][0], options[i][1], &db, &err));
        CHECK_U64(0, entry_count(empty));
        CHECK(db == NULL);
    }
    store_close(store_open(empty, NULL));
}

static void a_directory_with_other_things_is_left_alone(const char *dir) {
    static const char *const names[] = {"notes.txt", "MANIFEST.old", "x.seg", "data.tmp"};
    larder_error err;
    larder *db = NULL;
    char *home = path_of(dir, "home");
    REQUIRE(mkdir(home, 0755) == 0 && mkdir(path_of(home, "photos"), 0755) == 0);
    for (size_t i = 0; i < 4; i++) write_file(path_of(home, names[i]), names[i], strlen(names[i]));
    IS(LARDER_INVALID_ARGUMENT, larder_open(home, NULL, &db, &err));
    CHECK_MESSAGE("home");
    CHECK(db == NULL);
    CHECK_U64(5, entry_count(home));
    for (size_t i = 0; i < 4; i++) {
        size_t len;
        unsigned char *bytes = read_file(path_of(home, names[i]), &len);
        CHECK_BYTES(names[i], strlen(names[i]), bytes, len);
        free(bytes);
    }
}

static void a_strangers_file_inside_a_store_is_left_alone(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    store_close(db);
    write_file(path_of(path, "notes.txt"), "mine", 4);
    write_file(path_of(path, "999999.seg.bak"), "mine", 4);
    db = store_open(path, NULL);
    CHECK_VALUE(db, "k", "v");
    OK(larder_compact(db, &err));
    store_close(db);
    CHECK(access(path_of(path, "notes.txt"), F_OK) == 0);
    CHECK(access(path_of(path, "999999.seg.bak"), F_OK) == 0);
}

static void an_unknown_scheme_is_unsupported_and_a_path_with_a_colon_is_a_path(const char *dir) {
    larder_error err;
    larder *db = NULL;
    IS(LARDER_UNSUPPORTED, larder_open("nosuchscheme:somewhere", NULL, &db, &err));
    CHECK_MESSAGE("nosuchscheme");
    IS(LARDER_UNSUPPORTED, larder_open("nosuchscheme://host:1/", NULL, &db, &err));
    CHECK(db == NULL);
    db = store_open(path_of(dir, "a:b"), NULL);
    CHECK(access(path_of(dir, "a:b"), F_OK) == 0);
    store_close(db);
    larder_status status = larder_open("", NULL, &db, &err);
    CHECK_SAYING(status >= 100, "an empty location: %s", larder_status_name(status));
}

static void a_path_may_be_any_bytes_and_any_length_is_answered(const char *dir) {
    larder_error err;
    larder *db = NULL;
    store_close(store_open(path_of(dir, "\xff\xfe odd \x01 name"), NULL));
    store_close(store_open(path_of(dir, "trailing/"), NULL));
    char *name = malloc(20001);
    REQUIRE(name != NULL);
    memset(name, 'n', 20000);
    name[20000] = '\0';
    IS(LARDER_IO, larder_open(path_of(dir, name), NULL, &db, &err));
    CHECK(err.os_errno == ENAMETOOLONG);
    free(name);
}

/* ---- permissions -------------------------------------------------------------------------------- */

static void become_nobody(const char *dir) {
    if (geteuid() == 0) {
        REQUIRE(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    }
    if (access(dir, X_OK) != 0) SKIP("another user cannot reach %s", dir);
}

static void open_without_permission(void *context) {
    const char *dir = context;
    larder_error err;
    larder *db = NULL;
    become_nobody(dir);
    /* Creating in a directory that others own. */
    IS(LARDER_IO, larder_open(path_of(dir, "closed/s"), NULL, &db, &err));
    CHECK(err.os_errno == EACCES && db == NULL);
    /* A store that may not be written. */
    IS(LARDER_IO, larder_open(path_of(dir, "s"), NULL, &db, &err));
    CHECK_SAYING(err.os_errno == EACCES, "errno %d", err.os_errno);
    /* Reading it is another matter: no lock, no file. */
    const char *const options[] = {"read_only", "true", NULL};
    REQUIRE_OK(larderx_open(path_of(dir, "s"), options, &db, &err));
    CHECK_VALUE(db, "k", "v");
    store_close(db);
    /* One that may not even be read. */
    IS(LARDER_IO, larderx_open(path_of(dir, "secret"), options, &db, &err));
    CHECK(err.os_errno == EACCES);
}

static void no_permission_is_io_with_eacces(const char *dir) {
    larder_error err;
    if (geteuid() != 0) SKIP("needs root, to make files that another user may not write");
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    store_close(db);
    store_close(store_open(path_of(dir, "secret"), NULL));
    REQUIRE(mkdir(path_of(dir, "closed"), 0755) == 0);
    REQUIRE(chmod(path_of(dir, "secret"), 0700) == 0 && chmod(path, 0755) == 0);
    size_t files = entry_count(path);
    REQUIRE(system(text("chmod a+r '%s'/*", path)) == 0);
    check_join(check_child(open_without_permission, (void *)(uintptr_t)dir));
    CHECK_U64(files, entry_count(path));
}

/* ---- read-only ---------------------------------------------------------------------------------- */

static void a_read_only_store_reads_and_refuses_writes(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    store_close(db);
    size_t files = entry_count(path);
    db = store_open(path, "read_only", "true", NULL);
    for (size_t i = 0; i < STORE_CALL_COUNT; i++) {
        const struct store_call *call = &store_calls[i];
        memset(&err, 0x5a, sizeof err);
        check_status(call->writes ? LARDER_READ_ONLY : LARDER_OK, call->run(db, &err), &err, __FILE__, __LINE__,
                     call->name);
    }
    CHECK_VALUE(db, "k", "v");
    CHECK_U64(files, entry_count(path));
    store_close(db);
    CHECK_U64(files, entry_count(path));
}

static void a_writer_beside_a_reader_does_not_disturb_it(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *writer = store_open(path, "segment_size", "64KiB", NULL);
    store_set_numbered(writer, "n", 300, 500);
    store_close(writer);
    larder *reader = store_open(path, "read_only", "true", NULL);
    larder *second_reader = store_open(path, "read_only", "true", NULL);
    writer = store_open(path, "segment_size", "64KiB", NULL);
    for (int i = 0; i < 300; i++) OK(larderx_set_str(writer, text("n%d", i), "changed", &err));
    OK(larder_compact(writer, &err));
    store_check_numbered(reader, "n", 300, 500);
    store_close(writer);
    store_check_numbered(second_reader, "n", 300, 500);
    store_close(reader);
    store_close(second_reader);
}

static void a_reader_beside_a_live_writer_is_busy(const char *dir) {
    larder_error err;
    larder *reader = NULL;
    char *path = path_of(dir, "s");
    larder *writer = store_open(path, NULL);
    IS(LARDER_BUSY, open_with(path, "read_only", "true", &reader, &err));
    store_close(writer);
    OK(open_with(path, "read_only", "true", &reader, &err));
    store_close(reader);
}

/* ---- busy --------------------------------------------------------------------------------------- */

static void is_busy_at_once(const char *path, pid_t owner) {
    larder_error err;
    larder *db = NULL;
    int64_t start_ms = now_ms();
    IS(LARDER_BUSY, larder_open(path, NULL, &db, &err));
    CHECK_SAYING(now_ms() - start_ms < 1000, "it took %lld ms", (long long)(now_ms() - start_ms));
    CHECK_MESSAGE(text("%ld", (long)owner));
    CHECK(db == NULL);
}

static void a_second_opener_in_the_same_process_is_busy(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    is_busy_at_once(path, getpid());
    /* By another name, too. */
    REQUIRE(symlink("s", path_of(dir, "link")) == 0);
    is_busy_at_once(path_of(dir, "link"), getpid());
    is_busy_at_once(text("%s/./s/../s/", dir), getpid());
    CHECK_VALUE(db, "k", "v");
    store_close(db);
    db = store_open(path_of(dir, "link"), NULL);
    CHECK_VALUE(db, "k", "v");
    store_close(db);
}

struct holder {
    const char *path;
    int ready;
};

static void hold_the_store(void *context) {
    const struct holder *holder = context;
    larder_error err;
    larder *db = store_open(holder->path, NULL);
    OK(larderx_set_str(db, "k", "held", &err));
    REQUIRE(write(holder->ready, "r", 1) == 1);
    for (;;) pause();
}

static void a_second_opener_in_another_process_is_busy_until_the_first_dies(const char *dir) {
    char *path = path_of(dir, "s");
    int ready[2];
    char byte;
    REQUIRE(pipe(ready) == 0);
    pid_t child = check_child(hold_the_store, &(struct holder){.path = path, .ready = ready[1]});
    close(ready[1]);
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    for (int i = 0; i < 5; i++) is_busy_at_once(path, child);
    check_kill(child);
    larder *db = store_open(path, NULL);
    CHECK_VALUE(db, "k", "held");
    store_close(db);
}

/* ---- a newer format ----------------------------------------------------------------------------- */

enum { FORMAT_VERSION_OFFSET = 8 };

static void change_version(const char *path, int by) {
    size_t len;
    unsigned char *bytes = read_file(path, &len);
    REQUIRE(len > FORMAT_VERSION_OFFSET + 4);
    larderx_encode(bytes + FORMAT_VERSION_OFFSET,
                   larderx_decode(bytes + FORMAT_VERSION_OFFSET, 4) + (uint64_t)(int64_t)by, 4);
    int file = open(path, O_WRONLY);
    REQUIRE(file >= 0 && pwrite(file, bytes + FORMAT_VERSION_OFFSET, 4, FORMAT_VERSION_OFFSET) == 4);
    close(file);
    free(bytes);
}

static void a_newer_format_is_incompatible_and_left_as_it_is(const char *dir) {
    static const char *const kinds[] = {"MANIFEST", "000001.seg"};
    larder_error err;
    char *path = path_of(dir, "s");
    larder *db = store_open(path, NULL);
    OK(larderx_set_str(db, "k", "v", &err));
    store_close(db);
    for (size_t i = 0; i < 2; i++) {
        char *file = path_of(path, kinds[i]);
        change_version(file, 1);
        size_t len_before, len_after, files = entry_count(path);
        unsigned char *before = read_file(file, &len_before);
        db = NULL;
        IS(LARDER_INCOMPATIBLE, larder_open(path, NULL, &db, &err));
        CHECK_MESSAGE(kinds[i]);
        CHECK(db == NULL);
        IS(LARDER_INCOMPATIBLE, open_with(path, "read_only", "true", &db, &err));
        unsigned char *after = read_file(file, &len_after);
        CHECK_BYTES(before, len_before, after, len_after);
        CHECK_U64(files, entry_count(path));
        free(before);
        free(after);
        change_version(file, -1);
        db = store_open(path, NULL);
        CHECK_VALUE(db, "k", "v");
        store_close(db);
    }
}

/* ---- damage ------------------------------------------------------------------------------------- */

/* Finds `bytes` in one of the store's segment files: its name and the offset, or NULL. */
static char *find_in_segments(const char *path, const void *bytes, size_t len, size_t *offset) {
    for (unsigned id = 1; id < 1000; id++) {
        char *name = text("%06u.seg", id);
        if (access(path_of(path, name), F_OK) != 0) continue;
        size_t file_len;
        unsigned char *file = read_file(path_of(path, name), &file_len);
        unsigned char *found = memmem(file, file_len, bytes, len);
        if (found != NULL) *offset = (size_t)(found - file);
        free(file);
        if (found != NULL) return name;
    }
    return NULL;
}

static void flip_bit(const char *path, size_t offset) {
    size_t len;
    unsigned char *bytes = read_file(path, &len);
    REQUIRE(offset < len);
    int file = open(path, O_WRONLY);
    bytes[offset] ^= 0x10;
    REQUIRE(file >= 0 && pwrite(file, &bytes[offset], 1, (off_t)offset) == 1);
    close(file);
    free(bytes);
}

static void check_corrupt(const larder_error *reported, const char *file_name, size_t flipped) {
    larder_error err = *reported;
    CHECK_MESSAGE(file_name);
    CHECK_SAYING(err.offset > 0 && err.offset <= flipped && flipped - err.offset < 1024,
                 "offset %llu for a flipped bit at %zu", (unsigned long long)err.offset, flipped);
}

static void a_flipped_bit_is_reported_with_file_and_offset(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    unsigned char value[500];
    larder *db = store_open(path, "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 400, sizeof value);
    store_close(db);
    fill(value, sizeof value, 57);
    size_t offset = 0;
    char *name = find_in_segments(path, value, sizeof value, &offset);
    REQUIRE(name != NULL);
    flip_bit(path_of(path, name), offset + 250);

    /* With a checkpoint, opening reads no records; the read that meets the damage reports it. */
    memset(&err, 0x5a, sizeof err);
    larder_status status = larder_open(path, NULL, &db, &err);
    if (status == LARDER_OK) {
        void *got = NULL;
        size_t need = 4711;
        unsigned char buffer[500];
        IS(LARDER_CORRUPT, larder_get(db, "n57", 3, &got, &need, &err));
        CHECK(got == NULL && need == 4711);
        check_corrupt(&err, name, offset + 250);
        IS(LARDER_CORRUPT, larder_get_into(db, "n57", 3, buffer, sizeof buffer, &need, &err));
        check_corrupt(&err, name, offset + 250);
        uint64_t bad_records = 0;
        IS(LARDER_CORRUPT, larder_verify(db, &bad_records, &err));
        CHECK_U64(1, bad_records);
        check_corrupt(&err, name, offset + 250);
        for (int i = 0; i < 400; i++) {
            if (i == 57) continue;
            size_t len = 0;
            REQUIRE_OK(larder_get(db, text("n%d", i), strlen(text("n%d", i)), &got, &len, &err));
            CHECK(len == 500 && filled(got, len, (uint64_t)i));
            larder_free(got);
        }
        memset(&err, 0x5a, sizeof err);
        status = larder_close(db, &err);
        CHECK_SAYING(status == LARDER_OK || status == LARDER_CORRUPT, "%s", larder_status_name(status));
    } else {
        CHECK_SAYING(status == LARDER_CORRUPT, "%s: %s", larder_status_name(status), err.message);
        check_corrupt(&err, name, offset + 250);
    }

    /* Without one, every record is read, and open says it. */
    REQUIRE(system(text("rm -f '%s'/INDEX-*", path)) == 0);
    db = NULL;
    IS(LARDER_CORRUPT, larder_open(path, NULL, &db, &err));
    check_corrupt(&err, name, offset + 250);
    CHECK(db == NULL);
}

static void views_are_checked_when_asked_for(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    unsigned char value[500];
    larder *db = store_open(path, NULL);
    store_set_numbered(db, "n", 100, sizeof value);
    store_close(db);
    fill(value, sizeof value, 57);
    size_t offset = 0;
    char *name = find_in_segments(path, value, sizeof value, &offset);
    REQUIRE(name != NULL);
    flip_bit(path_of(path, name), offset);
    const char *const options[] = {"verify_reads", "all", NULL};
    memset(&err, 0x5a, sizeof err);
    larder_status status = larderx_open(path, options, &db, &err);
    CHECK(status == LARDER_OK || status == LARDER_CORRUPT);
    if (status != LARDER_OK) return;
    larder_view view = {0};
    IS(LARDER_CORRUPT, larder_get_view(db, "n57", 3, &view, &err));
    check_corrupt(&err, name, offset);
    CHECK(view.data == NULL && view.pin == NULL);
    larder_cursor *cursor = NULL;
    const void *key, *got;
    size_t key_len, len, reported = 0;
    OK(larder_cursor_open(db, NULL, 0, &cursor, &err));
    for (size_t i = 0; i < 200; i++) {
        status = larder_cursor_next(cursor, &key, &key_len, &got, &len, &err);
        if (status == LARDER_CORRUPT) reported++;
        else if (status != LARDER_OK) break;
    }
    CHECK_SAYING(reported > 0, "the cursor handed out the damaged record or passed over it");
    larder_cursor_close(cursor);
    (void)larder_close(db, NULL);
}

const struct check_subject subject_errors = {
    "errors",
    (const struct check_test[]){
        CHECK_TEST(unknown_and_malformed_options_are_named, CHECK_ANYWHERE),
        CHECK_TEST(every_documented_option_is_taken, CHECK_ANYWHERE),
        CHECK_TEST(open_copies_its_options, CHECK_ANYWHERE),
        CHECK_TEST(only_the_last_component_is_created, CHECK_ANYWHERE),
        CHECK_TEST(a_file_is_no_store, CHECK_ANYWHERE),
        CHECK_TEST(a_missing_store_is_not_created_against_the_callers_will, CHECK_ANYWHERE),
        CHECK_TEST(a_directory_with_other_things_is_left_alone, CHECK_ANYWHERE),
        CHECK_TEST(a_strangers_file_inside_a_store_is_left_alone, CHECK_ANYWHERE),
        CHECK_TEST(an_unknown_scheme_is_unsupported_and_a_path_with_a_colon_is_a_path, CHECK_ANYWHERE),
        CHECK_TEST(a_path_may_be_any_bytes_and_any_length_is_answered, CHECK_ANYWHERE),
        CHECK_TEST(no_permission_is_io_with_eacces, CHECK_PROCESS),
        CHECK_TEST(a_read_only_store_reads_and_refuses_writes, CHECK_ANYWHERE),
        CHECK_TEST(a_writer_beside_a_reader_does_not_disturb_it, CHECK_ANYWHERE),
        CHECK_TEST(a_reader_beside_a_live_writer_is_busy, CHECK_ANYWHERE),
        CHECK_TEST(a_second_opener_in_the_same_process_is_busy, CHECK_ANYWHERE),
        CHECK_TEST(a_second_opener_in_another_process_is_busy_until_the_first_dies, CHECK_PROCESS),
        CHECK_TEST(a_newer_format_is_incompatible_and_left_as_it_is, CHECK_ANYWHERE),
        CHECK_TEST(a_flipped_bit_is_reported_with_file_and_offset, CHECK_TIME),
        CHECK_TEST(views_are_checked_when_asked_for, CHECK_ANYWHERE),
        CHECK_END,
    },
};
