//! The layout of the table for a screen of any size. Pure.

use std::{cmp::Reverse, time::Duration};

use anstyle::{AnsiColor, Style};
use rides_proto::{geo::LatLng, v1::CarState};
use unicode_width::UnicodeWidthStr as _;

use super::fleet::{Car, FleetView};
use crate::{
    client::{
        output::{BOLD, DIM},
        table::cut,
        text::{car_state, car_style, duration, point},
    },
    terminal_text::strip_controls,
};

/// The time without a message after which a stream is not live any more. A server sends a message at least every 4 s.
const STALE: Duration = Duration::from_secs(10);
/// The states in the order of the summary.
const STATES: [CarState; 6] = [
    CarState::Free,
    CarState::Offered,
    CarState::ToPickup,
    CarState::AtPickup,
    CarState::OnTrip,
    CarState::OffDuty,
];
/// Arrows for headings, clockwise from north.
const ARROWS: [char; 8] = ['↑', '↗', '→', '↘', '↓', '↙', '←', '↖'];

const HEADINGS: &str = "  CAR  STATE         SPEED     POSITION           ";
const CROWD: &str = " CARS  AROUND             ";
/// The number of spaces between two columns of cars.
const GAP: usize = 3;
/// The number of lines above the cars.
const HEAD: usize = 4;

/// The order of the cars.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum SortOrder {
    #[default]
    Number,
    State,
    Speed,
}

impl SortOrder {
    /// Returns the next order. The first follows the last.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Number => Self::State,
            Self::State => Self::Speed,
            Self::Speed => Self::Number,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::State => "state",
            Self::Speed => "speed",
        }
    }
}

/// The state of the stream.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum StreamState {
    /// The stream is open, and its newest message has this age.
    Open(Duration),
    /// The stream broke for this reason.
    Broken(String),
}

/// The user's view of the table.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct View {
    /// The order of the cars.
    pub order: SortOrder,
    /// The number of rows before the first row on the screen.
    pub first: usize,
}

/// Returns the lines of a screen of `width` columns and `height` rows. Limits `view.first` so that the screen does
/// not scroll past the last row.
pub(super) fn screen(
    city: &str,
    fleet: &FleetView,
    link: &StreamState,
    view: &mut View,
    (width, height): (usize, usize),
) -> Vec<String> {
    let keys = format!("q quit  s sort by {}  ↑↓ scroll", view.order.next().name());
    let title = cut(&format!("{} · {} · ", strip_controls(city), cars(fleet.len())), width);
    let (style, state) = told(link);
    let room = width.saturating_sub(title.width());
    let state = cut(&state, room);
    let gap = room.saturating_sub(state.width() + keys.width());
    let keys = if gap > 1 { format!("{DIM}{:gap$}{keys}{DIM:#}", "") } else { String::new() };
    let first = format!("{BOLD}{title}{BOLD:#}{style}{state}{style:#}{keys}");

    let (headings, rows) = rows(fleet, view.order);
    let block = headings.width();
    let blocks = ((width + GAP) / (block + GAP)).max(1);
    let deep = height.saturating_sub(HEAD).max(1);
    view.first = view.first.min(rows.len().saturating_sub(blocks * deep));
    let shown = &rows[view.first..];
    let columns = blocks.min(shown.len().div_ceil(deep).max(1));
    let headings = vec![headings; columns].join(&" ".repeat(GAP));
    let head =
        [first, summary(fleet, width), String::new(), format!("{DIM}{}{DIM:#}", cut(&headings, width))];
    let lines = (0..deep.min(shown.len())).map(|line| {
        let across = shown.iter().skip(line).step_by(deep).take(columns);
        across.map(|row| row.in_style(width)).collect::<Vec<_>>().join(&" ".repeat(GAP))
    });
    head.into_iter().chain(lines).take(height).collect()
}

