import dev.larder.Cursor;
import dev.larder.Entry;
import dev.larder.SetOptions;
import dev.larder.Store;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/** The shortest tour in Java: java Tour [directory] */
class Tour {
    private static byte[] b(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) {
        try (Store db = Store.open(Path.of(arguments.length > 0 ? arguments[0] : "tour.larder"))) {
            db.set(b("greeting"), b("hello"));
            db.set(b("session"), b("anna"), SetOptions.plain().withTtl(Duration.ofMinutes(1)));
            db.batch().set(b("colour/red"), b("#f00")).set(b("colour/blue"), b("#00f")).write(); // all or none

            System.out.println(new String(db.get(b("greeting")), StandardCharsets.UTF_8) + " from larder " + Store.libraryVersion());
            System.out.println("session lives for " + db.ttl(b("session")).orElseThrow().toMillis() + " ms more");
            try (Cursor colours = db.scan(b("colour/"))) {
                while (colours.hasNext()) {
                    Entry entry = colours.next();
                    System.out.println(new String(entry.key(), StandardCharsets.UTF_8) + " = " + new String(entry.value(), StandardCharsets.UTF_8));
                }
            }
            System.out.println(db.contains(b("nothing")) + " " + db.size());
        }
    }
}
