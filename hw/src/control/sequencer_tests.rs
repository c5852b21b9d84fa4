//! The sequencer with behavioural units around it.

use super::command::*;
use super::sequencer::{Sequencer, QUEUES};
use crate::config::AccelConfig;
use crate::cosim::{tick, Lockstep, Rng};
use rust_hdl::prelude::*;
use std::collections::VecDeque;

fn command(operation: Operation) -> Command {
    Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation,
    }
}

/// What left the sequencer: queue, words, and the loop's word.
#[derive(Debug, PartialEq, Clone)]
struct Pushed {
    queue: usize,
    words: [u32; 8],
    tail: u32,
}

/// Drives a sequencer: answers the program's fetch, finishes commands after random times, gives room at random.
struct Bench {
    uut: Sequencer,
    rng: Rng,
    program: Vec<u8>,
    pushed: Vec<Pushed>,
    /// Cycles left of the commands in each unit, oldest first.
    running: [Vec<u32>; 6],
    word: usize,
    done: Option<(u32, u32)>,
    counts: Vec<u32>,
    /// Experts that the fetch unit has decided: were they fetched?
    tickets: VecDeque<bool>,
}

const UNIT_OF_QUEUE: [Option<usize>; QUEUES] = [Some(0), Some(1), None, Some(2), Some(3), Some(4), Some(5)];

impl Bench {
    fn new(words: &[[u32; 8]], task: u64, counts: &[u32], seed: u64) -> Self {
        let config = AccelConfig::named("nano").unwrap();
        let mut uut = Sequencer::new(&config);
        uut.connect_all();
        uut.task_number.next = task.into();
        uut.command_count.next = (words.len() as u64).into();
        let mask = counts
            .iter()
            .enumerate()
            .fold(0u64, |mask, (e, n)| mask | u64::from(*n > 0) << e);
        uut.nonempty.next = mask.into();
        let mut program: Vec<u8> = words
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        program.resize(program.len().next_multiple_of(256), 0);
        Self {
            uut,
            rng: Rng::new(seed),
            program,
            pushed: vec![],
            running: Default::default(),
            word: usize::MAX,
            done: None,
            counts: counts.to_vec(),
            tickets: VecDeque::new(),
        }
    }

    fn step(&mut self) {
        let u = &mut self.uut;
        for unit in 0..6 {
            let finished = self.running[unit].first() == Some(&0);
            if finished {
                self.running[unit].remove(0);
            } else if let Some(left) = self.running[unit].first_mut() {
                *left -= 1;
            }
            u.unit_done[unit].next = finished;
        }
        let count = self
            .counts
            .get(u.count_expert.val().index())
            .copied()
            .unwrap_or(0);
        u.count.next = u64::from(count).into();
        self.send_program();
        tick(&mut self.uut, |u, level| u.clock.next = level.into()).unwrap();
        self.look();
    }

    fn send_program(&mut self) {
        let (u, width) = (&mut self.uut, 16);
        let words = self.program.len() / width;
        u.program_write.next = self.word < words;
        u.program_loaded.next = self.word == words;
        if self.word < words {
            let bytes = &self.program[self.word * width..][..width];
            u.program_data
                .iter_mut()
                .zip(bytes)
                .for_each(|(d, b)| d.next = u64::from(*b).into());
        }
        self.word = self.word.saturating_add(1);
    }

    /// Takes the pushes of the cycle to come (room is set first), and the outcome.
    fn look(&mut self) {
        for queue in 0..QUEUES {
            self.uut.room[queue].next = self.rng.below(4) > 0;
        }
        let offered = self.tickets.front().copied().filter(|_| self.rng.below(3) > 0);
        self.uut.ticket_valid.next = offered.is_some();
        self.uut.ticket_fetched.next = offered.unwrap_or(false);
        crate::cosim::settle(&mut self.uut).unwrap();
        if self.uut.ticket_valid.val() && self.uut.ticket_ready.val() {
            self.tickets.pop_front();
        }
        for queue in 0..QUEUES {
            if self.uut.push[queue].val() {
                self.take(queue);
            }
        }
        if self.uut.done.val() {
            let code = self.uut.error_code.val().index() as u32;
            self.done = Some((code, self.uut.error_command.val().index() as u32));
        }
    }

