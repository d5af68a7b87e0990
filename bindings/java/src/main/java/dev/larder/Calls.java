package dev.larder;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;

/**
 * {@link Native} over functions that take addresses as numbers. The two ways to call C differ in those functions, in how
 * they find a buffer's address and in how they read memory, and in nothing else.
 */
abstract class Calls implements Native {
    private final ThreadLocal<Scratch> scratches = ThreadLocal.withInitial(() -> new Scratch(Scratch.DATA_LEN, this));

    // The C ABI: pointers and lengths are 64 bits wide, as everywhere that the library runs.

    abstract long optionsNew();

    abstract int optionsSet(long options, long name, long value, long err);

    abstract void optionsFree(long options);

    abstract int open(long location, long options, long out, long err);

    abstract int close(long db, long err);

    abstract int set(long db, long key, long keyLen, long value, long valueLen, long err);

    abstract int getInto(long db, long key, long keyLen, long buffer, long capacity, long need, long err);

    abstract int del(long db, long key, long keyLen, long err);

    abstract int exists(long db, long key, long keyLen, long err);

    abstract int setWith(long db, long key, long keyLen, long value, long valueLen, long ttlMs, int flags, long version, long err);

    abstract int ttl(long db, long key, long keyLen, long ttlMs, long err);

    abstract int expire(long db, long key, long keyLen, long ttlMs, long err);

    abstract int len(long db, long count, long err);

    abstract int sync(long db, long err);

    abstract int compact(long db, long err);

    abstract int verify(long db, long badRecords, long err);

    abstract int statsGet(long db, long stats, long err);

    abstract int cursorOpen(long db, long prefix, long prefixLen, long out, long err);

    abstract int cursorNext(long cursor, long key, long keyLen, long value, long valueLen, long err);

    abstract int writePacked(long db, long ops, long len, int flags, long badOffset, long err);

    abstract int getManyPacked(long db, long keys, long len, long out, long capacity, long used, long answered, long err);

    abstract int getView(long db, long key, long keyLen, long out, long err);

    // Memory.

    abstract long addressOf(ByteBuffer direct);

    abstract byte[] bytesAt(long address, long len);

    /** A view over a filled {@code larder_view}, whose bytes are copied into it here. */
    abstract View viewOf(byte[] filled, long data, long len, long version, long expiresAtMs);

    // Native.

    /** Room for so many bytes: the thread's own, or one for this call. */
    private Scratch scratchFor(long len) {
        Scratch own = scratches.get();
        return len <= own.capacity() ? own : new Scratch(Math.toIntExact(len), this);
    }

    private Scratch with(byte[] first) {
        Scratch scratch = scratchFor(first.length);
        scratch.put(0, first);
        return scratch;
    }

    private Scratch with(byte[] first, byte[] second) {
        Scratch scratch = scratchFor((long) first.length + second.length);
        scratch.put(0, first);
        scratch.put(first.length, second);
        return scratch;
    }

    private static void check(int status, Scratch scratch) {
        if (status != OK) {
            throw scratch.failure(0);
        }
        Reference.reachabilityFence(scratch);
    }

    /** Whether a key was found; throws what is neither yes nor no. */
    private static boolean isFound(int status, Scratch scratch) {
        if (status != NOT_FOUND) {
            check(status, scratch);
        }
        Reference.reachabilityFence(scratch);
        return status == OK;
    }

    @Override
    public long open(byte[] location, byte[][] namesAndValues) {
        long options = optionsNew();
        try {
            for (int i = 0; i < namesAndValues.length; i += 2) {
                Scratch scratch = with(namesAndValues[i], namesAndValues[i + 1]);
                long value = scratch.data(namesAndValues[i].length);
                check(optionsSet(options, scratch.data(0), value, scratch.error()), scratch);
            }
            Scratch scratch = with(location);
            check(open(scratch.data(0), options, scratch.out(0), scratch.error()), scratch);
            return scratch.number(0);
        } finally {
            optionsFree(options);
        }
    }

    @Override
    public void close(long db) {
        Scratch scratch = scratches.get();
        check(close(db, scratch.error()), scratch);
    }

    @Override
    public void set(long db, byte[] key, byte[] value) {
        Scratch scratch = with(key, value);
        check(set(db, scratch.data(0), key.length, scratch.data(key.length), value.length, scratch.error()), scratch);
    }

    @Override
    public long setWith(long db, byte[] key, byte[] value, long ttlMs, int flags) {
        Scratch scratch = with(key, value);
        int status = setWith(
                db, scratch.data(0), key.length, scratch.data(key.length), value.length, ttlMs, flags, scratch.out(0), scratch.error());
        Reference.reachabilityFence(scratch);
        if (status == EXISTS || status == NOT_FOUND) {
            return -1;
        }
        check(status, scratch);
        return scratch.number(0);
    }

    @Override
    public byte[] get(long db, byte[] key) {
        Scratch scratch = with(key);
        int room = scratch.capacity() - key.length;
        for (;;) {
            int status = getInto(
                    db, scratch.data(0), key.length, scratch.data(key.length), room, scratch.out(0), scratch.error());
            if (status != BUFFER_TOO_SMALL) {
                return isFound(status, scratch) ? scratch.bytes(key.length, (int) scratch.number(0)) : null;
            }
            // The value may have changed by the next call, so this is a loop.
            room = Math.toIntExact(scratch.number(0));
            scratch = new Scratch(Math.addExact(key.length, room), this);
            scratch.put(0, key);
        }
    }

