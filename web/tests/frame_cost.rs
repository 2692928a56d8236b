//! A measurement of a frame of 10,000 cars on the page's only thread: decoding, applying and drawing it. The
//! time of the browser's rasterizer is measured separately. protobuf-es decodes the same bytes for comparison.
//!
//! The results are printed, and nothing passes or fails. `cargo xtask frame-cost` compiles this with the
//! settings of the page and runs it.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;

use bytes::Bytes;
use js_sys::{Array, Function, Promise, Uint8Array};
use prost::Message as _;
use rides_proto::{
    FILE_DESCRIPTOR_SET,
    geo::{Bounds, LatLng},
    tiles::{Cell, WorldPoint},
    v1,
};
use rides_web::{
    browser,
    map::{
        engine::{Engine, MapInput},
        webgl::WebGlPainter,
    },
    model::{CityMap, Street, StreetClass},
    store::{FleetFrame, FleetModel, fleet_frame},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl};

wasm_bindgen_test_configure!(run_in_browser);

const CARS: u32 = 10_000;
/// The number of cells along each side of the viewport.
const SIDE: u32 = 8;
/// The number of ticks in each measurement, after [`WARM_UP`] ticks that do not count.
const TICKS: usize = 60;
const WARM_UP: usize = 10;
/// The time between two ticks, in milliseconds.
const INTERVAL: f64 = 250.0;
const SIZE: (u32, u32) = (1440, 900);

/// The durations of several runs, in milliseconds.
struct Samples(Vec<f64>);

impl Samples {
    fn print(mut self, what: &str) {
        self.0.drain(..WARM_UP);
        self.0.sort_by(f64::total_cmp);
        let [min, median, max] = [0, self.0.len() / 2, self.0.len() - 1].map(|place| self.0[place]);
        console_log!("{what:<58} {min:>7.2} {median:>7.2} {max:>7.2} ms");
    }
}

fn timed<T>(samples: &mut Samples, run: impl FnOnce() -> T) -> T {
    let before = browser::now();
    let result = run();
    samples.0.push(browser::now() - before);
    result
}

fn corner(column: u32, row: u32) -> Cell {
    let middle = Cell::of(WorldPoint::of(LatLng::new(60.17, 24.94).expect("on Earth")));
    Cell::new(middle.number() + column * 32768 + row).expect("on Earth")
}

/// The distance that a car drives east between two ticks, in units of [`WorldPoint`]: about 10 m/s.
const STEP: u32 = 68;

/// Returns the position of a car at a tick: the index of its cell in the message, and its offset east and south
/// in that cell. The golden ratio spreads the cars.
fn place(number: u32, tick: u32) -> (usize, i32, i32) {
    let spread = number.wrapping_mul(0x9e37_79b1);
    let along = (spread >> 15) % (SIDE << 14) + tick * STEP;
    let cell = (along >> 14) % SIDE * SIDE + spread % SIDE;
    (cell as usize, (along & 0x3fff) as i32 - 8192, (spread >> 7) as i32 % 8192)
}

/// Returns the message of a tick for a page that requests moves. The first message has all cars. Each later one
/// has the movements inside cells, and the few cars that change cells.
fn message(tick: u32) -> Bytes {
    let cell = |number| v1::CellFrame {
        cell: corner(number / SIDE, number % SIDE).number(),
        tick: tick.into(),
        snapshot: tick == 0,
        ..Default::default()
    };
    let mut cells: Vec<_> = (0..SIDE * SIDE).map(cell).collect();
    for number in 0..CARS {
        let (here, dx, dy) = place(number, tick);
        let before = tick.checked_sub(1).map(|before| place(number, before).0);
        let heading = 32 + number % 3;
        if before == Some(here) {
            cells[here].moved.push(number);
            cells[here].moved_east.push(STEP as i32);
            cells[here].moved_south.push(0);
            cells[here].moved_headings.push(heading);
            continue;
        }
        if let Some(before) = before {
            cells[before].left.push(number);
        }
        cells[here].cars.push(number);
        cells[here].dx.push(dx);
        cells[here].dy.push(dy);
        cells[here].headings.push(heading);
        cells[here].states.push((1 + number % 6) as i32);
    }
    let millis = 1_000_000 + i64::from(tick) * INTERVAL as i64;
    let time = prost_types::Timestamp { seconds: millis / 1000, nanos: (millis % 1000) as i32 * 1_000_000 };
    let message = v1::WatchFleetResponse { tick: tick.into(), time: Some(time), cells, ..Default::default() };
    message.encode_to_vec().into()
}

fn messages() -> Vec<Bytes> {
    (0..(WARM_UP + TICKS) as u32).map(message).collect()
}

fn decode(message: &Bytes) -> FleetFrame {
    let (frame, wrong) = fleet_frame(message.clone()).expect("protobuf");
    assert!(wrong.is_none());
    frame
}

#[wasm_bindgen_test]
#[ignore = "a measurement: cargo xtask frame-cost"]
async fn a_frame_is_decoded_and_applied() {
    let messages = messages();
    console_log!("{:<58}     min  median     max", format!("{CARS} cars, {} bytes", messages[1].len()));
    let (mut decoded, mut applied, mut whole) = (Samples(vec![]), Samples(vec![]), Samples(vec![]));
    let mut fleet = FleetModel::default();
    for (message, tick) in messages.iter().zip(0u32..) {
        let now = f64::from(tick) * INTERVAL;
        let frame = timed(&mut decoded, || decode(message));
        timed(&mut applied, || fleet.apply(&frame, now));
    }
    assert_eq!(fleet.in_view().count, CARS as usize);
    let mut fleet = FleetModel::default();
    for (message, tick) in messages.iter().zip(0u32..) {
        timed(&mut whole, || fleet.apply(&decode(message), f64::from(tick) * INTERVAL));
    }
    decoded.print("decode");
    applied.print("apply");
    whole.print("a frame in all: bytes to cars");
    protobuf_es_decodes(&messages).await;
}

