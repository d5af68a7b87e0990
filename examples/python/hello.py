"""The shortest tour: PYTHONPATH=bindings/python python3 examples/python/hello.py [directory]"""
import sys
import larder

with larder.open(sys.argv[1] if len(sys.argv) > 1 else "hello.larder") as db:
    db[b"greeting"] = b"hello"
    db.set(b"session", b"anna", ttl_ms=60_000)
    with db.batch() as batch:  # all or none
        batch.set(b"colour/red", b"#f00")
        batch.set(b"colour/blue", b"#00f")
    print(db[b"greeting"].decode(), "from larder", larder.version())
    print("session lives for", db.ttl(b"session"), "ms more")
    for key, value in sorted(db.scan(b"colour/")):
        print(key.decode(), "=", value.decode())
    print(b"nothing" in db, len(db))