    fn take(&mut self, queue: usize) {
        let words: [u32; 8] = std::array::from_fn(|i| self.uut.command[i].val().index() as u32);
        if let Some(unit) = UNIT_OF_QUEUE[queue] {
            self.running[unit].push(self.rng.below(40) as u32);
        }
        if self.word == usize::MAX {
            self.word = 0;
            return;
        }
        if words[0] & 15 != Discard::OPCODE {
            self.check_waits(&words, queue);
        }
        let tail = self.uut.command[8].val().index() as u32;
        self.pushed.push(Pushed { queue, words, tail });
    }

    fn check_waits(&self, words: &[u32; 8], queue: usize) {
        // A MatMul has entered the feed's queue when it enters the drain's.
        let own = UNIT_OF_QUEUE[queue].or(Some(1));
        for unit in 0..6 {
            let limit = words[1] >> (3 * unit) & 7;
            let earlier = self.running[unit].len() - usize::from(own == Some(unit));
            assert!(
                limit == NO_WAIT || earlier <= limit as usize,
                "unit {unit}: {earlier} outstanding, allowed {limit}"
            );
        }
    }

    fn run(mut self) -> (Vec<Pushed>, (u32, u32)) {
        self.uut.start.next = true;
        self.step();
        self.uut.start.next = false;
        for _ in 0..50_000 {
            self.step();
            if let Some(outcome) = self.done {
                return (self.pushed, outcome);
            }
        }
        panic!("no end after {} commands", self.pushed.len());
    }
}

fn random_command(rng: &mut Rng) -> Command {
    let operation = match rng.below(6) {
        0 => Operation::Fetch(Fetch {
            beats: 16,
            ..Default::default()
        }),
        1 => Operation::Copy(Copy {
            words: 3,
            ..Default::default()
        }),
        2 => Operation::MatMul(MatMul {
            tokens: rng.below(100) as u32,
            ..Default::default()
        }),
        3 => Operation::Norm(Norm {
            tokens: rng.below(100) as u32,
            ..Default::default()
        }),
        4 => Operation::Softmax(Softmax::default()),
        _ => Operation::Route(Route::default()),
    };
    let mut wait = Wait::NONE;
    for unit in Unit::ALL {
        if rng.below(3) == 0 {
            wait = wait.until(unit, rng.below(3) as u32);
        }
    }
    Command {
        tasks: if rng.below(4) == 0 { 2 } else { ALL_TASKS },
        wait,
        operation,
    }
}

/// The pushes that the program means, loops unrolled; `fetched` are the loop's tickets.
fn expected(program: &[Command], task: u32, counts: &[u32], fetched: &[bool]) -> Vec<Pushed> {
    let mut pushes = vec![];
    let mut index = 0;
    while index < program.len() {
        let command = &program[index];
        index += 1;
        if command.tasks >> task & 1 == 0 {
            continue;
        }
        if let Operation::ExpertLoop(body) = command.operation {
            for (expert, &count) in counts.iter().enumerate() {
                if count == 0 {
                    if fetched[expert] {
                        [1, 2]
                            .iter()
                            .for_each(|&queue| pushes.push(discard(queue, body.words)));
                    }
                    continue;
                }
                let tail = expert as u32 | count << 5 | 1 << 16;
                for inner in &program[index..index + body.body as usize] {
                    [1, 2].iter().for_each(|&queue| {
                        pushes.push(Pushed {
                            queue,
                            words: inner.encode().unwrap(),
                            tail,
                        })
                    });
                }
            }
            index += body.body as usize;
            continue;
        }
        let queues: &[usize] = match command.operation.unit() {
            Some(Unit::Fetch) => &[0],
            Some(Unit::Array) => &[1, 2],
            Some(Unit::Norm) => &[3],
            Some(Unit::Softmax) => &[4],
            Some(Unit::Router) => &[5],
            Some(Unit::Write) => &[6],
            None => &[],
        };
        queues.iter().for_each(|&queue| {
            pushes.push(Pushed {
                queue,
                words: command.encode().unwrap(),
                tail: 0,
            })
        });
    }
    pushes
}

