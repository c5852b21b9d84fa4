//! Random expressions and random kernels: rust-hdl's types against Verilator.

use super::random_expr::{Generator, NoValue, Node, Typed, T, TYPES, V};
use crate::cosim::{Options, Rng, VerilatedModel};
use crate::verilog::export;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rust_hdl::core::ast::{
    VerilogBlock, VerilogBlockOrConditional, VerilogCase, VerilogConditional, VerilogExpression as Ast,
    VerilogMatch, VerilogStatement,
};
use rust_hdl::prelude::*;

/// Signals of every type that takes part.
#[derive(Default)]
struct Bank<D: Direction> {
    bits: Vec<Signal<D, Bit>>,
    b8: Vec<Signal<D, Bits<8>>>,
    b16: Vec<Signal<D, Bits<16>>>,
    b32: Vec<Signal<D, Bits<32>>>,
    s8: Vec<Signal<D, Signed<8>>>,
    s16: Vec<Signal<D, Signed<16>>>,
    s32: Vec<Signal<D, Signed<32>>>,
}

impl<D: Direction> Bank<D> {
    /// Adds a signal and returns its name.
    fn add(&mut self, prefix: &str, t: T) -> String {
        macro_rules! push {
            ($field:ident) => {{
                self.$field.push(Default::default());
                format!("{prefix}_{}${}", stringify!($field), self.$field.len() - 1)
            }};
        }
        match t {
            T::Bit => push!(bits),
            T::B8 => push!(b8),
            T::B16 => push!(b16),
            T::B32 => push!(b32),
            T::S8 => push!(s8),
            T::S16 => push!(s16),
            T::S32 => push!(s32),
        }
    }

    fn accept(&self, prefix: &str, probe: &mut dyn Probe) {
        self.bits.accept(&format!("{prefix}_bits"), probe);
        self.b8.accept(&format!("{prefix}_b8"), probe);
        self.b16.accept(&format!("{prefix}_b16"), probe);
        self.b32.accept(&format!("{prefix}_b32"), probe);
        self.s8.accept(&format!("{prefix}_s8"), probe);
        self.s16.accept(&format!("{prefix}_s16"), probe);
        self.s32.accept(&format!("{prefix}_s32"), probe);
    }
}

/// A block made of any signals and any kernel.
struct Random {
    inputs: Bank<In>,
    locals: Bank<Local>,
    outputs: Bank<Out>,
    code: VerilogBlock,
}

impl Logic for Random {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Combinatorial(self.code.clone())
    }
}

impl Block for Random {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        self.inputs.accept("i", probe);
        self.locals.accept("l", probe);
        self.outputs.accept("o", probe);
        probe.visit_end_scope(name, self);
    }
}

/// A statement that is both rust-hdl's syntax and an action on an environment.
enum Stmt {
    Assign(usize, Typed),
    If(Typed, Vec<Stmt>, Vec<Stmt>),
    Match(Typed, Vec<(u64, Vec<Stmt>)>, Vec<Stmt>),
}

impl Stmt {
    fn run(&self, env: &mut [V]) -> Result<(), NoValue> {
        let all = |block: &[Stmt], env: &mut [V]| block.iter().try_for_each(|s| s.run(env));
        match self {
            Stmt::Assign(at, value) => env[*at] = value.eval(env)?,
            Stmt::If(test, then, otherwise) => match test.eval(env)? == V::Bit(true) {
                true => all(then, env)?,
                false => all(otherwise, env)?,
            },
            Stmt::Match(test, arms, default) => {
                let value = test.eval(env)?.raw();
                match arms.iter().find(|(label, _)| *label == value) {
                    Some((_, body)) => all(body, env)?,
                    None => all(default, env)?,
                }
            }
        }
        Ok(())
    }

