//! Pictures of a frame as SVG: a timeline with the units as lanes, and a roofline.

use super::layers::{kind, Layer};
use super::timeline::{Timeline, BIN_CYCLES};
use crate::memory::BEAT_BYTES;
use crate::program::Program;
use anyhow::{anyhow, Result};
use moevit_hw::activity::Array;
use moevit_hw::control::command::Unit;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::BTreeMap;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 1_600;
const LABELS: u32 = 90;
const CURVE_HEIGHT: u32 = 110;
const LANE_HEIGHT: u32 = 30;
const TITLE_HEIGHT: u32 = 34;
const LEGEND_ROW: u32 = 20;
const LEGEND_COLUMN: u32 = 190;
const ROOFLINE_HEIGHT: u32 = 640;
/// Paul Tol's muted scheme, then his light one: distinct for the colour-blind.
const COLOURS: [u32; 18] = [
    0x332288, 0x88ccee, 0x44aa99, 0x117733, 0x999933, 0xddcc77, 0xcc6677, 0x882255, 0xaa4499, 0x77aadd,
    0x99ddff, 0x44bb99, 0xbbcc33, 0xaaaa00, 0xeedd88, 0xee8866, 0xffaabb, 0x777777,
];

/// Who works when: array, the other units by kind of command, weight buffer, read ports.
pub fn timeline(title: &str, program: &Program, timeline: &Timeline, port_limit: u32) -> Result<String> {
    let kinds = Kinds::new(program, timeline);
    let legend = LEGEND_ROW * (kinds.names.len() as u32).div_ceil((WIDTH - LABELS) / LEGEND_COLUMN);
    let lanes = LANE_HEIGHT * Unit::ALL.len() as u32 + 10;
    let height = TITLE_HEIGHT + 3 * CURVE_HEIGHT + lanes + legend + 40;
    draw((WIDTH, height), |root| {
        let (top, rest) = root.split_vertically(TITLE_HEIGHT);
        write_at(&top, (10, 8), title, 18)?;
        let (array, rest) = rest.split_vertically(CURVE_HEIGHT);
        let (units, rest) = rest.split_vertically(lanes);
        let (buffer, rest) = rest.split_vertically(CURVE_HEIGHT);
        let (ports, rest) = rest.split_vertically(CURVE_HEIGHT + 30);
        curve(
            &array,
            timeline,
            "array, %",
            100.0,
            &streaming(timeline),
            0,
            false,
        )?;
        draw_lanes(&units, timeline, &kinds)?;
        let words = program.config.weight_words as f64;
        let levels: Vec<f64> = timeline.bins.iter().map(|bin| bin.buffered as f64).collect();
        curve(&buffer, timeline, "buffer, words", words, &levels, 2, false)?;
        let rate = |beats: u64| (beats * BEAT_BYTES) as f64 / BIN_CYCLES as f64;
        let rates: Vec<f64> = timeline.bins.iter().map(|bin| rate(bin.beats)).collect();
        curve(
            &ports,
            timeline,
            "read, B/cycle",
            f64::from(port_limit),
            &rates,
            6,
            true,
        )?;
        kinds.legend(&rest)
    })
}

