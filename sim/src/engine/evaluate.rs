//! Quality over a test set, engine and golden model side by side; shards of a test set merge exactly.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{bail, ensure, Context, Error, Result};
use serde::{Deserialize, Serialize};

use super::judge::{judge, RouteCount};
use super::runner::{Computer, Runner};
use super::Compiled;
use crate::model::metric::{Tally, Target};
use crate::model::{Dataset, Image};

/// One judged image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number in the test set.
    pub image: usize,
    pub cycles: Option<u64>,
    /// How long the engine simulated them.
    pub simulated_seconds: Option<f64>,
    /// Distance from the golden model, if the program holds it.
    pub golden: Option<Distances>,
}

/// Distances of one image's tokens from the golden model's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    pub same_routes_cosine: f64,
    pub free_cosine: f64,
    pub same_routes_max_abs_error: f64,
    pub free_max_abs_error: f64,
    pub equal_routes: u64,
    pub routes: u64,
}

/// A part of a test set, or all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// CRC-32 of the program's payload: only shards of one program merge.
    pub program_crc: u32,
    pub config: String,
    pub engine: String,
    pub task: String,
    /// Which part of the selected images this is, and of how many; 0 of 1 is all of them.
    pub shard: usize,
    pub shards: usize,
    /// Images of all parts together.
    pub selected_images: usize,
    /// CRC-32 of all images of the test set and of what belongs to them.
    pub test_set_crc: u32,
    /// The engine's counts.
    pub tally: Tally,
    pub golden_tally: Option<Tally>,
    /// In the order of the test set.
    pub records: Vec<Record>,
}

/// What an evaluation says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub images: usize,
    /// The task's metric, 0..=1.
    pub engine_metric: f64,
    pub golden_metric: Option<f64>,
    /// Golden minus engine, in points (hundredths).
    pub points_lost: Option<f64>,
    pub mean_cosine_same_routes: Option<f64>,
    pub mean_cosine_free: Option<f64>,
    pub max_abs_error_same_routes: Option<f64>,
    /// Share of tokens and blocks at which the same experts were chosen.
    pub equal_routes: Option<f64>,
    pub mean_cycles: Option<f64>,
    /// Simulated cycles a second of one simulation.
    pub simulated_cycles_per_second: Option<f64>,
}

/// Which images of a test set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    pub limit: Option<usize>,
    /// Part and number of parts.
    pub shard: (usize, usize),
}

impl Selection {
    /// The selected images: of the first `limit`, every `parts`-th.
    pub fn images(&self, count: usize) -> Vec<usize> {
        let (part, parts) = self.shard;
        (part..self.end(count)).step_by(parts).collect()
    }

    /// How many images all parts have together.
    fn end(&self, count: usize) -> usize {
        self.limit.map_or(count, |limit| limit.min(count))
    }
}

/// What is evaluated.
pub struct Setup<'a> {
    pub compiled: Arc<Compiled>,
    pub engine: &'a str,
    pub task: usize,
    pub set: &'a Dataset,
    pub selection: Selection,
}

/// Called for every judged image with its number in the test set.
pub type Watch<'w> = dyn Fn(usize) + Sync + 'w;

