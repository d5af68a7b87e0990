package dev.larder;

import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * A walk over all live keys that begin with a prefix, in no order, each key that is live throughout once. Not a
 * snapshot. Close it, best with try; it is for one thread at a time.
 */
public final class Cursor implements Iterator<Entry>, AutoCloseable {
    private long handle;
    private Entry next;
    private boolean isDone;

    Cursor(long handle) {
        this.handle = handle;
    }

    /** Throws {@link Status#CLOSED} when the store is closed. */
    @Override
    public synchronized boolean hasNext() {
        if (next == null && !isDone && handle != 0) {
            next = Library.NATIVE.cursorNext(handle);
            isDone = next == null;
        }
        return next != null;
    }

    @Override
    public synchronized Entry next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        Entry entry = next;
        next = null;
        return entry;
    }

    @Override
    public synchronized void close() {
        if (handle != 0) {
            Library.NATIVE.cursorClose(handle);
            handle = 0;
            next = null;
        }
    }
}
