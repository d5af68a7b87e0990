/* ways.c: the least that a C extension of Python and a Node-API addon need for one get and one set, to know what
 * their border costs next to ctypes, cffi and koffi. Not a binding: see bindings/python and bindings/node.
 *
 * cc -shared -fPIC -DWAY_PYTHON … or -DWAY_NODE …, linked with liblarder. */
#include "larder.h"

#include <stdint.h>
#include <stdlib.h>

#ifdef WAY_PYTHON
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* get(db, key) -> bytes: into the stack first, so that a small value costs one copy more and no allocation in C. */
static PyObject *get(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    char buffer[512], *key;
    Py_ssize_t key_len;
    size_t need = 0;
    larder_status status;
    larder *db = PyLong_AsVoidPtr(arguments[0]);
    (void)module, (void)count;
    PyBytes_AsStringAndSize(arguments[1], &key, &key_len);
    Py_BEGIN_ALLOW_THREADS
    status = larder_get_into(db, key, (size_t)key_len, buffer, sizeof buffer, &need, NULL);
    Py_END_ALLOW_THREADS
    if (status != LARDER_OK) return PyErr_Format(PyExc_RuntimeError, "status %d", (int)status);
    return PyBytes_FromStringAndSize(buffer, (Py_ssize_t)need);
}

static PyObject *set(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    char *key, *value;
    Py_ssize_t key_len, value_len;
    larder_status status;
    larder *db = PyLong_AsVoidPtr(arguments[0]);
    (void)module, (void)count;
    PyBytes_AsStringAndSize(arguments[1], &key, &key_len);
    PyBytes_AsStringAndSize(arguments[2], &value, &value_len);
    Py_BEGIN_ALLOW_THREADS
    status = larder_set(db, key, (size_t)key_len, value, (size_t)value_len, NULL);
    Py_END_ALLOW_THREADS
    if (status != LARDER_OK) return PyErr_Format(PyExc_RuntimeError, "status %d", (int)status);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"get", (PyCFunction)(void (*)(void))get, METH_FASTCALL, NULL},
                                {"set", (PyCFunction)(void (*)(void))set, METH_FASTCALL, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ways", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_ways(void);
PyMODINIT_FUNC PyInit_ways(void) {
    return PyModule_Create(&module);
}
#endif

#ifdef WAY_NODE
#include <node_api.h>

static larder *db;

static napi_value undefined_with(napi_env env, larder_status status) {
    napi_value result;
    if (status != LARDER_OK) napi_throw_error(env, NULL, larder_status_name(status));
    napi_get_undefined(env, &result);
    return result;
}

static napi_value open_store(napi_env env, napi_callback_info info) {
    char location[4096];
    size_t argc = 1, len;
    napi_value argv[1];
    larder_options *options = larder_options_new();
    larder_status status;
    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_value_string_utf8(env, argv[0], location, sizeof location, &len);
    larder_options_set(options, "sync", "none", NULL);
    status = larder_open(location, options, &db, NULL);
    larder_options_free(options);
    return undefined_with(env, status);
}

static napi_value get(napi_env env, napi_callback_info info) {
    char buffer[512];
    size_t argc = 1, key_len, need = 0;
    void *key;
    napi_value argv[1], result;
    larder_status status;
    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_buffer_info(env, argv[0], &key, &key_len);
    status = larder_get_into(db, key, key_len, buffer, sizeof buffer, &need, NULL);
    if (status != LARDER_OK) return undefined_with(env, status);
    napi_create_buffer_copy(env, need, buffer, NULL, &result);
    return result;
}

/* The caller brings the buffer: getInto(key, buffer) -> length. */
static napi_value get_into(napi_env env, napi_callback_info info) {
    size_t argc = 2, key_len, capacity, need = 0;
    void *key, *buffer;
    napi_value argv[2], result;
    larder_status status;
    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_buffer_info(env, argv[0], &key, &key_len);
    napi_get_buffer_info(env, argv[1], &buffer, &capacity);
    status = larder_get_into(db, key, key_len, buffer, capacity, &need, NULL);
    if (status != LARDER_OK) return undefined_with(env, status);
    napi_create_int64(env, (int64_t)need, &result);
    return result;
}

static napi_value set(napi_env env, napi_callback_info info) {
    size_t argc = 2, key_len, value_len;
    void *key, *value;
    napi_value argv[2];
    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_buffer_info(env, argv[0], &key, &key_len);
    napi_get_buffer_info(env, argv[1], &value, &value_len);
    return undefined_with(env, larder_set(db, key, key_len, value, value_len, NULL));
}

static napi_value register_all(napi_env env, napi_value exports) {
    const napi_property_descriptor all[] = {
        {"open", NULL, open_store, NULL, NULL, NULL, napi_default, NULL},
        {"get", NULL, get, NULL, NULL, NULL, napi_default, NULL},
        {"getInto", NULL, get_into, NULL, NULL, NULL, napi_default, NULL},
        {"set", NULL, set, NULL, NULL, NULL, napi_default, NULL},
    };
    napi_define_properties(env, exports, sizeof all / sizeof all[0], all);
    return exports;
}

NAPI_MODULE(ways, register_all)
#endif
