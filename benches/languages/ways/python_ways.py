"""What one get and one set cost from Python over ctypes, cffi (ABI mode) and a C extension: nanoseconds a call.

python_ways.py LIBLARDER EXTENSION [COUNT]; `run` beside it builds the extension and calls this. Each way is measured
several times in turn and the best of each counts: the machine may have other work.
"""
import ctypes
import importlib.machinery
import importlib.util
import sys
import tempfile
import time

ROUNDS = 5


def ctypes_way(path, location):
    lib = ctypes.CDLL(path)
    lib.larder_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    lib.larder_options_new.restype = ctypes.c_void_p
    options, db = ctypes.c_void_p(lib.larder_options_new()), ctypes.c_void_p()
    lib.larder_options_set(options, b"sync", b"none", None)
    assert lib.larder_open(location.encode(), options, ctypes.byref(db), None) == 0
    get_into, set_ = lib.larder_get_into, lib.larder_set
    vp, sz = ctypes.c_void_p, ctypes.c_size_t
    get_into.argtypes = [vp, ctypes.c_char_p, sz, vp, sz, vp, vp]
    set_.argtypes = [vp, ctypes.c_char_p, sz, ctypes.c_char_p, sz, vp]
    handle = db.value

    def get(key):
        # A buffer per call, for a store is used from many threads.
        buffer, need = (ctypes.c_char * 512)(), sz()
        if get_into(handle, key, len(key), buffer, 512, ctypes.byref(need), None):
            raise KeyError(key)
        return buffer[: need.value]

    def set(key, value):
        if set_(handle, key, len(key), value, len(value), None):
            raise RuntimeError

    return get, set


def cffi_way(path, location):
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("""
        void *larder_options_new(void);
        int32_t larder_options_set(void *, const char *, const char *, void *);
        int32_t larder_open(const char *, const void *, void **, void *);
        int32_t larder_get_into(void *, const void *, size_t, void *, size_t, size_t *, void *);
        int32_t larder_set(void *, const void *, size_t, const void *, size_t, void *);
    """)
    lib = ffi.dlopen(path)
    options, out = lib.larder_options_new(), ffi.new("void **")
    lib.larder_options_set(options, b"sync", b"none", ffi.NULL)
    assert lib.larder_open(location.encode(), options, out, ffi.NULL) == 0
    db, get_into, set_, new, null = out[0], lib.larder_get_into, lib.larder_set, ffi.new, ffi.NULL
    buffer_type, size_type, view = ffi.typeof("char[512]"), ffi.typeof("size_t *"), ffi.buffer

    def get(key):
        buffer, need = new(buffer_type), new(size_type)
        if get_into(db, key, len(key), buffer, 512, need, null):
            raise KeyError(key)
        return view(buffer, need[0])[:]

    def set(key, value):
        if set_(db, key, len(key), value, len(value), null):
            raise RuntimeError

    return get, set


def extension_way(path, location, extension):
    lib = ctypes.CDLL(path)
    lib.larder_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    lib.larder_options_new.restype = ctypes.c_void_p
    options, db = ctypes.c_void_p(lib.larder_options_new()), ctypes.c_void_p()
    lib.larder_options_set(options, b"sync", b"none", None)
    assert lib.larder_open(location.encode(), options, ctypes.byref(db), None) == 0
    loader = importlib.machinery.ExtensionFileLoader("ways", extension)
    ways = importlib.util.module_from_spec(importlib.util.spec_from_loader("ways", loader))
    loader.exec_module(ways)
    handle, ext_get, ext_set = db.value, ways.get, ways.set
    return (lambda key: ext_get(handle, key)), (lambda key, value: ext_set(handle, key, value))


def nanoseconds(do, arguments):
    start = time.perf_counter_ns()
    for each in arguments:
        do(*each)
    return (time.perf_counter_ns() - start) / len(arguments)


def main():
    path, extension, count = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["100000"])[0])
    keys = [b"key-%012d" % n for n in range(count)]
    gets, sets = [(key,) for key in keys], [(key, bytes(100)) for key in keys]
    with tempfile.TemporaryDirectory() as scratch:
        ways = {
            "ctypes": ctypes_way(path, f"{scratch}/ctypes"),
            "C extension": extension_way(path, f"{scratch}/extension", extension),
        }
        try:
            ways["cffi, ABI mode"] = cffi_way(path, f"{scratch}/cffi")
        except ImportError:
            print("SKIP: cffi is not installed (pip install cffi)")
        best = {way: [float("inf")] * 3 for way in ways}
        for _ in range(ROUNDS):
            for way, (get, set) in ways.items():
                best[way][0] = min(best[way][0], nanoseconds(set, sets))
                best[way][1] = min(best[way][1], nanoseconds(get, gets))
    for way, (set_ns, get_ns, _) in best.items():
        print(f"Python, {way}: {get_ns:.0f} ns a get, {set_ns:.0f} ns a set")


main()
