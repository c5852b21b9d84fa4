//! Progress on standard error; hidden when that is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

const FRAME: &str = "{spinner} {msg}  {human_pos} cycles  {per_sec}  {elapsed}";
const IMAGES: &str = "{bar:30} {pos}/{len} images  {elapsed}, {eta} left";
const BLOCKS: &str = "{bar:30} {pos}/{len} blocks  {elapsed}  {msg}";
/// Time between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(200);

/// Counts the cycles of a simulated frame.
pub fn cycles(message: String, hidden: bool) -> ProgressBar {
    let bar = bar(None, FRAME, hidden).with_message(message);
    bar.enable_steady_tick(TICK);
    bar
}

/// Counts images.
pub fn images(count: usize, hidden: bool) -> ProgressBar {
    bar(Some(count as u64), IMAGES, hidden)
}

/// Counts blocks that are synthesised.
pub fn blocks(count: usize, hidden: bool) -> ProgressBar {
    let bar = bar(Some(count as u64), BLOCKS, hidden);
    bar.enable_steady_tick(TICK);
    bar
}

fn bar(length: Option<u64>, template: &str, hidden: bool) -> ProgressBar {
    let target = match hidden {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(length, target).with_style(style)
}
