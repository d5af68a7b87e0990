/** A key or a value going in; a string is UTF-8. */
export type Bytes = Uint8Array | string;

/** What kind of outcome a LarderError is: 1 to 99 are expected outcomes, 100 and up are failures. */
export const Status: {
  readonly OK: 0;
  readonly NOT_FOUND: 1;
  readonly EXPIRED: 2;
  readonly EXISTS: 3;
  readonly CONFLICT: 4;
  readonly DONE: 5;
  readonly BUFFER_TOO_SMALL: 6;
  readonly INVALID_ARGUMENT: 100;
  readonly TOO_LARGE: 101;
  readonly BUSY: 102;
  readonly CLOSED: 103;
  readonly READ_ONLY: 104;
  readonly NO_SPACE: 105;
  readonly IO: 106;
  readonly CORRUPT: 107;
  readonly FORKED: 108;
  readonly UNSUPPORTED: 109;
  readonly INCOMPATIBLE: 110;
  readonly OUT_OF_MEMORY: 111;
  readonly INTERRUPTED: 112;
  readonly PANIC: 113;
};

/** A status other than OK, with what the library says about it. */
export class LarderError extends Error {
  /** The constant's name in the C ABI, as "LARDER_BUSY". */
  readonly code: string;
  readonly status: number;
  /** The system's errno, 0 if none was involved. */
  readonly errno: number;
  /** File offset of damage, else 0. */
  readonly offset: number;
  /** How many records `verify` found damaged; 0 from every other call. */
  readonly badRecords: number;
  private constructor();
}

/** The library's options by name; larder_options_set in larder.h lists them. */
export interface Options {
  sync?: "always" | "none" | `interval:${number}`;
  read_only?: boolean;
  create?: boolean;
  segment_size?: number | string;
  max_size?: number | string;
  verify_reads?: "copies" | "all" | "none";
  compaction?: "auto" | "manual";
  [newer: string]: string | number | boolean | undefined;
}

export interface Expiry {
  /** Whole milliseconds from now; 0 and Infinity are no expiry. */
  ttlMs?: number;
  /** Keep the expiry that the key has. */
  keepTtl?: boolean;
}

export interface SetOptions extends Expiry {
  ifAbsent?: boolean;
  ifPresent?: boolean;
  /** Durable when the call returns, whatever the store's sync mode. */
  sync?: boolean;
}

/** The figures of one store at one moment; larder_stats in larder.h says what each is. */
export interface Stats {
  keys: number;
  liveBytes: number;
  deadBytes: number;
  fileBytes: number;
  segments: number;
  mappedBytes: number;
  indexBytes: number;
  pinnedViews: number;
  gets: number;
  hits: number;
  sets: number;
  dels: number;
  expired: number;
  syncs: number;
  compactions: number;
  compactedBytes: number;
}

/** What `share` makes and `attach` takes. It can be posted to a worker of this process, and means nothing elsewhere. */
export interface Shared {
  larder: bigint;
}

/** Sets and deletes that happen together. */
export class Batch {
  private constructor();
  readonly length: number;
  set(key: Bytes, value: Bytes, expiry?: Expiry): this;
  delete(key: Bytes): this;
  clear(): void;
  write(options?: { sync?: boolean }): void;
}

export type Pair = [key: Buffer, value: Buffer];

/** An open store. */
export class Store implements Iterable<Pair> {
  private constructor();
  close(): void;
  share(): Shared;
  get(key: Bytes): Buffer | undefined;
  getInto(key: Bytes, target: Uint8Array): number | undefined;
  has(key: Bytes): boolean;
  set(key: Bytes, value: Bytes): this;
  setWith(key: Bytes, value: Bytes, options?: SetOptions): bigint | undefined;
  delete(key: Bytes): boolean;
  ttl(key: Bytes): number | undefined;
  expire(key: Bytes, ttlMs: number): boolean;
  getMany(keys: Iterable<Bytes>): (Buffer | undefined)[];
  batch(): Batch;
  scan(prefix?: Bytes): Generator<Pair, void, undefined>;
  entries(): Generator<Pair, void, undefined>;
  keys(): Generator<Buffer, void, undefined>;
  values(): Generator<Buffer, void, undefined>;
  [Symbol.iterator](): Generator<Pair, void, undefined>;
  readonly size: number;
  sync(): void;
  syncAsync(): Promise<void>;
  compact(): void;
  compactAsync(): Promise<void>;
  verify(): void;
  verifyAsync(): Promise<void>;
  stats(): Stats;
}

export function open(location: string, options?: Options): Store;
export function attach(shared: Shared): Store;
export function version(): string;
export function abiVersion(): number;
export function statusName(status: number): string;
