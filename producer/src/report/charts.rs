//! The page's charts, as inline SVG. They use the colors of the light theme. For the dark theme, the page's style sheet
//! selects these colors by value and replaces them.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measures::latency::Latency;
use crate::measures::timeline::Timeline;

/// Width and height of a chart in pixels. A column of the page is about this wide on a desktop and on a phone, so
/// browsers hardly scale the chart's text.
const SIZE: (u32, u32) = (440, 260);

const INK: RGBColor = RGBColor(0x57, 0x60, 0x6a);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);

/// Colors of the three series of each chart, in order. The style sheet in `report.html` repeats these colors.
const SERIES: [RGBColor; 3] = [RGBColor(0x09, 0x69, 0xda), RGBColor(0xbc, 0x4c, 0x00), RGBColor(0x1a, 0x7f, 0x37)];

/// Font size of the labels in pixels.
const FONT_SIZE: i32 = 13;

/// The points of a line, from left to right.
type Line = Vec<(f64, f64)>;

/// Draws the numbers of messages sent, events claimed and objects written in each interval.
pub(super) fn timeline(timeline: &Timeline) -> String {
    let interval = seconds(timeline.interval_ms);
    let line = |counts: &[u64]| -> Line {
        // A point is in the middle of its interval, so that the only point of a short run is not on the axis.
        let middles = (0..).map(|at| (f64::from(at) + 0.5) * interval);
        middles.zip(counts.iter().map(|&count| number(count))).collect()
    };
    let lines = [line(&timeline.sent), line(&timeline.claimed), line(&timeline.archived)];
    let end = number(timeline.sent.len() as u64) * interval;
    let decimals = usize::from(end < 2.0);
    draw(&lines, end, &|at| format!("{at:.decimals$} s"), &whole)
}

/// Draws the latency of each step by percentile.
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
    draw_into(&area, lines, (end, top), x_label, y_label).expect("writing to a string cannot fail");
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
    let label_style = ("sans-serif", FONT_SIZE).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(label_style)
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|x| x_label(*x))
        .y_label_formatter(&|y| y_label(*y))
        .draw()?;
    for (line, color) in lines.iter().zip(SERIES) {
        chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)))?;
        if let [point] = line[..] {
            chart.draw_series([Circle::new(point, 3, color.filled())])?;
        }
    }
    area.present()
}

/// Returns the axis label for a count; empty if the count is not a whole number.
fn whole(count: f64) -> String {
    if count.fract().abs() > 1e-9 { String::new() } else { format!("{count:.0}") }
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a chart is accurate to one pixel only")]
fn number(count: u64) -> f64 {
    count as f64
}
