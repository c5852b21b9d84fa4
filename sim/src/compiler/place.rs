//! Places tensors in an on-chip memory by their lifetimes.
//!
//! Time is counted in steps of a phase (a step is a command or a group of them). Two tensors may share words if their lifetimes
//! do not overlap. A tensor that is written in the step in which another one is read last counts as overlapping: the units are
//! pipelined, and what the array unit may overwrite in place is said by ending the older lifetime one step earlier.
//!
//! First fit in the order given: the lowest address at which a tensor meets none of the living ones.

use std::ops::Range;

/// Something that lives in a memory for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub words: usize,
    /// Steps in which it is alive.
    pub life: Range<usize>,
}

impl Tenant {
    pub fn new(words: usize, life: Range<usize>) -> Self {
        Self { words, life }
    }
}

/// First word of each tenant, and the words that all of them need together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pub bases: Vec<usize>,
    pub words: usize,
}

/// Places tenants first fit.
pub fn place(tenants: &[Tenant]) -> Placement {
    let mut bases: Vec<usize> = Vec::with_capacity(tenants.len());
    for (i, tenant) in tenants.iter().enumerate() {
        let mut taken: Vec<Range<usize>> = (0..i)
            .filter(|&j| overlap(&tenants[j].life, &tenant.life))
            .map(|j| bases[j]..bases[j] + tenants[j].words)
            .collect();
        taken.sort_by_key(|range| range.start);
        bases.push(first_gap(&taken, tenant.words));
    }
    let ends = bases.iter().zip(tenants).map(|(base, t)| base + t.words);
    let words = ends.max().unwrap_or(0);
    Placement { bases, words }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Lowest address with `words` free words beside ranges that are sorted by their start.
fn first_gap(taken: &[Range<usize>], words: usize) -> usize {
    let mut base = 0;
    for range in taken {
        if base + words <= range.start {
            break;
        }
        base = base.max(range.end);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_dead_tensor_makes_room() {
        let placed = place(&[
            Tenant::new(100, 0..2),
            Tenant::new(50, 0..4),
            Tenant::new(90, 2..4),
        ]);
        assert_eq!(
            placed,
            Placement {
                bases: vec![0, 100, 0],
                words: 150
            }
        );
    }

    #[test]
    fn a_gap_that_is_too_small_is_skipped() {
        let placed = place(&[
            Tenant::new(10, 0..2),
            Tenant::new(10, 0..4),
            Tenant::new(20, 2..4),
        ]);
        assert_eq!(placed.bases, [0, 10, 20]);
        assert_eq!(place(&[]).words, 0);
    }

    proptest! {
        #[test]
        fn living_tensors_never_share_a_word(
            tenants in prop::collection::vec((1usize..60, 0usize..6, 1usize..5), 1..12),
        ) {
            let tenants: Vec<Tenant> =
                tenants.into_iter().map(|(w, from, len)| Tenant::new(w, from..from + len)).collect();
            let placed = place(&tenants);
            for i in 0..tenants.len() {
                prop_assert!(placed.bases[i] + tenants[i].words <= placed.words);
                for j in 0..i {
                    let apart = placed.bases[i] + tenants[i].words <= placed.bases[j]
                        || placed.bases[j] + tenants[j].words <= placed.bases[i];
                    prop_assert!(apart || !overlap(&tenants[i].life, &tenants[j].life));
                }
            }
        }
    }
}
