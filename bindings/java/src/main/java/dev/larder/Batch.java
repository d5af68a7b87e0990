package dev.larder;

import java.time.Duration;

/** Sets and deletes that happen together: all of them or none. One buffer, one call; for one thread at a time. */
public final class Batch {
    private static final byte[] NOTHING = {};

    private final Store store;
    private final Packed ops = new Packed();
    private int count;

    Batch(Store store) {
        this.store = store;
    }

    public Batch set(byte[] key, byte[] value) {
        return add(Packed.SET, key, value, 0);
    }

    /** To expire in {@code ttl} from the write on. */
    public Batch set(byte[] key, byte[] value, Duration ttl) {
        return add(Packed.SET, key, value, SetOptions.millisOf(ttl, 0));
    }

    /** With the expiry that the key has when the batch is written. */
    public Batch setKeepingTtl(byte[] key, byte[] value) {
        return add(Packed.SET, key, value, -1);
    }

    /** The key need not be there. */
    public Batch delete(byte[] key) {
        return add(Packed.DELETE, key, NOTHING, 0);
    }

    /** How many operations there are. */
    public int size() {
        return count;
    }

    /** Forgets the operations. */
    public void clear() {
        ops.clear();
        count = 0;
    }

    /** Carries the batch out and empties it. After a failure nothing was changed, and the batch is as it was. */
    public void write() {
        write(0);
    }

    /** The same, durable when it returns. */
    public void writeSync() {
        write(Native.SYNC);
    }

    private void write(int flags) {
        Library.NATIVE.writePacked(store.handle(), ops.array(), ops.len(), flags);
        clear();
    }

    private Batch add(int op, byte[] key, byte[] value, long ttlMs) {
        ops.op(op, key, value, ttlMs);
        count++;
        return this;
    }
}
