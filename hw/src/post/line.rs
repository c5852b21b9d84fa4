//! A plain Rust row of registers for the models of pipelined cells.

/// `N` registers in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<T, const N: usize>([T; N]);

impl<T: Copy + Default, const N: usize> Default for Line<T, N> {
    fn default() -> Self {
        Self([T::default(); N])
    }
}

impl<T: Copy, const N: usize> Line<T, N> {
    /// What the last register holds.
    pub fn out(&self) -> T {
        self.0[N - 1]
    }

    /// A clock edge: everything moves by one register.
    pub fn push(&mut self, first: T) {
        self.0.rotate_right(1);
        self.0[0] = first;
    }
}
