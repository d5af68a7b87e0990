//! The safety rules as switches: a test build can leave each of them out, so that the tests can be seen to notice.
//!
//! A rule stands here by name, and at the one place where the code keeps it stands `rules::holds(Rule::…)`. Without the
//! feature `switches` that is the constant `true` and leaves nothing behind. With it, the rules that the environment
//! variable `LARDER_SWITCH_OFF` names (by commas) do not hold, from the first question on until the process ends. A build
//! with the feature and without debug assertions, such as every release, does not compile.
//!
//! The same build lets a test stop a writer between its append and its change of the index.
//!
//! Not here: what a rule is for (the module that keeps it says that), and which tests notice (`tests/mutants`).

#[cfg(all(feature = "switches", not(debug_assertions)))]
compile_error!("the feature `switches` takes safety rules away: it is for test builds only");

macro_rules! rules {
    ($($rule:ident $name:literal $left_out:literal,)*) => {
        /// A rule that the code keeps at one place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $(#[doc = concat!("Left out: ", $left_out, ".")] $rule,)*
        }

        /// Every rule: its name, and what happens where it is left out.
        pub const ALL: &[(Rule, &str, &str)] = &[$((Rule::$rule, $name, $left_out),)*];
    };
}

rules! {
    TombstonesGuard "r1_tombstones_guard" "compaction drops every tombstone that the index does not hold",
    ExpiredGuard "r1_expired_guard" "compaction drops expired records without a tombstone",
    FloorRises "r1_floor_rises" "a sweep never raises the floor",
    SeqnoDecides "r2_seqno_decides" "replay lets the later place win, not the higher seqno",
    CopiesKeepExpiry "r2_copies_keep_expiry" "copies lose their expiry",
    ClockNoted "r3_clock_noted" "the clock is not noted in the log",
    SealKeepsClock "r3_seal_keeps_clock" "sealing a segment forgets its clock word",
    RecoveryKeepsClock "r3_recovery_keeps_clock" "recovery forgets the clock when it seals",
    SyncHasClock "r3_sync_has_clock" "a sync leaves the clock word out",
    SweepCompares "r4_sweep_compares" "the expiry sweep removes whatever entry has the hash",
    SwitchCompares "r4_switch_compares" "compaction replaces whatever entry has the hash",
    JudgeLocks "r4_judge_locks" "compaction judges a record without the lock of its stripe",
    CheckpointFits "r5_checkpoint_fits" "a checkpoint need not fit the segments",
    CheckpointChecked "r5_checkpoint_checked" "nobody looks at a checkpoint's checksums",
    PagesChecked "r5_pages_checked" "nobody looks at the checksums of a checkpoint's pages",
    MisfitsRemoved "r5_misfits_removed" "recovery leaves checkpoints that do not fit in their place",
    CheckpointShowsDurable "r5_checkpoint_shows_durable" "a checkpoint is named before what it shows is durable",
    RecordsChecked "r5_records_checked" "the scanner does not look at checksums",
    OutputSynced "r6_output_synced" "compaction does not sync its output",
    OutputNameSynced "r6_output_name_synced" "compaction does not sync its output's name",
    UnlinkAfterEdit "r6_unlink_after_edit" "compaction unlinks its inputs before the edit",
    LogSyncedFirst "r6_log_synced_first" "compaction does not sync the log before its edit",
    SweptOnOpen "r7_swept_on_open" "nothing is swept on open",
    BatchWhole "r8_batch_whole" "a batch is taken up to its first damaged member",
    DurableWord "r9_durable_word" "the durable word of a segment is not believed",
    ManifestDurableWord "r9_manifest_durable_word" "the durable word of the manifest is not believed",
    TornTail "r9_torn_tail" "every torn tail is corruption",
    CutSealed "r10_cut_sealed" "a cut segment is not sealed",
    KeptRewritten "r10_kept_rewritten" "what recovery keeps is not written again",
    KeptSynced "r10_kept_synced" "what recovery keeps is not synced",
    ManifestRenewed "r10_manifest_renewed" "recovery appends to the manifest instead of writing it anew",
    SeqnoGap "r10_seqno_gap" "after a cut the seqnos of the lost writes are given out again",
    FailureKept "r11_failure_kept" "a failed sync is forgotten",
    WritesRefused "r11_writes_refused" "a failed sync is remembered, but writes are not refused",
    DirectoryCounts "r11_directory_counts" "a failed sync of the directory is forgotten",
    TailCut "r12_tail_cut" "the tail after a failed sync is not cut",
    OnlyUnfinishedCut "r12_only_unfinished_cut" "after a failed sync, full segments that are durable are cut too",
    UnsettledHidden "r12_unsettled_hidden" "readers see writes that have not settled",
    BooksFollow "r12_books_follow" "the books keep what failed",
    EditWithdrawn "r12_edit_withdrawn" "an edit whose write failed is not withdrawn",
    CopyKeptForReaders "r12_copy_kept_for_readers" "a compaction that is undone takes back copies that readers are still shown",
    FailedEditKeepsFiles "r12_failed_edit_keeps_files" "files that a failed edit of the manifest names are removed",
    NewNameSynced "l2_new_name_synced" "the name of a new segment is not synced before the manifest has it",
    ManifestNameSynced "l2_manifest_name_synced" "the name of a new manifest is not synced",
    ReadsChecked "p6_reads_checked" "reads do not look at checksums",
    EditsChecked "p6_edits_checked" "nobody looks at the checksums of edits",
    SalvageChecked "p7_salvage_checked" "a salvage does not look at checksums",
    SalvageNewest "p7_salvage_newest" "a salvage takes the last version that it meets, not the newest",
    SalvageNamed "p7_salvage_named" "a salvage reads segments that the manifest took back",
    SalvageSynced "p7_salvage_synced" "a salvage does not sync its segments",
}

