//! Tests of viewers on ticks: a viewer's copy ends up equal to the map, whatever ticks it misses.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use prost::Message as _;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::CarNumber,
    tiles::{CELL_ZOOM, Cell},
    v1,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::*;
use crate::{
    fanout::{Fanout, FanoutOptions, WatchParams},
    positions::{CarDot, CarState, CellChange, FleetTick, Heading},
};

const TICK: Duration = Duration::from_millis(250);

/// One of the cells of a column in the middle of Helsinki, counted from north to south.
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

/// The box around the first `count` cells of the column.
fn view(count: u32) -> Bounds {
    let corner = |cell: Cell, d: i32| cell.point(d, d).lat_lng();
    Bounds::around([corner(cell(0), 100), corner(cell(count - 1), -100)]).expect("two points")
}

/// A box of 40,000 cells around the box of [`view`].
fn wide_view() -> Bounds {
    let corner =
        |column: u32, row: u32| Cell::new(column * 32768 + row).expect("a cell").point(0, 0).lat_lng();
    Bounds::around([corner(18553, 9384), corner(18752, 9583)]).expect("two points")
}

/// A copy of the map as a page has it.
#[derive(Default)]
struct Page {
    epoch: String,
    moves: bool,
    coarse: bool,
    /// The number of zooms from cells out to its density tiles.
    levels: u32,
    detail: v1::MapDetail,
    cars: BTreeMap<u32, BTreeSet<(u32, i32)>>,
    counts: BTreeMap<u32, u32>,
    cursors: HashMap<Cell, u64>,
}

/// Decodes the message behind the prefix.
fn decode(message: &Bytes) -> v1::WatchFleetResponse {
    assert_eq!(message[0], 0, "not compressed");
    assert_eq!(message[1..5], (message.len() as u32 - 5).to_be_bytes());
    v1::WatchFleetResponse::decode(&message[5..]).expect("a message")
}

impl Page {
    fn apply(&mut self, message: &Bytes) -> v1::WatchFleetResponse {
        let message = decode(message);
        assert!(message.tick > 0 && message.time.is_some(), "every message has a tick and a time");
        let is_first = !message.epoch.is_empty();
        if is_first {
            self.epoch.clone_from(&message.epoch);
            self.levels = match message.density_zoom {
                0 => 0,
                zoom => CELL_ZOOM - zoom,
            };
        } else {
            assert_eq!(message.density_zoom, 0, "only the first message has the density zoom");
        }
        match message.detail() {
            v1::MapDetail::Unspecified => assert!(!is_first, "the first message has the detail"),
            detail => self.turn_to(detail, is_first),
        }
        for density in &message.densities {
            assert_eq!(self.detail, v1::MapDetail::Densities);
            self.counts.insert(density.cell, density.cars);
        }
        for frame in &message.cells {
            assert_eq!(self.detail, v1::MapDetail::Cars);
            let cars = self.cars.entry(frame.cell).or_default();
            if frame.snapshot {
                cars.clear();
            }
            assert!(frame.moved.is_empty() || self.moves && !frame.snapshot);
            for (moved, east) in frame.moved.iter().zip(&frame.moved_east) {
                let before =
                    cars.iter().copied().find(|(car, _)| car == moved).expect("a moved car is known");
                cars.remove(&before);
                cars.insert((before.0, before.1 + east));
            }
            cars.retain(|(car, _)| !frame.cars.contains(car) && !frame.left.contains(car));
            cars.extend(frame.cars.iter().copied().zip(frame.dx.iter().copied()));
            self.cursors.insert(Cell::new(frame.cell).expect("a cell"), frame.tick);
        }
        message
    }

    fn turn_to(&mut self, detail: v1::MapDetail, is_first: bool) {
        assert!(is_first || detail != self.detail, "the detail is sent only when it changes");
        self.counts.clear();
        if !is_first || detail == v1::MapDetail::Densities {
            self.cars.clear();
            self.cursors.clear();
        }
        self.detail = detail;
    }

    /// Moves the view, and forgets what is outside of it.
    fn look_at(&mut self, view: Bounds) {
        let view: BTreeSet<_> = Cell::all_in(view).collect();
        self.cursors.retain(|cell, _| view.contains(cell));
        self.cars.retain(|cell, _| view.contains(&Cell::new(*cell).expect("a cell")));
    }