    @Override
    public long getInto(long db, byte[] key, ByteBuffer target) {
        int room = target.remaining();
        Scratch scratch = target.isDirect() ? with(key) : scratchFor((long) key.length + room);
        scratch.put(0, key);
        long buffer = target.isDirect() ? addressOf(target) + target.position() : scratch.data(key.length);
        int status = getInto(db, scratch.data(0), key.length, buffer, room, scratch.out(0), scratch.error());
        Reference.reachabilityFence(target);
        if (status == BUFFER_TOO_SMALL) {
            return scratch.number(0);
        }
        if (!isFound(status, scratch)) {
            return -1;
        }
        if (!target.isDirect()) {
            target.put(target.position(), scratch.memory, Scratch.DATA_AT + key.length, (int) scratch.number(0));
        }
        return scratch.number(0);
    }

    @Override
    public boolean exists(long db, byte[] key) {
        Scratch scratch = with(key);
        return isFound(exists(db, scratch.data(0), key.length, scratch.error()), scratch);
    }

    @Override
    public boolean delete(long db, byte[] key) {
        Scratch scratch = with(key);
        return isFound(del(db, scratch.data(0), key.length, scratch.error()), scratch);
    }

    @Override
    public long ttl(long db, byte[] key) {
        Scratch scratch = with(key);
        int status = ttl(db, scratch.data(0), key.length, scratch.out(0), scratch.error());
        return status != EXPIRED && isFound(status, scratch) ? scratch.number(0) : NOT_LIVE;
    }

    @Override
    public boolean expire(long db, byte[] key, long ttlMs) {
        Scratch scratch = with(key);
        return isFound(expire(db, scratch.data(0), key.length, ttlMs, scratch.error()), scratch);
    }

    @Override
    public long len(long db) {
        Scratch scratch = scratches.get();
        check(len(db, scratch.out(0), scratch.error()), scratch);
        return scratch.number(0);
    }

    @Override
    public void sync(long db) {
        Scratch scratch = scratches.get();
        check(sync(db, scratch.error()), scratch);
    }

    @Override
    public void compact(long db) {
        Scratch scratch = scratches.get();
        check(compact(db, scratch.error()), scratch);
    }

    @Override
    public void verify(long db) {
        Scratch scratch = scratches.get();
        scratch.memory.putLong(Scratch.OUT_AT, 0);
        if (verify(db, scratch.out(0), scratch.error()) != OK) {
            throw scratch.failure(scratch.number(0));
        }
    }

    @Override
    public long[] stats(long db) {
        Scratch scratch = scratches.get();
        scratch.memory.putInt(Scratch.OUT_AT, STATS_LEN);
        check(statsGet(db, scratch.out(0), scratch.error()), scratch);
        long[] figures = new long[Stats.COUNT];
        for (int n = 0; n < figures.length; n++) {
            figures[n] = scratch.number(n + 1);
        }
        return figures;
    }

    @Override
    public long cursorOpen(long db, byte[] prefix) {
        Scratch scratch = with(prefix);
        check(cursorOpen(db, scratch.data(0), prefix.length, scratch.out(0), scratch.error()), scratch);
        return scratch.number(0);
    }

    @Override
    public Entry cursorNext(long cursor) {
        Scratch scratch = scratches.get();
        int status = cursorNext(cursor, scratch.out(0), scratch.out(1), scratch.out(2), scratch.out(3), scratch.error());
        if (status == DONE) {
            return null;
        }
        check(status, scratch);
        return new Entry(bytesAt(scratch.number(0), scratch.number(1)), bytesAt(scratch.number(2), scratch.number(3)));
    }

    @Override
    public void writePacked(long db, byte[] ops, int len, int flags) {
        Scratch scratch = scratchFor(len);
        scratch.memory.put(Scratch.DATA_AT, ops, 0, len);
        check(writePacked(db, scratch.data(0), len, flags, 0, scratch.error()), scratch);
    }

    @Override
    public int getManyPacked(long db, byte[] keys, int from, byte[] out) {
        int len = keys.length - from;
        Scratch scratch = scratchFor((long) len + out.length);
        scratch.memory.put(Scratch.DATA_AT, keys, from, len);
        int status = getManyPacked(
                db, scratch.data(0), len, scratch.data(len), out.length, scratch.out(0), scratch.out(1), scratch.error());
        if (status != BUFFER_TOO_SMALL) {
            check(status, scratch);
        }
        scratch.memory.get(Scratch.DATA_AT + len, out, 0, (int) scratch.number(0));
        return (int) scratch.number(1);
    }

    @Override
    public View view(long db, byte[] key) {
        Scratch scratch = with(key);
        if (!isFound(getView(db, scratch.data(0), key.length, scratch.out(0), scratch.error()), scratch)) {
            return null;
        }
        byte[] filled = new byte[VIEW_LEN];
        scratch.memory.get(Scratch.OUT_AT, filled);
        return viewOf(filled, scratch.number(0), scratch.number(1), scratch.number(2), scratch.number(3));
    }
}
