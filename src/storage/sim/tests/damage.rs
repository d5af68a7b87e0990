//! Damage that tests do to files: it is there at once, and after a power cut.

use super::*;

#[test]
fn damage_is_seen_at_once_and_survives_every_crash() {
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        storage.set_write_back(256);
        for name in ["flipped", "cut", "deleted", "replaced"] {
            storage.create(name).unwrap().write_at(&[1; 1000], 0).unwrap();
            storage.open(name, MapAccess::ReadOnly).unwrap().sync().unwrap();
        }
        storage.sync_directory().unwrap();
        let rewritten = storage.open("flipped", MapAccess::ReadWrite).unwrap();
        rewritten.write_at(&[3], 0).unwrap();
        // Some of these write the first sector back, which then is damaged there as well.
        (0..20).for_each(|_| assert_eq!(rewritten.len().unwrap(), 1000));
        storage.flip_bit("flipped", 1, 6);
        storage.flip_bit("flipped", 999, 7);
        storage.truncate("cut", 17);
        storage.delete("deleted");
        storage.write_file("replaced", b"other");
        storage.write_file("added", b"more");
        for storage in [storage.clone(), storage.crash(seed)] {
            assert_eq!(storage.names(), ["added", "cut", "flipped", "replaced"]);
            let flipped = storage.read_file("flipped");
            assert_eq!((flipped[1], &flipped[2..999], flipped[999]), (0x41, &[1; 997][..], 0x81));
            assert_eq!(storage.read_file("cut"), [1; 17]);
            assert_eq!(storage.read_file("replaced"), b"other");
            assert_eq!(storage.read_file("added"), b"more");
        }
    }
}

#[test]
fn damage_to_names_stays_after_changes_that_are_not_durable() {
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        storage.create("a").unwrap();
        storage.rename("a", "b").unwrap();
        storage.delete("b");
        storage.create("c").unwrap();
        storage.write_file("c", b"put");
        let after = storage.crash(seed);
        assert_eq!(after.read_file("c"), b"put");
        assert!(!after.names().contains(&"b".to_owned()));
    }
}

#[test]
#[should_panic(expected = "no simulated file")]
fn damage_to_a_missing_file_is_a_mistake_of_the_test() {
    SimulatedStorage::new(1).flip_bit("a", 0, 0);
}
