//! The way of batches from the thread that reads to those that decode: bounded, and each batch is used again.
//!
//! Must not know: what a batch is.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

/// See the module's documentation.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// Something has come, or nothing will.
    filled: Condvar,
    /// There is room again, or nobody takes anything any more.
    emptied: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    used: Vec<T>,
    closed: bool,
}

impl<T: Default> Queue<T> {
    /// At most `limit` wait.
    pub fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::with_capacity(limit),
                used: Vec::new(),
                closed: false,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            limit,
        }
    }

    /// One to be filled.
    pub fn empty(&self) -> T {
        self.state.lock().used.pop().unwrap_or_default()
    }

    /// Waits until there is room. False: the queue is closed, and it is lost.
    pub fn push(&self, full: T) -> bool {
        let mut state = self.state.lock();
        while state.waiting.len() >= self.limit && !state.closed {
            self.emptied.wait(&mut state);
        }
        if state.closed {
            return false;
        }
        state.waiting.push_back(full);
        self.filled.notify_one();
        true
    }

    /// Waits for the next one. None: the queue is closed, and nothing is left.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(full) = state.waiting.pop_front() {
                self.emptied.notify_one();
                return Some(full);
            }
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
    }

    /// Gives one back to be used again.
    pub fn give_back(&self, used: T) {
        self.state.lock().used.push(used);
    }

    /// Nothing more may come. What waits can still be taken.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }
}

/// Closes the queue when the thread that holds it panics, so that nobody waits for it.
#[derive(Debug)]
pub struct CloseOnPanic<'q, T: Default>(pub &'q Queue<T>);

impl<T: Default> Drop for CloseOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_nobody_waits_for_ever() {
        let queue = Queue::<u64>::new(2);
        let sums = std::thread::scope(|scope| {
            let takers = [(); 3].map(|()| {
                scope.spawn(|| {
                    let mut sum = 0;
                    while let Some(n) = queue.pop() {
                        sum += n;
                        queue.give_back(n);
                    }
                    sum
                })
            });
            assert!((1..=1_000).all(|n| queue.push(n)));
            queue.close();
            takers.map(|taker| taker.join().unwrap())
        });
        assert_eq!(sums.iter().sum::<u64>(), 500_500);
        assert!(!queue.push(1) && queue.pop().is_none());
        assert_ne!(queue.empty(), 0);
    }

    #[test]
    fn who_waits_for_room_learns_of_a_panic() {
        let queue = Queue::<u64>::new(1);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let _close = CloseOnPanic(&queue);
                queue.pop();
                panic!("on purpose");
            });
            while queue.push(1) {}
            assert!(taker.join().is_err());
        });
    }
}
