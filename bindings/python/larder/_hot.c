/* _hot: the calls that a program makes in a loop, without the cost of ctypes.
 *
 * The same functions as in _plain.py, with the same results; the tests run over both. Nothing of the library is
 * linked: bind() is given the addresses, so the extension serves whichever liblarder the package has loaded, and
 * builds without larder.h. Limited API of Python 3.10: one build for that version and all later ones.
 *
 * Rules kept here:
 *   - The interpreter's lock is released around every call of the library. What the library reads meanwhile are
 *     `bytes` that the caller holds a reference to, and those never change.
 *   - No state but the addresses and two callables, written once by bind(). */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030A0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_FOUND = 1, DONE = 5, BUFFER_TOO_SMALL = 6, STACK_LEN = 1024, ANSWER_HEAD_LEN = 16, ANSWERS_LEN = 65536 };

typedef struct {
    int32_t status, os_errno;
    uint64_t offset;
    char message[240];
} failure; /* larder_error */

static struct {
    int32_t (*get_into)(void *, const void *, size_t, void *, size_t, size_t *, failure *);
    int32_t (*set)(void *, const void *, size_t, const void *, size_t, failure *);
    int32_t (*del)(void *, const void *, size_t, failure *);
    int32_t (*exists)(void *, const void *, size_t, failure *);
    int32_t (*get_many_packed)(void *, const void *, size_t, void *, size_t, size_t *, size_t *, failure *);
    int32_t (*cursor_next)(void *, const void **, size_t *, const void **, size_t *, failure *);
} lib;
static PyObject *error_of, *as_bytes;

