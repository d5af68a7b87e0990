package dev.larder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The conformance vectors of tests/vectors through this package; their README has the verbs. One case at a time. */
final class Vectors {
    private static final Path FILE = Path.of("..", "..", "tests", "vectors", "vectors.jsonl");

    /** The verbs that this package has no way to say, with the reason. */
    static final Map<String, String> LEFT_OUT = Map.of(
            "close_again", "close() may be called twice, as AutoCloseable asks",
            "write_packed", "Batch writes the packed form, nobody writes it by hand");

    private final Path directory;
    private final Map<String, Store> stores = new HashMap<>();
    private final Map<String, Cursor> cursors = new HashMap<>();
    private final Map<String, View> views = new HashMap<>();
    private long version;

    Vectors(Path directory) {
        this.directory = directory;
    }

    /** Name and steps of each case. */
    static Map<String, List<JsonObject>> cases() throws IOException {
        Map<String, List<JsonObject>> cases = new LinkedHashMap<>();
        List<JsonObject> steps = null;
        for (String line : Files.readAllLines(FILE)) {
            if (line.isBlank()) {
                continue;
            }
            JsonObject entry = JsonParser.parseString(line).getAsJsonObject();
            if (entry.has("case")) {
                steps = new ArrayList<>();
                cases.put(entry.get("case").getAsString(), steps);
            } else {
                steps.add(entry);
            }
        }
        return cases;
    }

    int run(List<JsonObject> steps) throws Exception {
        int counted = 0;
        try {
            for (JsonObject step : steps) {
                if (LEFT_OUT.containsKey(step.get("do").getAsString())) {
                    continue;
                }
                try {
                    judge(step);
                } catch (AssertionError wrong) {
                    String text = step.toString();
                    throw new AssertionError(text.substring(0, Math.min(200, text.length())) + ": " + wrong.getMessage(), wrong);
                }
                counted++;
            }
        } finally {
            cursors.values().forEach(Cursor::close);
            views.values().forEach(View::close);
            stores.values().forEach(Store::close);
        }
        return counted;
    }

    private void judge(JsonObject step) throws Exception {
        String status;
        LarderException failure = null;
        try {
            status = carryOut(step);
        } catch (LarderException caught) {
            failure = caught;
            status = "LARDER_" + caught.status();
        }
        List<String> wanted = new ArrayList<>();
        if (!step.has("status")) {
            wanted.add("LARDER_OK");
        } else if (step.get("status").isJsonArray()) {
            step.getAsJsonArray("status").forEach(each -> wanted.add(each.getAsString()));
        } else {
            wanted.add(step.get("status").getAsString());
        }
        assertTrue(wanted.contains(status), status + ": " + failure);
        if (step.has("message")) {
            for (JsonElement word : step.getAsJsonArray("message")) {
                assertTrue(failure.getMessage().contains(word.getAsString()), failure.getMessage());
            }
        }
        if (step.has("os_errno")) {
            assertEquals(step.get("os_errno").getAsInt(), failure.osErrno());
        }
        if (step.has("offset")) {
            assertTrue(failure.offset() > 0, "no offset");
        }
        if (step.get("do").getAsString().equals("verify") && step.has("bad_records")) {
            assertEquals(step.get("bad_records").getAsLong(), failure == null ? 0 : failure.badRecords());
        }
    }

    private static String name(JsonObject step, String key, String missing) {
        return step.has(key) ? step.get(key).getAsString() : missing;
    }

