//! The encoder of frames: cells as bytes.
//!
//! Each frame is one complete field of a `WatchFleetResponse`, with key and length, so that frames in a row are a
//! valid message. The code is written by hand because it encodes columns directly from the cars.

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};
use rides_proto::{
    ids::CarNumber,
    tiles::{CELL_ZOOM, Cell},
    v1,
};

use super::Detail;
use crate::positions::{CarDot, CarState, Heading};

/// The length of the prefix of a gRPC message: the compression flag and the message length.
pub(super) const GRPC_PREFIX_LEN: usize = 5;

/// Field number of `WatchFleetResponse.cells`.
const CELLS: u32 = 5;
/// Field number of `WatchFleetResponse.densities`.
const DENSITIES: u32 = 6;

/// Field numbers of `CellFrame`. `CELL` is the same in `CellDensity`.
mod field {
    pub(super) const CELL: u32 = 1;
    pub(super) const TICK: u32 = 2;
    /// In `CellDensity`.
    pub(super) const COUNT: u32 = 2;
    pub(super) const SNAPSHOT: u32 = 3;
    pub(super) const CARS: u32 = 4;
    pub(super) const DX: u32 = 5;
    pub(super) const DY: u32 = 6;
    pub(super) const HEADINGS: u32 = 7;
    pub(super) const STATES: u32 = 8;
    pub(super) const LEFT: u32 = 9;
    pub(super) const MOVED: u32 = 10;
    pub(super) const MOVED_EAST: u32 = 11;
    pub(super) const MOVED_SOUTH: u32 = 12;
    pub(super) const MOVED_HEADINGS: u32 = 13;
}

/// A car that moved inside its cell and did not change its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    number: CarNumber,
    east: i32,
    south: i32,
    heading: Heading,
}

impl Moved {
    /// `car` is the car after the move.
    pub(super) fn new(car: &CarDot, (east, south): (i32, i32)) -> Self {
        Self { number: car.number, east, south, heading: car.heading }
    }
}

/// Encodes the change of a cell: cars that changed, cars that only moved, and cars that left.
pub(super) fn delta(cell: Cell, tick: u64, changed: &[CarDot], moved: &[Moved], left: &[CarNumber]) -> Bytes {
    let mut frame = start(cell, tick);
    put_cars(&mut frame, cell, changed);
    put_column(&mut frame, field::MOVED, moved.iter().map(|car| u64::from(car.number.0)));
    put_column(&mut frame, field::MOVED_EAST, moved.iter().map(|car| zigzag(car.east)));
    put_column(&mut frame, field::MOVED_SOUTH, moved.iter().map(|car| zigzag(car.south)));
    put_column(&mut frame, field::MOVED_HEADINGS, moved.iter().map(|car| u64::from(car.heading.get())));
    put_column(&mut frame, field::LEFT, left.iter().map(|number| u64::from(number.0)));
    finish(&frame)
}

/// Encodes all cars of a cell. Without cars the frame clears the cell.
pub(super) fn snapshot(cell: Cell, tick: u64, cars: &[CarDot]) -> Bytes {
    let mut frame = start(cell, tick);
    put_varint(&mut frame, field::SNAPSHOT, 1);
    put_cars(&mut frame, cell, cars);
    finish(&frame)
}

/// Encodes the number of cars of each tile. Returns `None` if there are no tiles.
pub(super) fn densities(counts: Vec<(Cell, usize)>) -> Option<Bytes> {
    let (mut out, mut density) = (BytesMut::new(), BytesMut::new());
    for (cell, cars) in counts {
        density.clear();
        put_varint(&mut density, field::CELL, u64::from(cell.number()));
        put_varint(&mut density, field::COUNT, cars as u64);
        put_bytes(&mut out, DENSITIES, &density);
    }
    (!out.is_empty()).then(|| out.freeze())
}