/* Raises what error_of makes of the failure; NULL, to be returned. */
static PyObject *raise(const failure *err) {
    PyObject *error = PyObject_CallFunction(error_of, "iiKy", (int)err->status, (int)err->os_errno,
                                            (unsigned long long)err->offset, err->message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* The argument as `bytes`, a new reference; anything else that has bytes is copied, so that nobody can change it
 * while the lock is released. */
static PyObject *bytes_of(PyObject *argument) {
    if (PyBytes_Check(argument)) {
        Py_INCREF(argument);
        return argument;
    }
    return PyObject_CallFunctionObjArgs(as_bytes, argument, NULL);
}

static int counted(Py_ssize_t count, Py_ssize_t min, Py_ssize_t max) {
    if (count >= min && count <= max) return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", count, min);
    return 0;
}

/* NULL with an exception set if it is no address. */
static void *handle_of(PyObject *argument) {
    void *handle = PyLong_AsVoidPtr(argument);
    if (handle == NULL && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "no handle");
    return handle;
}

/* The value in a new `bytes`; for what does not fit on the stack. The value may change between two calls. */
static PyObject *get_large(void *db, PyObject *key, size_t need, int32_t *status, failure *err) {
    for (;;) {
        size_t capacity = need;
        PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
        char *buffer;
        if (value == NULL) return NULL;
        buffer = PyBytes_AsString(value);
        Py_BEGIN_ALLOW_THREADS
        *status = lib.get_into(db, PyBytes_AsString(key), (size_t)PyBytes_Size(key), buffer, capacity, &need, err);
        Py_END_ALLOW_THREADS
        if (*status == OK && need == capacity) return value;
        if (*status == OK) {
            PyObject *shorter = PyBytes_FromStringAndSize(buffer, (Py_ssize_t)need);
            Py_DECREF(value);
            return shorter;
        }
        Py_DECREF(value);
        if (*status != BUFFER_TOO_SMALL) return NULL;
    }
}

static PyObject *get(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    char buffer[STACK_LEN];
    failure err;
    size_t need = 0;
    int32_t status;
    void *db;
    PyObject *key, *value = NULL;
    (void)module;
    if (!counted(count, 2, 3) || (db = handle_of(arguments[0])) == NULL) return NULL;
    if ((key = bytes_of(arguments[1])) == NULL) return NULL;
    {
        const char *key_bytes = PyBytes_AsString(key);
        size_t key_len = (size_t)PyBytes_Size(key);
        Py_BEGIN_ALLOW_THREADS
        status = lib.get_into(db, key_bytes, key_len, buffer, sizeof buffer, &need, &err);
        Py_END_ALLOW_THREADS
    }
    if (status == OK) value = PyBytes_FromStringAndSize(buffer, (Py_ssize_t)need);
    if (status == BUFFER_TOO_SMALL) value = get_large(db, key, need, &status, &err);
    Py_DECREF(key);
    if (value != NULL || PyErr_Occurred()) return value;
    if (status == NOT_FOUND && count == 3) {
        Py_INCREF(arguments[2]);
        return arguments[2];
    }
    return raise(&err);
}

static PyObject *set(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    failure err;
    int32_t status;
    void *db;
    PyObject *key, *value;
    (void)module;
    if (!counted(count, 3, 3) || (db = handle_of(arguments[0])) == NULL) return NULL;
    if ((key = bytes_of(arguments[1])) == NULL) return NULL;
    if ((value = bytes_of(arguments[2])) == NULL) {
        Py_DECREF(key);
        return NULL;
    }
    {
        const char *key_bytes = PyBytes_AsString(key), *value_bytes = PyBytes_AsString(value);
        size_t key_len = (size_t)PyBytes_Size(key), value_len = (size_t)PyBytes_Size(value);
        Py_BEGIN_ALLOW_THREADS
        status = lib.set(db, key_bytes, key_len, value_bytes, value_len, &err);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(key);
    Py_DECREF(value);
    if (status != OK) return raise(&err);
    Py_RETURN_NONE;
}

/* Calls a function of handle and key. -1 with an exception set, or its status. */
static int32_t of_key(PyObject *const *arguments, Py_ssize_t count,
                      int32_t (*function)(void *, const void *, size_t, failure *), failure *err) {
    int32_t status;
    void *db;
    PyObject *key;
    if (!counted(count, 2, 2) || (db = handle_of(arguments[0])) == NULL) return -1;
    if ((key = bytes_of(arguments[1])) == NULL) return -1;
    {
        const char *key_bytes = PyBytes_AsString(key);
        size_t key_len = (size_t)PyBytes_Size(key);
        Py_BEGIN_ALLOW_THREADS
        status = function(db, key_bytes, key_len, err);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(key);
    return status;
}

static PyObject *delete(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    failure err;
    int32_t status = of_key(arguments, count, lib.del, &err);
    (void)module;
    if (status < 0) return NULL;
    if (status != OK) return raise(&err);
    Py_RETURN_NONE;
}

static PyObject *contains(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    failure err;
    int32_t status = of_key(arguments, count, lib.exists, &err);
    (void)module;
    if (status < 0) return NULL;
    if (status != OK && status != NOT_FOUND) return raise(&err);
    return PyBool_FromLong(status == OK);
}

static uint64_t decoded(const unsigned char *at, size_t len) {
    uint64_t value = 0;
    while (len > 0) value = value << 8 | at[--len];
    return value;
}

static size_t padded(size_t len) {
    return (len + 7) & ~(size_t)7;
}

/* Keys in the packed form; NULL with an exception set. Every key is `bytes`: get_many's caller has seen to it. */
static unsigned char *packed_keys(PyObject *keys, Py_ssize_t count, size_t *len) {
    unsigned char *packed, *at;
    Py_ssize_t i;
    *len = 0;
    for (i = 0; i < count; i++) {
        PyObject *key = PyList_GetItem(keys, i);
        if (key == NULL) return NULL;
        if (!PyBytes_Check(key)) {
            PyErr_SetString(PyExc_TypeError, "a key is not bytes");
            return NULL;
        }
        if ((uint64_t)PyBytes_Size(key) > UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "a key of more than 4 GiB");
            return NULL;
        }
        *len += padded(4 + (size_t)PyBytes_Size(key));
    }
    packed = at = calloc(*len == 0 ? 1 : *len, 1);
    if (packed == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (i = 0; i < count; i++) {
        PyObject *key = PyList_GetItem(keys, i);
        size_t key_len = (size_t)PyBytes_Size(key);
        for (int byte = 0; byte < 4; byte++) at[byte] = (unsigned char)(key_len >> (8 * byte));
        memcpy(at + 4, PyBytes_AsString(key), key_len);
        at += padded(4 + key_len);
    }
    return packed;
}

/* Puts the answers of one call into `values`, from `first` on. -1 with an exception set. */
static int take_answers(PyObject *db, PyObject *keys, PyObject *values, Py_ssize_t first, const unsigned char *out,
                        size_t answered) {
    for (size_t i = 0; i < answered; i++) {
        int32_t status = (int32_t)decoded(out, 4);
        size_t value_len = (size_t)decoded(out + 8, 8);
        PyObject *value = Py_None;
        if (status == OK) {
            value = PyBytes_FromStringAndSize((const char *)out + ANSWER_HEAD_LEN, (Py_ssize_t)value_len);
            if (value == NULL) return -1;
        } else if (status == NOT_FOUND) {
            Py_INCREF(value);
        } else {
            /* An answer has a status and no message; reading that key alone gives one. */
            failure err = {0};
            PyObject *again[] = {db, PyList_GetItem(keys, first + (Py_ssize_t)i)};
            value = get(NULL, again, 2);
            if (value == NULL) return -1;
            Py_DECREF(value);
            err.status = status;
            raise(&err);
            return -1;
        }
        if (PyList_SetItem(values, first + (Py_ssize_t)i, value) != 0) return -1;
        out += padded(ANSWER_HEAD_LEN + value_len);
    }
    return 0;
}

static PyObject *get_many(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    void *db;
    size_t len, at = 0, capacity = ANSWERS_LEN;
    unsigned char *packed, *out = NULL;
    Py_ssize_t done = 0, wanted;
    PyObject *keys, *values = NULL;
    (void)module;
    if (!counted(count, 2, 2) || (db = handle_of(arguments[0])) == NULL) return NULL;
    if (!PyList_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "keys is not a list");
        return NULL;
    }
    /* A list of our own: another thread may change the caller's while the lock is released. */
    keys = PyList_GetSlice(arguments[1], 0, PyList_Size(arguments[1]));
    if (keys == NULL) return NULL;
    wanted = PyList_Size(keys);
    packed = packed_keys(keys, wanted, &len);
    if (packed != NULL) out = malloc(capacity);
    if (out != NULL) values = PyList_New(wanted);
    else if (packed != NULL) PyErr_NoMemory();
    while (values != NULL) {
        failure err;
        size_t used = 0, answered = 0;
        int32_t status;
        Py_BEGIN_ALLOW_THREADS
        status = lib.get_many_packed(db, packed + at, len - at, out, capacity, &used, &answered, &err);
        Py_END_ALLOW_THREADS
        if (status != OK && status != BUFFER_TOO_SMALL) {
            raise(&err);
            Py_CLEAR(values);
        } else if (take_answers(arguments[0], keys, values, done, out, answered) != 0) {
            Py_CLEAR(values);
        } else if (status == OK) {
            break;
        } else if (answered == 0) {
            unsigned char *grown = capacity > SIZE_MAX / 4 ? NULL : realloc(out, capacity *= 4);
            if (grown == NULL) {
                PyErr_NoMemory();
                Py_CLEAR(values);
            } else {
                out = grown;
            }
        }
        for (done += (Py_ssize_t)answered; answered > 0; answered--) at += padded(4 + (size_t)decoded(packed + at, 4));
    }
    free(out);
    free(packed);
    Py_DECREF(keys);
    return values;
}

static PyObject *next_pair(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    failure err;
    const void *key, *value;
    size_t key_len, value_len;
    int32_t status;
    void *cursor;
    (void)module;
    if (!counted(count, 1, 1) || (cursor = handle_of(arguments[0])) == NULL) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = lib.cursor_next(cursor, &key, &key_len, &value, &value_len, &err);
    Py_END_ALLOW_THREADS
    if (status == DONE) Py_RETURN_NONE;
    if (status != OK) return raise(&err);
    return Py_BuildValue("(y#y#)", (const char *)key, (Py_ssize_t)key_len, (const char *)value, (Py_ssize_t)value_len);
}

/* bind(addresses, error_of, as_bytes): once, before anything else. */
static PyObject *bind(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {
        {"larder_get_into", &lib.get_into}, {"larder_set", &lib.set},
        {"larder_del", &lib.del},           {"larder_exists", &lib.exists},
        {"larder_get_many_packed", &lib.get_many_packed}, {"larder_cursor_next", &lib.cursor_next},
    };
    (void)module;
    if (!counted(count, 3, 3)) return NULL;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        PyObject *address = PyDict_GetItemString(arguments[0], wanted[i].name);
        void *function;
        if (address == NULL) return PyErr_Format(PyExc_KeyError, "%s", wanted[i].name);
        if ((function = handle_of(address)) == NULL) return NULL;
        memcpy(wanted[i].slot, &function, sizeof function);
    }
    Py_INCREF(arguments[1]);
    Py_INCREF(arguments[2]);
    error_of = arguments[1];
    as_bytes = arguments[2];
    Py_RETURN_NONE;
}

#define FAST(function) {#function, (PyCFunction)(void (*)(void))function, METH_FASTCALL, NULL}

static PyMethodDef methods[] = {FAST(bind),     FAST(get),      FAST(set),       FAST(delete),
                                FAST(contains), FAST(get_many), FAST(next_pair), {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "larder._hot", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__hot(void) {
    return PyModule_Create(&definition);
}