    fn shown(&self) -> BTreeSet<(u32, u32, i32)> {
        let cell = |(cell, cars): (&u32, &BTreeSet<_>)| {
            let cell = *cell;
            cars.iter().map(move |(car, dx)| (cell, *car, *dx)).collect::<Vec<_>>()
        };
        self.cars.iter().flat_map(cell).collect()
    }

    fn counted(&self) -> BTreeMap<u32, u32> {
        self.counts.iter().filter(|(_, cars)| **cars > 0).map(|(cell, cars)| (*cell, *cars)).collect()
    }
}

fn fanout() -> (mpsc::Sender<FleetTick>, Fanout) {
    fanout_with(FanoutOptions { tick: TICK, ..FanoutOptions::default() })
}

fn fanout_with(options: FanoutOptions) -> (mpsc::Sender<FleetTick>, Fanout) {
    let (ticks, receiver) = mpsc::channel(4);
    (ticks, Fanout::spawn(receiver, options).0)
}

fn open(fanout: &Fanout, cells: u32, page: &Page) -> Viewer {
    fanout.watch(request(view(cells), page)).expect("not too wide")
}

fn request(viewport: Bounds, page: &Page) -> WatchParams<'_> {
    WatchParams {
        viewport,
        cursors: page.cursors.clone(),
        epoch: &page.epoch,
        moves: page.moves,
        coarse: page.coarse,
    }
}

