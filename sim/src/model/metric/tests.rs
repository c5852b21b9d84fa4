use super::*;

/// 2 x 1 patches of 2 x 2 pixels, 2 x 2 cells a patch.
fn architecture(classes: usize, metric: &str) -> Architecture {
    let text = format!(
        "name = \"t\"\nnaming = \"m3vit\"\n\
         [image]\nheight = 4\nwidth = 2\nchannels = 1\npatch = 2\nmean = [0.5]\nstd = [0.5]\n\
         [encoder]\ndim = 4\ndepth = 1\nheads = 1\nmlp_hidden = 4\n\
         [[tasks]]\nname = \"a\"\nhead = {{ kind = \"dense\", cells = 2, classes = {classes} }}\nmetric = {metric}\n\
         [[tasks]]\nname = \"b\"\nhead = {{ kind = \"classification\", classes = 3 }}\nmetric = {{ kind = \"accuracy\" }}\n"
    );
    Architecture::parse(&text, "test").unwrap()
}

fn map(height: usize, width: usize, labels: &[u8]) -> LabelMap {
    LabelMap {
        height,
        width,
        labels: labels.to_vec(),
    }
}

#[test]
fn cells_take_the_middle_pixel() {
    let labels: Vec<u8> = (0..32).collect();
    assert_eq!(
        cell_labels(&map(8, 4, &labels), (4, 2)).unwrap(),
        [5, 7, 13, 15, 21, 23, 29, 31]
    );
    assert_eq!(
        cell_labels(&map(2, 2, &labels[..4]), (2, 2)).unwrap(),
        [0, 1, 2, 3]
    );
    for (height, width) in [(3, 2), (2, 4), (1, 1)] {
        let wrong = map(height, width, &labels[..height * width]);
        assert!(cell_labels(&wrong, (2, 2))
            .unwrap_err()
            .contains("does not fit 2 x 2 cells"));
    }
}

#[test]
fn boundaries_lie_on_both_sides_of_a_step() {
    let labels = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    let whole = cell_boundaries(&map(4, 4, &labels), (4, 4)).unwrap();
    let marked: Vec<usize> = (0..16).filter(|&at| whole[at]).collect();
    assert_eq!(marked, [3, 6, 7, 11]);
    assert_eq!(
        cell_boundaries(&map(4, 4, &labels), (2, 2)).unwrap(),
        [false, true, false, true]
    );
}

#[test]
fn dense_channels_are_class_row_column() {
    let a = architecture(2, "{ kind = \"pixel_accuracy\" }");
    let logits = Tensor::new([2, 8], (0..16).map(|v| v as f32).collect());
    let cells = cell_logits(&logits, &a, 0).unwrap();
    assert_eq!(cells.shape, [2, 4, 2]);
    assert_eq!(
        cells.data,
        [0., 1., 2., 3., 8., 9., 10., 11., 4., 5., 6., 7., 12., 13., 14., 15.]
    );
    assert!(cell_logits(&Tensor::zeros([2, 4]), &a, 0)
        .unwrap_err()
        .contains("shape [2, 4]"));
    assert!(cell_logits(&logits, &a, 1).is_err());
}

/// Class 1 wins everywhere in the first patch, class 0 in the second.
fn two_patches() -> Tensor {
    Tensor::new([2, 8], [[0.0; 4], [1.0; 4], [2.0; 4], [1.0; 4]].concat())
}

#[test]
fn pixel_accuracy_leaves_out_the_ignored_label() {
    let a = architecture(2, "{ kind = \"pixel_accuracy\", ignored = 9 }");
    let mut tally = Tally::new(&a, 0).unwrap();
    let target = Target::from_labels(&map(4, 2, &[1, 1, 0, 9, 0, 0, 9, 1]), &a, 0).unwrap();
    tally.add(&two_patches(), &target, &a, 0).unwrap();
    assert_eq!(
        tally,
        Tally::PixelAccuracy {
            right: 4,
            cells: 6,
            images: 1
        }
    );
    assert!((tally.value() - 4.0 / 6.0).abs() < 1e-12);
}

#[test]
fn mean_iou_by_hand() {
    let a = architecture(2, "{ kind = \"mean_iou\", ignored = 9 }");
    let mut tally = Tally::new(&a, 0).unwrap();
    let target = Target::Cells(vec![1, 1, 0, 9, 0, 0, 9, 1]);
    tally.add(&two_patches(), &target, &a, 0).unwrap();
    // Class 0: both 2, only target 1, only output 1. Class 1: the same.
    assert!((tally.value() - 0.5).abs() < 1e-12, "{tally:?}");
    assert_eq!(tally.images(), 1);
}

#[test]
fn boundary_f1_by_hand() {
    let a = architecture(1, "{ kind = \"boundary_f1\", threshold = 0.5 }");
    let mut tally = Tally::new(&a, 0).unwrap();
    let logits = Tensor::new([2, 4], vec![1.0, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0]);
    // Rows of the grid: [1 1] [.5 0] [1 0] [0 0]; a step between columns in the first two rows.
    let target = Target::from_labels(&map(4, 2, &[0, 1, 0, 1, 1, 1, 1, 1]), &a, 0).unwrap();
    assert_eq!(
        target,
        Target::Boundary(vec![true, true, true, true, true, false, false, false])
    );
    tally.add(&logits, &target, &a, 0).unwrap();
    assert_eq!(
        tally,
        Tally::BoundaryF1 {
            hits: 3,
            wrong: 2,
            images: 1
        }
    );
    assert!((tally.value() - 6.0 / 8.0).abs() < 1e-12);
}

#[test]
fn accuracy_counts_and_shards_merge() {
    let a = architecture(2, "{ kind = \"pixel_accuracy\" }");
    let mut whole = Tally::new(&a, 1).unwrap();
    let mut shards = [whole.clone(), whole.clone()];
    for (at, (logits, class)) in [([0.0, 2.0, 1.0], 1), ([3.0, 3.0, 0.0], 1), ([0.0, 0.0, 1.0], 2)]
        .into_iter()
        .enumerate()
    {
        let logits = Tensor::new([1, 3], logits.to_vec());
        whole.add(&logits, &Target::Class(class), &a, 1).unwrap();
        shards[at % 2].add(&logits, &Target::Class(class), &a, 1).unwrap();
    }
    let [mut merged, other] = shards;
    merged.merge(&other).unwrap();
    assert_eq!(merged, whole);
    assert_eq!(whole, Tally::Accuracy { right: 2, images: 3 });
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let a = architecture(2, "{ kind = \"pixel_accuracy\" }");
    let mut accuracy = Tally::new(&a, 1).unwrap();
    let cells = Tally::new(&a, 0).unwrap();
    assert!(accuracy.merge(&cells).is_err());
    assert!(accuracy
        .add(&Tensor::zeros([1, 3]), &Target::Cells(vec![]), &a, 1)
        .is_err());
    assert!(cells
        .clone()
        .add(&two_patches(), &Target::Cells(vec![0; 3]), &a, 0)
        .is_err());
    assert!(Tally::new(&a, 2).is_err());
    assert_eq!(cells.value(), 0.0);
}
