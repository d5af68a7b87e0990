package dev.larder;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A packed buffer of larder.h that grows: little-endian, each entry padded with zeros to a multiple of 8. */
final class Packed {
    static final int OP_HEAD_LEN = 24;
    static final int KEY_HEAD_LEN = 4;
    static final int ANSWER_HEAD_LEN = 16;
    static final int SET = 1;
    static final int DELETE = 2;

    private ByteBuffer bytes = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);

    static int padded(int len) {
        return Math.addExact(len, 7) & ~7;
    }

    void op(int op, byte[] key, byte[] value, long ttlMs) {
        ByteBuffer at = room(Math.addExact(Math.addExact(OP_HEAD_LEN, key.length), value.length));
        at.putInt(op).putInt(key.length).putLong(value.length).putLong(ttlMs).put(key).put(value);
        pad();
    }

    void key(byte[] key) {
        room(Math.addExact(KEY_HEAD_LEN, key.length)).putInt(key.length).put(key);
        pad();
    }

    byte[] array() {
        return bytes.array();
    }

    int len() {
        return bytes.position();
    }

    void clear() {
        bytes.clear();
    }

    private ByteBuffer room(int len) {
        int wanted = Math.addExact(bytes.position(), padded(len));
        if (wanted > bytes.capacity()) {
            int position = bytes.position();
            int capacity = (int) Math.min(Integer.MAX_VALUE - 8L, Math.max(wanted, 2L * bytes.capacity()));
            bytes = ByteBuffer.wrap(Arrays.copyOf(bytes.array(), capacity)).order(ByteOrder.LITTLE_ENDIAN).position(position);
        }
        return bytes;
    }

    private void pad() {
        while (bytes.position() % 8 != 0) {
            bytes.put((byte) 0);
        }
    }
}
