package dev.larder;

import java.time.Duration;

/** How {@link Store#set(byte[], byte[], SetOptions)} sets. Each method returns options of its own. */
public record SetOptions(Duration ttl, boolean keepTtl, boolean ifAbsent, boolean ifPresent, boolean sync) {
    private static final SetOptions PLAIN = new SetOptions(Duration.ZERO, false, false, false, false);

    /** No expiry and no condition. */
    public static SetOptions plain() {
        return PLAIN;
    }

    /** To expire in {@code ttl} from the call, rounded up to a whole millisecond. Zero and FOREVER are no expiry. */
    public SetOptions withTtl(Duration ttl) {
        return new SetOptions(ttl, false, ifAbsent, ifPresent, sync);
    }

    /** With the expiry that the key has, none if it is not live. */
    public SetOptions withKeptTtl() {
        return new SetOptions(Duration.ZERO, true, ifAbsent, ifPresent, sync);
    }

    /** Only if the key is not live. */
    public SetOptions onlyIfAbsent() {
        return new SetOptions(ttl, keepTtl, true, ifPresent, sync);
    }

    /** Only if the key is live. */
    public SetOptions onlyIfPresent() {
        return new SetOptions(ttl, keepTtl, ifAbsent, true, sync);
    }

    /** Durable when the call returns, whatever the store's sync mode. */
    public SetOptions synced() {
        return new SetOptions(ttl, keepTtl, ifAbsent, ifPresent, true);
    }

    int flags() {
        return (ifAbsent ? Native.IF_ABSENT : 0) | (ifPresent ? Native.IF_PRESENT : 0) | (sync ? Native.SYNC : 0);
    }

    long ttlMs() {
        return keepTtl ? -1 : millisOf(ttl, 0);
    }

    /** Milliseconds, rounded up; {@code forever} for FOREVER. What is negative stays so, and is never -1. */
    static long millisOf(Duration ttl, long forever) {
        if (ttl.equals(Store.FOREVER)) {
            return forever;
        }
        if (ttl.isNegative()) {
            return Math.min(-2, ttl.toMillis());
        }
        return ttl.plusNanos(999_999).toMillis();
    }
}