/// Multiply-accumulates a cycle over multiply-accumulates a byte, for each kind of layer that reads memory.
pub fn roofline(title: &str, kinds: &[Layer], macs_per_cycle: u64, bytes_per_cycle: u32) -> Result<String> {
    let points: Vec<(f64, f64, &str)> = kinds
        .iter()
        .filter(|row| row.bytes > 0 && row.macs > 0 && row.cycles > 0)
        .map(|row| {
            let intensity = row.macs as f64 / row.bytes as f64;
            (intensity, row.macs as f64 / row.cycles as f64, row.name.as_str())
        })
        .collect();
    let (peak, bandwidth) = (macs_per_cycle as f64, f64::from(bytes_per_cycle));
    let ridge = peak / bandwidth;
    let low = points.iter().map(|point| point.0).fold(ridge, f64::min) / 4.0;
    let high = points.iter().map(|point| point.0).fold(ridge, f64::max) * 4.0;
    let floor = points.iter().map(|point| point.1).fold(low * bandwidth, f64::min) / 2.0;
    draw((WIDTH * 5 / 8, ROOFLINE_HEIGHT), |root| {
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((low..high).log_scale(), (floor..2.0 * peak).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("multiply-accumulates a byte of the weight stream")
            .y_desc("multiply-accumulates a cycle")
            .light_line_style(WHITE)
            .draw()
            .map_err(failed)?;
        let roof = [low, ridge, high].map(|x| (x, (x * bandwidth).min(peak)));
        chart
            .draw_series(LineSeries::new(roof, BLACK.stroke_width(2)))
            .map_err(failed)?;
        let dots = points.iter().enumerate().map(|(i, &(x, y, name))| {
            // Names of neighbouring points take turns above and below.
            let at = if i % 2 == 0 { (8, -14) } else { (8, 4) };
            EmptyElement::at((x, y))
                + Circle::new((0, 0), 5, colour(i).filled())
                + Text::new(name.to_owned(), at, ("sans-serif", 14))
        });
        chart.draw_series(dots).map_err(failed)?;
        Ok(())
    })
}

/// Colours of what commands have in common.
struct Kinds {
    /// By command.
    of: Vec<String>,
    names: BTreeMap<String, usize>,
}

impl Kinds {
    fn new(program: &Program, timeline: &Timeline) -> Self {
        let of: Vec<String> = program
            .meta
            .labels
            .iter()
            .map(|label| kind(&label.layer))
            .collect();
        let mut names = BTreeMap::new();
        for command in timeline.spans.iter().filter_map(|span| span.command) {
            let next = names.len();
            names.entry(of[command].clone()).or_insert(next);
        }
        Self { of, names }
    }

    fn colour(&self, command: Option<usize>) -> RGBColor {
        let name = command.map(|command| &self.of[command]);
        name.and_then(|name| self.names.get(name))
            .map_or(RGBColor(200, 200, 200), |&i| colour(i))
    }

    fn legend(&self, area: &Area) -> Result<()> {
        let columns = (WIDTH - LABELS) / LEGEND_COLUMN;
        for (place, (name, &index)) in self.names.iter().enumerate() {
            let place = place as u32;
            let x = (LABELS + place % columns * LEGEND_COLUMN) as i32;
            let y = (place / columns * LEGEND_ROW + 4) as i32;
            let square = Rectangle::new([(x, y), (x + 12, y + 12)], colour(index).filled());
            area.draw(&square).map_err(failed)?;
            write_at(area, (x + 18, y), name, 13)?;
        }
        Ok(())
    }
}

fn colour(index: usize) -> RGBColor {
    let rgb = COLOURS[index % COLOURS.len()];
    RGBColor((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

/// Share of each bin's cycles in which the array streams, percent.
fn streaming(timeline: &Timeline) -> Vec<f64> {
    let mut cycles = vec![0u64; timeline.bins.len()];
    for run in timeline.runs.iter().filter(|run| run.array == Array::Streams) {
        let mut at = run.start;
        while at < run.end {
            let end = run.end.min((at / BIN_CYCLES + 1) * BIN_CYCLES);
            if let Some(bin) = cycles.get_mut((at / BIN_CYCLES) as usize) {
                *bin += end - at;
            }
            at = end;
        }
    }
    cycles
        .iter()
        .map(|&c| 100.0 * c as f64 / BIN_CYCLES as f64)
        .collect()
}

fn curve(
    area: &Area,
    timeline: &Timeline,
    name: &str,
    limit: f64,
    values: &[f64],
    colour_index: usize,
    with_cycles: bool,
) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin_right(10)
        .margin_top(6)
        .y_label_area_size(LABELS)
        .x_label_area_size(if with_cycles { 34 } else { 0 })
        .build_cartesian_2d(0.0..timeline.cycles as f64, 0.0..limit)
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    mesh.y_desc(name).y_labels(3).light_line_style(WHITE);
    if with_cycles {
        mesh.x_desc("cycles")
            .x_label_formatter(&|cycles| format!("{cycles:.0}"));
    }
    mesh.draw().map_err(failed)?;
    let points = values.iter().enumerate().map(|(bin, &value)| {
        let cycle = (bin as u64 * BIN_CYCLES).min(timeline.cycles);
        (cycle as f64, value.min(limit))
    });
    let colour = colour(colour_index);
    let series = AreaSeries::new(points, 0.0, colour.mix(0.35)).border_style(colour);
    chart.draw_series(series).map_err(failed)?;
    Ok(())
}

/// A lane for each unit, a bar for each command.
fn draw_lanes(area: &Area, timeline: &Timeline, kinds: &Kinds) -> Result<()> {
    let width = f64::from(WIDTH - LABELS - 10);
    let place =
        |cycle: u64| (f64::from(LABELS) + cycle as f64 / timeline.cycles.max(1) as f64 * width) as i32;
    for (lane, unit) in Unit::ALL.into_iter().enumerate() {
        let top = (lane as u32 * LANE_HEIGHT + 6) as i32;
        write_at(area, (10, top + 5), unit.name(), 14)?;
        for span in timeline.spans.iter().filter(|span| span.unit == unit) {
            let (left, right) = (place(span.start), place(span.end));
            let corners = [(left, top), (right.max(left + 1), top + LANE_HEIGHT as i32 - 8)];
            let bar = Rectangle::new(corners, kinds.colour(span.command).filled());
            area.draw(&bar).map_err(failed)?;
        }
    }
    Ok(())
}

fn write_at(area: &Area, at: (i32, i32), text: &str, size: u32) -> Result<()> {
    let text = Text::new(text.to_owned(), at, ("sans-serif", size));
    area.draw(&text).map_err(failed)
}

fn draw(size: (u32, u32), paint: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut picture = String::new();
    let root = SVGBackend::with_string(&mut picture, size).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    paint(&root)?;
    root.present().map_err(failed)?;
    drop(root);
    Ok(picture)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