impl Setup<'_> {
    /// Judges images on `jobs` computers at once, each in a thread of its own.
    pub fn run(
        &self,
        jobs: usize,
        computer: impl Fn() -> Result<Computer> + Sync,
        watch: &Watch<'_>,
    ) -> Result<Evaluation> {
        let (targets, images) = self.prepare()?;
        let jobs = jobs.clamp(1, images.len());
        let queue = Mutex::new(images.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut runner = Runner::new(self.compiled.clone(), computer()?);
            let judged = std::iter::from_fn(next)
                .map(|image| self.image(&mut runner, image, &targets[image], watch))
                .collect::<Result<Vec<_>>>();
            if judged.is_err() {
                // The result is lost already: the others need not finish.
                std::iter::from_fn(next).for_each(drop);
            }
            runner.finish()?;
            judged
        };
        let parts: Vec<Result<Vec<Judged>>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined
                .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let parts: Vec<Vec<Judged>> = parts.into_iter().collect::<Result<_>>()?;
        let mut judged: Vec<Judged> = parts.into_iter().flatten().collect();
        judged.sort_by_key(|judged| judged.index);
        self.collect(judged)
    }

    fn prepare(&self) -> Result<(Vec<Target>, Vec<usize>)> {
        let targets = self.set.targets(&self.compiled.architecture, self.task)?;
        let images = self.selection.images(targets.len());
        ensure!(
            !images.is_empty(),
            "no image is selected out of {}: --limit and --shard leave none",
            targets.len()
        );
        Ok((targets, images))
    }

    fn image(&self, runner: &mut Runner, index: usize, target: &Target, watch: &Watch<'_>) -> Result<Judged> {
        let judged = self
            .judge(runner, &self.set.images[index], target)
            .with_context(|| format!("image {index} of the test set"))?;
        watch(index);
        Ok(Judged { index, ..judged })
    }

    fn judge(&self, runner: &mut Runner, image: &Image, target: &Target) -> Result<Judged> {
        let (architecture, task) = (&self.compiled.architecture, self.task);
        let tally = |logits| {
            let mut tally = Tally::new(architecture, task).map_err(Error::msg)?;
            tally
                .add(logits, target, architecture, task)
                .map_err(Error::msg)?;
            Ok::<_, Error>(tally)
        };
        let frame = runner.frame(image, task, &mut |_| ())?;
        let logits = frame.logits.as_ref();
        let ours = tally(logits.context("the program computes no output for this task")?)?;
        let golden = self.compiled.golden.as_ref();
        let judgement = golden
            .map(|golden| judge(golden, image, task, &frame))
            .transpose()?;
        Ok(Judged {
            index: 0,
            simulated_seconds: frame.simulated_in.map(|duration| duration.as_secs_f64()),
            cycles: frame.cycles.map(|cycles| cycles.total),
            golden_tally: judgement.as_ref().map(|j| tally(&j.golden.logits)).transpose()?,
            distances: judgement.map(|j| Distances {
                same_routes_cosine: j.same_routes.tokens.cosine,
                free_cosine: j.free.tokens.cosine,
                same_routes_max_abs_error: j.same_routes.tokens.max_abs_error,
                free_max_abs_error: j.free.tokens.max_abs_error,
                equal_routes: j.routes.equal,
                routes: j.routes.compared,
            }),
            tally: ours,
        })
    }

    fn collect(&self, judged: Vec<Judged>) -> Result<Evaluation> {
        let tallies: Vec<&Tally> = judged.iter().map(|j| &j.tally).collect();
        let golden: Option<Vec<&Tally>> = judged.iter().map(|j| j.golden_tally.as_ref()).collect();
        Ok(Evaluation {
            program_crc: self.compiled.crc(),
            config: self.compiled.program.config.name.clone(),
            engine: self.engine.into(),
            task: self.compiled.architecture.tasks[self.task].name.clone(),
            shard: self.selection.shard.0,
            shards: self.selection.shard.1,
            selected_images: self.selection.end(self.set.images.len()),
            test_set_crc: self.set.crc(),
            tally: sum(&tallies)?,
            golden_tally: golden.map(|tallies| sum(&tallies)).transpose()?,
            records: judged.iter().map(Judged::record).collect(),
        })
    }
}

/// One image's part of an evaluation.
struct Judged {
    index: usize,
    cycles: Option<u64>,
    simulated_seconds: Option<f64>,
    tally: Tally,
    golden_tally: Option<Tally>,
    distances: Option<Distances>,
}

impl Judged {
    fn record(&self) -> Record {
        Record {
            image: self.index,
            cycles: self.cycles,
            simulated_seconds: self.simulated_seconds,
            golden: self.distances,
        }
    }
}

fn sum(tallies: &[&Tally]) -> Result<Tally> {
    let (first, others) = tallies.split_first().context("no image was judged")?;
    others.iter().try_fold((*first).clone(), |mut sum, tally| {
        sum.merge(tally).map_err(Error::msg)?;
        Ok(sum)
    })
}

