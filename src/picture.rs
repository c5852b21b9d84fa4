//! Small pictures in the terminal: two rows of pixels a line of text.

use moevit_sim::model::Image;

const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A grey image in five shades, each the mean of two pixels.
pub fn shades(image: &Image) -> Vec<String> {
    let channels = image.channels;
    let grey = |y: usize, x: usize| {
        let first = (y.min(image.height - 1) * image.width + x) * channels;
        let pixel = &image.pixels[first..first + channels];
        pixel.iter().map(|&value| usize::from(value)).sum::<usize>() / channels
    };
    let shade = |y: usize, x: usize| SHADES[(grey(y, x) + grey(y + 1, x)) * SHADES.len() / 512];
    let line = |y: usize| (0..image.width).map(|x| shade(y, x)).collect();
    (0..image.height).step_by(2).map(line).collect()
}

/// Cells that are marked (not 0) and others.
pub fn marks(labels: &[Vec<usize>]) -> Vec<String> {
    let line = |rows: &[Vec<usize>]| {
        let below = rows.get(1);
        let cells = rows[0].iter().enumerate();
        let cells = cells.map(|(x, &upper)| (upper != 0, below.is_some_and(|row| row[x] != 0)));
        cells
            .map(|cell| match cell {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            })
            .collect()
    };
    labels.chunks(2).map(line).collect()
}

/// Pictures with titles, side by side.
pub fn side_by_side(pictures: &[(&str, Vec<String>)]) -> String {
    let height = pictures.iter().map(|p| p.1.len()).max().unwrap_or(0);
    let width = |(title, lines): &(&str, Vec<String>)| {
        let lines = lines.iter().map(|line| line.chars().count());
        lines.chain([title.chars().count()]).max().unwrap_or(0)
    };
    let mut text = String::new();
    let mut push = |cells: Vec<(&str, usize)>| {
        let cells = cells.iter().map(|(cell, width)| format!("{cell:width$}"));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("   ").trim_end());
    };
    push(pictures.iter().map(|p| (p.0, width(p))).collect());
    for y in 0..height {
        let line = |p| -> (&str, usize) {
            let picture: &(&str, Vec<String>) = p;
            (picture.1.get(y).map_or("", String::as_str), width(picture))
        };
        push(pictures.iter().map(line).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_make_a_line() {
        let image = Image {
            height: 3,
            width: 3,
            channels: 1,
            pixels: vec![0, 255, 0, 0, 255, 255, 128, 0, 255],
        };
        assert_eq!(shades(&image), [" █▒", "▒ █"]);
        let labels = vec![vec![1, 0, 1], vec![0, 1, 1], vec![1, 0, 0]];
        assert_eq!(marks(&labels), ["▀▄█", "▀  "]);
    }

    #[test]
    fn pictures_stand_under_their_titles() {
        let text = side_by_side(&[("a", vec!["██".into(), "█".into()]), ("long", vec!["▀".into()])]);
        assert_eq!(text, "  a    long\n  ██   ▀\n  █\n");
    }
}
