package dev.larder;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;

/** Calls over JNA's direct mapping, for Java without the foreign function API. */
final class JnaNative extends Calls {
    JnaNative(String path) {
        com.sun.jna.Native.register(Functions.class, NativeLibrary.getInstance(path));
    }

    /** The functions under their own names; pointers are numbers, which costs JNA the least. */
    private static final class Functions {
        static native long larder_options_new();
        static native int larder_options_set(long options, long name, long value, long err);
        static native void larder_options_free(long options);
        static native int larder_open(long location, long options, long out, long err);
        static native int larder_close(long db, long err);
        static native int larder_set(long db, long key, long keyLen, long value, long valueLen, long err);
        static native int larder_get_into(long db, long key, long keyLen, long buffer, long capacity, long need, long err);
        static native int larder_del(long db, long key, long keyLen, long err);
        static native int larder_exists(long db, long key, long keyLen, long err);
        static native int larder_set_with(long db, long key, long keyLen, long value, long valueLen, long ttlMs, int flags, long version, long err);
        static native int larder_ttl(long db, long key, long keyLen, long ttlMs, long err);
        static native int larder_expire(long db, long key, long keyLen, long ttlMs, long err);
        static native int larder_len(long db, long count, long err);
        static native int larder_sync(long db, long err);
        static native int larder_compact(long db, long err);
        static native int larder_verify(long db, long badRecords, long err);
        static native int larder_stats_get(long db, long stats, long err);
        static native int larder_cursor_open(long db, long prefix, long prefixLen, long out, long err);
        static native int larder_cursor_next(long cursor, long key, long keyLen, long value, long valueLen, long err);
        static native void larder_cursor_close(long cursor);
        static native int larder_write_packed(long db, long ops, long len, int flags, long badOffset, long err);
        static native int larder_get_many_packed(long db, long keys, long len, long out, long capacity, long used, long answered, long err);
        static native int larder_get_view(long db, long key, long keyLen, long out, long err);
        static native void larder_view_release(Pointer view);
        static native String larder_version_string();
        static native int larder_version_number();
        static native int larder_abi_version();
        static native String larder_status_name(int status);
    }

    @Override
    public String name() {
        return "jna";
    }

    @Override
    long optionsNew() {
        return Functions.larder_options_new();
    }

    @Override
    int optionsSet(long options, long name, long value, long err) {
        return Functions.larder_options_set(options, name, value, err);
    }

    @Override
    void optionsFree(long options) {
        Functions.larder_options_free(options);
    }

    @Override
    int open(long location, long options, long out, long err) {
        return Functions.larder_open(location, options, out, err);
    }

    @Override
    int close(long db, long err) {
        return Functions.larder_close(db, err);
    }

    @Override
    int set(long db, long key, long keyLen, long value, long valueLen, long err) {
        return Functions.larder_set(db, key, keyLen, value, valueLen, err);
    }

    @Override
    int getInto(long db, long key, long keyLen, long buffer, long capacity, long need, long err) {
        return Functions.larder_get_into(db, key, keyLen, buffer, capacity, need, err);
    }

    @Override
    int del(long db, long key, long keyLen, long err) {
        return Functions.larder_del(db, key, keyLen, err);
    }

    @Override
    int exists(long db, long key, long keyLen, long err) {
        return Functions.larder_exists(db, key, keyLen, err);
    }

    @Override
    int setWith(long db, long key, long keyLen, long value, long valueLen, long ttlMs, int flags, long version, long err) {
        return Functions.larder_set_with(db, key, keyLen, value, valueLen, ttlMs, flags, version, err);
    }

    @Override
    int ttl(long db, long key, long keyLen, long ttlMs, long err) {
        return Functions.larder_ttl(db, key, keyLen, ttlMs, err);
    }

    @Override
    int expire(long db, long key, long keyLen, long ttlMs, long err) {
        return Functions.larder_expire(db, key, keyLen, ttlMs, err);
    }

    @Override
    int len(long db, long count, long err) {
        return Functions.larder_len(db, count, err);
    }

    @Override
    int sync(long db, long err) {
        return Functions.larder_sync(db, err);
    }

    @Override
    int compact(long db, long err) {
        return Functions.larder_compact(db, err);
    }

    @Override
    int verify(long db, long badRecords, long err) {
        return Functions.larder_verify(db, badRecords, err);
    }

    @Override
    int statsGet(long db, long stats, long err) {
        return Functions.larder_stats_get(db, stats, err);
    }

    @Override
    int cursorOpen(long db, long prefix, long prefixLen, long out, long err) {
        return Functions.larder_cursor_open(db, prefix, prefixLen, out, err);
    }

    @Override
    int cursorNext(long cursor, long key, long keyLen, long value, long valueLen, long err) {
        return Functions.larder_cursor_next(cursor, key, keyLen, value, valueLen, err);
    }

    @Override
    public void cursorClose(long cursor) {
        Functions.larder_cursor_close(cursor);
    }

    @Override
    int writePacked(long db, long ops, long len, int flags, long badOffset, long err) {
        return Functions.larder_write_packed(db, ops, len, flags, badOffset, err);
    }

    @Override
    int getManyPacked(long db, long keys, long len, long out, long capacity, long used, long answered, long err) {
        return Functions.larder_get_many_packed(db, keys, len, out, capacity, used, answered, err);
    }

    @Override
    int getView(long db, long key, long keyLen, long out, long err) {
        return Functions.larder_get_view(db, key, keyLen, out, err);
    }

    @Override
    public String versionString() {
        return Functions.larder_version_string();
    }

    @Override
    public int versionNumber() {
        return Functions.larder_version_number();
    }

    @Override
    public int abiVersion() {
        return Functions.larder_abi_version();
    }

    @Override
    public String statusName(int status) {
        return Functions.larder_status_name(status);
    }

    @Override
    long addressOf(ByteBuffer direct) {
        return Pointer.nativeValue(com.sun.jna.Native.getDirectBufferPointer(direct));
    }

    @Override
    byte[] bytesAt(long address, long len) {
        return new Pointer(address).getByteArray(0, Math.toIntExact(len));
    }

    @Override
    View viewOf(byte[] filled, long data, long len, long version, long expiresAtMs) {
        return new PinnedView(filled, data, len, version, expiresAtMs);
    }

    /** A pinned value whose bytes are copied when they are asked for: a buffer of JNA could outlive the pin. */
    private final class PinnedView extends View {
        private final Memory view = new Memory(VIEW_LEN);
        private final long data;
        private final long len;

        PinnedView(byte[] filled, long data, long len, long version, long expiresAtMs) {
            super(version, expiresAtMs);
            view.write(0, filled, 0, filled.length);
            this.data = data;
            this.len = len;
        }

        @Override
        public synchronized ByteBuffer buffer() {
            if (view.getPointer(0) == null) {
                throw new IllegalStateException("the view is closed");
            }
            return ByteBuffer.wrap(bytesAt(data, len)).asReadOnlyBuffer();
        }

        @Override
        public synchronized void close() {
            Functions.larder_view_release(view);
        }
    }
}
