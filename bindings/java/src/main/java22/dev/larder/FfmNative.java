package dev.larder;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Calls over the foreign function API. The handles are static and final, so that the compiler sees through them; the
 * library is loaded for as long as the process lives.
 */
final class FfmNative extends Calls {
    private static volatile String path;

    FfmNative(String path) {
        FfmNative.path = path;
    }

    /** Initialised at the first call, when the path is known. */
    private static final class Functions {
        private static final Linker LINKER = Linker.nativeLinker();
        private static final SymbolLookup LIBRARY = Files.exists(Path.of(path))
                ? SymbolLookup.libraryLookup(Path.of(path), Arena.global())
                : SymbolLookup.libraryLookup(path, Arena.global());

        static final MethodHandle OPTIONS_NEW = of("larder_options_new", JAVA_LONG);
        static final MethodHandle OPTIONS_SET = status("larder_options_set", 4);
        static final MethodHandle OPTIONS_FREE = nothing("larder_options_free");
        static final MethodHandle OPEN = status("larder_open", 4);
        static final MethodHandle CLOSE = status("larder_close", 2);
        static final MethodHandle SET = status("larder_set", 6);
        static final MethodHandle GET_INTO = status("larder_get_into", 7);
        static final MethodHandle DEL = status("larder_del", 4);
        static final MethodHandle EXISTS = status("larder_exists", 4);
        static final MethodHandle SET_WITH = of(
                "larder_set_with", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        static final MethodHandle TTL = status("larder_ttl", 5);
        static final MethodHandle EXPIRE = status("larder_expire", 5);
        static final MethodHandle LEN = status("larder_len", 3);
        static final MethodHandle SYNC = status("larder_sync", 2);
        static final MethodHandle COMPACT = status("larder_compact", 2);
        static final MethodHandle VERIFY = status("larder_verify", 3);
        static final MethodHandle STATS_GET = status("larder_stats_get", 3);
        static final MethodHandle CURSOR_OPEN = status("larder_cursor_open", 5);
        static final MethodHandle CURSOR_NEXT = status("larder_cursor_next", 6);
        static final MethodHandle CURSOR_CLOSE = nothing("larder_cursor_close");
        static final MethodHandle WRITE_PACKED =
                of("larder_write_packed", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        static final MethodHandle GET_MANY_PACKED = status("larder_get_many_packed", 8);
        static final MethodHandle GET_VIEW = status("larder_get_view", 5);
        static final MethodHandle VIEW_RELEASE = nothing("larder_view_release");
        static final MethodHandle VERSION_STRING = of("larder_version_string", JAVA_LONG);
        static final MethodHandle VERSION_NUMBER = of("larder_version_number", JAVA_INT);
        static final MethodHandle ABI_VERSION = of("larder_abi_version", JAVA_INT);
        static final MethodHandle STATUS_NAME = of("larder_status_name", JAVA_LONG, JAVA_INT);

        private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
            return LINKER.downcallHandle(LIBRARY.find(name).orElseThrow(() -> new UnsatisfiedLinkError(name)), descriptor);
        }

        private static MethodHandle of(String name, MemoryLayout result, MemoryLayout... parameters) {
            return handle(name, FunctionDescriptor.of(result, parameters));
        }

        /** A function that returns a status; its parameters are all pointers, lengths or 64-bit numbers. */
        private static MethodHandle status(String name, int count) {
            MemoryLayout[] parameters = new MemoryLayout[count];
            java.util.Arrays.fill(parameters, JAVA_LONG);
            return of(name, JAVA_INT, parameters);
        }

        private static MethodHandle nothing(String name) {
            return handle(name, FunctionDescriptor.ofVoid(JAVA_LONG));
        }
    }

    /** What a handle may throw is no part of the C ABI: it throws nothing. */
    private static AssertionError impossible(Throwable thrown) {
        return new AssertionError(thrown);
    }

    @Override
    public String name() {
        return "ffm";
    }

