//! How good an output is, in the task's own metric.
//!
//! A [`Tally`] holds whole counts, so that shards of a test set can be judged apart and merged exactly.

use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Head, Metric};
use super::{LabelMap, Tensor};

/// What an image should give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Class(usize),
    /// A label a cell, rows of columns.
    Cells(Vec<u8>),
    /// Whether a label boundary runs through a cell.
    Boundary(Vec<bool>),
}

/// Counts of one task's outputs against their targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tally {
    Accuracy { right: u64, images: u64 },
    PixelAccuracy { right: u64, cells: u64, images: u64 },
    MeanIou { classes: Vec<ClassCounts>, images: u64 },
    BoundaryF1 { hits: u64, wrong: u64, images: u64 },
}

/// Cells that are a class in both, only in the output, only in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    pub both: u64,
    pub only_output: u64,
    pub only_target: u64,
}

/// The label of every cell of a dense task: the pixel in the middle of the cell.
pub fn cell_labels(map: &LabelMap, grid: (usize, usize)) -> Result<Vec<u8>, String> {
    let step = cell_step(map, grid)?;
    let at = |row: usize, column: usize| {
        map.labels[(row * step + step / 2) * map.width + column * step + step / 2]
    };
    Ok((0..grid.0)
        .flat_map(|row| (0..grid.1).map(move |column| at(row, column)))
        .collect())
}

/// Whether a cell holds a pixel that differs from a horizontal or vertical neighbour.
pub fn cell_boundaries(map: &LabelMap, grid: (usize, usize)) -> Result<Vec<bool>, String> {
    let step = cell_step(map, grid)?;
    let label = |y: usize, x: usize| map.labels[y * map.width + x];
    let mut cells = vec![false; grid.0 * grid.1];
    let mut mark = |y: usize, x: usize| cells[y / step * grid.1 + x / step] = true;
    for y in 0..map.height {
        for x in 0..map.width {
            if x + 1 < map.width && label(y, x) != label(y, x + 1) {
                mark(y, x);
                mark(y, x + 1);
            }
            if y + 1 < map.height && label(y, x) != label(y + 1, x) {
                mark(y, x);
                mark(y + 1, x);
            }
        }
    }
    Ok(cells)
}

fn cell_step(map: &LabelMap, (rows, columns): (usize, usize)) -> Result<usize, String> {
    let step = map.height / rows;
    match step > 0 && (rows * step, columns * step) == (map.height, map.width) {
        true => Ok(step),
        false => Err(format!(
            "a label map of {} x {} does not fit {rows} x {columns} cells",
            map.height, map.width
        )),
    }
}

impl Target {
    /// The target of a dense task from a label map of the cells or of the whole image.
    pub fn from_labels(map: &LabelMap, architecture: &Architecture, task: usize) -> Result<Self, String> {
        let grid = architecture
            .cell_grid(task)
            .ok_or_else(|| format!("task {task} is not a dense task"))?;
        match architecture.tasks[task].metric {
            Some(Metric::BoundaryF1 { .. }) => Ok(Self::Boundary(cell_boundaries(map, grid)?)),
            _ => Ok(Self::Cells(cell_labels(map, grid)?)),
        }
    }
}

