//! A list of bounded length: on the heap, as long as it is, with the cargo feature `alloc`; in place, with
//! room for the bound, without.
//!
//! **Invariant:** never more than `N` items. Which of the two it is shows in nothing but memory.

use core::ops::{Deref, DerefMut};

/// At most `N` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const N: usize> {
    #[cfg(feature = "alloc")]
    items: alloc::vec::Vec<T>,
    #[cfg(not(feature = "alloc"))]
    items: heapless::Vec<T, N>,
}

/// More items than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<T, const N: usize> List<T, N> {
    /// Nothing.
    pub const fn new() -> Self {
        #[cfg(feature = "alloc")]
        let items = alloc::vec::Vec::new();
        #[cfg(not(feature = "alloc"))]
        let items = heapless::Vec::new();
        Self { items }
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.items.len() >= N
    }

    /// Appends an item.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn push(&mut self, item: T) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        #[cfg(feature = "alloc")]
        self.items.push(item);
        #[cfg(not(feature = "alloc"))]
        self.items.push(item).map_err(|_| Full)?;
        Ok(())
    }

    /// Takes the item at `index` out; those behind it move up.
    ///
    /// # Panics
    /// There is none.
    pub fn remove(&mut self, index: usize) -> T {
        self.items.remove(index)
    }

    /// Takes the item at `index` out; the last one takes its place.
    ///
    /// # Panics
    /// There is none.
    pub fn swap_remove(&mut self, index: usize) -> T {
        self.items.swap_remove(index)
    }

    /// Keeps those that `wanted` wants.
    pub fn retain(&mut self, wanted: impl FnMut(&T) -> bool) {
        self.items.retain(wanted);
    }

    /// Keeps the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
    }

    /// Keeps nothing.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<T: Clone, const N: usize> List<T, N> {
    /// A copy.
    ///
    /// # Errors
    /// There are more than `N`.
    pub fn from_slice(items: &[T]) -> Result<Self, Full> {
        let mut copy = Self::new();
        copy.extend_from_slice(items)?;
        Ok(copy)
    }

    /// Appends all of them, or nothing.
    ///
    /// # Errors
    /// There would be more than `N`.
    pub fn extend_from_slice(&mut self, items: &[T]) -> Result<(), Full> {
        if items.len() > N - self.items.len() {
            return Err(Full);
        }
        #[cfg(feature = "alloc")]
        self.items.extend_from_slice(items);
        #[cfg(not(feature = "alloc"))]
        self.items.extend_from_slice(items).map_err(|_| Full)?;
        Ok(())
    }
}

impl<T: Clone + Default, const N: usize> List<T, N> {
    /// Cuts it to `len`, or fills it up to there.
    ///
    /// # Errors
    /// `len` is more than `N`.
    pub fn resize_default(&mut self, len: usize) -> Result<(), Full> {
        if len > N {
            return Err(Full);
        }
        #[cfg(feature = "alloc")]
        self.items.resize(len, T::default());
        #[cfg(not(feature = "alloc"))]
        self.items.resize_default(len).map_err(|_| Full)?;
        Ok(())
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut List<T, N> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_whatever_was_there_before() {
        let mut list = List::<u8, 4>::from_slice(&[1, 2, 3]).expect("fit");
        assert_eq!(list.extend_from_slice(&[4, 5]), Err(Full));
        assert_eq!(list[..], [1, 2, 3]);
        assert_eq!(list.push(4), Ok(()));
        assert!(list.is_full());
        assert_eq!(list.push(5), Err(Full));
        assert_eq!(list.swap_remove(0), 1);
        assert_eq!(list.remove(0), 4);
        list.retain(|item| *item != 3);
        assert_eq!(list.resize_default(5), Err(Full));
        assert_eq!(list.resize_default(4), Ok(()));
        assert_eq!(list[..], [2, 0, 0, 0]);
        list.truncate(1);
        list[0] = 9;
        assert_eq!(list, List::from_slice(&[9]).expect("fits"));
        list.clear();
        assert_eq!(list, List::default());
        assert_eq!(List::<u8, 4>::from_slice(&[0; 5]), Err(Full));
    }
}
