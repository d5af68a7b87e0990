package dev.larder;

/** The figures of one store at one moment; {@code larder_stats} in larder.h says what each is. */
public record Stats(
        long keys,
        long liveBytes,
        long deadBytes,
        long fileBytes,
        long segments,
        long mappedBytes,
        long indexBytes,
        long pinnedViews,
        long gets,
        long hits,
        long sets,
        long dels,
        long expired,
        long syncs,
        long compactions,
        long compactedBytes) {

    /** How many figures there are, each a u64 behind the struct's first 8 bytes. */
    static final int COUNT = 16;

    static Stats of(long[] f) {
        return new Stats(f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11], f[12], f[13], f[14], f[15]);
    }
}
