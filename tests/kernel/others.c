/* others.c: LMDB and SQLite as engines, each in the settings that its manual gives for what Larder's modes promise.
 *
 *   mode      LMDB                                   SQLite
 *   always    default flags                          journal_mode=WAL, synchronous=FULL
 *   interval  MDB_NOMETASYNC                         journal_mode=WAL, synchronous=NORMAL
 *   none      MDB_NOSYNC                             journal_mode=WAL, synchronous=OFF
 *
 * `is_synced` asks for durability in the weaker modes: mdb_env_sync(force); a checkpoint of the WAL, which syncs. */
#include "engine.h"

#include <errno.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static _Thread_local char message[300];

static const char *last_message(void) {
    return message;
}

/* ---- LMDB --------------------------------------------------------------------------------------- */

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    enum mode mode;
};

static enum outcome outcome_of_lmdb(int code) {
    if (code != 0) snprintf(message, sizeof message, "%s", mdb_strerror(code));
    switch (code) {
    case 0: return OUTCOME_OK;
    case MDB_NOTFOUND: return OUTCOME_ABSENT;
    case MDB_MAP_FULL:
    case ENOSPC: return OUTCOME_NO_SPACE;
    case EIO: return OUTCOME_IO;
    case EROFS:
    case EACCES: return OUTCOME_READ_ONLY;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC: return OUTCOME_DAMAGED;
    default: return OUTCOME_OTHER;
    }
}

static enum outcome open_lmdb(const char *path, enum mode mode, bool is_read_only, void **store) {
    static const unsigned flags[MODE_COUNT] = {0, MDB_NOMETASYNC, MDB_NOSYNC};
    struct lmdb *lmdb = calloc(1, sizeof *lmdb);
    MDB_txn *txn = NULL;
    REQUIRE(lmdb != NULL);
    lmdb->mode = mode;
    (void)mkdir(path, 0755);
    int code = mdb_env_create(&lmdb->env);
    if (code == 0) code = mdb_env_set_mapsize(lmdb->env, 256 << 20);
    if (code == 0) code = mdb_env_open(lmdb->env, path, flags[mode] | (is_read_only ? MDB_RDONLY : 0), 0644);
    if (code == 0) code = mdb_txn_begin(lmdb->env, NULL, is_read_only ? MDB_RDONLY : 0, &txn);
    if (code == 0) {
        code = mdb_dbi_open(txn, NULL, 0, &lmdb->dbi);
        if (code == 0) code = mdb_txn_commit(txn);
        else mdb_txn_abort(txn);
    }
    if (code == 0) *store = lmdb;
    else if (lmdb->env != NULL) mdb_env_close(lmdb->env);
    return outcome_of_lmdb(code);
}

static void close_lmdb(void *store) {
    struct lmdb *lmdb = store;
    (void)mdb_env_sync(lmdb->env, 1);
    mdb_env_close(lmdb->env);
    free(lmdb);
}

static enum outcome apply_lmdb(void *store, const struct operation *operations, size_t count, bool is_synced,
                               uint64_t *version) {
    struct lmdb *lmdb = store;
    MDB_txn *txn = NULL;
    *version = 0;
    int code = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
    if (code != 0) return outcome_of_lmdb(code);
    for (size_t i = 0; code == 0 && i < count; i++) {
        MDB_val key = {operations[i].key_len, (void *)(uintptr_t)operations[i].key};
        MDB_val value = {operations[i].value_len, (void *)(uintptr_t)operations[i].value};
        if (operations[i].value != NULL) code = mdb_put(txn, lmdb->dbi, &key, &value, 0);
        else if ((code = mdb_del(txn, lmdb->dbi, &key, NULL)) == MDB_NOTFOUND) code = 0;
    }
    if (code == 0) code = mdb_txn_commit(txn);
    else mdb_txn_abort(txn);
    if (code == 0 && is_synced && lmdb->mode != MODE_ALWAYS) code = mdb_env_sync(lmdb->env, 1);
    return outcome_of_lmdb(code);
}

static enum outcome get_lmdb(void *store, const void *key, size_t key_len, void *buffer, size_t capacity, size_t *len,
                             uint64_t *version) {
    struct lmdb *lmdb = store;
    MDB_txn *txn = NULL;
    MDB_val name = {key_len, (void *)(uintptr_t)key}, value = {0, NULL};
    *version = 0;
    int code = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn);
    if (code != 0) return outcome_of_lmdb(code);
    code = mdb_get(txn, lmdb->dbi, &name, &value);
    if (code == 0) {
        *len = value.mv_size;
        memcpy(buffer, value.mv_data, value.mv_size < capacity ? value.mv_size : capacity);
    }
    mdb_txn_abort(txn);
    return outcome_of_lmdb(code);
}

static enum outcome sync_lmdb(void *store) {
    return outcome_of_lmdb(mdb_env_sync(((struct lmdb *)store)->env, 1));
}

/* There are no checksums: a walk over all is what there is. */
static enum outcome check_lmdb(void *store) {
    struct lmdb *lmdb = store;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int code = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn);
    if (code != 0) return outcome_of_lmdb(code);
    code = mdb_cursor_open(txn, lmdb->dbi, &cursor);
    while (code == 0) code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (cursor != NULL) mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return outcome_of_lmdb(code == MDB_NOTFOUND ? 0 : code);
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .open = open_lmdb,
    .close = close_lmdb,
    .apply = apply_lmdb,
    .get = get_lmdb,
    .sync = sync_lmdb,
    .check = check_lmdb,
    .last_message = last_message,
};

