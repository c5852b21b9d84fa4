//! Image and preloaded residual stream come through the weight stream; the patches are added to the latter.

use moevit_hw::control::command::{Copy, MatMul, Operation};

use super::{dst, macs, Emitter};
use crate::compiler::schedule::{Step, Stream};
use crate::compiler::tile::residual_stream;

impl Emitter<'_> {
    pub(super) fn embedding(&mut self) {
        let s = *self.sizes();
        let (patches, image_words) = (s.tokens - 1, (s.tokens - 1) * s.patch_words);
        let image = Copy {
            words: image_words as u32,
            ..Default::default()
        };
        let bytes = image_words * self.config.rows;
        let stream = Stream::Image(bytes.next_multiple_of(self.config.weight_word_bytes()));
        self.push(Step::new("image", Operation::Copy(image)).stream(stream));
        let preload = Copy {
            residual: 1,
            words: (s.tokens * s.residual_row()) as u32,
            ..Default::default()
        };
        let numbers = &self.network.embedding;
        let stream = Stream::Common(residual_stream(self.config, &numbers.preload));
        let patch = MatMul {
            dst: dst::RESIDUAL,
            add: 1,
            dst_base: s.residual_row() as u32,
            dst_stride: s.residual_row() as u32,
            ..self.product(&numbers.patches, 0, s.patch_words, patches)
        };
        let step = Step::new("patch embedding", Operation::MatMul(patch))
            .macs(patches * macs(&numbers.patches))
            .stream(self.common(&numbers.patches));
        self.push(Step::new("position", Operation::Copy(preload)).stream(stream));
        self.push(step);
    }
}
