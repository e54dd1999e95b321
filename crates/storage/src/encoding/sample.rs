//! Choosing some of many by one walk. Knows nothing of what it chooses from.

use rand::Rng;

/// `count` of the `len` things that `all` yields (all of them, if there are fewer), in their order; every choice is
/// equally likely. Selection sampling (Knuth, TAOCP 2, algorithm 3.4.2 S): ends after `len` draws, whatever the
/// generator says.
pub fn select<T, R: Rng + ?Sized>(
    all: impl Iterator<Item = T>,
    len: usize,
    count: usize,
    rng: &mut R,
) -> Vec<T> {
    let count = count.min(len);
    let mut chosen = Vec::with_capacity(count);
    for (seen, one) in all.take(len).enumerate() {
        if chosen.len() == count {
            break;
        }
        if rng.random_range(0..len - seen) < count - chosen.len() {
            chosen.push(one);
        }
    }
    chosen
}
