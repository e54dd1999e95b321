//! Placeholder index.
