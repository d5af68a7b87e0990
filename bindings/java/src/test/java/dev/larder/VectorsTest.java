package dev.larder;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Every conformance vector, one test per case. */
class VectorsTest {
    @TempDir
    Path scratch;

    @TestFactory
    Stream<DynamicTest> everyVectorHolds() throws IOException {
        return Vectors.cases().entrySet().stream()
                .map(each -> DynamicTest.dynamicTest(each.getKey(), () -> {
                    Path directory = Files.createTempDirectory(scratch, "case");
                    assertTrue(new Vectors(directory).run(each.getValue()) > 0);
                }));
    }

    @Test
    void whatIsLeftOutIsAVerbOfTheVectors() throws IOException {
        var cases = Vectors.cases();
        assertTrue(cases.size() > 20);
        Set<String> verbs = cases.values().stream()
                .flatMap(List::stream)
                .map(step -> step.get("do").getAsString())
                .collect(Collectors.toSet());
        assertTrue(verbs.containsAll(Vectors.LEFT_OUT.keySet()));
    }
}