/* ---- SQLite ------------------------------------------------------------------------------------- */

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *put, *del, *get;
};

static enum outcome outcome_of_sqlite(sqlite3 *db, int code) {
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        snprintf(message, sizeof message, "%s (%d)", db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db), code);
    }
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return OUTCOME_OK;
    case SQLITE_FULL: return OUTCOME_NO_SPACE;
    case SQLITE_IOERR: return db != NULL && sqlite3_system_errno(db) == ENOSPC ? OUTCOME_NO_SPACE : OUTCOME_IO;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return db != NULL && sqlite3_system_errno(db) == ENOSPC ? OUTCOME_NO_SPACE : OUTCOME_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return OUTCOME_DAMAGED;
    default: return OUTCOME_OTHER;
    }
}

static int prepare(struct sqlite *sqlite) {
    int code = sqlite3_prepare_v2(sqlite->db, "INSERT OR REPLACE INTO kv VALUES (?1, ?2)", -1, &sqlite->put, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(sqlite->db, "DELETE FROM kv WHERE k = ?1", -1, &sqlite->del, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(sqlite->db, "SELECT v FROM kv WHERE k = ?1", -1, &sqlite->get, NULL);
    return code;
}

static void close_sqlite(void *store) {
    struct sqlite *sqlite = store;
    sqlite3_finalize(sqlite->put);
    sqlite3_finalize(sqlite->del);
    sqlite3_finalize(sqlite->get);
    sqlite3_close(sqlite->db);
    free(sqlite);
}

static enum outcome open_sqlite(const char *path, enum mode mode, bool is_read_only, void **store) {
    static const char *const levels[MODE_COUNT] = {"FULL", "NORMAL", "OFF"};
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    char file[400], setup[400];
    REQUIRE(sqlite != NULL);
    (void)mkdir(path, 0755);
    snprintf(file, sizeof file, "%s/db", path);
    snprintf(setup, sizeof setup,
             "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;"
             "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;",
             levels[mode]);
    int code = sqlite3_open_v2(file, &sqlite->db,
                               is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code == SQLITE_OK && !is_read_only) code = sqlite3_exec(sqlite->db, setup, NULL, NULL, NULL);
    if (code == SQLITE_OK) code = prepare(sqlite);
    enum outcome outcome = outcome_of_sqlite(sqlite->db, code);
    if (outcome == OUTCOME_OK) *store = sqlite;
    else close_sqlite(sqlite);
    return outcome;
}

static int run_one(sqlite3_stmt *statement, const struct operation *operation) {
    sqlite3_bind_blob64(statement, 1, operation->key, operation->key_len, SQLITE_STATIC);
    if (operation->value != NULL) sqlite3_bind_blob64(statement, 2, operation->value, operation->value_len, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum outcome sync_sqlite(void *store) {
    struct sqlite *sqlite = store;
    int code = sqlite3_wal_checkpoint_v2(sqlite->db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    return outcome_of_sqlite(sqlite->db, code);
}

static enum outcome apply_sqlite(void *store, const struct operation *operations, size_t count, bool is_synced,
                                 uint64_t *version) {
    struct sqlite *sqlite = store;
    *version = 0;
    int code = sqlite3_exec(sqlite->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t i = 0; code == SQLITE_OK && i < count; i++) {
        code = run_one(operations[i].value == NULL ? sqlite->del : sqlite->put, &operations[i]);
    }
    if (code == SQLITE_OK) code = sqlite3_exec(sqlite->db, "COMMIT", NULL, NULL, NULL);
    enum outcome outcome = outcome_of_sqlite(sqlite->db, code);
    if (outcome != OUTCOME_OK && !sqlite3_get_autocommit(sqlite->db)) {
        sqlite3_exec(sqlite->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return outcome == OUTCOME_OK && is_synced ? sync_sqlite(store) : outcome;
}

static enum outcome get_sqlite(void *store, const void *key, size_t key_len, void *buffer, size_t capacity, size_t *len,
                               uint64_t *version) {
    struct sqlite *sqlite = store;
    *version = 0;
    sqlite3_bind_blob64(sqlite->get, 1, key, key_len, SQLITE_STATIC);
    int code = sqlite3_step(sqlite->get);
    enum outcome outcome = code == SQLITE_DONE ? OUTCOME_ABSENT : outcome_of_sqlite(sqlite->db, code);
    if (code == SQLITE_ROW) {
        *len = (size_t)sqlite3_column_bytes(sqlite->get, 0);
        const void *value = sqlite3_column_blob(sqlite->get, 0);
        if (value != NULL) memcpy(buffer, value, *len < capacity ? *len : capacity);
    }
    sqlite3_reset(sqlite->get);
    return outcome;
}

static enum outcome check_sqlite(void *store) {
    struct sqlite *sqlite = store;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, "PRAGMA integrity_check", -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    enum outcome outcome = outcome_of_sqlite(sqlite->db, code);
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        snprintf(message, sizeof message, "%s", (const char *)sqlite3_column_text(statement, 0));
        outcome = OUTCOME_DAMAGED;
    }
    sqlite3_finalize(statement);
    return outcome;
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .open = open_sqlite,
    .close = close_sqlite,
    .apply = apply_sqlite,
    .get = get_sqlite,
    .sync = sync_sqlite,
    .check = check_sqlite,
    .last_message = last_message,
};
