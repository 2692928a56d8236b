//! `bench.svg`: a bar chart that is readable on light and on dark pages.

use std::fmt::Write as _;

use super::{name, table, updates_per_cpu_second};
use crate::{
    measure::{Answers, Row},
    stats::Spread,
    wire::Protocol,
};

const WIDTH: f64 = 760.0;
/// The width for the names.
const LEFT: f64 = 210.0;
/// The width for the numbers beside the longest bar.
const RIGHT: f64 = 90.0;
const TOP: f64 = 64.0;
const BAR: f64 = 16.0;
const GROUP_GAP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// The approximate number of grid lines along the axis.
const LINES: f64 = 5.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}\
    .small{font-size:11px;fill:#59636e}.h1{fill:#2f6fdb}.h2{fill:#7aa7f0}.grid{stroke:#d1d9e0}.range{stroke:#1f2328}\
    @media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.h1{fill:#4d8cf5}.h2{fill:#2a56a3}\
    .grid{stroke:#3d444d}.range{stroke:#f0f6fc}}";

/// Returns a chart of the car updates per CPU-second of all measured servers.
pub(super) fn svg(answers: &Answers) -> String {
    let bars: Vec<(&Row, Spread)> =
        answers.rows.iter().filter_map(|row| Some((row, updates_per_cpu_second(&row.fanout)?))).collect();
    let most = bars.iter().map(|(_, spread)| spread.max / 1e6).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let mut body = String::new();
    let mut y = TOP;
    let mut before = None;
    for (row, spread) in &bars {
        if before.replace(row.contender) != Some(row.contender) {
            y += if y > TOP { GROUP_GAP } else { 0.0 };
            text(&mut body, LEFT - 10.0, y + BAR, "end", "", row.contender.name());
        }
        bar(&mut body, y, scale, row.protocol, *spread);
        y += BAR;
    }
    let mut axis = String::new();
    let step = step(most);
    for line in 0..=(most / step) as u32 {
        let (value, x) = (f64::from(line) * step, LEFT + f64::from(line) * step * scale);
        let _ = writeln!(axis, r#"<path class="grid" d="M{x:.1} {:.1}V{y:.1}"/>"#, TOP - 6.0);
        text(&mut axis, x, y + 16.0, "middle", "small", &table::number(value, 0));
    }
    text(&mut axis, LEFT, y + 34.0, "start", "small", "million car updates per CPU-second");
    legend(&mut axis);
    let height = y + BOTTOM;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"Car updates per CPU-second, by server\">\n\
         <style>{STYLE}</style>\n{axis}{body}</svg>\n"
    )
}

fn legend(out: &mut String) {
    text(out, 10.0, 24.0, "start", "title", "2,000 cars to every viewer, four times per second");
    for (x, class, protocol) in [(LEFT, "h1", Protocol::Http1), (LEFT + 150.0, "h2", Protocol::Http2)] {
        let _ = writeln!(out, r#"<rect class="{class}" x="{x}" y="36" width="12" height="12"/>"#);
        let over = if protocol == Protocol::Http1 { "gRPC-Web, " } else { "gRPC, " };
        text(out, x + 18.0, 46.0, "start", "small", &format!("{over}{}", name(protocol)));
    }
}

/// Draws the median as a bar, and a line from the lowest to the highest result over it.
fn bar(out: &mut String, y: f64, scale: f64, protocol: Protocol, spread: Spread) {
    let x = |value: f64| LEFT + value / 1e6 * scale;
    let class = match protocol {
        Protocol::Http1 => "h1",
        Protocol::Http2 => "h2",
    };
    let (width, middle) = (x(spread.median) - LEFT, y + BAR / 2.0);
    let height = BAR - 2.0;
    let _ = writeln!(
        out,
        r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{height}"/>"#
    );
    let (from, to) = (x(spread.min), x(spread.max));
    let _ = writeln!(out, r#"<path class="range" d="M{from:.1} {middle:.1}H{to:.1}"/>"#);
    let figure = table::number(spread.median / 1e6, 1);
    text(out, x(spread.max) + 6.0, y + BAR - 4.0, "start", "", &figure);
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    // Writing to a string never fails. No name or number here needs to be escaped.
    let _ =
        writeln!(out, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

/// Returns a round distance between grid lines: 1, 2 or 5 times a power of ten.
fn step(most: f64) -> f64 {
    let rough = most / LINES;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{contender::Contender, measure::Fanout};

    #[test]
    fn lines_are_at_round_numbers() {
        assert_eq!([4.0, 12.0, 30.0, 173.0, 260.0].map(step), [1.0, 5.0, 10.0, 50.0, 100.0]);
    }

    #[test]
    fn every_bar_is_within_the_picture() {
        let run = |at_most| Fanout {
            most: 1,
            at_least: false,
            at_most,
            at_few: 0.0,
            bytes_per_update: 0.0,
            memory_per_viewer: 0.0,
            foreign_share: 0.0,
        };
        let row = |contender, runs: &[f64]| Row {
            contender,
            protocol: Protocol::Http1,
            replay: PathBuf::new(),
            about: String::new(),
            fanout: runs.iter().copied().map(run).collect(),
            unary: Vec::new(),
            problem: None,
        };
        let rows = vec![row(Contender::Ours, &[2e8, 2.5e8, 1.9e8]), row(Contender::Tonic, &[3e7])];
        let svg = svg(&Answers { rows, ..Answers::default() });
        assert!(svg.contains(">200.0</text>") && svg.contains(">30.0</text>"), "{svg}");
        let ends = svg.split("<path class=\"range\" d=\"M").skip(1).map(|path| path.split(['H', '"']).nth(1));
        for end in ends {
            assert!(end.unwrap().parse::<f64>().unwrap() <= WIDTH - RIGHT, "{svg}");
        }
    }
}
