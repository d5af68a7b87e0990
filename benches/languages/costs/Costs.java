import dev.larder.Batch;
import dev.larder.Store;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The border of Java: Costs COUNT DIRECTORY. What it does and prints is in costs.h; every language does the same. */
class Costs {
    private static final int GROUP = 32;
    // More rounds than elsewhere: the first ones are interpreted.
    private static final int ROUNDS = 40;
    private static final double[] BEST = {Double.MAX_VALUE, Double.MAX_VALUE, Double.MAX_VALUE};

    private static void measure(int what, int count, Runnable work) {
        long start = System.nanoTime();
        work.run();
        BEST[what] = Math.min(BEST[what], (double) (System.nanoTime() - start) / count);
    }

    public static void main(String[] arguments) {
        int count = Integer.parseInt(arguments[0]) / GROUP * GROUP;
        byte[][] keys = new byte[count][];
        List<byte[]> shuffled = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            keys[n] = String.format("%016d", n).getBytes(StandardCharsets.US_ASCII);
        }
        for (int n = 0; n < count; n++) {
            shuffled.add(keys[(int) (n * 2654435761L % count)]);
        }
        byte[] value = new byte[100];
        try (Store db = Store.open(Path.of(arguments[1]), Map.of("sync", "none"))) {
            for (int round = 0; round < ROUNDS; round++) {
                measure(2, count, () -> {
                    Batch batch = db.batch();
                    for (int n = 0; n < count; n++) {
                        batch.set(keys[n], value);
                        if (n % GROUP == GROUP - 1) {
                            batch.write();
                        }
                    }
                });
                measure(0, count, () -> {
                    for (byte[] key : shuffled) {
                        if (db.get(key).length != value.length) {
                            throw new IllegalStateException("another value");
                        }
                    }
                });
                measure(1, count, () -> {
                    for (int n = 0; n < count; n += GROUP) {
                        if (db.getMany(shuffled.subList(n, n + GROUP)).get(GROUP - 1).length != value.length) {
                            throw new IllegalStateException("another value");
                        }
                    }
                });
            }
        }
        String name = Store.backend().equals("ffm") ? "Java,FFM" : "Java,JNA";
        System.out.printf("%s %.0f %.0f %.0f%n", name, BEST[0], BEST[1], BEST[2]);
    }
}
