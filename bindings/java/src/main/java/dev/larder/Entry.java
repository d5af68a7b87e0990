package dev.larder;

/** A key and its value; both arrays are the caller's own. Equality is that of the arrays' identity. */
public record Entry(byte[] key, byte[] value) {}
