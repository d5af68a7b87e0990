package dev.larder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the package promises beyond the vectors. */
class StoreTest {
    @TempDir
    Path scratch;

    private Store db;

    @BeforeEach
    void open() {
        db = Store.open(scratch.resolve("store"), Map.of("sync", "none"));
    }

    @AfterEach
    void close() {
        db.close();
    }

    private static byte[] b(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Status statusOf(Runnable call) {
        return assertThrows(LarderException.class, call::run).status();
    }

    @Test
    void theBackendIsTheOneThatWasAskedFor() {
        String wanted = System.getProperty("larder.backend");
        if (wanted != null && !wanted.isEmpty()) {
            assertEquals(wanted, Store.backend());
        }
    }

    @Test
    void valuesOfEverySizeAroundTheBuffersComeBack() {
        for (int len : new int[] {0, 1, 65_519, 65_520, 65_521, 65_536, 163_839, 163_840, 163_841, 1_000_000}) {
            byte[] value = new byte[len];
            Arrays.fill(value, (byte) len);
            db.set(b("k"), value);
            assertArrayEquals(value, db.get(b("k")), "get " + len);
            List<byte[]> many = db.getMany(List.of(b("none"), b("k"), b("k")));
            assertNull(many.get(0));
            assertArrayEquals(value, many.get(1), "getMany " + len);
            assertArrayEquals(value, many.get(2), "getMany " + len);
            try (Cursor cursor = db.scan()) {
                assertArrayEquals(value, cursor.next().value(), "scan " + len);
            }
            Batch batch = db.batch().set(b("batched"), value).delete(b("batched"));
            batch.write();
        }
    }

    @Test
    void buffersAreReadFromTheirPositionsAndFilledAtThem() {
        ByteBuffer key = ByteBuffer.wrap(b("xkey")).position(1);
        ByteBuffer value = ByteBuffer.allocateDirect(8).put(b("a value!")).position(2);
        db.set(key, value);
        assertEquals(1, key.position());
        assertArrayEquals(b("value!"), db.get(b("key")));
        for (ByteBuffer target : List.of(ByteBuffer.allocate(10), ByteBuffer.allocateDirect(10))) {
            target.position(3);
            assertEquals(6, db.get(b("key"), target));
            assertEquals(9, target.position());
            assertEquals('v', target.get(3));
            assertEquals(6, db.get(b("key"), target));
            assertEquals(9, target.position(), "one byte is too few");
            assertEquals(-1, db.get(b("none"), target));
        }
        assertThrows(ReadOnlyBufferException.class, () -> db.get(b("key"), ByteBuffer.allocate(10).asReadOnlyBuffer()));
    }

    @Test
    void aViewIsReadableUntilItIsClosedAndNotAfter() {
        db.set(b("k"), b("pinned"));
        View view = db.view(b("k"));
        ByteBuffer early = view.buffer();
        assertTrue(early.isReadOnly());
        db.set(b("k"), b("other"));
        db.close();
        assertArrayEquals(b("pinned"), view.toByteArray());
        assertTrue(view.version() > 0);
        assertEquals(0, view.expiresAtMs());
        view.close();
        view.close();
        assertThrows(IllegalStateException.class, view::buffer);
        if (Store.backend().equals("ffm")) {
            assertThrows(IllegalStateException.class, () -> early.get(0));
        } else {
            assertEquals('p', early.get(0));
        }
    }

    @Test
    void aCursorIsAnIteratorThatCanBeLeftAndOutlivesItsStore() {
        db.set(b("a"), b("1"));
        db.set(b("b"), b("2"));
        try (Cursor cursor = db.scan(b("a"))) {
            assertTrue(cursor.hasNext() && cursor.hasNext());
            assertArrayEquals(b("1"), cursor.next().value());
            assertFalse(cursor.hasNext());
            assertThrows(NoSuchElementException.class, cursor::next);
        }
        Cursor left = db.scan();
        left.close();
        left.close();
        assertFalse(left.hasNext());
        Cursor late = db.scan();
        db.close();
        assertEquals(Status.CLOSED, statusOf(late::hasNext));
        late.close();
    }

    @Test
    void timesToLiveAreRoundedUpAndNeverForEverByAccident() {
        db.set(b("k"), b("v"), SetOptions.plain().withTtl(Duration.ofNanos(1)));
        assertTrue(db.ttl(b("k")).isEmpty() || db.ttl(b("k")).get().compareTo(Duration.ofSeconds(1)) < 0);
        db.set(b("l"), b("v"), SetOptions.plain().withTtl(Duration.ofDays(100_000)));
        assertTrue(db.ttl(b("l")).get().compareTo(Duration.ofDays(99_999)) > 0);
        db.set(b("l"), b("w"), SetOptions.plain().withTtl(Store.FOREVER));
        assertEquals(Store.FOREVER, db.ttl(b("l")).get());
        assertEquals(Status.INVALID_ARGUMENT, statusOf(() -> db.expire(b("l"), Duration.ofNanos(-1))));
        assertEquals(Status.INVALID_ARGUMENT, statusOf(() -> db.expire(b("l"), Duration.ofMillis(-1))));
        assertEquals(Store.FOREVER, db.ttl(b("l")).get());
    }

    @Test
    void aRefusedBatchStaysAsItIs() {
        Batch batch = db.batch().set(b("a"), b("1")).set(new byte[65_536], b("2"));
        assertEquals(Status.TOO_LARGE, statusOf(batch::write));
        assertEquals(2, batch.size());
        assertFalse(db.contains(b("a")));
        batch.clear();
        batch.set(b("a"), b("1")).write();
        assertTrue(db.contains(b("a")));
    }

    @Test
    void anExceptionSaysAllThatIsKnown() {
        LarderException busy = assertThrows(LarderException.class, () -> Store.open(scratch.resolve("store")));
        assertEquals(Status.BUSY, busy.status());
        assertEquals(102, busy.number());
        assertTrue(busy.getMessage().contains("" + ProcessHandle.current().pid()), busy.getMessage());
        assertTrue(busy.toString().contains("LARDER_BUSY"));
        LarderException missing = assertThrows(LarderException.class, () -> Store.open(scratch.resolve("no").resolve("store")));
        assertEquals(Status.IO, missing.status());
        assertEquals(2, missing.osErrno());
        assertThrows(IllegalArgumentException.class, () -> Store.open("a\0b", Map.of()));
        assertThrows(NullPointerException.class, () -> db.get((byte[]) null));
    }

    @Test
    void everyCallOnAClosedStoreSaysSo() {
        db.close();
        db.close();
        for (Runnable call : List.<Runnable>of(
                () -> db.get(b("k")), () -> db.set(b("k"), b("v")), db::size, db::sync, db::stats, db::scan, () -> db.view(b("k")))) {
            assertEquals(Status.CLOSED, statusOf(call));
        }
    }

    @Test
    void threadsShareAStore() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Callable<Integer>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            String name = "t" + t + "/";
            tasks.add(() -> {
                List<byte[]> keys = new ArrayList<>();
                for (int n = 0; n < 500; n++) {
                    keys.add(b(name + n));
                    db.set(keys.get(n), b("" + n));
                }
                List<byte[]> values = db.getMany(keys);
                for (int n = 0; n < 500; n++) {
                    assertArrayEquals(b("" + n), values.get(n));
                    assertArrayEquals(b("" + n), db.get(keys.get(n)));
                }
                return values.size();
            });
        }
        for (Future<Integer> done : threads.invokeAll(tasks)) {
            assertEquals(500, done.get());
        }
        threads.shutdown();
        assertEquals(2000, db.size());
    }

    @Test
    void aCloseBesideReadersIsSeenByEachAsClosed() throws Exception {
        db.set(b("k"), b("v"));
        ExecutorService threads = Executors.newFixedThreadPool(3);
        List<Future<Status>> readers = new ArrayList<>();
        for (int t = 0; t < 3; t++) {
            readers.add(threads.submit(() -> {
                while (true) {
                    try {
                        assertArrayEquals(b("v"), db.get(b("k")));
                    } catch (LarderException failure) {
                        return failure.status();
                    }
                }
            }));
        }
        Thread.sleep(50);
        db.close();
        for (Future<Status> reader : readers) {
            assertEquals(Status.CLOSED, reader.get());
        }
        threads.shutdown();
    }

    @Test
    void whatAKilledProcessWasToldIsKept() throws Exception {
        Path killed = scratch.resolve("killed");
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java"));
        command.addAll(List.of("-Dlarder.backend=" + Store.backend(), "-cp", System.getProperty("java.class.path")));
        command.addAll(List.of(Killed.class.getName(), killed.toString()));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        assertEquals(137, process.waitFor());
        try (Store again = Store.open(killed)) {
            assertEquals(100, again.size());
        }
    }

    /** Writes, and kills its own process. */
    static final class Killed {
        public static void main(String[] arguments) {
            Store db = Store.open(Path.of(arguments[0]), Map.of("sync", "none"));
            for (int n = 0; n < 100; n++) {
                db.set(b("k" + n), b("v" + n));
            }
            ProcessHandle.of(ProcessHandle.current().pid()).ifPresent(own -> {
                try {
                    new ProcessBuilder("kill", "-9", "" + own.pid()).start().waitFor();
                } catch (IOException | InterruptedException failure) {
                    throw new IllegalStateException(failure);
                }
            });
        }
    }

    @Test
    void statusesAndFiguresAreThoseOfTheHeader() throws IOException {
        JsonObject api = JsonParser.parseString(Files.readString(Path.of("..", "..", "include", "larder.api.json"))).getAsJsonObject();
        int count = 0;
        for (var each : api.getAsJsonArray("statuses")) {
            String name = each.getAsJsonObject().get("name").getAsString().substring("LARDER_".length());
            assertEquals(each.getAsJsonObject().get("number").getAsInt(), Status.valueOf(name).number());
            count++;
        }
        assertEquals(count + 1, Status.values().length);
        List<String> figures = new ArrayList<>();
        for (var each : api.getAsJsonArray("structs")) {
            if (each.getAsJsonObject().get("name").getAsString().equals("larder_stats")) {
                each.getAsJsonObject().getAsJsonArray("fields").forEach(
                        field -> figures.add(Vectors.camel(field.getAsJsonObject().get("name").getAsString())));
            }
        }
        assertEquals(figures.subList(2, figures.size()), Stream.of(Stats.class.getRecordComponents()).map(c -> c.getName()).toList());
    }
}
