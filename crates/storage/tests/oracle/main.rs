//! Compares the pure algorithms of `storage` with a real `redis-server`, byte for byte. Knows nothing of our
//! own server. Ignored by default; run with `cargo test -p holdfast-storage --test oracle -- --ignored`.
// A panic is how a comparison fails; `unwrap_used` spares tests only inside `#[cfg(test)]` and `#[test]`.
#![allow(missing_docs, clippy::unwrap_used)]

mod bits;
mod digest;
mod geo;
mod glob;
mod hll;
mod longdouble;
mod numeric;
mod redis;
mod slot;