    fn ast(&self, names: &[String]) -> VerilogStatement {
        let all = |block: &[Stmt]| -> VerilogBlock { block.iter().map(|s| s.ast(names)).collect() };
        match self {
            Stmt::Assign(at, value) => {
                VerilogStatement::Assignment(Ast::Signal(format!("{}$next", names[*at])), value.ast(names))
            }
            Stmt::If(test, then, otherwise) => VerilogStatement::If(VerilogConditional {
                test: test.ast(names),
                then: all(then),
                otherwise: VerilogBlockOrConditional::Block(all(otherwise)),
            }),
            Stmt::Match(test, arms, default) => {
                let arms = arms.iter().map(|(label, body)| (label.to_string(), body));
                let arms = arms.chain([("default".to_owned(), default)]);
                let case = |(condition, body): (String, &Vec<Stmt>)| VerilogCase {
                    condition,
                    block: all(body),
                };
                VerilogStatement::Match(VerilogMatch {
                    test: test.ast(names),
                    cases: arms.map(case).collect(),
                })
            }
        }
    }
}

/// Statements that share signals with no other chunk, and the outputs that show their result.
#[derive(Default)]
struct Chunk {
    stmts: Vec<Stmt>,
    outputs: Vec<usize>,
}

/// A kernel under construction: the signals it may name, inputs first.
struct Kernel {
    block: Random,
    names: Vec<String>,
    types: Vec<T>,
    inputs: Vec<(usize, T)>,
    chunks: Vec<Chunk>,
}

const INPUTS_OF_A_TYPE: usize = 3;

impl Kernel {
    fn new() -> Self {
        let (inputs, locals, outputs) = (Bank::default(), Bank::default(), Bank::default());
        let block = Random {
            inputs,
            locals,
            outputs,
            code: vec![],
        };
        let mut kernel = Kernel {
            block,
            names: vec![],
            types: vec![],
            inputs: vec![],
            chunks: vec![],
        };
        for t in TYPES {
            for _ in 0..INPUTS_OF_A_TYPE {
                let name = kernel.block.inputs.add("i", t);
                let at = kernel.signal(name, t);
                kernel.inputs.push((at, t));
            }
        }
        kernel
    }

    fn signal(&mut self, name: String, t: T) -> usize {
        self.names.push(name);
        self.types.push(t);
        self.types.len() - 1
    }

    fn local(&mut self, t: T) -> usize {
        let name = self.block.locals.add("l", t);
        self.signal(name, t)
    }

    fn output(&mut self, t: T) -> usize {
        let name = self.block.outputs.add("o", t);
        self.signal(name, t)
    }

    /// Adds an output for one expression over the inputs.
    fn expression(&mut self, rng: &mut Rng, depth: usize) {
        let t = TYPES[rng.below(7) as usize];
        let output = self.output(t);
        let mut generator = Generator {
            rng,
            signals: &self.inputs,
        };
        let value = match t.is_signed() && generator.rng.chance(20) {
            true => Typed {
                node: generator.signed_bit_cast(depth - 1),
                t,
            },
            false => generator.expr(t, depth),
        };
        self.chunks.push(Chunk {
            stmts: vec![Stmt::Assign(output, value)],
            outputs: vec![output],
        });
    }

    /// Adds locals that a random sequence of statements changes, and outputs that show them.
    fn sequence(&mut self, rng: &mut Rng, length: usize) {
        let mut chunk = Chunk::default();
        let mut locals = vec![];
        for t in TYPES {
            let value = Generator {
                rng,
                signals: &self.inputs,
            }
            .expr(t, 1);
            let at = self.local(t);
            chunk.stmts.push(Stmt::Assign(at, value));
            locals.push((at, t));
        }
        let readable = [self.inputs.clone(), locals.clone()].concat();
        chunk
            .stmts
            .extend((0..length).map(|_| statement(rng, &readable, &locals, 2)));
        for (at, t) in locals {
            let output = self.output(t);
            chunk.stmts.push(Stmt::Assign(
                output,
                Typed {
                    node: Node::Signal(at),
                    t,
                },
            ));
            chunk.outputs.push(output);
        }
        self.chunks.push(chunk);
    }

    /// The kernel's statements: each chunk in its order, all chunks mingled.
    fn code(&self) -> VerilogBlock {
        let longest = self.chunks.iter().map(|c| c.stmts.len()).max().unwrap_or(0);
        let nth = |n: usize| self.chunks.iter().filter_map(move |c| c.stmts.get(n));
        (0..longest).flat_map(nth).map(|s| s.ast(&self.names)).collect()
    }

