package dev.larder;

import java.nio.ByteBuffer;

/**
 * The calls of the C ABI as Java sees them: handles are numbers, bytes are arrays, and what is no expected outcome is a
 * {@link LarderException}. {@code JnaNative} makes them everywhere, {@code FfmNative} where the JDK has the foreign
 * function API.
 *
 * <p>Handles of stores stay valid for ever, closed or not. Those of cursors do not: {@link Cursor} sees to it that none
 * is used after its close.
 */
interface Native {
    int IF_ABSENT = 1;
    int IF_PRESENT = 2;
    int SYNC = 4;

    int OK = 0;
    int NOT_FOUND = 1;
    int EXPIRED = 2;
    int EXISTS = 3;
    int DONE = 5;
    int BUFFER_TOO_SMALL = 6;

    int ABI_VERSION = 0;
    /** {@code sizeof(larder_error)}, and where its members are. */
    int ERROR_LEN = 256;
    int ERROR_ERRNO_AT = 4;
    int ERROR_OFFSET_AT = 8;
    int ERROR_MESSAGE_AT = 16;
    /** {@code sizeof(larder_stats)}. */
    int STATS_LEN = 8 + 8 * Stats.COUNT;
    /** {@code sizeof(larder_view)}: data, len, version, expires_at_ms, pin. */
    int VIEW_LEN = 40;

    /** What {@link #ttl} returns for a key that is not live. */
    long NOT_LIVE = Long.MIN_VALUE;

    /** "ffm" or "jna". */
    String name();

    long open(byte[] location, byte[][] namesAndValues);

    void close(long db);

    void set(long db, byte[] key, byte[] value);

    /** The version; -1 if the condition did not hold. Versions are below 2^63. */
    long setWith(long db, byte[] key, byte[] value, long ttlMs, int flags);

    /** Null if there is no such live key. */
    byte[] get(long db, byte[] key);

    /** The value's length, its bytes at the target's position if they fit; -1 if there is no such live key. */
    long getInto(long db, byte[] key, ByteBuffer target);

    boolean exists(long db, byte[] key);

    boolean delete(long db, byte[] key);

    long ttl(long db, byte[] key);

    boolean expire(long db, byte[] key, long ttlMs);

    long len(long db);

    void sync(long db);

    void compact(long db);

    void verify(long db);

    long[] stats(long db);

    long cursorOpen(long db, byte[] prefix);

    /** Null at the end. */
    Entry cursorNext(long cursor);

    void cursorClose(long cursor);

    void writePacked(long db, byte[] ops, int len, int flags);

    /** Answers into {@code out}, as many as fit; how many that is. */
    int getManyPacked(long db, byte[] keys, int from, byte[] out);

    /** Null if there is no such live key. */
    View view(long db, byte[] key);

    String versionString();

    int versionNumber();

    int abiVersion();

    String statusName(int status);
}
