//! What happens next: events in order of time, and one wake-up per machine.
//!
//! **Invariant:** equal times come out in an order that only the calls decide: [`Queue`] first in first
//! out, [`Wakes`] by index. No address, hash or clock takes part.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lowgate_units::Instant;

/// Events with their times, popped in order of time and, within one time, of pushing.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    pushed: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<E> Queue<E> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `event` happen at `at`.
    pub fn push(&mut self, at: Instant, event: E) {
        self.heap.push(Reverse(Entry { at, sequence: self.pushed, event }));
        self.pushed += 1;
    }

    /// When the next event is due; [`Instant::FAR_FUTURE`] when there is none.
    pub fn next_at(&self) -> Instant {
        self.heap.peek().map_or(Instant::FAR_FUTURE, |Reverse(entry)| entry.at)
    }

    /// The next event, if it is due at `now` or before.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, E)> {
        if self.next_at() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The `Wait { until }` of each of a fixed number of machines, and the earliest of them.
///
/// A machine says a new time after every input, so setting must be cheap and must leave nothing stale
/// behind: a tournament tree, in which the root is the winner.
#[derive(Clone, Debug)]
pub struct Wakes {
    /// Heap order: the children of node i are 2i and 2i+1; the leaves are the machines.
    tree: Vec<(Instant, u32)>,
    leaves: usize,
}

impl Wakes {
    /// `machines` machines, none of which wants to be woken.
    pub fn new(machines: usize) -> Self {
        let leaves = machines.next_power_of_two();
        let mut tree = vec![(Instant::FAR_FUTURE, 0); 2 * leaves];
        for (index, leaf) in tree[leaves..].iter_mut().enumerate() {
            leaf.1 = index as u32;
        }
        for node in (1..leaves).rev() {
            tree[node] = tree[2 * node];
        }
        Self { tree, leaves }
    }

    /// Machine `index` wants to be woken at `at`, and at no other time.
    ///
    /// # Panics
    /// When there is no such machine.
    pub fn set(&mut self, index: usize, at: Instant) {
        assert!(index < self.leaves, "machine {index} of {}", self.leaves);
        let mut node = self.leaves + index;
        if self.tree[node].0 == at {
            return;
        }
        self.tree[node].0 = at;
        while node > 1 {
            node /= 2;
            let winner = self.tree[2 * node].min(self.tree[2 * node + 1]);
            if self.tree[node] == winner {
                break;
            }
            self.tree[node] = winner;
        }
    }

    /// When the first machine wants to be woken; [`Instant::FAR_FUTURE`] when none does.
    pub fn next_at(&self) -> Instant {
        self.tree[1].0
    }

    /// The first machine to be woken and its time; of several at one time the lowest index.
    pub fn next(&self) -> Option<(Instant, usize)> {
        let (at, index) = self.tree[1];
        (at < Instant::FAR_FUTURE).then_some((at, index as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_units::Prng;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn events_come_by_time_then_by_order_of_pushing() {
        let mut queue = Queue::new();
        for (time, name) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd')] {
            queue.push(at(time), name);
        }
        assert_eq!(queue.next_at(), at(3));
        assert_eq!(queue.pop(at(2)), None);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(at(9))).map(|(_, name)| name).collect();
        assert_eq!(order, ['b', 'd', 'a', 'c']);
        assert!(queue.is_empty());
        assert_eq!(queue.next_at(), Instant::FAR_FUTURE);
    }

    #[test]
    fn the_earliest_wake_up_wins_and_ties_go_to_the_lowest_index() {
        let mut prng = Prng::new(1);
        for machines in [1, 2, 3, 7, 64] {
            let mut wakes = Wakes::new(machines);
            let mut plain = vec![Instant::FAR_FUTURE; machines];
            assert_eq!(wakes.next(), None);
            for _ in 0..300 {
                let index = prng.below(machines as u64) as usize;
                let time = match prng.below(10) {
                    0 => Instant::FAR_FUTURE,
                    time => at(time),
                };
                wakes.set(index, time);
                plain[index] = time;
                let first = (0..machines).min_by_key(|i| (plain[*i], *i)).expect("not empty");
                let expected =
                    (plain[first] < Instant::FAR_FUTURE).then_some((plain[first], first));
                assert_eq!(wakes.next(), expected);
            }
        }
    }
}