/// Measures the decoding with protobuf-es, in the same browser and with the same bytes.
async fn protobuf_es_decodes(messages: &[Bytes]) {
    let bytes: Array = messages.iter().map(|message| Uint8Array::from(&message[..])).collect();
    let run = Function::new_with_args(
        "descriptors, messages",
        r#"
        return (async () => {
            const { es, wkt } = await import("/protobuf-es.js");
            const files = es.createFileRegistry(es.fromBinary(wkt.FileDescriptorSetSchema, descriptors));
            const schema = files.getMessage("rides.v1.WatchFleetResponse");
            return messages.map(message => {
                const before = performance.now();
                const read = es.fromBinary(schema, message);
                const took = performance.now() - before;
                const cars = read.cells.reduce((sum, cell) => sum + cell.cars.length + cell.moved.length, 0);
                if (cars !== 10000) throw new Error(`${cars} cars`);
                return took;
            });
        })();
        "#,
    );
    let running = run.call2(&JsValue::NULL, &Uint8Array::from(FILE_DESCRIPTOR_SET), &bytes).expect("it runs");
    match JsFuture::from(running.unchecked_into::<Promise>()).await {
        Ok(times) => {
            let times: Array = times.unchecked_into();
            Samples(times.iter().filter_map(|time| time.as_f64()).collect()).print("protobuf-es: decode");
        }
        Err(why) => console_log!("protobuf-es was not found: {why:?}"),
    }
}

/// Creates a canvas on the page, and an engine for a city with streets along the edges of every cell.
fn stage() -> (Engine<WebGlPainter>, Gl) {
    let document = browser::document();
    let canvas: HtmlCanvasElement = document.create_element("canvas").expect("made").unchecked_into();
    canvas.set_width(SIZE.0);
    canvas.set_height(SIZE.1);
    document.body().expect("a body").append_child(&canvas).expect("appended");
    let mut engine = Engine::new(false);
    engine.set_size((f64::from(SIZE.0), f64::from(SIZE.1)), 1.0, 0.0);
    engine.set_map(&Arc::new(city()));
    engine.set_painter(Some(WebGlPainter::new(&canvas).expect("WebGL2")));
    let gl = canvas.get_context("webgl2").expect("asked").expect("WebGL2").unchecked_into();
    (engine, gl)
}

fn city() -> CityMap {
    let at = |column, row| corner(column, row).point(-8192, -8192).lat_lng();
    let street = |line| Street { class: StreetClass::Primary, name: String::new(), line, one_way: false };
    let across = (0..=SIDE).map(|row| street(vec![at(0, row), at(SIDE, row)]));
    let down = (0..=SIDE).map(|column| street(vec![at(column, 0), at(column, SIDE)]));
    CityMap {
        name: String::new(),
        bounds: Bounds::around([at(0, 0), at(SIDE, SIDE)]).expect("two points"),
        attribution: String::new(),
        version: String::new(),
        streets: across.chain(down).collect(),
        areas: vec![],
        rails: vec![],
        complete: true,
    }
}

/// Waits until the rasterizer has executed all commands.
fn finish(gl: &Gl) {
    let mut pixel = [0; 4];
    gl.read_pixels_with_opt_u8_array(0, 0, 1, 1, Gl::RGBA, Gl::UNSIGNED_BYTE, Some(&mut pixel))
        .expect("read");
}

/// Yields to the browser. The test driver gives up on a page that does not respond for half a minute, which
/// software rendering can take.
async fn let_the_browser_answer() {
    browser::sleep(0.0).await;
}

#[wasm_bindgen_test]
#[ignore = "a measurement: cargo xtask frame-cost"]
async fn a_frame_is_drawn() {
    let (mut engine, gl) = stage();
    let mut fleet = FleetModel::default();
    let mut samples: [Samples; 6] = std::array::from_fn(|_| Samples(vec![]));
    let [new, new_raster, between, between_raster, panned, panned_raster] = &mut samples;
    for (message, tick) in messages().iter().zip(0u32..) {
        let now = f64::from(tick) * INTERVAL;
        fleet.apply(&decode(message), now);
        timed(new, || engine.frame(&fleet, now));
        timed(new_raster, || finish(&gl));
        timed(between, || engine.frame(&fleet, now + 16.0));
        timed(between_raster, || finish(&gl));
        let_the_browser_answer().await;
    }
    assert!(engine.is_showing(), "10,000 cars are drawn");
    for tick in 1000..1000 + (WARM_UP + TICKS) as u32 {
        let now = f64::from(tick) * INTERVAL;
        engine.handle_input(MapInput::Arrow(if tick % 2 == 0 { 1.0 } else { -1.0 }, 0.0), now);
        engine.frame(&fleet, now + 8.0);
        finish(&gl);
        timed(panned, || engine.frame(&fleet, now + 24.0));
        timed(panned_raster, || finish(&gl));
        let_the_browser_answer().await;
    }
    let names = [
        "draw, new cars: the page's work",
        "      then the rasterizer's",
        "draw, the cars glide on: the page's work",
        "      then the rasterizer's",
        "draw, the map is panned: the page's work",
        "      then the rasterizer's",
    ];
    samples.into_iter().zip(names).for_each(|(samples, name)| samples.print(name));
}
