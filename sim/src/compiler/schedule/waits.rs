//! The waits: which earlier commands must have finished when a command starts.
//!
//! Units run beside each other, each one its own commands in order, so commands of different units must not meet in a memory
//! while one of them writes (read after write, write after read, write after write). A wait names how many of a unit's commands
//! may still be unfinished; for a conflict with command `i` that is the number of commands of its unit dispatched after `i`.
//!
//! Inside the array unit, operands are read while a command streams and results are written when it drains, both in command
//! order, and a command streams before it drains. So write after read and write after write are safe, and only a command that
//! reads what an earlier one writes must look: with `sync` if the producer is the command directly before (all earlier ones
//! drain first), otherwise with a wait on the array, which leaves the commands between running. Adding to the residual memory
//! counts as reading. The rule also holds across repetitions of an expert loop, because a body's reader follows its producer.
//!
//! Of a `sync`, a product with streamed weights needs less if its predecessors write its operand tile after tile: `sync_by_tile`.
//!
//! What may not run is not counted: an expert loop's body between a conflict's two commands, and commands of other tasks.
//! A conflict that an earlier wait has already settled for every task adds nothing.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Operation, Unit, ALL_TASKS, NO_WAIT};

use super::access::{accesses, conflict, depends, Access};
use super::Step;

/// Largest number of outstanding commands that a wait can name.
const MOST_OUTSTANDING: usize = NO_WAIT as usize - 1;

/// Sets the waits and `sync` bits of all steps.
pub fn resolve(config: &AccelConfig, steps: &mut [Step]) {
    let touched: Vec<Vec<Access>> = steps.iter().map(|s| accesses(config, &s.operation)).collect();
    let mut settled = Settled {
        finished: vec![false; steps.len()],
        drained: vec![false; steps.len()],
    };
    for later in 0..steps.len() {
        for earlier in (0..later).rev() {
            if steps[earlier].tasks & steps[later].tasks != 0 && !settled.finished[earlier] {
                order(steps, &touched, &settled, earlier, later);
            }
        }
        settled.learn(steps, later);
    }
    for step in 0..steps.len() {
        let by_tile = written_by_tile(config, steps, step);
        if let Operation::MatMul(x) = &mut steps[step].operation {
            x.sync_by_tile = by_tile.into();
        }
    }
}

/// Whether every tile of the operand is written by groups of sums for which the tile's pass waits with `sync_by_tile`: the `i`-th
/// youngest group may write tile `k` only if `i > (k_tiles - 1 - k) * R / C`. Only groups that certainly run just before count.
fn written_by_tile(config: &AccelConfig, steps: &[Step], reader: usize) -> bool {
    let Operation::MatMul(operand) = steps[reader].operation else {
        return false;
    };
    if operand.sync == 0 || operand.stationary != 0 {
        return false;
    }
    let read = &accesses(config, &steps[reader].operation)[..1];
    let (tiles, word_groups) = (operand.k_tiles as usize, config.groups());
    let (mut age, oldest) = (0, (tiles - 1) * word_groups);
    for writer in (0..reader)
        .rev()
        .filter(|&i| steps[i].unit() == Some(Unit::Array))
    {
        if age >= oldest {
            return true;
        }
        let certain = if steps[reader].in_loop {
            same_loop(steps, writer, reader)
        } else {
            !steps[writer].in_loop
        };
        let (Operation::MatMul(x), true) = (
            steps[writer].operation,
            certain && steps[writer].tasks == ALL_TASKS,
        ) else {
            return false;
        };
        let meets = depends(&accesses(config, &steps[writer].operation), read);
        if meets && x.dst_stride != operand.src_stride {
            return false;
        }
        let stride = i64::from(operand.src_stride.max(1));
        let first = (i64::from(x.dst_base) - i64::from(operand.src_base)).rem_euclid(stride) as usize;
        for n in (0..x.n_tiles as usize).rev() {
            age += 1;
            let tile = first + n / word_groups;
            if meets && tile < tiles && age <= (tiles - 1 - tile) * word_groups {
                return false;
            }
        }
    }
    true
}

/// What later commands need not look at any more.
struct Settled {
    /// Has finished when any later command is dispatched.
    finished: Vec<bool>,
    /// Has drained when any later array command streams.
    drained: Vec<bool>,
}

