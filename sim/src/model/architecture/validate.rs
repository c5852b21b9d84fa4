//! What makes an architecture illegal: one sentence for every case.

use std::collections::BTreeSet;

use super::{Architecture, ArchitectureError, Head, Metric, MoeBlocks, MoeSpec, Naming, TaskSpec, MAX_SIZE};

type Check = Result<(), String>;

fn ensure(condition: bool, reason: impl FnOnce() -> String) -> Check {
    condition.then_some(()).ok_or_else(reason)
}

fn check_size(what: &str, value: usize) -> Check {
    ensure((1..=MAX_SIZE).contains(&value), || {
        format!("{what} is {value}, but it must lie in 1..={MAX_SIZE}")
    })
}

impl Architecture {
    /// Says in one sentence what is illegal, if anything is.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        self.check_image()
            .and_then(|()| self.check_encoder())
            .and_then(|()| self.moe.as_ref().map_or(Ok(()), |moe| self.check_moe(moe)))
            .and_then(|()| self.check_tasks())
            .and_then(|()| self.check_naming())
            .map_err(|reason| ArchitectureError::Invalid {
                name: self.name.clone(),
                reason,
            })
    }

    fn check_image(&self) -> Check {
        let image = &self.image;
        for (what, value) in [
            ("image.height", image.height),
            ("image.width", image.width),
            ("image.patch", image.patch),
        ] {
            check_size(what, value)?;
        }
        ensure(image.channels == 1 || image.channels == 3, || {
            format!(
                "image.channels is {}, but images are grey (1) or RGB (3)",
                image.channels
            )
        })?;
        ensure(
            image.height % image.patch == 0 && image.width % image.patch == 0,
            || {
                format!(
                    "the image of {} x {} pixels cannot be cut into whole patches of {} x {}",
                    image.height, image.width, image.patch, image.patch
                )
            },
        )?;
        for (what, values) in [("mean", &image.mean), ("std", &image.std)] {
            ensure(values.len() == image.channels, || {
                format!(
                    "image.{what} has {} values for {} channels",
                    values.len(),
                    image.channels
                )
            })?;
            ensure(values.iter().all(|v| v.is_finite()), || {
                format!("image.{what} holds a value that is not finite")
            })?;
        }
        ensure(image.std.iter().all(|&s| s > 0.0), || {
            "image.std must be greater than zero".to_string()
        })?;
        ensure(self.tokens() <= MAX_SIZE, || {
            format!(
                "the image gives {} tokens, but at most {MAX_SIZE} are allowed",
                self.tokens()
            )
        })
    }

    fn check_encoder(&self) -> Check {
        let encoder = &self.encoder;
        for (what, value) in [
            ("encoder.dim", encoder.dim),
            ("encoder.depth", encoder.depth),
            ("encoder.heads", encoder.heads),
            ("encoder.mlp_hidden", encoder.mlp_hidden),
        ] {
            check_size(what, value)?;
        }
        ensure(encoder.dim % encoder.heads == 0, || {
            format!(
                "encoder.dim {} cannot be divided into {} heads",
                encoder.dim, encoder.heads
            )
        })?;
        ensure(encoder.norm_eps.is_finite() && encoder.norm_eps > 0.0, || {
            format!(
                "encoder.norm_eps is {}, but it must be greater than zero",
                encoder.norm_eps
            )
        })
    }

    fn check_moe(&self, moe: &MoeSpec) -> Check {
        check_size("moe.experts", moe.experts)?;
        check_size("moe.expert_hidden", moe.expert_hidden)?;
        ensure((1..=moe.experts).contains(&moe.k), || {
            format!(
                "moe.k is {}, but it must lie in 1..={} (moe.experts)",
                moe.k, moe.experts
            )
        })?;
        if let MoeBlocks::List(list) = &moe.blocks {
            ensure(list.iter().collect::<BTreeSet<_>>().len() == list.len(), || {
                "moe.blocks names a block twice".to_string()
            })?;
            if let Some(&block) = list.iter().find(|&&b| b >= self.encoder.depth) {
                return Err(format!(
                    "moe.blocks names block {block}, but there are {} blocks, counted from 0",
                    self.encoder.depth
                ));
            }
        }
        ensure(!self.moe_blocks().is_empty(), || {
            "there is a section [moe], but moe.blocks names no block".to_string()
        })
    }

    fn check_tasks(&self) -> Check {
        ensure(!self.tasks.is_empty(), || "there is no task".to_string())?;
        let mut names = BTreeSet::new();
        for (index, task) in self.tasks.iter().enumerate() {
            ensure(!task.name.is_empty(), || format!("task {index} has no name"))?;
            ensure(names.insert(&task.name), || {
                format!("two tasks are called \"{}\"", task.name)
            })?;
            self.check_head(task)
                .map_err(|reason| format!("task \"{}\": {reason}", task.name))?;
            check_metric(task).map_err(|reason| format!("task \"{}\": {reason}", task.name))?;
        }
        Ok(())
    }

    fn check_head(&self, task: &TaskSpec) -> Check {
        match task.head {
            Head::Classification { classes } => check_size("head.classes", classes),
            Head::Features => Ok(()),
            Head::Dense { cells, classes } => {
                check_size("head.cells", cells)?;
                check_size("head.classes", classes)?;
                ensure(self.image.patch % cells == 0, || {
                    format!(
                        "a patch of {} pixels cannot be cut into {cells} cells",
                        self.image.patch
                    )
                })?;
                check_size("the number of the head's outputs", cells * cells * classes)
            }
        }
    }

    fn check_naming(&self) -> Check {
        if self.naming == Naming::M3vit {
            return Ok(());
        }
        ensure(self.moe.is_none(), || {
            "timm's naming has no names for experts: use naming = \"m3vit\" or leave out [moe]".to_string()
        })?;
        ensure(self.tasks.len() == 1, || {
            format!(
                "timm's naming has one head, but there are {} tasks",
                self.tasks.len()
            )
        })
    }
}

