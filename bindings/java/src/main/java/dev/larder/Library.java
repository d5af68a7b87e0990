package dev.larder;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Where the library is, and which way calls take; both settled once, at the first use. */
final class Library {
    static final Native NATIVE = load();

    private Library() {}

    /**
     * The system property {@code larder.library}, the environment's LARDER_LIBRARY, the one that the jar carries, or
     * whatever the system finds.
     */
    private static String path() {
        String named = System.getProperty("larder.library", System.getenv("LARDER_LIBRARY"));
        if (named != null && !named.isEmpty()) {
            return Path.of(named).toAbsolutePath().toString();
        }
        String resource = "native/" + System.getProperty("os.arch") + "/liblarder.so";
        try (InputStream carried = Library.class.getResourceAsStream(resource)) {
            if (carried == null) {
                return "liblarder.so.0";
            }
            Path copy = Files.createTempFile("liblarder-", ".so");
            copy.toFile().deleteOnExit();
            Files.copy(carried, copy, StandardCopyOption.REPLACE_EXISTING);
            return copy.toString();
        } catch (IOException failure) {
            throw new UnsatisfiedLinkError("the library that the jar carries cannot be unpacked: " + failure);
        }
    }

    /** {@code larder.backend} says "ffm" or "jna"; without it the first where there is one. */
    private static Native load() {
        String wanted = System.getProperty("larder.backend", "");
        boolean hasFfm = Runtime.version().feature() >= 22
                && Library.class.getResource("FfmNative.class") != null;
        if (wanted.equals("ffm") && !hasFfm) {
            throw new UnsatisfiedLinkError("larder.backend=ffm needs Java 22, and a jar that was built with it");
        }
        Native found = hasFfm && !wanted.equals("jna") ? ffm(path()) : new JnaNative(path());
        if (found.abiVersion() != Native.ABI_VERSION) {
            throw new UnsatisfiedLinkError("the library has ABI " + found.abiVersion() + ", not " + Native.ABI_VERSION);
        }
        return found;
    }

    /** By name: the class is of Java 22, and this one of 17. */
    private static Native ffm(String path) {
        try {
            return (Native) Class.forName("dev.larder.FfmNative").getDeclaredConstructor(String.class).newInstance(path);
        } catch (ReflectiveOperationException failure) {
            throw new IllegalStateException(failure);
        }
    }
}
