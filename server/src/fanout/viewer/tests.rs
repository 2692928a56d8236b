//! Viewers on ticks: whatever a viewer misses, its copy ends up the same as the map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use prost::Message as _;
use rides_proto::{geo::LatLng, ids::CarNumber, v1};
use tokio::sync::mpsc;

use super::*;
use crate::{
    fanout::Fanout,
    positions::{CarDot, CarState, CellChange, FleetTick, Heading},
};

const TICK: Duration = Duration::from_millis(250);

/// Cells of a column in the middle of Helsinki, from north to south.
fn cell(south: u32) -> Cell {
    Cell::new(18653 * 32768 + 9484 + south).expect("a cell")
}

fn dot(number: u32, cell: Cell, dx: i32) -> CarDot {
    CarDot {
        number: CarNumber(number),
        at: cell.point(dx, 0),
        heading: Heading::default(),
        state: CarState::Free,
    }
}

fn change(cell: Cell, changed: &[CarDot], left: &[u32]) -> CellChange {
    CellChange { cell, changed: changed.to_vec(), left: left.iter().copied().map(CarNumber).collect() }
}

fn tick(tick: u64, cells: Vec<CellChange>) -> FleetTick {
    FleetTick { tick, time: SystemTime::now(), cells }
}

/// The box around `count` cells of the column, from the first.
fn view(count: u32) -> Bounds {
    let corner = |cell: Cell, d: i32| cell.point(d, d).lat_lng();
    Bounds::around([corner(cell(0), 100), corner(cell(count - 1), -100)]).expect("two points")
}

/// A page's copy of the map.
#[derive(Default)]
struct Page {
    epoch: String,
    cars: BTreeMap<u32, BTreeSet<(u32, i32)>>,
    cursors: HashMap<Cell, u64>,
}

impl Page {
    fn apply(&mut self, frame: &Frame) -> v1::WatchFleetResponse {
        let message = v1::WatchFleetResponse::decode(&*frame.0.concat()).expect("a message");
        assert!(message.tick > 0 && message.time.is_some(), "every message has them");
        if !message.epoch.is_empty() {
            self.epoch.clone_from(&message.epoch);
        }
        for frame in &message.cells {
            let cars = self.cars.entry(frame.cell).or_default();
            if frame.snapshot {
                cars.clear();
            }
            cars.retain(|(car, _)| !frame.cars.contains(car) && !frame.left.contains(car));
            cars.extend(frame.cars.iter().copied().zip(frame.dx.iter().copied()));
            self.cursors.insert(Cell::new(frame.cell).expect("a cell"), frame.tick);
        }
        message
    }

    fn shown(&self) -> BTreeSet<(u32, u32, i32)> {
        let cell = |(cell, cars): (&u32, &BTreeSet<_>)| {
            let cell = *cell;
            cars.iter().map(move |(car, dx)| (cell, *car, *dx)).collect::<Vec<_>>()
        };
        self.cars.iter().flat_map(cell).collect()
    }
}

fn fanout() -> (mpsc::Sender<FleetTick>, Fanout) {
    let (ticks, receiver) = mpsc::channel(4);
    (ticks, Fanout::spawn(receiver, TICK).0)
}

fn open(fanout: &Fanout, cells: u32, page: &Page) -> Viewer {
    fanout.watch(view(cells), page.cursors.clone(), &page.epoch).expect("not too wide")
}

#[tokio::test(start_paused = true)]
async fn first_all_of_it_and_then_what_changes() {
    let (ticks, fanout) = fanout();
    let mut page = Page::default();
    let mut viewer = open(&fanout, 2, &page);
    ticks
        .send(tick(1, vec![change(cell(0), &[dot(1, cell(0), 5), dot(2, cell(0), 6)], &[])]))
        .await
        .expect("open");
    let first = page.apply(&viewer.next().await.expect("open"));
    assert_eq!(first.tick_interval, Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }));
    assert!(!first.epoch.is_empty() && first.cells[0].snapshot);

    let moves = vec![change(cell(0), &[], &[1]), change(cell(1), &[dot(1, cell(1), 7)], &[])];
    ticks.send(tick(2, moves)).await.expect("open");
    let second = page.apply(&viewer.next().await.expect("open"));
    assert_eq!((second.tick, second.epoch.as_str()), (2, ""));
    assert_eq!(second.cells[0].left, [1]);
    let expected = [(cell(0).number(), 2, 6), (cell(1).number(), 1, 7)];
    assert_eq!(page.shown(), BTreeSet::from(expected));
}

