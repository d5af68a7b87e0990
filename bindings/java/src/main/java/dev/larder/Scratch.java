package dev.larder;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Memory outside the heap for one call: the error, a few outputs, and the bytes that go in and out. A thread keeps one;
 * what does not fit gets one of its own. Whoever passes its address on keeps it reachable until the call is over.
 */
final class Scratch {
    static final int ERROR_AT = 0;
    static final int OUT_AT = Native.ERROR_LEN;
    static final int OUT_LEN = 192;
    static final int DATA_AT = OUT_AT + OUT_LEN;
    static final int DATA_LEN = 160 * 1024;

    final ByteBuffer memory;
    final long address;

    Scratch(int dataLen, Calls calls) {
        memory = ByteBuffer.allocateDirect(Math.addExact(DATA_AT, dataLen)).order(ByteOrder.nativeOrder());
        address = calls.addressOf(memory);
    }

    int capacity() {
        return memory.capacity() - DATA_AT;
    }

    long error() {
        return address + ERROR_AT;
    }

    /** The n-th output, 8 bytes each. */
    long out(int n) {
        return address + OUT_AT + 8L * n;
    }

    long number(int n) {
        return memory.getLong(OUT_AT + 8 * n);
    }

    /** Where data begins {@code at} bytes behind the first. */
    long data(int at) {
        return address + DATA_AT + at;
    }

    void put(int at, byte[] bytes) {
        memory.put(DATA_AT + at, bytes);
    }

    byte[] bytes(int at, int len) {
        byte[] bytes = new byte[len];
        memory.get(DATA_AT + at, bytes);
        return bytes;
    }

    LarderException failure(long badRecords) {
        int len = 0;
        while (memory.get(Native.ERROR_MESSAGE_AT + len) != 0) {
            len++;
        }
        byte[] message = new byte[len];
        memory.get(Native.ERROR_MESSAGE_AT, message);
        return new LarderException(
                memory.getInt(ERROR_AT),
                memory.getInt(Native.ERROR_ERRNO_AT),
                memory.getLong(Native.ERROR_OFFSET_AT),
                new String(message, StandardCharsets.UTF_8),
                badRecords);
    }
}