/// Returns the message that the viewer gets for the ticks so far, if any.
async fn newest(viewer: &mut Viewer) -> Option<Bytes> {
    let soon = Duration::from_millis(1);
    timeout(soon, viewer.next()).await.ok().map(|message| message.expect("open"))
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
            // Cars move outside of the view.
            let elsewhere = vec![change(cell(9), &[dot(1, cell(9), n as i32)], &[])];
            if ticks.send(tick(n, elsewhere)).await.is_err() {
                return;
            }
        }
    });
    let beat = Page::default().apply(&viewer.next().await.expect("open"));
    assert!((4000..4500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
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
    assert!(message.cells[0].snapshot, "after missed deltas comes a snapshot");
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
    assert_eq!(opened.cells, vec![], "a viewer that never had the cell does not get it cleared");
}

#[tokio::test(start_paused = true)]
async fn cursors_bring_only_what_is_lacking_and_only_in_their_epoch() {
    let (ticks, fanout) = fanout();
    let mut page = Page::default();
    let cars = |n: i32| (0..4).map(|s| change(cell(s), &[dot(s, cell(s), n)], &[])).collect::<Vec<_>>();
    ticks.send(tick(1, cars(1))).await.expect("open");
    let mut viewer = open(&fanout, 4, &page);
    page.apply(&viewer.next().await.expect("open"));

    // Cell 1 changes twice, cell 0 once, the others do not change.
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

    // A cursor from a tick in the future is ignored.
    let prophet = Page { epoch: stranger.epoch, cursors: HashMap::from([(cell(0), 99)]), ..Page::default() };
    let mut viewer = open(&fanout, 1, &prophet);
    assert!(Page::default().apply(&viewer.next().await.expect("open")).cells[0].snapshot);
}

#[tokio::test(start_paused = true)]
async fn viewers_share_the_same_bytes() {
    let (ticks, fanout) = fanout();
    let mut viewers = [(); 3].map(|()| open(&fanout, 1, &Page::default()));
    let late = open(&fanout, 1, &Page::default());
    for n in 1..=4 {
        ticks.send(tick(n, vec![change(cell(0), &[dot(1, cell(0), n as i32)], &[])])).await.expect("open");
        let mut places = BTreeSet::new();
        for viewer in &mut viewers {
            places.insert(viewer.next().await.expect("open").as_ptr());
        }
        assert_eq!(places.len(), 1);
        viewers.rotate_left(1);
    }
    for mut viewer in [late, open(&fanout, 1, &Page::default())] {
        assert!(!decode(&viewer.next().await.expect("open")).epoch.is_empty());
    }
}

/// L12: the first message is encoded once, and all new viewers get the same bytes.
#[tokio::test(start_paused = true)]
async fn five_hundred_who_come_at_once_share_one_message() {
    let (ticks, fanout) = fanout();
    for n in 1..=3 {
        ticks.send(tick(n, vec![change(cell(0), &[dot(n as u32, cell(0), 0)], &[])])).await.expect("open");
    }
    tokio::time::sleep(TICK).await;
    let mut places = BTreeSet::new();
    for _ in 0..500 {
        let message = open(&fanout, 1, &Page::default()).next().await.expect("open");
        places.insert(message.as_ptr());
        assert!(Page::default().apply(&message).cells[0].snapshot);
    }
    assert_eq!(places.len(), 1);
}

/// L17: a viewer that reads nothing for too long ends with an error, and no other viewer notices.
#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_let_go() {
    let (ticks, fanout) = fanout();
    let [mut awake, mut asleep] = [(); 2].map(|()| open(&fanout, 1, &Page::default()));
    ticks.send(tick(1, vec![])).await.expect("open");
    for viewer in [&mut awake, &mut asleep] {
        viewer.next().await.expect("open");
    }
    for n in 2..=120 {
        tokio::time::sleep(TICK).await;
        ticks.send(tick(n, vec![change(cell(0), &[dot(1, cell(0), n as i32)], &[])])).await.expect("open");
        let message = decode(&awake.next().await.expect("open"));
        assert_eq!(message.tick, n, "every tick");
    }
    assert_eq!(asleep.next().await, Err(ViewerEnd::TooSlow));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_slow_while_the_process_stands_still() {
    let (ticks, fanout) = fanout();
    let mut viewer = open(&fanout, 1, &Page::default());
    for n in 1..=4 {
        ticks.send(tick(n, vec![change(cell(0), &[dot(1, cell(0), n as i32)], &[])])).await.expect("open");
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    viewer.next().await.expect("still there");
}

/// A car in each of four cells moves with every tick, for a minute.
#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_viewer_have_a_ceiling() {
    let per_second = NonZeroU32::new(200);
    let (ticks, fanout) =
        fanout_with(FanoutOptions { viewer_bytes_per_second: per_second, ..FanoutOptions::default() });
    let (mut page, mut viewer) = (Page::default(), open(&fanout, 4, &Page::default()));
    let (mut bytes, mut newest_tick, mut messages) = (0, 0, 0);
    for n in 1..=240 {
        let cars = (0..4).map(|s| change(cell(s), &[dot(s, cell(s), n as i32)], &[])).collect();
        ticks.send(tick(n, cars)).await.expect("open");
        if let Some(message) = newest(&mut viewer).await {
            bytes += message.len();
            newest_tick = page.apply(&message).tick;
            messages += 1;
            assert!(page.cars.values().all(|cars| cars.iter().all(|(_, dx)| *dx == n as i32)), "the newest");
        }
        tokio::time::sleep(TICK).await;
    }
    assert!((11_000..=12_500).contains(&bytes), "{bytes}");
    assert!(messages < 120 && newest_tick > 230, "{messages} messages, the last of tick {newest_tick}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_counted_and_cars_come_back_as_it_thins_out() {
    let (ticks, fanout) = fanout_with(FanoutOptions { viewer_cars: 10, ..FanoutOptions::default() });
    let (mut page, mut viewer) = (Page::default(), open(&fanout, 2, &Page::default()));
    let cars = |numbers: std::ops::Range<u32>| numbers.map(|n| dot(n, cell(0), 0)).collect::<Vec<_>>();
    ticks.send(tick(1, vec![change(cell(0), &cars(0..10), &[])])).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.shown().len(), 10);

    ticks.send(tick(2, vec![change(cell(1), &[dot(10, cell(1), 0)], &[])])).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.counted(), BTreeMap::from([(cell(0).number(), 10), (cell(1).number(), 1)]));

    ticks.send(tick(3, vec![change(cell(0), &cars(5..10), &[])])).await.expect("open");
    assert_eq!(newest(&mut viewer).await, None, "the cars moved, and the counts are the same");
    ticks.send(tick(4, vec![change(cell(1), &[], &[10])])).await.expect("open");
    assert_eq!(page.apply(&viewer.next().await.expect("open")).densities.len(), 1);
    assert_eq!(page.counted(), BTreeMap::from([(cell(0).number(), 10)]));

    ticks.send(tick(5, vec![change(cell(0), &[], &[0, 1])])).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.shown(), (2..10).map(|n| (cell(0).number(), n, 0)).collect());

    let crowd = vec![change(cell(0), &cars(10..30), &[])];
    ticks.send(tick(6, crowd)).await.expect("open");
    tokio::time::sleep(TICK).await;
    let mut resumed = open(&fanout, 2, &page);
    page.apply(&resumed.next().await.expect("open"));
    assert_eq!(page.counted(), BTreeMap::from([(cell(0).number(), 28)]));
}

