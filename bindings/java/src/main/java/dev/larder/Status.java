package dev.larder;

/** What kind of outcome a {@link LarderException} is: 1 to 99 are expected outcomes, 100 and up are failures. */
public enum Status {
    OK(0),
    NOT_FOUND(1),
    EXPIRED(2),
    EXISTS(3),
    CONFLICT(4),
    DONE(5),
    BUFFER_TOO_SMALL(6),
    INVALID_ARGUMENT(100),
    TOO_LARGE(101),
    BUSY(102),
    CLOSED(103),
    READ_ONLY(104),
    NO_SPACE(105),
    IO(106),
    CORRUPT(107),
    FORKED(108),
    UNSUPPORTED(109),
    INCOMPATIBLE(110),
    OUT_OF_MEMORY(111),
    INTERRUPTED(112),
    PANIC(113),
    /** A status of a library newer than this package; {@link LarderException#number()} has it. */
    UNKNOWN(-1);

    private final int number;

    Status(int number) {
        this.number = number;
    }

    /** The number in the C ABI. */
    public int number() {
        return number;
    }

    static Status of(int number) {
        for (Status status : values()) {
            if (status.number == number) {
                return status;
            }
        }
        return UNKNOWN;
    }
}
