use std::collections::BTreeMap;

use proptest::prelude::*;
use rides_proto::{geo::LatLng, tiles::CELL_SIDE};

use super::*;

/// The number of columns of cells in which the cars of the tests drive, in one row through Helsinki.
const COLUMNS: u32 = 4;
const ROW: u32 = 9484;
const FIRST_COLUMN: u32 = 18653;

fn cell(column: u32) -> Cell {
    Cell::of(WorldPoint { x: (FIRST_COLUMN + column) * CELL_SIDE, y: ROW * CELL_SIDE })
}

/// Returns the point in the row that is `x` units from its western end.
fn place(x: u32) -> WorldPoint {
    WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y: ROW * CELL_SIDE + 100 }
}

fn report(number: u32, x: u32) -> CarReport {
    CarReport { number: CarNumber(number), at: place(x), turn: 0.25, state: CarState::Free }
}

fn update(column: u32, tick: u64, snapshot: bool, cars: &[CarReport], left: &[u32]) -> CellUpdate {
    let left = left.iter().copied().map(CarNumber).collect();
    CellUpdate { cell: cell(column), tick, snapshot, cars: cars.to_vec(), moved: Vec::new(), left }
}

fn frame(cells: Vec<CellUpdate>) -> FleetFrame {
    let tick = cells.iter().map(|cell| cell.tick).max().unwrap_or_default();
    FleetFrame { time: tick as f64 * 250.0, cells, ..FleetFrame::default() }
}

fn first(epoch: &str, cells: Vec<CellUpdate>) -> FleetFrame {
    FleetFrame { epoch: Some(epoch.to_owned()), tick_interval: Some(250.0), ..frame(cells) }
}

/// Returns bounds that contain every cell of the tests.
fn everywhere() -> Bounds {
    let corner =
        |x: u32, y: u32| WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y: ROW * CELL_SIDE + y }.lat_lng();
    Bounds::around([corner(10, 10), corner(COLUMNS * CELL_SIDE, 2 * CELL_SIDE)]).expect("two points")
}

fn cursors(fleet: &FleetModel) -> Vec<(Cell, u64)> {
    fleet.cursors_in(everywhere()).collect()
}

/// Returns the target position of every car, by number.
fn places(fleet: &FleetModel) -> BTreeMap<u32, (f64, f64)> {
    fleet.glides().map(|glide| (glide.number.0, glide.to)).collect()
}

fn expect(fleet: &FleetModel, cars: &[(u32, u32)]) {
    assert_eq!(places(fleet), cars.iter().map(|(number, x)| (*number, unit(place(*x)))).collect());
}

#[test]
fn a_car_that_only_moved_goes_on_from_where_it_was_reported() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 1, true, &[report(7, 100)], &[])]), 0.0);
    let moved = |tick, number, east| {
        let moved = vec![CarMove { number: CarNumber(number), way: (east, 0), turn: 0.5 }];
        frame(vec![CellUpdate { moved, ..update(0, tick, false, &[], &[]) }])
    };
    fleet.apply(&moved(2, 7, 40), 100.0);
    fleet.apply(&moved(3, 7, -15), 200.0);
    expect(&fleet, &[(7, 125)]);
    let glide = fleet.glide(CarNumber(7)).expect("known");
    assert_eq!((glide.state, glide.to_turn), (CarState::Free, 0.5));

    fleet.apply(&moved(3, 7, 1_000), 300.0);
    fleet.apply(&moved(4, 8, 1_000), 400.0);
    expect(&fleet, &[(7, 125)]);
}

#[test]
fn a_car_that_goes_to_a_neighbour_stays_whatever_comes_first() {
    for turned in [false, true] {
        let mut fleet = FleetModel::default();
        fleet.apply(
            &first("a", vec![update(0, 1, true, &[report(7, 100)], &[]), update(1, 1, true, &[], &[])]),
            0.0,
        );
        let mut cells =
            vec![update(0, 2, false, &[], &[7]), update(1, 2, false, &[report(7, CELL_SIDE)], &[])];
        if turned {
            cells.reverse();
        }
        fleet.apply(&frame(cells), 250.0);
        expect(&fleet, &[(7, CELL_SIDE)]);
    }
}

#[test]
fn a_snapshot_takes_away_who_is_not_in_it() {
    let mut fleet = FleetModel::default();
    let both = [report(1, 10), report(2, 20)];
    fleet.apply(
        &first("a", vec![update(0, 1, true, &both, &[]), update(1, 1, true, &[report(3, CELL_SIDE)], &[])]),
        0.0,
    );
    fleet.apply(&frame(vec![update(0, 2, true, &both[..1], &[])]), 250.0);
    expect(&fleet, &[(1, 10), (3, CELL_SIDE)]);
}