/// MAP-6
#[tokio::test(start_paused = true)]
async fn a_wide_view_shows_each_car_and_counts_a_crowd_by_coarser_tiles() {
    let (ticks, fanout) = fanout_with(FanoutOptions { viewer_cars: 10, ..FanoutOptions::default() });
    let mut page = Page { coarse: true, ..Page::default() };
    let mut viewer = fanout.watch(request(wide_view(), &page)).expect("any width");
    let cars = |numbers: std::ops::Range<u32>, cell| numbers.map(|n| dot(n, cell, 0)).collect::<Vec<_>>();
    let far = Cell::new(18700 * 32768 + 9400).expect("a cell");
    ticks.send(tick(1, vec![change(cell(0), &cars(0..9, cell(0)), &[])])).await.expect("open");
    ticks.send(tick(2, vec![change(far, &cars(9..10, far), &[])])).await.expect("open");
    tokio::time::sleep(TICK).await;
    let first = page.apply(&viewer.next().await.expect("open"));
    assert_eq!((first.density_zoom, page.shown().len()), (13, 10));

    let more =
        vec![change(cell(1), &cars(10..12, cell(1)), &[]), change(cell(3), &cars(12..13, cell(3)), &[])];
    ticks.send(tick(3, more)).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    // A tile has 4 × 4 cells, and row 9484 is the first row of a tile.
    let tile = |x: u32, y: u32| x / 4 * 32768 + y / 4;
    let (near, far_tile) = (tile(18653, 9484), tile(18700, 9400));
    assert_eq!(page.counted(), BTreeMap::from([(near, 12), (far_tile, 1)]));

    ticks.send(tick(4, vec![change(far, &[], &[9])])).await.expect("open");
    let emptied = page.apply(&viewer.next().await.expect("open"));
    assert_eq!(emptied.densities, [v1::CellDensity { cell: far_tile, cars: 0 }]);
}

/// MAP-6: a viewer misses a cell that is no longer kept, in a view with too many cells to clear each one.
#[tokio::test(start_paused = true)]
async fn a_wide_view_that_was_not_looked_at_for_long_is_told_anew() {
    let (ticks, fanout) = fanout();
    let mut page = Page { coarse: true, ..Page::default() };
    let mut viewer = fanout.watch(request(wide_view(), &page)).expect("any width");
    ticks.send(tick(1, vec![change(cell(0), &[dot(1, cell(0), 0)], &[])])).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.shown().len(), 1);
    ticks.send(tick(2, vec![change(cell(0), &[], &[1])])).await.expect("open");
    for n in [1000, 1001] {
        ticks.send(tick(n, vec![change(cell(1), &[dot(2, cell(1), n as i32)], &[])])).await.expect("open");
        tokio::time::sleep(TICK).await;
        page.apply(&viewer.next().await.expect("open"));
    }
    assert_eq!(page.shown(), BTreeSet::from([(cell(1).number(), 2, 1001)]));
}

/// MAP-6: a cell became empty and is no longer kept, and its tile still has cars.
#[tokio::test(start_paused = true)]
async fn a_tile_is_counted_again_after_one_of_its_cells_was_forgotten() {
    let (ticks, fanout) = fanout_with(FanoutOptions { viewer_cars: 1, ..FanoutOptions::default() });
    let mut page = Page { coarse: true, ..Page::default() };
    let mut viewer = fanout.watch(request(wide_view(), &page)).expect("any width");
    let crowd = [1, 2].map(|car| dot(car, cell(0), 0));
    let full = vec![change(cell(0), &crowd, &[]), change(cell(1), &[dot(3, cell(1), 0)], &[])];
    ticks.send(tick(1, full)).await.expect("open");
    page.apply(&viewer.next().await.expect("open"));
    let tile = cell(0).coarser(page.levels).number();
    assert_eq!(page.counted(), BTreeMap::from([(tile, 3)]), "both cells are in one tile");
    ticks.send(tick(2, vec![change(cell(1), &[], &[3])])).await.expect("open");
    ticks.send(tick(1000, vec![change(cell(0), &[dot(1, cell(0), 7)], &[])])).await.expect("open");
    tokio::time::sleep(TICK).await;
    page.apply(&viewer.next().await.expect("open"));
    assert_eq!(page.counted(), BTreeMap::from([(tile, 2)]));
}