impl Settled {
    /// Takes in the waits of a step that always runs.
    fn learn(&mut self, steps: &[Step], step: usize) {
        if steps[step].in_loop || steps[step].tasks != ALL_TASKS {
            return;
        }
        let synced = drains_first(&steps[step].operation);
        for earlier in 0..step {
            let Some(unit) = steps[earlier].unit() else {
                continue;
            };
            let allowed = steps[step].wait.0[unit as usize];
            if allowed != NO_WAIT && after(steps, earlier, step) >= allowed as usize {
                self.finished[earlier] = true;
            }
            self.drained[earlier] |= synced && unit == Unit::Array;
        }
    }
}

fn drains_first(operation: &Operation) -> bool {
    match operation {
        Operation::Copy(_) => true,
        Operation::MatMul(x) => x.sync == 1,
        _ => false,
    }
}

/// Makes `later` wait for `earlier` if it has to.
fn order(steps: &mut [Step], touched: &[Vec<Access>], settled: &Settled, earlier: usize, later: usize) {
    let Some(unit) = steps[earlier].unit() else {
        return;
    };
    let between = after(steps, earlier, later);
    if steps[later].unit() != Some(unit) {
        if conflict(&touched[earlier], &touched[later]) {
            limit(&mut steps[later], unit, between);
        }
    } else if unit == Unit::Array && depends(&touched[earlier], &touched[later]) && !settled.drained[earlier]
    {
        match &mut steps[later].operation {
            Operation::MatMul(x) if between == 0 => x.sync = 1,
            Operation::MatMul(x) if x.sync == 1 => {}
            Operation::MatMul(_) => limit(&mut steps[later], unit, between),
            _ => {}
        }
    }
}

fn limit(step: &mut Step, unit: Unit, outstanding: usize) {
    let allowed = outstanding.min(MOST_OUTSTANDING) as u32;
    if step.wait.0[unit as usize] > allowed {
        step.wait = step.wait.until(unit, allowed);
    }
}

/// Commands of the earlier step's unit that are certainly dispatched between the two.
fn after(steps: &[Step], earlier: usize, later: usize) -> usize {
    let (unit, tasks) = (steps[earlier].unit(), steps[earlier].tasks & steps[later].tasks);
    let counts = |k: usize| {
        let certain = !steps[k].in_loop || same_loop(steps, earlier, k) || same_loop(steps, k, later);
        steps[k].unit() == unit && steps[k].tasks & tasks == tasks && certain
    };
    (earlier + 1..later).filter(|&k| counts(k)).count()
}