#[test]
fn a_snapshot_may_come_in_pieces() {
    let mut fleet = FleetModel::default();
    let pieces = vec![update(0, 1, true, &[report(1, 10)], &[]), update(0, 1, true, &[report(2, 20)], &[])];
    fleet.apply(&first("a", pieces), 0.0);
    expect(&fleet, &[(1, 10), (2, 20)]);
}

#[test]
fn what_is_known_already_changes_nothing() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 5, true, &[report(1, 10)], &[])]), 0.0);
    fleet.apply(&frame(vec![update(0, 6, false, &[report(1, 20)], &[])]), 250.0);
    let revision = fleet.revision();
    fleet.apply(&first("a", vec![update(0, 5, true, &[report(1, 10), report(9, 9)], &[])]), 260.0);
    fleet.apply(&frame(vec![update(0, 6, false, &[report(1, 10)], &[1])]), 270.0);
    expect(&fleet, &[(1, 20)]);
    assert_eq!(fleet.revision(), revision);
}

#[test]
fn another_epoch_starts_from_nothing() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 900, true, &[report(1, 10)], &[])]), 0.0);
    fleet.apply(&first("b", vec![update(0, 1, true, &[report(2, 20)], &[])]), 250.0);
    expect(&fleet, &[(2, 20)]);
    assert_eq!(cursors(&fleet), [(cell(0), 1)]);
    assert_eq!(fleet.epoch(), "b");
}

#[test]
fn what_leaves_the_viewport_is_forgotten() {
    let mut fleet = FleetModel::default();
    let cells =
        vec![update(0, 1, true, &[report(1, 10)], &[]), update(3, 1, true, &[report(2, 3 * CELL_SIDE)], &[])];
    fleet.apply(&first("a", cells), 0.0);
    let corner = |x: u32, y: u32| -> LatLng {
        WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y: ROW * CELL_SIDE + y }.lat_lng()
    };
    fleet.keep_within(Bounds::around([corner(10, 10), corner(CELL_SIDE + 10, 20)]).expect("two points"));
    expect(&fleet, &[(1, 10)]);
    assert_eq!(cursors(&fleet), [(cell(0), 1)]);
}

#[test]
fn a_delta_without_its_base_is_no_cursor() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 3, false, &[report(1, 10)], &[])]), 0.0);
    expect(&fleet, &[(1, 10)]);
    assert_eq!(cursors(&fleet), []);
}

fn densities(detail: Option<Detail>, densities: &[(u32, u32)]) -> FleetFrame {
    let densities = densities.iter().map(|(column, cars)| (cell(*column), *cars)).collect();
    FleetFrame { detail, densities, ..FleetFrame::default() }
}

fn expect_densities(fleet: &FleetModel, expected: &[(u32, u32)]) {
    let known: BTreeMap<_, _> = fleet.densities().expect("densities").collect();
    assert_eq!(known, expected.iter().map(|(column, cars)| (cell(*column), *cars)).collect());
}

#[test]
fn densities_take_the_place_of_cars_and_of_what_was_known_of_them() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 1, true, &[report(1, 10)], &[])]), 0.0);
    fleet.apply(&densities(Some(Detail::Densities), &[(0, 700), (1, 40)]), 250.0);
    expect(&fleet, &[]);
    assert_eq!(cursors(&fleet), []);
    expect_densities(&fleet, &[(0, 700), (1, 40)]);
    assert_eq!(fleet.in_view(), CarsInView { count: 740, detail: Detail::Densities });
}

#[test]
fn a_density_is_told_again_only_when_it_changes() {
    let mut fleet = FleetModel::default();
    fleet.apply(&densities(Some(Detail::Densities), &[(0, 700), (1, 40)]), 0.0);
    fleet.apply(&densities(None, &[(1, 0), (2, 3)]), 250.0);
    expect_densities(&fleet, &[(0, 700), (2, 3)]);
    let revision = fleet.revision();
    fleet.apply(&densities(None, &[]), 4_250.0);
    assert_eq!(fleet.revision(), revision, "a heartbeat changes nothing");
    // Another stream begins. Tiles that it does not list are empty.
    fleet.apply(&densities(Some(Detail::Densities), &[(3, 9)]), 5_000.0);
    expect_densities(&fleet, &[(3, 9)]);
}