#[tokio::test(start_paused = true)]
async fn viewers_end_with_the_feed() {
    let (ticks, fanout) = fanout();
    let mut viewer = open(&fanout, 1, &Page::default());
    drop(ticks);
    assert_eq!(viewer.next().await, Err(ViewerEnd::Closed));
}

#[tokio::test]
async fn a_viewport_has_a_limit() {
    let (_ticks, fanout) = fanout();
    let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
    let world = Bounds::around([corner(-90.0, -180.0), corner(90.0, 180.0)]).expect("two points");
    let refused = fanout.watch(request(world, &Page::default())).expect_err("too wide");
    assert_eq!(refused, ViewportTooWide { cells: 1 << 30 });
}

/// One move of a car, and what the viewer does before the next tick.
#[derive(Clone, Copy, Debug)]
struct Step {
    car: u32,
    /// Cell 4 is outside of the map: the car leaves.
    to: u32,
    /// Ticks of the fleet that are not sent.
    skipped: u64,
    looks: bool,
    /// Opens the viewer again with its cursors, on a view of this many cells.
    pans: Option<u32>,
}

prop_compose! {
    fn step()(
        (car, to) in (0..7u32, 0..5u32),
        skipped in prop_oneof![9 => 0..3u64, 1 => 200..300u64],
        looks in any::<bool>(),
        pans in prop::option::weighted(0.2, 1..=4u32),
    ) -> Step {
        Step { car, to, skipped, looks, pans }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Cars move between four cells. A viewer looks only now and then, moves its view with its cursors, and always
    /// shows exactly the map: cars, or their number if there are too many.
    #[test]
    fn any_viewer_ends_up_with_the_map(
        steps in prop::collection::vec(step(), 1..60),
        max_cars in 1..9usize,
        moves in any::<bool>(),
        wide in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(wander(&steps, max_cars, moves, wide));
    }
}

async fn wander(steps: &[Step], max_cars: usize, moves: bool, wide: bool) {
    let (ticks, fanout) = fanout_with(FanoutOptions { viewer_cars: max_cars, ..FanoutOptions::default() });
    let mut page = Page { moves, coarse: wide, ..Page::default() };
    let view_of = |cells| if wide { wide_view() } else { view(cells) };
    let look = |cells, page: &Page| fanout.watch(request(view_of(cells), page)).expect("not too wide");
    let (mut viewer, mut in_view) = (look(4, &page), 4);
    let mut places: BTreeMap<u32, (u32, i32)> = BTreeMap::new();
    let mut now = 0;
    for &Step { car, to, skipped, looks, pans } in steps {
        now += 1 + skipped;
        let dx = now as i32 % 8000;
        let from = places.remove(&car);
        let mut changes = BTreeMap::new();
        if to < 4 {
            places.insert(car, (to, dx));
            changes.insert(to, change(cell(to), &[dot(car, cell(to), dx)], &[]));
        }
        if let Some((from, _)) = from.filter(|(from, _)| *from != to) {
            changes.insert(from, change(cell(from), &[], &[car]));
        }
        ticks.send(tick(now, changes.into_values().collect())).await.expect("open");
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(cells) = pans {
            in_view = if wide { 4 } else { cells };
            page.look_at(view_of(cells));
            viewer = look(cells, &page);
        }
        if looks || pans.is_some() {
            if let Some(message) = newest(&mut viewer).await {
                page.apply(&message);
            }
            let seen = places.iter().filter(|(_, (at, _))| *at < in_view);
            let seen: Vec<_> = seen.map(|(car, (at, dx))| (cell(*at).number(), *car, *dx)).collect();
            match page.detail {
                v1::MapDetail::Densities => {
                    assert!(wide || seen.len() > max_cars - max_cars / 5, "few enough for cars");
                    let mut counts = BTreeMap::new();
                    for (cell, ..) in &seen {
                        let tile = Cell::new(*cell).expect("a cell").coarser(page.levels);
                        *counts.entry(tile.number()).or_default() += 1;
                    }
                    assert_eq!(page.counted(), counts);
                }
                _ => {
                    assert!(seen.len() <= max_cars, "too many for a screen");
                    assert_eq!(page.shown(), seen.into_iter().collect());
                }
            }
        }
    }
}