/// Both steps stand in the body of one loop.
fn same_loop(steps: &[Step], a: usize, b: usize) -> bool {
    steps[a..=b].iter().all(|s| s.in_loop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moevit_hw::control::command::{ExpertLoop, Fetch, MatMul, Norm, Route, Wait, Write};

    fn resolved(operations: Vec<(Operation, bool, u32)>) -> Vec<Step> {
        let mut steps: Vec<Step> = operations
            .into_iter()
            .map(|(operation, in_loop, tasks)| Step {
                in_loop,
                tasks,
                ..Step::new("test", operation)
            })
            .collect();
        resolve(&AccelConfig::named("nano").unwrap(), &mut steps);
        steps
    }

    fn always(operation: Operation) -> (Operation, bool, u32) {
        (operation, false, ALL_TASKS)
    }

    /// Reads 16 activation words from `src`, writes 16 to `dst`.
    fn product(src: u32, dst: u32) -> MatMul {
        MatMul {
            src_base: src,
            dst_base: dst,
            src_stride: 4,
            dst_stride: 4,
            tokens: 4,
            k_tiles: 4,
            n_tiles: 8,
            ..Default::default()
        }
    }

    fn norm(dst: u32) -> Operation {
        Operation::Norm(Norm {
            dst_base: dst,
            tokens: 4,
            row_words: 8,
            dst_stride: 4,
            width: 64,
            ..Default::default()
        })
    }

    fn sync(step: &Step) -> u32 {
        match step.operation {
            Operation::MatMul(x) => x.sync,
            _ => panic!("not a MatMul"),
        }
    }

    #[test]
    fn a_reader_waits_for_the_writer_of_another_unit() {
        let steps = resolved(vec![
            always(norm(0)),
            always(norm(100)),
            always(Operation::MatMul(product(0, 200))),
        ]);
        assert_eq!(steps[2].wait, Wait::NONE.until(Unit::Norm, 1));
    }

    #[test]
    fn a_writer_waits_for_the_reader_of_another_unit() {
        let steps = resolved(vec![always(Operation::MatMul(product(0, 200))), always(norm(0))]);
        assert_eq!(steps[1].wait, Wait::NONE.until(Unit::Array, 0));
        let apart = resolved(vec![
            always(Operation::MatMul(product(0, 200))),
            always(norm(300)),
        ]);
        assert_eq!(apart[1].wait, Wait::NONE);
    }

    #[test]
    fn the_array_syncs_with_its_predecessor_and_waits_for_older_ones() {
        let steps = resolved(vec![
            always(Operation::MatMul(product(0, 100))),
            always(Operation::MatMul(product(0, 200))),
            always(Operation::MatMul(product(100, 300))),
            always(Operation::MatMul(product(300, 400))),
            always(Operation::MatMul(product(200, 100))),
        ]);
        assert_eq!(
            (sync(&steps[2]), steps[2].wait),
            (0, Wait::NONE.until(Unit::Array, 1))
        );
        assert_eq!((sync(&steps[3]), steps[3].wait), (1, Wait::NONE));
        assert_eq!(
            (sync(&steps[4]), steps[4].wait),
            (0, Wait::NONE),
            "drained by the sync before"
        );
    }

    #[test]
    fn a_sync_is_by_tile_where_the_operand_is_written_in_order() {
        let by_tile = |writers: &[MatMul], in_loop| {
            let reader = MatMul {
                n_tiles: 2,
                ..product(100, 300)
            };
            let all = writers.iter().chain([&reader]);
            let steps = resolved(all.map(|x| (Operation::MatMul(*x), in_loop, ALL_TASKS)).collect());
            let last = &steps[writers.len()];
            assert_eq!(sync(last), 1);
            matches!(last.operation, Operation::MatMul(x) if x.sync_by_tile == 1)
        };
        let half = |dst| MatMul {
            n_tiles: 4,
            ..product(0, dst)
        };
        for in_loop in [false, true] {
            assert!(by_tile(&[product(0, 100)], in_loop));
            assert!(by_tile(&[half(100), half(102)], in_loop));
            assert!(!by_tile(&[half(102), half(100)], in_loop));
            let transposed = MatMul {
                dst_stride: 5,
                ..product(0, 100)
            };
            assert!(!by_tile(&[transposed], in_loop));
        }
    }

    #[test]
    fn skipped_commands_do_not_count() {
        let route = Operation::Route(Route::default());
        let gather = MatMul {
            routing: 1,
            ..product(0, 200)
        };
        let steps = resolved(vec![
            always(Operation::MatMul(product(500, 700))),
            always(route),
            always(Operation::Fetch(Fetch {
                experts: 1,
                ..Default::default()
            })),
            always(Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 2,
                words: 1,
            })),
            (Operation::MatMul(gather), true, ALL_TASKS),
            (Operation::MatMul(product(200, 300)), true, ALL_TASKS),
            (norm(600), false, 1),
            (norm(0), false, 2),
            always(norm(500)),
            always(route),
        ]);
        assert_eq!(
            steps[2].wait,
            Wait::NONE,
            "experts are fetched before their routing"
        );
        assert_eq!(steps[3].wait, Wait::NONE.until(Unit::Router, 0));
        assert_eq!((sync(&steps[4]), sync(&steps[5])), (0, 1));
        assert_eq!(
            steps[7].wait,
            Wait::NONE.until(Unit::Array, 1),
            "the gather is followed by one more"
        );
        assert_eq!(
            steps[8].wait,
            Wait::NONE.until(Unit::Array, 0),
            "the loop may be empty"
        );
        assert_eq!(
            steps[9].wait,
            Wait::NONE,
            "the loop reads the queues at its dispatch"
        );
    }

    #[test]
    fn task_commands_settle_nothing_for_others() {
        let head = |tasks| {
            (
                Operation::MatMul(MatMul {
                    dst: 2,
                    ..product(0, 0)
                }),
                false,
                tasks,
            )
        };
        let write = Operation::Write(Write {
            beats: 8,
            ..Default::default()
        });
        let steps = resolved(vec![head(1), (write, false, 1), head(2), (write, false, 2)]);
        assert_eq!(steps[1].wait, Wait::NONE.until(Unit::Array, 0));
        assert_eq!(steps[3].wait, Wait::NONE.until(Unit::Array, 0));
        assert_eq!(steps[2].wait, Wait::NONE);
    }
}