/// Whether `rule` holds.
#[cfg(not(feature = "switches"))]
#[inline(always)]
pub const fn holds(_rule: Rule) -> bool {
    true
}

/// Whether `rule` holds.
#[cfg(feature = "switches")]
pub fn holds(rule: Rule) -> bool {
    static LEFT_OUT: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    LEFT_OUT.get_or_init(left_out) & (1 << rule as u32) == 0
}

#[cfg(feature = "switches")]
fn left_out() -> u64 {
    let named = std::env::var("LARDER_SWITCH_OFF").unwrap_or_default();
    named.split(',').filter(|name| !name.is_empty()).fold(0, |set, name| {
        match ALL.iter().find(|(_, known, _)| *known == name) {
            Some((rule, ..)) => set | 1 << *rule as u32,
            // A name that nobody knows would leave everything in place, and the tests would pass.
            None => panic!("LARDER_SWITCH_OFF names {name}, which is no rule"),
        }
    })
}

const _: () = assert!(ALL.len() <= 64);

/// A writer has appended a record and not yet changed the index.
#[cfg(not(feature = "switches"))]
#[inline(always)]
pub const fn appended() {}

#[cfg(feature = "switches")]
thread_local! {
    static WHEN_APPENDED: std::cell::RefCell<Option<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(None) };
}

/// A writer has appended a record and not yet changed the index.
#[cfg(feature = "switches")]
pub fn appended() {
    if let Some(act) = WHEN_APPENDED.take() {
        act();
    }
}

/// Has the next writer of this thread call `act` between its append and its change of the index: a moment that is too
/// short to be met by chance.
#[cfg(feature = "switches")]
pub fn when_appended(act: impl FnOnce() + 'static) {
    WHEN_APPENDED.set(Some(Box::new(act)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_say_their_rule() {
        let names: BTreeSet<_> = ALL.iter().map(|(_, name, _)| name).collect();
        assert_eq!(names.len(), ALL.len());
        for (_, name, _) in ALL {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            assert!(b"rlp".contains(&name.as_bytes()[0]), "{name}");
        }
        for number in 1..=12 {
            assert!(names.iter().any(|name| name.starts_with(&format!("r{number}_"))), "R{number} has no switch");
        }
    }

    #[cfg(not(feature = "switches"))]
    #[test]
    fn without_the_feature_every_rule_holds_at_compile_time() {
        const _: () = {
            let mut at = 0;
            while at < ALL.len() {
                assert!(holds(ALL[at].0));
                at += 1;
            }
        };
    }
}
