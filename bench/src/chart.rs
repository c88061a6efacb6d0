//! CPU time and cold start of every function as bars, on a logarithmic axis: the compiled ones and the Python ones are two
//! orders of magnitude apart.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::results::{Results, Row};
use bench::traffic::{Relation, Size};

const WIDTH: u32 = 860;
const ROW: u32 = 30;
const HEAD: u32 = 44;
/// Where the bars begin, right of the names.
const LEFT: i32 = 230;
/// What is kept free at the right for a bar's number.
const RIGHT: i32 = 70;

/// Draws distinct readings of 250 bytes.
pub(crate) fn draw(results: &Results, file: &Path) -> anyhow::Result<()> {
    let of_interest = |row: &&Row| row.size == Size::Reading && row.relation == Relation::Distinct;
    let rows: Vec<&Row> = results.rows.iter().filter(of_interest).collect();
    let panel = HEAD + ROW * u32::try_from(rows.len())?;
    let root = SVGBackend::new(file, (WIDTH, 2 * panel + 10)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
    let (upper, lower) = root.split_vertically(panel);
    bars(&upper, "CPU time a message, us (distinct events of 250 bytes)", &rows, |row| row.median.cpu_us)?;
    bars(&lower, "process start to first /next, ms", &rows, |row| row.median.cold_ms)?;
    root.present().map_err(|error| anyhow!("{} cannot be written: {error}", file.display()))
}

fn bars(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    rows: &[&Row],
    value: impl Fn(&Row) -> f64,
) -> anyhow::Result<()> {
    let drawn = |error| anyhow!("the chart cannot be drawn: {error}");
    let text = ("sans-serif", 14).into_font();
    area.draw(&Text::new(title.to_owned(), (10, 12), ("sans-serif", 16).into_font())).map_err(drawn)?;
    // From one: no bar is shorter than a hundredth of the longest.
    let longest = rows.iter().map(|row| value(row)).fold(1.0, f64::max).log10();
    for (position, row) in rows.iter().enumerate() {
        let top = i32::try_from(HEAD + ROW * u32::try_from(position)?)?;
        let room = f64::from(i32::try_from(WIDTH)? - LEFT - RIGHT);
        #[expect(clippy::cast_possible_truncation, reason = "within the width of the chart")]
        let right = LEFT + (room * value(row).max(1.0).log10() / longest.max(0.01)) as i32;
        let colour = if row.function.starts_with("bare") {
            RGBColor(160, 160, 160)
        } else if row.function.starts_with("Python") {
            RGBColor(214, 142, 60)
        } else {
            RGBColor(52, 116, 180)
        };
        area.draw(&Rectangle::new([(LEFT, top), (right.max(LEFT + 1), top + 20)], colour.filled())).map_err(drawn)?;
        area.draw(&Text::new(row.function, (10, top + 3), text.clone())).map_err(drawn)?;
        let number = if value(row) < 10.0 { format!("{:.1}", value(row)) } else { format!("{:.0}", value(row)) };
        area.draw(&Text::new(number, (right + 6, top + 3), text.clone())).map_err(drawn)?;
    }
    Ok(())
}