/// What is left of an expert that nobody chose.
fn discard(queue: usize, words: u32) -> Pushed {
    Pushed {
        queue,
        words: command(Operation::Discard(Discard { words })).encode().unwrap(),
        tail: 0,
    }
}

fn encode(program: &[Command]) -> Vec<[u32; 8]> {
    program.iter().map(|command| command.encode().unwrap()).collect()
}

#[test]
fn random_programs_are_dispatched_in_order_with_their_waits() {
    let (mut compared, mut discards) = (0, 0);
    for seed in 0..12u64 {
        let mut rng = Rng::new(seed);
        let mut program: Vec<Command> = (0..40).map(|_| random_command(&mut rng)).collect();
        let body = |tokens| {
            command(Operation::MatMul(MatMul {
                tokens,
                routing: 1,
                ..Default::default()
            }))
        };
        let loops = Operation::ExpertLoop(ExpertLoop {
            experts: 8,
            body: 2,
            words: 77,
        });
        program.splice(20..20, [command(loops), body(1), body(2)]);
        program.push(command(Operation::End(End {})));
        let counts: Vec<u32> = (0..8)
            .map(|_| {
                if rng.below(2) == 0 {
                    0
                } else {
                    rng.below(60) as u32
                }
            })
            .collect();
        let fetched: Vec<bool> = counts.iter().map(|&n| n > 0 || rng.below(2) == 0).collect();
        let task = seed % 3;
        let mut bench = Bench::new(&encode(&program), task, &counts, seed + 100);
        bench.tickets = fetched.iter().copied().collect();
        let (mut pushed, outcome) = bench.run();
        assert_eq!(outcome, (0, 0), "seed {seed}");
        let want = expected(&program, task as u32, &counts, &fetched);
        discards += want.iter().filter(|p| p.words[0] & 15 == Discard::OPCODE).count();
        // The loop's word has no meaning outside a loop, and only the opcode and the number of words have one in a Discard.
        for p in &mut pushed {
            if p.words[0] & 15 == Discard::OPCODE {
                *p = discard(p.queue, p.words[2]);
            } else if p.tail >> 16 == 0 {
                p.tail = 0;
            }
        }
        assert_eq!(pushed, want, "seed {seed}");
        compared += want.len();
    }
    assert!(
        compared > 400 && discards > 20,
        "only {compared} commands compared, {discards} discards"
    );
}

#[test]
fn an_illegal_command_stops_the_frame_before_the_first_dispatch() {
    let mut program = encode(&[command(Operation::Softmax(Softmax::default())); 6]);
    program[4][7] = 1 << 31;
    let (pushed, outcome) = Bench::new(&program, 0, &[], 1).run();
    assert_eq!((pushed.len(), outcome), (0, (1, 4)));
}

#[test]
fn a_program_without_an_end_is_an_error() {
    let program = encode(&[command(Operation::Softmax(Softmax::default())); 3]);
    let (pushed, outcome) = Bench::new(&program, 0, &[], 1).run();
    assert_eq!((pushed.len(), outcome), (3, (1, 3)));
}

#[test]
fn errors_wait_for_the_bus_and_the_next_frame_works() {
    let program = encode(&[
        command(Operation::Softmax(Softmax::default())),
        command(Operation::End(End {})),
    ]);
    let mut bench = Bench::new(&program, 0, &[], 1);
    bench.uut.start.next = true;
    bench.step();
    bench.uut.start.next = false;
    (0..5).for_each(|_| bench.step());
    bench.uut.read_error.next = true;
    (0..200).for_each(|_| bench.step());
    assert!(
        bench.uut.hold_bus.val() && bench.done.is_none(),
        "the bus is not quiet yet"
    );
    bench.uut.bus_quiet.next = true;
    bench.uut.read_error.next = false;
    (0..60).for_each(|_| bench.step());
    assert_eq!(bench.done, Some((2, 0)));
    assert!(bench.uut.idle.val() && !bench.uut.hold_bus.val());
    bench.running = Default::default();
    (bench.word, bench.done) = (usize::MAX, None);
    let (_, outcome) = bench.run();
    assert_eq!(outcome, (0, 0));
}

