/* fork.c: what a child may do with what it inherited: nothing, safely. */
#include "store.h"
#include "subjects.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct inherited {
    larder *db;
    larder_cursor *cursor;
    larder_view view;
    const char *dir;
};

static void try_everything(void *context) {
    struct inherited *inherited = context;
    larder_error err;
    const void *key;
    size_t key_len;
    alarm(20); /* a lock held by a thread that does not exist here would hang */
    store_check_every_call(inherited->db, LARDER_FORKED);
    IS(LARDER_FORKED, larder_cursor_next(inherited->cursor, &key, &key_len, NULL, NULL, &err));
    CHECK(filled(inherited->view.data, inherited->view.len, 5));
    larder_view_release(&inherited->view);
    larder_cursor_close(inherited->cursor);
    IS(LARDER_FORKED, larder_close(inherited->db, &err));
    IS_BARE(LARDER_FORKED, larder_close(inherited->db, NULL));
    store_check_every_call(inherited->db, LARDER_FORKED);
}

static void every_call_in_a_child_is_forked_and_the_parent_unharmed(const char *dir) {
    larder_error err;
    char *path = path_of(dir, "s");
    struct inherited inherited = {.db = store_open(path, "segment_size", "64KiB", NULL), .dir = dir};
    store_set_numbered(inherited.db, "n", 300, 300);
    OK(larder_get_view(inherited.db, "n5", 2, &inherited.view, &err));
    OK(larder_cursor_open(inherited.db, NULL, 0, &inherited.cursor, &err));
    for (int i = 0; i < 3; i++) check_join(check_child(try_everything, &inherited));
    OK(larderx_set_str(inherited.db, "after", "fork", &err));
    store_check_numbered(inherited.db, "n", 300, 300);
    CHECK(filled(inherited.view.data, inherited.view.len, 5));
    const void *key;
    size_t key_len;
    OK(larder_cursor_next(inherited.cursor, &key, &key_len, NULL, NULL, &err));
    larder_cursor_close(inherited.cursor);
    larder_view_release(&inherited.view);
    uint64_t bad_records = 99;
    OK(larder_verify(inherited.db, &bad_records, &err));
    store_close(inherited.db);
    larder *db = store_open(path, NULL);
    store_check_numbered(db, "n", 300, 300);
    CHECK_VALUE(db, "after", "fork");
    store_close(db);
}

static void use_another_store(void *context) {
    struct inherited *inherited = context;
    larder_error err;
    larder *db = NULL;
    alarm(20);
    IS(LARDER_BUSY, larder_open(path_of(inherited->dir, "s"), NULL, &db, &err));
    CHECK_MESSAGE(text("%ld", (long)getppid()));
    db = store_open(path_of(inherited->dir, "childs"), "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 300, 300);
    OK(larder_compact(db, &err));
    store_check_numbered(db, "n", 300, 300);
    IS(LARDER_FORKED, larder_sync(inherited->db, &err));
    store_close(db);
}

static void use_the_same_store(void *context) {
    struct inherited *inherited = context;
    larder_error err;
    larder *db = store_open(path_of(inherited->dir, "s"), NULL);
    OK(larderx_set_str(db, "k", "from the child", &err));
    store_close(db);
}

static void a_child_may_open_another_store(const char *dir) {
    struct inherited inherited = {.db = store_open(path_of(dir, "s"), NULL), .dir = dir};
    check_join(check_child(use_another_store, &inherited));
    store_close(inherited.db);
    /* Once the parent has closed, the same store is free. */
    check_join(check_child(use_the_same_store, &inherited));
}

struct writing {
    larder *db;
    atomic_bool over;
};

static void *write_until_over(void *context) {
    struct writing *writing = context;
    larder_error err;
    for (uint64_t i = 0; !atomic_load(&writing->over); i++) {
        uint64_t key = i % 500;
        OK(larder_set(writing->db, &key, sizeof key, "some value", 10, &err));
    }
    return NULL;
}

static void sync_is_forked(void *context) {
    larder_error err;
    alarm(20);
    store_check_every_call(context, LARDER_FORKED);
    IS(LARDER_FORKED, larder_close(context, &err));
}

static void forking_while_threads_write_hangs_nobody(const char *dir) {
    larder_error err;
    struct writing writing = {.db = store_open(path_of(dir, "s"), "sync", "none", "segment_size", "64KiB", NULL)};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, write_until_over, &writing) == 0);
    for (int i = 0; i < 30; i++) check_join(check_child(sync_is_forked, writing.db));
    atomic_store(&writing.over, true);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    uint64_t bad_records = 99;
    OK(larder_verify(writing.db, &bad_records, &err));
    CHECK_U64(0, bad_records);
    store_close(writing.db);
}

