//! A test set on disk.
//!
//! A directory holds `images` and, for dense tasks, `labels`: each either a folder of PNG files (read in the order of
//! their names) or a contact sheet `images.png`, `labels.png` that is cut into images in raster order. For a
//! classification task the file `classes.txt` holds one class number a line.

use std::path::{Path, PathBuf};

use super::architecture::{Architecture, Head};
use super::image::{list_png, Image, ImageError, LabelMap};
use super::metric::Target;

/// Images and what they should give.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub images: Vec<Image>,
    labels: Option<Vec<LabelMap>>,
    classes: Option<Vec<usize>>,
    directory: PathBuf,
}

/// Why a test set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the test set {directory}: {reason}")]
    Unsuitable { directory: String, reason: String },
}

impl Dataset {
    /// Reads the images, which must have the size that `architecture` takes, and whatever labels there are.
    pub fn load(directory: impl AsRef<Path>, architecture: &Architecture) -> Result<Self, DatasetError> {
        let directory = directory.as_ref();
        let spec = &architecture.image;
        let images = match Source::find(directory, "images") {
            Some(source) => source.images(spec.height, spec.width, spec.channels)?,
            None => {
                return Err(unsuitable(
                    directory,
                    "it has neither images.png nor a folder images".into(),
                ))
            }
        };
        let labels = match Source::find(directory, "labels") {
            Some(source) => Some(source.labels(spec.height, spec.width)?),
            None => None,
        };
        let set = Self {
            images,
            labels,
            classes: read_classes(directory)?,
            directory: directory.into(),
        };
        set.check_counts()?;
        Ok(set)
    }

    fn check_counts(&self) -> Result<(), DatasetError> {
        let images = self.images.len();
        for (what, count) in [
            ("label maps", self.labels.as_ref().map(Vec::len)),
            ("classes", self.classes.as_ref().map(Vec::len)),
        ] {
            if let Some(count) = count.filter(|&count| count != images) {
                return Err(unsuitable(
                    &self.directory,
                    format!("{images} images have {count} {what}"),
                ));
            }
        }
        Ok(())
    }

    /// CRC-32 of all images, label maps and classes: the same for the same test set.
    pub fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for image in &self.images {
            crc.update(&image.pixels);
        }
        for map in self.labels.iter().flatten() {
            crc.update(&map.labels);
        }
        for &class in self.classes.iter().flatten() {
            crc.update(&(class as u64).to_le_bytes());
        }
        crc.finalize()
    }

    /// What every image should give for a task.
    pub fn targets(&self, architecture: &Architecture, task: usize) -> Result<Vec<Target>, DatasetError> {
        let refuse = |reason: String| unsuitable(&self.directory, reason);
        let head = architecture.tasks.get(task).map(|task| task.head);
        match head.ok_or_else(|| refuse(format!("task {task} does not exist")))? {
            Head::Classification { classes: count } => {
                let classes = self
                    .classes
                    .as_ref()
                    .ok_or_else(|| refuse("it has no classes.txt".into()))?;
                match classes.iter().find(|&&class| class >= count) {
                    Some(class) => Err(refuse(format!(
                        "classes.txt names class {class}, but there are {count}"
                    ))),
                    None => Ok(classes.iter().map(|&class| Target::Class(class)).collect()),
                }
            }
            Head::Dense { .. } => {
                let labels = self
                    .labels
                    .as_ref()
                    .ok_or_else(|| refuse("it has no labels".into()))?;
                labels
                    .iter()
                    .map(|map| Target::from_labels(map, architecture, task).map_err(refuse))
                    .collect()
            }
            Head::Features => Err(refuse("features have no target".into())),
        }
    }
}

fn unsuitable(directory: &Path, reason: String) -> DatasetError {
    DatasetError::Unsuitable {
        directory: directory.display().to_string(),
        reason,
    }
}

