//! Task heads: only the selected task's commands run.

use moevit_hw::control::command::{MatMul, Operation};

use super::{dst, head_offset, macs, Emitter};
use crate::compiler::schedule::Step;

impl Emitter<'_> {
    pub(super) fn head(&mut self, task: usize) {
        let s = *self.sizes();
        let (numbers, layout) = (&self.network.heads[task], self.layout.heads[task]);
        let name = &self.architecture.tasks[task].name;
        let norm = self.norm(&numbers.norm, layout.first, layout.tokens, 0);
        let planes = 1 + usize::from(numbers.norm.wide);
        let product = MatMul {
            dst: dst::RESIDUAL,
            dst_base: layout.base as u32,
            dst_stride: layout.row as u32,
            ..self.product(&numbers.outputs, 0, planes * s.activation_row(), layout.tokens)
        };
        let outputs = Step::new(format!("{name} head"), Operation::MatMul(product))
            .macs(layout.tokens * macs(&numbers.outputs))
            .stream(self.common(&numbers.outputs));
        let words = layout.tokens * layout.row;
        let writes = self.write(name, layout.base, words, head_offset(&s));
        let norm = Step::new(format!("{name} norm"), norm);
        let steps = [norm, outputs].into_iter().chain(writes);
        self.steps.extend(steps.map(|step| step.for_task(task)));
    }
}