impl Evaluation {
    /// Puts the shards of one test set together: all of them, each once.
    pub fn merge(shards: &[Evaluation]) -> Result<Self> {
        let (first, others) = shards.split_first().context("there is nothing to merge")?;
        others.iter().try_for_each(|other| first.same_subject(other))?;
        shards.iter().try_for_each(Self::check_records)?;
        first.check_parts(shards)?;
        let tallies: Vec<&Tally> = shards.iter().map(|s| &s.tally).collect();
        let golden: Option<Vec<&Tally>> = shards.iter().map(|s| s.golden_tally.as_ref()).collect();
        let mut records: Vec<Record> = shards.iter().flat_map(|s| s.records.clone()).collect();
        records.sort_by_key(|record| record.image);
        Ok(Self {
            shard: 0,
            shards: 1,
            tally: sum(&tallies)?,
            golden_tally: golden.map(|tallies| sum(&tallies)).transpose()?,
            records,
            ..first.clone()
        })
    }

    /// The part, as `--shard` has it.
    fn part(&self) -> String {
        format!("{}/{}", self.shard, self.shards)
    }

    /// Refuses shards of something else, with what differs.
    fn same_subject(&self, other: &Self) -> Result<()> {
        let subject = |e: &Self| {
            [
                format!("program {:08x}", e.program_crc),
                format!("configuration {}", e.config),
                format!("engine {}", e.engine),
                format!("task {}", e.task),
                format!("{} selected images", e.selected_images),
                format!("images with the CRC-32 {:08x}", e.test_set_crc),
                format!("{} shards", e.shards),
            ]
        };
        let pairs = subject(self).into_iter().zip(subject(other));
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.filter(|(ours, theirs)| ours != theirs).unzip();
        ensure!(
            ours.is_empty(),
            "shards {} and {} are of different evaluations: {} and {}",
            self.part(),
            other.part(),
            ours.join(", "),
            theirs.join(", ")
        );
        Ok(())
    }

    /// Refuses a shard that holds other images than its part.
    fn check_records(&self) -> Result<()> {
        ensure!(
            self.shard < self.shards,
            "there is no shard {}: shards are counted from 0",
            self.part()
        );
        let selection = Selection {
            limit: None,
            shard: (self.shard, self.shards),
        };
        let wanted = selection.images(self.selected_images);
        let found: Vec<usize> = self.records.iter().map(|record| record.image).collect();
        ensure!(
            found == wanted,
            "shard {} holds {} images that are not the {} of its part",
            self.part(),
            found.len(),
            wanted.len()
        );
        Ok(())
    }

    /// Refuses what lacks a shard, or has one twice. A shard beyond the last image has none and cannot be run.
    fn check_parts(&self, shards: &[Evaluation]) -> Result<()> {
        for part in 0..self.shards.min(self.selected_images) {
            match shards.iter().filter(|shard| shard.shard == part).count() {
                0 => bail!("shard {part}/{} is missing", self.shards),
                1 => {}
                _ => bail!("shard {part}/{} is given twice", self.shards),
            }
        }
        Ok(())
    }