#[tokio::test(start_paused = true)]
async fn an_empty_view_opens_at_once_and_then_only_beats() {
    let (ticks, fanout) = fanout();
    let mut viewer = open(&fanout, 1, &Page::default());
    ticks.send(tick(1, vec![])).await.expect("open");
    let opened = Page::default().apply(&viewer.next().await.expect("open"));
    assert!(opened.cells.is_empty() && !opened.epoch.is_empty());

    let started = Instant::now();
    let feed = tokio::spawn(async move {
        for n in 2.. {
            tokio::time::sleep(TICK).await;
            // Elsewhere the city lives.
            let elsewhere = vec![change(cell(9), &[dot(1, cell(9), n as i32)], &[])];
            if ticks.send(tick(n, elsewhere)).await.is_err() {
                return;
            }
        }
    });
    let beat = Page::default().apply(&viewer.next().await.expect("open"));
    assert_eq!(started.elapsed().as_secs(), 4);
    assert!(beat.cells.is_empty() && beat.epoch.is_empty() && beat.tick >= 15, "{beat:?}");
    feed.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_gets_one_newer_frame_and_no_backlog() {
    let (ticks, fanout) = fanout();
    let mut page = Page::default();
    let mut viewer = open(&fanout, 1, &page);
    ticks
        .send(tick(1, vec![change(cell(0), &[dot(1, cell(0), 0), dot(2, cell(0), 0)], &[])]))
        .await
        .expect("open");
    page.apply(&viewer.next().await.expect("open"));

    ticks.send(tick(2, vec![change(cell(0), &[], &[2])])).await.expect("open");
    for n in 3..=50 {
        ticks.send(tick(n, vec![change(cell(0), &[dot(1, cell(0), n as i32)], &[])])).await.expect("open");
    }
    tokio::time::sleep(TICK).await;
    let message = page.apply(&viewer.next().await.expect("open"));
    assert_eq!(message.tick, 50);
    assert!(message.cells[0].snapshot, "deltas were missed");
    assert_eq!(page.shown(), BTreeSet::from([(cell(0).number(), 1, 50)]));
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_was_emptied_and_forgotten_is_cleared() {
    let (ticks, fanout) = fanout();
    let mut page = Page::default();
    let mut viewer = open(&fanout, 2, &page);
    let mut unseen = open(&fanout, 2, &Page::default());
    ticks.send(tick(1, vec![change(cell(0), &[dot(1, cell(0), 0)], &[])])).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    ticks.send(tick(2, vec![change(cell(0), &[], &[1])])).await.expect("open");
    ticks.send(tick(1000, vec![])).await.expect("open");
    tokio::time::sleep(TICK).await;

    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.shown(), BTreeSet::new());
    let opened = Page::default().apply(&unseen.next().await.expect("open"));
    assert_eq!(opened.cells, vec![], "who never had it need not clear it");
}

#[tokio::test(start_paused = true)]
async fn cursors_bring_only_what_is_lacking_and_only_in_their_epoch() {
    let (ticks, fanout) = fanout();
    let mut page = Page::default();
    let cars = |n: i32| (0..4).map(|s| change(cell(s), &[dot(s, cell(s), n)], &[])).collect::<Vec<_>>();
    ticks.send(tick(1, cars(1))).await.expect("open");
    let mut viewer = open(&fanout, 4, &page);
    page.apply(&viewer.next().await.expect("open"));

    // One cell changes once, one twice, two not at all.
    ticks.send(tick(2, vec![change(cell(1), &[dot(1, cell(1), 2)], &[])])).await.expect("open");
    let both = [0, 1].map(|s| change(cell(s), &[dot(s, cell(s), 3)], &[]));
    ticks.send(tick(3, both.to_vec())).await.expect("open");
    tokio::time::sleep(TICK).await;

    let resumed = page.apply(&open(&fanout, 4, &page).next().await.expect("open"));
    let forms: Vec<_> = resumed.cells.iter().map(|frame| (frame.cell, frame.snapshot)).collect();
    assert_eq!(forms, [(cell(0).number(), false), (cell(1).number(), true)]);
    let shown = (0..4).map(|s| (cell(s).number(), s, if s < 2 { 3 } else { 1 }));
    assert_eq!(page.shown(), shown.collect());

    let stranger = Page { epoch: "another".into(), ..page };
    let message = Page::default().apply(&open(&fanout, 4, &stranger).next().await.expect("open"));
    assert_eq!(message.cells.iter().filter(|frame| frame.snapshot).count(), 4);

    // A cursor from a tick that never was is no cursor.
    let cursors = HashMap::from([(cell(0), 99)]);
    let mut viewer = fanout.watch(view(1), cursors, &stranger.epoch).expect("not too wide");
    assert!(Page::default().apply(&viewer.next().await.expect("open")).cells[0].snapshot);
}

#[tokio::test(start_paused = true)]
async fn viewers_share_the_same_bytes() {
    let (ticks, fanout) = fanout();
    let (mut one, mut other) = (open(&fanout, 1, &Page::default()), open(&fanout, 2, &Page::default()));
    ticks.send(tick(1, vec![change(cell(0), &[dot(1, cell(0), 0)], &[])])).await.expect("open");
    ticks.send(tick(2, vec![change(cell(0), &[dot(2, cell(0), 0)], &[])])).await.expect("open");
    tokio::time::sleep(TICK).await;
    for n in 3..=4 {
        let (a, b) = (one.next().await.expect("open"), other.next().await.expect("open"));
        let places = |frame: &Frame| frame.0.iter().map(|slice| slice.as_ptr()).collect::<Vec<_>>();
        assert_eq!(places(&a), places(&b));
        ticks.send(tick(n, vec![change(cell(0), &[dot(1, cell(0), n as i32)], &[])])).await.expect("open");
    }
}

/// L12: what they lack is encoded once, whether they are new or resume.
#[tokio::test(start_paused = true)]
async fn five_hundred_who_come_at_once_share_one_snapshot() {
    let (ticks, fanout) = fanout();
    for n in 1..=3 {
        ticks.send(tick(n, vec![change(cell(0), &[dot(n as u32, cell(0), 0)], &[])])).await.expect("open");
    }
    tokio::time::sleep(TICK).await;
    let stale =
        Page { epoch: fanout.epoch.to_string(), cursors: HashMap::from([(cell(0), 1)]), ..Page::default() };
    let mut slices = BTreeSet::new();
    for n in 0..500 {
        let page = if n % 2 == 0 { &stale } else { &Page::default() };
        let frame = open(&fanout, 1, page).next().await.expect("open");
        slices.extend(frame.0.iter().map(|slice| slice.as_ptr() as usize));
        assert!(Page::default().apply(&frame).cells[0].snapshot);
    }
    assert_eq!(slices.len(), 3, "the stamp, the opening and the cell");
}

#[tokio::test(start_paused = true)]
async fn viewers_end_with_the_feed() {
    let (ticks, fanout) = fanout();
    let mut viewer = open(&fanout, 1, &Page::default());
    drop(ticks);
    assert_eq!(viewer.next().await, None);
}

#[tokio::test]
async fn a_viewport_has_a_limit() {
    let (_ticks, fanout) = fanout();
    let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
    let world = Bounds::around([corner(-90.0, -180.0), corner(90.0, 180.0)]).expect("two points");
    let refused = fanout.watch(world, HashMap::new(), "").expect_err("too wide");
    assert_eq!(refused, TooWide { cells: 1 << 30 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cars wander over four cells; a viewer looks only now and then, reopens with its cursors, and always
    /// shows exactly what is there.
    #[test]
    fn any_viewer_ends_up_with_the_map(
        moves in prop::collection::vec((0..5u32, 0..5u32, 0..300u64, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let (ticks, fanout) = fanout();
            let mut page = Page::default();
            let mut viewer = open(&fanout, 4, &page);
            let mut places: BTreeMap<u32, (u32, i32)> = BTreeMap::new();
            let mut now = 0;
            for (car, to, skip, look, reopen) in moves {
                now += 1 + skip;
                // Cell 4 is out of the world: the car leaves the map.
                let from = places.remove(&car);
                let mut changes = BTreeMap::new();
                if to < 4 {
                    places.insert(car, (to, now as i32 % 8000));
                    changes.insert(to, change(cell(to), &[dot(car, cell(to), now as i32 % 8000)], &[]));
                }
                if let Some((from, _)) = from.filter(|(from, _)| *from != to) {
                    changes.insert(from, change(cell(from), &[], &[car]));
                }
                ticks.send(tick(now, changes.into_values().collect())).await.expect("open");
                tokio::time::sleep(Duration::from_millis(1)).await;
                if reopen {
                    viewer = open(&fanout, 4, &page);
                }
                if look {
                    page.apply(&viewer.next().await.expect("open"));
                    let shown = places.iter().map(|(car, (at, dx))| (cell(*at).number(), *car, *dx));
                    assert_eq!(page.shown(), shown.collect());
                }
            }
        });
    }
}