/// Encodes the zoom of a stream's density tiles, which are `levels` zooms out from cells.
pub(super) fn density_zoom(levels: u32) -> Bytes {
    let density_zoom = CELL_ZOOM - levels;
    v1::WatchFleetResponse { density_zoom, ..Default::default() }.encode_to_vec().into()
}

/// Encodes the detail that a stream has from this message on.
pub(super) fn detail(detail: Detail) -> Bytes {
    let detail = match detail {
        Detail::Cars => v1::MapDetail::Cars,
        Detail::Densities => v1::MapDetail::Densities,
    };
    v1::WatchFleetResponse { detail: detail.into(), ..Default::default() }.encode_to_vec().into()
}

/// Returns a gRPC message with these fields, with its prefix.
pub(super) fn message(fields: &[Bytes]) -> Bytes {
    let length: usize = fields.iter().map(Bytes::len).sum();
    let mut message = BytesMut::with_capacity(GRPC_PREFIX_LEN + length);
    message.put_u8(0);
    // The cast is safe: all cars of a fleet together take far less than 4 GB.
    message.put_u32(length as u32);
    fields.iter().for_each(|field| message.put_slice(field));
    message.freeze()
}

/// Encodes the fields that every message has: the tick and its time.
pub(super) fn common_fields(tick: u64, time: SystemTime) -> Bytes {
    let message = v1::WatchFleetResponse { tick, time: Some(time.into()), ..Default::default() };
    message.encode_to_vec().into()
}

/// Encodes the fields that only the first message of a stream has.
pub(super) fn first_fields(epoch: &str, tick_interval: Duration) -> Bytes {
    let message = v1::WatchFleetResponse {
        epoch: epoch.to_owned(),
        // The conversion fails only for durations that are far longer than a tick.
        tick_interval: prost_types::Duration::try_from(tick_interval).ok(),
        ..Default::default()
    };
    message.encode_to_vec().into()
}

fn start(cell: Cell, tick: u64) -> BytesMut {
    let mut frame = BytesMut::new();
    put_varint(&mut frame, field::CELL, u64::from(cell.number()));
    put_varint(&mut frame, field::TICK, tick);
    frame
}

fn finish(frame: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + encoded_len_varint(frame.len() as u64) + frame.len());
    put_bytes(&mut out, CELLS, frame);
    out.freeze()
}

fn put_cars(out: &mut BytesMut, cell: Cell, cars: &[CarDot]) {
    let offsets = || cars.iter().map(|car| cell.offset(car.at));
    put_column(out, field::CARS, cars.iter().map(|car| u64::from(car.number.0)));
    put_column(out, field::DX, offsets().map(|(dx, _)| zigzag(dx)));
    put_column(out, field::DY, offsets().map(|(_, dy)| zigzag(dy)));
    put_column(out, field::HEADINGS, cars.iter().map(|car| u64::from(car.heading.get())));
    put_column(out, field::STATES, cars.iter().map(|car| wire_state(car.state)));
}

/// Writes a packed repeated field, or nothing if there are no values.
fn put_column(out: &mut BytesMut, field: u32, values: impl Iterator<Item = u64> + Clone) {
    let length: usize = values.clone().map(encoded_len_varint).sum();
    if length == 0 {
        return;
    }
    out.reserve(length + 8);
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
    for value in values {
        encode_varint(value, out);
    }
}

