package dev.larder;

/** A status that is a failure, with what the library says about it. */
public final class LarderException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final Status status;
    private final int number;
    private final int osErrno;
    private final long offset;
    private final long badRecords;

    LarderException(int number, int osErrno, long offset, String message, long badRecords) {
        super(message);
        this.status = Status.of(number);
        this.number = number;
        this.osErrno = osErrno;
        this.offset = offset;
        this.badRecords = badRecords;
    }

    /** The kind. */
    public Status status() {
        return status;
    }

    /** The status's number in the C ABI. */
    public int number() {
        return number;
    }

    /** The system's errno, 0 if none was involved. */
    public int osErrno() {
        return osErrno;
    }

    /** File offset of damage ({@link Status#CORRUPT}), else 0. */
    public long offset() {
        return offset;
    }

    /** How many records {@link Store#verify} found damaged; 0 from every other call. */
    public long badRecords() {
        return badRecords;
    }

    @Override
    public String toString() {
        return "LarderException: LARDER_" + status + ": " + getMessage();
    }
}