struct family {
    const char *dir;
    int generations_left;
};

/* Each with a store of its own, whose threads wait while the next ones are forked and after it. */
static void live_and_have_children(void *context) {
    struct family *family = context;
    alarm(60);
    struct writing writing = {.db = store_open(path_of(family->dir, text("of-%ld", (long)getpid())), "segment_size", "64KiB", NULL)};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) REQUIRE(pthread_create(&threads[i], NULL, write_until_over, &writing) == 0);
    usleep(20000);
    struct family children = {.dir = family->dir, .generations_left = family->generations_left - 1};
    for (int i = 0; family->generations_left > 0 && i < 3; i++) check_join(check_child(live_and_have_children, &children));
    atomic_store(&writing.over, true);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    store_set_numbered(writing.db, "n", 300, 30);
    store_check_numbered(writing.db, "n", 300, 30);
    store_close(writing.db);
}

static void children_of_busy_processes_have_stores_of_their_own(const char *dir) {
    struct family family = {.dir = dir, .generations_left = 2};
    live_and_have_children(&family);
}

struct generations {
    const char *path;
    int report;
};

static void hold_and_fork(void *context) {
    const struct generations *generations = context;
    larder_error err;
    larder *db = store_open(generations->path, NULL);
    OK(larderx_set_str(db, "k", "from the holder", &err));
    pid_t grandchild = fork();
    REQUIRE(grandchild >= 0);
    if (grandchild == 0) {
        /* Lives on with everything it inherited. */
        alarm(60);
        for (;;) pause();
    }
    REQUIRE(write(generations->report, &grandchild, sizeof grandchild) == sizeof grandchild);
    for (;;) pause();
}

static void the_lock_dies_with_its_holder_though_a_forked_child_lives(const char *dir) {
    char *path = path_of(dir, "s");
    int report[2];
    pid_t grandchild = 0;
    REQUIRE(pipe(report) == 0);
    pid_t holder = check_child(hold_and_fork, &(struct generations){.path = path, .report = report[1]});
    REQUIRE(read(report[0], &grandchild, sizeof grandchild) == sizeof grandchild);
    sleep_ms(50);
    check_kill(holder);
    CHECK(kill(grandchild, 0) == 0);
    larder_error err;
    larder *db = NULL;
    if (OK(larder_open(path, NULL, &db, &err))) {
        CHECK_VALUE(db, "k", "from the holder");
        store_close(db);
    }
    kill(grandchild, SIGKILL);
}

static void a_started_program_inherits_no_file_of_the_store(const char *dir) {
    larder *db = store_open(path_of(dir, "s"), "segment_size", "64KiB", NULL);
    store_set_numbered(db, "n", 300, 500);
    char *listing = path_of(dir, "listing");
    REQUIRE(system(text("ls -l /proc/self/fd > '%s' 2>/dev/null", listing)) == 0);
    size_t len;
    unsigned char *bytes = read_file(listing, &len);
    bytes[len] = '\0';
    CHECK_SAYING(strstr((char *)bytes, path_of(dir, "s/")) == NULL, "inherited:\n%s", (char *)bytes);
    free(bytes);
    store_close(db);
}

const struct check_subject subject_fork = {
    "fork",
    (const struct check_test[]){
        CHECK_TEST(every_call_in_a_child_is_forked_and_the_parent_unharmed, CHECK_PROCESS | CHECK_CHILD),
        CHECK_TEST(a_child_may_open_another_store, CHECK_PROCESS | CHECK_CHILD),
        CHECK_TEST(forking_while_threads_write_hangs_nobody, CHECK_PROCESS | CHECK_TIME | CHECK_CHILD),
        CHECK_TEST(children_of_busy_processes_have_stores_of_their_own, CHECK_PROCESS | CHECK_TIME | CHECK_CHILD),
        CHECK_TEST(the_lock_dies_with_its_holder_though_a_forked_child_lives, CHECK_PROCESS),
        CHECK_TEST(a_started_program_inherits_no_file_of_the_store, CHECK_PROCESS),
        CHECK_END,
    },
};
