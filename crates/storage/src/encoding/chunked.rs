//! A vector that grows and shrinks one chunk at a time, so that no push ever moves all its elements.
//!
//! It must not know what it holds. Only the directory of chunks (24 bytes per [`CHUNK`] elements) is ever
//! reallocated as a whole: at 100 million members that is a copy of about a megabyte.

use std::ops::{Index, IndexMut};

/// Elements per chunk; a power of two, so that an index splits by shift and mask.
pub(crate) const CHUNK: usize = 256;

/// A growable array in chunks of [`CHUNK`] elements. The first chunk grows by doubling, so small arrays stay small.
///
/// ```text
/// chunks: [ *0 | *1 | *2 ]
///            |    |    +-> [ 512 .. len        ]   the last may be partly filled
///            |    +------> [ 256 .. 511        ]   the others are full
///            +-----------> [ 0   .. 255        ]
/// ```
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Chunked<T> {
    /// An empty array; allocates nothing.
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Appends `value`; moves at most [`CHUNK`] elements.
    pub(crate) fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(value),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
            None => self.chunks.push(vec![value]),
        }
    }

    /// Takes the last element off; a chunk left empty is freed.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.chunks.last_mut()?;
        let value = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        value
    }

    /// The number of heap allocations.
    pub(crate) fn allocations(&self) -> usize {
        self.chunks.len() + usize::from(!self.chunks.is_empty())
    }

    /// Heap bytes held, without what the elements own themselves.
    pub(crate) fn heap_bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, Vec::capacity);
        let others = self.chunks.len().saturating_sub(1) * CHUNK;
        (first + others) * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

impl<T: Clone> Clone for Chunked<T> {
    /// Copies chunk by chunk; those that are allocated whole are so in the copy.
    fn clone(&self) -> Self {
        let mut chunks = self.chunks.clone();
        chunks
            .iter_mut()
            .skip(1)
            .for_each(|chunk| chunk.reserve_exact(CHUNK - chunk.len()));
        Self { chunks }
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks_across_chunks() {
        let mut array = Chunked::new();
        for value in 0..3 * CHUNK + 1 {
            assert_eq!(array.len(), value);
            array.push(value);
        }
        assert!((0..array.len()).all(|index| array[index] == index));
        assert_eq!(array.allocations(), 5);
        while let Some(value) = array.pop() {
            assert_eq!(array.len(), value);
        }
        assert_eq!((array.len(), array.allocations()), (0, 0));
    }
}