/// Returns the whole table, for output that is not a terminal.
pub(super) fn listing(city: &str, fleet: &FleetView) -> Vec<String> {
    let (headings, rows) = rows(fleet, SortOrder::Number);
    let head = [
        format!("{BOLD}{} · {}{BOLD:#}", strip_controls(city), cars(fleet.len())),
        summary(fleet, usize::MAX),
        String::new(),
        format!("{DIM}{}{DIM:#}", headings.trim_end()),
    ];
    head.into_iter().chain(rows.iter().map(|row| row.in_style(usize::MAX).trim_end().to_owned())).collect()
}

/// A line of the table, as wide as its headings.
struct Row {
    style: Style,
    text: String,
}

impl Row {
    fn in_style(&self, width: usize) -> String {
        let Self { style, text } = self;
        format!("{style}{}{style:#}", cut(text, width))
    }
}

fn rows(fleet: &FleetView, order: SortOrder) -> (&'static str, Vec<Row>) {
    if let Some(counts) = fleet.counts() {
        let crowd = |(at, cars): (LatLng, u32)| Row {
            style: Style::new(),
            text: format!("{cars:>5}  {:<19}", point(Some(at.into()))),
        };
        return (CROWD, counts.into_iter().map(crowd).collect());
    }
    let mut cars: Vec<&Car> = fleet.cars().collect();
    match order {
        SortOrder::Number => {}
        SortOrder::State => cars.sort_by_key(|car| car.state),
        // By whole km/h, so that small changes of speed do not reorder cars. The sort is stable.
        SortOrder::Speed => cars.sort_by_key(|car| Reverse(kmh(fleet, car))),
    }
    (HEADINGS, cars.into_iter().map(|car| row(fleet, car)).collect())
}

fn row(fleet: &FleetView, car: &Car) -> Row {
    let speed = kmh(fleet, car).map_or_else(|| "–".to_owned(), |kmh| format!("{kmh} km/h"));
    let arrow = ARROWS[(car.heading_deg / 45.0).round() as usize % ARROWS.len()];
    let arrow = if kmh(fleet, car) == Some(0) { ' ' } else { arrow };
    let (state, at) = (car_state(car.state), point(Some(car.at.into())));
    Row {
        style: car_style(car.state),
        text: format!("{:>5}  {state:<9}  {speed:>8}  {arrow}  {at:<19}", car.number),
    }
}

fn kmh(fleet: &FleetView, car: &Car) -> Option<u64> {
    fleet.speed(car).map(|speed| (speed * 3.6).round() as u64)
}

fn cars(count: usize) -> String {
    if count == 1 { "1 car".to_owned() } else { format!("{count} cars") }
}

fn told(link: &StreamState) -> (Style, String) {
    match link {
        StreamState::Open(age) if *age < STALE => (AnsiColor::Green.on_default(), "live".to_owned()),
        StreamState::Open(age) => {
            (AnsiColor::Yellow.on_default(), format!("no message for {}", duration(*age)))
        }
        StreamState::Broken(why) => {
            (AnsiColor::Red.on_default(), format!("not live: {}", strip_controls(why)))
        }
    }
}

