package dev.larder;

import java.nio.ByteBuffer;

/**
 * A value in place: no copy, readable through overwrite, delete, compaction and close of the store, until it is closed.
 * What it pins cannot be reclaimed until then. For one thread at a time.
 */
public abstract class View implements AutoCloseable {
    private final long version;
    private final long expiresAtMs;

    View(long version, long expiresAtMs) {
        this.version = version;
        this.expiresAtMs = expiresAtMs;
    }

    /**
     * The bytes, read only. With the foreign function API they are in place, and reading them after the close is an
     * IllegalStateException; over JNA, which could not promise that, this is a copy.
     */
    public abstract ByteBuffer buffer();

    /** A copy of the bytes. */
    public byte[] toByteArray() {
        ByteBuffer bytes = buffer();
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return copy;
    }

    /** The record's sequence number. */
    public long version() {
        return version;
    }

    /** When it expires, Unix milliseconds; 0 without expiry. */
    public long expiresAtMs() {
        return expiresAtMs;
    }

    /** Gives the view back. A second close does nothing. */
    @Override
    public abstract void close();
}