fn check_metric(task: &TaskSpec) -> Check {
    let Some(metric) = task.metric else { return Ok(()) };
    match (metric, task.head) {
        (Metric::Accuracy, Head::Classification { .. }) => Ok(()),
        (Metric::PixelAccuracy { ignored } | Metric::MeanIou { ignored }, Head::Dense { classes, .. }) => {
            ensure(classes > 1, || {
                "a metric over classes needs at least two classes".to_string()
            })?;
            ensure(ignored.is_none_or(|i| i < 256), || {
                "metric.ignored must be an 8-bit label, at most 255".to_string()
            })
        }
        (Metric::BoundaryF1 { threshold }, Head::Dense { classes, .. }) => {
            ensure(classes == 1, || {
                format!("boundary_f1 needs one class, not {classes}")
            })?;
            ensure(threshold.is_finite(), || {
                "metric.threshold is not finite".to_string()
            })
        }
        (metric, head) => Err(format!("the metric {metric:?} does not judge the head {head:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M3VIT_T: &str = include_str!("../../../architectures/m3vit_t.toml");

    /// Text to replace, its replacement, and what the error must say.
    const ILLEGAL: &[(&str, &str, &str)] = &[
        ("height = 128", "height = 0", "image.height is 0"),
        ("width = 256", "width = 70000", "image.width is 70000"),
        ("patch = 16", "patch = 0", "image.patch is 0"),
        ("patch = 16", "patch = 15", "whole patches"),
        ("channels = 3", "channels = 4", "grey (1) or RGB (3)"),
        (
            "channels = 3",
            "channels = 1",
            "image.mean has 3 values for 1 channels",
        ),
        ("mean = [0.485,", "mean = [nan,", "not finite"),
        ("std = [0.229,", "std = [0.0,", "greater than zero"),
        (
            "height = 128\nwidth = 256",
            "height = 8192\nwidth = 8192",
            "gives 262145 tokens",
        ),
        ("dim = 192", "dim = 0", "encoder.dim is 0"),
        ("depth = 12", "depth = 0", "encoder.depth is 0"),
        ("heads = 3", "heads = 0", "encoder.heads is 0"),
        ("heads = 3", "heads = 5", "cannot be divided into 5 heads"),
        ("mlp_hidden = 768", "mlp_hidden = 0", "encoder.mlp_hidden is 0"),
        ("norm_eps = 1e-6", "norm_eps = 0.0", "norm_eps is 0"),
        ("experts = 16", "experts = 0", "moe.experts is 0"),
        (
            "expert_hidden = 384",
            "expert_hidden = 0",
            "moe.expert_hidden is 0",
        ),
        ("k = 2", "k = 17", "1..=16 (moe.experts)"),
        ("k = 2", "k = 0", "moe.k is 0"),
        ("blocks = \"odd\"", "blocks = [1, 1]", "names a block twice"),
        (
            "blocks = \"odd\"",
            "blocks = [12]",
            "names block 12, but there are 12 blocks",
        ),
        ("blocks = \"odd\"", "blocks = []", "names no block"),
        (
            "name = \"boundary\"",
            "name = \"segmentation\"",
            "two tasks are called",
        ),
        ("name = \"boundary\"", "name = \"\"", "task 1 has no name"),
        (
            "cells = 4, classes = 12",
            "cells = 3, classes = 12",
            "cut into 3 cells",
        ),
        (
            "cells = 4, classes = 12",
            "cells = 0, classes = 12",
            "head.cells is 0",
        ),
        (
            "cells = 4, classes = 12",
            "cells = 4, classes = 0",
            "head.classes is 0",
        ),
        (
            "cells = 4, classes = 12",
            "cells = 16, classes = 60000",
            "number of the head's outputs",
        ),
        (
            "cells = 4, classes = 12",
            "cells = 4, classes = 1",
            "at least two classes",
        ),
        (
            "cells = 4, classes = 1 }",
            "cells = 4, classes = 2 }",
            "boundary_f1 needs one class",
        ),
        ("threshold = 0.0", "threshold = inf", "threshold is not finite"),
        ("ignored = 11", "ignored = 256", "8-bit label"),
        (
            "kind = \"pixel_accuracy\", ignored = 11",
            "kind = \"accuracy\"",
            "does not judge",
        ),
        ("naming = \"m3vit\"", "naming = \"timm\"", "no names for experts"),
    ];

    #[test]
    fn every_illegal_set_is_refused_with_its_sentence() {
        for (from, to, sentence) in ILLEGAL {
            assert!(M3VIT_T.contains(from), "the table is stale: {from}");
            let error = Architecture::parse(&M3VIT_T.replacen(from, to, 1), "t").unwrap_err();
            assert!(
                matches!(error, ArchitectureError::Invalid { .. }),
                "{to}: {error}"
            );
            assert!(error.to_string().contains(sentence), "{to}: {error}");
        }
    }

    #[test]
    fn timm_naming_has_one_head() {
        let two = include_str!("../../../architectures/deit_tiny.toml").to_string()
            + "[[tasks]]\nname = \"b\"\nhead = { kind = \"features\" }\n";
        let error = Architecture::parse(&two, "two").unwrap_err().to_string();
        assert!(error.contains("one head, but there are 2 tasks"), "{error}");
    }

    #[test]
    fn a_network_without_tasks_is_refused() {
        let mut a = Architecture::parse(M3VIT_T, "t").unwrap();
        a.tasks.clear();
        assert!(a.validate().unwrap_err().to_string().contains("there is no task"));
    }
}