fn read_classes(directory: &Path) -> Result<Option<Vec<usize>>, DatasetError> {
    let path = directory.join("classes.txt");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| ImageError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let parse = |word: &str| {
        word.parse()
            .map_err(|_| unsuitable(directory, format!("classes.txt: \"{word}\" is no class number")))
    };
    text.split_whitespace()
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Where pictures come from.
enum Source {
    Sheet(PathBuf),
    Folder(PathBuf),
}

impl Source {
    fn find(directory: &Path, name: &str) -> Option<Self> {
        let (sheet, folder) = (directory.join(format!("{name}.png")), directory.join(name));
        match (sheet.is_file(), folder.is_dir()) {
            (true, _) => Some(Self::Sheet(sheet)),
            (false, true) => Some(Self::Folder(folder)),
            (false, false) => None,
        }
    }

    fn images(&self, height: usize, width: usize, channels: usize) -> Result<Vec<Image>, ImageError> {
        match self {
            Self::Sheet(path) => cut(Image::load(path, channels)?, path, height, width),
            Self::Folder(path) => list_png(path)?
                .iter()
                .map(|path| Image::load_sized(path, height, width, channels))
                .collect(),
        }
    }

    fn labels(&self, height: usize, width: usize) -> Result<Vec<LabelMap>, ImageError> {
        match self {
            Self::Sheet(path) => {
                let tiles = cut(LabelMap::load(path)?.into(), path, height, width)?;
                Ok(tiles.into_iter().map(LabelMap::from).collect())
            }
            Self::Folder(path) => list_png(path)?.iter().map(LabelMap::load).collect(),
        }
    }
}

fn cut(sheet: Image, path: &Path, height: usize, width: usize) -> Result<Vec<Image>, ImageError> {
    if sheet.height % height == 0 && sheet.width % width == 0 {
        return Ok(sheet.tiles(height, width));
    }
    Err(ImageError::Size {
        path: path.display().to_string(),
        found_height: sheet.height,
        found_width: sheet.width,
        expected: format!("a contact sheet must hold whole images of {height} x {width}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo");

    fn architecture() -> Architecture {
        Architecture::load(format!("{DEMO}/architecture.toml")).unwrap()
    }

    fn copy(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(format!("{DEMO}/test/{name}"), folder.path().join(name)).unwrap();
        }
        folder
    }

    #[test]
    fn sheets_and_folders_hold_the_same_images() {
        let a = architecture();
        let set = Dataset::load(format!("{DEMO}/test"), &a).unwrap();
        assert_eq!(set.images.len(), 600);
        assert_eq!(
            (
                set.targets(&a, 0).unwrap().len(),
                set.targets(&a, 1).unwrap().len()
            ),
            (600, 600)
        );
        let singles = Dataset::load(DEMO, &a).unwrap();
        assert_eq!(singles.images.len(), 16);
        assert_eq!(singles.images[..], set.images[..16]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let a = architecture();
        let none = Dataset::load(copy(&[]).path(), &a).unwrap_err().to_string();
        assert!(none.contains("neither images.png nor a folder images"), "{none}");
        let folder = copy(&["images.png"]);
        let set = Dataset::load(folder.path(), &a).unwrap();
        assert!(set
            .targets(&a, 0)
            .unwrap_err()
            .to_string()
            .contains("no classes.txt"));
        assert!(set.targets(&a, 1).unwrap_err().to_string().contains("no labels"));
        assert!(set
            .targets(&a, 2)
            .unwrap_err()
            .to_string()
            .contains("task 2 does not exist"));
    }

    #[test]
    fn another_test_set_has_another_crc() {
        let a = architecture();
        let crc = |directory: &Path| Dataset::load(directory, &a).unwrap().crc();
        let folder = copy(&["images.png", "labels.png", "classes.txt"]);
        let whole = crc(folder.path());
        assert_eq!(whole, crc(Path::new(&format!("{DEMO}/test"))));
        std::fs::write(folder.path().join("classes.txt"), "1\n".repeat(600)).unwrap();
        assert_ne!(crc(folder.path()), whole);
        assert_ne!(crc(Path::new(DEMO)), whole);
    }

    #[test]
    fn wrong_classes_are_refused() {
        let a = architecture();
        let folder = copy(&["images.png"]);
        let classes = folder.path().join("classes.txt");
        for (text, sentence) in [
            ("1\n2\n", "600 images have 2 classes"),
            ("1\nx\n", "\"x\" is no class"),
        ] {
            std::fs::write(&classes, text).unwrap();
            let error = Dataset::load(folder.path(), &a).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
        std::fs::write(&classes, "10\n".repeat(600)).unwrap();
        let error = Dataset::load(folder.path(), &a)
            .unwrap()
            .targets(&a, 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("names class 10, but there are 10"), "{error}");
    }

    #[test]
    fn a_sheet_of_broken_images_is_refused() {
        let mut a = architecture();
        a.image.height = 44;
        let error = Dataset::load(copy(&["images.png"]).path(), &a)
            .unwrap_err()
            .to_string();
        assert!(error.contains("whole images of 44 x 28"), "{error}");
    }
}