    /// Exports, Verilates and compares all outputs on random inputs; returns how many it compared.
    fn check(mut self, rng: &mut Rng, vectors: usize) -> Result<u64, String> {
        self.block.code = self.code();
        let design = export("Random", &self.block).map_err(|e| e.to_string())?;
        let options = Options {
            optimise: 0,
            ..Options::default()
        };
        let mut model = VerilatedModel::of_design(&design, &options).map_err(|e| e.to_string())?;
        let port = |at: usize| {
            model
                .port(&self.names[at].replace('$', "_"))
                .map_err(|e| e.to_string())
        };
        let ports = (0..self.names.len()).map(|at| port(at).ok()).collect::<Vec<_>>();
        let mut compared = 0;
        for _ in 0..vectors {
            let mut env: Vec<V> = self
                .types
                .iter()
                .map(|t| V::of(*t, rng.corner_bits(t.width())))
                .collect();
            for (at, _) in &self.inputs {
                model.set_u64(ports[*at].ok_or("an input is no port")?, env[*at].raw());
            }
            model.eval();
            for chunk in &self.chunks {
                // Where Rust gives no value there is nothing to compare.
                if chunk.stmts.iter().try_for_each(|s| s.run(&mut env)).is_err() {
                    continue;
                }
                for at in &chunk.outputs {
                    let verilog = model.get_u64(ports[*at].ok_or("an output is no port")?);
                    self.compare(chunk, *at, &env, verilog)?;
                    compared += 1;
                }
            }
        }
        Ok(compared)
    }

    fn compare(&self, chunk: &Chunk, at: usize, env: &[V], verilog: u64) -> Result<(), String> {
        let rust = env[at];
        if rust.raw() == verilog {
            return Ok(());
        }
        let code: Vec<_> = chunk.stmts.iter().map(|s| s.ast(&self.names)).collect();
        let inputs = &env[..self.inputs.len()];
        Err(format!(
            "{}: Rust {rust:?}, Verilog {verilog:#x}, inputs {inputs:?}, {code:?}",
            self.names[at]
        ))
    }
}

/// A random statement that reads `readable` and writes some of `locals`.
fn statement(rng: &mut Rng, readable: &[(usize, T)], locals: &[(usize, T)], depth: usize) -> Stmt {
    let block = |rng: &mut Rng| {
        (0..1 + rng.below(2))
            .map(|_| statement(rng, readable, locals, depth - 1))
            .collect()
    };
    let expr = |rng: &mut Rng, t, depth| {
        Generator {
            rng,
            signals: readable,
        }
        .expr(t, depth)
    };
    match if depth == 0 { 0 } else { rng.below(4) } {
        0 | 1 => {
            let (at, t) = locals[rng.below(locals.len() as u64) as usize];
            Stmt::Assign(at, expr(rng, t, 2))
        }
        2 => Stmt::If(expr(rng, T::Bit, 2), block(rng), block(rng)),
        _ => {
            let test = expr(rng, T::B8, 1);
            let first = rng.corner_bits(8);
            Stmt::Match(
                test,
                vec![(first, block(rng)), (first ^ 1, block(rng))],
                block(rng),
            )
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    // Fixed seeds, so that the built models are found in the cache.
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20),
        ..ProptestConfig::default()
    }
}

const EXPRESSIONS: usize = 250;
const EXPRESSION_VECTORS: usize = 40;
const SEQUENCES: usize = 20;
const SEQUENCE_VECTORS: usize = 100;

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn random_expressions_agree(seed: u64) {
        let mut rng = Rng::new(seed);
        let mut kernel = Kernel::new();
        for n in 0..EXPRESSIONS {
            kernel.expression(&mut rng, 1 + n % 4);
        }
        let compared = kernel.check(&mut rng, EXPRESSION_VECTORS).map_err(TestCaseError::fail)?;
        prop_assert!(compared >= 9_000, "only {compared} values compared");
    }

    #[test]
    fn random_kernels_agree(seed: u64) {
        let mut rng = Rng::new(seed);
        let mut kernel = Kernel::new();
        for _ in 0..SEQUENCES {
            kernel.sequence(&mut rng, 8);
        }
        let compared = kernel.check(&mut rng, SEQUENCE_VECTORS).map_err(TestCaseError::fail)?;
        prop_assert!(compared >= 5_000, "only {compared} values compared");
    }
}