/// Returns the number of cars in each state, as far as they fit into `width`.
fn summary(fleet: &FleetView, width: usize) -> String {
    if fleet.counts().is_some() {
        return cut("too many cars to list: their number by map cell, at the middle of the cell", width);
    }
    let counts = STATES.map(|state| (state, fleet.cars().filter(|car| car.state == state).count()));
    let mut left = width;
    let some = counts.into_iter().filter(|(_, count)| *count > 0);
    let parts = some.map_while(|(state, count)| {
        let text = format!("● {count} {}", car_state(state));
        left = left.checked_sub(text.width() + 2)?;
        let style = car_style(state);
        Some(format!("{style}{text}{style:#}"))
    });
    parts.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use rides_proto::{
        tiles::{Cell, WorldPoint},
        v1::{CellFrame, MapDetail, WatchFleetResponse},
    };

    use super::*;

    fn fleet(cars: u32) -> FleetView {
        let here = LatLng::new(60.17, 24.94).unwrap();
        let cell = Cell::of(WorldPoint::of(here));
        let (dx, dy) = cell.offset(WorldPoint::of(here));
        let frame = |tick: i64, moved: i32| WatchFleetResponse {
            time: Some(Timestamp { seconds: tick, nanos: 0 }),
            epoch: if tick == 1 { "e".into() } else { String::new() },
            detail: MapDetail::Cars.into(),
            cells: vec![CellFrame {
                cell: cell.number(),
                tick: tick as u64,
                cars: (1..=cars).collect(),
                dx: (0..cars).map(|_| dx + moved).collect(),
                dy: vec![dy; cars as usize],
                headings: vec![32; cars as usize],
                states: (0..cars).map(|n| STATES[n as usize % 2].into()).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut fleet = FleetView::default();
        fleet.apply(&frame(1, 0));
        fleet.apply(&frame(2, 270));
        fleet
    }

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn shown(cars: u32, view: &mut View, size: (usize, usize)) -> Vec<String> {
        let link = StreamState::Open(Duration::ZERO);
        plain(&screen("Helsinki", &fleet(cars), &link, view, size))
    }

    #[test]
    fn a_screen_says_who_is_where_and_does_what() {
        let lines = shown(3, &mut View::default(), (80, 24));
        let expected = [
            "Helsinki · 3 cars · live                      q quit  s sort by state  ↑↓ scroll",
            "● 2 free  ● 1 offered",
            "",
            "  CAR  STATE         SPEED     POSITION           ",
            "    1  free        36 km/h  →  60.17000,24.94018  ",
            "    2  offered     36 km/h  →  60.17000,24.94018  ",
            "    3  free        36 km/h  →  60.17000,24.94018  ",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_none_is_below_it() {
        for size in [(80, 24), (200, 10), (20, 5), (1, 1), (0, 0), (103, 24)] {
            for cars in [0, 1, 50, 1_000] {
                let lines = shown(cars, &mut View::default(), size);
                assert!(lines.len() <= size.1, "{size:?} {cars}");
                let widest = lines.iter().map(|line| line.width()).max().unwrap_or_default();
                assert!(widest <= size.0.max(1), "{widest} for {size:?}: {lines:?}");
            }
        }
    }

    #[test]
    fn a_city_may_have_wide_letters() {
        let link = StreamState::Open(Duration::ZERO);
        for width in [20, 80] {
            let lines = plain(&screen("東京都", &fleet(1), &link, &mut View::default(), (width, 24)));
            assert!(lines[0].width() <= width, "{}", lines[0]);
        }
    }

    #[test]
    fn a_wide_screen_has_cars_side_by_side() {
        let lines = shown(30, &mut View::default(), (110, 24));
        assert_eq!(lines.len(), HEAD + 20);
        assert!(lines[HEAD].starts_with("    1  ") && lines[HEAD].contains("   21  "), "{}", lines[HEAD]);
    }

    #[test]
    fn it_scrolls_to_the_last_car_and_no_further() {
        let mut view = View { first: 1_000, ..View::default() };
        let lines = shown(100, &mut view, (80, 24));
        assert_eq!(view.first, 80);
        assert!(lines.last().unwrap().starts_with("  100  "), "{lines:?}");
    }

    #[test]
    fn cars_are_in_the_order_that_was_asked_for() {
        let mut view = View { order: SortOrder::State, first: 0 };
        let lines = shown(4, &mut view, (80, 24));
        let numbers: Vec<_> = lines[HEAD..].iter().map(|line| line[..5].trim()).collect();
        assert_eq!(numbers, ["1", "3", "2", "4"]);
    }

    #[test]
    fn what_is_not_live_does_not_look_live() {
        let say = |link| plain(&screen("Oulu", &fleet(1), &link, &mut View::default(), (60, 5)))[0].clone();
        assert!(say(StreamState::Open(Duration::from_secs(9))).starts_with("Oulu · 1 car · live"));
        assert!(
            say(StreamState::Open(Duration::from_secs(12))).starts_with("Oulu · 1 car · no message for 12 s")
        );
        assert!(say(StreamState::Broken("gone".into())).starts_with("Oulu · 1 car · not live: gone"));
    }

    #[test]
    fn a_listing_has_them_all() {
        let lines = plain(&listing("Helsinki", &fleet(500)));
        assert_eq!((lines[0].as_str(), lines.len()), ("Helsinki · 500 cars", HEAD + 500));
    }
}