/// The logits of a dense task in the order of its cells: `[class][cell row][cell column]`.
pub fn cell_logits(logits: &Tensor, architecture: &Architecture, task: usize) -> Result<Tensor, String> {
    let Some(&Head::Dense { cells, classes }) = architecture.tasks.get(task).map(|t| &t.head) else {
        return Err(format!("task {task} is not a dense task"));
    };
    expect_shape(logits, &[architecture.patches(), classes * cells * cells])?;
    let (rows, columns) = architecture.cell_grid(task).unwrap_or_default();
    let mut out = Tensor::zeros([classes, rows, columns]);
    for (at, value) in out.data.iter_mut().enumerate() {
        let (class, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
        let patch = row / cells * (columns / cells) + column / cells;
        let channel = (class * cells + row % cells) * cells + column % cells;
        *value = logits.row(patch)[channel];
    }
    Ok(out)
}

fn expect_shape(logits: &Tensor, shape: &[usize]) -> Result<(), String> {
    match logits.shape == shape {
        true => Ok(()),
        false => Err(format!(
            "the logits have the shape {:?}, not {shape:?}",
            logits.shape
        )),
    }
}

/// The index of the largest value; the lowest index wins a tie.
pub fn argmax(values: impl IntoIterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

impl Tally {
    /// An empty tally for the metric of a task.
    pub fn new(architecture: &Architecture, task: usize) -> Result<Self, String> {
        let spec = architecture
            .tasks
            .get(task)
            .ok_or_else(|| format!("task {task} does not exist"))?;
        let classes = match spec.head {
            Head::Dense { classes, .. } | Head::Classification { classes } => classes,
            Head::Features => 0,
        };
        Ok(
            match spec
                .metric
                .ok_or_else(|| format!("task \"{}\" has no metric", spec.name))?
            {
                Metric::Accuracy => Self::Accuracy { right: 0, images: 0 },
                Metric::PixelAccuracy { .. } => Self::PixelAccuracy {
                    right: 0,
                    cells: 0,
                    images: 0,
                },
                Metric::MeanIou { .. } => Self::MeanIou {
                    classes: vec![ClassCounts::default(); classes],
                    images: 0,
                },
                Metric::BoundaryF1 { .. } => Self::BoundaryF1 {
                    hits: 0,
                    wrong: 0,
                    images: 0,
                },
            },
        )
    }

    /// Judges the logits of one image.
    pub fn add(
        &mut self,
        logits: &Tensor,
        target: &Target,
        architecture: &Architecture,
        task: usize,
    ) -> Result<(), String> {
        match (&mut *self, target) {
            (Self::Accuracy { right, images }, Target::Class(class)) => {
                *right += u64::from(argmax(logits.data.iter().copied()) == *class);
                *images += 1;
                Ok(())
            }
            (Self::BoundaryF1 { hits, wrong, images }, Target::Boundary(target)) => {
                let Some(Metric::BoundaryF1 { threshold }) = architecture.tasks[task].metric else {
                    return Err("the task's metric is not boundary_f1".to_string());
                };
                let output = cell_logits(logits, architecture, task)?;
                for (&value, &target) in output.data.iter().zip(target) {
                    *hits += u64::from(target && value > threshold);
                    *wrong += u64::from(target != (value > threshold));
                }
                *images += 1;
                Ok(())
            }
            (Self::PixelAccuracy { .. } | Self::MeanIou { .. }, Target::Cells(target)) => self.add_cells(
                &cell_logits(logits, architecture, task)?,
                target,
                architecture,
                task,
            ),
            (tally, target) => Err(format!("{target:?} is no target for {tally:?}")),
        }
    }

    fn add_cells(
        &mut self,
        logits: &Tensor,
        target: &[u8],
        architecture: &Architecture,
        task: usize,
    ) -> Result<(), String> {
        let ignored = match architecture.tasks[task].metric {
            Some(Metric::PixelAccuracy { ignored } | Metric::MeanIou { ignored }) => ignored,
            _ => None,
        };
        let (classes, cells) = (logits.shape[0], logits.shape[1] * logits.shape[2]);
        if target.len() != cells {
            return Err(format!(
                "the target has {} cells, but the output has {cells}",
                target.len()
            ));
        }
        for (cell, &label) in target.iter().enumerate() {
            let label = usize::from(label);
            if ignored != Some(label) {
                self.add_cell(
                    argmax((0..classes).map(|class| logits.data[class * cells + cell])),
                    label,
                );
            }
        }
        match self {
            Self::PixelAccuracy { images, .. } | Self::MeanIou { images, .. } => *images += 1,
            Self::Accuracy { .. } | Self::BoundaryF1 { .. } => {}
        }
        Ok(())
    }

    fn add_cell(&mut self, output: usize, label: usize) {
        match self {
            Self::PixelAccuracy { right, cells, .. } => {
                *right += u64::from(output == label);
                *cells += 1;
            }
            Self::MeanIou { classes, .. } if output == label => classes[output].both += 1,
            Self::MeanIou { classes, .. } => {
                classes[output].only_output += 1;
                // A label beyond the classes is a wrong answer of the class that was given, and nothing else.
                if let Some(class) = classes.get_mut(label) {
                    class.only_target += 1;
                }
            }
            Self::Accuracy { .. } | Self::BoundaryF1 { .. } => {}
        }
    }

    /// Adds the counts of another shard of the same task.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        match (self, other) {
            (Self::Accuracy { right, images }, Self::Accuracy { right: r, images: i }) => {
                (*right, *images) = (*right + r, *images + i);
            }
            (
                Self::PixelAccuracy { right, cells, images },
                Self::PixelAccuracy {
                    right: r,
                    cells: c,
                    images: i,
                },
            ) => (*right, *cells, *images) = (*right + r, *cells + c, *images + i),
            (
                Self::BoundaryF1 { hits, wrong, images },
                Self::BoundaryF1 {
                    hits: h,
                    wrong: w,
                    images: i,
                },
            ) => {
                (*hits, *wrong, *images) = (*hits + h, *wrong + w, *images + i);
            }
            (
                Self::MeanIou { classes, images },
                Self::MeanIou {
                    classes: c,
                    images: i,
                },
            ) if classes.len() == c.len() => {
                classes
                    .iter_mut()
                    .zip(c)
                    .for_each(|(mine, theirs)| mine.merge(theirs));
                *images += i;
            }
            (mine, theirs) => return Err(format!("{theirs:?} cannot be added to {mine:?}")),
        }
        Ok(())
    }

    /// The metric, 0..=1; zero when nothing was counted.
    pub fn value(&self) -> f64 {
        match self {
            Self::Accuracy { right, images } => ratio(*right, *images),
            Self::PixelAccuracy { right, cells, .. } => ratio(*right, *cells),
            Self::BoundaryF1 { hits, wrong, .. } => ratio(2 * hits, 2 * hits + wrong),
            Self::MeanIou { classes, .. } => {
                let found: Vec<_> = classes.iter().filter(|class| class.union() > 0).collect();
                let sum: f64 = found.iter().map(|class| ratio(class.both, class.union())).sum();
                sum / found.len().max(1) as f64
            }
        }
    }

    /// Images that were judged.
    pub fn images(&self) -> u64 {
        match self {
            Self::Accuracy { images, .. }
            | Self::PixelAccuracy { images, .. }
            | Self::MeanIou { images, .. }
            | Self::BoundaryF1 { images, .. } => *images,
        }
    }
}

impl ClassCounts {
    fn union(&self) -> u64 {
        self.both + self.only_output + self.only_target
    }

    fn merge(&mut self, other: &Self) {
        self.both += other.both;
        self.only_output += other.only_output;
        self.only_target += other.only_target;
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests;
