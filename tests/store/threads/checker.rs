//! Decides whether a history of several threads is linearizable: whether its calls can be put in one order
//! that keeps each between its invocation and its answer, and in which every answer is right.
//!
//! The search of Wing and Gong with a memory of what was tried: a point of the search is how far
//! each thread has come and what the store holds then. A batch is one step over all its keys, so the
//! whole store is one object here and not one object per key.

use std::collections::HashSet;

/// Keys of a history at most.
pub const KEY_COUNT_MAX: usize = 6;
/// Threads of a history at most.
pub const THREAD_COUNT_MAX: usize = 6;

/// What a key holds: the number of its value, 0 if it is absent.
pub type Held = u64;
type State = [Held; KEY_COUNT_MAX];

/// A call and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Set, whatever was there.
    Set { key: usize, number: u64 },
    /// Set if absent; whether it was stored.
    SetIfAbsent { key: usize, number: u64, is_stored: bool },
    /// Set if present; whether it was stored.
    SetIfPresent { key: usize, number: u64, is_stored: bool },
    /// A delete, or an expiry at once; whether the key was there.
    Remove { key: usize, was_there: bool },
    /// A read and what it found.
    Get { key: usize, found: Held },
    /// All of them at one moment; 0 deletes.
    Batch { writes: Vec<(usize, Held)> },
}

/// A step with its time.
#[derive(Clone, Debug)]
pub struct Event {
    pub step: Step,
    pub invoked: u64,
    pub answered: u64,
}

impl Step {
    /// The state after this step, or `None` if its answer is wrong in `state`.
    fn apply(&self, mut state: State) -> Option<State> {
        match self {
            Step::Set { key, number } => state[*key] = *number,
            Step::SetIfAbsent { key, number, is_stored } | Step::SetIfPresent { key, number, is_stored } => {
                let wants_present = matches!(self, Step::SetIfPresent { .. });
                let is_met = (state[*key] != 0) == wants_present;
                if is_met != *is_stored {
                    return None;
                }
                if is_met {
                    state[*key] = *number;
                }
            }
            Step::Remove { key, was_there } => {
                if (state[*key] != 0) != *was_there {
                    return None;
                }
                state[*key] = 0;
            }
            Step::Get { key, found } => {
                if state[*key] != *found {
                    return None;
                }
            }
            Step::Batch { writes } => writes.iter().for_each(|(key, held)| state[*key] = *held),
        }
        Some(state)
    }
}

/// Whether the histories of the threads, each in its own order, have a common explanation that starts from an
/// empty store. If not, the events at which the longest attempt ended.
pub fn check(threads: &[Vec<Event>]) -> Result<(), Vec<Event>> {
    assert!(threads.len() <= THREAD_COUNT_MAX);
    let start = ([0_u32; THREAD_COUNT_MAX], [0; KEY_COUNT_MAX]);
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    let mut furthest = start.0;
    while let Some((done, state)) = open.pop() {
        let next = |thread: usize| threads[thread].get(done[thread] as usize);
        if done.iter().sum::<u32>() > furthest.iter().sum() {
            furthest = done;
        }
        // What has answered first must not come after what was invoked later.
        let Some(first_answer) = (0..threads.len()).filter_map(next).map(|event| event.answered).min() else {
            return Ok(());
        };
        for thread in 0..threads.len() {
            if let Some(event) = next(thread).filter(|event| event.invoked < first_answer)
                && let Some(state) = event.step.apply(state)
            {
                let mut done = done;
                done[thread] += 1;
                if seen.insert((done, state)) {
                    open.push((done, state));
                }
            }
        }
    }
    let around = |(thread, history): (usize, &Vec<Event>)| {
        let at = furthest[thread] as usize;
        history[at.saturating_sub(2)..history.len().min(at + 2)].to_vec()
    };
    Err(threads.iter().enumerate().flat_map(around).collect())
}

/// `[(invoked, answered, step)]` of one thread.
#[cfg(test)]
fn thread(events: &[(u64, u64, Step)]) -> Vec<Event> {
    events.iter().map(|(i, a, step)| Event { step: step.clone(), invoked: *i, answered: *a }).collect()
}

