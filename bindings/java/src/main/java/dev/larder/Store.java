package dev.larder;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * An open store: bytes under keys that are bytes, in a directory. Every method is one call of the C ABI; larder.h says
 * what blocks and what is durable when.
 *
 * <p>For any thread at any time. Failures are {@link LarderException}s; "no such key" is a null, a false or an empty
 * Optional. After {@link #close} every call throws {@link Status#CLOSED}.
 */
public final class Store implements AutoCloseable {
    /** The time to live of what does not expire. */
    public static final Duration FOREVER = ChronoUnit.FOREVER.getDuration();

    private static final byte[] EVERYTHING = {};
    private static final int ANSWERS_LEN = 64 * 1024;

    private final long handle;

    private Store(long handle) {
        this.handle = handle;
    }

    /** Opens the store in a directory, creating it if it is not there, with the library's defaults. */
    public static Store open(Path directory) {
        return open(directory.toString(), Map.of());
    }

    /** With the library's options by name, as {@code Map.of("sync", "none")}; larder.h lists them. */
    public static Store open(Path directory, Map<String, String> options) {
        return open(directory.toString(), options);
    }

    /** A location may also name another target by its scheme. */
    public static Store open(String location, Map<String, String> options) {
        List<byte[]> namesAndValues = new ArrayList<>();
        options.forEach((name, value) -> {
            namesAndValues.add(text(name));
            namesAndValues.add(text(value));
        });
        return new Store(Library.NATIVE.open(text(location), namesAndValues.toArray(new byte[0][])));
    }

    /** A C string; a NUL inside would silently cut it. */
    private static byte[] text(String text) {
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a NUL inside a location or an option");
        }
        return (text + "\0").getBytes(StandardCharsets.UTF_8);
    }

    /** Closes the store, whatever happens; throws what the last sync met. A second close does nothing. */
    @Override
    public void close() {
        try {
            Library.NATIVE.close(handle);
        } catch (LarderException failure) {
            if (failure.status() != Status.CLOSED) {
                throw failure;
            }
        }
    }

    // One key.

    /** Sets a key, and clears an expiry. */
    public void set(byte[] key, byte[] value) {
        Library.NATIVE.set(handle, key, value);
    }

    /** The same of what remains in the buffers, which stay as they are. */
    public void set(ByteBuffer key, ByteBuffer value) {
        Library.NATIVE.set(handle, bytesOf(key), bytesOf(value));
    }

    /** The new version, which grows with every change of the store; empty if the condition did not hold. */
    public OptionalLong set(byte[] key, byte[] value, SetOptions options) {
        long version = Library.NATIVE.setWith(handle, key, value, options.ttlMs(), options.flags());
        return version < 0 ? OptionalLong.empty() : OptionalLong.of(version);
    }

    /** The value, or null if there is no such live key. */
    public byte[] get(byte[] key) {
        return Library.NATIVE.get(handle, key);
    }

    /**
     * Reads into the buffer from its position on, and moves the position behind the value. The value's length; if that
     * is more than remains, nothing was written. -1 if there is no such live key.
     */
    public long get(byte[] key, ByteBuffer target) {
        if (target.isReadOnly()) {
            throw new java.nio.ReadOnlyBufferException();
        }
        long len = Library.NATIVE.getInto(handle, key, target);
        if (len >= 0 && len <= target.remaining()) {
            target.position(target.position() + (int) len);
        }
        return len;
    }

    /** The value in place, to be closed; null if there is no such live key. */
    public View view(byte[] key) {
        return Library.NATIVE.view(handle, key);
    }

    public boolean contains(byte[] key) {
        return Library.NATIVE.exists(handle, key);
    }

    /** Whether there was something to delete. */
    public boolean delete(byte[] key) {
        return Library.NATIVE.delete(handle, key);
    }

    /** What the key has left, {@link #FOREVER} without expiry; empty if it is not live. */
    public Optional<Duration> ttl(byte[] key) {
        long ttlMs = Library.NATIVE.ttl(handle, key);
        if (ttlMs == Native.NOT_LIVE) {
            return Optional.empty();
        }
        return Optional.of(ttlMs == -1 ? FOREVER : Duration.ofMillis(ttlMs));
    }

    /** Gives a live key a new time to live: zero is over at once, {@link #FOREVER} for ever. Whether it was live. */
    public boolean expire(byte[] key, Duration ttl) {
        return Library.NATIVE.expire(handle, key, SetOptions.millisOf(ttl, -1));
    }

    // Many keys.

    /** The values in the keys' order, null where a key is not live. Few calls, and no snapshot. */
    public List<byte[]> getMany(List<byte[]> keys) {
        Packed packed = new Packed();
        keys.forEach(packed::key);
        byte[] asked = java.util.Arrays.copyOf(packed.array(), packed.len());
        byte[] out = new byte[ANSWERS_LEN];
        ByteBuffer answers = ByteBuffer.wrap(out).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        List<byte[]> values = new ArrayList<>(keys.size());
        int from = 0;
        do {
            int answered = Library.NATIVE.getManyPacked(handle, asked, from, out);
            answers.clear();
            for (int n = 0; n < answered; n++) {
                byte[] key = keys.get(values.size());
                values.add(answerOf(answers, key));
                from += Packed.padded(Packed.KEY_HEAD_LEN + key.length);
            }
            if (answered == 0 && values.size() < keys.size()) {
                // The next value alone is larger than the buffer.
                byte[] key = keys.get(values.size());
                values.add(get(key));
                from += Packed.padded(Packed.KEY_HEAD_LEN + key.length);
            }
        } while (values.size() < keys.size());
        return values;
    }

    /** Collects sets and deletes that happen together. */
    public Batch batch() {
        return new Batch(this);
    }

    /** All live keys with their values. */
    public Cursor scan() {
        return scan(EVERYTHING);
    }

    /** Those whose key begins with {@code prefix}. */
    public Cursor scan(byte[] prefix) {
        return new Cursor(Library.NATIVE.cursorOpen(handle, prefix));
    }

    // The whole store.

    /** How many keys there are. */
    public long size() {
        return Library.NATIVE.len(handle);
    }

    /** Returns when every write so far is durable. */
    public void sync() {
        Library.NATIVE.sync(handle);
    }

    /** Reclaims the room of dead records now. */
    public void compact() {
        Library.NATIVE.compact(handle);
    }

    /** Checks every record; throws {@link Status#CORRUPT} at damage, with {@link LarderException#badRecords}. */
    public void verify() {
        Library.NATIVE.verify(handle);
    }

    public Stats stats() {
        return Stats.of(Library.NATIVE.stats(handle));
    }

    // About the library.

    /** The version of the library that is loaded. */
    public static String libraryVersion() {
        return Library.NATIVE.versionString();
    }

    /** The same as a number: major << 16 | minor << 8 | patch. */
    public static int libraryVersionNumber() {
        return Library.NATIVE.versionNumber();
    }

    /** The version of its ABI. */
    public static int abiVersion() {
        return Library.NATIVE.abiVersion();
    }

    /** The constant's name in the C ABI, as "LARDER_NOT_FOUND". */
    public static String statusName(int status) {
        return Library.NATIVE.statusName(status);
    }

    /** Which way calls take: "ffm" or "jna". */
    public static String backend() {
        return Library.NATIVE.name();
    }

    long handle() {
        return handle;
    }

    private byte[] answerOf(ByteBuffer answers, byte[] key) {
        int status = answers.getInt();
        answers.getInt();
        int len = (int) answers.getLong();
        byte[] value = null;
        if (status == Native.OK) {
            value = new byte[len];
            answers.get(value);
            answers.position(Packed.padded(answers.position()));
        } else if (status != Native.NOT_FOUND) {
            // An answer has a status and no message; reading that key alone gives one.
            value = get(key);
        }
        return value;
    }

    private static byte[] bytesOf(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }
}