#[test]
fn a_waiting_frame_fetches_beside_the_older_one_and_does_nothing_else() {
    let fetch = command(Operation::Fetch(Fetch {
        beats: 16,
        ..Default::default()
    }));
    let norm = command(Operation::Norm(Norm {
        tokens: 3,
        ..Default::default()
    }));
    let program = [fetch, fetch, norm, fetch, norm, command(Operation::End(End {}))];
    let frame = expected(&program, 0, &[], &[]);
    let mut early = 0;
    for seed in 0..20 {
        let mut bench = Bench::new(&encode(&program), 0, &[], seed);
        // (frames ended, commands pushed) at every event.
        let (mut takes, mut ends) = (vec![], vec![]);
        bench.uut.start.next = true;
        bench.step();
        bench.uut.start.next = false;
        for _ in 0..5_000 {
            bench.uut.waiting.next = takes.len() < 3;
            bench.step();
            if bench.uut.take.val() {
                takes.push(bench.pushed.len());
            }
            if bench.done.take().is_some() {
                ends.push(bench.pushed.len());
                early += ends.last().unwrap() % frame.len();
            }
            assert!(ends.len() == 4 || !bench.uut.idle.val());
        }
        assert_eq!(takes, [5, 10, 15], "seed {seed}: at the end of the commands");
        assert_eq!(ends.len(), 4);
        for (i, pushed) in ends.iter().enumerate() {
            let more = pushed - 5 * (i + 1);
            assert!(
                more <= if i < 3 { 2 } else { 0 },
                "{more} commands before the older frame's end"
            );
        }
        bench.pushed.iter_mut().for_each(|p| p.tail = 0);
        assert_eq!(bench.pushed, [&frame[..]; 4].concat(), "seed {seed}");
    }
    assert!(early > 20, "{early} fetches were early");
}

#[test]
fn a_silent_bus_delays_idle_but_not_done() {
    let program = encode(&[command(Operation::End(End {}))]);
    let mut bench = Bench::new(&program, 0, &[], 1);
    bench.uut.start.next = true;
    bench.step();
    bench.uut.start.next = false;
    bench.uut.watchdog.next = true;
    (0..4_200).for_each(|_| bench.step());
    assert_eq!(bench.done, Some((4, 0)));
    assert!(!bench.uut.idle.val());
}

#[test]
fn lock_step() {
    let config = AccelConfig::named("nano").unwrap();
    let report = Lockstep::new(
        "Sequencer",
        || Sequencer::new(&config),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..4, 25_000, |u, rng, cycle| {
        u.reset.next = rng.below(3_000) == 0;
        u.start.next = rng.below(20) == 0;
        u.command_count.next = rng.below(12).into();
        u.task_number.next = rng.below(8).into();
        u.program_write.next = rng.below(2) == 0;
        // Sparse random words: many are legal commands.
        u.program_data.iter_mut().enumerate().for_each(|(i, d)| {
            let noise = if i % 16 == 0 {
                rng.below(16)
            } else if i % 16 == 1 {
                255
            } else {
                rng.below(256) * u64::from(rng.below(30) == 0)
            };
            d.next = noise.into();
        });
        u.program_loaded.next = rng.below(30) == 0;
        u.waiting.next = rng.below(2) == 0;
        u.read_error.next = rng.below(4_000) == 0;
        u.write_error.next = rng.below(4_000) == 0;
        u.watchdog.next = rng.below(4_000) == 0;
        u.bus_quiet.next = rng.below(8) == 0;
        u.nonempty.next = (rng.bits(32) & rng.bits(32)).into();
        u.ticket_valid.next = rng.below(3) > 0;
        u.ticket_fetched.next = rng.below(2) == 0;
        u.count.next = rng.bits(11).into();
        u.unit_done.iter_mut().for_each(|d| d.next = rng.below(6) == 0);
        u.room.iter_mut().for_each(|d| d.next = rng.below(4) > 0);
        let _ = cycle;
    })
    .unwrap();
    assert!(
        report.cycles >= 100_000 && report.comparisons > 2_000_000,
        "{report:?}"
    );
}