#[test]
fn histories_that_can_be_explained_are_accepted() {
    let set = |number| Step::Set { key: 0, number };
    let get = |found| Step::Get { key: 0, found };
    // A read beside a set may see it or not.
    for found in [0, 1] {
        assert!(check(&[thread(&[(0, 3, set(1))]), thread(&[(1, 2, get(found))])]).is_ok());
    }
    // Two sets at the same time: either may be last, also when a third thread was told of both.
    let sets = [thread(&[(0, 9, set(1))]), thread(&[(0, 9, set(2))])];
    for (first, last) in [(1, 2), (2, 1)] {
        let reads = thread(&[(1, 2, get(0)), (3, 4, get(first)), (5, 6, get(last)), (10, 11, get(last))]);
        assert!(check(&[sets[0].clone(), sets[1].clone(), reads]).is_ok());
    }
    let batch = Step::Batch { writes: vec![(0, 5), (1, 5)] };
    let reads = thread(&[(1, 2, get(0)), (3, 4, Step::Get { key: 1, found: 0 }), (5, 6, get(5))]);
    assert!(check(&[thread(&[(0, 9, batch)]), reads]).is_ok());
    let race = |was_there| thread(&[(1, 5, Step::Remove { key: 0, was_there })]);
    let history = [thread(&[(0, 1, set(1))]), race(true), race(false)];
    let history = history.map(|events| events.into_iter().collect::<Vec<_>>());
    assert!(
        check(&[history[0].clone(), thread(&[(2, 5, Step::Remove { key: 0, was_there: true })]), race(false)]).is_ok()
    );
}

#[test]
fn histories_that_cannot_be_explained_are_refused() {
    let set = |number| Step::Set { key: 0, number };
    let get = |found| Step::Get { key: 0, found };
    let b = |found| Step::Get { key: 1, found };
    let remove = |was_there| Step::Remove { key: 0, was_there };
    let batch = |number| Step::Batch { writes: vec![(0, number), (1, number)] };
    let bad: [(&str, Vec<Vec<Event>>); 9] = [
        ("a stale read", vec![thread(&[(0, 1, set(1))]), thread(&[(2, 3, get(0))])]),
        ("a value from nowhere", vec![thread(&[(0, 1, get(7))])]),
        ("a read that goes back", vec![thread(&[(0, 9, set(1))]), thread(&[(1, 2, get(1)), (3, 4, get(0))])]),
        (
            "two readers that disagree on the order",
            vec![
                thread(&[(0, 9, set(1))]),
                thread(&[(0, 9, set(2))]),
                thread(&[(1, 2, get(1)), (3, 4, get(2))]),
                thread(&[(1, 2, get(2)), (3, 4, get(1))]),
            ],
        ),
        ("a lost update", vec![thread(&[(0, 1, set(1)), (4, 5, get(1))]), thread(&[(2, 3, set(2))])]),
        (
            "two deletes of one value",
            vec![thread(&[(0, 1, set(1)), (2, 5, remove(true))]), thread(&[(2, 5, remove(true))])],
        ),
        (
            "two that set if absent",
            vec![
                thread(&[(0, 5, Step::SetIfAbsent { key: 0, number: 1, is_stored: true })]),
                thread(&[(0, 5, Step::SetIfAbsent { key: 0, number: 2, is_stored: true })]),
            ],
        ),
        ("half a batch, first key first", vec![thread(&[(0, 9, batch(5))]), thread(&[(1, 2, get(5)), (3, 4, b(0))])]),
        ("half a batch, last key first", vec![thread(&[(0, 9, batch(5))]), thread(&[(1, 2, b(5)), (3, 4, get(0))])]),
    ];
    for (what, threads) in bad {
        assert!(check(&threads).is_err(), "{what}");
    }
    let present = Step::SetIfPresent { key: 0, number: 1, is_stored: true };
    assert!(check(&[thread(&[(0, 1, present)])]).is_err(), "set if present on nothing");
}