#[test]
fn cars_take_the_place_of_densities() {
    let mut fleet = FleetModel::default();
    fleet.apply(&densities(Some(Detail::Densities), &[(0, 700)]), 0.0);
    let cells = vec![update(1, 2, true, &[report(1, CELL_SIDE)], &[])];
    fleet.apply(&FleetFrame { detail: Some(Detail::Cars), ..frame(cells) }, 250.0);
    assert!(fleet.densities().is_none());
    expect(&fleet, &[(1, CELL_SIDE)]);
    assert_eq!(fleet.in_view(), CarsInView { count: 1, detail: Detail::Cars });
}

#[test]
fn no_density_lingers_outside_the_viewport() {
    let mut fleet = FleetModel::default();
    fleet.apply(&densities(Some(Detail::Densities), &[(0, 700), (3, 40)]), 0.0);
    let corner = |x: u32| WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y: ROW * CELL_SIDE + 9 }.lat_lng();
    fleet.keep_within(Bounds::around([corner(10), corner(CELL_SIDE + 10)]).expect("two points"));
    expect_densities(&fleet, &[(0, 700)]);
}

/// MAP-6
#[test]
fn densities_of_coarser_tiles_stay_while_their_cells_are_in_the_viewport() {
    let mut fleet = FleetModel::default();
    let tile = cell(0).coarser(2);
    let beyond = cell(8).coarser(2);
    let first = FleetFrame {
        epoch: Some("a".to_owned()),
        levels: Some(2),
        detail: Some(Detail::Densities),
        densities: vec![(tile, 700), (beyond, 40)],
        ..FleetFrame::default()
    };
    fleet.apply(&first, 0.0);
    assert_eq!(fleet.levels(), 2);
    let corner = |x: u32| WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y: ROW * CELL_SIDE + 9 }.lat_lng();
    fleet.keep_within(Bounds::around([corner(10), corner(CELL_SIDE + 10)]).expect("two points"));
    assert_eq!(fleet.densities().expect("densities").collect::<Vec<_>>(), [(tile, 700)]);
}

/// MAP-6
#[test]
fn without_cursors_the_first_message_tells_of_every_car() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 1, true, &[report(1, 10)], &[])]), 0.0);
    fleet.forget_cars();
    assert_eq!(cursors(&fleet), []);
    fleet.apply(&first("a", vec![update(1, 2, true, &[report(2, CELL_SIDE)], &[])]), 250.0);
    expect(&fleet, &[(2, CELL_SIDE)]);
}

/// PAGE-5: the page watches a larger area than the screen shows.
#[test]
fn what_is_in_view_is_what_the_screen_shows() {
    let mut fleet = FleetModel::default();
    let cars = [report(1, 10), report(2, CELL_SIDE / 2), report(3, CELL_SIDE - 10)];
    fleet.apply(&first("a", vec![update(0, 1, true, &cars, &[])]), 0.0);
    let count = |fleet: &FleetModel| fleet.in_view().count;
    assert_eq!(count(&fleet), 3, "the screen is not set yet");
    let corner = |x: u32, y: i32| {
        let y = (ROW * CELL_SIDE).saturating_add_signed(y);
        unit(WorldPoint { x: FIRST_COLUMN * CELL_SIDE + x, y })
    };
    let (above, below) = (-(CELL_SIDE as i32), 2 * CELL_SIDE as i32);
    fleet.set_screen(Some((corner(CELL_SIDE / 4, above), corner(CELL_SIDE * 2, below))));
    assert_eq!((count(&fleet), fleet.states_in_view().count()), (2, 2));

    fleet.apply(&densities(Some(Detail::Densities), &[(0, 400), (1, 40), (4, 9)]), 250.0);
    assert_eq!(count(&fleet), 400 + 40, "the sum of the numbers on the map");
}

/// PAGE-5
#[test]
fn the_time_is_the_servers() {
    let mut fleet = FleetModel::default();
    assert_eq!(fleet.server_time(0.0), None);
    fleet.apply(&FleetFrame { time: 1_800_000_000_000.0, ..FleetFrame::default() }, 5_000.0);
    assert_eq!(fleet.server_time(6_500.0), Some(1_800_000_001_500.0));
}