    @Override
    long optionsNew() {
        try {
            return (long) Functions.OPTIONS_NEW.invokeExact();
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int optionsSet(long options, long name, long value, long err) {
        try {
            return (int) Functions.OPTIONS_SET.invokeExact(options, name, value, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    void optionsFree(long options) {
        try {
            Functions.OPTIONS_FREE.invokeExact(options);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int open(long location, long options, long out, long err) {
        try {
            return (int) Functions.OPEN.invokeExact(location, options, out, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int close(long db, long err) {
        try {
            return (int) Functions.CLOSE.invokeExact(db, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int set(long db, long key, long keyLen, long value, long valueLen, long err) {
        try {
            return (int) Functions.SET.invokeExact(db, key, keyLen, value, valueLen, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int getInto(long db, long key, long keyLen, long buffer, long capacity, long need, long err) {
        try {
            return (int) Functions.GET_INTO.invokeExact(db, key, keyLen, buffer, capacity, need, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int del(long db, long key, long keyLen, long err) {
        try {
            return (int) Functions.DEL.invokeExact(db, key, keyLen, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int exists(long db, long key, long keyLen, long err) {
        try {
            return (int) Functions.EXISTS.invokeExact(db, key, keyLen, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int setWith(long db, long key, long keyLen, long value, long valueLen, long ttlMs, int flags, long version, long err) {
        try {
            return (int) Functions.SET_WITH.invokeExact(db, key, keyLen, value, valueLen, ttlMs, flags, version, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int ttl(long db, long key, long keyLen, long ttlMs, long err) {
        try {
            return (int) Functions.TTL.invokeExact(db, key, keyLen, ttlMs, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int expire(long db, long key, long keyLen, long ttlMs, long err) {
        try {
            return (int) Functions.EXPIRE.invokeExact(db, key, keyLen, ttlMs, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int len(long db, long count, long err) {
        try {
            return (int) Functions.LEN.invokeExact(db, count, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int sync(long db, long err) {
        try {
            return (int) Functions.SYNC.invokeExact(db, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int compact(long db, long err) {
        try {
            return (int) Functions.COMPACT.invokeExact(db, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int verify(long db, long badRecords, long err) {
        try {
            return (int) Functions.VERIFY.invokeExact(db, badRecords, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int statsGet(long db, long stats, long err) {
        try {
            return (int) Functions.STATS_GET.invokeExact(db, stats, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int cursorOpen(long db, long prefix, long prefixLen, long out, long err) {
        try {
            return (int) Functions.CURSOR_OPEN.invokeExact(db, prefix, prefixLen, out, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int cursorNext(long cursor, long key, long keyLen, long value, long valueLen, long err) {
        try {
            return (int) Functions.CURSOR_NEXT.invokeExact(cursor, key, keyLen, value, valueLen, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int writePacked(long db, long ops, long len, int flags, long badOffset, long err) {
        try {
            return (int) Functions.WRITE_PACKED.invokeExact(db, ops, len, flags, badOffset, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int getManyPacked(long db, long keys, long len, long out, long capacity, long used, long answered, long err) {
        try {
            return (int) Functions.GET_MANY_PACKED.invokeExact(db, keys, len, out, capacity, used, answered, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    int getView(long db, long key, long keyLen, long out, long err) {
        try {
            return (int) Functions.GET_VIEW.invokeExact(db, key, keyLen, out, err);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    public void cursorClose(long cursor) {
        try {
            Functions.CURSOR_CLOSE.invokeExact(cursor);
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    public String versionString() {
        try {
            return textAt((long) Functions.VERSION_STRING.invokeExact());
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    public int versionNumber() {
        try {
            return (int) Functions.VERSION_NUMBER.invokeExact();
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    public int abiVersion() {
        try {
            return (int) Functions.ABI_VERSION.invokeExact();
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    public String statusName(int status) {
        try {
            return textAt((long) Functions.STATUS_NAME.invokeExact(status));
        } catch (Throwable thrown) {
            throw impossible(thrown);
        }
    }

    @Override
    long addressOf(ByteBuffer direct) {
        return MemorySegment.ofBuffer(direct).address() - direct.position();
    }

    @Override
    byte[] bytesAt(long address, long len) {
        return MemorySegment.ofAddress(address).reinterpret(len).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }

    private static String textAt(long address) {
        return MemorySegment.ofAddress(address).reinterpret(Long.MAX_VALUE).getString(0);
    }

    @Override
    View viewOf(byte[] filled, long data, long len, long version, long expiresAtMs) {
        return new PinnedView(filled, data, len, version, expiresAtMs);
    }

    /** A pinned value in place. The arena's end is the view's, so a buffer that outlives it throws and does not fault. */
    private static final class PinnedView extends View {
        private final Arena arena = Arena.ofShared();
        private final MemorySegment bytes;

        PinnedView(byte[] filled, long data, long len, long version, long expiresAtMs) {
            super(version, expiresAtMs);
            bytes = MemorySegment.ofAddress(data).reinterpret(len, arena, ignored -> release(filled)).asReadOnly();
        }

        /** From a copy of the struct: the library asks for one, not for the same one. */
        private static void release(byte[] filled) {
            try (Arena own = Arena.ofConfined()) {
                MemorySegment view = own.allocate(filled.length, 8);
                view.copyFrom(MemorySegment.ofArray(filled));
                Functions.VIEW_RELEASE.invokeExact(view.address());
            } catch (Throwable thrown) {
                throw impossible(thrown);
            }
        }

        @Override
        public ByteBuffer buffer() {
            if (!arena.scope().isAlive()) {
                throw new IllegalStateException("the view is closed");
            }
            return bytes.asByteBuffer();
        }

        @Override
        public synchronized void close() {
            if (arena.scope().isAlive()) {
                arena.close();
            }
        }
    }
}