    private static byte[] bytes(JsonElement value) {
        if (value.isJsonNull()) {
            return null;
        }
        String text = value.getAsString();
        if (text.startsWith("hex:")) {
            return HexFormat.of().parseHex(text.substring(4));
        }
        if (text.startsWith("repeat:")) {
            String[] parts = text.substring(7).split("\\*");
            byte[] unit = HexFormat.of().parseHex(parts[0]);
            byte[] all = new byte[unit.length * Integer.parseInt(parts[1])];
            for (int at = 0; at < all.length; at += unit.length) {
                System.arraycopy(unit, 0, all, at, unit.length);
            }
            return all;
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String yes(boolean found) {
        return found ? "LARDER_OK" : "LARDER_NOT_FOUND";
    }

    private String carryOut(JsonObject step) throws Exception {
        String verb = step.get("do").getAsString();
        Store db = stores.get(name(step, "on", "db"));
        byte[] key = step.has("key") ? bytes(step.get("key")) : null;
        byte[] value = step.has("value") ? bytes(step.get("value")) : null;
        switch (verb) {
            case "version" -> {
                int n = Store.libraryVersionNumber();
                assertEquals((n >> 16) + "." + (n >> 8 & 255) + "." + (n & 255), Store.libraryVersion());
                assertEquals(step.get("abi").getAsInt(), Store.abiVersion());
            }
            case "status_name" -> assertEquals(step.get("name").getAsString(), Store.statusName(step.get("number").getAsInt()));
            case "sleep" -> Thread.sleep(step.get("ms").getAsLong());
            case "write_file" -> {
                Path file = directory.resolve(step.get("at").getAsString());
                Files.createDirectories(file.getParent());
                Files.write(file, value);
            }
            case "flip" -> flip(step);
            case "open" -> open(step);
            case "close" -> db.close();
            case "set" -> db.set(key, value);
            case "get" -> {
                byte[] found = db.get(key);
                if (found == null) {
                    return "LARDER_NOT_FOUND";
                }
                assertArrayEquals(value, found);
            }
            case "get_into" -> {
                return getInto(db, key, value, step);
            }
            case "exists" -> {
                return yes(db.contains(key));
            }
            case "del" -> {
                return yes(db.delete(key));
            }
            case "set_with" -> {
                return setWith(db, key, value, step);
            }
            case "ttl" -> {
                return ttl(db, key, step);
            }
            case "expire" -> {
                return yes(db.expire(key, ttlOf(step.get("ttl_ms").getAsLong())));
            }
            case "len" -> {
                long size = db.size();
                assertEquals(step.get("count").getAsLong(), size);
            }
            case "sync" -> db.sync();
            case "compact" -> db.compact();
            case "verify" -> db.verify();
            case "stats" -> stats(db, step);
            case "scan" -> scan(db, step);
            case "cursor_open" -> cursors.put(name(step, "as", "cursor"), db.scan(bytes(step.get("prefix"))));
            case "cursor_next" -> {
                return cursorNext(step);
            }
            case "cursor_close" -> cursors.remove(name(step, "on", "cursor")).close();
            case "view" -> {
                View view = db.view(key);
                if (view == null) {
                    return "LARDER_NOT_FOUND";
                }
                views.put(name(step, "as", "view"), view);
                assertArrayEquals(value, view.toByteArray());
            }
            case "view_check" -> assertArrayEquals(value, views.get(name(step, "on", "view")).toByteArray());
            case "view_release" -> views.remove(name(step, "on", "view")).close();
            case "batch" -> batch(db, step);
            case "get_many" -> getMany(db, step);
            default -> throw new AssertionError("a verb that is not known");
        }
        return "LARDER_OK";
    }

    private void flip(JsonObject step) throws IOException {
        String wanted = new String(bytes(step.get("find")), StandardCharsets.ISO_8859_1);
        try (Stream<Path> files = Files.list(directory.resolve(step.get("at").getAsString()))) {
            for (Path file : files.filter(each -> each.toString().endsWith(".seg")).toList()) {
                byte[] content = Files.readAllBytes(file);
                int at = new String(content, StandardCharsets.ISO_8859_1).indexOf(wanted);
                if (at >= 0) {
                    content[at] ^= 1;
                    Files.write(file, content);
                    return;
                }
            }
        }
        throw new AssertionError("no segment has these bytes");
    }

    private void open(JsonObject step) {
        Map<String, String> options = new LinkedHashMap<>();
        if (step.has("options")) {
            for (JsonElement option : step.getAsJsonArray("options")) {
                options.put(option.getAsJsonArray().get(0).getAsString(), option.getAsJsonArray().get(1).getAsString());
            }
        }
        String location = step.has("location")
                ? step.get("location").getAsString()
                : directory.resolve(step.get("at").getAsString()).toString();
        stores.put(name(step, "as", "db"), Store.open(location, options));
    }

    private static String getInto(Store db, byte[] key, byte[] value, JsonObject step) {
        int capacity = step.get("capacity").getAsInt();
        String status = null;
        for (ByteBuffer target : List.of(ByteBuffer.allocate(capacity + 2), ByteBuffer.allocateDirect(capacity + 2))) {
            target.position(1).limit(capacity + 1);
            long len = db.get(key, target);
            status = len < 0 ? "LARDER_NOT_FOUND" : len > capacity ? "LARDER_BUFFER_TOO_SMALL" : "LARDER_OK";
            byte[] found = new byte[target.position() - 1];
            target.get(1, found);
            if (status.equals("LARDER_OK")) {
                assertArrayEquals(value, found);
            } else {
                assertEquals(0, found.length, "the target was moved");
                assertEquals(len < 0 ? -1 : step.get("need").getAsLong(), len);
            }
        }
        return status;
    }

    private static Duration ttlOf(long ttlMs) {
        return ttlMs == -1 ? Store.FOREVER : Duration.ofMillis(ttlMs);
    }

    private String setWith(Store db, byte[] key, byte[] value, JsonObject step) {
        long ttlMs = step.get("ttl_ms").getAsLong();
        SetOptions options = ttlMs == -1 ? SetOptions.plain().withKeptTtl() : SetOptions.plain().withTtl(ttlOf(ttlMs));
        for (JsonElement flag : step.getAsJsonArray("flags")) {
            options = switch (flag.getAsString()) {
                case "if_absent" -> options.onlyIfAbsent();
                case "if_present" -> options.onlyIfPresent();
                default -> options.synced();
            };
        }
        var set = db.set(key, value, options);
        if (set.isEmpty()) {
            return options.ifAbsent() ? "LARDER_EXISTS" : "LARDER_NOT_FOUND";
        }
        assertTrue(!step.has("version") || set.getAsLong() > version, "the version fell");
        version = set.getAsLong();
        return "LARDER_OK";
    }

    private static String ttl(Store db, byte[] key, JsonObject step) {
        var left = db.ttl(key);
        if (left.isEmpty()) {
            return "LARDER_NOT_FOUND";
        }
        long ttlMs = left.get().equals(Store.FOREVER) ? -1 : left.get().toMillis();
        if (step.has("ttl_ms")) {
            assertEquals(step.get("ttl_ms").getAsLong(), ttlMs);
        }
        if (step.has("at_least_ms")) {
            assertTrue(ttlMs >= step.get("at_least_ms").getAsLong() && ttlMs <= step.get("at_most_ms").getAsLong(), "" + ttlMs);
        }
        return "LARDER_OK";
    }

    private static void stats(Store db, JsonObject step) throws ReflectiveOperationException {
        Stats stats = db.stats();
        for (var figure : step.getAsJsonObject("figures").entrySet()) {
            assertEquals(figure.getValue().getAsLong(), Stats.class.getMethod(camel(figure.getKey())).invoke(stats), figure.getKey());
        }
    }

    static String camel(String name) {
        StringBuilder camel = new StringBuilder();
        for (String word : name.split("_")) {
            camel.append(camel.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
        }
        return camel.toString();
    }

    private static String pair(byte[] key, byte[] value) {
        return HexFormat.of().formatHex(key) + "=" + HexFormat.of().formatHex(value);
    }

    private static List<String> pairs(JsonArray pairs) {
        List<String> all = new ArrayList<>();
        pairs.forEach(each -> all.add(pair(bytes(each.getAsJsonArray().get(0)), bytes(each.getAsJsonArray().get(1)))));
        return all.stream().sorted().toList();
    }

    private static void scan(Store db, JsonObject step) {
        List<String> found = new ArrayList<>();
        try (Cursor cursor = db.scan(bytes(step.get("prefix")))) {
            cursor.forEachRemaining(entry -> found.add(pair(entry.key(), entry.value())));
        }
        assertTrue(pairs(step.getAsJsonArray("pairs")).equals(found.stream().sorted().toList()), found.size() + " other pairs");
    }

    private String cursorNext(JsonObject step) {
        Cursor cursor = cursors.get(name(step, "on", "cursor"));
        if (!cursor.hasNext()) {
            return "LARDER_DONE";
        }
        Entry entry = cursor.next();
        assertTrue(pairs(step.getAsJsonArray("one_of")).contains(pair(entry.key(), entry.value())), "another pair");
        return "LARDER_OK";
    }

    private static void batch(Store db, JsonObject step) {
        Batch batch = db.batch();
        for (JsonElement each : step.getAsJsonArray("ops")) {
            JsonArray op = each.getAsJsonArray();
            byte[] key = bytes(op.get(1));
            if (op.get(0).getAsString().equals("del")) {
                batch.delete(key);
            } else if (op.size() == 3) {
                batch.set(key, bytes(op.get(2)));
            } else if (op.get(3).getAsLong() == -1) {
                batch.setKeepingTtl(key, bytes(op.get(2)));
            } else {
                batch.set(key, bytes(op.get(2)), Duration.ofMillis(op.get(3).getAsLong()));
            }
        }
        if (step.has("sync")) {
            batch.writeSync();
        } else {
            batch.write();
        }
        assertEquals(0, batch.size());
    }

    private static void getMany(Store db, JsonObject step) {
        List<byte[]> keys = new ArrayList<>();
        step.getAsJsonArray("keys").forEach(key -> keys.add(bytes(key)));
        List<byte[]> values = db.getMany(keys);
        JsonArray wanted = step.getAsJsonArray("values");
        assertEquals(wanted.size(), values.size());
        for (int n = 0; n < values.size(); n++) {
            assertTrue(Arrays.equals(bytes(wanted.get(n)), values.get(n)), "value " + n);
        }
    }
}