    pub fn summary(&self) -> Summary {
        let golden: Option<Vec<Distances>> = self.records.iter().map(|r| r.golden).collect();
        let golden = golden.as_deref();
        let mean_of = |value: fn(&Distances) -> f64| golden.map(|all| mean(all.iter().map(value)));
        let golden_metric = self.golden_tally.as_ref().map(Tally::value);
        let cycles: Option<Vec<u64>> = self.records.iter().map(|r| r.cycles).collect();
        let seconds: Option<f64> = self.records.iter().map(|r| r.simulated_seconds).sum();
        Summary {
            images: self.records.len(),
            engine_metric: self.tally.value(),
            golden_metric,
            points_lost: golden_metric.map(|golden| 100.0 * (golden - self.tally.value())),
            mean_cosine_same_routes: mean_of(|d| d.same_routes_cosine),
            mean_cosine_free: mean_of(|d| d.free_cosine),
            max_abs_error_same_routes: golden.map(|all| {
                all.iter()
                    .map(|d| d.same_routes_max_abs_error)
                    .fold(0.0, f64::max)
            }),
            equal_routes: golden.map(|all| {
                let sum = |of: fn(&Distances) -> u64| all.iter().map(of).sum();
                let (equal, compared) = (sum(|d| d.equal_routes), sum(|d| d.routes));
                RouteCount { equal, compared }.share()
            }),
            simulated_cycles_per_second: cycles
                .as_ref()
                .zip(seconds)
                .map(|(cycles, seconds)| cycles.iter().sum::<u64>() as f64 / seconds),
            mean_cycles: cycles.map(|all| mean(all.iter().map(|&c| c as f64))),
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard of six images.
    fn part(shard: usize, shards: usize) -> Evaluation {
        let selection = Selection {
            limit: None,
            shard: (shard, shards),
        };
        let images = selection.images(6);
        let record = |&image: &usize| Record {
            image,
            cycles: Some(100 + image as u64),
            simulated_seconds: Some(0.5),
            golden: Some(Distances {
                same_routes_cosine: 1.0 - 0.01 * image as f64,
                free_cosine: 0.9,
                same_routes_max_abs_error: image as f64,
                free_max_abs_error: 2.0,
                equal_routes: 9,
                routes: 10,
            }),
        };
        let images_judged = images.len() as u64;
        Evaluation {
            program_crc: 7,
            config: "nano".into(),
            engine: "reference".into(),
            task: "digit".into(),
            shard,
            shards,
            selected_images: 6,
            test_set_crc: 5,
            tally: Tally::Accuracy {
                right: images_judged - 1,
                images: images_judged,
            },
            golden_tally: Some(Tally::Accuracy {
                right: images_judged,
                images: images_judged,
            }),
            records: images.iter().map(record).collect(),
        }
    }

    #[test]
    fn shards_in_any_order_are_the_whole() {
        let merged = Evaluation::merge(&[part(1, 3), part(0, 3), part(2, 3)]).unwrap();
        let mut whole = part(0, 1);
        whole.tally = Tally::Accuracy { right: 3, images: 6 };
        assert_eq!(merged, whole);
        assert_eq!(merged.summary(), whole.summary());
        let summary = merged.summary();
        assert_eq!((summary.images, summary.points_lost), (6, Some(50.0)));
        assert_eq!(
            (summary.mean_cycles, summary.equal_routes),
            (Some(102.5), Some(0.9))
        );
        assert_eq!(summary.simulated_cycles_per_second, Some(205.0));
        assert!((summary.mean_cosine_same_routes.unwrap() - 0.975).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        type Change = fn(&mut Evaluation);
        let cases: [(&str, Change); 7] = [
            (
                "1/2 are of different evaluations: task digit and task boundary",
                |e| e.task = "boundary".into(),
            ),
            ("program 00000007 and program 00000008", |e| e.program_crc = 8),
            ("6 selected images and 5 selected images", |e| {
                e.selected_images = 5
            }),
            ("CRC-32 00000005 and images with the CRC-32 00000006", |e| {
                e.test_set_crc = 6
            }),
            ("2 shards and 3 shards", |e| e.shards = 3),
            ("there is no shard 2/2", |e| e.shard = 2),
            ("shard 1/2 holds 2 images that are not the 3 of its part", |e| {
                e.records.truncate(2)
            }),
        ];
        for (wanted, change) in cases {
            let mut other = part(1, 2);
            change(&mut other);
            let refused = Evaluation::merge(&[part(0, 2), other]).unwrap_err().to_string();
            assert!(refused.contains(wanted), "{wanted}: {refused}");
        }
        let refusal = |shards: &[Evaluation]| Evaluation::merge(shards).unwrap_err().to_string();
        assert_eq!(refusal(&[part(0, 3), part(1, 3)]), "shard 2/3 is missing");
        assert_eq!(
            refusal(&[part(0, 2), part(0, 2), part(1, 2)]),
            "shard 0/2 is given twice"
        );
        assert!(Evaluation::merge(&[]).is_err());
    }

    #[test]
    fn shards_beyond_the_last_image_are_not_missed() {
        let shards: Vec<_> = (0..6).map(|shard| part(shard, 8)).collect();
        assert_eq!(Evaluation::merge(&shards).unwrap().records, part(0, 1).records);
    }

    #[test]
    fn shards_divide_the_images() {
        let of = |part, limit| {
            Selection {
                limit,
                shard: (part, 3),
            }
            .images(8)
        };
        assert_eq!(
            (of(0, None), of(1, None), of(2, None)),
            (vec![0, 3, 6], vec![1, 4, 7], vec![2, 5])
        );
        assert_eq!((of(0, Some(4)), of(2, Some(2))), (vec![0, 3], vec![]));
    }
}
