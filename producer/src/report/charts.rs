//! The page's charts, as SVG that stands in it. Their colours are those of the light page; its style sheet finds them by their
//! values and gives them others in the dark.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measures::latency::Latency;
use crate::measures::timeline::Timeline;

/// A page's column on a desk and a phone's width are not far from this, so that letters keep their size on both.
const SIZE: (u32, u32) = (440, 260);

const INK: RGBColor = RGBColor(0x57, 0x60, 0x6a);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);

/// Of the three series of each chart, in their order. `report.html` names them again.
const SERIES: [RGBColor; 3] = [RGBColor(0x09, 0x69, 0xda), RGBColor(0xbc, 0x4c, 0x00), RGBColor(0x1a, 0x7f, 0x37)];

/// In pixels of the chart.
const LETTERS: i32 = 13;

/// A line, from left to right.
type Line = Vec<(f64, f64)>;

/// What was sent, claimed and archived in each interval.
pub(super) fn timeline(timeline: &Timeline) -> String {
    let interval = seconds(timeline.interval_ms);
    let line = |counts: &[u64]| -> Line {
        // Each count stands in the middle of its interval, and a lone one must be seen too.
        let middles = (0..).map(|at| (f64::from(at) + 0.5) * interval);
        middles.zip(counts.iter().map(|&count| number(count))).collect()
    };
    let lines = [line(&timeline.sent), line(&timeline.claimed), line(&timeline.archived)];
    let end = number(timeline.sent.len() as u64) * interval;
    let decimals = usize::from(end < 2.0);
    draw(&lines, end, &|at| format!("{at:.decimals$} s"), &whole)
}

/// How many events in a hundred took no longer than so long.
pub(super) fn latency(latency: &Latency) -> String {
    let lines = latency.steps().map(|(_, percentiles)| {
        let curve = percentiles.map(|percentiles| percentiles.curve.as_slice()).unwrap_or_default();
        curve.iter().map(|point| (f64::from(point.percent), number(point.ms))).collect()
    });
    draw(&lines, 100.0, &|percent| format!("{percent:.0} %"), &|ms| {
        if ms >= 10_000.0 { format!("{:.0} s", ms / 1_000.0) } else { format!("{ms:.0} ms") }
    })
}

fn draw(lines: &[Line; 3], end: f64, x_label: &dyn Fn(f64) -> String, y_label: &dyn Fn(f64) -> String) -> String {
    let mut svg = String::new();
    let top = lines.iter().flatten().map(|(_, y)| *y).fold(1.0, f64::max) * 1.05;
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw_into(&area, lines, (end, top), x_label, y_label).expect("a text can always be written to");
    drop(area);
    svg
}

fn draw_into<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    lines: &[Line; 3],
    (end, top): (f64, f64),
    x_label: &dyn Fn(f64) -> String,
    y_label: &dyn Fn(f64) -> String,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    let letters = ("sans-serif", LETTERS).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(letters)
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|x| x_label(*x))
        .y_label_formatter(&|y| y_label(*y))
        .draw()?;
    for (line, colour) in lines.iter().zip(SERIES) {
        chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
        if let [point] = line[..] {
            chart.draw_series([Circle::new(point, 3, colour.filled())])?;
        }
    }
    area.present()
}

fn whole(count: f64) -> String {
    if count.fract().abs() > 1e-9 { String::new() } else { format!("{count:.0}") }
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a chart is right to a pixel")]
fn number(count: u64) -> f64 {
    count as f64
}