#[test]
fn a_steady_car_is_drawn_at_a_steady_speed_and_never_stops() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 0, true, &[report(1, 0)], &[])]), 0.0);
    let (mut last, mut steps) = (None, Vec::new());
    for millis in 1..=5_000u32 {
        // Reports are 250 ms apart, and up to 60 ms late.
        let tick = u64::from(millis / 250);
        if millis.is_multiple_of(250) {
            let late = f64::from(millis) + [0.0, 35.0, 10.0, 60.0][tick as usize % 4];
            fleet.apply(&frame(vec![update(0, tick, false, &[report(1, millis / 4)], &[])]), late);
        }
        let glide = fleet.glide(CarNumber(1)).expect("still there");
        if millis % 10 == 0 && f64::from(millis) >= glide.from_at {
            let (x, _) = drawn(&glide, f64::from(millis)).0;
            let x = x * f64::from(WORLD_SIDE);
            if let Some((then, before)) = last.replace((millis, x)) {
                steps.push((x - before) / f64::from(millis - then));
            }
        }
    }
    let settled = &steps[steps.len() / 3..];
    let (least, most) = settled.iter().fold((f64::MAX, 0f64), |(a, b), step| (a.min(*step), b.max(*step)));
    assert!(least > 0.15 && most < 0.4, "from {least} to {most} units a millisecond instead of 0.25");
}

#[test]
fn a_jump_is_no_glide() {
    let mut fleet = FleetModel::default();
    fleet.apply(&first("a", vec![update(0, 1, true, &[report(1, 0)], &[])]), 0.0);
    fleet.apply(&frame(vec![update(0, 2, false, &[report(1, 9_000)], &[])]), 250.0);
    let glide = fleet.glide(CarNumber(1)).expect("there");
    assert_eq!((glide.from, glide.to_at), (glide.to, 250.0));
}

#[test]
fn a_car_turns_the_short_way() {
    let mut fleet = FleetModel::default();
    let turned = |turn| CarReport { turn, ..report(1, 0) };
    fleet.apply(&first("a", vec![update(0, 1, true, &[turned(0.9)], &[])]), 0.0);
    fleet.apply(&frame(vec![update(0, 2, false, &[turned(0.1)], &[])]), 250.0);
    let glide = fleet.glide(CarNumber(1)).expect("there");
    assert!((glide.to_turn - glide.from_turn - 0.2).abs() < 1e-5, "{glide:?}");
}

/// One tick of the reference model.
#[derive(Clone, Debug)]
struct Tick {
    /// Cars that move or appear or, with `None`, vanish.
    changes: Vec<(u32, Option<u32>)>,
    /// The cells that are sent as snapshots.
    snapshots: [bool; COLUMNS as usize],
    /// The cells are sent in reverse order.
    turned: bool,
}

fn tick() -> impl Strategy<Value = Tick> {
    let change = (0u32..8, prop::option::weighted(0.8, 0..COLUMNS * CELL_SIDE));
    (prop::collection::vec(change, 0..6), any::<[bool; COLUMNS as usize]>(), any::<bool>())
        .prop_map(|(changes, snapshots, turned)| Tick { changes, snapshots, turned })
}

proptest! {
    /// Compares the model with a plain map of cars: deltas and snapshots in any order, each message twice.
    #[test]
    fn the_cars_are_those_of_the_server(ticks in prop::collection::vec(tick(), 1..30)) {
        let column = |x: &u32| x / CELL_SIDE;
        let mut truth = BTreeMap::<u32, u32>::new();
        let mut fleet = FleetModel::default();
        let empty = (0..COLUMNS).map(|column| update(column, 0, true, &[], &[])).collect();
        fleet.apply(&first("a", empty), 0.0);

        for (n, Tick { changes, snapshots, turned }) in ticks.into_iter().enumerate() {
            let (tick, before) = (n as u64 + 1, truth.clone());
            for (number, x) in changes {
                match x {
                    Some(x) => _ = truth.insert(number, x),
                    None => _ = truth.remove(&number),
                }
            }
            let mut cells: Vec<_> = (0..COLUMNS).map(|here| {
                let snapshot = snapshots[here as usize];
                let cars: Vec<_> = truth.iter()
                    .filter(|(number, x)| column(x) == here && (snapshot || before.get(number) != Some(x)))
                    .map(|(number, x)| report(*number, *x)).collect();
                let left: Vec<_> = before.iter()
                    .filter(|(number, x)| column(x) == here && truth.get(number).map(column) != Some(here))
                    .map(|(number, _)| *number).collect();
                update(here, tick, snapshot, &cars, if snapshot { &[] } else { &left })
            }).collect();
            if turned {
                cells.reverse();
            }
            for _ in 0..2 {
                fleet.apply(&frame(cells.clone()), tick as f64 * 250.0);
            }
            let expected: BTreeMap<_, _> = truth.iter().map(|(number, x)| (*number, unit(place(*x)))).collect();
            prop_assert_eq!(places(&fleet), expected);
        }
    }
}