fn put_bytes(out: &mut BytesMut, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

fn put_varint(out: &mut BytesMut, field: u32, value: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

/// Encodes as protobuf's `sint32`.
fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}

fn wire_state(state: CarState) -> u64 {
    let state = match state {
        CarState::Free => v1::CarState::Free,
        CarState::Offered => v1::CarState::Offered,
        CarState::ToPickup => v1::CarState::ToPickup,
        CarState::AtPickup => v1::CarState::AtPickup,
        CarState::OnTrip => v1::CarState::OnTrip,
        CarState::OffDuty => v1::CarState::OffDuty,
    };
    state as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::positions::Heading;

    fn states() -> [CarState; 6] {
        use CarState::*;
        [Free, Offered, ToPickup, AtPickup, OnTrip, OffDuty]
    }

    prop_compose! {
        fn car_in(cell: Cell)(
            number in any::<u32>(),
            (dx, dy) in (-8192..=8191i32, -8192..=8191i32),
            deg in 0.0..360.0f64,
            state in prop::sample::select(states().to_vec()),
        ) -> CarDot {
            CarDot { number: CarNumber(number), at: cell.point(dx, dy), heading: Heading::from_deg(deg), state }
        }
    }

    prop_compose! {
        fn cell_with_cars()(number in 0..(1u32 << 30))(
            cell in Just(Cell::new(number).expect("below the last")),
            cars in prop::collection::vec(car_in(Cell::new(number).expect("below the last")), 0..40),
        ) -> (Cell, Vec<CarDot>) {
            (cell, cars)
        }
    }

    prop_compose! {
        fn move_of(cell: Cell)(
            car in car_in(cell),
            way in (-16383..=16383i32, -16383..=16383i32),
        ) -> Moved {
            Moved::new(&car, way)
        }
    }

    fn by_prost(
        cell: Cell,
        tick: u64,
        snapshot: bool,
        cars: &[CarDot],
        moved: &[Moved],
        left: &[CarNumber],
    ) -> v1::CellFrame {
        v1::CellFrame {
            moved: moved.iter().map(|car| car.number.0).collect(),
            moved_east: moved.iter().map(|car| car.east).collect(),
            moved_south: moved.iter().map(|car| car.south).collect(),
            moved_headings: moved.iter().map(|car| car.heading.get().into()).collect(),
            cell: cell.number(),
            tick,
            snapshot,
            cars: cars.iter().map(|car| car.number.0).collect(),
            dx: cars.iter().map(|car| cell.offset(car.at).0).collect(),
            dy: cars.iter().map(|car| cell.offset(car.at).1).collect(),
            headings: cars.iter().map(|car| car.heading.get().into()).collect(),
            states: cars
                .iter()
                .map(|car| states().iter().position(|s| *s == car.state))
                .map(|i| i.expect("one of them") as i32 + 1)
                .collect(),
            left: left.iter().map(|number| number.0).collect(),
        }
    }

    proptest! {
        #[test]
        fn hand_made_bytes_mean_what_prost_would_have_written(
            (cell, cars) in cell_with_cars(),
            moved in prop::collection::vec(move_of(Cell::new(7).expect("a cell")), 0..10),
            tick in any::<u64>(),
            left in prop::collection::vec(any::<u32>().prop_map(CarNumber), 0..10),
        ) {
            let expected =
                [by_prost(cell, tick, false, &cars, &moved, &left), by_prost(cell, tick, true, &cars, &[], &[])];
            let strung = [delta(cell, tick, &cars, &moved, &left), snapshot(cell, tick, &cars)].concat();

            let by_hand = v1::WatchFleetResponse::decode(&*strung).expect("a message");
            let message = v1::WatchFleetResponse { cells: expected.to_vec(), ..Default::default() };
            let by_prost = v1::WatchFleetResponse::decode(&*message.encode_to_vec()).expect("a message");
            prop_assert_eq!(by_hand, by_prost);
        }
    }

    #[test]
    fn a_car_is_at_most_eight_bytes_in_a_city_of_sixteen_thousand() {
        let cell = Cell::new(5).expect("a cell");
        let car = |n: u32| CarDot {
            number: CarNumber(16_000 + n),
            at: cell.point(-8192, 8191),
            heading: Heading::from_deg(359.0),
            state: CarState::OnTrip,
        };
        let cars: Vec<_> = (0..100).map(car).collect();
        let overhead = delta(cell, 1, &[], &[], &[]).len() + 20;
        assert!(delta(cell, 1, &cars, &[], &[]).len() <= 100 * 8 + overhead);
    }
}
